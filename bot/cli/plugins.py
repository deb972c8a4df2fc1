"""`tradewire plugins`: what is installed, what of it can be used, and switching it on and off."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from bot import redact
from bot.cli import config_option
from bot.config import ExchangeSettings, Settings, load
from bot.contract.errors import PluginError
from bot.contract.models import Capabilities
from bot.exchanges import lock as locks
from bot.exchanges import registry, trust
from bot.exchanges.registry import Catalog, Plugin

_COLUMNS = ("name", "version", "contract", "hooks", "trust", "sha256", "state", "hosts", "capabilities")
_UNUSABLE: dict[str, Any] = {
    "exchange": None,
    "contract": None,
    "hooks": 0,
    "capabilities": [],
    "hosts": [],
    "experimental": False,
}
_RESTART = "Restart the bot: it takes effect at its next start."


@click.group(invoke_without_command=True)
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def plugins(context: click.Context, path: Path | None, as_json: bool) -> None:
    """List the installed plugins, and why one cannot be used; or switch one on or off."""
    if context.invoked_subcommand is not None:
        return
    settings = load(path)
    redact.install("CRITICAL", sys.stderr)  # what cannot be imported is told in the list, without its traceback
    found = registry.discover(settings.storage.directory)
    catalog = registry.catalog(found, settings.plugins.options, settings.plugins.needed)
    rows = [_row(plugin, catalog, settings) for plugin in found]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    elif not rows:
        click.echo("No plugins are installed. Install one with: tradewire install NAME")
    else:
        click.echo(_table([_COLUMNS, *(tuple(_text(row[name], name) for name in _COLUMNS) for row in rows)]))
        for row in rows:
            if row["why"]:
                click.echo(f"{row['name']}: {row['why']}")


@plugins.command()
@config_option
@click.argument("name")
@click.pass_context
def enable(context: click.Context, path: Path | None, name: str) -> None:
    """Switch the plugin NAME on."""
    directory = _directory(context, path)
    plugin = trust.known(locks.read(directory), name)
    locks.change(directory, lambda now: now.switched(plugin, on=True))
    click.echo(f"{plugin} is switched on. {_RESTART}")


@plugins.command()
@config_option
@click.argument("name")
@click.option("--revoke", is_flag=True, help="Never import or install this very wheel again.")
@click.pass_context
def disable(context: click.Context, path: Path | None, name: str, *, revoke: bool) -> None:
    """Switch the plugin NAME off. It stays installed, and is not imported."""
    directory = _directory(context, path)
    lock = locks.read(directory)
    plugin = trust.known(lock, name)
    if not revoke:
        locks.change(directory, lambda now: now.switched(plugin, on=False))
        click.echo(f"{plugin} is switched off. {_RESTART}")
        return
    entry = lock.plugins.get(lock.distribution_of(plugin) or "")
    if entry is None or not entry.sha256:
        raise PluginError(f"{plugin} was not installed from a wheel. To switch it off, leave out --revoke.")
    locks.change(directory, lambda now: now.revoking(entry.sha256))
    click.echo(f"This wheel of {plugin} is revoked. {_RESTART}")


def _directory(context: click.Context, path: Path | None) -> Path:
    given = path or (context.parent.params.get("path") if context.parent else None)
    return load(given).storage.directory


def _row(plugin: Plugin, catalog: Catalog, settings: Settings) -> dict[str, Any]:
    row = {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "trust": plugin.trust,
        "sha256": plugin.sha256,
    }
    if plugin.name in catalog.broken:
        return {
            **row,
            **_UNUSABLE,
            "state": "disabled" if plugin.is_off else "unusable",
            "why": catalog.broken[plugin.name],
        }
    registered = next((each for each in catalog.exchanges.values() if each.plugin.name == plugin.name), None)
    if registered is None:
        return {**row, **_UNUSABLE, "state": "guard", "why": ""}
    info = registered.info
    is_on = settings.exchanges.get(info.id, ExchangeSettings()).enabled
    return {
        **row,
        "exchange": info.id,
        "contract": info.contract_version,
        "hooks": len(registered.hooks),
        "capabilities": _capabilities(info.capabilities),
        "hosts": sorted(set(info.hosts.values())),
        "experimental": bool(info.experimental),
        "state": f"enabled{info.mark}" if is_on else "disabled",
        "why": "" if is_on else f"it is switched off by [exchanges.{info.id}] enabled in the configuration",
    }


def _capabilities(can: Capabilities) -> list[str]:
    extras = {
        "post-only": can.post_only,
        "cancel-all": can.cancel_all,
        "key-report": can.key_report,
        "demo": can.sandbox,
        "find-by-client-id": can.find_by_client_id,
    }
    return [*sorted(can.order_types), *sorted(can.times_in_force), *(name for name, has in extras.items() if has)]


def _text(value: Any, column: str) -> str:
    if isinstance(value, list):
        value = " ".join(value)
    if value == "development":
        value = "⚠ development"
    return (str(value)[:12] if column == "sha256" else str(value)) if value else "-"


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
