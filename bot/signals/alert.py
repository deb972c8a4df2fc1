"""Reading the body of a webhook: JSON by its content, whatever its type is said to be, or plain text. Pure.

Account, chat and size are not read from a body: they come from the hook's row.

Placeholders such as `{{ticker}}` are filled in by TradingView before it sends. `{{timenow}}` is when the alert fired,
UTC and to the second, such as 2019-08-27T09:56:00Z.
Source: https://www.tradingview.com/support/solutions/43000531021/ (a stored copy, read 2026-11-21).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from bot.contract.errors import UserError
from bot.contract.models import Side
from bot.signals import words
from bot.signals.idea import Idea, checked, pair_of

MOST_BYTES = 64 * 1024
MOST_DEPTH = 8
MOST_TEXT = 1000

_NAMES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "alert_id"),
    "time": ("time", "timenow", "timestamp"),
    "sequence": ("seq", "sequence"),
    "pair": ("ticker", "symbol", "pair"),
    "side": ("side", "action"),
    "entry": ("entry", "limit"),
    "targets": ("targets", "target", "tp", "take_profit"),
    "stop": ("stop", "sl", "stop_loss"),
    "text": ("text", "message", "comment"),
}
_SIDES: Mapping[str, Side] = {"buy": "buy", "long": "buy", "sell": "sell", "short": "sell"}
_NESTING = re.compile(rb'"(?:[^"\\]|\\.)*"|([\[{])|[\]}]', re.DOTALL)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)")
_LONGEST_ID = 128


class Unreadable(UserError):
    """A body that no alert can be read from. Nothing was stored."""

    def __init__(self, text: str) -> None:
        super().__init__(text, code="ALERT")


@dataclass(frozen=True, slots=True)
class Alert:
    """What a body says.

    Attributes:
        digest: SHA-256 of the body.
        id: The sender's own name for it, or empty.
        time_ms: When it was sent, in UTC ms, where it says so.
        sequence: Its place among the alerts of its sender, where they are counted.
        idea: What to trade, where that could be read.
        text: Words for people.
    """

    digest: bytes
    id: str = ""
    time_ms: int | None = None
    sequence: int | None = None
    idea: Idea | None = None
    text: str = ""


def read(body: bytes) -> Alert:
    """Read the body of one delivery.

    Raises:
        Unreadable: It is too large, nested too deeply, no UTF-8, empty, or says something impossible.
    """
    if len(body) > MOST_BYTES:
        raise Unreadable(f"The body is above {MOST_BYTES // 1024} KB.")
    digest = hashlib.sha256(body).digest()
    try:
        text = body.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise Unreadable("The body is not UTF-8.") from None
    if not text:
        raise Unreadable("The body is empty.")
    if text[0] != "{":
        return _of_words(digest, text)
    _check_depth(body)
    try:
        fields = json.loads(
            text, parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_once, parse_int=Decimal
        )
    except (ValueError, RecursionError, InvalidOperation):
        raise Unreadable("The body begins like JSON but is none. Check its quotes and commas.") from None
    if not isinstance(fields, dict):
        raise Unreadable("The body is no JSON object.")
    return _of_fields(digest, {str(name).lower(): value for name, value in fields.items()})


def _of_words(digest: bytes, text: str) -> Alert:
    _check_filled(text)
    try:
        idea = words.read(text).idea
    except UserError:
        idea = None
    return Alert(digest, idea=idea, text=text[:MOST_TEXT])


def _of_fields(digest: bytes, fields: dict[str, Any]) -> Alert:
    found = {what: next((fields[name] for name in names if name in fields), None) for what, names in _NAMES.items()}
    for value in found.values():
        if isinstance(value, str):
            _check_filled(value)
    return Alert(
        digest,
        _word(found["id"], "id"),
        _time_ms(found["time"]),
        _sequence(found["sequence"]),
        _idea(found),
        "" if found["text"] is None else str(found["text"])[:MOST_TEXT],
    )


def _idea(found: Mapping[str, Any]) -> Idea | None:
    if found["pair"] is None or found["side"] is None:
        return None
    side = _SIDES.get(str(found["side"]).strip().lower())
    if side is None:
        raise Unreadable('The side is neither "buy" nor "sell".')
    entry, stops = _prices(found["entry"]), _prices(found["stop"])
    if len(entry) > 2 or len(stops) > 1:
        raise Unreadable("There is more than one stop, or an entry of more than two prices.")
    try:
        return checked(
            Idea(side, pair_of(str(found["pair"])), entry, _prices(found["targets"]), stops[0] if stops else None)
        )
    except UserError as error:
        raise Unreadable(str(error)) from None


def _prices(value: Any) -> tuple[Decimal, ...]:
    if value in (None, ""):
        return ()
    found = []
    for each in value if isinstance(value, list) else [value]:
        try:
            number = each if isinstance(each, Decimal) else Decimal(each.strip() if isinstance(each, str) else "NaN")
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite():
            raise Unreadable(f'"{str(each)[:30]}" is no price.')
        found.append(number)
    return tuple(found)


def _word(value: Any, what: str) -> str:
    if value is None:
        return ""
    word = _plain(value)
    if not isinstance(word, str) or not 0 < len(word) <= _LONGEST_ID or not word.isprintable():
        raise Unreadable(f"Its {what} is no short text.")
    return word


def _time_ms(value: Any) -> int | None:
    """Return a time in UTC ms: ISO 8601 with a zone, as `{{timenow}}` gives it, or seconds or ms since 1970."""
    if value in (None, ""):
        return None
    text = _plain(value)
    if isinstance(text, str) and re.fullmatch(r"\d{10}|\d{13}", text):
        return int(text) * (1000 if len(text) == 10 else 1)
    if isinstance(text, str) and _TIME.fullmatch(text):
        try:
            since = datetime.fromisoformat(text.replace("Z", "+00:00")) - datetime(1970, 1, 1, tzinfo=UTC)
        except ValueError:
            pass
        else:
            return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
    raise Unreadable('Its time cannot be read. Send "time": "{{timenow}}".')


def _sequence(value: Any) -> int | None:
    if value is None:
        return None
    text = _plain(value)
    if not isinstance(text, str) or not re.fullmatch(r"\d{1,15}", text):
        raise Unreadable("Its sequence is no whole number.")
    return int(text)


def _plain(value: Any) -> Any:
    """Return a number as its digits; one like 1e999999999 would take all memory to write out."""
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() and abs(value.adjusted()) < 20 else None
    return value


def _check_filled(text: str) -> None:
    if match := re.search(r"\{\{[^{}]{0,60}\}\}", text):
        raise Unreadable(f"The placeholder {match[0]} was not filled in. TradingView knows no such one here.")


def _check_depth(body: bytes) -> None:
    depth = 0
    for match in _NESTING.finditer(body):
        if match[1]:
            depth += 1
            if depth > MOST_DEPTH:
                raise Unreadable(f"The JSON is nested more than {MOST_DEPTH} deep.")
        elif match[0][:1] != b'"':
            depth -= 1


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object, in which no name stands twice: two readers would take different ones."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_number(name: str) -> None:
    raise ValueError(name)
