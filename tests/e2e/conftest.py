"""A whole bot between a local Telegram and a strict local Bitget: real HTTP on both sides, nothing replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest

from bot.accounts import people
from bot.accounts.vault import create_master_key
from bot.chat import app
from bot.chat.pacer import LOCAL
from bot.cli.instance import Instance, open_instance
from bot.clock import Clock, SystemClock
from bot.config import Settings
from bot.local.server import LocalServer
from bot.local.telegram import LocalTelegram
from bot.testing.bitget import StrictBitget
from bot.testing.strict import StrictServer
from bot.trading.connect import connect
from bot.web import doors
from tests.e2e.clock import QuickClock
from tests.e2e.postman import Postman, webhook

TOKEN = "123456789:local-token-that-must-not-leak"
ANN = 1001
KEY = {"key": "bg_canarykey0123456789", "secret": "canarySecret0123456789abcdef", "passphrase": "canaryPass2024"}


@dataclass
class Desk:
    """One running bot and both its neighbours, with the few things a test does to them."""

    telegram: LocalTelegram
    exchange: StrictBitget
    settings: Settings
    clock: Clock
    instance: Instance | None = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    neighbours: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        """Start the bot, as `tradewire run` does."""
        self.instance = open_instance(self.settings, clock=self.clock)
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(self._run(self.instance))

    async def _run(self, instance: Instance) -> None:
        await app.run(
            instance.settings,
            instance.clock,
            instance.store,
            instance.vault,
            instance.gateway,
            stop=self.stop,
            pace=LOCAL,
            listen=doors.opened,
        )

    async def end(self) -> None:
        """Stop it as SIGTERM does."""
        self.stop.set()
        assert self.task is not None
        assert self.instance is not None
        await asyncio.wait_for(self.task, 20)
        await self.instance.close()

    async def kill(self) -> None:
        """Stop it as kill -9 does: nothing is finished, nothing is tidied up but the sockets."""
        assert self.task is not None
        assert self.instance is not None
        mine = {asyncio.current_task(), *self.neighbours}
        doomed = [task for task in asyncio.all_tasks() if task not in mine]
        for task in doomed:
            task.cancel()
        await asyncio.gather(*doomed, return_exceptions=True)
        await self.instance.close()

    async def connect(self, label: str = "main") -> None:
        """Give Ann, who may trade here, a key, as `tradewire keys add` does."""
        assert self.instance is not None
        it = self.instance
        it.store.transact(lambda db: people.ensure_user(db, ANN, now_ms=it.clock.now_ms()))
        await connect(
            it.gateway, it.store, it.vault, it.clock, user_id=ANN, exchange_id="bitget", label=label, fields=KEY
        )

    def say(self, text: str) -> None:
        """Type in the private chat."""
        self.telegram.say(ANN, ANN, text)

    def press(self, button: str) -> str:
        """Press a button of the newest message that has it."""
        for message in reversed(self.telegram.messages(ANN)):
            try:
                return self.telegram.press(ANN, ANN, message.id, button)
            except (LookupError, ValueError):
                continue
        raise AssertionError(f"no button {button!r} in {self.texts()}")

    async def preview(self, text: str) -> str:
        """Type an order and return its preview, once it can be confirmed."""
        self.say(text)
        asked = self.telegram.messages(ANN)[-1].id

        def shown(telegram: LocalTelegram) -> str | None:
            last = telegram.messages(ANN)[-1]
            is_ready = last.id > asked and any("Confirm" in key for row in last.buttons for key in row)
            return last.text if is_ready else None

        return await self.telegram.wait(shown, 10)  # type: ignore[arg-type,return-value]

    def texts(self) -> list[str]:
        """Return what the chat shows, oldest first."""
        return [message.text for message in self.telegram.messages(ANN)]

    async def see(self, *parts: str, within: float = 10) -> str:
        """Wait until the newest messages show all `parts` in one, and return its text."""

        def found(telegram: LocalTelegram) -> str | None:
            for message in reversed(telegram.messages(ANN)):
                if message.sender.id != ANN and all(part in message.text for part in parts):
                    return message.text
            return None

        try:
            return await self.telegram.wait(found, within)  # type: ignore[arg-type,return-value]
        except TimeoutError:
            raise AssertionError(f"never saw {parts} in {self.texts()}") from None


RECEIVING = ContextVar[Literal["polling", "webhook"]]("RECEIVING", default="polling")
"""How the bots of this context get their messages."""
MakeSettings = Callable[[Path], Settings]


@asynccontextmanager
async def neighbours(tmp_path: Path, mode: str = "classic", *, is_quick: bool = True) -> AsyncIterator[Desk]:
    """Start the local Telegram and the strict Bitget, and make a configuration between them.

    Not quick, for a bot that is a process of its own, all go by the machine's clock.
    """
    clock = QuickClock() if is_quick else SystemClock()
    telegram = LocalTelegram(clock=lambda: clock.now_ms() / 1000)
    telegram.add_person(ANN, "Ann", "ann")
    exchange = StrictBitget(mode=mode, clock=clock.now_ms)  # type: ignore[arg-type]
    exchange.add_account(**KEY, balances={"USDT": Decimal(1000), "BTC": Decimal("0.5")})
    exchange.set_price("BTCUSDT", "60000.00", "60000.10")
    key_file = tmp_path / "keys" / "master.key"
    key_file.parent.mkdir()
    create_master_key(key_file)
    by_webhook = RECEIVING.get() == "webhook"
    async with (
        clock.passing() if isinstance(clock, QuickClock) else nullcontext(),
        StrictServer(exchange) as strict,
        LocalServer(telegram, TOKEN) as local,
        Postman(telegram) if by_webhook else nullcontext(),
    ):
        receiving = webhook() if by_webhook else {}
        settings = Settings.model_validate(
            {
                "telegram": {
                    "token": TOKEN,
                    "base_url": local.base_url,
                    "base_file_url": local.base_file_url,
                    **receiving.get("telegram", {}),
                },
                "web": receiving.get("web", {}),
                "access": {"owner": ANN},
                "storage": {"directory": tmp_path / "data"},
                "vault": {"key_file": key_file},
                "exchanges": {"bitget": {"base_url": strict.url}},
            }
        )
        desk = Desk(telegram, exchange, settings, clock)
        desk.neighbours = set(asyncio.all_tasks())
        yield desk


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A running bot with Ann's key connected."""
    async with neighbours(tmp_path) as found:
        await found.start()
        await found.connect()
        yield found
        await found.end()
