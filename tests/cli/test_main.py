from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import Any

import click
import pytest
from click.testing import CliRunner

import bot.cli
from bot.cli import COMMANDS, main
from bot.contract.errors import BotError, ConfigError, PluginError, UserError, VaultError
from bot.store.errors import AlreadyRunning, StoreError


def test_help_lists_every_command_and_imports_none() -> None:
    """`--help` is quick: it shows all commands without importing what they need."""
    code = (
        "import sys\nfrom bot.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'telegram', 'httpx', 'pydantic', 'cryptography', 'sqlite_utils'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert [name for name in COMMANDS if f"\n  {name} " not in done.stdout] == []


@pytest.mark.parametrize("name", [name for name in COMMANDS if importlib.util.find_spec(f"bot.cli.{name}")])
def test_command_module_holds_the_command_of_its_name(name: str) -> None:
    """Each name in the list leads to a click command that takes `--config`, where it needs a configuration."""
    command = main.get_command(click.Context(main), name)
    assert isinstance(command, click.Command)
    inner = list(command.commands.values()) if isinstance(command, click.Group) else [command]
    without = [
        each.name for each in inner if "--config" not in [flag for option in each.params for flag in option.opts]
    ]
    assert without == {"demo": ["demo"], "deploy": ["deploy"], "plugin": ["new"]}.get(name, [])


def test_command_once_imported_is_looked_through_by_no_collection() -> None:
    """Modules stay for good: looking for rubbish in them took a sixth of a start. Rubbish made later is still found."""
    code = (
        "import gc, click\nfrom bot.cli import main\n"
        "before = gc.get_freeze_count()\n"
        "main.get_command(click.Context(main), 'users')\n"
        "print(before, gc.get_freeze_count() > 10_000, sum(gc.get_count()) < 500, gc.isenabled())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0 True True True\n"


def test_command_unknown_is_a_usage_error() -> None:
    """A mistyped command is named, and is not imported as a module."""
    result = CliRunner().invoke(main, ["instance"])
    assert (result.exit_code, "No such command 'instance'" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("the reason"), 78),
        (VaultError("the reason"), 78),
        (AlreadyRunning("the reason"), 75),
        (StoreError("the reason"), 1),
        (UserError("the reason"), 1),
        (PluginError("the reason"), 1),
        (PermissionError("the reason"), 1),
    ],
)
def test_command_failing_on_purpose_prints_one_sentence(
    monkeypatch: pytest.MonkeyPatch, error: BotError, code: int
) -> None:
    """An error of ours is a sentence on stderr and an exit code that a service manager understands; no traceback."""

    def fail() -> None:
        raise error

    monkeypatch.setattr(bot.cli._Commands, "get_command", lambda *_: click.Command("fail", callback=fail))
    result = CliRunner().invoke(main, ["fail"])
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", "Error: the reason\n")


def test_command_failing_with_a_token_in_the_text_hides_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even an error that quotes a bot token does not show it."""
    token = "123456789:AAcanary-canary-canary-canary-canary"

    def fail() -> Any:
        raise ConfigError(f"cannot use {token}")

    monkeypatch.setattr(bot.cli._Commands, "get_command", lambda *_: click.Command("fail", callback=fail))
    assert token[10:] not in CliRunner().invoke(main, ["fail"]).output


def test_version_is_the_installed_one() -> None:
    """`--version` names the distribution and a version."""
    result = CliRunner().invoke(main, ["--version"])
    assert result.output.startswith("tradewire 0.")
