"""What holds for every request: parameters, envelopes, blocks and faults in BTCC's form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.testing.btcc import signature
from bot.testing.strict import Received
from tests.testing.strict_btcc.conftest import API, HEAD, KEY, SECRET, TM, Desk, outcome


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"source": None}, 202),
        ({"source": "x" * 31}, 202),
        ({"amount": 0.02}, 202),
        ({"amount": 2}, 202),
        ({"side": "1"}, 202),
        ({"side": True}, 202),
        ({"option": None}, 6996187031),
        ({"colour": "red"}, 202),
        ({"side": 3}, 1),
        ({"option": 1}, 1),
        ({"market": "BTCEUR"}, 1),
        ({"amount": "1e-2"}, 1),
        ({"amount": "1,000"}, 1),
        ({"price": "0"}, 1),
    ],
)
def test_parameters_must_have_their_documented_types(desk: Desk, changes: dict[str, Any], code: int) -> None:
    """Amounts are strings, codes integers, `source` is required, and nothing unknown is taken."""
    body = {name: value for name, value in changes.items() if value is not None or name == "source"}
    found = desk.buy(**body)
    assert (found["id"] if isinstance(found, dict) else found) == code


def test_member_sent_twice_is_refused(desk: Desk) -> None:
    """Which of the two is signed would be anybody's guess."""
    body = f'{HEAD}"market":"BTCUSDT","side":1,"side":1}}'.encode()
    headers = {"authorization": "0" * 32, "content-type": "application/json"}
    assert outcome(desk.send("POST", "order/cancel_all", headers, body)[1]) == 202


def test_client_id_may_be_unknown_to_the_exchange(desk: Desk) -> None:
    """The document lists it in answers only, so it may be refused."""
    assert desk.buy(client_id="t1")["client_id"] == "t1"
    desk.exchange.takes_client_id = False
    assert (desk.buy(client_id="t1"), desk.buy()["client_id"]) == (202, "")


@pytest.mark.parametrize("where", ["code", "error"])
def test_service_codes_come_in_either_envelope(desk: Desk, where: Any) -> None:
    """Where the numbers from 201 on are carried is not documented; both are HTTP 200."""
    desk.exchange.codes_in = where
    desk.secret = "wrong"
    reply = desk.call("GET", "asset/query")
    assert (reply if where == "code" else reply["error"])["code"] == 204


def test_blocked_address_is_told_until_when_and_counted(desk: Desk) -> None:
    """Too many requests end with 429, a time in seconds and no request at all before it."""
    desk.exchange.block(30)
    status, body = desk.send("GET", "time", {})
    assert (status, body) == (429, {"block_until": TM + 30, "error": "Too many requests, you are blocked."})
    desk.now_ms += 30_000
    assert (desk.public("time")["code"], desk.exchange.early_requests) == (0, 1)


async def test_faults_answer_in_btccs_form(desk: Desk) -> None:
    """A refusal on demand carries the code and text of BTCC; a rate limit blocks the address."""
    desk.exchange.misbehave("refuse:5", "time")
    desk.exchange.misbehave("rate_limited", "time")
    first, second = [await desk.exchange.answer(Received("GET", f"{API}time")) for _ in range(2)]
    assert first is not None
    assert json.loads(first.body)["error"] == {"code": 5, "message": "service timeout"}
    assert second is not None
    assert (second.status, json.loads(second.body)["block_until"]) == (429, TM + 2)


async def test_order_hidden_by_a_fault_is_in_no_list_before_its_release(desk: Desk) -> None:
    """BTCC may take an order and show it only later."""
    fault = desk.exchange.misbehave("stale", "order/limit")
    fields = {"access_id": KEY, "tm": TM, "market": "BTCUSDT", "side": 1, "amount": "0.02", "price": "50000"}
    fields["source"] = "t1"
    headers = {"authorization": signature(fields, SECRET), "content-type": "application/json"}
    await desk.exchange.answer(Received("POST", f"{API}order/limit", headers, json.dumps(fields).encode()))
    hidden = desk.pending()
    fault.release()
    assert (hidden, len(desk.pending())) == ([], 1)
