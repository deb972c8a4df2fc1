"""Looking at a database without changing a byte of it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from bot.store.errors import StoreError, damaged
from bot.store.schema import MIGRATIONS, NAME

Proof: TypeAlias = Callable[[sqlite3.Connection], str | None]
"""Looks at the rows of a database and returns what is wrong with them, if anything."""
_TABLE = "_sqlite_migrations"  # as sqlite_utils calls it


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a database for reading. Opened for writing, even a damaged file is changed.

    By the switch to WAL, or by working in the log of a crash.
    """
    # Only a connection that may write can undo what a crash left in a rollback journal.
    mode = "rw" if path.with_name(f"{path.name}-journal").exists() else "ro"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True)
    connection.row_factory = sqlite3.Row
    return connection


def inspect(path: Path, *proofs: Proof, thorough: bool = False) -> None:
    """Refuse a database that is damaged, not ours, or newer than this program.

    Args:
        path: The file; an empty one is well.
        proofs: Asked as well, where there are tables.
        thorough: Compare the indexes with their tables too. Takes several times as long.

    Raises:
        StoreDamaged: It is damaged, or a proof failed.
        StoreError: It belongs to another program or to a newer version.
        sqlite3.DatabaseError: It cannot be read as a database at all.
    """
    if path.stat().st_size == 0:
        return
    with contextlib.closing(connect_to_read(path)) as connection:
        found = connection.execute("PRAGMA integrity_check(1)" if thorough else "PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise damaged(path, found.splitlines()[-1])
        if not _is_ours(connection, path):
            return
        for proof in proofs:
            if wrong := proof(connection):
                raise damaged(path, wrong)


def _is_ours(connection: sqlite3.Connection, path: Path) -> bool:
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type='table'")}
    if not names:
        return False
    if _TABLE not in names:
        raise StoreError(f"{path} is a database that was not made by tradewire. Set another path.")
    done = applied(connection, path)
    if unknown := sorted(done - MIGRATIONS.keys()):
        raise StoreError(
            f"The database {path} was used by a newer version of tradewire ({', '.join(unknown)}). Install that "
            "version again, or restore a backup from before it."
        )
    return bool(done)


def applied(connection: sqlite3.Connection, path: Path) -> set[str]:
    """Return the names of the migrations that a database has had.

    Raises:
        StoreDamaged: The table that names them is not as sqlite_utils makes it.
    """
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name=?", (_TABLE,)).fetchone():
        return set()
    columns = {row["name"] for row in connection.execute(f"PRAGMA table_info({_TABLE})")}
    if columns != {"id", "migration_set", "name", "applied_at"}:
        raise damaged(path, "its table of migrations was changed")
    found = connection.execute(f"SELECT name FROM {_TABLE} WHERE migration_set=?", (NAME,))  # noqa: S608  # our own name
    return {name for (name,) in found}
