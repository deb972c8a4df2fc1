"""Whatever is typed: whole steps, and never more than was meant or is owned."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from decimal import Decimal, localcontext

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.contract.errors import UserError
from bot.contract.models import Balance, Base, Capabilities, Market, OrderBook, Side
from bot.trading.intent import Amount, Fixed, Intent, Maximum, Offset, Percent, Reference
from bot.trading.sizing import minimum_size
from tests.trading.draft.conftest import (
    ALL,
    BASE_ONLY,
    QUOTE_ONLY,
    TICKER,
    D,
    drafted,
    refused,
)

EXAMPLES = 450

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


@settings(max_examples=EXAMPLES, deadline=None)
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


@settings(max_examples=EXAMPLES // 3, deadline=None)
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
