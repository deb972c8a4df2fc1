from __future__ import annotations

import asyncio
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.store import check, database
from bot.store.check import inspect
from bot.store.database import Connection, DirectoryLock, Store
from bot.store.errors import AlreadyRunning, StoreDamaged, StoreError, StoreUnavailable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "tradewire.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store(path)
    yield store
    store.close()


def insert(db: Connection, key: str) -> None:
    db.execute("INSERT INTO meta VALUES (?, 'value')", (key,))


def keys(store: Store) -> set[str]:
    rows = store.transact(lambda db: db.execute("SELECT key FROM meta").fetchall())
    return {row["key"] for row in rows} - {"instance_id", "client_id_key"}


def test_store_opened_has_every_pragma(store: Store) -> None:
    """Each commit is durable, references hold, other programs are waited for, deleted rows are wiped."""
    names = (
        "journal_mode",
        "synchronous",
        "fullfsync",
        "foreign_keys",
        "busy_timeout",
        "trusted_schema",
        "secure_delete",
    )
    actual = store.transact(lambda db: {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in names})
    assert actual == {
        "journal_mode": "wal",
        "synchronous": 2,
        "fullfsync": 1,
        "foreign_keys": 1,
        "busy_timeout": 5000,
        "trusted_schema": 0,
        "secure_delete": 1,
    }


def test_store_refused_pragma_stops(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file on which a commit would not be durable is not used and not kept open; the text names the setting."""
    monkeypatch.setitem(database._PRAGMAS, "synchronous", 7)  # SQLite masks the value: it answers 0 or 3
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def noted(*args: Any, **options: Any) -> sqlite3.Connection:
        opened.append(connect(*args, **options))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", noted)
    with pytest.raises(StoreError, match=r"refuses synchronous=7 \(it says \d\)"):
        Store(path)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[-1].execute("SELECT 1")


def test_store_tables_are_strict(store: Store) -> None:
    """No column of ours takes a value of another type: a float cannot come into a column of amounts as a number."""
    loose = "SELECT name FROM pragma_table_list WHERE schema='main' AND type='table' AND strict=0"
    names = store.transact(lambda db: [row["name"] for row in db.execute(loose)])
    assert {name for name in names if not name.startswith(("sqlite_", "_sqlite_"))} == set()


def test_store_amount_comes_back_to_the_last_digit(store: Store) -> None:
    """An amount is text, so no digit is lost; binding a Decimal itself is refused by the driver."""
    amount = Decimal("0.1234567890123456789")
    store.transact(lambda db: db.execute("INSERT INTO meta VALUES ('amount', ?)", (format(amount, "f"),)))
    row = store.transact(lambda db: db.execute("SELECT value, typeof(value) FROM meta WHERE key='amount'").fetchone())
    assert (Decimal(row[0]), row[1]) == (amount, "text")
    with pytest.raises(sqlite3.Error, match="not supported"):
        store.transact(lambda db: db.execute("INSERT INTO meta VALUES ('other', ?)", (amount,)))


def test_store_amount_columns_are_text(store: Store) -> None:
    """Every amount of an order is kept as text."""
    rows = store.transact(lambda db: db.execute("SELECT name, type FROM pragma_table_info('orders')").fetchall())
    types = {row["name"]: row["type"] for row in rows}
    assert {types[name] for name in ("params", "filled", "average_price", "fee")} == {"TEXT"}
    assert set(types.values()) <= {"TEXT", "INTEGER", "BLOB"}


def test_store_files_belong_to_their_owner_alone(store: Store, path: Path) -> None:
    """Nobody else on the machine may read the database, its log or its directory."""
    store.transact(lambda db: insert(db, "a"))
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in (path.parent, *path.parent.iterdir())}
    expected = {"data": 0o700, "tradewire.db": 0o600, "tradewire.db-wal": 0o600, "tradewire.db-shm": 0o600}
    assert modes == expected


def test_store_file_open_to_others_is_closed_to_them(path: Path) -> None:
    """A database that was copied into place with loose rights is tightened when opened."""
    Store(path).close()
    path.chmod(0o644)
    Store(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_transact_exception_after_two_inserts_leaves_no_row(store: Store) -> None:
    """All of a transaction is committed, or nothing."""

    def work(db: Connection) -> None:
        insert(db, "a")
        insert(db, "b")
        raise KeyError

    with pytest.raises(KeyError):
        store.transact(work)
    assert keys(store) == set()
    store.transact(lambda db: insert(db, "c"))
    assert keys(store) == {"c"}


def test_transact_interrupted_leaves_no_row(store: Store) -> None:
    """Even Ctrl-C in the middle rolls back."""

    def work(db: Connection) -> None:
        insert(db, "a")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.transact(work)
    assert keys(store) == set()


def test_transact_work_that_commits_by_itself_is_still_whole(store: Store) -> None:
    """The connection opens no transaction of its own accord, so two inserts are one commit."""

    def work(db: Connection) -> bool:
        insert(db, "a")
        insert(db, "b")
        return db.in_transaction

    assert store.transact(work) is True
    assert keys(store) == {"a", "b"}


def test_transact_locked_by_another_program_commits_nothing(
    path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another program holds the lock the work is not begun, and it works again afterwards."""
    store.transact(lambda db: None)
    store._connection.execute("PRAGMA busy_timeout=10")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ran = []
    with pytest.raises(StoreUnavailable, match="Another program holds the database, so nothing was stored"):
        store.transact(lambda db: ran.append(1))
    other.execute("ROLLBACK")
    other.close()
    store.transact(lambda db: insert(db, "a"))
    assert (ran, keys(store)) == ([], {"a"})


async def test_run_cancelled_caller_does_not_tear_a_commit(store: Store) -> None:
    """Work that has begun ends, committed, though nobody waits for it any more."""
    begun, go = threading.Event(), threading.Event()

    def work(db: Connection) -> None:
        insert(db, "a")
        begun.set()
        go.wait(5)
        insert(db, "b")

    task = asyncio.ensure_future(store.run(work))
    await asyncio.to_thread(begun.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go.set()
    await store.run(lambda db: None)
    assert keys(store) == {"a", "b"}


def full_database(path: Path) -> None:
    """Write a database of many pages, closed cleanly."""
    store = Store(path)
    store.transact(lambda db: [db.execute("INSERT INTO meta VALUES (?, ?)", (str(n), "x" * 300)) for n in range(300)])
    store.close()


def contents(directory: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in directory.iterdir()}


def spoil_header(data: bytearray) -> None:
    data[:16] = b"not a database!!"


def spoil_middle(data: bytearray) -> None:
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)


def spoil_end(data: bytearray) -> None:
    del data[-6000:]


def spoil_rollback_copy(data: bytearray) -> None:
    """As a damaged backup: `VACUUM INTO` writes a file that is not in WAL mode."""
    data[18:20] = b"\x01\x01"
    spoil_middle(data)


@pytest.mark.parametrize("spoil", [spoil_header, spoil_middle, spoil_end, spoil_rollback_copy])
def test_store_damaged_file_is_refused_and_left_byte_identical(path: Path, spoil: Any) -> None:
    """What is left of a damaged database is evidence and may be saved: not a byte of it is changed."""
    full_database(path)
    data = bytearray(path.read_bytes())
    spoil(data)
    path.write_bytes(data)
    with pytest.raises(StoreError, match="restore a backup"):
        Store(path)
    assert path.read_bytes() == bytes(data)


def test_store_damaged_file_with_a_log_is_left_byte_identical(path: Path, tmp_path: Path) -> None:
    """A log that a crash left beside a damaged file is not worked into it."""
    full_database(path)
    store = Store(path)
    store.transact(lambda db: insert(db, "in the log"))
    data, log = bytearray(path.read_bytes()), path.with_name("tradewire.db-wal").read_bytes()
    store.close()
    spoil_middle(data)
    path.write_bytes(data)
    path.with_name("tradewire.db-wal").write_bytes(log)
    with pytest.raises(StoreError, match="restore a backup"):
        Store(path)
    after = contents(path.parent)
    assert (after["tradewire.db"], after["tradewire.db-wal"]) == (bytes(data), log)


def test_store_crash_with_a_log_keeps_what_was_committed(path: Path, tmp_path: Path) -> None:
    """A log that a crash left beside a good file is used: nothing committed is lost."""
    store = Store(path)
    store.transact(lambda db: insert(db, "in the log"))
    copy = tmp_path / "copy" / path.name
    copy.parent.mkdir()
    for name, data in contents(path.parent).items():
        if not name.endswith("-shm"):
            copy.with_name(name).write_bytes(data)
    store.close()
    again = Store(copy)
    assert keys(again) == {"in the log"}
    again.close()


def test_store_database_of_another_program_is_refused(path: Path) -> None:
    """A path that was set wrong does not put our tables into somebody else's database."""
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE songs(title)")
    other.commit()
    other.close()
    before = contents(path.parent)
    with pytest.raises(StoreError, match="not made by tradewire"):
        Store(path)
    assert contents(path.parent) == before


def test_store_database_of_a_newer_version_is_refused(path: Path) -> None:
    """An older program does not write into tables whose meaning it does not know."""
    store = Store(path)
    store.transact(lambda db: db.execute("INSERT INTO _sqlite_migrations VALUES (9, 'tradewire', 'from_2031', '')"))
    store.close()
    with pytest.raises(StoreError, match="newer version"):
        Store(path)


def newer(monkeypatch: pytest.MonkeyPatch, *, fails: bool) -> None:
    """Give the program a second migration."""

    def second(db: Connection) -> None:
        db.execute("CREATE TABLE more(id INTEGER PRIMARY KEY) STRICT")
        db.execute("UPDATE meta SET value='changed' WHERE key='a'")
        if fails:
            raise RuntimeError("killed")

    migrations = {"first": lambda db: None, "second": second}
    monkeypatch.setattr(database, "MIGRATIONS", migrations)
    monkeypatch.setattr(check, "MIGRATIONS", migrations)


def test_store_migration_backs_up_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before an upgrade touches anything, a whole copy of the old file lies beside it, for its owner alone."""
    store = Store(path)
    store.transact(lambda db: insert(db, "a"))
    store.close()
    newer(monkeypatch, fails=False)
    store = Store(path)
    value = store.transact(lambda db: db.execute("SELECT value FROM meta WHERE key='a'").fetchone()[0])
    store.close()
    backup = path.with_name("tradewire-before-migration-2.db")
    old = sqlite3.connect(backup)
    kept = old.execute("SELECT value FROM meta WHERE key='a'").fetchone()[0]
    tables = old.execute("SELECT count(*) FROM sqlite_schema WHERE name='more'").fetchone()[0]
    old.close()
    assert (value, kept, tables, stat.S_IMODE(backup.stat().st_mode)) == ("changed", "value", 0, 0o600)


def test_store_migration_that_fails_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration is one transaction: killed half-way, it can simply be run again."""
    store = Store(path)
    store.transact(lambda db: insert(db, "a"))
    store.close()
    with monkeypatch.context() as patch:
        newer(patch, fails=True)
        with pytest.raises(RuntimeError):
            Store(path)
    again = sqlite3.connect(path)
    value = again.execute("SELECT value FROM meta WHERE key='a'").fetchone()[0]
    tables = again.execute("SELECT count(*) FROM sqlite_schema WHERE name='more'").fetchone()[0]
    applied = [name for (name,) in again.execute("SELECT name FROM _sqlite_migrations")]
    again.close()
    assert (value, tables, applied) == ("value", 0, ["first"])
    newer(monkeypatch, fails=False)
    Store(path).close()


def test_store_new_file_needs_no_backup(store: Store, path: Path) -> None:
    """The first start leaves no copy of an empty database."""
    assert list(path.parent.glob("*before-migration*")) == []


def test_store_instance_values_stay_the_same(path: Path) -> None:
    """The key of the client order ids and the instance's name are made once, and differ from each other."""
    store = Store(path)
    first = store.meta("instance_id"), store.meta("client_id_key")
    store.close()
    store = Store(path)
    assert (store.meta("instance_id"), store.meta("client_id_key")) == first
    store.close()
    assert len({*first}) == 2


_HOLD = """
import sys
from pathlib import Path
from bot.store.database import AlreadyRunning, DirectoryLock
try:
    lock = DirectoryLock(Path(sys.argv[1]))
except AlreadyRunning as error:
    print(error, flush=True)
else:
    print("held", flush=True)
    sys.stdin.read()
"""


def test_lock_held_by_another_process_is_refused_and_freed_by_its_death(tmp_path: Path) -> None:
    """A second bot on the same data does not start; one that was killed stands in nobody's way."""
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(AlreadyRunning, match=rf"process {holder.pid}\) is using .* Stop it first"):
        DirectoryLock(tmp_path)
    holder.kill()
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    DirectoryLock(tmp_path).release()


def test_lock_released_can_be_taken_again(tmp_path: Path) -> None:
    """The second holder in the same process is refused, too, until the first lets go."""
    first = DirectoryLock(tmp_path / "data")
    with pytest.raises(AlreadyRunning):
        DirectoryLock(tmp_path / "data")
    first.release()
    DirectoryLock(tmp_path / "data").release()
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_lock_after_a_killed_holder_says_so_once(tmp_path: Path) -> None:
    """A holder that did not release it was killed, or the power failed: the next one looks at the whole database."""
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    found = []
    for _ in range(2):
        lock = DirectoryLock(tmp_path)
        found.append(lock.was_unclean)
        lock.release()
        lock.release()  # harmless
    assert found == [True, False]


def test_transact_inside_a_transaction_is_refused_at_once(store: Store) -> None:
    """It would wait for itself for ever; the outer transaction is undone, and the store goes on."""

    def work(db: Connection) -> None:
        insert(db, "a")
        store.meta("instance_id")

    with pytest.raises(RuntimeError, match="use the connection that the work was given"):
        store.transact(work)
    store.transact(lambda db: insert(db, "b"))
    assert keys(store) == {"b"}


def damaged_index(path: Path) -> None:
    """Take a row out of an index, so that only the full check sees it."""
    full_database(path)
    other = sqlite3.connect(path)
    other.execute("PRAGMA writable_schema=ON")
    other.execute("CREATE INDEX spare ON meta(value)")
    other.execute("INSERT INTO meta VALUES ('one', 'more')")
    other.execute("UPDATE sqlite_schema SET sql='CREATE INDEX spare ON meta(key)' WHERE name='spare'")
    other.commit()
    other.close()


def test_store_opened_thoroughly_sees_an_index_that_differs(path: Path) -> None:
    """After a stop that was none, an index is compared with its table; the quick look of every day does not do that."""
    damaged_index(path)
    Store(path).close()
    with pytest.raises(StoreDamaged, match="tradewire restore FILE"):
        Store(path, thorough=True)


def test_check_damage_found_stops_all_work(path: Path) -> None:
    """Once the daily look finds damage, nothing is read or written any more, and the sentence says what to do."""
    full_database(path)
    store = Store(path)
    store.check()
    data = bytearray(path.read_bytes())
    spoil_middle(data)
    path.write_bytes(data)
    for attempt in (store.check, lambda: store.transact(lambda db: insert(db, "a"))):
        with pytest.raises(StoreDamaged, match="Nothing is traded on it"):
            attempt()
    store.close()


def test_check_failed_proof_stops_all_work(store: Store) -> None:
    """Rows that contradict each other are damage, too."""
    store.check(lambda _: None)
    with pytest.raises(StoreDamaged, match="is damaged: two and two are five"):
        store.check(lambda _: "two and two are five")
    with pytest.raises(StoreDamaged):
        store.meta("instance_id")


async def test_run_until_stored_waits_for_the_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing can be stored it is tried again, for a minute; what is wrong in itself is not."""
    slept: list[float] = []
    tries = iter([StoreUnavailable("full"), StoreUnavailable("full")])

    def work(db: Connection) -> str:
        if problem := next(tries, None):
            raise problem
        return "stored"

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    assert (await store.run_until_stored(work, sleep), slept) == ("stored", [1, 2])

    def never(db: Connection) -> None:
        raise StoreUnavailable("full")

    with pytest.raises(StoreUnavailable):
        await store.run_until_stored(never, sleep)
    assert sum(slept) == 63
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await store.run_until_stored(lambda db: db.execute("SELECT * FROM missing"), sleep)
    assert sum(slept) == 63


_MIGRATE = """
import os, signal, sys
from pathlib import Path
from bot.store import check, database
def second(db):
    db.execute("CREATE TABLE more(id INTEGER PRIMARY KEY) STRICT")
    db.execute("UPDATE meta SET value='changed' WHERE key='a'")
    os.kill(os.getpid(), signal.SIGKILL)
database.MIGRATIONS = check.MIGRATIONS = {"first": lambda db: None, "second": second}
database.Store(Path(sys.argv[1]))
"""


def test_store_migration_killed_leaves_the_old_database_and_a_backup(path: Path) -> None:
    """Killed in the middle, nothing of the step is there, the backup is whole, and the old program runs on."""
    store = Store(path)
    store.transact(lambda db: insert(db, "a"))
    store.close()
    killed = subprocess.run([sys.executable, "-c", _MIGRATE, path], check=False)
    assert killed.returncode == -signal.SIGKILL
    inspect(path.with_name("tradewire-before-migration-2.db"), thorough=True)
    store = Store(path, thorough=True)
    found = store.transact(
        lambda db: (
            db.execute("SELECT value FROM meta WHERE key='a'").fetchone()[0],
            db.execute("SELECT count(*) FROM sqlite_schema WHERE name='more'").fetchone()[0],
        )
    )
    store.close()
    assert found == ("value", 0)


def test_store_damaged_table_of_migrations_is_refused(path: Path) -> None:
    """A changed byte in a column's name is told like any other damage."""
    Store(path).close()
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"applied_at" TEXT', b'"applied_au" TEXT'))
    assert path.read_bytes() != data
    with pytest.raises(StoreDamaged, match="table of migrations was changed"):
        Store(path)
