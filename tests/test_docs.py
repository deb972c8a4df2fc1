"""The docs against the code: what is generated is up to date, what is linked exists, what is shown runs."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bot import UserError
from bot.contract import hookspecs
from bot.exchanges import registry
from bot.exchanges.registry import Plugin, Registered
from bot.trading.law import LAW

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
HOOKS = [name for name, value in vars(hookspecs).items() if hasattr(value, "tradewire_spec")]
EXCHANGES = list(registry.catalog(registry.discover()).exchanges.values())


def _generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate: Any = _generate()
STALE = "out of date: run python docs/generate.py"


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(path: Path, language: str) -> list[str]:
    """The code blocks of a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", text(path), flags=re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """The names of a page's headings, as links spell them."""
    heads = re.findall(r"^#+ (.+)$", text(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head).strip().lower().replace(" ", "-") for head in heads}


def test_commands_page_is_what_the_registry_says() -> None:
    """docs/commands.md lists every command as the bot has it."""
    assert text(DOCS / "commands.md") == generate.commands(), STALE


def test_errors_page_is_what_the_plugins_say() -> None:
    """docs/errors.md has every code of the installed plugins and of the bot."""
    assert text(DOCS / "errors.md") == generate.errors(), STALE


def test_plugins_page_documents_every_hook() -> None:
    """The reference has each hook with its arguments and its docstring."""
    page = text(DOCS / "plugins.md")
    assert page == generate.with_hooks(page), STALE


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_explains_only_arguments_it_has(name: str) -> None:
    """A hook has a docstring, and each argument explained there is in the signature."""
    function = getattr(hookspecs, name)
    described = (inspect.getdoc(function) or "").partition("Args:\n")[2].partition("\n\n")[0]
    assert f"#### {name}\n" in text(DOCS / "plugins.md")
    assert inspect.getdoc(function)
    assert set(re.findall(r"^    (\w+): ", described, flags=re.MULTILINE)) <= {*inspect.signature(function).parameters}


def test_every_hook_has_a_test_that_names_it() -> None:
    """A hook that no test calls or replaces would rot unseen."""
    tests = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "plugins").glob("*/tests/test_*.py")]
    found = "\n".join(text(path) for path in tests if path != Path(__file__))
    assert [name for name in HOOKS if not re.search(rf"\b{name}\b", found)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda each: str(each.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    """Each link to a file of the repository finds the file, and the heading in it."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text(page)):
        name, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert broken == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    """No page of the docs is known to its author only."""
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        seen.add(page)
        links = {(page.parent / link).resolve() for link in re.findall(r"\]\(([^)#\s:]+\.md)\)", text(page))}
        waiting += [link for link in links if link.exists() and link not in seen]
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in seen] == []


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda each: each.info.id)
def test_error_rows_are_written_in_one_style(exchange: Registered) -> None:
    """A cause goes on after "Acme:", so it has no full stop; a remedy is a sentence."""
    wrong = {
        code
        for code, row in exchange.info.errors.items()
        if not row.cause or row.cause.endswith(".") or (row.remedy and not re.fullmatch(r"[A-Z].*\.", row.remedy))
    }
    assert wrong == set()


def test_architecture_page_has_the_law() -> None:
    """The table of states is the one that the database enforces."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \|(.*)\|$", text(DOCS / "architecture.md"), flags=re.MULTILINE)
    assert {state: set(re.findall(r"`(\w+)`", after)) for state, after in rows} == {
        state: set(after) for state, after in LAW.items()
    }


def test_architecture_page_names_files_that_exist() -> None:
    """Every file and room it sends a reader to is there."""
    named = set(re.findall(r"`(bot/[\w/]*(?:\.py)?)`", text(DOCS / "architecture.md")))
    assert {name for name in named if not (ROOT / name).exists()} == set()
    rooms = {f"bot/{path.parent.name}" for path in (ROOT / "bot").glob("*/__init__.py")}
    assert rooms <= named


def test_architecture_page_tells_who_imports_whom() -> None:
    """No room imports another that the page does not let it."""
    rows = re.findall(r"^\| `bot/(\w+)` \| [^|]+ \| ([\w, ]+) \|$", text(DOCS / "architecture.md"), flags=re.MULTILINE)
    direct = {room: set(may.split(", ")) - {"nothing"} for room, may in rows}

    def allowed(room: str) -> set[str]:
        return {room}.union(*(allowed(each) for each in direct[room]))

    wrong = {
        (str(path.relative_to(ROOT)), other)
        for room in direct
        for path in (ROOT / "bot" / room).rglob("*.py")
        for other in re.findall(r"^\s*(?:from|import) bot\.(\w+)", text(path), flags=re.MULTILINE)
        if other in direct and other not in allowed(room)
    }
    assert (len(direct), wrong) == (12, set())


# The tutorial


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tutorial's plugin, as if it were installed."""
    module = ModuleType("tradewire_acme")
    exec(_code("exchange_info"), module.__dict__)
    monkeypatch.setitem(sys.modules, "tradewire_acme", module)
    return module


def _code(word: str) -> str:
    """The first code block of the tutorial that contains a word."""
    return next(block for block in blocks(DOCS / "plugins.md", "python") if word in block)


def test_tutorial_pyproject_is_five_lines_that_name_the_module() -> None:
    """The package needs a name, a version, the bot, and its entry point."""
    [block] = blocks(DOCS / "plugins.md", "toml")
    assert len(block.splitlines()) == 5
    assert tomllib.loads(block)["project"]["entry-points"] == {"tradewire": {"acme": "tradewire_acme"}}


def test_tutorial_module_is_a_plugin_the_bot_takes(acme: ModuleType) -> None:
    """It has every required hook with the right arguments, and imports from `bot` alone."""
    registered = registry.register(Plugin("acme", acme))
    assert (registered.info.title, set(registered.hooks)) == ("Acme", set(hookspecs.REQUIRED))
    assert set(re.findall(r"^from (\S+) import", _code("exchange_info"), flags=re.MULTILINE)) - {"decimal"} == {"bot"}


@pytest.mark.parametrize("word", ["drive(", "StrictAcme"])
def test_tutorial_tests_pass(acme: ModuleType, word: str) -> None:
    """The tests that it shows are run here, and there are some."""
    space: dict[str, Any] = {"__name__": "tutorial"}
    exec(_code(word), space)
    tests = [value for name, value in space.items() if name.startswith("test_")]
    assert len(tests) > 1
    for each in tests:
        each()


def test_tutorial_tests_can_fail(acme: ModuleType) -> None:
    """With a plugin that forgets our id, what they check is found wrong."""
    broken = _code("exchange_info").replace('"client_id": order.client_order_id', '"client_id": "other"')
    exec(broken, acme.__dict__)
    space: dict[str, Any] = {"__name__": "tutorial"}
    exec(_code("drive("), space)
    with pytest.raises(AssertionError):
        space["test_place_order_sends_our_id"]()


def test_tutorial_guard_vetoes_without_calling_the_exchange(acme: ModuleType) -> None:
    """The guard refuses its coin and lets every other order through."""
    guard = ModuleType("guard")
    exec(_code("wrapper=True"), guard.__dict__)
    hook = registry.register(Plugin("acme", acme), [Plugin("guard", guard)]).hook
    space: dict[str, Any] = {"__name__": "tutorial"}
    exec(_code("drive("), space)
    order = space["ORDER"]
    assert next(hook.place_order(account=None, order=order)).places
    with pytest.raises(UserError, match="may not be traded"):
        hook.place_order(account=None, order=replace(order, market=replace(order.market, base="DOGE")))
