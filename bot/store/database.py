"""Opening the database and running transactions on it: one connection, one writing thread, every commit durable."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias, TypeVar

from sqlite_utils import Database

from bot.contract.errors import BotError
from bot.store.schema import migrations

T = TypeVar("T")
Connection: TypeAlias = sqlite3.Connection
Row: TypeAlias = sqlite3.Row

_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL: a commit that was acknowledged survives a power cut
    "fullfsync": 1,
    "foreign_keys": 1,
    "busy_timeout": 5000,
    "trusted_schema": 0,
    "secure_delete": 1,
}


class StoreError(BotError):
    """The database cannot be used; the text says why and what to do."""


class AlreadyRunning(StoreError):
    """Another bot holds the data directory."""


class Store:
    """The database of one instance.

    Args:
        path: The file; made, with its directory, when it does not exist. Only its owner may read it.

    Raises:
        StoreError: The file is damaged or is not ours; it is left as it was.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.chmod(0o600)
        try:
            _inspect(path)
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._connection.row_factory = sqlite3.Row
            self._lock = threading.Lock()
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
            try:
                self._prepare()
            except BaseException:
                self.close()
                raise
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"The database {path} cannot be used: {error}. Nothing was changed. Restore a backup, or move the "
                "file away to begin with an empty one."
            ) from error

    def _prepare(self) -> None:
        for name, value in _PRAGMAS.items():
            self._connection.execute(f"PRAGMA {name}={value}")
            actual = self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            if actual != value:
                raise StoreError(f"The database {self.path} refuses {name}={value} (it says {actual}).")
        database = Database(self._connection)
        if migrations.pending(database):
            if migrations.applied(database):
                self._backup_before_migration(len(migrations.applied(database)))
            migrations.apply(database)

    def _backup_before_migration(self, version: int) -> None:
        target = self.path.with_name(f"{self.path.stem}-before-migration-{version + 1}.db")
        target.unlink(missing_ok=True)
        self._connection.execute("VACUUM INTO ?", (str(target),))
        target.chmod(0o600)

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction in this thread: all of it is committed, or nothing."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            return result

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction in the writing thread. Once begun it ends, even if the caller is cancelled."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.transact, work)

    def meta(self, key: str) -> str:
        """Return a value that belongs to this instance for ever."""
        row = self.transact(lambda db: db.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone())
        return str(row["value"])

    def close(self) -> None:
        """Finish what was begun and close the file. Harmless when called twice."""
        self._thread.shutdown(wait=True)
        self._connection.close()


def _inspect(path: Path) -> None:
    """Look at a database without changing a byte of it.

    Opened for writing, even a damaged file is changed: by the switch to WAL, or by working in the log of a crash.
    """
    if path.stat().st_size == 0:
        return
    # Only a connection that may write can undo what a crash left in a rollback journal.
    mode = "rw" if path.with_name(f"{path.name}-journal").exists() else "ro"
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True)) as connection:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type='table'")}
        if not names:
            return
        if migrations.migrations_table not in names:
            raise StoreError(f"{path} is a database that was not made by tradewire. Set another path.")
        done = f"SELECT name FROM {migrations.migrations_table} WHERE migration_set=?"  # noqa: S608  # our own name
        applied = {name for (name,) in connection.execute(done, (migrations.name,))}
    database = Database(memory=True)
    known = {each.name for each in migrations.pending(database)}
    database.close()
    if unknown := sorted(applied - known):
        raise StoreError(
            f"The database {path} was used by a newer version of tradewire ({', '.join(unknown)}). Install that "
            "version again, or restore a backup from before it."
        )


class DirectoryLock:
    """Held by the one bot that may use a data directory; released by the kernel when the process ends.

    Raises:
        AlreadyRunning: Another process holds it.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = (directory / "lock").open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise AlreadyRunning(
                f"Another tradewire (process {holder}) is using {directory}. Stop it first."
            ) from error
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Let another process have the directory."""
        self._file.close()
