"""What an exchange says of an order, taken over into the journal."""

from __future__ import annotations

from typing import Any

from bot.contract.models import OrderReport
from bot.store.database import Connection
from bot.trading import events, journal, queries
from bot.trading.law import State
from bot.trading.orders import OrderRow, as_text

_TOLD_MISSES = 10


def apply(db: Connection, order_id: int, report: OrderReport, now_ms: int) -> OrderRow:
    """Take over what the exchange says of an order. Never lets a filled quantity shrink, never reopens an end.

    Of an order that has ended, only a fill that was told late, and a fee, are news.
    """
    row = queries.get(db, order_id)
    if report.filled < row.filled:
        return row  # an answer from a stale replica
    if row.state in ("filled", "canceled"):
        return _complete(db, row, report, now_ms)
    if row.is_done and (row.state != "not_placed" or report.state == "rejected"):
        return row
    state: State = report.state
    if row.state == "partially_filled" and state in ("open", "rejected"):
        state = "partially_filled"
    columns: dict[str, Any] = {
        "exchange_order_id": report.exchange_order_id,
        "filled": as_text(report.filled),
        "average_price": as_text(row.average_price if report.average_price is None else report.average_price),
        "fee": as_text(report.fee) if report.fee is not None else as_text(row.fee),
        "fee_asset": report.fee_asset or row.fee_asset,
        "reason": report.reason,
        "misses": 0,
    }
    if row.state == "not_placed":
        columns["late"] = 1
    unchanged = (
        row.state == state
        and row.filled == report.filled
        and row.exchange_order_id == report.exchange_order_id
        and (report.fee is None or report.fee == row.fee)
        and row.misses == 0
    )
    return row if unchanged else journal.move(db, row, state, now_ms, **columns)


def _complete(db: Connection, row: OrderRow, report: OrderReport, now_ms: int) -> OrderRow:
    has_fee = report.fee is not None and report.fee != row.fee
    if report.filled == row.filled and not has_fee:
        return row
    columns: dict[str, Any] = {"filled": as_text(report.filled)}
    if report.average_price is not None:
        columns["average_price"] = as_text(report.average_price)
    if has_fee:
        columns |= {"fee": as_text(report.fee), "fee_asset": report.fee_asset}
    return journal.move(db, row, row.state, now_ms, **columns)


def miss(db: Connection, order_id: int, now_ms: int) -> OrderRow:
    """Note that the exchange, asked cleanly, did not show the order."""
    row = queries.get(db, order_id)
    db.execute("UPDATE orders SET misses=misses+1, last_miss_ms=? WHERE id=?", (now_ms, order_id))
    if row.misses < _TOLD_MISSES:
        events.record(db, kind="not found", detail={"misses": row.misses + 1}, now_ms=now_ms, order_id=order_id)
    return queries.get(db, order_id)
