"""Private flows of unified accounts, v3: https://www.bitget.com/api-doc/uta/intro (read 2025-12)."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

from bot import (
    Account,
    Balance,
    Fill,
    Flow,
    Market,
    Number,
    Order,
    OrderAck,
    OrderNotFound,
    OrderReport,
    Response,
    UserError,
    find_by_client_id,
    plain,
    refuse_undeclared,
)
from tradewire_bitget import payloads
from tradewire_bitget.payloads import PAGE, Reply, action, private

R = TypeVar("R", bound=payloads.Entry)

_TRADE = "/api/v3/trade/"


class _Assets(msgspec.Struct):
    assets: list[payloads.Asset] | None = None


def balances(account: Account) -> Flow[list[Balance]]:
    """Read the trading account. The funding wallet is apart: nothing can be traded from it."""
    rows = (yield private(account, "/api/v3/account/assets")).decode(Reply[_Assets]).data.assets or []
    return payloads.holdings(rows)


def place_order(account: Account, order: Order) -> Flow[OrderAck]:
    if order.type not in ("limit", "market"):
        # v3 has no stop orders for spot.
        raise UserError(
            "Bitget takes no stop orders on unified accounts. Set a price alert, and place a limit or market order"
            " when it fires. Nothing was placed.",
            code="UNSUPPORTED",
        )
    refuse_undeclared(order, "Bitget", payloads.CAPABILITIES)
    is_limit = order.type == "limit"
    body = {
        "category": "SPOT",
        "symbol": order.market.exchange_symbol,
        "side": order.side,
        "orderType": order.type,
        **({"timeInForce": payloads.force_text(order), "price": plain(order.price)} if is_limit else {}),
        "qty": plain(order.size.amount),
        "clientOid": order.client_order_id,
    }
    return payloads.parse_ack((yield action(account, f"{_TRADE}place-order", body, places=True)), order)


class _OrderRow(payloads.OrderRow, kw_only=True):
    status: str = msgspec.field(name="orderStatus")
    average: Number = msgspec.field(name="avgPrice", default=None)
    size: Number = msgspec.field(name="qty", default=None)
    filled: Number = msgspec.field(name="cumExecQty", default=None)
    created: Number = msgspec.field(name="createdTime", default=None)


class _FillRow(payloads.FillRow, kw_only=True):
    id: str = msgspec.field(name="execId")
    price: Decimal = msgspec.field(name="execPrice")
    size: Decimal = msgspec.field(name="execQty")
    created: Number = msgspec.field(name="createdTime", default=None)


class _List(msgspec.Struct, Generic[R], rename={"rows": "list"}):
    rows: list[R] | None = None
    cursor: str | None = None


def _pages(
    account: Account, name: str, shape: type[Reply[_List[R]]], *, most: int, whole: bool = False, **query: str
) -> Flow[list[R]]:
    def read(response: Response) -> tuple[list[R], str]:
        page = response.decode(shape).data
        return page.rows or [], page.cursor or ""

    request = private(account, f"{_TRADE}{name}", **query, category="SPOT", limit=PAGE)
    return payloads.listed(request, "cursor", read, most=most, whole=whole)


def _report(row: _OrderRow) -> OrderReport:
    return payloads.report(row, payloads.fee_of(row.fee_detail))


def _order_info(account: Account, **key: str) -> Flow[list[OrderReport]]:
    row = (yield private(account, f"{_TRADE}order-info", **key)).decode(Reply[_OrderRow | None]).data
    return [] if row is None else [_report(row)]


def _orders(
    account: Account, name: str, *, most: int, whole: bool = False, symbol: str = ""
) -> Flow[list[OrderReport]]:
    rows = yield from _pages(account, name, Reply[_List[_OrderRow]], most=most, whole=whole, symbol=symbol)
    return [_report(row) for row in rows]


def find_order(account: Account, order: Order) -> Flow[OrderReport | None]:
    """Look by our id, then among open and finished orders."""
    symbol = order.market.exchange_symbol
    return find_by_client_id(
        order,
        _order_info(account, clientOid=order.client_order_id),
        _orders(account, "unfilled-orders", most=8, whole=True, symbol=symbol),
        # The newest few hundred of one market: an order in doubt is looked for within minutes.
        _orders(account, "history-orders", most=3, symbol=symbol),
    )


def order_status(account: Account, order: Order, exchange_order_id: str) -> Flow[OrderReport]:
    key = payloads.order_key(order, exchange_order_id)
    return payloads.only((yield from _order_info(account, **key)))


def open_orders(account: Account) -> Flow[list[OrderReport]]:
    return _orders(account, "unfilled-orders", most=8, whole=True)


def order_history(account: Account) -> Flow[list[OrderReport]]:
    return _orders(account, "history-orders", most=1)


def fills(account: Account, exchange_order_id: str) -> Flow[list[Fill]]:
    most = 5 if exchange_order_id else 1
    rows = yield from _pages(account, "fills", Reply[_List[_FillRow]], most=most, orderId=exchange_order_id)
    return [payloads.fill(row) for row in rows]


def cancel_order(account: Account, order: Order, exchange_order_id: str) -> Flow[None]:
    yield action(account, f"{_TRADE}cancel-order", payloads.order_key(order, exchange_order_id))


def cancel_all(account: Account, market: Market) -> Flow[None]:
    """Each order has its own answer in the reply, which is not read: the orders themselves tell the truth."""
    with suppress(OrderNotFound):
        body = {"category": "SPOT", "symbol": market.exchange_symbol}
        yield action(account, f"{_TRADE}cancel-symbol-order", body)
