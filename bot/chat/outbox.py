"""Telling what was committed: each notice is sent, at Telegram's pace, until Telegram took it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from telegram.error import BadRequest, ChatMigrated, Forbidden, NetworkError, RetryAfter, TelegramError

from bot.chat import groups, signal_cards
from bot.chat.lines import Line, Silence
from bot.chat.notes import Drawn, Renderer, digest, is_digest_due, renderers
from bot.chat.reply import Sender, seconds_of
from bot.clock import Clock
from bot.store.database import Connection, Store
from bot.trading import notices
from bot.trading.gateway import Gateway
from bot.trading.groups import FILL
from bot.trading.notices import QUEUES, Lane, Notice, Queue

log = logging.getLogger(__name__)
_BACKOFF_SECONDS = (1, 2, 5, 15, 30, 30, 30, 60, 120, 300)
_AFTER_TROUBLE_SECONDS = 0.5
_STORE_AGAIN_SECONDS = 5
_LAST_WORDS_SECONDS = 5
_PAGE = 500
_TOPIC_GONE = ("thread not found", "topic_closed", "topic_deleted")
_LANES: Mapping[Queue, Lane] = {"result": "result", "refresh": "alert", "alert": "alert"}
_AT_ONCE: Mapping[Queue, int] = {"result": 8, "refresh": 2, "alert": 2}
"""Chats served side by side. The connections leave room for answers to commands."""


class Outbox:
    """Sends what waits: results first, chat by chat, each chat in order. Only the latest state of a card is drawn.

    In memory are the chats with something to tell, never what it is.

    Attributes:
        sent: Called with each notice that Telegram took by itself, not in a digest. It must not wait.

    Args:
        store: Where the notices are.
        sender: The way to Telegram.
        gateway: Knows the exchanges' titles.
        clock: Ours.
        kinds: How each kind of notice is drawn; the bot's own kinds when left out.
    """

    def __init__(
        self,
        store: Store,
        sender: Sender,
        gateway: Gateway,
        clock: Clock,
        kinds: Mapping[str, Renderer] | None = None,
    ) -> None:
        self._store = store
        self._sender = sender
        self._clock = clock
        signals = signal_cards.renderers(lambda: sender.bot.username)
        self._kinds = {**renderers(gateway), **signals, FILL: groups.fill} if kinds is None else kinds
        self._wake = asyncio.Event()
        self._has_news = True
        self._seen: dict[Queue, int] = dict.fromkeys(QUEUES, 0)
        self._lines: dict[Queue, Line] = {queue: Line() for queue in QUEUES}
        self._tasks: dict[asyncio.Task[None], Queue] = {}
        self._busy: dict[int, set[Queue]] = {}  # chats being served, and their other queues that wait for that
        self._locks: weakref.WeakValueDictionary[int, asyncio.Lock] = weakref.WeakValueDictionary()
        self._parked: set[int] | None = None
        self._silence = Silence(_BACKOFF_SECONDS[:5])
        self.sent: Callable[[Notice], None] = lambda _: None
        sender.kept, sender.reached, sender.moved = self.told, self._reached, self._moved

    def told(self) -> None:
        """Look for something to tell."""
        self._has_news = True
        self._wake.set()

    async def run(self) -> None:
        """Tell what there is to tell until cancelled."""
        while True:
            try:
                await self.step()
            except Exception:
                log.exception("the outbox failed")
                await self._clock.sleep(_AFTER_TROUBLE_SECONDS)
            else:
                await self._rest()

    async def step(self) -> bool:
        """Tell everything that may be told by now; say whether something is left for later."""
        self._has_news = True
        while True:
            self._wake.clear()
            await self._learn()
            if await self._is_reachable():
                self._start()
            if not self._tasks:
                if not self._wake.is_set():
                    return any(line.members for line in self._lines.values())
                continue
            await self._rest()

    async def finish(self) -> None:
        """Tell what can be told in a few seconds, and let go; the rest stays for the next start."""
        try:
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self.step()
        except TimeoutError:
            log.info("some messages are left for the next start")
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def draw(self, order_id: int) -> None:
        """Bring an order's card up to date, if there is news of it. A failure is kept for later."""
        found = await self._store.run(lambda db: notices.of_order(db, order_id))
        if found is None:
            return
        now = self._clock.monotonic()
        if not self._silence.is_over or self._sender.pacer.ready_at(found.chat_id, "result") - now > 1:
            self.told()
            return
        async with self._lock(found.chat_id):
            await self._tell(found.chat_id, "result", lambda db: notices.of_order(db, order_id))

    # Who is served when

    async def _learn(self) -> None:
        """Find the chats of what was committed since the last look, a page at a time."""
        if not self._has_news:
            return
        self._has_news = False
        try:
            found, self._parked = await self._store.run(self._arrived)
        except BaseException:
            self._has_news = True
            raise
        now = self._clock.monotonic()
        for queue, arrivals in found.items():
            for notice_id, chat_id in arrivals:
                self._seen[queue] = notice_id
                self._line_up(queue, chat_id, now)
            if len(arrivals) == _PAGE:
                self.told()

    def _arrived(self, db: Connection) -> tuple[dict[Queue, list[tuple[int, int]]], set[int]]:
        found = {queue: notices.arrivals(db, queue, after=self._seen[queue], most=_PAGE) for queue in QUEUES}
        return found, notices.parked(db) if self._parked is None else self._parked

    def _line_up(self, queue: Queue, chat_id: int, at: float) -> None:
        if chat_id in self._busy:
            self._busy[chat_id].add(queue)
        else:
            self._lines[queue].add(chat_id, at)

    def _start(self) -> None:
        """Begin to serve the chats whose turn it is."""
        pacer, now = self._sender.pacer, self._clock.monotonic()
        for queue in QUEUES:
            lane, line = _LANES[queue], self._lines[queue]
            while self._has_place(queue):
                if pacer.everyone_ready_at(lane) > now:
                    return
                chat_id = line.next(now, lambda chat_id, lane=lane: pacer.ready_at(chat_id, lane))  # type: ignore[misc]
                if chat_id is None:
                    break
                if chat_id in self._busy:
                    self._busy[chat_id].add(queue)
                    continue
                self._busy[chat_id] = set()
                task = asyncio.get_running_loop().create_task(self._serve(chat_id, queue))
                self._tasks[task] = queue
                task.add_done_callback(self._ended)
            if line.is_due(now):
                return  # all places are taken; what comes after must not overtake

    def _has_place(self, queue: Queue) -> bool:
        return sum(each == queue for each in self._tasks.values()) < _AT_ONCE[queue]

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        self._wake.set()

    async def _serve(self, chat_id: int, queue: Queue) -> None:
        """Tell a chat one thing, and line it up again while there is more."""
        due: float | None = self._clock.monotonic() + _AFTER_TROUBLE_SECONDS
        try:
            async with self._lock(chat_id):
                due = await self._tell(chat_id, queue, lambda db: notices.following(db, chat_id, queue))
        except Exception:
            log.exception("the outbox failed")
        finally:
            also = self._busy.pop(chat_id)
            for each in also:
                self._line_up(each, chat_id, self._clock.monotonic())
            if due is not None:
                self._line_up(queue, chat_id, due)

    async def _rest(self) -> None:
        """Wait for news, for the end of something under way, or until something is due."""
        if self._wake.is_set():
            return
        loop = asyncio.get_running_loop()
        waits: list[asyncio.Task[Any]] = [loop.create_task(self._wake.wait())]
        if (seconds := self._due_in()) is not None:
            waits.append(loop.create_task(self._clock.sleep(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    def _due_in(self) -> float | None:
        """Return the seconds until somebody may be served, or `None` when only news can change that."""
        now, pacer = self._clock.monotonic(), self._sender.pacer
        dues = []
        for queue, line in self._lines.items():
            if line.members and self._has_place(queue):
                dues.append(max(line.due, pacer.everyone_ready_at(_LANES[queue]), self._silence.until))
            elif line.is_due(now):
                break
        return max(0.0, min(dues) - now) if dues else None

    # One chat

    def _lock(self, chat_id: int) -> asyncio.Lock:
        found = self._locks.get(chat_id)
        if found is None:
            found = self._locks[chat_id] = asyncio.Lock()
        return found

    async def _tell(self, chat_id: int, queue: Queue, pick: Callable[[Connection], Notice | None]) -> float | None:
        """Tell what `pick` finds, and return when the chat's queue is due again, if anything is left in it."""

        def read(db: Connection) -> tuple[Notice | None, Drawn | None, Exception | None]:
            notice, now_ms = pick(db), self._clock.now_ms()
            if notice is None or self._wait(notice) > 0:
                return notice, None, None
            try:
                if is_digest_due(db, notice, now_ms):
                    return notice, digest(db, chat_id, self._kinds, now_ms), None
                return notice, groups.quietly(db, notice, self._kinds[notice.kind](db, notice), now_ms), None
            except Exception as error:  # whatever is wrong with one message must not stop the others
                return notice, None, error

        notice, drawn, failure = await self._store.run(read)
        if notice is None:
            return None
        if failure is not None:
            log.error("%s could not be drawn", _named(notice), exc_info=failure)
            return await self._after(notice, queue, lambda db: self._postpone(db, notice))
        if drawn is None:
            return self._clock.monotonic() + self._wait(notice)
        due = await self._after(notice, queue, await self._sent(notice, queue, drawn))
        if drawn.sums_up:
            self._line_up("refresh", chat_id, self._clock.monotonic())
        return due

    async def _sent(self, notice: Notice, queue: Queue, drawn: Drawn) -> Callable[[Connection], None]:
        """Send a notice, and return what is to be committed about it."""
        chat_id = notice.chat_id
        try:
            message_id = await self._sender.deliver(
                drawn.reply,
                chat_id=chat_id,
                user_id=drawn.user_id,
                message_id=drawn.message_id,
                lane=_LANES[queue],
                thread_id=notice.thread_id,
                is_silent=drawn.is_silent,
            )
        except RetryAfter:
            return _nothing  # the pacer holds the chat
        except ChatMigrated as error:
            new_chat_id = error.new_chat_id
            log.info("chat %s is chat %s now", chat_id, new_chat_id)
            self._line_up_anew(new_chat_id, *QUEUES)
            return lambda db: notices.migrate(db, chat_id, new_chat_id)
        except TelegramError as error:
            if isinstance(error, Forbidden) or "chat not found" in error.message.lower():
                log.warning("chat %s does not let the bot in; its results are kept until it does", chat_id)
                self._parked = (self._parked or set()) | {chat_id}
                return lambda db: notices.park(db, chat_id)
            thread_id = notice.thread_id
            if thread_id is not None and any(each in error.message.lower() for each in _TOPIC_GONE):
                return lambda db: notices.lose_topic(db, chat_id, thread_id)
            level = logging.ERROR if isinstance(error, BadRequest) else logging.WARNING
            log.log(level, "%s could not be sent: %s", _named(notice), type(error).__name__)
            if isinstance(error, NetworkError) and not isinstance(error, BadRequest):
                self._silence.begin()
            return lambda db: self._postpone(db, notice)

        if not drawn.sums_up:
            self.sent(notice)

        def struck_out(db: Connection) -> None:
            drawn.sent(db, message_id)
            if not drawn.sums_up:  # its own card is still to be drawn as well
                notices.told(db, notice.id)

        return struck_out

    async def _after(self, notice: Notice, queue: Queue, commit: Callable[[Connection], None]) -> float | None:
        def work(db: Connection) -> Notice | None:
            commit(db)
            return notices.following(db, notice.chat_id, queue)

        while True:
            try:
                following = await self._store.run(work)
            except sqlite3.OperationalError as error:  # asked again, not sent again
                log.error("it could not be stored that %s was told: %s", _named(notice), error)
                await self._clock.sleep(_STORE_AGAIN_SECONDS)
            else:
                return None if following is None else self._clock.monotonic() + self._wait(following)

    def _postpone(self, db: Connection, notice: Notice) -> None:
        seconds = _BACKOFF_SECONDS[min(notice.tries, len(_BACKOFF_SECONDS) - 1)]
        notices.postpone(db, notice.id, self._clock.now_ms() + seconds * 1000)

    def _wait(self, notice: Notice) -> float:
        """Return the seconds until a notice is due. The clock may have been set back: never over the longest pause."""
        return min(max(0, notice.not_before_ms - self._clock.now_ms()) / 1000, _BACKOFF_SECONDS[-1])

    # Telegram itself

    async def _is_reachable(self) -> bool:
        """Say whether Telegram is there. After a failure it is asked something harmless until it answers.

        A message whose answer was lost may have been shown; trying messages to find out would show them again.
        """
        silence, now = self._silence, self._clock.monotonic()
        if silence.is_over:
            return True
        if silence.until > now:
            return False
        try:
            await self._sender.bot.get_me()
        except RetryAfter as error:
            self._sender.pacer.hold(seconds_of(error))
        except TelegramError:
            silence.goes_on(self._clock.monotonic())
            return False
        silence.end()
        return True

    def _reached(self, chat_id: int) -> None:
        self._silence.end()
        if self._parked and chat_id in self._parked:
            self._parked.discard(chat_id)
            task = asyncio.get_running_loop().create_task(self._welcome(chat_id))
            self._tasks[task] = "result"
            task.add_done_callback(self._ended)

    def _moved(self, chat_id: int) -> None:
        if self._parked:
            self._parked.discard(chat_id)
        self._line_up_anew(chat_id, *QUEUES)

    async def _welcome(self, chat_id: int) -> None:
        await self._store.run(lambda db: notices.unpark(db, chat_id))
        self._line_up_anew(chat_id, "result")

    def _line_up_anew(self, chat_id: int, *queues: Queue) -> None:
        """Serve a chat whose notices came there without being new."""
        for queue in queues:
            self._line_up(queue, chat_id, self._clock.monotonic())
        self._wake.set()


def _nothing(_: Connection) -> None:
    pass


def _named(notice: Notice) -> str:
    return f"order #{notice.order_id}: its card" if notice.kind == "order" else f"notice {notice.id} ({notice.kind})"
