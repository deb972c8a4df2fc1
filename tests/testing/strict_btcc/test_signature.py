"""What the strict BTCC takes for signed: the documented requests, keys and times."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from bot.testing.btcc import StrictBTCC, signature
from bot.testing.strict import StrictServer
from tests.testing.strict_btcc.conftest import API, HEAD, KEY, SECRET, TM, Desk

STAMP = f"access_id={KEY}&tm={TM}"
# The requests of BTCC's document, byte by byte; hashes by its own sample code. Last: code of the answer.
VECTORS = [
    ("GET", f"asset/query?{STAMP}", "", "fdafaa99b5e7560acc7c43cbd01da861", 0),
    (
        "POST",
        "order/limit",
        f'{HEAD}"market":"BTCUSDT","side":1,"amount":"0.02","price":"59369.11","source":"android"}}',
        "d350ebfeff35ddd413ff3cfa22f10309",
        0,
    ),
    (
        "POST",
        "order/limit",
        f'{HEAD}"market":"BTCUSDT","side":2,"amount":"0.02","price":"69369.11","source":"tgbot","option":8,'
        '"client_id":"tg-000001"}',
        "7c2f63e3f6b81d374560a3f6ce63c772",
        0,
    ),
    (
        "POST",
        "order/market",
        f'{HEAD}"market":"BTCUSDT","side":1,"amount":"55.90","source":"python example","option":0}}',
        "c682d642e506244e2beff6147ae08275",
        0,
    ),
    ("POST", "order/cancel", f'{HEAD}"market":"BTCUSDT","id":6996187031}}', "ad9e167075d63f317c577062366253dc", 10),
    (
        "GET",
        f"order/pending?{STAMP}&market=BTCUSDT&side=0&offset=0&limit=50",
        "",
        "a4b4026aa3d31870b1428702bb6d8523",
        0,
    ),
    ("POST", "order/cancel_all", f'{HEAD}"market":"BTCUSDT","side":0}}', "25402a70b42268a65a53465dc20dcf24", 0),
    (
        "GET",
        f"order/pending_detail?{STAMP}&market=BTCUSDT&order_id=6996187031",
        "",
        "5aa31c4cf368bbaad5a5b4f3959f8203",
        0,
    ),
    ("GET", f"order/finish_detail?{STAMP}&order_id=6996187031", "", "f6c3e18ee1c29c3cb4d8f96c2d0b06f3", 0),
]


async def send_vector(method: str, target: str, body: str, digest: str) -> Any:
    exchange = StrictBTCC(clock=lambda: TM * 1000)
    exchange.add_account(KEY, SECRET, balances={"USDT": "10000", "BTC": "1"})
    headers = {"authorization": digest, "content-type": "application/json"}
    async with StrictServer(exchange) as server, httpx.AsyncClient() as client:
        reply = await client.request(method, server.url + API + target, content=body, headers=headers)
    error = reply.json()["error"]
    return 0 if error is None else error["code"]


@pytest.mark.network
@pytest.mark.parametrize(("method", "target", "body", "digest", "code"), VECTORS)
async def test_signature_of_known_vector_is_accepted(
    method: str, target: str, body: str, digest: str, code: int
) -> None:
    """The documented requests pass, each at its endpoint, over real HTTP."""
    assert await send_vector(method, target, body, digest) == code


@pytest.mark.network
@pytest.mark.parametrize(("method", "target", "body", "digest", "code"), VECTORS)
async def test_signature_with_one_byte_flipped_is_refused(
    method: str, target: str, body: str, digest: str, code: int
) -> None:
    """One changed byte of the hash or of what it covers refuses the request with 204."""
    flipped = ("a" if digest[0] != "a" else "b") + digest[1:]
    assert await send_vector(method, target, body, flipped) == 204
    other = body.replace("BTCUSDT", "ETHUSDT") if body else ""
    assert await send_vector(method, target if body else f"{target}0", other, digest) == 204


@pytest.mark.parametrize(
    ("fields", "secret", "expected"),
    [
        (
            {"market": "BTCUSDT", "order_ids": "6996187031|6996187032", "access_id": KEY, "tm": TM},
            SECRET,
            "9fc1caec4e5aaff503ed5ead8dbeff84",
        ),
        (
            {"cc": 46, "aa": "mm", "bb": 56, "tm": 1698400838},
            "4b2211c547dc29f777e9804873abc412",
            "7c4c8b2a6616f4753a5c5e3a7fd32744",
        ),
    ],
)
def test_signature_of_documented_values_is_known(fields: dict[str, Any], secret: str, expected: str) -> None:
    """The recipe gives the known answers for the requests that have no endpoint here."""
    assert signature(fields, secret) == expected


def test_signature_of_a_value_with_ampersand_is_not_verified(desk: Desk) -> None:
    """The document's code tears the joined text apart at `&`, so such a value sorts differently there."""
    assert desk.buy(source="z&a") == 204


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"secret": "wrong"}, 204),
        ({"key": "unknown"}, 205),
        ({"tm_offset": -31}, 204),
        ({"tm_offset": 31}, 204),
        ({"tm_offset": -30}, None),
        ({"tm_offset": TM * 999}, 204),
    ],
)
def test_key_and_time_are_checked(desk: Desk, changes: dict[str, Any], code: int | None) -> None:
    """A wrong secret and a wrong time have one code, milliseconds included; an unknown key has another."""
    for name, value in changes.items():
        setattr(desk, name, value)
    found = desk.get("asset/query")
    assert found == code if code else "USDT" in found


def test_rights_and_addresses_are_checked(desk: Desk) -> None:
    """A key without Trade reads and does not trade; a key bound elsewhere does neither."""
    desk.account.rights.remove("trade")
    assert (desk.buy(), "USDT" in desk.get("asset/query")) == (6, True)
    desk.account.ips = ("203.0.113.7",)
    assert desk.get("asset/query") == 205
    desk.exchange.caller_ip = "203.0.113.7"
    assert "USDT" in desk.get("asset/query")
