"""`tradewire init`: configuration, master key and data directory. Makes what is missing, overwrites nothing."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import closing
from pathlib import Path

import click
import tomlkit
from telegram.error import TelegramError

from bot.accounts.vault import create_master_key
from bot.cli import config_option
from bot.cli import telegram as ask
from bot.config import DEFAULT_PATH, Settings, load
from bot.contract.errors import VaultError
from bot.redact import redactor
from bot.store.database import Store

_EXAMPLE = "config.example.toml"


@click.command()
@config_option
@click.option("--yes", is_flag=True, help="Ask nothing and wait for nobody.")
@click.option("--token", help="The bot's token. Others on this machine may see it; without it you are asked.")
@click.option("--owner", type=click.IntRange(min=1), help="The owner's numeric Telegram id.")
def init(path: Path | None, token: str | None, owner: int | None, yes: bool) -> None:
    """Make the configuration, the master key and the data directory.

    What is there already stays as it is.
    """
    named = path or os.environ.get("TRADEWIRE_CONFIG")
    path = Path(named) if named else DEFAULT_PATH
    redactor.register(token or "")
    if path.exists():
        settings = load(path)
        click.echo(f"✓ {path} is there already; it was left as it is.")
        if token or owner:
            click.echo(f"⚠ Token and owner were not written: set them in {path}.")
    else:
        settings = _make_config(path, token, owner, yes=yes)
    _make_key(settings)
    _make_directory(settings.storage.directory)
    option = "" if path == DEFAULT_PATH else f" --config {path}"
    if not settings.telegram.token.get_secret_value():
        click.echo(f"Next: get a token from @BotFather and set [telegram] token in {path}.")
    if not settings.access.owner:
        click.echo(f"Next: set [access] owner in {path} to your numeric Telegram id.")
    click.echo(f"Then: tradewire doctor{option} && tradewire run{option}")
    click.echo(f"Keep a copy of {settings.vault.key_file} in a safe place: without it, stored keys are lost.")


def example() -> str:
    """Return the text of config.example.toml."""
    installed = Path(__file__).with_name(_EXAMPLE)
    source = Path(__file__).parents[2] / _EXAMPLE
    return (installed if installed.exists() else source).read_text(encoding="utf-8")


def filled(text: str, section: str, key: str, value: str | int) -> str:
    """Return the example `text` with one key set in place of its commented line."""
    head, header, tail = text.partition(f"[{section}]\n")
    line = f"{key} = {tomlkit.item(value).as_string()}\n"
    changed, count = re.subn(rf"^# {key} = .*\n", lambda _: line, tail, count=1, flags=re.MULTILINE)
    assert count == 1, f"the example has no [{section}] {key}"
    return head + header + changed


def _make_config(path: Path, token: str | None, owner: int | None, *, yes: bool) -> Settings:
    from_environment = any(name.startswith("TRADEWIRE_TELEGRAM__TOKEN") for name in os.environ)
    if token is None and not yes and not from_environment:
        token = click.prompt(
            "Token of your bot, from @BotFather (Enter to skip)", "", hide_input=True, show_default=False
        )
    token = (token or "").strip()
    redactor.register(token)
    text = example()
    if token:
        text = filled(text, "telegram", "token", token)
    if owner:
        text = filled(text, "access", "owner", owner)
    if path != DEFAULT_PATH:  # a second instance must not share the first one's database
        text = filled(text, "storage", "directory", str(path.absolute().parent / "data"))
        text = filled(text, "vault", "key_file", str(path.absolute().parent / "master.key"))
    _write_new(path, text)
    try:
        settings = load(path)
    except BaseException:
        path.unlink()
        raise
    click.echo(f"✓ {path} written, readable by you alone.")
    name = _verify(settings) if settings.telegram.token.get_secret_value() else ""
    if not settings.access.owner and not yes:
        owner = (_find_owner(settings, name) if name else None) or _ask_owner()
        if owner:
            path.write_text(filled(text, "access", "owner", owner), encoding="utf-8")
            settings = load(path)
            click.echo(f"✓ The owner is {owner}.")
    return settings


def _write_new(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)


def _verify(settings: Settings) -> str:
    redactor.register(settings.telegram.token.get_secret_value())
    try:
        name = asyncio.run(ask.username(ask.make_bot(settings.telegram)))
    except TelegramError as error:
        click.echo(f"⚠ The token is not verified: {ask.why(error)}")
        return ""
    click.echo(f"✓ The token is that of @{name}.")
    return name


def _find_owner(settings: Settings, name: str) -> int | None:
    passed_over: set[int] = set()
    while True:
        click.echo(f"Write /start to @{name} in Telegram; waiting ... Ctrl-C to skip")
        try:
            sender = asyncio.run(ask.starter(ask.make_bot(settings.telegram), passed_over))
        except KeyboardInterrupt:
            click.echo()
            return None
        except TelegramError as error:
            click.echo(f"⚠ {ask.why(error)}")
            return None
        shown = "".join(character for character in sender.full_name if character.isprintable())
        if click.confirm(f"{shown} (id {sender.id}) wrote /start. Is this you, the owner?", default=None):
            return sender.id
        passed_over.add(sender.id)


def _ask_owner() -> int | None:
    answer: int = click.prompt(
        "Your numeric Telegram id (Enter to skip)", 0, type=click.IntRange(min=0), show_default=False
    )
    return answer or None


def _make_key(settings: Settings) -> None:
    file = settings.vault.key_file
    if file.exists():
        click.echo(f"✓ The master key {file} is there already; it was left as it is.")
    else:
        database = settings.storage.directory / "tradewire.db"
        if database.exists() and _is_bound(database):
            raise VaultError(
                f"The database {database} was made with a master key that is not at {file}. Put its copy back: a new "
                "key could not open what is stored."
            )
        create_master_key(file)
        click.echo(f"✓ Master key made: {file}")
    if file.resolve().is_relative_to(settings.storage.directory.resolve()):
        click.echo("⚠ It lies inside the data directory: a copy of that directory opens every key. Move it elsewhere.")


def _is_bound(database: Path) -> bool:
    with closing(Store(database)) as store:
        row = store.transact(lambda db: db.execute("SELECT 1 FROM meta WHERE key = 'vault_check'").fetchone())
    return row is not None


def _make_directory(directory: Path) -> None:
    if directory.is_dir():
        click.echo(f"✓ The data directory {directory} is there already.")
    else:
        directory.mkdir(parents=True, mode=0o700)
        click.echo(f"✓ Data directory made: {directory}")
