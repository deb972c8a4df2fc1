"""Placing and canceling orders, and stop orders."""

from __future__ import annotations

from typing import Any

import pytest

from bot.testing.ledger import Order
from tests.testing.strict_bitopro.conftest import NOW, D, Desk


def test_place_market_buy_spends_quote(desk: Desk) -> None:
    """The amount of a market buy is money to spend; following the base amount of other clients would buy too little."""
    placed = desk.post(type="MARKET", action="BUY", amount="150001", clientId=7)
    [order] = desk.exchange.ledger.orders
    assert (order.value, order.filled) == (D(150001), D("0.1"))
    [row] = desk.data("/orders/all/btc_twd", clientId="7")
    assert (row["id"], row["status"], row["executedAmount"], row["fee"], row["feeSymbol"]) == (
        placed["orderId"],
        2,
        "0.1",
        "0.0002",
        "btc",
    )


@pytest.mark.parametrize(
    ("fields", "status", "text"),
    [
        ({"amount": "0.00001"}, 400, "Invalid amount 0.00001"),
        ({"amount": "1001"}, 400, "Invalid amount 1001"),
        ({"amount": "0.123456789"}, 400, "Invalid amount 0.123456789, decimal limit is 8."),
        ({"amount": 0.01}, 400, "Invalid amount"),
        ({"amount": "1e-3"}, 400, "Invalid amount"),
        ({"amount": "-1"}, 400, "Invalid amount"),
        ({"price": "0"}, 400, "Invalid price"),
        ({"price": "1400000.5"}, 400, "Invalid price 1400000.5, decimal limit is 0."),
        ({"type": "MARKET", "amount": "500"}, 400, "Wrong parameter: price"),
        ({"type": "STOP_MARKET"}, 400, "Unsupported order type"),
        ({"action": "HOLD"}, 400, "Wrong parameter: action"),
        ({"timeInForce": "IOC"}, 400, "Wrong parameter: timeInForce"),
        ({"clientId": "7"}, 400, "Wrong parameter: clientId"),
        ({"clientId": 0}, 400, "Wrong parameter: clientId"),
        ({"clientId": 2**31}, 400, "Wrong parameter: clientId"),
        ({"percentage": 100}, 400, "Wrong parameter: percentage"),
        (
            {"price": "1400000", "amount": "1"},
            400,
            "Balance for twd not enough, only has 1000000, but ordered 1400000.",
        ),
        ({"action": "SELL", "amount": "1.5"}, 400, "Balance for btc not enough, only has 1, but ordered 1.5."),
    ],
)
def test_place_wrong_order_is_refused_in_free_text(desk: Desk, fields: dict[str, Any], status: int, text: str) -> None:
    """Each refusal is an HTTP status with a text, and nothing was placed."""
    if fields.get("amount") == "1.5":
        fields = {**fields, "price": "1600000"}
    assert desk.buy(**fields) == (status, text)
    assert desk.exchange.ledger.orders == []


def test_place_market_buy_below_the_minimum_is_refused(desk: Desk) -> None:
    """A market buy has a minimum of its own, in quote."""
    assert desk.post(type="MARKET", action="BUY", amount="99") == (400, "Invalid amount 99")


def test_place_on_a_suspended_unknown_or_full_pair_is_refused(desk: Desk) -> None:
    """Suspended and full pairs have no documented text."""
    pair: Any = desk.exchange.ledger.pairs["btc_twd"]
    pair.max_open = 1
    desk.buy()
    assert desk.buy()[0] == 400
    pair.maintain = True
    assert desk.buy()[0] == 422
    assert desk.post("/orders/doge_twd", type="MARKET", action="BUY", amount="500") == (404, "Not Found")


def test_place_same_client_id_twice_makes_two_orders(desk: Desk) -> None:
    """The id is a label: it guards against nothing."""
    first, second = desk.buy(clientId=7), desk.buy(clientId=7)
    assert first["orderId"] != second["orderId"]
    assert len(desk.data("/orders/all/btc_twd", clientId="7", statusKind="ALL")) == 2


def test_place_post_only_that_would_take_succeeds_and_ends_as_six(desk: Desk) -> None:
    """Only the status tells that it did not stay."""
    placed = desk.buy(price="1600000", amount="0.01", timeInForce="POST_ONLY")
    assert desk.ask(f"/orders/btc_twd/{placed['orderId']}")["status"] == 6


def test_cancel_twice_is_unprocessable(desk: Desk) -> None:
    """The first answer repeats the order's terms; the second says that it is closed; an unknown one is 404."""
    order_id = desk.buy()["orderId"]
    assert desk.ask(f"/orders/btc_twd/{order_id}", "DELETE") == {
        "orderId": order_id,
        "action": "BUY",
        "amount": "0.01",
        "price": "1400000",
        "timestamp": NOW + 2,
    }
    assert desk.ask(f"/orders/btc_twd/{order_id}", "DELETE") == 422
    assert desk.ask("/orders/btc_twd/5", "DELETE") == 404
    assert desk.account.free["TWD"] == D(1000000)


@pytest.mark.parametrize(("path", "left"), [("/orders/btc_twd", ["eth_twd"]), ("/orders/all", [])])
def test_cancel_all_of_a_pair_spares_the_others(desk: Desk, path: str, left: list[str]) -> None:
    """`all` in the place of a pair ends everything, stop orders too."""
    btc = desk.buy()["orderId"]
    stop = desk.stop()["orderId"]
    desk.post("/orders/eth_twd", type="LIMIT", action="BUY", amount="0.1", price="70000")
    ended = desk.ask(path, "DELETE")["data"]
    assert sorted(ended["BTC_TWD"]) == sorted([btc, f"SL-{stop}"])
    assert [row["pair"] for row in desk.data("/orders/open")] == left


# Stop orders


def test_stop_waits_under_a_prefixed_id(desk: Desk) -> None:
    """Lists show `SL-`; whether placing tells it too is not documented, so both can be had."""
    bare = desk.stop(clientId=7)["orderId"]
    desk.exchange.tells_prefix = True
    full = desk.stop(clientId=8)["orderId"]
    assert [row["id"] for row in desk.data("/orders/open")] == [full, f"SL-{bare}"]
    row = desk.ask(f"/orders/btc_twd/{full}")
    assert (row["status"], row["type"], row["stopPrice"], row["condition"]) == (-1, "STOP_LIMIT", "1410000", "<=")
    assert desk.ask(f"/orders/btc_twd/{bare}") == 404


def test_stop_that_fires_becomes_another_order_with_the_same_label(desk: Desk) -> None:
    """The prefixed id is gone; the label stays."""
    desk.exchange.tells_prefix = True
    waiting = desk.stop(clientId=7)["orderId"]
    desk.exchange.set_price("btc_twd", "1405000", "1405010")
    assert desk.ask(f"/orders/btc_twd/{waiting}") == 404
    [row] = desk.data("/orders/all/btc_twd", clientId="7")
    assert (row["status"], row["avgExecutionPrice"], row["id"].startswith("SL-")) == (2, "1405000", False)


@pytest.mark.parametrize(("condition", "fires"), [("<=", False), (">=", True)])
def test_stop_obeys_its_condition_and_not_its_side(desk: Desk, condition: str, fires: bool) -> None:
    """A condition that holds already fires at once: a wrong one would trade where it should wait."""
    desk.stop(condition=condition)
    assert [isinstance(row, Order) for row in desk.exchange.shown(desk.account)] == [fires]


def test_stop_without_condition_or_trigger_is_refused(desk: Desk) -> None:
    """Both are required."""
    assert desk.stop(condition="") == (400, "Wrong parameter: condition")
    assert desk.stop(stopPrice="") == (400, "Invalid price")
