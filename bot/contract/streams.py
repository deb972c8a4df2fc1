"""Sockets, described by plugins and run by the core. A stream wakes the core; what an order is, REST tells."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from bot.contract.wire import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One socket to open and keep open.

    Attributes:
        host: Name of one of the plugin's `wss://` hosts.
        path: Path and query, as sent.
        login: Goes through `sign`; its path need not exist at the exchange, but must be on the list of paths.
        login_as: `headers` puts the signed headers into the handshake; `frame` sends the signed body as the first
            frame, and `subscribe` only after `read_frame` returned `LoggedIn`.
        subscribe: Text frames to send once connected (and logged in).
        ping: Text frame to send every `ping_seconds`, with each `TIMESTAMP` in it replaced by UTC milliseconds; empty
            where the protocol's own pings are enough.
        ping_seconds: How often.
        renew: A request to send every `renew_seconds`, such as keeping a listen key alive.
        renew_seconds: How often.
        silent_seconds: Without any frame for so long, the socket is taken for dead and opened anew.
    """

    host: str
    path: str
    login: Request | None = None
    login_as: Literal["frame", "headers"] = "frame"
    subscribe: tuple[str, ...] = ()
    ping: str = ""
    ping_seconds: int = 20
    renew: Request | None = None
    renew_seconds: int = 0
    silent_seconds: int = 90


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The exchange took the login."""


@dataclass(frozen=True, slots=True)
class StreamRefused:
    """The exchange refused a login or a subscription. `message` is for the log and /status, never a secret."""

    message: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A frame to send back, such as the reply to an application-level ping."""

    frame: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSeen:
    """A price. What the frame does not tell is `None`."""

    exchange_symbol: str
    last: Decimal | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None
    at_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChanged:
    """Something happened to an order: accepted, filled, canceled. The core asks for the order at once.

    Either id may be empty where the frame does not tell it.
    """

    exchange_order_id: str = ""
    client_order_id: str = ""


Event: TypeAlias = LoggedIn | StreamRefused | Answer | PriceSeen | OrderChanged
