"""An old backup is restored: no client order id is used a second time, and what it does not know stays in doubt."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot import ClientId
from bot.store.backup import back_up, restore
from bot.store.database import Store
from bot.trading import restored
from bot.trading.restored import JUMP, Highest
from bot.trading.upkeep import events_are_whole
from tests.trading.conftest import START_MS, Room, new_room

RESTORES = 10
RESTORES_NIGHTLY = 200
KINDS = {"text": ClientId(), "counter": ClientId(kind="counter", max_value=2_147_483_646)}


def reopened(room: Room) -> Room:
    """Close and start again, as after a stop."""
    return room.restart()


async def sent_over_restores(directory: Path, kind: str, restores: int) -> list[str]:
    """Trade, restore the same first backup, trade again, and so on; return every client order id that went out."""
    room = new_room(directory / "room", client_id=KINDS[kind])
    await room.placed()
    backup = directory / "backup.db"
    back_up(room.path, backup, events_are_whole)
    for number in range(restores):
        for _ in range(2):
            await room.placed()
        room.store.close()
        replaced = Store(room.path)
        before = replaced.transact(restored.highest)
        replaced.close()
        kept = room.path.with_name(f"replaced-{number}.db")
        restore(backup, room.path, kept, lambda db, before=before: restored.forget(db, before, 1, START_MS))
        room = reopened(room)
    await room.placed()
    await room.close()
    return [str(request.json["client_id"]) for request in room.exchange.placing]


@pytest.mark.parametrize("kind", KINDS)
async def test_restored_backup_uses_no_client_id_again(quick_path: Path, kind: str) -> None:
    """However often the same backup is restored, every order has a client id of its own."""
    sent = await sent_over_restores(quick_path, kind, RESTORES)
    assert (len(sent), len(set(sent))) == (2 * RESTORES + 2, 2 * RESTORES + 2)


@pytest.mark.nightly
@pytest.mark.parametrize("kind", KINDS)
async def test_restored_backup_uses_no_client_id_again_nightly(quick_path: Path, kind: str) -> None:
    """The same with many more restores."""
    sent = await sent_over_restores(quick_path, kind, RESTORES_NIGHTLY)
    assert len(set(sent)) == len(sent)


@pytest.mark.parametrize("kind", KINDS)
async def test_restored_check_notices_a_client_id_used_again(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Control: without the jump the same ids go out again; the clock of the test stands still."""
    monkeypatch.setattr(restored, "forget", lambda *_: None)
    sent = await sent_over_restores(quick_path, kind, 2)
    assert len(set(sent)) < len(sent)


async def test_restored_counter_goes_ahead_by_a_million(quick_path: Path) -> None:
    """Order numbers and counted client ids continue a million above the highest of both databases."""
    room = new_room(quick_path / "room", client_id=KINDS["counter"])
    first = await room.placed()
    before = Highest(first.id + 3, {room.account.id: int(first.client_order_id) + 3})
    room.store.transact(lambda db: restored.forget(db, before, 1, START_MS))
    second = await room.placed()
    assert (second.id, int(second.client_order_id)) == (
        first.id + 3 + JUMP + 1,
        int(first.client_order_id) + 3 + JUMP + 1,
    )
    await room.close()


async def test_restored_confirmed_order_is_in_doubt_and_no_button_works(quick_path: Path) -> None:
    """What was about to be sent may have been sent since: it is looked for. What was only shown has ended."""
    room = new_room(quick_path / "room")
    confirmed = await room.confirmed()
    proposed = await room.propose(pair="ETH/USDT")
    button = room.show(proposed)[0]
    other = room.show(confirmed, "surely_not_placed")[0]
    room.store.transact(lambda db: restored.forget(db, Highest(), 1, START_MS))
    room = reopened(room)
    assert await room.press(confirmed, other) == "expired"
    assert (room.row(confirmed).state, room.row(proposed).state) == ("unknown", "expired")
    assert await room.press(proposed, button) == "expired"
    assert room.store.transact(events_are_whole) is None
    await room.live(200, 5)
    assert room.row(confirmed).state == "needs_human"  # when it was sent, nobody knows: no machine can prove it absent
    await room.close()
