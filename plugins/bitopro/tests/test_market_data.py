"""Markets, prices, books and the time: what is asked, and what is made of the replies."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tradewire_bitopro import markets, order_book, server_time, ticker

from bot import Market, OrderBook, OutcomeUnknown, Request, Response, Ticker
from bot.testing.drive import drive, load_reply, reply

D = Decimal
TESTDATA = Path(__file__).parent / "testdata"
PUBLIC: dict[str, Any] = {"auth": "none", "costs": {"address": 1}}
BTC = Market(
    symbol="BTC/TWD",
    exchange_symbol="btc_twd",
    base="BTC",
    quote="TWD",
    price_step=D(1),
    quantity_step=D("0.0001"),
    quote_step=D(1),
)
BOOK = load_reply(TESTDATA / "get_order_book.json")


# Markets


def pair(**changes: Any) -> Response:
    [row] = load_reply(TESTDATA / "get_trading_pairs.json").json()["data"]
    return Response(200, {}, json.dumps({"data": [{**row, **changes}]}, default=str).encode())


MV = Market(
    symbol="MV/TWD",
    exchange_symbol="mv_twd",
    base="MV",
    quote="TWD",
    price_step=D("0.001"),
    quantity_step=D("0.01"),
    quote_step=D("0.001"),
    min_quantity=D("0.01"),
    max_quantity=D(100000),
    min_notional=D(0),
    min_market_buy_quote=D(3),
    maker_fee=D("0.001"),
    taker_fee=D("0.002"),
)


def test_market_recorded_pair_has_every_rule() -> None:
    """One list has all. Price decimals are the quote's, amount decimals the amount's own, fees those of rank 0."""
    driven = drive(markets(), load_reply(TESTDATA / "get_trading_pairs.json"))
    assert (driven.result, driven.requests) == ([MV], [Request.get("/v3/provisioning/trading-pairs", **PUBLIC)])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"maintain": True}, replace(MV, status="halted")),
        ({"pair": "MV_TWD"}, MV),
        ({"basePrecision": 8, "quotePrecision": 3, "amountPrecision": 2}, MV),
        ({"amountPrecision": None}, replace(MV, quantity_step=D("1e-8"))),
        ({"amountPrecision": "0"}, replace(MV, quantity_step=D("1e-8"))),
        ({"amountPrecision": "0", "minLimitBaseAmount": "1"}, replace(MV, quantity_step=D(1), min_quantity=D(1))),
        (
            {"amountPrecision": "2", "minLimitBaseAmount": "0.0001"},
            replace(MV, quantity_step=D("1e-8"), min_quantity=D("0.0001")),
        ),
        ({"maxLimitBaseAmount": "0"}, replace(MV, max_quantity=None)),
    ],
)
def test_market_variant_is_read(changes: dict[str, Any], expected: Market) -> None:
    """An amount precision that is missing, or would round the minimum to zero, gives way to the base's."""
    assert drive(markets(), pair(**changes)).result == [expected]


@pytest.mark.parametrize("changes", [{"quotePrecision": "many"}, {"minLimitBaseAmount": "NaN"}, {"base": None}])
def test_market_unreadable_rule_is_an_error(changes: dict[str, Any]) -> None:
    """A market with a rule that cannot be read must not be traded by guess."""
    with pytest.raises(OutcomeUnknown):
        drive(markets(), pair(**changes))


# Prices


@pytest.mark.parametrize("shape", ["object", "list"])
def test_ticker_asks_for_price_and_best_level(shape: str) -> None:
    """One ticker is sent as an object and documented as a list; bid and ask come from the book."""
    driven = drive(ticker(BTC), load_reply(TESTDATA / f"get_ticker_{shape}.json"), BOOK)
    assert driven.result == Ticker(
        exchange_symbol="btc_twd",
        last=D(1182449),
        bid=D(2849000),
        ask=D(2851000),
        high_24h=D(1226097),
        low_24h=D(1181000),
        base_volume_24h=D("9.1308974"),
    )
    assert driven.requests == [
        Request.get("/v3/tickers/btc_twd", **PUBLIC),
        Request.get("/v3/order-book/btc_twd", {"limit": 1}, **PUBLIC),
    ]


def test_ticker_empty_side_of_the_book_is_none() -> None:
    """With nobody selling there is no ask."""
    level = {"price": "1182000", "amount": "1"}
    half = reply({"bids": [level], "asks": []})
    found = drive(ticker(BTC), load_reply(TESTDATA / "get_ticker_object.json"), half).result
    assert (found.bid, found.ask) == (D(1182000), None)


@pytest.mark.parametrize("changes", [{"pair": "eth_twd"}, {"lastPrice": "0"}])
def test_ticker_of_another_pair_or_without_price_is_none(changes: dict[str, str]) -> None:
    """A price is never taken from another pair."""
    row = load_reply(TESTDATA / "get_ticker_object.json").json()["data"]
    with pytest.raises(OutcomeUnknown, match="no price for BTC/TWD"):
        drive(ticker(BTC), reply({"data": {**row, **changes}}), BOOK)


def test_order_book_asks_for_the_most_levels() -> None:
    """50 is the longest book that BitoPro tells; `total` adds up levels and is not a quantity."""
    driven = drive(order_book(BTC), BOOK)
    assert driven.result == OrderBook(bids=((D(2849000), D("0.08")),), asks=((D(2851000), D("0.12")),))
    assert driven.requests == [Request.get("/v3/order-book/btc_twd", {"limit": 50}, **PUBLIC)]


def test_server_time_is_the_middle_of_the_second_in_the_date() -> None:
    """No endpoint tells the time and no key is needed; the header has whole seconds, so half a second is best."""
    dated = reply({"data": {}}, headers={"date": "Tue, 14 Nov 2023 22:13:20 GMT"})
    driven = drive(server_time(), dated)
    assert (driven.result, driven.requests) == (1700000000500, [Request.get("/v3/tickers/btc_twd", **PUBLIC)])


@pytest.mark.parametrize("headers", [{}, {"date": ""}, {"date": "yesterday"}])
def test_server_time_without_readable_date_is_an_error(headers: dict[str, str]) -> None:
    """A time that is not told must not become zero."""
    with pytest.raises(OutcomeUnknown, match="no date"):
        drive(server_time(), reply({}, headers=headers))
