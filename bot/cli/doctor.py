"""`tradewire doctor`: one line for each thing that must be right, and the remedy where it is not."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import click
from telegram.error import TelegramError

from bot import redact
from bot.accounts.people import AccountRow
from bot.accounts.vault import Vault, load_master_key
from bot.cli import MARKS, config_option
from bot.cli import telegram as ask
from bot.cli.instance import Instance, open_instance
from bot.cli.run import NO_OWNER, NO_TOKEN
from bot.config import Settings, Storage, load
from bot.contract.errors import BotError, ConfigError, VaultError
from bot.exchanges.address import addresses
from bot.store.database import Store
from bot.store.errors import StoreError
from bot.trading.connect import with_keys
from bot.trading.selftest import Mark, Step, check_key, clock_step
from bot.trading.sending import in_words

_WORST: tuple[Mark, ...] = ("failed", "warning", "unknown", "ok")


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report. A `failed` one makes the exit code 1."""

    name: str
    mark: Literal["ok", "warning", "failed"]
    text: str


@click.command()
@config_option
@click.option("--offline", is_flag=True, help="Look at this machine only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(path: Path | None, offline: bool, as_json: bool) -> None:
    """Check everything this installation needs."""
    checks = asyncio.run(_checks(path, offline=offline, quiet=as_json))
    is_well = all(check.mark != "failed" for check in checks)
    if as_json:
        report = {"ok": is_well, "checks": [asdict(check) for check in checks]}
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
    if not is_well:
        raise click.exceptions.Exit(1)


async def _checks(path: Path | None, *, offline: bool, quiet: bool) -> list[Check]:
    done = []
    async for check in _examine(path, offline=offline):
        done.append(check)
        if not quiet:
            click.echo(f"{MARKS[check.mark]} {check.name}: {check.text}")
    return done


async def _examine(path: Path | None, *, offline: bool) -> AsyncIterator[Check]:
    try:
        settings = load(path)
    except ConfigError as error:
        yield Check("configuration", "failed", str(error))
        return
    redact.redactor.register(settings.telegram.token.get_secret_value())
    redact.redactor.register(settings.heartbeat.url.get_secret_value())
    redact.install("ERROR", sys.stderr)
    yield Check("configuration", "ok", "every key is known and every value accepted")
    is_sound = True
    for check in (*_storage(settings), *_people(settings)):
        is_sound = is_sound and not (check.name in {"database", "master key"} and check.mark == "failed")
        yield check
    for check in _monitoring(settings):
        yield check
    sections = {name: section for name, section in settings.exchanges.items() if section.enabled}
    yield Check("address", "ok", " ".join(addresses(sections).lines))
    if offline:
        return
    if settings.telegram.token.get_secret_value():
        yield await _telegram(settings)
    if is_sound:
        async for check in _exchanges(settings):
            yield check


def _storage(settings: Settings) -> Iterator[Check]:
    file, directory = settings.vault.key_file, settings.storage.directory
    database = directory / "tradewire.db"
    master = None
    try:
        master = load_master_key(file)
    except VaultError as error:
        yield Check("master key", "failed", str(error))
    if master is not None and file.resolve().is_relative_to(directory.resolve()):
        text = f"{file} lies inside the data directory, so a copy of that directory opens every key. Move it elsewhere"
        yield Check("master key", "warning", f"{text} and set [vault] key_file.")
    elif master is not None:
        yield Check("master key", "ok", f"{file}, for its owner alone")
    if not database.exists():
        yield Check("database", "ok", f"{database} will be made at the first start")
        return
    try:
        with closing(Store(database)) as store:
            yield Check("database", "ok", f"{database} is whole, and every commit reaches the disk")
            if master is not None:
                Vault(store, master, redact.redactor.register)
    except StoreError as error:
        yield Check("database", "failed", str(error))
    except VaultError as error:
        yield Check("master key", "failed", str(error))


def _people(settings: Settings) -> Iterator[Check]:
    if not settings.telegram.token.get_secret_value():
        yield Check("token", "failed", NO_TOKEN)
    owner = settings.access.owner
    yield Check("owner", "ok", str(owner)) if owner else Check("owner", "failed", NO_OWNER)


def _monitoring(settings: Settings) -> Iterator[Check]:
    if settings.health.port is None:
        return
    place = f"http://127.0.0.1:{settings.health.port}/healthz while the bot runs"
    if find_spec("prometheus_client") is None:
        text = f"{place}; /metrics needs one more package: pip install 'tradewire[metrics]'"
        yield Check("health", "warning", text)
    else:
        yield Check("health", "ok", f"{place}, and /metrics")


async def _telegram(settings: Settings) -> Check:
    try:
        return Check("token", "ok", f"@{await ask.username(ask.make_bot(settings.telegram))}")
    except TelegramError as error:
        return Check("token", "failed", ask.why(error))


async def _exchanges(settings: Settings) -> AsyncIterator[Check]:
    if (settings.storage.directory / "tradewire.db").exists():
        async for check in _ask_exchanges(settings):
            yield check
        return
    # A database made here could belong to another system user than the bot's: ask with one that does not stay.
    with TemporaryDirectory() as directory:
        throwaway = settings.model_copy(update={"storage": Storage(directory=Path(directory))})
        async for check in _ask_exchanges(throwaway):
            yield check


async def _ask_exchanges(settings: Settings) -> AsyncIterator[Check]:
    instance = open_instance(settings)
    try:
        accounts = await instance.store.run(with_keys)
        named = {name for name, section in settings.exchanges.items() if section.enabled}
        wanted = sorted(named | {account.exchange for account in accounts})
        for unmet in instance.catalog.unmet:
            yield Check("plugins", "failed", unmet)
        for plugin, problem in sorted(instance.catalog.broken.items()):
            if plugin not in wanted:
                yield Check(plugin, "warning", f"not usable: {problem}")
        for checks in await asyncio.gather(*(_exchange(instance, name) for name in wanted)):
            for check in checks:
                yield check
        for account in accounts:
            yield await _key(instance, account)
    finally:
        await instance.close()


async def _exchange(instance: Instance, name: str) -> list[Check]:
    exchange = instance.gateway.exchanges.get(name)
    if exchange is None:
        why = instance.gateway.unusable.get(name, "not installed, or switched off; see `tradewire plugins`")
        return [Check(name, "failed", f"cannot be used: {why}")]
    try:
        markets = list(await instance.gateway.symbols(name))
    except BotError as error:
        return [Check(name, "failed", f"{error}. Check the network and [exchanges.{name}].")]
    clock = await clock_step(exchange)
    checks = [Check(name, "ok", f"answers, {len(markets)} markets{exchange.info.mark}")]
    return checks + ([_check(name, [clock])] if clock else [])


async def _key(instance: Instance, account: AccountRow) -> Check:
    name = f"key {account.exchange}·{account.label} of user {account.user_id}"
    try:
        steps = await check_key(instance.gateway, instance.store, account)
    except BotError as error:
        return Check(name, "failed", in_words(error))
    return _check(name, steps)


def _check(name: str, steps: Sequence[Step]) -> Check:
    worst = min((step.mark for step in steps), key=_WORST.index)
    telling = [step for step in steps if step.mark == worst] if worst != "ok" else steps
    text = "; ".join(f"{step.name}: {step.text}" for step in telling)
    return Check(name, "warning" if worst == "unknown" else worst, text)
