"""What cannot be ordered is refused with need and have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from bot.contract.models import Balance, Base, Capabilities, Market, OrderBook, Side
from bot.trading.intent import Fixed, Intent, Maximum, Offset, Percent, Reference, Size
from bot.trading.sizing import minimum_size
from tests.trading.draft.conftest import (
    ALL,
    BOOK,
    BTC,
    RICH,
    TICKER,
    XRP,
    D,
    amount,
    drafted,
    fixed,
    refused,
)

LIMIT = Intent("buy", "BTC", amount("0.01"), fixed("60000"))
MARKET = Intent("buy", "BTC", amount("0.01"))
PLAIN = Capabilities()


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
            "You have 12,000 USDT free on Bitget; this order needs 60,000 USDT.",
        ),
        (
            replace(LIMIT, side="sell", size=amount("0.6")),
            BTC,
            ALL,
            "NO_FUNDS",
            "You have 0.5 BTC free on Bitget; this order needs 0.6 BTC.",
        ),
        *(
            (
                replace(MARKET, side=side, size=amount(*size)),
                BTC,
                ALL,
                "NO_FUNDS",
                f"You have {have} free on Bitget; this order needs {need}.",
            )
            for side, size, have, need in (
                ("buy", ("2",), "12,000 USDT", "at least 120,020 USDT"),
                ("buy", ("1000000", "$"), "12,000 USDT", "1,000,000 USDT"),
                ("sell", ("99",), "0.5 BTC", "99 BTC"),
                ("sell", ("1000000", "$"), "0.5 BTC", "at least 16.67 BTC"),
            )
        ),
    ],
)
def test_draft_impossible_order_is_refused_with_need_and_have(
    intent: Intent, market: Market, can: Capabilities, code: str, message: str
) -> None:
    """Each reason has its code and a sentence with the exchange's name and both numbers."""
    assert refused(intent, market, can) == (code, message)


@pytest.mark.parametrize("size", [amount("2"), amount("200000", "$")])
def test_draft_of_what_one_has_but_the_book_does_not_is_refused_for_the_book(size: Size) -> None:
    """Only whoever has the money is told of the book."""
    code, message = refused(replace(MARKET, size=size), balances=RICH)
    assert (code, message) == (
        "THIN_BOOK",
        "The order book of BTC/USDT on Bitget is too thin for this: it shows only 1.5 BTC."
        " Use a smaller amount or a limit price (@).",
    )


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
