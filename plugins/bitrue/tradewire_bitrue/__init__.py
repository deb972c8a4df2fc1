"""Bitrue, spot: https://github.com/Bitrue-exchange/Spot-official-api-docs (of 2023-07-14).

Not implemented, since Bitrue has nothing for it: `cancel_all` (each order is canceled alone) and `detect`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot import (
    Account,
    Balance,
    Candle,
    ClientId,
    ExchangeInfo,
    Fill,
    Flow,
    Interval,
    InvalidOrder,
    KeyPermissions,
    Market,
    Order,
    OrderAck,
    OrderBook,
    OrderNotFound,
    OrderReport,
    OutcomeUnknown,
    Ticker,
    UserError,
    hookimpl,
    known,
)
from tradewire_bitrue import payloads
from tradewire_bitrue.errors import ERRORS, map_error
from tradewire_bitrue.payloads import FillRow, OrderRow, private, public
from tradewire_bitrue.signing import sign
from tradewire_bitrue.streams import LISTEN_KEY, private_stream, public_stream, read_frame

__all__ = ["map_error", "private_stream", "public_stream", "read_frame", "sign"]
"""Hooks that are written elsewhere; all others are below."""

_ORDER, _OPEN, _HISTORY = "/api/v1/order", "/api/v1/openOrders", "/api/v1/allOrders"
_MOST_MARKETS = 20
"""Bitrue lists orders of one market at a time, and the core allows 20 requests in one call."""
_PAGE, _MOST_PAGES = 1000, 10
_LOOK = "Look at your orders on Bitrue."


@hookimpl
def exchange_info() -> ExchangeInfo:
    return ExchangeInfo(
        id="bitrue",
        title="Bitrue",
        hosts={
            "api": "https://openapi.bitrue.com",
            "user": "https://open.bitrue.com",
            "ws": "wss://ws.bitrue.com",
            "user ws": "wss://wsapi.bitrue.com",
        },
        paths=(
            "GET /api/v1/time",
            "GET /api/v1/exchangeInfo",
            "GET /api/v1/ticker/24hr",
            "GET /api/v1/depth",
            "GET /api/v1/market/kline",
            "GET /api/v1/account",
            *(f"{method} {_ORDER}" for method in ("GET", "POST", "DELETE")),
            f"GET {_OPEN}",
            f"GET {_HISTORY}",
            "GET /api/v2/myTrades",
            f"POST {LISTEN_KEY}",
            f"PUT {LISTEN_KEY}/*",
        ),
        limits=payloads.LIMITS,
        # Unverified: what a repeated id does. The document only says that it must be unique.
        client_id=ClientId("text", max_length=32, repeats="accepted"),
        capabilities=payloads.CAPABILITIES,
        errors=ERRORS,
        docs_url="https://github.com/Bitrue-exchange/Spot-official-api-docs",
        key_help=(
            "On bitrue.com click the profile icon at the top right, then API Management, and create a key."
            " Bitrue wants your identity verified and Google Authenticator switched on first.",
            "Tick Read and Trade. Leave Withdraw OFF: Bitrue's reports do not tell for certain whether it is on.",
            "Enter this server's IP address as trusted.",
            "Copy both parts at once: the secret key is shown only while the key is created.",
            "A new key may need a minute or two before it works.",
        ),
    )


# Market data


@hookimpl
def server_time() -> Flow[int]:
    return (yield public("/api/v1/time")).decode(payloads.Time).server_time


@hookimpl
def markets() -> Flow[list[Market]]:
    return payloads.markets((yield public("/api/v1/exchangeInfo")))


@hookimpl
def ticker(market: Market) -> Flow[Ticker]:
    return payloads.ticker((yield public("/api/v1/ticker/24hr", symbol=market.exchange_symbol)), market)


@hookimpl
def order_book(market: Market) -> Flow[OrderBook]:
    reply = yield public("/api/v1/depth", symbol=market.exchange_symbol, limit=100)
    return reply.decode(payloads.Depth).book()


@hookimpl
def candles(market: Market, interval: Interval, start_ms: int, end_ms: int) -> Flow[list[Candle]]:
    """The newest are listed, up to now; `fromIdx` could name another end, but no document says how.

    Unverified: that without `fromIdx` it is the newest `limit` candles that are listed, and not the oldest. In which
    order they come does not matter.
    """
    query = payloads.candle_query(market, interval, start_ms, end_ms)
    return payloads.candles((yield public("/api/v1/market/kline", **query)), start_ms, end_ms)


# Account


@hookimpl
def balances() -> Flow[list[Balance]]:
    return payloads.holdings((yield private("GET", "/api/v1/account", weight=5)))


@hookimpl
def key_permissions() -> Flow[KeyPermissions]:
    return payloads.permissions((yield private("GET", "/api/v1/account", weight=5)))


# One order


@hookimpl
def place_order(order: Order) -> Flow[OrderAck]:
    return payloads.ack((yield private("POST", _ORDER, places=True, **payloads.order_query(order))), order)


@hookimpl
def find_order(order: Order) -> Flow[OrderReport | None]:
    """Look by our id, then among open and all orders of the market, where our id is often missing.

    An order without our id counts only if it is like ours in everything else, and if no other is.
    """
    symbol, ours = order.market.exchange_symbol, order.client_order_id
    refused: InvalidOrder | None = None
    try:
        found = (yield private("GET", _ORDER, symbol=symbol, origClientOrderId=ours)).decode(OrderRow)
    except OrderNotFound:
        pass
    except InvalidOrder as error:
        # Bitrue's own id is documented as mandatory. Asked without it, Bitrue may miss it; the lists can tell as well.
        if error.code != "-1102":
            raise
        refused = error
    else:
        # By our id it may be a stale copy, and may be shown without our id.
        if found.client_order_id == ours or payloads.is_alike(found, order):
            return (yield from _by_id(order, found.id))
    listed = (yield private("GET", _OPEN, symbol=symbol)).decode(list[OrderRow])
    if all(each.client_order_id != ours for each in listed):
        listed += yield from _history(order)
    ids = {each.id for each in listed if each.client_order_id == ours}
    ids = ids or {each.id for each in listed if payloads.is_alike(each, order)}
    if len(ids) > 1:
        text = f"Bitrue shows {len(ids)} orders like this one, and does not tell which of them it is"
        raise OutcomeUnknown(text, code="AMBIGUOUS", remedy=_LOOK)
    if ids:
        return (yield from _by_id(order, ids.pop()))
    if refused is not None:
        text = "Bitrue does not show the order, and refuses to look it up by our id"
        raise OutcomeUnknown(text, code="UNSUPPORTED", remedy=_LOOK) from refused
    return None


def _history(order: Order) -> Flow[list[OrderRow]]:
    """Return all orders of the market, or those down to the one with our id. None may be passed over.

    Unverified: that with `endTime` the newest before it are listed, as the newest of all are without.
    """
    found: list[OrderRow] = []
    until: dict[str, Any] = {}
    for _ in range(_MOST_PAGES):
        request = private("GET", _HISTORY, weight=5, symbol=order.market.exchange_symbol, limit=_PAGE, **until)
        page = (yield request).decode(list[OrderRow])
        if found and found[-1].id not in {each.id for each in page}:
            raise OutcomeUnknown("Bitrue left out a part of the list of orders", transient=True)
        found += sorted(page, key=lambda each: each.created_ms, reverse=True)
        if len(page) < _PAGE or any(each.client_order_id == order.client_order_id for each in page):
            return found
        # Each page shows the end of the one before once more, even if Bitrue counts whole seconds there.
        until = {"endTime": found[-1].created_ms + 1000}
    text = "Bitrue has more orders of this market than can be looked through"
    raise OutcomeUnknown(text, code="UNSUPPORTED", remedy=_LOOK)


def _by_id(order: Order, exchange_order_id: str) -> Flow[OrderReport]:
    try:
        return (yield from order_status(order, exchange_order_id))
    except OrderNotFound as error:
        text = "Bitrue shows the order in one place and does not know it in another"
        raise OutcomeUnknown(text, code=error.code, transient=True) from error


@hookimpl
def order_status(order: Order, exchange_order_id: str) -> Flow[OrderReport]:
    if exchange_order_id:
        request = private("GET", _ORDER, symbol=order.market.exchange_symbol, orderId=exchange_order_id)
        return payloads.report((yield request).decode(OrderRow))
    return known((yield from find_order(order)), "Bitrue")


@hookimpl
def cancel_order(order: Order, exchange_order_id: str) -> Flow[None]:
    """Cancel by Bitrue's id, which is looked up where need be: canceling by ours is not reliable."""
    if not exchange_order_id:
        exchange_order_id = (yield from order_status(order, "")).exchange_order_id
    yield private("DELETE", _ORDER, symbol=order.market.exchange_symbol, orderId=exchange_order_id)


# Lists


@hookimpl
def open_orders(account: Account, markets: Sequence[Market]) -> Flow[list[OrderReport]]:
    if len(markets) > _MOST_MARKETS:
        text = f"Bitrue lists orders one market at a time; {len(markets)} markets are too many at once. Name a pair."
        raise UserError(text, code="UNSUPPORTED")
    found = []
    for market in markets:
        request = private("GET", _OPEN, symbol=market.exchange_symbol)
        found += [payloads.report(each) for each in (yield request).decode(list[OrderRow])]
    return found


@hookimpl
def order_history(account: Account, markets: Sequence[Market]) -> Flow[list[OrderReport]]:
    found: list[OrderReport] = []
    for market in markets[:_MOST_MARKETS]:
        request = private("GET", _HISTORY, weight=5, symbol=market.exchange_symbol, limit=100)
        found += [payloads.report(each) for each in (yield request).decode(list[OrderRow])]
    done = [each for each in found if each.state not in ("open", "partially_filled")]
    return sorted(done, key=lambda each: each.created_ms, reverse=True)


@hookimpl
def fills(account: Account, markets: Sequence[Market], exchange_order_id: str) -> Flow[list[Fill]]:
    """List by market; there is no list by order."""
    found: list[Fill] = []
    limit = _PAGE if exchange_order_id else 100
    for market in markets[:_MOST_MARKETS]:
        request = private("GET", "/api/v2/myTrades", weight=5, symbol=market.exchange_symbol, limit=limit)
        found += [payloads.fill(each) for each in (yield request).decode(list[FillRow])]
    wanted = [each for each in found if exchange_order_id in ("", each.exchange_order_id)]
    return sorted(wanted, key=lambda each: each.at_ms, reverse=True)
