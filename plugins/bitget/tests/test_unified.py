"""Unified accounts: what the flows ask and what they make of the replies."""

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
    Account,
    Balance,
    Base,
    Fill,
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

from .conftest import PLACED, TESTDATA, data, get, post

D = Decimal
TRADE = "/api/v3/trade/"
ACCOUNT = Account(1, "main", facts={"mode": "unified"})
ETH = Market(
    symbol="ETH/USDT",
    exchange_symbol="ETHUSDT",
    base="ETH",
    quote="USDT",
    price_step=D("0.01"),
    quantity_step=D("0.0001"),
    quote_step=D("0.01"),
)
LIMIT = Order(client_order_id="bot-0001", market=ETH, side="buy", type="limit", size=Base(D("0.01")), price=D(2500))
MARKET_BUY = Order(client_order_id="bot-0002", market=ETH, side="buy", type="market", size=Quote(D(100)))
ORDER_INFO = load_reply(TESTDATA / "get_v3_order_info.json")
ROW = ORDER_INFO.json()["data"]
FILLED = OrderReport(
    exchange_order_id="111",
    client_order_id="bot-0002",
    exchange_symbol="ETHUSDT",
    side="buy",
    type="market",
    state="filled",
    filled=D("0.0372"),
    average_price=D("2684.23"),
    fee=D("0.00000744"),
    fee_asset="ETH",
    created_ms=1730295766596,
)


def listed(*rows: object) -> Response:
    return data({"list": list(rows), "cursor": "111" if rows else None})


NONE = data({"list": None, "cursor": None})


def test_place_limit_order_sends_the_documented_body() -> None:
    """v3 names category, `qty` and `timeInForce`, and takes no request window."""
    driven = drive(place_order(ACCOUNT, LIMIT), PLACED)
    body = {
        "category": "SPOT",
        "symbol": "ETHUSDT",
        "side": "buy",
        "orderType": "limit",
        "timeInForce": "gtc",
        "price": "2500",
        "qty": "0.01",
        "clientOid": "bot-0001",
    }
    assert (driven.result, driven.requests) == (
        OrderAck("1001", "bot-0001"),
        [post(f"{TRADE}place-order", body, places=True)],
    )


def test_place_market_buy_spends_quote() -> None:
    """`qty` of a market buy is the amount of USDT to spend, and nothing tells a time in force."""
    assert drive(place_order(ACCOUNT, MARKET_BUY), PLACED).requests[0].json == {
        "category": "SPOT",
        "symbol": "ETHUSDT",
        "side": "buy",
        "orderType": "market",
        "qty": "100",
        "clientOid": "bot-0002",
    }


def test_place_market_buy_in_base_is_refused_before_any_request() -> None:
    """A quantity must never be read as an amount."""
    with pytest.raises(UserError, match="in USDT, not in ETH"):
        next(place_order(ACCOUNT, replace(MARKET_BUY, size=Base(D(1)))))


@pytest.mark.parametrize("type_", ["stop_limit", "stop_market"])
def test_place_stop_order_is_refused_before_any_request(type_: Any) -> None:
    """v3 has no stop orders for spot; the text tells what works instead."""
    order = replace(LIMIT, type=type_, stop_price=D(2600))
    with pytest.raises(UserError, match="Set a price alert") as caught:
        next(place_order(ACCOUNT, order))
    assert caught.value.code == "UNSUPPORTED"


def test_place_demo_account_sends_the_demo_header() -> None:
    """The same host serves demo trading; a header tells."""
    demo = replace(ACCOUNT, options={"demo": "1"})
    assert drive(place_order(demo, LIMIT), PLACED).requests[0].headers == {"paptrading": "1"}


def test_balances_documented_reply_gives_the_trading_account() -> None:
    """Coins in use are locked; zero coins are left out."""
    assets = load_reply(TESTDATA / "get_v3_assets.json").json()["data"]["assets"]
    assets += [{"coin": "eth", "available": "", "locked": "2"}, {"coin": "BTC", "available": "0", "locked": "0"}]
    driven = drive(balances(ACCOUNT), data({"assets": assets}))
    assert (driven.result, driven.requests) == (
        [Balance("USDT", D("6.19300826"), D(0)), Balance("ETH", D(0), D(2))],
        [get("/api/v3/account/assets")],
    )


def test_key_permissions_documented_reply_can_withdraw() -> None:
    """The sample of the documentation is a key the core will refuse."""
    driven = drive(key_permissions(ACCOUNT), load_reply(TESTDATA / "get_v3_account_info.json"))
    assert (driven.result, driven.requests) == (
        KeyPermissions(can_read="yes", can_trade="yes", can_withdraw="yes", is_ip_bound="yes"),
        [get("/api/v3/account/info")],
    )


@pytest.mark.parametrize(
    ("kind", "permissions", "expected"),
    [
        ("read_write", ["uta_mgt", "uta_trade"], ("yes", "yes", "no", "")),
        ("read_and_write", ["uta_trade"], ("no", "yes", "no", "")),
        ("read-only", ["uta_mgt", "uta_trade"], ("yes", "no", "no", "")),
        ("readonly", ["uta_mgt"], ("yes", "no", "no", "")),
        ("read-and-write", ["uta_mgt"], ("yes", "no", "no", "")),
        (None, ["uta_mgt", "uta_trade"], ("yes", "no", "no", "")),
        ("read-and-write", None, ("unknown", "unknown", "unknown", "")),
        (
            "read-and-write",
            ["uta_mgt", "Transfer"],
            ("yes", "no", "no", "The key may move funds between accounts; the bot does not need that."),
        ),
    ],
)
def test_key_permissions_spellings_are_read(
    kind: str | None, permissions: list[str] | None, expected: tuple[str, str, str, str]
) -> None:
    """Trading takes both the right and write access; no list at all proves nothing."""
    found = drive(key_permissions(ACCOUNT), data({"permType": kind, "permissions": permissions, "ips": ""})).result
    assert (found.can_read, found.can_trade, found.can_withdraw, found.note) == expected


def test_order_status_documented_reply_gives_the_order() -> None:
    """`data` is one object; the fee is positive; a market buy has no quantity."""
    driven = drive(order_status(ACCOUNT, MARKET_BUY, "111"), ORDER_INFO)
    assert (driven.result, driven.requests) == (FILLED, [get(f"{TRADE}order-info", orderId="111")])


def test_order_status_empty_reply_is_not_found() -> None:
    """No order, no report."""
    with pytest.raises(OrderNotFound):
        drive(order_status(ACCOUNT, MARKET_BUY, ""), data(None))


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("post_only_fill_cancel", "the post-only order would have traded at once"),
        ("normal_cancel", ""),
        ("brand_new_cancel", "brand_new_cancel"),
        (None, ""),
    ],
)
def test_order_status_canceled_order_tells_why(reason: str | None, told: str) -> None:
    """Orders Bitget cannot place as asked are taken first and canceled then; a sparse row is enough to see it."""
    row = {"orderId": "5", "symbol": "ETHUSDT", "side": "sell", "orderType": "limit", "orderStatus": "cancelled",
           "price": "2500", "qty": "0.01", "cancelReason": reason}  # fmt: skip
    assert drive(order_status(ACCOUNT, LIMIT, "5"), data(row)).result == OrderReport(
        exchange_order_id="5",
        client_order_id="",
        exchange_symbol="ETHUSDT",
        side="sell",
        type="limit",
        state="canceled",
        filled=D(0),
        quantity=D("0.01"),
        price=D(2500),
        reason=told,
    )


def test_open_orders_and_history_ask_for_spot_only() -> None:
    """All product lines share these lists."""
    driven = [drive(open_orders(ACCOUNT), listed(ROW)), drive(order_history(ACCOUNT, []), listed(ROW))]
    assert [(each.result, each.requests) for each in driven] == [
        ([FILLED], [get(f"{TRADE}unfilled-orders", category="SPOT", limit="100")]),
        ([FILLED], [get(f"{TRADE}history-orders", category="SPOT", limit="100")]),
    ]


def test_open_orders_more_than_a_page_are_all_read() -> None:
    """The cursor of a full page leads to the next."""
    driven = drive(open_orders(ACCOUNT), listed(*[ROW] * 100), NONE)
    assert (len(driven.result), driven.requests[1].target) == (
        100,
        f"{TRADE}unfilled-orders?category=SPOT&cursor=111&limit=100",
    )


def test_fills_documented_reply_gives_the_fill() -> None:
    """The fee is a list here, positive when paid."""
    driven = drive(fills(ACCOUNT, "111"), load_reply(TESTDATA / "get_v3_fills.json"))
    assert (driven.result, driven.requests) == (
        [
            Fill(
                trade_id="131",
                exchange_order_id="111",
                exchange_symbol="BTCUSDT",
                side="sell",
                price=D("106950.1"),
                quantity=D("0.01"),
                fee=D("0.6417006"),
                fee_asset="USDT",
                is_maker=False,
                at_ms=1750141421721,
            )
        ],
        [get(f"{TRADE}fills", category="SPOT", limit="100", orderId="111")],
    )


def test_fills_sparse_row_is_read() -> None:
    """A row without fee still is a fill."""
    row = {"execId": "1", "orderId": "2", "symbol": "ETHUSDT", "side": "buy", "execPrice": "3", "execQty": "4",
           "tradeScope": "maker"}  # fmt: skip
    assert drive(fills(ACCOUNT, ""), listed(row)).result == [
        Fill(
            trade_id="1",
            exchange_order_id="2",
            exchange_symbol="ETHUSDT",
            side="buy",
            price=D(3),
            quantity=D(4),
            fee=D(0),
            fee_asset="",
            is_maker=True,
            at_ms=0,
        )
    ]


BY_ID = get(f"{TRADE}order-info", clientOid="bot-0002")
IN_OPEN = get(f"{TRADE}unfilled-orders", category="SPOT", limit="100", symbol="ETHUSDT")
IN_DONE = get(f"{TRADE}history-orders", category="SPOT", limit="100", symbol="ETHUSDT")


@pytest.mark.parametrize("miss", [OrderNotFound(code="25204"), data(None), data({**ROW, "clientOid": "other"})])
def test_find_order_absent_by_id_is_looked_for_in_both_lists(miss: Response | OrderNotFound) -> None:
    """Open orders and history are asked too; absence takes all three."""
    found = drive(find_order(ACCOUNT, MARKET_BUY), miss, NONE, listed(ROW))
    absent = drive(find_order(ACCOUNT, MARKET_BUY), miss, NONE, NONE)
    assert [(each.result, each.requests) for each in (found, absent)] == [
        (FILLED, [BY_ID, IN_OPEN, IN_DONE]),
        (None, [BY_ID, IN_OPEN, IN_DONE]),
    ]


def test_find_order_by_id_answers_at_once() -> None:
    """The first look-up that has the order ends the search."""
    assert drive(find_order(ACCOUNT, MARKET_BUY), ORDER_INFO).result == FILLED


@pytest.mark.parametrize("position", [0, 1, 2])
def test_find_order_error_in_any_list_is_raised(position: int) -> None:
    """A list that could not be read is no proof of absence."""
    replies: list[Any] = [*[OrderNotFound(), NONE, NONE][:position], OutcomeUnknown("HTTP 502")]
    with pytest.raises(OutcomeUnknown, match="HTTP 502"):
        drive(find_order(ACCOUNT, MARKET_BUY), *replies)


@pytest.mark.parametrize(("known", "body"), [("111", {"orderId": "111"}), ("", {"clientOid": "bot-0001"})])
def test_cancel_order_names_one_id(known: str, body: dict[str, str]) -> None:
    """v3 needs no symbol; Bitget's id is used once it is known."""
    assert drive(cancel_order(ACCOUNT, LIMIT, known), PLACED).requests == [post(f"{TRADE}cancel-order", body)]


@pytest.mark.parametrize("answer", [load_reply(TESTDATA / "post_v3_cancel_symbol_order.json"), OrderNotFound()])
def test_cancel_all_names_the_market_and_ignores_failures_inside(answer: Response | OrderNotFound) -> None:
    """Without a symbol every spot order would go; the orders are read again anyway."""
    assert drive(cancel_all(ACCOUNT, ETH), answer).requests == [
        post(f"{TRADE}cancel-symbol-order", {"category": "SPOT", "symbol": "ETHUSDT"})
    ]
