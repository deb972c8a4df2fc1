"""Stop orders of classic accounts, "plan orders": https://www.bitget.com/api-doc/spot/plan (read 2025-12)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from bot import (
    Account,
    Flow,
    Limit,
    Market,
    Order,
    OrderAck,
    OrderReport,
    OutcomeUnknown,
    Request,
    Response,
    UserError,
)
from tradewire_bitget import market_data, payloads
from tradewire_bitget.payloads import NO_NUMBER, PAGE, TRADE_V2, Number, Reply, action, plain, price_text, private

LIMITS: Mapping[str, Limit] = {
    f"POST {TRADE_V2}place-plan-order": Limit(20, 1, "account"),
    f"POST {TRADE_V2}cancel-plan-order": Limit(20, 1, "account"),
    f"POST {TRADE_V2}batch-cancel-plan-order": Limit(5, 1, "account"),
    f"GET {TRADE_V2}current-plan-order": Limit(20, 1, "account"),
    f"GET {TRADE_V2}history-plan-order": Limit(20, 1, "account"),
    f"GET {TRADE_V2}plan-sub-order": Limit(20, 1, "account"),
}
TYPES = ("stop_limit", "stop_market")

_HISTORY_MS = 89 * 24 * 3600 * 1000
"""Bitget tells at most 90 days of plan orders."""


class _PlanRow(payloads.OrderRow, rename="camel", kw_only=True):
    price: Number = msgspec.field(name="executePrice", default=NO_NUMBER)


class _PlanList(msgspec.Struct, rename="camel"):
    order_list: list[_PlanRow] | None = None


class _SubOrder(msgspec.Struct, rename="camel"):
    order_id: str | None = None


def place(account: Account, order: Order) -> Flow[OrderAck]:
    """Place a stop order."""
    if order.post_only or order.time_in_force != "GTC":
        raise UserError("A stop order on Bitget can only be GTC and not post-only.", code="UNSUPPORTED")
    trigger = price_text(order.stop_price, "stop price")
    _check_side(order)
    is_limit = order.type == "stop_limit"
    body = {
        "symbol": order.market.exchange_symbol,
        "side": order.side,
        "triggerPrice": trigger,
        "orderType": "limit" if is_limit else "market",
        **({"executePrice": price_text(order.price, "price")} if is_limit else {}),
        "planType": "total" if order.side == "buy" and not is_limit else "amount",
        "size": payloads.size_text(order),
        "triggerType": "fill_price",
        "clientOid": order.client_order_id,
    }
    return payloads.parse_ack((yield action(account, f"{TRADE_V2}place-plan-order", body, places=True)), order)


def _check_side(order: Order) -> None:
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


def waiting(account: Account, **query: str) -> Flow[list[OrderReport]]:
    """List the stop orders that wait for their price."""
    return [_report(row) for row in (yield from _waiting(account, **query))]


def find(account: Account, order: Order, exchange_order_id: str = "") -> Flow[OrderReport | None]:
    """Look for a stop order by either id; once triggered, report the order it made."""
    symbol = order.market.exchange_symbol
    row = _match((yield from _waiting(account, symbol=symbol)), order, exchange_order_id)
    if row is None:
        now = yield from market_data.server_time()
        done = _done(account, symbol=symbol, startTime=str(now - _HISTORY_MS), endTime=str(now))
        row = _match((yield from done), order, exchange_order_id)
    if row is None:
        return None
    if row.status.lower() in ("executed", "triggered"):
        return (yield from _follow(account, order, row))
    return _report(row)


def _follow(account: Account, order: Order, row: _PlanRow) -> Flow[OrderReport]:
    # The order made by a plan order has an id of its own, and may have another client id.
    made = yield private(account, f"{TRADE_V2}plan-sub-order", {"planOrderId": row.order_id})
    for sub in made.decode(Reply[list[_SubOrder]]).data:
        if sub.order_id:
            for real in (yield from payloads.order_info(account, order.market, orderId=sub.order_id)):
                ours = order.client_order_id
                return replace(real, client_order_id=ours, type=order.type, stop_price=order.stop_price)
    raise OutcomeUnknown("the stop order was triggered, but Bitget does not list its order yet", transient=True)


def cancel(account: Account, key: Mapping[str, str]) -> Request:
    """Describe the cancelation of one stop order."""
    return action(account, f"{TRADE_V2}cancel-plan-order", key)


def cancel_all(account: Account, market: Market) -> Request:
    """Describe the cancelation of a market's stop orders. An empty list would mean all markets."""
    return action(account, f"{TRADE_V2}batch-cancel-plan-order", {"symbolList": [market.exchange_symbol]})


def _waiting(account: Account, **query: str) -> Flow[list[_PlanRow]]:
    request = private(account, f"{TRADE_V2}current-plan-order", {**query, "limit": str(PAGE)})
    return payloads.pages(request, "idLessThan", _read, most=8, whole=True)


def _done(account: Account, **query: str) -> Flow[list[_PlanRow]]:
    request = private(account, f"{TRADE_V2}history-plan-order", {**query, "limit": str(PAGE)})
    return payloads.pages(request, "idLessThan", _read, most=3)


def _read(response: Response) -> tuple[list[_PlanRow], str]:
    rows = response.decode(Reply[_PlanList]).data.order_list or []
    return rows, rows[-1].order_id if rows else ""


def _match(rows: list[_PlanRow], order: Order, exchange_order_id: str) -> _PlanRow | None:
    for row in rows:
        if row.client_oid == order.client_order_id or (exchange_order_id and row.order_id == exchange_order_id):
            return row
    return None


def _report(row: _PlanRow) -> OrderReport:
    found = payloads.report(row)
    reason = "Bitget could not place the order when its stop price was reached" if found.state == "rejected" else ""
    return replace(found, type="stop_limit" if row.order_type == "limit" else "stop_market", reason=reason)
