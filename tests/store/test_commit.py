from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.store.database import Connection, Store
from bot.store.errors import StoreDamaged, StoreUnavailable


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "tradewire.db")
    yield store
    store.close()


def insert(key: str) -> Callable[[Connection], str]:
    def work(db: Connection) -> str:
        db.execute("INSERT INTO meta VALUES (?, 'value')", (key,))
        return key

    return work


def insert_and_fail(key: str, error: BaseException) -> Callable[[Connection], str]:
    def work(db: Connection) -> str:
        insert(key)(db)
        raise error

    return work


def keys(store: Store) -> set[str]:
    rows = store.transact(lambda db: db.execute("SELECT key FROM meta").fetchall())
    return {row["key"] for row in rows} - {"instance_id", "client_id_key"}


async def together(store: Store, *works: Callable[[Connection], Any]) -> list[Any]:
    """Let works come while the writing thread is busy, and return what each of them was answered."""
    begun, go = threading.Event(), threading.Event()

    def busy(_: Connection) -> None:
        begun.set()
        go.wait(5)

    first = asyncio.ensure_future(store.run(busy))
    await asyncio.to_thread(begun.wait, 5)
    waiting: list[Awaitable[Any]] = [asyncio.ensure_future(store.run(work)) for work in works]
    await asyncio.sleep(0)
    go.set()
    await first
    return await asyncio.gather(*waiting, return_exceptions=True)


async def test_works_that_wait_share_one_commit(store: Store) -> None:
    """A hundred tasks cost one wait for the disk, and each gets its own result."""
    before = store.commits
    wanted = [str(number) for number in range(100)]
    assert await together(store, *map(insert, wanted)) == wanted
    assert (store.commits - before, keys(store)) == (1, set(wanted))


async def test_work_that_fails_among_others_undoes_itself_alone(store: Store) -> None:
    """Also what broke a rule of the database; those before and after it are stored."""
    broken = KeyError("mine")
    found = await together(store, insert("a"), insert_and_fail("b", broken), insert("a"), insert("c"))
    assert (found[0], found[1], type(found[2]), found[3]) == ("a", broken, sqlite3.IntegrityError, "c")
    assert keys(store) == {"a", "c"}


async def test_commit_that_fails_fails_all_who_share_it(store: Store) -> None:
    """Nobody is told that something is stored which is not; the store goes on afterwards."""

    def owe(db: Connection) -> None:  # a reference to nobody, which only the commit looks at
        db.execute("PRAGMA defer_foreign_keys=1")
        db.execute("INSERT INTO accounts(user_id, exchange, label, created_ms) VALUES (99, 'acme', 'main', 0)")

    found = await together(store, insert("a"), owe, insert("b"))
    assert [type(each) for each in found] == [sqlite3.IntegrityError] * 3
    assert keys(store) == set()
    assert await store.run(insert("c")) == "c"


@pytest.mark.parametrize(
    ("code", "told"), [(sqlite3.SQLITE_FULL, StoreUnavailable), (sqlite3.SQLITE_CORRUPT, StoreDamaged)]
)
async def test_disk_that_fails_under_one_work_fails_all_who_share_its_commit(
    store: Store, code: int, told: type[Exception]
) -> None:
    """SQLite may have undone the whole transaction by then: nothing of it counts as stored."""
    error = sqlite3.OperationalError("of the disk")
    error.sqlite_errorcode = code
    found = await together(store, insert("a"), insert_and_fail("b", error), insert("c"))
    assert [type(each) for each in found] == [told] * 3
    rows = store._connection.execute("SELECT key FROM meta WHERE key IN ('a', 'b', 'c')").fetchall()
    assert rows == []


async def test_transaction_undone_under_a_work_fails_all_who_share_it(store: Store) -> None:
    """Whatever undid it, and whatever the error is called."""

    def undone(db: Connection) -> None:
        db.execute("ROLLBACK")
        raise KeyError

    found = await together(store, insert("a"), undone, insert("b"))
    assert [type(each) for each in found] == [KeyError] * 3
    assert keys(store) == set()


async def test_nobody_is_answered_before_the_commit(store: Store) -> None:
    """Each answer comes when a second program can read what it is about."""
    seen = []
    other = sqlite3.connect(store.path)

    async def stored(key: str) -> None:
        await store.run(insert(key))
        seen.append(other.execute("SELECT count(*) FROM meta WHERE key=?", (key,)).fetchone()[0])

    await asyncio.gather(*(stored(str(number)) for number in range(20)))
    other.close()
    assert seen == [1] * 20


async def test_work_whose_caller_gave_up_before_it_began_is_not_done(store: Store) -> None:
    """Those that came with it are."""
    begun, go = threading.Event(), threading.Event()

    def busy(_: Connection) -> None:
        begun.set()
        go.wait(5)

    first = asyncio.ensure_future(store.run(busy))
    await asyncio.to_thread(begun.wait, 5)
    given_up, kept = (asyncio.ensure_future(store.run(insert(key))) for key in "ab")
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.sleep(0)
    go.set()
    await first
    assert await kept == "b"
    assert keys(store) == {"b"}


async def test_work_that_raises_stop_iteration_is_answered(store: Store) -> None:
    """A future refuses that error; whoever waits must not wait for ever."""
    with pytest.raises(RuntimeError, match="StopIteration"):
        await store.run(insert_and_fail("a", StopIteration()))


async def test_run_on_a_closed_store_is_refused(tmp_path: Path) -> None:
    """Again and again: nothing waits for a thread that has ended."""
    store = Store(tmp_path / "closed.db")
    store.close()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="shutdown"):
            await store.run(insert("a"))


def test_store_closed_finishes_what_waits(tmp_path: Path) -> None:
    """Works that were handed in are done before the file is closed, though their loop has ended."""
    store = Store(tmp_path / "closed.db")

    async def leave() -> None:
        for key in "abc":
            asyncio.ensure_future(store.run(insert(key)))  # noqa: RUF006
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    begun, go = threading.Event(), threading.Event()
    store._thread.submit(lambda: (begun.set(), go.wait(5)))
    begun.wait(5)
    loop.run_until_complete(leave())
    go.set()
    store.close()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    again = Store(tmp_path / "closed.db")
    assert keys(again) == {"a", "b", "c"}
    again.close()


async def test_work_that_ends_with_a_cursor_leaves_it_in_the_writing_thread(store: Store) -> None:
    """Let go of in another thread, a cursor would reset its statement while the writing thread uses it."""

    def work(db: Connection) -> Any:
        return db.executemany("INSERT INTO meta VALUES (?, 'value')", [("a",), ("b",)])

    assert await store.run(work) is None
    assert await together(store, lambda db: db.execute("SELECT 1"), insert("c")) == [None, "c"]
    assert keys(store) == {"a", "b", "c"}
