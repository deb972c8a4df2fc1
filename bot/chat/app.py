"""The running bot: polling or a webhook into a durable inbox, one gate, handlers, and the loops beside them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from telegram import Bot, BotCommand, BotCommandScopeAllGroupChats, BotCommandScopeAllPrivateChats
from telegram.error import InvalidToken, TelegramError
from telegram.request import BaseRequest

from bot.accounts import people
from bot.accounts.vault import Vault
from bot.chat import commands, webhook
from bot.chat.alert_pictures import AlertPictures
from bot.chat.alerts import Alerts
from bot.chat.boards import Boards
from bot.chat.brake import Brake
from bot.chat.dialogs import Dialogs
from bot.chat.dispatch import Dispatcher
from bot.chat.halt import Halt
from bot.chat.health import Health
from bot.chat.inbox import Inbox, InOrder
from bot.chat.outbox import Outbox
from bot.chat.pacer import TELEGRAM, Pace
from bot.chat.pictures import Pictures, is_installed
from bot.chat.polling import Polling
from bot.chat.registry import Registry, Services
from bot.chat.reply import Sender, say
from bot.chat.telegram_request import make_request
from bot.clock import Clock
from bot.config import Settings
from bot.contract.errors import ConfigError
from bot.signals.worker import Worker
from bot.store.database import Store
from bot.trading import ends
from bot.trading.desk import Desk
from bot.trading.feeds import Feeds
from bot.trading.gateway import Gateway
from bot.trading.limits import ceiling_of
from bot.trading.reconcile import Reconciler
from bot.trading.rekey import look_at_keys_daily
from bot.trading.upkeep import look_daily

log = logging.getLogger(__name__)
_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)
_STOP_SECONDS = 10


async def run(
    settings: Settings,
    clock: Clock,
    store: Store,
    vault: Vault,
    gateway: Gateway,
    *,
    stop: asyncio.Event | None = None,
    health: Health | None = None,
    pace: Pace = TELEGRAM,
    listen: webhook.Listen = webhook.listen_to_nobody,
) -> None:
    """Run the bot until it is told to stop, then finish what is being sent.

    Args:
        settings: The configuration; token and owner are set.
        clock: Ours.
        store: The database.
        vault: The keys.
        gateway: The exchanges.
        stop: Ends the run when set. Without it, SIGTERM and SIGINT do.
        health: Told the signs of life; one of its own without it.
        pace: How fast Telegram may be told things.
        listen: Opens the doors for requests from outside; webhook mode needs them.

    Raises:
        ConfigError: Telegram refuses the token.
    """
    if stop is None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    os.environ.setdefault("PTB_TIMEDELTA", "true")  # python-telegram-bot: `retry_after` as it will be, no warning
    inbox = Inbox(store, clock)
    order = InOrder(clock)
    polls = make_request(settings.telegram, at_once=1)
    bot = make_bot(settings, polls)
    sender = Sender(bot, store, clock, pace)
    outbox = Outbox(store, sender, gateway, clock)
    reconciler = Reconciler(store, gateway, clock, outbox.told)
    desk = Desk(
        store, gateway, reconciler, clock, outbox.told, ceiling=ceiling_of(settings.limits), owner=settings.access.owner
    )
    brake = Brake(store, clock, outbox.told, settings.access.owner)
    brake.listen()
    feeds = Feeds(store, gateway, reconciler, clock)
    health = health or Health(store, gateway, clock)
    health.feeds = feeds
    alerts = Alerts(store, gateway, feeds.prices, clock, outbox.told, owner=settings.access.owner)
    pictures = AlertPictures(store, gateway, sender, Pictures(), clock)
    if is_installed():
        outbox.sent = pictures.sent
    boards = Boards(store, gateway, feeds.prices, sender, clock, owner=settings.access.owner)
    halt = Halt(clock)
    worker = Worker(store, desk, clock, outbox.told, halted=lambda: halt.reason, owner=settings.access.owner)
    services = Services(
        settings=settings,
        clock=clock,
        store=store,
        vault=vault,
        gateway=gateway,
        desk=desk,
        feeds=feeds,
        sender=sender,
        dialogs=Dialogs(clock),
        draw=outbox.draw,
        watch=reconciler.watch,
        health=health,
        started_ms=clock.now_ms(),
        alert_changed=alerts.changed,
        boards_changed=boards.changed,
        hook_taken=worker.wake,
    )
    registry = commands.registry()
    dispatcher = Dispatcher(services, registry, inbox, halt)
    order.handle, order.refuse = dispatcher.handle, dispatcher.refuse
    inbox.may_begin, inbox.begin = dispatcher.may_begin, order.put

    async def tell_owner(text: str) -> None:
        owner = settings.access.owner
        try:
            await sender.send(say(text), chat_id=owner or 0, user_id=owner or 0)
        except TelegramError as error:
            log.warning("the owner could not be told: %s", type(error).__name__)

    for chat_id in await inbox.connecting():
        services.dialogs.beware(chat_id, chat_id)
    await store.run(lambda db: _prepare(db, settings, clock.now_ms()))
    await reconciler.begin()

    if not await _greet(bot, stop):
        return
    async with bot:
        for update in await inbox.waiting(bot):
            order.put(update)
        try:
            async with listen(services, webhook.acceptor(bot, inbox, order.put)):
                by_webhook = settings.telegram.mode == "webhook"
                watch = webhook.Watch(bot, settings.telegram, halt, tell_owner)
                loops = [
                    _supervised(reconciler.run()),
                    _supervised(feeds.run()),
                    _supervised(alerts.run()),
                    _supervised(pictures.run()),
                    _supervised(boards.run()),
                    _supervised(outbox.run()),
                    _supervised(worker.run()),
                    _supervised(
                        webhook.receive(watch, bot, health, stop)
                        if by_webhook
                        else Polling(
                            polls, bot, inbox, order.put, halt=halt, health=health, tell_owner=tell_owner
                        ).receive(stop)
                    ),
                    _supervised(_announce(bot, registry, settings)),
                    _supervised(brake.watch_file()),
                    _supervised(look_daily(store, clock, tell_owner)),
                    _supervised(look_at_keys_daily(gateway, store, clock, outbox.told)),
                ]
                log.info("receiving by %s", settings.telegram.mode)
                try:
                    await _first(stop, loops)
                finally:
                    for loop in loops:
                        loop.cancel()
                    await asyncio.gather(*loops, return_exceptions=True)
        finally:
            await _let_go(order, desk)
            await outbox.finish()


def _prepare(db: Any, settings: Settings, now_ms: int) -> None:
    ends.recover(db, now_ms)
    ends.expire_old(db, now_ms)
    if settings.access.owner:
        # The configuration alone makes an owner. The row gives nothing, so it leaves nothing to a former one either.
        people.ensure_user(db, settings.access.owner, "blocked", now_ms=now_ms)


def make_bot(settings: Settings, polls: BaseRequest) -> Bot:
    """Return Telegram as the library speaks to it.

    Without the library's `Application` and its `ExtBot`: we have our own order, limits and handlers, and theirs cost
    another 90 us an answer.

    Args:
        settings: Token and addresses.
        polls: The way that asks for updates, apart from all other calls.
    """
    return Bot(
        settings.telegram.token.get_secret_value(),
        base_url=settings.telegram.base_url,
        base_file_url=settings.telegram.base_file_url,
        request=make_request(settings.telegram),
        get_updates_request=polls,
    )


async def _greet(bot: Bot, stop: asyncio.Event) -> bool:
    """Ask Telegram who we are, as often as it takes: a bot that starts before the network comes up waits for it.

    Returns:
        Whether Telegram answered before the bot was told to stop.
    """
    for pause in itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1])):
        try:
            await bot.initialize()
        except InvalidToken as error:
            raise ConfigError("[telegram] token: Telegram refuses it. Copy it again from BotFather.") from error
        except TelegramError as error:
            log.warning("Telegram cannot be reached (%s); trying again", type(error).__name__)
            await _pause(stop, pause)
        else:
            return True
        if stop.is_set():
            break
    return False


async def _announce(bot: Bot, registry: Registry, settings: Settings) -> None:
    """Give Telegram the command menus. A server that cannot is only worth a warning."""
    shown = list(registry.commands.values())
    private = [BotCommand(each.name, each.summary) for each in shown if each.rule.where != "group"]
    group = [BotCommand(each.name, each.summary) for each in shown if each.rule.where != "private"]
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        **({"deleteWebhook": bot.delete_webhook} if settings.telegram.mode == "polling" else {}),
        "setMyCommands for private chats": lambda: bot.set_my_commands(private, scope=BotCommandScopeAllPrivateChats()),
        "setMyCommands for groups": lambda: bot.set_my_commands(group, scope=BotCommandScopeAllGroupChats()),
    }
    for name, call in calls.items():
        try:
            await call()
        except TelegramError as error:
            log.warning("Telegram did not take %s (%s); the bot works without it", name, type(error).__name__)


async def _let_go(order: InOrder, desk: Desk) -> None:
    """Finish what is at work, for some seconds; what is left then is found by the next start."""
    end = asyncio.get_running_loop().time() + _STOP_SECONDS
    try:
        async with asyncio.timeout_at(end):
            await order.drain()
    except TimeoutError:
        log.warning("some commands were still at work and are ended")
        order.end()
    await desk.drain(max(1.0, end - asyncio.get_running_loop().time()))


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


def _supervised(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(work)


async def _first(stop: asyncio.Event, loops: list[asyncio.Task[None]]) -> None:
    """Wait for the signal to stop, or for a loop that broke; the announcement may end by itself."""
    stopping = asyncio.ensure_future(stop.wait())
    pending: set[asyncio.Task[Any]] = {stopping, *loops}
    try:
        while not stopping.done():
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        stopping.cancel()
