"""The command line. Each command is a module of this package, imported when it is called."""

from __future__ import annotations

import gc
import os
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from bot.contract.errors import BotError, ConfigError, VaultError
from bot.redact import redactor

COMMANDS = {
    "init": "Make the configuration, the master key and the data directory.",
    "run": "Start the bot.",
    "demo": "Try the bot in a browser, without Telegram and without money.",
    "keys": "Add, list, test and remove exchange keys.",
    "users": "List, let in and block people.",
    "panic": "Halt trading, at once; also while the bot runs.",
    "resume": "End a halt, at once.",
    "backup": "Copy the database, while the bot runs.",
    "restore": "Put a backup in the place of the database.",
    "export": "Write a person's orders as a CSV file.",
    "audit": "Show the log of events, and check that nobody changed it.",
    "doctor": "Check everything this installation needs.",
    "deploy": "Print a systemd unit, a Dockerfile or another file for a server.",
    "plugins": "List the installed exchange plugins; switch them on and off.",
    "plugin": "Begin a plugin of your own, and check one.",
    "install": "Install a plugin by name, path, wheel or git address.",
    "upgrade": "Install a newer version of a plugin.",
    "uninstall": "Remove a plugin.",
}
"""Command to what `--help` says of it, so that listing them imports none."""

MARKS = {"ok": "✓", "warning": "⚠", "failed": "✗", "unknown": "?"}

config_option = click.option(
    "--config",
    "path",
    metavar="PATH",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration file. Default: $TRADEWIRE_CONFIG, else ~/.config/tradewire/config.toml.",
)


class _Commands(click.Group):
    """Knows its commands by name, and turns our errors into a sentence and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # for them it would read every distribution
        gc.disable()  # what is imported stays: to look through it, then and later, would take a fifth of the time
        try:
            command: click.Command = getattr(import_module(f"bot.cli.{cmd_name}"), cmd_name)
        finally:
            gc.freeze()
            gc.enable()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # click ends quietly when nobody reads on
        except (BotError, OSError) as error:
            click.echo(redactor.redact(f"Error: {error}"), err=True)
            ctx.exit(_exit_code(error))


def _exit_code(error: Exception) -> int:
    """Return the code of sysexits.h that tells a service manager whether a restart may help."""
    if isinstance(error, ConfigError | VaultError):
        return 78
    from bot.store.errors import AlreadyRunning

    return 75 if isinstance(error, AlreadyRunning) else 1


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tradewire", message="tradewire %(version)s")
def main() -> None:
    """Trade on crypto exchanges from Telegram, with a bot of your own.

    Begin with `tradewire init`, then `tradewire run`; or look around with `tradewire demo`.
    """
