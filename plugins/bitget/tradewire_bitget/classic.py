"""Private flows of classic accounts, v2: https://www.bitget.com/api-doc/spot/trade (read 2025-12).

Stop orders, which Bitget calls plan orders, are kept apart there and here: see `plans`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec

from bot import (
    TIMESTAMP_TEXT,
    Account,
    Balance,
    Fill,
    Flow,
    KeyPermissions,
    Limit,
    Market,
    Order,
    OrderAck,
    OrderNotFound,
    OrderReport,
    Response,
)
from tradewire_bitget import payloads, plans
from tradewire_bitget.payloads import NO_NUMBER, PAGE, TRADE_V2, Number, OrderRow, Reply, action, amount, private

ACCOUNT_INFO = "/api/v2/spot/account/info"
_ASSETS = "/api/v2/spot/account/assets"

LIMITS: Mapping[str, Limit] = {
    f"GET {ACCOUNT_INFO}": Limit(1, 1, "account"),
    f"GET {_ASSETS}": Limit(10, 1, "account"),
    f"POST {TRADE_V2}place-order": Limit(10, 1, "account"),
    f"POST {TRADE_V2}cancel-order": Limit(10, 1, "account"),
    f"POST {TRADE_V2}cancel-symbol-order": Limit(5, 1, "account"),
    f"GET {TRADE_V2}orderInfo": Limit(20, 1, "account"),
    f"GET {TRADE_V2}unfilled-orders": Limit(20, 1, "account"),
    f"GET {TRADE_V2}history-orders": Limit(20, 1, "account"),
    f"GET {TRADE_V2}fills": Limit(10, 1, "account"),
    **plans.LIMITS,
}


class _Rights(msgspec.Struct):
    authorities: list[str] | None = None
    ips: str | None = None


def key_permissions(account: Account) -> Flow[KeyPermissions]:
    """Read the key's rights; they are short codes such as `stow`, "spot trade, write"."""
    rights = (yield private(account, ACCOUNT_INFO)).decode(Reply[_Rights]).data
    words = {word.lower() for word in rights.authorities or ()}
    if not words:
        return KeyPermissions(is_ip_bound="yes" if rights.ips else "no")
    return KeyPermissions(
        can_read="yes" if words & {"stor", "stow", "readonly", "trade"} else "no",
        can_trade="yes" if words & {"stow", "trade"} else "no",
        can_withdraw="yes" if any(word == "wwow" or "withdraw" in word for word in words) else "no",
        is_ip_bound="yes" if rights.ips else "no",
        note=payloads.MAY_TRANSFER if "wtow" in words else "",
    )


class _Asset(msgspec.Struct):
    coin: str
    available: Number = NO_NUMBER
    frozen: Number = NO_NUMBER
    locked: Number = NO_NUMBER


def balances(account: Account) -> Flow[list[Balance]]:
    """Read the spot account. Futures, funding and earn money is elsewhere and cannot be traded from here."""
    rows = (yield private(account, _ASSETS)).decode(Reply[list[_Asset]]).data
    found = (Balance(row.coin.upper(), amount(row.available), amount(row.frozen) + amount(row.locked)) for row in rows)
    return [balance for balance in found if balance.free or balance.locked]


def place_order(account: Account, order: Order) -> Flow[OrderAck]:
    """Place an order."""
    if order.type in plans.TYPES:
        return (yield from plans.place(account, order))
    is_limit = order.type == "limit"
    body = {
        "symbol": order.market.exchange_symbol,
        "side": order.side,
        "orderType": order.type,
        "force": payloads.force_text(order) if is_limit else "gtc",
        **({"price": payloads.price_text(order.price, "price")} if is_limit else {}),
        "size": payloads.size_text(order),
        "clientOid": order.client_order_id,
        "requestTime": TIMESTAMP_TEXT,
        "receiveWindow": "5000",
    }
    return payloads.parse_ack((yield action(account, f"{TRADE_V2}place-order", body, places=True)), order)


class _OpenRow(OrderRow, rename="camel", kw_only=True):
    # Only in the list of open orders `priceAvg` is the order's own price, and `basePrice` the average paid.
    price: Number = msgspec.field(name="priceAvg", default=NO_NUMBER)
    average: Number = msgspec.field(name="basePrice", default=NO_NUMBER)


def _read_open(response: Response) -> tuple[list[_OpenRow], str]:
    rows = response.decode(Reply[list[_OpenRow]]).data
    return rows, rows[-1].order_id if rows else ""


def _read_done(response: Response) -> tuple[list[OrderRow], str]:
    rows = response.decode(Reply[list[OrderRow]]).data
    return rows, rows[-1].order_id if rows else ""


def _open(account: Account, **query: str) -> Flow[list[OrderReport]]:
    request = private(account, f"{TRADE_V2}unfilled-orders", {**query, "limit": str(PAGE)})
    rows = yield from payloads.pages(request, "idLessThan", _read_open, most=8, whole=True)
    return [payloads.report(row) for row in rows]


def _done(account: Account, markets: Sequence[Market], most: int, **query: str) -> Flow[list[OrderReport]]:
    request = private(account, f"{TRADE_V2}history-orders", {**query, "limit": str(PAGE)})
    rows = yield from payloads.pages(request, "idLessThan", _read_done, most=most)
    return payloads.order_reports(rows, markets)


def find_order(account: Account, order: Order) -> Flow[OrderReport | None]:
    """Look by our id, which Bitget remembers for two hours, then among open and finished orders."""
    if order.type in plans.TYPES:
        return plans.find(account, order)
    symbol = order.market.exchange_symbol
    return payloads.find(
        order,
        payloads.order_info(account, order.market, clientOid=order.client_order_id),
        _open(account, symbol=symbol),
        # The newest few hundred of one market: an order in doubt is looked for within minutes.
        _done(account, [order.market], most=3, symbol=symbol),
    )


def order_status(account: Account, order: Order, exchange_order_id: str) -> Flow[OrderReport]:
    """Read one order by Bitget's id, or by ours while theirs is not known."""
    if order.type in plans.TYPES:
        plan = yield from plans.find(account, order, exchange_order_id)
        if plan is not None:
            return plan
    found = yield from payloads.order_info(account, order.market, **payloads.order_key(order, exchange_order_id))
    if not found:
        raise payloads.no_such_order()
    return found[0]


def open_orders(account: Account) -> Flow[list[OrderReport]]:
    """List open orders of all markets, then the stop orders that wait."""
    orders = yield from _open(account)
    return [*orders, *(yield from plans.waiting(account))]


def order_history(account: Account, markets: Sequence[Market]) -> Flow[list[OrderReport]]:
    """List finished orders of all markets; stop orders count once they became real ones."""
    return _done(account, markets, most=1)


def fills(account: Account, exchange_order_id: str) -> Flow[list[Fill]]:
    """List the newest fills of all markets, or all of one order."""
    query = {"limit": str(PAGE), **({"orderId": exchange_order_id} if exchange_order_id else {})}
    most = 5 if exchange_order_id else 1
    rows = yield from payloads.pages(private(account, f"{TRADE_V2}fills", query), "idLessThan", _read_fills, most=most)
    return [payloads.fill(row) for row in rows]


def _read_fills(response: Response) -> tuple[list[payloads.FillRow], str]:
    rows = response.decode(Reply[list[payloads.FillRow]]).data
    return rows, rows[-1].trade_id if rows else ""


def cancel_order(account: Account, order: Order, exchange_order_id: str) -> Flow[None]:
    """Cancel by Bitget's id, or by ours while theirs is not known."""
    key = payloads.order_key(order, exchange_order_id)
    if order.type in plans.TYPES:
        # When it was triggered since, the id may be that of the order it made.
        with suppress(OrderNotFound):
            yield plans.cancel(account, key)
            return
    yield action(account, f"{TRADE_V2}cancel-order", {"symbol": order.market.exchange_symbol, **key})


def cancel_all(account: Account, market: Market) -> Flow[None]:
    """Cancel a market's orders, then its stop orders, which the first request leaves alone."""
    with suppress(OrderNotFound):
        yield action(account, f"{TRADE_V2}cancel-symbol-order", {"symbol": market.exchange_symbol})
    with suppress(OrderNotFound):
        yield plans.cancel_all(account, market)
