"""The power fails at any moment: what was acknowledged is there, and the file opens."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import random
import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest

from bot.store.database import Store
from tests.power.disk import Disk

CUTS = 500
CUTS_NIGHTLY = 10_000
_NAMES = itertools.count()


@dataclass
class Cut:
    """What a disk may hold after a cut: how many commits were acknowledged until then, and the files."""

    acknowledged: int
    files: dict[str, bytes]


def fingerprint(connection: sqlite3.Connection | apsw.Connection) -> str:
    """Return what tells two contents of a database apart: every table and every row."""
    digest = hashlib.sha256()
    tables = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type='table' ORDER BY name").fetchall()
    for name, sql in tables:
        rows = connection.execute(f'SELECT * FROM "{name}"').fetchall()
        digest.update(repr((name, sql, sorted(map(repr, map(tuple, rows))))).encode())
    return digest.hexdigest()


def committed(statements: list[str]) -> list[str]:
    """Return the fingerprint after each commit, the empty database first."""
    connection = apsw.Connection(":memory:")
    found = [fingerprint(connection)]
    for each in statements:
        connection.execute(each)
        if not connection.in_transaction and not each.upper().startswith("PRAGMA"):
            found.append(fingerprint(connection))
    connection.close()
    return found


def run(statements: list[str], cuts: int, *, synchronous: str, seed: int) -> list[Cut]:
    """Run the statements on a disk, and return what is left after cuts at random moments, spread over all of it."""
    counting = _played(statements, synchronous, lambda *_: None)
    chance = random.Random(seed)
    moments = Counter(chance.randrange(counting) for _ in range(cuts))
    made: list[Cut] = []

    def cut(moment: int, acknowledged: int, disk: Disk) -> None:
        for _ in range(moments[moment]):
            left = {name: file.after_a_cut(chance) for name, file in disk.files.items()}
            made.append(Cut(acknowledged, {name: data for name, data in left.items() if data is not None}))

    _played(statements, synchronous, cut)
    assert len(made) == cuts
    return made


def _played(statements: list[str], synchronous: str, cut: object) -> int:
    disk = Disk(f"disk {next(_NAMES)}")
    moments, acknowledged = 0, 0

    def moment() -> None:
        nonlocal moments
        cut(moments, acknowledged, disk)  # type: ignore[operator]
        moments += 1

    connection = apsw.Connection("tradewire.db", vfs=disk.name)
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    assert connection.execute("PRAGMA journal_mode=wal").get == "wal"
    disk.files["tradewire.db"].sync()  # a first start that never got this far has nothing to lose
    disk.moment = moment
    for each in statements:
        connection.execute(f"PRAGMA synchronous={synchronous}" if "synchronous=" in each else each)
        if each.startswith("PRAGMA trusted_schema"):
            connection.execute("PRAGMA wal_autocheckpoint=100")  # so that checkpoints happen in a short run, too
        if not connection.in_transaction and not each.upper().startswith("PRAGMA"):
            acknowledged += 1
    disk.moment = lambda: None
    connection.close()
    return moments


def verdict(cut: Cut, known: list[str], directory: Path) -> str:
    """Open what a cut left, as a start does, and say what became of it: `kept`, `lost` or `corrupt`."""
    for old in directory.iterdir():
        old.unlink()
    for name, data in cut.files.items():
        (directory / name).write_bytes(data)
    path = directory / "tradewire.db"
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            if connection.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
                return "corrupt"
            found = fingerprint(connection)
    except sqlite3.DatabaseError:
        return "corrupt"
    if found in known[cut.acknowledged : cut.acknowledged + 2]:  # the one under way may have come through
        return "kept"
    return "lost" if found in known else "corrupt"


def outcome(statements: list[str], cuts: int, directory: Path, synchronous: str = "2") -> Counter[str]:
    """Count the verdicts of so many cuts."""
    directory.mkdir()
    known = committed(statements)
    assert len(set(known)) > 60, "the run is too short to tell anything"
    return Counter(verdict(each, known, directory) for each in run(statements, cuts, synchronous=synchronous, seed=1))


def test_power_cut_loses_no_acknowledged_commit(recorded: list[str], quick_path: Path) -> None:
    """Wherever the power fails, every commit that was acknowledged is there, whole, and the file is sound."""
    assert outcome(recorded, CUTS, quick_path / "cut") == {"kept": CUTS}


@pytest.mark.nightly
def test_power_cut_loses_no_acknowledged_commit_nightly(recorded: list[str], quick_path: Path) -> None:
    """The same with many more cuts."""
    assert outcome(recorded, CUTS_NIGHTLY, quick_path / "cut") == {"kept": CUTS_NIGHTLY}


def test_power_cut_without_full_sync_loses_commits(recorded: list[str], quick_path: Path) -> None:
    """Control: with `synchronous=NORMAL` the same cuts lose commits, so the disk does forget what was not synced."""
    found = outcome(recorded, CUTS // 2, quick_path / "cut", synchronous="1")
    assert found["lost"] > 0.3 * found.total()


def test_power_cut_leaves_what_the_bot_can_start_on(recorded: list[str], quick_path: Path) -> None:
    """The store itself opens what is left, finishing a migration that did not get through."""
    directory = quick_path / "cut"
    for cut in run(recorded, 25, synchronous="2", seed=2):
        directory.mkdir()
        for name, data in cut.files.items():
            (directory / name).write_bytes(data)
        store = Store(directory / "tradewire.db", thorough=True)
        assert len(store.meta("instance_id")) == 64
        store.close()
        for each in directory.iterdir():
            each.unlink()
        directory.rmdir()
