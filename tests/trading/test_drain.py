"""The end of a run: what is being sent is waited for, within bounds."""

from __future__ import annotations

import asyncio

from bot.trading import queries
from tests.trading.conftest import Room


async def test_drain_with_an_order_that_is_not_answered_leaves_it_to_the_next_start(room: Room) -> None:
    """The wait is bounded; the order stays `sending` as it was committed, and the next start looks for it."""
    room.exchange.faults.append("hang")
    row = await room.confirmed()
    room.desk.send(row)
    await room.exchange.hanging.wait()
    await room.desk.drain(0)
    left = room.row(row).state
    again = room.restart()
    await again.reconciler.begin()
    after = again.row(row).state
    await again.close()
    assert (left, after, len(room.exchange.placing)) == ("sending", "unknown", 1)


async def test_drain_waits_for_an_answer_that_comes(room: Room) -> None:
    """An order on its way is told to the end before the bot goes."""
    row = await room.confirmed()
    room.desk.send(row)
    await room.desk.drain(10)
    assert room.store.transact(lambda db: queries.get(db, row.id)).state == "open"


async def test_order_that_was_answered_is_held_no_longer(room: Room) -> None:
    """Of a bot that runs for months nothing is left by each order."""
    row = await room.confirmed()
    room.desk.send(row)
    held = room.desk._sender._tasks
    await asyncio.wait([*held])
    assert (room.row(row).state, held) == ("open", set())


async def test_drain_after_an_order_was_given_up_before_it_began_ends(room: Room) -> None:
    """Nothing of it is on its way; it stays as it was committed."""
    row = await room.confirmed()
    room.desk.send(row)
    for task in room.desk._sender._tasks:
        task.cancel()
    await room.desk.drain(10)
    assert (room.row(row).state, room.exchange.placing, room.desk._sender._tasks) == ("confirmed", [], set())
