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
    assert found == ["SEARCH orders USING INDEX orders_unfinished (state=?)"]


@pytest.mark.parametrize("states", [LIVE, DOUBTFUL, ("open",)])
async def test_in_states_of_an_account_does_not_read_those_of_others(room: Room, states: tuple[State, ...]) -> None:
    """What one account has open is found without looking at what all others have."""
    found = plans(room, lambda db: queries.in_states(db, states, 1))
    assert found == ["SEARCH orders USING INDEX orders_unfinished (state=? AND account_id=?)"]


async def test_watched_reads_only_the_orders_that_are_named(room: Room) -> None:
    """However many there are."""
    found = plans(room, lambda db: queries.watched(db, room.clock.now_ms(), [1, 2]))
    assert found == ["SEARCH orders USING INTEGER PRIMARY KEY (rowid=?)"]


@pytest.mark.parametrize("ask", [queries.all_watched, queries.ids_of_late])
async def test_all_watched_does_not_read_what_has_ended_long_ago(room: Room, ask: Callable[[Any, int], object]) -> None:
    """Each of its questions has an index."""
    found = plans(room, lambda db: ask(db, room.clock.now_ms()))
    assert [step for step in found if not step.startswith("SEARCH orders USING ")] == []


async def test_places_in_state_reads_an_index_and_no_row(room: Room) -> None:
    """The comparison of the numbers goes through all of them every half minute."""
    found = plans(room, lambda db: queries.places_in_state(db, "open", after=(1, 7), most=2))
    assert found == [
        "SEARCH orders USING COVERING INDEX orders_unfinished (state=? AND account_id=? AND rowid>?)",
        "SEARCH orders USING COVERING INDEX orders_unfinished (state=? AND account_id>?)",
    ]


async def test_is_due_reads_only_what_is_due(room: Room) -> None:
    """It is asked at every turn: previews that still run and quiet orders are not looked at."""
    found = plans(room, lambda db: ends.is_due(db, room.clock.now_ms(), [1]))
    assert found == [
        "SEARCH orders USING INDEX orders_expiry (expires_ms<?)",
        "SEARCH orders USING INDEX orders_unfinished (state=?)",
        "SEARCH orders USING INDEX orders_asking (updated_ms<?)",
        "SEARCH orders USING INTEGER PRIMARY KEY (rowid=?)",
    ]


async def test_feeds_of_an_account_do_not_read_the_orders_of_others(room: Room) -> None:
    """A stream that opens or tells of an order costs the same, however many others there are."""
    live = plans(room, lambda db: feeds._live(db, 1, "acme"))
    told = plans(room, lambda db: queries.ids_of(db, 1, "acme", "x", "y"))
    assert live == ["SEARCH orders USING INDEX orders_unfinished (state=? AND account_id=?)"]
    assert told == [
        "SEARCH orders USING INDEX orders_exchange_id (account_id=? AND exchange_order_id=?)",
        "SEARCH orders USING INDEX sqlite_autoindex_orders_1 (account_id=? AND client_order_id=?)",
    ]


async def test_recover_does_not_read_what_has_ended(room: Room) -> None:
    """A start takes no longer after years of orders."""
    found = plans(room, lambda db: ends.recover(db, room.clock.now_ms()))
    assert set(found) == {"SEARCH orders USING INDEX orders_unfinished (state=?)"}


async def test_row_read_twice_is_the_same_and_cannot_be_changed(room: Room) -> None:
    """Readers share the parameters that were read once, so nobody may write on them, nor on a row."""
    row = await room.propose()
    again = room.row(row)
    assert (again, again.params is room.row(row).params) == (row, True)
    with pytest.raises(TypeError):
        again.params["size"] = "50"  # type: ignore[index]
    with pytest.raises(AttributeError, match="immutable"):
        again.filled = again.quantity  # type: ignore[misc]


async def test_row_changed_is_read_anew(room: Room) -> None:
    """A changed column, also one that was tampered with, is never hidden by what was read before."""
    row = await room.propose()
    room.sql("UPDATE orders SET message_id=5 WHERE id=?", row.id)
    assert (row.message_id, room.row(row).message_id) == (None, 5)
    assert orders.params_hash(row.account_id, row.params) == row.params_hash
