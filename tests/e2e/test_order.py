"""An order from chat to exchange and back."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Desk

pytestmark = pytest.mark.network


async def test_buy_limit_confirmed_places_one_order(desk: Desk) -> None:
    """A preview, one press, one order, and the same message shows the exchange's order id."""
    desk.say("/buy BTC/USDT 0.001 @ 50000")
    preview = await desk.see("BUY BTC/USDT", "50,000.00")
    desk.press("Confirm")
    card = await desk.see("Accepted", "Order id")
    orders = desk.exchange.orders()
    assert len(orders) == 1
    assert orders[0].id in card
    assert "Confirm" not in card
    assert preview not in desk.texts()
    assert len(desk.texts()) == 2
