"""What a price costs that fires no alert: few alerts against many, in one process, in turns."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Sequence
from decimal import Decimal

from bench.rounds import table, write
from bot.alerts import rules
from bot.alerts.engine import Engine, Key
from bot.alerts.rules import ARMED, Level

FEW = 1000
SPREAD_OUT = (100_000, 1000)
ON_ONE = (1_000_000, 1)
NOW_MS = 1_790_000_000_000
FAR_MS = NOW_MS + 10**12
_MIDDLE = rules.scaled(Decimal(60000))
_STEP = rules.scaled(Decimal("0.01"))


def filled(count: int, pairs: int) -> tuple[Engine, list[Key]]:
    """Return an engine with `count` alerts on `pairs` pairs, half of them above and half below the price."""
    engine = Engine()
    keys: list[Key] = [("acme", f"PAIR{number}", "price") for number in range(pairs)]
    for number in range(count):
        is_above, away = number % 2 == 0, (1000 + number // 2) * _STEP
        at = _MIDDLE + away if is_above else _MIDDLE - away
        rule = Level(is_above, at, at - _STEP if is_above else at + _STEP)
        engine.put(number, keys[number // 2 % pairs], rule, ARMED, FAR_MS, NOW_MS)
    return engine, keys


def tick_seconds(engine: Engine, keys: Sequence[Key], ticks: int) -> float:
    """Return the seconds of one price, as it comes from a stream and fires nothing; and make sure that it does."""
    prices = [(keys[number % len(keys)], _MIDDLE + number % 7 * _STEP) for number in range(ticks)]
    tick, fired = engine.tick, 0
    began = time.perf_counter()
    for key, value in prices:
        if tick(key, value, NOW_MS):
            fired += 1
    seconds = time.perf_counter() - began
    if fired:
        raise RuntimeError(f"{fired} ticks fired; idle ones were to be measured")
    return seconds / ticks


def scan_seconds(count: int) -> float:
    """Return the seconds that one price costs a program that looks at every alert."""
    levels = [_MIDDLE + (1000 + number) * _STEP for number in range(count)]
    began = time.perf_counter()
    reached = [at for at in levels if at <= _MIDDLE]
    seconds = time.perf_counter() - began
    if reached:
        raise RuntimeError("an idle tick was to be measured")
    return seconds


def ratios(many: tuple[int, int], *, few: int, rounds: int, ticks: int) -> tuple[float, float, float]:
    """Return the seconds of a tick with few alerts and with many on as many pairs, and the median of their ratios."""
    count, pairs = many
    small, large = filled(few, pairs), filled(count, pairs)
    gc.collect()
    gc.freeze()
    found = []
    for number in range(rounds + 1):
        pair = tick_seconds(*small, ticks), tick_seconds(*large, ticks)
        if number:
            found.append(pair)
    gc.unfreeze()
    one, other = (statistics.median(each) for each in zip(*found, strict=True))
    return one, other, statistics.median(b / a for a, b in found)


def main(*, smoke: bool) -> None:
    """Measure, and write the table. See bench/README.md."""
    rows = []
    for count, pairs in (SPREAD_OUT, ON_ONE):
        many = (count // 100, max(1, pairs // 100)) if smoke else (count, pairs)
        one, other, ratio = ratios(many, few=FEW, rounds=3 if smoke else 9, ticks=2000 if smoke else 200_000)
        naive = scan_seconds(many[0])
        rows.append(
            [
                f"{many[0]:,} on {many[1]:,}",
                f"{one * 1e9:.0f} ns",
                f"{other * 1e9:.0f} ns",
                f"{ratio:.2f}",
                f"{naive / other:,.0f}",
            ]
        )
    head = ["alerts on pairs", f"tick, {FEW:,} alerts", "tick, all alerts", "ratio", "a scan of all, ratio"]
    text = table(head, rows)
    print(text)
    if not smoke:
        note = (
            "One process, rounds in turns, medians. The few alerts are on as many pairs. Goal for the ratio: 1.5.\n\n"
        )
        write("alerts", f"## A price that fires no alert\n\n{note}{text}")
