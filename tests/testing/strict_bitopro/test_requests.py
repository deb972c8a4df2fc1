"""What holds for every request, and faults in BitoPro's form."""

from __future__ import annotations

import json

import pytest

from bot.testing.strict import Received
from tests.testing.strict_bitopro.conftest import Desk


def test_rate_limits_are_those_documented(desk: Desk) -> None:
    """Open orders five a second, cancel-all one a second, anything 600 a minute."""
    desk.exchange.is_limiting = True
    assert [desk.ask("/orders/open") == 429 for _ in range(6)] == [False] * 5 + [True]
    assert [desk.ask("/orders/btc_twd", "DELETE") == 429 for _ in range(2)] == [False, True]
    spent = [desk.ask("/accounts/balance") == 429 for _ in range(600)]
    assert spent == [False] * 592 + [True] * 8


def test_unknown_route_is_not_found(desk: Desk) -> None:
    """There is no time endpoint, no v2 and no wallet."""
    assert [desk.ask(path) for path in ("/time", "/wallet/withdraw/btc", "/orders/history")] == [404] * 3


def test_every_reply_has_a_date(desk: Desk) -> None:
    """The date, in whole seconds, is all that tells the exchange's time."""
    for path in ("/v3/tickers/btc_twd", "/v3/nothing"):
        assert desk.exchange.handle(Received("GET", path)).headers["date"] == "Tue, 14 Nov 2023 22:13:20 GMT"


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("rate_limited", 429, "Too Many Requests"),
        ("banned", 429, "Too Many Requests"),
        ("refuse:422", 422, "Unprocessable Entity"),
        ("refuse:Unsupported order type", 400, "Unsupported order type"),
    ],
)
async def test_fault_refuses_in_bitopros_form(desk: Desk, kind: str, status: int, error: str) -> None:
    """A status or a text can be asked for; nothing is carried out."""
    desk.exchange.misbehave(kind, "/orders/btc_twd")
    reply = await desk.exchange.answer(Received("POST", "/v3/orders/btc_twd", {}, b"{}"))
    assert reply is not None
    assert (reply.status, json.loads(reply.body)) == (status, {"error": error})
    assert desk.exchange.placing_requests == 1
