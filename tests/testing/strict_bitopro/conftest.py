"""A signed client of the strict BitoPro, straight into it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest

from bot.testing.bitopro import StrictBitoPro
from bot.testing.strict import Received

D = Decimal
KEY, SECRET, EMAIL = "api-key", "bitopro", "user@example.com"
NOW = 1700000000123


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


class Desk:
    """A signed client of one account, straight into the exchange, without a network between."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.exchange = StrictBitoPro(clock=self.clock)
        balances: dict[str, Decimal | str] = {"TWD": "1000000", "BTC": "1"}
        self.account = self.exchange.add_account(KEY, SECRET, EMAIL, balances=balances)
        self.headers: dict[str, str] = {}

    def send(self, method: str, target: str, text: str, body: str = "") -> tuple[int, Any]:
        payload = base64.b64encode(text.encode())
        headers = {
            "x-bitopro-apikey": KEY,
            "x-bitopro-payload": payload.decode(),
            "x-bitopro-signature": hmac.digest(SECRET.encode(), payload, hashlib.sha384).hex(),
            **({"content-type": "application/json"} if body else {}),
            **self.headers,
        }
        reply = self.exchange.handle(Received(method, "/v3" + target, headers, body.encode()))
        return reply.status, json.loads(reply.body)

    def tick(self) -> int:
        self.clock.now += 1
        return self.clock.now

    def ask(self, path: str, method: str = "GET", **query: str) -> Any:
        """Return the reply, or its status when refused."""
        target = path + ("?" + urlencode(query) if query else "")
        status, reply = self.send(method, target, json.dumps({"identity": EMAIL, "nonce": self.tick()}))
        return reply if status == 200 else status

    def data(self, path: str, **query: str) -> Any:
        return self.ask(path, **query)["data"]

    def post(self, path: str = "/orders/btc_twd", **fields: Any) -> Any:
        """Return the reply, or its error when refused."""
        now = self.tick()
        body = json.dumps({**fields, "timestamp": now, "nonce": now})
        status, reply = self.send("POST", path, body, body)
        return reply if status == 200 else (status, reply["error"])

    def buy(self, price: str = "1400000", amount: str = "0.01", **more: Any) -> Any:
        """Place a limit buy; below 1500010 it rests."""
        return self.post(**{"type": "LIMIT", "action": "BUY", "amount": amount, "price": price, **more})

    def stop(self, **more: Any) -> Any:
        terms = {"price": "1400000", "stopPrice": "1410000", "condition": "<="}
        return self.post(**{"type": "STOP_LIMIT", "action": "SELL", "amount": "0.01", **terms, **more})


@pytest.fixture
def desk() -> Desk:
    return Desk()
