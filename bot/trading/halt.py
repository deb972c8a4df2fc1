"""The halt that people call: a row for one person or for all, read in the very transaction that lets an order leave.

It survives restarts and needs no Telegram. It ends only by being lifted: at once from the server, in chat after a
delay. A file named `halt` beside the database stands for a row that halts everybody, for as long as it lies there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bot.contract.errors import UserError
from bot.store.database import Connection, Row
from bot.trading import events

EVERYBODY = 0
"""Stands in the place of a person's id."""

FILE = "halt"
RESUME_DELAY_MS = 600_000
LIFT_FILE = "The file {file} on the server halts trading for as long as it lies there. `tradewire resume` removes it."


@dataclass(frozen=True, slots=True)
class Halt:
    """One halt.

    Attributes:
        user_id: Whose orders it holds back, or `EVERYBODY`.
        since_ms: Since when.
        by: Who called it, in words.
        resumes_ms: When it ends by itself, because it was lifted; `None` while nobody lifted it.
    """

    user_id: int
    since_ms: int
    by: str
    resumes_ms: int | None

    def __str__(self) -> str:
        text = f"Trading has been halted since {clock(self.since_ms)} by {self.by}"
        if self.resumes_ms is not None:
            return f"{text}. It goes on at {clock(self.resumes_ms)}; /panic keeps it halted."
        if self.user_id == EVERYBODY:
            return f"{text}, for everybody. The owner or an administrator writes /resume all to end that."
        return f"{text}. Write /resume to trade again."


def engage(db: Connection, user_id: int, *, by: str, by_id: int | None = None, now_ms: int) -> Halt:
    """Halt a person, or `EVERYBODY`, with the commit. One that is halted stays so, also when an end was set already.

    Args:
        db: The running transaction.
        user_id: Whose orders are held back.
        by: Who calls it, in words, for whoever is told why.
        by_id: Their numeric id, where it is a person.
        now_ms: The wall clock.
    """
    known = get(db, user_id, now_ms)
    if known is not None and known.resumes_ms is None:
        return known
    db.execute("INSERT OR REPLACE INTO halts VALUES (?, ?, ?, NULL)", (user_id, now_ms, by))
    events.record(db, kind="halted", detail={"who": user_id, "by": by}, now_ms=now_ms, user_id=by_id)
    return Halt(user_id, now_ms, by, None)


def lift(db: Connection, user_id: int, *, by: str, by_id: int | None = None, delay_ms: int, now_ms: int) -> int | None:
    """Let a halt end after a delay, or at once when that is 0.

    Returns:
        When it ends, in UTC ms; one that was lifted before keeps its earlier end. `None` when there was no halt.
    """
    known = get(db, user_id, now_ms)
    if known is None:
        return None
    ends_ms = min(now_ms + delay_ms, known.resumes_ms or now_ms + delay_ms)
    if ends_ms != known.resumes_ms:
        db.execute("UPDATE halts SET resumes_ms=? WHERE user_id=?", (ends_ms, user_id))
        detail = {"who": user_id, "by": by, "at_ms": ends_ms}
        events.record(db, kind="resumed", detail=detail, now_ms=now_ms, user_id=by_id)
    return ends_ms


def get(db: Connection, user_id: int, now_ms: int) -> Halt | None:
    """Return the halt of a person, or of `EVERYBODY`, that holds now."""
    return _in_force(db.execute("SELECT * FROM halts WHERE user_id=?", (user_id,)).fetchone(), now_ms)


def refuse(db: Connection, user_id: int, now_ms: int) -> None:
    """Refuse an order of a halted person.

    Raises:
        UserError: `HALTED`; says since when, by whom, and how it ends.
    """
    for row in db.execute("SELECT * FROM halts WHERE user_id IN (?, ?) ORDER BY user_id", (EVERYBODY, user_id)):
        if found := _in_force(row, now_ms):
            raise UserError(str(found), code="HALTED")


def _in_force(row: Row | None, now_ms: int) -> Halt | None:
    if row is None or (row["resumes_ms"] is not None and row["resumes_ms"] <= now_ms):
        return None
    return Halt(row["user_id"], row["since_ms"], row["by"], row["resumes_ms"])


def take_file(db: Connection, file: Path, now_ms: int) -> bool:
    """Halt everybody if the file lies there; say whether that is new."""
    if not file.exists():
        return False
    known = get(db, EVERYBODY, now_ms)
    is_new = known is None or known.resumes_ms is not None
    if is_new:
        engage(db, EVERYBODY, by=f"the file {file.name} on the server", now_ms=now_ms)
    return is_new


def clock(at_ms: int) -> str:
    """Write a time as people read it in a halt: `06:40 UTC on 21 Nov`."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%H:%M UTC on %d %b")
