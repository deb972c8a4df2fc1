"""The running bot: long polling into a durable inbox, one gate, handlers, and the loops beside them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from telegram import BotCommand, BotCommandScopeAllGroupChats, BotCommandScopeAllPrivateChats, Update
from telegram.error import Conflict, InvalidToken, NetworkError, RetryAfter, TelegramError
from telegram.ext import Application, ApplicationBuilder, TypeHandler
from telegram.request import HTTPXRequest

from bot.accounts import people
from bot.accounts.vault import Vault
from bot.chat import commands
from bot.chat.dialogs import Dialogs
from bot.chat.dispatch import Dispatcher
from bot.chat.inbox import Inbox, InOrder
from bot.chat.outbox import Outbox
from bot.chat.registry import Registry, Services
from bot.chat.reply import Sender
from bot.clock import Clock
from bot.config import Settings
from bot.contract.errors import ConfigError
from bot.store.database import Store
from bot.trading import journal
from bot.trading.desk import Desk
from bot.trading.feeds import Feeds
from bot.trading.gateway import Gateway
from bot.trading.reconcile import Reconciler

log = logging.getLogger(__name__)
_POLL_SECONDS = 25
_EMPTY_SECONDS = 0.1  # for servers that answer at once though they were asked to wait
_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)
_UPDATES = [Update.MESSAGE, Update.CALLBACK_QUERY]


async def run(
    settings: Settings,
    clock: Clock,
    store: Store,
    vault: Vault,
    gateway: Gateway,
    *,
    stop: asyncio.Event | None = None,
) -> None:
    """Run the bot until it is told to stop, then finish what is being sent.

    Args:
        settings: The configuration; token and owner are set.
        clock: Ours.
        store: The database.
        vault: The keys.
        gateway: The exchanges.
        stop: Ends the run when set. Without it, SIGTERM and SIGINT do.

    Raises:
        ConfigError: Telegram refuses the token.
    """
    if stop is None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    os.environ.setdefault("PTB_TIMEDELTA", "true")  # python-telegram-bot: `retry_after` as it will be, no warning
    inbox = Inbox(store, clock)
    application = _application(settings)
    sender = Sender(application.bot, store, clock)
    outbox = Outbox(store, sender, gateway, clock)
    reconciler = Reconciler(store, gateway, clock, outbox.told)
    desk = Desk(store, gateway, reconciler, clock, outbox.told)
    feeds = Feeds(store, gateway, reconciler, clock)
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
        started_ms=clock.now_ms(),
    )
    registry = commands.registry()
    dispatcher = Dispatcher(services, registry, inbox)
    application.add_handler(TypeHandler(Update, dispatcher.handle))
    await store.run(lambda db: _prepare(db, settings, clock.now_ms()))

    if not await _greet(application, stop):
        return
    async with application:
        await application.start()
        loops = [
            _supervised(reconciler.run()),
            _supervised(feeds.run()),
            _supervised(outbox.run()),
            _supervised(_poll(application, inbox, stop)),
            _supervised(_announce(application, registry)),
        ]
        log.info("polling")
        try:
            await _first(stop, loops)
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await application.stop()
            await desk.drain()
            await outbox.step()


def _prepare(db: Any, settings: Settings, now_ms: int) -> None:
    journal.recover(db, now_ms)
    journal.expire_old(db, now_ms)
    if settings.access.owner:
        people.ensure_user(db, settings.access.owner, "admin", now_ms=now_ms)


def _application(settings: Settings) -> Application[Any, Any, Any, Any, Any, Any]:
    """Build the application. Its update queue is fed by `_poll`, which commits what came before it asks for more."""

    def request(connections: int) -> HTTPXRequest:
        return HTTPXRequest(
            connection_pool_size=connections,
            read_timeout=10.0,
            pool_timeout=30.0,
            proxy=settings.telegram.proxy,
            httpx_kwargs={"trust_env": False},
        )

    return (
        ApplicationBuilder()
        .token(settings.telegram.token.get_secret_value())
        .base_url(settings.telegram.base_url)
        .base_file_url(settings.telegram.base_file_url)
        .request(request(16))
        .get_updates_request(request(1))
        .concurrent_updates(InOrder())
        .updater(None)
        .build()
    )


async def _greet(application: Application[Any, Any, Any, Any, Any, Any], stop: asyncio.Event) -> bool:
    """Ask Telegram who we are, as often as it takes: a bot that starts before the network comes up waits for it.

    Returns:
        Whether Telegram answered before the bot was told to stop.
    """
    for pause in itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1])):
        try:
            await application.initialize()
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


async def _poll(application: Application[Any, Any, Any, Any, Any, Any], inbox: Inbox, stop: asyncio.Event) -> None:
    for update in await inbox.waiting(application.bot):
        await application.update_queue.put(update)
    offset: int | None = None
    failures = 0
    while not stop.is_set():
        try:
            updates = await application.bot.get_updates(
                offset=offset, timeout=_POLL_SECONDS, read_timeout=_POLL_SECONDS + 10, allowed_updates=_UPDATES
            )
            for update in await inbox.take(updates):
                await application.update_queue.put(update)
            if updates:
                offset = updates[-1].update_id + 1
            else:
                await _pause(stop, _EMPTY_SECONDS)
            failures = 0
        except RetryAfter as error:
            wait = error.retry_after
            await _pause(stop, wait if isinstance(wait, int) else wait.total_seconds())
        except Conflict:
            log.error("another program is polling with this token; stop it, or make a new token if it is not yours")
            await _pause(stop, 5.0)
        except (NetworkError, TelegramError) as error:
            failures += 1
            log.warning("Telegram did not answer (%s)", type(error).__name__)
            await _pause(stop, _PAUSES[min(failures, len(_PAUSES)) - 1])
        except sqlite3.Error:
            log.exception("messages could not be stored; they stay with Telegram until they can")
            await _pause(stop, _PAUSES[-1])


async def _announce(application: Application[Any, Any, Any, Any, Any, Any], registry: Registry) -> None:
    """Give Telegram the command menus. A server that cannot is only worth a warning."""
    shown = list(registry.commands.values())
    private = [BotCommand(command.name, command.summary) for command in shown]
    group = [BotCommand(each.name, each.summary) for each in shown if each.rule.where == "anywhere"]
    bot = application.bot
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "deleteWebhook": bot.delete_webhook,
        "setMyCommands for private chats": lambda: bot.set_my_commands(private, scope=BotCommandScopeAllPrivateChats()),
        "setMyCommands for groups": lambda: bot.set_my_commands(group, scope=BotCommandScopeAllGroupChats()),
    }
    for name, call in calls.items():
        try:
            await call()
        except TelegramError as error:
            log.warning("Telegram did not take %s (%s); the bot works without it", name, type(error).__name__)


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
