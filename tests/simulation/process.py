"""One life of the bot: the real desk, journal, reconciler, inbox and outbox over a virtual disk and a virtual network.

Everything that leaves the bot passes a boundary, and at each the process may die: nothing of it runs on, and the next
life finds only what was committed.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from random import Random
from types import SimpleNamespace
from typing import Any

from telegram.error import TelegramError

from bot import BotError, Credentials, Secret
from bot.accounts import people as accounts
from bot.chat.inbox import Inbox
from bot.chat.outbox import Outbox
from bot.chat.reply import Sender, say
from bot.exchanges.transport import OpenCredentials, Transport
from bot.store.database import Connection
from bot.trading import ends
from bot.trading.desk import Desk
from bot.trading.gateway import Exchange, Gateway
from bot.trading.intent import Intent
from bot.trading.reconcile import Reconciler
from tests.simulation.disk import Disk, VirtualStore
from tests.simulation.life import Killed, Life
from tests.simulation.network import CHAT, VirtualBot, VirtualWire
from tests.simulation.people import Telegram, Update
from tests.simulation.plugin import registered
from tests.simulation.timeline import Timeline, VirtualClock, pause
from tests.simulation.venue import Venue

_OLDEST_MS = 30_000
_MAY_SEND = 0.8
"""How often a press may confirm and send in one commit; the dispatcher always lets it."""


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
        self.life = life = Life(timeline, rng, crash_rate)
        life.loop.set_exception_handler(self._note)
        self.failures: list[str] = []
        self._timeline, self._rng, self._telegram = timeline, rng, telegram
        clock = self._clock = VirtualClock(timeline)
        self._store = VirtualStore(life, disk)
        exchanges = {}
        for name, venue in venues.items():
            found = registered(name, venue.memory, venue.window_seconds)
            wire = VirtualWire(life, venue)
            exchanges[name] = Exchange(found, Transport(found.info, found.hook, wire, clock))
        gateway = OpenGateway(self._store, None, clock, exchanges)  # type: ignore[arg-type]
        self._sender = Sender(VirtualBot(life, telegram), self._store, clock)  # type: ignore[arg-type]
        self._outbox = Outbox(self._store, self._sender, gateway, clock)
        self._reconciler = Reconciler(self._store, gateway, clock, self._outbox.told)
        self._desk = Desk(self._store, gateway, self._reconciler, clock, self._outbox.told)
        self._inbox = Inbox(self._store, clock)
        self._inbox.may_begin = lambda update: update.callback_query is not None
        self._inbox.begin = lambda update: self._go(self._ordered(self._brought[update.update_id]))
        self._brought: dict[int, Update] = {}
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._arrived = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def live(self) -> None:
        """Run until it dies."""
        life = self.life
        self._telegram.arrived = lambda: None if life.is_dead else self._arrived.set()
        self._go(self._main())
        life.loop.run_forever()
        life.is_dead = life.is_buried = True
        for task in asyncio.all_tasks(life.loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            with suppress(Killed):
                task.get_coro().close()  # type: ignore[union-attr]
        life.loop.close()

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not self.life.is_dead:
            error = context.get("exception")
            self.failures.append(f"crashed: {context['message']}: {error!r}")

    def _go(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.life.loop.create_task(work)
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
            await self._store.run(prepare)
        except sqlite3.Error:
            self.life.end()  # and is started again
            return
        self._go(self._reconciler.run())
        self._go(self._outbox.run())
        await self._poll()

    async def _poll(self) -> None:
        for known in await self._inbox.waiting(None):
            self._go(self._ordered(_seen_again(known)))
        while True:
            self._arrived.clear()
            is_down = self._telegram.is_down
            batch = [] if is_down else list(self._telegram.updates)
            if not batch:
                await (pause(self._timeline, 1) if is_down else self._arrived.wait())
                continue
            await pause(self._timeline, self._rng.uniform(0.01, 0.1))
            self._brought = {each.update_id: each for each in batch}
            try:
                new = await self._inbox.take([_as_telegram_has_it(each) for each in batch], None)
            except sqlite3.Error:
                await pause(self._timeline, 10)
                continue
            for update in new:
                self._go(self._ordered(self._brought[update.update_id]))
            if not self.life.passes(CHAT):
                await self.life.rest()
            self._telegram.updates = [each for each in self._telegram.updates if each.update_id not in self._brought]

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
        account = await self._store.run(lambda db: accounts.default_account(db, update.chat_id))
        assert account is not None
        await self._desk.propose(account, self._wanted(update), chat_id=update.chat_id, asked_in=update.message_id)
        await self._inbox.handled(read_update(_as_telegram_has_it(update)))

    def _wanted(self, update: Update) -> Intent:
        return self._telegram.people[update.chat_id].wants[int(update.text.split()[1])].intent

    async def _press(self, update: Update) -> None:
        user_id = update.chat_id
        found = await self._desk.press(
            update.data,
            user_id=user_id,
            chat_id=update.chat_id,
            message_id=update.message_id,
            may_send=self._rng.random() < _MAY_SEND,
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
    chat = {"id": update.chat_id, "type": "private"}
    if update.data:
        return {"update_id": update.update_id, "callback_query": {"chat": chat}}
    message = {
        "message_id": update.message_id,
        "date": update.sent_ms // 1000,
        "chat": chat,
        "text": update.text,
    }
    return {"update_id": update.update_id, "message": message}


def read_update(data: dict[str, Any], _: object = None) -> Any:
    """Stands for the inbox's own: Telegram's objects would cost more than the rest of an update's way."""
    press, message = data.get("callback_query"), data.get("message")
    chat = SimpleNamespace(**(press or message)["chat"])
    if message is not None:
        message = SimpleNamespace(**message | {"chat": chat, "chat_id": chat.id})
    return SimpleNamespace(
        update_id=data["update_id"],
        message=message,
        callback_query=press,
        my_chat_member=None,
        effective_chat=chat,
    )


def _seen_again(update: Any) -> Update:
    message = update.message
    return Update(update.update_id, message.chat_id, message.message_id, message.date * 1000, message.text)
