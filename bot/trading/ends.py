"""What time and a crash make of orders: previews and Confirms that are over, sending that was cut off, open questions.

All of it goes through `bot.trading.journal`, in the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from bot.store.database import Connection
from bot.trading import journal, queries
from bot.trading.law import State
from bot.trading.orders import MISSES, OrderRow, row_of

_SENDING_SECONDS = 60
_ASK_AGAIN_MS = 86_400_000
_ALL = -1


def is_due(db: Connection, now_ms: int, overdue: Collection[int] = ()) -> bool:
    """Say whether `expire_old` or `ask_again` would find something to do."""
    return bool(_over(db, now_ms, overdue, 1) or _asking(db, now_ms, 1))


def expire_old(db: Connection, now_ms: int, overdue: Collection[int] = (), *, most: int = _ALL) -> list[OrderRow]:
    """End the proposals nobody confirmed in time and the confirmed orders that never left.

    An order whose outcome could not be stored, the disk being full, is put in doubt here, as a restart would.

    Args:
        db: The running transaction.
        now_ms: The wall clock.
        overdue: Orders that are over by the monotonic clock, whatever the wall clock says.
        most: How many of each kind to end now; those that waited longest come first. All of `overdue` are ended.
    """
    ends: dict[State, tuple[State, str]] = {
        "proposed": ("expired", "Nobody pressed Confirm in time."),
        "confirmed": ("expired", "It did not get out in time after it was confirmed. Nothing was sent."),
        "sending": ("unknown", "What became of the request was not stored."),
    }
    due = _over(db, now_ms, overdue, most)
    return [journal.move(db, row, ends[row.state][0], now_ms, reason=ends[row.state][1]) for row in due]


def ask_again(db: Connection, now_ms: int, *, most: int = _ALL) -> list[OrderRow]:
    """Draw the cards anew that have been asking their owner for a day: their buttons have ended, the question not."""
    due = _asking(db, now_ms, most)
    for row in due:
        db.execute("UPDATE orders SET updated_ms=? WHERE id=?", (now_ms, row.id))
        journal.tell(db, row.id, now_ms)
    return due


def _over(db: Connection, now_ms: int, overdue: Collection[int], most: int) -> list[OrderRow]:
    waiting = "SELECT * FROM orders WHERE state IN ('proposed', 'confirmed') AND "
    lost = (
        f"SELECT * FROM orders WHERE state='sending' AND state IN {queries.UNFINISHED}"  # noqa: S608  # our words
        " AND coalesce(sent_ms, 0)<=? LIMIT ?"
    )
    found = [
        *db.execute(waiting + "expires_ms<=? ORDER BY expires_ms LIMIT ?", (now_ms, most)).fetchall(),
        *db.execute(lost, (now_ms - _SENDING_SECONDS * 1000, most)).fetchall(),
    ]
    if overdue:
        named = waiting + "id IN (SELECT value FROM json_each(?))"  # noqa: S608  # our words
        found += db.execute(named, (json.dumps(list(overdue)),)).fetchall()
    rows = {row.id: row for row in map(row_of, found)}
    return [rows[order_id] for order_id in sorted(rows)]


def _asking(db: Connection, now_ms: int, most: int) -> list[OrderRow]:
    query = (
        "SELECT * FROM orders WHERE (state='needs_human' OR"  # noqa: S608  # our words
        f" (misses>={MISSES} AND state IN ('open', 'partially_filled')))"  # as the index `orders_asking` has it
        " AND updated_ms<=? ORDER BY updated_ms LIMIT ?"
    )
    return [row_of(row) for row in db.execute(query, (now_ms - _ASK_AGAIN_MS, most)).fetchall()]


def recover(db: Connection, now_ms: int) -> None:
    """Set right what a crash left behind: what was being sent is in doubt, what was not yet sent never will be."""
    for row in queries.in_states(db, ("sending",)):
        journal.move(db, row, "unknown", now_ms, reason="The bot stopped while the order was being sent.")
    for row in queries.in_states(db, ("confirmed",)):
        journal.move(db, row, "not_placed", now_ms, reason="The bot stopped before the order was sent.")
