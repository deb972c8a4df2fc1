"""What a preview leaves in the journal: its row, its event and its card, and what of it is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from bot import UserError
from bot.trading import journal
from bot.trading.allowance import UNKNOWN, Facts
from bot.trading.limits import Limits
from bot.trading.orders import OrderRow
from tests.trading.conftest import ANN, CHAT, MARKET, START_MS, Room
from tests.trading.test_limits import drafted

D = Decimal
FACTS = Facts(D(29_000), D(0), None)


def propose(room: Room, **other: Any) -> OrderRow:
    asked = {
        "account_id": room.account.id,
        "user_id": ANN,
        "exchange": "acme",
        "market": MARKET,
        "draft": drafted(),
        "intent": "{}",
        "chat_id": CHAT,
        "message_id": None,
        "facts": FACTS,
        "now_ms": START_MS,
    }
    return room.store.transact(lambda db: journal.propose(db, **(asked | other)))


async def test_propose_is_an_event_of_its_owner_and_one_drawing_of_its_card(room: Room) -> None:
    """The event has all that was frozen."""
    row = propose(room)
    (event,) = room.sql("SELECT order_id, user_id, kind, at_ms, detail FROM events")
    assert (*event[:4], json.loads(event["detail"])) == (row.id, ANN, "proposed", START_MS, dict(row.params))
    cards = [tuple(each) for each in room.sql("SELECT chat_id, kind, order_id, merge_key, happened FROM outbox")]
    assert cards == [(CHAT, "order", row.id, f"order:{row.id}", 1)]


@pytest.mark.parametrize(("line", "asks_code"), [("29000", False), ("28999.99", True)])
async def test_propose_keeps_the_facts_and_whether_a_code_is_asked_for(room: Room, line: str, asks_code: bool) -> None:
    """The card says so by what was frozen, whatever the limits are later."""
    row = propose(room, ceiling=Limits(code=D(line)))
    expected = {"worth": "29000", "through": "0", "slippage": None, "asks_code": asks_code}
    assert row.params["limits"] == expected


async def test_propose_warns_after_what_the_draft_says(room: Room) -> None:
    """Of the same order a moment ago; the draft's own warnings come first, and are kept."""
    first = propose(room)
    room.sql("UPDATE orders SET sent_ms=? WHERE id=?", START_MS - 7_000, first.id)
    row = propose(room, draft=replace(drafted(), warnings=("Mind the gap.",)))
    said = f"You sent the same order 7 seconds ago: #{first.id}. This one comes on top of it."
    assert row.params["warnings"] == ["Mind the gap.", said]


async def test_propose_with_a_price_that_nobody_can_compare_is_refused_under_a_collar(room: Room) -> None:
    """A market order has no price that could be a slip of the finger."""
    ceiling, facts = Limits(collar=D(5)), msgspec.structs.replace(UNKNOWN, worth=D(29_000))
    with pytest.raises(UserError) as refused:
        propose(room, ceiling=ceiling, facts=facts)
    assert refused.value.code == "NO_PRICE"
    market = replace(drafted(), type="market", price=None)
    assert propose(room, ceiling=ceiling, facts=facts, draft=market).state == "proposed"


async def test_card_told_again_waits_once(room: Room) -> None:
    """Whatever happens before it is drawn, one drawing shows it all, and counts how much that was."""
    row = propose(room)
    for _ in range(2):
        room.store.transact(lambda db: journal.tell(db, row.id, START_MS))
    assert [tuple(each) for each in room.sql("SELECT order_id, happened FROM outbox")] == [(row.id, 3)]
