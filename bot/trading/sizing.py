"""How much an order is for: what was asked, rounded down to what the exchange takes, held to its minimums. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import TypeAlias

from bot.contract.errors import UserError
from bot.contract.models import Balance, Base, Capabilities, Market, OrderBook, OrderType, Quote, Ticker
from bot.trading.amounts import EXACT, format_amount, format_money, round_down, round_up
from bot.trading.intent import Amount, Intent, Percent, Size

Levels: TypeAlias = tuple[tuple[Decimal, Decimal], ...]


@dataclass(frozen=True, slots=True)
class Case:
    """What a draft is made from: the intent, the market and the account as they are now."""

    intent: Intent
    kind: OrderType
    market: Market
    can: Capabilities
    ticker: Ticker | None
    book: OrderBook | None
    balances: Mapping[str, Balance]
    title: str

    @property
    def buys(self) -> bool:
        return self.intent.side == "buy"

    @property
    def bids(self) -> Levels:
        return self.book.bids if self.book else _endless(self.ticker.bid if self.ticker else None)

    @property
    def asks(self) -> Levels:
        return self.book.asks if self.book else _endless(self.ticker.ask if self.ticker else None)

    @property
    def offers(self) -> Levels:
        return self.asks if self.buys else self.bids

    @property
    def buys_at_market(self) -> bool:
        return self.buys and self.kind in ("market", "stop_market")

    def last(self) -> Decimal:
        if self.ticker is None:
            raise self.no_price("last")
        return self.ticker.last

    def no_price(self, name: str) -> UserError:
        text = f"{self.title} shows no {name} price for {self.market.symbol} just now."
        return UserError(f"{text} Try again, or name a price: @ 60000.", code="NO_PRICE")

    def free(self, asset: str) -> Decimal:
        balance = self.balances.get(asset)
        return balance.free if balance else Decimal(0)


class BelowMinimum(UserError):
    """The exchange takes no order so small.

    Args:
        text: What a person is told.
        code: `MIN_QUANTITY` or `MIN_NOTIONAL`.
        least: The size that it takes, in quote.
    """

    def __init__(self, text: str, *, code: str, least: Amount) -> None:
        self.least = least
        super().__init__(text, code=code)


def minimum_size(market: Market, price: Decimal) -> Amount:
    """Return the least amount of quote that keeps the market's minimums after rounding.

    Args:
        market: The pair.
        price: As the order will be sent, or the average price of a market order.
    """
    with localcontext(EXACT):
        lot = price * market.quantity_step
        least = max(market.min_notional, market.min_market_buy_quote, market.min_quantity * price, lot)
        return Amount(round_up(round_up(least, lot), market.quote_step), market.quote)


def levels_of(price: Decimal | None, case: Case) -> Levels:
    """Return what the order is expected to trade against: its own price, or else the book."""
    if price is not None:
        return _endless(price)
    if case.book is None:
        case.last()
    return case.offers


def amount_of(size: Size, case: Case) -> Base | Quote:
    """Return the size that was asked for, in base or in quote; not rounded yet."""
    market = case.market
    if isinstance(size, Amount):
        if size.value <= 0:
            raise UserError(f"The amount must be above zero, not {format_amount(size.value)}.", code="SIZE")
        if size.asset in (None, market.base):
            return Base(size.value)
        # `$` for a market quoted in BTC or TWD would be another sum of money altogether.
        if size.asset == market.quote or (size.asset == "$" and "USD" in market.quote):
            return Quote(size.value)
        text = f"An order for {market.symbol} is sized in {market.base} or {market.quote}, not in {size.asset}."
        raise UserError(f"{text} Write for example 25{market.quote.lower()}.", code="ASSET")
    percent = size.value if isinstance(size, Percent) else Decimal(100)
    if not 0 < percent <= 100:
        shown = format_amount(percent)
        raise UserError(f"The share must be above 0% and at most 100%, not {shown}%.", code="SIZE")
    asset = market.quote if case.buys else market.base
    share = case.free(asset) * percent / 100
    if share <= 0:
        raise UserError(f"You have no {asset} free on {case.title}.", code="NO_FUNDS")
    return Quote(share) if case.buys else Base(share)


def rounded(asked: Base | Quote, levels: Levels, case: Case) -> Base | Quote:
    """Return the size in a unit that the exchange takes, rounded down to the market's step."""
    market = case.market
    units = case.can.market_buy_in if case.buys_at_market else {"base"}
    if isinstance(asked, Quote):
        if "quote" in units:
            return Quote(round_down(asked.amount, market.quote_step))
        return Base(round_down(walk(levels, asked, case)[0], market.quantity_step))
    base = Base(round_down(asked.amount, market.quantity_step))
    return base if "base" in units else Quote(round_down(walk(levels, base, case)[1], market.quote_step))


def walk(levels: Levels, size: Base | Quote, case: Case) -> tuple[Decimal, Decimal]:
    """Return the quantity and the notional of trading `size` against `levels`."""
    quantity = notional = Decimal(0)
    for price, available in levels:
        left = size.amount - quantity if isinstance(size, Base) else (size.amount - notional) / price
        if left <= available:
            return quantity + left, notional + left * price if isinstance(size, Base) else size.amount
        quantity += available
        notional += available * price
    text = f"The order book of {case.market.symbol} on {case.title} is too thin for this: it shows only"
    have = f"{format_amount(quantity)} {case.market.base}"
    raise UserError(f"{text} {have}. Use a smaller amount or a limit price (@).", code="THIN_BOOK")


def check_minimum(size: Base | Quote, quantity: Decimal, notional: Decimal, levels: Levels, case: Case) -> None:
    """Refuse what the exchange would refuse as too small or too large."""
    market, title = case.market, case.title
    least, most = max(market.min_quantity, market.quantity_step), market.max_quantity
    raised = minimum_size(market, notional / quantity if quantity and notional else levels[0][0])
    too_few = BelowMinimum(
        f"{title} needs at least {format_amount(least)} {market.base} for {market.symbol}; yours, rounded down, is "
        f"{format_amount(round_down(quantity, market.quantity_step))}.",
        code="MIN_QUANTITY",
        least=raised,
    )
    if isinstance(size, Base) and quantity < least:
        raise too_few
    if most is not None and quantity > most:
        text = f"{title} takes at most {format_amount(most)} {market.base} for {market.symbol};"
        raise UserError(f"{text} yours is {format_amount(shortened(quantity))}.", code="MAX_QUANTITY")
    least = market.min_notional
    if case.buys_at_market:
        least = market.min_market_buy_quote or least
    if isinstance(size, Quote):
        least = max(least, market.quote_step)
    if notional < least:
        text = f"{title} needs at least {format_amount(least)} {market.quote} for {market.symbol};"
        raise BelowMinimum(f"{text} yours is {format_money(notional)}.", code="MIN_NOTIONAL", least=raised)
    if quantity < market.min_quantity:
        raise too_few


def _endless(price: Decimal | None) -> Levels:
    return ((price, Decimal("Infinity")),) if price else ()


def shortened(value: Decimal) -> Decimal:
    """Return a quotient with 18 places, and without zeros at its end."""
    return value.quantize(Decimal("1e-18")).normalize()
