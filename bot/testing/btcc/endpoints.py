"""What the strict BTCC answers, endpoint by endpoint."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from bot.testing.btcc.call import NUMBER, SIDES, Call, endpoint, refuse
from bot.testing.btcc.exchange import StrictBTCC
from bot.testing.candles import candles_of
from bot.testing.ledger import ZERO, Execution, InsufficientBalance, Order, Pair, Plan, plain

HOUR_MS = 3_600_000
FORCES = {0: "gtc", 8: "ioc", 16: "fok"}

# Market data


@endpoint("GET time", "", envelope="E1")
def _time(call: Call) -> object:
    return call.exchange.clock() // 1000


@endpoint("GET market/list", "")
def _list(call: Call) -> object:
    return [_market(call.exchange, pair) for pair in call.exchange.ledger.pairs.values()]


def _market(exchange: StrictBTCC, pair: Pair) -> dict[str, object]:
    is_open = pair.status == "online"
    row: dict[str, object] = {
        "money": pair.quote,
        "stock": pair.base,
        "name": pair.symbol,
        "fee_prec": 4,
        "money_prec": pair.price_places,
        "stock_prec": pair.quantity_places,
        "min_amount": plain(exchange.min_amounts[pair.symbol]),
        "switch": is_open,
    }
    return row if is_open else {**row, "open_time": (exchange.clock() + HOUR_MS) // 1000}


@endpoint("GET market/last", "", "market:text!")
@endpoint("GET market/ticker", "", "market:text!")
def _last(call: Call) -> object:
    return plain(call.pair().last)


@endpoint("GET market/depth", "", "market:text! limit:integer! merge:text!")
def _depth(call: Call) -> object:
    pair, limit = call.pair(), call.integer("limit")
    if limit not in (5, 10, 20, 50) or not NUMBER.fullmatch(call.text("merge")):
        refuse("1")
    sides = {
        name: [[plain(price), plain(quantity)] for price, quantity in levels[:limit]]
        for name, levels in (("asks", pair.asks), ("bids", pair.bids))
    }
    last = {"last": plain(pair.last)} if call.exchange.has_last else {}
    return {**sides, **last, "time": call.exchange.clock()}


@endpoint("GET market/kline", "", "market:text! start_time:integer! end_time:integer! interval:integer!", envelope="E1")
def _kline(call: Call) -> object:
    pair, step = call.pair(), call.integer("interval")
    if step not in (60, 300, 900, 1800, 3600, 14_400, 86_400):
        refuse("1")
    rows = candles_of(pair, step * 1000, call.integer("start_time") * 1000, call.integer("end_time") * 1000)
    return {
        "result": [
            [at // 1000, plain(first), plain(last), plain(high), plain(low), "1.5", "90000", pair.symbol]
            for at, first, high, low, last in rows
        ]
    }


# Account and orders


@endpoint("GET asset/query", "read")
def _assets(call: Call) -> object:
    account = call.account
    return {
        asset: {"available": f"{account.free[asset]:.8f}", "frozen": f"{account.locked[asset]:.8f}"}
        for asset in sorted({*account.free, *account.locked})
    }


PLACING = "market:text! side:integer! amount:text! source:text! option:integer client_id:text"


@endpoint("POST order/limit", "trade", f"{PLACING} price:text!")
def _limit(call: Call) -> object:
    pair = call.pair()
    return _place(call, "limit", quantity=call.amount("amount", pair.quantity_places))


@endpoint("POST order/market", "trade", PLACING)
def _market_order(call: Call) -> object:
    pair, buys = call.pair(), call.side() == "buy"
    # Money or not, the amount is read with the base asset's decimals.
    amount = call.amount("amount", pair.quantity_places)
    levels = pair.asks if buys else pair.bids
    if not levels:
        refuse("12")
    return _place(call, "market", **{"budget" if buys else "quantity": amount})


def _place(call: Call, kind: Literal["limit", "market"], *, quantity: Decimal = ZERO, budget: Decimal = ZERO) -> object:
    exchange, pair, side = call.exchange, call.pair(), call.side()
    force = FORCES.get(call.integer("option")) or refuse("1")
    labels = call.text("client_id"), call.text("source")
    if any(len(label.encode()) > 30 for label in labels):
        refuse("202", "source is longer than 30 characters")
    if pair.status != "online":
        refuse("207")
    price = call.amount("price", pair.price_places) if kind == "limit" else ZERO
    least = exchange.min_amounts[pair.symbol]
    if (budget < pair.asks[0][0] * least) if budget else quantity < least:
        refuse("11")
    try:
        order = exchange.ledger.place(
            call.account,
            pair,
            side,
            kind,
            price=price,
            quantity=quantity,
            budget=budget,
            time_in_force=force if kind == "limit" else "gtc",
            client_id=labels[1],
        )
    except InsufficientBalance:
        refuse("10")
    exchange.labels[order.id] = labels
    return _order(exchange, order)


def _order(exchange: StrictBTCC, order: Order) -> dict[str, object]:
    amount = order.budget or order.quantity
    client_id, source = exchange.labels.get(order.id, ("", ""))
    return {
        "id": int(order.id),
        "type": 1 if order.kind == "limit" else 2,
        "side": 1 if order.side == "buy" else 2,
        "user": 16087,
        "account": 0,
        "option": next(code for code, force in FORCES.items() if force == order.time_in_force),
        "ctime": order.created_ms / 1000,
        "mtime" if order.status == "open" else "ftime": order.updated_ms / 1000,
        "market": order.pair.symbol,
        "source": source,
        "client_id": client_id,
        "price": plain(order.price),
        "amount": plain(amount),
        "taker_fee": "0.0030",
        "maker_fee": "0.0030",
        "left": plain(amount - (order.value if order.budget else order.filled)),
        "deal_stock": plain(order.filled),
        "deal_money": plain(order.value),
        "deal_fee": plain(order.fee),
        "asset_fee": "0",
        "fee_discount": "1",
        "fee_asset": None,
    }


@endpoint("POST order/cancel", "trade", "market:text! id:integer!")
def _cancel(call: Call) -> object:
    order = call.order("id", is_open=True)
    if order is None or order.pair is not call.pair():
        return refuse("10", "order not found")
    call.exchange.ledger.cancel(order)
    return _order(call.exchange, order)


@endpoint("POST order/cancel_all", "trade", "market:text! side:integer")
def _cancel_all(call: Call) -> object:
    pair, side = call.pair(), call.integer("side", most=2)
    for order in call.orders(is_open=True):
        if order.pair is pair and SIDES.get(side, order.side) == order.side:
            call.exchange.ledger.cancel(order)
    return None


LISTING = "market:text! side:integer offset:integer! limit:integer!"


@endpoint("GET order/pending_stop", "read", LISTING)
def _pending_stop(call: Call) -> object:
    rows, total = call.page(call.plans())
    return {"total": total, "records": [_plan(plan) for plan in rows]}


def _plan(plan: Plan) -> dict[str, object]:
    return {
        "id": int(plan.id),
        "type": 1 if plan.kind == "limit" else 2,
        "side": 1 if plan.side == "buy" else 2,
        "option": 0,
        "state": 1,
        "stop_price": plain(plan.trigger),
        "price": plain(plan.price),
        "amount": plain(plan.size),
        "taker_fee": "0.0030",
        "maker_fee": "0.0030",
        "fee_asset": None,
        "fee_discount": "1",
        "ctime": plan.created_ms / 1000,
        "mtime": plan.updated_ms / 1000,
        "market": plan.pair.symbol,
        "source": plan.client_id,
        "client_id": "",
    }


@endpoint("POST order/cancle_stop", "trade", "market:text! order_id:integer!")
def _cancel_stop(call: Call) -> object:
    pair, wanted = call.pair(), str(call.integer("order_id"))
    plan = next((plan for plan in call.plans() if plan.id == wanted and plan.pair is pair), None)
    if plan is None:
        return refuse("10", "order not found")
    call.exchange.ledger.cancel_plan(plan)
    return _plan(plan)


@endpoint("POST order/cancle_stop_all", "trade", "market:text! side:integer")
def _cancel_stop_all(call: Call) -> object:
    pair, side = call.pair(), call.integer("side", most=2)
    for plan in call.plans():
        if plan.pair is pair and SIDES.get(side, plan.side) == plan.side:
            call.exchange.ledger.cancel_plan(plan)
    return None


@endpoint("GET order/pending", "read", LISTING)
@endpoint("GET order/finished", "read", f"{LISTING} start_time:integer end_time:integer")
def _orders(call: Call) -> object:
    is_open = call.path.endswith("pending")
    rows, total = call.page(call.orders(is_open=is_open))
    told = {"offset": call.integer("offset"), "limit": call.integer("limit"), "total": total} if is_open else {}
    return {**told, "records": [_order(call.exchange, order) for order in rows]}


@endpoint("GET order/pending_detail", "read", "market:text! order_id:integer!")
@endpoint("GET order/finish_detail", "read", "order_id:integer!")
def _detail(call: Call) -> object:
    order = call.order("order_id", is_open=call.path.endswith("pending_detail"))
    return None if order is None else _order(call.exchange, order)


@endpoint("GET order/deal_history", "read", f"{LISTING} start_time:integer end_time:integer")
def _deal_history(call: Call) -> object:
    rows, _ = call.page(_executions(call))
    return {"records": [{**_deal(row), "order_id": int(row.order.id)} for row in rows]}


@endpoint("GET order/deals", "read", "market:text order_id:integer! offset:integer! limit:integer!")
@endpoint("GET order/deal", "read", "market:text order_id:integer! offset:integer! limit:integer!")
def _deals(call: Call) -> object:
    offset, limit = call.integer("offset"), call.integer("limit", most=100)
    rows = [row for row in _executions(call) if row.order.id == str(call.integer("order_id"))]
    return {"records": [_deal(row) for row in rows[offset : offset + limit]]}


def _executions(call: Call) -> list[Execution]:
    rows = reversed(call.exchange.ledger.executions)
    return [row for row in rows if row.order.account is call.account and not row.order.hidden]


def _deal(row: Execution) -> dict[str, object]:
    return {
        "time": row.created_ms / 1000,
        "user": 16087,
        "account": 0,
        "deal_user": 16088,
        "id": int(row.id),
        "role": 1 if row.is_maker else 2,
        "price": plain(row.price),
        "amount": plain(row.quantity),
        "deal": plain(row.quantity * row.price),
        "fee": plain(row.fee),
        "fee_asset": row.order.gets,
        "deal_order_id": int(row.id) + 1_000_000,
    }
