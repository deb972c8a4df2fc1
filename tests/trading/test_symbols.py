from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.contract.errors import UserError
from bot.contract.models import Market
from bot.trading.symbols import Symbols


def market(symbol: str) -> Market:
    base, quote = symbol.split("/")
    step = Decimal("0.01")
    return Market(
        symbol=symbol,
        exchange_symbol=base + quote,
        base=base,
        quote=quote,
        price_step=step,
        quantity_step=step,
        quote_step=step,
    )


HALTED = replace(market("OLD/USDT"), status="halted")
HALTED_TWIN = replace(market("XRP/USDT"), status="halted")
SYMBOLS = Symbols(
    [
        *map(market, ["ETH/BTC", "BTC/USDC", "BTC/EUR", "BTC/USDT", "ETH/USDT", "SOL/EUR", "SOL/GBP", "XRP/USDC"]),
        *map(market, ["DOGE/BTC", "1INCH/USDT", "A/BC", "AB/C"]),
        HALTED,
        HALTED_TWIN,
    ]
)


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("BTC/USDT", "BTC/USDT"),
        ("btcusdt", "BTC/USDT"),
        ("BTC-USDT", "BTC/USDT"),
        ("btc_usdt", "BTC/USDT"),
        ("btc:usdt", "BTC/USDT"),
        (" Btc / Usdt ", "BTC/USDT"),
        ("eth", "ETH/USDT"),  # ETH/BTC exists too, but is not what a lone coin is priced in
        ("doge", "DOGE/BTC"),  # the only one there is
        ("xrp", "XRP/USDC"),  # XRP/USDT is halted
        ("1inch", "1INCH/USDT"),
        ("a/bc", "A/BC"),
        ("ab-c", "AB/C"),
    ],
)
def test_resolve_any_spelling_is_the_market(text: str, symbol: str) -> None:
    """Each usual spelling, and a lone coin with one sensible quote, names one market."""
    assert SYMBOLS.resolve(text).symbol == symbol


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("btc", "AMBIGUOUS_PAIR", "Which pair do you mean: BTC/USDT or BTC/USDC?"),
        ("sol", "AMBIGUOUS_PAIR", "Which pair do you mean: SOL/EUR or SOL/GBP?"),
        ("abc", "AMBIGUOUS_PAIR", "Which pair do you mean: A/BC or AB/C?"),
        ("old", "MARKET_HALTED", "OLD/USDT is halted: it takes no orders now."),
        ("xrp/usdt", "MARKET_HALTED", "XRP/USDT is halted: it takes no orders now."),
        ("usdt/btc", "UNKNOWN_PAIR", 'There is no pair "USDT/BTC" here. Did you mean BTC/USDT?'),
        ("btc/usdd", "UNKNOWN_PAIR", 'There is no pair "BTC/USDD" here. Did you mean BTC/USDT, BTC/USDC or BTC/EUR?'),
        ("dogge", "UNKNOWN_PAIR", 'There is no pair "DOGGE" here. Did you mean DOGE/BTC?'),
        ("bt/cusdt", "UNKNOWN_PAIR", 'There is no pair "BT/CUSDT" here. Did you mean BTC/USDT?'),
        ("zzz", "UNKNOWN_PAIR", 'There is no pair "ZZZ" here. Write it like BTC/USDT.'),
        ("ВТС", "UNKNOWN_PAIR", 'There is no pair "ВТС" here. Write it like BTC/USDT.'),
        ("\u202ez\u200bz\n", "UNKNOWN_PAIR", 'There is no pair "ZZ" here. Write it like BTC/USDT.'),
        ("z" * 99, "UNKNOWN_PAIR", f'There is no pair "{"Z" * 30}" here. Write it like BTC/USDT.'),
        ("", "UNKNOWN_PAIR", 'There is no pair "" here. Write it like BTC/USDT.'),
    ],
)
def test_resolve_anything_else_says_what_would_work(text: str, code: str, message: str) -> None:
    """What is not one open market is refused with the pairs that were probably meant, and without hidden characters."""
    with pytest.raises(UserError) as caught:
        SYMBOLS.resolve(text)
    assert (caught.value.code, str(caught.value)) == (code, message)


def test_resolve_many_quotes_lists_four() -> None:
    """A coin with many quotes is answered with four of them, the usual ones first."""
    quotes = ["EUR", "USD", "TWD", "USDC", "USDT", "GBP"]
    symbols = Symbols(market(f"BTC/{quote}") for quote in quotes)
    with pytest.raises(UserError, match="BTC/USDT, BTC/USDC, BTC/TWD or BTC/USD\\?"):
        symbols.resolve("btc")
    assert symbols.suggest("btc") == ("BTC/USDT", "BTC/USDC", "BTC/TWD", "BTC/USD")


def test_get_exact_symbol_returns_halted_markets_too() -> None:
    """`get` looks nothing up but the exact symbol."""
    assert (SYMBOLS.get("OLD/USDT"), SYMBOLS.get("oldusdt")) == (HALTED, None)


@given(st.text(max_size=40))
def test_resolve_arbitrary_text_raises_user_errors_only(text: str) -> None:
    """Whatever is typed, the answer is a market or a sentence."""
    with suppress(UserError):
        assert SYMBOLS.resolve(text).status == "online"
