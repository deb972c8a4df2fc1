"""Receiving by asking: what Telegram holds is committed to the inbox before it is told that it arrived."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from typing import Any

from telegram.error import Conflict, RetryAfter, TelegramError
from telegram.ext import Application
from telegram.request import BaseRequest

from bot.chat.halt import HALTED, OPEN_AGAIN, Halt
from bot.chat.health import Health
from bot.chat.inbox import Inbox, read_update
from bot.chat.telegram_request import TelegramRequest
from bot.chat.webhook import UPDATES, Tell
from bot.store.errors import StoreError

log = logging.getLogger(__name__)

POLL_SECONDS = 25
_READ_SECONDS = 10.0  # the library adds those that a poll may take
_EMPTY_SECONDS = 0.1  # for servers that answer at once though they were asked to wait
_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)
_CONFLICT_SECONDS = 5.0
_TURN_SECONDS = 60.0  # one poll, its commit and the longest pause


class Polling:
    """Asks Telegram for updates, again and again.

    Args:
        application: Its queue is fed with what was committed.
        inbox: Where it is committed.
        halt: Told of another program that asks with the same token.
        health: Told the signs of life.
        tell_owner: Tells the owner of troubles, once each.
    """

    def __init__(
        self,
        application: Application[Any, Any, Any, Any, Any, Any],
        inbox: Inbox,
        halt: Halt,
        health: Health,
        tell_owner: Tell,
    ) -> None:
        self._application = application
        self._inbox = inbox
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
            wait = error.retry_after
            return float(wait) if isinstance(wait, int) else wait.total_seconds()
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
        updates = await self._application.bot.get_updates(
            offset=self._offset, timeout=POLL_SECONDS, read_timeout=_READ_SECONDS, allowed_updates=UPDATES
        )
        self._health.answered()
        for update in await self._inbox.take(updates):
            await self._application.update_queue.put(update)
        self._is_stuck, self._failures = False, 0
        if updates:
            self._offset = updates[-1].update_id + 1
            return 0.0
        self._offset = None  # all is confirmed; after a quiet week Telegram numbers updates anew, from anywhere
        return _EMPTY_SECONDS


class Readable(BaseRequest):
    """A way to the Bot API on which an update of an unknown form arrives empty.

    The library's `get_updates` fails as a whole when one update is of a form it does not know, and logs all of them
    word for word, a key just pasted included.

    Args:
        way: Makes the calls.
    """

    __slots__ = ("_way",)

    def __init__(self, way: BaseRequest) -> None:
        self._way = way

    @property
    def read_timeout(self) -> float | None:
        """How long an answer may take, in seconds, when a call does not say."""
        return self._way.read_timeout

    async def initialize(self) -> None:
        """Be ready to call."""
        await self._way.initialize()

    async def shutdown(self) -> None:
        """Let go of every connection."""
        await self._way.shutdown()

    async def do_request(self, *args: Any, **options: Any) -> tuple[int, bytes]:
        """Make one call."""
        return await self._way.do_request(*args, **options)

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        """Return the answer that `payload` is, with updates that can be read alone."""
        answer: dict[str, Any] = TelegramRequest.parse_json_payload(payload)
        if isinstance(updates := answer.get("result"), list):
            answer["result"] = [
                data if read_update(data, None) is not None else {"update_id": data["update_id"]} for data in updates
            ]
        return answer
