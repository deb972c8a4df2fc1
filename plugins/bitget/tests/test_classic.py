"""Classic accounts: what the flows ask and what they make of the replies."""

from dataclasses import replace
from decimal import Decimal
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
    Response,
    UserError,
)
from bot.testing.drive import drive, load_reply

from .conftest import CLASSIC as ACCOUNT
from .conftest import NO_PLANS, PLACED, PLAN_CANCELED, TESTDATA, data, get, post

D = Decimal
TRADE = "/api/v2/spot/trade/"
DEMO = Account(1, "demo", facts={"mode": "classic"}, options={"demo": "1"})


BTC = Market(
    symbol="BTC/USDT",
    exchange_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    price_step=D("0.01"),
    quantity_step=D("0.000001"),
    quote_step=D("0.01"),
)
LIMIT = Order(
    client_order_id="bot-0001", market=BTC, side="buy", type="limit", size=Base(D("0.01")), price=D("23222.5")
)
MARKET_BUY = Order(client_order_id="bot-0002", market=BTC, side="buy", type="market", size=Quote(D(50)))
ORDER_INFO = load_reply(TESTDATA / "get_v2_order_info.json")
OPEN = load_reply(TESTDATA / "get_v2_unfilled_orders.json")

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


NONE = data([])


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


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"price": None}, "PRICE_MISSING", "needs a price"),
        ({"post_only": True, "time_in_force": "IOC"}, "UNSUPPORTED", "post-only for GTC limit orders"),
        ({"size": Quote(D(50))}, "UNIT", "size of this order in BTC, not in USDT"),
    ],
)
def test_place_limit_order_that_is_none_is_refused(changes: dict[str, Any], code: str, text: str) -> None:
    """An order that lacks its price, or would mean something else on Bitget, is never sent."""
    with pytest.raises(UserError, match=text) as caught:
        next(place_order(ACCOUNT, replace(LIMIT, **changes)))
    assert caught.value.code == code


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
    driven = drive(open_orders(ACCOUNT), OPEN, NO_PLANS)
    assert (driven.result, driven.requests) == (
        [RESTING],
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


# Canceling

CANCELED = PLACED  # canceling is answered in the form of placing


def test_cancel_order_names_market_and_id() -> None:
    """A cancelation needs the symbol."""
    assert drive(cancel_order(ACCOUNT, LIMIT, "1001"), CANCELED).requests == [
        post(f"{TRADE}cancel-order", {"symbol": "BTCUSDT", "orderId": "1001"})
    ]


def test_cancel_order_without_exchange_id_uses_ours() -> None:
    """Until Bitget's id is known ours does."""
    request = drive(cancel_order(ACCOUNT, LIMIT, ""), CANCELED).requests[0]
    assert request.json == {"symbol": "BTCUSDT", "clientOid": "bot-0001"}


ALL_ORDERS = post(f"{TRADE}cancel-symbol-order", {"symbol": "BTCUSDT"})
ALL_PLANS = post(f"{TRADE}batch-cancel-plan-order", {"symbolList": ["BTCUSDT"]})


@pytest.mark.parametrize("first", [load_reply(TESTDATA / "post_v2_cancel_symbol_order.json"), OrderNotFound()])
@pytest.mark.parametrize("second", [PLAN_CANCELED, OrderNotFound()])
def test_cancel_all_asks_for_orders_and_for_plans(
    first: Response | OrderNotFound, second: Response | OrderNotFound
) -> None:
    """The first request leaves stop orders alone; nothing to cancel is no error."""
    assert drive(cancel_all(ACCOUNT, BTC), first, second).requests == [ALL_ORDERS, ALL_PLANS]
