"""The lock file: which plugins that do not come with tradewire may be imported, and what exactly was installed of each.

`plugins.lock` is a TOML file in the data directory, for its owner alone. `tradewire install` writes it; at every start
the installed files are compared with it before any of them is imported.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

from bot.contract.errors import PluginError

LOCK_NAME = "plugins.lock"
WHEELS = "plugins"
"""The directory, beside the lock file, with the wheel of every plugin in it."""
_FORMAT = 1
_HEADER = (
    "The plugins that tradewire may import, with the sha256 of each wheel and of each file in it.\n"
    "Written by `tradewire install`, `upgrade`, `uninstall` and `plugins`. What is not listed here is not imported."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One installed plugin.

    Attributes:
        version: Of its distribution.
        source: What was given to `tradewire install`: a name, a path or a git address.
        entry_points: Plugin name to module, as the distribution announces them.
        wheel: File name of the wheel in the directory `WHEELS`.
        sha256: Of that wheel, in hex.
        files: Path below the place of installation to sha256 in hex, for everything in the wheel.
        development: It is used from its own directory; nothing of it is compared.
    """

    version: str
    source: str
    entry_points: Mapping[str, str]
    wheel: str = ""
    sha256: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    development: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """All of the lock file.

    Attributes:
        plugins: By the name of the distribution, in lower case with hyphens.
        disabled: Names of plugins that are switched off; those that come with tradewire may be among them.
        revoked: sha256 of wheels that are never taken again.
    """

    plugins: Mapping[str, Entry] = field(default_factory=dict)
    disabled: frozenset[str] = frozenset()
    revoked: frozenset[str] = frozenset()

    def without(self, name: str) -> Lock:
        """Return the lock without one distribution."""
        rest = {each: entry for each, entry in self.plugins.items() if each != name}
        return Lock(plugins=rest, disabled=self.disabled, revoked=self.revoked)

    def having(self, name: str, entry: Entry) -> Lock:
        """Return the lock with one distribution added or replaced."""
        return Lock(plugins={**self.plugins, name: entry}, disabled=self.disabled, revoked=self.revoked)

    def switched(self, plugin: str, *, on: bool) -> Lock:
        """Return the lock with one plugin switched on or off."""
        disabled = self.disabled - {plugin} if on else self.disabled | {plugin}
        return Lock(plugins=self.plugins, disabled=disabled, revoked=self.revoked)

    def revoking(self, sha256: str) -> Lock:
        """Return the lock that never takes the wheel with this hash again."""
        return Lock(plugins=self.plugins, disabled=self.disabled, revoked=self.revoked | {sha256})

    def distribution_of(self, word: str) -> str | None:
        """Return the distribution that a person means by its name or by the name of one of its plugins."""
        if word in self.plugins:
            return word
        return next((name for name, entry in self.plugins.items() if word in entry.entry_points), None)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    disabled: frozenset[str] = frozenset()
    revoked: frozenset[str] = frozenset()
    plugins: dict[str, Entry] = msgspec.field(default_factory=dict)


def read(directory: Path) -> Lock:
    """Return the lock of a data directory; an empty one where there is no file.

    Raises:
        PluginError: The file cannot be read, or others may write it, so that it proves nothing.
    """
    path = directory / LOCK_NAME
    try:
        with path.open("rb") as file:
            _refuse_foreign(path, os.fstat(file.fileno()))
            found = msgspec.convert(tomllib.load(file), _File)
    except FileNotFoundError:
        return Lock()
    except OSError as error:
        raise PluginError(f"{path} cannot be read ({error.strerror}); give it to the bot's user") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise PluginError(f"{path} is damaged ({error}); delete it and install the plugins again") from error
    if found.format != _FORMAT:
        raise PluginError(f"{path} was written by another version of tradewire (format {found.format}); upgrade it")
    return Lock(plugins=found.plugins, disabled=found.disabled, revoked=found.revoked)


def _refuse_foreign(path: Path, found: os.stat_result) -> None:
    if found.st_uid not in (os.getuid(), 0):
        raise PluginError(f"{path} belongs to another user, so it proves nothing; run: chown {os.getuid()} {path}")
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise PluginError(
            f"{path} can be written by others, so it proves nothing; check it, then run: chmod 600 {path}"
        )


def change(directory: Path, edit: Callable[[Lock], Lock]) -> Lock:
    """Change the lock file in one step, alone, and return what it says now.

    Raises:
        PluginError: As `read`.
    """
    with _alone(directory):
        changed = edit(read(directory))
        _write(directory / LOCK_NAME, changed)
    return changed


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, lock: Lock) -> None:
    import tomlkit  # for writing alone, which a running bot does not do at its start

    document = tomlkit.document()
    for line in _HEADER.splitlines():
        document.add(tomlkit.comment(line))
    document.update({"format": _FORMAT, "disabled": sorted(lock.disabled), "revoked": sorted(lock.revoked)})
    document.add("plugins", tomlkit.item({name: asdict(entry) for name, entry in sorted(lock.plugins.items())}))
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{LOCK_NAME}-")  # for its owner alone
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(tomlkit.dumps(document))
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
