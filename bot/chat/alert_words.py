"""From the text behind /alert to what an alert waits for, before pair, price and volume are known. No I/O.

PAIR > PRICE | PAIR PERCENT WINDOW | vol PAIR FACTORx | spread PAIR PERCENT, then [every TIME] [back PERCENT]
[for TIME] [on EXCHANGE] [do buy|sell SIZE ...].
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, cast

from bot.alerts.rows import Kind
from bot.chat.numbers import format_amount, normalise, parse_number
from bot.chat.parse import MAX_TEXT, parse_order, parse_pair
from bot.contract.errors import UserError
from bot.contract.models import Side
from bot.trading.intent import Intent

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
LASTS_MS = 30 * DAY_MS
_WINDOWS = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "4h": 240, "12h": 720, "1d": 1440}
_UNITS = {"m": MINUTE_MS, "min": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}
_LONGEST_MS = 365 * DAY_MS
_BACK = Decimal("0.2")
_MOST_PERCENT = 1000
_LONGEST_SHOWN = 30

_SIDES: dict[str, Kind] = {">": "above", ">=": "above", "above": "above", "<": "below", "<=": "below", "below": "below"}
_FIGURES: dict[str, Kind] = {"vol": "volume", "volume": "volume", "spread": "spread"}
_DO = re.compile(r"\sdo\s", re.IGNORECASE)
_TIME = re.compile(r"([0-9]{1,4})(min|m|h|d|w)", re.IGNORECASE)
EXAMPLES = "/alert BTC/USDT > 60k\n/alert BTC/USDT 5% 1h\n/alert vol BTC/USDT 3x\n/alert spread BTC/USDT 0.5%"


@dataclass(frozen=True, slots=True)
class Asked:
    """An alert as it was asked for.

    Attributes:
        kind: What it waits for.
        pair: As typed, upper case.
        at: A price, a per cent, or how many times the volume of now.
        window_ms: How far a move looks back.
        every_ms: Least time between two firings; `None` fires once.
        back_percent: How far it goes back before it may fire again.
        lasts_ms: When it ends, counted from now.
        exchange: The exchange's id, if named.
        intent: The order to be offered, if any.
    """

    kind: Kind
    pair: str
    at: Decimal
    window_ms: int = 0
    every_ms: int | None = None
    back_percent: Decimal = _BACK
    lasts_ms: int = LASTS_MS
    exchange: str = ""
    intent: Intent | None = None


def parse_alert(text: str) -> Asked:
    """Return what `text` asks for.

    Raises:
        UserError: A word was not understood; the text names it.
    """
    if len(text) > MAX_TEXT:
        raise UserError(f"That is too long: at most {MAX_TEXT} characters are read.", code="TOO_LONG")
    condition, *ordered = _DO.split(normalise(text), maxsplit=1)
    order = "".join(ordered)
    words = re.sub(r"(?<=[0-9]) (?=[%x](\s|$))", "", re.sub(r"([<>]=?)", r" \1 ", condition)).split()
    if not words:
        raise _misread("What shall I watch?")
    options = _options(words)
    kind = _FIGURES.get(words[0].lower())
    if kind is not None:
        return _with_order(_figure(kind, words[1:], options), order)
    at = next((number for number, word in enumerate(words) if word.lower() in _SIDES), None)
    if at is None:
        return _with_order(_move(words, options), order)
    if len(words) != at + 2:
        raise _misread(f'After "{words[at]}" I need one price.' if len(words) < at + 2 else _extra(words[at + 2]))
    price = parse_number(words[at + 1].removeprefix("$"))
    if not price:
        raise UserError("The price must be above zero.", code="PRICE")
    kind = _SIDES[words[at].lower()]
    return _with_order(Asked(kind, parse_pair(" ".join(words[:at])), price, **options), order)


def written(ms: int) -> str:
    """Write a length of time as people type it: `1h`."""
    for unit in ("d", "h", "m"):
        if ms % _UNITS[unit] == 0:
            return f"{ms // _UNITS[unit]}{unit}"
    return f"{ms // 1000}s"


def _options(words: list[str]) -> dict[str, Any]:
    """Take the named parts out of `words`."""
    found: dict[str, Any] = {}
    for name, part in (("every", "every_ms"), ("back", "back_percent"), ("for", "lasts_ms"), ("on", "exchange")):
        places = [number for number, word in enumerate(words) if word.lower() == name]
        if not places:
            continue
        if len(places) > 1:
            raise _misread(f'I found "{name}" twice.')
        if places[0] + 1 == len(words):
            raise _misread(f'Something is missing after "{name}".')
        value = words.pop(places[0] + 1)
        words.pop(places[0])
        if part == "exchange":
            found[part] = value.lower()
        else:
            found[part] = _percent(value, 50) if part == "back_percent" else _time(value, name)
    return found


def _figure(kind: Kind, words: list[str], options: dict[str, Any]) -> Asked:
    if len(words) < 2:
        raise _misread("I need a pair and a figure." if kind == "spread" else "I need a pair and how many times.")
    pair, value = parse_pair(" ".join(words[:-1])), words[-1]
    if kind == "spread":
        return Asked(kind, pair, _percent(value, 100), **options)
    factor = parse_number(value.lower().removesuffix("x"))
    if not 1 < factor <= _MOST_PERCENT:
        raise UserError(f"A volume can be waited for from above 1x to {_MOST_PERCENT}x.", code="SYNTAX")
    return Asked(kind, pair, factor, **options)


def _move(words: list[str], options: dict[str, Any]) -> Asked:
    at = next((number for number, word in enumerate(words) if word.endswith("%")), None)
    if at is None:
        raise _misread("I see neither a price after > or <, nor a per cent with a time.")
    if len(words) > at + 2:
        raise _misread(_extra(words[at + 2]))
    window = words[at + 1].lower() if len(words) == at + 2 else "?"
    if window.removesuffix("in") not in _WINDOWS:
        choices = ", ".join(_WINDOWS)
        raise UserError(f"Within which time? I look back {choices}. For example: /alert BTC/USDT 5% 1h", code="SYNTAX")
    window_ms = _WINDOWS[window.removesuffix("in")] * MINUTE_MS
    pair, percent = parse_pair(" ".join(words[:at])), _percent(words[at].lstrip("+-"), 99)
    return Asked("move", pair, percent, window_ms=window_ms, **options)


def _with_order(asked: Asked, order: str) -> Asked:
    if not order:
        return asked
    side, _, rest = order.strip().partition(" ")
    if side.lower() not in ("buy", "sell") or not rest:
        raise _misread('After "do" I need an order, such as: do buy $50.')
    intent = parse_order(cast(Side, side.lower()), f"{asked.pair} {rest}")
    if intent.size is None:
        raise _misread('The order after "do" has no size. Write for example: do buy $50.')
    return replace(asked, intent=intent)


def _percent(word: str, most: int) -> Decimal:
    value = parse_number(word.removesuffix("%"))
    least = Decimal("0.01")
    if not least <= value <= most:
        text = f'"{word[:_LONGEST_SHOWN]}" is not between {format_amount(least)}% and {most}%.'
        raise UserError(text, code="SYNTAX")
    return value


def _time(word: str, name: str) -> int:
    match = _TIME.fullmatch(word)
    value = int(match[1]) * _UNITS[match[2].lower()] if match else 0
    if not MINUTE_MS <= value <= _LONGEST_MS:
        raise UserError(f'After "{name}" I need a time from 1m to 365d, such as 30m, 1h or 7d.', code="SYNTAX")
    return value


def _extra(word: str) -> str:
    return f'I do not understand "{word[:_LONGEST_SHOWN]}".'


def _misread(problem: str) -> UserError:
    return UserError(f"{problem} For example:\n{EXAMPLES}", code="SYNTAX")
