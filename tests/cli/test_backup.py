"""`tradewire backup` and `restore`: what is copied, checked, kept and refused."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from bot.accounts import people
from bot.store.backup import back_up, verify
from bot.store.database import DirectoryLock, Store
from bot.store.errors import StoreError
from bot.trading import events, journal
from bot.trading.restored import JUMP
from bot.trading.upkeep import events_are_whole

NOW_MS = 1_700_000_000_000


def named(path: Path) -> set[str]:
    """Return the names in a directory of backups and databases, without SQLite's own."""
    return {each.name for each in path.iterdir() if not each.name.endswith(("-wal", "-shm"))}


@pytest.fixture
def ready(installation: Any) -> Any:
    """An installation with a database that knows one person and one event."""
    installation.configure()
    store = Store(installation.database)
    store.transact(journal.install_law)
    store.transact(lambda db: people.ensure_user(db, 7, "admin", now_ms=NOW_MS))
    store.transact(lambda db: events.record(db, kind="tested", detail={}, now_ms=NOW_MS))
    store.close()
    return installation


def people_in(path: Path) -> list[int]:
    connection = sqlite3.connect(path)
    found = [number for (number,) in connection.execute("SELECT id FROM users ORDER BY id")]
    connection.close()
    return found


def add_person(path: Path, user_id: int) -> None:
    store = Store(path)
    store.transact(lambda db: people.ensure_user(db, user_id, "trader", now_ms=NOW_MS))
    store.close()


def test_backup_while_the_bot_runs_is_whole_and_its_owners_alone(ready: Any, tmp_path: Path) -> None:
    """The copy holds what was committed, opens, and only its owner may read it; the text says what is not in it."""
    target = tmp_path / "copy.db"
    lock, store = DirectoryLock(ready.database.parent), Store(ready.database)
    store.transact(lambda db: people.ensure_user(db, 8, "trader", now_ms=NOW_MS))
    result = ready.run("backup", str(target))
    store.close()
    lock.release()
    assert (result.exit_code, people_in(target), stat.S_IMODE(target.stat().st_mode)) == (0, [7, 8], 0o600)
    assert "The master key is NOT in it" in result.stdout
    assert str(ready.master_key) in result.stdout
    verify(target, events_are_whole)


def test_backup_without_a_name_goes_beside_the_database(ready: Any) -> None:
    """The default place is a directory of its own, closed to others."""
    assert ready.run("backup").exit_code == 0
    directory = ready.database.parent / "backups"
    (found,) = directory.iterdir()
    assert (people_in(found), stat.S_IMODE(directory.stat().st_mode)) == ([7], 0o700)


def test_backup_onto_an_existing_file_is_refused(ready: Any, tmp_path: Path) -> None:
    """Nothing is overwritten."""
    target = tmp_path / "copy.db"
    target.write_text("precious")
    result = ready.run("backup", str(target))
    assert (result.exit_code, "exists already" in result.stderr, target.read_text()) == (1, True, "precious")


def test_backup_of_a_log_that_was_changed_is_refused_and_leaves_nothing(ready: Any, tmp_path: Path) -> None:
    """A copy that could not be trusted is not kept as one."""
    connection = sqlite3.connect(ready.database)
    connection.execute("UPDATE events SET kind='other' WHERE id=1")
    connection.commit()
    connection.close()
    result = ready.run("backup", str(tmp_path / "copy.db"))
    assert (result.exit_code, "event 1 of its log was changed" in result.stderr) == (1, True)
    assert not (tmp_path / "copy.db").exists()


def test_backup_stopped_in_the_middle_leaves_nothing_under_its_name(
    ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is written and checked the copy has another name; what a stop left does not stand in the way later."""
    target, seen = tmp_path / "copy.db", list[set[str]]()

    def stop(database: Path, written: Path, *proofs: Any) -> None:
        back_up(database, written, *proofs)
        seen.append({each.name for each in tmp_path.glob("copy.db*")})
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("bot.cli.backup.back_up", stop)
        assert ready.run("backup", str(target)).exit_code != 0
    assert (seen, target.exists()) == ([{"copy.db.part"}], False)
    assert ready.run("backup", str(target)).exit_code == 0
    assert ({each.name for each in tmp_path.glob("copy.db*")}, people_in(target)) == ({"copy.db"}, [7])


def test_backup_has_its_name_on_the_disk_before_it_says_so(
    ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory is waited for once the copy has its final name; else a power cut could take the name back."""
    target, seen = tmp_path / "copy.db", list[tuple[str, bool]]()
    monkeypatch.setattr("bot.cli.backup.sync", lambda path: seen.append((path.name, target.exists())))
    assert ready.run("backup", str(target)).exit_code == 0
    assert seen == [(tmp_path.name, True)]


def test_backup_without_a_database_says_so(installation: Any) -> None:
    """There is nothing to copy, and no empty database is made."""
    installation.configure()
    result = installation.run("backup")
    assert (result.exit_code, "There is no database" in result.stderr, installation.database.exists()) == (
        1,
        True,
        False,
    )


def test_restore_puts_the_backup_in_place_and_keeps_the_other(ready: Any, tmp_path: Path) -> None:
    """What came after the backup is in the file that is kept; the backup is untouched, and numbers went ahead."""
    backup = tmp_path / "copy.db"
    ready.run("backup", str(backup))
    before = backup.read_bytes()
    add_person(ready.database, 8)
    result = ready.run("restore", str(backup), "--yes")
    (kept,) = ready.database.parent.glob("tradewire-replaced-*.db")
    assert (result.exit_code, people_in(ready.database), people_in(kept)) == (0, [7], [7, 8])
    assert (backup.read_bytes(), str(kept) in result.stdout) == (before, True)
    assert stat.S_IMODE(ready.database.stat().st_mode) == 0o600
    store = Store(ready.database, thorough=True)
    seq = store.transact(lambda db: db.execute("SELECT seq FROM sqlite_sequence WHERE name='orders'").fetchone()[0])
    store.close()
    assert seq == JUMP
    verify(ready.database, events_are_whole)


def test_restore_keeps_what_only_the_log_of_a_crash_has(ready: Any, tmp_path: Path) -> None:
    """The database that is replaced keeps its log; none is left beside the restored one."""
    backup = tmp_path / "copy.db"
    ready.run("backup", str(backup))
    store = Store(ready.database)
    store.transact(lambda db: people.ensure_user(db, 8, "trader", now_ms=NOW_MS))
    crashed = {each: each.read_bytes() for each in ready.database.parent.glob("tradewire.db*")}
    store.close()
    for path, content in crashed.items():
        if not path.name.endswith("-shm"):
            path.write_bytes(content)
    assert ready.run("restore", str(backup), "--yes").exit_code == 0
    (kept,) = ready.database.parent.glob("tradewire-replaced-*.db")
    assert not ready.database.with_name("tradewire.db-wal").exists()
    found = people_in(ready.database)
    assert (found, people_in(kept)) == ([7], [7, 8])


def test_restore_twice_over_damaged_databases_goes_further_each_time(ready: Any, tmp_path: Path) -> None:
    """Where the replaced numbers cannot be read, those of earlier restores are kept clear of all the same."""
    backup = tmp_path / "copy.db"
    ready.run("backup", str(backup))
    for _ in range(2):
        ready.database.write_bytes(b"not a database at all" * 100)
        assert ready.run("restore", str(backup), "--yes").exit_code == 0
    connection = sqlite3.connect(ready.database)
    assert connection.execute("SELECT seq FROM sqlite_sequence WHERE name='orders'").fetchone()[0] == 2 * JUMP
    connection.close()


def test_restore_while_the_bot_runs_is_refused(ready: Any, tmp_path: Path) -> None:
    """The file of a running bot is not exchanged under it."""
    backup = tmp_path / "copy.db"
    ready.run("backup", str(backup))
    before = ready.database.read_bytes()
    lock = DirectoryLock(ready.database.parent)
    result = ready.run("restore", str(backup), "--yes")
    lock.release()
    assert (result.exit_code, "Stop it first" in result.stderr, ready.database.read_bytes()) == (75, True, before)


@pytest.mark.parametrize("content", [b"", b"no database" * 1000])
def test_restore_of_something_else_is_refused(ready: Any, tmp_path: Path, content: bytes) -> None:
    """An empty or foreign file takes nobody's place."""
    (tmp_path / "other").write_bytes(content)
    before = ready.database.read_bytes()
    result = ready.run("restore", str(tmp_path / "other"), "--yes")
    assert (result.exit_code, ready.database.read_bytes()) == (1, before)
    assert "Nothing was changed" in result.stderr


def test_restore_of_a_damaged_backup_is_refused(ready: Any, tmp_path: Path) -> None:
    """A backup with a damaged index or page is seen before anything is moved."""
    backup = tmp_path / "copy.db"
    ready.run("backup", str(backup))
    data = bytearray(backup.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    backup.write_bytes(data)
    with pytest.raises(StoreError, match="damaged"):
        verify(backup)
    result = ready.run("restore", str(backup), "--yes")
    assert (result.exit_code, named(ready.database.parent)) == (1, {"tradewire.db", "lock"})


def test_restore_asked_and_declined_changes_nothing(ready: Any, tmp_path: Path) -> None:
    """Without a yes the database stays."""
    backup = tmp_path / "copy.db"
    ready.run("backup", str(backup))
    add_person(ready.database, 8)
    assert ready.run("restore", str(backup), stdin="n\n").exit_code == 1
    assert people_in(ready.database) == [7, 8]
