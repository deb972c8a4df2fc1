"""Plan orders: stops that wait at the exchange."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.testing.strict_bitget.conftest import NOW, D, Desk, only


def place_stop(desk: Desk, **more: str) -> object:
    terms = {"symbol": "BTCUSDT", "side": "sell", "orderType": "market", "size": "0.1", "triggerPrice": "55000"}
    return desk.post("/api/v2/spot/trade/place-plan-order", **terms | {"triggerType": "fill_price"} | more)


def test_plan_order_waits_fires_and_names_its_order(desk: Desk) -> None:
    """A plan is pending and locks nothing; at its trigger it becomes an order, which `plan-sub-order` names."""
    ack = place_stop(desk, clientOid="stop-1")
    assert isinstance(ack, dict)
    pending = desk.get("/api/v2/spot/trade/current-plan-order", symbol="BTCUSDT")
    assert pending == {
        "nextFlag": False,
        "idLessThan": ack["orderId"],
        "orderList": [
            {
                **ack,
                "symbol": "BTCUSDT",
                "size": "0.1",
                "executePrice": "0",
                "triggerPrice": "55000",
                "status": "live",
                "orderType": "market",
                "side": "sell",
                "planType": "amount",
                "triggerType": "fill_price",
                "enterPointSource": "API",
                "uTime": str(NOW),
                "cTime": str(NOW),
            }
        ],
    }
    assert desk.account.locked["BTC"] == 0
    assert desk.get("/api/v2/spot/trade/unfilled-orders") == []
    desk.exchange.set_price("BTCUSDT", "54999.00", "55001.00")
    row = only(desk.get("/api/v2/spot/trade/plan-sub-order", planOrderId=ack["orderId"]))
    order = only(desk.get("/api/v2/spot/trade/orderInfo", orderId=str(row["orderId"])))
    assert (order["status"], order["priceAvg"]) == ("filled", "54999.0000000000000000")
    history = desk.get(
        "/api/v2/spot/trade/history-plan-order", symbol="BTCUSDT", startTime=str(NOW - 1), endTime=str(NOW)
    )
    assert isinstance(history, dict)
    assert only(history["orderList"])["status"] == "executed"


def test_plan_order_without_funds_fails_to_execute(desk: Desk) -> None:
    """Funds are asked for when the plan fires: then it reads as `fail_execute`."""
    place_stop(desk, size="5")
    desk.exchange.set_price("BTCUSDT", "54999.00", "55001.00")
    history = desk.get(
        "/api/v2/spot/trade/history-plan-order", symbol="BTCUSDT", startTime=str(NOW - 1), endTime=str(NOW)
    )
    assert isinstance(history, dict)
    assert only(history["orderList"])["status"] == "fail_execute"
    assert desk.exchange.orders() == []


def test_plan_order_market_buy_in_quote_spends_its_size(desk: Desk) -> None:
    """`planType` `total` gives the size in quote."""
    place_stop(desk, side="buy", triggerPrice="65000", size="100", planType="total")
    desk.exchange.set_price("BTCUSDT", "65000.00", "65000.00")
    order = desk.exchange.orders()[0]
    assert (order.status, order.budget, order.value) == ("filled", D("100"), D("99.97"))


def test_plan_order_is_canceled_once(desk: Desk) -> None:
    """Canceling a plan by its own endpoint works once; the endpoint for orders does not know it."""
    ack = place_stop(desk, clientOid="stop-1")
    assert isinstance(ack, dict)
    assert desk.post("/api/v2/spot/trade/cancel-order", symbol="BTCUSDT", orderId=ack["orderId"]) == "43001"
    answers = [desk.post("/api/v2/spot/trade/cancel-plan-order", clientOid="stop-1") for _ in range(2)]
    assert answers == [{"result": "success"}, "43025"]
    desk.exchange.set_price("BTCUSDT", "54999.00", "55001.00")
    assert desk.exchange.orders() == []


@pytest.mark.parametrize(
    ("body", "canceled"),
    [
        ({"symbolList": ["BTCUSDT"]}, ["stop-1", "stop-2"]),
        ({"symbolList": ["ETHUSDT", "XRPUSDT"]}, ["stop-3"]),
        ({"symbolList": []}, ["stop-1", "stop-2", "stop-3"]),
        ({}, ["stop-1", "stop-2", "stop-3"]),
    ],
)
def test_plan_orders_of_listed_markets_are_canceled(desk: Desk, body: dict[str, object], canceled: list[str]) -> None:
    """One request cancels every plan of the markets it lists, of all markets when it lists none, and no order."""
    placed = [
        place_stop(desk, clientOid="stop-1"),
        place_stop(desk, clientOid="stop-2"),
        place_stop(desk, clientOid="stop-3", symbol="ETHUSDT", triggerPrice="2500"),
    ]
    desk.buy()
    expected = [ack for ack in placed if isinstance(ack, dict) and ack["clientOid"] in canceled]
    path = "/api/v2/spot/trade/batch-cancel-plan-order"
    assert desk.post(path, **body) == {"successList": expected, "failureList": []}
    assert desk.post(path, **body) == {"successList": [], "failureList": []}
    waiting = [plan.client_id for plan in desk.exchange.ledger.plans if plan.status == "open"]
    assert sorted(waiting + canceled) == ["stop-1", "stop-2", "stop-3"]
    assert [order.status for order in desk.exchange.orders()] == ["open"]


@pytest.mark.parametrize(
    ("symbols", "code"),
    [
        ("BTCUSDT", "400172"),
        ([["BTCUSDT"]], "400172"),
        ([{"symbol": "BTCUSDT"}], "400172"),
        (["BTCUSDT", 1], "400172"),
        (["BTCUSD"], "40102"),
        ([""], "40102"),
    ],
)
def test_plan_orders_of_a_wrong_list_stay(desk: Desk, symbols: object, code: str) -> None:
    """The list must be one of texts that each name a market; otherwise nothing is canceled."""
    place_stop(desk)
    assert desk.post("/api/v2/spot/trade/batch-cancel-plan-order", symbolList=symbols) == code
    assert [plan.status for plan in desk.exchange.ledger.plans] == ["open"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"triggerPrice": "55000.001"}, "41103"),
        ({"orderType": "limit"}, "400172"),
        ({"size": "0.0000001"}, "40808"),
        ({"size": "0.00001"}, "45110"),
        ({"triggerType": "market_price"}, "400172"),
        ({"clientOid": "bot-1"}, "43118"),
    ],
)
def test_plan_order_invalid_is_refused(desk: Desk, change: Mapping[str, str], code: str) -> None:
    """Plans keep to the market's rules, and share client ids with orders."""
    desk.buy(clientOid="bot-1")
    assert place_stop(desk, **change) == code
    assert desk.exchange.ledger.plans == []
