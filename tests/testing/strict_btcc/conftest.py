"""A signed client of the strict BTCC, straight into it."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from urllib.parse import quote

import pytest

from bot.testing.btcc import StrictBTCC
from bot.testing.strict import Received

KEY = "a31b51a3-92ec-4ebe-935e-2a9aeadfc268"
SECRET = "473740ab-c249-4f5e-803b-f6db21ec97e0"
TM = 1724999193
API = "/btcc_api_trade/"
HEAD = f'{{"access_id":"{KEY}","tm":{TM},'


class Desk:
    """A signed client of one account, straight into the exchange, with a recipe of its own for the signature."""

    def __init__(self) -> None:
        self.now_ms = TM * 1000
        self.exchange = StrictBTCC(clock=lambda: self.now_ms)
        self.account = self.exchange.add_account(KEY, SECRET, balances={"USDT": "10000", "BTC": "1", "MINA": "100"})
        self.key, self.secret, self.tm_offset = KEY, SECRET, 0

    def send(self, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, Any]:
        reply = self.exchange.handle(Received(method, API + target, headers, body))
        return reply.status, json.loads(reply.body) if reply.body.startswith(b"{") else reply.body

    def call(self, method: str, name: str, **fields: Any) -> Any:
        fields = {"access_id": self.key, "tm": self.now_ms // 1000 + self.tm_offset} | fields
        named = sorted([*fields.items(), ("secret_key", self.secret)])
        digest = hashlib.md5("&".join(f"{name}={value}" for name, value in named).encode()).hexdigest()
        headers = {"authorization": digest, "content-type": "application/json"}
        if method == "POST":
            return self.send("POST", name, headers, json.dumps(fields).encode())[1]
        query = "&".join(f"{name}={quote(str(value))}" for name, value in fields.items())
        return self.send("GET", f"{name}?{query}", headers)[1]

    def get(self, name: str, **fields: Any) -> Any:
        return outcome(self.call("GET", name, **fields))

    def post(self, name: str, **fields: Any) -> Any:
        return outcome(self.call("POST", name, **fields))

    def public(self, target: str) -> Any:
        return self.send("GET", target, {})[1]

    def buy(self, price: str = "50000", amount: str = "0.02", **more: Any) -> Any:
        """Place a limit buy; below 60000.10 it rests."""
        terms = {"market": "BTCUSDT", "side": 1, "price": price, "amount": amount, "source": "t1"} | more
        return self.post("order/limit", **{name: value for name, value in terms.items() if value is not None})

    def market(self, side: int, amount: str, market: str = "BTCUSDT") -> Any:
        return self.post("order/market", market=market, side=side, amount=amount, source="t1")

    def pending(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.get("order/pending", market="BTCUSDT", offset=0, limit=100)["records"]
        return rows


def outcome(reply: Any) -> Any:
    """Return the result, or the code of a refusal."""
    error = reply.get("error") or {}
    code = reply.get("code") or error.get("code", 0)
    return code or reply.get("result")


@pytest.fixture
def desk() -> Desk:
    return Desk()
