"""The plan of the house: imports point one way, each risky library has one room, and money is never a float."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path.read_text()
    for path in sorted((ROOT / "bot").rglob("*.py"))
}
PLUGINS = {
    ".".join(path.relative_to(ROOT).parts[2:]).removesuffix(".py").removesuffix(".__init__"): path.read_text()
    for path in sorted(ROOT.glob("plugins/*/tradewire_*/**/*.py"))
}

FLOORS = (
    ("contract",),
    ("store",),
    ("exchanges", "accounts"),
    ("alerts", "trading"),
    ("signals",),
    ("chat", "local"),
    ("web",),
    ("cli",),
    ("__main__",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
LEAVES = {"clock", "redact", "config"}

OWNERS = {
    "httpx": ("bot.exchanges.http", "bot.exchanges.connections", "bot.chat.telegram_request", "bot.web.heartbeat"),
    "cryptography": ("bot.accounts.vault",),
    "sqlite_utils": ("bot.store",),
    "telegram": ("bot.chat", "bot.local", "bot.cli.init", "bot.cli.doctor", "bot.cli.telegram"),
}
PICKLES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve", "joblib"}

SECONDS = (
    "bot.exchanges.connections",
    "bot.exchanges.dial",
    "bot.exchanges.transport",
    "bot.exchanges.limits",
    "bot.exchanges.clock",
    "bot.exchanges.streams",
    "bot.trading.feeds",
    "bot.trading.reconcile",
    "bot.trading.turns",
    "bot.trading.watchlist",
    "bot.trading.gateway",
    "bot.chat.app",
    "bot.chat.dialogs",
    "bot.chat.halt",
    "bot.chat.late",
    "bot.chat.refusals",
    "bot.chat.strangers",
    "bot.chat.lines",
    "bot.chat.outbox",
    "bot.chat.boards",
    "bot.chat.polling",
    "bot.chat.pacer",
    "bot.chat.pictures",  # draws; what it draws is never reckoned with
    "bot.chat.webhook",
    "bot.web.listener",
    "bot.chat.telegram_request",
    "bot.local",
    "bot.testing",
)
"""Modules that count seconds, and no money."""


def within(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def imported(source: str) -> Iterator[str]:
    """Yield the full name of everything that `source` imports, wherever in it that happens."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from (f"{base}.{alias.name}" for alias in node.names)


def room(name: str) -> str:
    """Return the room of a name under `bot`; what `bot` itself exports is the contract."""
    part = name.split(".")[1] if "." in name else ""
    return part if part in FLOOR or part in LEAVES or part == "testing" else "contract"


def arrows(module: str, source: str) -> Iterator[str]:
    """Yield every import of the core's `module` that points up, sideways or out of a leaf."""
    own = room(module)
    for name in imported(source):
        if name.startswith("."):
            yield f"{module} -> {name}"
        if name.split(".")[0] != "bot":
            continue
        other = room(name)
        if other == own and own not in LEAVES:
            continue
        if own in LEAVES:
            allowed = other == "contract" and own == "config"
        elif own == "testing":
            allowed = other == "contract"
        elif other in LEAVES:
            allowed = own != "contract"
        else:
            allowed = own == "cli" if other == "testing" else FLOOR[other] < FLOOR[own]
        if not allowed:
            yield f"{module} -> {name}"


def squatters(module: str, source: str) -> Iterator[str]:
    """Yield every import of a library that belongs to another room, or to none."""
    for name in imported(source):
        library = name.split(".")[0]
        if library in PICKLES or not within(module, OWNERS.get(library, (module,))):
            yield f"{module} -> {library}"


def floats(module: str, source: str) -> Iterator[str]:
    """Yield every number with a fraction and every use of `float`, outside the modules that count seconds.

    The core may say `float` in an annotation, for seconds; a plugin and the contract may not: it would be an amount.
    """
    if within(module, SECONDS):
        return
    tree = ast.parse(source)
    excused: set[ast.AST] = set()
    if within(module, ("bot",)) and not within(module, ("bot.contract",)):
        for node in ast.walk(tree):
            for kind in ("annotation", "returns"):
                if (noted := getattr(node, kind, None)) is not None:
                    excused |= set(ast.walk(noted))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, (float, complex)):
            yield f"{module}:{node.lineno}: {node.value}"
        elif isinstance(node, ast.Name) and node.id == "float" and node not in excused:
            yield f"{module}:{node.lineno}: float"


def binary_numbers(module: str, source: str) -> Iterator[str]:
    """Yield every `json.loads` of a plugin: it would make floats, where `Response.json` makes `Decimal`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("load", "loads"):
            named = {keyword.arg for keyword in node.keywords}
            if "parse_float" not in named:
                yield f"{module}:{node.lineno}: {ast.unparse(node.func)}"


Rule = Callable[[str, str], Iterator[str]]


def broken(rule: Rule, sources: dict[str, str]) -> list[str]:
    return [found for module, source in sources.items() for found in rule(module, source)]


def test_core_imports_point_one_way() -> None:
    """From the command line down to the contract, never up and never sideways."""
    assert broken(arrows, CORE) == []


def test_core_rooms_are_all_on_the_plan() -> None:
    """A new folder has to be given its floor; the sources are found at all."""
    rooms = {module.split(".")[1] for module in CORE if "." in module}
    assert rooms <= FLOOR.keys() | LEAVES | {"testing"}
    assert rooms >= {"contract", "store", "exchanges", "accounts", "trading", "chat", "cli"}


def test_risky_libraries_stay_in_their_rooms() -> None:
    """The network, the ciphers, the database and Telegram each have one way in; nothing unpickles."""
    assert broken(squatters, CORE | PLUGINS) == []


def test_risky_libraries_are_used_in_their_rooms() -> None:
    """Each owner does import its library: the rule above is about something."""
    used = {name.split(".")[0] for source in CORE.values() for name in imported(source)}
    assert used >= OWNERS.keys()


def test_money_is_never_a_float() -> None:
    """No number with a fraction and no `float` outside the modules that count seconds."""
    assert broken(floats, CORE | PLUGINS) == []


def test_plugins_read_json_with_every_digit() -> None:
    """A price that went through a float has lost its last digits before anybody looks at it."""
    assert broken(binary_numbers, PLUGINS) == []


@pytest.mark.parametrize(
    ("module", "line", "is_bad"),
    [
        ("bot.store.database", "from bot.trading import journal", True),
        ("bot.trading.desk", "import bot.chat.text", True),
        ("bot.exchanges.registry", "from bot.accounts.vault import Vault", True),
        ("bot.chat.app", "from bot.local.server import LocalServer", True),
        ("bot.trading.desk", "def late():\n    from bot import cli", True),
        ("bot.chat.app", "from bot.testing.drive import drive", True),
        ("bot.contract.wire", "from bot.clock import Clock", True),
        ("bot.clock", "from bot.contract.errors import BotError", True),
        ("bot.redact", "from bot.config import Settings", True),
        ("bot.config", "from bot.store.database import Store", True),
        ("bot.testing.strict", "from bot.exchanges.paper import matching", True),
        ("bot.trading.desk", "from .journal import x", True),
        ("bot.cli", "from bot.chat import app\nfrom bot import redact\nfrom bot.contract.errors import X", False),
        ("bot.trading.desk", "from bot.trading import law\nfrom bot import Order\nimport bot.store.database", False),
        ("bot.config", "from bot.contract.errors import ConfigError", False),
        ("bot.testing.drive", "from bot import Order\nfrom bot.testing.strict import X", False),
    ],
)
def test_arrow_check_notices_a_wrong_import(module: str, line: str, is_bad: bool) -> None:
    """Control: up, sideways, into a leaf's own rooms and late imports are all seen."""
    assert bool(list(arrows(module, line))) is is_bad


@pytest.mark.parametrize(
    ("module", "line", "is_bad"),
    [
        ("bot.chat.app", "import httpx", True),
        ("tradewire_acme.signing", "def f():\n    from httpx import get", True),
        ("bot.accounts.people", "from cryptography.fernet import Fernet", True),
        ("bot.trading.journal", "import sqlite_utils.db", True),
        ("bot.cli.run", "from telegram.error import Conflict", True),
        ("bot.chat.inbox", "import pickle", True),
        ("bot.store.database", "from shelve import open", True),
        ("bot.store.schema", "import sqlite_utils", False),
        ("bot.chat.commands.connect", "from telegram.error import TelegramError", False),
    ],
)
def test_room_check_notices_a_library_elsewhere(module: str, line: str, is_bad: bool) -> None:
    """Control: each library outside its room is seen, in plugins too."""
    assert bool(list(squatters(module, line))) is is_bad


@pytest.mark.parametrize(
    ("module", "line", "is_bad"),
    [
        ("bot.trading.draft", "x = float(price)", True),
        ("bot.trading.draft", "fee = amount * 0.1", True),
        ("bot.trading.draft", "x = 1e-8", True),
        ("tradewire_acme.payloads", "class Row:\n    price: float", True),
        ("bot.contract.models", "def f(price: float | None): ...", True),
        ("bot.trading.draft", "y = map(float, rows)", True),
        ("bot.trading.draft", 'x = Decimal("0.1") * 2 // 3', False),
        ("bot.exchanges.limits", "wait = float(seconds) * 0.5", False),
        ("bot.trading.desk", "def f(seconds: float = 1) -> float:\n    last: float = 2", False),
    ],
)
def test_float_check_notices_a_float(module: str, line: str, is_bad: bool) -> None:
    """Control: calls, literals, annotations and passing the type itself are all seen."""
    assert bool(list(floats(module, line))) is is_bad


@pytest.mark.parametrize(
    ("line", "is_bad"),
    [("json.loads(body)", True), ("jsonlib.load(file)", True), ("json.loads(body, parse_float=Decimal)", False)],
)
def test_json_check_notices_a_float_in_the_making(line: str, is_bad: bool) -> None:
    """Control: a plain `json.loads` is seen."""
    assert bool(list(binary_numbers("tradewire_acme", line))) is is_bad
