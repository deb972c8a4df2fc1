from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from bot.cli import main
from bot.exchanges import lock as locks
from bot.exchanges.lock import Lock
from bot.exchanges.registry import Plugin

CAPABILITIES = ["limit", "market", "GTC", "key-report", "demo", "find-by-client-id"]


NOTHING: dict[str, Any] = {
    "exchange": None,
    "contract": None,
    "hooks": 0,
    "capabilities": [],
    "hosts": [],
    "experimental": False,
}


def test_plugins_lists_state_and_reason_of_each(installation: Any) -> None:
    """An exchange in use, a broken plugin, one that is off and a guard each have a line that says what they are."""
    installation.configure()
    installation.plugins += [
        Plugin("broken", None, "tradewire-broken", "0.1", problem="it cannot be imported", trust="pinned", sha256="ab"),
        Plugin("off", None, "tradewire-off", "0.2", problem="it is switched off", trust="bundled", is_off=True),
        Plugin("audit", object(), "house-rules", "2", trust="development"),
    ]
    assert json.loads(installation.run("plugins", "--json").output) == [
        {
            "name": "acme",
            "distribution": "tradewire-acme",
            "version": "1.2.3",
            "trust": "",
            "sha256": "",
            "exchange": "acme",
            "contract": 1,
            "hooks": 9,
            "capabilities": CAPABILITIES,
            "hosts": ["https://acme.example"],
            "experimental": False,
            "state": "enabled",
            "why": "",
        },
        {
            "name": "broken",
            "distribution": "tradewire-broken",
            "version": "0.1",
            "trust": "pinned",
            "sha256": "ab",
            **NOTHING,
            "state": "unusable",
            "why": "it cannot be imported",
        },
        {
            "name": "off",
            "distribution": "tradewire-off",
            "version": "0.2",
            "trust": "bundled",
            "sha256": "",
            **NOTHING,
            "state": "disabled",
            "why": "it is switched off",
        },
        {
            "name": "audit",
            "distribution": "house-rules",
            "version": "2",
            "trust": "development",
            "sha256": "",
            **NOTHING,
            "state": "guard",
            "why": "",
        },
    ]
    assert installation.sent == []


def test_plugins_table_has_a_column_for_each_fact(installation: Any) -> None:
    """The table is aligned; below it stands why something cannot be used."""
    installation.configure("[exchanges.acme]\nenabled = false\n")
    installation.plugins.append(
        Plugin(
            "broken", None, "tradewire-broken", "0.1", problem="it is ill", trust="pinned", sha256="9f86d081884c7d65"
        )
    )
    assert installation.run("plugins").output.splitlines() == [
        "name    version  contract  hooks  trust   sha256        state     hosts                 capabilities",
        "acme    1.2.3    1         9      -       -             disabled  https://acme.example  "
        "limit market GTC key-report demo find-by-client-id",
        "broken  0.1      -         -      pinned  9f86d081884c  unusable  -                     -",
        "acme: it is switched off by [exchanges.acme] enabled in the configuration",
        "broken: it is ill",
    ]


def test_plugins_none_installed_says_how_to_get_one(installation: Any) -> None:
    """An empty list has a remedy."""
    installation.configure()
    installation.plugins.clear()
    assert installation.run("plugins").output == (
        "No plugins are installed. Install one with: tradewire install NAME\n"
    )


RESTART = "Restart the bot: it takes effect at its next start.\n"


def test_plugins_disable_and_enable_are_stored(installation: Any) -> None:
    """By the plugin's name or its distribution's; also one that came with tradewire."""
    installation.configure()
    data = installation.database.parent
    assert installation.run("plugins", "disable", "tradewire-bitget").output == f"bitget is switched off. {RESTART}"
    assert locks.read(data).disabled == {"bitget"}
    assert installation.run("plugins", "enable", "bitget").output == f"bitget is switched on. {RESTART}"
    assert locks.read(data) == Lock()


def test_plugins_disable_takes_the_configuration_before_or_behind(installation: Any) -> None:
    """A path given to `plugins` counts for what follows."""
    installation.configure()
    result = CliRunner().invoke(main, ["plugins", "--config", str(installation.config), "disable", "btcc"])
    assert (result.exit_code, locks.read(installation.database.parent).disabled) == (0, {"btcc"})


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("disable", "nobody"), "Error: No plugin is called nobody. There are: bitget, bitopro, bitrue, btcc.\n"),
        (
            ("disable", "bitget", "--revoke"),
            "Error: bitget was not installed from a wheel. To switch it off, leave out --revoke.\n",
        ),
    ],
)
def test_plugins_switching_what_cannot_be_says_why(installation: Any, words: tuple[str, ...], sentence: str) -> None:
    """Nothing is written for a name that nobody has."""
    installation.configure()
    assert installation.run("plugins", *words).stderr == sentence
    assert locks.read(installation.database.parent) == Lock()
