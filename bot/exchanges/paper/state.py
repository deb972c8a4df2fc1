"""What a paper account holds: free amounts, orders, fills. Text and back without losing a digit."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, localcontext
from typing import Any

from bot.contract.models import Balance, Fill, OrderReport, OrderType, ReportState, Side, TimeInForce

_ZERO = Decimal(0)
_MOST_DONE = 200
_MOST_FILLS = 500
_OPEN: tuple[ReportState, ...] = ("open", "partially_filled")


def exact() -> AbstractContextManager[Context]:
    """Calculate exactly or not at all: what would have to be rounded raises."""
    return localcontext(Context(prec=200, traps=[Inexact, InvalidOperation, DivisionByZero]))


class Refusal(Exception):
    """The paper exchange refused; nothing was changed.

    Args:
        code: A key of the plugin's error table.
        message: The cause in plain words, without a full stop.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True, kw_only=True)
class PaperOrder:
    """One order. Either `quantity` (base) or `funds` (quote, market buys only) is given.

    Attributes:
        id: Given when it is placed.
        reference_price: What the person saw; tells on which side of the price a stop lies.
        spends: Asset that the order pays with.
        locked: How much of it is held for the rest of the order.
        notional: Quote asset exchanged so far.
        fee: Paid so far, in the asset received.
        fee_asset: The asset received.
        waiting: A stop order that was not triggered yet.
        rises: The price must rise to the stop price; else fall to it.
    """

    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal | None = None
    funds: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    reference_price: Decimal | None = None
    time_in_force: TimeInForce = "GTC"
    post_only: bool = False
    id: int = 0
    state: ReportState = "open"
    spends: str = ""
    locked: Decimal = _ZERO
    filled: Decimal = _ZERO
    notional: Decimal = _ZERO
    fee: Decimal = _ZERO
    fee_asset: str = ""
    waiting: bool = False
    rises: bool = False
    reason: str = ""
    created_ms: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it can still fill."""
        return self.state in _OPEN

    @property
    def remaining(self) -> Decimal:
        """Base asset still to be exchanged, of an order sized in base."""
        return (self.quantity or _ZERO) - self.filled

    def report(self) -> OrderReport:
        """Return it as an exchange would show it."""
        return OrderReport(
            exchange_order_id=str(self.id),
            client_order_id=self.client_order_id,
            exchange_symbol=self.symbol,
            side=self.side,
            type=self.type,
            state=self.state,
            filled=self.filled,
            average_price=self.notional / self.filled if self.filled else None,
            quantity=self.quantity,
            price=self.price,
            stop_price=self.stop_price,
            fee=self.fee,
            fee_asset=self.fee_asset,
            reason=self.reason,
            created_ms=self.created_ms,
        )


@dataclass(slots=True)
class PaperState:
    """All there is of one account.

    Attributes:
        free: Asset to what is not held for an order. What is held is in the orders.
        orders: Oldest first.
        fills: Oldest first.
        next_id: For orders and trades.
        seen: Symbol to the top of the book that was last compared with the resting orders.
    """

    free: dict[str, Decimal] = field(default_factory=dict)
    orders: list[PaperOrder] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    next_id: int = 1
    seen: dict[str, str] = field(default_factory=dict)

    def balances(self) -> list[Balance]:
        """Return the assets that are not zero, by name."""
        with exact():
            locked: dict[str, Decimal] = {}
            for order in self.orders:
                locked[order.spends] = locked.get(order.spends, _ZERO) + order.locked
            rows = [
                Balance(asset, self.free.get(asset, _ZERO), locked.get(asset, _ZERO))
                for asset in sorted({*self.free, *locked})
            ]
            return [row for row in rows if row.free or row.locked]

    def open_symbols(self) -> set[str]:
        """Return the symbols that have open orders."""
        return {order.symbol for order in self.orders if order.is_open}

    def to_json(self) -> str:
        """Return it as text: all open orders, the newest of the finished orders and of the fills."""
        done = [order.id for order in self.orders if not order.is_open][-_MOST_DONE:]
        kept = {order.id for order in self.orders if order.is_open}.union(done)
        content = {
            "free": self.free,
            "orders": [asdict(order) for order in self.orders if order.id in kept],
            "fills": [asdict(fill) for fill in self.fills[-_MOST_FILLS:]],
            "next_id": self.next_id,
            "seen": self.seen,
        }
        return json.dumps(content, default=lambda amount: format(amount, "f"), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> PaperState:
        """Return what `to_json` wrote."""
        content = json.loads(text)
        return cls(
            free={asset: Decimal(amount) for asset, amount in content["free"].items()},
            orders=[PaperOrder(**_amounts(row, _ORDER_AMOUNTS)) for row in content["orders"]],
            fills=[Fill(**_amounts(row, _FILL_AMOUNTS)) for row in content["fills"]],
            next_id=content["next_id"],
            seen=content["seen"],
        )


_ORDER_AMOUNTS = {
    *("quantity", "funds", "price", "stop_price", "reference_price"),
    *("locked", "filled", "notional", "fee"),
}
_FILL_AMOUNTS = {"price", "quantity", "fee"}


def _amounts(row: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {**row, **{name: None if row[name] is None else Decimal(row[name]) for name in names}}
