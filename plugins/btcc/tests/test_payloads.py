"""Fields and models, and what the plugin declares."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradewire_btcc import exchange_info, payloads
from tradewire_btcc.payloads import Funds, MarketRow, OrderRow, Page, Reply

from bot import Limit, Market, OrderReport, OutcomeUnknown, Request
from bot.testing.drive import drive, reply

D = Decimal
BTC = Market(
    symbol="BTC/USDT",
    exchange_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    price_step=D("0.01"),
    quantity_step=D("0.00001"),
    quote_step=D("0.00001"),
)
ROW: dict[str, Any] = {
    "id": 6996187031,
    "type": 1,
    "side": 1,
    "market": "BTCUSDT",
    "amount": "0.02",
    "left": "0.02",
    "price": "59369.11",
    "deal_stock": "0",
    "deal_money": "0",
    "deal_fee": "0",
    "ctime": 1724999193.41,
}


def row(**changes: object) -> OrderRow:
    return msgspec.json.decode(msgspec.json.encode({**ROW, **changes}), type=OrderRow)


# What comes back


@pytest.mark.parametrize(
    ("is_open", "changes", "expected"),
    [
        (True, {}, "open"),
        (True, {"deal_stock": "0.01", "left": "0.01"}, "partially_filled"),
        (True, {"type": 2, "deal_stock": "0.01"}, "partially_filled"),
        (False, {"deal_stock": "0.02", "left": "0"}, "filled"),
        (False, {"deal_stock": "0.02", "left": None}, "filled"),
        (False, {"deal_stock": "0.0199999", "left": "0"}, "filled"),
        (False, {"deal_stock": "0.01", "left": "0.01"}, "canceled"),
        (False, {}, "canceled"),
        (False, {"option": 8}, "canceled"),
        (False, {"type": 2, "amount": "61.1", "deal_stock": "0.00099", "left": "0.608624"}, "filled"),
        (False, {"type": 2, "amount": "61.1", "left": "61.1"}, "canceled"),
    ],
)
def test_state_follows_from_the_list_and_the_fills(is_open: bool, changes: dict[str, Any], expected: str) -> None:
    """BTCC tells no state. What a market buy leaves over is normal, what a limit order leaves over was canceled."""
    assert row(**changes).state(is_open=is_open) == expected


@given(st.integers(0, 10**9), st.integers(1, 10**9), st.booleans())
def test_state_filled_only_where_all_was_filled(filled: int, amount: int, is_open: bool) -> None:
    """Whatever the figures, a limit order counts as filled only when it is finished and nothing is missing."""
    filled = min(filled, amount)
    found = row(amount=str(amount), deal_stock=str(filled), left=str(amount - filled)).state(is_open=is_open)
    assert (found == "filled") == (not is_open and filled == amount)


def test_report_sell_pays_its_fee_in_quote() -> None:
    """The fee comes out of what is received."""
    changes = {"side": 2, "deal_stock": "0.02", "deal_money": "1187.3822", "deal_fee": "3.5621466", "left": "0"}
    assert row(**changes, source="t1").report(BTC, is_open=False) == OrderReport(
        exchange_order_id="6996187031",
        client_order_id="t1",
        exchange_symbol="BTCUSDT",
        side="sell",
        type="limit",
        state="filled",
        filled=D("0.02"),
        average_price=D("59369.11"),
        quantity=D("0.02"),
        price=D("59369.11"),
        fee=D("3.5621466"),
        fee_asset="USDT",
        created_ms=1724999193410,
    )


def test_report_fee_in_a_third_coin_is_told() -> None:
    """A discount coin pays the fee where `fee_asset` says so."""
    found = row(deal_stock="0.01", asset_fee="0.5", fee_asset="ftt").report(BTC, is_open=True)
    assert (found.fee, found.fee_asset) == (D("0.5"), "FTT")


def test_report_client_id_goes_before_source() -> None:
    """Our id is in both; where BTCC keeps none of them, there is none."""
    rows = [row(client_id="t1", source="t2"), row(client_id="", source="t2"), row(client_id=None, source=None)]
    assert [each.report(BTC, is_open=True).client_order_id for each in rows] == ["t1", "t2", ""]


@pytest.mark.parametrize("changes", [{"side": 3}, {"type": 4}, {"amount": "NaN"}, {"deal_stock": None}, {"id": "7"}])
def test_order_row_of_unknown_shape_is_refused(changes: dict[str, Any]) -> None:
    """An unknown side or type, or a figure that is none, must not be guessed at."""
    with pytest.raises(msgspec.ValidationError):
        row(**changes)


def test_reply_reads_either_envelope() -> None:
    """`data` beside `code`, or `result` beside `error`; a null is content, nothing at all is not."""
    shape = Reply[int | None]
    bodies = [{"code": 0, "data": 7}, {"error": None, "result": 7, "id": 0}, {"error": None, "result": None}]
    assert [reply(body).decode(shape).payload for body in bodies] == [7, 7, None]
    with pytest.raises(OutcomeUnknown, match="no content"):
        reply({"code": 0}).decode(shape).payload  # noqa: B018


def test_market_row_halted_or_without_decimals() -> None:
    """A market that is switched off is halted; one whose decimals are not told cannot be traded."""
    shared = {"stock": "mina", "money": "usdt", "min_amount": "50"}
    rows = [
        {"name": "MINAUSDT", **shared, "stock_prec": 1, "money_prec": 4, "switch": False, "open_time": 1724999193},
        {"name": "NEWUSDT", **shared, "switch": True},
    ]
    found = [each.market() for each in msgspec.convert(rows, list[MarketRow])]
    assert found == [
        Market(
            symbol="MINA/USDT",
            exchange_symbol="MINAUSDT",
            base="MINA",
            quote="USDT",
            price_step=D("0.0001"),
            quantity_step=D("0.1"),
            quote_step=D("0.1"),
            min_quantity=D(50),
            maker_fee=D("0.003"),
            taker_fee=D("0.003"),
            status="halted",
        ),
        None,
    ]


def test_holdings_keep_every_digit_and_drop_zeros() -> None:
    """A documented sample has 27 digits."""
    funds = {"BTC": Funds(D("0.267001280000000000000000001"), D(0)), "X": Funds(D("0.00000000"), D(0))}
    assert [(each.asset, str(each.free)) for each in payloads.holdings(funds)] == [
        ("BTC", "0.267001280000000000000000001")
    ]


def page(count: int, total: int | None = None, first: int = 0) -> Any:
    rows = [{**ROW, "id": first + number + 1} for number in range(count)]
    return reply({"error": None, "result": {"records": rows, **({} if total is None else {"total": total})}})


ASK = Request.get("/x", {"market": "BTCUSDT"})
SHAPE = Reply[Page[OrderRow]]


def test_listed_are_read_until_the_total() -> None:
    """The offset moves by what came, also where pages are shorter than asked for."""
    driven = drive(payloads.listed(ASK, SHAPE, most=4), page(50, 120), page(50, 120, 50), page(20, 120, 100))
    assert [each.id for each in driven.result] == list(range(1, 121))
    assert [each.query_text for each in driven.requests] == [
        f"market=BTCUSDT&offset={offset}&limit=100" for offset in (0, 50, 100)
    ]


def test_listed_without_total_end_with_a_short_page() -> None:
    """The list of finished orders is not documented to tell its length."""
    assert len(drive(payloads.listed(ASK, SHAPE, most=4), page(100), page(3, first=100)).result) == 103


def test_listed_empty_page_ends_the_list() -> None:
    """A list that shrinks while it is read must not be asked for forever."""
    assert len(drive(payloads.listed(ASK, SHAPE, most=9), page(100, 150), page(0, 150)).result) == 100


def test_listed_too_many_are_cut_or_refused() -> None:
    """A history may be cut; open orders that were not all seen are not an answer."""
    assert len(drive(payloads.listed(ASK, SHAPE, most=1), page(100, 150)).result) == 100
    with pytest.raises(OutcomeUnknown, match="more than 100 orders"):
        drive(payloads.listed(ASK, SHAPE, most=1, whole=True), page(100, 150))


# What is declared


def test_exchange_info_promises_only_what_is_documented() -> None:
    """No stop or post-only orders, no proof of absence, and a warning that it is experimental."""
    info = exchange_info()
    can = info.capabilities
    assert (can.order_types, can.times_in_force, can.post_only) == ({"limit", "market"}, {"GTC", "IOC", "FOK"}, False)
    assert (can.market_buy_in, can.find_by_client_id, can.absence_seconds) == ({"quote"}, False, None)
    assert "experimental" in info.experimental
    assert info.client_id.max_length <= 30


def test_exchange_info_tells_every_assumption_that_reading_does_not_prove() -> None:
    """A self-test that got any answer has proved host, prefix and header; all the rest is told, value by value."""
    assert exchange_info().assumptions == (
        "ws host: wss://spotprice2.btcccdn.com",
        "ws path: /ws",
        "last price paths: market/last or else market/ticker",
        "order deals paths: order/deals or else order/deal",
        "ws order methods: order.subscribe or else orders.subscribe",
        "label length: 30",
        "sends client id: yes",
        "market buy unit: quote",
        "side codes: buy 1, sell 2",
        "force codes: GTC 0, IOC 8, FOK 16",
        "fee rate: 0.003",
        "requests per second: 5",
        "orders per second: 1",
        "second look seconds: 2",
        "ping seconds: 30",
    )


def test_exchange_info_limits_count_per_address_and_per_account() -> None:
    """BTCC blocks addresses; orders and second looks are paced per account."""
    assert exchange_info().limits == {
        "all": (Limit(5, 1),),
        "orders": (Limit(1, 1, "account"),),
        "second look": (Limit(1, 2, "account"),),
    }


def test_exchange_info_paths_hold_neither_withdrawals_nor_undocumented_calls() -> None:
    """Only spot reads, orders and cancels; nothing of the test hosts' next version."""
    paths = " ".join(exchange_info().paths)
    for word in ("withdraw", "transfer", "place_order", "amend", "order/stop", "login", "/v1/"):
        assert word not in paths
    assert all(path.split()[1].startswith("/btcc_api_trade/") for path in exchange_info().paths[:-1])
    assert exchange_info().paths[-1] == "POST /ws"


def test_exchange_info_hosts_are_the_ones_of_the_document() -> None:
    """The older host has an underscore in its name, which some TLS libraries refuse."""
    assert exchange_info().hosts == {
        "api": "https://spotapi2.btcccdn.com",
        "ws": "wss://spotprice2.btcccdn.com",
    }
