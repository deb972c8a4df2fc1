"""What an exchange's answer proves about an order. Works in the running transaction; asks nobody.

An order is proved absent when its signed request can no longer be accepted (its validity window is over by the
exchange's time, and five seconds more) and three clean looks, five seconds apart, did not show it. A look that
failed is no look. Where the exchange documents no window a machine cannot know: then a person decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from bot.contract.models import Fill, OrderReport
from bot.store.database import Connection
from bot.trading import fills, journal, notices, queries, reports
from bot.trading.law import LIVE
from bot.trading.orders import MISSES, OrderRow

MARGIN_MS = 5_000
_HUMAN_AFTER_MS = 120_000
_CANCEL_MS = 30_000
_SAME_TIME_MS = 60_000


def is_same(row: OrderRow, report: OrderReport, *, offset_ms: int) -> bool:
    """Say whether a report can be of this order: an id that is only a label may name another, such as an older one.

    Args:
        row: Ours.
        report: The exchange's.
        offset_ms: The exchange's time minus ours.
    """
    order = row.order
    if not row.exchange_order_id:
        is_older = 0 < report.created_ms < (row.sent_ms or 0) + offset_ms - _SAME_TIME_MS
        if is_older or report.client_order_id not in ("", row.client_order_id):
            return False
    if (report.side, report.exchange_symbol) != (order.side, order.market.exchange_symbol):
        return False
    same_price = order.price is None or report.price in (None, Decimal(0), order.price)
    is_base = row.params["size_in"] == "base"
    same_size = not is_base or report.quantity in (None, Decimal(0), order.size.amount)
    return same_price and same_size


def may_be_a_later_one(db: Connection, row: OrderRow, report: OrderReport, *, offset_ms: int) -> bool:
    """Say whether a report without our id may be of an order like this one that was sent later, and has no id yet."""
    if row.exchange_order_id or report.client_order_id:
        return False
    return any(is_same(later, report, offset_ms=offset_ms) for later in queries.later_without_id(db, row))


def found(
    db: Connection, order_id: int, report: OrderReport, executed: Iterable[Fill], *, asked_ms: int, now_ms: int
) -> OrderRow:
    """Take over a report, made complete by the order's fills.

    Args:
        db: The running transaction.
        order_id: Ours.
        report: The exchange's.
        executed: The order's fills, as far as they were told.
        asked_ms: When the question was put.
        now_ms: The wall clock.
    """
    row = queries.get(db, order_id)
    if queries.is_anothers(db, row, report.exchange_order_id):
        return ask_owner(db, row, "The exchange shows an order like it, but that is another one of yours.", now_ms)
    if row.state == "not_placed" and report.state != "rejected":  # its card said that there was no such order
        notices.tell(db, chat_id=row.chat_id, kind="order_news", order_id=row.id, now_ms=now_ms)
    fills.record(db, row, report.exchange_order_id, executed)
    row = reports.apply(db, order_id, fills.completed(row, report, fills.totals(db, order_id)), now_ms)
    requested_ms = row.cancel_requested_ms
    if row.state in LIVE and requested_ms is not None and asked_ms - requested_ms >= _CANCEL_MS:
        reason = "Not canceled: the exchange still has the order 30 seconds after it was asked. Cancel again."
        return journal.refuse_cancel(db, order_id, reason, now_ms)
    return row


def missed(
    db: Connection, order_id: int, executed: Iterable[Fill], *, asked_ms: int, exchange_ms: int | None, now_ms: int
) -> OrderRow:
    """Count a clean look that did not show the order, if it counts, and draw the conclusion of the third.

    Args:
        db: The running transaction.
        order_id: Ours.
        executed: What fills of the order were shown all the same.
        asked_ms: When the question was put.
        exchange_ms: The same moment by the exchange's clock, or `None` while it has not told its time.
        now_ms: The wall clock.
    """
    row = queries.get(db, order_id)
    if row.state not in ("unknown", "needs_human", *LIVE):
        return row
    if row.window_ends_ms is not None:
        if exchange_ms is None:
            reason = "The exchange does not show it, and does not tell its time: it may still arrive there."
            return ask_owner(db, row, reason, now_ms)
        if exchange_ms <= row.window_ends_ms + MARGIN_MS:
            return row
    if row.last_miss_ms is not None and asked_ms - row.last_miss_ms < MARGIN_MS:
        return row
    if row.misses >= MISSES and row.state != "unknown":
        return row  # its owner was asked
    if row.state in LIVE:
        fills.record(db, row, row.exchange_order_id, executed)
    row = reports.miss(db, order_id, now_ms)
    if row.misses < MISSES or row.state == "needs_human":
        return row
    if row.state in LIVE:
        return _gone(db, row, now_ms)
    if row.window_ends_ms is not None:
        reason = "The exchange does not have it, and it can no longer arrive there."
        return journal.end(db, order_id, "not_placed", reason, now_ms)
    reason = "The exchange does not show it, but does not say for how long it may still turn up."
    return ask_owner(db, row, reason, now_ms)


def ask_owner(db: Connection, row: OrderRow, reason: str, now_ms: int) -> OrderRow:
    """Leave a doubt that no machine can settle to its owner, once it is two minutes old."""
    if row.state == "unknown" and now_ms - (row.sent_ms or row.created_ms) >= _HUMAN_AFTER_MS:
        return journal.end(db, row.id, "needs_human", reason, now_ms)
    return row


def _gone(db: Connection, row: OrderRow, now_ms: int) -> OrderRow:
    """End an order that the exchange had and shows no more; where that proves nothing, let its card ask."""
    if row.window_ends_ms is None:
        journal.tell(db, row.id, now_ms)
        return row
    known = fills.totals(db, row.id)
    report = OrderReport(
        exchange_order_id=row.exchange_order_id,
        client_order_id=row.client_order_id,
        exchange_symbol=row.market.exchange_symbol,
        side=row.side,
        type=row.order.type,
        state="canceled",
        filled=row.filled,
        average_price=row.average_price,
        fee=row.fee,
        fee_asset=row.fee_asset,
        reason="The exchange no longer lists it.",
    )
    return reports.apply(db, row.id, fills.ended(row, report, known), now_ms)
