"""What is done to one order leaves every other as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from bot.trading import journal, reports
from bot.trading.law import State
from bot.trading.orders import OrderRow
from tests.trading.conftest import CHAT, Room
from tests.trading.test_journal import bring
from tests.trading.test_journal_propose import propose
from tests.trading.test_journal_rows import LATER_MS

Act: TypeAlias = Callable[[Any, int], object]


@pytest.mark.parametrize(
    ("state", "act"),
    [
        ("proposed", lambda db, order_id: journal.await_approval(db, order_id, "Wait.", LATER_MS)),
        ("open", lambda db, order_id: journal.request_cancel(db, order_id, LATER_MS)),
        ("open", lambda db, order_id: journal.refuse_cancel(db, order_id, "Not canceled.", LATER_MS)),
        ("unknown", lambda db, order_id: reports.miss(db, order_id, LATER_MS)),
        ("unknown", lambda db, order_id: journal.end(db, order_id, "not_placed", "Not there.", LATER_MS)),
    ],
    ids=["await approval", "request cancel", "refuse cancel", "count miss", "end"],
)
async def test_journal_of_three_orders_in_one_state_changes_the_one_that_is_named(
    room: Room, state: State, act: Act
) -> None:
    """Neither the one before it nor the one after it."""
    rows = [propose(room) for _ in range(3)]
    for each in rows:
        bring(room, each, state)
    room.sql("UPDATE orders SET reason='Its own.', cancel_requested_ms=5")
    before = [room.row(each) for each in rows]
    room.store.transact(lambda db: act(db, rows[1].id))
    after = [room.row(each) for each in rows]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True]


async def test_card_given_away_is_that_of_one_order(room: Room) -> None:
    """Another keeps its own card."""
    first, other = propose(room, message_id=500), propose(room, message_id=501)
    propose(room, message_id=500)
    assert [room.row(each).message_id for each in (first, other)] == [None, 501]


@pytest.mark.parametrize("number", [0, 1])
async def test_tell_draws_the_card_where_it_is(room: Room, number: int) -> None:
    """Each in its own chat."""
    rows: list[OrderRow] = [propose(room, chat_id=CHAT + each) for each in range(2)]
    room.sql("DELETE FROM outbox")
    room.store.transact(lambda db: journal.tell(db, rows[number].id, LATER_MS))
    found = [tuple(each) for each in room.sql("SELECT chat_id, order_id FROM outbox")]
    assert found == [(CHAT + number, rows[number].id)]
