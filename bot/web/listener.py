"""The one HTTP listener of the bot: it serves the routes of other rooms on one address and keeps senders in bounds."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from bot.contract.errors import ConfigError

MOST_BYTES = 1024 * 1024
"""Of one body. A route may take less."""
MOST_CONNECTIONS = 256
HEAD_SECONDS = 10
BODY_SECONDS = 10
_END_SECONDS = 5


class Listener:
    """Serve routes over HTTP while the context is open. TLS is the business of a proxy in front.

    A body above `MOST_BYTES` is answered with 413, one that takes longer than `BODY_SECONDS` with 408, and a connection
    whose next request is not there after `HEAD_SECONDS` is closed. `X-Forwarded-For` changes nothing: the peer of a
    request is whoever opened the connection.

    Attributes:
        port: The port in use once the context is open.

    Args:
        routes: What is served. A route reads no body before it knows that its sender may send one.
        host: An IP address of this machine.
        port: 0 takes any free port.

    Raises:
        ConfigError: On entering: the address cannot be listened on.
    """

    def __init__(self, routes: Sequence[BaseRoute], *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._app = Starlette(routes=routes, middleware=[Middleware(Bounded)])
        self._host = host
        self.port = port

    async def __aenter__(self) -> Self:
        bound = _bind(self._host, self.port)
        self.port = bound.getsockname()[1]
        self._server = _Server(
            uvicorn.Config(
                self._app,
                access_log=False,
                http=PatientProtocol,
                lifespan="off",
                limit_concurrency=MOST_CONNECTIONS,
                log_config=None,
                log_level="error",
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_END_SECONDS,
                ws="none",
            )
        )
        self._task = asyncio.create_task(self._server.serve([bound]))
        await self._server.ready.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        try:
            await self._task
        finally:
            for server in self._server.servers:  # still open when the task was canceled
                server.close()


class Bounded:
    """Bounds the body of every request, in bytes and in seconds, as it is read.

    Args:
        app: What is behind.
        most_bytes: Of one body.
        seconds: From the first read of a body to its end.
    """

    def __init__(self, app: ASGIApp, *, most_bytes: int = MOST_BYTES, seconds: float = BODY_SECONDS) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        is_large = not announced.isdigit() or int(announced[:20]) > self._most_bytes
        read, deadline, is_whole = 0, 0.0, False

        async def bounded() -> Message:
            nonlocal read, deadline, is_whole
            if is_whole:
                return await receive()  # waits for the sender to hang up, as long as it takes
            if is_large:
                raise HTTPException(413)
            deadline = deadline or loop.time() + self._seconds
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, headers={"Connection": "close"}) from None
            read += len(message.get("body", b""))
            if read > self._most_bytes:
                raise HTTPException(413)
            is_whole = not message.get("more_body", False)
            return message

        await self._app(scope, bounded, send)


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that waits `HEAD_SECONDS` for the head of a request, and no longer: uvicorn itself waits for ever."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._await_head()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        super().on_response_complete()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        super().connection_lost(exc)
        if self._head is not None:
            self._head.cancel()

    def _await_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
        self._head = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None or self.cycle.response_complete:  # type: ignore[redundant-expr]
            self.transport.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program around us."""
        yield


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    bound = socket.socket(family, proto=socket.IPPROTO_TCP)  # named, or asyncio leaves Nagle's delay of 40 ms on
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ConfigError(
            f"[web] host and port: cannot listen on {host} port {port} ({error.strerror}). "
            "Stop the other program there, or choose another port."
        ) from error
    return bound
