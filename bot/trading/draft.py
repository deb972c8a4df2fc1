"""From an intent to exactly what is sent: rounded towards less, checked, with what it will cost. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext

from bot.contract.errors import UserError
from bot.contract.models import (
    Balance,
    Base,
    Capabilities,
    Market,
    OrderBook,
    OrderType,
    Quote,
    Side,
    Ticker,
    TimeInForce,
)
from bot.trading.amounts import (
    EXACT,
    format_amount,
    format_percent,
    format_price,
    format_shortfall,
    round_down,
    round_up,
)
from bot.trading.intent import Amount, Fixed, Intent, Offset, Price, Reference, Size
from bot.trading.sizing import Case, Levels, amount_of, check_minimum, levels_of, rounded, shortened, walk

SLIPPAGE_WARNING = Decimal("0.01")
FAR_PRICE_WARNING = Decimal("0.05")

_TYPES: dict[tuple[bool, bool], OrderType] = {
    (False, False): "market",
    (False, True): "limit",
    (True, False): "stop_market",
    (True, True): "stop_limit",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An order as it will be sent, and what it is expected to do. Estimates are for the preview only.

    Attributes:
        side: `buy` or `sell`.
        type: Which prices are set follows from it.
        size: A multiple of the market's step, in a unit that the exchange takes.
        price: Limit price, a multiple of the price step.
        stop_price: Trigger, a multiple of the price step.
        time_in_force: How long a limit order rests.
        post_only: Whether the order must not take.
        reference_price: The last price, or `None` where none was known.
        quantity_estimate: Base asset; exact for a size in base.
        notional_estimate: Quote asset; exact for a size in quote.
        fee_estimate: In quote, also where the exchange takes it from the base asset.
        fee_asset: What the exchange usually takes the fee from.
        average_price_estimate: Quote per base.
        slippage: How much worse than the best price the average is, as a fraction; `None` unless a market order.
        spends_asset: What the order takes from the account.
        spends_amount: How much of it.
        free_before: Free balance of that asset.
        free_after: What stays free while the order is open.
        warnings: Sentences to show before confirming.
    """

    side: Side
    type: OrderType
    size: Base | Quote
    price: Decimal | None
    stop_price: Decimal | None
    time_in_force: TimeInForce
    post_only: bool
    reference_price: Decimal | None
    quantity_estimate: Decimal
    notional_estimate: Decimal
    fee_estimate: Decimal
    fee_asset: str
    average_price_estimate: Decimal
    slippage: Decimal | None
    spends_asset: str
    spends_amount: Decimal
    free_before: Decimal
    free_after: Decimal
    warnings: tuple[str, ...]


def draft(
    intent: Intent,
    market: Market,
    capabilities: Capabilities,
    *,
    ticker: Ticker | None,
    book: OrderBook | None,
    balances: Mapping[str, Balance],
    title: str,
) -> Draft:
    """Turn `intent` into the order that will be sent.

    Amounts are rounded down; a limit or trigger price is rounded down for a buy and up for a sell, so that nothing is
    ever worse for the person than what was typed.

    Args:
        intent: What was asked for.
        market: The pair that it was resolved to.
        capabilities: What the exchange can do.
        ticker: The market's price; may be `None` for a limit order with a fixed price.
        book: Without it a market order is estimated at the ticker's best price.
        balances: By asset.
        title: The exchange's name, for the texts.

    Raises:
        UserError: The order cannot be placed; the text names what is needed and what there is.
    """
    with localcontext(EXACT):
        kind = _TYPES[intent.stop is not None, intent.price is not None]
        case = Case(intent, kind, market, capabilities, ticker, book, balances, title)
        wanted = _check_possible(case)
        price = _price(intent.price, case) if intent.price else None
        stop = _price(intent.stop, case) if intent.stop else None
        _check_stop_side(stop, case)
        levels = levels_of(price or stop, case)
        asked = amount_of(wanted, case)
        try:
            size = rounded(asked, levels, case)
            quantity, notional = walk(levels, size, case)
        except UserError as error:
            if error.code == "THIN_BOOK":
                _check_owned(asked, levels, case)
            raise
        check_minimum(size, quantity, notional, levels, case)
        spends, earns = (market.quote, market.base) if case.buys else (market.base, market.quote)
        amount, free = notional if case.buys else quantity, case.free(spends)
        if amount > free:
            raise _no_funds(free, amount, spends, "needs", case)
        rests = kind == "limit" and not _crosses(price, case)
        slippage = abs(notional / quantity / levels[0][0] - 1) if kind == "market" else None
        sized, priced = _size_warnings(asked, size, case), _price_warnings(price, stop, case)
        return Draft(
            side=intent.side,
            type=kind,
            size=size,
            price=price,
            stop_price=stop,
            time_in_force=intent.time_in_force,
            post_only=intent.post_only,
            reference_price=ticker.last if ticker else None,
            quantity_estimate=round_down(quantity, market.quantity_step),
            notional_estimate=notional,
            fee_estimate=notional * (market.maker_fee if rests else market.taker_fee),
            fee_asset=earns,
            average_price_estimate=shortened(notional / quantity),
            slippage=None if slippage is None else shortened(slippage),
            spends_asset=spends,
            spends_amount=amount,
            free_before=free,
            free_after=free - amount,
            warnings=(*sized, *priced, *_market_warnings(price, slippage, case)),
        )


def _check_possible(case: Case) -> Size:
    intent, can, title = case.intent, case.can, case.title
    terms = intent.time_in_force
    if case.market.status != "online":
        raise UserError(f"{case.market.symbol} is halted on {title}: it takes no orders now.", code="MARKET_HALTED")
    if case.kind not in can.order_types:
        text = f"{title} takes no {_spoken(case.kind)} orders; what works: {_listed(can.order_types)}."
        raise UserError(text, code="UNSUPPORTED")
    if intent.post_only and case.kind != "limit":
        text = "post needs a plain limit order: give a limit price with @ and leave out stop."
        raise UserError(text, code="POST_ONLY")
    if intent.post_only and terms != "GTC":
        raise UserError(f"post and {terms.lower()} exclude each other: leave one of them out.", code="POST_ONLY")
    if intent.post_only and not can.post_only:
        raise UserError(f"{title} takes no post-only orders; a limit order without post works.", code="UNSUPPORTED")
    if intent.price is None and terms != "GTC":
        text = f"{terms.lower()} needs a limit price: give one with @ or leave {terms.lower()} out."
        raise UserError(text, code="TIME_IN_FORCE")
    if intent.stop is not None and terms != "GTC":
        raise UserError(f"A stop order is always GTC: leave {terms.lower()} out.", code="TIME_IN_FORCE")
    if intent.price is not None and terms not in can.times_in_force:
        raise UserError(
            f"{title} takes no {terms} orders; what works: {_listed(can.times_in_force)}.", code="UNSUPPORTED"
        )
    if intent.size is None:
        raise UserError("How much? Give an amount like 0.1, $250, 25% or max.", code="NO_SIZE")
    return intent.size


def _check_owned(asked: Base | Quote, levels: Levels, case: Case) -> None:
    """Refuse an order that the book cannot fill for what its owner does not have, where even the best price says so."""
    spends = case.market.quote if case.buys else case.market.base
    least, needs = asked.amount, "needs"
    if isinstance(asked, Quote) != case.buys:
        if not levels:
            return
        best, needs = levels[0][0], "needs at least"
        least = asked.amount * best if case.buys else asked.amount / best
    if least > case.free(spends):
        raise _no_funds(case.free(spends), least, spends, needs, case)


def _no_funds(free: Decimal, amount: Decimal, asset: str, needs: str, case: Case) -> UserError:
    have, need = format_shortfall(free, amount)
    text = f"You have {have} {asset} free on {case.title}; this order {needs} {need} {asset}."
    return UserError(text, code="NO_FUNDS")


def _price(price: Price, case: Case) -> Decimal:
    market = case.market
    if isinstance(price, Fixed):
        raw = price.value
    elif isinstance(price, Offset):
        raw = case.last() * (100 + price.percent) / 100
    else:
        raw = _best(price, case)
    if raw <= 0:
        raise UserError(f"The price must be above zero, not {format_amount(raw)}.", code="PRICE")
    rounded = round_down(raw, market.price_step) if case.buys else round_up(raw, market.price_step)
    if not rounded:
        least = f"{format_amount(market.price_step)} {market.quote}"
        text = f"{format_amount(raw)} is below the smallest price of {market.symbol} on {case.title}, {least}."
        raise UserError(text, code="PRICE_STEP")
    return rounded


def _best(price: Reference, case: Case) -> Decimal:
    sides = {"bid": [case.bids], "ask": [case.asks], "mid": [case.bids, case.asks]}[price.at]
    if not all(sides):
        raise case.no_price(price.at)
    return sum((levels[0][0] for levels in sides), Decimal(0)) / len(sides)


def _check_stop_side(stop: Decimal | None, case: Case) -> None:
    if stop is None:
        return
    last = case.last()
    if stop <= last if case.buys else stop >= last:
        where, step = "above" if case.buys else "below", case.market.price_step
        text = f"A stop to {case.intent.side} triggers {where} the last price, {format_price(last, step)};"
        raise UserError(f"{text} yours is {format_price(stop, step)}.", code="STOP_SIDE")


def _crosses(price: Decimal | None, case: Case) -> bool:
    if price is None or not case.offers:
        return False
    best = case.offers[0][0]
    return price >= best if case.buys else price <= best


def _size_warnings(asked: Base | Quote, size: Base | Quote, case: Case) -> Iterable[str]:
    market = case.market
    if isinstance(asked, Base) and isinstance(size, Quote):
        text = f"{case.title} takes this order in {market.quote}:"
        yield f"{text} the amount filled may differ slightly from {format_amount(asked.amount)} {market.base}."
    elif type(asked) is type(size) and isinstance(case.intent.size, Amount) and asked != size:
        in_base = isinstance(size, Base)
        asset, step = (market.base, market.quantity_step) if in_base else (market.quote, market.quote_step)
        yield f"Rounded down to {format_amount(size.amount)} {asset} (step {format_amount(step)})."


def _price_warnings(price: Decimal | None, stop: Decimal | None, case: Case) -> Iterable[str]:
    step = case.market.price_step
    for name, typed, sent in (("Price", case.intent.price, price), ("Stop", case.intent.stop, stop)):
        if isinstance(typed, Fixed) and sent is not None and sent != typed.value:
            direction = "down" if case.buys else "up"
            yield f"{name} rounded {direction} to {format_price(sent, step)} (step {format_amount(step)})."


def _market_warnings(price: Decimal | None, slippage: Decimal | None, case: Case) -> Iterable[str]:
    if slippage is not None and slippage > SLIPPAGE_WARNING:
        yield f"The book is thin: on average {format_percent(slippage)} worse than the best price."
    if case.kind != "limit" or price is None or not _crosses(price, case):
        return
    if case.intent.post_only:
        yield f"At this price the order would trade at once, so {case.title} will refuse it as post-only."
    best = case.offers[0][0]
    distance = abs(price / best - 1)
    if distance > FAR_PRICE_WARNING:
        where = "above the best ask" if case.buys else "below the best bid"
        yield f"Your price is {format_percent(distance)} {where}, {format_price(best, case.market.price_step)}."


def _spoken(kind: str) -> str:
    return kind.replace("_", "-")


def _listed(kinds: Iterable[str]) -> str:
    return ", ".join(sorted(map(_spoken, kinds)))
