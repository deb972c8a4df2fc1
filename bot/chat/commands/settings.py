"""/settings: one card with what can be chosen."""

from __future__ import annotations

from bot.accounts import people
from bot.chat.commands.accounts import paper, uses_keys
from bot.chat.registry import Action, Call, Command
from bot.chat.reply import Reply
from bot.chat.text import Text
from bot.contract.errors import UserError
from bot.trading import groups
from bot.trading.confirm import Button
from bot.trading.journal import PROPOSAL_SECONDS
from bot.trading.sending import DRIFT_TOLERANCE


async def settings(call: Call) -> Reply:
    """Show the settings."""
    accounts = await call.accounts()
    text = Text().bold("Settings").line()
    rows = []
    if accounts:
        default = await call.account()
        text.line(f"Default account: {default.label}")
        is_switched = uses_keys(call, default)
        text.line(f"Paper trading of {default.label}: {_paper(default.paper, is_switched=is_switched)}")
        following = accounts[(accounts.index(default) + 1) % len(accounts)]
        if following.id != default.id:
            rows.append((Button(f"Default: {following.label}", "settings_default", {"account": following.id}),))
        if is_switched:
            switch = "off" if default.paper else "on"
            rows.append((Button(f"Paper {switch}", "settings_paper", {"args": f"{switch} {default.label}"}),))
    else:
        text.line("No account yet: /connect adds your key, /paper on trades without real money.")
    for share in await call.read(lambda db: groups.shares(db, call.who.user_id)):
        place = share.title or str(share.chat_id)
        text.line(f"Your fills are shown in {place}{', with amounts' if share.with_amounts else ''}.")
        rows.append((Button(f"Stop showing them in {place}", "fills_stop", {"chat": share.chat_id}),))
    text.line(f"A preview can be confirmed for {PROPOSAL_SECONDS} seconds.")
    text.plain(f"A market order is offered anew when the price moved by more than {DRIFT_TOLERANCE * 100:.0f}%.")
    return Reply(text, tuple(rows))


def _paper(on: bool, *, is_switched: bool) -> str:
    if not is_switched:
        return "always, its exchange has no real money"
    return "on" if on else "off"


async def settings_default(call: Call) -> Reply:
    """Choose the default account."""
    await call.commit(lambda db: people.set_default(db, call.who.user_id, call.payload["account"]))
    return await settings(call)


async def settings_paper(call: Call) -> Reply:
    """Switch paper trading."""
    answer = await paper(call.with_args(call.payload["args"]))
    if not isinstance(answer, Reply):
        raise UserError("Nothing was changed.")
    return await settings(call)


COMMANDS = (Command("settings", settings, "Default account and paper trading", "Bot"),)
ACTIONS = (Action("settings_default", settings_default), Action("settings_paper", settings_paper))
