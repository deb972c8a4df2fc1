"""The bot's file on a virtual disk, and its store, which may die at each commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from bot.store.database import _PRAGMAS, _STATEMENTS, Connection, Store
from tests.simulation.life import Life
from tests.simulation.timeline import Timeline, pause

T = TypeVar("T")
_CRASH = 0.0035
"""How likely a crash is before and after each commit, in parts of the crash rate; an order passes a hundred of them."""

_MEANT_IN_MEMORY = ("foreign_keys", "trusted_schema")
"""Which of the store's pragmas mean something without a file."""


class Disk:
    """What the bot's file lies on. Full while `full_until_us` lasts.

    The processes die between statements only, so what was committed may lie in memory, and outlive them there. The file
    is opened in each life all the same, and must take the store's pragmas.

    Args:
        path: The file as the first life finds it.
        timeline: The world's time.
    """

    def __init__(self, path: Path, timeline: Timeline) -> None:
        self.path = path
        self.full_until_us = 0
        self._timeline = timeline
        self.content = sqlite3.connect(":memory:", isolation_level=None, cached_statements=_STATEMENTS)
        self.content.row_factory = sqlite3.Row
        with closing(sqlite3.connect(path)) as file:
            file.backup(self.content)
        for name in _MEANT_IN_MEMORY:
            self.content.execute(f"PRAGMA {name}={_PRAGMAS[name]}")

    @property
    def is_full(self) -> bool:
        return self._timeline.now_us < self.full_until_us

    def query(self, statement: str) -> list[sqlite3.Row]:
        """Return what was committed."""
        return self.content.execute(statement).fetchall()


class VirtualStore(Store):
    """The real store without its thread: a transaction takes a moment of virtual time, and may be the last."""

    def __init__(self, life: Life, disk: Disk) -> None:
        super().__init__(disk.path)
        super().close()
        self._connection = disk.content
        self._life, self._disk = life, disk
        self._last = 0.0

    def close(self) -> None:
        """Leave what was committed."""

    def look(self, work: Callable[[Connection], T]) -> T:
        before = self._connection.total_changes
        found = work(self._connection)
        assert self._connection.total_changes == before
        return found

    async def run(self, work: Callable[[Connection], T]) -> T:
        life = self._life
        if life.is_dead:
            await life.rest()
        now = life.loop.time()
        if now <= self._last or life.rng.random() < 0.5:
            self._last = max(self._last + 2e-6, now + life.rng.uniform(0.0005, 0.01))  # first come, first served
            await pause(life.timeline, self._last - now)
        if not life.passes(_CRASH):
            await life.rest()
        result = self.transact(self._on_full_disk(work) if self._disk.is_full else work)
        if not life.passes(_CRASH):
            await life.rest()
        return result

    @staticmethod
    def _on_full_disk(work: Callable[[Connection], T]) -> Callable[[Connection], T]:
        def refused(db: Connection) -> T:
            before = db.total_changes
            result = work(db)
            if db.total_changes != before:
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
            return result

        return refused
