"""`tradewire backup`: a copy of the database, checked. Works while the bot is running."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from bot.cli import config_option
from bot.config import load
from bot.contract.errors import UserError
from bot.store.backup import back_up
from bot.store.database import sync
from bot.trading.upkeep import events_are_whole


@click.command()
@config_option
@click.argument("target", required=False, type=click.Path(path_type=Path))
def backup(path: Path | None, target: Path | None) -> None:
    """Copy the database to TARGET, a file or a directory, and check the copy.

    Without TARGET it goes into the directory "backups" beside the database. The bot may be running meanwhile.
    """
    settings = load(path)
    database = settings.storage.directory / "tradewire.db"
    name = f"tradewire-{datetime.now(UTC):%Y%m%d-%H%M%S}.db"
    if target is None:
        target = database.parent / "backups" / name
    elif target.is_dir():
        target /= name
    if target.exists():
        raise UserError(f"{target} exists already. Name another file; nothing was overwritten.")
    _write(database, target)
    click.echo(f"The database is copied to {target} and the copy is whole. Only you can read it.")
    click.echo(
        f"The master key is NOT in it. Keep a copy of {settings.vault.key_file} in another place: without it, the "
        "exchange keys in the backup cannot be opened; with it, whoever has both can trade."
    )


def _write(database: Path, target: Path) -> None:
    """Write and check the copy beside its place first: whatever stops this, a file of the final name is whole."""
    partial = target.with_name(f"{target.name}.part")
    partial.unlink(missing_ok=True)
    back_up(database, partial, events_are_whole)  # on the disk, before it gets its name
    partial.replace(target)
    sync(target.parent)
