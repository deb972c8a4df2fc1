"""Canceling orders."""

from __future__ import annotations

from tests.testing.strict_bitget.conftest import D, Desk


def test_cancel_frees_the_funds_once(desk: Desk) -> None:
    """A cancel frees the lock; again within a second is 45129, later 45031; unknown or of another symbol 43001."""
    ack = desk.buy(clientOid="bot-1")
    path = "/api/v2/spot/trade/cancel-order"
    assert desk.post(path, symbol="ETHUSDT", clientOid="bot-1") == "43001"
    assert desk.post(path, symbol="BTCUSDT", clientOid="bot-1") == ack
    assert (desk.account.free["USDT"], desk.account.locked["USDT"]) == (D(1000), D(0))
    desk.clock.now += 999
    assert desk.post(path, symbol="BTCUSDT", clientOid="bot-1") == "45129"
    desk.clock.now += 1000
    assert desk.post(path, symbol="BTCUSDT", clientOid="bot-1") == "45031"
    assert desk.post(path, symbol="BTCUSDT", clientOid="bot-2") == "43001"
    assert desk.post(path, clientOid="bot-1") == "40019"


def test_cancel_unified_order_needs_no_symbol(unified: Desk) -> None:
    """In v3 the id alone is enough, and `orderId` wins over `clientOid`."""
    ack = unified.buy(clientOid="bot-1")
    unified.buy(clientOid="bot-2")
    assert isinstance(ack, dict)
    assert unified.post("/api/v3/trade/cancel-order", orderId=ack["orderId"], clientOid="bot-2") == ack
    assert [order.client_id for order in unified.exchange.orders(only_open=True)] == ["bot-2"]
    assert unified.post("/api/v3/trade/cancel-order", orderId="1") == "25204"


def test_cancel_all_of_a_symbol_may_leave_orders_behind(desk: Desk) -> None:
    """The reply only repeats the symbol, whatever was canceled."""
    for number in range(3):
        desk.buy(clientOid=f"bot-{number}")
    desk.exchange.leaves_behind = 1
    assert desk.post("/api/v2/spot/trade/cancel-symbol-order", symbol="BTCUSDT") == {"symbol": "BTCUSDT"}
    assert [order.client_id for order in desk.exchange.orders(only_open=True)] == ["bot-2"]


def test_cancel_all_unified_lists_what_it_canceled(unified: Desk) -> None:
    """Without a symbol v3 cancels every spot order, and answers for each."""
    first = unified.buy(clientOid="bot-1")
    second = unified.buy(symbol="BTCUSDC", side="sell", price="70000", clientOid="bot-2")
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    done = {"code": "00000", "msg": "success"}
    assert unified.post("/api/v3/trade/cancel-symbol-order", category="SPOT") == {"list": [first | done, second | done]}
    assert unified.exchange.orders(only_open=True) == []
