"""/chart through the local Telegram and a strict local exchange: a picture arrives, and in a group nothing private."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import ANN, Desk

pytestmark = pytest.mark.network


async def test_chart_arrives_as_a_picture(desk: Desk) -> None:
    """The exchange's candles become a photo with the price below it."""
    pytest.importorskip("matplotlib")
    desk.say("/chart BTC/USDT 15m")
    caption = await desk.see("BTC/USDT", "Times are UTC")
    sent = next(each for each in desk.telegram.messages(ANN) if each.text == caption)
    assert sent.file is not None
    assert (sent.file.kind, sent.file.data[:4]) == ("photo", b"\x89PNG")
    asked = [each.query for each in desk.exchange.received if each.path.endswith("/market/candles")]
    assert len(asked) == 1
    assert "granularity=15min" in asked[0]


async def test_chart_of_an_unknown_length_names_those_there_are(desk: Desk) -> None:
    """Nothing is asked of the exchange."""
    desk.say("/chart BTC/USDT 7h")
    await desk.see("Candles can be 1m, 5m, 15m, 30m, 1h, 4h, 1d long")


async def test_export_arrives_as_a_file(desk: Desk) -> None:
    """The local Telegram takes documents, too."""
    await desk.preview("/buy BTC/USDT $100")
    desk.press("Confirm")
    await desk.see("Filled")
    desk.say("/export")
    caption = await desk.see("of your orders with their fills")
    sent = next(each for each in desk.telegram.messages(ANN) if each.text == caption)
    assert sent.file is not None
    assert sent.file.kind == "document"
