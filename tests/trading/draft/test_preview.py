"""What a draft becomes: size, price, fee, what stays free, and warnings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.contract.models import Base, Capabilities, Quote, Side
from bot.trading.draft import Draft
from bot.trading.intent import Fixed, Intent, Maximum, Offset, Percent, Price, Reference, Size
from tests.trading.draft.conftest import (
    ALL,
    BASE_ONLY,
    QUOTE_ONLY,
    RICH,
    TICKER,
    D,
    amount,
    drafted,
    fixed,
)


def test_draft_limit_buy_is_the_whole_preview() -> None:
    """A limit buy sized in quote becomes a quantity; price, fee and what stays free are told."""
    assert drafted(Intent("buy", "BTC", amount("500", "$"), fixed("58000"))) == Draft(
        side="buy",
        type="limit",
        size=Base(D("0.00862")),
        price=D(58000),
        stop_price=None,
        time_in_force="GTC",
        post_only=False,
        reference_price=D(60000),
        quantity_estimate=D("0.00862"),
        notional_estimate=D("499.96"),
        fee_estimate=D("0.399968"),
        fee_asset="BTC",
        average_price_estimate=D(58000),
        slippage=None,
        spends_asset="USDT",
        spends_amount=D("499.96"),
        free_before=D(12000),
        free_after=D("11500.04"),
        warnings=(),
    )


def test_draft_market_sell_walks_the_bids() -> None:
    """A market sell larger than the best level gets its real average price."""
    assert drafted(Intent("sell", "BTC", amount("0.2"))) == Draft(
        side="sell",
        type="market",
        size=Base(D("0.2")),
        price=None,
        stop_price=None,
        time_in_force="GTC",
        post_only=False,
        reference_price=D(60000),
        quantity_estimate=D("0.2"),
        notional_estimate=D(11989),
        fee_estimate=D("11.989"),
        fee_asset="USDT",
        average_price_estimate=D(59945),
        slippage=D("0.000750125020836806"),
        spends_asset="BTC",
        spends_amount=D("0.2"),
        free_before=D("0.5"),
        free_after=D("0.3"),
        warnings=(),
    )


@pytest.mark.parametrize(
    ("side", "size", "price", "can", "sent"),
    [
        ("buy", amount("0.1"), fixed("60000"), ALL, Base(D("0.1"))),
        ("buy", amount("0.1", "BTC"), fixed("60000"), ALL, Base(D("0.1"))),
        ("buy", amount("1000", "USDT"), fixed("60000"), ALL, Base(D("0.016666"))),
        ("sell", amount("1000", "$"), fixed("60000"), ALL, Base(D("0.016666"))),
        ("buy", Percent(D(25)), fixed("50000"), ALL, Base(D("0.06"))),
        ("sell", Percent(D(25)), fixed("70000"), ALL, Base(D("0.125"))),
        ("buy", Maximum(), fixed("59999"), ALL, Base(D("0.200003"))),
        ("sell", Maximum(), fixed("70000"), ALL, Base(D("0.5"))),
        ("buy", amount("250.129", "USDT"), None, ALL, Quote(D("250.12"))),
        ("buy", amount("0.1"), None, ALL, Base(D("0.1"))),
        ("buy", Percent(D(50)), None, QUOTE_ONLY, Quote(D(6000))),
        ("buy", amount("6001", "$"), None, BASE_ONLY, Base(D("0.1"))),
        ("buy", amount("9006", "$"), None, BASE_ONLY, Base(D("0.15"))),
        ("buy", amount("0.15"), None, QUOTE_ONLY, Quote(D(9006))),
        ("sell", amount("8994", "$"), None, QUOTE_ONLY, Base(D("0.15"))),
        ("sell", amount("0.15"), None, QUOTE_ONLY, Base(D("0.15"))),
        ("sell", Maximum(), None, ALL, Base(D("0.5"))),
    ],
)
def test_draft_size_in_any_unit_is_sent_in_one_the_exchange_takes(
    side: Side, size: Size, price: Price | None, can: Capabilities, sent: Base | Quote
) -> None:
    """Base, quote, per cent and all: each is turned into the exchange's unit, rounded down."""
    assert drafted(Intent(side, "BTC", size, price), can=can).size == sent


@pytest.mark.parametrize(
    ("side", "price", "sent"),
    [
        ("buy", Fixed(D("60000.019")), "60000.01"),
        ("sell", Fixed(D("60000.011")), "60000.02"),
        ("buy", Offset(D("-2")), "58800"),
        ("sell", Offset(D("1.5")), "60900"),
        ("buy", Reference("bid"), "59990"),
        ("sell", Reference("ask"), "60010"),
        ("buy", Reference("mid"), "60000"),
    ],
)
def test_draft_limit_price_is_never_worse_than_meant(side: Side, price: Price, sent: str) -> None:
    """Off the price step a buy goes down and a sell up; relative prices come from the market."""
    assert drafted(Intent(side, "BTC", amount("0.01"), price)).price == D(sent)


def test_draft_reference_without_a_book_uses_the_ticker() -> None:
    """The ticker's bid and ask stand in for a book; a mid off the step is rounded for the side."""
    ticker = replace(TICKER, bid=D("59990.01"))
    intent = Intent("sell", "BTC", amount("0.01"), Reference("mid"))
    assert drafted(intent, book=None, ticker=ticker).price == D("60000.01")


def test_draft_limit_without_a_ticker_needs_no_last_price() -> None:
    """A fixed limit price is enough; then it is taken to rest, and no last price is shown."""
    plan = drafted(Intent("buy", "BTC", amount("0.01"), fixed("70000")), ticker=None, book=None)
    assert (plan.reference_price, plan.fee_estimate, plan.warnings) == (None, D("0.56"), ())


@pytest.mark.parametrize(
    ("side", "price", "stop", "kind", "stop_price", "fee"),
    [
        ("sell", None, "59000", "stop_market", "59000", "0.59"),
        ("buy", None, "61000", "stop_market", "61000", "0.61"),
        ("sell", "58900", "59000.001", "stop_limit", "59000.01", "0.589"),
        ("buy", "61100", "61000.009", "stop_limit", "61000", "0.611"),
    ],
)
def test_draft_stop_is_priced_at_its_limit_or_trigger(
    side: Side, price: str | None, stop: str, kind: str, stop_price: str, fee: str
) -> None:
    """A stop is a type of its own, estimated at the price it names and charged as taker."""
    plan = drafted(Intent(side, "BTC", amount("0.01"), fixed(price) if price else None, fixed(stop)))
    assert (plan.type, plan.stop_price, plan.fee_estimate, plan.slippage) == (kind, D(stop_price), D(fee), None)


def test_draft_stop_market_buy_in_base_where_only_quote_works_is_sized_at_the_trigger() -> None:
    """A triggered buy is a market buy: the same units apply."""
    plan = drafted(Intent("buy", "BTC", amount("0.01"), None, fixed("61000")), can=QUOTE_ONLY)
    assert (plan.size, plan.spends_amount, plan.quantity_estimate) == (Quote(D(610)), D(610), D("0.01"))


@pytest.mark.parametrize(
    ("side", "price", "fee"), [("buy", "60010", "0.6001"), ("buy", "60009", "0.480072"), ("sell", "59990", "0.5999")]
)
def test_draft_limit_through_the_market_pays_the_taker_fee(side: Side, price: str, fee: str) -> None:
    """A limit order that trades at once is a taker; one that rests is a maker."""
    assert drafted(Intent(side, "BTC", amount("0.01"), fixed(price))).fee_estimate == D(fee)


@pytest.mark.parametrize(
    ("intent", "can", "warnings"),
    [
        (
            Intent("buy", "BTC", amount("0.0083339"), fixed("58000")),
            ALL,
            ("Rounded down to 0.008333 BTC (step 0.000001).",),
        ),
        (Intent("buy", "BTC", amount("250.129", "$")), ALL, ("Rounded down to 250.12 USDT (step 0.01).",)),
        (
            Intent("buy", "BTC", amount("0.01"), fixed("58000.019")),
            ALL,
            ("Price rounded down to 58,000.01 (step 0.01).",),
        ),
        (
            Intent("sell", "BTC", amount("0.01"), fixed("58000.001"), fixed("59000.001")),
            ALL,
            ("Price rounded up to 58,000.01 (step 0.01).", "Stop rounded up to 59,000.01 (step 0.01)."),
        ),
        (
            Intent("buy", "BTC", amount("0.05")),
            QUOTE_ONLY,
            ("Bitget takes this order in USDT: the amount filled may differ slightly from 0.05 BTC.",),
        ),
        (
            Intent("buy", "BTC", amount("0.02"), fixed("66011")),
            ALL,
            ("Your price is 10% above the best ask, 60,010.00.",),
        ),
        (
            Intent("sell", "BTC", amount("0.02"), fixed("53991")),
            ALL,
            ("Your price is 10% below the best bid, 59,990.00.",),
        ),
        (Intent("buy", "BTC", amount("0.02"), fixed("63010.50")), ALL, ()),
        (
            Intent("buy", "BTC", amount("0.02"), fixed("60010"), post_only=True),
            ALL,
            ("At this price the order would trade at once, so Bitget will refuse it as post-only.",),
        ),
        (Intent("sell", "BTC", Percent(D("33.33333333")), fixed("60000")), ALL, ()),
        (Intent("buy", "BTC", amount("0.02"), fixed("58000"), post_only=True), ALL, ()),
    ],
)
def test_draft_warns_of_what_differs_from_what_was_typed(
    intent: Intent, can: Capabilities, warnings: tuple[str, ...]
) -> None:
    """Rounding of typed values, conversions and prices through the market are said; computed values are not."""
    assert drafted(intent, can=can).warnings == warnings


def test_draft_market_order_through_a_thin_book_warns() -> None:
    """More than one per cent of slippage is named."""
    plan = drafted(Intent("buy", "BTC", amount("1")), balances=RICH)
    assert plan.warnings == ("The book is thin: on average 8.38% worse than the best price.",)


def test_draft_market_order_without_a_book_uses_the_best_price() -> None:
    """Without a book the ticker's price is assumed to hold."""
    plans = [drafted(Intent(side, "BTC", amount("0.1")), book=None) for side in ("buy", "sell")]
    shown = [(plan.average_price_estimate, plan.slippage) for plan in plans]
    assert shown == [(D(60010), D(0)), (D(59990), D(0))]
