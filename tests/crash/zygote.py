"""The warmed process that the bot's lives are forked from.

It does nothing else. A page on which it or a child of it writes is copied, so it is apart from the world outside, which
writes all the time.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import socket
import struct
import traceback
from typing import NoReturn

from tests.crash.inside import Life, live, warm_up

_MOST_BYTES = 65_536
_NUMBER = struct.Struct(">q")


class Zygote:
    """The world's hold on that process. It has no threads, and is forked from this one, which must have none."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pid = os.fork()
        if self._pid == 0:
            self._line.close()
            try:
                _serve(theirs)
            finally:
                traceback.print_exc()
                os._exit(70)
        theirs.close()
        self._child = 0

    def begin(self, life: Life, control: socket.socket) -> None:
        """Let the bot live in a new process. The first life is lived in the warmed process itself, to its end.

        Args:
            life: What it is given.
            control: Its line to the world; no longer this process's.
        """
        socket.send_fds(self._line, [pickle.dumps(life)], [control.fileno()])
        control.close()
        self._child = self._heard()

    def kill(self) -> None:
        """Kill the bot, if it lives."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child, signal.SIGKILL)

    def end(self) -> int:
        """Wait until the bot's process has ended, and return its status as `os.waitpid` does."""
        return self._heard()

    def close(self) -> None:
        """End the warmed process."""
        self._line.close()
        os.waitpid(self._pid, 0)

    def _heard(self) -> int:
        data = self._line.recv(_NUMBER.size)
        if not data:
            raise RuntimeError("the process that the bot's lives are forked from died")
        number: int = _NUMBER.unpack(data)[0]
        return number


def _serve(line: socket.socket) -> NoReturn:
    os.setsid()  # Ctrl-C is for the world, which then lets go of the bot
    life, control = _next(line)
    _say(line, os.getpid())
    warm_up(life, control)
    control.close()
    gc.collect()
    gc.freeze()  # the collector of a child must not touch, and so copy, all that it shares with its parent
    _say(line, 0)
    while True:
        life, control = _next(line)
        child = os.fork()
        if child == 0:
            line.close()
            live(life, control)
        control.close()
        _say(line, child)
        _say(line, os.waitpid(child, 0)[1])


def _next(line: socket.socket) -> tuple[Life, socket.socket]:
    data, descriptors, _, _ = socket.recv_fds(line, _MOST_BYTES, 1)
    if not data:
        os._exit(0)
    return pickle.loads(data), socket.socket(fileno=descriptors[0])


def _say(line: socket.socket, number: int) -> None:
    line.send(_NUMBER.pack(number))
