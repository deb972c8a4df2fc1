"""Signatures against known answers.

The credentials are made up. The first seven answers came out of ccxt 4.5.90 with its clock frozen; the two official
texts are the ones Bitget's documentation prints, which shows no signatures for them.
"""

import base64
import hmac
import json

import pytest
from tradewire_bitget import sign, signing

from bot import Credentials, Request, Secret

SECRET = "testSecret0123456789abcdefABCDEF"
CREDENTIALS = Credentials(Secret("bg_testkey0123456789abcdef"), Secret(SECRET), Secret("TestPass2024"))
NOW = 1700000000123

SIGNED = [
    (Request.get("/api/v2/spot/account/info"), "fD8IJgZoHFNRKgweLFhAXLS5hv05v2fsjc7wcmfT8dY="),
    (
        Request.get("/api/v2/spot/trade/orderInfo", {"clientOid": "bot-0001", "orderId": "1001"}),
        "BPUG7UC3nE+/ASsULDVFY127qoOyRAHXj6kZBJ5YBEg=",
    ),
    (
        Request.get("/api/v2/spot/trade/unfilled-orders", {"limit": "100", "symbol": "BTCUSDT"}),
        "WMVvfxEGhmqpbM3ezk0we3ZSfF2bUYZq3hdiGXwUHPA=",
    ),
    (
        Request.post(
            "/api/v2/spot/trade/place-order",
            {
                "symbol": "BTCUSDT",
                "side": "buy",
                "orderType": "limit",
                "force": "gtc",
                "price": "25000.5",
                "size": "0.001",
                "clientOid": "bot-0001",
            },
        ),
        "mCPJuHX+UU6Es/8qbKaPO1BfPaGdSXjNsVnoUZSuTP8=",
    ),
    (
        Request.post("/api/v2/spot/trade/cancel-order", {"symbol": "BTCUSDT", "orderId": "1001"}),
        "YaUrBBVyu4iK2VxEP+elgqM2UiIlw033ujKCjRPfMIU=",
    ),
    (Request.get("/api/v3/account/settings"), "wzewvYXYpa3rcdewquommHSbn9PWaWQ/zYmbGjnSSII="),
    (
        Request.post(
            "/api/v3/trade/place-order",
            {
                "category": "SPOT",
                "symbol": "BTCUSDT",
                "side": "buy",
                "orderType": "limit",
                "timeInForce": "gtc",
                "price": "25000.5",
                "qty": "0.001",
                "clientOid": "bot-0001",
            },
        ),
        "e/6ndQAum1M3bW0tg2LmOvfcCQTGSOBh0nwFzV8usiw=",
    ),
    # Signed as it reads, `a#b 1`, though it is sent percent-encoded.
    (
        Request.get("/api/v2/spot/trade/orderInfo", {"clientOid": "a#b 1"}),
        "iCW1q+7CEKh6qGkIljzgA9whi6D/Bm9iSgKyzQ5jdrc=",
    ),
]


@pytest.mark.parametrize(("request_", "expected"), SIGNED)
def test_sign_known_request_gives_known_headers(request_: Request, expected: str) -> None:
    """All headers of a private request are the documented ones, and nothing else of it changes."""
    signed = sign(request_, CREDENTIALS, NOW)
    assert signed == request_.with_headers(
        {
            "ACCESS-KEY": "bg_testkey0123456789abcdef",
            "ACCESS-SIGN": expected,
            "ACCESS-TIMESTAMP": "1700000000123",
            "ACCESS-PASSPHRASE": "TestPass2024",
            "Content-Type": "application/json",
            "locale": "en-US",
        }
    )


def test_sign_demo_request_keeps_its_header() -> None:
    """Signing adds to what the flow put there."""
    request = Request.get("/api/v2/spot/account/info", headers={"paptrading": "1"})
    assert sign(request, CREDENTIALS, NOW).headers["paptrading"] == "1"


OFFICIAL_GET = "16273667805456GET/api/mix/v2/market/depth?limit=20&symbol=BTCUSDT"
OFFICIAL_POST = (
    '16273667805456POST/api/v2/mix/order/place-order{"productType":"usdt-futures","symbol":"BTCUSDT","size":"8",'
    '"marginMode":"crossed","side":"buy","orderType":"limit","clientOid":"channel#123456"}'
)


OFFICIAL = [
    (
        "16273667805456",
        Request.get("/api/mix/v2/market/depth", {"limit": "20", "symbol": "BTCUSDT"}),
        OFFICIAL_GET,
        "djrH4gToDkVf7R2uDR9+gL0u3K6fBRYjmwb41uoLtRQ=",
    ),
    (
        "16273667805456",
        Request.post("/api/v2/mix/order/place-order", json.loads(OFFICIAL_POST[OFFICIAL_POST.index("{") :])),
        OFFICIAL_POST,
        "Cxfqw2USbqptn5NId/sCGboRisoCB39jbTUrmhjuMHw=",
    ),
    (
        "1700000000",
        Request.get(signing.LOGIN_PATH),
        "1700000000GET/user/verify",
        "8nTK6vVwYSj73k1E76naAf/9z4ZtTJNmnGbPtDxHR1k=",
    ),
]


@pytest.mark.parametrize(("time", "request_", "text", "expected"), OFFICIAL, ids=["GET", "POST", "login"])
def test_signature_official_request_is_that_of_the_official_text(
    time: str, request_: Request, text: str, expected: str
) -> None:
    """The texts that Bitget's documentation prints are what is signed for the same requests."""
    assert base64.b64encode(hmac.digest(SECRET.encode(), text.encode(), "sha256")).decode() == expected
    assert signing.signature(Secret(SECRET), request_, time) == expected
