"""What `bot/redact.py` does, written without regard to time and memory: every form of every value is kept and tried."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus

from bot.redact import _SHAPES, MARK

SHORTEST = 6
FRAGMENT = 12


class PlainRedactor:
    """Hides the same texts as `Redactor`, and the same shapes, without asking first whether they may be there."""

    def __init__(self, *values: str) -> None:
        self.forms = {form for value in values for form in forms_of(value)}

    def redact(self, text: str) -> str:
        """Return `text` with a mark in place of every secret."""
        pieces = []
        shown = 0
        for start in range(len(text)):
            for form in self.forms:
                if text.startswith(form, start):
                    if start >= shown:
                        pieces += [text[shown:start], MARK]
                    shown = max(shown, start + len(form))
        return with_shapes_hidden("".join([*pieces, text[shown:]]))


def with_shapes_hidden(text: str) -> str:
    """Return `text` with a mark in place of everything that looks like a secret."""
    for _, _, shape, replacement in _SHAPES:
        text = shape.sub(replacement, text)
    return text


def forms_of(value: str) -> set[str]:
    """Return every text that is hidden once `value` is registered."""
    return {form for form in _forms(value) if len(form) >= SHORTEST and len(value) >= SHORTEST}


def _forms(value: str) -> Iterator[str]:
    yield value
    yield from (value[start : start + FRAGMENT] for start in range(len(value) - FRAGMENT + 1))
    for text in (value, html.escape(value), repr(value.encode())[2:-1]):
        yield from (twice for once in _escaped(text) for twice in _escaped(once))
    for quoted in (quote(value), quote(value, safe=""), quote_plus(value)):
        yield quoted
        yield re.sub("%..", lambda match: match[0].lower(), quoted)
    yield from _forms_of_bytes(value.encode())
    if re.fullmatch("(?:[0-9A-Fa-f]{2})+", value):
        yield from _forms_of_bytes(bytes.fromhex(value))


def _escaped(text: str) -> set[str]:
    with_apostrophes = repr(f"{text}\"'")[1:-4]
    as_json = (json.dumps(text, ensure_ascii=escape)[1:-1] for escape in (True, False))
    return {text, repr(text)[1:-1], with_apostrophes, *as_json}


def _forms_of_bytes(value: bytes) -> Iterator[str]:
    yield from (value.hex(), value.hex().upper(), repr(value)[2:-1])
    encoders: tuple[Callable[[bytes], bytes], ...] = (base64.b64encode, base64.urlsafe_b64encode)
    for encode in encoders:
        yield encode(value).decode()
        for before in range(3):
            first, last = -(-8 * before // 6), 8 * (before + len(value)) // 6
            yield encode(bytes(before) + value)[first:last].decode()
