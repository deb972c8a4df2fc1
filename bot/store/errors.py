"""What can be wrong with a database, in sentences for people."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from bot.contract.errors import BotError


class StoreError(BotError):
    """The database cannot be used; the text says why and what to do."""


class AlreadyRunning(StoreError):
    """Another bot holds the data directory."""


class StoreUnavailable(StoreError, sqlite3.OperationalError):
    """Nothing was stored this time: the disk is full, or another program holds the database. It can work later."""


class StoreDamaged(StoreError, sqlite3.DatabaseError):
    """The file is damaged, or a row was changed by something else than the bot. Nothing may be traded on it."""


_LATER = {
    sqlite3.SQLITE_FULL: "The server's disk is full, so nothing was stored. Free some space; the bot then goes on.",
    sqlite3.SQLITE_IOERR: "The server's disk failed, so nothing was stored. Look at the disk; the bot then goes on.",
    sqlite3.SQLITE_BUSY: "Another program holds the database, so nothing was stored. Try again in a moment.",
    sqlite3.SQLITE_LOCKED: "Another program holds the database, so nothing was stored. Try again in a moment.",
}
_NEVER = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def in_sentences(error: sqlite3.Error, path: Path) -> StoreError | None:
    """Return what a person is told of a failure of SQLite, or `None` for a mistake in our own statement."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended part
    if code in _LATER:
        return StoreUnavailable(_LATER[code])
    return damaged(path, str(error)) if code in _NEVER else None


def breaks_transaction(error: BaseException) -> bool:
    """Say whether a failure is of the disk or the file, and not of the one statement that met it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, sqlite3.Error) and (code in _LATER or code in _NEVER)


def damaged(path: Path, what: str) -> StoreDamaged:
    """Return the refusal of a damaged database."""
    return StoreDamaged(
        f"The database {path} is damaged: {what}. Nothing is traded on it. Keep the file, stop the bot, and restore a "
        "backup with: tradewire restore FILE"
    )
