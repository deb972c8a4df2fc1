"""Bitrue's sockets: prices come gzipped from one host, news of orders by a listen key from another.

Source: https://github.com/Bitrue-exchange/Spot-official-api-docs (of 2023-07-14).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from bot import (
    Answer,
    Event,
    Flow,
    Market,
    OrderChanged,
    OutcomeUnknown,
    PriceSeen,
    Request,
    Stream,
    StreamRefused,
    hookimpl,
)
from tradewire_bitrue.payloads import Depth

LISTEN_KEY = "/poseidon/api/v1/listenKey"
_ORDERS = "user_order_update"
_HEARTBEAT = '{"event":"pong","ts":"TIMESTAMP"}'
_PRICES = re.compile(r"market_([a-z0-9]+)_simple_depth_step0")
_LARGEST_FRAME = 1_000_000


def subscription(channel: str, **params: str) -> str:
    """Return the frame that asks for a channel."""
    return msgspec.json.encode({"event": "sub", "params": {**params, "channel": channel}}).decode()


@hookimpl
def public_stream(markets: Sequence[Market]) -> Flow[Sequence[Stream]]:
    """Return one socket for the order books of all `markets`."""
    names = [market.exchange_symbol.lower() for market in markets]
    frames = tuple(subscription(f"market_{name}_simple_depth_step0", cb_id=name) for name in names)
    return [Stream(host="ws", path="/market/ws", subscribe=frames)] if frames else []
    yield  # a flow that asks nothing


class _Key(msgspec.Struct):
    key: str = msgspec.field(name="listenKey")


class _Created(msgspec.Struct):
    data: _Key


@hookimpl
def private_stream() -> Flow[Sequence[Stream]]:
    """Ask for a listen key, valid for an hour, and return the socket that it opens."""
    create = Request(method="POST", path=LISTEN_KEY, host="user", auth="key", costs={"general": 1})
    key = (yield create).decode(_Created).data.key
    if not re.fullmatch(r"[A-Za-z0-9_-]+", key):  # it becomes a part of a path
        raise OutcomeUnknown("Bitrue sent a listen key of an unexpected form")
    keep = Request(method="PUT", path=f"{LISTEN_KEY}/{key}", host="user", auth="key", costs={"general": 1})
    return [
        Stream(
            host="user ws",
            path=f"/stream?listenKey={key}",
            subscribe=(subscription(_ORDERS),),
            # Wanted at least every ten minutes, asked for or not.
            ping=_HEARTBEAT,
            ping_seconds=300,
            renew=keep,
            renew_seconds=1800,
            # Unverified: how often the exchange pings here. Where nothing is traded, nothing else comes.
            silent_seconds=3600,
        )
    ]


class _Frame(msgspec.Struct):
    ping: int | str | None = None
    event: str = ""
    event_rep: str = ""
    status: str = ""
    channel: str = ""
    ts: int | str = 0
    tick: Depth | None = None
    e: str = ""
    i: int | str | None = None
    order_id: str = msgspec.field(name="iStr", default="")
    client_order_id: str | None = msgspec.field(name="C", default=None)


@hookimpl
def read_frame(data: str | bytes) -> list[Event]:
    """Return what one frame means; nothing for frames that are unreadable, unknown or of no interest."""
    try:
        frame = msgspec.json.decode(_unpacked(data), type=_Frame)
        return _read(frame)
    except (OutcomeUnknown, msgspec.MsgspecError, zlib.error, ValueError, RecursionError):
        return []


def _unpacked(data: str | bytes) -> str | bytes:
    if isinstance(data, bytes) and data.startswith(b"\x1f\x8b"):
        return zlib.decompressobj(31).decompress(data, _LARGEST_FRAME)
    return data


def _read(frame: _Frame) -> list[Event]:
    if frame.ping is not None:
        return [_answer({"pong": frame.ping})]
    if frame.event == "ping":
        return [_answer({"event": "pong", "ts": str(frame.ts)})]
    if frame.e in ("ORDER", "executionReport"):  # the first is sent, the second documented
        order_id = frame.order_id or str(frame.i or "")
        return [OrderChanged(exchange_order_id=order_id, client_order_id=frame.client_order_id or "")]
    if frame.event_rep and frame.status not in ("", "ok"):
        # Their own words stay out: nobody promises that they do not repeat what was sent.
        return [StreamRefused(f"Bitrue refused {'news of orders' if frame.channel == _ORDERS else 'prices'}")]
    found = _PRICES.fullmatch(frame.channel)
    if found is None or frame.tick is None:
        return []
    book = frame.tick.book()
    bid, ask = (side[0][0] if side else None for side in (book.bids, book.asks))
    return [PriceSeen(exchange_symbol=found[1].upper(), bid=bid, ask=ask, at_ms=int(frame.ts))]


def _answer(content: dict[str, Any]) -> Answer:
    return Answer(msgspec.json.encode(content).decode())
