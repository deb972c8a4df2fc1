"""Bitrue, spot: https://github.com/Bitrue-exchange/Spot-official-api-docs (of 2023-07-14).

Not implemented, since Bitrue has nothing for it: `cancel_all` (each order is canceled alone) and `detect`.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot import (
    Account,
    Balance,
    Capabilities,
    ClientId,
    Credentials,
    Event,
    ExchangeError,
    ExchangeInfo,
    Fill,
    Flow,
    KeyPermissions,
    Market,
    Order,
    OrderAck,
    OrderBook,
    OrderNotFound,
    OrderReport,
    OutcomeUnknown,
    Request,
    Response,
    Stream,
    Ticker,
    UserError,
    hookimpl,
)
from tradewire_bitrue import errors, payloads, signing, streams
from tradewire_bitrue.payloads import ORDERS, FillRow, OrderRow, order_request, private, public

_MOST_MARKETS = 20
"""Bitrue lists orders of one market at a time, and the core allows 20 requests in one call."""
_PAGE = 1000


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
            "GET /api/v1/account",
            "GET /api/v1/order",
            "POST /api/v1/order",
            "DELETE /api/v1/order",
            "GET /api/v1/openOrders",
            "GET /api/v1/allOrders",
            "GET /api/v2/myTrades",
            f"POST {streams.LISTEN_KEY}",
            f"PUT {streams.LISTEN_KEY}/*",
        ),
        limits=payloads.LIMITS,
        # Unverified: what a repeated id does. The document only says that it must be unique.
        client_id=ClientId("text", max_length=32, repeats="accepted"),
        capabilities=Capabilities(
            order_types=frozenset({"limit", "market"}),
            times_in_force=frozenset({"GTC"}),
            market_buy_in=frozenset({"base"}),
            key_report=True,
            # Taken for five seconds after its time, which may be one second ahead of Bitrue's; doubled.
            absence_seconds=2 * payloads.WINDOW_MS // 1000,
        ),
        errors=errors.ERRORS,
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


@hookimpl
def sign(request: Request, credentials: Credentials, timestamp: int) -> Request:
    return signing.sign(request, credentials, timestamp)


@hookimpl
def map_error(request: Request, response: Response) -> ExchangeError | None:
    return errors.map_error(request, response)


# Market data


@hookimpl
def server_time() -> Flow[int]:
    return (yield public("/api/v1/time")).decode(payloads.Time).server_time


@hookimpl
def markets() -> Flow[list[Market]]:
    listed = (yield public("/api/v1/exchangeInfo")).decode(payloads.Listed).symbols
    return [market for market in map(payloads.market, listed) if market is not None]


@hookimpl
def ticker(market: Market) -> Flow[Ticker]:
    return payloads.ticker((yield public("/api/v1/ticker/24hr", symbol=market.exchange_symbol)), market)


@hookimpl
def order_book(market: Market) -> Flow[OrderBook]:
    reply = yield public("/api/v1/depth", symbol=market.exchange_symbol, limit=100)
    return reply.decode(payloads.Depth).book()


# Account


def _account() -> Flow[payloads.AccountRow]:
    return (yield private("GET", "/api/v1/account", weight=5)).decode(payloads.AccountRow)


@hookimpl
def balances() -> Flow[list[Balance]]:
    return payloads.holdings((yield from _account()))


@hookimpl
def key_permissions() -> Flow[KeyPermissions]:
    return payloads.permissions((yield from _account()))


@hookimpl
def place_order(order: Order) -> Flow[OrderAck]:
    query = payloads.order_query(order)
    return payloads.ack((yield private("POST", "/api/v1/order", bucket=ORDERS, places=True, **query)), order)


@hookimpl
def find_order(order: Order) -> Flow[OrderReport | None]:
    """Look by our id, then among open and all orders of the market, where our id is often missing.

    An order without our id counts only if it is like ours in everything else, and if no other is.
    """
    symbol = order.market.exchange_symbol
    alike: set[str] = set()
    by_our_id = private("GET", "/api/v1/order", bucket=ORDERS, symbol=symbol, origClientOrderId=order.client_order_id)
    try:
        row = (yield by_our_id).decode(OrderRow)
    except OrderNotFound:
        pass
    else:
        # By our id it may be a stale copy, and may be shown without our id.
        if row.client_order_id == order.client_order_id or (
            not row.client_order_id and payloads.looks_like(row, order)
        ):
            return (yield from _by_id(order, row.id))
    for request in (
        private("GET", "/api/v1/openOrders", bucket=ORDERS, symbol=symbol),
        private("GET", "/api/v1/allOrders", bucket=ORDERS, weight=5, symbol=symbol, limit=_PAGE),
    ):
        for row in (yield request).decode(list[OrderRow]):
            if row.client_order_id == order.client_order_id:
                return (yield from _by_id(order, row.id))
            if not row.client_order_id and payloads.looks_like(row, order):
                alike.add(row.id)
    if len(alike) > 1:
        raise OutcomeUnknown(
            f"Bitrue shows {len(alike)} orders like this one, and does not tell which of them it is",
            code="AMBIGUOUS",
            remedy="Look at your orders on Bitrue.",
        )
    return (yield from _by_id(order, alike.pop())) if alike else None


def _by_id(order: Order, exchange_order_id: str) -> Flow[OrderReport]:
    try:
        reply = yield order_request("GET", order, exchange_order_id)
    except OrderNotFound as error:
        text = "Bitrue shows the order in one place and does not know it in another"
        raise OutcomeUnknown(text, code=error.code, transient=True) from error
    return payloads.report(reply.decode(OrderRow))


@hookimpl
def order_status(order: Order, exchange_order_id: str) -> Flow[OrderReport]:
    if exchange_order_id:
        return payloads.report((yield order_request("GET", order, exchange_order_id)).decode(OrderRow))
    found = yield from find_order(order)
    if found is None:
        raise OrderNotFound("Bitrue knows no such order", remedy="Look at your orders on Bitrue.")
    return found


@hookimpl
def open_orders(account: Account, markets: Sequence[Market]) -> Flow[list[OrderReport]]:
    if len(markets) > _MOST_MARKETS:
        text = f"Bitrue lists orders one market at a time; {len(markets)} markets are too many at once. Name a pair."
        raise UserError(text, code="UNSUPPORTED")
    found = []
    for market in markets:
        request = private("GET", "/api/v1/openOrders", bucket=ORDERS, symbol=market.exchange_symbol)
        found += [payloads.report(row) for row in (yield request).decode(list[OrderRow])]
    return found


@hookimpl
def order_history(account: Account, markets: Sequence[Market]) -> Flow[list[OrderReport]]:
    found: list[OrderReport] = []
    for market in markets[:_MOST_MARKETS]:
        symbol = market.exchange_symbol
        request = private("GET", "/api/v1/allOrders", bucket=ORDERS, weight=5, symbol=symbol, limit=100)
        reports = [payloads.report(row) for row in (yield request).decode(list[OrderRow])]
        found += [each for each in reports if each.state not in ("open", "partially_filled")]
    return sorted(found, key=lambda each: each.created_ms, reverse=True)


@hookimpl
def fills(account: Account, markets: Sequence[Market], exchange_order_id: str) -> Flow[list[Fill]]:
    """List by market; there is no list by order."""
    found: list[Fill] = []
    limit = _PAGE if exchange_order_id else 100
    for market in markets[:_MOST_MARKETS]:
        request = private("GET", "/api/v2/myTrades", weight=5, symbol=market.exchange_symbol, limit=limit)
        found += [payloads.fill(row) for row in (yield request).decode(list[FillRow])]
    wanted = [each for each in found if exchange_order_id in ("", each.exchange_order_id)]
    return sorted(wanted, key=lambda each: each.at_ms, reverse=True)


@hookimpl
def cancel_order(order: Order, exchange_order_id: str) -> Flow[None]:
    """Cancel by Bitrue's id, which is looked up where need be: canceling by ours is not reliable."""
    if not exchange_order_id:
        exchange_order_id = (yield from order_status(order, "")).exchange_order_id
    yield order_request("DELETE", order, exchange_order_id)


# Streams


@hookimpl
def public_stream(markets: Sequence[Market]) -> Flow[Sequence[Stream]]:
    return streams.public_stream(markets)


@hookimpl
def private_stream() -> Flow[Sequence[Stream]]:
    return streams.private_stream()


@hookimpl
def read_frame(data: str | bytes) -> Sequence[Event]:
    return streams.read_frame(data)
