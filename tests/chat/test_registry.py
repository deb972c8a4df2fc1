"""The commands as people and Telegram see them, and that nothing refers to what is not there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import bot
from bot.chat import commands
from bot.chat.parse import parse_order, parse_pair
from bot.chat.reasons import REASONS
from bot.chat.registry import Command, Topic, collect
from bot.contract.models import Side

SOURCE = Path(bot.__file__).parent
REGISTRY = commands.registry()
COMMANDS = REGISTRY.commands.values()
NO_CODES_OF_OURS = ("testing", "local")
"""Rooms that stand for others: the codes there are an exchange's or Telegram's."""


def trees(*rooms: str) -> Iterator[tuple[Path, ast.Module]]:
    """The modules of these rooms of the code; of all when none is named."""
    for room in rooms or ("",):
        for path in sorted((SOURCE / room).rglob("*.py")):
            yield path.relative_to(SOURCE), ast.parse(path.read_text(encoding="utf-8"))


def texts(node: ast.AST) -> set[str]:
    """Every text constant inside a piece of code."""
    return {each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.name)
def test_command_fits_the_menu(command: Command) -> None:
    """Telegram takes names of 1 to 32 small letters, digits and underscores; a summary is one short line."""
    assert re.fullmatch("[a-z0-9_]{1,32}", command.name)
    assert 0 < len(command.summary) <= 60
    assert not command.summary.endswith(".")
    assert command.summary.isprintable()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.name)
def test_command_with_arguments_shows_an_example_of_itself(command: Command) -> None:
    """Who sees a usage line sees how it looks when it is filled in."""
    assert bool(command.example) == bool(command.usage)
    if command.example:
        assert command.example.split()[0] == f"/{command.name}"


def test_menu_is_within_what_telegram_takes() -> None:
    """At most 100 commands, and those every bot must have."""
    assert len(COMMANDS) <= 100
    assert {"start", "help", "settings"} <= REGISTRY.commands.keys()


def test_topics_are_all_listed_in_help() -> None:
    """No command has a topic that /help would leave out."""
    from bot.chat.commands.start import _TOPICS

    assert get_args(Topic) == _TOPICS
    assert {command.topic for command in COMMANDS} == set(_TOPICS)


def arguments(name: str) -> str:
    """What follows the command in its example."""
    return REGISTRY.commands[name].example.partition(" ")[2]


@pytest.mark.parametrize("side", get_args(Side))
def test_example_of_an_order_can_be_read_and_is_complete(side: Side) -> None:
    """What the help shows is understood as it stands, with nothing left to ask for."""
    intent = parse_order(side, arguments(side))
    assert (intent.pair, intent.size is None) == ("BTC/USDT", False)


def test_examples_of_pairs_can_be_read() -> None:
    """The pair in each example is one."""
    pairs = [arguments("trade"), arguments("price"), arguments("history").rpartition(" ")[0]]
    assert [parse_pair(each) for each in pairs] == ["BTC/USDT"] * 3


def test_collect_refuses_a_name_given_twice() -> None:
    """Two modules cannot fight over a command or an action."""
    with pytest.raises(AssertionError):
        collect((commands.start, commands.start))
    with pytest.raises(AssertionError):
        collect((commands.settings, commands.settings))


def test_every_button_has_an_action() -> None:
    """No button is shown that nothing would answer, and no action waits for a button that is never made."""
    made = set()
    for path, tree in trees("chat"):
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id in ("Button", "button") and len(node.args) > 1:
                action = node.args[1]
                if isinstance(action, ast.Constant):
                    made.add(action.value)
                else:  # `button` of render.py hands its own argument on
                    assert (path.name, ast.unparse(action)) == ("render.py", "action")
    assert made == REGISTRY.actions.keys()


@pytest.mark.parametrize(
    ("typed", "meant"), [("sel", "/sell"), ("buuy", "/buy"), ("balence", "/balance"), ("weather", None), ("", None)]
)
def test_unknown_command_names_the_one_that_was_meant(typed: str, meant: str | None) -> None:
    """A slip of the finger is told with the command next to it; anything else points to /help alone."""
    hint = f" Did you mean {meant}?" if meant else ""
    assert commands.registry().unknown(typed) == f"There is no command /{typed}.{hint} /help lists them all."


def test_every_command_named_in_a_text_exists() -> None:
    """Where the bot tells somebody to send a command, there is one."""
    named = {
        (str(path), word)
        for path, tree in trees("chat", "trading")
        for text in texts(tree)
        for word in re.findall(r"(?<![\w/.>~])/([a-z]+)\b(?![/.*-])", text)
    }
    assert ("chat/messages.py", "help") in named
    assert {(path, word) for path, word in named if word not in REGISTRY.commands} == set()


def constants(tree: ast.Module) -> Iterator[tuple[str, object]]:
    """Yield every constant of a module that is a plain value."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            yield from ((target.id, node.value.value) for target in node.targets if isinstance(target, ast.Name))


def codes() -> dict[str, str]:
    """Every code that the core gives an error, and where."""
    found: dict[str, str] = {}
    for path, tree in trees():
        if str(path).startswith(NO_CODES_OF_OURS):
            continue
        tables = {
            target.id: node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name) and isinstance(node.value, ast.Dict)
        }
        # A constant that is named like what it says is a code as well.
        named = {name: str(path) for name, value in constants(tree) if name == value}
        found |= {name: place for name, place in named.items() if re.fullmatch("[A-Z][A-Z_]+", name)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.keyword) or node.arg not in ("code", "refusal"):
                continue
            value: ast.AST = node.value
            if isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name):
                value = ast.Tuple(list(tables[value.value.id].values), ast.Load())
            found |= {text: str(path) for text in texts(value) if re.fullmatch("[A-Z][A-Z_]+", text)}
    return found


def test_every_code_is_explained_and_every_explanation_is_of_a_code() -> None:
    """/why knows each code of the core, and the documentation lists none that nobody can get."""
    assert codes().keys() == REASONS.keys()


def test_every_explanation_is_a_sentence() -> None:
    """A reason says what it means and ends like a sentence."""
    assert {code: text for code, text in REASONS.items() if not re.fullmatch(r"[A-Z].*\.", text)} == {}
