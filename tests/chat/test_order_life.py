"""What /order says of each event."""

from __future__ import annotations

from typing import Any

import pytest

from bot.chat.commands.orders import _told
from tests.chat.test_render import row


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
