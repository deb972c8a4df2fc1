"""/plugins: what is installed, and switching it on and off. Nothing is ever installed from a chat."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bot.chat.registry import Call, Command
from bot.chat.reply import Reply, say
from bot.chat.text import Text
from bot.contract.errors import PluginError, UserError
from bot.exchanges import lock as locks
from bot.exchanges import trust
from bot.exchanges.lock import Lock
from bot.trading import queries
from bot.trading.law import DOUBTFUL, LIVE

_RESTART = "It takes effect when the bot is started again, on the server."
_SERVER_ONLY = (
    "Plugins are installed on the server only, with `tradewire install`: a plugin is code with the bot's rights, and "
    "nobody should be able to put it there from a chat."
)


async def plugins(call: Call) -> Reply:
    """List the plugins, or switch one on or off."""
    verb, name = [*call.args.split(), "", ""][:2]
    if not verb:
        return Reply(await _listed(call))
    if verb.lower() not in ("enable", "disable"):
        raise UserError(_SERVER_ONLY if verb.lower() in ("install", "upgrade", "uninstall") else _usage())
    if not name:
        raise UserError(_usage())
    return await _switch(call, name.lower(), on=verb.lower() == "enable")


async def _switch(call: Call, name: str, *, on: bool) -> Reply:
    directory = call.services.settings.storage.directory

    def work() -> str:
        plugin = trust.known(locks.read(directory), name)
        locks.change(directory, lambda now: now.switched(plugin, on=on))
        return plugin

    try:
        plugin = await asyncio.to_thread(work)
    except PluginError as error:
        raise UserError(str(error)) from error
    if on:
        return say(f"{plugin} is switched on. {_RESTART}")
    text = f"{plugin} is switched off. {_RESTART}"
    if orders := await _unfinished(call, plugin):
        text += f" ⚠ Orders not finished there: {orders}. Without the plugin I lose sight of them, so end them first."
    return say(text)


async def _unfinished(call: Call, plugin: str) -> int:
    served = {
        exchange.info.id
        for exchange in call.services.gateway.exchanges.values()
        if exchange.registered.plugin.name == plugin
    }
    rows = await call.read(lambda db: queries.in_states(db, ("confirmed", *LIVE, *DOUBTFUL)))
    return sum(row.exchange in served for row in rows)


async def _listed(call: Call) -> Text:
    lock, trouble = await asyncio.to_thread(_read, call.services.settings.storage.directory)
    gateway = call.services.gateway
    served = {
        exchange.registered.plugin.name: exchange.info
        for name, exchange in gateway.exchanges.items()
        if not name.endswith(":paper")
    }
    installed = {name: entry for entry in lock.plugins.values() for name in entry.entry_points}
    text = Text().bold("Plugins").line()
    for name in sorted({*served, *installed, *gateway.unusable}):
        entry, info = installed.get(name), served.get(name)
        facts = [f"contract {info.contract_version}{info.mark}"] if info else []
        if entry is not None:
            what = "⚠ development, not checked" if entry.development else f"sha256 {entry.sha256[:12]}"
            facts = [entry.version, *facts, what]
        if name in gateway.unusable:
            text.line(f"✗ {name} is off: {gateway.unusable[name]}")
        else:
            text.line(f"✓ {' · '.join([name, *facts])}")
    if trouble:
        text.line(f"⚠ {trouble}")
    for name in sorted(lock.disabled - gateway.unusable.keys()):
        text.line(f"{name} will be off after the next start.")
    return text.plain(_usage())


def _read(directory: Path) -> tuple[Lock, str]:
    try:
        return locks.read(directory), ""
    except PluginError as error:
        return Lock(), str(error)


def _usage() -> str:
    return "To switch one: /plugins disable NAME or /plugins enable NAME."


COMMANDS = (
    Command(
        "plugins",
        plugins,
        "Installed plugins; switch one on or off",
        "Bot",
        "[enable | disable NAME]",
        "/plugins disable acme",
        details="Switching takes effect when the bot is started again. Plugins are installed on the server only.",
    ),
)
