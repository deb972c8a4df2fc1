"""What each flow asks, and what it makes of the replies."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradewire_btcc import (
    balances,
    cancel_all,
    cancel_order,
    fills,
    find_order,
    key_permissions,
    markets,
    open_orders,
    order_book,
    order_status,
    place_order,
    server_time,
    ticker,
)

from bot import (
    Account,
    AuthFailed,
    Balance,
    Base,
    Fill,
    InvalidOrder,
    KeyPermissions,
    Market,
    Order,
    OrderAck,
    OrderBook,
    OrderNotFound,
    OrderReport,
    OutcomeUnknown,
    Quote,
    Request,
    Response,
    Ticker,
    UserError,
)
from bot.testing.drive import drive, load_reply, reply

D = Decimal
TESTDATA = Path(__file__).parent / "testdata"
API = "/btcc_api_trade/"
ACCOUNT = Account(1, "main")
BTC = Market(
    symbol="BTC/USDT",
    exchange_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    price_step=D("0.01"),
    quantity_step=D("0.00001"),
    quote_step=D("0.00001"),
)
ETH = replace(BTC, symbol="ETH/USDT", exchange_symbol="ETHUSDT", base="ETH")
OUR_ID = "tg-5f0c2a9b1d3e"
LIMIT = Order(client_order_id=OUR_ID, market=BTC, side="buy", type="limit", size=Base(D("0.02")), price=D("59369.11"))
MARKET_BUY = Order(client_order_id=OUR_ID, market=BTC, side="buy", type="market", size=Quote(D("61.1")))
UNKNOWN_PATH = InvalidOrder("BTCC does not know this request", code="4")

OPEN = OrderReport(
    exchange_order_id="6996187031",
    client_order_id=OUR_ID,
    exchange_symbol="BTCUSDT",
    side="buy",
    type="limit",
    state="open",
    filled=D(0),
    quantity=D("0.02"),
    price=D("59369.11"),
    fee=D(0),
    fee_asset="BTC",
    created_ms=1724999193410,
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
FILL = Fill(
    trade_id="212194073",
    exchange_order_id="6297762817",
    exchange_symbol="BTCUSDT",
    side="buy",
    price=D("61102.40"),
    quantity=D("0.00099"),
    fee=D("0.000002970"),
    fee_asset="BTC",
    is_maker=False,
    at_ms=1724399839336,
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


def recorded(name: str) -> Response:
    return load_reply(TESTDATA / f"{name}.json")


def result(value: Any) -> Response:
    return reply({"error": None, "result": value, "id": 0})


PLACED = recorded("post_order_limit")
ROW = PLACED.json()["result"] | {"ctime": 1724999193.41, "mtime": 1724999193.41}
NULL = result(None)
NONE = result({"records": []})


def public(path: str, **query: Any) -> Request:
    return Request.get(API + path, query, auth="none", costs={"all": 1})


def get(path: str, bucket: str = "", **query: Any) -> Request:
    return Request.get(API + path, query, costs={"all": 1, **({bucket: 1} if bucket else {})})


def post(path: str, json: dict[str, Any]) -> Request:
    return Request.post(API + path, json, costs={"all": 1})


def listing(path: str, *, side: int = 0, market: str = "BTCUSDT") -> Request:
    return get(path, market=market, side=side, offset=0, limit=100)


# Market data


def test_server_time_is_whole_seconds() -> None:
    """The exchange tells seconds; the core counts milliseconds."""
    driven = drive(server_time(), recorded("get_time"))
    assert (driven.result, driven.requests) == (1724728663000, [public("time")])


def test_markets_documented_reply_is_a_success_in_spite_of_its_error_object() -> None:
    """Decimals of amount and price become steps, and a size in quote has the decimals of the base asset."""
    driven = drive(markets(), recorded("get_market_list"))
    rest = {"quote": "USDT", "maker_fee": D("0.003"), "taker_fee": D("0.003")}
    mina = {"price_step": D("0.0001"), "quantity_step": D("0.1"), "quote_step": D("0.1"), "min_quantity": D(50)}
    zro = {"price_step": D("0.001"), "quantity_step": D("0.01"), "quote_step": D("0.01"), "min_quantity": D(5)}
    assert (driven.result, driven.requests) == (
        [
            Market(symbol="MINA/USDT", exchange_symbol="MINAUSDT", base="MINA", **mina, **rest),  # type: ignore[arg-type]
            Market(symbol="ZRO/USDT", exchange_symbol="ZROUSDT", base="ZRO", **zro, **rest),  # type: ignore[arg-type]
        ],
        [public("market/list")],
    )


def test_ticker_takes_one_call() -> None:
    """The book tells the last price too; its time is in milliseconds."""
    driven = drive(ticker(BTC), recorded("get_market_depth"))
    assert (driven.result, driven.requests) == (
        Ticker(
            exchange_symbol="BTCUSDT",
            last=D("60848.00"),
            bid=D("60846.61"),
            ask=D("60849.27"),
            at_ms=1724392426713,
        ),
        [public("market/depth", market="BTCUSDT", limit=5, merge="0")],
    )


def test_ticker_without_last_in_the_book_asks_by_both_names() -> None:
    """Document and programs name the path differently; an empty side of the book is no price."""
    book = result({"asks": [], "bids": [["60846.61", "0.07"]]})
    driven = drive(ticker(BTC), book, UNKNOWN_PATH, recorded("get_market_last"))
    assert (driven.result, driven.requests[1:]) == (
        Ticker(exchange_symbol="BTCUSDT", last=D("58883.12"), bid=D("60846.61")),
        [public("market/last", market="BTCUSDT"), public("market/ticker", market="BTCUSDT")],
    )


def test_ticker_other_refusals_are_not_taken_for_a_missing_path() -> None:
    """Only an unknown path leads to the other name."""
    with pytest.raises(InvalidOrder, match="closed"):
        drive(ticker(BTC), result({"asks": [], "bids": []}), InvalidOrder("the market is closed", code="207"))


@pytest.mark.parametrize("last", ["0", "NaN"])
def test_ticker_without_any_price_says_so(last: str) -> None:
    """Zero is no price."""
    with pytest.raises(OutcomeUnknown, match="no price for BTC/USDT"):
        drive(ticker(BTC), result({"asks": [], "bids": [], "last": "0"}), result(last))


def test_order_book_documented_reply_gives_levels() -> None:
    """Fifty levels are the most that BTCC shows."""
    driven = drive(order_book(BTC), recorded("get_market_depth"))
    assert (driven.result, driven.requests) == (
        OrderBook(bids=((D("60846.61"), D("0.07007")),), asks=((D("60849.27"), D("0.05260")),)),
        [public("market/depth", market="BTCUSDT", limit=50, merge="0")],
    )


# Account


def test_balances_documented_reply() -> None:
    """Frozen money is in orders."""
    driven = drive(balances(ACCOUNT), recorded("get_asset_query"))
    assert (driven.result, driven.requests) == (
        [Balance("BTC", D("0.26700128"), D("0.64")), Balance("USDT", D("265377.80514156"), D(0))],
        [get("asset/query")],
    )


def test_key_permissions_reads_and_cannot_withdraw() -> None:
    """Reading proves the key; the document knows no right to withdraw; trading cannot be seen."""
    driven = drive(key_permissions(ACCOUNT), recorded("get_asset_query"))
    assert driven.result == KeyPermissions(
        can_read="yes",
        can_trade="unknown",
        can_withdraw="no",
        is_ip_bound="unknown",
        note="BTCC gives no API key the right to withdraw, says its document. It does not tell whether this key may"
        " trade; the first order will.",
    )
    with pytest.raises(AuthFailed):
        drive(key_permissions(ACCOUNT), AuthFailed("no"))


# Placing


def test_place_limit_order_sends_the_documented_body() -> None:
    """Our id is in `source`, which is required and comes back, and in `client_id`; amounts are text, codes integers."""
    driven = drive(place_order(ACCOUNT, LIMIT), PLACED)
    body = {
        "market": "BTCUSDT",
        "side": 1,
        "amount": "0.02",
        "source": OUR_ID,
        "client_id": OUR_ID,
        "price": "59369.11",
        "option": 0,
    }
    assert (driven.result, driven.requests) == (
        OrderAck("6996187031", OUR_ID),
        [Request.post(f"{API}order/limit", body, places=True, costs={"all": 1, "orders": 1})],
    )


def test_place_market_buy_spends_quote_on_its_own_path() -> None:
    """A market order has neither price nor time in force."""
    [request] = drive(place_order(ACCOUNT, MARKET_BUY), PLACED).requests
    assert (request.path, request.json, request.places) == (
        f"{API}order/market",
        {"market": "BTCUSDT", "side": 1, "amount": "61.1", "source": OUR_ID, "client_id": OUR_ID},
        True,
    )


def test_place_sides_are_one_for_buy_and_two_for_sell() -> None:
    """The engine that BTCC's descends from numbers them the other way round."""
    orders = [LIMIT, replace(LIMIT, side="sell")]
    assert [drive(place_order(ACCOUNT, each), PLACED).requests[0].json["side"] for each in orders] == [1, 2]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"type": "market", "price": None}, "size of a market buy in USDT, not in BTC"),
        ({"size": Quote(D(50))}, "size of this order in BTC, not in USDT"),
        ({"type": "market", "price": None, "side": "sell", "size": Quote(D(50))}, "size of this order in BTC, not in"),
    ],
)
def test_place_size_in_the_wrong_unit_is_refused_before_any_request(changes: dict[str, Any], text: str) -> None:
    """The same field is money in a market buy and a quantity elsewhere: 60,000 times too much or too little."""
    with pytest.raises(UserError, match=text):
        next(place_order(ACCOUNT, replace(LIMIT, **changes)))


@given(st.decimals(min_value="1e-12", max_value="1e12", allow_nan=False, allow_infinity=False))
def test_place_amount_is_plain_text_of_the_same_value(amount: Decimal) -> None:
    """Amounts go as text without an exponent, and lose nothing."""
    text = next(place_order(ACCOUNT, replace(LIMIT, size=Base(amount)))).json["amount"]
    assert (type(text), "e" in text.lower(), Decimal(text)) == (str, False, amount)


@pytest.mark.parametrize(("force", "option"), [("GTC", 0), ("IOC", 8), ("FOK", 16)])
def test_place_time_in_force_is_a_number(force: Any, option: int) -> None:
    """The documented numbers, and no others."""
    [request] = drive(place_order(ACCOUNT, replace(LIMIT, time_in_force=force)), PLACED).requests
    assert request.json["option"] == option


def test_place_without_client_id_still_sends_source() -> None:
    """The option leaves out what the document does not list among the parameters."""
    account = replace(ACCOUNT, options={"send_client_id": "0"})
    [request] = drive(place_order(account, LIMIT), PLACED).requests
    assert ("client_id" in request.json, request.json["source"]) == (False, OUR_ID)


@pytest.mark.parametrize("placed", [{"id": 0}, {}, {"id": -1}, None, {"id": "6996187031"}])
def test_place_answer_without_id_is_in_doubt(placed: object) -> None:
    """An order of which no id is told may exist."""
    with pytest.raises(OutcomeUnknown):
        drive(place_order(ACCOUNT, LIMIT), result(placed))


@pytest.mark.parametrize("changes", [{"type": "stop_limit"}, {"type": "stop_market"}, {"price": None}])
def test_place_what_btcc_cannot_is_refused_before_any_request(changes: dict[str, Any]) -> None:
    """Stop orders and limit orders without a price never leave."""
    with pytest.raises(UserError, match="Nothing was placed"):
        next(place_order(ACCOUNT, replace(LIMIT, **changes)))


# Looking


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


PENDING = get("order/pending_detail", market="BTCUSDT", order_id=6996187031)
PENDING_LATER = get("order/pending_detail", "second look", market="BTCUSDT", order_id=6996187031)
FINISHED = get("order/finish_detail", order_id=6996187031)


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


def test_fills_are_asked_for_by_side() -> None:
    """A fill is not documented to tell its side, so each side is asked for; the newest comes first."""
    sold = recorded("get_order_deal_history").json()["result"]["records"][0]
    sold |= {"id": 212194074, "time": 1724399840.5, "role": 1, "fee": "0.18", "fee_asset": None}
    driven = drive(fills(ACCOUNT, [BTC], ""), recorded("get_order_deal_history"), reply_of(sold))
    assert driven.result == [
        replace(
            FILL, trade_id="212194074", side="sell", fee=D("0.18"), fee_asset="USDT", is_maker=True, at_ms=1724399840500
        ),
        FILL,
    ]
    assert driven.requests == [listing("order/deal_history", side=side) for side in (1, 2)]


def reply_of(row: dict[str, Any]) -> Response:
    plain = {name: float(value) if isinstance(value, Decimal) else value for name, value in row.items()}
    return result({"records": [plain]})


def test_fills_of_one_order_take_its_side_and_the_path_that_exists() -> None:
    """The order tells the side; document and programs name the path differently."""
    driven = drive(
        fills(ACCOUNT, [ETH, BTC], "6297762817"),
        recorded("get_order_finish_detail"),
        UNKNOWN_PATH,
        recorded("get_order_deals"),
    )
    query = {"market": "BTCUSDT", "order_id": 6297762817, "offset": 0, "limit": 100}
    assert (driven.result, driven.requests[1:]) == (
        [FILL],
        [get("order/deals", **query), get("order/deal", **query)],
    )


def test_fills_of_an_open_order_and_of_an_unknown_one() -> None:
    """A partly filled order is still among the open ones; one that is nowhere has no fills."""
    driven = drive(fills(ACCOUNT, [BTC], "6996187031"), NULL, result(ROW), NONE)
    assert (driven.result, driven.requests[:2]) == ([], [FINISHED, PENDING])
    assert drive(fills(ACCOUNT, [BTC], "6996187031"), NULL, NULL).result == []


# Canceling


def test_cancel_order_needs_market_and_integer_id() -> None:
    """Here the id is called `id`; everywhere else `order_id`."""
    driven = drive(cancel_order(ACCOUNT, LIMIT, "6996187031"), PLACED)
    assert driven.requests == [post("order/cancel", {"market": "BTCUSDT", "id": 6996187031})]


def test_cancel_order_without_their_id_finds_it_first() -> None:
    """BTCC cancels by its own id only."""
    driven = drive(cancel_order(ACCOUNT, LIMIT, ""), result({"records": [ROW]}), PLACED)
    assert driven.requests[1] == post("order/cancel", {"market": "BTCUSDT", "id": 6996187031})


@pytest.mark.parametrize("second", [NULL, UNKNOWN_PATH])
def test_cancel_all_cancels_both_sides_of_one_market_and_its_stop_orders(second: Any) -> None:
    """Side 0 is both. Stop orders have a path of their own, which BTCC need not know."""
    assert drive(cancel_all(ACCOUNT, BTC), NULL, second).requests == [
        post(f"order/{name}", {"market": "BTCUSDT", "side": 0}) for name in ("cancel_all", "cancle_stop_all")
    ]
