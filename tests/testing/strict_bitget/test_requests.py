"""What holds for every request, and faults in Bitget's form."""

from __future__ import annotations

import json

import pytest

from bot.testing.bitget.call import ENDPOINTS
from bot.testing.strict import Received
from tests.testing.strict_bitget.conftest import KEY, NOW, PASSPHRASE, VECTORS, Desk


def test_unknown_path_is_not_found(desk: Desk) -> None:
    """A wrong path or method gives HTTP 404 with a JSON code, before any key is looked at."""
    assert desk.send("GET", "/api/spot/v1/account/assets")[0] == 404
    status, reply = desk.send("GET", "/api/v2/spot/trade/place-order")
    assert (status, reply["code"]) == (404, "40404")


def test_endpoints_cover_the_documented_map() -> None:
    """Every call a spot plugin needs exists in both worlds."""
    assert {path.removeprefix("/api/v2/spot/") for _, path in ENDPOINTS if "/v2/spot/" in path} == {
        "account/assets",
        "account/info",
        "market/candles",
        "market/orderbook",
        "market/tickers",
        "public/symbols",
        "trade/batch-cancel-plan-order",
        "trade/cancel-order",
        "trade/cancel-plan-order",
        "trade/cancel-symbol-order",
        "trade/current-plan-order",
        "trade/fills",
        "trade/history-orders",
        "trade/history-plan-order",
        "trade/orderInfo",
        "trade/place-order",
        "trade/place-plan-order",
        "trade/plan-sub-order",
        "trade/unfilled-orders",
    }
    assert {path.removeprefix("/api/v3/") for _, path in ENDPOINTS if "/v3/" in path} == {
        "account/assets",
        "account/fee-rate",
        "account/funding-assets",
        "account/info",
        "account/settings",
        "market/instruments",
        "market/orderbook",
        "market/tickers",
        "trade/cancel-order",
        "trade/cancel-symbol-order",
        "trade/fills",
        "trade/history-orders",
        "trade/order-info",
        "trade/place-order",
        "trade/unfilled-orders",
    }


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "400172"),
        ("[]", "40019"),
        ('"text"', "400172"),
        ('{"symbol":"BTCUSDT","symbol":"ETHUSDT"}', "400172"),
        ('{"symbol":"BTCUSDT","side":"buy","orderType":"market","size":50}', "400172"),
        ('{"symbol":"BTCUSDT","side":"buy","orderType":"market"}', "40019"),
        ('{"symbol":"BTCUSDT","side":"buy","orderType":"market","size":"50","clientOrderId":"a"}', "400172"),
        ('{"symbol":"BTCUSDT","side":"BUY","orderType":"market","size":"50"}', "400172"),
        ('{"symbol":"BTCUSDT","side":"buy","orderType":"market","size":"5e1"}', "400172"),
        ('{"symbol":"BTCUSDT","side":"buy","orderType":"market","size":"-50"}', "400172"),
        ('{"symbol":"BTCUSDT","side":"buy","orderType":"market","size":"0"}', "400172"),
        ('{"symbol":"BTCUSDT","side":"buy","orderType":"limit","size":"0.01","price":"50000"}', "400172"),
    ],
)
def test_body_wrong_is_refused(desk: Desk, body: str, code: str) -> None:
    """Bodies must be one JSON object of documented names and plain decimal texts; a limit order needs `force`."""
    status, reply = desk.send("POST", "/api/v2/spot/trade/place-order", body)
    assert (status, reply["code"], desk.exchange.orders()) == (400, code, [])


def test_error_status_can_be_200(desk: Desk) -> None:
    """The same refusal can be sent under HTTP 200, as it has been seen."""
    desk.exchange.error_status = 200
    status, reply = desk.send("GET", "/api/v2/spot/market/tickers?symbol=NOPE")
    assert (status, reply["code"]) == (200, "40102")


def test_receive_window_refuses_late_requests(desk: Desk) -> None:
    """A request with a window is not carried out after it; a window above a minute is refused."""
    assert desk.buy(requestTime=str(NOW - 5001), receiveWindow="5000") == "40078"
    assert desk.buy(requestTime=str(NOW), receiveWindow="60001") == "40079"
    assert isinstance(desk.buy(requestTime=str(NOW - 5000), receiveWindow="5000"), dict)


def test_rate_limit_is_counted_per_endpoint_and_second(desk: Desk) -> None:
    """When switched on, one call too many within a second is refused with HTTP 429 and not carried out."""
    desk.exchange.is_limiting = True
    statuses = [desk.send("GET", "/api/v2/spot/account/info")[0] for _ in range(2)]
    assert statuses == [200, 429]
    assert desk.send("GET", "/api/v2/spot/account/assets")[0] == 200
    desk.clock.now += 1000
    assert desk.send("GET", "/api/v2/spot/account/info")[0] == 200


@pytest.mark.parametrize(
    ("kind", "status", "code", "existing"),
    [
        ("rate_limited", 429, "429", 0),
        ("banned", 418, "429", 0),
        ("refuse:43012", 400, "43012", 0),
        ("accept:40010", 400, "40010", 1),
    ],
)
async def test_fault_speaks_bitget(desk: Desk, kind: str, status: int, code: str, existing: int) -> None:
    """Refusals on demand come in Bitget's envelope, with or without the order having been placed."""
    desk.exchange.misbehave(kind, "place-order")
    method, target, body, sign = VECTORS[3][:4]
    headers = {"access-key": KEY, "access-sign": sign, "access-timestamp": str(NOW), "access-passphrase": PASSPHRASE}
    headers["content-type"] = "application/json"
    reply = await desk.exchange.answer(Received(method, target, headers, body.encode()))
    assert reply is not None
    envelope = json.loads(reply.body)
    assert (reply.status, envelope["code"], envelope["data"]) == (status, code, None)
    assert (len(desk.exchange.orders(client_id="bot-0001")), desk.exchange.placing_requests) == (existing, 1)
