"""Between Bitrue's fields and the models: https://github.com/Bitrue-exchange/Spot-official-api-docs (of 2023-07-14).

Where what the exchange sends differs from its document, as recorded by programs that trade there, both are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, cast

import msgspec

from bot import (
    TIMESTAMP,
    Balance,
    Base,
    Fill,
    KeyPermissions,
    Limit,
    Market,
    Order,
    OrderAck,
    OrderBook,
    OrderReport,
    OutcomeUnknown,
    ReportState,
    Request,
    Response,
    Side,
    Ticker,
    UserError,
)

GENERAL, ORDERS = "general", "orders"
LIMITS: Mapping[str, tuple[Limit, ...]] = {
    # The documented figures. Far larger ones have been seen in `exchangeInfo`, and they change.
    GENERAL: (Limit(1200, 60),),
    ORDERS: (Limit(100, 60), Limit(100, 60, "account")),
}
WINDOW_MS = 5000
"""For how long after its time a signed request is taken: sent with each as `recvWindow`."""

FEE = Decimal("0.00098")
_NO_MAXIMUM = Decimal(10) ** 12

_STATES: Mapping[str, ReportState] = {
    "PENDING_CREATE": "open",
    "INIT": "open",
    "NEW": "open",
    "PENDING_CANCEL": "open",
    "PARTIALLY_FILLED": "partially_filled",
    "FILLED": "filled",
    "CANCELED": "canceled",
    "CANCELLED": "canceled",
    "EXPIRED": "canceled",
    "REJECTED": "rejected",
}


# Requests


def public(path: str, **query: str | int) -> Request:
    """Describe a request for market data."""
    return Request.get(path, query, auth="none", costs={GENERAL: 1})


def private(
    method: str, path: str, *, weight: int = 1, bucket: str = "", places: bool = False, **query: Any
) -> Request:
    """Describe a signed request. All is in the query, for every method; `sign` puts the signature last."""
    stamp = (("recvWindow", WINDOW_MS), ("timestamp", TIMESTAMP))
    costs = {GENERAL: weight, bucket: weight} if bucket else {GENERAL: weight}
    return Request(method=method, path=path, query=(*query.items(), *stamp), places=places, costs=costs)


def order_request(method: str, order: Order, exchange_order_id: str) -> Request:
    """Describe the request that reads or cancels one order, by Bitrue's id."""
    symbol = order.market.exchange_symbol
    return private(method, "/api/v1/order", bucket=ORDERS, symbol=symbol, orderId=exchange_order_id)


# Replies


class Row(msgspec.Struct, rename="camel"):
    """A part of a reply. Numbers come as text or bare; one that is not finite is none."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Decimal) and not value.is_finite():
                raise ValueError(f"{name} is not a number")


class Time(msgspec.Struct, rename="camel"):
    server_time: int


# Market data


class Filter(Row, rename="camel"):
    """One of a market's rules; each has fields of its own, and any may be missing."""

    filter_type: str = ""
    price_scale: int | None = None
    tick_size: Decimal | None = None
    volume_scale: int | None = None
    step_size: Decimal | None = None
    min_qty: Decimal | None = None
    max_qty: Decimal | None = None
    min_val: Decimal | None = None


class SymbolRow(Row, rename="camel"):
    symbol: str
    base_asset: str
    quote_asset: str
    status: str = ""
    filters: list[Filter] = []


class Listed(msgspec.Struct):
    symbols: list[SymbolRow]


def market(row: SymbolRow) -> Market | None:
    """Return the market, or `None` where its decimals are not told: then it cannot be traded."""
    by_type = {each.filter_type: each for each in row.filters}
    price, lot = by_type.get("PRICE_FILTER", Filter()), by_type.get("LOT_SIZE", Filter())
    price_step = _step(price.price_scale, price.tick_size)
    quantity_step = _step(lot.volume_scale, lot.step_size)
    if price_step is None or quantity_step is None:
        return None
    base, quote = row.base_asset.upper(), row.quote_asset.upper()
    return Market(
        symbol=f"{base}/{quote}",
        exchange_symbol=row.symbol.upper(),
        base=base,
        quote=quote,
        price_step=price_step,
        quantity_step=quantity_step,
        quote_step=price_step,
        min_quantity=lot.min_qty or Decimal(0),
        # Where there is none, a number of many nines stands there.
        max_quantity=lot.max_qty if lot.max_qty and lot.max_qty < _NO_MAXIMUM else None,
        min_notional=lot.min_val or Decimal(0),
        maker_fee=FEE,
        taker_fee=FEE,
        status="online" if row.status == "TRADING" else "halted",
    )


def _step(scale: int | None, step: Decimal | None) -> Decimal | None:
    """Return a step: the number of decimals has always been told, the step itself only of late."""
    if scale is not None and 0 <= scale <= 30:
        return Decimal(1).scaleb(-scale)
    return step if step is not None and step > 0 else None


class TickerRow(Row, rename="camel"):
    symbol: str = ""
    last_price: Decimal | None = None
    bid_price: Decimal | None = None
    ask_price: Decimal | None = None
    open_price: Decimal | None = None
    high_price: Decimal | None = None
    low_price: Decimal | None = None
    volume: Decimal | None = None


def ticker(response: Response, market: Market) -> Ticker:
    # Documented as one object, sent as a list of one.
    found: Any = response.decode(cast(Any, list[TickerRow] | TickerRow))
    for row in found if isinstance(found, list) else [found]:
        if row.symbol.replace("_", "").upper() == market.exchange_symbol and row.last_price:
            return Ticker(  # nulls and zeros stand for what is not known
                exchange_symbol=market.exchange_symbol,
                last=row.last_price,
                bid=row.bid_price or None,
                ask=row.ask_price or None,
                open_24h=row.open_price or None,
                high_24h=row.high_price or None,
                low_24h=row.low_price or None,
                base_volume_24h=row.volume,
            )
    raise OutcomeUnknown(f"Bitrue has no price for {market.symbol} at the moment")


class Depth(msgspec.Struct):
    """A book. REST calls the buyers `bids` and puts an empty list behind each level; the socket calls them `buys`."""

    asks: list[list[Decimal | list[Any]]]
    bids: list[list[Decimal | list[Any]]] = []
    buys: list[list[Decimal | list[Any]]] = []

    def book(self) -> OrderBook:
        """Return the book."""
        return OrderBook(bids=_levels(self.bids or self.buys), asks=_levels(self.asks))


def _levels(levels: Iterable[list[Decimal | list[Any]]]) -> tuple[tuple[Decimal, Decimal], ...]:
    found = []
    for level in levels:
        numbers = [each for each in level[:2] if isinstance(each, Decimal) and each.is_finite()]
        if len(numbers) < 2:
            raise OutcomeUnknown("Bitrue sent an order book with a level that has no price or quantity")
        found.append((numbers[0], numbers[1]))
    return tuple(found)


# Account


class BalanceRow(Row):
    asset: str
    free: Decimal
    locked: Decimal = Decimal(0)


class AccountRow(Row, rename="camel"):
    balances: list[BalanceRow]
    can_trade: bool | None = None
    can_withdraw: bool | None = None


def holdings(account: AccountRow) -> list[Balance]:
    """Return what is not zero; the list holds every coin there is."""
    return [Balance(row.asset.upper(), row.free, row.locked) for row in account.balances if row.free or row.locked]


def permissions(account: AccountRow) -> KeyPermissions:
    """Return what the account's flags say.

    Unverified: whether they are the key's rights or the account's. A working account has been seen with all of them
    false, and an account may be able to withdraw where the key is not: so neither bars trading.
    """
    notes = []
    if account.can_trade is False:
        notes.append("Bitrue reports no right to trade; the first order will show whether that is so.")
    if account.can_withdraw:
        notes.append(
            "Bitrue reports that withdrawals are possible; that may mean your account and not this key. See that"
            " Withdraw is not ticked for this key, and delete the key if it is."
        )
    return KeyPermissions(
        can_read="yes",
        can_trade="yes" if account.can_trade else "unknown",
        can_withdraw="no" if account.can_withdraw is False else "unknown",
        note=" ".join(notes),
    )


# Placing


def order_query(order: Order) -> dict[str, Any]:
    """Return what placing sends; the size is in base, also of a market buy.

    Raises:
        UserError: Bitrue has no such order.
    """
    market = order.market
    if not isinstance(order.size, Base):
        text = f"Bitrue takes the size of an order in {market.base}, not in {market.quote}. Give it in {market.base}."
        raise UserError(text, code="UNIT")
    if order.type not in ("limit", "market") or order.post_only or order.time_in_force != "GTC":
        text = "Bitrue takes GTC limit orders and market orders, without trigger or post-only. Nothing was placed."
        raise UserError(text, code="UNSUPPORTED")
    query: dict[str, Any] = {"symbol": market.exchange_symbol, "side": order.side.upper(), "type": order.type.upper()}
    if order.type == "limit":
        query["timeInForce"] = "GTC"
    query["quantity"] = format(order.size.amount, "f")
    if order.type == "limit":
        if order.price is None:
            raise UserError("A limit order needs a price. Nothing was placed.", code="PRICE_MISSING")
        query["price"] = format(order.price, "f")
    query["newClientOrderId"] = order.client_order_id
    return query


class Ack(msgspec.Struct, rename="camel"):
    order_id: int | str | None = None
    order_id_str: str = ""


def ack(response: Response, order: Order) -> OrderAck:
    """Return the acknowledgement. Bitrue's word for our id is often empty there."""
    found = response.decode(Ack)
    return OrderAck(_known_id(found.order_id_str or str(found.order_id or "")), order.client_order_id)


def _known_id(id_: str) -> str:
    if not re.fullmatch(r"[0-9]*[1-9][0-9]*", id_):
        raise OutcomeUnknown("Bitrue answered without the order's id")
    return id_


# Orders and fills


class OrderRow(Row, rename="camel"):
    """An order. Ids have up to 18 digits, and come as a number or as text; ours often comes back empty."""

    symbol: str
    order_id: int | str
    side: str
    type: str
    status: str
    orig_qty: Decimal
    executed_qty: Decimal
    quote_value: Decimal = msgspec.field(name="cummulativeQuoteQty", default=Decimal(0))  # so it is spelled
    price: Decimal | None = None
    client_order_id: str | None = None
    order_id_str: str = ""
    time: int | None = None

    @property
    def id(self) -> str:
        """Bitrue's id."""
        return _known_id(self.order_id_str or str(self.order_id))


def looks_like(row: OrderRow, order: Order) -> bool:
    """Say whether `row` can be `order`, all but the ids compared."""
    return (
        row.symbol.upper() == order.market.exchange_symbol
        and row.side.lower() == order.side
        and row.type.lower() == order.type
        and row.orig_qty == order.size.amount
        and (order.type == "market" or row.price == order.price)
    )


def report(row: OrderRow) -> OrderReport:
    filled = row.executed_qty
    is_market = row.type.upper() == "MARKET"
    return OrderReport(
        exchange_order_id=row.id,
        client_order_id=row.client_order_id or "",
        exchange_symbol=row.symbol.upper(),
        side=_side(row.side),
        type="market" if is_market else "limit",
        state=_state(row),
        filled=filled,
        average_price=row.quote_value / filled if filled and row.quote_value else None,
        quantity=row.orig_qty or None,
        price=None if is_market else row.price or None,
        reason="it expired at Bitrue" if row.status == "EXPIRED" else "",
        created_ms=row.time or 0,
    )


def _state(row: OrderRow) -> ReportState:
    found = _STATES.get(row.status.upper())
    if found is None:
        raise OutcomeUnknown(f"Bitrue reports an order state this version does not know: {row.status[:40]!r}")
    return "partially_filled" if found == "open" and row.executed_qty else found


def _side(side: str) -> Side:
    if side.lower() not in ("buy", "sell"):
        raise OutcomeUnknown(f"Bitrue reports an order that neither buys nor sells: {side[:40]!r}")
    return cast(Side, side.lower())


class FillRow(Row, rename="camel"):
    symbol: str
    order_id: int | str
    price: Decimal
    qty: Decimal
    time: int
    is_buyer: bool
    is_maker: bool
    trade_id: int | str | None = None
    id: int | str = ""
    commission: Decimal = Decimal(0)
    commission_assert: str | None = None  # so it is spelled, but not in the document
    commission_asset: str | None = None


def fill(row: FillRow) -> Fill:
    return Fill(
        trade_id=str(row.trade_id or row.id),
        exchange_order_id=str(row.order_id),
        exchange_symbol=row.symbol.upper(),
        side="buy" if row.is_buyer else "sell",
        price=row.price,
        quantity=row.qty,
        fee=row.commission,
        fee_asset=(row.commission_assert or row.commission_asset or "").upper(),
        is_maker=row.is_maker,
        at_ms=row.time,
    )
