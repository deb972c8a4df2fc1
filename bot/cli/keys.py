"""`tradewire keys`: exchange keys from the server's own terminal. Works while the bot is running."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from bot import redact
from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.cli import MARKS, config_option
from bot.cli.instance import Instance, open_instance
from bot.cli.seal import rotate_data, rotate_master
from bot.config import load
from bot.contract.errors import UserError
from bot.contract.models import ExchangeInfo
from bot.trading import queries
from bot.trading.connect import FIELD_TITLES, Connected, KeyRefused, connect, remove_key, with_keys
from bot.trading.law import DOUBTFUL, LIVE
from bot.trading.rekey import replace_key
from bot.trading.selftest import MAY_WITHDRAW, Step, self_test

T = TypeVar("T")

user_option = click.option(
    "--user", type=click.IntRange(min=1), help="The person's numeric Telegram id. Default: the owner."
)
stdin_option = click.option(
    "--stdin", "from_stdin", is_flag=True, help='Read {"key": ..., "secret": ..., ...} instead of asking.'
)
looked_option = click.option(
    "--looked", is_flag=True, help="You saw at the exchange that the key has no right to withdraw."
)


@click.group()
def keys() -> None:
    """Add, list, test, change and remove exchange keys. The bot may be running, except for rotate-master."""


@keys.command()
@config_option
@user_option
@click.option("--exchange", required=True, help="The exchange's id, such as bitget.")
@click.option("--label", help="A name for the account. Default: main, main2, ...")
@stdin_option
@looked_option
@click.option("--demo", is_flag=True, help="The key is for the exchange's demo mode.")
@click.option("--option", "chosen", multiple=True, metavar="NAME=VALUE", help="One of the exchange's options.")
def add(
    *,
    path: Path | None,
    user: int | None,
    exchange: str,
    label: str | None,
    from_stdin: bool,
    demo: bool,
    chosen: tuple[str, ...],
    looked: bool,
) -> None:
    """Store a key, sealed, and check it with the exchange.

    A key that proves wrong, or able to withdraw, is not kept. One that might be able to withdraw is kept only after you
    looked at the exchange's site.

    With --user, a stranger becomes a trader of the bot; the owner is told.
    """
    with _opened(path) as opened:
        user_id = opened.person(user)
        info = _info(opened.instance, exchange)
        fields = _read_json(info) if from_stdin else _ask(info)
        it, options = opened.instance, _options(chosen) | ({"demo": "1"} if demo else {})

        def connecting(*, has_looked: bool) -> Coroutine[Any, Any, Connected]:
            return connect(
                it.gateway,
                it.store,
                it.vault,
                it.clock,
                user_id=user_id,
                exchange_id=info.id,
                label=label,
                fields=fields,
                options=options,
                owner=it.settings.access.owner,
                has_looked=has_looked,
                on_step=_print_step,
            )

        connected = _looked_at(opened, connecting, looked=looked, may_ask=not from_stdin)
        verdict = "" if connected.is_verified else ", not verified in full"
        click.echo(f"{info.title}·{connected.account.label}{info.mark} of user {user_id} is stored{verdict}.")
        if connected.let_in:
            click.echo(
                f"User {user_id} was a stranger and may now use the bot as trader. To end that: "
                f"tradewire users block {user_id}"
            )


@keys.command()
@config_option
@user_option
@click.option("--label", required=True, help="The account's name.")
@stdin_option
@looked_option
def rotate(path: Path | None, user: int | None, label: str, from_stdin: bool, looked: bool) -> None:
    """Give an account a new key. Its orders stay; the old key is erased once the new one proved good.

    A key of another account at the exchange is refused where an open order shows it.
    """
    with _opened(path) as opened:
        account = opened.account(opened.person(user), label)
        info = _info(opened.instance, account.exchange)
        fields = _read_json(info) if from_stdin else _ask(info)
        it = opened.instance

        def replacing(*, has_looked: bool) -> Coroutine[Any, Any, Connected]:
            return replace_key(
                it.gateway,
                it.store,
                it.vault,
                it.clock,
                account=account,
                given=fields,
                has_looked=has_looked,
                on_step=_print_step,
            )

        _looked_at(opened, replacing, looked=looked, may_ask=not from_stdin)
        click.echo(f"{info.title}·{account.label} has its new key. Delete the old one at the exchange.")


def _looked_at(
    opened: _Opened, work: Callable[..., Coroutine[Any, Any, Connected]], *, looked: bool, may_ask: bool
) -> Connected:
    """Run `work`; when the key might be able to withdraw, ask whether somebody looked, and run it again."""
    try:
        return opened.run(work(has_looked=looked))
    except KeyRefused as refused:
        if refused.code != MAY_WITHDRAW:
            raise
        if not may_ask:
            raise UserError(f"{refused} Look, and say --looked.", code=refused.code) from None
        click.echo(f"⚠ {refused}")
        click.confirm("Did you look, and is the right to withdraw off?", abort=True)
    return opened.run(work(has_looked=True))


def _options(chosen: tuple[str, ...]) -> dict[str, str]:
    pairs = [each.partition("=") for each in chosen]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise UserError(f"--option takes NAME=VALUE, such as --option demo=1; {wrong[0]} has no value.", code="FIELDS")
    return {name: value for name, _, value in pairs}


@keys.command("list")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(path: Path | None, as_json: bool) -> None:
    """List who has which keys, without the keys."""
    with _opened(path) as opened:
        accounts = opened.instance.store.transact(with_keys)
        rows = [_row(opened.instance, account) for account in accounts]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    elif not rows:
        click.echo("No keys yet. Add one with: tradewire keys add --exchange bitget")
    for row in () if as_json else rows:
        extras = "".join(f", {word}" for word in ("demo", "paper", "experimental") if row[word])
        rights = f"trade: {row['trade']}, withdraw: {row['withdraw']}"
        click.echo(f"{row['user']}  {row['exchange']}·{row['label']}  {rights}{extras}")


@keys.command()
@config_option
@user_option
@click.option("--label", required=True, help="The account's name.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(path: Path | None, user: int | None, label: str, yes: bool) -> None:
    """Erase an account's keys here. Delete them at the exchange too."""
    with _opened(path) as opened:
        store, clock = opened.instance.store, opened.instance.clock
        account = opened.account(opened.person(user), label)
        open_orders = store.transact(lambda db: queries.in_states(db, (*LIVE, *DOUBTFUL), account.id))
        if open_orders:
            click.echo(
                f"⚠ {len(open_orders)} of its orders are not finished. They stay at the exchange, and the bot can no "
                "longer watch or cancel them."
            )
        if not yes:
            click.confirm(f"Erase the keys of {account.exchange}·{account.label}?", abort=True)
        store.transact(lambda db: remove_key(db, account, clock.now_ms()))
        click.echo(f"The keys of {account.exchange}·{account.label} are erased here. Delete them at the exchange too.")


keys.add_command(rotate_master)
keys.add_command(rotate_data)


@keys.command()
@config_option
@click.option("--user", type=click.IntRange(min=1), help="Only this person's keys.")
@click.option("--label", help="Only the account of this name.")
def test(path: Path | None, user: int | None, label: str | None) -> None:
    """Check stored keys with their exchanges, step by step up to the first failure.

    Nothing is placed, and nothing changes but what is known of the keys' rights.
    """
    with _opened(path) as opened:
        instance = opened.instance
        accounts = [
            account
            for account in instance.store.transact(with_keys)
            if user in (None, account.user_id) and (label is None or account.label == label.lower())
        ]
        if not accounts:
            raise UserError("There are no such keys. See: tradewire keys list", code="NO_ACCOUNT")
        failed = False
        for account in accounts:
            click.echo(f"{account.exchange}·{account.label}{_mark(instance, account)} of user {account.user_id}")
            failed = opened.run(_tell_test(instance, account)) or failed
    if failed:
        raise click.exceptions.Exit(1)


async def _tell_test(instance: Instance, account: AccountRow) -> bool:
    """Print each step as it is done, and say whether one failed."""
    failed = False
    async for step in self_test(instance.gateway, instance.store, account):
        _print_step(step)
        failed = failed or step.mark == "failed"
    return failed


def _mark(instance: Instance, account: AccountRow) -> str:
    found = instance.gateway.exchanges.get(account.exchange)
    return found.info.mark if found else ""


@dataclass(frozen=True)
class _Opened:
    instance: Instance
    runner: asyncio.Runner

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def person(self, user: int | None) -> int:
        found = user or self.instance.settings.access.owner
        if not found:
            raise UserError("Say whose keys these are: --user and the numeric Telegram id, or set [access] owner.")
        return found

    def account(self, user_id: int, label: str) -> AccountRow:
        found = self.instance.store.transact(lambda db: people.find_account(db, user_id, label))
        if found is None:
            raise UserError(f"User {user_id} has no account named {label}. See: tradewire keys list", code="NO_ACCOUNT")
        return found


@contextmanager
def _opened(path: Path | None) -> Iterator[_Opened]:
    # Not inside a running loop: there, the first Ctrl-C would not end a prompt.
    settings = load(path)
    redact.install("ERROR", sys.stderr)
    with asyncio.Runner() as runner:
        instance = open_instance(settings)
        try:
            yield _Opened(instance, runner)
        finally:
            runner.run(instance.close())


def _info(instance: Instance, exchange_id: str) -> ExchangeInfo:
    usable = sorted(name for name in instance.gateway.exchanges if not name.endswith(":paper"))
    if exchange_id in instance.gateway.unusable or exchange_id in usable:
        return instance.gateway.named(exchange_id).info
    raise UserError(
        f"There is no exchange {exchange_id} here. In use: {', '.join(usable) or 'none'}. See: tradewire plugins",
        code="NO_EXCHANGE",
    )


def _read_json(info: ExchangeInfo) -> Mapping[str, str]:
    try:
        fields = json.loads(sys.stdin.read())
    except ValueError:
        fields = None  # what was read may hold a secret: not quoted, not chained
    if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()):
        wanted = ", ".join(info.credential_fields)
        raise UserError(f"Expected one JSON object of texts with the fields {wanted} on stdin.", code="FIELDS")
    return fields


def _ask(info: ExchangeInfo) -> Mapping[str, str]:
    for number, sentence in enumerate((*filter(None, [info.experimental]), *info.key_help), start=1):
        click.echo(f"{number} {sentence}")
    return {name: click.prompt(FIELD_TITLES.get(name, name), hide_input=True) for name in info.credential_fields}


def _print_step(step: Step) -> None:
    click.echo(f"{MARKS[step.mark]} {step.name}: {step.text}")


def _row(instance: Instance, account: AccountRow) -> dict[str, Any]:
    return {
        "user": account.user_id,
        "exchange": account.exchange,
        "label": account.label,
        "experimental": bool(_mark(instance, account)),
        "paper": account.paper,
        "demo": account.options.get("demo") == "1",
        "trade": account.rights.get("can_trade", "unknown"),
        "withdraw": account.rights.get("can_withdraw", "unknown"),
        "ip_bound": account.rights.get("is_ip_bound", "unknown"),
        "created_ms": account.created_ms,
    }
