"""What README and docs tell people to type exists: commands, options, chat commands, files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bot.chat import commands
from bot.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BOTFATHERS = {"newbot", "revoke", "setjoingroups", "setprivacy"}
HELP = {"--help", "--version"}


def tree(command: click.Command = main, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """Every command of the command line with its options."""
    yield path, {name for each in command.params for name in each.opts if name.startswith("--")} | HELP
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from tree(found, (*path, name))


TREE = dict(tree())


def typed(page: Path) -> Iterator[str]:
    """Each `tradewire ...` that a page shows, in a block or between backticks."""
    text = page.read_text(encoding="utf-8")
    shown = re.findall(r"^```\w*\n(.*?)^```|`([^`\n]+)`", text, flags=re.DOTALL | re.MULTILINE)
    for line in "\n".join(block or word for block, word in shown).splitlines():
        yield from re.findall(r"(?:^|[/ ])(tradewire(?: [^&|#]+)?)$", line)


def problem(line: str) -> str:
    """What is wrong with a command line; empty when nothing is."""
    path: tuple[str, ...] = ()
    words = line.split()[1:]
    while words and (*path, words[0].strip(",.")) in TREE:
        path = (*path, words.pop(0).strip(",."))
    if not path and words and not words[0].startswith("-"):
        return f"{line}: no command {words[0]}"
    unknown = {word.partition("=")[0] for word in words if word.startswith("--")} - TREE[path]
    return f"{line}: no option {', '.join(unknown)}" if unknown else ""


def test_setup_lines_stand_alone_in_the_first_column() -> None:
    """Two lines set everything up: one ends in the demo, the other in the tests."""
    lines = [line for line in README.splitlines() if line.startswith("python3 -m venv")]
    assert [line.rpartition("&& ")[2] for line in lines] == [".venv/bin/tradewire demo", ".venv/bin/pytest -q"]
    assert re.findall(r"^```\n(.+)\n```$", README, flags=re.MULTILINE)[:2] == lines


def test_setup_lines_install_files_that_exist() -> None:
    """The requirement files are there."""
    files = re.findall(r"-r (\S+)", README)
    assert files == ["requirements.txt", "requirements-dev.txt"]
    assert all((ROOT / name).is_file() for name in files)


@pytest.mark.parametrize("page", PAGES, ids=lambda each: str(each.relative_to(ROOT)))
def test_command_lines_exist_with_their_options(page: Path) -> None:
    """Every `tradewire X --option` that is shown can be typed."""
    assert [found for found in map(problem, typed(page)) if found] == []


def test_command_lines_are_found_and_checked() -> None:
    """The check itself: it sees the README's commands, and would see a wrong one."""
    assert {"tradewire demo", "tradewire init", "tradewire doctor"} <= {
        each.strip() for each in typed(ROOT / "README.md")
    }
    assert problem("tradewire demo --tours") == "tradewire demo --tours: no option --tours"
    assert problem("tradewire fly") == "tradewire fly: no command fly"
    assert problem("tradewire keys add --exchange bitget") == ""


@pytest.mark.parametrize("page", PAGES, ids=lambda each: str(each.relative_to(ROOT)))
def test_options_named_alone_exist(page: Path) -> None:
    """An option in the middle of a sentence is one that some command has."""
    named = set(re.findall(r"`(--[a-z-]+)", page.read_text(encoding="utf-8")))
    if page.name == "testing.md":
        named -= {"--defect", "--first"}  # of `tests.simulation` and `tests.crash`
    assert named - set().union(*TREE.values()) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda each: str(each.relative_to(ROOT)))
def test_chat_commands_exist(page: Path) -> None:
    """Every `/command` between backticks is one of the bot's, or BotFather's."""
    named = re.findall(r"`/([a-z]+)(?=[ `])", page.read_text(encoding="utf-8"))
    assert set(named) - commands.registry().commands.keys() - BOTFATHERS == set()


def test_exchange_table_names_plugins_that_are_here() -> None:
    """Each plugin of the README's table is a package of this repository."""
    named = set(re.findall(r"`tradewire-(\w+)`", README))
    assert named
    assert {name for name in named if not (ROOT / "plugins" / name / "pyproject.toml").is_file()} == set()


def test_pictures_exist() -> None:
    """The README shows what is there."""
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    assert pictures == ["docs/demo.png"]
    assert (ROOT / pictures[0]).read_bytes().startswith(b"\x89PNG")
