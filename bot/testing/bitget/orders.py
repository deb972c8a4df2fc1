"""What both of Bitget's APIs do with orders."""

from __future__ import annotations

import re
from typing import Literal, cast

from bot.testing.bitget.call import Call
from bot.testing.ledger import ZERO, Execution, InsufficientBalance, Order, Plan, plain
from bot.testing.strict import Refused

CLIENT_IDS = re.compile(r"[A-Za-z0-9_+#-]{1,49}"), re.compile(r"[.A-Z:/a-z0-9_-]{1,32}")


def place(call: Call, *, size_field: str, force_field: str) -> dict[str, str]:
    pair, ledger = call.pair(), call.exchange.ledger
    if pair.status != "online":
        raise call.refused("offline" if pair.status == "offline" else "maintenance")
    side = cast(Literal["buy", "sell"], call.choice("side", "buy", "sell"))
    kind = cast(Literal["limit", "market"], call.choice("orderType", "limit", "market"))
    force = "gtc" if kind == "market" else _force(call, force_field)
    client_id = call.get("clientOid")
    check_client_id(call, client_id)
    price, quantity, budget = ZERO, ZERO, ZERO
    if kind == "market" and side == "buy":
        # Which of the two the real one checks is not documented; the smaller satisfies both.
        value = budget = call.number(size_field, min(pair.quote_places, pair.price_places))
    else:
        quantity = call.number(size_field, pair.quantity_places)
        value = quantity * pair.last
    if kind == "limit":
        price = call.number("price", pair.price_places, scale_cause="price scale")
        value = quantity * price
        if side == "buy" and price > pair.last * (1 + pair.band):
            raise call.refused("too high")
        if side == "sell" and price < pair.last * (1 - pair.band):
            raise call.refused("too low")
    if value < pair.min_value:
        raise call.refused("value", f"less than the minimum amount {plain(pair.min_value)} USDT")
    is_open = [order for order in ledger.orders if order.account is call.account and order.status == "open"]
    if sum(order.pair is pair for order in is_open) >= pair.max_open:
        raise call.refused("crowd")
    try:
        order = ledger.place(
            call.account,
            pair,
            side,
            kind,
            price=price,
            quantity=quantity,
            budget=budget,
            time_in_force="gtc" if force == "post_only" else force,
            post_only=force == "post_only",
            client_id=client_id,
        )
    except InsufficientBalance:
        raise call.refused("funds") from None
    return ids(order)


def _force(call: Call, name: str) -> str:
    accepted = ("gtc", "post_only", "fok", "ioc")
    if call.is_v3:
        return call.choice(name, *accepted, default="gtc")
    # Documented in lower case and as required; ccxt sends capitals, and they work.
    return call.choice(name, *accepted, *map(str.upper, accepted)).lower()


def check_client_id(call: Call, client_id: str) -> None:
    if not client_id:
        return
    if len(client_id) > 50 and not call.is_v3:
        raise Refused("40304" if len(client_id) <= 64 else "40305", "client_oid is too long")
    if not CLIENT_IDS[call.is_v3].fullmatch(client_id):
        raise call.refused("client id")
    rows: list[Order | Plan] = [*call.exchange.ledger.orders, *call.exchange.ledger.plans]
    for row in rows:
        is_same = row.account is call.account and row.client_id == client_id
        # Unified accounts may use an id again once its order is done; for classic ones no such rule is documented.
        if is_same and (row.status == "open" or not call.is_v3):
            raise call.refused("duplicate")


def cancel(call: Call) -> dict[str, str]:
    order = call.order()
    if order is None or (call.get("symbol") and order.pair is not call.pair()):
        raise call.refused("missing")
    now, before = call.exchange.clock(), call.exchange.cancels.get(order.id)
    call.exchange.cancels[order.id] = now
    if before is not None and now - before < 1000:
        raise call.refused("repeated")
    if order.status != "open":
        raise call.refused("final")
    call.exchange.ledger.cancel(order)
    return ids(order)


def cancel_all(call: Call) -> list[Order]:
    pairs = call.pairs()
    orders = [order for order in call.visible() if order.status == "open" and order.pair in pairs]
    chosen = orders[: max(0, len(orders) - call.exchange.leaves_behind)]
    for order in chosen:
        call.exchange.ledger.cancel(order)
    return chosen


def ids(row: Order | Plan) -> dict[str, str]:
    return {"orderId": row.id, "clientOid": row.client_id}


def status(order: Order) -> str:
    if order.status == "open":
        return "partially_filled" if order.filled else "live"
    return "filled" if order.status == "filled" else "cancelled"


def is_done(order: Order) -> bool:
    return order.status != "open"


def executions(call: Call) -> list[Execution]:
    shown = set(map(id, call.visible()))
    wanted = call.get("orderId")
    return [row for row in call.exchange.ledger.executions if id(row.order) in shown and wanted in ("", row.order.id)]
