"""Which installed plugins may be imported, and importing only what the lock file knows."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Literal, TypeAlias

from packaging.utils import canonicalize_name

from bot.contract.errors import PluginError
from bot.exchanges.lock import LOCK_NAME, Entry, Lock
from bot.exchanges.wheel import digest

Trust: TypeAlias = Literal["", "bundled", "pinned", "development", "unlisted"]

BUNDLED: Mapping[str, Mapping[str, str]] = {
    "tradewire-bitget": {"bitget": "tradewire_bitget"},
    "tradewire-bitopro": {"bitopro": "tradewire_bitopro"},
    "tradewire-bitrue": {"bitrue": "tradewire_bitrue"},
    "tradewire-btcc": {"btcc": "tradewire_btcc"},
}
"""The distributions that come with tradewire, which need no entry in the lock file, and what each announces."""

RESTORE = "tradewire install --restore"


def name_of(point: metadata.EntryPoint) -> str:
    """Return the name of the distribution that announces a plugin."""
    return _name(point.dist) if point.dist else "unknown"


@functools.lru_cache(maxsize=64)
def _name(distribution: metadata.Distribution) -> str:
    return canonicalize_name(distribution.name)  # to find it, all of the metadata is parsed, with the description


def trust_of(point: metadata.EntryPoint, lock: Lock) -> Trust:
    """Return why a plugin is held to be what somebody chose to run."""
    if BUNDLED.get(name_of(point), {}).get(point.name) == point.value:
        return "bundled"
    entry = lock.plugins.get(name_of(point))
    if entry is None or entry.entry_points.get(point.name) != point.value:
        return "unlisted"
    return "development" if entry.development else "pinned"


def refusal(point: metadata.EntryPoint, lock: Lock) -> str:
    """Return why a plugin may not be imported and what to do; empty where it may."""
    name, trust = name_of(point), trust_of(point, lock)
    if trust == "unlisted":
        return (
            f"{name} is not in {LOCK_NAME} with this plugin, so it was not imported; if you trust it, "
            f"install it with `tradewire install`, else remove it: pip uninstall {name}"
        )
    if point.name in lock.disabled:
        return f"it is switched off; to switch it on: tradewire plugins enable {point.name}"
    if trust in ("bundled", "development"):
        return ""
    entry = lock.plugins[name]
    if entry.sha256 in lock.revoked:
        return f"this wheel of {name} is revoked; take another version: tradewire upgrade {name}"
    if problem := difference(entry, _root(point)):
        return f"{problem}, so it was not imported; to put back what you installed: {RESTORE}"
    return ""


def difference(entry: Entry, root: Path) -> str:
    """Return what the first installed file is that differs from the lock file; empty where all are as recorded."""
    for path, expected in entry.files.items():
        try:
            data = (root / path).read_bytes()
        except OSError:
            return f"its file {path} is missing"
        if digest(data) != expected:
            return f"its file {path} was changed since it was installed"
    return ""


def known(lock: Lock, word: str) -> str:
    """Return the plugin that a person means by its name or by the name of its distribution.

    Raises:
        PluginError: There is none, or the distribution holds several.
    """
    points = {dist: tuple(entry.entry_points) for dist, entry in lock.plugins.items()}
    points |= {dist: tuple(each) for dist, each in BUNDLED.items()}
    names = {name for each in points.values() for name in each}
    found = [word] if word in names else list(points.get(word, ()))
    if len(found) != 1:
        raise PluginError(f"No plugin is called {word}. There are: {', '.join(sorted(names))}.")
    return found[0]


def load(point: metadata.EntryPoint, lock: Lock) -> Any:
    """Import a plugin that `refusal` has nothing against; a pinned one from no bytes but those the lock file names."""
    if trust_of(point, lock) == "pinned":
        importer = VerifiedImporter(_root(point), lock.plugins[name_of(point)].files)
        if importer not in sys.meta_path:
            sys.meta_path.insert(0, importer)
    return point.load()


def _root(point: metadata.EntryPoint) -> Path:
    assert point.dist is not None
    return Path(str(point.dist.locate_file("")))


@dataclass(frozen=True)
class VerifiedImporter(MetaPathFinder):
    """Imports the modules of one plugin, each compared with its hash as it is read, also long after the start.

    Nothing else is found under the plugin's names: no added module, no compiled file, no cached bytecode, which Python
    would otherwise prefer to the source.
    """

    root: Path
    files: Mapping[str, str]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top, inside = fullname.partition(".")[0], fullname.replace(".", "/")
        if not {f"{top}.py", f"{top}/__init__.py"} & self.files.keys():
            return None
        for file in (f"{inside}/__init__.py", f"{inside}.py"):
            if file in self.files:
                place = str(self.root / file)
                loader = _VerifiedLoader(fullname, place, self.files[file])
                return spec_from_file_location(fullname, place, loader=loader)
        raise ModuleNotFoundError(f"{fullname} is not part of what was installed", name=fullname)


class _VerifiedLoader(SourceFileLoader):
    def __init__(self, fullname: str, path: str, expected: str) -> None:
        super().__init__(fullname, path)
        self._expected = expected

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path)
        if digest(source) != self._expected:
            raise ImportError(f"{self.path} was changed since it was installed; to put it back: {RESTORE}")
        return self.source_to_code(source, self.path)
