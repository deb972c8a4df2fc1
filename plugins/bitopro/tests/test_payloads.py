"""Between BitoPro's fields and the models of balances, orders and fills."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradewire_bitopro import payloads

from bot import (
    TIMESTAMP,
    Balance,
    Base,
    Market,
    Order,
    OrderReport,
    OutcomeUnknown,
    Quote,
    Request,
    UserError,
)
from bot.testing.drive import reply

D = Decimal
TESTDATA = Path(__file__).parent / "testdata"
BTC = Market(
    symbol="BTC/TWD",
    exchange_symbol="btc_twd",
    base="BTC",
    quote="TWD",
    price_step=D(1),
    quantity_step=D("0.0001"),
    quote_step=D(1),
)
LIMIT = Order(client_order_id="1234567", market=BTC, side="buy", type="limit", size=Base(D("0.0001")), price=D(1500000))
SPEND = Order(client_order_id="1234568", market=BTC, side="buy", type="market", size=Quote(D(500)))
STOP = Order(
    client_order_id="1234569",
    market=BTC,
    side="sell",
    type="stop_limit",
    size=Base(D("0.0001")),
    price=D(1400000),
    stop_price=D(1410000),
    reference_price=D(1500000),
)


def recorded(name: str) -> Any:
    return json.loads((TESTDATA / f"{name}.json").read_text())


# Balances


def test_holdings_count_what_is_staked_as_locked_and_leave_out_zeros() -> None:
    """All that is not available cannot be spent, be it in orders or staked."""
    rows = reply(recorded("get_balance")).decode(payloads.Listed[list[payloads.BalanceRow]]).data
    assert payloads.holdings(rows) == [Balance("TWD", D(2500), D(27500)), Balance("BITO", D(1), D(10000))]


# Placing

BODIES = {
    "limit": (
        LIMIT,
        {
            "type": "LIMIT",
            "action": "BUY",
            "amount": "0.0001",
            "price": "1500000",
            "timestamp": TIMESTAMP,
            "nonce": TIMESTAMP,
            "timeInForce": "GTC",
            "clientId": 1234567,
        },
    ),
    "post-only": (
        replace(LIMIT, post_only=True, side="sell"),
        {
            "type": "LIMIT",
            "action": "SELL",
            "amount": "0.0001",
            "price": "1500000",
            "timestamp": TIMESTAMP,
            "nonce": TIMESTAMP,
            "timeInForce": "POST_ONLY",
            "clientId": 1234567,
        },
    ),
    "market buy in quote": (
        SPEND,
        {
            "type": "MARKET",
            "action": "BUY",
            "amount": "500",
            "timestamp": TIMESTAMP,
            "nonce": TIMESTAMP,
            "clientId": 1234568,
        },
    ),
    "market sell in base": (
        replace(SPEND, side="sell", size=Base(D("0.5"))),
        {
            "type": "MARKET",
            "action": "SELL",
            "amount": "0.5",
            "timestamp": TIMESTAMP,
            "nonce": TIMESTAMP,
            "clientId": 1234568,
        },
    ),
    "stop": (
        STOP,
        {
            "type": "STOP_LIMIT",
            "condition": "<=",
            "action": "SELL",
            "amount": "0.0001",
            "price": "1400000",
            "stopPrice": "1410000",
            "timestamp": TIMESTAMP,
            "nonce": TIMESTAMP,
            "clientId": 1234569,
        },
    ),
}


@pytest.mark.parametrize(("order", "expected"), BODIES.values(), ids=BODIES)
def test_order_body_has_the_documented_fields_in_order(order: Order, expected: dict[str, Any]) -> None:
    """Only a market buy is in quote; our id is a number; the order of fields is fixed, since it is signed."""
    body = payloads.order_body(order)
    assert list(body.items()) == list(expected.items())


def test_order_body_both_times_are_the_same_number() -> None:
    """The core's time fills `timestamp` and `nonce` alike."""
    body = Request.post("/v3/orders/btc_twd", payloads.order_body(SPEND)).stamped(1700000000123).body
    assert body == (
        b'{"type":"MARKET","action":"BUY","amount":"500","timestamp":1700000000123,"nonce":1700000000123,'
        b'"clientId":1234568}'
    )


@pytest.mark.parametrize(
    ("side", "stop", "last", "expected"),
    [
        ("sell", "1410000", "1500000", "<="),
        ("sell", "1600000", "1500000", ">="),
        ("buy", "1600000", "1500000", ">="),
        ("buy", "1410000", "1500000", "<="),
        ("sell", "1410000", None, "<="),
        ("buy", "1410000", None, ">="),
        ("sell", "1500000", "1500000", "<="),
        ("buy", "1500000", "1500000", ">="),
    ],
)
def test_order_body_condition_follows_the_side_of_the_trigger(
    side: Any, stop: str, last: str | None, expected: str
) -> None:
    """The trigger fires coming from the price that the person saw; without one, a stop protects."""
    order = replace(STOP, side=side, stop_price=D(stop), reference_price=None if last is None else D(last))
    assert payloads.order_body(order)["condition"] == expected


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (replace(SPEND, size=Base(D(1))), "UNIT"),
        (replace(LIMIT, size=Quote(D(1))), "UNIT"),
        (replace(SPEND, side="sell"), "UNIT"),
        (replace(LIMIT, price=None), "PRICE_MISSING"),
        (replace(STOP, stop_price=None), "PRICE_MISSING"),
        (replace(STOP, post_only=True), "UNSUPPORTED"),
        (replace(LIMIT, time_in_force="IOC"), "UNSUPPORTED"),
        (replace(LIMIT, time_in_force="FOK"), "UNSUPPORTED"),
    ],
)
def test_order_body_impossible_order_is_refused_before_sending(order: Order, code: str) -> None:
    """A size in the wrong unit would be another sum of money altogether."""
    with pytest.raises(UserError) as refused:
        payloads.order_body(order)
    assert refused.value.code == code


@given(st.decimals(min_value="1e-18", max_value="1e18", allow_nan=False))
def test_order_body_numbers_have_no_exponent(amount: Decimal) -> None:
    """A number like 1e-05 would be read as something else, or not at all."""
    body = payloads.order_body(replace(LIMIT, size=Base(amount), price=amount))
    assert (set(body["amount"]) | set(body["price"])) <= set("0123456789.")
    assert D(body["amount"]) == D(body["price"]) == amount


@pytest.mark.parametrize("order_id", [1234567890, "1234567890"])
def test_ack_id_is_read_as_number_and_as_text(order_id: int | str) -> None:
    """Documented as a number, sent as text."""
    answer = {**recorded("post_order"), "orderId": order_id}
    assert payloads.ack(reply(answer), LIMIT).exchange_order_id == "1234567890"


@pytest.mark.parametrize("answer", [{}, {"orderId": ""}, {"orderId": 0}, {"orderId": None}])
def test_ack_without_id_leaves_the_order_in_doubt(answer: dict[str, Any]) -> None:
    """HTTP 200 without an id proves neither that the order exists nor that it does not."""
    with pytest.raises(OutcomeUnknown):
        payloads.ack(reply(answer), LIMIT)


@pytest.mark.parametrize("symbol", ["all", "", "open", "btc_twd/1", "BTC_TWD", "../btc_twd", "btc_twd?x"])
def test_pair_of_a_name_that_is_no_pair_is_refused(symbol: str) -> None:
    """In a path it could name all pairs' orders."""
    with pytest.raises(UserError):
        payloads.pair_of(replace(BTC, exchange_symbol=symbol))


@pytest.mark.parametrize("order_id", ["", "/", "1/2", "..", "1?x=1", "1 2"])
def test_order_path_of_an_id_that_is_none_is_refused(order_id: str) -> None:
    """A cancelation with an empty id would be one of all the pair's orders."""
    with pytest.raises(OutcomeUnknown):
        payloads.order_path(BTC, order_id)


# Orders


def row(**changes: Any) -> payloads.OrderRow:
    return reply({**recorded("get_order"), **changes}).decode(payloads.OrderRow)


CANCELED = OrderReport(
    exchange_order_id="8777138788",
    client_order_id="",
    exchange_symbol="bnb_twd",
    side="sell",
    type="limit",
    state="canceled",
    filled=D(0),
    quantity=D("0.01"),
    price=D(16000),
    created_ms=1644898944074,
)


def test_report_recorded_order_is_read_whole() -> None:
    """Zeros that mean nothing are told as nothing."""
    assert payloads.report(row()) == CANCELED


@pytest.mark.parametrize(
    ("status", "executed", "expected"),
    [
        (-1, "0", "open"),
        (0, "0", "open"),
        (0, "0.001", "partially_filled"),
        (1, "0.001", "partially_filled"),
        (2, "0.01", "filled"),
        (3, "0.001", "canceled"),
        (4, "0", "canceled"),
        (6, "0", "rejected"),
    ],
)
def test_report_status_number_becomes_a_state(status: int, executed: str, expected: str) -> None:
    """3, "completed, partial deal", is a canceled order with a filled part."""
    assert payloads.report(row(status=status, executedAmount=executed)).state == expected


@pytest.mark.parametrize("changes", [{"status": 5}, {"status": 7}, {"status": None}, {"action": "HOLD"}])
def test_report_unknown_state_or_side_is_an_error(changes: dict[str, Any]) -> None:
    """An order must not be told in a state that was guessed."""
    with pytest.raises(OutcomeUnknown):
        payloads.report(row(**changes))


def test_report_completed_without_execution_is_an_error() -> None:
    """Nothing that bought nothing is called filled."""
    with pytest.raises(OutcomeUnknown, match="nothing of it was executed"):
        payloads.report(row(status=2, executedAmount="0"))


def test_report_post_only_that_would_take_is_rejected_with_a_reason() -> None:
    """Placing it succeeded; only the status tells."""
    found = payloads.report(row(status=6, timeInForce="POST_ONLY"))
    assert (found.state, found.reason) == ("rejected", "the post-only order would have traded at once")


def test_report_market_buy_has_no_quantity_and_no_price() -> None:
    """Whether the amount of a market buy is told in quote or in base is not known."""
    bought = {
        "action": "BUY",
        "type": "MARKET",
        "status": 2,
        "originalAmount": "500",
        "executedAmount": "0.0003",
        "avgExecutionPrice": "1500000",
        "fee": "0.0000006",
        "feeSymbol": "bnb",
        "clientId": 7,
    }
    assert payloads.report(row(**bought)) == replace(
        CANCELED,
        client_order_id="7",
        side="buy",
        type="market",
        state="filled",
        filled=D("0.0003"),
        average_price=D(1500000),
        quantity=None,
        price=None,
        fee=D("0.0000006"),
        fee_asset="BNB",
    )


@pytest.mark.parametrize("kind", ["STOP_LIMIT", "SP_OCO_STOPLIMIT", "SL_OCO_STOPLIMIT", "Stop_Limit"])
def test_report_waiting_stop_order_is_open(kind: str) -> None:
    """Orders of the web site's kinds are shown like stop orders."""
    found = payloads.report(row(id="SL-1", type=kind, status=-1, stopPrice="15900", condition="<="))
    assert (found.exchange_order_id, found.type, found.state, found.stop_price) == (
        "SL-1",
        "stop_limit",
        "open",
        D(15900),
    )


def test_report_fee_in_bito_is_told_in_bito() -> None:
    """A fee paid in BITO stands in a field of its own."""
    found = payloads.report(row(bitoFee="1.5"))
    assert (found.fee, found.fee_asset) == (D("1.5"), "BITO")


def test_report_number_that_is_not_finite_is_an_error() -> None:
    """`NaN` in a reply is no amount."""
    with pytest.raises(OutcomeUnknown):
        row(executedAmount="NaN")


SAME = {
    "id": "1",
    "pair": "BTC_TWD",
    "action": "BUY",
    "type": "LIMIT",
    "originalAmount": "0.00010000",
    "price": "1500000.0",
    "clientId": 1234567,
}


def test_is_same_by_value_and_not_by_spelling() -> None:
    """Capitals and zeros at the end do not matter, nor whether our id is a number."""
    assert payloads.is_same(row(**SAME), LIMIT)
    assert payloads.is_same(row(**{**SAME, "clientId": "1234567"}), LIMIT)


@pytest.mark.parametrize(
    "changes",
    [
        {"clientId": 1234568},
        {"clientId": None},
        {"pair": "eth_twd"},
        {"action": "SELL"},
        {"type": "MARKET"},
        {"originalAmount": "0.0002"},
        {"price": "1500001"},
        {"stopPrice": "1"},
    ],
)
def test_is_same_with_another_fact_is_another_order(changes: dict[str, Any]) -> None:
    """BitoPro lets an id repeat: a row with our id and other terms is somebody else's order."""
    assert not payloads.is_same(row(**{**SAME, **changes}), LIMIT)


def test_is_same_market_buy_is_not_told_apart_by_amount() -> None:
    """The unit of its amount in lists is not known."""
    bought = {**SAME, "type": "MARKET", "originalAmount": "0.0003", "price": "0", "clientId": 1234568}
    assert payloads.is_same(row(**bought), SPEND)


@pytest.mark.parametrize("kind", ["STOP_LIMIT", "LIMIT"])
def test_is_same_stop_order_before_and_after_its_trigger(kind: str) -> None:
    """A stop order that was triggered may show as a limit order."""
    stop = {**SAME, "type": kind, "action": "SELL", "price": "1400000", "clientId": 1234569}
    assert payloads.is_same(row(**stop), STOP)
    assert payloads.is_same(row(**stop, stopPrice="1410000"), STOP)
    assert not payloads.is_same(row(**stop, stopPrice="1400000"), STOP)
