"""`bot` is all that a plugin may import: what it exports, and that plugins keep to it."""

from __future__ import annotations

import ast
import inspect
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import bot
from bot.contract import errors, hookspecs, models, streams, wire

ROOT = Path(__file__).parents[1]
SOURCES = sorted(ROOT.glob("plugins/*/tradewire_*/**/*.py"))
ALLOWED = {*sys.stdlib_module_names, "msgspec"}
KEPT_BACK = {"ConfigError", "PluginError", "VaultError"}  # the core's own


def strays(source: str, package: str) -> Iterator[str]:
    """Yield every import of `source` that a plugin called `package` may not make."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] not in ALLOWED | {package}:
                    yield alias.name
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                yield "." * node.level + module
            elif module == "bot":
                yield from (f"bot.{alias.name}" for alias in node.names if alias.name not in bot.__all__)
            elif module.split(".")[0] not in ALLOWED | {package}:
                yield module


def test_exported_names_are_sorted() -> None:
    """Constants, then classes, then functions, each by name: a new name has one place."""

    def rank(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2), name

    assert bot.__all__ == sorted(bot.__all__, key=rank)


def test_exported_names_are_the_public_names() -> None:
    """Nothing is reachable by accident, and nothing that is listed is missing."""
    public = {
        name for name, value in vars(bot).items() if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert set(bot.__all__) == public


def test_exported_names_cover_every_hook() -> None:
    """Whatever a hook takes or gives, a plugin can name."""
    named: set[str] = set()
    for hook in vars(hookspecs).values():
        if hasattr(hook, "tradewire_spec"):
            pending: list[object] = list(typing.get_type_hints(hook).values())
            while pending:
                hint = pending.pop()
                pending += typing.get_args(hint)
                module = getattr(hint, "__module__", "")
                if inspect.isclass(hint) and module.startswith("bot.contract"):
                    named.add(hint.__name__)
    assert len(named) > 15
    assert named <= set(bot.__all__)


def test_exported_errors_are_those_a_plugin_may_meet() -> None:
    """All but the three that only the core raises."""
    every = {name for name, value in inspect.getmembers(errors, inspect.isclass)}
    assert every - KEPT_BACK == every & set(bot.__all__)


@pytest.mark.parametrize("module", [models, streams, wire], ids=lambda module: module.__name__)
def test_exported_models_are_all_of_them(module: ModuleType) -> None:
    """Each class of the contract is importable from `bot`."""
    own = {
        name
        for name, value in inspect.getmembers(module, inspect.isclass)
        if value.__module__ == module.__name__ and not name.startswith("_")
    }
    assert own - set(bot.__all__) == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_plugin_imports_nothing_of_the_core_but_bot(path: Path) -> None:
    """A plugin needs the exported names, the standard library, msgspec and itself."""
    package = path.relative_to(ROOT / "plugins").parts[1]
    assert list(strays(path.read_text(), package)) == []


def test_plugin_sources_are_found() -> None:
    """The test above looks at something."""
    assert "tradewire_bitget" in {path.parent.name for path in SOURCES}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("import bot.store", ["bot.store"]),
        ("import bot", ["bot"]),
        ("from bot.contract.wire import Secret", ["bot.contract.wire"]),
        ("from bot import Order, PluginError", ["bot.PluginError"]),
        ("from bot import exchanges", ["bot.exchanges"]),
        ("def f():\n    import httpx", ["httpx"]),
        ("if x:\n    from tradewire_other import y", ["tradewire_other"]),
        ("from . import y", ["."]),
        ("from bot import *", ["bot.*"]),
        ("import json, tradewire_acme.x\nfrom bot import Order\nfrom tradewire_acme import y\nimport msgspec", []),
    ],
)
def test_plugin_import_check_notices_a_stray(line: str, found: list[str]) -> None:
    """Control: each way around the rule is seen, and what is allowed passes."""
    assert list(strays(line, "tradewire_acme")) == found
