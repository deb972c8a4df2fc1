"""What came in: committed before Telegram is told that it arrived, handled once, in order within each chat.

A command is marked as done in the commit of its effect, see `Call.commit`. A bot that dies before it answered does not
run it again: its sender is told that it was done, see `Inbox.tell_done`. What has no effect does not wait for the disk:
it is handled while its message is being stored, see `Inbox.take`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from telegram import Bot, Message, Update

from bot.chat import groups
from bot.chat.gate import is_late, topic_of
from bot.clock import Clock
from bot.store.database import Connection, Store
from bot.trading import notices

log = logging.getLogger(__name__)

Json: TypeAlias = dict[str, Any]
"""An update as Telegram sent it."""

_Key: TypeAlias = tuple[int, int]
"""Chat and message."""

Handle: TypeAlias = Callable[[Update], Awaitable[None]]
_KEEP_MS = 48 * 3600 * 1000
_DONE = "tradewire_done"
_WIZARD_MS = 20 * 60 * 1000
_AT_ONCE = 256
_MOST_WAITING = 20
_SECRET_COMMANDS = ("/connect",)
_COMMAND = re.compile(r"/[A-Za-z0-9_]{1,32}(@\w+)?(\s|$)")
"""Not everything behind a slash is one: a secret in base64 may begin with it."""
_OTHER_WORDS = ("reply_to_message", "external_reply", "quote")
"""What a command answers: words of another message, which may be a secret."""


_KNOWN = "SELECT 1 FROM inbox WHERE chat_id=? AND message_id=?"
_FORGET = "UPDATE inbox SET payload=NULL WHERE chat_id=? AND message_id=?"


class Inbox:
    """Remembers messages until they are handled, and for two days that they were.

    A button press needs no row: spending its button is what makes it happen once. Only commands are kept in full;
    any other message may be a secret, and is remembered as a number alone.

    Attributes:
        may_begin: Says whether an update may be handled before it is stored: one without effect, or a press.
        begin: Handles such an update in its turn; it must not do so at once.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.may_begin: Callable[[Update], bool] = lambda _: False
        self.begin: Callable[[Update], None] = lambda _: None
        self._store = store
        self._clock = clock
        self._under_way: dict[_Key, asyncio.Event] = {}
        self._is_storing = True

    async def take(self, found: Sequence[Json], bot: Bot | None) -> list[Update]:
        """Commit new messages and return the updates to handle: those not seen before, and of a form that is known.

        What may begin earlier does, and is not among them. When the commit fails, Telegram sends it again, and it is
        handled twice; so from then on nothing begins early until a commit succeeds.
        """
        updates = [(update, data) for data in found if (update := read_update(data, bot)) is not None]
        if all(update.callback_query is not None for update, _ in updates):
            return [update for update, _ in updates]

        def work(db: Connection) -> list[Update]:
            now_ms = self._clock.now_ms()
            db.execute("DELETE FROM inbox WHERE at_ms<? AND payload IS NULL", (now_ms - _KEEP_MS,))
            for update, _ in updates:
                groups.note(db, update)
            return [
                update
                for update, data in updates
                if update.message is None or _is_new(db, update.message, data, now_ms)
            ]

        arrived = asyncio.Event()
        begun = self._begin([update for update, _ in updates], arrived)
        try:
            if begun:  # these go first, as far as they can: the writing thread would take turns with them
                await asyncio.sleep(0)
            new = await self._store.run(work)
            self._is_storing = True
        except sqlite3.Error:
            self._is_storing = False
            raise
        finally:
            arrived.set()
            self._under_way = {key: event for key, event in self._under_way.items() if event is not arrived}
        return [update for update in new if id(update) not in begun]

    def _begin(self, updates: Sequence[Update], arrived: asyncio.Event) -> set[int]:
        """Begin what may, unless something of its chat before it may not; return which have begun, now or before."""
        begun: set[int] = set()
        held: set[int | None] = set()
        keys = [_key(update) for update in updates]
        for update, key, is_known in zip(updates, keys, self._known(keys), strict=True):
            chat_id = update.effective_chat.id if update.effective_chat else None
            if key in self._under_way:
                begun.add(id(update))
            elif self._is_storing and not is_known and chat_id not in held and self.may_begin(update):
                begun.add(id(update))
                if key is not None:
                    self._under_way[key] = arrived
                self.begin(update)
            else:
                held.add(chat_id)
        return begun

    def _known(self, keys: Sequence[_Key | None]) -> list[bool]:
        return self._store.look(
            lambda db: [key is not None and db.execute(_KNOWN, key).fetchone() is not None for key in keys]
        )

    async def handled(self, *updates: Update) -> None:
        """Forget the content of messages; they will not be handled again."""
        messages = [each.message for each in updates if each.message is not None]
        keys = [(each.chat_id, each.message_id) for each in messages if _is_kept(each.text or "")]
        for key in keys:
            if arrived := self._under_way.get(key):  # what is not there yet cannot be forgotten
                await arrived.wait()
        if keys:
            await self._store.run(lambda db: db.executemany(_FORGET, keys))

    async def tell_done(self, update: Update, text: str) -> None:
        """Leave a note about a command that was done before the bot stopped, and forget its content, in one commit."""
        message = update.message
        assert message is not None
        chat_id, message_id, thread_id = message.chat_id, message.message_id, topic_of(message)
        payload, now_ms = {"text": text}, self._clock.now_ms()

        def work(db: Connection) -> None:
            notices.tell(db, chat_id=chat_id, thread_id=thread_id, kind="note", payload=payload, now_ms=now_ms)
            db.execute(_FORGET, (chat_id, message_id))

        await self._store.run(work)

    async def waiting(self, bot: Bot | None) -> list[Update]:
        """Return the commands that were taken in and not handled before the bot stopped; see `was_done`."""
        query = "SELECT payload FROM inbox WHERE payload IS NOT NULL ORDER BY rowid"
        rows = await self._store.run(lambda db: db.execute(query).fetchall())
        found = [read_update(json.loads(row["payload"]), bot) for row in rows]
        return [update for update in found if update is not None]

    async def connecting(self) -> list[int]:
        """Return the chats where a key wizard may have been open when the bot stopped."""
        query = "SELECT DISTINCT chat_id FROM inbox WHERE at_ms>? AND connects"
        since_ms = self._clock.now_ms() - _WIZARD_MS
        rows = await self._store.run(lambda db: db.execute(query, (since_ms,)).fetchall())
        return [row["chat_id"] for row in rows]


def _key(update: Update) -> _Key | None:
    return None if update.message is None else (update.message.chat_id, update.message.message_id)


def mark_done(db: Connection, chat_id: int, message_id: int) -> None:
    """Note, in the transaction of a command's effect, that it must not run again. Its answer is still to come."""
    query = f"UPDATE inbox SET payload=json_set(payload, '$.{_DONE}', 1) WHERE chat_id=? AND message_id=?"  # noqa: S608
    db.execute(query + " AND payload IS NOT NULL", (chat_id, message_id))


def was_done(update: Update) -> bool:
    """Say whether a command that comes from the inbox had its effect before the bot stopped."""
    return _DONE in update.api_kwargs


def _is_new(db: Connection, message: Message, data: Json, now_ms: int) -> bool:
    text = message.text or ""
    row = (message.chat_id, message.message_id, _payload(data) if _is_kept(text) else None, _connects(text), now_ms)
    return db.execute("INSERT OR IGNORE INTO inbox VALUES (?, ?, ?, ?, ?)", row).rowcount == 1


def _payload(data: Json) -> str:
    message = {name: value for name, value in data["message"].items() if name not in _OTHER_WORDS}
    return json.dumps({**data, "message": message})


def _is_kept(text: str) -> bool:
    is_command = _COMMAND.match(text) is not None
    return is_command and not _connects(text) and "inv_" not in text  # an invitation is as good as a key


def _connects(text: str) -> bool:
    return text.lower().startswith(_SECRET_COMMANDS)


@dataclass(slots=True)
class _Queue:
    """One chat's updates: one at work, the others waiting for the lock in the order they came."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    length: int = 0


def read_update(data: Json, bot: Bot | None) -> Update | None:
    """Return an update as Telegram sent it, or `None` for one of an unknown form: refused, it would come for ever."""
    try:
        return Update.de_json(data, bot)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        log.error("an update of an unknown form was left out (%s)", type(error).__name__)
        return None


class InOrder:
    """Handles the updates of different chats side by side, and those of one chat one after another.

    Only what is at work holds one of the places, and a chat works on one update at a time: who floods, waits alone.
    Late messages pass at once; they are only gathered.

    Attributes:
        handle: Handles an update whose turn it is.
        refuse: Answers an update whose chat has too many waiting; it is not handled.

    Args:
        clock: Tells what is late.
        most: How many updates are at work at once.
        waiting: How many of one chat may wait.
    """

    def __init__(self, clock: Clock, *, most: int = _AT_ONCE, waiting: int = _MOST_WAITING) -> None:
        self.handle: Handle = _ignore
        self.refuse: Handle = _ignore
        self._clock = clock
        self._places = asyncio.Semaphore(most)
        self._most_waiting = waiting
        self._queues: dict[int, _Queue] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, update: Update) -> None:
        """Handle an update in its turn."""
        task = asyncio.get_running_loop().create_task(self._process(update))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def drain(self) -> None:
        """Wait until everything that was put in is handled."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def end(self) -> None:
        """Cancel what is at work and what waits; commands that are in the inbox are handled after the next start."""
        for task in tuple(self._tasks):
            task.cancel()

    async def _process(self, update: Update) -> None:
        chat = update.effective_chat
        if chat is None or is_late(update, self._clock.now_ms()):
            await self.handle(update)
            return
        queue = self._queues.setdefault(chat.id, _Queue())
        if queue.length > self._most_waiting:
            await self.refuse(update)
            return
        queue.length += 1
        try:
            async with queue.lock, self._places:
                await self.handle(update)
        finally:
            queue.length -= 1
            if not queue.length:
                del self._queues[chat.id]

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("an update was not handled", exc_info=error)


async def _ignore(_: Update) -> None:
    pass
