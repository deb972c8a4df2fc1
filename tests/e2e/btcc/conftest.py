"""A whole bot between a local Telegram and a strict local BTCC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
import tradewire_btcc

from bot.accounts.vault import create_master_key
from bot.chat.pacer import Pacer
from bot.cli.instance import open_instance
from bot.config import Settings
from bot.exchanges import registry
from bot.exchanges.limits import Limiter
from bot.exchanges.registry import Plugin
from bot.local.server import LocalServer
from bot.local.telegram import LocalTelegram
from bot.testing.btcc import StrictBTCC
from bot.testing.strict import StrictServer
from bot.trading.connect import connect
from tests.e2e.clock import QuickClock
from tests.e2e.conftest import ANN, TOKEN, Desk

KEY = {"key": "a31b51a3-92ec-4ebe-935e-2a9aeadfc268", "secret": "473740ab-c249-4f5e-803b-f6db21ec97e0"}


class BtccDesk(Desk):
    """A desk at BTCC."""

    exchange: StrictBTCC  # type: ignore[assignment]

    async def start(self) -> None:
        """Start the bot with this plugin alone, whether or not it is installed."""
        self.instance = open_instance(
            self.settings, catalog=registry.catalog([Plugin("btcc", tradewire_btcc)]), clock=self.clock
        )
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(self._run(self.instance))

    async def connect(self, label: str = "main", **changes: str) -> None:
        """Give Ann a key, as `tradewire keys add` does."""
        it = self.instance
        assert it is not None
        fields = KEY | changes
        await connect(
            it.gateway, it.store, it.vault, it.clock, user_id=ANN, exchange_id="btcc", label=label, fields=fields
        )


@asynccontextmanager
async def neighbours(tmp_path: Path, *, ahead_ms: int = 0, stream_url: str | None = None) -> AsyncIterator[BtccDesk]:
    """Start the local Telegram and the strict BTCC, whose clock is `ahead_ms` before ours, and the bot between them."""
    clock = QuickClock()
    telegram = LocalTelegram(clock=lambda: clock.now_ms() / 1000)
    telegram.add_person(ANN, "Ann", "ann")
    exchange = StrictBTCC(clock=lambda: clock.now_ms() + ahead_ms)
    exchange.add_account(**KEY, balances={"USDT": Decimal(1000), "BTC": Decimal("0.5")})
    key_file = tmp_path / "keys" / "master.key"
    key_file.parent.mkdir()
    create_master_key(key_file)
    async with clock.passing(), StrictServer(exchange) as strict, LocalServer(telegram, TOKEN) as local:
        settings = Settings.model_validate(
            {
                "telegram": {"token": TOKEN, "base_url": local.base_url, "base_file_url": local.base_file_url},
                "access": {"owner": ANN},
                "storage": {"directory": tmp_path / "data"},
                "vault": {"key_file": key_file},
                "exchanges": {"btcc": {"base_url": strict.url, "stream_url": stream_url}},
            }
        )
        desk = BtccDesk(telegram, exchange, settings, clock)  # type: ignore[arg-type]
        desk.neighbours = set(asyncio.all_tasks())
        await desk.start()
        yield desk
        await desk.end()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[BtccDesk]:
    """A running bot with Ann's key connected."""
    async with neighbours(tmp_path) as found:
        await found.connect()
        yield found


async def confirm(desk: BtccDesk, text: str) -> str:
    """Type an order, confirm it, and return its preview."""
    preview = await desk.preview(text)
    desk.press("Confirm")
    return preview


@pytest.fixture
def no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let requests and messages leave at once: BTCC's limits and Telegram's would make these tests wait."""

    async def at_once(*_: object, **__: object) -> None:
        pass

    monkeypatch.setattr(Limiter, "acquire", at_once)
    monkeypatch.setattr(Pacer, "turn", at_once)
