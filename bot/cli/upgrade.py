"""`tradewire upgrade`: a newer version of a plugin, from where it came."""

from __future__ import annotations

from pathlib import Path

import click
from packaging.requirements import Requirement

from bot.cli import config_option, packages
from bot.cli.install import ask, put, report, yes_option
from bot.config import load
from bot.contract.errors import PluginError
from bot.exchanges import lock as locks
from bot.exchanges.lock import Entry
from bot.exchanges.wheel import Wheel


@click.command()
@config_option
@click.argument("name")
@yes_option
def upgrade(*, path: Path | None, name: str, yes: bool) -> None:
    """Install a newer version of the plugin NAME, from where it was installed."""
    directory = load(path).storage.directory
    lock = locks.read(directory)
    found = lock.distribution_of(name)
    if found is None:
        raise PluginError(f"No plugin called {name} was installed; `tradewire plugins` lists them.")
    entry = lock.plugins[found]
    source = _source(found, entry)
    ask(f"Upgrade {found} {entry.version} from {source}?", is_sure=yes)

    def is_new(wheel: Wheel) -> bool:
        if wheel.name != found:
            raise PluginError(f"{source} now holds {wheel.name}, not {found}. Nothing was changed.")
        return wheel.files != entry.files

    put(directory, source, accept=is_new)
    if locks.read(directory).plugins[found] == entry:
        click.echo(f"{found} {entry.version} is the newest there is.")
        return
    report(directory, found)


def _source(name: str, entry: Entry) -> str:
    if entry.development:
        raise PluginError(f"{name} is used from {entry.source}; change it there and restart the bot.")
    if packages.is_name(entry.source):
        return Requirement(entry.source).name
    if entry.source.endswith(".whl"):
        raise PluginError(f"{name} was installed from a wheel; give the new one: tradewire install ./{name}-....whl")
    return entry.source
