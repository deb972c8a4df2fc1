"""What a person asked for, before markets and prices are known. No I/O."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Literal, TypeAlias

import msgspec

from bot.contract.models import Side, TimeInForce


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
