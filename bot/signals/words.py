"""Reading a signal as people write it in channels: one line, a list with labels, or numbered targets. Pure.

Numbers are read as channels write them: a comma before three digits groups thousands, any other one separates.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal

from bot.contract.errors import UserError
from bot.contract.models import Side
from bot.signals.idea import QUOTES, Idea, checked, pair_of

MOST_LETTERS = 2000
VALID_MS = 24 * 3_600_000
MOST_VALID_MS = 7 * 24 * 3_600_000
_MINUTE_MS = 60_000

_LABEL = re.compile(
    r"""(?<![a-z0-9])(?:
        (?P<entry>entry(?:\s?(?:targets?|zone|price|range|point|level))?|enter|(?:buy|sell)\s?zone|@)
      | (?P<target>take[\s-]?profits?(?:\s?targets?)?|(?:tps?|targets?)(?:\s?\d{1,2}(?=\s?[:)=])|\d{1,2}(?![\d.,]))?)
      | (?P<stop>stop[\s-]?loss|stop(?:\s?targets?)?|sl)
      | (?P<valid>valid(?:ity)?(?:\sfor)?|expires?(?:\sin)?)
      | (?P<leverage>leverage|lev)
      | (?P<other>exchanges?|risk|amount|size)
    )(?![a-z])""",
    re.VERBOSE,
)
_SIDES: dict[str, Side] = {"buy": "buy", "long": "buy", "sell": "sell", "short": "sell"}
_SIDE = re.compile(r"(?<![a-z])(buy|long|sell|short)(?![a-z])")
_ENDS = "|".join(QUOTES).lower()
_PAIR = re.compile(rf"(?<![a-z0-9])(?:[a-z]+:)?[a-z0-9]{{1,10}}[/_-]?(?:{_ENDS})(?:\.p|perp)?(?![a-z0-9])")
_SOLD_ABOVE = re.compile(r"(?s)(buy|long)(.*?)(?<![a-z])sell(?=\s?(?:at|targets?)?\s?[:=]?\s?\d)")
_NOISE = re.compile(
    r"\(?[+-]?\d+(?:\.\d+)?\s?%\)?|(?<![\d.])\d+(?:\.\d+)?x(?![a-z])|(?<![\w])#\d+|(?<![\d.,])\d{1,2}[)]"
    r"|(?<![\d.,])\d{1,2}\.(?=\s)"
)
_DECIMAL_COMMA = re.compile(r"(?<![\d.,])0+,\d")
_NUMBER = re.compile(r"((?:[1-9]\d{0,2}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(k?)(?![a-z0-9])")
_PERIOD = re.compile(r"(\d{1,5})\s?(m|min|minutes?|h|hours?|d|days?)(?![a-z])")
_UNIT_MS = {"m": _MINUTE_MS, "h": 60 * _MINUTE_MS, "d": 24 * 60 * _MINUTE_MS}
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−"), "-")
_FILLERS = frozenset(("and", "to", "at", "market", "now", "price", "between", "limit", "usdt", "usd", "twd", "or"))


@dataclass(frozen=True, slots=True)
class Reading:
    """A signal as it was read.

    Attributes:
        idea: What it says.
        valid_ms: For how long it counts.
        left_out: Words that were not understood or do not apply here; with any, a person looks before it is posted.
    """

    idea: Idea
    valid_ms: int
    left_out: tuple[str, ...]


def read(text: str) -> Reading:
    """Read a signal.

    Raises:
        UserError: `SIGNAL`: pair or side is missing, or the prices contradict each other; the text says which.
    """
    if len(text) > MOST_LETTERS:
        raise UserError(f"That is too long for a signal: at most {MOST_LETTERS} characters.", code="SIGNAL")
    plain = _plain(text)
    if comma := _DECIMAL_COMMA.search(plain):
        raise UserError(f'Write "{comma[0]}…" with a point instead of the comma.', code="SIGNAL")
    found = _PAIR.search(plain)
    if found is None:
        raise UserError("Which pair? A signal names one, like BTC/USDT or BTCUSDT.", code="SIGNAL")
    pair = pair_of(found[0])
    others = {pair_of(each[0]) for each in _PAIR.finditer(plain)} - {pair}
    if others:
        raise UserError(f"I read two pairs, {pair} and {min(others)}. One signal, one pair, please.", code="SIGNAL")
    parts, left_out = _parts(_SOLD_ABOVE.sub(r"\1\2target", _PAIR.sub(" ", plain)))
    stops = _prices(parts["stop"])
    if len(stops) > 1:
        raise UserError("I read more than one stop. Write one, like SL 58000.", code="SIGNAL")
    entry = _prices(parts["entry"]) or _prices(parts[""])
    idea = Idea(_side(plain, left_out), pair, entry, _prices(parts["target"]), stops[0] if stops else None)
    return Reading(checked(idea), _valid_ms(" ".join(parts["valid"])), tuple(dict.fromkeys(left_out)))


def _plain(text: str) -> str:
    """Return lower-case text with simple dashes and spaces, and no emoji."""
    shown = (
        " " if character.isspace() else character
        for character in re.sub("[0-9]\ufe0f?\u20e3", " ", unicodedata.normalize("NFKC", text)).translate(_DASHES)
        if character.isspace()
        or (unicodedata.category(character)[0] not in "C" and unicodedata.category(character) != "So")
    )
    return re.sub(r"\s+", " ", "".join(shown)).strip().lower()


def _parts(plain: str) -> tuple[dict[str, list[str]], list[str]]:
    """Return what stands after each kind of label (`""`: before the first), and the words that mean nothing here."""
    parts: dict[str, list[str]] = defaultdict(list)
    left_out: list[str] = []
    labels = list(_LABEL.finditer(plain))
    ends = [*(each.start() for each in labels), len(plain)][1:]
    pieces = [("", plain[: labels[0].start()] if labels else plain)]
    pieces += [(each.lastgroup or "", plain[each.end() : end]) for each, end in zip(labels, ends, strict=True)]
    for kind, piece in pieces:
        if kind in ("leverage", "other"):
            left_out.append(f"{'leverage' if kind == 'leverage' else ''} {piece.strip(' :')}".strip()[:40])
            continue
        bare = piece if kind == "valid" else _NOISE.sub(" ", piece)
        parts[kind].append(bare)
        left_out += _unread(_PERIOD.sub(" ", bare) if kind == "valid" else bare)
    return parts, [each for each in left_out if each]


def _unread(piece: str) -> list[str]:
    words = re.findall(r"[^\W\d_][\w'-]*", _NUMBER.sub(" ", _SIDE.sub(" ", piece)))
    return [word for word in words if word not in _FILLERS]


def _prices(pieces: list[str]) -> tuple[Decimal, ...]:
    found = (match for piece in pieces for match in _NUMBER.finditer(piece))
    return tuple(Decimal(match[1].replace(",", "")) * (1000 if match[2] else 1) for match in found)


def _side(plain: str, left_out: list[str]) -> Side:
    said = [_SIDES[match[1]] for match in _SIDE.finditer(plain)]
    if not said:
        raise UserError("Buy or sell? A signal says BUY or SELL, LONG or SHORT.", code="SIGNAL")
    if len(set(said)) > 1 and not _SOLD_ABOVE.search(plain):
        raise UserError("I read both buy and sell. Write which one it is.", code="SIGNAL")
    if "short" in plain.split():
        left_out.append("short: on a spot market that is to sell what one has")
    return said[0]


def _valid_ms(text: str) -> int:
    match = _PERIOD.search(text)
    if match is None:
        return VALID_MS
    return max(_MINUTE_MS, min(MOST_VALID_MS, int(match[1]) * _UNIT_MS[match[2][0]]))
