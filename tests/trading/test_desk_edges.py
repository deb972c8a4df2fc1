"""The desk's refusals and deadlines, each on both sides of its edge, and what a failure leaves behind."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bot import ExchangeError, UserError
from bot.trading import confirm, ends, journal
from bot.trading.confirm import Button
from bot.trading.desk import Desk
from bot.trading.intent import Amount, Fixed, Intent
from bot.trading.law import State
from bot.trading.limits import Limits
from bot.trading.orders import OrderRow
from tests.trading.conftest import ANN, BOB, CHAT, START_MS, Fault, Room
from tests.trading.test_journal import bring
from tests.trading.test_limits import approve_button, change


async def code(room: Room, row: OrderRow, user_id: int = ANN) -> OrderRow:
    return await room.desk.confirm_with_code(row.id, user_id, lambda db: None)


# With a code.


async def test_code_after_a_start_waits_for_the_first_round(room: Room) -> None:
    """A code opens no gate: until the account's orders were asked after, it is refused, and the order waits."""
    await room.reconciler.begin()
    row = await room.propose()
    with pytest.raises(UserError, match="has just started") as refused:
        await code(room, row)
    assert (refused.value.code, room.row(row).state) == ("CHECKING", "proposed")
    await room.live(1)
    assert (await code(room, row)).state == "confirmed"


@pytest.mark.parametrize("is_stepped_back", [False, True])
async def test_code_for_an_expired_preview_confirms_nothing(room: Room, is_stepped_back: bool) -> None:
    """By either clock, whichever comes first."""
    row = await room.propose()
    room.clock.advance(60)
    if is_stepped_back:
        room.clock.wall_ms -= 3_600_000
    with pytest.raises(UserError, match="The preview has expired") as refused:
        await code(room, row)
    assert (refused.value.code, room.row(row).state) == ("TOO_LATE", "proposed")


async def test_code_confirms_the_order_of_its_owner_only(room: Room) -> None:
    """Another's order is as if it did not exist."""
    row = await room.propose()
    with pytest.raises(UserError, match="no order"):
        await code(room, row, BOB)
    assert room.row(row).state == "proposed"


async def test_code_gives_fifteen_seconds_to_leave(room: Room) -> None:
    """By the monotonic clock, as a plain Confirm does."""
    row = await code(room, await room.propose())
    room.clock.wall_ms -= 3_600_000
    room.clock.advance(14.9)
    assert not room.reconciler.deadlines.is_over(row.id)
    room.clock.advance(0.1)
    assert room.reconciler.deadlines.is_over(row.id)


async def test_code_is_kept_while_a_second_person_is_asked(room: Room) -> None:
    """One who gave a code is not asked for another one when the second person approves."""
    change(room, "approval", Decimal(1000))
    change(room, "code", Decimal(1000))
    room.sql("UPDATE users SET role='admin', name='Bob' WHERE id=?", BOB)
    row = await code(room, await room.propose())
    assert (row.state, room.row(row).reason) == (
        "proposed",
        "It waits for a second person to approve it: Bob (1002).",
    )
    room.show(row)
    _, confirmed = await room.press(row, approve_button(room, room.row(row), BOB), user_id=BOB)
    assert confirmed.state == "confirmed"


@pytest.mark.parametrize(("seconds", "is_over"), [(299.9, False), (300, True)])
async def test_approval_is_waited_for_five_minutes_by_the_monotonic_clock(
    room: Room, seconds: float, is_over: bool
) -> None:
    """Neither the sixty seconds of the preview nor a clock that was set back decides."""
    change(room, "approval", Decimal(1000))
    room.sql("UPDATE users SET role='admin', name='Bob' WHERE id=?", BOB)
    row = await room.propose()
    found = await room.press(row, room.show(row)[0])
    assert found[1] is None
    room.clock.wall_ms -= 3_600_000
    room.clock.advance(seconds)
    assert room.reconciler.deadlines.is_over(row.id) is is_over


# A preview.


@pytest.mark.parametrize("path", ["/ticker", "/book"])
async def test_propose_market_order_without_what_its_price_needs_stores_nothing(room: Room, path: str) -> None:
    """A market order is drawn from the book and the last price; without them there is no preview."""
    room.exchange.broken[path] = "error"
    with pytest.raises(ExchangeError):
        await room.propose(price=None)
    assert room.sql("SELECT 1 FROM orders") == []


async def test_propose_limit_order_reads_no_book(room: Room) -> None:
    """Its price was typed: what cannot matter is not asked for."""
    await room.propose()
    assert "/book" not in room.exchange.asked


async def test_propose_warnings_begin_with_the_notice_and_the_doubts_in_order(room: Room) -> None:
    """Why there is another preview comes first, then what the order comes on top of, lowest number first."""
    first = await room.placed("drop before")
    intent = Intent.from_json(first.intent)
    second = await room.desk.propose(room.account, intent, chat_id=CHAT, despite=[first.id])
    bring(room, second, "unknown")
    row = await room.desk.propose(
        room.account, intent, chat_id=CHAT, despite=[second.id, first.id], notice="The price moved."
    )
    expected = [
        "The price moved.",
        f"Order #{first.id} may exist as well: then this one comes on top of it.",
        f"Order #{second.id} may exist as well: then this one comes on top of it.",
    ]
    assert (row.params["warnings"], row.despite) == (expected, frozenset({first.id, second.id}))


async def test_propose_keeps_who_asked_where_and_for_what(room: Room) -> None:
    """The row that a preview leaves, whole but for its numbers."""
    intent = Intent("sell", "BTC/USDT", Amount(Decimal("0.5"), None), Fixed(Decimal(61_000)))
    row = await room.desk.propose(room.account, intent, chat_id=CHAT, message_id=321)
    expected = replace(
        row,
        account_id=room.account.id,
        user_id=ANN,
        exchange="acme",
        symbol="BTC/USDT",
        side="sell",
        state="proposed",
        reason="",
        intent=intent.to_json(),
        client_order_id="",
        exchange_order_id="",
        chat_id=CHAT,
        message_id=321,
        expires_ms=START_MS + 60_000,
        created_ms=START_MS,
        updated_ms=START_MS,
        sent_ms=None,
        window_ends_ms=None,
    )
    assert (row, room.row(row)) == (expected, expected)
    events = [tuple(each) for each in room.sql("SELECT order_id, user_id, kind, at_ms FROM events")]
    assert events == [(row.id, ANN, "proposed", START_MS)]


# What belongs to somebody else.


async def test_cancel_drop_and_settle_are_for_the_owner_only(vague: Room) -> None:
    """Another person's number is no order of theirs, whatever its state."""
    row, preview = await vague.placed(), await vague.propose("sell")
    doubt = await vague.placed("drop before", pair="ETH/USDT")
    bring(vague, doubt, "needs_human")
    before = [vague.row(each) for each in (row, preview, doubt)]
    for act, order in ((vague.desk.cancel, row), (vague.desk.drop, preview), (vague.desk.settle_by_hand, doubt)):
        with pytest.raises(UserError, match=f"no order #{order.id} of yours"):
            await act(order.id, BOB)
    assert [vague.row(each) for each in (row, preview, doubt)] == before


async def test_settle_by_hand_ends_each_question_as_what_it_was(vague: Room) -> None:
    """Never shown: not placed. Had and no longer shown: canceled. In both the owner's word is the reason."""
    never, had = await vague.placed("drop before"), await vague.placed(pair="ETH/USDT")
    bring(vague, never, "needs_human")
    vague.sql("UPDATE orders SET misses=3 WHERE id=?", had.id)
    for each in (never, had):
        await vague.desk.settle_by_hand(each.id, ANN)
    reason = "You looked at the exchange and it was not there."
    assert [(vague.row(each).state, vague.row(each).reason) for each in (never, had)] == [
        ("not_placed", reason),
        ("canceled", reason),
    ]


async def test_drop_says_that_it_was_the_owners_wish(room: Room) -> None:
    """And that nothing was sent."""
    row = await room.propose()
    await room.desk.drop(row.id, ANN)
    assert (room.row(row).state, room.row(row).reason) == ("expired", "You canceled it. Nothing was sent.")


@pytest.mark.parametrize("state", ["unknown", "needs_human", "not_placed", "sending"])
async def test_cancel_of_what_is_not_open_names_its_state(room: Room, state: State) -> None:
    """In words, not as the code has it."""
    row = await room.placed("drop before")
    bring(room, row, state)
    with pytest.raises(UserError) as refused:
        await room.desk.cancel(row.id, ANN)
    words = state.replace("_", " ")
    assert str(refused.value) == f"Order #{row.id} is {words}; there is nothing to cancel."


# Sending.


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


async def test_propose_on_a_card_under_way_is_refused_whatever_the_chat_says(room: Room) -> None:
    """The card of another chat with the same number is another card."""
    row = await room.placed()
    message_id = room.row(row).message_id
    with pytest.raises(UserError, match=f"#{row.id} is under way"):
        await room.propose("sell", message_id=message_id)
    intent = Intent.from_json(row.intent)
    elsewhere = await room.desk.propose(room.account, intent, chat_id=CHAT + 1, message_id=message_id)
    assert (elsewhere.state, room.row(row).message_id) == ("proposed", message_id)


async def test_approval_wait_is_for_proposals_only(room: Room) -> None:
    """An order that is confirmed already is not made to wait."""
    row = await room.confirmed()
    before = room.row(row)
    after = room.store.transact(lambda db: journal.await_approval(db, row.id, "Why.", START_MS))
    assert after == before


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


# Pressed, by the short way and the long one.

BOTH_WAYS = pytest.mark.parametrize("may_send", [True, False])


@BOTH_WAYS
@pytest.mark.parametrize("action", ["cancel", "refresh", "drop"])
async def test_press_of_another_button_of_a_preview_confirms_nothing(room: Room, action: str, may_send: bool) -> None:
    """Only Confirm confirms: the others come back as what they are, though they name the same order."""
    row = await room.propose()
    press, confirmed = await room.press(row, room.show(row, action)[0], may_send=may_send)
    await room.desk.drain()
    assert (press.action, confirmed, room.row(row).state, room.exchange.placing) == (action, None, "proposed", [])


@BOTH_WAYS
async def test_press_of_a_confirm_without_an_order_is_only_spent(room: Room, may_send: bool) -> None:
    """Other parts of the bot ask for a confirmation, too."""
    row = await room.propose()
    room.show(row)
    message_id = room.row(row).message_id
    assert message_id is not None
    button = Button("Yes", "confirm", {"of": "something else"})

    def mint(db: Any) -> list[str]:
        where = {"user_id": ANN, "chat_id": CHAT, "message_id": message_id, "now_ms": START_MS}
        return confirm.mint(db, [button], **where)

    (data,) = room.store.transact(mint)
    press, confirmed = await room.press(row, data, may_send=may_send)
    assert (press.payload, confirmed, room.row(row).state) == ({"of": "something else"}, None, "proposed")


@BOTH_WAYS
async def test_press_after_a_start_waits_for_the_first_round(room: Room, may_send: bool) -> None:
    """Neither way lets an order out before the account's own orders were asked after; the button works afterwards."""
    await room.reconciler.begin()
    row = await room.propose()
    (data,) = room.show(row)
    with pytest.raises(UserError, match="has just started"):
        await room.press(row, data, may_send=may_send)
    await room.desk.drain()
    assert (room.row(row).state, room.exchange.placing) == ("proposed", [])
    await room.live(1)
    assert (await room.press(row, data, may_send=may_send))[1].state in ("confirmed", "sending")


@BOTH_WAYS
@pytest.mark.parametrize(("seconds", "is_over"), [(59.9, False), (60, True)])
async def test_press_is_too_late_by_the_monotonic_clock_alone(
    room: Room, seconds: float, is_over: bool, may_send: bool
) -> None:
    """A wall clock that was set back does not let an old preview out."""
    row = await room.propose()
    (data,) = room.show(row)
    room.clock.wall_ms -= 3_600_000
    room.clock.advance(seconds)
    found = await room.press(row, data, may_send=may_send)
    await room.desk.drain()
    assert ((found == "expired"), room.row(row).state == "proposed") == (is_over, is_over)
    assert len(room.exchange.placing) <= int(may_send and not is_over)


async def test_approval_that_comes_too_late_is_said_to_be(room: Room) -> None:
    """By the wall clock, too: five minutes, and not a millisecond more."""
    change(room, "approval", Decimal(1000))
    room.sql("UPDATE users SET role='admin', name='Bob' WHERE id=?", BOB)
    row = await room.propose()
    await room.press(row, room.show(row)[0])
    button = approve_button(room, room.row(row), BOB)
    room.clock.wall_ms += 300_000
    assert await room.press(row, button, user_id=BOB) == "expired"
    assert room.row(row).state == "proposed"


async def test_approval_does_not_reach_beyond_the_ceiling(room: Room) -> None:
    """What the configuration forbids no second person can allow."""
    change(room, "approval", Decimal(1000))
    room.sql("UPDATE users SET role='admin', name='Bob' WHERE id=?", BOB)
    row = await room.propose()
    await room.press(row, room.show(row)[0])
    button = approve_button(room, room.row(row), BOB)
    room.desk.ceiling = Limits(order=Decimal(5))
    with pytest.raises(UserError):
        await room.press(row, button, user_id=BOB)
    assert room.row(row).state == "proposed"


async def test_ceiling_holds_at_every_step(room: Room) -> None:
    """For the preview, for the press, with a code, and in the moment of sending: it may have been lowered since."""
    row, other = await room.propose(), await room.confirmed(pair="ETH/USDT")
    (data,) = room.show(row)
    room.desk.ceiling = Limits(order=Decimal(5))
    for attempt in (room.propose("sell"), room.press(row, data), room.press(row, data, may_send=True), code(room, row)):
        with pytest.raises(UserError):
            await attempt
    room.desk.send(other)
    await room.desk.drain()
    assert [room.row(each).state for each in (row, other)] == ["proposed", "not_placed"]
    assert room.exchange.placing == []


async def test_propose_stop_order_needs_the_last_price_and_no_book(room: Room) -> None:
    """Which side its trigger lies on is told by the last price, though its own was typed; a book says nothing of it."""
    typed = Fixed(Decimal(58_000))
    for price in (typed, None):
        intent = Intent("buy", "BTC/USDT", Amount(Decimal("0.5"), None), price, stop=typed)
        room.exchange.broken["/ticker"] = "error"
        with pytest.raises(ExchangeError):
            await room.desk.propose(room.account, intent, chat_id=CHAT)
        del room.exchange.broken["/ticker"]
        with pytest.raises(UserError, match="stop"):
            await room.desk.propose(room.account, intent, chat_id=CHAT)
    assert "/book" not in room.exchange.asked


async def test_desk_tells_after_each_wish_of_an_owner(vague: Room) -> None:
    """Whoever draws the cards is woken after the commit for a code, a drop, a cancel and an answer by hand."""
    told: list[list[str]] = []

    def states() -> list[str]:
        return [each["state"] for each in vague.sql("SELECT state FROM orders ORDER BY id")]

    desk = Desk(vague.store, vague.gateway, vague.reconciler, vague.clock, lambda: told.append(states()))
    rows = [await vague.propose(pair=pair) for pair in ("BTC/USDT", "ETH/USDT")]
    doubt = await vague.placed("drop before", side="sell")
    bring(vague, doubt, "needs_human")
    vague.desk = desk
    await code(vague, rows[0])
    await desk.drop(rows[1].id, ANN)
    await desk.settle_by_hand(doubt.id, ANN)
    assert told == [
        ["confirmed", "proposed", "needs_human"],
        ["confirmed", "expired", "needs_human"],
        ["confirmed", "expired", "not_placed"],
    ]


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


@BOTH_WAYS
async def test_press_while_the_exchange_is_switched_off_is_refused_in_words(room: Room, may_send: bool) -> None:
    """The short way finds that it cannot go, and the long one says why; the button works afterwards."""
    row = await room.propose()
    (data,) = room.show(row)
    off, room.gateway.exchanges = room.gateway.exchanges, {}
    with pytest.raises(UserError, match="acme cannot be used"):
        await room.press(row, data, may_send=may_send)
    room.gateway.exchanges = off
    assert (await room.press(row, data, may_send=may_send))[1] is not None


async def test_press_given_up_while_the_request_is_prepared_ends_like_any_other(room: Room) -> None:
    """Whoever pressed is gone, and the order could not leave: it is still a proposal, and nothing is left behind."""
    row = await room.propose()
    (data,) = room.show(row)
    room.sql("CREATE TEMP TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    pressing = asyncio.ensure_future(room.press(row, data, may_send=True))
    await asyncio.sleep(0)
    pressing.cancel()
    await asyncio.wait([pressing])
    await room.desk.drain()
    assert (room.row(row).state, room.exchange.placing) == ("proposed", [])
