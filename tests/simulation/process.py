"""One life of the bot: the real desk, journal, reconciler, inbox and outbox over a virtual disk and a virtual network.

Everything that leaves the bot passes a boundary, and at each the process may die: nothing of it runs on, and the next
life finds only what was committed.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, TypeVar

from telegram.error import NetworkError, TelegramError

from bot import BotError, Credentials, NotSent, OutcomeUnknown, Request, Response, Secret
from bot.accounts import people as accounts
from bot.chat.inbox import Inbox
from bot.chat.outbox import Outbox
from bot.chat.reply import Sender, say
from bot.exchanges.transport import OpenCredentials, Transport
from bot.store.database import _PRAGMAS, _STATEMENTS, Connection, Store
from bot.trading import ends
from bot.trading.desk import Desk
from bot.trading.gateway import Exchange, Gateway
from bot.trading.intent import Intent
from bot.trading.reconcile import Reconciler
from tests.simulation.people import Telegram, Update
from tests.simulation.timeline import Timeline, VirtualClock, VirtualLoop
from tests.simulation.venue import Venue, registered, reply

T = TypeVar("T")
_OLDEST_MS = 30_000
_STORE, _PLACING, _CHAT = 0.0035, 0.243, 0.0081
"""How likely a crash is at each kind of boundary, in parts of the crash rate; an order passes
100, 2 and 10 of them, about."""

_MAY_SEND = 0.8
"""How often a press may confirm and send in one commit; the dispatcher always lets it."""

_MEANT_IN_MEMORY = ("foreign_keys", "trusted_schema")
"""Which of the store's pragmas mean something without a file."""


class Killed(BaseException):
    """Ends what a dead process still had under way, past every handler."""


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

    def __init__(self, process: Process, disk: Disk) -> None:
        super().__init__(disk.path)
        super().close()
        self._connection = disk.content
        self._process, self._disk = process, disk
        self._last = 0.0

    def close(self) -> None:
        """Leave what was committed."""

    def look(self, work: Callable[[Connection], T]) -> T:
        before = self._connection.total_changes
        found = work(self._connection)
        assert self._connection.total_changes == before
        return found

    async def run(self, work: Callable[[Connection], T]) -> T:
        process = self._process
        if process.is_dead:
            await process.boundary(0)
        now = process.loop.time()
        if now <= self._last or process.rng.random() < 0.5:
            self._last = max(self._last + 2e-6, now + process.rng.uniform(0.0005, 0.01))  # first come, first served
            await asyncio.sleep(self._last - now)
        await process.boundary(_STORE)
        result = self.transact(self._on_full_disk(work) if self._disk.is_full else work)
        await process.boundary(_STORE)
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


class VirtualWire:
    """The way to one exchange. What has left arrives, also when the bot dies meanwhile."""

    def __init__(self, process: Process, venue: Venue) -> None:
        self._process, self._venue = process, venue
        self._rng = process.rng

    async def send(self, request: Request, *, timeout_seconds: float) -> Response:
        if request.places:
            await asyncio.sleep(self._rng.uniform(0.01, 0.1))
            return await self._place(request, timeout_seconds)
        await asyncio.sleep(self._rng.uniform(0.02, 0.4))
        venue, process = self._venue, self._process
        if process.is_dead:
            await process.boundary(0)
        if venue.is_down:
            if self._rng.random() < 0.5:
                raise NotSent("cannot be reached", transient=True)
            await asyncio.sleep(timeout_seconds)
            raise OutcomeUnknown("did not answer", transient=True)
        if not venue.is_calm and self._rng.random() < venue.trouble.failing_reads:
            return Response(503, {}, b"")
        answer = self._answer(request)
        if request.path == "/cancel" and not venue.is_calm and self._rng.random() < 0.1:
            raise OutcomeUnknown("did not answer")
        return answer

    async def close(self) -> None:
        """Nothing to let go of."""

    async def _place(self, request: Request, timeout_seconds: float) -> Response:
        venue, process, rng = self._venue, self._process, self._rng
        await process.boundary(_PLACING)
        fate = venue.fate(request)
        if fate == "never left":
            raise NotSent("cannot be reached")
        venue.placing.append((request.json["client_id"], request.headers["key"]))
        answered: asyncio.Future[Response | None] = process.loop.create_future()

        def come(response: Response | None) -> None:
            if not process.is_dead and not answered.done():
                answered.set_result(response)

        def answer(response: Response | None) -> None:
            if response is not None or rng.random() < 0.5:  # else nothing is heard until the time is up
                process.timeline.after(rng.uniform(0.01, 0.2), lambda: come(response))

        def arrive() -> None:
            venue.under_way -= 1
            venue.receive(request, fate, answer)

        venue.under_way += 1
        process.timeline.after(rng.uniform(0.01, 0.2), arrive)
        timer = process.loop.call_later(timeout_seconds, come, None)
        try:
            response = await answered
        finally:
            timer.cancel()
        await process.boundary(_PLACING)
        if response is None:
            raise OutcomeUnknown("did not answer")
        return response

    def _answer(self, request: Request) -> Response:
        venue, owner, query = self._venue, request.headers.get("key", ""), dict(request.query)
        if request.path == "/find":
            return reply(venue.find(owner, query))
        if request.path == "/order":
            found = venue.get(owner, query["id"])
            return reply(None, code="GONE", status=400) if found is None else reply(found)
        if request.path == "/cancel":
            return reply({}) if venue.cancel(owner, request.json["id"]) else reply(None, code="GONE", status=400)
        return reply({"/price": str(venue.price), "/time": str(venue.now_ms)}.get(request.path))


class VirtualBot:
    """What the sender needs of Telegram's Bot."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def send_message(self, chat_id: int, text: str, *, reply_markup: Any = None, **_: object) -> Any:
        return SimpleNamespace(message_id=await self._say(chat_id, None, text, reply_markup))

    async def edit_message_text(
        self, text: str, chat_id: int, message_id: int, *, reply_markup: Any = None, **_: object
    ) -> None:
        await self._say(chat_id, message_id, text, reply_markup)

    async def get_me(self) -> None:
        if self._process.timeline.now_us < self._process.telegram.down_until_us:
            raise NetworkError("no route")

    async def _say(self, chat_id: int, message_id: int | None, text: str, markup: Any) -> int:
        await self._process.boundary(_CHAT)
        message_id = await self._process.telegram.say(chat_id, message_id, text, markup)
        await self._process.boundary(_CHAT)
        return message_id


class OpenGateway(Gateway):
    """The real gateway, with keys that name their account and need no vault."""

    def credentials(self, account_id: int) -> OpenCredentials:
        async def opened() -> Credentials:
            return Credentials(key=Secret(str(account_id)))

        return opened


class Process:
    """One life of the bot, from its start to its death.

    Args:
        timeline: The world's time.
        rng: The world's chance.
        disk: Where the database is.
        venues: The exchanges, by id.
        telegram: Telegram.
        crash_rate: How many crashes there are for each order, about.

    Attributes:
        is_dead: Whether nothing of it runs any more.
    """

    def __init__(
        self,
        timeline: Timeline,
        rng: Random,
        disk: Disk,
        venues: Mapping[str, Venue],
        telegram: Telegram,
        crash_rate: float,
    ) -> None:
        self.timeline, self.rng, self.telegram = timeline, rng, telegram
        self.loop = VirtualLoop(timeline)
        self.loop.set_exception_handler(self._note)
        self.failures: list[str] = []
        self.is_dead = self._is_buried = False
        self.crash_rate = crash_rate
        clock = self._clock = VirtualClock(timeline)
        self.store = VirtualStore(self, disk)
        exchanges = {}
        for name, venue in venues.items():
            found = registered(name, venue.memory, venue.window_seconds)
            wire = VirtualWire(self, venue)
            exchanges[name] = Exchange(found, Transport(found.info, found.hook, wire, clock))
        gateway = OpenGateway(self.store, None, clock, exchanges)  # type: ignore[arg-type]
        self._sender = Sender(VirtualBot(self), self.store, clock)  # type: ignore[arg-type]
        self._outbox = Outbox(self.store, self._sender, gateway, clock)
        self._reconciler = Reconciler(self.store, gateway, clock, self._outbox.told)
        self._desk = Desk(self.store, gateway, self._reconciler, clock, self._outbox.told)
        self._inbox = Inbox(self.store, clock)
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._arrived = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def live(self) -> None:
        """Run until it dies."""
        self.telegram.arrived = lambda: None if self.is_dead else self._arrived.set()
        self._go(self._main())
        self.loop.run_forever()
        self.is_dead = self._is_buried = True
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            with suppress(Killed):
                task.get_coro().close()  # type: ignore[union-attr]
        self.loop.close()

    def die(self) -> None:
        """Be killed: nothing that was under way goes on."""
        self.is_dead = True
        self.loop.stop()

    async def boundary(self, weight: float) -> None:
        """Pass from the bot to the world or back, or die here."""
        if not self.is_dead and self.crash_rate and self.rng.random() < weight * self.crash_rate:
            self.die()
        if self._is_buried:
            raise Killed
        if self.is_dead:
            await self.loop.create_future()

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not self.is_dead:
            error = context.get("exception")
            self.failures.append(f"crashed: {context['message']}: {error!r}")

    def _go(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.failures.append(f"crashed: {error!r}")

    async def _main(self) -> None:
        def prepare(db: Connection) -> None:
            ends.recover(db, self._clock.now_ms())
            ends.expire_old(db, self._clock.now_ms())

        try:
            await self.store.run(prepare)
        except sqlite3.Error:
            self.die()  # and is started again
            return
        self._go(self._reconciler.run())
        self._go(self._outbox.run())
        await self._poll()

    async def _poll(self) -> None:
        for known in await self._inbox.waiting(None):
            self._go(self._ordered(_seen_again(known)))
        while True:
            self._arrived.clear()
            is_down = self.timeline.now_us < self.telegram.down_until_us
            batch = [] if is_down else list(self.telegram.updates)
            if not batch:
                await (asyncio.sleep(1) if is_down else self._arrived.wait())
                continue
            await asyncio.sleep(self.rng.uniform(0.01, 0.1))
            originals = {each.update_id: each for each in batch}
            try:
                new = await self._inbox.take([_as_telegram_has_it(each) for each in batch], None)
            except sqlite3.Error:
                await asyncio.sleep(10)
                continue
            for update in new:
                self._go(self._ordered(originals[update.update_id]))
            await self.boundary(_CHAT)
            self.telegram.updates = [each for each in self.telegram.updates if each.update_id not in originals]

    async def _ordered(self, update: Update) -> None:
        async with self._turns[update.chat_id]:
            try:
                await (self._press(update) if update.data else self._message(update))
            except TelegramError:
                pass
            except BotError as error:
                await self._refuse(update, f"✖ Not done\n{error}")
            except sqlite3.Error:
                await self._refuse(update, "✖ Something went wrong inside the bot.")

    async def _refuse(self, update: Update, text: str) -> None:
        if update.data:
            return  # a press is answered by a toast; the card stays
        try:
            await self._sender.send(say(text), chat_id=update.chat_id, user_id=update.chat_id)
            await self._inbox.handled(read_update(_as_telegram_has_it(update)))
        except (TelegramError, sqlite3.Error):
            pass

    async def _message(self, update: Update) -> None:
        if self._clock.now_ms() - update.sent_ms > _OLDEST_MS:
            await self._refuse(update, "I was away. Send it again if you still want it.")
            return
        account = await self.store.run(lambda db: accounts.default_account(db, update.chat_id))
        assert account is not None
        await self._desk.propose(account, self._wanted(update), chat_id=update.chat_id, asked_in=update.message_id)
        await self._inbox.handled(read_update(_as_telegram_has_it(update)))

    def _wanted(self, update: Update) -> Intent:
        return self.telegram.people[update.chat_id].wants[int(update.text.split()[1])].intent

    async def _press(self, update: Update) -> None:
        user_id = update.chat_id
        found = await self._desk.press(
            update.data,
            user_id=user_id,
            chat_id=update.chat_id,
            message_id=update.message_id,
            may_send=self.rng.random() < _MAY_SEND,
        )
        if isinstance(found, str):
            return
        press, confirmed = found
        if confirmed is not None:
            if confirmed.state == "confirmed":
                self._desk.send(confirmed)
            return
        if press.action == "confirm":
            return
        assert press.order_id is not None
        act = {
            "drop": self._desk.drop,
            "cancel": self._desk.cancel,
            "not_placed": self._desk.settle_by_hand,
        }[press.action]
        await act(press.order_id, user_id)  # type: ignore[operator]


def _as_telegram_has_it(update: Update) -> dict[str, Any]:
    if update.data:
        return {"update_id": update.update_id}
    message = {
        "message_id": update.message_id,
        "date": update.sent_ms // 1000,
        "chat": {"id": update.chat_id, "type": "private"},
        "text": update.text,
    }
    return {"update_id": update.update_id, "message": message}


def read_update(data: dict[str, Any], _: object = None) -> Any:
    """Stands for the inbox's own: Telegram's objects would cost more than the rest of an update's way."""
    message = data.get("message")
    if message is not None:
        chat = SimpleNamespace(**message["chat"])
        message = SimpleNamespace(**message | {"chat": chat, "chat_id": chat.id})
    return SimpleNamespace(update_id=data["update_id"], message=message, my_chat_member=None)


def _seen_again(update: Any) -> Update:
    message = update.message
    return Update(update.update_id, message.chat_id, message.message_id, message.date * 1000, message.text)
