"""What is done to sealed secrets on the server: changing the keys that seal them, second factors, forgetting people."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click
import segno

from bot import redact
from bot.accounts import people, rotation, second_factor
from bot.accounts.vault import MasterKey, Vault, create_master_key, load_master_key
from bot.cli import config_option
from bot.clock import SystemClock
from bot.config import Settings, load
from bot.contract.errors import UserError
from bot.store.database import DirectoryLock, Store
from bot.trading import forget as forgetting
from bot.trading import journal
from bot.trading.factors import turn_off, turn_on

user_argument = click.argument("user", metavar="ID", type=click.IntRange(min=1))


@click.command("rotate-master")
@config_option
@click.option(
    "--new-key",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Where the new master key is; made when it does not exist.",
)
def rotate_master(path: Path | None, new_key: Path) -> None:
    """Seal everything with a new master key. The bot must be stopped.

    Cut short, it is taken up again by the same command; until it ends both key files are needed.
    """
    settings = _settings(path)
    lock = DirectoryLock(settings.storage.directory)
    try:
        old = load_master_key(settings.vault.key_file)
        with _store(settings, thorough=lock.was_unclean) as store:
            done = rotation.rotate_master(store, old, _new_key(store, old, new_key), _print_left)
    finally:
        lock.release()
    click.echo(f"{done} data keys were sealed anew. The master key is now {new_key}.")
    click.echo(f'Write [vault] key_file = "{new_key.absolute()}" into the configuration, then start the bot.')
    click.echo(f"Keep {settings.vault.key_file} for as long as you keep backups made before.")


def _new_key(store: Store, old: MasterKey, path: Path) -> MasterKey:
    """Return the new key, made only where no rotation was begun: one that was begun needs the key it had."""
    if not path.exists() and not store.transact(rotation.is_begun):
        rotation.check_old(store, old)
        create_master_key(path)
    return load_master_key(path)


def _print_left(left: int) -> None:
    if left and left % 100 == 0:
        click.echo(f"{left} left")


@click.command("rotate-data")
@config_option
@user_argument
def rotate_data(path: Path | None, user: int) -> None:
    """Seal one person's secrets with a new data key. The bot may be running."""
    with _vault(path) as (store, vault):
        count = store.transact(lambda db: rotation.rotate_data(db, vault, user))
    click.echo(
        f"{count} secrets of user {user} are sealed with a new data key." if count else "There is nothing to do."
    )


@click.command("2fa")
@config_option
@user_argument
@click.option("--reset", is_flag=True, help="Turn it off: the phone is lost. The person sets it up anew.")
def two_factor(path: Path | None, user: int, reset: bool) -> None:
    """Set up or reset a person's second factor. The bot may be running."""
    # Nothing is hidden from the terminal here: the person must see the seed. This command writes no log.
    with _vault(path, register=lambda _: None) as (store, vault):
        if reset:
            if not store.transact(lambda db: turn_off(db, user, by=None, now_ms=SystemClock().now_ms())):
                raise UserError(f"User {user} has no second factor.", code="NO_SECOND_FACTOR")
            click.echo(f"The second factor of user {user} is off. /2fa on sets up a new one.")
            return
        person = store.transact(lambda db: people.get_user(db, user))
        if person is None:
            raise UserError(f"Nobody with the id {user} is known here.", code="NO_USER")
        seed = store.transact(lambda db: second_factor.begin(db, user, vault=vault))
        click.echo("Scan this with an authenticator app:")
        segno.make(second_factor.link(seed, person.name or str(user)).reveal(), error="l").terminal(compact=True)
        click.echo(f"Or type this key into it: {seed.reveal()}")
        _confirm(store, vault, user)
    click.echo(f"The second factor of user {user} is on.")


def _confirm(store: Store, vault: Vault, user: int) -> None:
    while True:
        code = click.prompt("The code that the app shows")
        try:
            store.transact(partial(turn_on, user_id=user, code=code, now_ms=SystemClock().now_ms(), vault=vault))
        except UserError as error:
            if error.code not in ("CODE_WRONG", "CODE_FORM"):
                raise
            click.echo(str(error))
        else:
            return


@click.command("forget")
@config_option
@user_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
def forget(path: Path | None, user: int, yes: bool) -> None:
    """Erase a person's keys, second factor and name. Orders and the log stay, under the numeric id.

    Refused while an order of theirs is not finished.
    """
    with _vault(path) as (store, _):
        store.transact(lambda db: forgetting.check(db, user))
        if not yes:
            click.confirm(f"Erase everything of user {user}? It cannot be undone.", abort=True)
        is_empty = forgetting.forget(store, user, SystemClock().now_ms())
    click.echo(f"User {user} is forgotten. {forgetting.AFTERWARDS}")
    if not is_empty:
        click.echo(forgetting.LOG_LEFT)


@contextmanager
def _vault(
    path: Path | None, register: Callable[[str], None] = redact.redactor.register
) -> Iterator[tuple[Store, Vault]]:
    settings = _settings(path)
    master = load_master_key(settings.vault.key_file)
    with _store(settings) as store:
        store.transact(journal.install_law)
        yield store, Vault(store, master, register)


@contextmanager
def _store(settings: Settings, *, thorough: bool = False) -> Iterator[Store]:
    file = settings.storage.directory / "tradewire.db"
    if not file.exists():
        raise UserError(f"There is no database at {file} yet. Check [storage] directory in the configuration.")
    store = Store(file, thorough=thorough)
    try:
        yield store
    finally:
        store.close()


def _settings(path: Path | None) -> Settings:
    settings = load(path)
    redact.install("ERROR", sys.stderr)
    return settings
