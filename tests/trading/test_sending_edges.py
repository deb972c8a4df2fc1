"""Sending and canceling at their edges: what is told when, and what a failure leaves behind."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from bot import NotSent
from bot.trading import ends
from bot.trading.desk import Desk
from bot.trading.intent import Intent
from bot.trading.law import State
from bot.trading.orders import OrderRow
from tests.trading.conftest import ANN, CHAT, Fault, Room
from tests.trading.test_journal import bring


@pytest.mark.parametrize(
    ("fault", "lists"),
    [("accept", 0), ("refuse", 0), ("unreachable", 0), ("drop before", 1), ("server error", 1), ("unreadable", 1)],
)
async def test_place_unclear_outcome_lists_the_open_orders_at_once(room: Room, fault: Fault, lists: int) -> None:
    """Only a doubt is a reason: what was accepted or refused is clear."""
    await room.placed(fault)
    await room.reconciler.step()
    assert room.exchange.asked.count("/open") == lists


async def test_place_is_asked_after_at_once(room: Room) -> None:
    """A market order may be filled before its acknowledgement arrives; its card should not wait."""
    row = await room.placed()
    room.exchange.fill()
    await room.reconciler.step()
    assert room.row(row).state == "filled"


@pytest.mark.parametrize(("last", "sent"), [("60610.1", True), ("60611", False)])
async def test_place_market_order_into_an_empty_side_is_judged_by_the_last_price(
    room: Room, last: str, sent: bool
) -> None:
    """Where nobody offers, the last trade is all there is to compare with."""
    row = await room.confirmed(price=None)
    ticker = room.gateway.ticker

    async def without_ask(*arguments: Any) -> Any:
        return replace(await ticker(*arguments), ask=None, last=Decimal(last))

    room.gateway.ticker = without_ask  # type: ignore[method-assign,assignment]
    room.desk.send(row)
    await room.desk.drain()
    assert (room.row(row).state, len(room.exchange.placing)) == (("open", 1) if sent else ("not_placed", 0))


async def test_place_market_order_price_moved_is_offered_anew_in_spite_of_the_same_doubts(room: Room) -> None:
    """What its owner accepted once is not asked again, and the fresh preview says why there is one."""
    doubt = await room.placed("drop before")
    intent = replace(Intent.from_json(doubt.intent), price=None)
    row = await room.desk.propose(room.account, intent, chat_id=CHAT, despite=[doubt.id])
    row = await room.confirmed(row)
    room.exchange.ask = "66000"
    room.desk.send(row)
    await room.desk.drain()
    old, new = room.row(row), room.row(row.id + 1)
    assert (new.despite, new.params["warnings"][0], new.chat_id) == (frozenset({doubt.id}), old.reason, old.chat_id)


async def test_place_market_order_price_moved_is_not_even_prepared(room: Room) -> None:
    """Nothing is signed for an order that has ended."""
    row = await room.confirmed(price=None)
    room.exchange.ask = "66000"
    prepared: list[object] = []

    async def place(*arguments: object) -> None:
        prepared.append(arguments)
        raise NotSent("It should not have come here")

    room.gateway.place = place  # type: ignore[method-assign,assignment]
    room.desk.send(row)
    await room.desk.drain()
    assert (room.row(row).state, prepared) == ("not_placed", [])


@pytest.mark.parametrize(("fault", "words"), [("refuse", "Acme says POOR"), ("drop before", "Acme did not answer")])
async def test_place_outcome_keeps_the_exchanges_answer_for_the_log(room: Room, fault: Fault, words: str) -> None:
    """What it said is in the event of the order, for whoever has to explain it later."""
    row = await room.placed(fault)
    (event,) = room.sql("SELECT json_extract(detail, '$.answer.words') AS words FROM events WHERE kind=?", row.state)
    assert event["words"] == words


async def test_place_that_breaks_the_code_is_told_without_its_text(room: Room) -> None:
    """What failed before the first byte was not placed; what failed after it is looked for."""
    row = await room.confirmed()

    async def broken(*_: object, **__: object) -> None:
        raise ValueError("secret-value")

    whole, room.gateway.place = room.gateway.place, broken  # type: ignore[method-assign,assignment]
    room.desk.send(row)
    await room.desk.drain()
    room.gateway.place = whole  # type: ignore[method-assign]
    words = "Something went wrong inside the bot; the log has the details."
    assert (room.row(row).state, room.row(row).reason) == ("not_placed", words)


@pytest.mark.parametrize(("age_ms", "messages"), [(299_999, 0), (300_000, 1)])
async def test_cancel_that_failed_is_a_message_when_the_card_is_five_minutes_old(
    room: Room, age_ms: int, messages: int
) -> None:
    """Counted from the order's preview, by which its card was drawn."""
    row = await room.placed()
    room.clock.advance((row.created_ms + age_ms - room.clock.now_ms()) / 1000)
    room.exchange.cancels.append("POOR")
    await room.desk.cancel(row.id, ANN)
    await room.desk.drain()
    assert len(room.sql("SELECT 1 FROM outbox WHERE order_id=? AND kind='order_news'", row.id)) == messages


async def test_cancel_that_failed_after_the_order_ended_is_no_message(room: Room) -> None:
    """However old its card: it says how the order ended, and that is all there is to say."""
    row = await room.placed()
    room.clock.advance(600)
    room.exchange.cancels.append("POOR")
    asked = asyncio.Event()
    send = room.exchange.send

    async def filled_meanwhile(request: Any, *, timeout_seconds: float) -> Any:
        if request.path == "/cancel" and not asked.is_set():
            asked.set()
            bring(room, row, "filled")
        return await send(request, timeout_seconds=timeout_seconds)

    room.exchange.send = filled_meanwhile  # type: ignore[method-assign]
    await room.desk.cancel(row.id, ANN)
    await room.desk.drain()
    assert (asked.is_set(), room.sql("SELECT 1 FROM outbox WHERE kind='order_news'")) == (True, [])


async def test_cancel_is_followed_at_once(room: Room) -> None:
    """Its report is asked for in the next turn, though the order is old and was asked after a moment ago."""
    row = await room.placed()
    room.clock.advance(7_200)
    await room.live(2)
    await room.desk.cancel(row.id, ANN)
    await room.desk.drain()
    await room.reconciler.step()
    assert room.row(row).state == "canceled"


async def test_drain_leaves_nothing_running(room: Room) -> None:
    """Whoever closes the database next must not be overtaken by a request that is still being given up."""
    row = await room.confirmed()
    room.exchange.faults.append("hang")
    room.desk.send(row)
    await room.exchange.hanging.wait()
    before = asyncio.all_tasks()
    await room.desk.drain(0.01)
    assert [task for task in before if task is not asyncio.current_task() and not task.done()] == []
    assert room.row(row).state == "sending"


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.name for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("fault", ["accept", "refuse", "unreachable", "drop before"])
async def test_place_usual_outcome_is_no_error_of_the_bot(
    room: Room, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    """Whoever watches the log for errors is not called for what an exchange says."""
    await room.placed(fault)
    assert errors(caplog) == []


@pytest.mark.parametrize("outcome", ["accept", "POOR", "error", "unreachable"])
async def test_cancel_usual_outcome_is_no_error_of_the_bot(
    room: Room, caplog: pytest.LogCaptureFixture, outcome: str
) -> None:
    """Nor for what it says of a cancel."""
    row = await room.placed()
    room.exchange.cancels.append(outcome)
    await room.desk.cancel(row.id, ANN)
    await room.desk.drain()
    assert errors(caplog) == []


async def test_failures_of_the_bot_itself_are_errors_in_its_log(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """Control of the two above, for an order and for a cancel: the text stays out of chat, so the log must have it."""
    row, other = await room.placed(), await room.confirmed(pair="ETH/USDT")

    async def broken(*_: object, **__: object) -> None:
        raise ValueError("odd")

    room.gateway.place = room.gateway.cancel_order = broken  # type: ignore[method-assign,assignment]
    room.desk.send(other)
    await room.desk.cancel(row.id, ANN)
    await room.desk.drain()
    assert errors(caplog) == ["bot.trading.sending"] * 2


async def test_drain_that_gives_up_is_no_error_of_the_bot(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """What is left to the next start is in the log as a warning."""
    row = await room.confirmed()
    room.exchange.faults.append("hang")
    room.desk.send(row)
    await room.exchange.hanging.wait()
    await room.desk.drain(0.01)
    for _ in range(3):
        await asyncio.sleep(0)
    assert errors(caplog) == []
    assert [each.levelname for each in caplog.records if each.name == "bot.trading.sending"] == ["WARNING"]


async def test_place_answer_that_comes_after_the_doubt_leaves_it_to_the_looks(room: Room) -> None:
    """A refusal that took more than a minute is not believed over what is being found out meanwhile."""
    row = await room.confirmed()

    def slow(_: object) -> None:
        room.clock.advance(61)
        room.store.transact(lambda db: ends.expire_old(db, room.clock.now_ms()))

    room.exchange.arriving = slow
    room.exchange.faults.append("refuse")
    room.desk.send(row)
    await room.desk.drain()
    assert (room.row(row).state, room.row(row).reason) == ("unknown", "What became of the request was not stored.")
    await room.settle()
    assert room.row(row).state == "not_placed"


async def test_place_that_came_too_late_is_no_reason_to_list_orders(room: Room) -> None:
    """Nothing left, so there is nothing to look for."""
    row = await room.confirmed()
    room.clock.advance(15)
    room.desk.send(row)
    await room.desk.drain()
    await room.reconciler.step()
    assert (room.row(row).state, room.exchange.asked.count("/open")) == ("not_placed", 0)


async def test_desk_tells_of_an_order_that_left_at_once(room: Room) -> None:
    """Whoever draws the cards is woken when it has left, and when its answer is there."""
    row = await room.propose()
    (data,) = room.show(row)
    told: list[State] = []
    room.desk = Desk(room.store, room.gateway, room.reconciler, room.clock, lambda: told.append(room.row(row).state))
    await room.press(row, data, may_send=True)
    left = list(told)
    await room.desk.drain()
    assert (left[:1], told[-1]) == (["sending"], "open")


# What is told, watched and prepared.

BOTH_WAYS = pytest.mark.parametrize("may_send", [True, False])


async def sent(room: Room, row: OrderRow, data: str, *, may_send: bool) -> None:
    """Press Confirm, and send the order if the press did not."""
    _, found = await room.press(row, data, may_send=may_send)
    if not may_send:
        room.desk.send(found)
    await room.desk.drain()


@BOTH_WAYS
async def test_place_tells_that_it_left_and_what_was_answered_and_is_asked_after(room: Room, may_send: bool) -> None:
    """The cards are drawn after both commits; the press of the usual way is told first."""
    row = await room.propose()
    (data,) = room.show(row)
    told: list[State] = []
    watched: list[int] = []
    room.desk = Desk(room.store, room.gateway, room.reconciler, room.clock, lambda: told.append(room.row(row).state))
    room.reconciler.watch = watched.append  # type: ignore[method-assign]
    await sent(room, row, data, may_send=may_send)
    assert told == [*([] if may_send else ["confirmed"]), "sending", "open"]
    assert watched == [row.id]


@BOTH_WAYS
async def test_place_that_has_left_has_no_deadline(room: Room, may_send: bool) -> None:
    """What ends a preview, and a confirmed order that waits, ends nothing that is on its way."""
    row = await room.propose()
    await sent(room, row, room.show(row)[0], may_send=may_send)
    room.clock.advance(61)
    assert not room.reconciler.deadlines.is_over(row.id)


async def test_cancel_tells_that_it_was_asked_for_and_that_it_was_answered(room: Room) -> None:
    """Each after its commit."""
    row = await room.placed()
    told: list[tuple[bool, int]] = []

    def tell() -> None:
        told.append((room.row(row).cancel_requested_ms is not None, room.exchange.asked.count("/cancel")))

    room.desk = Desk(room.store, room.gateway, room.reconciler, room.clock, tell)
    await room.desk.cancel(row.id, ANN)
    await room.desk.drain()
    assert told == [(True, 0), (True, 1)]


async def test_place_outcome_that_cannot_be_stored_is_an_error_in_the_log(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    """The order stays as it was committed, and is looked for."""
    row = await room.confirmed()
    room.sql(
        "CREATE TEMP TRIGGER full BEFORE UPDATE ON orders WHEN new.state IN ('open', 'unknown')"
        " BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    )
    room.desk.send(row)
    await room.desk.drain()
    found = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    last = "the outcome of a request could not be stored; the order is looked for"
    assert (found, room.row(row).state) == ([f"order #{row.id}: placing failed", last], "sending")


def leave(*_: object) -> None:
    """Confirm nothing; the orders below do not get so far."""


@pytest.mark.parametrize(("price", "facts"), [(None, {"mode": "old"}), ("58000", {})], ids=["market", "unknown kind"])
async def test_place_at_once_of_what_must_ask_first_prepares_nothing(
    room: Room, price: str | None, facts: dict[str, str]
) -> None:
    """A market order asks for its price anew, an account of unknown kind for its kind: both go the usual way."""
    row = await room.propose(price=price)
    prepared: list[object] = []

    async def place(*arguments: object, **_: object) -> None:
        prepared.append(arguments)
        raise NotSent("It should not have come here")

    room.gateway.place = place  # type: ignore[method-assign,assignment]
    assert await room.desk._sender.place_at_once(msgspec.structs.replace(room.account, facts=facts), row, leave) is None
    assert prepared == []


async def test_place_at_once_of_an_order_that_is_being_prepared_is_left_to_the_first(room: Room) -> None:
    """Of two presses in one moment one is prepared; once that failed, the next press tries again."""
    row = await room.propose()
    prepared: list[object] = []
    may_go = asyncio.Event()

    async def place(*arguments: object, **_: object) -> None:
        prepared.append(arguments)
        await may_go.wait()
        raise NotSent("Acme cannot be reached")

    room.gateway.place = place  # type: ignore[method-assign,assignment]

    async def press() -> None:
        assert await room.desk._sender.place_at_once(room.account, row, leave) is None

    presses = [asyncio.ensure_future(press()) for _ in range(2)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(prepared) == 1
    may_go.set()
    await asyncio.gather(*presses)
    await press()
    assert len(prepared) == 2
