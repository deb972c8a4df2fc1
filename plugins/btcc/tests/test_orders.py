"""What is asked to place an order and to cancel it, and what is refused before."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradewire_btcc import cancel_all, cancel_order, place_order

from bot import Base, OrderAck, OutcomeUnknown, Quote, Request, UserError
from bot.testing.drive import drive

from .conftest import ACCOUNT, API, BTC, LIMIT, MARKET_BUY, NULL, OUR_ID, PLACED, ROW, UNKNOWN_PATH, D, post, result


def test_place_limit_order_sends_the_documented_body() -> None:
    """Our id is in `source`, which is required and comes back, and in `client_id`; amounts are text, codes integers."""
    driven = drive(place_order(ACCOUNT, LIMIT), PLACED)
    body = {
        "market": "BTCUSDT",
        "side": 1,
        "amount": "0.02",
        "source": OUR_ID,
        "client_id": OUR_ID,
        "price": "59369.11",
        "option": 0,
    }
    assert (driven.result, driven.requests) == (
        OrderAck("6996187031", OUR_ID),
        [Request.post(f"{API}order/limit", body, places=True, costs={"all": 1, "orders": 1})],
    )


def test_place_market_buy_spends_quote_on_its_own_path() -> None:
    """A market order has neither price nor time in force."""
    [request] = drive(place_order(ACCOUNT, MARKET_BUY), PLACED).requests
    assert (request.path, request.json, request.places) == (
        f"{API}order/market",
        {"market": "BTCUSDT", "side": 1, "amount": "61.1", "source": OUR_ID, "client_id": OUR_ID},
        True,
    )


def test_place_sides_are_one_for_buy_and_two_for_sell() -> None:
    """The engine that BTCC's descends from numbers them the other way round."""
    orders = [LIMIT, replace(LIMIT, side="sell")]
    assert [drive(place_order(ACCOUNT, each), PLACED).requests[0].json["side"] for each in orders] == [1, 2]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"type": "market", "price": None}, "size of a market buy in USDT, not in BTC"),
        ({"size": Quote(D(50))}, "size of this order in BTC, not in USDT"),
        ({"type": "market", "price": None, "side": "sell", "size": Quote(D(50))}, "size of this order in BTC, not in"),
    ],
)
def test_place_size_in_the_wrong_unit_is_refused_before_any_request(changes: dict[str, Any], text: str) -> None:
    """The same field is money in a market buy and a quantity elsewhere: 60,000 times too much or too little."""
    with pytest.raises(UserError, match=text):
        next(place_order(ACCOUNT, replace(LIMIT, **changes)))


@given(st.decimals(min_value="1e-12", max_value="1e12", allow_nan=False, allow_infinity=False))
def test_place_amount_is_plain_text_of_the_same_value(amount: Decimal) -> None:
    """Amounts go as text without an exponent, and lose nothing."""
    text = next(place_order(ACCOUNT, replace(LIMIT, size=Base(amount)))).json["amount"]
    assert (type(text), "e" in text.lower(), Decimal(text)) == (str, False, amount)


@pytest.mark.parametrize(("force", "option"), [("GTC", 0), ("IOC", 8), ("FOK", 16)])
def test_place_time_in_force_is_a_number(force: Any, option: int) -> None:
    """The documented numbers, and no others."""
    [request] = drive(place_order(ACCOUNT, replace(LIMIT, time_in_force=force)), PLACED).requests
    assert request.json["option"] == option


def test_place_without_client_id_still_sends_source() -> None:
    """The option leaves out what the document does not list among the parameters."""
    account = replace(ACCOUNT, options={"send_client_id": "0"})
    [request] = drive(place_order(account, LIMIT), PLACED).requests
    assert ("client_id" in request.json, request.json["source"]) == (False, OUR_ID)


@pytest.mark.parametrize("placed", [{"id": 0}, {}, {"id": -1}, None, {"id": "6996187031"}])
def test_place_answer_without_id_is_in_doubt(placed: object) -> None:
    """An order of which no id is told may exist."""
    with pytest.raises(OutcomeUnknown):
        drive(place_order(ACCOUNT, LIMIT), result(placed))


@pytest.mark.parametrize("changes", [{"type": "stop_limit"}, {"type": "stop_market"}, {"price": None}])
def test_place_what_btcc_cannot_is_refused_before_any_request(changes: dict[str, Any]) -> None:
    """Stop orders and limit orders without a price never leave."""
    with pytest.raises(UserError, match="Nothing was placed"):
        next(place_order(ACCOUNT, replace(LIMIT, **changes)))


# Canceling


def test_cancel_order_needs_market_and_integer_id() -> None:
    """Here the id is called `id`; everywhere else `order_id`."""
    driven = drive(cancel_order(ACCOUNT, LIMIT, "6996187031"), PLACED)
    assert driven.requests == [post("order/cancel", {"market": "BTCUSDT", "id": 6996187031})]


def test_cancel_order_without_their_id_finds_it_first() -> None:
    """BTCC cancels by its own id only."""
    driven = drive(cancel_order(ACCOUNT, LIMIT, ""), result({"records": [ROW]}), PLACED)
    assert driven.requests[1] == post("order/cancel", {"market": "BTCUSDT", "id": 6996187031})


@pytest.mark.parametrize("second", [NULL, UNKNOWN_PATH])
def test_cancel_all_cancels_both_sides_of_one_market_and_its_stop_orders(second: Any) -> None:
    """Side 0 is both. Stop orders have a path of their own, which BTCC need not know."""
    assert drive(cancel_all(ACCOUNT, BTC), NULL, second).requests == [
        post(f"order/{name}", {"market": "BTCUSDT", "side": 0}) for name in ("cancel_all", "cancle_stop_all")
    ]
