"""Candles of a strict local exchange: a wave around the last price, worked out from the time alone."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from bot.testing.ledger import Pair, round_down

_WAVE = (0, 3, 5, 4, 6, 2, -1, -4, -3, -6, -2, 1)


def candles_of(
    pair: Pair, step_ms: int, start_ms: int, end_ms: int
) -> Iterator[tuple[int, Decimal, Decimal, Decimal, Decimal]]:
    """Yield begin, open, high, low and close of each candle that begins between two times, oldest first."""
    wick = round_down(pair.last / 500, pair.price_places)
    for at_ms in range(-(-start_ms // step_ms) * step_ms, end_ms + 1, step_ms):
        first, last = (_wave(pair, at_ms // step_ms + ahead) for ahead in (0, 1))
        yield at_ms, first, max(first, last) + wick, min(first, last) - wick, last


def _wave(pair: Pair, turn: int) -> Decimal:
    return round_down(pair.last * (1000 + _WAVE[turn % len(_WAVE)]) / 1000, pair.price_places)
