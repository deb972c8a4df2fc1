"""Opening the database and running transactions on it: one connection, one writing thread, every commit durable."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from bot.store.check import Proof, applied, inspect
from bot.store.commit import Work, answer, do_all
from bot.store.errors import AlreadyRunning, StoreDamaged, StoreError, StoreUnavailable, in_sentences
from bot.store.schema import MIGRATIONS, NAME

T = TypeVar("T")
Connection: TypeAlias = sqlite3.Connection
Row: TypeAlias = sqlite3.Row

_MOST_TOGETHER = 256
_PAUSES_SECONDS = (1, 2, 4, 8, 15, 30)
_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL: a commit that was acknowledged survives a power cut
    "fullfsync": 1,
    "foreign_keys": 1,
    "busy_timeout": 5000,
    "trusted_schema": 0,
    "secure_delete": 1,
    "wal_autocheckpoint": 1000,  # pages; then the log is written over, which the disk has sooner than more of it
}
_STATEMENTS = 512
"""How many prepared statements a connection keeps: more than the bot has."""


class Store:
    """The database of one instance.

    Args:
        path: The file; made, with its directory, when it does not exist. Only its owner may read it.
        thorough: Look at every page and index first, as after a stop that was no stop.

    Attributes:
        commits: Commits that changed something, since it was opened.

    Raises:
        StoreError: The file is damaged or is not ours; it is left as it was.
    """

    def __init__(self, path: Path, *, thorough: bool = False) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.chmod(0o600)
        try:
            inspect(path, thorough=thorough)
            self._connection = self._connect()
            self._reading: Connection | None = None
            self._lock = threading.Lock()
            self._inside: int | None = None
            self._damage: StoreDamaged | None = None
            self.commits = 0
            self._waiting: deque[Work] = deque()
            self._is_called = False  # the writing thread, and it has not looked yet
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
            try:
                self._prepare()
            except BaseException:
                self.close()
                raise
        except StoreError:
            raise
        except sqlite3.DatabaseError as error:
            raise in_sentences(error, path) or StoreError(
                f"The database {path} cannot be used: {error}. Nothing was changed."
            ) from error

    def _connect(self) -> Connection:
        options: dict[str, Any] = {"isolation_level": None, "check_same_thread": False}
        connection: Connection = sqlite3.connect(self.path, cached_statements=_STATEMENTS, **options)
        connection.row_factory = sqlite3.Row
        return connection

    def _prepare(self) -> None:
        for name, value in _PRAGMAS.items():
            self._connection.execute(f"PRAGMA {name}={value}")
            actual = self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            if actual != value:
                raise StoreError(f"The database {self.path} refuses {name}={value} (it says {actual}).")
        done = applied(self._connection, self.path)
        if MIGRATIONS.keys() - done:
            if done:
                self._backup_before_migration(len(done))
            self._migrate()

    def _migrate(self) -> None:
        from sqlite_utils import Database, Migrations  # its numpy, where there is one, takes a fifth of a start

        migrations = Migrations(NAME)
        for name, migrate in MIGRATIONS.items():
            migrations(name=name)(migrate)
        migrations.apply(Database(self._connection, execute_plugins=False))  # plugins: unlisted code beside the keys

    def _backup_before_migration(self, version: int) -> None:
        target = self.path.with_name(f"{self.path.stem}-before-migration-{version + 1}.db")
        target.unlink(missing_ok=True)
        copy(self._connection, target)

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction in this thread: all of it is committed, or nothing.

        Raises:
            StoreUnavailable: The disk is full, or another program held the database for five seconds.
            StoreDamaged: The file turned out to be damaged, now or earlier; nothing is done on it any more.
            RuntimeError: `work` called it again; it must use the connection that it was given.
        """
        if self._inside == threading.get_ident():
            raise RuntimeError("transact was called inside a transaction: use the connection that the work was given")
        with self._lock:
            if self._damage is not None:
                raise StoreDamaged(str(self._damage))
            self._inside = threading.get_ident()
            try:
                return self._committed(work)
            except StoreError:
                raise
            except sqlite3.Error as error:
                told = self._told(error)
                if told is None:
                    raise
                raise told from error
            finally:
                self._inside = None

    def _committed(self, work: Callable[[Connection], T]) -> T:
        self._connection.execute("BEGIN IMMEDIATE")
        before = self._connection.total_changes
        try:
            result = work(self._connection)
            self._connection.execute("COMMIT")
            self.commits += self._connection.total_changes > before
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return result

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in the writing thread: all of it is committed when this returns, or nothing when it raises.

        Works that wait at the same time share one commit, each in a savepoint of its own: one that fails undoes itself
        alone, and a commit that fails undoes, and fails, them all. Once begun it ends, even if the caller is cancelled.

        Raises:
            StoreUnavailable: Nothing of it was stored; as `transact`, whose other errors it raises, too.
        """
        result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(Work(work, result))
        if not self._is_called:  # what is appended before the thread has looked is seen by it
            self._is_called = True
            try:
                asyncio.get_running_loop().run_in_executor(self._thread, self._work_off)
            except RuntimeError:  # the store was closed
                self._is_called = False
                self._waiting.clear()
                raise
        found: T = await result
        return found

    def _work_off(self) -> None:
        self._is_called = False
        while self._waiting:
            # Nobody else takes from the queue, so as many as are counted are there.
            found = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_TOGETHER))]
            if works := [work for work in found if not work.result.cancelled()]:
                do_all(works, self.transact)
                answer(works)

    def look(self, work: Callable[[Connection], T]) -> T:
        """Read what is committed, at once and in this thread, on a connection that can change nothing.

        For a few rows found by index, where a turn of the writing thread would cost more than the rows. It waits for
        nobody, and nobody waits for it. What depends on the answer looks again in the transaction that acts on it.

        Raises:
            StoreDamaged: The file turned out to be damaged.
        """
        if self._damage is not None:
            raise StoreDamaged(str(self._damage))
        if self._reading is None:
            self._reading = self._connect()
            self._reading.execute("PRAGMA trusted_schema=0")
            self._reading.execute("PRAGMA query_only=1")
        self._reading.execute("BEGIN")
        try:
            return work(self._reading)
        except sqlite3.Error as error:
            raise self._told(error) or error from None
        finally:
            if self._reading.in_transaction:
                self._reading.execute("ROLLBACK")

    async def run_until_stored(self, work: Callable[[Connection], T], sleep: Callable[[float], Awaitable[None]]) -> T:
        """Run `work` as `run` does, and again for about a minute while it cannot be stored.

        For what happened outside already, such as an exchange's answer. `work` must read what it depends on anew.
        """
        for pause in _PAUSES_SECONDS:
            try:
                return await self.run(work)
            except StoreUnavailable:
                await sleep(pause)
        return await self.run(work)

    def check(self, *proofs: Proof) -> None:
        """Look at the file as it lies on the disk, beside whatever is being written. Takes a thread's time, no lock.

        Raises:
            StoreDamaged: It is damaged; from now on nothing is done on it any more.
        """
        try:
            inspect(self.path, *proofs)
        except sqlite3.DatabaseError as error:
            raise self._told(error) or error from None

    def _told(self, error: sqlite3.Error) -> StoreError | None:
        """Return what a person is told of a failure, and remember when it means that the file is damaged."""
        told = error if isinstance(error, StoreDamaged) else in_sentences(error, self.path)
        if isinstance(told, StoreDamaged):
            self._damage = told
        return told

    def compact(self) -> bool:
        """Write the file anew, without what was deleted, and empty its log. Takes a second per 100 MB or so.

        Returns:
            Whether the log was emptied too. Not while another program, such as a backup, is reading the database.

        Raises:
            StoreUnavailable: The disk is full, or another program held the database for five seconds.
        """
        with self._lock:
            try:
                self._connection.execute("VACUUM")
                return bool(self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
            except sqlite3.Error as error:
                raise in_sentences(error, self.path) or error from None

    def meta(self, key: str) -> str:
        """Return a value that belongs to this instance for ever."""
        row = self.transact(lambda db: db.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone())
        return str(row["value"])

    def close(self) -> None:
        """Finish what was begun and close the file. Harmless when called twice."""
        self._thread.shutdown(wait=True)
        if self._reading is not None:
            self._reading.close()
        self._connection.close()


def copy(connection: Connection, target: Path) -> None:
    """Write a whole and tidy copy of an open database, for its owner alone, and wait until the disk has it.

    Raises:
        FileExistsError: There is a file of that name.
    """
    target.touch(mode=0o600, exist_ok=False)  # never open to others, not even while it is written
    try:
        connection.execute("VACUUM INTO ?", (str(target),))
        sync(target)
        sync(target.parent)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Wait until the disk has a file, or the names in a directory."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


class DirectoryLock:
    """Held by the one bot that may use a data directory; released by the kernel when the process ends.

    Attributes:
        was_unclean: Whether the last holder ended without releasing it: killed, or the power failed.

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
        self._file.seek(0)
        self.was_unclean = bool(self._file.read())
        self._write(str(os.getpid()))

    def release(self) -> None:
        """Let another process have the directory, and tell it that all was in order."""
        if not self._file.closed:
            self._write("")
            self._file.close()

    def _write(self, text: str) -> None:
        self._file.truncate(0)
        self._file.write(text)
        self._file.flush()
        os.fsync(self._file.fileno())
