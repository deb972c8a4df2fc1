"""Each question of the reconciler: what is asked, when the next one follows, and what becomes of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from bot import OrderReport, OutcomeUnknown
from bot.accounts.people import AccountRow
from bot.contract.errors import VaultError
from bot.trading.law import State
from tests.trading.conftest import Placed, Room
from tests.trading.test_watchlist import OURS, rested

# Lists.


async def test_account_is_listed_every_five_minutes_as_long_as_it_has_orders(room: Room) -> None:
    """To the second; after the last has ended only when somebody asks."""
    await room.placed()
    await room.reconciler.step()
    counts = []
    for seconds in (299.9, 0.1, 299.9, 0.1):
        room.clock.advance(seconds)
        await room.reconciler.step()
        counts.append(room.exchange.asked.count("/open"))
    room.exchange.fill()
    await room.live(16)
    room.clock.advance(284)
    await room.reconciler.step()
    ended = room.exchange.asked.count("/open")
    room.reconciler.sweep(room.account.id, "acme")
    await room.reconciler.step()
    assert (counts, ended, room.exchange.asked.count("/open")) == ([0, 1, 1, 2], 2, 3)
    assert room.reconciler._watched.exchanges == ("acme",)


async def test_list_tells_what_it_found(room: Room) -> None:
    """An order that was adopted is on its card without waiting for another question."""
    told: list[None] = []
    room.reconciler._told = lambda: told.append(None)
    room.reconciler.sweep(room.account.id, "acme")
    await room.reconciler.step()
    assert told == [None]


@pytest.mark.parametrize(("error", "traces"), [(OutcomeUnknown("no answer"), 0), (ValueError("odd row"), 1)])
async def test_list_that_failed_is_logged_with_a_trace_only_when_that_is_a_defect(
    room: Room, error: Exception, traces: int, caplog: pytest.LogCaptureFixture
) -> None:
    """An exchange that does not answer is no news."""

    async def failing(*_: object) -> None:
        raise error

    room.gateway.open_orders = failing  # type: ignore[method-assign,assignment]
    room.reconciler.sweep(room.account.id, "acme")
    await room.reconciler.step()
    assert sum(each.exc_info is not None for each in caplog.records) == traces


# One order.


async def test_order_that_came_back_to_life_makes_its_account_busy_though_the_exchange_is_silent(room: Room) -> None:
    """What the row says is known, whatever becomes of the question."""
    row = await room.placed("drop before")
    await room.settle()
    await room.reconciler.step()
    before = set(room.reconciler.busy)
    room.sql("UPDATE orders SET state='open', exchange_order_id='x1' WHERE id=?", row.id)
    room.exchange.broken["/order"] = "error"
    room.reconciler.watch(row.id)
    await room.reconciler.step()
    assert (before, set(room.reconciler.busy)) == (set(), {(room.account.id, "acme")})


async def test_order_that_is_being_sent_is_looked_at_each_second(room: Room) -> None:
    """Only here: the exchange is not asked, and the order is not let go."""
    row = await room.confirmed()
    room.exchange.faults.append("hang")
    room.desk.send(row)
    await room.exchange.hanging.wait()
    room.reconciler.watch(row.id)
    await room.reconciler.step()
    watched = room.reconciler._watched
    known, due = row.id in watched, watched.next_due("acme") - room.clock.monotonic()
    room.clock.advance(1)
    assert (known, due, watched.take("acme")) == (True, 1.0, (row.id, 1.0))


async def test_list_is_asked_for_by_the_kind_of_its_orders(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real orders stay real when their account was switched to paper since, and the other way round."""
    asked: list[bool] = []

    async def noted(account: AccountRow, _: object) -> list[OrderReport]:
        asked.append(account.paper)
        return []

    monkeypatch.setattr(room.gateway, "open_orders", noted)
    for exchange_id in ("acme", "acme:paper"):
        room.reconciler.sweep(room.account.id, exchange_id)
        await room.reconciler.step()
    assert asked == [False, True]


async def test_list_adopts_what_only_the_exchange_knows_and_asks_after_it(room: Room) -> None:
    """In its market, by the exchange's spelling of it."""
    room.exchange.orders.append(Placed("x77", OURS, "BTCUSDT", "buy", "limit", "0.25", "50000", 0))
    room.reconciler.sweep(room.account.id, "acme")
    await room.reconciler.step()
    await room.reconciler.step()
    row = room.row(1)
    assert (row.state, row.external, row.params["symbol"]) == ("open", True, "BTC/USDT")
    assert (row.id in room.reconciler._watched, "/order" in room.exchange.asked) == (True, True)


async def test_order_whose_answer_breaks_the_code_keeps_its_interval(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and asked after again when it would have been anyhow."""
    row = await rested(room)

    async def broken(*_: object, **__: object) -> None:
        raise ValueError("odd row")

    room.gateway.order_status = broken  # type: ignore[method-assign,assignment]
    room.reconciler.watch(row.id)
    await room.reconciler.step()
    due = room.reconciler._watched.next_due("acme") - room.clock.monotonic()
    assert (due, caplog.messages) == (30.0, [f"order #{row.id}: looking after it failed"])


async def test_gate_opens_though_the_exchange_shows_another_order(room: Room) -> None:
    """No later look will tell more; its owner is asked in time."""
    row = await room.placed("drop after")
    room.exchange.orders[-1].side = "sell"
    await room.reconciler.begin()
    before = room.reconciler.is_checking(room.account.id, "acme")
    await room.live(1)
    after = room.reconciler.is_checking(room.account.id, "acme")
    assert (before, after, room.row(row).state) == (True, False, "unknown")


@pytest.mark.parametrize(
    ("state", "cancel_requested_ms", "priority"),
    [("open", None, "routine"), ("open", 1, "usual"), ("canceled", 1, "routine"), ("canceled", None, "routine")],
)
async def test_order_is_asked_after_like_a_person_only_while_its_cancel_is_under_way(
    room: Room, state: State, cancel_requested_ms: int | None, priority: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked again and again leaves room in the limits for what people want."""
    asked: list[str] = []
    row = msgspec.structs.replace(await room.placed(), state=state, cancel_requested_ms=cancel_requested_ms)
    status = room.gateway.order_status

    async def noted(*question: Any, priority: str = "left out") -> Any:
        asked.append(priority)
        return await status(*question)

    monkeypatch.setattr(room.gateway, "order_status", noted)
    await room.reconciler._ask(room.account, row)
    assert asked == [priority]


@pytest.mark.parametrize(("state", "path"), [("open", "/order"), ("unknown", "/find"), ("needs_human", "/find")])
async def test_order_in_doubt_is_looked_for_by_our_id_though_it_has_one_of_theirs(
    room: Room, state: State, path: str
) -> None:
    """Their id may be what is doubtful."""
    row = await room.placed()
    room.exchange.asked.clear()
    await room.reconciler._ask(room.account, msgspec.structs.replace(row, state=state))
    assert room.exchange.asked == [path]


async def test_answer_about_an_order_is_told(room: Room) -> None:
    """Else its card would wait for other news."""
    row = await room.placed()
    told: list[str] = []
    room.reconciler._told = lambda: told.append(room.row(row).state)
    room.exchange.fill()
    await room.reconciler.check(row)
    assert told == ["filled"]


async def test_keys_that_cannot_be_opened_are_no_answer(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is known of the order then, and no defect is logged."""
    row = await room.placed()

    async def locked(*_: object, **__: object) -> None:
        raise VaultError("wrong master key")

    room.gateway.order_status = locked  # type: ignore[method-assign,assignment]
    await room.reconciler.check(row)
    assert (room.row(row), caplog.messages) == (row, [])


@pytest.mark.parametrize(
    ("state", "known", "told", "asks"),
    [
        ("open", "0", "0", False),
        ("open", "0", "0.25", True),
        ("partially_filled", "0.25", "0.25", False),
        ("partially_filled", "0.25", "0.5", True),
        ("filled", "0.5", "0.5", True),
        ("canceled", "0", "0", False),
        ("canceled", "0.25", "0.25", True),
    ],
)
async def test_fills_are_asked_for_when_there_are_more_or_the_order_has_ended(
    room: Room, state: State, known: str, told: str, asks: bool
) -> None:
    """A fee may be told after the end; and nothing is asked about what was not filled."""
    row = msgspec.structs.replace(await room.placed(), state=state, filled=Decimal(known))
    room.exchange.orders[-1].filled = told
    room.exchange.asked.clear()
    await room.reconciler._ask(room.account, row)
    assert room.exchange.asked == (["/order", "/fills"] if asks else ["/order"])


async def test_question_that_its_owner_must_answer_is_told(room: Room) -> None:
    """Else nobody would know that somebody has to look."""
    row = await room.placed("drop after")
    room.exchange.orders[-1].side = "sell"
    told: list[int] = []
    room.reconciler._told = lambda: told.append(row.id)
    await room.reconciler.check(row)
    assert told == [row.id]


async def test_report_with_a_time_that_may_be_of_a_later_order_is_not_adopted(room: Room) -> None:
    """Its time is compared by the exchange's clock, and then it fits the later one as well."""
    first = await room.placed("drop before")
    await room.settle()
    room.sql("DELETE FROM outbox")
    second = await room.placed("drop after")
    room.exchange.orders[-1].created_ms = room.clock.now_ms()
    shown = [replace(each, client_id="") for each in room.exchange.named(second.client_order_id)]
    room.exchange.named = lambda _: shown  # type: ignore[method-assign]
    await room.reconciler.check(room.row(first))
    assert [room.row(each).state for each in (first, second)] == ["not_placed", "unknown"]


# When the next question follows.


@pytest.mark.parametrize(
    ("columns", "seconds"),
    [
        ({"state": "unknown", "misses": 0}, 1.0),
        ({"state": "unknown", "misses": 1}, 6.0),
        ({"state": "unknown", "misses": 2}, 6.0),
        ({"state": "unknown", "misses": 3}, 1.0),
        ({"state": "needs_human", "misses": 4}, 1.0),
        ({"state": "open", "misses": 1}, 6.0),
        ({"state": "open", "misses": 3}, 0.5),
        ({"state": "not_placed", "misses": 1}, 600.0),
        ({"state": "canceled", "misses": 1}, 15.0),
        ({"state": "filled"}, 15.0),
    ],
)
async def test_interval_follows_from_the_state_and_the_misses(
    room: Room, columns: Mapping[str, Any], seconds: float
) -> None:
    """Between two misses that count there are more than five seconds; what has ended is in no hurry."""
    row = msgspec.structs.replace(await room.placed(), **columns)
    assert room.reconciler._interval(row) == seconds


@pytest.mark.parametrize(
    ("age", "usual", "streamed"),
    [
        (0, 0.5, 0.5),
        (9.999, 0.5, 0.5),
        (10, 2.0, 15.0),
        (59.999, 2.0, 15.0),
        (60, 5.0, 15.0),
        (599.999, 5.0, 15.0),
        (600, 15.0, 15.0),
        (3599.999, 15.0, 15.0),
        (3600, 30.0, 30.0),
    ],
)
async def test_interval_of_a_live_order_grows_with_its_age(
    room: Room, age: float, usual: float, streamed: float
) -> None:
    """Where the exchange tells by itself it is asked seldom, and never more often than without."""
    now_ms = room.clock.now_ms()
    at_ms, long_ago_ms = now_ms - round(age * 1000), now_ms - 86_400_000
    placed = await room.placed()
    rows = [
        msgspec.structs.replace(placed, sent_ms=at_ms, created_ms=long_ago_ms),
        msgspec.structs.replace(placed, sent_ms=None, created_ms=at_ms),
        msgspec.structs.replace(placed, cancel_requested_ms=at_ms, sent_ms=long_ago_ms),
    ]
    before = [room.reconciler._interval(row) for row in rows]
    room.reconciler.streamed.add((room.account.id, "acme"))
    assert (before, [room.reconciler._interval(row) for row in rows]) == ([usual] * 3, [streamed] * 3)


async def test_interval_in_doubt_grows_with_each_try_until_somebody_calls(room: Room) -> None:
    """Doubts are many when an exchange is down; a person who presses Refresh begins anew."""
    row = msgspec.structs.replace(await room.placed(), state="unknown")
    tries = [room.reconciler._interval(row) for _ in range(8)]
    room.reconciler.watch(row.id)
    assert (tries, room.reconciler._interval(row)) == ([1, 2, 4, 8, 15, 30, 60, 60], 1)
