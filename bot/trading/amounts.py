"""Amounts of money: exact arithmetic, rounding to a step, and how they are written. No I/O."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_UP, Context, Decimal

EXACT = Context(prec=120, rounding=ROUND_DOWN)
"""Arithmetic on money. The default context keeps 28 digits, fewer than an amount with 18 decimals times a price."""


def round_down(value: Decimal, step: Decimal) -> Decimal:
    """Return the largest multiple of `step` that is not above `value`, which is not negative."""
    return value // step * step


def round_up(value: Decimal, step: Decimal) -> Decimal:
    """Return the smallest multiple of `step` that is not below `value`, which is not negative."""
    below = round_down(value, step)
    return below if below == value else below + step


def format_amount(value: Decimal) -> str:
    """Write `value` in full: thousands grouped, no exponent, no trailing zeros. For people: `300,000.5`."""
    return _trimmed(format(value, ",f"))


def format_typed(value: Decimal) -> str:
    """Write `value` as it may be typed, and as other programs read it: as `format_amount`, but nothing is grouped."""
    return _trimmed(format(value, "f"))


def _trimmed(text: str) -> str:
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def format_price(value: Decimal, step: Decimal) -> str:
    """Write `value` with as many decimals as `step` has: `60,000.00`."""
    exponent = step.normalize(EXACT).as_tuple().exponent
    assert isinstance(exponent, int), "a price step is a finite number"
    return _fixed(value, max(0, -exponent), ROUND_HALF_EVEN)


def format_percent(fraction: Decimal) -> str:
    """Write a fraction as per cent with at most two decimals: `-0.68%` for -0.0068."""
    text = _fixed(EXACT.multiply(fraction, Decimal(100)), 2, ROUND_HALF_EVEN)
    return text.rstrip("0").rstrip(".") + "%"


def format_money(value: Decimal) -> str:
    """Write an amount of money: two decimals, or four digits where it is below one; rounded towards zero."""
    places = 2 if not value or abs(value) >= 1 else min(8, 3 - value.adjusted())
    whole, _, decimals = _fixed(value, places, ROUND_DOWN).partition(".")
    return f"{whole}.{decimals[:2]}{decimals[2:].rstrip('0')}"


def format_shortfall(have: Decimal, need: Decimal) -> tuple[str, str]:
    """Write what there is, rounded down, and the larger amount that is needed, rounded up: they never read as equal."""
    finest = max(2, 3 - need.adjusted(), 1 - EXACT.subtract(need, have).adjusted())
    unit = Decimal(1).scaleb(-min(finest, 18))
    return format_amount(have.quantize(unit, ROUND_DOWN, EXACT)), format_amount(need.quantize(unit, ROUND_UP, EXACT))


def _fixed(value: Decimal, decimals: int, rounding: str) -> str:
    rounded = value.quantize(Decimal(1).scaleb(-decimals), rounding, EXACT)
    return format(rounded or abs(rounded), ",f")
