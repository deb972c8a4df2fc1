"""Reading orders, markets and balances."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest

from bot.testing.bitget import Mode
from bot.testing.strict import Received
from tests.testing.strict_bitget.conftest import KEY, NOW, PASSPHRASE, SECRET, D, Desk, ids, only


def test_unfilled_orders_swap_their_prices(desk: Desk) -> None:
    """In this list `priceAvg` is the price ordered, `basePrice` the average paid, and there is no `price`."""
    desk.buy("50000", "0.004", clientOid="bot-1")
    desk.exchange.ledger.fill(desk.exchange.orders()[0], "0.001", "49000")
    row = only(desk.get("/api/v2/spot/trade/unfilled-orders", symbol="BTCUSDT"))
    assert "price" not in row
    assert {name: row[name] for name in ("priceAvg", "basePrice", "size", "baseVolume", "quoteVolume", "status")} == {
        "priceAvg": "50000",
        "basePrice": "49000",
        "size": "0.004",
        "baseVolume": "0.001",
        "quoteVolume": "49",
        "status": "partially_filled",
    }
    usdt = only(desk.get("/api/v2/spot/account/assets", coin="USDT"))
    assert (usdt["available"], usdt["frozen"]) == ("801", "150")


@pytest.mark.parametrize("mode", ["classic", "unified"])
def test_lists_are_paged_newest_first(mode: Mode) -> None:
    """Open orders and history come newest first; the cursor goes on below the last row seen."""
    desk = Desk(mode)
    for number in range(5):
        desk.buy(clientOid=f"bot-{number}")
        desk.clock.now += 1
    for order in desk.exchange.orders()[:2]:
        desk.exchange.ledger.cancel(order)
    if mode == "classic":
        first = desk.get("/api/v2/spot/trade/unfilled-orders", limit="2")
        assert isinstance(first, list)
        second = desk.get("/api/v2/spot/trade/unfilled-orders", limit="2", idLessThan=first[-1]["orderId"])
        done = desk.get("/api/v2/spot/trade/history-orders", startTime=str(NOW + 1))
    else:
        page = desk.get("/api/v3/trade/unfilled-orders", limit="2")
        assert isinstance(page, dict)
        first = page["list"]
        page = desk.get("/api/v3/trade/unfilled-orders", limit="2", cursor=page["cursor"])
        assert isinstance(page, dict)
        second = page["list"]
        page = desk.get("/api/v3/trade/history-orders", category="SPOT", startTime=str(NOW + 1))
        assert isinstance(page, dict)
        done = page["list"]
    assert (ids(first), ids(second), ids(done)) == (["bot-4", "bot-3"], ["bot-2"], ["bot-1"])


def test_list_parameters_out_of_range_are_refused(desk: Desk, unified: Desk) -> None:
    """A page holds at most 100 rows, and a span at most 90 days in v2 and 30 in v3."""
    assert desk.get("/api/v2/spot/trade/unfilled-orders", limit="101") == "400172"
    day = 86_400_000
    assert desk.get("/api/v2/spot/trade/fills", startTime=str(NOW - 91 * day)) == "40705"
    assert unified.get("/api/v3/trade/fills", startTime=str(NOW - 31 * day)) == "40705"
    assert unified.get("/api/v3/trade/history-orders") == "40019"


def test_order_info_by_client_id_ends_after_two_hours(desk: Desk) -> None:
    """A classic look-up by `clientOid` finds orders of the last two hours; by `orderId` it goes on."""
    desk.buy(clientOid="bot-1")
    desk.clock.now += 2 * 3_600_000
    assert only(desk.get("/api/v2/spot/trade/orderInfo", clientOid="bot-1"))["status"] == "live"
    desk.clock.now += 1
    assert desk.get("/api/v2/spot/trade/orderInfo", clientOid="bot-1") == []
    order_id = desk.exchange.orders()[0].id
    assert only(desk.get("/api/v2/spot/trade/orderInfo", orderId=order_id))["status"] == "live"


def test_order_info_of_unknown_order_is_empty_or_refused(desk: Desk, unified: Desk) -> None:
    """Classic answers an empty list or 43001, as set; unified answers 25204; neither without any id."""
    assert desk.get("/api/v2/spot/trade/orderInfo", orderId="1") == []
    desk.exchange.unknown_order = "43001"
    assert desk.get("/api/v2/spot/trade/orderInfo", orderId="1") == "43001"
    assert desk.get("/api/v2/spot/trade/orderInfo") == "400172"
    assert unified.get("/api/v3/trade/order-info", orderId="1") == "25204"


def test_other_accounts_see_nothing(desk: Desk) -> None:
    """Orders and balances belong to the key's account."""
    desk.buy(clientOid="bot-1")
    desk.exchange.add_account(KEY, SECRET, PASSPHRASE)
    assert desk.get("/api/v2/spot/trade/unfilled-orders") == []
    assert desk.get("/api/v2/spot/account/assets") == []


async def test_stale_order_is_in_no_read_until_released(desk: Desk) -> None:
    """A hidden order is found by no read and cannot be canceled, yet its id is taken."""
    fault = desk.exchange.misbehave("stale")
    target = "/api/v2/spot/trade/place-order"
    body = '{"symbol":"BTCUSDT","side":"buy","orderType":"limit","force":"gtc","price":"60000.1","size":"0.001"}'
    message = f"{NOW}POST{target}{body}".encode()
    sign = base64.b64encode(hmac.digest(SECRET.encode(), message, hashlib.sha256)).decode()
    headers = {"access-key": KEY, "access-sign": sign, "access-timestamp": str(NOW), "access-passphrase": PASSPHRASE}
    headers["content-type"] = "application/json"
    reply = await desk.exchange.answer(Received("POST", target, headers, body.encode()))
    assert reply is not None
    order_id = json.loads(reply.body)["data"]["orderId"]

    def reads() -> list[int]:
        lists = [
            desk.get("/api/v2/spot/trade/orderInfo", orderId=order_id),
            desk.get("/api/v2/spot/trade/history-orders"),
            desk.get("/api/v2/spot/trade/fills"),
        ]
        return [len(rows) for rows in lists if isinstance(rows, list)]

    assert reads() == [0, 0, 0]
    assert desk.post("/api/v2/spot/trade/cancel-order", symbol="BTCUSDT", orderId=order_id) == "43001"
    assert desk.buy(clientOid=order_id) == "43118"
    fault.release()
    assert reads() == [1, 1, 1]


def test_markets_and_tickers_have_documented_shapes(desk: Desk) -> None:
    """Numbers are text, an empty side is an empty text, and v3's book holds bare numbers."""
    desk.exchange.ledger.set_book("BTCUSDT", [("59999.5", "2")], [], last="60000")
    symbol = only(desk.get("/api/v2/spot/public/symbols", symbol="BTCUSDT"))
    assert (symbol["pricePrecision"], symbol["quantityPrecision"], symbol["minTradeUSDT"]) == ("2", "6", "1")
    ticker = only(desk.get("/api/v2/spot/market/tickers", symbol="BTCUSDT"))
    assert {name: ticker[name] for name in ("lastPr", "bidPr", "bidSz", "askPr", "askSz", "ts")} == {
        "lastPr": "60000",
        "bidPr": "59999.5",
        "bidSz": "2",
        "askPr": "",
        "askSz": "",
        "ts": str(NOW),
    }
    v3_ticker = only(desk.get("/api/v3/market/tickers", category="SPOT", symbol="BTCUSDT"))
    assert (v3_ticker["lastPrice"], v3_ticker["bid1Price"], v3_ticker["ask1Price"]) == ("60000", "59999.5", "")
    book = {"asks": [], "bids": [["59999.5", "2"]], "ts": str(NOW)}
    assert desk.get("/api/v2/spot/market/orderbook", symbol="BTCUSDT", limit="5") == book
    v3_book = {"a": [], "b": [[59999.5, 2.0]], "ts": str(NOW)}
    assert desk.get("/api/v3/market/orderbook", category="SPOT", symbol="BTCUSDT") == v3_book
    instruments = desk.get("/api/v3/market/instruments", category="SPOT")
    assert isinstance(instruments, list)
    assert [row["symbol"] for row in instruments] == ["BTCUSDT", "ETHUSDT", "XRPUSDT", "BTCUSDC"]
    fees = {"makerFeeRate": "0.001", "takerFeeRate": "0.001"}
    assert desk.get("/api/v2/common/trade-rate", businessType="spot", symbol="BTCUSDT") == fees


def test_unified_balances_leave_the_funding_wallet_apart(unified: Desk) -> None:
    """v3 lists what is not zero, with what orders lock; the funding wallet is another list."""
    unified.account.funding["USDT"] = D("7.5")
    unified.buy("50000", "0.01")
    assets = unified.get("/api/v3/account/assets")
    assert isinstance(assets, dict)
    assert assets["assets"][1] == {
        "coin": "USDT",
        "equity": "1000",
        "usdValue": "1000",
        "balance": "1000",
        "available": "500",
        "debt": "0",
        "locked": "500",
    }
    assert unified.get("/api/v3/account/funding-assets", coin="USDT") == [
        {"coin": "USDT", "available": "7.5", "frozen": "0", "balance": "7.5"}
    ]
    assert unified.get("/api/v3/account/fee-rate", category="SPOT", symbol="BTCUSDT") == {
        "makerFeeRate": "0.001",
        "takerFeeRate": "0.001",
    }
