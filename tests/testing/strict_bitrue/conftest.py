"""A signed client of the strict Bitrue, straight into it."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from bot.testing.bitrue import StrictBitrue
from bot.testing.ledger import plain
from bot.testing.strict import Received

KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
NOW = 1700667180381
STAMP = f"timestamp={NOW}&recvWindow=5000"
ORDER = "/api/v1/order"


class Desk:
    """A signed client of one account, straight into the exchange, with a recipe of its own for the signature."""

    def __init__(self) -> None:
        self.now_ms = NOW
        self.exchange = StrictBitrue(clock=lambda: self.now_ms)
        self.account = self.exchange.add_account(KEY, SECRET, balances={"USDT": "10000", "BTC": "1"})

    def raw(self, method: str, target: str, *, key: str = KEY, body: bytes = b"") -> tuple[int, Any]:
        reply = self.exchange.handle(Received(method, target, {"x-mbx-apikey": key}, body))
        return reply.status, json.loads(reply.body)

    def ask(self, method: str, path: str, **fields: Any) -> tuple[int, Any]:
        fields = {"recvWindow": 5000, "timestamp": self.now_ms} | fields
        text = "&".join(f"{name}={value}" for name, value in fields.items())
        digest = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
        return self.raw(method, f"{path}?{text}&signature={digest}")

    def code(self, method: str, path: str, **fields: Any) -> tuple[int, int]:
        status, content = self.ask(method, path, **fields)
        return status, content["code"]

    def limit(self, **changes: Any) -> dict[str, Any]:
        fields = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.01", "price": "50000"}
        return fields | {"newClientOrderId": f"t{len(self.exchange.orders())}"} | changes

    def place(self, **changes: Any) -> str:
        status, content = self.ask("POST", ORDER, **self.limit(**changes))
        assert status == 200, content
        return str(content["orderIdStr"])

    def usdt(self) -> tuple[str, str]:
        return plain(self.account.free["USDT"]), plain(self.account.locked["USDT"])

    def market(self, side: str, quantity: str) -> dict[str, Any]:
        order_id = self.ask("POST", ORDER, symbol="BTCUSDT", side=side, type="MARKET", quantity=quantity)[1]["orderId"]
        found: dict[str, Any] = self.ask("GET", ORDER, symbol="BTCUSDT", orderId=order_id)[1]
        return found


@pytest.fixture
def desk() -> Desk:
    """An account with 10,000 USDT and 1 BTC."""
    return Desk()
