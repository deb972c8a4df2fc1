"""Executions by their trade id: told twice, late or out of order, each counts once. Adding up is exact."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext

from bot.contract.models import Fill, OrderReport
from bot.store.database import Connection
from bot.trading.amounts import EXACT
from bot.trading.orders import OrderRow, as_text

_FINEST = Decimal("1e-18")


@dataclass(frozen=True, slots=True)
class Totals:
    """What an order's known fills add up to.

    Attributes:
        quantity: Base asset executed.
        notional: Quote asset, as quantity x price of each fill.
        fees: Paid so far, by asset.
    """

    quantity: Decimal
    notional: Decimal
    fees: dict[str, Decimal]


def record(db: Connection, row: OrderRow, exchange_order_id: str, fills: Iterable[Fill]) -> None:
    """Keep the fills of an order. Those of other orders, and those already known, are passed over."""
    db.executemany(
        "INSERT OR IGNORE INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                row.id,
                fill.trade_id,
                as_text(fill.price),
                as_text(fill.quantity),
                as_text(fill.fee),
                fill.fee_asset,
                int(fill.is_maker),
                fill.at_ms,
            )
            for fill in fills
            if fill.exchange_order_id == exchange_order_id
        ],
    )


def totals(db: Connection, order_id: int) -> Totals:
    """Return what the known fills of an order add up to."""
    quantity, notional = Decimal(0), Decimal(0)
    fees: dict[str, Decimal] = {}
    with localcontext(EXACT):
        for found in db.execute("SELECT price, quantity, fee, fee_asset FROM fills WHERE order_id=?", (order_id,)):
            quantity += Decimal(found["quantity"])
            notional += Decimal(found["quantity"]) * Decimal(found["price"])
            fees[found["fee_asset"]] = fees.get(found["fee_asset"], Decimal(0)) + Decimal(found["fee"])
    return Totals(quantity, notional, fees)


def completed(row: OrderRow, report: OrderReport, known: Totals) -> OrderReport:
    """Return a report with what the fills tell better: a quantity it does not show yet, and a fee it does not tell.

    Fills that add up to more than was ordered cannot all be of this order; then the report alone counts.
    """
    is_possible = row.params["size_in"] == "quote" or known.quantity <= row.quantity
    if is_possible and known.quantity > report.filled:
        state = "partially_filled" if report.state == "open" else report.state
        with localcontext(EXACT):
            average = (known.notional / known.quantity).quantize(_FINEST).normalize()
        report = replace(report, state=state, filled=known.quantity, average_price=average, fee=None)
    if report.fee is None and known.quantity == report.filled and len(known.fees) == 1:
        ((asset, fee),) = known.fees.items()
        report = replace(report, fee=fee, fee_asset=asset)
    return report


def ended(row: OrderRow, report: OrderReport, known: Totals) -> OrderReport:
    """Return the report of an order that the exchange lists no more, as its fills tell how it ended."""
    report = completed(row, report, known)
    is_full = row.params["size_in"] == "base" and report.filled == row.quantity
    return replace(report, state="filled", reason="") if is_full else report
