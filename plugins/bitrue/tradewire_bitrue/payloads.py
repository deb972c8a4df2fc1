"""Between Bitrue's fields and the models: https://github.com/Bitrue-exchange/Spot-official-api-docs (of 2023-07-14).

Where what the exchange sends differs from its document, as recorded by programs that trade there, both are read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any, cast

import msgspec

from bot import (
    INTERVALS,
    TIMESTAMP,
    Balance,
    Candle,
    Capabilities,
    Fill,
    Interval,
    KeyPermissions,
    Limit,
    Market,
    Number,
    Order,
    OrderAck,
    OrderBook,
    OrderReport,
    OutcomeUnknown,
    ReportState,
    Request,
    Response,
    Ticker,
    book_of,
    candles_of,
    plain,
    refuse_undeclared,
    side_of,
    state_of,
    step_of,
)
from bot import Row as AnyRow

WINDOW_MS = 5000
"""For how long after its time a signed request is taken: sent with each as `recvWindow`."""
LIMITS: Mapping[str, tuple[Limit, ...]] = {
    # The documented figures. Far larger ones have been seen in `exchangeInfo`, and they change.
    "general": (Limit(1200, 60),),
    # Unverified: that only placing and canceling count here, and reading an order or a list of them does not.
    "orders": (Limit(100, 60), Limit(100, 60, "account")),
}
CAPABILITIES = Capabilities(
    order_types=frozenset({"limit", "market"}),
    times_in_force=frozenset({"GTC"}),
    market_buy_in=frozenset({"base"}),
    key_report=True,
    # Taken for five seconds after its time, which may be one second ahead of Bitrue's; doubled.
    absence_seconds=2 * WINDOW_MS // 1000,
)

_FEE = Decimal("0.00098")
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
    return Request.get(path, query, auth="none", costs={"general": 1})


def private(method: str, path: str, *, weight: int = 1, places: bool = False, **query: Any) -> Request:
    """Describe a signed request. All is in the query, for every method; `sign` puts the signature last."""
    pairs = (*query.items(), ("recvWindow", WINDOW_MS), ("timestamp", TIMESTAMP))
    costs = {"general": weight} if method == "GET" else {"general": weight, "orders": weight}
    return Request(method=method, path=path, query=pairs, places=places, costs=costs)


class Row(AnyRow, rename="camel"):
    """A part of a reply."""


# Market data


class Time(Row):
    server_time: int


_SCALES = {"1m": "1m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1H", "4h": "4H", "1d": "1D"}


class _Candle(AnyRow):
    at_ms: Decimal = msgspec.field(name="is")
    o: Decimal
    h: Decimal
    l: Decimal  # noqa: E741
    c: Decimal
    v: Decimal


class _Candles(msgspec.Struct):
    data: list[_Candle]


def candle_query(market: Market, interval: Interval, start_ms: int, end_ms: int) -> dict[str, str | int]:
    """Return what asks for the newest candles from `start_ms` on."""
    most = min(1440, (end_ms - start_ms) // INTERVALS[interval] + 2)
    return {"symbol": market.exchange_symbol, "scale": _SCALES[interval], "limit": most}


def candles(response: Response, start_ms: int, end_ms: int) -> list[Candle]:
    """Return the candles between two times."""
    rows = response.decode(_Candles).data
    return candles_of(((row.at_ms, row.o, row.h, row.l, row.c, row.v) for row in rows), start_ms, end_ms)


class Filter(Row):
    """One of a market's rules; each has fields of its own, and any may be missing."""

    filter_type: str = ""
    price_scale: Number = None
    tick_size: Number = None
    volume_scale: Number = None
    step_size: Number = None
    min_qty: Number = None
    max_qty: Number = None
    min_val: Number = None


class SymbolRow(Row):
    symbol: str
    base_asset: str
    quote_asset: str
    status: str = ""
    filters: tuple[Filter, ...] = ()


class Listed(msgspec.Struct):
    symbols: list[msgspec.Raw]


def markets(response: Response) -> list[Market]:
    """Return the markets that can be read; one that cannot is left out, and the others can be traded."""
    listed, found = response.decode(Listed).symbols, []
    for each in listed:
        with suppress(OutcomeUnknown, msgspec.DecodeError):
            found.append(market(msgspec.json.decode(each, type=SymbolRow)))
    if listed and not found:
        raise OutcomeUnknown("Bitrue sent a list of markets of which none can be read")
    return found


def market(row: SymbolRow) -> Market:
    """Return the market.

    Raises:
        OutcomeUnknown: Its decimals are not told: no order could be rounded.
    """
    by_type = {each.filter_type: each for each in row.filters}
    price, lot = by_type.get("PRICE_FILTER", Filter()), by_type.get("LOT_SIZE", Filter())
    base, quote = row.base_asset.upper(), row.quote_asset.upper()
    price_step = _step(price.price_scale, price.tick_size)
    return Market(
        symbol=f"{base}/{quote}",
        exchange_symbol=row.symbol.upper(),
        base=base,
        quote=quote,
        price_step=price_step,
        quantity_step=_step(lot.volume_scale, lot.step_size),
        quote_step=price_step,
        min_quantity=lot.min_qty or Decimal(0),
        # Where there is none, a number of many nines stands there.
        max_quantity=lot.max_qty if lot.max_qty and lot.max_qty < _NO_MAXIMUM else None,
        min_notional=lot.min_val or Decimal(0),
        maker_fee=_FEE,
        taker_fee=_FEE,
        status="online" if row.status == "TRADING" else "halted",
    )


def _step(scale: Decimal | None, step: Decimal | None) -> Decimal:
    """Return the step: the number of decimals has always been told, the step itself of late. The coarser one holds."""
    coarser = max(step or Decimal(0), Decimal(0) if scale is None else step_of(scale))
    if not coarser:
        raise OutcomeUnknown("Bitrue does not tell the market's decimals")
    return coarser


class TickerRow(Row):
    symbol: str = ""
    last_price: Number = None
    bid_price: Number = None
    ask_price: Number = None
    open_price: Number = None
    high_price: Number = None
    low_price: Number = None
    volume: Number = None


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
        return book_of(self.bids or self.buys, self.asks)


# Account


class BalanceRow(Row):
    asset: str
    free: Decimal
    locked: Decimal = Decimal(0)


class AccountRow(Row):
    balances: list[BalanceRow]
    can_trade: bool | None = None
    can_withdraw: bool | None = None


def holdings(response: Response) -> list[Balance]:
    """Return what is not zero; the list holds every coin there is."""
    rows = response.decode(AccountRow).balances
    return [Balance(row.asset.upper(), row.free, row.locked) for row in rows if row.free or row.locked]


def permissions(response: Response) -> KeyPermissions:
    """Return what the account's flags say.

    Unverified: whether they are the key's rights or the account's. A working account has been seen with all of them
    false, and an account may be able to withdraw where the key is not: so neither bars trading.
    """
    account = response.decode(AccountRow)
    note = "Bitrue reports no right to trade; the first order will show whether that is so."
    hint = (
        "Bitrue reports that withdrawals are possible; that may mean your account and not this key. See that"
        " Withdraw is not ticked for this key, and delete the key if it is."
    )
    return KeyPermissions(
        can_read="yes",
        can_trade="yes" if account.can_trade else "unknown",
        can_withdraw="no" if account.can_withdraw is False else "unknown",
        note=note if account.can_trade is False else "",
        withdraw_hint=hint if account.can_withdraw else "",
    )


# Orders and fills


def order_query(order: Order) -> dict[str, Any]:
    """Return what placing sends; the size is in base, also of a market buy.

    Raises:
        UserError: Bitrue has no such order.
    """
    refuse_undeclared(order, "Bitrue", CAPABILITIES)
    head = {"symbol": order.market.exchange_symbol, "side": order.side.upper(), "type": order.type.upper()}
    size = {"quantity": plain(order.size.amount)}
    if order.type == "limit":
        size = {"timeInForce": "GTC", **size, "price": plain(order.price)}
    return {**head, **size, "newClientOrderId": order.client_order_id}


class Identified(Row):
    """What has an id of Bitrue's: up to 18 digits, as a number or as text."""

    order_id: int | str
    order_id_str: str | None = None

    @property
    def id(self) -> str:
        """The id as text."""
        found = self.order_id_str or str(self.order_id)
        if not re.fullmatch(r"[0-9]*[1-9][0-9]*", found):
            raise OutcomeUnknown("Bitrue answered without the order's id")
        return found


def ack(response: Response, order: Order) -> OrderAck:
    """Return the acknowledgement. Bitrue's word for our id is often empty there."""
    return OrderAck(response.decode(Identified).id, order.client_order_id)


class OrderRow(Identified, kw_only=True):
    """An order. Our id often comes back empty."""

    symbol: str
    side: str
    type: str
    status: str
    orig_qty: Decimal
    executed_qty: Decimal
    quote_value: Number = msgspec.field(name="cummulativeQuoteQty", default=None)  # so it is spelled
    price: Number = None
    client_order_id: str | None = None
    time: int | str | None = None

    @property
    def created_ms(self) -> int:
        """When Bitrue took it; zero where that is not told."""
        return int(self.time) if self.time and re.fullmatch(r"[0-9]{1,15}", str(self.time)) else 0


def is_alike(row: OrderRow, order: Order) -> bool:
    """Say whether `row`, which does not tell our id, can be `order` by all else."""
    told = (row.symbol.upper(), row.side.lower(), row.type.lower(), row.orig_qty)
    if row.client_order_id or told != (order.market.exchange_symbol, order.side, order.type, order.size.amount):
        return False
    return order.type == "market" or (row.price or order.price) == order.price  # a price not told may be the same


def report(row: OrderRow) -> OrderReport:
    filled, is_market = row.executed_qty, row.type.upper() == "MARKET"
    return OrderReport(
        exchange_order_id=row.id,
        client_order_id=row.client_order_id or "",
        exchange_symbol=row.symbol.upper(),
        side=side_of(row.side),
        type="market" if is_market else "limit",
        state=state_of(_STATES, row.status.upper(), filled),
        filled=filled,
        average_price=row.quote_value / filled if filled and row.quote_value else None,
        quantity=row.orig_qty or None,
        price=None if is_market else row.price or None,
        reason="it expired at Bitrue" if row.status == "EXPIRED" else "",
        created_ms=row.created_ms,
    )


class FillRow(Row):
    symbol: str
    order_id: int | str
    price: Decimal
    qty: Decimal
    time: int
    is_buyer: bool
    is_maker: bool
    trade_id: int | str | None = None
    id: int | str = ""
    commission: Number = None
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
        fee=row.commission or Decimal(0),
        fee_asset=(row.commission_assert or row.commission_asset or "").upper(),
        is_maker=row.is_maker,
        at_ms=row.time,
    )
