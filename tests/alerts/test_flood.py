"""Ten thousand alerts that fire at once, and one order: through the real engine, database, outbox and pacer."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from bot.alerts.rows import Wish, add
from bot.chat.alerts import Alerts
from bot.chat.notes import renderers
from bot.contract.streams import PriceSeen
from bot.store.database import Connection
from tests.chat.test_outage import GATEWAY, World, seed, world
from tests.trading.conftest import ANN

__all__ = ["seed", "world"]

SOON = 1000
FULL = 10_000


async def _no_symbols(_: str) -> dict[str, Any]:
    return {}


async def _kept(*_: Any) -> None:
    pass


@pytest.mark.parametrize("count", [SOON, pytest.param(FULL, marks=pytest.mark.nightly)])
def test_order_result_does_not_wait_for_alerts_that_fire_at_once(world: World, count: int) -> None:
    """All are committed and none is lost before the order is told, yet its card is sent at once."""
    chats = max(10, count // 100)

    def many(db: Connection) -> None:
        for number in range(count):
            ends_ms = world.clock.now_ms() + 10**9
            wish = Wish(
                exchange="acme",
                symbol="BTC/USDT",
                exchange_symbol="BTCUSDT",
                kind="above",
                at=Decimal(61000),
                title=f"BTC/USDT > 61,000.00 ({number})",
                expires_ms=ends_ms,
            )
            room = {"most_per_user": FULL + 1, "most": FULL + 1}
            add(db, wish, user_id=ANN, chat_id=100_000 + number % chats, **room, now_ms=world.clock.now_ms())

    async def work() -> list[float]:
        world.store.transact(many)
        world.outbox._kinds = renderers(GATEWAY)
        prices: Any = SimpleNamespace(listeners=[], keep=_kept)
        gateway: Any = SimpleNamespace(exchanges={}, symbols=_no_symbols)
        alerts = Alerts(world.store, gateway, prices, world.clock, world.outbox.told, owner=None)
        await alerts.step()
        alerts.saw("acme", PriceSeen(exchange_symbol="BTCUSDT", last=Decimal(61000)))
        await alerts.step()
        waits = []
        for _ in range(5):
            began = world.clock.monotonic()
            world.results(1, 5)
            await world.clock.sleep(0.5)
            mark = f"#{world.orders}\n"
            waits.append(next(at / 1e6 for at, _, _, text in world.telegram.sent if mark in text) - began)
        return waits

    waits = world.run(work())
    fired = world.store.transact(lambda db: db.execute("SELECT count(*) FROM alerts WHERE ended='fired'").fetchone()[0])
    assert (fired, max(waits) <= 0.1) == (count, True)
