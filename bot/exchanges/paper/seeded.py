"""Markets for the demo: prices that wander, worked out from a seed and the time alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b

from bot.contract.models import Market, OrderBook

_LEVELS = 10
_BUCKET_MS = 1000
_OCTAVES = 8
_SCALE = 10**9
_LEAST_STEP = 200_000  # of _SCALE: how far the fastest octave moves a price, 0.02 %


@dataclass(frozen=True, slots=True)
class _Seeded:
    """One market: its rules, where its price begins, the value of its first level in quote asset, what moves it."""

    market: Market
    price: Decimal
    level_worth: int
    walks: tuple[str, ...]


def _market(symbol: str, price_step: str, quantity_step: str, min_notional: str) -> Market:
    base, quote = symbol.split("/")
    return Market(
        symbol=symbol,
        exchange_symbol=base + quote,
        base=base,
        quote=quote,
        price_step=Decimal(price_step),
        quantity_step=Decimal(quantity_step),
        quote_step=Decimal(1) if quote == "TWD" else Decimal("0.01"),
        min_quantity=Decimal(quantity_step),
        min_notional=Decimal(min_notional),
    )


_MARKETS = (
    _Seeded(_market("BTC/USDT", "0.01", "0.000001", "5"), Decimal(64_000), 900, ("BTC",)),
    _Seeded(_market("ETH/USDT", "0.01", "0.0001", "5"), Decimal(3_200), 700, ("ETH",)),
    _Seeded(_market("SOL/USDT", "0.01", "0.001", "5"), Decimal(150), 500, ("SOL",)),
    _Seeded(_market("XRP/USDT", "0.0001", "0.1", "5"), Decimal("0.55"), 400, ("XRP",)),
    _Seeded(_market("BTC/TWD", "1", "0.0001", "250"), Decimal(2_080_000), 30_000, ("BTC", "USDT")),
    _Seeded(_market("USDT/TWD", "0.001", "0.01", "250"), Decimal("32.5"), 20_000, ("USDT",)),
)

_CALM = {"USDT": 5}  # a walk that moves only a fifth as far


class SeededMarket:
    """Six markets that need no network. The same seed and the same second give the same books.

    Args:
        seed: Any number; another seed is another history.
        now_ms: The time, UTC milliseconds.
    """

    def __init__(self, seed: int, now_ms: Callable[[], int]) -> None:
        self._key = f"{seed}".encode()
        self._now_ms = now_ms
        self._by_symbol = {each.market.exchange_symbol: each for each in _MARKETS}

    async def markets(self) -> Sequence[Market]:
        """Return the markets."""
        return [each.market for each in _MARKETS]

    async def book(self, market: Market) -> OrderBook:
        """Return the ten best levels of each side now."""
        each = self._by_symbol[market.exchange_symbol]
        second = self._now_ms() // _BUCKET_MS
        middle = self._ticks(each, second)
        return OrderBook(self._side(each, second, middle, -1), self._side(each, second, middle, 1))

    def price(self, market: Market, at_ms: int) -> Decimal:
        """Return the middle of the book at a time, on the market's price step."""
        each = self._by_symbol[market.exchange_symbol]
        return self._ticks(each, at_ms // _BUCKET_MS) * market.price_step

    def _ticks(self, each: _Seeded, second: int) -> int:
        """Return the price in steps. Each octave is four times as slow and twice as wide, as in a random walk."""
        strays = sum(self._strays(walk, second) for walk in each.walks)  # BTC/TWD stays BTC/USDT times USDT/TWD
        begin = int(each.price / each.market.price_step)
        return begin + begin * strays // (_SCALE * _SCALE)

    def _strays(self, walk: str, second: int) -> int:
        total = 0
        for octave in range(_OCTAVES):
            period = 4**octave
            bucket, part = divmod(second, period)
            here, there = (self._noise(f"{walk} {octave} {number}") for number in (bucket, bucket + 1))
            total += (here * (period - part) + there * part) * (_LEAST_STEP << octave) // period
        return total // _CALM.get(walk, 1)

    def _side(self, each: _Seeded, second: int, middle: int, direction: int) -> tuple[tuple[Decimal, Decimal], ...]:
        gap = max(1, middle // 20_000)  # half a basis point between levels
        levels = []
        for number in range(_LEVELS):
            ticks = middle + direction * (1 + number * gap)
            price = ticks * each.market.price_step
            noise = self._noise(f"{each.market.symbol} {direction * (number + 1)} {second} size")
            worth = each.level_worth * (number + 1) * (_SCALE + noise // 2) // _SCALE
            steps = max(1, int(worth / (price * each.market.quantity_step)))
            levels.append((price, steps * each.market.quantity_step))
        return tuple(levels)

    def _noise(self, name: str) -> int:
        """Return a number between -_SCALE and _SCALE that depends on seed and name alone."""
        digest = blake2b(name.encode(), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest) % (2 * _SCALE + 1) - _SCALE
