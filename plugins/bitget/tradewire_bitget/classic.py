"""Private flows of classic accounts, v2: https://www.bitget.com/api-doc/spot/trade (read 2025-12).

Stop orders, there called plan orders, have requests and lists of their own: https://www.bitget.com/api-doc/spot/plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

import msgspec

from bot import (
    TIMESTAMP_TEXT,
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
    OutcomeUnknown,
    Response,
    UserError,
    find_by_client_id,
    plain,
    refuse_undeclared,
)
from tradewire_bitget import market_data, payloads
from tradewire_bitget.payloads import PAGE, FillRow, OrderRow, Reply, action, private

R = TypeVar("R", bound=payloads.Entry)

_TRADE = "/api/v2/spot/trade/"
_STOPS = ("stop_limit", "stop_market")


def balances(account: Account) -> Flow[list[Balance]]:
    """Read the spot account. Futures, funding and earn money is elsewhere and cannot be traded from here."""
    response = yield private(account, "/api/v2/spot/account/assets")
    return payloads.holdings(response.decode(Reply[list[payloads.Asset]]).data)


def place_order(account: Account, order: Order) -> Flow[OrderAck]:
    refuse_undeclared(order, "Bitget", payloads.CAPABILITIES)
    if order.type in _STOPS:
        return (yield from _place_stop(account, order))
    is_limit = order.type == "limit"
    body = {
        "symbol": order.market.exchange_symbol,
        "side": order.side,
        "orderType": order.type,
        "force": payloads.force_text(order) if is_limit else "gtc",
        **({"price": plain(order.price)} if is_limit else {}),
        "size": plain(order.size.amount),
        "clientOid": order.client_order_id,
        "requestTime": TIMESTAMP_TEXT,
        "receiveWindow": "5000",
    }
    return payloads.parse_ack((yield action(account, f"{_TRADE}place-order", body, places=True)), order)


def find_order(account: Account, order: Order) -> Flow[OrderReport | None]:
    """Look by our id, which Bitget remembers for two hours, then among open and finished orders."""
    if order.type in _STOPS:
        return _find_stop(account, order)
    symbol = order.market.exchange_symbol
    return find_by_client_id(
        order,
        _order_info(account, order.market, clientOid=order.client_order_id),
        _open(account, symbol),
        # The newest few hundred of one market: an order in doubt is looked for within minutes.
        _done(account, [order.market], most=3, symbol=symbol),
    )


def order_status(account: Account, order: Order, exchange_order_id: str) -> Flow[OrderReport]:
    if order.type in _STOPS:
        stop = yield from _find_stop(account, order, exchange_order_id)
        if stop is not None:
            return stop
    key = payloads.order_key(order, exchange_order_id)
    return payloads.only((yield from _order_info(account, order.market, **key)))


def open_orders(account: Account) -> Flow[list[OrderReport]]:
    orders = yield from _open(account)
    return [*orders, *map(_stop_report, (yield from _waiting(account)))]


def order_history(account: Account, markets: Sequence[Market]) -> Flow[list[OrderReport]]:
    """List those of all markets; stop orders count once they became real ones."""
    return _done(account, markets, most=1)


def fills(account: Account, exchange_order_id: str) -> Flow[list[Fill]]:
    most = 5 if exchange_order_id else 1
    rows = yield from _pages(account, "fills", Reply[list[FillRow]], most=most, orderId=exchange_order_id)
    return [payloads.fill(row) for row in rows]


def cancel_order(account: Account, order: Order, exchange_order_id: str) -> Flow[None]:
    key = payloads.order_key(order, exchange_order_id)
    if order.type in _STOPS:
        # When it was triggered since, the id may be that of the order it made.
        with suppress(OrderNotFound):
            yield action(account, f"{_TRADE}cancel-plan-order", key)
            return
    yield action(account, f"{_TRADE}cancel-order", {"symbol": order.market.exchange_symbol, **key})


def cancel_all(account: Account, market: Market) -> Flow[None]:
    symbol = market.exchange_symbol
    with suppress(OrderNotFound):
        yield action(account, f"{_TRADE}cancel-symbol-order", {"symbol": symbol})
    with suppress(OrderNotFound):
        # The first request leaves stop orders alone; here an empty list would mean all markets.
        yield action(account, f"{_TRADE}batch-cancel-plan-order", {"symbolList": [symbol]})


# Lists


class _OpenRow(OrderRow, kw_only=True):
    # Only in the list of open orders `priceAvg` is the order's own price, and `basePrice` the average paid.
    price: Number = msgspec.field(name="priceAvg", default=None)
    average: Number = msgspec.field(name="basePrice", default=None)


def _pages(
    account: Account, name: str, shape: type[Reply[list[R]]], *, most: int, whole: bool = False, **query: str
) -> Flow[list[R]]:
    return _listed(account, name, lambda reply: reply.decode(shape).data, most=most, whole=whole, **query)


def _listed(
    account: Account, name: str, read: Callable[[Response], list[R]], *, most: int, whole: bool, **query: str | int
) -> Flow[list[R]]:
    def read_page(response: Response) -> tuple[list[R], str]:
        rows = read(response)
        return rows, rows[-1].id if rows else ""

    request = private(account, f"{_TRADE}{name}", **query, limit=PAGE)
    return payloads.listed(request, "idLessThan", read_page, most=most, whole=whole)


def _open(account: Account, symbol: str = "") -> Flow[list[OrderReport]]:
    rows = yield from _pages(account, "unfilled-orders", Reply[list[_OpenRow]], most=8, whole=True, symbol=symbol)
    return [payloads.report(row) for row in rows]


def _done(account: Account, markets: Sequence[Market], *, most: int, symbol: str = "") -> Flow[list[OrderReport]]:
    rows = yield from _pages(account, "history-orders", Reply[list[OrderRow]], most=most, symbol=symbol)
    return _reports(rows, markets)


def _order_info(account: Account, market: Market, **key: str) -> Flow[list[OrderReport]]:
    """Look up one order; an order that is not known gives an empty list or an error."""
    return _reports((yield private(account, f"{_TRADE}orderInfo", **key)).decode(Reply[list[OrderRow]]).data, [market])


def _reports(rows: Iterable[OrderRow], markets: Iterable[Market]) -> list[OrderReport]:
    by_symbol = {market.exchange_symbol: market for market in markets}  # the fee's asset follows from the market
    markets_of = ((row, by_symbol.get(row.symbol.upper())) for row in rows)
    return [payloads.report(row, payloads.order_fee(row.fee_detail, row.side, market)) for row, market in markets_of]


# Stop orders

_PLAN_HISTORY_MS = 89 * 24 * 3600 * 1000
"""Bitget tells at most 90 days of plan orders."""


class _PlanRow(OrderRow, kw_only=True):
    price: Number = msgspec.field(name="executePrice", default=None)


class _PlanList(msgspec.Struct, rename="camel"):
    order_list: list[_PlanRow] | None = None


class _SubOrder(msgspec.Struct, rename="camel"):
    order_id: str | None = None


def _place_stop(account: Account, order: Order) -> Flow[OrderAck]:
    _check_stop_side(order)
    is_limit = order.type == "stop_limit"
    body = {
        "symbol": order.market.exchange_symbol,
        "side": order.side,
        "triggerPrice": plain(order.stop_price),
        "orderType": "limit" if is_limit else "market",
        **({"executePrice": plain(order.price)} if is_limit else {}),
        "planType": "total" if order.side == "buy" and not is_limit else "amount",
        "size": plain(order.size.amount),
        "triggerType": "fill_price",
        "clientOid": order.client_order_id,
    }
    return payloads.parse_ack((yield action(account, f"{_TRADE}place-plan-order", body, places=True)), order)


def _check_stop_side(order: Order) -> None:
    # A plan order has no direction: on the wrong side of the price it would not be refused but mean the opposite.
    last, trigger = order.reference_price, order.stop_price
    if last is None or trigger is None:
        return
    if trigger >= last if order.side == "sell" else trigger <= last:
        where = "below" if order.side == "sell" else "above"
        raise UserError(
            f"A stop {order.side} needs a stop price {where} the market: {plain(trigger)} is not {where}"
            f" {plain(last)} {order.market.quote}. Nothing was placed.",
            code="STOP_SIDE",
        )


def _find_stop(account: Account, order: Order, exchange_order_id: str = "") -> Flow[OrderReport | None]:
    symbol = order.market.exchange_symbol
    row = _match((yield from _waiting(account, symbol)), order, exchange_order_id)
    if row is None:
        now = yield from market_data.server_time()
        since = now - _PLAN_HISTORY_MS
        done = _plans(account, "history-plan-order", most=3, symbol=symbol, startTime=since, endTime=now)
        row = _match((yield from done), order, exchange_order_id)
    if row is not None and row.status.lower() in ("executed", "triggered"):
        return (yield from _follow(account, order, row))
    return None if row is None else _stop_report(row)


def _follow(account: Account, order: Order, row: _PlanRow) -> Flow[OrderReport]:
    # The order made by a plan order has an id of its own, and may have another client id.
    made = yield private(account, f"{_TRADE}plan-sub-order", planOrderId=row.id)
    for sub in made.decode(Reply[list[_SubOrder]]).data:
        if sub.order_id:
            for real in (yield from _order_info(account, order.market, orderId=sub.order_id)):
                ours = order.client_order_id
                return replace(real, client_order_id=ours, type=order.type, stop_price=order.stop_price)
    raise OutcomeUnknown("the stop order was triggered, but Bitget does not list its order yet", transient=True)


def _waiting(account: Account, symbol: str = "") -> Flow[list[_PlanRow]]:
    return _plans(account, "current-plan-order", most=8, whole=True, symbol=symbol)


def _plans(account: Account, name: str, *, most: int, whole: bool = False, **query: str | int) -> Flow[list[_PlanRow]]:
    def read(response: Response) -> list[_PlanRow]:
        return response.decode(Reply[_PlanList]).data.order_list or []

    return _listed(account, name, read, most=most, whole=whole, **query)


def _match(rows: list[_PlanRow], order: Order, exchange_order_id: str) -> _PlanRow | None:
    for row in rows:
        if row.client_oid == order.client_order_id or (exchange_order_id and row.id == exchange_order_id):
            return row
    return None


def _stop_report(row: _PlanRow) -> OrderReport:
    found = payloads.report(row)
    reason = "Bitget could not place the order when its stop price was reached" if found.state == "rejected" else ""
    return replace(found, type="stop_limit" if row.order_type == "limit" else "stop_market", reason=reason)
