"""A real run of the bot's storage, recorded statement by statement."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.trading.conftest import new_room

ORDERS = 12


@pytest.fixture
def quick_path() -> Iterator[Path]:
    """A directory in memory where there is one: these tests make thousands of databases."""
    memory = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(prefix="tradewire-", dir=memory if memory.is_dir() else None))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
async def recorded(quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that changed the database from the first start on, while some orders lived and ended."""
    statements: list[str] = []
    connect = sqlite3.connect

    def listening(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*args, **options)
        if options.get("check_same_thread") is False and not statements:  # the one the store writes with
            connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", listening)
    room = new_room(quick_path / "recorded")
    for number in range(ORDERS):
        fault = ("accept", "drop after", "refuse", "accept")[number % 4]
        row = await room.placed(fault, side=("buy", "sell")[number % 2])  # type: ignore[arg-type]
        if number % 4 == 0:
            room.exchange.fill("0.5")
        elif number % 4 == 3:
            await room.desk.cancel(row.id, row.user_id)
            await room.desk.drain()
        await room.live(12)
        room.sql("DELETE FROM outbox")  # Telegram took the cards
    await room.close()
    skipped = ("select", "--", "pragma table_info", "pragma journal_mode", "create temp")  # of no file
    return [each for each in statements if not each.lower().lstrip().startswith(skipped)]
