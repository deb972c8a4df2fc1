"""`tradewire plugin`: begin a plugin of one's own, and check one."""

from __future__ import annotations

import keyword
import re
import sys
from pathlib import Path

import click

from bot import redact
from bot.cli import MARKS, config_option
from bot.config import load
from bot.contract.errors import UserError
from bot.contract.models import ExchangeInfo

_TEMPLATE = Path(__file__).parent / "templates" / "plugin"
_SUFFIX = ".tmpl"
_TAKEN = {"paper", "bitget", "bitrue", "bitopro", "btcc", "tradewire", "bot"}


@click.group()
def plugin() -> None:
    """Begin a plugin of one's own, and check one."""


@plugin.command()
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Where to make it. Default: here.",
)
def new(name: str, directory: Path) -> None:
    """Make the exchange plugin tradewire-NAME, whose tests pass at once.

    It speaks to an exchange that does not exist, and brings that exchange along. Change both into yours.
    """
    target = create(name, directory)
    click.echo(f"Made {target}. It trades on a local exchange of its own until you teach it yours.\n")
    click.echo(f"  python -m pytest {target}")
    click.echo(f"  tradewire plugin check {target}")
    click.echo(f"  tradewire demo --exchange {target}\n")
    click.echo(f"Begin with {target / 'README.md'}.")


def create(name: str, directory: Path) -> Path:
    """Write a plugin for the exchange `name` into `directory`, and return where.

    Raises:
        UserError: The name cannot be an exchange's, or there is something already. Nothing was written.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,30}", name) or name.endswith("_") or keyword.iskeyword(name):
        raise UserError(f"{name!r} cannot name an exchange: use lower-case letters and digits, such as acme.")
    if name in _TAKEN:
        raise UserError(f"{name} is taken by tradewire itself. Choose another name.")
    dashed = name.replace("_", "-")
    target = directory / f"tradewire-{dashed}"
    if target.exists():
        raise UserError(f"{target} is there already, and nothing was changed. Move it away, or choose another name.")
    title = "".join(part.capitalize() for part in name.split("_"))

    def named(text: str) -> str:
        # A distribution and a domain have dashes where a module has underscores.
        for dashes in ("tradewire-acme", "acme.example", "of-acme"):
            text = text.replace(dashes, dashes.replace("acme", dashed))
        return text.replace("acme", name).replace("Acme", title)

    for source in sorted(_TEMPLATE.rglob(f"*{_SUFFIX}")):
        file = target / named(str(source.relative_to(_TEMPLATE)).removesuffix(_SUFFIX))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(named(source.read_text(encoding="utf-8")), encoding="utf-8")
    return target


@plugin.command()
@click.argument("name")
@config_option
def check(name: str, path: Path | None) -> None:
    """Check the plugin NAME: an installed one, or a directory. Its code is run.

    Ends with 1 when a check fails; each failure names file, hook and remedy.
    """
    from bot.cli.authored import find, outcomes

    redact.install("CRITICAL", sys.stderr)  # what goes wrong is told below, and once
    authored = find(name, load(path).storage.directory)
    click.echo(f"Checking {authored.name}, {authored.source}")
    failed = 0
    for outcome in outcomes(authored):
        failed += outcome.mark == "failed"
        click.echo(f"{MARKS[outcome.mark]} {outcome.check}" + (f"\n    {outcome.text}" if outcome.text else ""))
    if authored.info is not None:
        click.echo("\n" + card(authored.info))
    click.echo(f"\n{failed} failed." if failed else "\nAll checks passed.")
    if failed:
        raise click.exceptions.Exit(1)


def card(info: ExchangeInfo) -> str:
    """Return what the plugin may do, for a person who decides whether to trust it."""
    can, rule = info.capabilities, info.client_id
    yes = {
        "post-only": can.post_only,
        "cancel all": can.cancel_all,
        "demo mode": can.sandbox,
        "key report": can.key_report,
        "find by our id": can.find_by_client_id,
    }
    limits = [
        f"{name} {each.amount} in {each.seconds} s per {each.per}"
        for name, all_ in info.limits.items()
        for each in all_
    ]
    seconds = can.absence_seconds
    rows = {
        "asks for": " ".join(info.credential_fields),
        "reaches": " ".join(sorted(set(info.hosts.values()))),
        "may ask": "\n".join(info.paths),
        "orders": " ".join([*sorted(can.order_types), *sorted(can.times_in_force)]),
        "market buys in": " ".join(sorted(can.market_buy_in)),
        "can": ", ".join(name for name, has in yes.items() if has) or "nothing more",
        "limits": "\n".join(limits) or "none declared",
        "client order id": f"{rule.kind}, {'up to ' if rule.kind == 'text' else ''}"
        + (f"{rule.max_length} characters" if rule.kind == "text" else f"up to {rule.max_value}"),
        "doubt ends": f"after {seconds} s and three looks" if seconds else "by a person only: no window is documented",
        "experimental": info.experimental,
    }
    head = f"{info.title} ({info.id}), contract {info.contract_version}"
    width = max(map(len, rows)) + 2
    lines = [
        f"  {label if number == 0 else '':{width}}{line}"
        for label, text in rows.items()
        if text
        for number, line in enumerate(text.splitlines())
    ]
    return "\n".join([head, *lines])
