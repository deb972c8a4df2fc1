"""/forgetme: erasing all that the bot knows of a person, but the record of money."""

from __future__ import annotations

import asyncio

from bot.chat.codes import after_code
from bot.chat.registry import Action, Call, Command
from bot.chat.reply import Reply, say
from bot.chat.text import Text
from bot.contract.errors import UserError
from bot.trading.confirm import Button
from bot.trading.forget import AFTERWARDS, LOG_LEFT, check, forget

_SECONDS = 60


async def forget_me(call: Call) -> Reply:
    """Ask before everything is erased."""
    _refuse_owner(call)
    await call.read(lambda db: check(db, call.who.user_id))
    text = Text().bold("Forget you?").line()
    text.line("Your keys, second factor, accounts and name are erased here, for good, and you may no longer use me.")
    text.plain(AFTERWARDS)
    return Reply(text, ((Button("Yes, forget me", "surely_forget", seconds=_SECONDS, style="danger"),),))


async def surely_forget(call: Call) -> Reply | None:
    """Erase the person who pressed."""
    _refuse_owner(call)
    return await after_code(call, "to be forgotten", _forget)


async def _forget(call: Call) -> Reply:
    services = call.services
    is_empty = await asyncio.to_thread(forget, services.store, call.who.user_id, services.clock.now_ms())
    return say("You are forgotten. Delete your keys at the exchanges too." + ("" if is_empty else f" {LOG_LEFT}"))


def _refuse_owner(call: Call) -> None:
    if call.who.role == "owner":
        raise UserError(
            "The owner is named by the configuration. On the server, run tradewire users forget, and change [access]"
            " owner."
        )


COMMANDS = (Command("forgetme", forget_me, "Erase what I know of you", "Accounts"),)
ACTIONS = (Action("surely_forget", surely_forget),)
