"""What the flows of market data ask, and what they make of the replies."""

from typing import Any

import pytest
from tradewire_btcc import markets, order_book, server_time, ticker

from bot import InvalidOrder, Market, OrderBook, OutcomeUnknown, Request, Ticker
from bot.testing.drive import drive

from .conftest import API, BTC, UNKNOWN_PATH, D, recorded, result


def public(path: str, **query: Any) -> Request:
    return Request.get(API + path, query, auth="none", costs={"all": 1})


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
