"""Bytes of the file change while the bot is away: nothing is traded on a damaged row."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from bot.contract.errors import BotError
from bot.store.errors import StoreError
from bot.trading import journal
from bot.trading.upkeep import events_are_whole
from tests.trading.conftest import Room, build, new_room

FLIPS = 100
FLIPS_NIGHTLY = 1_000


def body(room: Room) -> list[dict[str, Any]]:
    """Return what the exchange was asked to place, without the id, which is new each time."""
    return [{**request.json, "client_id": ""} for request in room.exchange.placing]


async def shown(directory: Path) -> tuple[Room, int, str]:
    """Return a room that was closed while a card waited for its Confirm, with the order and the button."""
    room = new_room(directory)
    row = await room.propose()
    data = room.show(row)[0]
    await room.close()
    return room, row.id, data


def places(path: Path) -> list[int]:
    """Return where the order's row lies in the file: flips there are the ones that could hurt."""
    content = path.read_bytes()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        params = connection.execute("SELECT params FROM orders").fetchone()[0].encode()
    path.with_name(path.name + "-wal").unlink(missing_ok=True)
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    found, at = [], content.find(params)
    while at >= 0:
        found += range(max(0, at - 100), at + len(params) + 200)
        at = content.find(params, at + 1)
    assert found
    return found


async def confirmed_after(old: Room, order_id: int, data: str, content: bytes) -> str | Room:
    """Start on a file with this content and press Confirm; return why nothing was sent, or the room."""
    old.exchange.placing.clear()
    old.path.write_bytes(content)
    for ending in ("-wal", "-shm"):
        old.path.with_name(old.path.name + ending).unlink(missing_ok=True)
    try:
        room = build(old.path, old.clock, old.exchange, old.paper, old.plugin, old.messages)
    except (StoreError, BotError, sqlite3.Error, ValueError) as error:
        return str(error)
    try:
        room.store.check(events_are_whole)
        message_id = room.sql("SELECT message_id FROM orders WHERE id=?", order_id)[0][0]
        found = await room.desk.press(data, user_id=room.account.user_id, chat_id=77, message_id=message_id)
        if isinstance(found, str) or found[1] is None:
            return str(found)
        room.desk.send(found[1])
        await room.desk.drain()
    except Exception as error:  # whatever it is, it stopped the order
        return repr(error)
    finally:
        await room.close()
    return room


async def traded(directory: Path, flips: int, *, only_hurting: bool = False) -> tuple[int, list[Any]]:
    """Flip one byte at a time; return how many orders went out, and those that were not as shown."""
    old, order_id, data = await shown(directory)
    good = old.path.read_bytes()
    hurting = places(old.path)
    whole = await confirmed_after(old, order_id, data, good)
    assert isinstance(whole, Room), whole
    expected = body(whole)
    chance, out, wrong = random.Random(7), 0, []
    for number in range(flips):
        at = chance.choice(hurting) if only_hurting or number % 2 else chance.randrange(len(good))
        content = bytearray(good)
        content[at] ^= 1 << chance.randrange(8)
        found = await confirmed_after(old, order_id, data, bytes(content))
        if body(old):
            out += 1
            wrong += [body(old)] if body(old) != expected else []
        assert isinstance(found, (str, Room))
    return out, wrong


async def test_flipped_byte_never_changes_an_order(quick_path: Path) -> None:
    """The order goes out exactly as shown, or not at all."""
    out, wrong = await traded(quick_path / "room", FLIPS)
    assert (out > 0, wrong) == (True, [])


@pytest.mark.nightly
async def test_flipped_byte_never_changes_an_order_nightly(quick_path: Path) -> None:
    """The same with many more flips."""
    out, wrong = await traded(quick_path / "room", FLIPS_NIGHTLY)
    assert (out > 0, wrong) == (True, [])


async def test_flipped_byte_check_notices_a_changed_order(quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: without the hash of what was shown and the chain of events, a changed order does go out."""
    monkeypatch.setattr("bot.trading.upkeep.events.verify_chain", lambda _: None)
    real = journal.params_hash
    monkeypatch.setattr(journal, "params_hash", lambda account_id, params: AnyHash(real(account_id, params)))
    _, wrong = await traded(quick_path / "room", FLIPS, only_hurting=True)
    assert wrong


class AnyHash(bytes):
    """Equals every hash."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = bytes.__hash__
