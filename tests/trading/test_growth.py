"""An order costs the same after years: nothing on its way reads what has ended."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from bot.trading.limits import Limits
from tests.trading.conftest import Room

BOUNDED = {
    "SCAN events",  # the newest one
    "SCAN (subquery-2)",  # of open orders, no more than their limit
    "SEARCH orders USING INDEX orders_doubted (account_id=?)",
    "SEARCH orders USING INDEX orders_ended (updated_ms>?)",
    "SEARCH orders USING INDEX orders_unfinished (state=? AND account_id=?)",
    "SEARCH orders USING INDEX orders_sent (user_id=? AND sent_ms>?)",
    "SEARCH orders USING INTEGER PRIMARY KEY (rowid=?)",
}
"""How the way of an order is read: by number, and what is in doubt or open, or of today."""


async def test_order_costs_the_same_after_years(room: Room) -> None:
    """Of a preview, its press with every limit set, and its sending, no statement reads what has ended."""
    room.desk.ceiling = Limits(
        day=Decimal(10**9), open=50, minute=100, loss=Decimal(10**9), order=Decimal(10**9), collar=Decimal(100)
    )
    asked: list[str] = []
    for _ in range(2):  # the first makes SQLite prepare them
        row = await room.propose(message_id=600)
        room.sql("UPDATE orders SET message_id=600 WHERE id=?", row.id)
        (data,) = room.show(row)
        room.store._connection.set_trace_callback(asked.append)
        _, sent = await room.press(row, data, may_send=True)
        await room.desk.drain()
        room.store._connection.set_trace_callback(None)
        assert sent.state == "sending"
        room.sql("UPDATE orders SET state='filled', filled='0.5' WHERE id=?", row.id)

    def work(db: Any) -> set[str]:
        readable = [each for each in asked if each.startswith(("SELECT", "UPDATE", "DELETE", "INSERT"))]
        steps = [step for each in readable for step in db.execute(f"EXPLAIN QUERY PLAN {each}").fetchall()]
        return {step["detail"] for step in steps if re.match("SCAN|SEARCH orders", step["detail"])}

    assert room.store.transact(work) == BOUNDED
