"""Halting trading from the server while the bot runs: a signal, and a file in the data directory.

Neither needs Telegram. An order that is about to leave looks for the file itself; watching it here only makes the halt
known, and keeps it after the file is gone.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sqlite3
from collections.abc import Callable

from bot.clock import Clock
from bot.store.database import Connection, Store
from bot.store.errors import StoreError
from bot.trading import groups, halt, notices
from bot.trading.approval import administrators

log = logging.getLogger(__name__)
_LOOK_SECONDS = 1


class Brake:
    """Halts everybody when the server says so.

    Args:
        store: Where halts are.
        clock: Ours.
        told: Called when there is something to tell.
        owner: The owner's id.
    """

    def __init__(self, store: Store, clock: Clock, told: Callable[[], None], owner: int | None = None) -> None:
        self._owner = owner
        self._store = store
        self._clock = clock
        self._told = told
        self._file = store.path.with_name(halt.FILE)
        self._work: set[asyncio.Task[None]] = set()

    def listen(self) -> None:
        """Halt trading on SIGUSR1 from now on."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.pull)

    def pull(self) -> None:
        """Halt trading as SIGUSR1 does."""
        task = asyncio.get_running_loop().create_task(self._pull())
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _pull(self) -> None:
        def work(db: Connection) -> None:
            now_ms = self._clock.now_ms()
            found = halt.engage(db, halt.EVERYBODY, by="a signal on the server", now_ms=now_ms)
            tell_admins(db, found, self._owner, now_ms)

        try:
            await self._store.run(work)
        except (sqlite3.Error, StoreError):
            log.exception("the halt could not be stored; the file %s halts instead", self._file)
            self._file.touch(mode=0o600)
        log.warning("trading is halted by a signal")
        self._told()

    async def watch_file(self) -> None:
        """Look for the file once a second, for ever."""
        while True:
            try:
                if self._file.exists() and await self._store.run(self._take):
                    log.warning("trading is halted by the file %s", self._file)
                    self._told()
            except (sqlite3.Error, StoreError, OSError) as error:
                log.error("the halt could not be stored, and holds as long as the file is there: %s", error)
            await self._clock.sleep(_LOOK_SECONDS)

    def _take(self, db: Connection) -> bool:
        now_ms = self._clock.now_ms()
        is_new = halt.take_file(db, self._file, now_ms)
        found = halt.get(db, halt.EVERYBODY, now_ms)
        if is_new and found is not None:
            tell_admins(db, found, self._owner, now_ms)
        return is_new


def tell_admins(db: Connection, found: halt.Halt, owner: int | None, now_ms: int) -> None:
    """Tell the owner and the administrators of a halt of everybody."""
    for each in administrators(db, owner):
        payload = {"text": str(found)}
        notices.tell(db, chat_id=each, kind="note", payload=payload, merge_key="halt", now_ms=now_ms)
    groups.post(db, "errors", kind="note", payload={"text": str(found)}, merge_key="halt", now_ms=now_ms)
