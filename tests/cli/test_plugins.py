from __future__ import annotations

import json
from typing import Any

from bot.exchanges.registry import Plugin

CAPABILITIES = ["limit", "market", "GTC", "key-report", "demo", "find-by-client-id"]


def test_plugins_lists_state_and_reason_of_each(installation: Any) -> None:
    """An exchange in use, a broken plugin and a guard each have a line that says what they are."""
    installation.configure()
    installation.plugins += [
        Plugin("broken", None, "tradewire-broken", "0.1", problem="it cannot be imported"),
        Plugin("audit", object(), "house-rules", "2"),
    ]
    nothing: dict[str, Any] = {"exchange": None, "contract": None, "hooks": 0, "capabilities": []}
    assert json.loads(installation.run("plugins", "--json").output) == [
        {
            "name": "acme",
            "distribution": "tradewire-acme",
            "version": "1.2.3",
            "exchange": "acme",
            "contract": 1,
            "hooks": 9,
            "capabilities": CAPABILITIES,
            "state": "enabled",
        },
        {
            "name": "broken",
            "distribution": "tradewire-broken",
            "version": "0.1",
            **nothing,
            "state": "disabled: it cannot be imported",
        },
        {"name": "audit", "distribution": "house-rules", "version": "2", **nothing, "state": "guard"},
    ]
    assert installation.sent == []


def test_plugins_table_has_a_column_for_each_fact(installation: Any) -> None:
    """The table is aligned, and says which setting switched an exchange off."""
    installation.configure("[exchanges.acme]\nenabled = false\n")
    assert installation.run("plugins").output.splitlines() == [
        "name  version  contract  hooks  capabilities                                        state",
        "acme  1.2.3    1         9      limit market GTC key-report demo find-by-client-id  "
        "disabled: switched off by [exchanges.acme] enabled",
    ]


def test_plugins_none_installed_says_how_to_get_one(installation: Any) -> None:
    """An empty list has a remedy."""
    installation.configure()
    installation.plugins.clear()
    assert installation.run("plugins").output == (
        "No plugins are installed. Install one with: pip install tradewire-bitget\n"
    )
