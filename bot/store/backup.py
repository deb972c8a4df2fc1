"""Copies of the database that can be trusted, and putting one back."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

from bot.store.check import Proof, connect_to_read, inspect
from bot.store.database import Connection, Store, copy, sync
from bot.store.errors import StoreError, in_sentences


def back_up(database: Path, target: Path, *proofs: Proof) -> None:
    """Write a copy of `database` and check it by reading all of it. The bot may be running meanwhile.

    Raises:
        StoreError: There is no database, the copy cannot be written, or it is damaged; then nothing is left behind.
        FileExistsError: There is a file of that name.
    """
    if not database.exists():
        raise StoreError(f"There is no database at {database}. `tradewire run` makes one.")
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with contextlib.closing(connect_to_read(database)) as connection:
            copy(connection, target)
    except sqlite3.Error as error:
        raise in_sentences(error, database) or StoreError(f"The copy could not be written: {error}.") from error
    try:
        verify(target, *proofs)
    except BaseException:
        target.unlink()
        raise


def verify(path: Path, *proofs: Proof) -> None:
    """Refuse a file that is not a whole database of ours.

    Raises:
        StoreError: It is missing, empty, damaged, another program's, or from a newer version.
    """
    if not path.is_file() or path.stat().st_size == 0:
        raise StoreError(f"{path} is not a backup: there is nothing in it. Nothing was changed.")
    try:
        inspect(path, *proofs, thorough=True)
    except StoreError as error:
        raise StoreError(f"{error} Nothing was changed by this command.") from error
    except sqlite3.Error as error:
        raise StoreError(f"{path} is not a database: {error}. Nothing was changed.") from error
    if path.stat().st_size == 0:  # SQLite took back what a copy that was cut short had written
        raise StoreError(f"{path} is not a backup: its making was cut short. Nothing was changed.")


def restore(source: Path, database: Path, replaced: Path, adapt: Callable[[Connection], None]) -> None:
    """Put the backup `source` in the place of `database`, and keep what was there as `replaced`.

    Killed at any moment, the place holds either of the two, whole. Only whoever holds the directory's lock may do this.

    Args:
        source: A file that `verify` accepts.
        database: The place.
        replaced: Where the present database goes, if there is one.
        adapt: Changes the restored rows, in one transaction, before they are put in place.
    """
    fresh = database.with_name(f"{database.name}.restoring")
    _remove(fresh)
    with contextlib.closing(connect_to_read(source)) as connection:
        copy(connection, fresh)
    store = Store(fresh)  # brings an older version's tables up to date
    try:
        store.transact(adapt)
    finally:
        store.close()
    sync(fresh)
    if database.exists():
        for ending in ("", "-wal"):
            _keep(database.with_name(database.name + ending), replaced.with_name(replaced.name + ending))
        sync(database.parent)
    # A log left beside another database would be worked into it.
    for ending in ("-wal", "-shm", "-journal"):
        database.with_name(database.name + ending).unlink(missing_ok=True)
    sync(database.parent)
    fresh.replace(database)
    sync(database.parent)


def _keep(path: Path, kept: Path) -> None:
    if not path.exists():
        return
    try:
        os.link(path, kept)
    except OSError:  # a file system without links
        shutil.copy2(path, kept)
        sync(kept)


def _remove(path: Path) -> None:
    for ending in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
