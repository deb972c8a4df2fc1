"""Placing and canceling orders, and stop orders."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.testing.strict_btcc.conftest import TM, Desk


def test_side_one_buys_and_side_two_sells(desk: Desk) -> None:
    """The numbers of the document, not those of the engine family."""
    desk.buy(side=1)
    desk.buy(side=2, price="70000")
    assert [order.side for order in desk.exchange.orders()] == ["buy", "sell"]


def test_limit_order_answers_with_the_order(desk: Desk) -> None:
    """The whole order object, its id an integer, its figures text."""
    placed = desk.buy(client_id="t1")
    assert {name: placed[name] for name in ("id", "type", "side", "amount", "left", "deal_stock", "ctime")} == {
        "id": 6996187031,
        "type": 1,
        "side": 1,
        "amount": "0.02",
        "left": "0.02",
        "deal_stock": "0",
        "ctime": TM,
    }
    assert desk.pending()[0] == placed


def test_market_buy_amount_is_money(desk: Desk) -> None:
    """61.1 is spent as far as whole lots go; the rest is left over, and the fee is taken from what is bought."""
    bought = desk.market(1, "61.10000")
    names = ("amount", "deal_stock", "deal_money", "left", "deal_fee")
    assert [bought[name] for name in names] == ["61.1", "0.00101", "60.600101", "0.499899", "0.00000303"]
    assert desk.account.free["USDT"] == 10000 - desk.exchange.orders()[0].value


def test_market_sell_amount_is_a_quantity(desk: Desk) -> None:
    """The same field is base there."""
    assert desk.market(2, "0.1")["deal_money"] == "6000"


def test_surplus_decimals_are_cut_without_a_word(desk: Desk) -> None:
    """MINA has one decimal, for the money of a market buy too."""
    assert desk.market(1, "30.99", "MINAUSDT")["amount"] == "30.9"
    assert desk.buy(amount="0.0200099")["amount"] == "0.02"


def test_refusals_of_the_engine_share_their_numbers(desk: Desk) -> None:
    """10 is no money when placing and no order when canceling."""
    assert (desk.buy(amount="1"), desk.post("order/cancel", market="BTCUSDT", id=1)) == (10, 10)
    assert (desk.buy(amount="0.0002"), desk.market(1, "18"), desk.market(2, "0.0002")) == (11, 11, 11)
    desk.exchange.ledger.set_book("BTCUSDT", [("60000", "1")], [])
    assert desk.market(1, "50") == 12


@pytest.mark.parametrize(("option", "filled"), [(8, "0.01"), (16, "0")])
def test_time_in_force_numbers(desk: Desk, option: int, filled: str) -> None:
    """8 fills what it can at once, 16 all or nothing; neither rests."""
    desk.exchange.set_price("BTCUSDT", "60000", "60000.1", depth="0.01")
    assert desk.buy(price="60001", option=option)["deal_stock"] == filled
    assert desk.pending() == []


def test_order_canceled_without_fill_leaves_no_trace(desk: Desk) -> None:
    """The history holds only orders with a fill; a partly filled one stays in it."""
    first, second = desk.buy()["id"], desk.buy()["id"]
    desk.exchange.ledger.fill(desk.exchange.orders()[1], "0.01")
    assert [desk.post("order/cancel", market="BTCUSDT", id=each)["deal_stock"] for each in (first, second)] == [
        "0",
        "0.01",
    ]
    listed = desk.get("order/finished", market="BTCUSDT", offset=0, limit=100)
    assert ([row["id"] for row in listed["records"]], "total" in listed) == ([second], False)
    assert desk.get("order/finish_detail", order_id=first) is None


def test_cancel_all_keeps_the_other_side_and_market(desk: Desk) -> None:
    """Side 1 cancels buys only; the market is required."""
    desk.buy()
    desk.buy(side=2, price="70000")
    assert desk.post("order/cancel_all", market="BTCUSDT", side=1) is None
    assert [row["side"] for row in desk.pending()] == [2]
    assert desk.post("order/cancel_all") == 202


def test_stop_orders_wait_apart_from_orders(desk: Desk) -> None:
    """They have a list and cancels of their own, spelt as documented, and are in no list of orders."""
    ledger, pair = desk.exchange.ledger, desk.exchange.ledger.pairs["BTCUSDT"]
    first, _, third = (
        ledger.place_plan(
            desk.account, pair, side, "limit", trigger=Decimal(55000), price=Decimal(54900), size=Decimal("0.1")
        )
        for side in ("sell", "buy", "sell")
    )

    def waiting() -> list[int]:
        return [row["id"] for row in desk.get("order/pending_stop", market="BTCUSDT", offset=0, limit=9)["records"]]

    assert (len(waiting()), desk.pending()) == (3, [])
    assert desk.post("order/cancle_stop", market="BTCUSDT", order_id=int(first.id))["stop_price"] == "55000"
    assert desk.post("order/cancle_stop", market="BTCUSDT", order_id=int(first.id)) == 10
    assert desk.post("order/cancle_stop_all", market="BTCUSDT", side=1) is None
    assert waiting() == [int(third.id)]
