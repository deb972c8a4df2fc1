"""Receiving by asking: what Telegram holds is committed to the inbox before it is told that it arrived."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
from collections.abc import Callable
from urllib.parse import urlencode

from telegram import Bot, Update
from telegram.error import Conflict, RetryAfter, TelegramError
from telegram.request import BaseRequest

from bot.chat.halt import HALTED, OPEN_AGAIN, Halt
from bot.chat.health import Health
from bot.chat.inbox import Inbox, Json
from bot.chat.reply import seconds_of
from bot.chat.webhook import UPDATES, Tell
from bot.store.errors import StoreError

log = logging.getLogger(__name__)

POLL_SECONDS = 25
_READ_SECONDS = POLL_SECONDS + 10.0
_EMPTY_SECONDS = 0.1  # for servers that answer at once though they were asked to wait
_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)
_CONFLICT_SECONDS = 5.0
_TURN_SECONDS = 60.0  # one poll, its commit and the longest pause


class Polling:
    """Asks Telegram for updates, again and again.

    It asks without the library's `get_updates`. That one fails as a whole when one update is of a form it does not
    know, and logs all of them word for word, a key just pasted included.

    Args:
        way: Makes the calls.
        bot: Whose updates.
        inbox: Where they are committed.
        put: Given each update that was committed.
        halt: Told of another program that asks with the same token.
        health: Told the signs of life.
        tell_owner: Tells the owner of troubles, once each.
    """

    def __init__(
        self,
        way: BaseRequest,
        bot: Bot,
        inbox: Inbox,
        put: Callable[[Update], None],
        *,
        halt: Halt,
        health: Health,
        tell_owner: Tell,
    ) -> None:
        self._way = way
        self._bot = bot
        self._inbox = inbox
        self._put = put
        self._halt = halt
        self._health = health
        self._tell_owner = tell_owner
        self._offset: int | None = None
        self._failures = 0
        self._is_stuck = False

    async def receive(self, stop: asyncio.Event) -> None:
        """Ask until told to stop."""
        while not stop.is_set():
            self._health.polling(_TURN_SECONDS)
            seconds = await self._turn()
            self._health.polling(seconds)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), seconds)

    async def _turn(self) -> float:
        """Ask once; return how long to wait before the next time."""
        try:
            seconds = await self._ask()
            if self._halt.polled():
                await self._tell_owner(OPEN_AGAIN)
            return seconds
        except RetryAfter as error:
            return seconds_of(error)
        except Conflict:
            log.error("another program is polling with this token; stop it, or make a new token if it is not yours")
            if self._halt.conflict():
                await self._tell_owner(HALTED)
            return _CONFLICT_SECONDS
        except TelegramError as error:
            self._failures += 1
            log.warning("Telegram did not answer (%s)", type(error).__name__)
            return _PAUSES[min(self._failures, len(_PAUSES)) - 1]
        except sqlite3.Error as error:
            log.exception("messages could not be stored; they stay with Telegram until they can")
            if not self._is_stuck and isinstance(error, StoreError):
                self._is_stuck = True
                await self._tell_owner(f"{error} Until then I cannot take messages; those of now are not lost.")
            return _PAUSES[-1]

    async def _ask(self) -> float:
        found = await self._get_updates()
        self._health.answered()
        for update in await self._inbox.take(found, self._bot):
            self._put(update)
        self._is_stuck, self._failures = False, 0
        if found:
            self._offset = found[-1]["update_id"] + 1
            return 0.0
        self._offset = None  # all is confirmed; after a quiet week Telegram numbers updates anew, from anywhere
        return _EMPTY_SECONDS

    async def _get_updates(self) -> list[Json]:
        query = {"timeout": POLL_SECONDS, "allowed_updates": json.dumps(UPDATES)}
        if self._offset is not None:
            query["offset"] = self._offset
        url = f"{self._bot.base_url}/getUpdates?{urlencode(query)}"
        found = await self._way.post(url, read_timeout=_READ_SECONDS)
        if not isinstance(found, list):
            raise TelegramError("Telegram's answer cannot be read")
        return found
