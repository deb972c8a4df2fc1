"""How an order is found, followed and listed; stop orders too."""

from dataclasses import replace
from typing import Any

import pytest
from tradewire_btcc import cancel_order, fills, find_order, open_orders, order_status

from bot import Base, Order, OrderNotFound, OrderReport, OutcomeUnknown, UserError
from bot.testing.drive import drive

from .conftest import (
    ACCOUNT,
    BTC,
    ETH,
    FINISHED,
    LIMIT,
    MARKET_BUY,
    NONE,
    NULL,
    OPEN,
    PENDING,
    ROW,
    UNKNOWN_PATH,
    D,
    get,
    listing,
    post,
    recorded,
    result,
)

BOUGHT = OrderReport(
    exchange_order_id="6297762817",
    client_order_id="btcusdt_market_1",
    exchange_symbol="BTCUSDT",
    side="buy",
    type="market",
    state="filled",
    filled=D("0.00099"),
    average_price=D("61102.4"),
    fee=D("0.000002970"),
    fee_asset="BTC",
    created_ms=1724399839336,
)
PLAN = {
    "id": 7,
    "type": 3,
    "side": 2,
    "state": 9,
    "market": "BTCUSDT",
    "amount": "0.1",
    "price": "54900",
    "stop_price": "55000",
    "ctime": 1724999193.41,
    "source": "web",
}
WAITING = OrderReport(
    exchange_order_id="stop-7",
    client_order_id="web",
    exchange_symbol="BTCUSDT",
    side="sell",
    type="stop_limit",
    state="open",
    filled=D(0),
    quantity=D("0.1"),
    price=D(54900),
    stop_price=D(55000),
    created_ms=1724999193410,
)
STOP_SELL = Order(
    client_order_id="web", market=BTC, side="sell", type="stop_limit", size=Base(D("0.1")), price=D(54900),
    stop_price=D(55000),
)  # fmt: skip


def test_find_order_in_pending_reads_no_further() -> None:
    """A resting order is found by our id in its row."""
    driven = drive(find_order(ACCOUNT, LIMIT), result({"records": [ROW], "total": 1}))
    assert (driven.result, driven.requests) == (OPEN, [listing("order/pending")])


@pytest.mark.parametrize("labels", [{"client_id": ""}, {"source": "elsewhere"}])
def test_find_order_by_either_label(labels: dict[str, str]) -> None:
    """BTCC may drop `client_id`; then `source` tells, and the other way round."""
    driven = drive(find_order(ACCOUNT, LIMIT), result({"records": [ROW | labels], "total": 1}))
    assert driven.result == OPEN


def test_find_order_in_finished_after_pending() -> None:
    """Orders move from the open to the finished ones, so that is the order of looking."""
    order = replace(MARKET_BUY, client_order_id="btcusdt_market_1")
    driven = drive(find_order(ACCOUNT, order), recorded("get_order_pending"), recorded("get_order_finished"))
    assert (driven.result, driven.requests) == (BOUGHT, [listing("order/pending"), listing("order/finished")])


def test_find_order_in_neither_is_none() -> None:
    """Only when both lists were read cleanly is there no order."""
    assert drive(find_order(ACCOUNT, LIMIT), recorded("get_order_pending"), NONE).result is None


def test_find_order_error_is_no_answer() -> None:
    """A list that could not be read proves nothing."""
    with pytest.raises(OutcomeUnknown):
        drive(find_order(ACCOUNT, LIMIT), NONE, OutcomeUnknown("BTCC's engine is down"))


def test_find_order_unread_open_orders_are_no_answer() -> None:
    """With more open orders than are read, the one looked for may be among the rest."""
    full = result({"records": [ROW | {"client_id": "", "source": "x"}] * 100})
    with pytest.raises(OutcomeUnknown, match="more than 800 orders"):
        drive(find_order(ACCOUNT, LIMIT), *[full] * 8)


PENDING_LATER = get("order/pending_detail", "second look", market="BTCUSDT", order_id=6996187031)


def test_order_status_open_order() -> None:
    """The first look is enough for an open order."""
    driven = drive(order_status(ACCOUNT, LIMIT, "6996187031"), result(ROW))
    assert (driven.result, driven.requests) == (OPEN, [PENDING])


@pytest.mark.parametrize("not_open", [NULL, OrderNotFound("no such order")])
def test_order_status_finished_order(not_open: Any) -> None:
    """Not open is a null or an error; then the history tells, and what a market buy leaves over is normal."""
    driven = drive(order_status(ACCOUNT, MARKET_BUY, "6297762817"), not_open, recorded("get_order_finish_detail"))
    assert driven.result == BOUGHT


def test_order_status_moving_order_is_looked_for_again() -> None:
    """For a moment an order is in neither store; what is found at the third look counts."""
    filled = ROW | {"deal_stock": "0.02", "deal_money": "1187.3822", "left": "0"}
    driven = drive(order_status(ACCOUNT, LIMIT, "6996187031"), NULL, NULL, NULL, NULL, NULL, result(filled))
    assert (driven.result.state, driven.result.average_price) == ("filled", D("59369.11"))
    assert driven.requests == [PENDING, FINISHED, PENDING_LATER, FINISHED, PENDING_LATER, FINISHED]


def test_order_status_vanished_limit_order_was_canceled_and_says_unconfirmed() -> None:
    """No history is kept of an order canceled before any fill; after three looks that is the conclusion."""
    driven = drive(order_status(ACCOUNT, LIMIT, "6996187031"), *[NULL] * 6)
    assert driven.result == replace(
        OPEN,
        state="canceled",
        fee=None,
        fee_asset="",
        created_ms=0,
        reason="Not confirmed: BTCC shows it neither as open nor as finished, which is how it treats orders"
        " canceled before any fill",
    )


def test_order_status_vanished_market_order_is_no_cancel() -> None:
    """A market order never rests: without a history it is not yet known what it bought."""
    with pytest.raises(OrderNotFound):
        drive(order_status(ACCOUNT, MARKET_BUY, "6297762817"), *[NULL] * 6)


def test_order_status_error_is_no_look() -> None:
    """A look that failed concludes nothing."""
    with pytest.raises(OutcomeUnknown):
        drive(order_status(ACCOUNT, LIMIT, "6996187031"), NULL, OutcomeUnknown("BTCC did not answer"))


def test_order_status_without_their_id_scans_for_ours() -> None:
    """While BTCC's id is not known, the lists are read."""
    assert drive(order_status(ACCOUNT, LIMIT, ""), result({"records": [ROW]})).result == OPEN
    with pytest.raises(OrderNotFound):
        drive(order_status(ACCOUNT, LIMIT, ""), NONE, NONE)


def test_open_orders_asks_for_each_market() -> None:
    """BTCC lists by market only."""
    driven = drive(open_orders(ACCOUNT, [BTC, ETH]), result({"records": [ROW], "total": 1}), NONE, NONE, NONE)
    assert (driven.result, driven.requests) == (
        [OPEN],
        [
            listing(f"order/{name}", market=market)
            for market in ("BTCUSDT", "ETHUSDT")
            for name in ("pending", "pending_stop")
        ],
    )


@pytest.mark.parametrize(("price", "kind"), [("54900", "stop_limit"), ("0", "stop_market")])
def test_open_orders_show_waiting_stop_orders_under_ids_of_their_own(price: str, kind: Any) -> None:
    """What was placed on BTCC's site locks money here too. Its numbers for type and state are not documented."""
    driven = drive(open_orders(ACCOUNT, [BTC]), NONE, result({"records": [PLAN | {"price": price}], "total": 1}))
    assert driven.result == [replace(WAITING, type=kind, price=D(price) or None)]


def test_open_orders_without_a_list_of_stop_orders_are_the_orders() -> None:
    """Should BTCC not know the list of stop orders, the others are shown all the same; no other error passes so."""
    assert drive(open_orders(ACCOUNT, [BTC]), result({"records": [ROW]}), UNKNOWN_PATH).result == [OPEN]
    with pytest.raises(OutcomeUnknown):
        drive(open_orders(ACCOUNT, [BTC]), result({"records": [ROW]}), OutcomeUnknown("BTCC's engine is down"))


def test_open_orders_more_stop_orders_than_are_read_are_refused() -> None:
    """A list with holes would be a lie."""
    many = result({"records": [PLAN | {"id": number} for number in range(100)], "total": 101})
    with pytest.raises(OutcomeUnknown, match="more than 100 orders"):
        drive(open_orders(ACCOUNT, [BTC]), NONE, many)


def test_open_orders_of_too_many_markets_are_refused() -> None:
    """A list with holes would be a lie."""
    with pytest.raises(UserError, match="10 markets are too many"):
        next(open_orders(ACCOUNT, [BTC] * 10))


def test_stop_order_is_read_and_canceled_by_its_own_paths() -> None:
    """The number of a stop order may be that of an order, so it never goes to the paths of orders."""
    plans = result({"records": [PLAN], "total": 1})
    driven = drive(order_status(ACCOUNT, STOP_SELL, WAITING.exchange_order_id), plans)
    assert (driven.result, driven.requests) == (WAITING, [listing("order/pending_stop")])
    with pytest.raises(OrderNotFound):
        drive(order_status(ACCOUNT, STOP_SELL, "stop-8"), plans)
    assert drive(fills(ACCOUNT, [BTC], WAITING.exchange_order_id)).result == []
    assert drive(cancel_order(ACCOUNT, STOP_SELL, WAITING.exchange_order_id), NULL).requests == [
        post("order/cancle_stop", {"market": "BTCUSDT", "order_id": 7})
    ]
