"""`tradewire panic` and `tradewire resume`: halt trading and end a halt, from the server. The bot may be running."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import click

from bot.cli import config_option
from bot.clock import SystemClock
from bot.config import Settings, load
from bot.contract.errors import BotError, UserError
from bot.store.database import Store
from bot.trading import halt

_BY = "the server's command line"
user_option = click.option(
    "--user", type=click.IntRange(min=1), help="Only this person, by numeric Telegram id. Default: everybody."
)


@click.command()
@config_option
@user_option
def panic(path: Path | None, user: int | None) -> None:
    """Halt trading, at once. Open orders stay as they are."""
    settings, now_ms, who = load(path), SystemClock().now_ms(), user or halt.EVERYBODY
    try:
        with _opened(settings) as store:
            found = store.transact(lambda db: halt.engage(db, who, by=_BY, now_ms=now_ms))
    except (BotError, sqlite3.Error, OSError) as error:
        if user is not None:
            raise
        file = settings.storage.directory / halt.FILE
        file.touch(mode=0o600)
        click.echo(f"The database cannot be written ({error}), so the file {file} halts trading instead.")
        return
    click.echo(f"Trading has been halted since {halt.clock(found.since_ms)} by {found.by}. `tradewire resume` ends it.")


@click.command()
@config_option
@user_option
def resume(path: Path | None, user: int | None) -> None:
    """End a halt, at once, and remove the file that halts."""
    settings, now_ms, who = load(path), SystemClock().now_ms(), user or halt.EVERYBODY
    file = settings.storage.directory / halt.FILE
    was_there = user is None and file.exists()
    with _opened(settings) as store:
        ends_ms = store.transact(lambda db: halt.lift(db, who, by=_BY, delay_ms=0, now_ms=now_ms))
        if was_there:
            file.unlink(missing_ok=True)
    click.echo("Trading goes on." if was_there or ends_ms is not None else "Trading was not halted.")


@contextlib.contextmanager
def _opened(settings: Settings) -> Iterator[Store]:
    database = settings.storage.directory / "tradewire.db"
    if not database.exists():
        raise UserError(f"There is no database at {database}. `tradewire run` makes one.")
    store = Store(database)
    try:
        yield store
    finally:
        store.close()
