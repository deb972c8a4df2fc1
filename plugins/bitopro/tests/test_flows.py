"""What each flow asks, and what it makes of the replies."""

import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import tradewire_bitopro as bitopro

from bot import (
    Base,
    Capabilities,
    Fill,
    InsufficientFunds,
    InvalidOrder,
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
from bot.exchanges import registry
from bot.exchanges.registry import Plugin
from bot.testing.drive import drive, load_reply, reply

D = Decimal
TESTDATA = Path(__file__).parent / "testdata"
SIGNED: dict[str, Any] = {"costs": {"address": 1, "account": 1}}
OPEN_COSTS: dict[str, Any] = {"costs": {"address": 1, "account": 1, "open orders": 1}}


def market(pair: str) -> Market:
    base, quote = pair.upper().split("_")
    steps: dict[str, Any] = {"price_step": D(1), "quantity_step": D("0.0001"), "quote_step": D(1)}
    return Market(symbol=f"{base}/{quote}", exchange_symbol=pair, base=base, quote=quote, **steps)


BTC = market("btc_twd")
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
GONE = OrderNotFound("BitoPro knows no such order", code="404 order", status=404)


def row(order: Order = LIMIT, **changes: Any) -> dict[str, Any]:
    sample: dict[str, Any] = json.loads((TESTDATA / "get_order.json").read_text())
    ours = {
        "id": "1",
        "pair": "btc_twd",
        "action": order.side.upper(),
        "type": order.type.upper(),
        "status": 0,
        "originalAmount": str(order.size.amount),
        "price": str(order.price or 0),
        "clientId": int(order.client_order_id),
    }
    return sample | ours | changes


def rows(*found: dict[str, Any]) -> Response:
    return reply({"data": list(found)})


def report(order: Order = LIMIT, **changes: Any) -> OrderReport:
    common = OrderReport(
        exchange_order_id="1",
        client_order_id=order.client_order_id,
        exchange_symbol="btc_twd",
        side=order.side,
        type=order.type,
        state="open",
        filled=D(0),
        quantity=D("0.0001"),
        price=order.price,
        created_ms=1644898944074,
    )
    return replace(common, **changes)


NONE = rows()
LOOKS = [
    Request.get("/v3/orders/all/btc_twd", {"clientId": "1234567", "statusKind": "ALL"}, **SIGNED),
    Request.get("/v3/orders/open", {"pair": "btc_twd"}, **OPEN_COSTS),
    Request.get("/v3/orders/all/btc_twd", {"statusKind": "ALL", "limit": 1000}, **SIGNED),
]
STOP_LOOK = LOOKS[0].with_query({"clientId": "1234569", "statusKind": "ALL"})


def ask(order_id: str) -> Request:
    return Request.get(f"/v3/orders/btc_twd/{order_id}", **SIGNED)


def delete(order_id: str) -> Request:
    return Request.delete(f"/v3/orders/btc_twd/{order_id}", **SIGNED)


# The plugin as a whole


def test_plugin_registers_with_every_hook_that_bitopro_serves() -> None:
    """BitoPro tells no key's rights and has one kind of account: those two hooks are left out."""
    found = registry.register(Plugin("bitopro", bitopro))
    from bot.contract import hookspecs

    every = {name for name, value in vars(hookspecs).items() if hasattr(value, "tradewire_spec")}
    assert every - set(found.hooks) == {"key_permissions", "detect", "configure"}


def test_exchange_info_paths_reach_no_wallet() -> None:
    """Nothing that moves money out can be asked for."""
    paths = bitopro.exchange_info().paths
    assert not [path for path in paths if re.search("wallet|withdraw|batch|PUT", path)]


def test_exchange_info_declares_what_is_documented() -> None:
    """Three fields, our ids are counted and may repeat, no IOC, no window after which an order is surely absent."""
    info = bitopro.exchange_info()
    assert (info.credential_fields, info.client_id.kind, info.client_id.repeats, info.client_id.max_value) == (
        ("key", "secret", "email"),
        "counter",
        "accepted",
        2_147_483_646,
    )
    assert info.capabilities == Capabilities(
        order_types=frozenset({"limit", "market", "stop_limit"}),
        times_in_force=frozenset({"GTC"}),
        post_only=True,
        market_buy_in=frozenset({"quote"}),
        cancel_all=True,
        key_report=False,
        sandbox=False,
        find_by_client_id=True,
        absence_seconds=None,
    )
    limits = {name: {(each.amount, each.seconds, each.per) for each in found} for name, found in info.limits.items()}
    assert limits == {
        "address": {(600, 60, "ip")},
        "account": {(600, 60, "account")},
        "open orders": {(5, 1, "ip"), (5, 1, "account")},
        "cancel all": {(1, 1, "ip"), (1, 1, "account")},
    }


# Account


def test_balances_asks_once() -> None:
    """One list has all assets."""
    driven = drive(bitopro.balances(), load_reply(TESTDATA / "get_balance.json"))
    assert [each.asset for each in driven.result] == ["TWD", "BITO"]
    assert driven.requests == [Request.get("/v3/accounts/balance", **SIGNED)]


@pytest.mark.parametrize("order", [LIMIT, SPEND, STOP], ids=lambda order: order.type)
def test_place_order_sends_one_placing_request_with_our_id(order: Order) -> None:
    """The answer is an acknowledgement with BitoPro's id."""
    driven = drive(bitopro.place_order(order), load_reply(TESTDATA / "post_order.json"))
    assert driven.result == OrderAck("1234567890", order.client_order_id)
    [request] = driven.requests
    assert (request.method, request.path, request.places) == ("POST", "/v3/orders/btc_twd", True)
    assert request.json["clientId"] == int(order.client_order_id)


@pytest.mark.parametrize("error", [InsufficientFunds("no"), OutcomeUnknown("who knows")])
def test_place_order_lets_errors_pass(error: InsufficientFunds | OutcomeUnknown) -> None:
    """Nothing is sent again, and nothing is looked up here."""
    with pytest.raises(type(error)):
        drive(bitopro.place_order(LIMIT), error)


def test_find_order_by_our_id_is_found_at_the_first_look() -> None:
    """The label finds it, and the row's terms prove that it is ours."""
    driven = drive(bitopro.find_order(LIMIT), rows(row()))
    assert (driven.result, driven.requests) == (report(), LOOKS[:1])


def test_find_order_looks_in_three_places_before_it_is_none() -> None:
    """By our id, among open orders and in the newest of all; only clean answers count."""
    driven = drive(bitopro.find_order(LIMIT), NONE, NONE, NONE)
    assert (driven.result, driven.requests) == (None, LOOKS)


def test_find_order_same_label_on_other_orders_is_not_ours() -> None:
    """BitoPro lets an id repeat: other terms are another order, wherever they stand."""
    others = rows(
        row(pair="eth_twd"),
        row(action="SELL"),
        row(type="MARKET"),
        row(originalAmount="0.0002"),
        row(price="1400000"),
        row(clientId=7),
    )
    driven = drive(bitopro.find_order(LIMIT), others, others, rows(row(action="SELL"), row(id="9")))
    assert driven.result == report(exchange_order_id="9")


@pytest.mark.parametrize("answered", [0, 1, 2])
@pytest.mark.parametrize("error", [OutcomeUnknown("no answer"), InvalidOrder("404 pair"), GONE])
def test_find_order_failed_look_is_no_answer(
    error: OutcomeUnknown | InvalidOrder | OrderNotFound, answered: int
) -> None:
    """An error in any look is raised: it proves no absence."""
    with pytest.raises(type(error)):
        drive(bitopro.find_order(LIMIT), *[NONE] * answered, error)


def test_find_order_stop_order_that_fired_counts_before_its_trigger() -> None:
    """After the trigger the order may have another id; that one tells what was filled."""
    waiting = row(STOP, id="SL-1", status=4, stopPrice="1410000")
    fired = row(STOP, id="2", type="LIMIT", status=2, executedAmount="0.0001", avgExecutionPrice="1400000")
    driven = drive(bitopro.find_order(STOP), rows(waiting, fired))
    assert driven.result is not None
    assert (driven.result.exchange_order_id, driven.result.state) == ("2", "filled")


def test_order_status_asks_by_bitopros_id() -> None:
    """One request tells."""
    driven = drive(bitopro.order_status(LIMIT, "1"), reply(row()))
    assert (driven.result, driven.requests) == (report(), [ask("1")])


@pytest.mark.parametrize("unknown", [GONE, reply({"id": ""}), reply({})])
def test_order_status_unknown_id_is_looked_up_by_ours(unknown: OrderNotFound | Response) -> None:
    """An unknown id is told by HTTP 404 or by a row with an empty id; a stop order's may have changed."""
    found = rows(row(STOP, id="SL-1", status=-1, stopPrice="1410000"))
    driven = drive(bitopro.order_status(STOP, "1"), unknown, found)
    expected = report(STOP, exchange_order_id="SL-1", stop_price=D(1410000))
    assert (driven.result, driven.requests) == (expected, [ask("1"), STOP_LOOK])


def test_order_status_without_id_is_looked_up_by_ours() -> None:
    """After a lost answer BitoPro's id is not known."""
    driven = drive(bitopro.order_status(LIMIT, ""), rows(row()))
    assert (driven.result, driven.requests) == (report(), LOOKS[:1])


def test_order_status_found_nowhere_is_not_found() -> None:
    """It may be older than what BitoPro tells."""
    with pytest.raises(OrderNotFound):
        drive(bitopro.order_status(LIMIT, "1"), GONE, NONE, NONE, NONE)


def test_open_orders_lists_all_pairs_at_once() -> None:
    """Stop orders that wait are among them, and those placed by hand, which have no id of ours."""
    found = rows(row(STOP, id="SL-1", status=-1, stopPrice="1410000"), row(clientId=0))
    driven = drive(bitopro.open_orders(), found)
    expected = [report(STOP, exchange_order_id="SL-1", stop_price=D(1410000)), report(client_order_id="")]
    assert (driven.result, driven.requests) == (expected, [Request.get("/v3/orders/open", **OPEN_COSTS)])


def test_order_history_asks_each_pair_for_all_states_and_keeps_the_ended() -> None:
    """The filter DONE would leave out canceled orders; the newest of all pairs come first."""
    old, new = row(id="1", status=4, createdTimestamp=1), row(id="3", status=3, executedAmount="1", createdTimestamp=3)
    other = row(id="2", pair="eth_twd", status=6, createdTimestamp=2)
    partly = row(id="7", status=1, executedAmount="0.00005")
    replies = rows(new, row(id="9", status=0), row(id="8", status=-1), partly, old), rows(other)
    driven = drive(bitopro.order_history([BTC, market("eth_twd")]), *replies)
    assert [(each.exchange_order_id, each.state) for each in driven.result] == [
        ("3", "canceled"),
        ("2", "rejected"),
        ("1", "canceled"),
    ]
    assert driven.requests == [
        Request.get(f"/v3/orders/all/{pair}", {"statusKind": "ALL", "limit": 100}, **SIGNED)
        for pair in ("btc_twd", "eth_twd")
    ]


@pytest.mark.parametrize("flow", [bitopro.order_history, lambda markets: bitopro.fills(markets, "")])
def test_lists_by_pair_stay_within_the_core_s_twenty_requests(flow: Any) -> None:
    """Somebody who traded 30 pairs still gets an answer."""
    assert len(drive(flow([BTC] * 30), *[NONE] * 18).requests) == 18


TRADE = json.loads((TESTDATA / "get_trades.json").read_text())["data"][0]
SOLD = Fill(
    trade_id="3109362209",
    exchange_order_id="7977988235",
    exchange_symbol="eth_usdt",
    side="sell",
    price=D(530),
    quantity=D(600),
    fee=D("95.4"),
    fee_asset="ETH",
    is_maker=True,
    at_ms=1628054591943,
)


def test_fills_takes_the_pair_from_the_request() -> None:
    """A trade does not tell its pair."""
    driven = drive(bitopro.fills([market("eth_usdt")], ""), load_reply(TESTDATA / "get_trades.json"))
    assert driven.result == [SOLD]
    assert driven.requests == [Request.get("/v3/orders/trades/eth_usdt", {"limit": 100}, **SIGNED)]


def test_fills_of_one_order_leaves_out_the_others() -> None:
    """Both sides of a trade with oneself have the same number; only the order tells them apart."""
    both = rows(TRADE, {**TRADE, "orderId": "5", "action": "BUY"})
    driven = drive(bitopro.fills([market("eth_usdt")], "7977988235"), both)
    assert driven.result == [SOLD]
    assert len(drive(bitopro.fills([market("eth_usdt")], ""), both).result) == 2


def test_fills_next_page_begins_with_the_row_that_ended_the_last() -> None:
    """The cursor includes the row it names, which must not count twice."""
    page = [{**TRADE, "tradeId": str(number)} for number in range(2000, 1000, -1)]
    rest = [{**TRADE, "tradeId": str(number)} for number in (1001, 1000)]
    driven = drive(bitopro.fills([BTC], "7977988235"), rows(*page), rows(*rest))
    assert [each.trade_id for each in driven.result] == [str(number) for number in range(2000, 999, -1)]
    assert driven.requests[1] == Request.get(
        "/v3/orders/trades/btc_twd", {"orderId": "7977988235", "limit": 1000, "tradeId": "1001"}, **SIGNED
    )


# Canceling


def test_cancel_order_is_one_delete() -> None:
    """By BitoPro's id, with the pair."""
    driven = drive(bitopro.cancel_order(LIMIT, "1"), load_reply(TESTDATA / "delete_order.json"))
    assert driven.requests == [delete("1")]


def test_cancel_order_without_id_looks_it_up_first() -> None:
    """There is no way to cancel by our id; an empty id in the path would cancel the whole pair."""
    driven = drive(bitopro.cancel_order(LIMIT, ""), rows(row(id="5")), load_reply(TESTDATA / "delete_order.json"))
    assert driven.requests == [LOOKS[0], delete("5")]


def test_cancel_order_stop_order_under_another_id_is_found() -> None:
    """Whether placing tells the id with its `SL-` is not documented."""
    found = rows(row(STOP, id="SL-1", status=-1, stopPrice="1410000"))
    driven = drive(bitopro.cancel_order(STOP, "1"), GONE, found, load_reply(TESTDATA / "delete_order.json"))
    assert driven.requests == [delete("1"), STOP_LOOK, delete("SL-1")]


@pytest.mark.parametrize(
    ("order", "order_id", "replies"),
    [
        (LIMIT, "1", [GONE]),
        (LIMIT, "", [NONE, NONE, NONE]),
        (LIMIT, "", [rows(row(status=4))]),
        (STOP, "SL-1", [GONE, rows(row(STOP, id="SL-1", status=-1))]),
        (STOP, "1", [GONE, NONE, NONE, NONE]),
    ],
)
def test_cancel_order_that_is_gone_is_not_found(order: Order, order_id: str, replies: list[Any]) -> None:
    """The core then reads the order; nothing is deleted twice."""
    with pytest.raises(OrderNotFound):
        drive(bitopro.cancel_order(order, order_id), *replies)


@pytest.mark.parametrize("answer", [load_reply(TESTDATA / "delete_orders.json"), GONE])
def test_cancel_all_is_one_delete_of_one_pair(answer: Response | OrderNotFound) -> None:
    """With no order left it still succeeds."""
    costs = {"address": 1, "account": 1, "cancel all": 1}
    assert drive(bitopro.cancel_all(BTC), answer).requests == [Request.delete("/v3/orders/btc_twd", costs=costs)]


def test_cancel_all_never_reaches_all_pairs() -> None:
    """A pair named `all` would cancel every order of the account, those placed by hand included."""
    with pytest.raises(UserError):
        drive(bitopro.cancel_all(replace(BTC, exchange_symbol="all")))
