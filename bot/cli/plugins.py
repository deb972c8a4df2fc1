"""`tradewire plugins`: what is installed, and what of it can be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from bot.cli import config_option
from bot.config import ExchangeSettings, Settings, load
from bot.contract.models import Capabilities
from bot.exchanges import registry
from bot.exchanges.registry import Catalog, Plugin

_COLUMNS = ("name", "version", "contract", "hooks", "capabilities", "state")


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plugins(path: Path | None, as_json: bool) -> None:
    """List the installed exchange plugins, and why one cannot be used."""
    settings = load(path)
    found = registry.discover()
    catalog = registry.catalog(found)
    rows = [_row(plugin, catalog, settings) for plugin in found]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    elif not rows:
        click.echo("No plugins are installed. Install one with: pip install tradewire-bitget")
    else:
        click.echo(_table([_COLUMNS, *(tuple(_text(row[name]) for name in _COLUMNS) for row in rows)]))


def _row(plugin: Plugin, catalog: Catalog, settings: Settings) -> dict[str, Any]:
    row = {"name": plugin.name, "distribution": plugin.distribution, "version": plugin.version}
    nothing: dict[str, Any] = {"contract": None, "hooks": 0, "capabilities": []}
    if plugin.name in catalog.broken:
        return {**row, "exchange": None, **nothing, "state": f"disabled: {catalog.broken[plugin.name]}"}
    registered = next((each for each in catalog.exchanges.values() if each.plugin.name == plugin.name), None)
    if registered is None:
        return {**row, "exchange": None, **nothing, "state": "guard"}
    info = registered.info
    is_on = settings.exchanges.get(info.id, ExchangeSettings()).enabled
    return {
        **row,
        "exchange": info.id,
        "contract": info.contract_version,
        "hooks": len(registered.hooks),
        "capabilities": _capabilities(info.capabilities),
        "state": "enabled" if is_on else f"disabled: switched off by [exchanges.{info.id}] enabled",
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


def _text(value: Any) -> str:
    if isinstance(value, list):
        value = " ".join(value)
    return str(value) if value else "-"


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
