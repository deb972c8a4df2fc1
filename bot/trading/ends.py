"""What time and a crash make of orders: previews and Confirms that are over, sending that was cut off, open questions.

All of it goes through `bot.trading.journal`, in the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from bot.store.database import Connection, Row
from bot.trading import journal, queries
from bot.trading.law import State
from bot.trading.orders import MISSES, OrderRow, row_of

_SENDING_SECONDS = 60
_ASK_AGAIN_MS = 86_400_000
_ALL = -1
_WAITING = "state IN ('proposed', 'confirmed')"
_EXPIRED = f"{_WAITING} AND expires_ms<=?"
_LOST = f"state='sending' AND state IN {queries.UNFINISHED} AND coalesce(sent_ms, 0)<=?"
_ASKING = (
    f"(state='needs_human' OR (misses>={MISSES} AND state IN ('open', 'partially_filled')))"  # as its index has it
    " AND updated_ms<=?"
)


def is_due(db: Connection, now_ms: int, overdue: Collection[int] = ()) -> bool:
    """Say whether `expire_old` or `ask_again` would find something to do."""
    either = " OR ".join(f"EXISTS(SELECT 1 FROM orders WHERE {each})" for each in (_EXPIRED, _LOST, _ASKING))  # noqa: S608
    times = (now_ms, now_ms - _SENDING_SECONDS * 1000, now_ms - _ASK_AGAIN_MS)
    return bool(db.execute(f"SELECT {either}", times).fetchone()[0] or _waiting(db, overdue))


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
    expired = f"SELECT * FROM orders WHERE {_EXPIRED} ORDER BY expires_ms LIMIT ?"  # noqa: S608  # our words
    lost = f"SELECT * FROM orders WHERE {_LOST} LIMIT ?"  # noqa: S608
    found = [
        *db.execute(expired, (now_ms, most)).fetchall(),
        *db.execute(lost, (now_ms - _SENDING_SECONDS * 1000, most)).fetchall(),
        *_waiting(db, overdue),
    ]
    rows = {row.id: row for row in map(row_of, found)}
    return [rows[order_id] for order_id in sorted(rows)]


def _waiting(db: Connection, order_ids: Collection[int]) -> list[Row]:
    if not order_ids:
        return []
    query = f"SELECT * FROM orders WHERE {_WAITING} AND id IN (SELECT value FROM json_each(?))"  # noqa: S608
    return db.execute(query, (json.dumps(list(order_ids)),)).fetchall()


def _asking(db: Connection, now_ms: int, most: int) -> list[OrderRow]:
    query = f"SELECT * FROM orders WHERE {_ASKING} ORDER BY updated_ms LIMIT ?"  # noqa: S608
    return [row_of(row) for row in db.execute(query, (now_ms - _ASK_AGAIN_MS, most)).fetchall()]


def recover(db: Connection, now_ms: int) -> None:
    """Set right what a crash left behind: what was being sent is in doubt, what was not yet sent never will be."""
    for row in queries.in_states(db, ("sending",)):
        journal.move(db, row, "unknown", now_ms, reason="The bot stopped while the order was being sent.")
    for row in queries.in_states(db, ("confirmed",)):
        journal.move(db, row, "not_placed", now_ms, reason="The bot stopped before the order was sent.")
