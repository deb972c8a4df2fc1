"""Sockets: prices from v2 for everybody, orders from v2 for classic and from v3 for unified accounts.

Sources: https://www.bitget.com/api-doc/common/websocket-intro and
https://www.bitget.com/api-doc/uta/websocket (read 2025-12).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from bot import (
    Account,
    Event,
    Flow,
    LoggedIn,
    Market,
    Number,
    OrderChanged,
    PriceSeen,
    Request,
    Row,
    Stream,
    StreamRefused,
    hookimpl,
)
from tradewire_bitget.keys import is_unified
from tradewire_bitget.payloads import milliseconds
from tradewire_bitget.signing import LOGIN_PATH

# One name for each way in, though addresses repeat: a host is what a test server stands in for.
HOSTS: Mapping[str, str] = {
    "ws_public": "wss://ws.bitget.com",
    "ws_private": "wss://ws.bitget.com",
    "ws_private_demo": "wss://wspap.bitget.com",
}

_PING_SECONDS = 25  # Bitget asks for one every 30 s
_SILENT_SECONDS = 70
_MOST_CHANNELS = 40  # of one socket; Bitget advises fewer than 50, and 4096 bytes in a subscription

Arg: TypeAlias = dict[str, str]


@hookimpl
def public_stream(markets: Sequence[Market]) -> Flow[Sequence[Stream]]:
    symbols = [market.exchange_symbol for market in markets]
    parts = [symbols[start : start + _MOST_CHANNELS] for start in range(0, len(symbols), _MOST_CHANNELS)]
    yield from ()  # no request: the sockets are known
    return [
        _stream(
            "ws_public", "/v2/ws/public", [{"instType": "SPOT", "channel": "ticker", "instId": each} for each in part]
        )
        for part in parts
    ]


@hookimpl
def private_stream(account: Account) -> Flow[Sequence[Stream]]:
    yield from ()  # no request: the sockets are known
    channels: list[Arg]
    if is_unified(account):
        channels = [{"instType": "UTA", "topic": topic} for topic in ("order", "fill")]
    else:
        names = ("orders", "fill", "orders-algo")
        channels = [{"instType": "SPOT", "channel": name, "instId": "default"} for name in names]
    host = "ws_private_demo" if account.options.get("demo") == "1" else "ws_private"
    path = "/v3/ws/private" if is_unified(account) else "/v2/ws/private"
    return [_stream(host, path, channels, Request.get(LOGIN_PATH, costs={f"GET {LOGIN_PATH}": 1}))]


def _stream(host: str, path: str, channels: list[Arg], login: Request | None = None) -> Stream:
    subscription = json.dumps({"op": "subscribe", "args": channels}, separators=(",", ":"))
    return Stream(
        host=host,
        path=path,
        login=login,
        subscribe=(subscription,),
        ping="ping",
        ping_seconds=_PING_SECONDS,
        silent_seconds=_SILENT_SECONDS,
    )


class _Channel(msgspec.Struct, rename="camel"):
    channel: str = ""  # v2
    topic: str = ""  # v3
    inst_id: str = ""
    symbol: str = ""


class _Frame(msgspec.Struct):
    event: str = ""
    code: str | int | None = None
    msg: str | None = None
    arg: _Channel | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Changed(msgspec.Struct, rename="camel"):
    order_id: str = ""
    client_oid: str | None = None
    category: str = "spot"


class _Price(Row, rename="camel"):
    last_pr: Number = None
    bid_pr: Number = None
    ask_pr: Number = None
    last_price: Number = None
    bid1_price: Number = None
    ask1_price: Number = None
    ts: Number = None


@hookimpl
def read_frame(data: str | bytes) -> Sequence[Event]:
    try:
        frame = msgspec.json.decode(data, type=_Frame)
        if frame.event:
            return _answer(frame)
        channel = frame.arg or _Channel()
        match channel.channel or channel.topic:
            case "ticker":
                return [_price(channel, row) for row in msgspec.json.decode(frame.data, type=list[_Price])]
            case "orders" | "orders-algo" | "fill" | "order":
                return _changes(msgspec.json.decode(frame.data, type=list[_Changed]))
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass  # `pong`, or nothing we know
    return []


def _answer(frame: _Frame) -> list[Event]:
    is_good = str(frame.code) in ("0", "00000", "None")
    if frame.event == "login" and is_good:
        return [LoggedIn()]
    if frame.event == "error" or not is_good:
        return [StreamRefused(f"Bitget says {frame.code}: {frame.msg or 'no reason'}")]
    return []


def _changes(rows: list[_Changed]) -> list[Event]:
    # Unified accounts tell of all product lines at once.
    ours = [row for row in rows if row.category.lower() == "spot" and (row.order_id or row.client_oid)]
    return [OrderChanged(exchange_order_id=row.order_id, client_order_id=row.client_oid or "") for row in ours]


def _price(channel: _Channel, row: _Price) -> PriceSeen:
    return PriceSeen(
        exchange_symbol=channel.inst_id or channel.symbol,
        last=row.last_pr or row.last_price or None,
        bid=row.bid_pr or row.bid1_price or None,
        ask=row.ask_pr or row.ask1_price or None,
        at_ms=milliseconds(row.ts),
    )
