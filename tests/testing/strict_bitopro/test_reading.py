"""Market data, balances, orders, trades and history, as BitoPro tells them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.testing.strict import Received
from tests.testing.strict_bitopro.conftest import EMAIL, NOW, SECRET, D, Desk


def public(desk: Desk, target: str) -> Any:
    return json.loads(desk.exchange.handle(Received("GET", "/v3" + target)).body)


def test_market_data_has_the_documented_shapes(desk: Desk) -> None:
    """Numbers are text, one ticker is an object, and the book is not wrapped."""
    pair = public(desk, "/provisioning/trading-pairs")["data"][0]
    assert pair == {
        "pair": "btc_twd",
        "base": "btc",
        "quote": "twd",
        "basePrecision": "8",
        "quotePrecision": "0",
        "minLimitBaseAmount": "0.0001",
        "maxLimitBaseAmount": "1000",
        "minMarketBuyQuoteAmount": "100",
        "orderOpenLimit": "200",
        "maintain": False,
        "orderBookQuotePrecision": "0",
        "orderBookQuoteScaleLevel": "5",
        "amountPrecision": "8",
    }
    assert public(desk, "/tickers/BTC_TWD")["data"]["lastPrice"] == "1500000.00000000"
    assert public(desk, "/order-book/btc_twd?limit=1") == {
        "asks": [{"price": "1500010", "amount": "1000000", "count": 1, "total": "1000000"}],
        "bids": [{"price": "1500000", "amount": "1000000", "count": 1, "total": "1000000"}],
    }
    assert public(desk, "/order-book/btc_twd?limit=7") == {"error": "Wrong parameter: limit"}


def test_balances_list_every_asset_and_count_stake_in_the_total(desk: Desk) -> None:
    """Zeros are listed; an open order and a stake are not available."""
    desk.account.staked["BTC"] = D(2)
    desk.buy()
    rows = {row["currency"]: row for row in desk.data("/accounts/balance")}
    assert rows == {
        "btc": {"currency": "btc", "amount": "3", "available": "1", "stake": "2", "tradable": True},
        "eth": {"currency": "eth", "amount": "0", "available": "0", "stake": "0", "tradable": True},
        "twd": {"currency": "twd", "amount": "1000000", "available": "986000", "stake": "0", "tradable": True},
        "usdt": {"currency": "usdt", "amount": "0", "available": "0", "stake": "0", "tradable": True},
    }


def test_order_row_has_the_documented_fields(desk: Desk) -> None:
    """A resting order with a label, as lists and single look-ups show it."""
    placed = desk.buy(clientId=7)
    row = desk.ask(f"/orders/BTC_TWD/{placed['orderId']}")
    assert row == {
        "id": "8777138788",
        "pair": "btc_twd",
        "price": "1400000",
        "avgExecutionPrice": "0",
        "action": "BUY",
        "type": "LIMIT",
        "timestamp": NOW + 1,
        "status": 0,
        "originalAmount": "0.01",
        "remainingAmount": "0.01",
        "executedAmount": "0",
        "fee": "0",
        "feeSymbol": "btc",
        "bitoFee": "0",
        "total": "0",
        "seq": "BTCTWD8777138788",
        "timeInForce": "GTC",
        "createdTimestamp": NOW + 1,
        "updatedTimestamp": NOW + 1,
        "clientId": 7,
    }
    assert desk.data("/orders/open", pair="btc_twd") == [row]


def test_order_without_label_shows_none(desk: Desk) -> None:
    """`clientId` is present only if it was given."""
    desk.buy()
    assert "clientId" not in desk.data("/orders/open")[0]


def test_order_states_follow_the_table(desk: Desk) -> None:
    """Partly filled is 1, partly filled and canceled 3, canceled 4; DONE leaves out 4."""
    first, second = desk.buy()["orderId"], desk.buy()["orderId"]
    order = desk.exchange.orders()[0]
    desk.exchange.ledger.fill(order, "0.004")
    assert desk.ask(f"/orders/btc_twd/{first}")["status"] == 1
    for order_id in (first, second):
        desk.ask(f"/orders/btc_twd/{order_id}", "DELETE")

    def told(kind: str) -> list[int]:
        return [row["status"] for row in desk.data("/orders/all/btc_twd", statusKind=kind)]

    assert (told("OPEN"), told("DONE"), told("ALL")) == ([], [3], [4, 3])


@pytest.mark.parametrize(("kind", "expected"), [("404", 404), ("empty", {"id": ""})])
def test_unknown_order_is_told_in_either_way(desk: Desk, kind: Any, expected: object) -> None:
    """One client of BitoPro's handles a row without id, the newer documents say 404."""
    desk.exchange.unknown_order = kind
    assert desk.ask("/orders/btc_twd/1") == expected


def test_order_of_another_account_is_unknown(desk: Desk) -> None:
    """A key sees its own account only."""
    placed = desk.buy()
    desk.exchange.add_account("other", SECRET, EMAIL)
    desk.headers = {"x-bitopro-apikey": "other"}
    assert desk.ask(f"/orders/btc_twd/{placed['orderId']}") == 404
    assert desk.data("/orders/open") == []


def test_trades_repeat_the_row_of_the_cursor(desk: Desk) -> None:
    """The next page begins with the row it was asked for; a trade does not tell its pair."""
    for _ in range(3):
        desk.post(type="MARKET", action="SELL", amount="0.1")
    first = desk.data("/orders/trades/btc_twd", limit="2")
    second = desk.data("/orders/trades/btc_twd", limit="2", tradeId=first[-1]["tradeId"])
    assert second[0] == first[-1]
    assert len({row["tradeId"] for row in first + second}) == 3
    assert first[0] == {
        "tradeId": first[0]["tradeId"],
        "orderId": first[0]["orderId"],
        "price": "1500000",
        "action": "SELL",
        "baseAmount": "0.1",
        "quoteAmount": "150000",
        "fee": "300",
        "feeSymbol": "TWD",
        "isTaker": True,
        "timestamp": NOW + 3,
        "createdTimestamp": NOW + 3,
    }


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 3),
        ({"limit": "2"}, 2),
        ({"status": "4"}, 1),
        ({"clientId": "2"}, 1),
        ({"clientId": "9"}, 0),
        ({"endTimestamp": str(NOW)}, 0),
        ({"orderId": "8777138789"}, 2),
    ],
)
def test_history_is_selected_as_documented(desk: Desk, query: dict[str, str], count: int) -> None:
    """The cursor includes the order that it names."""
    placed = [desk.buy(clientId=number)["orderId"] for number in (1, 2, 3)]
    desk.ask(f"/orders/btc_twd/{placed[-1]}", "DELETE")
    assert len(desk.data("/orders/all/btc_twd", **query)) == count


def test_history_forgets_after_ninety_days(desk: Desk) -> None:
    """Older orders are not told, and a longer span is refused."""
    desk.buy()
    desk.clock.now += 91 * 86_400_000
    assert desk.data("/orders/all/btc_twd") == []
    assert desk.ask("/orders/all/btc_twd", startTimestamp="1") == 400
    assert desk.ask("/orders/all/btc_twd", limit="1001") == 400
