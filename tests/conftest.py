"""Rules for every test: no address but loopback, no waiting between retries."""

from __future__ import annotations

import gc
import ipaddress
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina

_MEMORY = Path("/dev/shm")
_ROOM = 1024**3


def pytest_configure() -> None:
    """Keep the files of tests in memory where there is room: they commit thousands of times, and nothing cuts power.

    What Python compiles is kept as well, whatever the environment says: else each worker compiles all tests, and each
    program that a test starts all of the bot.
    """
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def pytest_collection_finish() -> None:
    """Count thousands of collected tests as what stays, or each collection of garbage looks through them again."""
    gc.freeze()


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to anything but this machine is a mistake in the test."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0]  # type: ignore[index]
            if not ipaddress.ip_address(host).is_loopback:
                raise AssertionError(f"a test tried to reach {host}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def quick_retries() -> Iterator[None]:
    """Reads are tried as often as ever, without the pauses between."""
    with stamina.set_testing(True, attempts=3, cap=True):
        yield
