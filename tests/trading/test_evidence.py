"""What an answer proves, decided without an exchange: each figure of the rules, on both sides of its edge."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from bot import Fill, OrderReport
from bot.trading import evidence, queries
from bot.trading.law import State
from bot.trading.orders import OrderRow
from tests.trading.conftest import ANN, START_MS, Room

SENT_MS = START_MS


def report_of(row: OrderRow, **other: Any) -> OrderReport:
    """Return a report that agrees with the order in everything, but for what is named."""
    facts: dict[str, Any] = {
        "exchange_order_id": "x1",
        "client_order_id": row.client_order_id,
        "exchange_symbol": row.market.exchange_symbol,
        "side": row.side,
        "type": row.order.type,
        "state": "open",
        "filled": Decimal(0),
        "quantity": row.order.size.amount,
        "price": row.order.price,
        "created_ms": SENT_MS,
    }
    return OrderReport(**facts | other)


def fill_of(row: OrderRow, quantity: str, trade_id: str = "t1", **other: Any) -> Fill:
    facts: dict[str, Any] = {
        "trade_id": trade_id,
        "exchange_order_id": row.exchange_order_id or "x1",
        "exchange_symbol": "BTCUSDT",
        "side": row.side,
        "price": Decimal(58_000),
        "quantity": Decimal(quantity),
        "fee": Decimal("0.001"),
        "fee_asset": "BTC",
        "is_maker": True,
        "at_ms": 0,
    }
    return Fill(**facts | other)


def missed(
    room: Room, row: OrderRow, *, asked_ms: int, exchange_ms: int | None = None, fills: Iterable[Fill] = ()
) -> OrderRow:
    at_ms = asked_ms if exchange_ms is None else exchange_ms
    return room.store.transact(
        lambda db: evidence.missed(db, row.id, fills, asked_ms=asked_ms, exchange_ms=at_ms, now_ms=asked_ms)
    )


def found(
    room: Room, row: OrderRow, report: OrderReport, *, asked_ms: int = SENT_MS, fills: Iterable[Fill] = ()
) -> OrderRow:
    return room.store.transact(lambda db: evidence.found(db, row.id, report, fills, asked_ms=asked_ms, now_ms=asked_ms))


def news(room: Room, row: OrderRow) -> list[str]:
    """Return the messages of their own about an order, besides its card."""
    return [each["kind"] for each in room.sql("SELECT kind FROM outbox WHERE order_id=? AND kind<>'order'", row.id)]


# Is it ours?


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({}, True),
        ({"client_order_id": ""}, True),
        ({"client_order_id": "another"}, False),
        ({"side": "sell"}, False),
        ({"exchange_symbol": "ETHUSDT"}, False),
        ({"price": None}, True),
        ({"price": Decimal(0)}, True),
        ({"price": Decimal(1)}, False),
        ({"quantity": None}, True),
        ({"quantity": Decimal(0)}, True),
        ({"quantity": Decimal(1)}, False),
        ({"price": Decimal(1), "quantity": Decimal(1)}, False),
        ({"created_ms": SENT_MS - 60_000}, True),
        ({"created_ms": SENT_MS - 60_001}, False),
        ({"created_ms": 0}, True),
        ({"created_ms": 1}, False),
    ],
)
async def test_report_of_an_order_without_an_id_is_ours_only_if_all_agrees(
    room: Room, other: dict[str, Any], expected: bool
) -> None:
    """Side, pair, price, size and age; what the exchange leaves out speaks for nothing."""
    row = replace(await room.confirmed(), sent_ms=SENT_MS)
    assert evidence.is_same(row, report_of(row, **other), offset_ms=0) is expected


@pytest.mark.parametrize("other", [{"client_order_id": "another"}, {"created_ms": 1}])
async def test_report_of_an_order_with_an_id_needs_no_other_name(room: Room, other: dict[str, Any]) -> None:
    """Once the exchange has given its own id, a label or a time that differs does not make it another order."""
    row = replace(await room.confirmed(), sent_ms=SENT_MS, exchange_order_id="x1")
    assert evidence.is_same(row, report_of(row, **other), offset_ms=0) is True


@pytest.mark.parametrize(("offset_ms", "expected"), [(0, True), (1, False), (-1, True), (-60_000, True)])
async def test_report_age_is_judged_by_the_exchanges_clock(room: Room, offset_ms: int, expected: bool) -> None:
    """The time that it tells is its own: with its clock ahead of ours, the order is older than it looks."""
    row = replace(await room.confirmed(), sent_ms=SENT_MS)
    assert evidence.is_same(row, report_of(row, created_ms=SENT_MS - 60_000), offset_ms=offset_ms) is expected


@pytest.mark.parametrize(("params", "expected"), [({}, False), ({"size_in": "quote"}, True)])
async def test_report_size_is_compared_where_it_was_ordered_in_base(
    room: Room, params: dict[str, str], expected: bool
) -> None:
    """Of an order sized in quote asset the exchange tells a quantity that nobody named."""
    row = await room.confirmed()
    row = replace(row, params={**row.params, **params})
    assert evidence.is_same(row, report_of(row, quantity=Decimal("0.4999")), offset_ms=0) is expected


async def test_report_of_a_market_order_may_tell_any_price(room: Room) -> None:
    """Nobody named one."""
    row = await room.confirmed(price=None)
    assert evidence.is_same(row, report_of(row, price=Decimal(61_234)), offset_ms=0) is True


@pytest.mark.parametrize(
    ("client_order_id", "own_id", "expected"), [("", "", True), ("named", "", False), ("", "x1", False)]
)
async def test_report_may_be_of_a_later_order_only_while_neither_has_a_name(
    room: Room, client_order_id: str, own_id: str, expected: bool
) -> None:
    """A report with our label, or of an order whose exchange's id we know, is of no other."""
    first = await room.placed("drop before")
    await room.settle()
    room.sql("DELETE FROM outbox")
    await room.placed("drop before")
    row = replace(room.row(first), exchange_order_id=own_id)
    told = report_of(row, client_order_id=client_order_id, created_ms=0)

    def asked(db: Any) -> bool:
        return evidence.may_be_a_later_one(db, row, told, offset_ms=0)

    assert room.store.transact(asked) is expected


async def test_report_under_the_name_of_a_later_order_is_no_question(room: Room) -> None:
    """It says itself whose it is; nothing has to be guessed."""
    first = await room.placed("drop before")
    await room.settle()
    room.sql("DELETE FROM outbox")
    later = await room.placed("drop before")
    told = report_of(later, created_ms=0)
    row = room.row(first)
    assert room.store.transact(lambda db: evidence.may_be_a_later_one(db, row, told, offset_ms=0)) is False


async def test_report_may_be_of_one_of_several_later_orders(room: Room) -> None:
    """One that fits is enough, whatever the others look like."""
    first = await room.placed("drop before")
    await room.settle()
    room.sql("DELETE FROM outbox")
    await room.placed("drop before")
    await room.settle()
    room.sql("DELETE FROM outbox")
    await room.placed("drop before", price="57000")
    row = room.row(first)
    common: dict[str, Any] = {"client_order_id": "", "created_ms": 0}
    fits, differs = (report_of(row, price=Decimal(price), **common) for price in (57_000, 56_000))

    def asked(db: Any) -> list[bool]:
        return [evidence.may_be_a_later_one(db, row, told, offset_ms=0) for told in (fits, differs)]

    assert room.store.transact(asked) == [True, False]


# Found.


async def test_found_order_that_was_absent_is_a_message_of_its_own(room: Room) -> None:
    """Its card said that there was no such order; a report that it was refused is no news."""
    row = await room.placed("drop before")
    await room.settle()
    room.sql("DELETE FROM outbox")
    refused = found(room, row, report_of(row, state="rejected"))
    quiet = news(room, row)
    now = found(room, row, report_of(row))
    assert (refused.state, quiet, now.state, now.late, news(room, row)) == (
        "not_placed",
        [],
        "open",
        True,
        ["order_news"],
    )


async def test_found_order_that_was_in_doubt_is_told_on_its_card_only(room: Room) -> None:
    """A doubt that ends well is no reason for another message."""
    row = await room.placed("drop after")
    assert (found(room, row, report_of(row)).state, news(room, row)) == ("open", [])


async def test_found_id_of_another_own_order_is_not_taken_over(room: Room) -> None:
    """Two rows for one order of the exchange would count its fills twice."""
    await room.placed()
    row = await room.placed("drop before")
    now = found(room, row, report_of(row), fills=[fill_of(row, "0.1")])
    assert (now, room.sql("SELECT 1 FROM fills")) == (room.row(row), [])
    assert (now.state, now.exchange_order_id) == ("unknown", "")


@pytest.mark.parametrize(
    ("after_ms", "state", "asked"),
    [(29_999, "open", True), (30_000, "open", False), (30_000, "partially_filled", False), (30_000, "canceled", True)],
)
async def test_found_live_half_a_minute_after_a_cancel_was_not_canceled(
    room: Room, after_ms: int, state: Any, asked: bool
) -> None:
    """By then the cancel got lost, and its owner may ask again; of an order that ended there is nothing to say."""
    row = await room.placed()
    room.exchange.cancels.append("error")
    await room.desk.cancel(row.id, ANN)
    await room.desk.drain()
    requested_ms = room.row(row).cancel_requested_ms
    assert requested_ms is not None
    now = found(room, row, report_of(row, state=state), asked_ms=requested_ms + after_ms)
    assert (now.state, now.cancel_requested_ms is not None, "Cancel again" in now.reason) == (state, asked, not asked)
    assert now == room.row(row)


async def test_found_live_without_a_cancel_keeps_its_reason(room: Room) -> None:
    """What was never asked for was not refused."""
    row = await room.placed()
    assert found(room, row, report_of(row), asked_ms=SENT_MS + 3_600_000).reason == ""


# Missed.


@pytest.mark.parametrize("state", ["filled", "canceled", "rejected", "expired", "not_placed"])
async def test_missed_order_that_ended_counts_nothing(room: Room, state: State) -> None:
    """An exchange forgets what is over; that is no news."""
    row = await room.placed("refuse" if state == "rejected" else "accept")
    trigger = room.sql("SELECT sql FROM sqlite_schema WHERE name='orders_law'")[0]["sql"]
    room.sql("DROP TRIGGER orders_law")
    room.sql("UPDATE orders SET state=? WHERE id=?", state, row.id)
    room.sql(trigger)
    before = room.row(row)
    for seconds in (100, 200, 300):
        assert missed(room, row, asked_ms=SENT_MS + seconds * 1000) == before


@pytest.mark.parametrize(("before_ms", "misses"), [(1, 0), (0, 0), (-1, 1)])
async def test_missed_counts_from_five_seconds_after_the_window(room: Room, before_ms: int, misses: int) -> None:
    """By the exchange's time, not by ours."""
    row = await room.placed("drop before")
    assert row.window_ends_ms is not None
    edge = row.window_ends_ms + 5_000
    assert missed(room, row, asked_ms=SENT_MS, exchange_ms=edge - before_ms).misses == misses


async def test_missed_looks_count_five_seconds_apart_up_to_three(room: Room) -> None:
    """Each look returns the order as it is afterwards; one that comes too early changes nothing."""
    row = await room.placed("drop before")
    assert row.window_ends_ms is not None
    first = row.window_ends_ms + 5_001
    seen = []
    for at_ms in (first, first + 4_999, first + 5_000, first + 9_999, first + 10_000):
        now = missed(room, row, asked_ms=at_ms)
        assert now == room.row(row)
        seen.append((now.misses, now.state))
    assert seen == [(1, "unknown"), (1, "unknown"), (2, "unknown"), (2, "unknown"), (3, "not_placed")]
    assert room.row(row).reason == "The exchange does not have it, and it can no longer arrive there."


async def test_missed_order_without_a_window_is_asked_about_after_two_minutes(vague: Room) -> None:
    """Before that looks go on beyond three."""
    row = await vague.placed("drop before")
    assert row.sent_ms is not None
    seen = []
    for seconds in (10, 20, 30, 40, 119.999, 125):
        now = missed(vague, row, asked_ms=row.sent_ms + round(seconds * 1000))
        seen.append((now.misses, now.state))
    assert seen == [(1, "unknown"), (2, "unknown"), (3, "unknown"), (4, "unknown"), (5, "unknown"), (6, "needs_human")]


async def test_missed_live_order_in_its_window_counts_nothing(room: Room) -> None:
    """A replica may lag behind the acknowledgement."""
    row = await room.placed()
    assert row.window_ends_ms is not None
    assert missed(room, row, asked_ms=row.window_ends_ms + 5_000).misses == 0
    assert missed(room, row, asked_ms=row.window_ends_ms + 5_001).misses == 1


async def _thrice(room: Room, row: OrderRow, start_ms: int, fills: Iterable[Fill] = ()) -> OrderRow:
    for number in range(3):
        row = missed(room, row, asked_ms=start_ms + 5_000 * number, fills=fills)
    return row


async def test_missed_live_order_ends_with_all_that_is_known_of_it(room: Room) -> None:
    """What it had filled, at which price, for which fee, is kept at its end, and so is its id."""
    row = await room.placed()
    told = report_of(
        row,
        state="partially_filled",
        filled=Decimal("0.2"),
        average_price=Decimal(57_999),
        fee=Decimal("0.0002"),
        fee_asset="BTC",
    )
    before = found(room, row, told)
    assert row.window_ends_ms is not None
    now = await _thrice(room, row, row.window_ends_ms + 5_001)
    gone = {"state": "canceled", "reason": "The exchange no longer lists it."}
    changed = {"misses": now.misses, "last_miss_ms": now.last_miss_ms, "updated_ms": now.updated_ms}
    assert now == room.row(row) == replace(before, **gone, **changed)


async def test_missed_live_order_keeps_the_fee_that_was_reported(room: Room) -> None:
    """The exchange's own figure is better than a sum of fills."""
    row = await room.placed()
    shown = {"state": "partially_filled", "filled": Decimal("0.2"), "average_price": Decimal(57_999)}
    found(room, row, report_of(row, **shown, fee=Decimal(7), fee_asset="USDT"))
    assert row.window_ends_ms is not None
    now = await _thrice(room, row, row.window_ends_ms + 5_001, [fill_of(row, "0.2")])
    assert (now.state, now.fee, now.fee_asset) == ("canceled", Decimal(7), "USDT")


async def test_missed_live_order_takes_the_fills_that_were_shown_all_the_same(room: Room) -> None:
    """They are kept from the first look on, and only those of this order."""
    row = await room.placed()
    assert row.window_ends_ms is not None
    shown = [fill_of(row, "0.5"), fill_of(row, "0.1", "t2", exchange_order_id="x9")]
    now = await _thrice(room, row, row.window_ends_ms + 5_001, shown)
    assert (now.state, now.filled, now.average_price, now.fee) == (
        "filled",
        Decimal("0.5"),
        Decimal(58_000),
        Decimal("0.001"),
    )


async def test_missed_order_in_doubt_takes_no_fills(room: Room) -> None:
    """It has no id at the exchange yet, so none can be said to be its own."""
    row = await room.placed("drop before")
    assert row.window_ends_ms is not None
    now = await _thrice(room, row, row.window_ends_ms + 5_001, [fill_of(row, "0.5", exchange_order_id="")])
    assert (now.state, room.sql("SELECT 1 FROM fills")) == ("not_placed", [])


async def test_missed_live_order_without_a_window_asks_its_owner_once(vague: Room) -> None:
    """Three looks, and the card is drawn with its question; further ones count nothing and draw nothing."""
    row = await vague.placed()
    for number in range(2):
        missed(vague, row, asked_ms=SENT_MS + 5_000 * number)
    vague.sql("DELETE FROM outbox")
    third = missed(vague, row, asked_ms=SENT_MS + 10_000)
    assert third == vague.row(row)
    drawn = vague.sql("SELECT 1 FROM outbox WHERE order_id=?", row.id)
    vague.sql("DELETE FROM outbox")
    now = missed(vague, row, asked_ms=SENT_MS + 60_000)
    assert (bool(drawn), now.misses, now.is_missing, now.state) == (True, 3, True, "open")
    assert vague.sql("SELECT 1 FROM outbox") == []


async def test_missed_needs_human_order_with_a_window_stays_a_question(room: Room) -> None:
    """Its owner was asked already; the machine goes on counting to three and decides nothing."""
    row = await room.placed("drop before")
    room.exchange._take({"client_id": row.client_order_id, "symbol": "BTCUSDT", "side": "sell"} | _BODY, 0)
    await room.live(130)
    assert room.row(row).state == "needs_human"
    misses = [missed(room, row, asked_ms=SENT_MS + 300_000 + 5_000 * number).misses for number in range(5)]
    assert (misses, room.row(row).state) == ([1, 2, 3, 3, 3], "needs_human")


_BODY = {"type": "limit", "quantity": "0.5", "price": "58000"}


@pytest.mark.parametrize(("age_ms", "state"), [(119_999, "unknown"), (120_000, "needs_human")])
async def test_ask_owner_waits_two_minutes_from_the_sending(room: Room, age_ms: int, state: State) -> None:
    """Not from the preview, which may be older."""
    row = await room.placed("drop before")
    room.sql("UPDATE orders SET created_ms=0 WHERE id=?", row.id)
    assert row.sent_ms is not None
    at_ms = row.sent_ms + age_ms
    now = room.store.transact(lambda db: evidence.ask_owner(db, queries.get(db, row.id), "Why.", at_ms))
    assert (now.state, now == room.row(row), room.row(row).reason == "Why.") == (state, True, state == "needs_human")


async def test_ask_owner_of_a_doubt_without_a_time_of_sending_counts_from_the_preview(room: Room) -> None:
    """A row that lost it must not be waited for without end."""
    row = await room.placed("drop before")
    room.sql("UPDATE orders SET sent_ms=NULL WHERE id=?", row.id)
    states = []
    for at_ms in (row.created_ms + 119_999, row.created_ms + 120_000):
        now = room.store.transact(
            lambda db, at_ms=at_ms: evidence.ask_owner(db, queries.get(db, row.id), "Why.", at_ms)
        )
        states.append(now.state)
    assert states == ["unknown", "needs_human"]


@pytest.mark.parametrize("fault", ["accept", "refuse"])
async def test_ask_owner_of_what_is_no_doubt_changes_nothing(room: Room, fault: Any) -> None:
    """However old: an open order and one that ended have no such question."""
    row = await room.placed(fault)
    now = room.store.transact(lambda db: evidence.ask_owner(db, queries.get(db, row.id), "Why.", SENT_MS + 10**9))
    assert now == room.row(row) == row
