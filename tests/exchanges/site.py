"""A place of installation of its own, in which plugins leave a trace when they run."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.exchanges import lock as locks
from bot.exchanges import registry, wheel
from bot.exchanges.lock import Entry, Lock
from bot.exchanges.registry import Plugin
from tests.exchanges.wheels import build, module, unpack


class Site:
    """A place of installation of its own, and a data directory.

    Attributes:
        canary: Exists once any plugin's code ran.
    """

    def __init__(self, directory: Path) -> None:
        self.place, self.data, self.wheels = directory / "site", directory / "data", directory / "wheels"
        self.canary = directory / "canary"
        self.place.mkdir()

    def files(self) -> dict[str, str]:
        """A whole exchange in a package of two modules."""
        return {
            "tradewire_acme/__init__.py": module(self.canary) + "\nfrom tradewire_acme import rates\n",
            "tradewire_acme/rates.py": "RATE = 1\n",
        }

    def install(self, *, listed: bool = True, files: dict[str, str] | None = None, **wheel_of: object) -> Entry:
        """Install a wheel as pip does, and list it in the lock file unless told not to."""
        built = wheel.read(build(self.wheels, files or self.files(), **wheel_of))  # type: ignore[arg-type]
        unpack(built.path, self.place)
        entry = Entry(
            version=built.version,
            source="./acme",
            entry_points=built.entry_points,
            wheel=built.path.name,
            sha256=built.sha256,
            files=built.files,
        )
        if listed:
            self.change(lambda lock: lock.having(built.name, entry))
        return entry

    def change(self, edit: Callable[[Lock], Lock]) -> None:
        locks.change(self.data, edit)

    def found(self) -> list[Plugin]:
        """What is discovered here besides what came with tradewire."""
        importlib.invalidate_caches()
        return [each for each in registry.discover(self.data) if each.trust != "bundled"]

    def why(self) -> dict[str, str]:
        """Each plugin's problem; no code of a plugin may have run."""
        found = {each.name: each.problem for each in self.found()}
        assert not self.canary.exists()
        return found


@contextmanager
def isolated(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Let this process import from a new site, and forget afterwards what it imported."""
    monkeypatch.delenv("TRADEWIRE_LOAD_PLUGINS", raising=False)
    made = Site(directory)
    monkeypatch.syspath_prepend(str(made.place))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield made
    for name in set(sys.modules) - before:
        if name.startswith(("tradewire_", "acme", "evil")):
            del sys.modules[name]
