"""A signed client of the strict Bitget, straight into it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from decimal import Decimal
from urllib.parse import urlencode

import pytest

from bot.testing.bitget import Mode, StrictBitget
from bot.testing.strict import Received

KEY = "bg_testkey0123456789abcdef"
SECRET = "testSecret0123456789abcdefABCDEF"
PASSPHRASE = "TestPass2024"
NOW = 1700000000123
D = Decimal

# Made with ccxt 4.5.90's own `sign()`, clock frozen at NOW: method, target, body, ACCESS-SIGN, HTTP status, code.
VECTORS = [
    ("GET", "/api/v2/spot/account/info", "", "fD8IJgZoHFNRKgweLFhAXLS5hv05v2fsjc7wcmfT8dY=", 200, "00000"),
    (
        "GET",
        "/api/v2/spot/trade/orderInfo?clientOid=bot-0001&orderId=1001",
        "",
        "BPUG7UC3nE+/ASsULDVFY127qoOyRAHXj6kZBJ5YBEg=",
        200,
        "00000",
    ),
    (
        "GET",
        "/api/v2/spot/trade/unfilled-orders?limit=100&symbol=BTCUSDT",
        "",
        "WMVvfxEGhmqpbM3ezk0we3ZSfF2bUYZq3hdiGXwUHPA=",
        200,
        "00000",
    ),
    (
        "POST",
        "/api/v2/spot/trade/place-order",
        '{"symbol":"BTCUSDT","side":"buy","orderType":"limit","force":"gtc","price":"25000.5","size":"0.001",'
        '"clientOid":"bot-0001"}',
        "mCPJuHX+UU6Es/8qbKaPO1BfPaGdSXjNsVnoUZSuTP8=",
        200,
        "00000",
    ),
    (
        "POST",
        "/api/v2/spot/trade/cancel-order",
        '{"symbol":"BTCUSDT","orderId":"1001"}',
        "YaUrBBVyu4iK2VxEP+elgqM2UiIlw033ujKCjRPfMIU=",
        400,
        "43001",
    ),
    ("GET", "/api/v3/account/settings", "", "wzewvYXYpa3rcdewquommHSbn9PWaWQ/zYmbGjnSSII=", 200, "00000"),
    (
        "POST",
        "/api/v3/trade/place-order",
        '{"category":"SPOT","symbol":"BTCUSDT","side":"buy","orderType":"limit","timeInForce":"gtc",'
        '"price":"25000.5","qty":"0.001","clientOid":"bot-0001"}',
        "e/6ndQAum1M3bW0tg2LmOvfcCQTGSOBh0nwFzV8usiw=",
        200,
        "00000",
    ),
]


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


class Desk:
    """A signed client of one account, straight into the exchange, without a network between."""

    def __init__(self, mode: Mode = "classic", *, demo: bool = False) -> None:
        self.clock = Clock()
        self.exchange = StrictBitget(clock=self.clock, mode=mode, demo=demo)
        self.account = self.exchange.add_account(KEY, SECRET, PASSPHRASE, balances={"USDT": "1000", "BTC": "1"})
        self.headers: dict[str, str] = {}

    def send(self, method: str, target: str, body: str = "") -> tuple[int, dict[str, object]]:
        timestamp = str(self.clock.now)
        message = f"{timestamp}{method}{target}{body}".encode()
        headers = {
            "access-key": KEY,
            "access-sign": base64.b64encode(hmac.digest(SECRET.encode(), message, hashlib.sha256)).decode(),
            "access-timestamp": timestamp,
            "access-passphrase": PASSPHRASE,
            "content-type": "application/json",
            **self.headers,
        }
        reply = self.exchange.handle(Received(method, target, headers, body.encode()))
        return reply.status, json.loads(reply.body)

    def get(self, path: str, **query: str) -> object:
        reply = self.send("GET", path + ("?" + urlencode(query) if query else ""))[1]
        return reply["data"] if reply["code"] == "00000" else reply["code"]

    def post(self, path: str, **body: object) -> object:
        reply = self.send("POST", path, json.dumps(body))[1]
        return reply["data"] if reply["code"] == "00000" else reply["code"]

    def buy(self, price: str = "50000", size: str = "0.001", **more: str) -> object:
        """Place a limit buy; below 60000.10 it rests."""
        terms = {"symbol": "BTCUSDT", "side": "buy", "orderType": "limit", "price": price} | more
        if self.exchange.mode == "unified":
            return self.post("/api/v3/trade/place-order", **{"category": "SPOT", "qty": size} | terms)
        return self.post("/api/v2/spot/trade/place-order", **{"force": "gtc", "size": size} | terms)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def unified() -> Desk:
    return Desk("unified")


def only(rows: object) -> dict[str, object]:
    assert isinstance(rows, list)
    assert len(rows) == 1
    row = rows[0]
    assert isinstance(row, dict)
    return row


def ids(rows: object) -> list[object]:
    assert isinstance(rows, list)
    return [row["clientOid"] for row in rows]
