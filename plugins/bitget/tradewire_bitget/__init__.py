"""Bitget, spot, classic and unified accounts: https://www.bitget.com/api-doc (read 2025-12).

A key belongs to a classic account (REST v2) or to a unified one (REST v3); `detect` finds out which and keeps it in
`account.facts["mode"]`. Market data is public and comes from v2 for both.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot import (
    Account,
    Balance,
    ClientId,
    ExchangeInfo,
    Fill,
    Flow,
    Limit,
    Market,
    Order,
    OrderAck,
    OrderReport,
    hookimpl,
)
from tradewire_bitget import classic, payloads, unified
from tradewire_bitget.errors import ERRORS, map_error
from tradewire_bitget.keys import detect, is_unified, key_permissions
from tradewire_bitget.market_data import candles, markets, order_book, server_time, ticker
from tradewire_bitget.signing import sign
from tradewire_bitget.streams import HOSTS, private_stream, public_stream, read_frame

# Hooks that are written elsewhere.
__all__ = [
    "candles",
    "detect",
    "key_permissions",
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

_PER_IP = {
    "GET /api/v2/public/time": 20,
    "GET /api/v2/spot/public/symbols": 20,
    "GET /api/v2/spot/market/tickers": 20,
    "GET /api/v2/spot/market/orderbook": 20,
    "GET /api/v2/spot/market/candles": 20,
    "GET /user/verify": 1,  # no address, but the login of a socket; 300 sockets may be opened in five minutes
}
_PER_ACCOUNT = {
    "GET /api/v2/spot/account/info": 1,
    "GET /api/v2/spot/account/assets": 10,
    "POST /api/v2/spot/trade/place-order": 10,
    "POST /api/v2/spot/trade/cancel-order": 10,
    "POST /api/v2/spot/trade/cancel-symbol-order": 5,
    "GET /api/v2/spot/trade/orderInfo": 20,
    "GET /api/v2/spot/trade/unfilled-orders": 20,
    "GET /api/v2/spot/trade/history-orders": 20,
    "GET /api/v2/spot/trade/fills": 10,
    "POST /api/v2/spot/trade/place-plan-order": 20,
    "POST /api/v2/spot/trade/cancel-plan-order": 20,
    "POST /api/v2/spot/trade/batch-cancel-plan-order": 5,
    "GET /api/v2/spot/trade/current-plan-order": 20,
    "GET /api/v2/spot/trade/history-plan-order": 20,
    "GET /api/v2/spot/trade/plan-sub-order": 20,
    "GET /api/v3/account/settings": 20,
    "GET /api/v3/account/info": 1,  # Unverified: no rate is documented; this is what its classic sibling allows.
    "GET /api/v3/account/assets": 20,
    "POST /api/v3/trade/place-order": 10,
    "POST /api/v3/trade/cancel-order": 10,
    "POST /api/v3/trade/cancel-symbol-order": 5,
    "GET /api/v3/trade/order-info": 20,
    "GET /api/v3/trade/unfilled-orders": 20,
    "GET /api/v3/trade/history-orders": 20,  # Unverified: taken from its neighbours, as the next.
    "GET /api/v3/trade/fills": 20,
}
"""Every endpoint in use, and how many requests a second Bitget takes."""


@hookimpl
def exchange_info() -> ExchangeInfo:
    return ExchangeInfo(
        id="bitget",
        title="Bitget",
        hosts={"api": "https://api.bitget.com", **HOSTS},
        paths=(*_PER_IP, *_PER_ACCOUNT),
        credential_fields=("key", "secret", "passphrase"),
        limits={
            **{name: (Limit(rate, 1, "ip"),) for name, rate in _PER_IP.items()},
            **{name: (Limit(rate, 1, "account"),) for name, rate in _PER_ACCOUNT.items()},
            payloads.OVERALL: (Limit(6000, 60),),
        },
        client_id=ClientId("text", 32, repeats="refused_while_open"),
        capabilities=payloads.CAPABILITIES,
        errors=ERRORS,
        docs_url="https://www.bitget.com/api-doc/common/intro",
        key_help=(
            "On bitget.com open your profile, then API Keys, and create a system-generated key.",
            "Choose a passphrase of letters and digits; you need it here, and it cannot be read again.",
            "Allow Read and Spot trade only (on a unified account: trade, and management read).",
            "Leave Withdraw and Transfer OFF.",
            "Enter this server's IP address in the key's whitelist.",
        ),
    )


@hookimpl
def balances(account: Account) -> Flow[list[Balance]]:
    return unified.balances(account) if is_unified(account) else classic.balances(account)


@hookimpl
def place_order(account: Account, order: Order) -> Flow[OrderAck]:
    return unified.place_order(account, order) if is_unified(account) else classic.place_order(account, order)


@hookimpl
def find_order(account: Account, order: Order) -> Flow[OrderReport | None]:
    return unified.find_order(account, order) if is_unified(account) else classic.find_order(account, order)


@hookimpl
def order_status(account: Account, order: Order, exchange_order_id: str) -> Flow[OrderReport]:
    world = unified.order_status if is_unified(account) else classic.order_status
    return world(account, order, exchange_order_id)


@hookimpl
def open_orders(account: Account) -> Flow[list[OrderReport]]:
    return unified.open_orders(account) if is_unified(account) else classic.open_orders(account)


@hookimpl
def order_history(account: Account, markets: Sequence[Market]) -> Flow[list[OrderReport]]:
    return unified.order_history(account) if is_unified(account) else classic.order_history(account, markets)


@hookimpl
def fills(account: Account, exchange_order_id: str) -> Flow[list[Fill]]:
    world = unified.fills if is_unified(account) else classic.fills
    return world(account, exchange_order_id)


@hookimpl
def cancel_order(account: Account, order: Order, exchange_order_id: str) -> Flow[None]:
    world = unified.cancel_order if is_unified(account) else classic.cancel_order
    return world(account, order, exchange_order_id)


@hookimpl
def cancel_all(account: Account, market: Market) -> Flow[None]:
    return unified.cancel_all(account, market) if is_unified(account) else classic.cancel_all(account, market)
