"""BTCC's socket: its "Spot Trading API" (April 2025), section "WebSocket". One address serves prices and orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bot import (
    Account,
    Answer,
    Event,
    Flow,
    LoggedIn,
    Market,
    OrderChanged,
    OutcomeUnknown,
    PriceSeen,
    Request,
    Stream,
    StreamRefused,
    hookimpl,
)
from tradewire_btcc.errors import ERRORS
from tradewire_btcc.payloads import ASSUMED, UNKNOWN_COMMAND, WS, Depth

LOGIN, ORDERS, ORDERS_AGAIN, PRICES, PING = 1, 2, 3, 4, 5
"""Ids of our calls, which the answers repeat."""

_PURPOSES = {LOGIN: "the login", ORDERS: "news of orders", ORDERS_AGAIN: "news of orders", PRICES: "prices"}


def call(id_: int, method: str, *params: object) -> str:
    """Return one call as a frame."""
    return msgspec.json.encode({"id": id_, "method": method, "params": params}).decode()


_HEARTBEAT = call(PING, "server.ping")


@hookimpl
def public_stream(markets: Sequence[Market]) -> Flow[Sequence[Stream]]:
    """Return a socket per market.

    Unverified: whether one socket takes several books; the engine family keeps one subscription of a kind per socket.
    """
    yield from ()
    frames = (call(PRICES, "depth.subscribe", market.exchange_symbol, 5, "0") for market in markets)
    return [_stream(frame) for frame in frames]


@hookimpl
def private_stream(account: Account) -> Flow[Sequence[Stream]]:
    """Return the socket that tells of all the account's orders; `sign` puts key and secret's hash into its login."""
    yield from ()
    login = Request.post(ASSUMED.ws_path, {"id": LOGIN, "method": "server.accessid_auth", "params": []}, host=WS)
    return [_stream(call(ORDERS, ASSUMED.ws_order_methods[0]), login)]


def _stream(frame: str, login: Request | None = None) -> Stream:
    seconds = ASSUMED.ping_seconds
    return Stream(host=WS, path=ASSUMED.ws_path, login=login, subscribe=(frame,), ping=_HEARTBEAT, ping_seconds=seconds)


class _Frame(msgspec.Struct):
    id: Any = None
    method: str | None = None
    params: list[msgspec.Raw] | None = None
    error: Any = None
    result: Any = None


@hookimpl
def read_frame(data: str | bytes) -> list[Event]:
    """Return what one frame means; nothing for frames that are unreadable, unknown or of no interest."""
    try:
        frame = msgspec.json.decode(data, type=_Frame)
        if frame.method in ("order.update", "orders.update"):
            return [_order(frame.params or [])]
        if frame.method == "depth.update":
            return _price(frame.params or [])
    except (msgspec.DecodeError, OutcomeUnknown, UnicodeError, LookupError, RecursionError):
        return []
    return [] if frame.method is not None else _answer(frame)


class _Names(msgspec.Struct):
    id: int
    source: str | None = None
    client_id: str | None = None


def _order(params: list[msgspec.Raw]) -> OrderChanged:
    """Read `[order]`, as documented, or `[event, order]`, as programs see it."""
    is_order = bytes(params[0]).lstrip().startswith(b"{")
    row = msgspec.json.decode(params[0] if is_order else params[1], type=_Names)
    return OrderChanged(exchange_order_id=str(row.id), client_order_id=row.client_id or row.source or "")


def _price(params: list[msgspec.Raw]) -> list[Event]:
    """Read `[is_full, book, market]`. Only a full book tells the best prices; others tell what changed."""
    is_full, symbol = msgspec.json.decode(params[0], type=bool), msgspec.json.decode(params[2], type=str)
    depth = msgspec.json.decode(params[1], type=Depth)
    bid, ask = depth.best if is_full else (None, None)
    return [PriceSeen(exchange_symbol=symbol, last=depth.last or None, bid=bid, ask=ask, at_ms=depth.time)]


def _answer(frame: _Frame) -> list[Event]:
    id_ = frame.id
    if type(id_) is not int or id_ not in _PURPOSES:
        return []
    code = _error_code(frame.error)
    if code is None:
        if id_ != LOGIN:
            return []
        is_taken = frame.result in ("success", {"status": "success"})
        return [LoggedIn() if is_taken else StreamRefused("BTCC did not say that it took the login")]
    if id_ == ORDERS and code == UNKNOWN_COMMAND:
        return [Answer(call(ORDERS_AGAIN, ASSUMED.ws_order_methods[1]))]
    row = ERRORS.get(code)
    # Their own words stay out: nobody promises that they do not repeat what was sent.
    cause = "auth failed" if id_ == LOGIN else row.cause if row else "for no documented reason"
    return [StreamRefused(f"BTCC refused {_PURPOSES[id_]}: {cause} (code {code or 'unknown'})")]


def _error_code(error: object) -> str | None:
    """Return the code of an error, or `None` where there is none."""
    if error is None:
        return None
    code = error.get("code") if isinstance(error, Mapping) else None
    if type(code) is not int:
        return ""
    return None if code == 0 else str(code)
