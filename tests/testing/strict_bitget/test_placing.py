"""Placing orders: terms, refusals and what they lead to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal

import pytest

from tests.testing.strict_bitget.conftest import NOW, D, Desk, only


@pytest.mark.parametrize(
    ("change", "classic", "unified"),
    [
        ({"symbol": "btcusdt"}, "40102", "25100"),
        ({"symbol": "XRPUSDT", "price": "0.5", "size": "10"}, "41113", "25101"),
        ({"symbol": "ETHUSDT", "price": "3000", "size": "1"}, "41114", "25102"),
        ({"price": "50000.001"}, "41103", "25610"),
        ({"size": "0.0010000"}, "40808", "25610"),
        ({"price": "63000.01"}, "40815", "25205"),
        ({"side": "sell", "price": "56999.99"}, "40816", "25206"),
        ({"size": "0.000019"}, "45110", "45110"),
        ({"size": "0.020001"}, "43012", "25202"),
        ({"side": "sell", "price": "70000", "size": "1.000001"}, "43012", "25202"),
        ({"clientOid": "a b"}, "40305", "40305"),
        ({"clientOid": "a" * 51}, "40304", "40305"),
        ({"orderType": "market", "size": "50.001"}, "40808", "25610"),
        ({"orderType": "market", "size": "0.99"}, "45110", "45110"),
        ({"orderType": "market", "size": "1000.01"}, "43012", "25202"),
    ],
)
def test_place_invalid_order_is_refused_with_its_code(change: Mapping[str, str], classic: str, unified: str) -> None:
    """Each rule of a market refuses with the code of its API, and a refusal leaves no order and locks nothing."""
    for desk, code in ((Desk("classic"), classic), (Desk("unified"), unified)):
        desk.exchange.ledger.pairs["XRPUSDT"].status = "offline"
        desk.exchange.ledger.pairs["ETHUSDT"].status = "halt"
        assert desk.buy(**change) == code
        assert desk.exchange.orders() == []
        assert desk.account.locked["USDT"] == 0


def test_place_too_many_decimals_names_the_scale(desk: Desk) -> None:
    """The refusal tells how many decimals the size may have."""
    body = {"symbol": "BTCUSDT", "side": "sell", "orderType": "market", "force": "gtc", "size": "0.1234567"}
    assert desk.send("POST", "/api/v2/spot/trade/place-order", json.dumps(body))[1]["msg"] == (
        "Parameter verification exception size checkBDScale error value=0.1234567 checkScale=6"
    )


def test_place_too_many_open_orders_is_refused(desk: Desk) -> None:
    """A market takes no more open orders than it says."""
    desk.exchange.ledger.pairs["BTCUSDT"].max_open = 2
    answers = [desk.buy(clientOid=f"bot-{number}") for number in range(3)]
    assert answers[2] == "43005"
    assert len(desk.exchange.orders(only_open=True)) == 2


def test_place_market_buy_size_is_quote(desk: Desk) -> None:
    """`size` of a market buy is what it spends; the fee comes out of the coin bought."""
    reply = desk.post(
        "/api/v2/spot/trade/place-order",
        symbol="BTCUSDT",
        side="buy",
        orderType="market",
        force="gtc",
        size="60.00",
        clientOid="bot-1",
    )
    assert reply == {"orderId": "1186617283289227267", "clientOid": "bot-1"}
    assets = {"coin": "USDT", "frozen": "0", "locked": "0", "limitAvailable": "0", "uTime": str(NOW)}
    assert desk.get("/api/v2/spot/account/assets") == [
        assets | {"coin": "BTC", "available": "1.000998001"},
        assets | {"available": "940.0599001"},
    ]
    row = only(desk.get("/api/v2/spot/trade/orderInfo", orderId="1186617283289227267"))
    fee_text = row.pop("feeDetail")
    assert row == {
        "userId": "1234567890",
        "symbol": "BTCUSDT",
        "orderId": "1186617283289227267",
        "clientOid": "bot-1",
        "price": "0",
        "size": "60.0000000000000000",
        "orderType": "market",
        "side": "buy",
        "status": "filled",
        "priceAvg": "60000.1000000000000000",
        "baseVolume": "0.0009990000000000",
        "quoteVolume": "59.9400999000000000",
        "enterPointSource": "API",
        "orderSource": "market",
        "cancelReason": "",
        "cTime": str(NOW),
        "uTime": str(NOW),
    }
    assert isinstance(fee_text, str)
    assert json.loads(fee_text, parse_float=Decimal)["newFees"]["t"] == D("-0.000000999")
    fill = only(desk.get("/api/v2/spot/trade/fills", orderId="1186617283289227267"))
    assert (fill["size"], fill["amount"], fill["tradeScope"]) == ("0.000999", "59.9400999", "taker")
    assert fill["feeDetail"] == {
        "deduction": "no",
        "feeCoin": "BTC",
        "totalDeductionFee": "",
        "totalFee": "-0.000000999",
    }


def test_place_unified_market_buy_reports_its_budget(unified: Desk) -> None:
    """In v3 one object answers, `qty` of a market buy is zero, `amount` its budget, and fees are positive."""
    reply = unified.buy(orderType="market", size="60.00", clientOid="bot-1")
    assert reply == {"orderId": "1186617283289227267", "clientOid": "bot-1"}
    assert unified.get("/api/v3/trade/order-info", clientOid="bot-1") == {
        "orderId": "1186617283289227267",
        "clientOid": "bot-1",
        "category": "SPOT",
        "symbol": "BTCUSDT",
        "orderType": "market",
        "side": "buy",
        "price": "0",
        "qty": "0",
        "amount": "60",
        "cumExecQty": "0.000999",
        "cumExecValue": "59.9400999",
        "avgPrice": "60000.1",
        "timeInForce": "gtc",
        "orderStatus": "filled",
        "posSide": "",
        "holdMode": "",
        "tradeSide": "open",
        "reduceOnly": "NO",
        "feeDetail": [{"feeCoin": "BTC", "fee": "0.000000999"}],
        "cancelReason": "",
        "execType": "",
        "createdTime": str(NOW),
        "updatedTime": str(NOW),
    }
    fills = unified.get("/api/v3/trade/fills", category="SPOT")
    assert isinstance(fills, dict)
    assert only(fills["list"])["execValue"] == "59.9400999"


@pytest.mark.parametrize(
    ("force", "price", "status", "reason"),
    [
        ("gtc", "50000", "live", ""),
        ("gtc", "60000.1", "filled", ""),
        ("post_only", "50000", "live", ""),
        ("post_only", "60000.1", "cancelled", "post_only_fill_cancel"),
        ("ioc", "50000", "cancelled", "ioc_not_full_cancel"),
        ("fok", "50000", "cancelled", "fok_not_full_cancel"),
    ],
)
def test_place_force_decides_what_becomes_of_the_order(force: str, price: str, status: str, reason: str) -> None:
    """Post-only, IOC and FOK orders that cannot be are accepted first and then read as cancelled; v3 tells why."""
    classic, unified = Desk(), Desk("unified")
    assert isinstance(classic.buy(price, force=force, clientOid="bot-1"), dict)
    row = only(classic.get("/api/v2/spot/trade/orderInfo", clientOid="bot-1"))
    assert (row["status"], row["cancelReason"]) == (status, "normal_cancel" if status == "cancelled" else "")
    assert isinstance(unified.buy(price, timeInForce=force, clientOid="bot-1"), dict)
    order = unified.get("/api/v3/trade/order-info", clientOid="bot-1")
    assert isinstance(order, dict)
    assert (order["orderStatus"], order["cancelReason"]) == (status, reason)
    fees = {"live": ("", ""), "cancelled": (None, None), "filled": ("BTC", "0.000001")}
    assert order["feeDetail"] == [dict(zip(("feeCoin", "fee"), fees[status], strict=True))]


def test_place_duplicate_client_id_is_refused(desk: Desk, unified: Desk) -> None:
    """A classic account never takes an id twice; a unified one does once the first order is done."""
    desk.buy(clientOid="bot-1")
    assert desk.buy(clientOid="bot-1") == "43118"
    desk.exchange.ledger.cancel(desk.exchange.orders()[0])
    assert desk.buy(clientOid="bot-1") == "43118"
    unified.buy(clientOid="bot-1")
    assert unified.buy(clientOid="bot-1") == "25212"
    unified.exchange.ledger.cancel(unified.exchange.orders()[0])
    assert isinstance(unified.buy(clientOid="bot-1"), dict)
    assert len(unified.exchange.orders(client_id="bot-1")) == 2
