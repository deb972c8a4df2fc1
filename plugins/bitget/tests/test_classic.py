"""Classic accounts: what the flows ask and what they make of the replies."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tradewire_bitget import (
    balances,
    cancel_all,
    cancel_order,
    fills,
    find_order,
    key_permissions,
    open_orders,
    order_history,
    order_status,
    place_order,
)

from bot import (
    TIMESTAMP_TEXT,
    Account,
    AuthFailed,
    Balance,
    Base,
    Fill,
    InsufficientFunds,
    KeyPermissions,
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
from bot.testing.drive import drive, load_reply, reply

D = Decimal
TESTDATA = Path(__file__).parent / "testdata"
TRADE = "/api/v2/spot/trade/"
ACCOUNT = Account(1, "main", facts={"mode": "classic"})
DEMO = Account(1, "demo", facts={"mode": "classic"}, options={"demo": "1"})


def market(base: str) -> Market:
    return Market(
        symbol=f"{base}/USDT",
        exchange_symbol=f"{base}USDT",
        base=base,
        quote="USDT",
        price_step=D("0.01"),
        quantity_step=D("0.000001"),
        quote_step=D("0.01"),
    )


BTC = market("BTC")
LIMIT = Order(
    client_order_id="bot-0001", market=BTC, side="buy", type="limit", size=Base(D("0.01")), price=D("23222.5")
)
MARKET_BUY = Order(client_order_id="bot-0002", market=BTC, side="buy", type="market", size=Quote(D(50)))
STOP = Order(
    client_order_id="bot-plan-1",
    market=market("TRX"),
    side="sell",
    type="stop_limit",
    size=Base(D(151)),
    price=D("0.0410"),
    stop_price=D("0.0411"),
    reference_price=D("0.05"),
)
PLACED = load_reply(TESTDATA / "post_v2_place_order.json")
ORDER_INFO = load_reply(TESTDATA / "get_v2_order_info.json")
OPEN = load_reply(TESTDATA / "get_v2_unfilled_orders.json")
PLANS = load_reply(TESTDATA / "get_v2_current_plan_order.json")
TIME = load_reply(TESTDATA / "get_time.json")

FILLED = OrderReport(
    exchange_order_id="1001",
    client_order_id="bot-0002",
    exchange_symbol="BTCUSDT",
    side="buy",
    type="market",
    state="filled",
    filled=D("0.0007"),
    average_price=D(13000),
    fee=D("0.112079256"),
    fee_asset="BTC",
    created_ms=1695865232127,
)
RESTING = OrderReport(
    exchange_order_id="2222222",
    client_order_id="bot-0001",
    exchange_symbol="BTCUSDT",
    side="buy",
    type="limit",
    state="open",
    filled=D(0),
    quantity=D(1),
    price=D("34829.12"),
    created_ms=1690196141868,
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


def data(value: Any) -> Response:
    return reply({"code": "00000", "msg": "success", "requestTime": 1, "data": value})


def plans(**changes: str) -> Response:
    row = {**PLANS.json()["data"]["orderList"][0], **changes}
    return data({"nextFlag": False, "idLessThan": "1", "orderList": [row]})


NONE = data([])
NO_PLANS = data({"nextFlag": False, "idLessThan": "", "orderList": None})


def costs(name: str) -> dict[str, int]:
    return {name: 1, "all": 1}


def get(path: str, **query: str) -> Request:
    return Request.get(path, query, costs=costs(f"GET {path}"))


def post(path: str, json: dict[str, Any], *, places: bool = False) -> Request:
    return Request.post(path, json, costs=costs(f"POST {path}"), places=places)


# Placing


def test_place_limit_order_sends_the_documented_body() -> None:
    """Numbers are plain text, the size is base, and a late request is refused by its window."""
    driven = drive(place_order(ACCOUNT, LIMIT), PLACED)
    body = {
        "symbol": "BTCUSDT",
        "side": "buy",
        "orderType": "limit",
        "force": "gtc",
        "price": "23222.5",
        "size": "0.01",
        "clientOid": "bot-0001",
        "requestTime": TIMESTAMP_TEXT,
        "receiveWindow": "5000",
    }
    assert (driven.result, driven.requests) == (
        OrderAck("1001", "bot-0001"),
        [post(f"{TRADE}place-order", body, places=True)],
    )


def test_place_market_buy_spends_quote() -> None:
    """`size` of a market buy is the amount of USDT to spend."""
    request = drive(place_order(ACCOUNT, MARKET_BUY), PLACED).requests[0]
    assert request.json == {
        "symbol": "BTCUSDT",
        "side": "buy",
        "orderType": "market",
        "force": "gtc",
        "size": "50",
        "clientOid": "bot-0002",
        "requestTime": TIMESTAMP_TEXT,
        "receiveWindow": "5000",
    }


def test_place_market_buy_in_base_is_refused_before_any_request() -> None:
    """0.01 BTC must not become 0.01 USDT, and a large quantity not a large amount."""
    with pytest.raises(UserError, match="in USDT, not in BTC"):
        next(place_order(ACCOUNT, replace(MARKET_BUY, size=Base(D("0.01")))))


@pytest.mark.parametrize(("changes", "force"), [({"post_only": True}, "post_only"), ({"time_in_force": "IOC"}, "ioc")])
def test_place_limit_order_terms_become_force(changes: dict[str, Any], force: str) -> None:
    """Time in force and post-only share one field."""
    assert drive(place_order(ACCOUNT, replace(LIMIT, **changes)), PLACED).requests[0].json["force"] == force


def test_place_tiny_numbers_have_no_exponent() -> None:
    """Bitget cannot read 1E-7."""
    body = drive(place_order(ACCOUNT, replace(LIMIT, size=Base(D("1E-7")), price=D("1E+5"))), PLACED).requests[0].json
    assert (body["size"], body["price"]) == ("0.0000001", "100000")


def test_place_demo_account_sends_the_demo_header() -> None:
    """The same host serves demo trading; a header tells."""
    assert drive(place_order(DEMO, LIMIT), PLACED).requests[0].headers == {"paptrading": "1"}


def test_place_account_of_unknown_mode_is_served_as_classic() -> None:
    """Without a fact the older world is asked; Bitget says so when that is wrong."""
    assert drive(place_order(Account(1, "new"), LIMIT), PLACED).requests[0].path == f"{TRADE}place-order"


def test_place_rejection_passes_through() -> None:
    """What the core throws in reaches the core."""
    error = InsufficientFunds("the balance is too small", code="43012")
    with pytest.raises(InsufficientFunds) as caught:
        drive(place_order(ACCOUNT, LIMIT), error)
    assert caught.value is error


def test_place_reply_without_an_id_leaves_the_outcome_unknown() -> None:
    """A success that cannot be read is neither placed nor refused."""
    with pytest.raises(OutcomeUnknown, match="orderId"):
        drive(place_order(ACCOUNT, LIMIT), data({}))


# Stop orders


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


@pytest.mark.parametrize("changes", [{"post_only": True}, {"time_in_force": "IOC"}])
def test_place_stop_with_terms_is_refused(changes: dict[str, Any]) -> None:
    """A plan order has no field for them, and dropping them silently would place another order."""
    with pytest.raises(UserError, match="can only be GTC"):
        next(place_order(ACCOUNT, replace(STOP, **changes)))


@pytest.mark.parametrize(
    ("order", "name"), [(replace(LIMIT, price=None), "price"), (replace(STOP, stop_price=None), "stop price")]
)
def test_place_without_its_price_is_refused(order: Order, name: str) -> None:
    """An order that lacks its price is told so."""
    with pytest.raises(UserError, match=f"needs a {name}"):
        next(place_order(ACCOUNT, order))


# Reading the account


def test_balances_documented_reply_adds_frozen_and_locked() -> None:
    """Both words for money in use count; zero coins are left out; names are upper case."""
    rows = load_reply(TESTDATA / "get_v2_assets.json").json()["data"]
    rows += [{"coin": "btc", "available": "", "frozen": None, "locked": "0.5"}, {"coin": "ETH", "available": "0"}]
    driven = drive(balances(ACCOUNT), data(rows))
    assert (driven.result, driven.requests) == (
        [Balance("USDT", D("100.5"), D(20)), Balance("BTC", D(0), D("0.5"))],
        [get("/api/v2/spot/account/assets")],
    )


def test_key_permissions_documented_reply_has_legacy_words() -> None:
    """`trade` and `readonly` are older words for the rights."""
    driven = drive(key_permissions(ACCOUNT), load_reply(TESTDATA / "get_v2_account_info.json"))
    assert (driven.result, driven.requests) == (
        KeyPermissions(can_read="yes", can_trade="yes", can_withdraw="no", is_ip_bound="yes"),
        [get("/api/v2/spot/account/info")],
    )


NOTE = "The key may move funds between accounts; the bot does not need that."


@pytest.mark.parametrize(
    ("authorities", "expected"),
    [
        (["stow"], ("yes", "yes", "no", "")),
        (["stor"], ("yes", "no", "no", "")),
        (["coow"], ("no", "no", "no", "")),
        (["stow", "wwow"], ("yes", "yes", "yes", "")),
        (["Withdraw"], ("no", "no", "yes", "")),
        (["stow", "wtow"], ("yes", "yes", "no", NOTE)),
        ([], ("unknown", "unknown", "unknown", "")),
        (None, ("unknown", "unknown", "unknown", "")),
    ],
)
def test_key_permissions_codes_are_read(authorities: list[str] | None, expected: tuple[str, str, str, str]) -> None:
    """`stow` trades, `wwow` withdraws, and no list at all proves nothing."""
    found = drive(key_permissions(ACCOUNT), data({"authorities": authorities, "ips": ""})).result
    assert (found.can_read, found.can_trade, found.can_withdraw, found.note) == expected


# Orders


def test_order_status_documented_reply_gives_the_order() -> None:
    """`data` is a list; the size of a market buy is quote, so no quantity is told; the fee is positive."""
    driven = drive(order_status(ACCOUNT, MARKET_BUY, "1001"), ORDER_INFO)
    assert (driven.result, driven.requests) == (FILLED, [get(f"{TRADE}orderInfo", orderId="1001")])


def test_order_status_without_exchange_id_asks_by_ours() -> None:
    """Until Bitget's id is known ours does."""
    driven = drive(order_status(ACCOUNT, MARKET_BUY, ""), ORDER_INFO)
    assert driven.requests == [get(f"{TRADE}orderInfo", clientOid="bot-0002")]


def test_order_status_empty_list_is_not_found() -> None:
    """An order Bitget does not know comes as an empty list."""
    with pytest.raises(OrderNotFound):
        drive(order_status(ACCOUNT, MARKET_BUY, "1001"), NONE)


def test_order_status_sparse_row_is_read() -> None:
    """A row without fee, fill or time fields, with a time in seconds, and canceled after a part was filled."""
    row = {"orderId": "9", "symbol": "btcusdt", "side": "sell", "orderType": "limit", "status": "cancelled",
           "price": "5", "priceAvg": "4.9", "size": "2", "baseVolume": "1", "cTime": "1690196141"}  # fmt: skip
    assert drive(order_status(ACCOUNT, LIMIT, "9"), data([row])).result == OrderReport(
        exchange_order_id="9",
        client_order_id="",
        exchange_symbol="BTCUSDT",
        side="sell",
        type="limit",
        state="canceled",
        filled=D(1),
        average_price=D("4.9"),
        quantity=D(2),
        price=D(5),
        created_ms=1690196141000,
    )


def test_open_orders_price_avg_is_the_price_of_the_order() -> None:
    """Only in this list `priceAvg` is the order's price; stop orders are in a list of their own."""
    driven = drive(open_orders(ACCOUNT), OPEN, PLANS)
    assert (driven.result, driven.requests) == (
        [RESTING, WAITING],
        [get(f"{TRADE}unfilled-orders", limit="100"), get(f"{TRADE}current-plan-order", limit="100")],
    )


def test_open_orders_partly_filled_average_is_base_price() -> None:
    """`basePrice` is the average paid so far."""
    row = {**OPEN.json()["data"][0], "status": "partially_filled", "basePrice": "34829", "baseVolume": "0.4"}
    assert drive(open_orders(ACCOUNT), data([row]), NO_PLANS).result == [
        replace(RESTING, state="partially_filled", filled=D("0.4"), average_price=D(34829))
    ]


def test_open_orders_more_than_a_page_are_all_read() -> None:
    """The next page begins below the last id of the page before."""
    row = OPEN.json()["data"][0]
    page = [{**row, "orderId": str(1000 - number)} for number in range(100)]
    driven = drive(open_orders(ACCOUNT), data(page), OPEN, NO_PLANS)
    assert (len(driven.result), driven.requests[1].target) == (
        101,
        f"{TRADE}unfilled-orders?idLessThan=901&limit=100",
    )


def test_order_history_documented_row_gives_the_order() -> None:
    """The fee's asset follows from the market; an order of an unknown market has none."""
    row = ORDER_INFO.json()["data"][0]
    other = {**row, "symbol": "XYZUSDT", "feeDetail": ""}
    driven = drive(order_history(ACCOUNT, [BTC]), data([row, other]))
    assert (driven.result, driven.requests) == (
        [FILLED, replace(FILLED, exchange_symbol="XYZUSDT", fee=None, fee_asset="")],
        [get(f"{TRADE}history-orders", limit="100")],
    )


def test_fills_documented_reply_gives_the_fill() -> None:
    """The fee is an object here, negative when paid."""
    driven = drive(fills(ACCOUNT, "1001"), load_reply(TESTDATA / "get_v2_fills.json"))
    assert (driven.result, driven.requests) == (
        [
            Fill(
                trade_id="12345678910",
                exchange_order_id="1001",
                exchange_symbol="BTCUSDT",
                side="buy",
                price=D(13000),
                quantity=D("0.0007"),
                fee=D("0.0000007"),
                fee_asset="BTC",
                is_maker=False,
                at_ms=1695865232579,
            )
        ],
        [get(f"{TRADE}fills", limit="100", orderId="1001")],
    )


def test_fills_sparse_row_is_read() -> None:
    """A row without fee and scope still is a fill."""
    row = {"orderId": "1", "tradeId": "2", "symbol": "BTCUSDT", "side": "sell", "priceAvg": "3", "size": "4"}
    assert drive(fills(ACCOUNT, ""), data([row])).result == [
        Fill(
            trade_id="2",
            exchange_order_id="1",
            exchange_symbol="BTCUSDT",
            side="sell",
            price=D(3),
            quantity=D(4),
            fee=D(0),
            fee_asset="",
            is_maker=False,
            at_ms=0,
        )
    ]


# Looking for an order in doubt

BY_ID = get(f"{TRADE}orderInfo", clientOid="bot-0002")
IN_OPEN = get(f"{TRADE}unfilled-orders", limit="100", symbol="BTCUSDT")
IN_DONE = get(f"{TRADE}history-orders", limit="100", symbol="BTCUSDT")
OTHERS = data([{**ORDER_INFO.json()["data"][0], "clientOid": "someone-else"}])


def test_find_order_by_id_answers_at_once() -> None:
    """The first list that has the order ends the search."""
    driven = drive(find_order(ACCOUNT, MARKET_BUY), ORDER_INFO)
    assert (driven.result, driven.requests) == (FILLED, [BY_ID])


@pytest.mark.parametrize("miss", [NONE, OTHERS, OrderNotFound(code="43001")])
def test_find_order_absent_by_id_is_found_in_history(miss: Response | OrderNotFound) -> None:
    """Bitget forgets our ids after two hours; history does not. Another order is never taken for ours."""
    driven = drive(find_order(ACCOUNT, MARKET_BUY), miss, NONE, ORDER_INFO)
    assert (driven.result, driven.requests) == (FILLED, [BY_ID, IN_OPEN, IN_DONE])


def test_find_order_absent_by_id_is_found_among_open_orders() -> None:
    """An open order is read with the fields of that list."""
    assert drive(find_order(ACCOUNT, LIMIT), NONE, OPEN).result == RESTING


def test_find_order_absent_everywhere_is_none() -> None:
    """Absence takes all three lists, read cleanly."""
    driven = drive(find_order(ACCOUNT, MARKET_BUY), OrderNotFound(code="43001"), OTHERS, OTHERS)
    assert (driven.result, driven.requests) == (None, [BY_ID, IN_OPEN, IN_DONE])


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("error", [OutcomeUnknown("HTTP 502"), AuthFailed(code="40009")])
def test_find_order_error_in_any_list_is_raised(position: int, error: Exception) -> None:
    """A list that could not be read is no proof of absence."""
    replies: list[Any] = [NONE] * position + [error]
    with pytest.raises(type(error)) as caught:
        drive(find_order(ACCOUNT, MARKET_BUY), *replies)
    assert caught.value is error


def test_find_order_unreadable_list_is_an_error() -> None:
    """`null` in place of a list is not an empty list."""
    with pytest.raises(OutcomeUnknown, match="unexpected shape"):
        drive(find_order(ACCOUNT, MARKET_BUY), NONE, data(None))


# Stop orders in doubt

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


# Canceling

CANCELED = load_reply(TESTDATA / "post_v2_place_order.json")
PLAN_CANCELED = load_reply(TESTDATA / "post_v2_cancel_plan_order.json")


def test_cancel_order_names_market_and_id() -> None:
    """A cancelation needs the symbol."""
    assert drive(cancel_order(ACCOUNT, LIMIT, "1001"), CANCELED).requests == [
        post(f"{TRADE}cancel-order", {"symbol": "BTCUSDT", "orderId": "1001"})
    ]


def test_cancel_order_without_exchange_id_uses_ours() -> None:
    """Until Bitget's id is known ours does."""
    request = drive(cancel_order(ACCOUNT, LIMIT, ""), CANCELED).requests[0]
    assert request.json == {"symbol": "BTCUSDT", "clientOid": "bot-0001"}


def test_cancel_order_stop_goes_to_the_plans() -> None:
    """A stop order is canceled where it waits, and nowhere else."""
    assert drive(cancel_order(ACCOUNT, STOP, "121"), PLAN_CANCELED).requests == [
        post(f"{TRADE}cancel-plan-order", {"orderId": "121"})
    ]


def test_cancel_order_triggered_stop_cancels_the_order_it_made() -> None:
    """When no plan has the id, it may be that of the real order."""
    driven = drive(cancel_order(ACCOUNT, STOP, "777"), OrderNotFound(code="43025"), CANCELED)
    assert driven.requests == [
        post(f"{TRADE}cancel-plan-order", {"orderId": "777"}),
        post(f"{TRADE}cancel-order", {"symbol": "TRXUSDT", "orderId": "777"}),
    ]


ALL_ORDERS = post(f"{TRADE}cancel-symbol-order", {"symbol": "BTCUSDT"})
ALL_PLANS = post(f"{TRADE}batch-cancel-plan-order", {"symbolList": ["BTCUSDT"]})


@pytest.mark.parametrize("first", [load_reply(TESTDATA / "post_v2_cancel_symbol_order.json"), OrderNotFound()])
@pytest.mark.parametrize("second", [PLAN_CANCELED, OrderNotFound()])
def test_cancel_all_asks_for_orders_and_for_plans(
    first: Response | OrderNotFound, second: Response | OrderNotFound
) -> None:
    """The first request leaves stop orders alone; nothing to cancel is no error."""
    assert drive(cancel_all(ACCOUNT, BTC), first, second).requests == [ALL_ORDERS, ALL_PLANS]
