"""Confirmed and sent in one commit, as the journal does it: what it asks for, and what it leaves behind.

The desk takes the steps one by one where this refuses, so a test through the desk would not notice what is let through.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bot import UserError
from bot.trading import client_ids, journal, queries
from bot.trading.errors import ApprovalNeeded, Stays
from bot.trading.law import State
from bot.trading.limits import Limits
from bot.trading.orders import OrderRow
from tests.trading.conftest import ANN, BOB, START_MS, Room
from tests.trading.test_journal import bring
from tests.trading.test_journal_rows import LATER_MS, rest

EXPIRES_MS = START_MS + 60_000


def confirm_and_send(room: Room, row: OrderRow, **other: Any) -> OrderRow:
    def work(db: Any) -> OrderRow:
        rule = room.plugin.info.client_id
        asked = {
            "user_id": ANN,
            "client_order_id": client_ids.mint(db, queries.get(db, row.id), rule),
            "request_hash": "abc",
            "window_ends_ms": LATER_MS + 10_000,
            "now_ms": LATER_MS,
        }
        return journal.confirm_and_send(db, row.id, rule=rule, **(asked | other))

    return room.store.transact(work)


async def test_confirm_and_send_changes_what_both_steps_change(room: Room) -> None:
    """The row as it is, one event, and one drawing of the card."""
    row = await room.propose()
    room.sql("DELETE FROM outbox")
    now = confirm_and_send(room, row)
    figures = {"client_order_id": now.client_order_id, "sent_ms": LATER_MS, "window_ends_ms": LATER_MS + 10_000}
    assert now == room.row(row) == rest(row, state="sending", request_hash="abc", **figures)
    assert len(now.client_order_id) == 26
    found = room.sql("SELECT kind, user_id, at_ms FROM events WHERE order_id=? ORDER BY id", row.id)
    assert [tuple(each) for each in found] == [
        ("proposed", ANN, START_MS),
        ("sending", ANN, LATER_MS),
    ]
    assert [tuple(each) for each in room.sql("SELECT order_id, happened FROM outbox")] == [(row.id, 1)]


async def test_confirm_and_send_in_the_last_millisecond_lets_it_leave(room: Room) -> None:
    """Control of the end below."""
    assert confirm_and_send(room, await room.propose(), now_ms=EXPIRES_MS - 1).state == "sending"


@pytest.mark.parametrize(
    "other",
    [{"user_id": BOB}, {"now_ms": EXPIRES_MS}, {"client_order_id": "t" + "a" * 25}],
    ids=["another person", "expired just now", "another id was signed"],
)
async def test_confirm_and_send_of_what_may_not_stays_as_it_is(room: Room, other: dict[str, Any]) -> None:
    """Each by itself; row, events and card are as before."""
    row = await room.propose()
    before = room.sql("SELECT * FROM outbox")
    with pytest.raises(Stays):
        confirm_and_send(room, row, **other)
    assert (room.row(row), room.history(row), room.sql("SELECT * FROM outbox")) == (row, ["proposed"], before)


@pytest.mark.parametrize("state", ["confirmed", "expired", "sending"])
async def test_confirm_and_send_of_what_is_no_proposal_stays_as_it_is(room: Room, state: State) -> None:
    """Though it is that person's, and its time is not over."""
    row = await room.propose()
    bring(room, row, state)
    before = room.row(row)
    with pytest.raises(Stays):
        confirm_and_send(room, row)
    assert room.row(row) == before


async def test_confirm_and_send_above_the_line_for_codes_asks_for_one(room: Room) -> None:
    """A press alone is not enough: 0.5 BTC at 58000 are worth more than the line."""
    row = await room.propose()
    with pytest.raises(UserError) as refused:
        confirm_and_send(room, row, ceiling=Limits(code=Decimal("28999.99")))
    assert (refused.value.code, room.row(row)) == ("NEEDS_CODE", row)
    assert confirm_and_send(room, row, ceiling=Limits(code=Decimal(29_000))).state == "sending"


async def test_confirm_and_send_above_the_line_for_approval_asks_for_one(room: Room) -> None:
    """Nobody approved it yet."""
    row = await room.propose()
    with pytest.raises(ApprovalNeeded) as needed:
        confirm_and_send(room, row, ceiling=Limits(approval=Decimal("28999.99")))
    assert (needed.value.code, room.row(row)) == ("APPROVAL", row)
    assert confirm_and_send(room, row, ceiling=Limits(approval=Decimal(29_000))).state == "sending"


async def test_confirm_above_the_line_for_codes_is_done_with_one(room: Room) -> None:
    """The usual way takes a code, and nothing less."""
    row = await room.propose()

    def confirm(*, has_code: bool) -> OrderRow | None:
        asked = {"user_id": ANN, "rule": room.plugin.info.client_id, "ceiling": Limits(code=Decimal(1))}
        return room.store.transact(
            lambda db: journal.confirm(db, row.id, has_code=has_code, now_ms=LATER_MS, **asked)  # type: ignore[arg-type]
        )

    with pytest.raises(UserError, match="line for codes"):
        confirm(has_code=False)
    confirmed = confirm(has_code=True)
    assert confirmed is not None
    assert confirmed.state == "confirmed"
