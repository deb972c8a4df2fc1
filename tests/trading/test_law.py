from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from itertools import product
from typing import get_args

import pytest

from bot.trading.law import DOUBTFUL, ENDS, LAW, LIVE, State
from tests.trading.conftest import ANN, Room

STATES: tuple[State, ...] = get_args(State)
WRITTEN_DOWN = {
    "proposed": {"confirmed", "expired"},
    "confirmed": {"sending", "expired", "not_placed"},
    "sending": {"open", "partially_filled", "filled", "canceled", "rejected", "not_placed", "unknown"},
    "unknown": {"open", "partially_filled", "filled", "canceled", "not_placed", "needs_human"},
    "needs_human": {"open", "partially_filled", "filled", "canceled", "not_placed"},
    "open": {"partially_filled", "filled", "canceled"},
    "partially_filled": {"filled", "canceled"},
    "not_placed": {"open", "partially_filled", "filled"},
    "filled": set(),
    "canceled": set(),
    "rejected": set(),
    "expired": set(),
}
"""The state table of the design. A state may always follow itself."""
ADDED = {
    ("proposed", "sending"),  # confirmed and sent in one commit, where nothing has to be waited for
    ("open", "rejected"),  # a stop order that the exchange could not trigger
    ("unknown", "rejected"),  # the order was found, and the exchange says that it refused it
    ("needs_human", "rejected"),
    ("not_placed", "canceled"),  # found late, and canceled by then
}


def test_law_table_is_the_written_one() -> None:
    """The code's table is the design's, with five additions and no other."""
    designed = {(a, b) for a, targets in WRITTEN_DOWN.items() for b in targets}
    assert {(a, b) for a, targets in LAW.items() for b in targets} == designed | ADDED


def test_law_groups_of_states_follow_from_the_table() -> None:
    """An end is what nothing follows, `not_placed` with its late finds included; live and doubtful are no ends."""
    assert set(ENDS) == {state for state in STATES if not LAW[state]} | {"not_placed"}
    assert set(STATES) - set(ENDS) == {"proposed", "confirmed", *LIVE, *DOUBTFUL}


async def test_law_every_pair_of_states_is_ruled_by_the_database(room: Room) -> None:
    """SQLite itself lets a state follow another exactly where the table says so."""
    row = await room.propose()
    allowed = set()
    original = sqlite3.connect(room.path)
    trigger = room.sql("SELECT sql FROM sqlite_schema WHERE name='orders_law'")[0]["sql"]
    for before, after in product(STATES, STATES):
        with closing(sqlite3.connect(":memory:")) as copy:
            original.backup(copy)
            copy.execute("DROP TRIGGER orders_law")
            copy.execute("UPDATE orders SET client_order_id='x'")
            copy.execute("UPDATE orders SET state=? WHERE id=?", (before, row.id))
            copy.execute(trigger)
            with suppress(sqlite3.IntegrityError):
                copy.execute("UPDATE orders SET state=? WHERE id=?", (after, row.id))
                allowed.add((before, after))
    original.close()
    assert allowed == {(a, b) for a, targets in LAW.items() for b in targets} | {(state, state) for state in STATES}


@pytest.mark.parametrize("state", ["confirmed", "sending"])
async def test_law_order_without_an_id_may_not_be_sent(room: Room, state: State) -> None:
    """The database itself wants the name by which it can be looked for, before anything leaves."""
    row = await room.propose()
    with pytest.raises(sqlite3.IntegrityError, match="an order without an id"):
        room.sql("UPDATE orders SET state=? WHERE id=?", state, row.id)
    room.sql("UPDATE orders SET state=?, client_order_id='x' WHERE id=?", state, row.id)
    assert room.row(row).state == state


async def test_law_unknown_state_is_refused_by_the_database(room: Room) -> None:
    """A state that is no state cannot be stored, whatever the table says."""
    row = await room.propose()
    room.sql("INSERT INTO law VALUES ('proposed', 'error')")
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        room.sql("UPDATE orders SET state='error' WHERE id=?", row.id)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("params", "{}"),
        ("params_hash", b"x"),
        ("account_id", 1),
        ("user_id", ANN),
        ("exchange", "acme:paper"),
        ("symbol", "ETH/USDT"),
        ("side", "sell"),
        ("intent", "{}"),
        ("client_order_id", "another"),
    ],
)
async def test_law_what_an_order_is_cannot_be_updated(room: Room, column: str, value: object) -> None:
    """What was shown and confirmed is frozen, the client order id from its minting on."""
    row = await room.confirmed()
    with pytest.raises(sqlite3.IntegrityError, match="an order is frozen"):
        room.sql(f"UPDATE orders SET {column}=? WHERE id=?", value, row.id)
    assert room.row(row) == row
