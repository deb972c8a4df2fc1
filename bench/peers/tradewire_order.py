"""The bot's own way: plugin, limits, signature, transport, reply and error mapping; without the journal."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx
import tradewire_bitget

from bot import Account, Base, Credentials, Limit, Market, Order, Secret
from bot.clock import SystemClock
from bot.exchanges import registry
from bot.exchanges.http import HttpWire
from bot.exchanges.registry import Plugin
from bot.exchanges.transport import BeforeSend, Departure, Transport

Step = Callable[[], Awaitable[Any]]
MARKET = Market(
    symbol="BTC/USDT",
    exchange_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    price_step=Decimal("0.01"),
    quantity_step=Decimal("0.000001"),
    quote_step=Decimal("0.01"),
)
SIZE, PRICE = Base(Decimal("0.001")), Decimal("25000.5")
ORDER = Order(client_order_id="t1", market=MARKET, side="buy", type="limit", size=SIZE, price=PRICE)
ACCOUNT = Account(1, "main", {"mode": "classic"}, {})
KEYS = Credentials(Secret("key"), Secret("secret"), Secret("passphrase"))


async def note_nothing(_: Departure) -> None:
    """Let an order leave with nothing written down."""


def driver(
    origin: str, transport: httpx.AsyncBaseTransport | None = None, before_send: BeforeSend = note_nothing
) -> tuple[Step, Step]:
    """Return what places an order, and what closes everything. The limits are so wide that they never hold."""
    registered = registry.register(Plugin("bitget", tradewire_bitget))
    info = replace(registered.info, limits={name: (Limit(10**9, 1),) for name in registered.info.limits})
    wire = HttpWire(info.title, dict.fromkeys(info.hosts, origin), transport=transport)
    found = Transport(info, registered.hook, wire, SystemClock())

    async def clock_is_right() -> None:
        return None

    found.measure_clock = clock_is_right  # type: ignore[method-assign]
    found.clock.is_stale = lambda: False  # type: ignore[method-assign]

    async def keys() -> Credentials:
        return KEYS

    async def place() -> None:
        flow = found.flow("place_order", account=ACCOUNT, order=ORDER)
        await found.run(flow, account_id=1, credentials=keys, before_send=before_send)

    return place, found.close


if __name__ == "__main__":
    from bench.clients import serve

    serve(*driver(sys.argv[1]))
