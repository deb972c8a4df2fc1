"""BitoPro, spot, with TWD pairs: https://github.com/bitoex/bitopro-offical-api-docs (read 2025-12).

Not implemented, since BitoPro has nothing for it: `key_permissions` (no endpoint tells a key's rights) and `detect`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from bot import (
    Balance,
    Capabilities,
    ClientId,
    Credentials,
    Event,
    ExchangeError,
    ExchangeInfo,
    Fill,
    Flow,
    Market,
    Order,
    OrderAck,
    OrderBook,
    OrderNotFound,
    OrderReport,
    Request,
    Response,
    Stream,
    Ticker,
    hookimpl,
)
from tradewire_bitopro import errors, payloads, signing, streams
from tradewire_bitopro.payloads import FillRow, Listed, OrderRow, order_path, pair_of, private, public

_MOST_MARKETS = 18  # the core lets a flow send 20 requests
_MOST_PAGES = 5
_PAGE = 1000


@hookimpl
def exchange_info() -> ExchangeInfo:
    return ExchangeInfo(
        id="bitopro",
        title="BitoPro",
        hosts={"api": "https://api.bitopro.com", "ws": "wss://stream.bitopro.com:443"},
        paths=(
            "GET /v3/provisioning/trading-pairs",
            "GET /v3/tickers/*",
            "GET /v3/order-book/*",
            "GET /v3/accounts/balance",
            "POST /v3/orders/*",
            "GET /v3/orders/open",
            "GET /v3/orders/all/*",
            "GET /v3/orders/trades/*",
            "GET /v3/orders/*/*",
            "DELETE /v3/orders/*/*",
            "DELETE /v3/orders/*",
            *streams.PATHS,
        ),
        credential_fields=("key", "secret", "email"),
        limits=payloads.LIMITS,
        # 2147483647 stands on every order of BitoPro's own assistant.
        client_id=ClientId("counter", repeats="accepted", max_value=2_147_483_646),
        capabilities=Capabilities(
            order_types=frozenset({"limit", "market", "stop_limit"}),
            times_in_force=frozenset({"GTC"}),
            post_only=True,
            market_buy_in=frozenset({"quote"}),
            cancel_all=True,
            absence_seconds=None,  # how long a timestamp is taken for is not documented
        ),
        errors=errors.ERRORS,
        nonce="rising",
        docs_url="https://github.com/bitoex/bitopro-offical-api-docs",
        key_help=(
            "On bitopro.com click your name at the top right, then API, and create a key.",
            "Allow reading and orders only. Leave Withdraw OFF: no later look can tell whether it is on.",
            "Enter this server's IP address. Neither rights nor addresses can be changed afterwards.",
            "Confirm with the code from BitoPro's e-mail within 30 minutes, and copy the secret: it is shown once.",
            "Besides key and secret you need the account's e-mail address; it is part of each signature.",
            "Use the key for this bot only: two programs on one key refuse each other's requests.",
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
    """There is no endpoint for it: read the `Date` header of a small public reply."""
    return payloads.server_time((yield public("/v3/tickers/btc_twd")))


@hookimpl
def markets() -> Flow[list[Market]]:
    reply = yield public("/v3/provisioning/trading-pairs")
    return [payloads.market(row) for row in reply.decode(Listed[list[payloads.PairRow]]).data]


@hookimpl
def ticker(market: Market) -> Flow[Ticker]:
    """The ticker tells neither bid nor ask; the order book does."""
    reply = yield public(f"/v3/tickers/{pair_of(market)}")
    best = payloads.order_book((yield public(f"/v3/order-book/{pair_of(market)}", limit=1)))
    return payloads.ticker(reply, best, market)


@hookimpl
def order_book(market: Market) -> Flow[OrderBook]:
    return payloads.order_book((yield public(f"/v3/order-book/{pair_of(market)}", limit=50)))


# Account


@hookimpl
def balances() -> Flow[list[Balance]]:
    reply = yield private("GET", "/v3/accounts/balance")
    return payloads.holdings(reply.decode(Listed[list[payloads.BalanceRow]]).data)


@hookimpl
def place_order(order: Order) -> Flow[OrderAck]:
    body = payloads.order_body(order)
    reply = yield private("POST", f"/v3/orders/{pair_of(order.market)}", json=body, places=True)
    return payloads.ack(reply, order)


@hookimpl
def find_order(order: Order) -> Flow[OrderReport | None]:
    """Look by our id, then among open orders and the newest of all.

    Our id is a label that may repeat, so pair, side, type, size and prices must fit too. The time is in the report:
    when the order was sent is not known here.
    """
    pair = pair_of(order.market)
    every = f"/v3/orders/all/{pair}"
    for request in (
        private("GET", every, clientId=order.client_order_id, statusKind="ALL"),
        private("GET", "/v3/orders/open", "open orders", pair=pair),
        private("GET", every, statusKind="ALL", limit=_PAGE),
    ):
        rows = (yield request).decode(Listed[list[OrderRow]]).data
        found = [row for row in rows if payloads.is_same(row, order)]
        # Unverified: a stop order has an id with `SL-`, and perhaps another once triggered: then that one counts.
        found.sort(key=lambda row: str(row.id).startswith("SL-"))
        if found:
            return payloads.report(found[0])
    return None


@hookimpl
def order_status(order: Order, exchange_order_id: str) -> Flow[OrderReport]:
    """Ask by BitoPro's id; by ours when that is not known, as after a stop order was triggered."""
    if exchange_order_id:
        with suppress(OrderNotFound):
            row = (yield private("GET", order_path(order.market, exchange_order_id))).decode(OrderRow)
            if row.id:  # an unknown order is also told by a row without id
                return payloads.report(row)
    return _known((yield from find_order(order)))


@hookimpl
def open_orders() -> Flow[list[OrderReport]]:
    """List those of all pairs, stop orders that wait included."""
    rows = (yield private("GET", "/v3/orders/open", "open orders")).decode(Listed[list[OrderRow]]).data
    return [payloads.report(row) for row in rows]


@hookimpl
def order_history(markets: Sequence[Market]) -> Flow[list[OrderReport]]:
    """List by pair, as BitoPro does. Its filter `DONE` would leave out canceled orders."""
    found: list[OrderReport] = []
    for market in markets[:_MOST_MARKETS]:
        request = private("GET", f"/v3/orders/all/{pair_of(market)}", statusKind="ALL", limit=100)
        rows = (yield request).decode(Listed[list[OrderRow]]).data
        found += [each for each in map(payloads.report, rows) if each.state not in ("open", "partially_filled")]
    return sorted(found, key=lambda each: each.created_ms, reverse=True)


@hookimpl
def fills(markets: Sequence[Market], exchange_order_id: str) -> Flow[list[Fill]]:
    found: list[Fill] = []
    for market in markets[:_MOST_MARKETS]:
        rows = yield from _trades(market, exchange_order_id)
        found += [payloads.fill(row, market) for row in rows]
    wanted = [each for each in found if exchange_order_id in ("", each.exchange_order_id)]
    return sorted(wanted, key=lambda each: each.at_ms, reverse=True)


def _trades(market: Market, exchange_order_id: str) -> Flow[list[FillRow]]:
    # A trade's number stands on both sides of a trade with oneself.
    rows: dict[tuple[str, str], FillRow] = {}
    query: dict[str, str | int] = (
        {"orderId": exchange_order_id, "limit": _PAGE} if exchange_order_id else {"limit": 100}
    )
    for _ in range(_MOST_PAGES):
        request = private("GET", f"/v3/orders/trades/{pair_of(market)}")
        page = (yield request.with_query(query)).decode(Listed[list[FillRow]]).data
        fresh = {(str(row.trade_id), str(row.order_id)): row for row in page}
        is_last = not exchange_order_id or len(page) < _PAGE or fresh.keys() <= rows.keys()
        rows.update(fresh)
        if is_last:
            break
        query["tradeId"] = str(page[-1].trade_id)  # the next page begins with this one again
    return list(rows.values())


@hookimpl
def cancel_order(order: Order, exchange_order_id: str) -> Flow[None]:
    """Cancel by BitoPro's id; there is no way to cancel by ours, so it is looked up where need be."""
    if exchange_order_id:
        try:
            yield private("DELETE", order_path(order.market, exchange_order_id))
            return
        except OrderNotFound:
            if order.type != "stop_limit":
                raise
    found = _known((yield from find_order(order)))
    if found.exchange_order_id == exchange_order_id or found.state not in ("open", "partially_filled"):
        raise OrderNotFound("the order can no longer be canceled")
    yield private("DELETE", order_path(order.market, found.exchange_order_id))


def _known(found: OrderReport | None) -> OrderReport:
    if found is None:
        raise OrderNotFound("BitoPro knows no such order", remedy="It may be older than 90 days.")
    return found


@hookimpl
def cancel_all(market: Market) -> Flow[None]:
    """Cancel a pair's orders, also those placed by hand or by BitoPro's own grid bot."""
    with suppress(OrderNotFound):
        yield private("DELETE", f"/v3/orders/{pair_of(market)}", "cancel all")


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
