"""/2fa: a code from an authenticator app before risk grows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from telegram.error import TelegramError

from bot.accounts import second_factor
from bot.chat.codes import after_code, ask_for_code, has_factor
from bot.chat.registry import Call, Command
from bot.chat.reply import Copy, Reply, say
from bot.chat.text import Text
from bot.contract.errors import UserError
from bot.trading.factors import turn_off, turn_on

_WHEN = "before a key is added, a limit raised, a large order sent, or a halt left"
_STOPPED = "The second factor was not turned on. Delete my message with the key above."


async def two_factor(call: Call) -> Reply | None:
    """Turn the second factor on or off, or try a code."""
    word = call.args.lower()
    if word == "on":
        return await _on(call)
    if word == "off":
        return await _need_code(call, "to turn the second factor off", _off)
    if word == "test":
        return await _need_code(call, "to try it", _right)
    if word:
        raise UserError("Write /2fa on, /2fa off or /2fa test.")
    if await has_factor(call):
        return say(f"Your second factor is on: I ask for a code {_WHEN}. /2fa test tries one, /2fa off turns it off.")
    return say(f"Your second factor is off. /2fa on sets it up; then I ask for a code {_WHEN}.")


async def _on(call: Call) -> Reply | None:
    services, who = call.services, call.who
    seed = await call.prepare(lambda db: second_factor.begin(db, who.user_id, vault=services.vault))
    link = second_factor.link(seed, who.name or str(who.user_id))
    text = Text().bold("Second factor").line()
    text.line("1. Copy the key below, and add it to an authenticator app by hand, or open the link on your phone.")
    text.line("2. Send me the six digits that the app shows. I delete them, and this message.")
    text.plain("Safer: on the server, tradewire users 2fa shows a code to scan. /cancel stops.")
    copies = (Copy("Copy the key", seed.reveal()), Copy("Copy the link", link.reveal()))
    # Not by the outbox, and not as text: the key is kept nowhere, and the filter of secrets stays as it is.
    shown = await services.sender.deliver(Reply(text, (copies,)), chat_id=who.chat_id, user_id=who.user_id)

    async def take(code: str) -> None:
        now_ms = services.clock.now_ms()
        await call.commit(lambda db: turn_on(db, user_id=who.user_id, code=code, now_ms=now_ms, vault=services.vault))
        is_gone = False
        with suppress(TelegramError):
            is_gone = await services.sender.bot.delete_message(who.chat_id, shown)
        if not is_gone:
            left = say("I could NOT delete my message with the key. Please delete it.")
            await services.sender.send(left, chat_id=who.chat_id, user_id=who.user_id)
        services.sender.kept()

    ask_for_code(call, take, stopped=_STOPPED)
    return None


async def _off(call: Call) -> None:
    user_id, now_ms = call.who.user_id, call.services.clock.now_ms()
    await call.commit(lambda db: turn_off(db, user_id, by=user_id, now_ms=now_ms))
    call.services.sender.kept()


async def _right(_: Call) -> Reply:
    return say("✓ The code is right.")


async def _need_code(call: Call, reason: str, work: Callable[[Call], Awaitable[Reply | None]]) -> Reply | None:
    if not await has_factor(call):
        raise UserError("You have no second factor. /2fa on sets it up.", code="NO_SECOND_FACTOR")
    return await after_code(call, reason, work)


COMMANDS = (
    Command(
        "2fa",
        two_factor,
        "A code from your phone before risk grows",
        "Accounts",
        "[on | off | test]",
        "/2fa on",
        details="Lost the phone? The operator resets it on the server: tradewire users 2fa ID --reset.",
    ),
)
