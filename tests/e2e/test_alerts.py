"""Alerts in a whole bot: set in chat, fired by the exchange's prices, told in chat, and an order only by Confirm."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.trading import feeds
from tests.e2e.conftest import ANN, Desk, neighbours
from tests.e2e.test_streams import trading, until

pytestmark = pytest.mark.network

GROUP = -1001
BEN = 1002


@pytest.fixture
def quick_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """A price is asked for anew at each turn, not only when it is ten seconds old."""
    monkeypatch.setattr(feeds, "_FRESH_SECONDS", 0.1)


async def test_alert_told_by_the_stream_leads_to_one_confirmed_order(tmp_path: Path) -> None:
    """The price comes over the socket; the button makes a preview; only Confirm places the order."""
    async with trading(tmp_path) as (desk, server):
        server.may_look.set()
        desk.say("/alert btcusdt > 61k do buy $60")
        await desk.see("🔔 #1 BTC/USDT > 61,000.00 · Bitget", "Now 60,000")
        await until(lambda: any(peer.facts.get("channels") for peer in server.sockets.peers))
        desk.exchange.set_price("BTCUSDT", "61000.00", "61000.10")
        await desk.see("🔔 BTC/USDT > 61,000.00", "#1 waits no more.", within=5)
        assert desk.exchange.placing_requests == 0
        desk.press("Preview: buy $60")
        await desk.see("BUY BTC/USDT", "market")
        assert desk.exchange.placing_requests == 0
        desk.press("Confirm")
        await desk.see("Filled", "Average")
        assert desk.exchange.placing_requests == 1


def untold(desk: Desk) -> int:
    """Return how much waits in the outbox."""
    assert desk.instance is not None
    return int(desk.instance.store.transact(lambda db: db.execute("SELECT count(*) FROM outbox").fetchone()[0]))


@pytest.mark.usefixtures("quick_polling")
async def test_alert_reached_while_the_bot_was_dead_is_told_once_after_it_starts(tmp_path: Path) -> None:
    """Killed, passed meanwhile, started again: one message, and none more after another kill."""
    async with neighbours(tmp_path) as desk:
        await desk.start()
        await desk.connect()
        desk.say("/alert btcusdt > 61k")
        await desk.see("🔔 #1 BTC/USDT > 61,000.00")
        await desk.kill()
        desk.exchange.set_price("BTCUSDT", "61500.00", "61500.10")
        await desk.start()
        await desk.see("🔔 BTC/USDT > 61,000.00", "#1 waits no more.")
        await until(lambda: untold(desk) == 0)  # what is killed before Telegram's answer was stored is told again
        await desk.kill()
        await desk.start()
        desk.say("/alerts")
        await desk.see("No alerts wait here.")
        assert sum("#1 waits no more." in text for text in desk.texts()) == 1
        await desk.end()


@pytest.mark.usefixtures("quick_polling")
async def test_group_alert_is_for_its_administrator_and_told_in_the_group(desk: Desk) -> None:
    """A trader who does not administrate the group is refused; its administrator's alert is told there."""
    desk.telegram.add_person(BEN, "Ben", "ben")
    desk.telegram.add_group(GROUP, "Desk", [ANN, BEN], admins=[ANN])
    assert desk.instance is not None
    desk.instance.store.transact(
        lambda db: db.execute("INSERT INTO users(id, role, name, created_ms) VALUES (?, 'trader', 'Ben', 0)", (BEN,))
    )

    def shown(part: str) -> bool:
        return any(part in message.text for message in desk.telegram.messages(GROUP))

    desk.telegram.say(BEN, GROUP, "/alert btcusdt > 61k")
    await until(lambda: shown("In a group, alerts are for its administrators."))
    desk.telegram.say(ANN, GROUP, "/alert btcusdt > 61k")
    await until(lambda: shown("🔔 #1 BTC/USDT > 61,000.00 · Bitget"))
    desk.exchange.set_price("BTCUSDT", "61000.00", "61000.10")
    await until(lambda: shown("#1 waits no more."))
