"""What the strict BitoPro takes for signed: the documented answers, keys and nonces."""

from __future__ import annotations

import base64
import json

import httpx
import pytest

from bot.testing.bitopro import StrictBitoPro
from bot.testing.bitopro.exchange import WINDOW_MS, signature
from bot.testing.strict import StrictServer
from tests.testing.strict_bitopro.conftest import EMAIL, KEY, NOW, SECRET, Desk

USER = (
    "eyJpZGVudGl0eSI6InVzZXJAZXhhbXBsZS5jb20iLCJub25jZSI6MTcwMDAwMDAwMDEyM30=",
    "3c77fd3bbf100d297a36ccd190bbe72a1d8a14da8e933b60dffb958e0505190840209a9348d4692afa08e9178daa4d81",
)
CCXT_GET = (
    "eyJub25jZSI6MTcwMDAwMDAwMDEyM30=",
    "d0a364af608bea7a1cf28ffa2786ff99e84635e21baa7f7c8258a1395e6cbef036f5244b23325410db68cafe9cdb64aa",
)
# Body, signature, HTTP status. The third and fourth were made by ccxt 4.5.90, the others by the documented recipe.
BODIES = [
    (
        '{"type":"LIMIT","action":"BUY","amount":"0.0001","price":"1500000","timestamp":1700000000123,'
        '"nonce":1700000000123,"timeInForce":"GTC","clientId":1234567}',
        "a213b2709f5020d356926368b1dcfaeb005dbb922bb32af1ac89b11359eadd70213a44a791f9a911e9fa5312f8abea06",
        200,
    ),
    (
        '{"type":"MARKET","action":"BUY","amount":"500","timestamp":1700000000123,"nonce":1700000000123}',
        "42a0eda9b24df023c561206867ddb1285cdeaf481382e161f346a34eb1e4907f05be4872f658ad76493772a97ee3633b",
        200,
    ),
    (
        '{"pair":"btc_twd","type":"LIMIT","action":"BUY","amount":"0.0001","timestamp":1700000000123,"price":"1500000"}',
        "ab582094f8b44f54bb8ad9eec7e71974f072d5d354c493253dd227fcdb520ff3428961ce5a9cdb8b151b5f66f5528c2e",
        200,
    ),
    (
        '{"pair":"btc_twd","type":"STOP_LIMIT","action":"SELL","amount":"0.0001","timestamp":1700000000123,'
        '"price":"1400000","stopPrice":"1410000","condition":"<="}',
        "792de123694b1d3223b553ed454d8ba5cc7424bd069191bdaf22241863b8aba965ea7089dff161e76866d803820a1d98",
        200,
    ),
    # Signed rightly, but its base64 has a `+`, which some clients would have sent as `-`.
    (
        '{"type":"STOP_LIMIT","action":"BUY","amount":"0.0001","price":"1600000","stopPrice":"1590000",'
        '"condition":">=","timestamp":1700000000123}',
        "5723cd2ac4316a71b7452c19310199990ab869c059c36c68ef6fa29df4081165fa327c7aaed5cb3998d2309b7467c3c1",
        401,
    ),
]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (
            "eyJpZGVudGl0eSI6ImhjbWxpbmpAZ21haWwuY29tIiwibm9uY2UiOjE1NTQzODA5MDkxMzF9",
            "01a85a9083db47c20da7196380598f3feacd3c76a9077aaf7ffaf08ce0091abf65b61778792607b010921adfe1c2941a",
        ),
        USER,
        CCXT_GET,
    ],
)
def test_signature_known_payload_gives_known_answer(payload: str, expected: str) -> None:
    """The official answer comes out."""
    assert signature(SECRET, payload.encode()) == expected


async def over_http(method: str, target: str, payload: str, sign: str, body: str = "") -> httpx.Response:
    exchange = StrictBitoPro(clock=lambda: NOW)
    exchange.checks_identity = False
    exchange.add_account(KEY, SECRET, EMAIL, balances={"TWD": "1000000", "BTC": "1"})
    headers = {"X-BITOPRO-APIKEY": KEY, "X-BITOPRO-PAYLOAD": payload, "X-BITOPRO-SIGNATURE": sign}
    if body:
        headers["Content-Type"] = "application/json"
    async with StrictServer(exchange) as server, httpx.AsyncClient() as client:
        return await client.request(method, server.url + "/v3" + target, content=body, headers=headers)


@pytest.mark.network
@pytest.mark.parametrize(("payload", "sign"), [USER, CCXT_GET])
@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/accounts/balance", 200),
        ("GET", "/orders/open?pair=btc_twd", 200),
        ("DELETE", "/orders/btc_twd/1", 404),
    ],
)
async def test_known_vector_passes_whatever_the_path(
    method: str, target: str, status: int, payload: str, sign: str
) -> None:
    """Neither path nor query is signed; a wrong digit is refused all the same."""
    assert (await over_http(method, target, payload, sign)).status_code == status
    refused = await over_http(method, target, payload, sign[:-1] + ("0" if sign[-1] != "0" else "1"))
    assert (refused.status_code, refused.json()) == (401, {"error": "Invalid Signature"})


@pytest.mark.network
@pytest.mark.parametrize(("body", "sign", "status"), BODIES)
async def test_known_order_passes_and_a_changed_body_does_not(body: str, sign: str, status: int) -> None:
    """The payload must be the very body that was sent."""
    payload = base64.b64encode(body.encode()).decode()
    assert (await over_http("POST", "/orders/btc_twd", payload, sign, body)).status_code == status
    other = body.replace('"0.0001"', '"0.0002"').replace('"500"', '"600"')
    refused = await over_http("POST", "/orders/btc_twd", payload, sign, other)
    assert (refused.status_code, refused.json()) == (401, {"error": "Invalid Signature"})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-bitopro-apikey": "other"}, 401),
        ({"x-bitopro-apikey": ""}, 401),
        ({"x-bitopro-payload": ""}, 401),
        ({"x-bitopro-signature": ""}, 401),
        ({}, 200),
    ],
)
def test_missing_or_unknown_part_of_the_key_is_refused(desk: Desk, headers: dict[str, str], status: int) -> None:
    """All three headers are needed, for a DELETE too."""
    desk.headers = headers
    assert desk.send("GET", "/accounts/balance", json.dumps({"identity": EMAIL, "nonce": NOW}))[0] == status
    deleted = desk.send("DELETE", "/orders/btc_twd", json.dumps({"identity": EMAIL, "nonce": NOW + 1}))
    assert deleted[0] == status


def test_identity_of_another_account_is_refused(desk: Desk) -> None:
    """Real servers may not look; this one does, so that a plugin which forgets the e-mail is found out."""
    assert desk.send("GET", "/accounts/balance", json.dumps({"identity": "x@y.z", "nonce": NOW}))[0] == 401
    assert desk.send("GET", "/accounts/balance", json.dumps({"nonce": NOW}))[0] == 401


@pytest.mark.parametrize(
    ("off_ms", "status"), [(0, 200), (WINDOW_MS, 200), (-WINDOW_MS, 200), (WINDOW_MS + 1, 409), (-60_000, 409)]
)
def test_nonce_off_the_clock_is_a_conflict(desk: Desk, off_ms: int, status: int) -> None:
    """HTTP 409 tells of a wrong clock."""
    assert desk.send("GET", "/accounts/balance", json.dumps({"identity": EMAIL, "nonce": NOW + off_ms}))[0] == status


def test_nonce_that_does_not_grow_is_a_conflict(desk: Desk) -> None:
    """The same request twice, or two in one millisecond, is refused; orders share the counter."""
    text = json.dumps({"identity": EMAIL, "nonce": NOW})
    assert [desk.send("GET", "/accounts/balance", text)[0] for _ in range(2)] == [200, 409]
    body = json.dumps({"type": "MARKET", "action": "BUY", "amount": "500", "timestamp": NOW, "nonce": NOW})
    assert desk.send("POST", "/orders/btc_twd", body, body)[0] == 409


def test_nonce_unlike_timestamp_is_refused(desk: Desk) -> None:
    """Which of the two is checked is not documented: they must be the same."""
    body = json.dumps({"type": "MARKET", "action": "BUY", "amount": "500", "timestamp": NOW, "nonce": NOW + 1})
    assert desk.send("POST", "/orders/btc_twd", body, body)[0] == 400


def test_key_without_order_permission_or_from_elsewhere_is_forbidden(desk: Desk) -> None:
    """Reading works without the order permission; another address may do nothing."""
    desk.account.permissions = {"read"}
    assert (desk.ask("/accounts/balance") != 403, desk.buy()) == (True, (403, "Forbidden"))
    desk.account.ips = {"192.0.2.1"}
    assert desk.ask("/accounts/balance") == 403
