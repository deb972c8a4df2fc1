from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bot.cli.service import feed_watchdog, notify, watchdog_seconds


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """The socket of a service manager, and how it names it."""
    own = f"tradewire-test-{os.getpid()}"
    address, name = (str(tmp_path / "n"),) * 2 if request.param == "path" else ("\0" + own, "@" + own)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(address)
        listener.setblocking(False)  # noqa: FBT003
        yield listener, name


def heard(listener: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(listener.recv(256).decode())
        except BlockingIOError:
            return found


def test_notify_reaches_the_service_manager(manager: tuple[socket.socket, str]) -> None:
    """One datagram, also to a socket with an abstract name."""
    listener, name = manager
    notify("READY=1", {"NOTIFY_SOCKET": name})
    assert heard(listener) == ["READY=1"]


def test_notify_without_a_service_manager_does_nothing() -> None:
    """A bot started by hand tells nobody."""
    notify("READY=1", {})


def test_notify_to_a_socket_that_is_gone_is_only_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The bot goes on without its service manager."""
    notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "none")})
    assert [record.getMessage() for record in caplog.records] == [
        "the service manager could not be told READY=1 (No such file or directory)"
    ]


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "120000000"}, 40),
        ({"WATCHDOG_USEC": "1000000"}, 1),
        ({"WATCHDOG_USEC": "soon"}, 0),
        ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": str(os.getpid())}, 40),
        ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": "1"}, 0),
    ],
)
def test_watchdog_seconds_is_a_third_of_its_time_if_it_watches_us(environ: dict[str, str], seconds: int) -> None:
    """A child of the watched process feeds nothing."""
    assert watchdog_seconds(environ) == seconds


async def test_feed_watchdog_stops_while_the_bot_hangs(
    manager: tuple[socket.socket, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Told while alive, not told while polling hangs, and one line in the log says why a restart comes."""
    listener, name = manager
    looks = [True, True, False, False, True]
    slept: list[float] = []

    class Vitals:
        async def is_alive(self) -> bool:
            if not looks:
                raise asyncio.CancelledError
            slept.append(len(heard(listener)))
            return looks.pop(0)

    class Clock:
        async def sleep(self, seconds: float) -> None:
            assert seconds == 40

    vitals: Any = Vitals()
    clock: Any = Clock()
    caplog.set_level(logging.INFO, "bot")
    with pytest.raises(asyncio.CancelledError):
        await feed_watchdog(vitals, clock, 40, {"NOTIFY_SOCKET": name})
    assert (slept, heard(listener)) == ([0, 1, 1, 0, 0], ["WATCHDOG=1"])
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
