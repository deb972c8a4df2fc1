"""Asking for a code of the second factor. The message that held it is deleted: a code lives for a minute and a half."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from telegram.error import TelegramError

from bot.accounts import second_factor
from bot.chat.registry import Call
from bot.chat.reply import Reply, say
from bot.store.database import Connection

Verify: TypeAlias = Callable[[Connection], None]
"""Takes the code in the transaction that does what it allows. Call it first there; its errors end it."""

Then: TypeAlias = Callable[[Verify], Awaitable[Reply | None]]
Take: TypeAlias = Callable[[str], Awaitable[Reply | None]]

_STOPPED = "No code came, so nothing was done."
_LEFT = "I could NOT delete your message with the code. Please do; a code that was used opens nothing any more."


async def has_factor(call: Call) -> bool:
    """Say whether the person has a second factor, so that a code must be asked for."""
    return await call.services.store.run(lambda db: second_factor.is_on(db, call.who.user_id))


async def with_code(call: Call, code: str, then: Then) -> Reply | None:
    """Go on with a code: the one that was typed with the command, or else the next message.

    Args:
        call: Who, and where.
        code: As typed with the command; empty to ask for it.
        then: Does what the code allows.
    """

    async def take(text: str) -> Reply | None:
        return await then(_verifying(call, text))

    if code:
        await _delete(call, call.who.message_id)
        return await take(code)
    ask_for_code(call, take)
    return say("Send the code from your authenticator app: six digits.")


async def after_code(call: Call, reason: str, work: Callable[[Call], Awaitable[Reply | None]]) -> Reply | None:
    """Do `work` at once, or once its person sent a right code where they have a second factor.

    For work of more than one transaction: the code is spent before it begins.

    Args:
        call: The command or press that leads to it.
        reason: Why a code is asked for, as the end of a sentence: `to add a key`.
        work: What the code allows.
    """
    if not await has_factor(call):
        return await work(call)

    async def take(text: str) -> Reply | None:
        await call.services.store.run(_verifying(call, text))
        return await work(call)

    ask_for_code(call, take)
    return say(f"Send the six digits of your authenticator app {reason}. I delete them at once. /cancel stops.")


def ask_for_code(call: Call, take: Take, *, stopped: str = _STOPPED) -> None:
    """Give the next message to `take`, deleted; a wrong code is asked for again.

    Args:
        call: Whose message, and where.
        take: Takes the code and returns what to answer.
        stopped: What the person is told when another command comes instead.
    """
    who, sender = call.who, call.services.sender

    async def answer(text: str, message_id: int) -> None:
        await _delete(call, message_id)
        reply = await take(text)
        if reply is not None:
            await sender.send(reply, chat_id=who.chat_id, user_id=who.user_id)

    call.services.dialogs.ask(who.chat_id, who.user_id, answer, stopped=stopped)


def _verifying(call: Call, code: str) -> Verify:
    services, user_id = call.services, call.who.user_id

    def verify(db: Connection) -> None:
        second_factor.verify(db, user_id, code, services.clock.now_ms(), vault=services.vault)

    return verify


async def _delete(call: Call, message_id: int) -> None:
    """Delete the message with the code, and say so where Telegram did not."""
    who, sender = call.who, call.services.sender
    try:
        is_gone = await sender.bot.delete_message(who.chat_id, message_id)
    except TelegramError:
        is_gone = False
    if not is_gone:
        await sender.send(say(_LEFT), chat_id=who.chat_id, user_id=who.user_id)
