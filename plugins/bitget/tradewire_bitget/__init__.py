"""Bitget, spot, classic and unified accounts: https://www.bitget.com/api-doc (read 2025-12).

A key belongs to a classic account (REST v2) or to a unified one (REST v3); `detect` finds out which and keeps it in
`account.facts["mode"]`. Market data is public and comes from v2 for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot import (
    Account,
    Balance,
    Capabilities,
    ClientId,
    Credentials,
    ExchangeError,
    ExchangeInfo,
    Fill,
    Flow,
    KeyPermissions,
    Limit,
    Market,
    Order,
    OrderAck,
    OrderBook,
    OrderReport,
    Request,
    Response,
    Ticker,
    hookimpl,
)
from tradewire_bitget import classic, errors, market_data, payloads, signing, unified

_LIMITS = {**market_data.LIMITS, **classic.LIMITS, **unified.LIMITS}


@hookimpl
def exchange_info() -> ExchangeInfo:
    return ExchangeInfo(
        id="bitget",
        title="Bitget",
        hosts={"api": "https://api.bitget.com"},
        paths=tuple(_LIMITS),
        credential_fields=("key", "secret", "passphrase"),
        limits={**{name: (limit,) for name, limit in _LIMITS.items()}, payloads.OVERALL: (Limit(6000, 60),)},
        client_id=ClientId("text", 32, repeats="refused_while_open"),
        capabilities=Capabilities(
            order_types=frozenset({"limit", "market", "stop_limit", "stop_market"}),
            times_in_force=frozenset({"GTC", "IOC", "FOK"}),
            post_only=True,
            market_buy_in=frozenset({"quote"}),
            cancel_all=True,
            key_report=True,
            sandbox=True,
            absence_seconds=35,  # a timestamp is taken for 30 seconds
        ),
        errors=errors.ERRORS,
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
def sign(request: Request, credentials: Credentials, timestamp: int) -> Request:
    return signing.sign(request, credentials, timestamp)


@hookimpl
def map_error(request: Request, response: Response) -> ExchangeError | None:
    return errors.map_error(response)


@hookimpl
def server_time() -> Flow[int]:
    return market_data.server_time()


@hookimpl
def markets() -> Flow[list[Market]]:
    return market_data.markets()


@hookimpl
def ticker(market: Market) -> Flow[Ticker]:
    return market_data.ticker(market)


@hookimpl
def order_book(market: Market) -> Flow[OrderBook]:
    return market_data.order_book(market)


@hookimpl
def detect(account: Account) -> Flow[Mapping[str, str]]:
    return unified.detect(account)


@hookimpl
def key_permissions(account: Account) -> Flow[KeyPermissions]:
    return unified.key_permissions(account) if _is_unified(account) else classic.key_permissions(account)


@hookimpl
def balances(account: Account) -> Flow[list[Balance]]:
    return unified.balances(account) if _is_unified(account) else classic.balances(account)


@hookimpl
def place_order(account: Account, order: Order) -> Flow[OrderAck]:
    return unified.place_order(account, order) if _is_unified(account) else classic.place_order(account, order)


@hookimpl
def find_order(account: Account, order: Order) -> Flow[OrderReport | None]:
    return unified.find_order(account, order) if _is_unified(account) else classic.find_order(account, order)


@hookimpl
def order_status(account: Account, order: Order, exchange_order_id: str) -> Flow[OrderReport]:
    world = unified.order_status if _is_unified(account) else classic.order_status
    return world(account, order, exchange_order_id)


@hookimpl
def open_orders(account: Account) -> Flow[list[OrderReport]]:
    return unified.open_orders(account) if _is_unified(account) else classic.open_orders(account)


@hookimpl
def order_history(account: Account, markets: Sequence[Market]) -> Flow[list[OrderReport]]:
    return unified.order_history(account) if _is_unified(account) else classic.order_history(account, markets)


@hookimpl
def fills(account: Account, exchange_order_id: str) -> Flow[list[Fill]]:
    world = unified.fills if _is_unified(account) else classic.fills
    return world(account, exchange_order_id)


@hookimpl
def cancel_order(account: Account, order: Order, exchange_order_id: str) -> Flow[None]:
    world = unified.cancel_order if _is_unified(account) else classic.cancel_order
    return world(account, order, exchange_order_id)


@hookimpl
def cancel_all(account: Account, market: Market) -> Flow[None]:
    return unified.cancel_all(account, market) if _is_unified(account) else classic.cancel_all(account, market)


def _is_unified(account: Account) -> bool:
    return account.facts.get("mode") == "unified"
