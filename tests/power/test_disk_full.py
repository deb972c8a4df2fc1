"""The disk takes no more, from any write of an order's path on: nothing is sent without its committed `sending`.

The kernel refuses the writes: the log of the database may not grow beyond a limit. SQLite calls that an input/output
error, and a full disk SQLITE_FULL; both become the same refusal.
"""

from __future__ import annotations

import contextlib
import resource
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from bot.store import database
from bot.store.errors import StoreUnavailable
from bot.trading import desk
from tests.trading.conftest import FakeExchange, Room, new_room

FRAME = 4096 + 24
EVERY = 3
EVERY_NIGHTLY = 1

Mode = Literal["once", "until the end"]


def limit(size: int) -> None:
    """Let no file of this process grow beyond `size` bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def lift() -> None:
    limit(resource.getrlimit(resource.RLIMIT_FSIZE)[1])


@pytest.fixture(autouse=True)
def unlimited() -> Iterator[None]:
    """No test leaves a limit behind."""
    yield
    lift()


def log_size(room: Room) -> int:
    return room.path.with_name(room.path.name + "-wal").stat().st_size


async def attempt(room: Room) -> None:
    """Take one order all the way; a refusal to store is what a person reads, and ends it."""
    try:
        row = await room.confirmed()
    except StoreUnavailable:
        return
    room.desk.send(row)
    await room.desk.drain()


def committed_states(room: Room) -> list[str]:
    """Return the states of all orders as another program sees them: committed ones only."""
    with contextlib.closing(sqlite3.connect(room.path)) as other:
        return [state for (state,) in other.execute("SELECT state FROM orders ORDER BY id")]


async def filled_up(directory: Path, frames: int, mode: Mode, patch: pytest.MonkeyPatch) -> tuple[list[str], Room]:
    """Let the disk be full after so many pages; return what was committed as each request arrived, and the room."""
    room = new_room(directory)
    arrived: list[str] = []
    room.exchange.arriving = lambda _: arrived.extend(committed_states(room)[-1:])
    explain = database.in_sentences

    def noticed(*args: Any) -> Any:
        if mode == "once":
            lift()
        return explain(*args)

    patch.setattr(database, "in_sentences", noticed)
    limit(log_size(room) + frames * FRAME)
    try:
        await attempt(room)
    finally:
        lift()
    return arrived, room


async def pages_of_an_order(directory: Path) -> int:
    room = new_room(directory)
    before = log_size(room)
    await attempt(room)
    pages = (log_size(room) - before) // FRAME
    await room.close()
    return pages


async def survives(directory: Path, mode: Mode, every: int, patch: pytest.MonkeyPatch) -> int:
    """Try every so-manieth write; return how many orders got out."""
    pages, out = await pages_of_an_order(directory / "whole"), 0
    assert pages > 20
    for frames in range(0, pages + 1, every):
        arrived, room = await filled_up(directory / str(frames), frames, mode, patch)
        assert set(arrived) <= {"sending"}, frames
        out += len(arrived)
        await room.live(200, 5)
        exchange: FakeExchange = room.exchange
        ends = committed_states(room)
        assert ends.count("open") == len(exchange.orders), (frames, ends)
        assert set(ends) <= {"open", "expired", "not_placed"}, (frames, ends)
        room.sql("DELETE FROM outbox")  # Telegram took the cards
        assert (await room.placed()).state == "open", frames  # space is back: it goes on, with no step by hand
        await room.close()
    return out


MODES: tuple[Mode, ...] = ("once", "until the end")


@pytest.mark.parametrize("mode", MODES)
async def test_disk_full_sends_nothing_unwritten_and_recovers(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    """Whichever write fails, a request leaves only after its commit, and all is settled once there is space again."""
    assert await survives(quick_path, mode, EVERY, monkeypatch) > 0


@pytest.mark.nightly
@pytest.mark.parametrize("mode", MODES)
async def test_disk_full_sends_nothing_unwritten_and_recovers_nightly(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    """The same at every single write."""
    assert await survives(quick_path, mode, EVERY_NIGHTLY, monkeypatch) > 0


async def test_disk_full_check_notices_an_order_sent_before_its_commit(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: a desk that goes on when `sending` could not be stored is caught."""
    place = desk.Gateway.place

    async def careless(self: Any, account: Any, order: Any, before_send: Any) -> Any:
        async def ignore(departure: Any) -> None:
            with contextlib.suppress(Exception):
                await before_send(departure)

        return await place(self, account, order, ignore)

    monkeypatch.setattr(desk.Gateway, "place", careless)
    with pytest.raises(AssertionError):
        await survives(quick_path, "until the end", EVERY, monkeypatch)


@pytest.mark.parametrize(("fault", "state"), [("accept", "open"), ("refuse", "rejected")])
async def test_disk_full_when_the_answer_comes_is_tried_again(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Any, state: str
) -> None:
    """An answer that could not be stored is stored as soon as it can be; the order need not be looked for."""
    room = new_room(quick_path / "room")
    row = await room.confirmed()
    room.exchange.faults.append(fault)
    room.exchange.arriving = lambda _: limit(log_size(room))
    explain, refused = database.in_sentences, []

    def noticed(*args: Any) -> Any:
        lift()
        refused.append(explain(*args))
        return refused[-1]

    monkeypatch.setattr(database, "in_sentences", noticed)
    room.desk.send(row)
    await room.desk.drain()
    assert ([type(each) for each in refused], room.row(row).state) == ([StoreUnavailable], state)
    await room.close()


async def test_disk_full_says_so_in_a_sentence(quick_path: Path) -> None:
    """SQLite's own word for a full disk becomes what to do; nothing of the transaction stays."""
    room = new_room(quick_path / "room")
    room.store._connection.execute("PRAGMA max_page_count=1")  # the least: as many as there are
    with pytest.raises(StoreUnavailable, match=r"disk is full, so nothing was stored\. Free some space"):
        room.sql("INSERT INTO meta VALUES ('big', zeroblob(100000) || '')")
    assert room.sql("SELECT 1 FROM meta WHERE key='big'") == []
    await room.close()
