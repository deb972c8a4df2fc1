"""Fields and models, market data, and what the plugin declares."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from tradewire_bitget import exchange_info, markets, order_book, payloads, server_time, ticker

from bot import Base, Limit, Market, Order, OrderBook, OutcomeUnknown, Request, Ticker
from bot.testing.drive import drive, load_reply, reply

D = Decimal
TESTDATA = Path(__file__).parent / "testdata"
BTC = Market(
    symbol="BTC/USDT",
    exchange_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    price_step=D("0.01"),
    quantity_step=D("0.000001"),
    quote_step=D("0.01"),
    min_notional=D(1),
    maker_fee=D("0.002"),
    taker_fee=D("0.002"),
)
ORDER = Order(client_order_id="bot-0001", market=BTC, side="buy", type="limit", size=Base(D(1)), price=D(1))


def raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


# Market data


def test_markets_documented_reply_gives_the_market() -> None:
    """Precisions are numbers of decimals, and the coarser of two rules a size in quote."""
    driven = drive(markets(), load_reply(TESTDATA / "get_symbols.json"))
    assert (driven.result, driven.requests) == (
        [BTC],
        [
            Request.get(
                "/api/v2/spot/public/symbols",
                auth="none",
                costs={"GET /api/v2/spot/public/symbols": 1, "all": 1},
            )
        ],
    )


def test_markets_sparse_rows_are_read_with_defaults() -> None:
    """A row without fees or limits still is a market; one without precisions is left out; unknown states are halted."""
    rows = [
        {"symbol": "ethbtc", "baseCoin": "eth", "quoteCoin": "btc", "pricePrecision": "6", "quantityPrecision": "4",
         "quotePrecision": "4", "minTradeUSDT": "1", "status": "gray", "makerFeeRate": "", "takerFeeRate": None},
        {"symbol": "NEWUSDT", "baseCoin": "NEW", "quoteCoin": "USDT", "pricePrecision": "", "status": "online"},
    ]  # fmt: skip
    assert drive(markets(), reply({"code": "00000", "data": rows})).result == [
        Market(
            symbol="ETH/BTC",
            exchange_symbol="ETHBTC",
            base="ETH",
            quote="BTC",
            price_step=D("0.000001"),
            quantity_step=D("0.0001"),
            quote_step=D("0.0001"),
            status="halted",
        )
    ]


def test_ticker_documented_reply_gives_the_price() -> None:
    """The reply is a list with one row."""
    driven = drive(ticker(BTC), load_reply(TESTDATA / "get_tickers.json"))
    assert (driven.result, driven.requests[0].target) == (
        Ticker(
            exchange_symbol="BTCUSDT",
            last=D("34413.1"),
            bid=D("34413.0"),
            ask=D("34413.2"),
            high_24h=D("37775.65"),
            low_24h=D("34413.1"),
            open_24h=D("35134.2"),
            base_volume_24h=D(0),
            at_ms=1625125755277,
        ),
        "/api/v2/spot/market/tickers?symbol=BTCUSDT",
    )


def test_ticker_empty_side_is_none() -> None:
    """An empty side of the book comes as empty text, null or zero."""
    row = {"symbol": "btcusdt", "lastPr": "1", "bidPr": "", "askPr": None, "high24h": "0"}
    assert drive(ticker(BTC), reply({"code": "00000", "data": [row]})).result == Ticker(
        exchange_symbol="BTCUSDT", last=D(1)
    )


@pytest.mark.parametrize("rows", [[], [{"symbol": "ETHUSDT", "lastPr": "1"}], [{"symbol": "BTCUSDT", "lastPr": ""}]])
def test_ticker_without_the_market_is_an_error(rows: list[object]) -> None:
    """Another market's price is never taken."""
    with pytest.raises(OutcomeUnknown, match="no price for BTC/USDT"):
        drive(ticker(BTC), reply({"code": "00000", "data": rows}))


def test_order_book_documented_reply_gives_both_sides_best_first() -> None:
    """Bids fall and asks rise."""
    assert drive(order_book(BTC), load_reply(TESTDATA / "get_orderbook.json")).result == OrderBook(
        bids=((D(34567), D("0.2917")), (D("34566.85"), D("0.0145"))),
        asks=((D("34567.15"), D("0.0131")), (D("34567.25"), D("0.0144"))),
    )


def test_server_time_documented_reply_is_in_milliseconds() -> None:
    """The time comes as text."""
    assert drive(server_time(), load_reply(TESTDATA / "get_time.json")).result == 1688008631614


# Words


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "gtc"),
        ({"time_in_force": "IOC"}, "ioc"),
        ({"time_in_force": "FOK"}, "fok"),
        ({"post_only": True}, "post_only"),
    ],
)
def test_force_text_word_of_bitget(changes: dict[str, object], expected: str) -> None:
    """Post-only is one of Bitget's times in force."""
    assert payloads.force_text(replace(ORDER, **changes)) == expected  # type: ignore[arg-type]


def state(word: str, filled: int) -> str:
    sent = {"orderId": "1", "symbol": "BTCUSDT", "side": "buy", "orderType": "limit", "status": word}
    return payloads.report(reply({**sent, "baseVolume": str(filled)}).decode(payloads.OrderRow)).state


@pytest.mark.parametrize(
    ("words", "filled", "expected"),
    [
        ("init new live not_trigger executing LIVE", 0, "open"),
        ("new live", 1, "partially_filled"),
        ("partially_filled partial_fill partially_fill", 1, "partially_filled"),
        ("filled full_fill", 1, "filled"),
        ("cancelled canceled cancel", 0, "canceled"),
        ("cancelled", 1, "canceled"),
        ("fail_execute fail_trigger", 0, "rejected"),
    ],
)
def test_state_documented_words_are_known(words: str, filled: int, expected: str) -> None:
    """Every documented spelling has its state."""
    assert {state(word, filled) for word in words.split()} == {expected}


def test_state_unknown_word_is_an_error() -> None:
    """An order whose state is not understood is in doubt, not closed."""
    with pytest.raises(OutcomeUnknown, match="'melting'"):
        state("melting", 0)


@pytest.mark.parametrize(
    ("time", "expected"), [(D(1690196141868), 1690196141868), (D(1690196141), 1690196141000), (D(0), 0), (None, 0)]
)
def test_milliseconds_seconds_are_recognised(time: Decimal | None, expected: int) -> None:
    """Times are mostly milliseconds and sometimes seconds."""
    assert payloads.milliseconds(time) == expected


# Fees

NEW = r'"{\"newFees\":{\"c\":0,\"d\":0,\"r\":-0.112079256,\"t\":-0.112079256}}"'
OLD = r'"{\"BGB\":{\"deduction\":true,\"feeCoinCode\":\"BGB\",\"totalFee\":-0.0041}}"'


@pytest.mark.parametrize(
    ("detail", "side", "market", "expected"),
    [
        (NEW, "buy", BTC, (D("0.112079256"), "BTC")),
        (NEW, "sell", BTC, (D("0.112079256"), "USDT")),
        (NEW, "buy", None, (None, "")),
        (OLD, "buy", BTC, (D("0.0041"), "BGB")),
        ('""', "buy", BTC, (None, "")),
        ("null", "buy", BTC, (None, "")),
        ('"not json"', "buy", BTC, (None, "")),
        ('"[]"', "buy", BTC, (None, "")),
        (r'"{\"newFees\":{\"t\":\"much\"}}"', "buy", BTC, (None, "")),
        ("{}", "buy", BTC, (None, "")),
    ],
)
def test_order_fee_text_in_a_string_is_read_leniently(
    detail: str, side: str, market: Market | None, expected: tuple[Decimal | None, str]
) -> None:
    """A v2 order's fee is JSON inside text, paid is negative, and what cannot be read is no fee."""
    assert payloads.order_fee(raw(detail), side, market) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        ('{"deduction":"no","feeCoin":"BTC","totalFee":"-0.0000007"}', (D("0.0000007"), "BTC")),
        ('{"feeCoin":"usdt","totalFee":"0.01"}', (D("-0.01"), "USDT")),
        ('{"feeCoin":"BTC","totalFee":""}', (D(0), "BTC")),
        ('[{"feeCoin":"ETH","fee":"0.00000744"}]', (D("0.00000744"), "ETH")),
        ('[null,{"feeCoin":"ETH","fee":"1"},{"feeCoin":"ETH","fee":"2"},{"feeCoin":"BGB","fee":"9"}]', (D(3), "ETH")),
        ("[]", (None, "")),
        ("[null]", (None, "")),
        ('[{"feeCoin":"","fee":"0"}]', (None, "")),
        ("null", (None, "")),
        ('""', (None, "")),
        ('{"feeCoin":"BTC","totalFee":"much"}', (None, "")),
    ],
)
def test_fee_of_object_and_list_give_a_positive_fee(detail: str, expected: tuple[Decimal | None, str]) -> None:
    """v2 fills have an object with a negative fee, v3 a list with a positive one."""
    assert payloads.fee_of(raw(detail)) == expected


# What is declared


def test_exchange_info_every_endpoint_has_its_own_limit_and_the_overall_one() -> None:
    """Public endpoints count per address, private ones per account."""
    info = exchange_info()
    per = {name: limits[0].per for name, limits in info.limits.items()}
    assert (info.limits["all"], set(info.limits) - {"all"}, per["all"]) == (
        (Limit(6000, 60, "ip"),),
        set(info.paths),
        "ip",
    )
    assert {name for name, kind in per.items() if kind == "ip"} == {
        "all",
        "GET /api/v2/public/time",
        "GET /api/v2/spot/public/symbols",
        "GET /api/v2/spot/market/tickers",
        "GET /api/v2/spot/market/orderbook",
        "GET /api/v2/spot/market/candles",
        "GET /user/verify",
    }


def test_exchange_info_paths_move_no_funds() -> None:
    """The core refuses what is not listed, and nothing listed can send money away."""
    assert [
        path for path in exchange_info().paths if "withdraw" in path or "transfer" in path or "wallet" in path
    ] == []


# Lists


def test_listed_full_page_asks_for_older_rows_with_a_sorted_query() -> None:
    """A page of a hundred may not be the last; the cursor joins the query in order."""
    first = Request.get("/list", {"limit": "100", "symbol": "BTCUSDT"})
    flow = payloads.listed(first, "idLessThan", lambda response: (response.json(), "77"), most=3)
    driven = drive(flow, reply(list(range(100))), reply([100]))
    assert (driven.result, [request.target for request in driven.requests]) == (
        list(range(101)),
        ["/list?limit=100&symbol=BTCUSDT", "/list?idLessThan=77&limit=100&symbol=BTCUSDT"],
    )


def test_listed_list_too_long_is_cut_or_refused() -> None:
    """Where the whole list is needed, a part of it is no answer."""
    full = reply([0] * 100)
    cut = drive(payloads.listed(Request.get("/list"), "c", lambda each: (each.json(), "1"), most=2), full, full)
    with pytest.raises(OutcomeUnknown, match="more than 200 orders"):
        drive(
            payloads.listed(Request.get("/list"), "c", lambda each: (each.json(), "1"), most=2, whole=True), full, full
        )
    assert len(cut.result) == 200


def test_listed_full_page_without_a_cursor_is_the_last() -> None:
    """Without a cursor the first page would be read again and again."""
    driven = drive(
        payloads.listed(Request.get("/list"), "c", lambda each: (each.json(), ""), most=2, whole=True), reply([0] * 100)
    )
    assert len(driven.result) == 100
