"""`tradewire run`: the bot itself."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click

from bot import redact
from bot.accounts.vault import load_master_key
from bot.chat.health import Health
from bot.cli import config_option
from bot.cli.instance import Instance, open_instance
from bot.cli.memory import keep_private
from bot.cli.service import feed_watchdog, notify, watchdog_seconds
from bot.config import Settings, load
from bot.contract.errors import ConfigError, VaultError
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
    keep_private()
    settings = load(path)
    redact.redactor.register(settings.telegram.token.get_secret_value())
    redact.redactor.register(settings.heartbeat.url.get_secret_value())
    redact.install(settings.logging.level, sys.stderr, json=settings.logging.format == "json")
    require_all(settings)
    lock = DirectoryLock(settings.storage.directory)
    try:
        asyncio.run(_serve(open_instance(settings, thorough=lock.was_unclean)))
    finally:
        lock.release()


def require_all(settings: Settings) -> None:
    """Refuse a configuration with which the bot cannot work.

    Raises:
        ConfigError: Names all that is missing at once, and where to find it.
    """
    missing = [] if settings.telegram.token.get_secret_value() else [NO_TOKEN]
    missing += [] if settings.access.owner else [NO_OWNER]
    try:
        load_master_key(settings.vault.key_file)
    except VaultError as error:
        missing.append(str(error))
    if missing:
        raise ConfigError("\n".join(missing))


def require_plugins(instance: Instance) -> None:
    """Refuse to run without a plugin that the configuration needs: a rule that does not hold is no rule.

    Raises:
        ConfigError: Names each, why it cannot be used, and what to do.
    """
    if instance.catalog.unmet:
        raise ConfigError("\n".join((*instance.catalog.unmet, "The bot was not started.")))


async def _serve(instance: Instance) -> None:
    from bot.chat import app
    from bot.web import doors, health

    asyncio.get_running_loop().set_exception_handler(redact.asyncio_exception_handler)
    try:
        require_plugins(instance)
        vitals = Health(instance.store, instance.gateway, instance.clock)
        stop = _stopped_by_signals()
        async with health.opened(vitals, instance.settings.health.port), _accompanied(instance, vitals):
            notify("READY=1")  # Telegram may be away: the bot waits for it by itself, so it counts as started
            await app.run(
                instance.settings,
                instance.clock,
                instance.store,
                instance.vault,
                instance.gateway,
                stop=stop,
                health=vitals,
                listen=doors.opened,
            )
    finally:
        await instance.close()


def _stopped_by_signals() -> asyncio.Event:
    """Return what SIGTERM and SIGINT set; the service manager is told at once that the end has begun."""
    stop = asyncio.Event()

    def end() -> None:
        notify("STOPPING=1")
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    return stop


@asynccontextmanager
async def _accompanied(instance: Instance, vitals: Health) -> AsyncIterator[None]:
    """Feed the watchdog and call the heartbeat, where there are any, while the context is open."""
    from bot.web.heartbeat import beat

    url, every_seconds = instance.settings.heartbeat.url.get_secret_value(), watchdog_seconds()
    work = [feed_watchdog(vitals, instance.clock, every_seconds)] if every_seconds else []
    work += [beat(url, vitals, instance.clock)] if url else []
    tasks = [asyncio.get_running_loop().create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
