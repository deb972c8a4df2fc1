"""/chart in chat: whose marks it shows, and what it says where there is no picture."""

from __future__ import annotations

from typing import Any

import pytest

from bot import Candle
from bot.chat.commands import chart as command
from bot.chat.pictures import Chart, Mark, Pictures
from tests.chat.conftest import Chat
from tests.chat.test_gate import GROUP
from tests.chat.test_pictures import CANDLE
from tests.trading.conftest import ANN, BOB


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, real: Chat) -> list[Chart]:
    """What is drawn of two candles."""
    found: list[Chart] = []

    async def candles(*_: Any) -> list[Candle]:
        return [CANDLE]

    monkeypatch.setattr(real.services.gateway, "candles", candles)
    monkeypatch.setattr(command, "_PICTURES", Pictures(lambda chart: found.append(chart) or b"png"))
    return found


async def test_chart_in_private_has_ones_own_marks(real: Chat, drawn: list[Chart]) -> None:
    """Ann's open order is in her picture, and in nobody else's."""
    row = await real.room.placed()
    await real.say("/chart BTC/USDT 15m")
    await real.say("/chart BTC/USDT 15m", user_id=BOB)
    price = real.room.row(row).order.price
    assert [each.marks for each in drawn] == [(Mark("order", price, label=f"buy #{row.id}"),), ()]
    assert [each["chat_id"] for each in real.telegram.named("sendPhoto")] == [ANN, BOB]


async def test_chart_in_a_group_shows_no_marks(real: Chat, drawn: list[Chart]) -> None:
    """A group sees the price, never what somebody in it holds or waits for."""
    await real.room.placed()
    await real.say("/chart BTC/USDT", chat_id=GROUP, kind="group")
    assert [each.marks for each in drawn] == [()]


async def test_chart_where_the_exchange_has_no_candles_says_so(real: Chat) -> None:
    """The exchange in memory tells none."""
    (text,) = await real.say("/chart BTC/USDT")
    assert "shows no candles here" in text
    assert real.telegram.named("sendPhoto") == []
