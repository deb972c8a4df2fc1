"""The lock file: readable by people, for its owner alone, and changed in one step."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bot.contract.errors import PluginError
from bot.exchanges import lock as locks
from bot.exchanges.lock import Entry, Lock

ENTRY = Entry(
    version="1.0",
    source="tradewire-acme",
    entry_points={"acme": "tradewire_acme"},
    wheel="tradewire_acme-1.0-py3-none-any.whl",
    sha256="aa",
    files={"tradewire_acme/__init__.py": "bb"},
)
LOCK = Lock(plugins={"tradewire-acme": ENTRY}, disabled=frozenset({"acme"}), revoked=frozenset({"cc"}))
TEXT = """\
# The plugins that tradewire may import, with the sha256 of each wheel and of each file in it.
# Written by `tradewire install`, `upgrade`, `uninstall` and `plugins`. What is not listed here is not imported.
format = 1
disabled = ["acme"]
revoked = ["cc"]

[plugins.tradewire-acme]
version = "1.0"
source = "tradewire-acme"
wheel = "tradewire_acme-1.0-py3-none-any.whl"
sha256 = "aa"
development = false

[plugins.tradewire-acme.entry_points]
acme = "tradewire_acme"

[plugins.tradewire-acme.files]
"tradewire_acme/__init__.py" = "bb"
"""


def test_lock_is_written_for_people_and_for_its_owner_alone(tmp_path: Path) -> None:
    """The file says what it is, can be read by eye, and comes back as it was."""
    data = tmp_path / "data"
    assert locks.change(data, lambda _: LOCK) == LOCK
    file = data / "plugins.lock"
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == (TEXT, 0o600)
    assert locks.read(data) == LOCK
    assert [path.name for path in data.iterdir()] == ["plugins.lock"]


def test_lock_without_a_file_is_empty(tmp_path: Path) -> None:
    """Whoever installed nothing has no file."""
    assert locks.read(tmp_path) == Lock()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("format = 1\n[plug", "is damaged"),
        ("disabled = []", "is damaged"),
        ("format = 1\nevil = 1", "is damaged"),
        ("format = 1\n[plugins.a]\nversion = 1\nsource = ''\nentry_points = {}", "is damaged"),
        ("format = 2", "was written by another version of tradewire"),
    ],
)
def test_lock_that_cannot_be_understood_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    """Nothing is guessed: the file is named, with what to do."""
    file = tmp_path / "plugins.lock"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(PluginError) as caught:
        locks.read(tmp_path)
    assert (str(file) in str(caught.value), sentence in str(caught.value)) == (True, True)


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_lock_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    """Whoever can write it decides what runs."""
    locks.change(tmp_path, lambda _: LOCK)
    (tmp_path / "plugins.lock").chmod(mode)
    with pytest.raises(PluginError, match="can be written by others"):
        locks.read(tmp_path)


def test_lock_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that somebody else made was not written by `tradewire install` here."""
    locks.change(tmp_path, lambda _: LOCK)
    found = os.stat_result((0o100600, 1, 1, 1, 4242, 4242, 10, 0, 0, 0))
    monkeypatch.setattr(os, "fstat", lambda _: found)
    with pytest.raises(PluginError, match="belongs to another user"):
        locks.read(tmp_path)


def test_lock_changed_by_many_at_once_loses_nothing(tmp_path: Path) -> None:
    """The bot's /plugins and the command line may write in the same moment."""
    names = {f"p{number}" for number in range(40)}

    def switch(name: str) -> None:
        locks.change(tmp_path, lambda lock: lock.switched(name, on=False))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(switch, names))
    assert locks.read(tmp_path).disabled == names


def test_lock_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk costs the change, not the file."""
    locks.change(tmp_path, lambda _: LOCK)

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        locks.change(tmp_path, lambda lock: lock.without("tradewire-acme"))
    assert locks.read(tmp_path) == LOCK
    assert [path.name for path in tmp_path.iterdir()] == ["plugins.lock"]
