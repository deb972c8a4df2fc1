"""Confirmed and on its way in one commit: where nothing has to be waited for, and nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bot import BotError, ClientId, Flow, Order, OrderAck, Request, hookimpl
from bot.trading import halt, journal, limits, queries
from bot.trading.errors import Stays
from bot.trading.limits import Limits
from tests.trading.conftest import ANN, BOB, Acme, Fault, Room, new_room


async def test_limit_order_pressed_is_confirmed_and_sent_in_one_commit(room: Room) -> None:
    """One commit lies between the press and the wire: one step, with one event."""
    row = await room.propose()
    (data,) = room.show(row)
    before, at_the_wire = room.store.commits, []
    room.exchange.arriving = lambda _: at_the_wire.append(room.store.commits - before)
    press, sent = await room.press(row, data, may_send=True)
    assert (press.action, sent.state) == ("confirm", "sending")
    await room.desk.drain()
    assert (at_the_wire, room.history(row)) == ([1], ["proposed", "sending", "open"])
    assert [each.json["client_id"] for each in room.exchange.placing] == [room.row(row).client_order_id]


async def test_sent_at_once_is_on_the_disk_before_the_first_byte(room: Room) -> None:
    """When the request reaches the wire, another reader of the file sees it sent, with its hash and window."""
    seen: list[Any] = []

    def look(request: Request) -> None:
        with contextlib.closing(sqlite3.connect(f"file:{room.path}?mode=ro", uri=True)) as other:
            seen.extend(other.execute("SELECT state, length(request_hash), window_ends_ms IS NOT NULL FROM orders"))

    room.exchange.arriving = look
    row = await room.propose()
    await room.press(row, room.show(row)[0], may_send=True)
    await room.desk.drain()
    assert seen == [("sending", 64, 1)]


async def test_market_order_pressed_waits_for_its_price(room: Room) -> None:
    """What was shown with a price is confirmed first: the price is asked for again before it may leave."""
    row = await room.propose(price=None)
    _, confirmed = await room.press(row, room.show(row)[0], may_send=True)
    assert (confirmed.state, room.exchange.placing) == ("confirmed", [])


async def test_button_pressed_by_a_hundred_at_once_places_once(room: Room) -> None:
    """Of any number of presses one confirms, whichever way each of them goes."""
    row = await room.propose()
    (data,) = room.show(row)
    results = await asyncio.gather(*(room.press(row, data, may_send=True) for _ in range(100)))
    for _, each in [result for result in results if not isinstance(result, str)]:
        if each.state == "confirmed":
            room.desk.send(each)
    await room.desk.drain()
    assert [result for result in results if isinstance(result, str)] == ["used"] * 99
    assert (len(room.exchange.placing), room.row(row).state) == (1, "open")


async def _no_time(room: Room) -> None:
    room.clock.advance(61)


async def _no_trading(room: Room) -> None:
    room.store.transact(lambda db: halt.engage(db, ANN, by="her", now_ms=room.clock.now_ms()))


async def _small_limit(room: Room) -> None:
    room.desk.ceiling = Limits(order=Decimal(5))


async def _code_needed(room: Room) -> None:
    room.store.transact(lambda db: limits.change(db, ANN, "code", Decimal(5), now_ms=room.clock.now_ms()))


async def _approval_needed(room: Room) -> None:
    room.desk.ceiling = Limits(approval=Decimal(5))


async def _doubt(room: Room) -> None:
    await room.placed("drop before")


async def _changed(room: Room) -> None:
    room.sql("UPDATE buttons SET params_hash=x'00'")


OBSTACLES: dict[str, Callable[[Room], Any]] = {
    "too late": _no_time,
    "halted": _no_trading,
    "above a limit": _small_limit,
    "above the line for codes": _code_needed,
    "needs approval": _approval_needed,
    "another in doubt": _doubt,
    "button of another version": _changed,
}


async def _outcome(path: Path, obstacle: str, user_id: int, *, may_send: bool) -> tuple[Any, ...]:
    room = new_room(path)
    first = await room.propose()
    (data,) = room.show(first)
    await OBSTACLES[obstacle](room)
    before = len(room.exchange.placing)
    try:
        result = await room.press(first, data, user_id, may_send=may_send)
    except BotError as error:
        result = str(error)
    await room.desk.drain()
    unspent = room.sql("SELECT count(*) AS n FROM buttons WHERE used_ms IS NULL")[0]["n"]
    now = room.row(first)
    told = result if isinstance(result, str) else (result[0].action, result[1] and result[1].state)
    await room.close()
    return told, unspent, now.state, now.reason, len(room.exchange.placing) - before


@pytest.mark.parametrize("obstacle", OBSTACLES)
async def test_press_with_something_in_the_way_tells_what_the_usual_way_tells(tmp_path: Path, obstacle: str) -> None:
    """Nothing leaves, nothing is half done, and the person reads the same words."""
    one = await _outcome(tmp_path / "one", obstacle, ANN, may_send=True)
    other = await _outcome(tmp_path / "other", obstacle, ANN, may_send=False)
    assert one == other
    assert one[-1] == 0


@pytest.mark.parametrize("who", [BOB])
async def test_press_by_another_person_leaves_order_and_button_alone(room: Room, who: int) -> None:
    """A button is its owner's."""
    row = await room.propose()
    (data,) = room.show(row)
    assert await room.press(row, data, who, may_send=True) == "not yours"
    assert (room.row(row), room.exchange.placing) == (msgspec.structs.replace(row, message_id=500), [])


async def test_order_that_must_wait_for_a_limit_goes_the_usual_way(room: Room) -> None:
    """The press is answered at once all the same; the order waits confirmed."""
    transport = room.gateway.named("acme").transport
    row = await room.propose()
    (data,) = room.show(row)
    transport.limiter.pause(3)
    _, confirmed = await room.press(row, data, may_send=True)
    assert (confirmed.state, room.exchange.placing) == ("confirmed", [])
    room.desk.send(confirmed)
    await room.desk.drain()
    assert (len(room.exchange.placing), room.row(row).state) == (1, "open")


async def test_account_of_unknown_kind_is_asked_about_the_usual_way(room: Room) -> None:
    """Nothing is asked of the exchange while a press waits for its answer."""
    room.sql("UPDATE accounts SET facts='{}'")
    row = await room.propose(account=msgspec.structs.replace(room.account, facts={}))
    room.sql("UPDATE accounts SET facts='{}'")
    room.exchange.asked.clear()
    _, confirmed = await room.press(row, room.show(row)[0], may_send=True)
    assert (confirmed.state, room.exchange.asked) == ("confirmed", [])


class Curious(Acme):
    """A plugin that asks for something before it places."""

    @hookimpl
    def place_order(self, order: Order) -> Flow[OrderAck]:
        yield Request.get("/book")
        return (yield from super().place_order(order))


async def test_plugin_that_asks_before_it_places_goes_the_usual_way(tmp_path: Path) -> None:
    """A flow with more than its placing request waits for answers, so it is confirmed first."""
    room = new_room(tmp_path, kind=Curious)
    row = await room.propose()
    room.exchange.asked.clear()
    _, confirmed = await room.press(row, room.show(row)[0], may_send=True)
    assert (confirmed.state, room.exchange.asked) == ("confirmed", [])
    room.desk.send(confirmed)
    await room.desk.drain()
    assert (room.exchange.asked, len(room.exchange.placing), room.row(row).state) == (["/book"], 1, "open")
    await room.close()


async def test_counter_taken_by_another_order_meanwhile_is_not_sent_twice(tmp_path: Path) -> None:
    """A number that was signed and then given to another order is not used; the order gets the next one."""
    room = new_room(tmp_path, client_id=ClientId("counter", max_value=2**31 - 2))
    one, two = await room.propose(), await room.propose(pair="ETH/USDT")
    first, second = room.show(one)[0], room.show(two)[0]
    results = await asyncio.gather(room.press(one, first, may_send=True), room.press(two, second, may_send=True))
    for _, row in results:
        if row.state == "confirmed":
            room.desk.send(row)
    await room.desk.drain()
    numbers = {each.json["client_id"] for each in room.exchange.placing}
    assert (len(room.exchange.placing), len(numbers)) == (2, 2)
    assert {room.row(each).client_order_id for each in (one, two)} == numbers
    await room.close()


async def test_disk_that_refuses_the_commit_lets_nothing_leave(room: Room) -> None:
    """What is not on the disk is not sent, and the button works once there is room again."""
    row = await room.propose()
    (data,) = room.show(row)
    room.sql("CREATE TEMP TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    with pytest.raises(sqlite3.IntegrityError, match="disk full"):
        await room.press(row, data, may_send=True)
    assert (room.row(row).state, room.exchange.placing) == ("proposed", [])
    room.sql("DROP TRIGGER full")
    _, sent = await room.press(row, data, may_send=True)
    await room.desk.drain()
    assert (sent.state, room.row(row).state) == ("sending", "open")


async def test_person_who_is_gone_before_the_commit_does_not_stop_the_order(room: Room) -> None:
    """A press that is cancelled while its order leaves changes nothing: the order is seen through to its answer."""
    row = await room.propose()
    (data,) = room.show(row)
    pressing = asyncio.ensure_future(room.press(row, data, may_send=True))
    await asyncio.sleep(0)
    pressing.cancel()
    await asyncio.wait([pressing])
    await room.desk.drain()
    assert (len(room.exchange.placing), room.row(row).state) == (1, "open")


async def test_person_who_is_gone_before_an_order_that_cannot_leave_changes_nothing(room: Room) -> None:
    """Nobody waits for the answer that it must go the usual way; the button stays good."""
    row = await room.propose()
    (data,) = room.show(row)
    room.gateway.named("acme").transport.limiter.pause(60)
    pressing = asyncio.ensure_future(room.press(row, data, may_send=True))
    await asyncio.sleep(0)
    pressing.cancel()
    await asyncio.wait([pressing])
    await room.desk.drain()
    assert (room.row(row).state, room.exchange.placing, room.desk._sender._leaving) == ("proposed", [], set())


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        ("refuse", "rejected"),
        ("unreachable", "not_placed"),
        ("drop after", "unknown"),
        ("server error", "unknown"),
        ("unreadable", "unknown"),
        ("no id", "unknown"),
        ("mode", "rejected"),
    ],
)
async def test_order_sent_at_once_that_fails_ends_as_its_failure_proves(room: Room, fault: Fault, state: str) -> None:
    """Its outcome is read as that of any other."""
    row = await room.placed(fault)
    assert (row.state, len(room.exchange.placing)) == (state, 1)


async def test_pause_ordered_after_the_commit_means_it_never_left(room: Room) -> None:
    """A pause that the exchange orders between commit and first byte keeps the order from leaving, and is told."""
    row = await room.propose()
    (data,) = room.show(row)
    transport = room.gateway.named("acme").transport
    run = room.store.run

    async def then_pause(work: Any) -> Any:
        result = await run(work)
        transport.limiter.pause(60)
        return result

    room.store.run = then_pause  # type: ignore[method-assign]
    await room.press(row, data, may_send=True)
    room.store.run = run  # type: ignore[method-assign]
    await room.desk.drain()
    assert (room.row(row).state, room.exchange.placing) == ("not_placed", [])


async def test_confirm_and_send_of_what_was_decided_already_is_refused(room: Room) -> None:
    """Only a live proposal of that person can be confirmed and sent."""
    row = await room.confirmed()
    asked = {"rule": ClientId(), "client_order_id": row.client_order_id, "request_hash": "x", "window_ends_ms": None}
    now_ms = room.clock.now_ms()
    with pytest.raises(Stays):
        room.store.transact(lambda db: journal.confirm_and_send(db, row.id, user_id=ANN, now_ms=now_ms, **asked))
    assert room.store.transact(lambda db: queries.get(db, row.id)) == room.row(row)
