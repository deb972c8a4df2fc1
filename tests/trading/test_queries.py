"""What the journal is asked each second must not cost more as the years go by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bot.trading import ends, feeds, orders, queries
from bot.trading.law import DOUBTFUL, LIVE, State
from tests.trading.conftest import Room


def plans(room: Room, ask: Callable[[Any], object]) -> list[str]:
    """Return how SQLite finds the rows of the table `orders` in everything that `ask` asks."""
    asked: list[str] = []

    def work(db: Any) -> list[str]:
        db.set_trace_callback(asked.append)
        ask(db)
        db.set_trace_callback(None)
        steps = [step for each in asked for step in db.execute(f"EXPLAIN QUERY PLAN {each}").fetchall()]
        return [step["detail"] for step in steps if " orders" in step["detail"]]

    return room.store.transact(work)


@pytest.mark.parametrize("states", [LIVE, DOUBTFUL, ("proposed", "confirmed", "sending"), queries.UNFINISHED])
async def test_in_states_unfinished_does_not_read_what_has_ended(room: Room, states: tuple[State, ...]) -> None:
    """The index of unfinished orders is used, however many others there are."""
    found = plans(room, lambda db: queries.in_states(db, states))
    assert found == ["SEARCH orders USING INDEX orders_state (state=?)"]


async def test_watched_does_not_read_what_has_ended_long_ago(room: Room) -> None:
    """Each of its questions has an index."""
    found = plans(room, lambda db: queries.watched(db, room.clock.now_ms()))
    assert [step for step in found if step.startswith("SCAN")] == []


async def test_streams_wanted_does_not_read_what_has_ended(room: Room) -> None:
    """Which accounts need a socket is asked each second."""
    found = plans(room, feeds._with_orders)
    assert found == ["SEARCH orders USING INDEX orders_state (state=?)"]


async def test_recover_does_not_read_what_has_ended(room: Room) -> None:
    """A start takes no longer after years of orders."""
    found = plans(room, lambda db: ends.recover(db, room.clock.now_ms()))
    assert set(found) == {"SEARCH orders USING INDEX orders_state (state=?)"}


async def test_row_read_twice_is_the_same_and_cannot_be_changed(room: Room) -> None:
    """Readers share what was read once, so nobody may write on it."""
    row = await room.propose()
    again = room.row(row)
    assert again is room.row(row)
    with pytest.raises(TypeError):
        again.params["size"] = "50"  # type: ignore[index]


async def test_row_changed_is_read_anew(room: Room) -> None:
    """A changed column, also one that was tampered with, is never hidden by what was read before."""
    row = await room.propose()
    room.sql("UPDATE orders SET message_id=5 WHERE id=?", row.id)
    assert (row.message_id, room.row(row).message_id) == (None, 5)
    assert orders.params_hash(row.account_id, row.params) == row.params_hash
