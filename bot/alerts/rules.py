"""What an alert waits for, and when that has happened. Pure, and in whole numbers: no Decimal is compared on a tick.

A value is a price, a spread or a volume, scaled by 10**18. A level fires once per crossing: after that it rests until
the value went back by its `back`. A move looks at the lowest and the highest value of its window.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Context, Decimal
from typing import TypeAlias

DECIMALS = 18
PERCENT = 10**6
"""Parts of one per cent that a percentage is counted in."""

_WHOLE = 100 * PERCENT
_EXACT = Context(prec=120, rounding=ROUND_FLOOR)


@dataclass(frozen=True, slots=True)
class Level:
    """Fires when the value reaches `at` from the other side.

    Attributes:
        above: Whether from below.
        at: The level.
        back: How far the value must return before it may fire again.
        every_ms: Least time between two firings; `None` fires once.
    """

    above: bool
    at: int
    back: int
    every_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """Fires when the value left the lowest or highest of the last `window_ms` by `parts` of `PERCENT` per cent.

    Attributes:
        parts: How far, in parts of `PERCENT` per cent.
        window_ms: How long to look back.
        every_ms: Least time between two firings; `None` fires once.
    """

    parts: int
    window_ms: int
    every_ms: int | None = None


Rule: TypeAlias = Level | Move


@dataclass(frozen=True, slots=True)
class State:
    """What an alert remembers.

    Attributes:
        is_armed: Whether reaching the level would be a crossing.
        quiet_until_ms: Nothing fires before: the time between two firings, or a snooze.
    """

    is_armed: bool = True
    quiet_until_ms: int = 0


ARMED = State()


def scaled(value: Decimal) -> int:
    """Return a value as a whole number. Digits after the eighteenth are cut off."""
    return int(value.scaleb(DECIMALS, _EXACT))


def unscaled(value: int) -> Decimal:
    """Return what `scaled` made whole."""
    return Decimal(value).scaleb(-DECIMALS, _EXACT)


def level(at: Decimal, *, above: bool, back_percent: Decimal, every_ms: int | None) -> Level:
    """Return a level that rearms `back_percent` per cent on the other side of `at`, at least one unit away."""
    whole = scaled(at)
    away = max(1, whole * parts(back_percent) // _WHOLE)
    return Level(above, whole, whole - away if above else whole + away, every_ms)


def parts(percent: Decimal) -> int:
    """Return a percentage as `Move` counts it."""
    return int(percent.scaleb(6, _EXACT))


def risen_to(low: int, parts: int) -> int:
    """Return the least value that is `parts` above `low`."""
    return -(-low * (_WHOLE + parts) // _WHOLE)


def fallen_to(high: int, parts: int) -> int:
    """Return the greatest value that is `parts` below `high`."""
    return high * (_WHOLE - parts) // _WHOLE


def after_value(rule: Level, state: State, value: int, now_ms: int) -> tuple[bool, State]:
    """Say whether a level fires at `value`, and what it remembers then."""
    is_beyond = value >= rule.at if rule.above else value <= rule.at
    if not state.is_armed:
        is_back = value <= rule.back if rule.above else value >= rule.back
        return False, State(is_armed=True, quiet_until_ms=state.quiet_until_ms) if is_back else state
    if is_beyond and now_ms >= state.quiet_until_ms:
        return True, State(is_armed=False, quiet_until_ms=now_ms + (rule.every_ms or 0))
    return False, state


def after_move(  # noqa: PLR0917
    rule: Move, state: State, value: int, low: int, high: int, now_ms: int
) -> tuple[bool, State]:
    """Say whether a move fires at `value`, with the lowest and highest of its window, and what it remembers then.

    It rests for a whole window at least: what it saw would otherwise fire it again.
    """
    has_moved = value >= risen_to(low, rule.parts) or value <= fallen_to(high, rule.parts)
    if not has_moved or now_ms < state.quiet_until_ms:
        return False, state
    return True, State(quiet_until_ms=now_ms + max(rule.every_ms or 0, rule.window_ms))
