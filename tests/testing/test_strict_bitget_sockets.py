"""The strict Bitget's sockets refuse what Bitget refuses, and tell each account its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from bot.testing.bitget import Mode, StrictBitget
from bot.testing.bitget.sockets import BitgetSockets
from bot.testing.sockets import SocketServer

pytestmark = pytest.mark.network

NOW_MS = 1_700_000_000_123
ORDERS = {"instType": "SPOT", "channel": "orders", "instId": "default"}


def login(time: str = "1700000000", path: str = "/user/verify", **changes: str) -> dict[str, str]:
    """Write the arguments of a login, apart from the code that is tested against it."""
    digest = hmac.new(b"the-secret", f"{time}GET{path}".encode(), hashlib.sha256).digest()
    fields = {"apiKey": "ann", "passphrase": "pass", "timestamp": time, "sign": base64.b64encode(digest).decode()}
    return {**fields, **changes}


@asynccontextmanager
async def socket(path: str, mode: Mode = "classic") -> AsyncIterator[tuple[ClientConnection, StrictBitget]]:
    exchange = StrictBitget(clock=lambda: NOW_MS, mode=mode)
    for name in ("ann", "bob"):
        exchange.add_account(name, "the-secret", "pass", balances={"USDT": 1000, "BTC": 1})
    async with (
        SocketServer(BitgetSockets(exchange)) as server,
        connect(server.url + path, proxy=None, close_timeout=1) as client,
    ):
        yield client, exchange


async def ask(client: ClientConnection, op: str, *args: dict[str, str]) -> dict[str, Any]:
    await client.send(json.dumps({"op": op, "args": args}))
    answer: dict[str, Any] = json.loads(await client.recv())
    return answer


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (login(apiKey="nobody"), 30011),
        (login(passphrase="other"), 30012),
        (login("1700000000123"), 30013),
        (login("1699999969"), 30014),
        (login("1700000031"), 30014),
        (login(path="/"), 30015),
        (login(extra="1"), 30016),
    ],
)
async def test_login_with_a_mistake_is_refused_and_cut_off(fields: dict[str, str], code: int) -> None:
    """Each mistake has the documented code, and the socket is closed after it."""
    async with socket("/v2/ws/private") as (client, _):
        assert (await ask(client, "login", fields))["code"] == code
        with pytest.raises(ConnectionClosed):
            await client.recv()


@pytest.mark.parametrize(("path", "mode"), [("/v2/ws/private", "unified"), ("/v3/ws/private", "classic")])
async def test_login_to_the_other_world_is_refused(path: str, mode: Mode) -> None:
    """A unified account has no v2 and a classic one no v3."""
    async with socket(path, mode) as (client, _):
        assert (await ask(client, "login", login()))["code"] == 30005


@pytest.mark.parametrize(
    ("arg", "code"),
    [
        ({"instType": "SPOT", "channel": "everything", "instId": "default"}, 30001),
        ({"instType": "SPOT", "channel": "orders", "instId": "NOSUCH"}, 30001),
        ({"instType": "USDT-FUTURES", "channel": "orders", "instId": "default"}, 30016),
        ({"instType": "SPOT", "channel": "orders"}, 30016),
        ({"instType": "UTA", "topic": "order"}, 30016),
    ],
)
async def test_subscription_with_a_mistake_is_refused(arg: dict[str, str], code: int) -> None:
    """Unknown channels, markets and fields are not passed over."""
    async with socket("/v2/ws/private") as (client, _):
        assert (await ask(client, "login", login()))["event"] == "login"
        assert (await ask(client, "subscribe", arg))["code"] == code


async def test_subscription_before_the_login_is_refused() -> None:
    """Private channels are for those who said who they are."""
    async with socket("/v2/ws/private") as (client, _):
        assert (await ask(client, "subscribe", ORDERS))["code"] == 30004


async def test_orders_are_told_to_their_owner_only() -> None:
    """Ann hears of her order and of its fill, and nothing of Bob's."""
    async with socket("/v2/ws/private") as (client, exchange):
        await ask(client, "login", login())
        assert await ask(client, "subscribe", ORDERS) == {"event": "subscribe", "arg": ORDERS}
        pair = exchange.ledger.pairs["BTCUSDT"]
        for name in ("bob", "ann"):
            order = exchange.ledger.place(
                exchange.accounts[name],
                pair,
                "buy",
                "limit",
                price=Decimal(50000),
                quantity=Decimal("0.002"),
                client_id=f"by-{name}",
            )
        exchange.ledger.fill(order, "0.0005")
        rows = [json.loads(await client.recv())["data"][0] for _ in range(2)]
        assert [(row["clientOid"], row["status"], row["accBaseVolume"]) for row in rows] == [
            ("by-ann", "live", "0"),
            ("by-ann", "partially_filled", "0.0005"),
        ]


async def test_ticker_is_told_at_once_and_when_it_changes() -> None:
    """A public channel needs no login, and begins with the price of now."""
    async with socket("/v2/ws/public") as (client, exchange):
        arg = {"instType": "SPOT", "channel": "ticker", "instId": "BTCUSDT"}
        await ask(client, "subscribe", arg)
        exchange.set_price("ETHUSDT", "1", "2")
        exchange.set_price("BTCUSDT", "61000", "61000.1")
        rows = [json.loads(await client.recv())["data"][0] for _ in range(2)]
        assert [(row["instId"], row["bidPr"]) for row in rows] == [("BTCUSDT", "60000"), ("BTCUSDT", "61000")]


async def test_ping_is_answered_and_a_flood_is_cut_off() -> None:
    """The text ping gets its pong; more than ten messages within a second end the connection."""
    async with socket("/v2/ws/public") as (client, _):
        for _ in range(11):
            await client.send("ping")
        answers = [await client.recv() for _ in range(11)]
        assert answers[:10] == ["pong"] * 10
        assert json.loads(answers[10])["code"] == 30007


async def test_unknown_path_is_not_found() -> None:
    """Only the four documented addresses exist."""
    with pytest.raises(InvalidStatus, match="404"):
        async with socket("/v2/ws/orders"):
            pass
