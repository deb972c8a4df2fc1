from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.contract.errors import UserError
from bot.contract.models import Balance, Base, Capabilities, Market, OrderBook, Quote, Side, Ticker
from bot.trading.draft import Draft, draft
from bot.trading.intent import Amount, Fixed, Intent, Maximum, Offset, Percent, Price, Reference, Size
from bot.trading.sizing import minimum_size

D = Decimal
BTC = Market(
    symbol="BTC/USDT",
    exchange_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    price_step=D("0.01"),
    quantity_step=D("0.000001"),
    quote_step=D("0.01"),
    min_quantity=D("0.0001"),
    max_quantity=D(100),
    min_notional=D(5),
    min_market_buy_quote=D(10),
    maker_fee=D("0.0008"),
    taker_fee=D("0.001"),
)
TICKER = Ticker(exchange_symbol="BTCUSDT", last=D(60000), bid=D(59990), ask=D(60010))
BOOK = OrderBook(
    bids=((D(59990), D("0.1")), (D(59900), D("0.4")), (D(50000), D(1))),
    asks=((D(60010), D("0.1")), (D(60100), D("0.4")), (D(70000), D(1))),
)
ALL = Capabilities(
    order_types=frozenset({"limit", "market", "stop_limit", "stop_market"}),
    times_in_force=frozenset({"GTC", "IOC", "FOK"}),
    post_only=True,
    market_buy_in=frozenset({"base", "quote"}),
)
QUOTE_ONLY = replace(ALL, market_buy_in=frozenset({"quote"}))
BASE_ONLY = replace(ALL, market_buy_in=frozenset({"base"}))
BALANCES = {"BTC": Balance("BTC", D("0.5"), D(0)), "USDT": Balance("USDT", D(12000), D(0))}


def amount(value: str, asset: str | None = None) -> Amount:
    return Amount(D(value), asset)


def fixed(value: str) -> Fixed:
    return Fixed(D(value))


def drafted(intent: Intent, market: Market = BTC, can: Capabilities = ALL, **given: Any) -> Draft:
    facts: dict[str, Any] = {"ticker": TICKER, "book": BOOK, "balances": BALANCES, "title": "Bitget"} | given
    return draft(intent, market, can, **facts)


def refused(intent: Intent, market: Market = BTC, can: Capabilities = ALL, **given: Any) -> tuple[str, str]:
    with pytest.raises(UserError) as caught:
        drafted(intent, market, can, **given)
    return caught.value.code, str(caught.value)


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


RICH = {"USDT": Balance("USDT", D(10**6), D(0)), "BTC": Balance("BTC", D(100), D(0))}


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


LIMIT = Intent("buy", "BTC", amount("0.01"), fixed("60000"))
MARKET = Intent("buy", "BTC", amount("0.01"))
PLAIN = Capabilities()
XRP = replace(
    BTC,
    symbol="XRP/USDT",
    base="XRP",
    min_notional=D(10),
    min_quantity=D(0),
    min_market_buy_quote=D(0),
    max_quantity=None,
)


@pytest.mark.parametrize(
    ("intent", "market", "can", "code", "message"),
    [
        (
            LIMIT,
            replace(BTC, status="halted"),
            ALL,
            "MARKET_HALTED",
            "BTC/USDT is halted on Bitget: it takes no orders now.",
        ),
        (
            replace(LIMIT, stop=fixed("61000")),
            BTC,
            PLAIN,
            "UNSUPPORTED",
            "Bitget takes no stop-limit orders; what works: limit, market.",
        ),
        (
            replace(LIMIT, post_only=True),
            BTC,
            PLAIN,
            "UNSUPPORTED",
            "Bitget takes no post-only orders; a limit order without post works.",
        ),
        (
            replace(LIMIT, time_in_force="FOK"),
            BTC,
            replace(PLAIN, times_in_force=frozenset({"GTC", "IOC"})),
            "UNSUPPORTED",
            "Bitget takes no FOK orders; what works: GTC, IOC.",
        ),
        (
            replace(MARKET, post_only=True),
            BTC,
            ALL,
            "POST_ONLY",
            "post needs a plain limit order: give a limit price with @ and leave out stop.",
        ),
        (
            replace(LIMIT, stop=fixed("61000"), post_only=True),
            BTC,
            ALL,
            "POST_ONLY",
            "post needs a plain limit order: give a limit price with @ and leave out stop.",
        ),
        (
            replace(LIMIT, post_only=True, time_in_force="IOC"),
            BTC,
            ALL,
            "POST_ONLY",
            "post and ioc exclude each other: leave one of them out.",
        ),
        (
            replace(MARKET, time_in_force="IOC"),
            BTC,
            ALL,
            "TIME_IN_FORCE",
            "ioc needs a limit price: give one with @ or leave ioc out.",
        ),
        (
            replace(LIMIT, stop=Fixed(D(61000)), time_in_force="IOC"),
            BTC,
            ALL,
            "TIME_IN_FORCE",
            "A stop order is always GTC: leave ioc out.",
        ),
        (replace(LIMIT, size=None), BTC, ALL, "NO_SIZE", "How much? Give an amount like 0.1, $250, 25% or max."),
        (replace(LIMIT, size=amount("0")), BTC, ALL, "SIZE", "The amount must be above zero, not 0."),
        (replace(LIMIT, size=amount("-1")), BTC, ALL, "SIZE", "The amount must be above zero, not -1."),
        (
            replace(LIMIT, size=Percent(D(101))),
            BTC,
            ALL,
            "SIZE",
            "The share must be above 0% and at most 100%, not 101%.",
        ),
        (replace(LIMIT, size=Percent(D(0))), BTC, ALL, "SIZE", "The share must be above 0% and at most 100%, not 0%."),
        (
            replace(LIMIT, size=amount("5", "ETH")),
            BTC,
            ALL,
            "ASSET",
            "An order for BTC/USDT is sized in BTC or USDT, not in ETH. Write for example 25usdt.",
        ),
        (
            replace(LIMIT, size=amount("250", "$")),
            replace(BTC, symbol="BTC/TWD", quote="TWD"),
            ALL,
            "ASSET",
            "An order for BTC/TWD is sized in BTC or TWD, not in $. Write for example 25twd.",
        ),
        (replace(LIMIT, price=fixed("0")), BTC, ALL, "PRICE", "The price must be above zero, not 0."),
        (replace(LIMIT, price=Offset(D(-100))), BTC, ALL, "PRICE", "The price must be above zero, not 0."),
        (
            replace(LIMIT, price=fixed("0.001")),
            BTC,
            ALL,
            "PRICE_STEP",
            "0.001 is below the smallest price of BTC/USDT on Bitget, 0.01 USDT.",
        ),
        (
            replace(MARKET, stop=fixed("60000")),
            BTC,
            ALL,
            "STOP_SIDE",
            "A stop to buy triggers above the last price, 60,000.00; yours is 60,000.00.",
        ),
        (
            replace(MARKET, side="sell", stop=fixed("60000")),
            BTC,
            ALL,
            "STOP_SIDE",
            "A stop to sell triggers below the last price, 60,000.00; yours is 60,000.00.",
        ),
        (
            replace(LIMIT, size=amount("0.0000001")),
            BTC,
            ALL,
            "MIN_QUANTITY",
            "Bitget needs at least 0.0001 BTC for BTC/USDT; yours, rounded down, is 0.",
        ),
        (
            replace(LIMIT, size=amount("0.00009")),
            BTC,
            ALL,
            "MIN_QUANTITY",
            "Bitget needs at least 0.0001 BTC for BTC/USDT; yours, rounded down, is 0.00009.",
        ),
        (
            replace(LIMIT, size=amount("100.5")),
            BTC,
            ALL,
            "MAX_QUANTITY",
            "Bitget takes at most 100 BTC for BTC/USDT; yours is 100.5.",
        ),
        (
            Intent("buy", "XRP", amount("3.7"), fixed("2")),
            XRP,
            ALL,
            "MIN_NOTIONAL",
            "Bitget needs at least 10 USDT for XRP/USDT; yours is 7.40.",
        ),
        (
            replace(MARKET, size=amount("9.99", "$")),
            BTC,
            ALL,
            "MIN_NOTIONAL",
            "Bitget needs at least 10 USDT for BTC/USDT; yours is 9.99.",
        ),
        (
            replace(MARKET, size=amount("9.99", "$")),
            replace(BTC, min_market_buy_quote=D(0), min_notional=D(11)),
            ALL,
            "MIN_NOTIONAL",
            "Bitget needs at least 11 USDT for BTC/USDT; yours is 9.99.",
        ),
        (
            replace(MARKET, size=amount("0.001", "$")),
            replace(BTC, min_market_buy_quote=D(0), min_notional=D(0)),
            ALL,
            "MIN_NOTIONAL",
            "Bitget needs at least 0.01 USDT for BTC/USDT; yours is 0.00.",
        ),
        (
            replace(LIMIT, size=amount("1")),
            BTC,
            ALL,
            "NO_FUNDS",
            "You have 12000 USDT free on Bitget; this order needs 60000 USDT.",
        ),
        (
            replace(LIMIT, side="sell", size=amount("0.6")),
            BTC,
            ALL,
            "NO_FUNDS",
            "You have 0.5 BTC free on Bitget; this order needs 0.6 BTC.",
        ),
        (
            replace(MARKET, size=amount("2")),
            BTC,
            ALL,
            "THIN_BOOK",
            "The order book of BTC/USDT on Bitget is too thin for this: it shows only 1.5 BTC."
            " Use a smaller amount or a limit price (@).",
        ),
        (
            replace(MARKET, size=amount("1000000", "$")),
            BTC,
            ALL,
            "THIN_BOOK",
            "The order book of BTC/USDT on Bitget is too thin for this: it shows only 1.5 BTC."
            " Use a smaller amount or a limit price (@).",
        ),
    ],
)
def test_draft_impossible_order_is_refused_with_need_and_have(
    intent: Intent, market: Market, can: Capabilities, code: str, message: str
) -> None:
    """Each reason has its code and a sentence with the exchange's name and both numbers."""
    assert refused(intent, market, can) == (code, message)


def test_draft_exactly_at_the_limits_is_accepted() -> None:
    """Minimums and the maximum are themselves allowed, and the last coin may be spent."""
    least = Intent("buy", "BTC", amount("0.0001"), fixed("50000"))  # 5 USDT, the least notional
    most = Intent("sell", "BTC", amount("100"), fixed("60000"))
    assert [drafted(intent, balances=RICH).size for intent in (least, most)] == [Base(D("0.0001")), Base(D(100))]


@pytest.mark.parametrize(("side", "size"), [("buy", Percent(D(25))), ("buy", Maximum()), ("sell", Maximum())])
def test_draft_share_of_nothing_is_refused(side: Side, size: Size) -> None:
    """A share of an empty or absent balance is no order."""
    asset = "USDT" if side == "buy" else "BTC"
    expected = ("NO_FUNDS", f"You have no {asset} free on Bitget.")
    empty: list[Mapping[str, Balance]] = [{}, {asset: Balance(asset, D(0), D(5))}]
    assert [refused(Intent(side, "BTC", size), balances=balances) for balances in empty] == [expected] * 2


@pytest.mark.parametrize(
    ("intent", "facts", "name"),
    [
        (MARKET, {"ticker": None, "book": None}, "last"),
        (replace(LIMIT, price=Offset(D(-2))), {"ticker": None}, "last"),
        (replace(LIMIT, stop=fixed("61000")), {"ticker": None}, "last"),
        (replace(LIMIT, price=Reference("bid")), {"ticker": None, "book": None}, "bid"),
        (replace(LIMIT, price=Reference("ask")), {"book": OrderBook(BOOK.bids, ())}, "ask"),
        (replace(LIMIT, price=Reference("mid")), {"ticker": replace(TICKER, ask=None), "book": None}, "mid"),
    ],
)
def test_draft_price_not_known_is_asked_for(intent: Intent, facts: dict[str, Any], name: str) -> None:
    """What depends on the market is refused while the market's price is not known."""
    message = f"Bitget shows no {name} price for BTC/USDT just now. Try again, or name a price: @ 60000."
    assert refused(intent, **facts) == ("NO_PRICE", message)


def test_draft_market_order_against_an_empty_side_is_refused() -> None:
    """Nobody sells: there is nothing to buy."""
    assert refused(MARKET, book=None, ticker=replace(TICKER, ask=None))[0] == "THIN_BOOK"


def test_minimum_size_is_what_the_refusal_asked_for() -> None:
    """The least size is rounded up to whole lots, and the order made of it is accepted."""
    price = D("0.7")
    size = minimum_size(replace(XRP, quantity_step=D("0.1")), price)
    assert size == amount("10.01", "USDT")  # 14.3 XRP; 14.2 would be 9.94


steps = st.integers(0, 18).map(lambda places: D(1).scaleb(-places)) | st.sampled_from([D(10), D("0.5"), D("0.025")])


def money(smallest: str = "0.000000000000000001", largest: str = "1000000000000") -> st.SearchStrategy[Decimal]:
    return st.decimals(smallest, largest, places=18, allow_nan=False, allow_infinity=False)


levels = st.lists(st.tuples(money("0.0001", "100000"), money()), min_size=1, max_size=4)
markets = st.builds(
    Market,
    symbol=st.just("BTC/USDT"),
    exchange_symbol=st.just("BTCUSDT"),
    base=st.just("BTC"),
    quote=st.just("USDT"),
    price_step=steps,
    quantity_step=steps,
    quote_step=steps,
    min_quantity=st.sampled_from([D(0), D("0.0007"), D(3)]),
    min_notional=st.sampled_from([D(0), D("0.37"), D(10)]),
)
sizes = st.one_of(
    st.builds(Amount, money(), st.sampled_from([None, "BTC", "USDT", "$"])),
    st.builds(Percent, st.decimals("0.01", 100, places=2)),
    st.just(Maximum()),
)
prices = st.one_of(
    st.none(),
    st.builds(Fixed, money("0.0001", "100000")),
    st.builds(Offset, st.decimals(-50, 50, places=2)),
    st.builds(Reference, st.sampled_from(["bid", "ask", "mid"])),
)
intents = st.builds(
    Intent, st.sampled_from(["buy", "sell"]), st.just("BTC"), sizes, prices, st.none() | prices.filter(bool)
)


@settings(max_examples=1500, deadline=None)
@given(
    intent=intents,
    market=markets,
    can=st.sampled_from([ALL, QUOTE_ONLY, BASE_ONLY]),
    bids=levels.map(lambda side: tuple(sorted(side, reverse=True))),
    asks=levels.map(lambda side: tuple(sorted(side))),
    has_book=st.booleans(),
    free=st.tuples(money(), money()),
)
def test_draft_is_never_above_what_was_typed_or_owned(
    *,
    intent: Intent,
    market: Market,
    can: Capabilities,
    bids: tuple[tuple[Decimal, Decimal], ...],
    asks: tuple[tuple[Decimal, Decimal], ...],
    has_book: bool,
    free: tuple[Decimal, Decimal],
) -> None:
    """Whatever market, steps and wish: whole steps, at most what was typed, at most what is owned, or a sentence."""
    balances = {"BTC": Balance("BTC", free[0], D(0)), "USDT": Balance("USDT", free[1], D(0))}
    ticker = replace(TICKER, last=bids[0][0], bid=bids[0][0], ask=asks[0][0])
    book = OrderBook(bids, asks) if has_book else None
    with suppress(UserError), localcontext(prec=120):
        plan = drafted(intent, market, can, ticker=ticker, book=book, balances=balances)
        step = market.quantity_step if isinstance(plan.size, Base) else market.quote_step
        assert plan.size.amount > 0
        assert plan.size.amount % step == 0
        for price, typed in ((plan.price, intent.price), (plan.stop_price, intent.stop)):
            assert (price is None) == (typed is None)
            assert price is None or (price > 0 and price % market.price_step == 0)
            if price and isinstance(typed, Fixed):
                assert price <= typed.value if intent.side == "buy" else price >= typed.value
        assert plan.spends_amount <= plan.free_before == balances[plan.spends_asset].free
        assert plan.free_after == plan.free_before - plan.spends_amount >= 0
        if isinstance(intent.size, Percent):
            assert plan.spends_amount * 100 <= plan.free_before * intent.size.value
        if isinstance(intent.size, Amount) and intent.size.asset in (None, "BTC"):
            assert plan.quantity_estimate <= intent.size.value
        if isinstance(intent.size, Amount) and intent.size.asset in ("$", "USDT"):
            assert plan.notional_estimate <= intent.size.value
        if plan.price is not None and isinstance(plan.size, Base):
            assert plan.notional_estimate == plan.size.amount * plan.price


@settings(max_examples=500, deadline=None)
@given(market=markets, lots=st.integers(1, 10**9), side=st.sampled_from(["buy", "sell"]))
def test_minimum_size_is_accepted_and_one_lot_less_is_not(market: Market, lots: int, side: Side) -> None:
    """The size on the "raise" button passes every minimum, and nothing smaller would."""
    price = market.price_step * lots
    wealth = {asset: Balance(asset, D(10) ** 40, D(0)) for asset in ("BTC", "USDT")}
    market = replace(market, quote_step=D("1e-40"))
    with localcontext(prec=120):
        size = minimum_size(market, price)
        plan = drafted(Intent(side, "BTC", size, Fixed(price)), market, balances=wealth)
        less = Intent(side, "BTC", Amount(plan.size.amount - market.quantity_step, None), Fixed(price))
    assert refused(less, market, balances=wealth)[0] in {"MIN_QUANTITY", "MIN_NOTIONAL", "SIZE"}
