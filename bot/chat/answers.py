"""One answer to everything that is asked, whatever becomes of it; and no traceback ever."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable

from telegram import CallbackQuery
from telegram.error import TelegramError

from bot.accounts.roles import Standing
from bot.chat.gate import Admitted
from bot.chat.registry import Call, Handler, Services
from bot.chat.remedies import refusal
from bot.chat.reply import Reply, say
from bot.contract.errors import BotError
from bot.redact import redactor
from bot.trading.sending import in_words

log = logging.getLogger(__name__)


class Answers:
    """Runs handlers and sends what they answer.

    Args:
        services: What handlers work with.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._asked_as: dict[tuple[int, int], Standing] = {}

    async def run(self, handler: Handler, call: Call) -> None:
        """Run a handler and answer with its reply, or with why there is none.

        Raises:
            TelegramError: The answer did not reach Telegram.
        """
        edits = call.edits
        try:
            reply = await handler(call)
        except BotError as error:
            reply, edits = refusal(in_words(error), getattr(error, "code", "")), None
        except TelegramError:
            raise
        except Exception:
            reply, edits = say(incident()), None
        if self._services.dialogs.is_open(call.who.chat_id, call.who.user_id):
            self._asked_as[call.who.chat_id, call.who.user_id] = call.who.role  # who ranks lower later is not heard
        if reply is not None:
            await self.send(call.who, reply, edits)

    def asked_as(self, chat_id: int, user_id: int) -> Standing | None:
        """Return what somebody was when they were asked the open question, once."""
        return self._asked_as.pop((chat_id, user_id), None)

    async def send(self, who: Admitted, reply: Reply, edits: int | None = None) -> None:
        """Send a reply where somebody wrote, or edit a message there into it."""
        await self._services.sender.send(
            reply, chat_id=who.chat_id, user_id=who.user_id, message_id=edits, thread_id=who.thread_id
        )


async def toast(query: CallbackQuery, text: str, *, alert: bool = False) -> None:
    """Answer a press. Telegram forgets presses after some seconds; the card tells all the same."""
    try:
        await query.answer(redactor.redact(text)[:200], show_alert=alert)
    except TelegramError as error:
        log.info("a press could not be answered: %s", type(error).__name__)


async def logged(work: Awaitable[None]) -> None:
    """Wait for `work`; what it raises is written into the log."""
    try:
        await work
    except TelegramError as error:
        log.warning("an answer did not reach Telegram: %s", type(error).__name__)
    except Exception:
        log.exception("an update was not handled")


def incident() -> str:
    """Log the error that is being handled, and return what a person is told of it."""
    reference = secrets.token_hex(3)
    log.exception("incident %s", reference)
    return f"Something went wrong inside the bot. Tell the operator this number: {reference}."
