"""Calls of the Bot API over connections kept ready: what python-telegram-bot needs of a network, and no more.

The token is part of every address, so no error and no log line made here holds an address.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec
from telegram.error import NetworkError, TelegramError, TimedOut
from telegram.request import BaseRequest, HTTPXRequest, RequestData

from bot.config import Telegram
from bot.exchanges.connections import Connections, Server
from bot.exchanges.http import tls_context

READ_SECONDS = 10.0
_WRITE_SECONDS = 5.0
_FILE_SECONDS = 20.0
_CONNECT_SECONDS = 5.0
_POOL_SECONDS = 30.0
_AT_ONCE = 64
_AT_ONCE_BY_PROXY = 16
"""The work of httpx for one call grows with the connections it keeps."""

_TARGET = re.compile(r"/[!-~]*")
_FORM = "application/x-www-form-urlencoded"


def make_request(settings: Telegram, *, at_once: int = _AT_ONCE) -> BaseRequest:
    """Return a way to the Bot API. Nothing in the environment changes it.

    Through a proxy, or with a password in the address, httpx does the work: slower, and all it knows of both.

    Args:
        settings: Where the Bot API is, and the proxy before it.
        at_once: How many calls may be under way. The others wait in turn, for 30 seconds.
    """
    if settings.proxy is None and urlsplit(settings.base_url).username is None:
        return TelegramRequest(at_once=at_once)
    return HTTPXRequest(
        connection_pool_size=min(at_once, _AT_ONCE_BY_PROXY),
        read_timeout=READ_SECONDS,
        pool_timeout=_POOL_SECONDS,
        proxy=settings.proxy,
        httpx_kwargs={"trust_env": False},
    )


class TelegramRequest(BaseRequest):
    """Sends each call once, as one piece of bytes.

    A connection is kept for 50 seconds. Unverified: that Telegram keeps idle ones longer. Where it does not, they are
    found closed and passed over; only a call written at that very moment fails.

    Args:
        at_once: How many calls may be under way.
        read_seconds: How long an answer may take, when a call does not say.
        pool_seconds: How long a call may wait for its turn, when it does not say.
    """

    __slots__ = ("_at_once", "_connections", "_pool_seconds", "_read_seconds", "_servers")

    def __init__(
        self, *, at_once: int = _AT_ONCE, read_seconds: float = READ_SECONDS, pool_seconds: float = _POOL_SECONDS
    ) -> None:
        self._at_once = at_once
        self._read_seconds = read_seconds
        self._pool_seconds = pool_seconds
        self._connections: Connections | None = None
        self._servers: dict[str, tuple[Server, str]] = {}

    @property
    def read_timeout(self) -> float:
        """How long an answer may take, in seconds, when a call does not say."""
        return self._read_seconds

    async def initialize(self) -> None:
        """Be ready to call; also again after `shutdown`."""
        if self._connections is None:
            self._connections = Connections(tls_context(), most=self._at_once)

    async def shutdown(self) -> None:
        """Let go of every connection; those in use go when their call is answered."""
        if self._connections is not None:
            await self._connections.aclose()
        self._connections = None
        self._servers.clear()

    async def do_request(  # noqa: PLR0917  # the signature is the library's
        self,
        url: str,
        method: str,
        request_data: RequestData | None = None,
        read_timeout: object = BaseRequest.DEFAULT_NONE,
        write_timeout: object = BaseRequest.DEFAULT_NONE,
        connect_timeout: object = BaseRequest.DEFAULT_NONE,
        pool_timeout: object = BaseRequest.DEFAULT_NONE,
    ) -> tuple[int, bytes]:
        """Make one call. A timeout is in seconds; `None` waits for ever, anything else means the usual.

        Returns:
            HTTP status and body.

        Raises:
            TimedOut: No turn, no connection or no whole answer in time.
            NetworkError: The server cannot be reached, or broke off. Unless it could not be reached, the call may have
                been carried out.
        """
        if self._connections is None:
            raise RuntimeError("this way to Telegram is closed")
        server, host, target = self._place(self._connections, url)
        kind, body = _encoded(request_data)
        lines = [f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tradewire\r\n"]
        if method != "GET":
            lines.append(f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n")
        lines.append("\r\n")
        write = _seconds(write_timeout, _WRITE_SECONDS if kind is _FORM else _FILE_SECONDS)
        read = _seconds(read_timeout, self._read_seconds)
        limits = {
            "connect": _seconds(connect_timeout, _CONNECT_SECONDS),
            "pool": _seconds(pool_timeout, self._pool_seconds),
            "read": None if read is None or write is None else read + write,  # counted from the first byte written
        }
        return await _exchanged(self._connections, server, "".join(lines).encode("ascii") + body, limits)

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, object]:
        """Return the answer that `payload` is.

        Raises:
            TelegramError: It is no JSON object. What it is instead may hold the address, and is told to nobody.
        """
        try:
            answer = msgspec.json.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            answer = _lenient(payload)
        if not isinstance(answer, dict):
            raise TelegramError("Telegram's answer cannot be read")
        return answer

    def _place(self, connections: Connections, url: str) -> tuple[Server, str, str]:
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        target = f"{slash}{path}"
        if not _TARGET.fullmatch(target):
            raise NetworkError("the token or base_url in [telegram] has a character that no address may have")
        origin = f"{scheme}://{host}"
        found = self._servers.get(origin)
        if found is None:
            try:
                address = httpx.URL(origin)
                found = connections.server(address), address.netloc.decode("ascii")
            except (httpx.InvalidURL, httpx.UnsupportedProtocol):
                raise NetworkError("base_url in [telegram] is no address of a server") from None
            self._servers[origin] = found
        return *found, target


async def _exchanged(
    connections: Connections, server: Server, message: bytes, limits: Mapping[str, float | None]
) -> tuple[int, bytes]:
    try:
        status, headers, content = await connections.exchange(server, message, limits, fresh=False)
        if any(name == b"content-encoding" for name, _ in headers):  # not asked for, but a proxy in between may
            content = httpx.Response(status, headers=headers, content=content).content
    except httpx.PoolTimeout as error:
        raise TimedOut("Too many calls wait for Telegram; this one was not sent") from error
    except httpx.TimeoutException as error:
        raise TimedOut from error
    except httpx.RequestError as error:
        raise NetworkError(f"Telegram did not answer ({type(error).__name__})") from error
    return status, content


def _encoded(data: RequestData | None) -> tuple[str, bytes]:
    """Return type and bytes of a body."""
    if data is None:
        return _FORM, b""
    if not data.contains_files:
        return _FORM, urlencode(data.json_parameters).encode("ascii")
    parts = httpx.Request("POST", "http://unused", data=data.json_parameters, files=data.multipart_data)
    return parts.headers["content-type"], parts.read()


def _seconds(given: object, default: float) -> float | None:
    return given if given is None or isinstance(given, float | int) else default


def _lenient(payload: bytes) -> object:
    """Read what strict JSON is not: halves of characters, and bytes that are no UTF-8."""
    try:
        return json.loads(payload.decode("utf-8", "replace"))
    except ValueError:
        raise TelegramError("Telegram's answer cannot be read") from None
