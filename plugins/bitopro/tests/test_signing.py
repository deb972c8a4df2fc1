"""Signatures against known answers.

The secret is BitoPro's own example. The first answer is printed in BitoPro's documentation; those without an identity
came out of ccxt 4.5.90 with its clock frozen; the others follow from the documented recipe.
"""

import base64
import json
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tradewire_bitopro import payloads, private_stream, sign, signing

from bot import Base, Credentials, Market, Order, Request, Secret
from bot.testing.drive import drive

NOW = 1700000000123
SECRET = "bitopro"
CREDENTIALS = Credentials(key=Secret("api-key"), secret=Secret(SECRET), email=Secret("user@example.com"))
OFFICIAL = (
    "eyJpZGVudGl0eSI6ImhjbWxpbmpAZ21haWwuY29tIiwibm9uY2UiOjE1NTQzODA5MDkxMzF9",
    "01a85a9083db47c20da7196380598f3feacd3c76a9077aaf7ffaf08ce0091abf65b61778792607b010921adfe1c2941a",
)
SUPPORT = (
    '{"identity":"support@bitoex.com","nonce":1554380909131}',
    "eyJpZGVudGl0eSI6InN1cHBvcnRAYml0b2V4LmNvbSIsIm5vbmNlIjoxNTU0MzgwOTA5MTMxfQ==",
    "98ddf62831afaa56fcd64220a2b60712a3990b404a5f28a8cf37069dc3cb77d634f576895906e238e36ba50c626dfadb",
)
USER = (
    '{"identity":"user@example.com","nonce":1700000000123}',
    "eyJpZGVudGl0eSI6InVzZXJAZXhhbXBsZS5jb20iLCJub25jZSI6MTcwMDAwMDAwMDEyM30=",
    "3c77fd3bbf100d297a36ccd190bbe72a1d8a14da8e933b60dffb958e0505190840209a9348d4692afa08e9178daa4d81",
)
NONCE_ONLY = (
    "eyJub25jZSI6MTcwMDAwMDAwMDEyM30=",
    "d0a364af608bea7a1cf28ffa2786ff99e84635e21baa7f7c8258a1395e6cbef036f5244b23325410db68cafe9cdb64aa",
)
# The stop order whose base64 differs between the alphabets; signed by either.
STANDARD = (
    "eyJ0eXBlIjoiU1RPUF9MSU1JVCIsImFjdGlvbiI6IkJVWSIsImFtb3VudCI6IjAuMDAwMSIsInByaWNlIjoiMTYwMDAwMCIsInN0b3BQcmljZSI6"
    "IjE1OTAwMDAiLCJjb25kaXRpb24iOiI+PSIsInRpbWVzdGFtcCI6MTcwMDAwMDAwMDEyM30=",
    "5723cd2ac4316a71b7452c19310199990ab869c059c36c68ef6fa29df4081165fa327c7aaed5cb3998d2309b7467c3c1",
)
URL_SAFE = (
    STANDARD[0].replace("+", "-"),
    "a018b59ca187e4f449a4608d4abe043033343c2f6f4fa6d3e3d925005ee96ebf8ac708e128f4b1515b101caf0e1d7bba",
)

BODIES = {
    "official": (
        '{"action":"BUY","type":"limit","price":"1.123456789","amount":"666","timestamp":1554380909131}',
        "eyJhY3Rpb24iOiJCVVkiLCJ0eXBlIjoibGltaXQiLCJwcmljZSI6IjEuMTIzNDU2Nzg5IiwiYW1vdW50IjoiNjY2IiwidGltZXN0YW1wIjox"
        "NTU0MzgwOTA5MTMxfQ==",
        "6911f5f9156d89d31a45b62e9436b26a00651ee59efaff831d5ebafdc0be2879ab92882f264a2a51baa5a9bc8d658016",
    ),
    "official, sorted": (
        '{"action":"BUY","amount":"666","price":"1.123456789","timestamp":1554380909131,"type":"limit"}',
        "eyJhY3Rpb24iOiJCVVkiLCJhbW91bnQiOiI2NjYiLCJwcmljZSI6IjEuMTIzNDU2Nzg5IiwidGltZXN0YW1wIjoxNTU0MzgwOTA5MTMxLCJ0"
        "eXBlIjoibGltaXQifQ==",
        "8426fefd73339dc8732c239c6bd7cbcd4a491627e68226053eafe9541e13847a50adb5bace625ec8c7245ec0a33a418d",
    ),
    "ccxt": (
        '{"pair":"btc_twd","type":"LIMIT","action":"BUY","amount":"0.0001","timestamp":1700000000123,"price":"1500000"}',
        "eyJwYWlyIjoiYnRjX3R3ZCIsInR5cGUiOiJMSU1JVCIsImFjdGlvbiI6IkJVWSIsImFtb3VudCI6IjAuMDAwMSIsInRpbWVzdGFtcCI6MTcw"
        "MDAwMDAwMDEyMywicHJpY2UiOiIxNTAwMDAwIn0=",
        "ab582094f8b44f54bb8ad9eec7e71974f072d5d354c493253dd227fcdb520ff3428961ce5a9cdb8b151b5f66f5528c2e",
    ),
    "ccxt stop": (
        '{"pair":"btc_twd","type":"STOP_LIMIT","action":"SELL","amount":"0.0001","timestamp":1700000000123,'
        '"price":"1400000","stopPrice":"1410000","condition":"<="}',
        "eyJwYWlyIjoiYnRjX3R3ZCIsInR5cGUiOiJTVE9QX0xJTUlUIiwiYWN0aW9uIjoiU0VMTCIsImFtb3VudCI6IjAuMDAwMSIsInRpbWVzdGFt"
        "cCI6MTcwMDAwMDAwMDEyMywicHJpY2UiOiIxNDAwMDAwIiwic3RvcFByaWNlIjoiMTQxMDAwMCIsImNvbmRpdGlvbiI6Ijw9In0=",
        "792de123694b1d3223b553ed454d8ba5cc7424bd069191bdaf22241863b8aba965ea7089dff161e76866d803820a1d98",
    ),
    "limit": (
        '{"type":"LIMIT","action":"BUY","amount":"0.0001","price":"1500000","timestamp":1700000000123,'
        '"nonce":1700000000123,"timeInForce":"GTC","clientId":1234567}',
        "eyJ0eXBlIjoiTElNSVQiLCJhY3Rpb24iOiJCVVkiLCJhbW91bnQiOiIwLjAwMDEiLCJwcmljZSI6IjE1MDAwMDAiLCJ0aW1lc3RhbXAiOjE3"
        "MDAwMDAwMDAxMjMsIm5vbmNlIjoxNzAwMDAwMDAwMTIzLCJ0aW1lSW5Gb3JjZSI6IkdUQyIsImNsaWVudElkIjoxMjM0NTY3fQ==",
        "a213b2709f5020d356926368b1dcfaeb005dbb922bb32af1ac89b11359eadd70213a44a791f9a911e9fa5312f8abea06",
    ),
    "market buy": (
        '{"type":"MARKET","action":"BUY","amount":"500","timestamp":1700000000123,"nonce":1700000000123}',
        "eyJ0eXBlIjoiTUFSS0VUIiwiYWN0aW9uIjoiQlVZIiwiYW1vdW50IjoiNTAwIiwidGltZXN0YW1wIjoxNzAwMDAwMDAwMTIzLCJub25jZSI6"
        "MTcwMDAwMDAwMDEyM30=",
        "42a0eda9b24df023c561206867ddb1285cdeaf481382e161f346a34eb1e4907f05be4872f658ad76493772a97ee3633b",
    ),
}


@pytest.mark.parametrize(("payload", "expected"), [OFFICIAL, SUPPORT[1:], USER[1:], NONCE_ONLY, STANDARD, URL_SAFE])
def test_signature_known_payload_gives_known_answer(payload: str, expected: str) -> None:
    """The official signature, and those of other implementations, come out of the header's text alone."""
    assert signing.signature(Secret(SECRET), payload.encode()) == expected


@pytest.mark.parametrize(
    ("email", "nonce", "text"), [("support@bitoex.com", 1554380909131, SUPPORT[0]), ("user@example.com", NOW, USER[0])]
)
def test_identity_known_account_gives_the_documented_text(email: str, nonce: int, text: str) -> None:
    """The text is compact JSON, with the time as a number."""
    assert signing.identity(email, nonce) == text.encode()


@pytest.mark.parametrize(
    "request_",
    [
        Request.get("/v3/accounts/balance"),
        Request.get("/v3/orders/open", {"pair": "btc_twd"}),
        Request.delete("/v3/orders/btc_twd/123"),
        *(stream.login for stream in drive(private_stream()).result if stream.login),
    ],
)
def test_sign_request_without_body_signs_who_and_when_only(request_: Request) -> None:
    """Neither path nor query is signed, and the opening of a socket is signed like a GET."""
    expected = {
        "X-BITOPRO-APIKEY": "api-key",
        "X-BITOPRO-PAYLOAD": USER[1],
        "X-BITOPRO-SIGNATURE": USER[2],
    }
    assert sign(request_, CREDENTIALS, NOW) == request_.with_headers(expected)


@pytest.mark.parametrize(("text", "payload", "expected"), BODIES.values(), ids=BODIES)
def test_sign_request_with_body_signs_the_bytes_that_are_sent(text: str, payload: str, expected: str) -> None:
    """The payload is the very body, in compact JSON and its own order of fields."""
    request = Request.post("/v3/orders/btc_twd", json.loads(text))
    headers = {
        "X-BITOPRO-APIKEY": "api-key",
        "X-BITOPRO-PAYLOAD": payload,
        "X-BITOPRO-SIGNATURE": expected,
        "Content-Type": "application/json",
    }
    signed = sign(request, CREDENTIALS, NOW)
    assert signed == request.with_headers(headers)
    assert base64.b64decode(signed.headers["X-BITOPRO-PAYLOAD"]) == signed.body == text.encode()


@example(email=">>>", now=1)
@example(email="???", now=1)
@example(email="~~~", now=1)
@example(email="\x7f\x7f\x7f", now=1)
@given(email=st.text(st.characters(min_codepoint=32, max_codepoint=127), max_size=40), now=st.integers(0, 10**15))
def test_identity_any_address_is_the_same_in_both_base64_alphabets(email: str, now: int) -> None:
    """BitoPro's own clients disagree on the alphabet; `>`, `?` and `~` in an address must not matter."""
    text = signing.identity(email, now)
    assert base64.b64encode(text) == base64.urlsafe_b64encode(text)
    assert json.loads(text) == {"identity": email, "nonce": now}


BTC = Market(
    symbol="BTC/TWD",
    exchange_symbol="btc_twd",
    base="BTC",
    quote="TWD",
    price_step=Decimal(1),
    quantity_step=Decimal("0.00000001"),
    quote_step=Decimal(1),
)
AMOUNTS = st.decimals(min_value="0.00000001", max_value=10**9, places=8)


@given(size=AMOUNTS, price=AMOUNTS, stop=AMOUNTS, client_id=st.integers(1, 2_147_483_646), now=st.integers(1, 10**14))
def test_stop_order_body_is_the_same_in_both_base64_alphabets(
    size: Decimal, price: Decimal, stop: Decimal, client_id: int, now: int
) -> None:
    """`>=` stands where its base64 has neither `+` nor `/`, whatever the numbers are."""
    order = Order(
        client_order_id=str(client_id),
        market=BTC,
        side="buy",
        type="stop_limit",
        size=Base(size),
        price=price,
        stop_price=stop,
    )
    body = Request.post("/v3/orders/btc_twd", payloads.order_body(order)).stamped(now).body
    assert b'">="' in body
    assert base64.b64encode(body) == base64.urlsafe_b64encode(body)
