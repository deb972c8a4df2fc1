"""Machinery for strict local exchanges that speak over WebSockets.

Subclass `StrictSockets`, write `admit` and `receive`, and push with `Peer.send`; then `async with SocketServer(sockets)
as server:` serves it on `server.url`. `bot.testing.bitget.sockets` is the worked example.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

_MUTE = logging.Logger("websockets")
_MUTE.disabled = True


@dataclass(eq=False)
class Peer:
    """One client that is connected.

    Attributes:
        path: Path and query of its handshake.
        headers: Of its handshake, names in lower case.
        received: The frames it sent, oldest first.
        facts: For the exchange: who it is, what it subscribed to.
    """

    path: str
    headers: Mapping[str, str] = field(repr=False)
    connection: ServerConnection = field(repr=False)
    received: list[str | bytes] = field(default_factory=list, repr=False)
    facts: dict[str, Any] = field(default_factory=dict)
    is_silent: bool = False

    def send(self, frame: str | bytes) -> None:
        """Send a frame, without waiting; nothing once it fell silent."""
        if not self.is_silent:
            broadcast([self.connection], frame)

    def close(self, code: int = 1000) -> None:
        """Close it properly."""
        asyncio.get_running_loop().create_task(self.connection.close(code))

    def drop(self) -> None:
        """Cut the line without a word."""
        self.connection.transport.abort()

    def fall_silent(self) -> None:
        """Keep the line, but neither read nor answer nor send any more; not even the protocol's pongs."""
        self.is_silent = True
        self.connection.transport.pause_reading()


class StrictSockets:
    """What an exchange says and refuses. Its methods never wait; frames go out with `Peer.send`.

    Attributes:
        peers: Who is connected, oldest first.
    """

    def __init__(self) -> None:
        self.peers: list[Peer] = []

    def admit(self, path: str, headers: Mapping[str, str]) -> int:
        """Return the HTTP status of the answer to a handshake: 101 lets it in."""
        raise NotImplementedError

    def receive(self, peer: Peer, frame: str | bytes) -> None:
        """Take one frame."""
        raise NotImplementedError

    def greet(self, peer: Peer) -> None:
        """Say what is said first, if anything."""


class SocketServer:
    """Serves `sockets` on 127.0.0.1, in the running loop, for as long as `async with` lasts.

    Leaving the block cuts every line and raises the first error that an own method of `sockets` raised.

    Args:
        sockets: What to serve.
        port: Zero for any free one; a number to come back where an earlier server was.

    Attributes:
        handshakes: How many were tried.
        refuses: The HTTP status with which every handshake is refused, or zero.
        location: Where a refusal redirects to, if anywhere.
    """

    def __init__(self, sockets: StrictSockets, *, port: int = 0) -> None:
        self.sockets = sockets
        self.port = port
        self.handshakes = 0
        self.refuses = 0
        self.location = ""
        self._changed = asyncio.Event()
        self._failures: list[Exception] = []
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"ws://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._talk,
            "127.0.0.1",
            self.port,
            process_request=self._admit,
            ping_interval=None,
            close_timeout=1,
            logger=_MUTE,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self.drop()
        self._server.close()
        await self._server.wait_closed()
        if self._failures and exc_info[0] is None:
            raise self._failures[0]

    def drop(self) -> None:
        """Cut every line without a word."""
        for peer in self.sockets.peers:
            peer.drop()

    async def until(self, condition: Callable[[], object], *, within: float = 10) -> None:
        """Wait until `condition` holds; looked at whenever somebody comes, speaks or goes.

        Raises:
            TimeoutError: It never did.
        """
        async with asyncio.timeout(within):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes += 1
        self._changed.set()
        status = self.refuses
        if not status:
            try:
                status = self.sockets.admit(request.path, _lower(request))
            except Exception as error:
                self._failures.append(error)
                status = 500
        if status == HTTPStatus.SWITCHING_PROTOCOLS:
            return None
        response = connection.respond(HTTPStatus(status), "no\n")
        if self.location:
            response.headers["Location"] = self.location
        return response

    async def _talk(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        peer = Peer(connection.request.path, _lower(connection.request), connection)
        self.sockets.peers.append(peer)
        self._changed.set()
        try:
            self.sockets.greet(peer)
            async for frame in connection:
                peer.received.append(frame)
                self.sockets.receive(peer, frame)
                self._changed.set()
        except ConnectionClosed:
            pass
        except Exception as error:
            self._failures.append(error)
        finally:
            self.sockets.peers.remove(peer)
            self._changed.set()


def _lower(request: Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.raw_items()}
