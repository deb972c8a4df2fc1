"""BitoPro, spot, with TWD pairs: https://github.com/bitoex/bitopro-offical-api-docs (read 2025-12).

Not implemented, since BitoPro has nothing for it: `key_permissions` (no endpoint tells a key's rights) and `detect`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from bot import (
    Balance,
    ClientId,
    ExchangeInfo,
    Fill,
    Flow,
    Market,
    Order,
    OrderAck,
    OrderNotFound,
    OrderReport,
    hookimpl,
    known,
)
from tradewire_bitopro import payloads
from tradewire_bitopro.errors import ERRORS, map_error
from tradewire_bitopro.market_data import candles, markets, order_book, server_time, ticker
from tradewire_bitopro.payloads import FillRow, Listed, OrderRow, order_path, pair_of, private
from tradewire_bitopro.signing import sign
from tradewire_bitopro.streams import PATHS, private_stream, public_stream, read_frame

__all__ = [
    "candles",
    "map_error",
    "markets",
    "order_book",
    "private_stream",
    "public_stream",
    "read_frame",
    "server_time",
    "sign",
    "ticker",
]
"""Hooks that are written elsewhere; all others are below."""

_MOST_MARKETS = 18  # the core lets a flow send 20 requests
_MOST_PAGES = 5
_PAGE = 1000
_TOO_OLD = "It may be older than 90 days."


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
            "GET /v3/trading-history/*",
            "GET /v3/accounts/balance",
            "POST /v3/orders/*",
            "GET /v3/orders/open",
            "GET /v3/orders/all/*",
            "GET /v3/orders/trades/*",
            "GET /v3/orders/*/*",
            "DELETE /v3/orders/*/*",
            "DELETE /v3/orders/*",
            *PATHS,
        ),
        credential_fields=("key", "secret", "email"),
        limits=payloads.LIMITS,
        # 2147483647 stands on every order of BitoPro's own assistant.
        client_id=ClientId("counter", repeats="accepted", max_value=2_147_483_646),
        capabilities=payloads.CAPABILITIES,
        errors=ERRORS,
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
    return known((yield from find_order(order)), "BitoPro", _TOO_OLD)


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
    found = known((yield from find_order(order)), "BitoPro", _TOO_OLD)
    if found.exchange_order_id == exchange_order_id or found.state not in ("open", "partially_filled"):
        raise OrderNotFound("the order can no longer be canceled")
    yield private("DELETE", order_path(order.market, found.exchange_order_id))


@hookimpl
def cancel_all(market: Market) -> Flow[None]:
    """Cancel a pair's orders, also those placed by hand or by BitoPro's own grid bot."""
    with suppress(OrderNotFound):
        yield private("DELETE", f"/v3/orders/{pair_of(market)}", "cancel all")
