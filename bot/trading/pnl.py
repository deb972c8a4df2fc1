"""What trades brought, by average cost: realised, unrealised and fees. Pure; the journal's rows become trades below.

For each account and pair, in its quote asset: realised + unrealised = money received - money paid + what is held at
its price now. Fees in the pair's own assets are part of it; those in a third asset are told beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, localcontext

from bot.contract.models import Fill, Market, Side
from bot.store.database import Connection
from bot.trading.amounts import EXACT
from bot.trading.orders import OrderRow, row_of

_FINEST = Decimal("1e-30")
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One execution, or a whole order where its executions are not known.

    Attributes:
        account_id: Whose; cost is kept per account.
        symbol: `BTC/USDT`.
        base: Base asset.
        quote: Quote asset.
        order_id: The exchange's id of the order; ours, with a `#`, where it told none.
        trade_id: The exchange's id of the execution. With account, pair and order it makes one told twice one trade.
        side: `buy` or `sell`.
        price: Quote per base.
        quantity: Base, before fees.
        fee: In `fee_asset`; a rebate is negative.
        fee_asset: Any asset.
        at_ms: When, UTC.
    """

    account_id: int
    symbol: str
    base: str
    quote: str
    order_id: str
    trade_id: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    at_ms: int

    @property
    def received(self) -> Decimal:
        """Base that came in, less its fee; negative for what went out, with its fee."""
        moved = self.quantity if self.side == "buy" else -self.quantity
        return moved - self.fee if self.fee_asset == self.base else moved

    @property
    def paid(self) -> Decimal:
        """Quote that went out, with its fee; negative for what came in, less its fee."""
        moved = self.quantity * self.price
        moved = moved if self.side == "buy" else -moved
        return moved + self.fee if self.fee_asset == self.quote else moved

    @property
    def fee_in_quote(self) -> Decimal | None:
        """The fee at the trade's own price; `None` in a third asset."""
        if self.fee_asset == self.base:
            return self.fee * self.price
        return self.fee if self.fee_asset == self.quote or not self.fee else None


@dataclass(frozen=True, slots=True)
class Gain:
    """What one trade did to the account.

    Attributes:
        trade: Which.
        realised: Quote gained by a sale over the average cost of what was sold, fees taken off. Zero for a buy.
        uncovered: Base sold beyond what was seen bought; its cost is unknown and it counts neither way.
    """

    trade: Trade
    realised: Decimal
    uncovered: Decimal


@dataclass(frozen=True, slots=True)
class Position:
    """What is left of a pair: `quantity` of base that cost `cost` of quote."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO

    def unrealised(self, price: Decimal) -> Decimal:
        """Return what selling all at `price` would bring over its cost, before fees, in quote."""
        with localcontext(EXACT):
            return self.quantity * price - self.cost


@dataclass(frozen=True, slots=True)
class Ledger:
    """Trades in the order they happened, with what each brought, and what is left by account and pair."""

    gains: tuple[Gain, ...]
    positions: Mapping[tuple[int, str], Position]

    def total(self, since_ms: int = 0, symbol: str | None = None) -> Total:
        """Add up the trades from `since_ms` on, of one pair or of all that share a quote asset."""
        result = Total()
        with localcontext(EXACT):
            for gain in self.gains:
                if gain.trade.at_ms >= since_ms and symbol in (None, gain.trade.symbol):
                    result.add(gain)
        return result


@dataclass(slots=True)
class Total:
    """What some trades add up to, by asset.

    Attributes:
        trades: How many.
        realised: By quote asset, fees taken off.
        fees: By quote asset; already part of cost and proceeds.
        other_fees: By the third asset they were paid in; not part of anything else here.
        uncovered: Base sold without known cost, by base asset.
    """

    trades: int = 0
    realised: dict[str, Decimal] = field(default_factory=dict)
    fees: dict[str, Decimal] = field(default_factory=dict)
    other_fees: dict[str, Decimal] = field(default_factory=dict)
    uncovered: dict[str, Decimal] = field(default_factory=dict)

    def add(self, gain: Gain) -> None:
        """Count one trade in."""
        trade, fee = gain.trade, gain.trade.fee_in_quote
        self.trades += 1
        _raise(self.realised, trade.quote, gain.realised)
        if fee is None:
            _raise(self.other_fees, trade.fee_asset, trade.fee)
        else:
            _raise(self.fees, trade.quote, fee)
        if gain.uncovered:
            _raise(self.uncovered, trade.base, gain.uncovered)


def reckon(trades: Iterable[Trade]) -> Ledger:
    """Work out what trades brought. Their order does not matter, and one told twice counts once.

    Trades of the same millisecond are taken buys first: what was sold in that moment was bought before.
    """
    once = {(each.account_id, each.symbol, each.order_id, each.trade_id): each for each in trades}
    held: dict[tuple[int, str], Position] = {}
    gains = []
    with localcontext(EXACT):
        for trade in sorted(once.values(), key=_moment):
            key = (trade.account_id, trade.symbol)
            gain, held[key] = _step(held.get(key, Position()), trade)
            gains.append(gain)
    return Ledger(tuple(gains), held)


def _moment(trade: Trade) -> tuple[int, str, str, str]:
    return trade.at_ms, trade.side, trade.order_id, trade.trade_id


def _step(held: Position, trade: Trade) -> tuple[Gain, Position]:
    if trade.side == "buy":
        return Gain(trade, ZERO, ZERO), Position(held.quantity + trade.received, held.cost + trade.paid)
    gone, proceeds = -trade.received, -trade.paid
    known = max(ZERO, min(held.quantity, gone))
    share = held.cost if known == held.quantity else (held.cost * known / held.quantity).quantize(_FINEST)
    covered = proceeds if known == gone else (proceeds * known / gone).quantize(_FINEST)
    if not known:
        return Gain(trade, ZERO, gone), held
    return Gain(trade, covered - share, gone - known), Position(held.quantity - known, held.cost - share)


def _raise(sums: dict[str, Decimal], asset: str, by: Decimal) -> None:
    sums[asset] = sums.get(asset, ZERO) + by


# Where trades come from


def of_journal(db: Connection, user_id: int, account_id: int, exchange: str) -> tuple[list[Trade], set[str]]:
    """Return the trades of a person's orders on an account, and the exchange's ids of all those orders.

    Args:
        db: A running transaction.
        user_id: Whose.
        account_id: Which account.
        exchange: Where; a paper exchange is another one.
    """
    query = "SELECT * FROM orders WHERE user_id=? AND account_id=? AND exchange=? AND exchange_order_id<>''"
    rows = [row_of(each) for each in db.execute(query, (user_id, account_id, exchange)).fetchall()]
    trades = [trade for row in rows if row.filled for trade in of_order(db, row)]
    return trades, {row.exchange_order_id for row in rows}


def of_order(db: Connection, row: OrderRow) -> Iterator[Trade]:
    """Return an order's executions; as one trade at its average price where its fills do not add up."""
    fills = db.execute("SELECT * FROM fills WHERE order_id=?", (row.id,)).fetchall()
    with localcontext(EXACT):
        is_whole = sum((Decimal(each["quantity"]) for each in fills), ZERO) == row.filled
    if is_whole:
        for each in fills:
            numbers = (Decimal(each["price"]), Decimal(each["quantity"]), Decimal(each["fee"]))
            yield _trade(row, each["trade_id"], numbers, each["fee_asset"], each["at_ms"])
    elif row.average_price is not None:
        numbers = (row.average_price, row.filled, row.fee or ZERO)
        yield _trade(row, "", numbers, row.fee_asset, row.updated_ms)


def _trade(row: OrderRow, trade_id: str, numbers: tuple[Decimal, Decimal, Decimal], asset: str, at_ms: int) -> Trade:
    price, quantity, fee = numbers
    return Trade(
        account_id=row.account_id,
        symbol=row.symbol,
        base=row.market.base,
        quote=row.market.quote,
        order_id=row.exchange_order_id or f"#{row.id}",
        trade_id=trade_id,
        side=row.side,
        price=price,
        quantity=quantity,
        fee=fee,
        fee_asset=asset,
        at_ms=at_ms,
    )


def of_exchange(
    fills: Iterable[Fill], account_id: int, markets: Mapping[str, Market], known: set[str]
) -> Iterator[Trade]:
    """Return the trades of orders that the journal does not have.

    Args:
        fills: As the exchange lists them.
        account_id: Whose.
        markets: By the exchange's spelling; fills of others are passed over.
        known: The exchange's ids of the journal's orders.
    """
    for each in fills:
        market = markets.get(each.exchange_symbol)
        if market is not None and each.exchange_order_id not in known:
            yield Trade(
                account_id=account_id,
                symbol=market.symbol,
                base=market.base,
                quote=market.quote,
                order_id=each.exchange_order_id,
                trade_id=each.trade_id,
                side=each.side,
                price=each.price,
                quantity=each.quantity,
                fee=each.fee,
                fee_asset=each.fee_asset,
                at_ms=each.at_ms,
            )
