"""Signatures against known answers: the sample of Bitrue's document, and what a client in wide use sends."""

import pytest
from tradewire_bitrue import sign, signing
from tradewire_bitrue.payloads import order_query, private

from bot import Base, Credentials, Market, Order, Request, Secret

KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
CREDENTIALS = Credentials(Secret(KEY), Secret(SECRET))
START = "timestamp=1700667180381&recvWindow=5000"
V1 = (
    "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
    "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
)
JSON_BODY = (
    '{"symbol":"LTCBTC","side":"BUY","type":"LIMIT","timeInForce":"GTC","price":0.1,"quantity":1,'
    '"timestamp":1499827319559,"recvWindow":5000}',
    "a96755b9616ffcb19b47f38ee1c8e20bb9ff5ffdd3936ace8f457975fbc91a6a",
)
QUERIES = [
    ("POST", *V1),
    ("GET", START, "de9596d56c275ac80703f3ecf12b2e57656e1e55acf096235a4f01d4482a0acc"),
    (
        "POST",
        f"{START}&side=BUY&type=LIMIT&price=50&symbol=LTCUSDT&quantity=0.2&newClientOrderId=tg-000001",
        "fa47f78a8d987c85d2d44034098b358ecea9bcd16dca042555d049c2d5bc6ec0",
    ),
    (
        "POST",
        f"{START}&side=SELL&type=MARKET&symbol=LTCUSDT&quantity=0.2",
        "f6fa54f918f256d5ea4b6d6b5f4b48e303dd8f62e46eec488e01092bf0479245",
    ),
    (
        "DELETE",
        f"{START}&orderId=482075019769610240&symbol=LTCUSDT",
        "ab29c0f91b2da07097265619f2c2717dafb926e0f6b267f86013485eb5b1eead",
    ),
    ("GET", f"{START}&symbol=LTCUSDT", "cd7971eb75ca42914e9d5ddb613aadd5f7a814b8b1491240c36039260f5fbbbd"),
]


def pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, _, value in (part.partition("=") for part in text.split("&")))


@pytest.mark.parametrize(("method", "text", "expected"), QUERIES)
def test_sign_known_query_gives_known_answer(method: str, text: str, expected: str) -> None:
    """The query goes out in the order it was given, the signature last, the key in its header, the body empty."""
    signed = sign(Request(method=method, path="/api/v1/order", query=pairs(text)), CREDENTIALS, 0)
    assert (signed.target, signed.headers, signed.body) == (
        f"/api/v1/order?{text}&signature={expected}",
        {"X-MBX-APIKEY": KEY},
        b"",
    )


def test_signature_json_body_of_the_document_gives_its_answer() -> None:
    """The document's second sample signs a JSON body; the secret and the algorithm are the same."""
    text, expected = JSON_BODY
    assert signing.signature(Secret(SECRET), text.encode()) == expected


def test_sign_query_and_body_are_joined_without_separator() -> None:
    """What is signed is the query followed at once by the body."""
    request = Request.post("/api/v1/order", {"a": 1}, query={"b": 2})
    assert sign(request, CREDENTIALS, 0).query[-1] == ("signature", signing.signature(Secret(SECRET), b'b=2{"a":1}'))


def test_sign_value_with_reserved_characters_is_encoded_once() -> None:
    """What is signed is what is sent, percent signs and all."""
    signed = sign(Request.get("/api/v1/order", {"symbol": "A B&C"}), CREDENTIALS, 0)
    text = "symbol=A%20B%26C"
    assert signed.target == f"/api/v1/order?{text}&signature={signing.signature(Secret(SECRET), text.encode())}"


def test_sign_key_only_request_has_no_signature() -> None:
    """A listen key is asked for by the key alone."""
    request = Request(method="POST", path="/poseidon/api/v1/listenKey", host="user", auth="key")
    assert sign(request, CREDENTIALS, 0) == request.with_headers({"X-MBX-APIKEY": KEY})


def test_order_of_the_document_is_sent_as_in_its_sample(ltc: Market) -> None:
    """The fields of a limit order come in the order of the document's sample, with our id before the window."""
    order = Order(client_order_id="t1", market=ltc, side="buy", type="limit", size=Base(1), price=0)  # type: ignore[arg-type]
    request = private("POST", "/api/v1/order", **order_query(order)).stamped(1499827319559)
    assert [name for name, _ in request.query] == [
        *["symbol", "side", "type", "timeInForce", "quantity", "price", "newClientOrderId", "recvWindow", "timestamp"]
    ]
    assert request.query[-1] == ("timestamp", "1499827319559")
