"""`tradewire users`: who may use the bot, from the server's own terminal. Works while the bot is running."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import click

from bot.accounts import roles
from bot.accounts.people import Role
from bot.cli import config_option
from bot.cli.seal import forget, two_factor, user_argument
from bot.config import Settings, load
from bot.contract.errors import UserError
from bot.store.database import Store
from bot.trading import journal, membership


@click.group()
def users() -> None:
    """List, let in and block people. The bot may be running meanwhile; it heeds a change at once."""


users.add_command(two_factor)
users.add_command(forget)


@users.command("list")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(path: Path | None, as_json: bool) -> None:
    """List who may use the bot, and who is blocked."""
    with _opened(path) as (settings, store):
        owner = settings.access.owner
        rows = [
            {"id": user.id, "role": "owner" if user.id == owner else user.role, "name": user.name}
            for user in store.transact(lambda db: roles.everybody(db, owner))
        ]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    elif not rows:
        click.echo("Nobody yet. The owner is let in when the bot starts; let others in with: tradewire users add")
    for row in () if as_json else rows:
        click.echo(f"{row['id']}  {row['role']}  {_printable(str(row['name']))}".rstrip())


@users.command()
@config_option
@user_argument
@click.argument("role", type=click.Choice(roles.ROLES))
@click.option("--name", default="", help="What to call the person.")
def add(path: Path | None, user: int, role: Role, name: str) -> None:
    """Let a person in, or change their role. ID is the numeric Telegram id; the bot tells everybody their own."""
    _change(path, user, role, name)


@users.command()
@config_option
@user_argument
def block(path: Path | None, user: int) -> None:
    """Shut a person out. Their previews and buttons end; open orders stay at the exchange."""
    _change(path, user, "blocked")


def _change(path: Path | None, user_id: int, role: Role, name: str = "") -> None:
    with _opened(path) as (settings, store):
        change = store.transact(
            lambda db: membership.change_role(
                db,
                by=roles.SERVER,
                owner=settings.access.owner,
                user_id=user_id,
                role=role,
                name=name,
                now_ms=time.time_ns() // 1_000_000,
            )
        )
    click.echo(_printable(change.in_words))


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[tuple[Settings, Store]]:
    settings = load(path)
    database = settings.storage.directory / "tradewire.db"
    if not database.exists():
        raise UserError(f"There is no database at {database}. `tradewire run` makes one.")
    store = Store(database)
    try:
        store.transact(journal.install_law)
        yield settings, store
    finally:
        store.close()


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
