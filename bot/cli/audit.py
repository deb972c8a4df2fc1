"""`tradewire audit`: the log of events, from the server's own terminal. Works while the bot is running."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from bot.cli import config_option
from bot.config import load
from bot.contract.errors import UserError
from bot.store.check import connect_to_read
from bot.store.errors import in_sentences
from bot.trading import audit as log


@click.group()
def audit() -> None:
    """Show the log of events, and check that nobody changed it."""


@audit.command()
@config_option
@click.option("--hash", "digest", metavar="HEX", help="Also look for this hash, noted down at an earlier check.")
def verify(path: Path | None, digest: str | None) -> None:
    """Check every event. Exit code 1 when one was changed or is missing; the first is named.

    Note the hash that is printed somewhere else: who can rewrite the file can rewrite the whole log, but then it no
    longer has the hash that you noted.
    """
    if digest is not None and not re.fullmatch("[0-9a-fA-F]{64}", digest):
        raise UserError("--hash takes the 64 hex digits that an earlier check printed.")
    with _opened(path) as db:
        chain = log.chain(db)
        if chain.broken is not None:
            raise UserError(
                f"The log is not as it was written: {log.described(db, chain.broken)}. The events before it are whole. "
                "Stop the bot, keep a copy of the file, and compare with your backups: tradewire restore."
            )
        if digest is not None and not log.has_hash(db, digest):
            raise UserError(
                "The log is consistent, but no event has the hash that you noted: it was written anew, or another "
                "database is in its place. Stop the bot and compare with your backups."
            )
    click.echo(f"The log is whole: {chain.length} events.")
    if chain.hash:
        click.echo(f"Hash of the newest: {chain.hash}")


@audit.command()
@config_option
@click.option("--user", type=click.IntRange(min=1), help="Only what a person with this id did, or was done to them.")
@click.option("--last", "most", type=click.IntRange(1, 100_000), default=log.MOST, show_default=True, help="How many.")
def show(path: Path | None, user: int | None, most: int) -> None:
    """Print the newest events, oldest first: number, time in UTC, person, what happened."""
    with _opened(path) as db:
        for event in reversed(log.recent(db, most, user_id=user)):
            at = datetime.fromtimestamp(event.at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            click.echo(f"{event.id}  {at}  {event.user_id or '-'}  {_printable(event.in_words)}")


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[sqlite3.Connection]:
    database = load(path).storage.directory / "tradewire.db"
    if not database.exists():
        raise UserError(f"There is no database at {database}. `tradewire run` makes one.")
    try:
        with contextlib.closing(connect_to_read(database)) as connection:
            yield connection
    except sqlite3.DatabaseError as error:
        raise in_sentences(error, database) or UserError(f"The database {database} cannot be read: {error}.") from error


def _printable(text: str) -> str:
    return "".join(letter if unicodedata.category(letter)[0] != "C" else f"\\u{ord(letter):04x}" for letter in text)
