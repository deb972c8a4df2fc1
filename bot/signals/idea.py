"""A trading idea as a signal tells it: side, pair, entry, targets, stop. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

from bot.contract.errors import UserError
from bot.contract.models import Side
from bot.trading.intent import Fixed, Intent, Size

MOST_TARGETS = 10

QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "TWD", "USD", "EUR", "BTC", "ETH")
"""What a pair written in one word may end with; the first that fits counts."""

_TICKER = re.compile(r"(?:[A-Z0-9_]{2,20}:)?([A-Z0-9]{1,15})(?:[/_-]([A-Z0-9]{2,8}))?(?:\.P|PERP)?")
_LEAST, _MOST = Decimal("1e-15"), Decimal("1e15")


@dataclass(frozen=True, slots=True)
class Idea:
    """What somebody thinks is worth trading.

    Attributes:
        side: `buy` or `sell`.
        pair: `BTC/USDT`; letters alone, as `ABCXYZ`, where the quote asset is not a usual one.
        entry: Nothing for the market price, one price, or the lower and the upper end of a range; quote per base.
        targets: Where to take profit, nearest first; quote per base.
        stop: Where to give up; quote per base.
    """

    side: Side
    pair: str
    entry: tuple[Decimal, ...] = ()
    targets: tuple[Decimal, ...] = ()
    stop: Decimal | None = None

    def to_json(self) -> str:
        """Return the idea as JSON text; `from_json` reads it back."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Idea:
        """Return the idea that `to_json` wrote."""
        found: dict[str, Any] = json.loads(text)
        stop = found["stop"]
        return cls(
            found["side"],
            found["pair"],
            tuple(map(Decimal, found["entry"])),
            tuple(map(Decimal, found["targets"])),
            None if stop is None else Decimal(stop),
        )


def pair_of(ticker: str) -> str:
    """Return the pair that a ticker means: `BTCUSDT`, `BTC/USDT`, `BINANCE:BTCUSDT` and `BTCUSDT.P` are `BTC/USDT`.

    Raises:
        UserError: `SIGNAL`: it is no ticker.
    """
    match = _TICKER.fullmatch(ticker.strip().upper())
    if match is None:
        raise UserError(f'"{ticker[:30]}" is no pair. Write it like BTC/USDT or BINANCE:BTCUSDT.', code="SIGNAL")
    if match[2]:
        return f"{match[1]}/{match[2]}"
    letters = match[1].removesuffix("PERP")
    quote = next((each for each in QUOTES if letters.endswith(each) and letters != each), "")
    return f"{letters.removesuffix(quote)}/{quote}" if quote else letters


def checked(idea: Idea) -> Idea:
    """Return the idea with its prices in order, if they make sense together.

    Raises:
        UserError: `SIGNAL`: a stop or a target is on the wrong side of the entry, or there is too much of something.
    """
    if len(idea.targets) > MOST_TARGETS:
        raise UserError(f"At most {MOST_TARGETS} targets, please.", code="SIGNAL")
    prices = (*idea.entry, *idea.targets, *(() if idea.stop is None else (idea.stop,)))
    if any(
        not price.is_finite() or not _LEAST < price < _MOST or len(price.as_tuple().digits) > 30 for price in prices
    ):
        raise UserError("A price of the signal cannot be one. Write prices like 60000 or 0.125.", code="SIGNAL")
    entry = (min(idea.entry), max(idea.entry)) if len(set(idea.entry)) > 1 else idea.entry[:1]
    rising = idea.side == "buy"
    targets = tuple(sorted(idea.targets, reverse=not rising))
    ladder = [*(() if idea.stop is None else (idea.stop,)), *(entry if rising else reversed(entry)), *targets]
    steps = tuple(pairwise(ladder))
    if any(second < first if rising else second > first for first, second in steps):
        below, above = ("below", "above") if rising else ("above", "below")
        raise UserError(
            f"These prices do not fit a {idea.side}: its stop is {below} the entry and its targets are {above} it.",
            code="SIGNAL",
        )
    return Idea(idea.side, idea.pair, entry, targets, idea.stop)


def intent_of(idea: Idea, size: Size | None, signal_id: int | None = None) -> Intent:
    """Return the order that follows an idea: a limit at the end of the range that still fits, or a market order.

    Args:
        idea: What to follow.
        size: How much, or `None` to be asked.
        signal_id: The signal it comes from; it is noted in the order.
    """
    price = None if not idea.entry else Fixed(idea.entry[-1] if idea.side == "buy" else idea.entry[0])
    return Intent(idea.side, idea.pair, size, price, note="" if signal_id is None else note_of(signal_id))


def note_of(signal_id: int) -> str:
    """Return the note of an order that follows a signal."""
    return f"signal {signal_id}"
