"""What the contract's checks feed to a plugin and how they look at what comes out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from itertools import product
from typing import Any, get_args

from bot.contract.models import Base, Market, Order, OrderReport, OrderType, Quote, Side, TimeInForce
from bot.contract.wire import Request

ODD: tuple[Any, ...] = (None, "", "x", "NaN", "1e999", -1, True, [], {})
"""What no exchange should send in the place of anything."""
SIMPLE = {"str": str, "int": int, "bool": bool, "Decimal": Decimal}


def drafts(market: Market, last: Decimal) -> Iterator[Order]:
    """Yield an order of every type, side and unit, and limit orders of every time in force, without our id."""

    def price(percent: int) -> Decimal:
        return last * percent / 100 // market.price_step * market.price_step

    def up(amount: Decimal, step: Decimal) -> Decimal:
        return -(-amount // step) * step

    size = up(
        max(market.min_quantity, market.min_notional / price(97), market.quantity_step * 10) * 2, market.quantity_step
    )
    spend = up(max(market.min_market_buy_quote, market.min_notional, size * price(103)), market.quote_step)
    for kind, side in product(get_args(OrderType), get_args(Side)):
        percent = 97 if side == "buy" else 103
        stop = 103 if side == "buy" else 97
        order = Order(
            client_order_id="",
            market=market,
            side=side,
            type=kind,
            size=Base(size),
            price={"limit": price(percent), "stop_limit": price(stop)}.get(kind),
            stop_price=price(stop) if kind in ("stop_limit", "stop_market") else None,
            reference_price=last,
        )
        yield order
        yield replace(order, size=Quote(spend))
        if kind == "limit":
            yield replace(order, post_only=True)
            yield from (replace(order, time_in_force=each) for each in get_args(TimeInForce) if each != "GTC")


def wire_text(request: Request) -> str:
    """Return all that would be sent."""
    request = request.stamped(0)
    return f"{request.method} {request.target}\n{dict(request.headers)}\n{request.body.decode()}"


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from leaves(each)
    else:
        yield value


def numbers(request: Request) -> list[str]:
    texts = [str(leaf) for leaf in leaves([request.query, request.json])]
    return [text for text in texts if re.fullmatch(r"\d+(\.\d+)?", text)]


def widened(value: Any) -> Any:
    """Return a reply with a new field in every object that is not a table of objects."""
    if isinstance(value, list):
        return [widened(each) for each in value]
    if not isinstance(value, dict):
        return value
    shapes = {frozenset(each) if isinstance(each, dict) else None for each in value.values()}
    is_table = len(value) > 1 and len(shapes) == 1 and None not in shapes
    inner = {name: widened(each) for name, each in value.items()}
    return inner if is_table else {**inner, "brandNew": {"field": ["new"]}}


def broken(value: Any) -> Iterator[Any]:
    """Yield a reply with one field missing or odd, for each of its fields; of a list, the first item counts."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield {other: value[other] for other in value if other != name}
            yield from ({**value, name: odd} for odd in (*ODD, *broken(each)))
    elif isinstance(value, list) and value:
        yield from ([odd, *value[1:]] for odd in (*ODD, *broken(value[0])))


def oddities(value: Any, where: str, known: set[str] | None = None) -> Iterator[str]:
    """Yield what is wrong with a result: floats, fields of another type, amounts that cannot be, unknown markets."""
    if isinstance(value, float):
        yield f"{where} is a float"
    elif isinstance(value, Decimal) and not value.is_finite():
        yield f"{where} is {value}"
    elif isinstance(value, list | tuple):
        for each in value:
            yield from oddities(each, where, known)
    elif is_dataclass(value):
        for each in fields(value):
            inner, kind = getattr(value, each.name), str(each.type)
            name = f"{type(value).__name__}.{each.name}"
            wanted = SIMPLE.get(kind.removesuffix(" | None"), object)
            if not isinstance(inner, wanted) and not (inner is None and kind.endswith("None")):
                yield f"{name} is {inner!r}, not {kind}"
            elif each.name == "exchange_symbol" and known is not None and inner not in known:
                yield f"{name} is {inner!r}, which is none of the markets'"
            else:
                yield from oddities(inner, name, known)
        if known and isinstance(value, OrderReport) and value.quantity is not None and value.filled > value.quantity:
            yield "OrderReport.filled is above its quantity"
