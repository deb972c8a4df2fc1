"""`tradewire restore`: put a backup in the place of the database. The bot must be stopped."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import click

from bot.cli import config_option
from bot.clock import SystemClock
from bot.config import load
from bot.store.backup import restore as put_in_place
from bot.store.backup import verify
from bot.store.check import connect_to_read, inspect
from bot.store.database import Connection, DirectoryLock
from bot.store.errors import StoreError
from bot.trading import journal, restored
from bot.trading.restored import Highest
from bot.trading.upkeep import events_are_whole


@click.command()
@config_option
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--yes", is_flag=True, help="Do not ask.")
def restore(path: Path | None, file: Path, yes: bool) -> None:
    """Put the backup FILE in the place of the database. Stop the bot first.

    The database that is replaced stays beside it. FILE itself is left as it is.
    """
    settings = load(path)
    database = settings.storage.directory / "tradewire.db"
    lock = DirectoryLock(settings.storage.directory)
    try:
        verify(file, events_are_whole)
        if not yes:
            click.confirm(
                f"Put {file} in the place of {database}? What happened since the backup is then not known to the bot.",
                abort=True,
            )
        kept = len(list(database.parent.glob("tradewire-replaced-*.db")))
        before = _given_out(database)
        clock = SystemClock()

        def adapt(db: Connection) -> None:
            journal.install_law(db)
            # Without the numbers of the replaced database, earlier restores of the same backup must be kept clear of.
            restored.forget(db, before or Highest(), 1 if before else kept + 1, clock.now_ms())

        replaced = database.with_name(f"tradewire-replaced-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}.db")
        existed = database.exists()
        put_in_place(file, database, replaced, adapt)
    finally:
        lock.release()
    click.echo(f"{file} is now the database{f'; the one before is kept as {replaced}' if existed else ''}.")
    click.echo(
        "Its master key is still that of the backup. Order numbers go on a million further, so that none is used "
        "twice. Orders placed since the backup are unknown to the bot: compare /orders with the exchange."
    )


def _given_out(database: Path) -> Highest | None:
    """Return the numbers of the database that is to be replaced, or `None` where it cannot be trusted."""
    if not database.exists():
        return None
    try:
        inspect(database)
        with contextlib.closing(connect_to_read(database)) as connection:
            return restored.highest(connection)
    except (sqlite3.Error, StoreError, ValueError):
        return None
