"""A bot with all its commands, and the alerts at work behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.chat.alerts import Alerts
from bot.contract.streams import PriceSeen
from tests.chat.conftest import OWNER, Chat, new_chat


@dataclass
class Watched:
    """A chat with alerts at work."""

    chat: Chat
    alerts: Alerts

    @property
    def clock(self) -> Any:
        return self.chat.room.clock

    def restart(self) -> None:
        """Forget what is only in memory."""
        services = self.chat.services
        services.feeds.prices.listeners.clear()
        self.alerts = watching(self.chat)
        self.chat.services = replace(services, alert_changed=self.alerts.changed)
        self.chat.restart()

    async def price(self, last: str, seconds: float = 1, *, bid: str = "", ask: str = "") -> None:
        """Let time pass, and a price be told."""
        self.clock.advance(seconds)
        await self.alerts.step()
        await self.alerts.look()
        seen = {name: Decimal(value) for name, value in (("last", last), ("bid", bid), ("ask", ask)) if value}
        self.alerts.saw("acme", PriceSeen(exchange_symbol="BTCUSDT", at_ms=self.clock.now_ms(), **seen))
        await self.alerts.step()

    async def told(self) -> list[str]:
        """Send what waits, and return it."""
        before = len(self.chat.telegram.texts())
        self.chat.outbox.told()
        while await self.chat.outbox.step():
            self.clock.advance(1)
        return self.chat.telegram.texts()[before:]

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.chat.room.sql(statement, *values)]


def watching(chat: Chat) -> Alerts:
    services = chat.services
    return Alerts(
        services.store, services.gateway, services.feeds.prices, services.clock, chat.outbox.told, owner=OWNER
    )


@pytest.fixture
async def watched(tmp_path: Path) -> Any:
    chat = await new_chat(tmp_path)
    alerts = watching(chat)
    chat.services = replace(chat.services, alert_changed=alerts.changed)
    chat.restart()
    yield Watched(chat, alerts)
    await chat.services.feeds.prices.close()
    await chat.room.close()
