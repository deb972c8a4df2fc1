"""Signature, keys, and what a key may do."""

from __future__ import annotations

import httpx
import pytest

from bot.testing.bitget import StrictBitget
from bot.testing.bitget.exchange import signature
from bot.testing.strict import StrictServer
from tests.testing.strict_bitget.conftest import KEY, NOW, PASSPHRASE, SECRET, VECTORS, Desk


async def send_vector(target: str, body: str, method: str, sign: str) -> tuple[int, str]:
    exchange = StrictBitget(clock=lambda: NOW, mode="unified" if "/v3/" in target else "classic")
    exchange.add_account(KEY, SECRET, PASSPHRASE, balances={"USDT": "1000"})
    headers = {
        "ACCESS-KEY": KEY,
        "ACCESS-SIGN": sign,
        "ACCESS-TIMESTAMP": str(NOW),
        "ACCESS-PASSPHRASE": PASSPHRASE,
        "Content-Type": "application/json",
    }
    async with StrictServer(exchange) as server, httpx.AsyncClient() as client:
        reply = await client.request(method, server.url + target, content=body, headers=headers)
    return reply.status_code, reply.json()["code"]


@pytest.mark.network
@pytest.mark.parametrize(("method", "target", "body", "sign", "status", "code"), VECTORS)
async def test_signature_of_known_vector_is_accepted(
    method: str, target: str, body: str, sign: str, status: int, code: str
) -> None:
    """Requests signed by another implementation pass, and each goes to its endpoint over real HTTP."""
    assert await send_vector(target, body, method, sign) == (status, code)


@pytest.mark.network
@pytest.mark.parametrize(("method", "target", "body", "sign", "status", "code"), VECTORS)
async def test_signature_with_one_byte_flipped_is_refused(
    method: str, target: str, body: str, sign: str, status: int, code: str
) -> None:
    """One changed byte of signature or body refuses the request with 40009."""
    flipped = ("A" if sign[0] != "A" else "B") + sign[1:]
    assert await send_vector(target, body, method, flipped) == (400, "40009")
    other = body.replace("BTCUSDT", "BTCUSDC") if body else "x"
    assert await send_vector(target, other, method, sign) == (400, "40009")


@pytest.mark.parametrize(
    ("prehash", "expected"),
    [
        (
            "16273667805456GET/api/mix/v2/market/depth?limit=20&symbol=BTCUSDT",
            "djrH4gToDkVf7R2uDR9+gL0u3K6fBRYjmwb41uoLtRQ=",
        ),
        (
            '16273667805456POST/api/v2/mix/order/place-order{"productType":"usdt-futures","symbol":"BTCUSDT","size":"8"'
            ',"marginMode":"crossed","side":"buy","orderType":"limit","clientOid":"channel#123456"}',
            "Cxfqw2USbqptn5NId/sCGboRisoCB39jbTUrmhjuMHw=",
        ),
        ("1700000000GET/user/verify", "8nTK6vVwYSj73k1E76naAf/9z4ZtTJNmnGbPtDxHR1k="),
    ],
)
def test_signature_of_documented_prehash_is_known(prehash: str, expected: str) -> None:
    """The recipe gives the known answers for the texts printed in Bitget's documentation."""
    assert signature(SECRET, prehash.encode()) == expected.encode()


def test_signature_over_decoded_query_is_refused(desk: Desk) -> None:
    """Signing `a#b 1` and sending `a%23b%201` is refused: the signature must cover the bytes that were sent."""
    desk.headers["access-sign"] = "iCW1q+7CEKh6qGkIljzgA9whi6D/Bm9iSgKyzQ5jdrc="
    assert desk.get("/api/v2/spot/trade/orderInfo", clientOid="a#b 1") == "40009"


@pytest.mark.parametrize(
    ("header", "value", "code"),
    [
        ("access-key", "", "40001"),
        ("access-sign", "", "40003"),
        ("access-timestamp", "", "40005"),
        ("access-timestamp", "17e11", "40005"),
        ("access-timestamp", str(NOW - 30_001), "40008"),
        ("access-timestamp", str(NOW + 30_001), "40008"),
        ("access-timestamp", str(NOW - 30_000), "40009"),
        ("access-passphrase", "", "40011"),
        ("access-passphrase", PASSPHRASE + " ", "40012"),
        ("access-key", "bg_other", "40037"),
        ("access-sign", "é", "40009"),
        ("paptrading", "1", "40099"),
    ],
)
def test_headers_wrong_are_refused_with_their_code(desk: Desk, header: str, value: str, code: str) -> None:
    """Every mistake in the headers has its own documented code, under HTTP 400, in the envelope."""
    desk.headers[header] = value
    status, reply = desk.send("GET", "/api/v2/spot/account/assets")
    assert (status, reply["code"], reply["requestTime"], reply["data"]) == (400, code, NOW, None)


def test_content_type_of_post_is_checked(desk: Desk) -> None:
    """A POST that is not declared as JSON is refused; a GET may say what it likes."""
    desk.headers["content-type"] = "text/plain"
    assert desk.buy() == "40007"
    assert isinstance(desk.get("/api/v2/spot/account/assets"), list)


def test_demo_key_needs_the_demo_header() -> None:
    """A demo key works with `paptrading: 1` only."""
    desk = Desk(demo=True)
    assert desk.get("/api/v2/spot/account/assets") == "40099"
    desk.headers["paptrading"] = "1"
    assert isinstance(desk.get("/api/v2/spot/account/assets"), list)


def test_account_mode_decides_which_api_answers(desk: Desk, unified: Desk) -> None:
    """Private v3 refuses classic accounts, private v2 unified ones, also after a migration; public v2 serves all."""
    assert desk.get("/api/v3/account/settings") == "40084"
    assert unified.get("/api/v2/spot/account/info") == "40085"
    assert unified.get("/api/v2/public/time") == {"serverTime": str(NOW)}
    desk.account.mode = "unified"
    assert (desk.get("/api/v2/spot/account/info"), desk.buy()) == ("40085", "40085")
    settings = desk.get("/api/v3/account/settings")
    assert isinstance(settings, dict)
    assert settings["accountMode"] == "unified"


@pytest.mark.parametrize(
    ("authorities", "reads", "places"),
    [(["stow"], True, True), (["trade"], True, True), (["stor"], True, False), (["wwow"], False, False)],
)
def test_classic_key_does_only_what_it_may(authorities: list[str], reads: bool, places: bool) -> None:
    """Reading needs a spot right, placing the write right; the info endpoint tells which, withdrawing included."""
    desk = Desk()
    desk.account.authorities = authorities
    assert (desk.get("/api/v2/spot/account/assets") != "40014") == reads
    assert (desk.buy() != "40014") == places
    info = desk.get("/api/v2/spot/account/info")
    assert isinstance(info, dict)
    assert (info["authorities"], info["ips"]) == (authorities, "")


def test_unified_key_does_only_what_it_may(unified: Desk) -> None:
    """Balances need management, orders the trade right and a key that is not read-only."""
    unified.account.permissions = ["uta_trade"]
    assert unified.get("/api/v3/account/assets") == "25620"
    unified.account.perm_type = "read-only"
    assert (unified.buy(), unified.get("/api/v3/trade/unfilled-orders")) == ("40014", {"list": [], "cursor": ""})
    unified.account.permissions = ["uta_mgt", "withdraw"]
    assert unified.get("/api/v3/trade/unfilled-orders") == "40014"
    info = unified.get("/api/v3/account/info")
    assert isinstance(info, dict)
    assert (info["permissions"], info["permType"]) == (["uta_mgt", "withdraw"], "read-only")


def test_ip_list_refuses_other_callers(desk: Desk) -> None:
    """A key bound to addresses works from these alone."""
    desk.account.ips = "10.0.0.1,10.0.0.2"
    assert desk.get("/api/v2/spot/account/info") == "40018"
    desk.exchange.caller_ip = "10.0.0.2"
    assert desk.get("/api/v2/spot/account/info") != "40018"
