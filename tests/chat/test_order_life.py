"""What /order says of each event."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bot.chat.commands.orders import _told
from bot.trading import events, reports
from tests.chat.conftest import Chat
from tests.chat.test_render import row
from tests.trading.test_journal import report


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ({"reason": "The exchange no longer lists it."}, "The exchange no longer lists it."),
        ({"misses": 2}, "look 2 of 3"),
        (
            {"filled": "0.00300000", "average_price": "60000.1", "fee": "0.00000300", "fee_asset": "BTC"},
            "0.003 BTC at 60,000.10, fee 0.000003 BTC",
        ),
        ({"filled": "0.003"}, "0.003 BTC"),
        ({"filled": "0", "exchange_order_id": "x1"}, "x1"),
        ({"quantity": "0.00833300"}, "0.008333 BTC"),
        ({}, ""),
    ],
)
def test_order_event_is_told_in_numbers_as_people_write_them(detail: dict[str, Any], words: str) -> None:
    """No exponent, no trailing zeros, no field names."""
    assert _told(row("open"), detail) == words


async def test_order_event_that_changed_nothing_shown_is_listed_once(real: Chat) -> None:
    """The exchange tells a fee of zero after a restart: an event in the log, and no news to a person."""
    placed = await real.room.placed(pair="BTC/USDT")
    told = replace(report(placed), exchange_order_id=placed.exchange_order_id, fee=Decimal(0), fee_asset="BTC")
    real.room.store.transact(lambda db: reports.apply(db, placed.id, told, real.room.clock.now_ms()))
    life = real.room.store.transact(lambda db: events.timeline(db, placed.id))
    [text] = await real.say(f"/order {placed.id}")
    assert [kind for _, kind, _ in life] == ["proposed", "sending", "open", "open"]
    listed = [line.split()[3] for line in text.splitlines() if re.match(r"[0-9]{2} [A-Z][a-z]{2} ", line)]
    assert listed == ["proposed", "sending", "open"]
