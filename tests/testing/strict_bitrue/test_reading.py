"""Market data, balances and orders, as Bitrue tells them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.testing.strict_bitrue.conftest import NOW, ORDER, Desk


def test_public_shapes_have_their_traps(desk: Desk) -> None:
    """A ticker in a list, empty lists behind levels, assets in lower case, filters without steps."""
    status, [ticker] = desk.raw("GET", "/api/v1/ticker/24hr?symbol=BTCUSDT")
    assert (status, ticker["lastPrice"], ticker["bidPrice"], ticker["openPrice"]) == (200, "60000", "60000", None)
    book = desk.raw("GET", "/api/v1/depth?symbol=BTCUSDT&limit=5")[1]
    assert book["asks"] == [["60000.1", "1000000", []]]
    info = desk.raw("GET", "/api/v1/exchangeInfo")[1]["symbols"][0]
    assert (info["symbol"], info["baseAsset"], info["status"]) == ("BTCUSDT", "btc", "TRADING")
    assert info["filters"][0]["minVal"] == "10"
    assert desk.raw("GET", "/api/v1/time")[1] == {"serverTime": NOW}


def test_account_lists_all_coins_in_lower_case(desk: Desk) -> None:
    """Most are zero."""
    content = desk.ask("GET", "/api/v1/account")[1]
    assert {row["asset"]: float(row["free"]) for row in content["balances"]} == {
        "btc": 1,
        "ltc": 0,
        "sbr": 0,
        "usdt": 10_000,
    }
    assert (content["canTrade"], content["canWithdraw"]) == (True, True)


def test_status_by_client_id_is_a_stale_copy(desk: Desk) -> None:
    """By Bitrue's id the order is as it is, by the caller's as it was."""
    order_id = desk.place(newClientOrderId="mine")
    desk.exchange.ledger.fill(desk.exchange.orders()[0], "0.004")
    by_ours = desk.ask("GET", ORDER, symbol="BTCUSDT", origClientOrderId="mine")[1]
    by_theirs = desk.ask("GET", ORDER, symbol="BTCUSDT", orderId=order_id)[1]
    assert (by_ours["orderId"], by_ours["status"], Decimal(by_ours["executedQty"])) == (order_id, "NEW", Decimal(0))
    assert (by_theirs["status"], Decimal(by_theirs["executedQty"])) == ("PARTIALLY_FILLED", Decimal("0.004"))
    desk.exchange.knows_client_ids = False
    assert desk.code("GET", ORDER, symbol="BTCUSDT", origClientOrderId="mine") == (200, -2013)


def test_all_orders_newest_first_and_onwards_from_an_id_or_within_times(desk: Desk) -> None:
    """Without an id the newest are told, at most as many as asked for; from an id on the oldest."""
    ids = []
    for _ in range(4):
        desk.now_ms += 1000
        ids.append(desk.place(quantity="0.001"))

    def told(**fields: Any) -> list[int]:
        rows = desk.ask("GET", "/api/v1/allOrders", symbol="BTCUSDT", **fields)[1]
        return [ids.index(row["orderId"]) for row in rows]

    assert told() == [3, 2, 1, 0]
    assert told(limit=2) == [3, 2]
    assert told(limit=2, endTime=NOW + 3000) == [2, 1]
    assert told(startTime=NOW + 3000) == [3, 2]
    assert told(fromId=ids[1], limit=2) == [1, 2]


def test_odd_rows_are_told_as_they_are(desk: Desk) -> None:
    """A test can spoil any list."""
    for path in ("openOrders", "allOrders"):
        desk.exchange.odd_rows[path].append({"odd": 1})
        assert desk.ask("GET", f"/api/v1/{path}", symbol="BTCUSDT")[1] == [{"odd": 1}]
    desk.exchange.odd_rows["myTrades"].append(None)
    assert desk.ask("GET", "/api/v2/myTrades", symbol="BTCUSDT")[1] == [None]
    desk.exchange.odd_rows["exchangeInfo"].append("odd")
    assert desk.raw("GET", "/api/v1/exchangeInfo")[1]["symbols"][-1] == "odd"


def test_look_up_by_client_id_alone_can_be_refused(desk: Desk) -> None:
    """The document has Bitrue's own id as mandatory; with it the caller's may come along."""
    order_id = desk.place(newClientOrderId="mine")
    desk.exchange.takes_client_ids = False
    assert desk.code("GET", ORDER, symbol="BTCUSDT", origClientOrderId="mine") == (412, -1102)
    assert desk.ask("GET", ORDER, symbol="BTCUSDT", orderId=order_id, origClientOrderId="mine")[0] == 200
