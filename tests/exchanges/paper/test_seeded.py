"""The demo's markets: repeatable, alive, and tradable."""

from decimal import Decimal
from itertools import pairwise

import pytest

from bot.exchanges.paper.seeded import SeededMarket

NOON = 1_767_268_800_000


async def everything(seed, now_ms):
    market = SeededMarket(seed, lambda: now_ms)
    return {each.symbol: await market.book(each) for each in await market.markets()}


async def test_books_of_the_same_seed_and_second_are_equal():
    """Two processes with one seed show the same books all through a second, and another seed shows others."""
    books = await everything(7, NOON)
    assert await everything(7, NOON + 999) == books
    others = await everything(8, NOON)
    assert [symbol for symbol in books if books[symbol] == others[symbol]] == []


async def test_prices_move_visibly_and_stay_near_their_beginning():
    """A price changes in most seconds, by little in a minute, and in months it stays in a band a sixth wide."""
    seeded = SeededMarket(7, lambda: NOON)
    for market in await seeded.markets():
        minute = [seeded.price(market, NOON + second * 1000) for second in range(60)]
        months = [seeded.price(market, NOON + hour * 3_600_000) for hour in range(24 * 90)]
        assert sum(now != then for then, now in pairwise(minute)) >= 30, market.symbol
        assert max(minute) - min(minute) < minute[0] / 50, market.symbol
        assert min(months) * Decimal("1.17") > max(months), market.symbol
        assert len(set(months)) > 100, market.symbol


@pytest.mark.parametrize("second", range(0, 4000, 101))
async def test_books_are_ten_ordered_levels_on_the_market_s_steps(second):
    """Bids fall, asks rise, they never cross, and every number is one that the market would accept."""
    seeded = SeededMarket(7, lambda: NOON + second * 1000)
    for market in await seeded.markets():
        book = await seeded.book(market)
        prices = [price for price, _ in (*reversed(book.bids), *book.asks)]
        assert prices == sorted(set(prices))
        assert (len(book.bids), len(book.asks)) == (10, 10)
        middle = (book.bids[0][0] + book.asks[0][0]) / 2
        assert middle == seeded.price(market, NOON + second * 1000)
        for price, quantity in (*book.bids, *book.asks):
            assert price > 0
            assert not price % market.price_step
            assert quantity >= market.min_quantity
            assert not quantity % market.quantity_step


async def test_price_of_btc_in_twd_follows_the_two_it_is_made_of():
    """BTC/TWD is BTC/USDT times USDT/TWD but for a tenth of a percent, so two valuations of one account agree."""
    seeded = SeededMarket(7, lambda: NOON)
    by_symbol = {market.symbol: market for market in await seeded.markets()}
    for hour in range(200):
        at_ms = NOON + hour * 3_600_000
        in_usdt, in_twd, rate = (
            seeded.price(by_symbol[symbol], at_ms) for symbol in ("BTC/USDT", "BTC/TWD", "USDT/TWD")
        )
        assert abs(in_usdt * rate / in_twd - 1) < Decimal("0.001")
