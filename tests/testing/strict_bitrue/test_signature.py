"""What the strict Bitrue takes for signed: the documented answers, times and keys."""

from __future__ import annotations

from typing import Any

import pytest

from bot.testing.bitrue import signature
from tests.testing.strict_bitrue.conftest import NOW, ORDER, SECRET, STAMP, Desk

# Of Bitrue's document, and as a client in wide use sends them. Last: time of the exchange, and code of the answer.
VECTORS = [
    (
        "POST",
        f"{ORDER}?symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000"
        "&timestamp=1499827319559",
        "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
        1499827319559,
        -1121,
    ),
    ("GET", f"/api/v1/account?{STAMP}", "de9596d56c275ac80703f3ecf12b2e57656e1e55acf096235a4f01d4482a0acc", NOW, None),
    (
        "POST",
        f"{ORDER}?{STAMP}&side=BUY&type=LIMIT&price=50&symbol=LTCUSDT&quantity=0.2&newClientOrderId=tg-000001",
        "fa47f78a8d987c85d2d44034098b358ecea9bcd16dca042555d049c2d5bc6ec0",
        NOW,
        -1121,
    ),
    (
        "POST",
        f"{ORDER}?{STAMP}&side=SELL&type=MARKET&symbol=LTCUSDT&quantity=0.2",
        "f6fa54f918f256d5ea4b6d6b5f4b48e303dd8f62e46eec488e01092bf0479245",
        NOW,
        -1121,
    ),
    (
        "DELETE",
        f"{ORDER}?{STAMP}&orderId=482075019769610240&symbol=LTCUSDT",
        "ab29c0f91b2da07097265619f2c2717dafb926e0f6b267f86013485eb5b1eead",
        NOW,
        -1121,
    ),
    (
        "GET",
        f"/api/v1/openOrders?{STAMP}&symbol=LTCUSDT",
        "cd7971eb75ca42914e9d5ddb613aadd5f7a814b8b1491240c36039260f5fbbbd",
        NOW,
        -1121,
    ),
]


@pytest.mark.parametrize(("method", "target", "expected", "now_ms", "code"), VECTORS)
def test_known_request_passes_the_signature_and_any_change_does_not(
    desk: Desk, method: str, target: str, expected: str, now_ms: int, code: int | None
) -> None:
    """Published requests get past the signature, to what is wrong with them otherwise; changed ones do not."""
    desk.now_ms = now_ms
    assert signature(SECRET, target.partition("?")[2].encode()) == expected
    assert desk.raw(method, f"{target}&signature={expected}")[1].get("code") == code
    path, _, query = target.partition("?")
    first, _, rest = query.partition("&")
    for changed in (f"{path}?{rest}&{first}&signature={expected}", f"{path}?signature={expected}&{query}"):
        status, content = desk.raw(method, changed)
        assert (status, content["code"]) == (401, -1022)


@pytest.mark.parametrize(
    ("offset", "is_taken"), [(999, True), (1000, False), (0, True), (-5000, True), (-5001, False), (-60_000, False)]
)
def test_time_window(desk: Desk, offset: int, is_taken: bool) -> None:
    """Less than one second ahead, and at most five behind."""
    status, content = desk.ask("GET", "/api/v1/account", timestamp=NOW + offset)
    assert (status, content.get("code")) == ((200, None) if is_taken else (401, -1022))


@pytest.mark.parametrize(("code", "status"), [("-1021", 400), ("-1022", 401), ("-1102", 412)])
def test_time_refused_under_the_code_chosen(desk: Desk, code: Any, status: int) -> None:
    """Three codes have been seen for it."""
    desk.exchange.clock_code = code
    found, content = desk.ask("GET", "/api/v1/account", timestamp=NOW - 60_000)
    assert (found, content["code"], content["data"]) == (status, int(code), None)
    assert "imestamp" in content["msg"] or code == "-1022"


def test_key_unknown_right_missing_or_address_wrong(desk: Desk) -> None:
    """An unknown key has a code of its own; a missing right shares that of the signature."""
    assert desk.raw("GET", f"/api/v1/account?{STAMP}&signature=0", key="other")[0] == 401
    desk.account.rights = {"read"}
    assert desk.code("POST", ORDER, **desk.limit()) == (401, -1022)
    desk.account.rights, desk.account.ips = {"read", "trade"}, ("192.0.2.1",)
    assert desk.code("GET", "/api/v1/account") == (401, -1022)
    desk.exchange.caller_ip = "192.0.2.1"
    assert desk.ask("GET", "/api/v1/account")[0] == 200
