"""What a person asked for, before markets and prices are known, and how amounts are written. No I/O."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Literal, TypeAlias

import msgspec

from bot.contract.models import Side, TimeInForce

EXACT = Context(prec=120, rounding=ROUND_DOWN)
"""Arithmetic on money. The default context keeps 28 digits, fewer than an amount with 18 decimals times a price."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A size in an asset: `None` is the base asset, `$` the dollar that the market is quoted in."""

    value: Decimal
    asset: str | None


@dataclass(frozen=True, slots=True)
class Percent:
    """A share of what is free, `Percent(Decimal(25))` for 25 %: of the quote for a buy, of the base for a sell."""

    value: Decimal


@dataclass(frozen=True, slots=True)
class Maximum:
    """All that is free."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A price, quote per base."""

    value: Decimal


@dataclass(frozen=True, slots=True)
class Offset:
    """A price relative to the last one, `Offset(Decimal(-2))` for 2 % below it."""

    percent: Decimal


@dataclass(frozen=True, slots=True)
class Reference:
    """A price read from the order book when the draft is made."""

    at: Literal["bid", "ask", "mid"]


Size: TypeAlias = Amount | Percent | Maximum
Price: TypeAlias = Fixed | Offset | Reference

_KINDS: dict[str, type[Size | Price]] = {
    kind.__name__: kind for kind in (Amount, Percent, Maximum, Fixed, Offset, Reference)
}


@dataclass(frozen=True, slots=True)
class Intent:
    """An order as it was asked for. What was not said is `None`; without `price` it is a market order.

    Attributes:
        side: `buy` or `sell`.
        pair: As typed, upper case: `BTC/USDT`, `BTCUSDT` or `BTC`.
        size: How much.
        price: Limit price.
        stop: Price that triggers a stop order.
        post_only: Whether the order must not take.
        time_in_force: How long a limit order rests.
        account: The account's label.
        note: The person's own words.
    """

    side: Side
    pair: str | None = None
    size: Size | None = None
    price: Price | None = None
    stop: Price | None = None
    post_only: bool = False
    time_in_force: TimeInForce = "GTC"
    account: str | None = None
    note: str = ""

    def to_json(self) -> str:
        """Return the intent as JSON text; `from_json` reads it back."""
        parts = {name: _tagged(getattr(self, name)) for name in ("size", "price", "stop")}
        return json.dumps(asdict(self) | parts, default=str)

    @classmethod
    def from_json(cls, text: str) -> Intent:
        """Return the intent that `to_json` wrote."""
        fields = json.loads(text)
        return cls(**fields | {name: _untagged(fields[name]) for name in ("size", "price", "stop")})


def _tagged(part: Size | Price | None) -> dict[str, Any] | None:
    return None if part is None else {"kind": type(part).__name__, **asdict(part)}


def _untagged(fields: dict[str, Any] | None) -> Any:
    return None if fields is None else msgspec.convert(fields, _KINDS[fields["kind"]])


def format_amount(value: Decimal) -> str:
    """Write `value` in full: no exponent, no trailing zeros, no thousands separators."""
    text = format(value, "f")
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


def _fixed(value: Decimal, decimals: int, rounding: str) -> str:
    rounded = value.quantize(Decimal(1).scaleb(-decimals), rounding, EXACT)
    return format(rounded or abs(rounded), ",f")
