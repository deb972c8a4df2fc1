"""Replies and frames that no exchange should send, the same ones every time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

_USUAL = """code msg message error status data result success err-code event op arg args channel topic action id method
 params ping pong symbol orderId price type e s"""
WORDS = tuple(_USUAL.split())
_LETTERS = 'abcXYZ019 _-.:{}[]\\"\u00f1\u4e2d\u0000'
_TEXTS = ("0", "200", "NaN", "ok", "1e999", "")
_MOST = 200


def bodies() -> Iterator[bytes]:
    """Yield 200 bodies: bytes, text, and JSON with the names that exchanges use, three levels deep."""
    random = Random(20)  # noqa: S311  # a failure must come again
    for number in range(_MOST):
        if number % 4 == 0:
            yield random.randbytes(random.randrange(40))
        elif number % 4 == 1:
            yield _text(random, 40).encode()
        else:
            yield json.dumps(_value(random, 3)).encode()


def statuses() -> Iterator[int]:
    """Yield HTTP statuses for ever, the usual ones more often."""
    random = Random(21)  # noqa: S311
    while True:
        yield random.choice((200, 400, 401, 404, 500, random.randrange(100, 600)))


def _text(random: Random, most: int) -> str:
    return "".join(random.choices(_LETTERS, k=random.randrange(most)))


def _value(random: Random, depth: int) -> Any:
    kind = random.randrange(6 if depth else 4)
    match kind:
        case 0:
            return random.choice((None, True, False))
        case 1:
            return random.choice((0, 1, -1, 200, random.randrange(10**12)))
        case 2:
            return random.choice(_TEXTS)
        case 3:
            return _text(random, 8)
        case 4:
            return [_value(random, depth - 1) for _ in range(random.randrange(4))]
    names = random.sample(WORDS, random.randrange(1, 5))
    return {name: _value(random, depth - 1) for name in names}
