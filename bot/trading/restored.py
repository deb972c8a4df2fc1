"""What a restored backup must forget: it does not know the orders that were placed after it was made."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.store.database import Connection
from bot.trading import events, journal
from bot.trading.orders import row_of

JUMP = 1_000_000
"""How far the numbers of orders, and the client ids that exchanges want counted, go ahead after a restore."""


@dataclass(frozen=True, slots=True)
class Highest:
    """The highest numbers that a database gave out.

    Attributes:
        order_id: Of an order.
        counters: The last counted client order id by account.
    """

    order_id: int = 0
    counters: dict[int, int] = field(default_factory=dict)


def highest(db: Connection) -> Highest:
    """Return the highest numbers given out."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name='orders'").fetchone()
    query = (
        "SELECT account_id, max(CAST(client_order_id AS INTEGER)) AS last FROM orders"
        " WHERE client_order_id<>'' AND client_order_id NOT GLOB '*[^0-9]*' GROUP BY account_id"
    )
    counters = {found["account_id"]: found["last"] for found in db.execute(query)}
    for found in db.execute("SELECT key, value FROM meta WHERE key LIKE 'client_id_floor:%'"):
        account_id = int(found["key"].rpartition(":")[2])
        counters[account_id] = max(counters.get(account_id, 0), int(found["value"]))
    return Highest(row["seq"] if row else 0, counters)


def forget(db: Connection, replaced: Highest, jumps: int, now_ms: int) -> None:
    """Make a restored database safe to trade on.

    No number is given out again, no button works any more, and what was being sent when the backup was made is in
    doubt: it may have been placed since.

    Args:
        db: A transaction on the restored database.
        replaced: What the database in whose place it comes had given out.
        jumps: How many times `JUMP` to go ahead; more than one where the replaced database could not be asked.
        now_ms: UTC milliseconds.
    """
    own = highest(db)
    ahead = max(own.order_id, replaced.order_id) + jumps * JUMP
    if db.execute("UPDATE sqlite_sequence SET seq=? WHERE name='orders'", (ahead,)).rowcount == 0:
        db.execute("INSERT INTO sqlite_sequence(name, seq) VALUES ('orders', ?)", (ahead,))
    for account_id in own.counters.keys() | replaced.counters.keys():
        floor = max(own.counters.get(account_id, 0), replaced.counters.get(account_id, 0)) + jumps * JUMP
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"client_id_floor:{account_id}", str(floor)))
    db.execute("UPDATE buttons SET expires_ms=? WHERE used_ms IS NULL", (-now_ms,))
    reason = "The database was restored from a backup."
    for found in db.execute("SELECT * FROM orders WHERE state IN ('proposed', 'confirmed')").fetchall():
        row = row_of(found)
        if row.state == "proposed":
            journal.end(db, row.id, "expired", reason, now_ms)
        else:
            db.execute("UPDATE orders SET sent_ms=? WHERE id=?", (row.updated_ms, row.id))
            journal.end(db, row.id, "sending", reason, now_ms)  # which the next start puts in doubt
    events.record(db, kind="restored", detail={"order_ids_from": ahead + 1}, now_ms=now_ms)
