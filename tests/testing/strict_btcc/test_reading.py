"""Market data, balances, orders and trades, as BTCC tells them."""

from __future__ import annotations

from tests.testing.strict_btcc.conftest import TM, Desk, outcome


def test_market_data_has_the_documented_shapes(desk: Desk) -> None:
    """Success with an error object, a bare price, a book in milliseconds, a time in seconds."""
    listed = desk.public("market/list")
    assert (listed["error"], listed["result"][0]) == (
        {"code": 0, "message": ""},
        {
            "money": "USDT",
            "stock": "BTC",
            "name": "BTCUSDT",
            "fee_prec": 4,
            "money_prec": 2,
            "stock_prec": 5,
            "min_amount": "0.0003",
            "switch": True,
        },
    )
    assert desk.public("market/last?market=BTCUSDT") == {"error": None, "result": "60000", "id": 0, "ttl": 400}
    book = desk.public("market/depth?market=BTCUSDT&limit=5&merge=0")["result"]
    assert (book["asks"], book["last"], book["time"]) == ([["60000.1", "1000000"]], "60000", TM * 1000)
    assert desk.public("time") == {"code": 0, "data": TM, "message": "OK"}


def test_market_data_refuses_what_is_not_documented(desk: Desk) -> None:
    """Other depths, missing parameters and unknown paths."""
    assert outcome(desk.public("market/depth?market=BTCUSDT&limit=7&merge=0")) == 1
    assert outcome(desk.public("market/depth?market=BTCUSDT&limit=5")) == 202
    assert desk.send("GET", "market/ticker?market=BTCUSDT", {})[0] == 404
    assert desk.send("POST", "order/place_order", {}, b"{}")[0] == 404


def test_closed_market_tells_when_it_opens_and_takes_no_order(desk: Desk) -> None:
    """`open_time` comes with a market that is switched off, and orders for it end with 207."""
    desk.exchange.ledger.pairs["BTCUSDT"].status = "offline"
    row = desk.public("market/list")["result"][0]
    assert (row["switch"], row["open_time"], desk.buy()) == (False, TM + 3600, 207)


def test_order_moves_from_pending_to_finished(desk: Desk) -> None:
    """Each detail path shows an order only in its own state, and else answers null with success."""
    id_ = desk.buy()["id"]
    paths = ("order/pending_detail", {"market": "BTCUSDT", "order_id": id_}), ("order/finish_detail", {"order_id": id_})
    assert [desk.get(path, **query) is None for path, query in paths] == [False, True]
    desk.exchange.ledger.fill(desk.exchange.orders()[0], "0.02")
    assert [desk.get(path, **query) is None for path, query in paths] == [True, False]


def test_listing_pages_and_counts(desk: Desk) -> None:
    """The total is of all pages; offset and limit are required and at most 100 rows come."""
    ids = [desk.buy(amount="0.0003")["id"] for _ in range(3)]
    page = desk.get("order/pending", market="BTCUSDT", side=1, offset=1, limit=1)
    assert (page["total"], [row["id"] for row in page["records"]]) == (3, [ids[1]])
    assert desk.get("order/pending", market="BTCUSDT") == 202
    assert desk.get("order/pending", market="BTCUSDT", offset=0, limit=101) == 1


def test_trades_by_market_and_by_order(desk: Desk) -> None:
    """The history tells the order id and no side; it can be asked for one side; maker is 1 and taker 2."""
    bought = desk.market(1, "61.1")["id"]
    desk.market(2, "0.1")
    rows = desk.get("order/deal_history", market="BTCUSDT", side=1, offset=0, limit=100)["records"]
    assert [(row["order_id"], row["role"], "side" in row) for row in rows] == [(bought, 2, False)]
    of_order = desk.get("order/deals", order_id=bought, offset=0, limit=100)["records"]
    assert [(row["amount"], row["fee_asset"]) for row in of_order] == [("0.00101", "BTC")]


def test_frozen_money_is_told(desk: Desk) -> None:
    """An open buy locks its price times its amount."""
    desk.buy()
    assert desk.get("asset/query")["USDT"] == {"available": "9000.00000000", "frozen": "1000.00000000"}
