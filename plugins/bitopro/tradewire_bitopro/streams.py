"""BitoPro's sockets: https://github.com/bitoex/bitopro-offical-api-docs/tree/master/ws (read 2025-12).

The address chooses the stream; there is nothing to subscribe to. The server pings on the protocol's own level.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from bot import Event, Flow, Market, OrderChanged, PriceSeen, Request, Row, Stream, StreamRefused, hookimpl
from tradewire_bitopro.payloads import client_id_text, pair_of

_TICKERS = "/ws/v1/pub/tickers"
# An order that ends leaves the first and shows up in the second.
_ORDERS = ("/ws/v1/pub/auth/orders", "/ws/v1/pub/auth/orders/histories")

PATHS = tuple(f"GET {path}" for path in _ORDERS)
"""Openings of sockets that go through `sign`."""


@hookimpl
def public_stream(markets: Sequence[Market]) -> Flow[Sequence[Stream]]:
    """Return one socket for the last prices of all `markets`; BitoPro's ticker tells neither bid nor ask."""
    pairs = ",".join(pair_of(market).upper() for market in markets)
    return [Stream(host="ws", path=f"{_TICKERS}?pairs={pairs}")] if pairs else []
    yield  # a flow that asks nothing


@hookimpl
def private_stream() -> Flow[Sequence[Stream]]:
    """Return one socket for open orders and one for those that ended; both log in by their headers."""
    return [Stream(host="ws", path=path, login=Request.get(path, host="ws"), login_as="headers") for path in _ORDERS]
    yield  # a flow that asks nothing


class _Frame(msgspec.Struct):
    event: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")
    error: Any = None


class _Ticker(Row, rename="camel"):
    pair: str
    last_price: Decimal
    timestamp: int = 0


class _Changed(msgspec.Struct):
    id: str | int
    # REST spells it `clientId`.
    client_id: int | str | None = msgspec.field(name="clientID", default=None)


@hookimpl
def read_frame(data: str | bytes) -> Sequence[Event]:
    """Return what a frame tells; what is not known, or cannot be assigned to a pair, tells nothing."""
    try:
        frame = msgspec.json.decode(data, type=_Frame)
        if frame.event == "TICKER":
            ticker = msgspec.json.decode(data, type=_Ticker)  # not in `data`: its fields stand beside `event`
            symbol = ticker.pair.lower()
            return [PriceSeen(exchange_symbol=symbol, last=ticker.last_price, at_ms=ticker.timestamp)]
        if frame.event in ("ACTIVE_ORDERS", "RECENT_HISTORY_ORDERS"):
            by_pair = msgspec.json.decode(frame.data, type=dict[str, list[_Changed]])
            return [
                OrderChanged(exchange_order_id=str(row.id), client_order_id=client_id_text(row.client_id))
                for rows in by_pair.values()
                for row in rows
            ]
        # Unverified: a login is expected to be refused by HTTP status, before the first frame.
        if isinstance(frame.error, str) and not frame.event:
            return [StreamRefused(frame.error[:200])]
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    return []
