"""Confirm and Approve, by button or with a code: each deadline on both sides of its edge, and who may."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from bot import BotError, UserError
from bot.trading import confirm, halt
from bot.trading.confirm import Button
from bot.trading.law import State
from bot.trading.limits import Limits
from bot.trading.orders import OrderRow
from tests.trading.conftest import ANN, BOB, CHAT, START_MS, Room
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


@pytest.mark.parametrize(("seconds", "state", "requests"), [(59.9, "open", 1), (60, "proposed", 0)])
async def test_press_that_could_leave_at_once_is_too_late_by_the_monotonic_clock(
    room: Room, seconds: float, state: State, requests: int
) -> None:
    """A wall clock set back by a second asks for no new measure of the exchange's time: nothing is waited for."""
    row = await room.propose()
    (data,) = room.show(row)
    room.clock.wall_ms -= 1_000
    room.clock.advance(seconds)
    await room.press(row, data, may_send=True)
    await room.desk.drain()
    assert (room.row(row).state, len(room.exchange.placing)) == (state, requests)


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


@BOTH_WAYS
async def test_press_of_a_button_of_another_version_confirms_nothing(room: Room, may_send: bool) -> None:
    """It was made for other parameters than the order has."""
    row = await room.propose()
    (data,) = room.show(row)
    room.sql("UPDATE buttons SET params_hash=x'00'")
    with pytest.raises(BotError, match="not the one this button was made for"):
        await room.press(row, data, may_send=may_send)
    await room.desk.drain()
    assert (room.row(row).state, room.exchange.placing) == ("proposed", [])


@BOTH_WAYS
async def test_press_while_the_file_that_halts_lies_there_confirms_nothing(room: Room, may_send: bool) -> None:
    """It is read in the transaction of the press, not only now and then."""
    row = await room.propose()
    (data,) = room.show(row)
    room.path.with_name(halt.FILE).touch()
    with pytest.raises(UserError, match=r"halted since .* by the file halt on the server"):
        await room.press(row, data, may_send=may_send)
    assert (room.row(row).state, room.exchange.placing) == ("proposed", [])


@BOTH_WAYS
async def test_press_too_late_while_the_exchange_is_switched_off_is_said_to_be_too_late(
    room: Room, may_send: bool
) -> None:
    """Pressing again once it is switched on would not help."""
    row = await room.propose()
    (data,) = room.show(row)
    room.clock.wall_ms -= 3_600_000
    room.clock.advance(60)
    room.gateway.exchanges = {}
    assert await room.press(row, data, may_send=may_send) == "expired"


async def test_press_sends_nothing_unless_it_may(room: Room) -> None:
    """Whoever does not say so gets the order `confirmed`, with the press that did it."""
    row = await room.propose()
    (data,) = room.show(row)
    message_id = room.row(row).message_id
    assert message_id is not None
    found = await room.desk.press(data, user_id=ANN, chat_id=CHAT, message_id=message_id)
    assert isinstance(found, tuple)
    press, confirmed = found
    assert (press.action, press.order_id, confirmed, room.exchange.placing) == ("confirm", row.id, room.row(row), [])
    assert confirmed is not None
    assert confirmed.state == "confirmed"


@BOTH_WAYS
async def test_press_above_the_line_for_codes_asks_for_one(room: Room, may_send: bool) -> None:
    """A press is no code."""
    row = await room.propose()
    (data,) = room.show(row)
    change(room, "code", Decimal(1000))
    with pytest.raises(UserError) as refused:
        await room.press(row, data, may_send=may_send)
    assert (refused.value.code, room.row(row).state, room.exchange.placing) == ("NEEDS_CODE", "proposed", [])


# Approved, and under a ceiling.


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
