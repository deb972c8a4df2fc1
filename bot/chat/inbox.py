"""What came in: committed before Telegram is told that it arrived, handled once, in order within each chat."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from telegram import Bot, Update
from telegram.ext import BaseUpdateProcessor

from bot.chat import groups
from bot.chat.gate import is_late
from bot.clock import Clock
from bot.store.database import Connection, Store

log = logging.getLogger(__name__)
_KEEP_MS = 48 * 3600 * 1000
_WIZARD_MS = 20 * 60 * 1000
_AT_ONCE = 256
_MOST_WAITING = 20
_SECRET_COMMANDS = ("/connect",)
_COMMAND = re.compile(r"/[A-Za-z0-9_]{1,32}(@\w+)?(\s|$)")
"""Not everything behind a slash is one: a secret in base64 may begin with it."""


class Inbox:
    """Remembers messages until they are handled, and for two days that they were.

    A button press needs no row: spending its button is what makes it happen once. Only commands are kept in full;
    any other message may be a secret, and is remembered as a number alone.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def take(self, updates: Sequence[Update]) -> list[Update]:
        """Commit new messages and return the updates to handle: those not seen before."""
        if not updates:
            return []

        def work(db: Connection) -> list[Update]:
            now_ms = self._clock.now_ms()
            db.execute("DELETE FROM inbox WHERE at_ms<? AND payload IS NULL", (now_ms - _KEEP_MS,))
            for update in updates:
                groups.note(db, update)
            return [update for update in updates if update.message is None or _is_new(db, update, now_ms)]

        return await self._store.run(work)

    async def handled(self, *updates: Update) -> None:
        """Forget the content of messages; they will not be handled again."""
        keys = [(each.message.chat_id, each.message.message_id) for each in updates if each.message is not None]

        def work(db: Connection) -> None:
            db.executemany("UPDATE inbox SET payload=NULL WHERE chat_id=? AND message_id=?", keys)

        if keys:
            await self._store.run(work)

    async def waiting(self, bot: Bot) -> list[Update]:
        """Return the commands that were taken in and not handled before the bot stopped."""
        query = "SELECT payload FROM inbox WHERE payload IS NOT NULL ORDER BY rowid"
        rows = await self._store.run(lambda db: db.execute(query).fetchall())
        return [Update.de_json(json.loads(row["payload"]), bot) for row in rows]

    async def connecting(self) -> list[int]:
        """Return the chats where a key wizard may have been open when the bot stopped."""
        query = "SELECT DISTINCT chat_id FROM inbox WHERE at_ms>? AND connects"
        since_ms = self._clock.now_ms() - _WIZARD_MS
        rows = await self._store.run(lambda db: db.execute(query, (since_ms,)).fetchall())
        return [row["chat_id"] for row in rows]


def _is_new(db: Connection, update: Update, now_ms: int) -> bool:
    message = update.message
    assert message is not None
    text = message.text or ""
    connects = text.lower().startswith(_SECRET_COMMANDS)
    keep = _COMMAND.match(text) and not connects and "inv_" not in text  # an invitation is as good as a key
    row = (message.chat_id, message.message_id, update.to_json() if keep else None, connects, now_ms)
    return db.execute("INSERT OR IGNORE INTO inbox VALUES (?, ?, ?, ?, ?)", row).rowcount == 1


@dataclass(slots=True)
class _Queue:
    """One chat's updates: one at work, the others waiting for the lock in the order they came."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    length: int = 0


def read_update(data: dict[str, Any], bot: Bot | None) -> Update | None:
    """Return an update as Telegram sent it, or `None` for one of an unknown form: refused, it would come for ever."""
    try:
        return Update.de_json(data, bot)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        log.error("an update of an unknown form was left out (%s)", type(error).__name__)
        return None


class InOrder(BaseUpdateProcessor):
    """Handles the updates of different chats side by side, and those of one chat one after another.

    Only what is at work holds one of the places, and a chat works on one update at a time: who floods, waits alone.
    Late messages pass at once; they are only gathered.

    Attributes:
        refuse: Answers an update whose chat has too many waiting; it is not handled.

    Args:
        clock: Tells what is late.
        most: How many updates are at work at once.
        waiting: How many of one chat may wait.
    """

    def __init__(self, clock: Clock, *, most: int = _AT_ONCE, waiting: int = _MOST_WAITING) -> None:
        super().__init__(2**31)  # the library counts those that wait, too
        self.refuse: Callable[[Update], Awaitable[None]] = _ignore
        self._clock = clock
        self._places = asyncio.Semaphore(most)
        self._most_waiting = waiting
        self._queues: dict[int, _Queue] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def do_process_update(self, update: object, coroutine: Awaitable[Any]) -> None:
        """Await `coroutine` when the chat's earlier updates are done."""
        chat = update.effective_chat if isinstance(update, Update) else None
        if not isinstance(update, Update) or chat is None or is_late(update, self._clock.now_ms()):
            await coroutine
            return
        queue = self._queues.setdefault(chat.id, _Queue())
        if queue.length > self._most_waiting:
            _close(coroutine)
            await self.refuse(update)
            return
        queue.length += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            async with queue.lock, self._places:
                await coroutine
        finally:
            _close(coroutine)
            self._tasks.discard(task)
            queue.length -= 1
            if not queue.length:
                del self._queues[chat.id]

    def end(self) -> None:
        """Cancel what is at work and what waits; commands that are in the inbox are handled after the next start."""
        for task in tuple(self._tasks):
            task.cancel()

    async def initialize(self) -> None:
        """Nothing to prepare."""

    async def shutdown(self) -> None:
        """Nothing to release."""


async def _ignore(_: Update) -> None:
    pass


def _close(coroutine: Awaitable[Any]) -> None:
    if isinstance(coroutine, Coroutine):
        coroutine.close()
