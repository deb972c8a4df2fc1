"""`tradewire install`: a plugin of somebody else, as a decision with facts."""

from __future__ import annotations

import importlib
import shutil
import site
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from bot import redact
from bot.cli import config_option, packages
from bot.config import load
from bot.contract.errors import PluginError
from bot.contract.hookspecs import PROJECT
from bot.exchanges import lock as locks
from bot.exchanges import registry, trust
from bot.exchanges import wheel as wheels
from bot.exchanges.lock import WHEELS, Entry, Lock
from bot.exchanges.trust import BUNDLED
from bot.exchanges.wheel import Wheel

TRUST = """\
A plugin is code that runs inside the bot, with the bot's rights: it can read every stored key that the bot can open,
and every file of this user. tradewire checks that what runs is what you install now; not what it does. Install only
what you have read, or whose author you trust. A path or a git address also runs its build code, now."""
_AGAIN = "Restart the bot to use it."

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask; for scripts.")


@click.command()
@config_option
@click.argument("source", required=False)
@click.option("-e", "--editable", is_flag=True, help="Use the directory SOURCE itself, unchecked. For its author.")
@click.option("--hash", "sha256", metavar="HEX", default="", help="Refuse any wheel but the one with this sha256.")
@click.option("--restore", is_flag=True, help="Put back what plugins.lock lists, from the wheels kept beside it.")
@yes_option
def install(*, path: Path | None, source: str | None, editable: bool, sha256: str, restore: bool, yes: bool) -> None:
    """Install a plugin: SOURCE is a name, a wheel, a directory or a git address (git+https://...)."""
    directory = load(path).storage.directory
    if restore == (source is not None) or (sha256 and (editable or restore)):
        raise click.UsageError("Write what to install, or --restore alone; --hash goes with a wheel.")
    if restore:
        _restore(directory)
        return
    assert source is not None
    ask(f"Install {source}?", is_sure=yes)
    name = _editable(directory, source) if editable else put(directory, source, sha256=sha256.lower())
    report(directory, name)


def ask(question: str, *, is_sure: bool) -> None:
    """Say what a plugin may do, and end the command unless the person agrees."""
    click.echo(TRUST)
    if not is_sure:
        click.confirm(question, abort=True)


def put(directory: Path, source: str, *, sha256: str = "", accept: Callable[[Wheel], bool] = lambda _: True) -> str:
    """Fetch or build a wheel, check it, install it and record it.

    Args:
        directory: The data directory.
        source: Where it comes from.
        sha256: The only hash to take, in hex; empty takes any.
        accept: Asked about the wheel once it is known to be sound; nothing is installed unless it agrees.

    Returns:
        The name of the distribution.

    Raises:
        PluginError: The wheel is refused, or pip failed. What was installed before is still there, unless pip's own
            installing failed: then it is named as changed or missing at the next start.
    """
    lock = locks.read(directory)
    with TemporaryDirectory(prefix="tradewire-install-") as place:
        wheel = wheels.read(packages.fetch(source, Path(place)))
        _refuse(wheel, source, lock, sha256)
        if not accept(wheel):
            return wheel.name
        kept = _keep(directory, wheel)
    entry = Entry(
        version=wheel.version,
        source=source if packages.is_name(source) or "://" in source else str(Path(source).expanduser().resolve()),
        entry_points=wheel.entry_points,
        wheel=kept.name,
        sha256=wheel.sha256,
        files=wheel.files,
    )
    _add(wheel.name, entry, kept)
    locks.change(directory, lambda now: now.having(wheel.name, entry))
    _forget(directory, lock.plugins.get(wheel.name), but=kept.name)
    return wheel.name


def _refuse(wheel: Wheel, source: str, lock: Lock, sha256: str) -> None:
    name, before = wheel.name, lock.plugins.get(wheel.name)
    if sha256 and wheel.sha256 != sha256:
        raise PluginError(f"{wheel.path.name} has the sha256 {wheel.sha256}, not {sha256}. Nothing was installed.")
    if wheel.sha256 in lock.revoked:
        raise PluginError(f"This wheel of {name} is revoked here. Take another version.")
    if packages.is_name(source) and before and before.version == wheel.version and before.sha256 != wheel.sha256:
        raise PluginError(
            f"The index now gives another wheel for {name} {wheel.version} than the one installed here, which should "
            f"never be. Ask its author; if all is well: tradewire uninstall {name}, then install it anew."
        )
    _refuse_names(name, wheel.entry_points, lock)
    if taken := packages.taken(wheel):
        raise PluginError(f"{name} holds modules that belong to something else here: {', '.join(taken)}.")
    if lacking := packages.lacking(wheel.requires):
        raise PluginError(
            f"{name} needs {', '.join(lacking)}, not installed here. Nothing is fetched for a plugin, as nobody would "
            "have checked it. Ask its author for one that needs only what tradewire brings; or put the exact version "
            "that you trust into this environment with pip, and install the plugin again."
        )


def _refuse_names(name: str, entry_points: Mapping[str, str], lock: Lock) -> None:
    if name in BUNDLED:
        raise PluginError(f"{name} comes with tradewire; it is upgraded with it.")
    owners = {point: owner for owner, points in BUNDLED.items() for point in points}
    owners |= {point: owner for owner, entry in lock.plugins.items() if owner != name for point in entry.entry_points}
    if clash := sorted(owners.keys() & entry_points.keys()):
        raise PluginError(f"{name} wants to be called {clash[0]}, as {owners[clash[0]]} is. Uninstall one of the two.")


def _keep(directory: Path, wheel: Wheel) -> Path:
    """Keep the wheel, so that it can be put back without asking anybody."""
    place = directory / WHEELS
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = place / wheel.path.name
    shutil.copyfile(wheel.path, kept)
    kept.chmod(0o600)
    return kept


def _forget(directory: Path, before: Entry | None, *, but: str = "") -> None:
    if before is not None and before.wheel not in ("", but):
        (directory / WHEELS / before.wheel).unlink(missing_ok=True)


def _add(name: str, entry: Entry, kept: Path) -> None:
    packages.add(kept)
    importlib.invalidate_caches()
    if problem := trust.difference(entry, Path(str(metadata.distribution(name).locate_file("")))):
        raise PluginError(f"{name} did not arrive whole: {problem}. Try again.")


def _restore(directory: Path) -> None:
    for name, entry in sorted(locks.read(directory).plugins.items()):
        if entry.development:
            packages.add_editable(Path(entry.source))
        else:
            kept = directory / WHEELS / entry.wheel
            _refuse_changed(name, entry, kept)
            _add(name, entry, kept)
        click.echo(f"{name} {entry.version} is back.")
    click.echo(_AGAIN.replace("use it", "use them"))


def _refuse_changed(name: str, entry: Entry, kept: Path) -> None:
    again = f"Install it from its source again: tradewire install {entry.source}"
    if not kept.is_file():
        raise PluginError(f"The wheel of {name} is gone from {kept.parent}. {again}")
    if wheels.digest(kept.read_bytes()) != entry.sha256:
        raise PluginError(f"{kept} is not the wheel that was installed: its hash differs from plugins.lock. {again}")


def _editable(directory: Path, source: str) -> str:
    place = Path(source).expanduser().resolve()
    if not place.is_dir():
        raise PluginError(f"There is no directory at {source}; -e takes the directory of a plugin.")
    packages.add_editable(place)
    importlib.invalidate_caches()
    dist = next((each for each in metadata.distributions() if _is_at(each, place)), None)
    if dist is None:
        raise PluginError(f"pip installed {source}, but no distribution here comes from {place}.")
    site.addsitedir(str(dist.locate_file("")))  # so that this process, too, finds the directory
    name = packages.normal(dist.name)
    points = {point.name: point.value for point in dist.entry_points if point.group == PROJECT}
    if not points:
        raise PluginError(f"{name} is not a tradewire plugin: it has no entry point in the group {PROJECT}")
    entry = Entry(version=dist.version, source=str(place), entry_points=points, development=True)
    lock = locks.read(directory)
    _refuse_names(name, points, lock)
    locks.change(directory, lambda now: now.having(name, entry))
    _forget(directory, lock.plugins.get(name))
    return name


def _is_at(dist: metadata.Distribution, place: Path) -> bool:
    text = dist.read_text("direct_url.json") or ""
    return f'"{place.as_uri()}"' in text


def report(directory: Path, name: str) -> None:
    """Tell what was installed, having imported it once, and fail when it cannot be used."""
    entry = locks.read(directory).plugins[name]
    what = "used from its directory, unchecked" if entry.development else f"recorded with sha256 {entry.sha256}"
    click.echo(f"{name} {entry.version} is installed, {what}.")
    redact.install("CRITICAL", sys.stderr)  # what cannot be imported is told below, without its traceback
    found = [plugin for plugin in registry.discover(directory) if plugin.distribution == name]
    broken = registry.catalog(found).broken
    for plugin in found:
        if plugin.name in broken:
            click.echo(f"{plugin.name} cannot be used: {broken[plugin.name]}", err=True)
    if broken and not all(plugin.is_off for plugin in found):
        raise click.exceptions.Exit(1)
    click.echo(_AGAIN)
