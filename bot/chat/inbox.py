"""What came in: committed before Telegram is told that it arrived, handled once, in order within each chat."""

from __future__ import annotations

import asyncio
import json
import re
import weakref
from collections.abc import Awaitable, Sequence
from typing import Any

from telegram import Bot, Update
from telegram.ext import BaseUpdateProcessor

from bot.clock import Clock
from bot.store.database import Connection, Store

_KEEP_MS = 48 * 3600 * 1000
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
            return [update for update in updates if update.message is None or _is_new(db, update, now_ms)]

        return await self._store.run(work)

    async def handled(self, update: Update) -> None:
        """Forget a message's content; it will not be handled again."""
        message = update.message
        if message is not None:
            key = (message.chat_id, message.message_id)
            await self._store.run(
                lambda db: db.execute("UPDATE inbox SET payload=NULL WHERE chat_id=? AND message_id=?", key)
            )

    async def waiting(self, bot: Bot) -> list[Update]:
        """Return the commands that were taken in and not handled before the bot stopped."""
        query = "SELECT payload FROM inbox WHERE payload IS NOT NULL ORDER BY rowid"
        rows = await self._store.run(lambda db: db.execute(query).fetchall())
        return [Update.de_json(json.loads(row["payload"]), bot) for row in rows]


def _is_new(db: Connection, update: Update, now_ms: int) -> bool:
    message = update.message
    assert message is not None
    text = message.text or ""
    keep = _COMMAND.match(text) and not text.lower().startswith(_SECRET_COMMANDS)
    row = (message.chat_id, message.message_id, update.to_json() if keep else None, now_ms)
    return db.execute("INSERT OR IGNORE INTO inbox VALUES (?, ?, ?, ?)", row).rowcount == 1


class InOrder(BaseUpdateProcessor):
    """Handles the updates of different chats side by side, and those of one chat one after another."""

    def __init__(self, most: int = 256) -> None:
        super().__init__(most)
        self._locks: weakref.WeakValueDictionary[int, asyncio.Lock] = weakref.WeakValueDictionary()

    async def do_process_update(self, update: object, coroutine: Awaitable[Any]) -> None:
        """Await `coroutine` when the chat's earlier updates are done."""
        chat = update.effective_chat if isinstance(update, Update) else None
        if chat is None:
            await coroutine
            return
        lock = self._locks.get(chat.id)
        if lock is None:
            lock = self._locks[chat.id] = asyncio.Lock()
        async with lock:
            await coroutine

    async def initialize(self) -> None:
        """Nothing to prepare."""

    async def shutdown(self) -> None:
        """Nothing to release."""
