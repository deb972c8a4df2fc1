"""Connections kept ready: an httpx transport over asyncio, whose work does not grow with the connections it keeps.

HTTP/1.1 alone; one request at a time on each connection; nothing is ever sent twice. What may have left and what surely
did not is told by the class of httpx's error: `ConnectError`, `ConnectTimeout` and `PoolTimeout` are raised only before
the first byte was written, everything else may be raised after.

A server may close a kept connection at any time, and a request written at that moment is in doubt: nobody can tell
whether it arrived. So a request with the extension `"fresh": True`, an order, travels on a new connection or on one
that answered within the last seconds, when no server gives up on it; a connection found closed is passed over.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TypeAlias

import httptools
import httpx

from bot.exchanges.dial import dial

FRESH_SECONDS = 2.0
"""For how long after its last answer a connection carries orders. Servers keep idle ones for 5 seconds at the least."""
_KEEP_SECONDS = 50.0
_PIECE = 16 * 1024
_LARGEST_HEAD = 64 * 1024
_LARGEST_BODY = 64 * 1024 * 1024

Origin: TypeAlias = tuple[str, str, int]
Reply: TypeAlias = tuple[int, list[tuple[bytes, bytes]], bytes]


class Connections(httpx.AsyncBaseTransport):
    """Sends requests over kept connections.

    Args:
        verify: How servers prove who they are.
        local_address: Source address, or `None` for the system's choice.
        most: Connections to one server. Those who find none free wait in turn.
        monotonic: Seconds that never go back.
    """

    def __init__(
        self,
        verify: ssl.SSLContext,
        *,
        local_address: str | None = None,
        most: int = 100,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._verify = verify
        self._local = local_address
        self._most = most
        self._monotonic = monotonic
        self._servers: dict[Origin, Server] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`, once, and return the whole reply.

        Args:
            request: With its body. The extension `target` replaces path and query, `fresh` asks for a connection that
                surely lives, `timeout` is as in httpx: `connect`, `pool`, and `read` from the first byte written to
                the last one read.

        Raises:
            httpx.TransportError: By class, as this module's description says.
        """
        if request.method == "HEAD":
            raise httpx.UnsupportedProtocol("HEAD is not spoken here")
        limits: dict[str, float | None] = request.extensions.get("timeout", {})
        fresh = request.extensions.get("fresh", False)
        status, headers, body = await self.exchange(self.server(request.url), _encoded(request), limits, fresh=fresh)
        return httpx.Response(status, headers=headers, content=body)

    async def exchange(
        self, server: Server, message: bytes, limits: Mapping[str, float | None], *, fresh: bool
    ) -> Reply:
        """Do as `handle_async_request` with bytes, for those who make many requests: httpx's objects cost 40 us.

        Args:
            server: From `server`.
            message: The whole request, with the header `Host`; not HEAD.
            limits: As the extension `timeout`.
            fresh: As the extension.

        Returns:
            Status, headers with names in lower case, and the body as it was sent.
        """
        connection = self._kept(server, fresh=fresh) or await self._acquire(server, limits)
        try:
            return await connection.ask(message, limits.get("read"))
        finally:
            server.release(connection)  # and closes it, if its answer is still on the way

    async def warm(self, url: httpx.URL, timeout_seconds: float) -> None:
        """Have a connection ready that may carry an order at once. A failure is left for the order to meet."""
        server = self.server(url)
        with contextlib.suppress(httpx.TransportError):
            limits: dict[str, float | None] = {"connect": timeout_seconds, "pool": 0.0}
            server.release(self._kept(server, fresh=True) or await self._acquire(server, limits))

    async def aclose(self) -> None:
        """Close every connection that is not in use; the others close when they come back."""
        for server in self._servers.values():
            server.is_closed = True
            while server.kept:
                server.kept.pop().close()

    def server(self, url: httpx.URL) -> Server:
        """Return the place of all connections to the server of `url`."""
        scheme = url.scheme
        origin = (scheme, url.host, url.port or (443 if scheme == "https" else 80))
        found = self._servers.get(origin)
        if found is None:
            if scheme not in ("http", "https"):
                raise httpx.UnsupportedProtocol(f"{scheme} is not spoken here")
            found = self._servers[origin] = Server(origin)
        return found

    def _kept(self, server: Server, *, fresh: bool) -> _Connection | None:
        return server.take(self._monotonic(), FRESH_SECONDS if fresh else _KEEP_SECONDS)

    async def _acquire(self, server: Server, limits: Mapping[str, float | None]) -> _Connection:
        if server.in_use < self._most:
            server.in_use += 1
        else:
            kept = await server.turn(limits.get("pool"))
            if kept is not None and kept.is_idle:
                return kept
        try:
            return await self._connect(server.origin, limits.get("connect"))
        except BaseException:
            server.release(None)
            raise

    async def _connect(self, origin: Origin, timeout_seconds: float | None) -> _Connection:
        scheme, host, port = origin
        try:
            async with asyncio.timeout(timeout_seconds):
                made = await dial(host, port, self._local)
                is_tls = scheme == "https"
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(self._monotonic),
                    sock=made,
                    ssl=self._verify if is_tls else None,
                    server_hostname=host if is_tls else None,
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout("the server did not take the connection in time") from error
        except OSError as error:  # name, route, refusal, certificate
            raise httpx.ConnectError(str(error)) from error
        return connection


class Server:
    """The connections to one server: how many are in use, the kept ones by age, and those who wait for one."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.in_use = 0
        self.kept: deque[_Connection] = deque()
        self.is_closed = False
        self._waiting: deque[asyncio.Future[_Connection | None]] = deque()

    def take(self, now: float, seconds: float) -> _Connection | None:
        """Take the connection that answered last, if it lives and did so within `seconds`."""
        while self.kept and now - self.kept[0].answered_at > _KEEP_SECONDS:
            self.kept.popleft().close()
        while self.kept and not self.kept[-1].is_idle:
            self.kept.pop().close()
        if not self.kept or now - self.kept[-1].answered_at > seconds:
            return None
        self.in_use += 1
        return self.kept.pop()

    def release(self, connection: _Connection | None) -> None:
        """Hand a place on, with its connection if that can be used again, or keep the connection for later."""
        if connection is not None and (self.is_closed or not connection.is_idle):
            connection.close()
            connection = None
        if self._waiting and self.hand_on(connection):
            return
        self.in_use -= 1
        if connection is not None:
            self.kept.append(connection)

    async def turn(self, seconds: float | None) -> _Connection | None:
        """Wait, first come first served, for somebody's place, and the connection that may come with it."""
        place: asyncio.Future[_Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            async with asyncio.timeout(seconds):
                return await place
        except BaseException as error:
            if place.done() and not place.cancelled():
                self.release(place.result())  # the place was ours already
            if isinstance(error, TimeoutError):
                raise httpx.PoolTimeout("too many requests wait for this server") from error
            raise

    def hand_on(self, connection: _Connection | None) -> bool:
        """Give a place to the first who waits for one; say whether anybody did."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(connection)
                return True
        return False


class _Connection(asyncio.BufferedProtocol):
    """One connection: writes a request, and gathers the reply that httptools reads out of it.

    It brings its own room for what arrives: where a protocol brings none, asyncio takes 256 kB anew for each piece,
    which costs 14 us.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self.answered_at = monotonic()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._reply: asyncio.Future[Reply] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._deadline = math.inf  # by the loop's clock
        self._is_usable = True
        self._room = memoryview(bytearray(_PIECE))
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._head_size = self._body_size = 0
        self._has_head = False

    @property
    def is_idle(self) -> bool:
        """Whether the next request may be written: nothing is under way, and the server has not closed."""
        return self._is_usable and self._reply is None and self._transport is not None

    def close(self) -> None:
        """Let go of the connection at once."""
        self._is_usable = False
        if self._alarm is not None:
            self._alarm.cancel()
        if self._transport is not None:
            self._transport.abort()

    def ask(self, message: bytes, timeout_seconds: float | None) -> asyncio.Future[Reply]:
        """Write a request, and return its reply to come. Until that is there, the connection is not idle."""
        assert self._transport is not None
        reply = self._reply = self._loop.create_future()
        self._expect_within(timeout_seconds)
        self._transport.write(message)
        return reply

    def _expect_within(self, seconds: float | None) -> None:
        """Set the alarm for a late reply. One serves many requests: it moves on when it rings too early."""
        self._deadline = math.inf if seconds is None else self._loop.time() + seconds
        if seconds is None or (self._alarm is not None and self._alarm.when() <= self._deadline):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._reply is None or self._deadline == math.inf:
            return
        if self._loop.time() < self._deadline:
            self._alarm = self._loop.call_at(self._deadline, self._ring)
        else:
            self._fail(httpx.ReadTimeout("the server did not answer in time"))

    def _fail(self, error: Exception) -> None:
        self._is_usable = False
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(error)

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(self._room[:nbytes])

    def data_received(self, data: bytes | memoryview) -> None:
        if self._reply is None:
            self.close()  # nobody asked: what comes is no answer to what is asked next
            return
        try:
            if not self._has_head:
                self._head_size += len(data)
            self._parser.feed_data(data)
            if self._head_size - self._body_size > _LARGEST_HEAD:  # a body may come along with its head
                raise httpx.RemoteProtocolError("the reply's head is too large")
        except httptools.HttpParserUpgrade:
            self._fail(httpx.RemoteProtocolError("the server changed the protocol"))
        except httptools.HttpParserError as error:
            cause = error.__context__
            text = str(cause) if isinstance(cause, httpx.TransportError) else "the reply is not HTTP"
            self._fail(httpx.RemoteProtocolError(text))
        except httpx.TransportError as error:
            self._fail(error)

    def eof_received(self) -> None:
        self._is_usable = False
        if self._has_head and not any(name in _FRAMED for name, _ in self._headers):
            self._answered()  # a body without a length ends with the connection

    def connection_lost(self, exc: Exception | None) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._fail(httpx.RemoteProtocolError("the server closed the connection without a whole answer"))

    # What httptools calls

    def on_message_begin(self) -> None:
        if self._reply is None:
            self._is_usable = False  # a second answer to one question

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:  # what follows the body is nothing we asked for
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._has_head = self._parser.get_status_code() >= 200

    def on_body(self, data: bytes) -> None:
        self._body_size += len(data)
        if self._body_size > _LARGEST_BODY:
            raise httpx.RemoteProtocolError("the reply's body is too large")
        self._body.append(data)

    def on_message_complete(self) -> None:
        if not self._has_head:
            self._headers = []  # "100 Continue" and its like come before the answer
        else:
            self._is_usable = self._is_usable and self._parser.should_keep_alive()
            self._answered()

    def _answered(self) -> None:
        found = (self._parser.get_status_code(), self._headers, b"".join(self._body))
        self._headers, self._body, self._head_size, self._body_size, self._has_head = [], [], 0, 0, False
        reply, self._reply, self.answered_at = self._reply, None, self._monotonic()
        if reply is not None and not reply.done():
            reply.set_result(found)


_FRAMED = (b"content-length", b"transfer-encoding")


def _encoded(request: httpx.Request) -> bytes:
    target: bytes = request.extensions.get("target") or request.url.raw_path
    lines = [b"%b %b HTTP/1.1\r\n" % (request.method.encode("ascii"), target)]
    lines += [b"%b: %b\r\n" % header for header in request.headers.raw]
    head = b"".join(lines)
    if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines) or b" " in target:
        raise httpx.LocalProtocolError("a line break in a header or target")
    return head + b"\r\n" + request.content
