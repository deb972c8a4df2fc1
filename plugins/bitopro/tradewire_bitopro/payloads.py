"""Between BitoPro's fields and the models: https://github.com/bitoex/bitopro-offical-api-docs (read 2025-12)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Generic, Literal, TypeVar, cast

import msgspec

from bot import (
    TIMESTAMP,
    Balance,
    Fill,
    Limit,
    Market,
    Order,
    OrderAck,
    OrderBook,
    OrderReport,
    OrderType,
    OutcomeUnknown,
    Quote,
    ReportState,
    Request,
    Response,
    Side,
    Ticker,
    UserError,
)

T = TypeVar("T")

LIMITS: Mapping[str, tuple[Limit, ...]] = {
    # One page says 1200 a minute. The own limits of placing (1200) and canceling (900) are wider than this.
    "address": (Limit(600, 60),),
    "account": (Limit(600, 60, "account"),),
    "open orders": (Limit(5, 1), Limit(5, 1, "account")),
    "cancel all": (Limit(1, 1), Limit(1, 1, "account")),  # the same page also says two a second
}

_TYPES: Mapping[str, OrderType] = {
    "LIMIT": "limit",
    "MARKET": "market",
    "STOP_LIMIT": "stop_limit",
    # Made on the web site only, and shown here.
    "SP_OCO_STOPLIMIT": "stop_limit",
    "SL_OCO_STOPLIMIT": "stop_limit",
}
_STATES: Mapping[int, ReportState] = {
    -1: "open",  # a stop order that waits
    0: "open",
    1: "partially_filled",
    2: "filled",
    3: "canceled",  # after a part was filled
    4: "canceled",
    6: "rejected",  # a post-only order, though placing it succeeded
}


# Requests


def public(path: str, **query: int) -> Request:
    """Describe a request for market data."""
    return Request.get(path, query, auth="none", costs={"address": 1})


def private(method: str, path: str, *more: str, json: Any = None, places: bool = False, **query: Any) -> Request:
    """Describe a signed request; `more` names limits that it weighs on besides the general ones."""
    costs = dict.fromkeys(("address", "account", *more), 1)
    return Request(method=method, path=path, query=tuple(query.items()), json=json, places=places, costs=costs)


def pair_of(market: Market) -> str:
    """Return BitoPro's name of a pair, safe in a path: `DELETE /orders/all` would cancel the orders of all pairs."""
    if not re.fullmatch(r"[a-z0-9]+_[a-z0-9]+", market.exchange_symbol):
        raise UserError(f"{market.exchange_symbol!r} is not a pair of BitoPro's.", code="UNKNOWN_PAIR")
    return market.exchange_symbol


def order_path(market: Market, exchange_order_id: str) -> str:
    """Return one order's path. Without an id it would be the path of all the pair's orders."""
    if not re.fullmatch(r"[A-Za-z0-9-]+", exchange_order_id):
        raise OutcomeUnknown(f"BitoPro has no orders with an id like {exchange_order_id[:40]!r}")
    return f"/v3/orders/{pair_of(market)}/{exchange_order_id}"


# Replies


class Row(msgspec.Struct, rename="camel"):
    """A part of a reply. Numbers come as text, now and then bare; one that is not finite is none."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Decimal) and not value.is_finite():
                raise ValueError(f"{name} is not a number")


class Listed(msgspec.Struct, Generic[T]):
    """The envelope of every list."""

    data: T


def client_id_text(client_id: int | str | None) -> str:
    """Return our id, empty where BitoPro tells none."""
    return str(client_id) if client_id else ""


# Market data


class PairRow(Row, rename="camel"):
    pair: str
    base: str
    quote: str
    base_precision: int | str
    quote_precision: int | str
    amount_precision: int | str | None = None
    min_limit_base_amount: Decimal = Decimal(0)
    max_limit_base_amount: Decimal | None = None
    min_market_buy_quote_amount: Decimal = Decimal(0)
    maintain: bool = False


def market(row: PairRow) -> Market:
    base, quote = row.base.upper(), row.quote.upper()
    step, quantity_step = _step(row.quote_precision), _step(row.amount_precision or row.base_precision)
    # Unverified: whether such a pair exists. A sample has decimals that would round its own minimum to zero.
    if row.min_limit_base_amount and quantity_step > row.min_limit_base_amount:
        quantity_step = _step(row.base_precision)
    return Market(
        symbol=f"{base}/{quote}",
        exchange_symbol=row.pair.lower(),
        base=base,
        quote=quote,
        price_step=step,
        quantity_step=quantity_step,
        # Unverified: how many decimals a market buy may have. Those of the price are surely not too many.
        quote_step=step,
        min_quantity=row.min_limit_base_amount,
        max_quantity=row.max_limit_base_amount or None,
        min_market_buy_quote=row.min_market_buy_quote_amount,
        # Everybody's fees; those of the account's rank, and of paying in BITO, are lower and are not told.
        maker_fee=Decimal("0.001"),
        taker_fee=Decimal("0.002"),
        status="halted" if row.maintain else "online",
    )


def _step(digits: int | str) -> Decimal:
    try:
        return Decimal(1).scaleb(-int(digits))
    except (ValueError, ArithmeticError):
        raise OutcomeUnknown(f"BitoPro sent {str(digits)[:40]!r} where a number of decimals belongs") from None


class TickerRow(Row, rename="camel"):
    pair: str
    last_price: Decimal
    high24hr: Decimal | None = None
    low24hr: Decimal | None = None
    volume24hr: Decimal | None = None


class Level(Row):
    price: Decimal
    amount: Decimal


class Book(msgspec.Struct):
    bids: list[Level]
    asks: list[Level]


def ticker(response: Response, book: OrderBook, market: Market) -> Ticker:
    found = response.decode(Listed[TickerRow | list[TickerRow]]).data  # documented as a list, sent as an object
    for row in found if isinstance(found, list) else [found]:
        if row.pair.lower() == market.exchange_symbol and row.last_price:
            return Ticker(
                exchange_symbol=market.exchange_symbol,
                last=row.last_price,
                bid=book.bids[0][0] if book.bids else None,
                ask=book.asks[0][0] if book.asks else None,
                high_24h=row.high24hr or None,
                low_24h=row.low24hr or None,
                base_volume_24h=row.volume24hr,
            )
    raise OutcomeUnknown(f"BitoPro has no price for {market.symbol} at the moment")


def order_book(response: Response) -> OrderBook:
    book = response.decode(Book)
    bids, asks = (tuple((level.price, level.amount) for level in side) for side in (book.bids, book.asks))
    return OrderBook(bids=bids, asks=asks)


def server_time(response: Response) -> int:
    """Return the time at which BitoPro answered: the middle of the second that the header names."""
    text = response.headers.get("date", "")
    try:
        return int(parsedate_to_datetime(text).timestamp()) * 1000 + 500
    except (TypeError, ValueError, OverflowError):
        raise OutcomeUnknown(f"BitoPro's reply has no date: {text[:40]!r}", status=response.status) from None


# Balances


class BalanceRow(Row, rename="camel"):
    currency: str
    amount: Decimal
    available: Decimal


def holdings(rows: Iterable[BalanceRow]) -> list[Balance]:
    """Return what `rows` say, without zeros. What is staked cannot be spent and counts as locked."""
    return [Balance(row.currency.upper(), row.available, row.amount - row.available) for row in rows if row.amount]


# Placing


def order_body(order: Order) -> dict[str, Any]:
    """Return the body of a placing request; text, time and place of each field as in BitoPro's own samples.

    Both `timestamp` and `nonce` are sent. Unverified: which of them BitoPro checks.
    """
    if order.time_in_force != "GTC" or (order.post_only and order.type != "limit"):
        text = "BitoPro takes GTC orders, and post-only for limit orders without a trigger. Nothing was placed."
        raise UserError(text, code="UNSUPPORTED")
    is_stop = order.type == "stop_limit"
    return {
        "type": order.type.upper(),
        # Second, so that `>` falls where standard and URL-safe base64 agree: BitoPro's own clients use either.
        **({"condition": _condition(order)} if is_stop else {}),
        "action": order.side.upper(),
        "amount": _size_text(order),
        **({} if order.type == "market" else {"price": _price_text(order.price, "price")}),
        **({"stopPrice": _price_text(order.stop_price, "stop price")} if is_stop else {}),
        "timestamp": TIMESTAMP,
        "nonce": TIMESTAMP,
        **({"timeInForce": "POST_ONLY" if order.post_only else "GTC"} if order.type == "limit" else {}),
        "clientId": int(order.client_order_id),
    }


def _condition(order: Order) -> Literal[">=", "<="]:
    last, trigger = order.reference_price, order.stop_price
    is_rising = order.side == "buy"
    if last is not None and trigger is not None and trigger != last:
        is_rising = trigger > last
    return ">=" if is_rising else "<="


def _size_text(order: Order) -> str:
    market = order.market
    wants_quote = order.side == "buy" and order.type == "market"
    if isinstance(order.size, Quote) != wants_quote:
        unit, other = (market.quote, market.base) if wants_quote else (market.base, market.quote)
        what = "a market buy" if wants_quote else "this order"
        raise UserError(f"BitoPro takes the size of {what} in {unit}, not in {other}. Give it in {unit}.", code="UNIT")
    return format(order.size.amount, "f")


def _price_text(value: Decimal | None, name: str) -> str:
    if value is None:
        raise UserError(f"This order needs a {name}. Nothing was placed.", code="PRICE_MISSING")
    return format(value, "f")


class _Ack(msgspec.Struct, rename="camel"):
    order_id: int | str  # documented as a number, sent as text


def ack(response: Response, order: Order) -> OrderAck:
    found = str(response.decode(_Ack).order_id)
    if found in ("", "0"):
        raise OutcomeUnknown("BitoPro took the order, but gave it no id", status=response.status)
    return OrderAck(found, order.client_order_id)


# Orders and fills


class OrderRow(Row, rename="camel"):
    """An order. An unknown one may come as a row with an empty id."""

    id: str | int = ""
    pair: str = ""
    action: str = ""
    type: str = ""
    status: int | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    original_amount: Decimal = Decimal(0)
    executed_amount: Decimal = Decimal(0)
    avg_execution_price: Decimal | None = None
    fee: Decimal | None = None
    fee_symbol: str = ""
    bito_fee: Decimal | None = None
    client_id: int | str | None = None
    timestamp: int = 0
    created_timestamp: int = 0


def report(row: OrderRow) -> OrderReport:
    filled, kind = row.executed_amount, _TYPES.get(row.type.upper(), "limit")
    is_sized_in_base = kind != "market" or _side(row.action) == "sell"
    fee = _fee(row)
    return OrderReport(
        exchange_order_id=str(row.id),
        client_order_id=client_id_text(row.client_id),
        exchange_symbol=row.pair.lower(),
        side=_side(row.action),
        type=kind,
        state=_state(row),
        filled=filled,
        average_price=(row.avg_execution_price or None) if filled else None,
        # Unverified: whether a market buy's amount is in quote here.
        quantity=row.original_amount or None if is_sized_in_base else None,
        price=None if kind == "market" else row.price or None,
        stop_price=row.stop_price or None,
        fee=fee[0],
        fee_asset=fee[1],
        reason="the post-only order would have traded at once" if row.status == 6 else "",
        created_ms=row.created_timestamp or row.timestamp,
    )


def _state(row: OrderRow) -> ReportState:
    found = None if row.status is None else _STATES.get(row.status)
    if found is None:
        raise OutcomeUnknown(f"BitoPro reports an order state this version does not know: {row.status}")
    if found == "filled" and not row.executed_amount:
        # Unverified: what a stop order shows once it was triggered. Never call filled what bought nothing.
        raise OutcomeUnknown(f"BitoPro calls order {row.id} completed, but nothing of it was executed", transient=True)
    return "partially_filled" if found == "open" and row.executed_amount else found


def _side(action: str) -> Side:
    if action.lower() not in ("buy", "sell"):
        raise OutcomeUnknown(f"BitoPro reports an order that neither buys nor sells: {action[:40]!r}")
    return cast(Side, action.lower())


def _fee(row: OrderRow) -> tuple[Decimal | None, str]:
    # Unverified: how the two relate when a fee is paid partly in BITO. The larger part is `fee`, where there is any.
    if row.bito_fee and not row.fee:
        return row.bito_fee, "BITO"
    return (row.fee, row.fee_symbol.upper()) if row.fee and row.fee_symbol else (None, "")


def is_same(row: OrderRow, order: Order) -> bool:
    """Say whether `row` can be `order`. Our id is only a label there and may stand on other orders."""
    wanted_types = {"STOP_LIMIT", "LIMIT"} if order.type == "stop_limit" else {order.type.upper()}
    return (
        client_id_text(row.client_id) == order.client_order_id
        and row.pair.lower() == order.market.exchange_symbol
        and row.action.lower() == order.side
        and row.type.upper() in wanted_types
        and (isinstance(order.size, Quote) or row.original_amount == order.size.amount)
        and order.price in (None, row.price)
        and (not row.stop_price or row.stop_price == order.stop_price)
    )


class FillRow(Row, rename="camel"):
    trade_id: str | int
    order_id: str | int
    action: str
    price: Decimal
    base_amount: Decimal
    fee: Decimal = Decimal(0)
    fee_symbol: str = ""
    is_taker: bool = True
    timestamp: int = 0
    created_timestamp: int = 0


def fill(row: FillRow, market: Market) -> Fill:
    return Fill(
        trade_id=str(row.trade_id),
        exchange_order_id=str(row.order_id),
        exchange_symbol=market.exchange_symbol,
        side=_side(row.action),
        price=row.price,
        quantity=row.base_amount,
        fee=row.fee,
        fee_asset=row.fee_symbol.upper(),
        is_maker=not row.is_taker,
        at_ms=row.created_timestamp or row.timestamp,
    )
