"""`tradewire run`: the bot itself."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import click

from bot import redact
from bot.accounts.vault import load_master_key
from bot.chat import app, webhook
from bot.chat.health import Health
from bot.cli import config_option
from bot.cli.instance import Instance, open_instance
from bot.cli.memory import collect_seldom, keep_private
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
    collect_seldom()
    asyncio.get_running_loop().set_exception_handler(redact.asyncio_exception_handler)
    try:
        require_plugins(instance)
        vitals = Health(instance.store, instance.gateway, instance.clock)
        stop = _stopped_by_signals()
        async with _accompanied(instance, vitals):
            notify("READY=1")  # Telegram may be away: the bot waits for it by itself, so it counts as started
            await app.run(
                instance.settings,
                instance.clock,
                instance.store,
                instance.vault,
                instance.gateway,
                stop=stop,
                health=vitals,
                listen=_doors(instance.settings),
            )
    finally:
        await instance.close()


def _doors(settings: Settings) -> webhook.Listen:
    """Return what opens the doors for requests from outside; without any, no web server is even imported."""
    if settings.telegram.mode != "webhook" and not settings.hooks.enabled:
        return webhook.listen_to_nobody
    from bot.web import doors

    return doors.opened


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
    """Answer monitors, feed the watchdog and call the heartbeat, where there are any, while the context is open."""
    settings = instance.settings
    url, every_seconds = settings.heartbeat.url.get_secret_value(), watchdog_seconds()
    work = [feed_watchdog(vitals, instance.clock, every_seconds)] if every_seconds else []
    if url:
        from bot.web.heartbeat import beat

        work.append(beat(url, vitals, instance.clock))
    async with AsyncExitStack() as open_doors:
        if settings.health.port is not None:
            from bot.web import health

            await open_doors.enter_async_context(health.opened(vitals, settings.health.port))
        tasks = [asyncio.get_running_loop().create_task(each) for each in work]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
