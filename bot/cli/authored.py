"""A plugin as its author has it, installed or in a directory, with the contract that it is checked by."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from unittest import SkipTest

from bot.contract.errors import BotError, ConfigError, UserError
from bot.contract.hookspecs import PROJECT
from bot.contract.models import ExchangeInfo
from bot.contract.wire import Credentials, Secret
from bot.exchanges import registry
from bot.exchanges.registry import Plugin
from bot.testing.contract import ExchangeContract
from bot.testing.rehearsal import ContractBroken
from bot.testing.strict import StrictExchange

CONTRACT_GROUP = f"{PROJECT}.contract"
"""Entry points in this group name a plugin's subclass of `ExchangeContract`."""
_INVENTED = Credentials(
    key=Secret("an-invented-key"),
    secret=Secret("an-invented-secret"),
    passphrase=Secret("an-invented-passphrase"),
    email=Secret("nobody@example.com"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one check went. `text` says why, where it did not pass."""

    check: str
    mark: Literal["ok", "failed", "unknown"]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Authored:
    """A plugin that was found.

    Attributes:
        plugin: As the registry takes it.
        source: Where it was found, for people.
        contract: What it is checked by.
        is_own: Whether the plugin brought that contract; else one that knows no local exchange stands in.
    """

    plugin: Plugin
    source: str
    contract: type[ExchangeContract]
    is_own: bool

    @property
    def name(self) -> str:
        """The name that `tradewire plugins` shows."""
        return self.plugin.name

    @property
    def checks(self) -> list[str]:
        """The names of the contract's checks, in the order in which they were written."""
        names = (name for each in reversed(self.contract.__mro__) for name in vars(each))
        return list(dict.fromkeys(name for name in names if name.startswith("test_")))

    @property
    def info(self) -> ExchangeInfo | None:
        """Its constants, or `None` where it has none that the core would take."""
        try:
            return registry.register(self.plugin).info
        except Exception:
            return None


def find(name: str, lock_directory: Path) -> Authored:
    """Find a plugin by the name of an installed one, or by its directory. Imports it.

    Args:
        name: As `tradewire plugins` shows it, or a path.
        lock_directory: The data directory, whose lock file says which installed plugins may be imported.

    Raises:
        UserError: There is none, or it cannot be imported; says what to do.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return _in_directory(path.resolve())
    found = next((each for each in registry.discover(lock_directory) if name in (each.name, each.distribution)), None)
    if found is None:
        raise UserError(f"No plugin {name} is installed, and there is no directory {name}. See: tradewire plugins")
    if found.problem:
        raise UserError(f"{found.name}: {found.problem}")
    points = metadata.distribution(found.distribution).entry_points
    own = next((each for each in points.select(group=CONTRACT_GROUP) if each.name == found.name), None)
    return _authored(found, f"{found.distribution} {found.version}", own)


def outcomes(authored: Authored) -> Iterator[Outcome]:
    """Yield how each check goes: first what the core itself refuses, then the contract."""
    catalog = registry.catalog([authored.plugin])
    problem = catalog.broken.get(authored.name, "")
    if problem:
        yield Outcome("The bot takes the plugin.", "failed", problem)
    else:
        yield Outcome("The bot takes the plugin.", "ok")
    if not hasattr(authored.plugin.module, "exchange_info"):
        yield Outcome("The contract of exchanges.", "unknown", "skipped: it is a guard, without an exchange")
        return
    for name in authored.checks:
        check = getattr(authored.contract(), name)
        summary = (check.__doc__ or name).strip().splitlines()[0]
        try:
            check()
        except SkipTest as reason:
            yield Outcome(summary, "unknown", f"skipped: {reason}")
        except ContractBroken as broken:
            yield Outcome(summary, "failed", str(broken))
        except Exception as crash:
            text = f"{authored.plugin.module.__file__}: {name} ended with {crash!r}. Run it with pytest to see where."
            yield Outcome(summary, "failed", text)
        else:
            yield Outcome(summary, "ok")


def local_exchange(authored: Authored, now_ms: Callable[[], int]) -> StrictExchange:
    """Return a new strict local exchange of the plugin, with money for its contract's `credentials`.

    Raises:
        UserError: It brings none.
    """
    contract = authored.contract()
    contract.clock = now_ms
    exchange = contract.exchange(contract.accounts[0])
    if exchange is None:
        text = f"{authored.name} brings no local exchange to trade on. Its author adds one as docs/plugins.md shows,"
        raise UserError(
            f"{text} under [project.entry-points.{CONTRACT_GROUP!r}]. Without --exchange, try the demo's own."
        )
    return exchange


def _in_directory(path: Path) -> Authored:
    file = path / "pyproject.toml"
    try:
        project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    except FileNotFoundError:
        raise UserError(f"{file} is missing. Name a plugin's directory, or make one: tradewire plugin new") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    entries = project.get("entry-points", {})
    if len(entries.get(PROJECT, {})) != 1:
        text = f'{file} names no plugin. Add one line: [project.entry-points.{PROJECT}] acme = "tradewire_acme"'
        raise UserError(text)
    [(name, module)] = entries[PROJECT].items()
    sys.path[:0] = [str(path), str(path / "src")]
    plugin = Plugin(name, _loaded(name, module), project.get("name", name), str(project.get("version", "")))
    own = entries.get(CONTRACT_GROUP, {}).get(name)
    point = metadata.EntryPoint(name, own, CONTRACT_GROUP) if own else None
    return _authored(plugin, str(path), point)


def _authored(plugin: Plugin, source: str, own: metadata.EntryPoint | None) -> Authored:
    if own is None:
        contract = type("Contract", (ExchangeContract,), {"plugin": plugin.module, "credentials": _INVENTED})
        return Authored(plugin, source, contract, is_own=False)
    return Authored(plugin, source, _loaded(plugin.name, own.value), is_own=True)


def _loaded(name: str, target: str) -> Any:
    try:
        return metadata.EntryPoint(name, target, PROJECT).load()
    except BotError:
        raise
    except (Exception, SystemExit) as error:
        spec = find_spec(target.partition(":")[0].partition(".")[0])
        where = spec.origin if spec else target
        raise UserError(f"{where}: importing {target} failed with {error!r}. Mend it and check again.") from error
