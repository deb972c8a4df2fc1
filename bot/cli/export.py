"""`tradewire export`: a person's orders and fills as CSV, on stdout. Works while the bot is running."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from bot.cli import config_option
from bot.config import load
from bot.contract.errors import UserError
from bot.store.check import connect_to_read, inspect
from bot.trading.export import as_csv, period


@click.command()
@config_option
@click.argument("first", metavar="[FROM]", required=False)
@click.argument("last", metavar="[TO]", required=False)
@click.option("--user", type=click.IntRange(min=1), help="The person's numeric Telegram id. Default: the owner.")
def export(path: Path | None, first: str | None, last: str | None, user: int | None) -> None:
    """Print a person's orders and fills as CSV.

    FROM and TO are days in UTC, such as 2026-01-31; TO is included. Without them, all orders.
    """
    settings = load(path)
    user_id = user or settings.access.owner
    if not user_id:
        raise UserError("Say whose orders: --user and the numeric Telegram id, or set [access] owner.")
    from_ms, to_ms = period(" ".join(filter(None, (first, last))))
    database = settings.storage.directory / "tradewire.db"
    if not database.exists():
        raise UserError(f"There is no database at {database}. `tradewire run` makes one.")
    inspect(database)
    with contextlib.closing(connect_to_read(database)) as connection:
        text, count = as_csv(connection, user_id, from_ms, to_ms)
    click.echo(text, nl=False)
    click.echo(f"{count} orders of user {user_id}.", err=True)
