"""What time and a crash make of orders, each figure on both sides of its edge."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from bot.trading import ends
from bot.trading.law import State
from bot.trading.orders import OrderRow
from tests.trading.conftest import START_MS, Room
from tests.trading.test_journal import bring

DAY_MS = 86_400_000


def expire(room: Room, now_ms: int, overdue: Collection[int] = ()) -> list[OrderRow]:
    is_due = room.store.transact(lambda db: ends.is_due(db, now_ms, overdue))
    found = room.store.transact(lambda db: ends.expire_old(db, now_ms, overdue))
    assert is_due == bool(found)
    return found


def ask_again(room: Room, now_ms: int) -> list[OrderRow]:
    is_due = room.store.transact(lambda db: ends.is_due(db, now_ms))
    found = room.store.transact(lambda db: ends.ask_again(db, now_ms))
    assert is_due == bool(found)
    return found


@pytest.mark.parametrize(("seconds", "due"), [(59.999, False), (60, True)])
async def test_expire_preview_after_60_seconds(room: Room, seconds: float, due: bool) -> None:
    """It is returned as it is now, so that whoever asked can tell."""
    row = await room.propose()
    ended = expire(room, START_MS + round(seconds * 1000))
    words = ("expired", "Nobody pressed Confirm in time.") if due else ("proposed", "")
    assert (ended, (room.row(row).state, room.row(row).reason)) == ([room.row(row)] if due else [], words)


@pytest.mark.parametrize(("seconds", "due"), [(14.999, False), (15, True)])
async def test_expire_confirmed_order_after_15_seconds(room: Room, seconds: float, due: bool) -> None:
    """The price may have moved: what did not leave by then never will."""
    row = await room.confirmed()
    ended = expire(room, START_MS + round(seconds * 1000))
    words = "It did not get out in time after it was confirmed. Nothing was sent."
    assert [(each.id, each.state, each.reason) for each in ended] == ([(row.id, "expired", words)] if due else [])


@pytest.mark.parametrize(("seconds", "due"), [(59.999, False), (60, True)])
async def test_expire_sending_puts_it_in_doubt_a_minute_after_it_left(room: Room, seconds: float, due: bool) -> None:
    """Its outcome could not be stored; it counts from the sending, and no other clock ends it."""
    row = await room.placed("drop before")
    bring(room, row, "sending")
    room.sql("UPDATE orders SET reason='', expires_ms=0, sent_ms=? WHERE id=?", START_MS, row.id)
    ended = expire(room, START_MS + round(seconds * 1000), [row.id])
    words = "What became of the request was not stored."
    assert [(each.id, each.state, each.reason) for each in ended] == ([(row.id, "unknown", words)] if due else [])


async def test_expire_sending_without_a_time_puts_it_in_doubt(room: Room) -> None:
    """A row that lost it must not wait without end, nor stop the others."""
    row = await room.placed("drop before")
    bring(room, row, "sending")
    room.sql("UPDATE orders SET sent_ms=NULL WHERE id=?", row.id)
    assert [each.state for each in expire(room, START_MS)] == ["unknown"]


async def test_expire_overdue_order_whatever_the_wall_clock_says(room: Room) -> None:
    """Only those that are named, and of those only what still waits."""
    row, other, placed = await room.propose(), await room.propose("sell"), await room.placed(pair="ETH/USDT")
    ended = expire(room, START_MS, [row.id, placed.id])
    assert [each.id for each in ended] == [row.id]
    assert [room.row(each).state for each in (row, other, placed)] == ["expired", "proposed", "open"]


@pytest.mark.parametrize(("unchanged_ms", "due"), [(DAY_MS - 1, False), (DAY_MS, True)])
async def test_ask_again_after_a_day_without_a_change(room: Room, unchanged_ms: int, due: bool) -> None:
    """The card is drawn anew, and then not before another day has passed."""
    row = await room.placed("drop before")
    bring(room, row, "needs_human")
    room.sql("DELETE FROM outbox")
    room.sql("UPDATE orders SET updated_ms=?", START_MS)
    now_ms = START_MS + unchanged_ms
    asked = [each.id for each in ask_again(room, now_ms)]
    drawn = [each["order_id"] for each in room.sql("SELECT order_id FROM outbox WHERE kind='order'")]
    assert (asked, drawn) == (([row.id], [row.id]) if due else ([], []))
    assert room.row(row).updated_ms == (now_ms if due else START_MS)
    assert [each.id for each in ask_again(room, now_ms + DAY_MS - 1)] == ([] if due else [row.id])


@pytest.mark.parametrize(("state", "misses", "due"), [("open", 2, False), ("open", 3, True), ("unknown", 3, False)])
async def test_ask_again_only_what_asks_its_owner(room: Room, state: State, misses: int, due: bool) -> None:
    """A live order that is still shown has no question; one in doubt is still being looked for."""
    row, other = await room.placed(), await room.placed(pair="ETH/USDT")
    bring(room, row, state)
    room.sql("UPDATE orders SET updated_ms=0")
    room.sql("UPDATE orders SET misses=? WHERE id=?", misses, row.id)
    before = room.row(other)
    assert [each.id for each in ask_again(room, START_MS)] == ([row.id] if due else [])
    assert room.row(other) == before


async def test_recover_sending_is_in_doubt_and_confirmed_never_was(room: Room) -> None:
    """All others stay as they were."""
    sending, confirmed = await room.placed(), await room.confirmed(side="sell")
    others = [await room.propose(pair="ETH/USDT"), await room.placed(pair="ETH/USDT", side="sell")]
    before = [room.row(each) for each in others]
    bring(room, sending, "sending")
    room.store.transact(lambda db: ends.recover(db, START_MS))
    assert [(room.row(each).state, room.row(each).reason) for each in (sending, confirmed)] == [
        ("unknown", "The bot stopped while the order was being sent."),
        ("not_placed", "The bot stopped before the order was sent."),
    ]
    assert [room.row(each) for each in others] == before
