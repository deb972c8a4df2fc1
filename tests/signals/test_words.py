"""Signals as people write them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bot import UserError
from bot.signals import words
from bot.signals.idea import Idea, intent_of, pair_of
from bot.signals.words import VALID_MS
from bot.trading.intent import Amount, Fixed, Intent


def d(*texts: str) -> tuple[Decimal, ...]:
    return tuple(map(Decimal, texts))


FULL = Idea("buy", "BTC/USDT", d("59500", "60200"), d("61800", "63000", "65000"), Decimal(58000))
FORMATS = {
    "one line": "BUY BTC/USDT 59500-60200 TP 61800 63000 65000 SL 58000",
    "card": "📣 BTC/USDT BUY 59,500–60,200\nTP 61,800 · 63,000 · 65,000 SL 58,000",
    "list": "#BTCUSDT LONG\nEntry: 59500 - 60200\nTargets: 61800, 63000, 65000\nStop loss: 58000",
    "numbered labels": "BTCUSDT BUY\nEntry zone: 59.5k - 60.2k\nTP1: 61800\nTP2: 63000\nTP3: 65000\nSL: 58000",
    "spelled": "$BTC/USDT long ENTRY 59500 to 60200 TARGET 1: 61800 TARGET 2: 63000 TARGET 3: 65000 STOP LOSS: 58000",
    "numbered targets": (
        "#BTC/USDT (Long)\nEntry Targets:\n1) 59500\n2) 60200\nTake-Profit Targets:\n1) 61800\n2) 63000\n3) 65000\n"
        "Stop Targets:\n1) 58000"
    ),
    "per cents": "BTCUSDT BUY 59500-60200 TP 61800 (3%) 63000 (5%) 65000 (8%) SL 58000 (-3%)",
    "keycaps": "BTC/USDT BUY @ 59500-60200 🎯 TP 1️⃣ 61800 2️⃣ 63000 3️⃣ 65000 🛑 SL 58000",
    "sold above": "BINANCE:BTCUSDT BUY 59500-60200 SELL 61800-63000-65000 SL 58000",
}


@pytest.mark.parametrize("text", FORMATS.values(), ids=FORMATS)
def test_words_each_format_reads_as_the_same_idea(text: str) -> None:
    """Nine ways to write one signal."""
    assert words.read(text) == words.Reading(FULL, VALID_MS, ())


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("sell eth/usdt", words.Reading(Idea("sell", "ETH/USDT"), VALID_MS, ())),
        ("BUY BTCUSDT now valid 2h", words.Reading(Idea("buy", "BTC/USDT"), 7_200_000, ())),
        ("BUY BTCUSDT valid 900d", words.Reading(Idea("buy", "BTC/USDT"), words.MOST_VALID_MS, ())),
        ("BUY BTCUSDT leverage: 10x", words.Reading(Idea("buy", "BTC/USDT"), VALID_MS, ("leverage 10x",))),
        ("BUY BTCUSDT moon", words.Reading(Idea("buy", "BTC/USDT"), VALID_MS, ("moon",))),
    ],
)
def test_words_shorter_ones_are_read(text: str, reading: words.Reading) -> None:
    """Market price, a validity, and words that a person must look at."""
    assert words.read(text) == reading


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("BUY 60000", "Which pair"),
        ("BTCUSDT 60000", "Buy or sell"),
        ("BUY BTCUSDT or SELL it", "both buy and sell"),
        ("BUY BTCUSDT ETHUSDT 60000", "two pairs"),
        ("BUY BTCUSDT 60000 SL 61000", "do not fit a buy"),
        ("SELL BTCUSDT 60000 TP 61000", "do not fit a sell"),
        ("BUY BTCUSDT 60000 SL 58000 57000", "more than one stop"),
        ("BUY XRPUSDT 0,125", "with a point"),
        ("BUY BTCUSDT 0", "cannot be one"),
        ("BUY BTCUSDT " + "x" * 2000, "too long"),
    ],
)
def test_words_what_cannot_be_meant_is_refused(text: str, says: str) -> None:
    """Whatever is missing or contradictory is named."""
    with pytest.raises(UserError, match=says):
        words.read(text)


@pytest.mark.parametrize(
    "ticker", ["BTCUSDT", "BTC/USDT", "BINANCE:BTCUSDT", "btc-usdt", "BITGET:BTCUSDT.P", " BTC_USDT "]
)
def test_pair_of_every_ticker_format_is_one_pair(ticker: str) -> None:
    """With and without exchange, separator and mark of a perpetual."""
    assert pair_of(ticker) == "BTC/USDT"


@pytest.mark.parametrize("ticker", ["", "BTC USDT", "A:B:C", "../x", "BTC/USDT/X", "x" * 99])
def test_pair_of_what_is_no_ticker_is_refused(ticker: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(UserError, match="no pair"):
        pair_of(ticker)


@pytest.mark.parametrize(("side", "price"), [("buy", "60200"), ("sell", "59500")])
def test_intent_of_a_range_takes_the_end_that_still_fits(side: str, price: str) -> None:
    """Never above the range for a buy, never below it for a sell; the signal is noted."""
    idea = Idea(side, "BTC/USDT", FULL.entry)  # type: ignore[arg-type]
    size = Amount(Decimal(50), "$")
    wanted = Intent(side, "BTC/USDT", size, Fixed(Decimal(price)), note="signal 7")  # type: ignore[arg-type]
    assert intent_of(idea, size, 7) == wanted
    assert Idea.from_json(FULL.to_json()) == FULL
