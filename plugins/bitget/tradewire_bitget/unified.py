"""Private flows of unified accounts, v3: https://www.bitget.com/api-doc/uta/intro (read 2025-12)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from bot import (
    Account,
    AuthFailed,
    Balance,
    ClockSkew,
    ExchangeError,
    Fill,
    Flow,
    KeyPermissions,
    Limit,
    MaintenanceError,
    Market,
    Order,
    OrderAck,
    OrderNotFound,
    OrderReport,
    OutcomeUnknown,
    RateLimited,
    Response,
    UserError,
    WrongAccountMode,
)
from tradewire_bitget import classic, payloads
from tradewire_bitget.payloads import NO_NUMBER, PAGE, Number, Reply, action, amount, private

_SETTINGS = "/api/v3/account/settings"
_INFO = "/api/v3/account/info"
_ASSETS = "/api/v3/account/assets"
_TRADE = "/api/v3/trade/"

LIMITS: Mapping[str, Limit] = {
    f"GET {_SETTINGS}": Limit(20, 1, "account"),
    # Unverified: no rate is documented; one a second is what its classic sibling allows.
    f"GET {_INFO}": Limit(1, 1, "account"),
    f"GET {_ASSETS}": Limit(20, 1, "account"),
    f"POST {_TRADE}place-order": Limit(10, 1, "account"),
    f"POST {_TRADE}cancel-order": Limit(10, 1, "account"),
    f"POST {_TRADE}cancel-symbol-order": Limit(5, 1, "account"),
    f"GET {_TRADE}order-info": Limit(20, 1, "account"),
    f"GET {_TRADE}unfilled-orders": Limit(20, 1, "account"),
    # Unverified: taken from their neighbours.
    f"GET {_TRADE}history-orders": Limit(20, 1, "account"),
    f"GET {_TRADE}fills": Limit(20, 1, "account"),
}


class _Settings(msgspec.Struct, rename="camel"):
    account_mode: str


def detect(account: Account) -> Flow[Mapping[str, str]]:
    """Find out in which of Bitget's two worlds the key lives. Only an answer that proves it counts."""
    doubt: ExchangeError = OutcomeUnknown("Bitget did not say of which kind the account is")
    try:
        mode = (yield private(account, _SETTINGS)).decode(Reply[_Settings]).data.account_mode.lower()
        if mode in ("unified", "hybrid"):
            return {"mode": "unified"}
        if mode in ("upgrading", "switching"):
            text = "Bitget is moving this account to another mode just now. Try again in a few minutes."
            raise UserError(text, code="ACCOUNT_MIGRATING")
    except WrongAccountMode:
        return {"mode": "classic"}
    except (ClockSkew, RateLimited, MaintenanceError):
        raise
    except ExchangeError as error:
        if isinstance(error, AuthFailed) and error.code not in ("40014", "25620"):  # these two: no right to read it
            raise
        doubt = error
    try:
        yield private(account, classic.ACCOUNT_INFO)
    except WrongAccountMode as error:
        if error.code == "40731":  # also told to copy traders of classic accounts
            raise doubt from None
        return {"mode": "unified"}
    except ExchangeError:
        raise doubt from None
    return {"mode": "classic"}


class _Rights(msgspec.Struct, rename="camel"):
    perm_type: str | None = None
    permissions: list[str] | None = None
    ips: str | None = None


def key_permissions(account: Account) -> Flow[KeyPermissions]:
    """Read the key's rights. Their spelling differs between endpoints."""
    rights = (yield private(account, _INFO)).decode(Reply[_Rights]).data
    words = {word.lower() for word in rights.permissions or ()}
    if not words:
        return KeyPermissions(is_ip_bound="yes" if rights.ips else "no")
    may_write = (rights.perm_type or "").lower().replace("_", "-") in ("read-and-write", "read-write")
    return KeyPermissions(
        can_read="yes" if "uta_mgt" in words else "no",
        can_trade="yes" if may_write and "uta_trade" in words else "no",
        can_withdraw="yes" if any("withdraw" in word for word in words) else "no",
        is_ip_bound="yes" if rights.ips else "no",
        note=payloads.MAY_TRANSFER if any("transfer" in word for word in words) else "",
    )


class _Asset(msgspec.Struct):
    coin: str
    available: Number = NO_NUMBER
    locked: Number = NO_NUMBER


class _Assets(msgspec.Struct):
    assets: list[_Asset] | None = None


def balances(account: Account) -> Flow[list[Balance]]:
    """Read the trading account. The funding wallet is apart: nothing can be traded from it."""
    rows = (yield private(account, _ASSETS)).decode(Reply[_Assets]).data.assets or []
    found = (Balance(row.coin.upper(), amount(row.available), amount(row.locked)) for row in rows)
    return [balance for balance in found if balance.free or balance.locked]


def place_order(account: Account, order: Order) -> Flow[OrderAck]:
    """Place a limit or market order; v3 has no stop orders for spot."""
    if order.type not in ("limit", "market"):
        raise UserError(
            "Bitget takes no stop orders on unified accounts. Set a price alert, and place a limit or market order"
            " when it fires. Nothing was placed.",
            code="UNSUPPORTED",
        )
    terms = {}
    if order.type == "limit":
        terms = {"timeInForce": payloads.force_text(order), "price": payloads.price_text(order.price, "price")}
    body = {
        "category": "SPOT",
        "symbol": order.market.exchange_symbol,
        "side": order.side,
        "orderType": order.type,
        **terms,
        "qty": payloads.size_text(order),
        "clientOid": order.client_order_id,
    }
    return payloads.parse_ack((yield action(account, f"{_TRADE}place-order", body, places=True)), order)


class _OrderRow(payloads.OrderRow, rename="camel", kw_only=True):
    status: str = msgspec.field(name="orderStatus")
    average: Number = msgspec.field(name="avgPrice", default=NO_NUMBER)
    size: Number = msgspec.field(name="qty", default=NO_NUMBER)
    filled: Number = msgspec.field(name="cumExecQty", default=NO_NUMBER)
    created: Number = msgspec.field(name="createdTime", default=NO_NUMBER)


class _OrderList(msgspec.Struct, rename={"rows": "list"}):
    rows: list[_OrderRow] | None = None
    cursor: str | None = None


def _report(row: _OrderRow) -> OrderReport:
    return payloads.report(row, payloads.fee_of(row.fee_detail))


def _order_info(account: Account, **key: str) -> Flow[list[OrderReport]]:
    row = (yield private(account, f"{_TRADE}order-info", key)).decode(Reply[_OrderRow | None]).data
    return [] if row is None else [_report(row)]


def _orders(account: Account, name: str, *, most: int, whole: bool = False, **query: str) -> Flow[list[OrderReport]]:
    request = private(account, f"{_TRADE}{name}", {**query, "category": "SPOT", "limit": str(PAGE)})
    rows = yield from payloads.pages(request, "cursor", _read_orders, most=most, whole=whole)
    return [_report(row) for row in rows]


def _read_orders(response: Response) -> tuple[list[_OrderRow], str]:
    page = response.decode(Reply[_OrderList]).data
    return page.rows or [], page.cursor or ""


def find_order(account: Account, order: Order) -> Flow[OrderReport | None]:
    """Look by our id, then among open and finished orders."""
    symbol = order.market.exchange_symbol
    return payloads.find(
        order,
        _order_info(account, clientOid=order.client_order_id),
        _orders(account, "unfilled-orders", most=8, whole=True, symbol=symbol),
        # The newest few hundred of one market: an order in doubt is looked for within minutes.
        _orders(account, "history-orders", most=3, symbol=symbol),
    )


def order_status(account: Account, order: Order, exchange_order_id: str) -> Flow[OrderReport]:
    """Read one order by Bitget's id, or by ours while theirs is not known."""
    found = yield from _order_info(account, **payloads.order_key(order, exchange_order_id))
    if not found:
        raise payloads.no_such_order()
    return found[0]


def open_orders(account: Account) -> Flow[list[OrderReport]]:
    """List open orders of all markets."""
    return _orders(account, "unfilled-orders", most=8, whole=True)


def order_history(account: Account) -> Flow[list[OrderReport]]:
    """List the newest finished orders of all markets."""
    return _orders(account, "history-orders", most=1)


class _FillRow(payloads.FillRow, rename="camel", kw_only=True):
    trade_id: str = msgspec.field(name="execId")
    price: Number = msgspec.field(name="execPrice")
    size: Number = msgspec.field(name="execQty")
    created: Number = msgspec.field(name="createdTime", default=NO_NUMBER)


class _FillList(msgspec.Struct, rename={"rows": "list"}):
    rows: list[_FillRow] | None = None
    cursor: str | None = None


def fills(account: Account, exchange_order_id: str) -> Flow[list[Fill]]:
    """List the newest fills of all markets, or all of one order."""
    query = {"category": "SPOT", "limit": str(PAGE), **({"orderId": exchange_order_id} if exchange_order_id else {})}
    most = 5 if exchange_order_id else 1
    rows = yield from payloads.pages(private(account, f"{_TRADE}fills", query), "cursor", _read_fills, most=most)
    return [payloads.fill(row) for row in rows]


def _read_fills(response: Response) -> tuple[list[_FillRow], str]:
    page = response.decode(Reply[_FillList]).data
    return page.rows or [], page.cursor or ""


def cancel_order(account: Account, order: Order, exchange_order_id: str) -> Flow[None]:
    """Cancel by Bitget's id, or by ours while theirs is not known."""
    yield action(account, f"{_TRADE}cancel-order", payloads.order_key(order, exchange_order_id))


def cancel_all(account: Account, market: Market) -> Flow[None]:
    """Cancel a market's orders. Each order has its own answer in the reply; the orders themselves tell the truth."""
    with suppress(OrderNotFound):
        body = {"category": "SPOT", "symbol": market.exchange_symbol}
        yield action(account, f"{_TRADE}cancel-symbol-order", body)
