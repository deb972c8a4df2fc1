"""`tradewire run`: the bot itself."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from bot import redact
from bot.cli import config_option
from bot.cli.instance import Instance, open_instance
from bot.config import Settings, load
from bot.contract.errors import ConfigError
from bot.store.database import DirectoryLock

NO_TOKEN = (
    "[telegram] token is not set. Write /newbot to @BotFather in Telegram and copy the token it gives you into the "
    "configuration, or set TRADEWIRE_TELEGRAM__TOKEN."
)
NO_OWNER = (
    "[access] owner is not set. It is your numeric Telegram id: `tradewire init` finds it when you write /start to "
    "your bot, and a bot that runs tells everybody their own id."
)


@click.command()
@config_option
def run(path: Path | None) -> None:
    """Start the bot. Ends with Ctrl-C or SIGTERM."""
    settings = load(path)
    redact.redactor.register(settings.telegram.token.get_secret_value())
    redact.install(settings.logging.level, sys.stderr)
    require_telegram(settings)
    lock = DirectoryLock(settings.storage.directory)
    try:
        asyncio.run(_serve(open_instance(settings)))
    finally:
        lock.release()


def require_telegram(settings: Settings) -> None:
    """Refuse a configuration with which the bot cannot answer anybody.

    Raises:
        ConfigError: Names what is missing and where to find it.
    """
    missing = [] if settings.telegram.token.get_secret_value() else [NO_TOKEN]
    missing += [] if settings.access.owner else [NO_OWNER]
    if missing:
        raise ConfigError("\n".join(missing))


async def _serve(instance: Instance) -> None:
    from bot.chat import app

    asyncio.get_running_loop().set_exception_handler(redact.asyncio_exception_handler)
    try:
        await app.run(instance.settings, instance.clock, instance.store, instance.vault, instance.gateway)
    finally:
        await instance.close()
