"""What holds for every request: parameters, limits and refusals in Bitrue's form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.testing.strict import Received
from tests.testing.strict_bitrue.conftest import ORDER, Desk


@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [
        ("GET", "/api/v1/openOrders", {}),
        ("GET", "/api/v1/allOrders", {}),
        ("GET", "/api/v2/myTrades", {}),
        ("GET", "/api/v1/allOrders", {"symbol": "BTCUSDT", "limit": 1001}),
        ("GET", ORDER, {"symbol": "BTCUSDT"}),
        ("GET", "/api/v1/account", {"extra": 1}),
        ("GET", "/api/v1/account", {"recvWindow": 60_001}),
        ("POST", ORDER, {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "1"}),
        ("POST", ORDER, {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1", "price": "1"}),
        ("POST", ORDER, {"symbol": "BTCUSDT", "side": "buy", "type": "MARKET", "quantity": "1"}),
        ("POST", ORDER, {"symbol": "BTCUSDT", "side": "BUY", "type": "STOP_LOSS", "quantity": "1"}),
        ("POST", ORDER, {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1e-3"}),
    ],
)
def test_parameter_missing_or_wrong(desk: Desk, method: str, path: str, fields: dict[str, Any]) -> None:
    """A symbol is mandatory in every list, amounts have no exponent, and nothing superfluous is taken."""
    assert desk.code(method, path, **fields) == (412, -1102)
    assert desk.exchange.orders() == []


def test_unknown_symbol_path_and_method(desk: Desk) -> None:
    """Symbols are in upper case; there is no way to cancel all."""
    assert desk.code("GET", "/api/v1/openOrders", symbol="btcusdt") == (412, -1121)
    assert desk.code("DELETE", "/api/v1/openOrders", symbol="BTCUSDT") == (405, -1020)
    assert desk.exchange.handle(Received("GET", "/api/v1/nowhere")).status == 404
    assert desk.raw("POST", f"{ORDER}?symbol=BTCUSDT", body=b"{}")[1]["code"] == -1102


def test_limit_on_orders_counts_what_trades_warns_and_then_bans(desk: Desk) -> None:
    """One 429 beyond a hundred a minute; going on is a ban of two minutes, for everything."""
    desk.exchange.is_limiting = True
    for _ in range(100):
        assert desk.code("DELETE", ORDER, symbol="BTCUSDT", orderId="5") == (200, -2013)
    assert desk.ask("GET", "/api/v1/openOrders", symbol="BTCUSDT")[0] == 200
    assert desk.code("DELETE", ORDER, symbol="BTCUSDT", orderId="5") == (429, -1003)
    assert desk.raw("GET", "/api/v1/time")[0] == 200
    assert desk.code("DELETE", ORDER, symbol="BTCUSDT", orderId="5") == (418, -1003)
    assert desk.raw("GET", "/api/v1/time")[0] == 418
    desk.now_ms += 120_000
    assert desk.code("DELETE", ORDER, symbol="BTCUSDT", orderId="5") == (200, -2013)


def test_general_limit_counts_every_request_by_its_weight(desk: Desk) -> None:
    """Lists of all orders weigh five, a time one; the limit is of the address, whoever asks."""
    desk.exchange.is_limiting = True
    desk.exchange.limits["general"] = 12
    for _ in range(2):
        assert desk.ask("GET", "/api/v1/allOrders", symbol="BTCUSDT")[0] == 200
    assert [desk.raw("GET", "/api/v1/time")[0] for _ in range(3)] == [200, 200, 429]
    desk.now_ms += 60_001
    assert desk.raw("GET", "/api/v1/time")[0] == 200


@pytest.mark.parametrize(("code", "status"), [("rate_limited", 429), ("banned", 418), ("-2013", 200), ("-2010", 406)])
def test_refusal_on_demand(desk: Desk, code: str, status: int) -> None:
    """Faults refuse in Bitrue's own form."""
    reply = desk.exchange.refusal(code)
    assert reply.status == status
    assert json.loads(reply.body)["code"] < 0
