"""What each flow asks, and what it makes of the replies."""

import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import tradewire_bitrue as bitrue

from bot import (
    TIMESTAMP,
    Account,
    Base,
    Capabilities,
    InsufficientFunds,
    InvalidOrder,
    Limit,
    Market,
    Order,
    OrderAck,
    OrderNotFound,
    OrderReport,
    OutcomeUnknown,
    Request,
    Response,
    UserError,
)
from bot.contract import hookspecs
from bot.exchanges import registry
from bot.exchanges.registry import Plugin
from bot.testing.drive import drive, load_reply, reply

D = Decimal
TESTDATA = Path(__file__).parent / "testdata"
ACCOUNT = Account(1, "main")
ID = "307650651173648896"


def market(base: str = "BTC") -> Market:
    steps: dict[str, Any] = {"price_step": D("0.01"), "quantity_step": D("0.00001"), "quote_step": D("0.01")}
    return Market(symbol=f"{base}/USDT", exchange_symbol=f"{base}USDT", base=base, quote="USDT", **steps)


BTC = market()
BUY = Order(client_order_id="tabc", market=BTC, side="buy", type="limit", size=Base(D("0.2")), price=D(50000))
GONE = OrderNotFound("Bitrue knows no such order", code="-2013", status=200)


def ask(path: str, weight: int = 1, **query: Any) -> Request:
    return Request.get(path, query, auth="none", costs={"general": weight})


def signed(method: str, path: str, weight: int, *, places: bool = False, **query: Any) -> Request:
    pairs = (*query.items(), ("recvWindow", 5000), ("timestamp", TIMESTAMP))
    costs = {"general": weight} if method == "GET" else {"general": weight, "orders": weight}
    return Request(method=method, path=path, query=pairs, costs=costs, places=places)


def row(**changes: Any) -> dict[str, Any]:
    sample: dict[str, Any] = json.loads((TESTDATA / "get_order.json").read_text())
    ours = {"symbol": "BTCUSDT", "orderId": ID, "side": "BUY", "origQty": "0.200", "price": "50000.000"}
    return sample | ours | changes


def report(**changes: Any) -> OrderReport:
    common = OrderReport(
        exchange_order_id=ID,
        client_order_id="",
        exchange_symbol="BTCUSDT",
        side="buy",
        type="limit",
        state="open",
        filled=D(0),
        quantity=D("0.2"),
        price=D(50000),
        created_ms=1635551031000,
    )
    return replace(common, **changes)


BY_OURS = signed("GET", "/api/v1/order", 1, symbol="BTCUSDT", origClientOrderId="tabc")
OPEN = signed("GET", "/api/v1/openOrders", 1, symbol="BTCUSDT")
ALL = signed("GET", "/api/v1/allOrders", 5, symbol="BTCUSDT", limit=1000)
BY_THEIRS = signed("GET", "/api/v1/order", 1, symbol="BTCUSDT", orderId=ID)
NONE = reply([])


# The plugin as a whole


def test_plugin_registers_with_every_hook_that_bitrue_serves() -> None:
    """There is no way to cancel all of a spot market's orders, and one kind of account."""
    found = registry.register(Plugin("bitrue", bitrue))
    every = {name for name, value in vars(hookspecs).items() if hasattr(value, "tradewire_spec")}
    assert every - set(found.hooks) == {"cancel_all", "detect", "configure"}


def test_exchange_info_declares_what_is_documented() -> None:
    """Limits, our ids and abilities."""
    info = bitrue.exchange_info()
    assert (info.credential_fields, info.client_id.kind, info.client_id.max_length) == (("key", "secret"), "text", 32)
    assert info.limits == {"general": (Limit(1200, 60),), "orders": (Limit(100, 60), Limit(100, 60, "account"))}
    assert info.capabilities == Capabilities(
        order_types=frozenset({"limit", "market"}),
        times_in_force=frozenset({"GTC"}),
        market_buy_in=frozenset({"base"}),
        key_report=True,
        absence_seconds=10,
    )


def test_exchange_info_paths_move_no_money_out() -> None:
    """Nothing that withdraws, and no removal but of an order, can be asked for."""
    paths = bitrue.exchange_info().paths
    assert not [path for path in paths if re.search("withdraw|deposit|transfer|DELETE(?! /api/v1/order$)", path)]


# Market data


def test_server_time() -> None:
    """Milliseconds, as they are."""
    driven = drive(bitrue.server_time(), reply({"serverTime": 1499827319559}))
    assert (driven.requests, driven.result) == ([ask("/api/v1/time")], 1499827319559)


def test_markets_leaves_out_what_cannot_be_traded() -> None:
    """A market whose decimals are not told is none."""
    driven = drive(bitrue.markets(), load_reply(TESTDATA / "get_exchange_info.json"))
    assert driven.requests == [ask("/api/v1/exchangeInfo")]
    assert [(each.symbol, each.status) for each in driven.result] == [("ETH/BTC", "online"), ("SHA/USDT", "halted")]


def test_ticker_names_its_market() -> None:
    """Without a symbol it would cost forty times as much."""
    driven = drive(bitrue.ticker(BTC), load_reply(TESTDATA / "get_ticker.json"))
    assert driven.requests == [ask("/api/v1/ticker/24hr", symbol="BTCUSDT")]
    assert driven.result.last == D("73369.84")


def test_order_book_asks_for_a_hundred_levels() -> None:
    """As many as cost no more."""
    driven = drive(bitrue.order_book(BTC), load_reply(TESTDATA / "get_depth.json"))
    assert driven.requests == [ask("/api/v1/depth", symbol="BTCUSDT", limit=100)]
    assert driven.result.asks == ((D("61452.46"), D("0.0001")),)


# Account


def test_balances_and_rights_come_from_one_place() -> None:
    """Both read the account, which weighs five."""
    request = signed("GET", "/api/v1/account", 5)
    account = load_reply(TESTDATA / "get_account.json")
    balances = drive(bitrue.balances(), account)
    assert (balances.requests, [each.asset for each in balances.result]) == ([request], ["BTC", "SBR"])
    rights = drive(bitrue.key_permissions(), account)
    assert (rights.requests, rights.result.can_trade, rights.result.can_withdraw) == ([request], "yes", "unknown")


# Placing and finding


def test_place_order_sends_all_in_the_query() -> None:
    """One request, no body; our id is ours although the answer leaves it empty."""
    driven = drive(bitrue.place_order(BUY), load_reply(TESTDATA / "post_order.json"))
    expected = signed(
        "POST",
        "/api/v1/order",
        1,
        places=True,
        symbol="BTCUSDT",
        side="BUY",
        type="LIMIT",
        timeInForce="GTC",
        quantity="0.2",
        price="50000",
        newClientOrderId="tabc",
    )
    assert (driven.requests, driven.requests[0].body) == ([expected], b"")
    assert driven.result == OrderAck(ID, "tabc")


@pytest.mark.parametrize("error", [InsufficientFunds("no"), OutcomeUnknown("perhaps")])
def test_place_order_lets_errors_pass(error: Any) -> None:
    """Nothing is caught and nothing is sent again."""
    with pytest.raises(type(error)):
        drive(bitrue.place_order(BUY), error)


def test_find_order_by_our_id_asks_again_by_theirs() -> None:
    """By our id the exchange may show a stale copy, so the second answer counts."""
    stale, fresh = reply(row()), reply(row(status="FILLED", executedQty="0.2", cummulativeQuoteQty="9999"))
    driven = drive(bitrue.find_order(BUY), stale, fresh)
    assert driven.requests == [BY_OURS, BY_THEIRS]
    assert driven.result == report(state="filled", filled=D("0.2"), average_price=D(49995))


def test_find_order_id_above_two_to_the_53_as_number() -> None:
    """No digit is lost on the way."""
    driven = drive(bitrue.find_order(BUY), reply(row(orderId=307650651173648897)), reply(row()))
    assert dict(driven.requests[1].query)["orderId"] == "307650651173648897"


def test_find_order_reads_every_place_before_it_says_no() -> None:
    """Absent is only what no place shows."""
    driven = drive(bitrue.find_order(BUY), GONE, NONE, NONE)
    assert (driven.requests, driven.result) == ([BY_OURS, OPEN, ALL], None)


@pytest.mark.parametrize("place", [1, 2])
def test_find_order_in_lists_by_our_id(place: int) -> None:
    """Where a list tells our id, that is the order, whatever else is there."""
    lists = [NONE, NONE]
    lists[place - 1] = reply([row(orderId="5"), row(orderId="6", clientOrderId="other"), row(clientOrderId="tabc")])
    driven = drive(bitrue.find_order(BUY), GONE, *lists[:place], reply(row(clientOrderId="tabc")))
    assert driven.requests == [*[BY_OURS, OPEN, ALL][: place + 1], BY_THEIRS]
    assert driven.result == report(client_order_id="tabc")


def test_find_order_without_our_id_counts_when_it_alone_fits() -> None:
    """Lists often leave our id empty: the only order that is alike is ours, be it in one list or in both."""
    for lists in ([reply([row()]), NONE], [NONE, reply([row()])], [reply([row()]), reply([row()])]):
        driven = drive(bitrue.find_order(BUY), GONE, *lists, reply(row()))
        assert driven.requests == [BY_OURS, OPEN, ALL, BY_THEIRS]
        assert driven.result == report()


@pytest.mark.parametrize("price", ["", None, "0"])
def test_find_order_whose_price_is_not_told_is_not_taken_for_absent(price: Any) -> None:
    """What is not told does not differ."""
    driven = drive(bitrue.find_order(BUY), GONE, NONE, reply([row(price=price)]), reply(row()))
    assert driven.result == report()


@pytest.mark.parametrize(
    "changes",
    [
        {"symbol": "ETHUSDT"},
        {"side": "SELL"},
        {"type": "MARKET"},
        {"origQty": "0.3"},
        {"price": "50001"},
        {"clientOrderId": "another"},
    ],
)
def test_find_order_that_differs_is_not_ours(changes: dict[str, Any]) -> None:
    """Pair, side, type, quantity, price and id must all fit."""
    driven = drive(bitrue.find_order(BUY), GONE, reply([row(**changes)]), reply([row(**changes)]))
    assert driven.result is None


def test_find_order_market_has_no_price_to_compare() -> None:
    """A market order's price is not what was asked."""
    order = replace(BUY, type="market", price=None)
    found = row(type="MARKET", price="61000", status="FILLED", executedQty="0.2", cummulativeQuoteQty="12200")
    driven = drive(bitrue.find_order(order), GONE, NONE, reply([found]), reply(found))
    assert (driven.result is not None and driven.result.average_price) == D(61000)


def test_find_order_alike_twice_is_no_answer() -> None:
    """Two that fit equally are neither found nor absent."""
    with pytest.raises(OutcomeUnknown, match="2 orders like this one") as caught:
        drive(bitrue.find_order(BUY), GONE, reply([row()]), reply([row(), row(orderId="77")]))
    assert caught.value.code == "AMBIGUOUS"


def test_find_order_seen_in_one_place_only_is_no_answer() -> None:
    """Shown by our id and unknown by theirs: nobody knows."""
    with pytest.raises(OutcomeUnknown, match="one place"):
        drive(bitrue.find_order(BUY), reply(row()), GONE)


def test_find_order_answer_about_another_order_is_not_taken() -> None:
    """If our id were ignored, the answer could be any order: the lists decide then."""
    driven = drive(bitrue.find_order(BUY), reply(row(clientOrderId="another")), NONE, NONE)
    assert (driven.requests, driven.result) == ([BY_OURS, OPEN, ALL], None)


@pytest.mark.parametrize("replies", [[], [GONE], [GONE, NONE]])
def test_find_order_error_anywhere_is_no_answer(replies: list[Any]) -> None:
    """What could not be read proves no absence."""
    with pytest.raises(OutcomeUnknown):
        drive(bitrue.find_order(BUY), *replies, OutcomeUnknown("trouble"))


REFUSED = InvalidOrder("a part of the request is missing", code="-1102", status=412)


def test_find_order_look_up_by_our_id_refused_reads_the_lists() -> None:
    """Bitrue documents its own id as mandatory there: where it insists, the lists tell."""
    driven = drive(bitrue.find_order(BUY), REFUSED, NONE, reply([row()]), reply(row()))
    assert (driven.requests, driven.result) == ([BY_OURS, OPEN, ALL, BY_THEIRS], report())


def test_find_order_look_up_refused_and_nothing_listed_proves_no_absence() -> None:
    """The lists alone are no proof; the code leaves it to a person in the end."""
    with pytest.raises(OutcomeUnknown, match="refuses to look it up") as caught:
        drive(bitrue.find_order(BUY), REFUSED, NONE, NONE)
    assert (caught.value.code, caught.value.__cause__) == ("UNSUPPORTED", REFUSED)


def test_find_order_other_refusals_pass() -> None:
    """Only the code for a missing part has that meaning."""
    with pytest.raises(InvalidOrder, match="no such pair"):
        drive(bitrue.find_order(BUY), InvalidOrder("no such pair", code="-1121"))


# The history, page by page


def page(newest: int, count: int = 1000) -> list[dict[str, Any]]:
    """Return orders `newest`, `newest` - 1, and so on, a minute apart, none of them like ours."""
    return [row(orderId=str(each), time=each * 60_000, side="SELL") for each in range(newest, newest - count, -1)]


def page_before(order_id: int) -> Request:
    return signed("GET", "/api/v1/allOrders", 5, symbol="BTCUSDT", limit=1000, endTime=order_id * 60_000 + 1000)


def test_find_order_behind_a_full_page_is_found() -> None:
    """A full page is not the end; the next begins where it ended, whichever way Bitrue sorts."""
    last = [*page(4001, 5), row(orderId="7", time=7)]
    driven = drive(bitrue.find_order(BUY), GONE, NONE, reply(page(5000)), reply(last[::-1]), reply(row(orderId="7")))
    assert driven.requests[2:4] == [ALL, page_before(4001)]
    assert driven.result == report(exchange_order_id="7")


def test_find_order_absent_from_the_last_page_too_is_none() -> None:
    """The page that is not full is the last one."""
    driven = drive(bitrue.find_order(BUY), GONE, NONE, reply(page(5000)), reply(page(4001)), reply(page(3002, 999)))
    assert (driven.requests[2:], driven.result) == ([ALL, page_before(4001), page_before(3002)], None)


def test_find_order_with_our_id_ends_the_pages() -> None:
    """Where our id is told, older pages have nothing to say."""
    full = [*page(5000, 999), row(orderId="4001", time=4001 * 60_000, clientOrderId="tabc")]
    driven = drive(bitrue.find_order(BUY), GONE, NONE, reply(full), reply(row(orderId="4001")))
    assert driven.result == report(exchange_order_id="4001")


@pytest.mark.parametrize("following", [[], page(3900), page(4000, 5)])
def test_find_order_page_that_does_not_join_is_no_answer(following: list[dict[str, Any]]) -> None:
    """Each page shows the end of the one before; if not, orders were passed over."""
    with pytest.raises(OutcomeUnknown, match="left out a part"):
        drive(bitrue.find_order(BUY), GONE, NONE, reply(page(5000)), reply(following))


def test_find_order_among_more_orders_than_pages_is_no_answer() -> None:
    """Ten full pages without an end prove nothing; also where Bitrue shows the same one again and again."""
    for full in ([reply(page(90_000 - 999 * each)) for each in range(10)], [reply(page(5000))] * 10):
        with pytest.raises(OutcomeUnknown, match="more orders of this market than") as caught:
            drive(bitrue.find_order(BUY), GONE, NONE, *full)
        assert caught.value.code == "UNSUPPORTED"


@pytest.mark.parametrize("place", [1, 2])
def test_find_order_list_with_a_row_that_cannot_be_read_is_no_answer(place: int) -> None:
    """The row could be the order."""
    lists = [NONE, NONE]
    lists[place - 1] = reply([row(side="SELL"), row(origQty=None)])
    with pytest.raises(OutcomeUnknown, match="origQty"):
        drive(bitrue.find_order(BUY), GONE, *lists[:place])


def test_order_status_by_their_id() -> None:
    """One question, where the id is known."""
    driven = drive(bitrue.order_status(BUY, ID), reply(row()))
    assert (driven.requests, driven.result) == ([BY_THEIRS], report())


def test_order_status_without_their_id_finds_it() -> None:
    """Else it is looked for; nothing found is told as such."""
    assert drive(bitrue.order_status(BUY, ""), reply(row()), reply(row())).result == report()
    with pytest.raises(OrderNotFound):
        drive(bitrue.order_status(BUY, ""), GONE, NONE, NONE)


def test_cancel_order_by_their_id() -> None:
    """Canceling by ours is not reliable."""
    delete = signed("DELETE", "/api/v1/order", 1, symbol="BTCUSDT", orderId=ID)
    done = load_reply(TESTDATA / "delete_order.json")
    assert drive(bitrue.cancel_order(BUY, ID), done).requests == [delete]
    assert drive(bitrue.cancel_order(BUY, ""), reply(row()), reply(row()), done).requests == [
        BY_OURS,
        BY_THEIRS,
        delete,
    ]


# Lists


def test_open_orders_market_by_market() -> None:
    """The symbol is mandatory."""
    driven = drive(bitrue.open_orders(ACCOUNT, [BTC, market("ETH")]), reply([row()]), NONE)
    assert [dict(each.query)["symbol"] for each in driven.requests] == ["BTCUSDT", "ETHUSDT"]
    assert driven.requests[0] == OPEN
    assert driven.result == [report()]


def test_open_orders_of_too_many_markets_asks_for_a_pair() -> None:
    """A list that is cut would hide orders."""
    with pytest.raises(UserError, match="Name a pair"):
        drive(bitrue.open_orders(ACCOUNT, [BTC] * 21))


def test_order_history_newest_first_without_open_ones() -> None:
    """The list holds orders in any state."""
    rows = [row(time=1, status="FILLED", orderId="1"), row(time=3), row(time=2, status="CANCELED", orderId="2")]
    driven = drive(bitrue.order_history(ACCOUNT, [BTC]), reply(rows))
    assert driven.requests == [signed("GET", "/api/v1/allOrders", 5, symbol="BTCUSDT", limit=100)]
    assert [each.exchange_order_id for each in driven.result] == ["2", "1"]


def _trades() -> Response:
    [trade] = json.loads((TESTDATA / "get_my_trades.json").read_text())
    return reply([trade | {"time": 1, "orderId": 1}, trade | {"time": 2, "orderId": "479767730815549440"}])


def test_fills_of_all_and_of_one_order() -> None:
    """There is no list by order: the market's is read and searched."""
    driven = drive(bitrue.fills(ACCOUNT, [BTC], ""), _trades())
    assert driven.requests == [signed("GET", "/api/v2/myTrades", 5, symbol="BTCUSDT", limit=100)]
    assert [each.at_ms for each in driven.result] == [2, 1]
    driven = drive(bitrue.fills(ACCOUNT, [BTC], "1"), _trades())
    assert dict(driven.requests[0].query)["limit"] == 1000
    assert [each.exchange_order_id for each in driven.result] == ["1"]
