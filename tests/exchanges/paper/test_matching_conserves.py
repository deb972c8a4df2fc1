"""Whatever is done in whatever order, no amount appears and none gets lost."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from bot.contract.models import Market, OrderBook
from bot.exchanges.paper import matching
from bot.exchanges.paper.state import PaperOrder, PaperState, Refusal, exact

MARKET = Market(
    symbol="ETH/BTC",
    exchange_symbol="ETHBTC",
    base="ETH",
    quote="BTC",
    price_step=Decimal("0.00001"),
    quantity_step=Decimal("0.0001"),
    quote_step=Decimal("0.00000001"),
    maker_fee=Decimal("-0.00005"),
    taker_fee=Decimal("0.000775"),
)
START = {"ETH": Decimal("3.000000000000000001"), "BTC": Decimal("1.23456789")}

prices = st.integers(4900, 5100).map(lambda ticks: ticks * MARKET.price_step)
quantities = st.integers(1, 30_000).map(lambda steps: steps * MARKET.quantity_step)


@st.composite
def books(draw):
    middle = draw(st.integers(4900, 5100))
    sides = [
        tuple(
            ((middle + sign * (number + 1)) * MARKET.price_step, draw(quantities))
            for number in range(draw(st.integers(0, 3)))
        )
        for sign in (-1, 1)
    ]
    return OrderBook(*sides)


@st.composite
def orders(draw):
    kind = draw(st.sampled_from(["limit", "market", "stop_limit", "stop_market"]))
    side = draw(st.sampled_from(["buy", "sell"]))
    in_quote = side == "buy" and "market" in kind and draw(st.booleans())
    return PaperOrder(
        client_order_id=str(draw(st.integers(0, 8))),
        symbol=MARKET.exchange_symbol,
        side=side,
        type=kind,
        price=draw(prices) if "limit" in kind else None,
        stop_price=draw(prices) if "stop" in kind else None,
        quantity=None if in_quote else draw(quantities),
        funds=draw(st.integers(1, 10**8)) * MARKET.quote_step if in_quote else None,
        time_in_force=draw(st.sampled_from(["GTC", "IOC", "FOK"])) if kind == "limit" else "GTC",
        post_only=kind == "limit" and draw(st.booleans()),
    )


def act(state, step, book):
    try:
        if isinstance(step, PaperOrder):
            matching.place(state, step, book, MARKET, 1)
        elif isinstance(step, OrderBook):
            matching.settle(state, MARKET.exchange_symbol, step, MARKET, 1)
        elif step == 0:
            matching.cancel_all(state, MARKET.exchange_symbol)
        else:
            matching.cancel(state, str(step))
    except Refusal:
        pass


def expected_totals(fills):
    totals = dict(START)
    for fill in fills:
        sign = 1 if fill.side == "buy" else -1
        totals["ETH"] += sign * fill.quantity
        totals["BTC"] -= sign * fill.quantity * fill.price
        totals[fill.fee_asset] -= fill.fee
    return totals


@given(st.lists(st.tuples(books(), st.one_of(orders(), books(), st.integers(0, 12))), max_size=25))
def test_any_sequence_changes_totals_by_fills_and_fees_exactly(steps):
    """Totals are the start plus fills less fees to the last digit; nothing is negative; done orders hold nothing."""
    state = PaperState(free=dict(START))
    for book, step in steps:
        act(state, step, book)
        state = PaperState.from_json(state.to_json())
        rows = {row.asset: row for row in state.balances()}
        with exact():
            totals = {asset: rows[asset].free + rows[asset].locked if asset in rows else Decimal(0) for asset in START}
            assert totals == expected_totals(state.fills)
        assert min([amount for row in rows.values() for amount in (row.free, row.locked)], default=0) >= 0
        for order in state.orders:
            mine = [fill for fill in state.fills if fill.exchange_order_id == str(order.id)]
            with exact():
                assert sum(fill.quantity for fill in mine) == order.filled
                assert sum(fill.quantity * fill.price for fill in mine) == order.notional
            assert order.filled <= (order.quantity or order.filled)
            assert order.notional <= (order.funds or order.notional)
            assert order.locked > 0 if order.is_open else order.locked == 0
            if order.state == "filled":
                assert order.filled > 0
            assert order.state != "filled" or order.quantity in (None, order.filled)
            if order.price is not None:
                worst = max if order.side == "buy" else min
                assert worst([order.price, *(fill.price for fill in mine)]) == order.price
