"""From the text behind /buy, /sell and /price to an intent. No I/O.

PAIR SIZE [@ PRICE] [stop PRICE] [post|ioc|fok] [on LABEL] [note "TEXT"], in any order that is not ambiguous.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal, cast

from bot.chat.numbers import normalise, parse_number
from bot.contract.errors import UserError
from bot.contract.models import Side
from bot.trading.intent import Amount, Fixed, Intent, Maximum, Offset, Percent, Price, Reference, Size
from bot.trading.symbols import PREFERRED_QUOTES

MAX_TEXT = 200
_LONGEST_SHOWN = 30

_FLAGS: dict[str, dict[str, Any]] = {
    "post": {"post_only": True},
    "ioc": {"time_in_force": "IOC"},
    "fok": {"time_in_force": "FOK"},
}
_NOT_YET = {
    "tp": "take-profit",
    "sl": "stop-loss",
    "trail": "trailing stop",
    "risk": "sizing by risk",
    "until": "an end time",
}
_PARTS = {
    "price": "a price",
    "stop": "a stop",
    "post_only": "post",
    "time_in_force": "ioc or fok",
    "account": "on LABEL",
    "note": "a note",
}
_WORD = re.compile(r'"[^"]*"|@|[^\s@"]+')
_PAIR = re.compile(r"([A-Z0-9]*[A-Z][A-Z0-9]*)[/_:-]([A-Z0-9]*[A-Z][A-Z0-9]*)", re.IGNORECASE)
_NAME = re.compile(r"[A-Z][A-Z0-9]*", re.IGNORECASE)
_COIN = re.compile(r"[0-9]+[A-Z]{2}[A-Z0-9]*", re.IGNORECASE)
_SIZE = re.compile(r"(\$?)([0-9.,]+(?:[km](?![A-Z0-9]))?)(%|\$|(?![EX][0-9])[A-Z][A-Z0-9]*)?", re.IGNORECASE)
_OFFSET = re.compile(r"([+-])([^%]+)%")


def parse_order(side: Side, text: str) -> Intent:
    """Return what `text` asks for. Parts that are not there stay `None`, to be asked for with buttons.

    Raises:
        UserError: A word was not understood, is ambiguous or not built yet; the text names it.
    """
    words = _words(text)
    found: dict[str, Any] = {}
    rest: list[str] = []

    def put(part: str, value: object) -> None:
        if part in found:
            raise _misread(side, f"I found two of these: {_PARTS[part]}.")
        found[part] = value

    while words:
        word = words.pop(0)
        key = word.lower()
        if key in _NOT_YET:
            message = f'"{key}" ({_NOT_YET[key]}) is not available yet. Nothing was prepared; send it without that.'
            raise UserError(message, code="NOT_YET")
        if key in ("@", "at"):
            put("price", _take_price(side, words, word))
        elif key == "stop":
            put("stop", _take_price(side, words, word))
        elif key in _FLAGS:
            for part, value in _FLAGS[key].items():
                put(part, value)
        elif key == "on":
            label = _take(side, words, word).strip('"@')
            if not label:
                raise _misread(side, 'Which account? Write its label after "on".')
            put("account", label)
        elif key == "note":
            note = _take(side, words, word)
            if note[0] != '"':
                raise _misread(side, 'Put the note in quotes: note "my reason".')
            put("note", note.strip('"'))
        else:
            rest.append(word)
    pair, size = _pair_and_size(side, rest)
    return Intent(side, pair, size, **found)


def parse_pair(text: str) -> str:
    """Return the pair that is all of `text`, upper case: `BTC/USDT`, `BTCUSDT` or `BTC`.

    Raises:
        UserError: `SYNTAX`: there is none, or something else beside it.
    """
    words = _joined(_words(text))
    if len(words) == 1 and _is_name(words[0]):
        return _pair(words[0])
    raise UserError("Which pair? Write one, like BTC/USDT.", code="SYNTAX")


def _words(text: str) -> list[str]:
    if len(text) > MAX_TEXT:
        raise UserError(f"That is too long: at most {MAX_TEXT} characters are read.", code="TOO_LONG")
    text = re.sub(r"(?<=[0-9]) %", "%", normalise(text))
    if text.count('"') % 2:
        raise UserError('A quotation mark is missing: write note "my reason".', code="SYNTAX")
    words = _WORD.findall(text)
    for first, second in pairwise(words):
        if re.fullmatch(r"[$+-]?[0-9]{1,3}", first) and re.match(r"[0-9]{3}(?![0-9])", second):
            message = f'Is "{first} {second}" one number or two? Please write it without the space: {first}{second}.'
            raise UserError(message, code="AMBIGUOUS_NUMBER")
    return words


def _take(side: Side, words: list[str], after: str) -> str:
    if not words:
        raise _misread(side, f'Something is missing after "{after}".')
    return words.pop(0)


def _take_price(side: Side, words: list[str], after: str) -> Price:
    word = _take(side, words, after)
    if words and words[0].upper() in PREFERRED_QUOTES:
        # The unit of the price, or the pair? A wrong guess would buy the wrong coin.
        raise _misread(side, f'Please write the price without "{words[0]}": {after} {word}.')
    if word.lower() in ("bid", "ask", "mid") and after != "stop":
        return Reference(cast(Literal["bid", "ask", "mid"], word.lower()))
    if match := _OFFSET.fullmatch(word):
        percent = parse_number(match[2])
        return Offset(-percent if match[1] == "-" else percent)
    return Fixed(parse_number(word.removeprefix("$")))


def _pair_and_size(side: Side, words: list[str]) -> tuple[str | None, Size | None]:
    words = _joined(words)
    names = [word for word in words if _is_name(word)]
    sizes = [word for word in words if not _is_name(word)]
    if not names and len(sizes) == 2 and (coin := next(filter(_COIN.fullmatch, sizes), "")):
        names, sizes = [coin], [sizes[1 - sizes.index(coin)]]  # "1inch 50": the coin, not an amount of INCH
    read = [_size(side, word) for word in sizes]
    if len(read) > 1:
        raise _misread(side, f'Is "{sizes[0]}" or "{sizes[1]}" the amount?')
    size = read[0] if read else None
    if len(names) == 2 and isinstance(size, Amount) and size.asset is None:
        unit = words[words.index(sizes[0]) + 1 :][:1]  # "btc 250 usdt": the name behind a bare number is its unit
        if unit and _NAME.fullmatch(unit[0]):
            names.remove(unit[0])
            size = replace(size, asset=unit[0].upper())
    if len(names) > 1:
        raise _misread(side, f'I do not understand "{names[-1][:_LONGEST_SHOWN]}".')
    return (_pair(names[0]) if names else None), size


def _joined(words: list[str]) -> list[str]:
    """Return `words` with "btc usdt" made one word."""
    for at, (first, second) in enumerate(pairwise(words)):
        if _is_name(first) and _NAME.fullmatch(first) and second.upper() in PREFERRED_QUOTES:
            return [*words[:at], f"{first}/{second}", *words[at + 2 :]]
    return words


def _is_name(word: str) -> bool:
    return word.lower() != "max" and bool(_NAME.fullmatch(word) or _PAIR.fullmatch(word))


def _pair(word: str) -> str:
    return _PAIR.sub(r"\1/\2", word).upper()


def _size(side: Side, word: str) -> Size:
    if word.lower() == "max":
        return Maximum()
    if not any(map(str.isdigit, word)):
        raise _misread(side, f'I do not understand "{word[:_LONGEST_SHOWN]}".')
    match = _SIZE.fullmatch(word)
    if match is None or (match[1] and match[3]):
        return Amount(parse_number(word), None)
    value = parse_number(match[2])
    if match[3] == "%":
        return Percent(value)
    return Amount(value, (match[3] or match[1]).upper() or None)


def _misread(side: Side, problem: str) -> UserError:
    return UserError(f"{problem} For example: /{side} btc/usdt 0.1 @ 60000", code="SYNTAX")
