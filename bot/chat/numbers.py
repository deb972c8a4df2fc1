"""Numbers as people type them on a phone, and how they are written back. No I/O.

Formatting lives below the chat, where the texts of trading errors need it too, and is offered here for every card.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

from bot.contract.errors import UserError
from bot.trading.amounts import format_amount, format_money, format_percent, format_price, format_typed

__all__ = [
    "format_amount",
    "format_money",
    "format_percent",
    "format_price",
    "format_typed",
    "normalise",
    "parse_number",
]

MAX_DIGITS = 18
"""Digits accepted on either side of the decimal point."""

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−﹘﹣"), "-")
_QUOTES = dict.fromkeys(map(ord, "“”„‟«»"), '"') | dict.fromkeys(map(ord, "‘’‚‛"), "'")
# Drawn as nothing, though Unicode calls them letters, marks or symbols.
_UNSEEN = dict.fromkeys([0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0xFE00, 0xFE10)])
_PHONE = {**_FULL_WIDTH, **_DASHES, **_QUOTES, **_UNSEEN}

_ZEROS = {"": 0, "k": 3, "m": 6}
_NUMBER = re.compile(r"([0-9]*\.?[0-9]+)([km]?)", re.IGNORECASE)
_GROUPED = re.compile(r"([1-9][0-9]{0,2}(?:,[0-9]{3})+\.[0-9]+|[1-9][0-9]{0,2}(?:,[0-9]{3}){2,})([km]?)", re.IGNORECASE)
_ONE_COMMA = re.compile(r"([0-9]+),([0-9]+)([km]?)", re.IGNORECASE)
_LONGEST_SHOWN = 30


def normalise(text: str) -> str:
    """Return `text` with plain digits, dashes, quotes and single spaces, and without what cannot be seen."""
    seen = (
        " " if character.isspace() else character
        for character in text.translate(_PHONE)
        if character.isspace() or unicodedata.category(character)[0] != "C"
    )
    return " ".join("".join(seen).split())


def parse_number(text: str) -> Decimal:
    """Return the number that `text` plainly is: `60000`, `0.1`, `60,000.50`, `60k` or `1.5m`.

    Raises:
        UserError: `AMBIGUOUS_NUMBER` where a comma could be read in two ways, `NOT_A_NUMBER` for anything else.
    """
    text = normalise(text)
    if match := _NUMBER.fullmatch(text) or _GROUPED.fullmatch(text):
        return _bounded(match[1].replace(",", ""), match[2])
    if match := _ONE_COMMA.fullmatch(text):
        point, joined = (_bounded(f"{match[1]}{comma}{match[2]}", match[3]) for comma in (".", ""))
        readings = f"{format_typed(point)} or {format_typed(joined)}"
        raise UserError(f'Does "{text}" mean {readings}? Please write it without the comma.', code="AMBIGUOUS_NUMBER")
    shown = text[:_LONGEST_SHOWN]
    if text.startswith("-") and _NUMBER.fullmatch(text[1:]):
        raise UserError(f'"{shown}" is below zero. Write a number above zero, without the minus.', code="NOT_A_NUMBER")
    raise UserError(f'"{shown}" is not a number. Write it like 60000, 0.1, 60k or 1.5m.', code="NOT_A_NUMBER")


def _bounded(digits: str, suffix: str) -> Decimal:
    whole, _, fraction = digits.partition(".")
    value = Decimal(f"{digits}e{_ZEROS[suffix.lower()]}")  # built from text, so no context rounds it
    if max(len(whole), len(fraction), value.adjusted() + 1) > MAX_DIGITS:
        shown = digits[:_LONGEST_SHOWN]
        text = f'"{shown}" has too many digits: at most {MAX_DIGITS} on either side of the point are accepted.'
        raise UserError(text, code="NOT_A_NUMBER")
    return Decimal(format(value, "f"))
