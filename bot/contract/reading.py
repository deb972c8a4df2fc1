"""What exchange plugins have in common: reading replies, looking for orders, refusing what cannot be placed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar, cast

import msgspec

from bot.contract.errors import OrderNotFound, OutcomeUnknown, UserError
from bot.contract.models import Candle, Capabilities, Order, OrderBook, OrderReport, Quote, ReportState, Side
from bot.contract.wire import Flow, Request, Response

T = TypeVar("T")
Word = TypeVar("Word", str, int)

# A `Row` turns the bytes into the number as soon as it is read.
if TYPE_CHECKING:
    Number: TypeAlias = Decimal | None
else:
    Number = Annotated[msgspec.Raw, "a number, or none"]

_MOST_DECIMALS = 30
_LATEST_MS = 10**14
_AT_MARKET = ("market", "stop_market")


# Replies


class Row(msgspec.Struct):
    """A part of a reply, for `Response.decode`, whose numbers are exact and finite.

    A field of the type `Decimal` must be there, as text or bare. One of the type `Number` is `None` where the exchange
    sends null, empty text or, with `= None` behind it, nothing. `NaN`, infinity and other text make the reply one of an
    unexpected shape.
    """

    def __post_init__(self) -> None:
        for name in _number_fields(type(self)):
            sent = getattr(self, name)
            if isinstance(sent, msgspec.Raw):
                msgspec.structs.force_setattr(self, name, _number(bytes(sent)))
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Decimal) and not value.is_finite():
                raise ValueError(f"{name} is not a number")


@cache
def _number_fields(shape: type[Row]) -> tuple[str, ...]:
    return tuple(each.name for each in msgspec.structs.fields(shape) if each.type == Number)


def _number(sent: bytes) -> Decimal | None:
    text = sent.decode(errors="replace").strip('"')
    if text in ("", "null"):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


def step_of(decimals: Decimal | int | str) -> Decimal:
    """Return the step of numbers with so many decimals: 0.01 for 2.

    Raises:
        OutcomeUnknown: It is no number of decimals.
    """
    try:
        digits = int(decimals)
    except (ValueError, ArithmeticError):
        digits = -1
    if not 0 <= digits <= _MOST_DECIMALS:
        raise OutcomeUnknown(f"the exchange sent {str(decimals)[:40]!r} where a number of decimals belongs")
    return Decimal(1).scaleb(-digits)


def book_of(bids: Iterable[Sequence[object]], asks: Iterable[Sequence[object]]) -> OrderBook:
    """Return an order book.

    Args:
        bids: Best first, each a price, a quantity, and perhaps more that does not matter.
        asks: As `bids`.

    Raises:
        OutcomeUnknown: A level lacks a price or a quantity.
    """
    return OrderBook(bids=tuple(map(_level, bids)), asks=tuple(map(_level, asks)))


def _level(level: Sequence[object]) -> tuple[Decimal, Decimal]:
    match level:
        case [Decimal() as price, Decimal() as quantity, *_] if price.is_finite() and quantity.is_finite():
            return price, quantity
    raise OutcomeUnknown("the exchange sent an order book with a level that has no price or no quantity")


def candles_of(rows: Iterable[Sequence[Decimal | msgspec.Raw]], start_ms: int, end_ms: int) -> list[Candle]:
    """Return candles, oldest first, each once.

    Args:
        rows: Each with the time in milliseconds, open, high, low, close, volume, and perhaps more.
        start_ms: What began before is left out.
        end_ms: What began later is left out.

    Raises:
        OutcomeUnknown: A row is no candle.
    """
    found = {candle.at_ms: candle for candle in map(_candle, rows)}
    return [found[at_ms] for at_ms in sorted(found) if start_ms <= at_ms <= end_ms]


def _candle(row: Sequence[Decimal | msgspec.Raw]) -> Candle:
    values = [_number(bytes(each)) if isinstance(each, msgspec.Raw) else each for each in row[:6]]
    numbers = [each for each in values if each is not None and each.is_finite()]
    if len(numbers) == 6 and 0 < numbers[0] < _LATEST_MS and min(numbers[1:5]) > 0:
        at, *rest = numbers
        return Candle(int(at), *rest)
    raise OutcomeUnknown("the exchange sent a candle without a time or a price")


def side_of(word: str) -> Side:
    """Return `buy` or `sell`, however it is capitalised.

    Raises:
        OutcomeUnknown: It is neither.
    """
    if word.lower() not in ("buy", "sell"):
        raise OutcomeUnknown(f"the exchange reports an order that neither buys nor sells: {word[:40]!r}")
    return cast(Side, word.lower())


def state_of(states: Mapping[Word, ReportState], word: Word | None, filled: Decimal) -> ReportState:
    """Return the state that the exchange's word stands for; an open order with fills is `partially_filled`.

    Args:
        states: The exchange's words or numbers, all of them.
        word: As the exchange sent it, in the case that `states` has.
        filled: Base asset executed so far.

    Raises:
        OutcomeUnknown: The word is not in `states`: an order whose state is not understood is in doubt, not closed.
    """
    found = None if word is None else states.get(word)
    if found is None:
        raise OutcomeUnknown(f"the exchange reports an order state this version does not know: {str(word)[:40]!r}")
    return "partially_filled" if found == "open" and filled else found


# Looking


def pages(
    first: Request, take: Callable[[Response, list[T]], Request | None], *, most: int, whole: bool = False
) -> Flow[list[T]]:
    """Ask for page after page of a list.

    Args:
        first: Asks for the first page.
        take: Adds a reply's rows to those before, and returns the request for the next page, or `None` after the last.
        most: Stop after this many pages.
        whole: Whether a list that is longer than that is an error, not merely cut.

    Raises:
        OutcomeUnknown: The whole list was asked for, and is longer.
    """
    rows: list[T] = []
    request = first
    for _ in range(most):
        following = take((yield request), rows)
        if following is None:
            return rows
        request = following
    if whole:
        raise OutcomeUnknown(f"the exchange lists more than {len(rows)} orders, too many to read at once")
    return rows


def if_known(look: Flow[T]) -> Flow[T | None]:
    """Return what `look` finds, or `None` where the exchange knows no such order. Other errors pass."""
    try:
        return (yield from look)
    except OrderNotFound:
        return None


def find_by_client_id(order: Order, *looks: Flow[list[OrderReport]]) -> Flow[OrderReport | None]:
    """Return the order from the first list that has our id, or `None` when all were read and none has.

    A look that ends with `OrderNotFound` is a miss; any other error passes, for it is no answer.
    """
    for look in looks:
        for each in (yield from if_known(look)) or ():
            if each.client_order_id == order.client_order_id:
                return each
    return None


def known(found: T | None, title: str, remedy: str = "") -> T:
    """Return what was found.

    Args:
        found: The order, or `None`.
        title: The exchange's name.
        remedy: What the person can do; by default, to look there.

    Raises:
        OrderNotFound: There is none.
    """
    if found is None:
        raise OrderNotFound(f"{title} knows no such order", remedy=remedy or f"Look at your orders on {title}.")
    return found


# Placing


def refuse_undeclared(order: Order, title: str, can: Capabilities) -> None:
    """Refuse an order that the exchange is not declared to take, before anything is sent.

    The core drafts no such order. A plugin asks again because on the exchange a wrong one could mean something else:
    a size in the wrong asset is another sum of money altogether.

    Args:
        order: What is to be placed.
        title: The exchange's name.
        can: What it takes. Other times in force than GTC, and post-only, are for limit orders without a trigger.

    Raises:
        UserError: With the code `UNSUPPORTED`, `UNIT` for a size in the wrong asset, or `PRICE_MISSING`.
    """
    if order.type not in can.order_types:
        kinds = " and ".join(sorted(each.replace("_", "-") for each in can.order_types))
        raise _unsupported(f"{title} takes {kinds} orders only.")
    if order.post_only and not (can.post_only and order.type == "limit" and order.time_in_force == "GTC"):
        where = "for GTC limit orders without a trigger" if can.post_only else "not at all"
        raise _unsupported(f"{title} takes post-only {where}.")
    accepted = can.times_in_force if order.type == "limit" else {"GTC"}
    if order.time_in_force not in accepted:
        raise _unsupported(f"{title} takes this order as {' or '.join(sorted(accepted))} only.")
    _refuse_unit(order, title, can)
    if order.price is None and order.type in ("limit", "stop_limit"):
        raise _missing("price")
    if order.stop_price is None and order.type in ("stop_limit", "stop_market"):
        raise _missing("stop price")


def _refuse_unit(order: Order, title: str, can: Capabilities) -> None:
    market, buys_at_market = order.market, order.side == "buy" and order.type in _AT_MARKET
    given = "quote" if isinstance(order.size, Quote) else "base"
    if given not in (can.market_buy_in if buys_at_market else {"base"}):
        unit, other = (market.base, market.quote) if given == "quote" else (market.quote, market.base)
        what = "a market buy" if buys_at_market else "this order"
        raise UserError(f"{title} takes the size of {what} in {unit}, not in {other}. Give it in {unit}.", code="UNIT")


def _unsupported(text: str) -> UserError:
    return UserError(f"{text} Nothing was placed.", code="UNSUPPORTED")


def _missing(name: str) -> UserError:
    return UserError(f"This order needs a {name}. Nothing was placed.", code="PRICE_MISSING")


def plain(value: Decimal | None) -> str:
    """Return a price or a size in plain digits, as exchanges read it: no exponent, no rounding.

    Raises:
        UserError: The order lacks it, with the code `PRICE_MISSING`.
    """
    if value is None:
        raise _missing("price")
    return format(value, "f")
