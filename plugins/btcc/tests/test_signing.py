"""Signatures against known answers.

The credentials are the ones printed in BTCC's document, which shows no hashes; the answers were computed with the
document's own sample code.
"""

from typing import Any

import pytest
from tradewire_btcc import exchange_info, private_stream, sign, signing

from bot import Account, Credentials, Request, Secret
from bot.testing.drive import drive

KEY = "a31b51a3-92ec-4ebe-935e-2a9aeadfc268"
SECRET = "473740ab-c249-4f5e-803b-f6db21ec97e0"
CREDENTIALS = Credentials(Secret(KEY), Secret(SECRET))
NOW = 1724999193
ORDER = "/btcc_api_trade/order/"
STAMP = {"access_id": KEY, "tm": NOW}

LIMIT_BUY = {"market": "BTCUSDT", "side": 1, "amount": "0.02", "price": "59369.11", "source": "android"}
LIMIT_SELL = {
    "market": "BTCUSDT",
    "side": 2,
    "amount": "0.02",
    "price": "69369.11",
    "source": "tgbot",
    "option": 8,
    "client_id": "tg-000001",
}
MARKET_BUY = {"market": "BTCUSDT", "side": 1, "amount": "55.90", "source": "python example", "option": 0}
SIGNED_POSTS: list[tuple[str, dict[str, Any], str]] = [
    ("limit", LIMIT_BUY, "d350ebfeff35ddd413ff3cfa22f10309"),
    ("limit", LIMIT_SELL, "7c2f63e3f6b81d374560a3f6ce63c772"),
    ("market", MARKET_BUY, "c682d642e506244e2beff6147ae08275"),
    ("cancel", {"market": "BTCUSDT", "id": 6996187031}, "ad9e167075d63f317c577062366253dc"),
    (
        "cancel_multi",
        {"market": "BTCUSDT", "order_ids": "6996187031|6996187032"},
        "9fc1caec4e5aaff503ed5ead8dbeff84",
    ),
    ("cancel_all", {"market": "BTCUSDT", "side": 0}, "25402a70b42268a65a53465dc20dcf24"),
]
SIGNED_GETS: list[tuple[str, dict[str, Any], str]] = [
    ("asset/query", {}, "fdafaa99b5e7560acc7c43cbd01da861"),
    (
        "order/pending",
        {"market": "BTCUSDT", "side": 0, "offset": 0, "limit": 50},
        "a4b4026aa3d31870b1428702bb6d8523",
    ),
    ("order/pending_detail", {"market": "BTCUSDT", "order_id": 6996187031}, "5aa31c4cf368bbaad5a5b4f3959f8203"),
    ("order/finish_detail", {"order_id": 6996187031}, "f6c3e18ee1c29c3cb4d8f96c2d0b06f3"),
]


@pytest.mark.parametrize(("name", "body", "expected"), SIGNED_POSTS)
def test_sign_known_post_gives_known_body_and_headers(name: str, body: dict[str, Any], expected: str) -> None:
    """Key and time join the body, the hash is a header of its own, and nothing else of the request changes."""
    request = Request.post(ORDER + name, body)
    assert sign(request, CREDENTIALS, NOW) == Request.post(
        ORDER + name, {**STAMP, **body}, headers={"authorization": expected, "content-type": "application/json"}
    )


@pytest.mark.parametrize(("name", "query", "expected"), SIGNED_GETS)
def test_sign_known_get_gives_known_query_and_header(name: str, query: dict[str, Any], expected: str) -> None:
    """Key and time join the query; the secret is nowhere."""
    signed = sign(Request.get(f"/btcc_api_trade/{name}", query), CREDENTIALS, NOW)
    assert signed == Request.get(f"/btcc_api_trade/{name}", {**STAMP, **query}, headers={"authorization": expected})
    assert SECRET not in repr(signed)


def test_sign_known_query_is_sent_in_the_documented_order() -> None:
    """The target of a signed GET is the documented one, character by character."""
    request = Request.get(f"{ORDER}pending", {"market": "BTCUSDT", "side": 0, "offset": 0, "limit": 50})
    assert sign(request, CREDENTIALS, NOW).target == (
        f"{ORDER}pending?access_id={KEY}&tm=1724999193&market=BTCUSDT&side=0&offset=0&limit=50"
    )


def test_signature_abstract_example_gives_the_known_answer() -> None:
    """The document's own example with made-up names."""
    values = {"cc": "46", "aa": "mm", "bb": "56", "tm": 1698400838}
    assert signing.signature(values, "4b2211c547dc29f777e9804873abc412") == "7c4c8b2a6616f4753a5c5e3a7fd32744"


def test_signature_takes_the_text_that_is_sent() -> None:
    """`0.020` and `0.02` are different texts, so they have different signatures."""
    assert signing.signature({"amount": "0.020"}, SECRET) != signing.signature({"amount": "0.02"}, SECRET)


@pytest.mark.parametrize("value", ["a&b", "a=b", "ä", 1.5, True, None])
def test_signature_of_what_btcc_cannot_verify_is_refused(value: object) -> None:
    """BTCC tears values apart at `&`, and fractions and truths have several spellings; none of them is ever signed."""
    with pytest.raises(ValueError, match="source holds what BTCC cannot verify"):
        signing.signature({"source": value}, SECRET)


def test_sign_login_puts_the_hash_of_the_secret_into_the_frame() -> None:
    """The socket's login has key and SHA-256 of the secret as parameters, and no header."""
    login = drive(private_stream(Account(1, "main"))).result[0].login
    assert login is not None
    signed = sign(login, CREDENTIALS, NOW)
    assert (signed.body.decode(), signed.headers) == (
        f'{{"id":1,"method":"server.accessid_auth","params":["{KEY}",'
        '"5f760611813affdda6172f9ac2a2db3183d80d5658b05e76d5e1b9711097a57b"]}',
        {},
    )


def test_exchange_info_counts_time_in_seconds() -> None:
    """`tm` is in seconds; in milliseconds every signature would be refused."""
    assert exchange_info().timestamp_unit == "s"
