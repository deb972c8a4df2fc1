"""What a person's sales of a day brought, by the average cost of what was sold, as far as the bot saw it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext

from bot.store.database import Connection
from bot.trading.amounts import EXACT
from bot.trading.orders import OrderRow, row_of

DAY_MS = 86_400_000


def of_day(db: Connection, user_id: int, *, is_paper: bool, now_ms: int) -> Decimal:
    """Return what a person's sales of this UTC day brought above the average cost of what was sold, in USDT.

    Cost is per account and pair: each buy is averaged in, each sale leaves the average as it is. What was sold beyond
    what the bot saw bought has no known cost and counts neither as gain nor as loss. Fees in the pair's own assets are
    part of cost and proceeds; those in a third asset are not counted.
    """
    held: dict[tuple[int, str], tuple[Decimal, Decimal]] = {}
    result = Decimal(0)
    with localcontext(EXACT):
        for each in sorted(_executions(db, user_id, is_paper), key=lambda one: one.at_ms):
            key = (each.account_id, each.symbol)
            quantity, cost = held.get(key, (Decimal(0), Decimal(0)))
            if each.is_buy:
                held[key] = (quantity + each.quantity, cost + each.value)
                continue
            known = min(quantity, each.quantity)
            if not known:
                continue
            share = cost * known / quantity
            held[key] = (quantity - known, cost - share)
            if each.at_ms >= midnight(now_ms):
                result += (each.value * known / each.quantity - share) * each.rate
        return result.quantize(Decimal("1e-8"))


@dataclass(frozen=True, slots=True)
class _Execution:
    at_ms: int
    account_id: int
    symbol: str
    is_buy: bool
    quantity: Decimal  # base, less its fee
    value: Decimal  # quote, with its fee
    rate: Decimal  # USDT for one of quote


def _executions(db: Connection, user_id: int, is_paper: bool) -> Iterator[_Execution]:
    for found in db.execute("SELECT * FROM orders WHERE user_id=? AND filled<>'0'", (user_id,)).fetchall():
        row = row_of(found)
        worth = worth_of(row)
        if row.exchange.endswith(":paper") != is_paper or worth is None or not row.notional:
            continue
        rate = worth / row.notional
        fills = db.execute("SELECT * FROM fills WHERE order_id=?", (row.id,)).fetchall()
        if sum((Decimal(fill["quantity"]) for fill in fills), Decimal(0)) == row.filled:
            for fill in fills:
                numbers = (Decimal(fill["quantity"]), Decimal(fill["price"]), Decimal(fill["fee"]), fill["fee_asset"])
                yield _execution(row, fill["at_ms"], numbers, rate)
        elif row.average_price is not None:
            numbers = (row.filled, row.average_price, row.fee or Decimal(0), row.fee_asset)
            yield _execution(row, row.updated_ms, numbers, rate)


def _execution(row: OrderRow, at_ms: int, numbers: tuple[Decimal, Decimal, Decimal, str], rate: Decimal) -> _Execution:
    quantity, price, fee, asset = numbers
    is_buy, value = row.side == "buy", quantity * price
    if asset == row.market.quote:
        value += fee if is_buy else -fee
    if asset == row.market.base and is_buy:
        quantity -= fee
    return _Execution(at_ms, row.account_id, row.symbol, is_buy, quantity, value, rate)


def worth_of(row: OrderRow) -> Decimal | None:
    """Return what an order is worth in USDT, as it was frozen. One that was found at the exchange may tell nothing."""
    frozen = (row.params.get("limits") or {}).get("worth")
    if frozen is not None:
        return Decimal(frozen)
    return row.notional if row.market.quote == "USDT" else None


def midnight(now_ms: int) -> int:
    """Return when the UTC day began, in UTC ms."""
    return now_ms - now_ms % DAY_MS
