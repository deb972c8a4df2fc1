"""Between BitoPro's fields and the models: https://github.com/bitoex/bitopro-offical-api-docs (read 2025-12)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Generic, Literal, TypeVar

import msgspec

from bot import (
    TIMESTAMP,
    Balance,
    Capabilities,
    Fill,
    Limit,
    Market,
    Order,
    OrderAck,
    OrderReport,
    OrderType,
    OutcomeUnknown,
    Quote,
    ReportState,
    Request,
    Response,
    Row,
    UserError,
    plain,
    refuse_undeclared,
    side_of,
    state_of,
)

T = TypeVar("T")

CAPABILITIES = Capabilities(
    order_types=frozenset({"limit", "market", "stop_limit"}),
    post_only=True,
    cancel_all=True,
    absence_seconds=None,  # how long a timestamp is taken for is not documented
)
LIMITS: Mapping[str, tuple[Limit, ...]] = {
    # One page says 1200 a minute. The own limits of placing (1200) and canceling (900) are wider than this.
    "address": (Limit(600, 60),),
    "account": (Limit(600, 60, "account"),),
    "open orders": (Limit(5, 1), Limit(5, 1, "account")),
    "cancel all": (Limit(1, 1), Limit(1, 1, "account")),  # the same page also says two a second
}

_TYPES: Mapping[str, OrderType] = {
    "LIMIT": "limit",
    "MARKET": "market",
    "STOP_LIMIT": "stop_limit",
    # Made on the web site only, and shown here.
    "SP_OCO_STOPLIMIT": "stop_limit",
    "SL_OCO_STOPLIMIT": "stop_limit",
}
_STATES: Mapping[int, ReportState] = {
    -1: "open",  # a stop order that waits
    0: "open",
    1: "partially_filled",
    2: "filled",
    3: "canceled",  # after a part was filled
    4: "canceled",
    6: "rejected",  # a post-only order, though placing it succeeded
}


# Requests


def private(method: str, path: str, *more: str, json: Any = None, places: bool = False, **query: Any) -> Request:
    """Describe a signed request; `more` names limits that it weighs on besides the general ones."""
    costs = dict.fromkeys(("address", "account", *more), 1)
    return Request(method=method, path=path, query=tuple(query.items()), json=json, places=places, costs=costs)


def pair_of(market: Market) -> str:
    """Return BitoPro's name of a pair, safe in a path: `DELETE /orders/all` would cancel the orders of all pairs."""
    if not re.fullmatch(r"[a-z0-9]+_[a-z0-9]+", market.exchange_symbol):
        raise UserError(f"{market.exchange_symbol!r} is not a pair of BitoPro's.", code="UNKNOWN_PAIR")
    return market.exchange_symbol


def order_path(market: Market, exchange_order_id: str) -> str:
    """Return one order's path. Without an id it would be the path of all the pair's orders."""
    if not re.fullmatch(r"[A-Za-z0-9-]+", exchange_order_id):
        raise OutcomeUnknown(f"BitoPro has no orders with an id like {exchange_order_id[:40]!r}")
    return f"/v3/orders/{pair_of(market)}/{exchange_order_id}"


# Replies


class Listed(msgspec.Struct, Generic[T]):
    """The envelope of every list."""

    data: T


def client_id_text(client_id: int | str | None) -> str:
    """Return our id, empty where BitoPro tells none."""
    return str(client_id) if client_id else ""


# Balances


class BalanceRow(Row, rename="camel"):
    currency: str
    amount: Decimal
    available: Decimal


def holdings(rows: Iterable[BalanceRow]) -> list[Balance]:
    """Return what `rows` say, without zeros. What is staked cannot be spent and counts as locked."""
    return [Balance(row.currency.upper(), row.available, row.amount - row.available) for row in rows if row.amount]


# Placing


def order_body(order: Order) -> dict[str, Any]:
    """Return the body of a placing request; text, time and place of each field as in BitoPro's own samples.

    Both `timestamp` and `nonce` are sent. Unverified: which of them BitoPro checks.
    """
    refuse_undeclared(order, "BitoPro", CAPABILITIES)
    is_stop = order.type == "stop_limit"
    return {
        "type": order.type.upper(),
        # Second, so that `>` falls where standard and URL-safe base64 agree: BitoPro's own clients use either.
        **({"condition": _condition(order)} if is_stop else {}),
        "action": order.side.upper(),
        "amount": plain(order.size.amount),
        **({} if order.type == "market" else {"price": plain(order.price)}),
        **({"stopPrice": plain(order.stop_price)} if is_stop else {}),
        "timestamp": TIMESTAMP,
        "nonce": TIMESTAMP,
        **({"timeInForce": "POST_ONLY" if order.post_only else "GTC"} if order.type == "limit" else {}),
        "clientId": int(order.client_order_id),
    }


def _condition(order: Order) -> Literal[">=", "<="]:
    last, trigger = order.reference_price, order.stop_price
    is_rising = order.side == "buy"
    if last is not None and trigger is not None and trigger != last:
        is_rising = trigger > last
    return ">=" if is_rising else "<="


class _Ack(msgspec.Struct, rename="camel"):
    order_id: int | str  # documented as a number, sent as text


def ack(response: Response, order: Order) -> OrderAck:
    found = str(response.decode(_Ack).order_id)
    if found in ("", "0"):
        raise OutcomeUnknown("BitoPro took the order, but gave it no id", status=response.status)
    return OrderAck(found, order.client_order_id)


# Orders and fills


class OrderRow(Row, rename="camel"):
    """An order. An unknown one may come as a row with an empty id."""

    id: str | int = ""
    pair: str = ""
    action: str = ""
    type: str = ""
    status: int | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    original_amount: Decimal = Decimal(0)
    executed_amount: Decimal = Decimal(0)
    avg_execution_price: Decimal | None = None
    fee: Decimal | None = None
    fee_symbol: str = ""
    bito_fee: Decimal | None = None
    client_id: int | str | None = None
    timestamp: int = 0
    created_timestamp: int = 0


def report(row: OrderRow) -> OrderReport:
    filled, kind, side = row.executed_amount, _TYPES.get(row.type.upper(), "limit"), side_of(row.action)
    is_sized_in_base = kind != "market" or side == "sell"
    fee, fee_asset = _fee(row)
    return OrderReport(
        exchange_order_id=str(row.id),
        client_order_id=client_id_text(row.client_id),
        exchange_symbol=row.pair.lower(),
        side=side,
        type=kind,
        state=_state(row),
        filled=filled,
        average_price=(row.avg_execution_price or None) if filled else None,
        # Unverified: whether a market buy's amount is in quote here.
        quantity=row.original_amount or None if is_sized_in_base else None,
        price=None if kind == "market" else row.price or None,
        stop_price=row.stop_price or None,
        fee=fee,
        fee_asset=fee_asset,
        reason="the post-only order would have traded at once" if row.status == 6 else "",
        created_ms=row.created_timestamp or row.timestamp,
    )


def _state(row: OrderRow) -> ReportState:
    found = state_of(_STATES, row.status, row.executed_amount)
    if found == "filled" and not row.executed_amount:
        # Unverified: what a stop order shows once it was triggered. Never call filled what bought nothing.
        raise OutcomeUnknown(f"BitoPro calls order {row.id} completed, but nothing of it was executed", transient=True)
    return found


def _fee(row: OrderRow) -> tuple[Decimal | None, str]:
    # Unverified: how the two relate when a fee is paid partly in BITO. The larger part is `fee`, where there is any.
    if row.bito_fee and not row.fee:
        return row.bito_fee, "BITO"
    return (row.fee, row.fee_symbol.upper()) if row.fee and row.fee_symbol else (None, "")


def is_same(row: OrderRow, order: Order) -> bool:
    """Say whether `row` can be `order`. Our id is only a label there and may stand on other orders."""
    wanted_types = {"STOP_LIMIT", "LIMIT"} if order.type == "stop_limit" else {order.type.upper()}
    return (
        client_id_text(row.client_id) == order.client_order_id
        and row.pair.lower() == order.market.exchange_symbol
        and row.action.lower() == order.side
        and row.type.upper() in wanted_types
        and (isinstance(order.size, Quote) or row.original_amount == order.size.amount)
        and order.price in (None, row.price)
        and (not row.stop_price or row.stop_price == order.stop_price)
    )


class FillRow(Row, rename="camel"):
    trade_id: str | int
    order_id: str | int
    action: str
    price: Decimal
    base_amount: Decimal
    fee: Decimal = Decimal(0)
    fee_symbol: str = ""
    is_taker: bool = True
    timestamp: int = 0
    created_timestamp: int = 0


def fill(row: FillRow, market: Market) -> Fill:
    return Fill(
        trade_id=str(row.trade_id),
        exchange_order_id=str(row.order_id),
        exchange_symbol=market.exchange_symbol,
        side=side_of(row.action),
        price=row.price,
        quantity=row.base_amount,
        fee=row.fee,
        fee_asset=row.fee_symbol.upper(),
        is_maker=not row.is_taker,
        at_ms=row.created_timestamp or row.timestamp,
    )
