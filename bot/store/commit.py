"""Several works in one commit, which costs what one costs alone: the wait for the disk."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from bot.store.errors import breaks_transaction

T = TypeVar("T")


class Transact(Protocol):
    """See `bot.store.database.Store.transact`."""

    def __call__(self, work: Callable[[sqlite3.Connection], T], /) -> T: ...


@dataclass(slots=True)
class Work:
    """What somebody waits for: its result, or why there is none, once the commit is on the disk."""

    do: Callable[[sqlite3.Connection], Any]
    result: asyncio.Future[Any]
    value: Any = None
    error: BaseException | None = None


def do_all(works: Sequence[Work], transact: Transact) -> None:
    """Do `works` in one transaction and note in each what became of it. Raises nothing.

    One that fails is undone alone. When the transaction itself fails, the disk being full or the file damaged, none of
    them was stored, and each is told so.
    """
    try:
        if len(works) == 1:
            transact(lambda db: _do(db, works[0]))
        else:
            transact(lambda db: _attempt_all(db, works))
    except BaseException as error:
        for work in works:
            work.error = work.error or error


def _attempt_all(db: sqlite3.Connection, works: Sequence[Work]) -> None:
    for work in works:
        _attempt(db, work)


def _attempt(db: sqlite3.Connection, work: Work) -> None:
    db.execute("SAVEPOINT work")
    try:
        _do(db, work)
    except BaseException as error:
        if not db.in_transaction or breaks_transaction(error):
            raise
        work.error = error
        db.execute("ROLLBACK TO work")
    db.execute("RELEASE work")


def _do(db: sqlite3.Connection, work: Work) -> None:
    found = work.do(db)
    # A cursor is let go of in this thread: in another, its statement would be reset while it is in use here.
    work.value = None if isinstance(found, sqlite3.Cursor) else found


def answer(works: Sequence[Work]) -> None:
    """Hand the results to the loops that wait for them, with one call for each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Work]] = {}
    for work in works:
        by_loop.setdefault(work.result.get_loop(), []).append(work)
    for loop, found in by_loop.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_hand_over, found)


def _hand_over(works: Sequence[Work]) -> None:
    for work in works:
        if work.result.done():
            continue  # its caller was cancelled
        if work.error is None:
            work.result.set_result(work.value)
        elif isinstance(work.error, StopIteration):  # which a future refuses
            work.result.set_exception(RuntimeError("a work raised StopIteration"))
        else:
            work.result.set_exception(work.error)
