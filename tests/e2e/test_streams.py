"""Fills that the exchange tells by itself, from its socket to the chat."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from bot.cli.instance import open_instance
from bot.config import ExchangeSettings
from bot.testing.bitget.sockets import BitgetSockets
from bot.testing.sockets import SocketServer
from bot.trading.feeds import Feeds
from bot.trading.reconcile import Reconciler
from tests.e2e.conftest import KEY, Desk, neighbours

pytestmark = pytest.mark.network


class Sockets(SocketServer):
    """The strict Bitget's sockets, and when the bot may begin to look for a reason to open one.

    Attributes:
        looks: How often the bot looked.
    """

    sockets: BitgetSockets
    looks: int = 0

    def __init__(self, desk: Desk) -> None:
        super().__init__(BitgetSockets(desk.exchange))
        self.may_look = asyncio.Event()


@asynccontextmanager
async def trading(tmp_path: Path, mode: str = "classic", *, refuses: int = 0) -> AsyncIterator[tuple[Desk, Sockets]]:
    """Run a bot with Ann's key beside a strict Bitget with sockets."""
    look: Callable[[Feeds], Any] = Feeds.step
    async with neighbours(tmp_path, mode) as desk, Sockets(desk) as server:
        server.refuses = refuses
        section = desk.settings.exchanges["bitget"]
        streamed = ExchangeSettings(base_url=section.base_url, stream_url=server.url)
        desk.settings = desk.settings.model_copy(update={"exchanges": {"bitget": streamed}})

        async def step(feeds: Feeds) -> None:
            await server.may_look.wait()
            await look(feeds)
            server.looks += 1

        with patch.object(Feeds, "step", step):
            await desk.start()
            await desk.connect()
            yield desk, server
            await desk.end()


@pytest.fixture
def no_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """An order is asked after when somebody says so, and never because time passed."""
    monkeypatch.setattr(Reconciler, "_interval", lambda *_: 3600.0)


async def place(desk: Desk, server: Sockets, text: str = "/buy BTC/USDT 0.001 @ 50000") -> None:
    """Place an order that rests, and only then let the bot open its stream."""
    await desk.preview(text)
    desk.press("Confirm")
    await desk.see("Accepted")
    server.may_look.set()


async def until(condition: Callable[[], object]) -> None:
    """Wait for what nobody announces."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def asked(desk: Desk) -> int:
    """Return how often the exchange was asked about a single order."""
    return sum(
        each.path.endswith(("/orderInfo", "/order-info"))
        or (each.path.endswith("/current-plan-order") and "symbol=" in each.query)  # without one it is the list of all
        for each in desk.exchange.received
    )


@pytest.mark.usefixtures("no_polling")
@pytest.mark.parametrize("mode", ["classic", "unified"])
async def test_fill_told_by_the_socket_shows_without_polling(
    tmp_path: Path, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody asks after the order by the clock, yet each fill is on the card at once; and no key is in the log."""
    caplog.set_level(logging.DEBUG)
    async with trading(tmp_path, mode) as (desk, server):
        await place(desk, server)
        await until(lambda: asked(desk) == 2)  # once placed, once when the stream opened
        order = desk.exchange.orders()[0]
        desk.exchange.ledger.fill(order, "0.0004")
        await desk.see("Partly filled", "40%")
        desk.say("/status")
        await desk.see("stream ✓ heard")
        desk.exchange.ledger.fill(order, "0.0006")
        await desk.see("✅ Filled", "0.001 BTC")
        assert server.sockets.logins == 1
    assert [secret for secret in KEY.values() if secret in caplog.text] == []


@pytest.mark.usefixtures("no_polling")
async def test_stop_order_told_by_the_socket_shows_its_trigger(tmp_path: Path) -> None:
    """A stop order whose price is reached fills, and the card shows it though nobody polled."""
    async with trading(tmp_path) as (desk, server):
        await place(desk, server, "/sell BTC/USDT 0.001 stop 55000 @ 54900")
        await until(lambda: asked(desk) == 2)
        desk.exchange.set_price("BTCUSDT", "54950.00", "54950.10")
        await desk.see("✅ Filled", "0.001 BTC")


@pytest.mark.usefixtures("no_polling")
async def test_fill_while_the_socket_was_down_shows_after_reconnecting(tmp_path: Path) -> None:
    """What happened in the gap is read as soon as the stream is open again."""
    async with trading(tmp_path) as (desk, server):
        await place(desk, server)
        await until(lambda: asked(desk) == 2)
        handshakes, server.refuses = server.handshakes, 503
        server.drop()
        await until(lambda: asked(desk) == 3)  # when the stream was lost
        desk.exchange.ledger.fill(desk.exchange.orders()[0], "0.0004")
        await server.until(lambda: server.handshakes == handshakes + 1)
        assert asked(desk) == 3
        server.refuses = 0
        await desk.see("Partly filled", "40%")


async def test_fill_with_the_socket_refused_shows_by_polling(tmp_path: Path) -> None:
    """Without any stream the bot asks as ever, and /status says why."""
    async with trading(tmp_path, refuses=403) as (desk, server):
        await place(desk, server)
        await server.until(lambda: server.handshakes)
        desk.exchange.ledger.fill(desk.exchange.orders()[0], "0.0004")
        await desk.see("Partly filled", "40%")
        desk.say("/status")
        await desk.see("stream ✗ refused with HTTP 403", "asks instead")


@pytest.mark.parametrize(
    ("streamed", "expected"),
    [
        pytest.param({}, "wss://ws.bitget.com", id="the real one"),
        pytest.param({"base_url": "http://127.0.0.1:1"}, None, id="elsewhere"),
        pytest.param(
            {"base_url": "http://127.0.0.1:1", "stream_url": "ws://127.0.0.1:2"}, "ws://127.0.0.1:2", id="both"
        ),
        pytest.param({"stream_url": "ws://127.0.0.1:2"}, "ws://127.0.0.1:2", id="only the stream"),
    ],
)
async def test_exchange_elsewhere_never_reaches_the_real_sockets(
    tmp_path: Path, streamed: dict[str, str], expected: str | None
) -> None:
    """Where the REST address was changed, keys are not sent to the real exchange's sockets: those need their own."""
    async with neighbours(tmp_path) as desk:
        exchanges = {"bitget": ExchangeSettings.model_validate(streamed)}
        instance = open_instance(desk.settings.model_copy(update={"exchanges": exchanges}))
        sockets = instance.gateway.exchanges["bitget"].sockets
        assert (None if sockets is None else sockets.origins["ws_private"]) == expected
        assert instance.gateway.exchanges["bitget:paper"].sockets is None
        await instance.close()


async def test_bot_without_orders_opens_no_socket(tmp_path: Path) -> None:
    """A connected key and a preview are no reason to log in anywhere."""
    async with trading(tmp_path) as (desk, server):
        await desk.preview("/buy BTC/USDT 0.001 @ 50000")
        server.may_look.set()
        await until(lambda: server.looks == 2)
        assert server.handshakes == 0
