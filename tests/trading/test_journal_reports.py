"""What an exchange's report of an order changes in its row, and what is no news."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bot.trading import groups, reports
from bot.trading.law import State
from tests.trading.conftest import ANN, START_MS, Room
from tests.trading.test_journal import apply, bring, report
from tests.trading.test_journal_rows import LATER_MS, event_of, is_told, rest


async def test_report_is_taken_over_whole(room: Room) -> None:
    """Id, quantity, price, fee and reason, and looks that missed it count no more."""
    row = await room.placed()
    room.sql("UPDATE orders SET misses=2")
    told = report(row, "canceled", "0.2", fee=Decimal("0.1"), fee_asset="USDT", reason="By them.")
    before = room.row(row)
    now = room.store.transact(lambda db: reports.apply(db, row.id, told, LATER_MS))
    figures = {"filled": Decimal("0.2"), "average_price": Decimal(58_000), "fee": Decimal("0.1"), "fee_asset": "USDT"}
    assert now == room.row(row) == rest(before, state="canceled", reason="By them.", misses=0, **figures)
    detail = {name: str(value) for name, value in figures.items()} | {"exchange_order_id": "x1", "reason": "By them."}
    assert event_of(room, row) == ("canceled", LATER_MS, ANN, detail)


@pytest.mark.parametrize(
    ("other", "is_news"),
    [
        ({}, False),
        ({"fee": None, "fee_asset": ""}, False),
        ({"average_price": Decimal(1)}, False),
        ({"reason": "Another."}, False),
        ({"filled": Decimal("0.3")}, True),
        ({"state": "filled"}, True),
        ({"fee": Decimal("0.2")}, True),
        ({"exchange_order_id": "x2"}, True),
    ],
)
async def test_report_is_news_if_state_quantity_fee_or_id_differ(
    room: Room, other: dict[str, Any], is_news: bool
) -> None:
    """Each by itself; anything else makes no event and draws no card."""
    row = await room.placed()
    apply(room, row, "partially_filled", "0.2", fee=Decimal("0.1"), fee_asset="USDT")
    is_told(room, row)
    before, events = room.row(row), len(room.history(row))
    told = replace(report(row, "partially_filled", "0.2", fee=Decimal("0.1"), fee_asset="USDT"), **other)
    now = room.store.transact(lambda db: reports.apply(db, row.id, told, LATER_MS))
    assert ((now, room.row(row)) == (before, before)) is not is_news
    assert (len(room.history(row)) - events, is_told(room, row)) == (int(is_news), is_news)


async def test_report_that_shows_it_again_is_news_after_misses(room: Room) -> None:
    """Its card may have been asking where it is."""
    row = await room.placed()
    room.sql("UPDATE orders SET misses=1")
    assert apply(room, row).misses == 0


@pytest.mark.parametrize("state", ["open", "rejected"])
async def test_report_of_a_partly_filled_order_never_takes_the_fill_back(room: Room, state: str) -> None:
    """Whatever the exchange calls it; what it fills meanwhile is taken over."""
    row = await room.placed()
    apply(room, row, "partially_filled", "0.2")
    now = apply(room, row, state, "0.3")
    assert (now.state, now.filled) == ("partially_filled", Decimal("0.3"))


@pytest.mark.parametrize("state", ["filled", "canceled"])
@pytest.mark.parametrize(
    ("filled", "fee", "expected"),
    [
        ("0.2", None, None),
        ("0.2", "0.1", None),
        ("0.1", "9", None),
        ("0.2", "0.3", ("0.2", "0.3", "BNB")),
        ("0.3", None, ("0.3", "0.1", "USDT")),
        ("0.3", "0.3", ("0.3", "0.3", "BNB")),
    ],
)
async def test_report_after_the_end_tells_a_late_fill_or_fee(
    room: Room, state: State, filled: str, fee: str | None, expected: tuple[str, str, str] | None
) -> None:
    """Nothing else is news then, and the end stays what it was."""
    row = await room.placed()
    apply(room, row, "partially_filled", "0.2", fee=Decimal("0.1"), fee_asset="USDT")
    bring(room, row, state)
    before, events = room.row(row), len(room.history(row))
    own = {} if fee is None else {"fee": Decimal(fee), "fee_asset": "USDT" if fee == "0.1" else "BNB"}
    now = apply(room, row, "canceled", filled, **own)
    if expected is None:
        assert (now, room.row(row), len(room.history(row))) == (before, before, events)
    else:
        figures = {"filled": Decimal(expected[0]), "fee": Decimal(expected[1]), "fee_asset": expected[2]}
        assert now == room.row(row) == rest(before, updated_ms=now.updated_ms, **figures)
        assert event_of(room, row)[0] == state


@pytest.mark.parametrize(("price", "kept"), [(Decimal(57_000), Decimal(57_000)), (None, Decimal(58_000))])
async def test_report_after_the_end_tells_the_average_price_with_a_late_fill(
    room: Room, price: Decimal | None, kept: Decimal
) -> None:
    """Where it tells none, the one that is known stays."""
    row = await room.placed()
    apply(room, row, "canceled", "0.2")
    told = replace(report(row, "canceled", "0.3"), average_price=price)
    now = room.store.transact(lambda db: reports.apply(db, row.id, told, LATER_MS))
    assert (now.filled, now.average_price) == (Decimal("0.3"), kept)


async def test_report_of_an_order_held_absent_marks_it_late_once(room: Room) -> None:
    """The event says so, and no later report does."""
    row = await room.placed()
    bring(room, row, "not_placed")
    assert apply(room, row).late
    assert event_of(room, row)[3]["late"] == 1
    assert apply(room, row, "partially_filled", "0.2").late
    assert "late" not in event_of(room, row)[3]


async def test_report_of_the_end_posts_the_fill_once_in_groups(room: Room) -> None:
    """Not while it is open, and not again for what is told after the end."""
    room.store.transact(lambda db: groups.allow(db, -5, "Friends", by=ANN, owner=ANN, now_ms=START_MS))
    room.sql("INSERT INTO shared_fills VALUES (-5, ?, 'Ann', 0)", ANN)
    row = await room.placed()

    def posted() -> list[Any]:
        found = room.sql("SELECT kind FROM outbox WHERE chat_id=-5")
        room.sql("DELETE FROM outbox")
        return [each["kind"] for each in found]

    told = []
    for state, filled in (("partially_filled", "0.2"), ("canceled", "0.2"), ("canceled", "0.3")):
        apply(room, row, state, filled)
        told.append(posted())
    assert told == [[], [groups.FILL], []]
