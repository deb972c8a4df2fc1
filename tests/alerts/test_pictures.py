"""The picture below an alert: sent after the message, left out rather than in the way."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bot import Candle, OutcomeUnknown, UserError
from bot.chat.alert_pictures import AlertPictures
from bot.chat.pictures import Chart, Mark, Pictures
from bot.trading import notices
from tests.alerts.conftest import Watched
from tests.chat.test_pictures import CANDLE
from tests.trading.conftest import ANN


@pytest.fixture
def drawn() -> list[Chart]:
    """What was drawn."""
    return []


@pytest.fixture
def shown(watched: Watched, drawn: list[Chart], monkeypatch: pytest.MonkeyPatch) -> AlertPictures:
    """Pictures of one candle, below the messages that the outbox sends."""

    async def candles(*_: Any) -> list[Candle]:
        return [CANDLE]

    services = watched.chat.services
    monkeypatch.setattr(services.gateway, "candles", candles)
    pictures = Pictures(lambda chart: drawn.append(chart) or b"png")
    found = AlertPictures(services.store, services.gateway, services.sender, pictures, services.clock)
    watched.chat.outbox.sent = found.sent
    return found


async def fire(watched: Watched, line: str = "/alert btcusdt > 61k") -> None:
    """Let an alert fire and be told."""
    await watched.chat.say(line)
    await watched.price("61000")
    assert len(await watched.told()) == 1


async def test_picture_of_a_fired_alert_follows_its_message_in_silence(
    watched: Watched, shown: AlertPictures, drawn: list[Chart]
) -> None:
    """It shows the level, comes after the text, and makes no second sound."""
    await fire(watched)
    assert watched.chat.telegram.named("sendPhoto") == []
    await shown.step()
    assert drawn == [
        Chart("BTC/USDT · 15m · Acme", "15m", (CANDLE,), (Mark("alert", Decimal(61000), label="alert #1"),))
    ]
    [sent] = watched.chat.telegram.named("sendPhoto")
    assert (sent["chat_id"], sent["disable_notification"]) == (ANN, True)
    assert [name for name, _ in watched.chat.telegram.calls[-2:]] == ["sendMessage", "sendPhoto"]


async def test_picture_while_a_result_waits_is_left_out(watched: Watched, shown: AlertPictures) -> None:
    """Whatever else is to be told in the chat comes first, and the picture not at all."""
    await fire(watched)
    now_ms = watched.clock.now_ms()
    tell = {"chat_id": ANN, "kind": "note", "payload": {"text": "filled"}, "now_ms": now_ms}
    watched.chat.room.store.transact(lambda db: notices.tell(db, **tell))
    await shown.step()
    assert watched.chat.telegram.named("sendPhoto") == []


@pytest.mark.parametrize(
    "failure",
    [OutcomeUnknown("no answer"), UserError("no matplotlib", code="NO_CHARTS"), ZeroDivisionError()],
    ids=["exchange", "extra", "mistake"],
)
async def test_picture_that_fails_costs_nothing_more(
    watched: Watched,
    shown: AlertPictures,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: Exception,
) -> None:
    """The text was sent; the person hears of no failure, and the next picture is sent. Only a mistake is an error."""

    async def broken(*_: Any) -> list[Candle]:
        raise failure

    await fire(watched)
    with monkeypatch.context() as patch:
        patch.setattr(watched.chat.services.gateway, "candles", broken)
        before = list(watched.chat.telegram.calls)
        await shown.step()
        assert watched.chat.telegram.calls == before
    errors = [each for each in caplog.records if each.levelname == "ERROR"]
    assert len(errors) == isinstance(failure, ZeroDivisionError)
    await fire(watched, "/alert btcusdt > 60.5k")
    await shown.step()
    assert len(watched.chat.telegram.named("sendPhoto")) == 1


async def test_picture_refused_by_telegram_is_not_spoken_of(
    watched: Watched, shown: AlertPictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood limit holds the chat; nobody asked for the picture, so nobody is told."""
    monkeypatch.setenv("PTB_TIMEDELTA", "true")  # as the application sets it
    await fire(watched)
    watched.chat.telegram.fail("sendPhoto", 429, retry_after=3)
    before = watched.chat.telegram.texts()
    await shown.step()
    assert len(watched.chat.telegram.named("sendPhoto")) == 1
    assert watched.chat.telegram.texts() == before
    assert watched.sql("SELECT count(*) FROM outbox") == [(0,)]


async def test_picture_of_a_spread_is_not_drawn(watched: Watched, shown: AlertPictures, drawn: list[Chart]) -> None:
    """How the price went does not show how a spread or a volume did."""
    await fire(watched)
    watched.sql("UPDATE alerts SET kind='spread'")
    await shown.step()
    assert drawn == []


async def test_pictures_asked_for_at_once_are_the_newest_twenty(
    watched: Watched, shown: AlertPictures, drawn: list[Chart]
) -> None:
    """A flood of alerts does not become a flood of pictures."""
    await fire(watched)
    [notice] = shown._waiting
    for number in range(100):
        shown.sent(replace(notice, id=1000 + number))
    assert [each.id for each in shown._waiting] == list(range(1080, 1100))
