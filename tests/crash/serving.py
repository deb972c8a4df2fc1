"""The world's side of one life's sockets."""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections.abc import Callable
from typing import Any, Protocol

from tests.crash import frames

_SILENT_SECONDS = 30.0


class Ears(Protocol):
    """Who hears what the bot says."""

    def heard(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Take what the bot's process said, and return the answer, if it wants one."""

    def requested(self, now_us: int, message: bytes, answer: Callable[[bytes], None]) -> None:
        """Take a whole request to the exchange."""


def sockets() -> tuple[socket.socket, socket.socket, socket.socket]:
    """Return both ends of the bot's line to the world, and what its connections to the exchange arrive at."""
    ours, theirs = socket.socketpair()
    ours.settimeout(_SILENT_SECONDS)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("")  # the kernel finds a name in the abstract space
    listener.listen()
    return ours, theirs, listener


class Serving:
    """Serves one life's sockets until it is over: what was sent whole is not lost, and half a request is nothing.

    Args:
        world: Who answers.
        listener: Where the bot's connections to the exchange arrive.
        control: The line to the bot.
    """

    def __init__(self, world: Ears, listener: socket.socket, control: socket.socket) -> None:
        self._world = world
        self._listener = listener
        self._control = control
        self._selector = selectors.DefaultSelector()
        self._buffers: dict[socket.socket, bytearray] = {}

    def serve(self) -> None:
        """Answer until the other side is gone, and then take what it left behind.

        Raises:
            TimeoutError: Nothing was heard for long.
        """
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._control, selectors.EVENT_READ)
        self._listener.setblocking(False)  # noqa: FBT003  # the socket's own signature
        try:
            while self._serve_once():
                pass
            self._accept()
            for each in tuple(self._buffers):
                while self._receive(each):
                    pass
        finally:
            for each in self._buffers:
                each.close()
            self._selector.close()

    def _serve_once(self) -> bool:
        ready = self._selector.select(_SILENT_SECONDS)
        if not ready:
            raise TimeoutError
        for key, _ in ready:
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is not self._control:
                self._receive(key.fileobj)  # type: ignore[arg-type]
        if not any(key.fileobj is self._control for key, _ in ready):
            return True
        message = frames.receive(self._control)
        if message is None:
            return False
        answer = self._world.heard(message)
        if answer is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                frames.send(self._control, answer)
        return True

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = self._listener.accept()
                connection.setblocking(False)  # noqa: FBT003  # the socket's own signature
                self._buffers[connection] = bytearray()
                self._selector.register(connection, selectors.EVENT_READ)

    def _receive(self, connection: socket.socket) -> bool:
        """Take what came, and say whether there may be more."""
        buffer = self._buffers[connection]
        try:
            data = connection.recv(65536)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            data = b""
        if not data:
            if connection in {key.fileobj for key in self._selector.get_map().values()}:
                self._selector.unregister(connection)
            return False
        buffer += data

        def answer(message: bytes) -> None:
            with contextlib.suppress(OSError):  # nobody is there any more
                connection.sendall(frames.reply(message))

        while (found := frames.take_request(buffer)) is not None:
            self._world.requested(*found, answer)
        return True
