"""Stop orders of classic accounts, there called plans: what the flows ask and what they make of the replies."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from tradewire_bitget import cancel_order, find_order, open_orders, order_status, place_order

from bot import (
    Base,
    Market,
    Order,
    OrderAck,
    OrderNotFound,
    OrderReport,
    OutcomeUnknown,
    Quote,
    Request,
    Response,
    UserError,
)
from bot.testing.drive import drive, load_reply

from .conftest import CLASSIC as ACCOUNT
from .conftest import NO_PLANS, PLACED, PLAN_CANCELED, TESTDATA, costs, data, get, post

D = Decimal
TRADE = "/api/v2/spot/trade/"
PLANS = load_reply(TESTDATA / "get_v2_current_plan_order.json")
TIME = load_reply(TESTDATA / "get_time.json")
TRX = Market(
    symbol="TRX/USDT",
    exchange_symbol="TRXUSDT",
    base="TRX",
    quote="USDT",
    price_step=D("0.01"),
    quantity_step=D("0.000001"),
    quote_step=D("0.01"),
)
STOP = Order(
    client_order_id="bot-plan-1",
    market=TRX,
    side="sell",
    type="stop_limit",
    size=Base(D(151)),
    price=D("0.0410"),
    stop_price=D("0.0411"),
    reference_price=D("0.05"),
)
WAITING = OrderReport(
    exchange_order_id="121211212122",
    client_order_id="bot-plan-1",
    exchange_symbol="TRXUSDT",
    side="sell",
    type="stop_limit",
    state="open",
    filled=D(0),
    quantity=D(151),
    price=D("0.041"),
    stop_price=D("0.0411"),
    created_ms=1668134576563,
)


def plans(**changes: str) -> Response:
    row = {**PLANS.json()["data"]["orderList"][0], **changes}
    return data({"nextFlag": False, "idLessThan": "1", "orderList": [row]})


# Placing


def test_place_stop_limit_sends_the_documented_plan() -> None:
    """The trigger follows the last price, and the size is base."""
    driven = drive(place_order(ACCOUNT, STOP), PLACED)
    body = {
        "symbol": "TRXUSDT",
        "side": "sell",
        "triggerPrice": "0.0411",
        "orderType": "limit",
        "executePrice": "0.0410",
        "planType": "amount",
        "size": "151",
        "triggerType": "fill_price",
        "clientOid": "bot-plan-1",
    }
    assert (driven.result, driven.requests) == (
        OrderAck("1001", "bot-plan-1"),
        [post(f"{TRADE}place-plan-order", body, places=True)],
    )


@pytest.mark.parametrize(
    ("side", "size", "trigger", "plan_type"),
    [("buy", Quote(D(50)), "0.06", "total"), ("sell", Base(D(50)), "0.04", "amount")],
)
def test_place_stop_market_size_has_the_unit_of_its_plan_type(
    side: str, size: Base | Quote, trigger: str, plan_type: str
) -> None:
    """A stop market buy spends quote, which the plan calls `total`."""
    order = replace(STOP, side=side, type="stop_market", size=size, price=None, stop_price=D(trigger))  # type: ignore[arg-type]
    assert drive(place_order(ACCOUNT, order), PLACED).requests[0].json == {
        "symbol": "TRXUSDT",
        "side": side,
        "triggerPrice": trigger,
        "orderType": "market",
        "planType": plan_type,
        "size": "50",
        "triggerType": "fill_price",
        "clientOid": "bot-plan-1",
    }


@pytest.mark.parametrize(
    ("side", "trigger", "where"),
    [
        ("sell", "0.06", "below"),
        ("sell", "0.05", "below"),
        ("buy", "0.05", "above"),
        ("buy", "0.04", "above"),
    ],
)
def test_place_stop_on_the_wrong_side_is_refused_before_any_request(side: str, trigger: str, where: str) -> None:
    """Bitget would take it for the opposite kind of order."""
    order = replace(STOP, side=side, stop_price=D(trigger))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=f"a stop price {where} the market") as caught:
        next(place_order(ACCOUNT, order))
    assert caught.value.code == "STOP_SIDE"


def test_place_stop_without_reference_price_is_sent() -> None:
    """Without a price to compare there is nothing to refuse."""
    order = replace(STOP, stop_price=D(9), reference_price=None)
    assert drive(place_order(ACCOUNT, order), PLACED).requests[0].json["triggerPrice"] == "9"


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"post_only": True}, "UNSUPPORTED", "post-only for GTC limit orders without a trigger"),
        ({"time_in_force": "IOC"}, "UNSUPPORTED", "as GTC only"),
        ({"price": None}, "PRICE_MISSING", "needs a price"),
        ({"stop_price": None}, "PRICE_MISSING", "needs a stop price"),
        ({"size": Quote(D(50))}, "UNIT", "size of this order in TRX, not in USDT"),
    ],
)
def test_place_stop_that_a_plan_cannot_be_is_refused(changes: dict[str, Any], code: str, text: str) -> None:
    """A plan order has no field for terms, and dropping them silently would place another order."""
    with pytest.raises(UserError, match=text) as caught:
        next(place_order(ACCOUNT, replace(STOP, **changes)))
    assert caught.value.code == code


# In doubt

PENDING = get(f"{TRADE}current-plan-order", limit="100", symbol="TRXUSDT")
DONE_PLANS = get(
    f"{TRADE}history-plan-order", endTime="1688008631614", limit="100", startTime="1680319031614", symbol="TRXUSDT"
)
SERVER_TIME = Request.get("/api/v2/public/time", auth="none", costs=costs("GET /api/v2/public/time"))


def test_find_stop_pending_plan_is_open() -> None:
    """A stop order that waits is open."""
    driven = drive(find_order(ACCOUNT, STOP), PLANS)
    assert (driven.result, driven.requests) == (WAITING, [PENDING])


def test_find_stop_absent_everywhere_is_none() -> None:
    """Plan history wants a span of at most 90 days, counted from Bitget's clock."""
    driven = drive(find_order(ACCOUNT, STOP), NO_PLANS, TIME, NO_PLANS)
    assert (driven.result, driven.requests) == (None, [PENDING, SERVER_TIME, DONE_PLANS])


FAILED = "Bitget could not place the order when its stop price was reached"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("cancelled", replace(WAITING, state="canceled")),
        ("fail_trigger", replace(WAITING, state="rejected", reason=FAILED)),
        ("fail_execute", replace(WAITING, state="rejected", reason=FAILED)),
    ],
)
def test_find_stop_closed_plan_is_reported_from_history(status: str, expected: OrderReport) -> None:
    """A plan can be canceled, and can fail at its trigger."""
    assert drive(find_order(ACCOUNT, STOP), NO_PLANS, TIME, plans(status=status)).result == expected


REAL = data(
    [{"orderId": "777", "clientOid": "made-by-bitget", "symbol": "TRXUSDT", "side": "sell", "orderType": "limit",
      "status": "filled", "price": "0.041", "priceAvg": "0.0412", "size": "151", "baseVolume": "151", "feeDetail": "",
      "cTime": "1668134600000"}]
)  # fmt: skip
SOLD = replace(
    WAITING,
    exchange_order_id="777",
    state="filled",
    filled=D(151),
    average_price=D("0.0412"),
    created_ms=1668134600000,
)


@pytest.mark.parametrize("status", ["executed", "triggered"])
def test_order_status_triggered_stop_follows_the_order_it_made(status: str) -> None:
    """The real order has ids of its own; the report carries ours."""
    sub = data([{"orderId": "777", "price": "0.041", "type": "limit", "status": "success"}])
    driven = drive(order_status(ACCOUNT, STOP, "121211212122"), NO_PLANS, TIME, plans(status=status), sub, REAL)
    assert (driven.result, driven.requests) == (
        SOLD,
        [
            PENDING,
            SERVER_TIME,
            DONE_PLANS,
            get(f"{TRADE}plan-sub-order", planOrderId="121211212122"),
            get(f"{TRADE}orderInfo", orderId="777"),
        ],
    )


@pytest.mark.parametrize("sub", [[], [{"orderId": "", "status": "fail"}], [{"orderId": None}]])
def test_order_status_triggered_stop_without_its_order_yet_is_in_doubt(sub: list[object]) -> None:
    """Between the trigger and the listing nothing can be said."""
    with pytest.raises(OutcomeUnknown, match="does not list its order yet") as caught:
        drive(order_status(ACCOUNT, STOP, "1"), NO_PLANS, TIME, plans(status="executed"), data(sub))
    assert caught.value.transient


def test_order_status_stop_known_by_its_real_id_is_still_found() -> None:
    """When no plan is listed any more, the id is taken for that of the real order."""
    driven = drive(order_status(ACCOUNT, STOP, "777"), NO_PLANS, TIME, NO_PLANS, REAL)
    assert (driven.result.exchange_order_id, driven.requests[-1]) == ("777", get(f"{TRADE}orderInfo", orderId="777"))


def test_open_orders_has_the_plans_that_wait() -> None:
    """They are in a list of their own, which is read to its end."""
    driven = drive(open_orders(ACCOUNT), data([]), PLANS)
    assert (driven.result, driven.requests) == (
        [WAITING],
        [get(f"{TRADE}unfilled-orders", limit="100"), get(f"{TRADE}current-plan-order", limit="100")],
    )


# Canceling


def test_cancel_order_stop_goes_to_the_plans() -> None:
    """A stop order is canceled where it waits, and nowhere else."""
    assert drive(cancel_order(ACCOUNT, STOP, "121"), PLAN_CANCELED).requests == [
        post(f"{TRADE}cancel-plan-order", {"orderId": "121"})
    ]


def test_cancel_order_triggered_stop_cancels_the_order_it_made() -> None:
    """When no plan has the id, it may be that of the real order."""
    driven = drive(cancel_order(ACCOUNT, STOP, "777"), OrderNotFound(code="43025"), PLACED)
    assert driven.requests == [
        post(f"{TRADE}cancel-plan-order", {"orderId": "777"}),
        post(f"{TRADE}cancel-order", {"symbol": "TRXUSDT", "orderId": "777"}),
    ]
