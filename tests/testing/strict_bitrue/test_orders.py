"""Placing and canceling orders: terms, refusals and funds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.testing.strict_bitrue.conftest import NOW, ORDER, Desk


def test_limit_order_rests_locks_and_leaves_the_client_id_empty(desk: Desk) -> None:
    """Its id is above 2^53, a number when placed and text when read."""
    status, content = desk.ask("POST", ORDER, **desk.limit(newClientOrderId="mine"))
    assert (status, content["orderId"] > 2**53, str(content["orderId"]), content["clientOrderId"]) == (
        200,
        True,
        content["orderIdStr"],
        "",
    )
    assert desk.usdt() == ("9500", "500")
    [row] = desk.ask("GET", "/api/v1/openOrders", symbol="BTCUSDT")[1]
    assert (row["orderId"], row["clientOrderId"], row["status"], row["time"]) == (
        content["orderIdStr"],
        "",
        "NEW",
        NOW,
    )
    desk.exchange.tells_client_ids = True
    assert desk.ask("GET", "/api/v1/openOrders", symbol="BTCUSDT")[1][0]["clientOrderId"] == "mine"


def test_market_buy_takes_its_quantity_in_base(desk: Desk) -> None:
    """0.01 BTC cost about 600 USDT, and the fee."""
    row = desk.market("BUY", "0.01")
    assert (row["status"], Decimal(row["origQty"]), Decimal(row["executedQty"])) == (
        "FILLED",
        Decimal("0.01"),
        Decimal("0.01"),
    )
    assert Decimal(row["cummulativeQuoteQty"]) == Decimal("600.001")
    assert desk.account.free["USDT"] == Decimal("9399.999")
    [trade] = desk.ask("GET", "/api/v2/myTrades", symbol="BTCUSDT")[1]
    assert (trade["commissionAssert"], Decimal(trade["commission"])) == ("btc", Decimal("0.0000098"))
    assert "commissionAsset" not in trade


def test_market_buy_across_levels_takes_exactly_its_quantity(desk: Desk) -> None:
    """Each level at its price; more than the book has ends as canceled."""
    desk.exchange.ledger.set_book("BTCUSDT", [("60000", "1")], [("60001", "0.003"), ("60007", "0.05")])
    row = desk.market("BUY", "0.01")
    assert (row["status"], Decimal(row["executedQty"])) == ("FILLED", Decimal("0.01"))
    assert Decimal(row["cummulativeQuoteQty"]) == Decimal("600.052")
    row = desk.market("BUY", "0.1")
    assert (row["status"], Decimal(row["executedQty"])) == ("CANCELED", Decimal("0.043"))


def test_market_sell(desk: Desk) -> None:
    """A sell fills at the bid."""
    row = desk.market("SELL", "0.5")
    assert (row["status"], Decimal(row["cummulativeQuoteQty"])) == ("FILLED", Decimal(30_000))


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"quantity": "0.000101"}, (412, -1111), "Invalid volume"),
        ({"price": "50000.001"}, (412, -1111), "Invalid volume"),
        ({"quantity": "0.00009"}, (412, -1111), "less then minQty"),
        ({"quantity": "0.00015"}, (400, -1013), "LOT_SIZE"),
        ({"price": "41000"}, (400, -1013), "PRICE_FILTER"),
        ({"quantity": "1"}, (406, -2010), "insufficient balance"),
        ({"symbol": "SHAUSDT", "quantity": "388.88", "price": "0.05"}, (412, -1111), "less then minQty"),
        ({"newClientOrderId": "x" * 33}, (412, -1102), "malformed"),
        ({"timeInForce": "IOC"}, (412, -1102), "malformed"),
    ],
)
def test_order_refused(desk: Desk, changes: dict[str, Any], code: tuple[int, int], words: str) -> None:
    """Sizes, prices, funds: nothing is changed."""
    status, content = desk.ask("POST", ORDER, **desk.limit(**changes))
    assert ((status, content["code"]), words in content["msg"]) == (code, True)
    assert (len(desk.exchange.orders()), desk.usdt()) == (0, ("10000", "0"))


def test_order_in_a_halted_market_or_with_a_repeated_id_is_refused(desk: Desk) -> None:
    """The second is not documented, and can be switched off."""
    desk.place(newClientOrderId="mine")
    assert desk.ask("POST", ORDER, **desk.limit(newClientOrderId="mine"))[1]["msg"] == "Duplicate order sent."
    desk.exchange.refuses_repeats = False
    desk.place(newClientOrderId="mine")
    desk.exchange.ledger.pairs["BTCUSDT"].status = "halted"
    assert desk.ask("POST", ORDER, **desk.limit())[1]["msg"] == "Market is closed."


@pytest.mark.parametrize(("code", "status"), [("-2010", 406), ("-2013", 200)])
def test_cancel_frees_funds_and_a_second_one_is_refused(desk: Desk, code: Any, status: int) -> None:
    """An unknown order is an error within HTTP 200; a finished one has either of two codes."""
    desk.exchange.cancel_code = code
    order_id = desk.place()
    assert desk.ask("DELETE", ORDER, symbol="BTCUSDT", orderId=order_id)[0] == 200
    assert desk.usdt() == ("10000", "0")
    assert desk.code("DELETE", ORDER, symbol="BTCUSDT", orderId=order_id) == (status, int(code))
    assert desk.code("DELETE", ORDER, symbol="BTCUSDT", orderId="5") == (200, -2013)
    assert desk.code("GET", ORDER, symbol="BTCUSDT", orderId="5") == (200, -2013)
    [row] = desk.ask("GET", "/api/v1/allOrders", symbol="BTCUSDT")[1]
    assert (row["orderId"], row["status"]) == (order_id, "CANCELED")
    assert desk.ask("GET", "/api/v1/openOrders", symbol="BTCUSDT")[1] == []
