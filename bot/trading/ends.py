"""What time and a crash make of orders: previews and Confirms that are over, sending that was cut off, open questions.

All of it goes through `bot.trading.journal`, in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection

from bot.store.database import Connection
from bot.trading import journal, queries
from bot.trading.law import LIVE, State
from bot.trading.orders import OrderRow

_SENDING_SECONDS = 60
_ASK_AGAIN_MS = 86_400_000


def expire_old(db: Connection, now_ms: int, overdue: Collection[int] = ()) -> list[OrderRow]:
    """End the proposals nobody confirmed in time and the confirmed orders that never left.

    An order whose outcome could not be stored, the disk being full, is put in doubt here, as a restart would.

    Args:
        db: The running transaction.
        now_ms: The wall clock.
        overdue: Orders that are over by the monotonic clock, whatever the wall clock says.
    """
    rows = queries.in_states(db, ("proposed", "confirmed", "sending"))
    ends: dict[State, tuple[State, str]] = {
        "proposed": ("expired", "Nobody pressed Confirm in time."),
        "confirmed": ("expired", "It did not get out in time after it was confirmed. Nothing was sent."),
        "sending": ("unknown", "What became of the request was not stored."),
    }
    lost_ms = now_ms - _SENDING_SECONDS * 1000
    due = [
        row
        for row in rows
        if ((row.sent_ms or 0) <= lost_ms if row.state == "sending" else row.expires_ms <= now_ms or row.id in overdue)
    ]
    return [journal.move(db, row, ends[row.state][0], now_ms, reason=ends[row.state][1]) for row in due]


def ask_again(db: Connection, now_ms: int) -> list[OrderRow]:
    """Draw the cards anew that have been asking their owner for a day: their buttons have ended, the question not."""
    quiet = queries.in_states(db, ("needs_human", *LIVE), unchanged_since_ms=now_ms - _ASK_AGAIN_MS)
    due = [row for row in quiet if row.state == "needs_human" or row.is_missing]
    for row in due:
        db.execute("UPDATE orders SET updated_ms=? WHERE id=?", (now_ms, row.id))
        journal.tell(db, row.id, now_ms)
    return due


def recover(db: Connection, now_ms: int) -> None:
    """Set right what a crash left behind: what was being sent is in doubt, what was not yet sent never will be."""
    for row in queries.in_states(db, ("sending",)):
        journal.move(db, row, "unknown", now_ms, reason="The bot stopped while the order was being sent.")
    for row in queries.in_states(db, ("confirmed",)):
        journal.move(db, row, "not_placed", now_ms, reason="The bot stopped before the order was sent.")
