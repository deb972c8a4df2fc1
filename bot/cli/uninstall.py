"""`tradewire uninstall`: a plugin is removed, and what was recorded of it."""

from __future__ import annotations

from pathlib import Path

import click

from bot.cli import config_option, packages
from bot.config import load
from bot.contract.errors import PluginError
from bot.exchanges import lock as locks
from bot.exchanges.lock import WHEELS
from bot.exchanges.trust import BUNDLED


@click.command()
@config_option
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask; for scripts.")
def uninstall(*, path: Path | None, name: str, yes: bool) -> None:
    """Remove the plugin NAME. Keys and orders of its exchange stay in the database."""
    directory = load(path).storage.directory
    own = next((dist for dist, points in BUNDLED.items() if name == dist or name in points), None)
    if own is not None:
        point = next(iter(BUNDLED[own]))
        raise PluginError(f"{own} comes with tradewire. To switch it off: tradewire plugins disable {point}")
    found = locks.read(directory).distribution_of(name)
    if found is None:
        raise PluginError(f"No plugin called {name} was installed; `tradewire plugins` lists them.")
    if not yes:
        click.confirm(f"Remove {found}?", abort=True)
    entry = locks.read(directory).plugins[found]
    locks.change(directory, lambda now: now.without(found))  # first: what is not listed is not imported
    packages.remove(found)
    if entry.wheel:
        (directory / WHEELS / entry.wheel).unlink(missing_ok=True)
    click.echo(f"{found} {entry.version} is removed. A bot that runs has it until it is restarted.")
