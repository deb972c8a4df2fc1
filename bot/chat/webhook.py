"""Receiving by webhook: Telegram is told where to send, watched that it does, and told to keep messages at the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from telegram import Bot, Update, WebhookInfo
from telegram.error import BadRequest, RetryAfter, TelegramError

from bot.chat.halt import HALTED, OPEN_AGAIN, Halt
from bot.chat.health import Health
from bot.chat.inbox import Inbox, Json
from bot.chat.registry import Services
from bot.chat.reply import seconds_of
from bot.config import Telegram

log = logging.getLogger(__name__)

Accept: TypeAlias = Callable[[Json], Awaitable[None]]
"""Takes in one update as Telegram sent it; what it returns from is committed."""
Listen: TypeAlias = Callable[[Services, Accept], AbstractAsyncContextManager[None]]
"""Listens for requests while its context is open."""
Tell: TypeAlias = Callable[[str], Awaitable[None]]

UPDATES = [Update.MESSAGE, Update.CALLBACK_QUERY, Update.MY_CHAT_MEMBER]
CONNECTIONS = 20
"""Telegram opens at most this many at once; it sends the updates of one chat one after another."""
_LOOK_SECONDS = 20.0
_CONFLICT_SECONDS = 5.0
_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)
_END_SECONDS = 5.0


@contextlib.asynccontextmanager
async def listen_to_nobody(_services: Services, _accept: Accept) -> AsyncIterator[None]:
    """Open no door: for polling alone."""
    yield


def acceptor(bot: Bot, inbox: Inbox, put: Callable[[Update], None]) -> Accept:
    """Return what takes an update in: committed to the inbox, then handled, once however often it is sent."""

    async def accept(data: Json) -> None:
        for update in await inbox.take([data], bot):
            put(update)

    return accept


async def receive(watch: Watch, bot: Bot, health: Health, stop: asyncio.Event) -> None:
    """Keep Telegram sending to `webhook_url` until told to stop; then let it keep what comes until the next start."""
    pauses = iter(_PAUSES)
    try:
        while not stop.is_set():
            health.polling(_LOOK_SECONDS)
            try:
                seconds = await watch.look()
                health.answered()
                pauses = iter(_PAUSES)
            except RetryAfter as error:
                seconds = seconds_of(error)
            except TelegramError as error:
                log.warning("Telegram did not take the webhook or tell of it (%s)", type(error).__name__)
                seconds = next(pauses, _PAUSES[-1])
            health.polling(seconds)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), seconds)
    finally:
        with contextlib.suppress(TelegramError, TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await bot.delete_webhook(drop_pending_updates=False)


class Watch:
    """Sets the webhook and looks whether it is still ours and works. The owner is told once of each trouble."""

    def __init__(self, bot: Bot, settings: Telegram, halt: Halt, tell_owner: Tell) -> None:
        self._bot = bot
        self._settings = settings
        self._halt = halt
        self._tell_owner = tell_owner
        self._is_set = False
        self._trouble = ""

    async def look(self) -> float:
        """Look once and return for how many seconds that will do."""
        url = self._settings.webhook_url
        if not self._is_set:
            try:
                await self._bot.set_webhook(
                    url,
                    allowed_updates=UPDATES,
                    drop_pending_updates=False,
                    max_connections=CONNECTIONS,
                    secret_token=self._settings.webhook_secret.get_secret_value(),
                )
            except BadRequest as error:
                await self._tell(f"Telegram refuses [telegram] webhook_url, {url}: {error.message}.")
                raise
            self._is_set = True
            log.info("Telegram sends to %s", url)
        info = await self._bot.get_webhook_info()
        if info.url != url:
            self._is_set = False
            log.error("another program took the webhook away; stop it, or make a new token if it is not yours")
            if self._halt.conflict():
                await self._tell_owner(HALTED)
            return _CONFLICT_SECONDS
        if self._halt.polled():
            await self._tell_owner(OPEN_AGAIN)
        await self._tell(_undelivered(info, url))
        return _LOOK_SECONDS

    async def _tell(self, trouble: str) -> None:
        if trouble and not self._trouble:
            log.warning("%s", trouble)
            await self._tell_owner(trouble)
        self._trouble = trouble


def _undelivered(info: WebhookInfo, url: str) -> str:
    if not info.pending_update_count or not info.last_error_message:
        return ""
    return (
        f"Telegram cannot deliver messages to {url}: {info.last_error_message}. {info.pending_update_count} wait and "
        "are not lost. Look at the proxy in front of me and at [web] in the configuration."
    )
