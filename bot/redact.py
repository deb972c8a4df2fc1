"""Secrets out of every log, stream and message: the values that are live, and everything that looks like one."""

from __future__ import annotations

import asyncio
import base64
import html
import json as jsonlib
import logging
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from struct import Struct
from types import TracebackType
from typing import Any, NoReturn, TextIO, cast
from urllib.parse import quote, quote_plus

MARK = "‹secret›"

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_SHORTEST = 6
_FRAGMENT = 12
_LOUD_LOGGERS = ("httpx", "httpcore", "hpack", "h11")  # they write URLs and headers, at INFO and below

_WINDOW = 8
_STEP = _FRAGMENT - _WINDOW + 1  # a fragment holds a window at each of its first places: one of them is known
_MARKS = 2**32 - 1  # the bits of a hash that are kept
_LOW = 2**22 - 1  # those of them that are looked up first: half a megabyte of bits
_CHAINS, _CHAINS_OF_RARE = 2**15, 2**10
_ENTRY = Struct("=III")  # a mark, the number of its value, and where the entry before it on the same chain ends, or 0
_UNSPACED = re.compile(rf"\S{{{_WINDOW}}}")
_UNCHANGED = re.compile("[A-Za-z0-9_.~-]*")  # what no escaping and no quoting alters
_HEX = re.compile("[0-9A-Fa-f]+")

# Every repetition is bounded or begins at a word: hostile text must not make a look slow.
_WORD = (
    r"(?:sign(?:ature)?|pass(?:word|phrase|wd)|(?:[a-z]{1,20}_)?token"
    r"|(?:api[_-]?)?secret(?:[_-]?key)?|(?:api|access)[_-]?key)"
)
_HEADER = (
    r"(?:access-(?:key|sign|passphrase)|(?:proxy-)?authorization"
    r"|x-[a-z0-9-]{0,40}(?:key|sign(?:ature)?|passphrase|payload|token|secret))"
)
_VALUE = r"""[^\s"'&‹›]+"""
# Before each shape: of what it matches, one of these is in the text without regard to case, and so many characters
# have no space between them. That is quicker to see. No hint has an i: others match it that do not fold to it.
_WORD_HINTS = ("gn", "pass", "token", "secret", "key")
_SHAPES = tuple(
    (hints, unspaced, re.compile(pattern, re.IGNORECASE), rf"\g<before>{MARK}")
    for hints, unspaced, pattern in (
        ((":", "%3a"), 37, r"(?P<before>)(?<!\d)\d{6,}(?::|%3A)[A-Za-z0-9_-]{30,}"),  # a Telegram bot token
        (
            ("access-", "author", "x-"),
            0,
            rf"""(?P<before>\b{_HEADER}\b['"]?\s{{0,4}}[:=,]\s{{0,4}}(?:b?['"])?(?:(?:basic|bearer)\s)?){_VALUE}""",
        ),
        (("=",), 0, rf"(?P<before>(?<![a-z]){_WORD}=){_VALUE}"),
        (_WORD_HINTS, 0, rf"""(?P<before>['"]{_WORD}['"]\s{{0,4}}[:=,]\s{{0,4}}b?['"])[^'"‹›]+"""),
        (
            _WORD_HINTS,
            16,
            rf"""(?P<before>(?<![a-z]){_WORD}\b['"]?[\s:=,]{{0,4}}(?:is\s)?(?:b?['"])?)[A-Za-z0-9+/_-]{{16,}}=*""",
        ),
    )
)


class _Index:
    """Which values a text may hold, by windows of one size: twelve bytes for each.

    A mark is a part of a hash, so a text may be taken for one that holds a value, and never the other way.
    """

    __slots__ = ("_bits", "_ends", "_entries", "_size")

    def __init__(self, size: int, chains: int) -> None:
        self._size = size
        self._bits = bytearray((_LOW + 1) // 8)  # whether a mark with these low bits is known: seldom by chance
        self._entries = bytearray()  # grows, and what is in it never changes: another thread may be looking
        self._ends = memoryview(bytearray(4 * chains)).cast("I")  # where the last entry of each chain ends

    def add(self, windows: Iterable[str], number: int) -> None:
        """Know each of `windows` as part of the value with that number. One call at a time."""
        bits, entries, ends = self._bits, self._entries, self._ends
        for window in windows:
            mark = hash(window) & _MARKS
            chain, low = mark % len(ends), mark & _LOW
            entries += _ENTRY.pack(mark, number, ends[chain])
            ends[chain] = len(entries)  # only now: a look in another thread finds an entry that is whole, or none
            bits[low >> 3] |= 1 << (low & 7)

    def numbers(self, texts: Iterable[str]) -> set[int]:
        """Return the numbers of the values of which a window may be in one of `texts`."""
        found: set[int] = set()
        if not self._entries:
            return found
        size, bits = self._size, self._bits
        for text in texts:
            for start in range(len(text) - size + 1):
                mark = hash(text[start : start + size])
                low = mark & _LOW
                if bits[low >> 3] >> (low & 7) & 1:
                    found.update(self._with_mark(mark & _MARKS))
        return found

    def _with_mark(self, mark: int) -> Iterator[int]:
        end = self._ends[mark % len(self._ends)]
        while end:
            # Of a copy: while something is read in place, another thread cannot add to it.
            known, number, end = _ENTRY.unpack(self._entries[end - _ENTRY.size : end])
            if known == mark:
                yield number


class Redactor:
    """Knows the live secrets, and hides them and their encodings in text. Holds them, so it cannot print or pickle.

    Each value is kept once, with a few of its windows. Only for a text that has one of them are the value's forms made.
    """

    __slots__ = ("_common", "_known", "_lock", "_rare", "_values")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: list[str] = []
        self._known: set[str] = set()
        self._common = _Index(_WINDOW, _CHAINS)  # windows without a space: of a text, only long words can have one
        self._rare = _Index(_SHORTEST, _CHAINS_OF_RARE)  # of what is too short for that, or has spaces throughout

    def register(self, value: str) -> None:
        """Hide `value` from now on. Values below six characters are not hidden: they would be found everywhere.

        Of a hex value, the encodings of the bytes it stands for are hidden too.
        """
        if value in self._known or len(value) < _SHORTEST:
            return
        windows = _windows(value)
        rare = {window for window in windows if len(window) < _WINDOW}
        with self._lock:
            if value in self._known:
                return
            self._values.append(value)
            number = len(self._values) - 1
            self._common.add(windows - rare, number)
            self._rare.add(rare, number)
            self._known.add(value)

    def redact(self, text: str) -> str:
        """Return `text` with a mark in place of every secret."""
        if len(text) < _SHORTEST:
            return text
        long_words = [word for word in text.split() if len(word) >= _WINDOW]
        clean = text
        if suspects := self._common.numbers(long_words) | self._rare.numbers([text]):
            clean = _without(text, {form for number in suspects for form in _all_forms(self._values[number])})
        folded, longest = text.casefold(), max(map(len, long_words), default=0)
        for hints, unspaced, shape, replacement in _SHAPES:
            if longest >= unspaced and any(map(folded.__contains__, hints)):
                clean = shape.sub(replacement, clean)
        return clean

    def cleaned(self, value: Any) -> Any:
        """Return plain values, such as lists and mappings of text, with a mark in place of every secret.

        A text that is a number stays as it is: somebody's passphrase may be six digits, and an amount may not change.
        """
        match value:
            case str():
                return value if _NUMBER.fullmatch(value) else self.redact(value)
            case Mapping():
                return {self.cleaned(name): self.cleaned(each) for name, each in value.items()}
            case list() | tuple():
                return [self.cleaned(each) for each in value]
        return value

    def __reduce_ex__(self, *_: object) -> NoReturn:
        raise TypeError("a Redactor can be neither copied nor pickled")


redactor = Redactor()
"""The filter of this process: every sink goes through it."""


class RedactingFormatter(logging.Formatter):
    """Formats a record with its traceback, in UTC, without secrets.

    Args:
        json: One JSON object per record instead of a line of text.
    """

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self, *, json: bool = False) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._is_json = json

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as it may be written."""
        text = super().format(record)
        if not self._is_json:
            return redactor.redact(text)
        parts = {
            "time": record.asctime,
            "level": record.levelname,
            "logger": record.name,
            "message": record.message,
            "traceback": "\n".join(filter(None, (record.exc_text, record.stack_info))),
        }
        clean = {name: redactor.redact(value) for name, value in parts.items() if value}
        return jsonlib.dumps(clean, ensure_ascii=False)


class RedactingStream:
    """A text stream without secrets. Keeps an unfinished line until it ends or `flush`: a secret may come in pieces."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._pending = ""
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Take `text`; write the lines it completes."""
        with self._lock:
            lines, newline, self._pending = (self._pending + text).rpartition("\n")
            if newline:
                self._stream.write(redactor.redact(lines) + newline)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Take each of `lines`."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Write what is pending."""
        with self._lock:
            self._stream.write(redactor.redact(self._pending))
            self._pending = ""
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        if name in {"buffer", "detach"}:  # a way around the filter
            raise AttributeError(name)
        return getattr(self._stream, name)


def install(level: int | str, stream: TextIO, *, json: bool = False) -> None:
    """Put the filter in front of everything this process writes.

    Replaces the root logger's handlers, the hooks for uncaught exceptions, `sys.stdout` and `sys.stderr`, and turns
    warnings into log records. The event loop's handler is `asyncio_exception_handler`; set it on the loop.

    Args:
        level: Of the root logger. Libraries that log URLs and headers stay at WARNING.
        stream: Where log records go.
        json: As for `RedactingFormatter`.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(RedactingFormatter(json=json))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _LOUD_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("stamina").setLevel(logging.ERROR)  # each retry of a read is not worth a line
    logging.getLogger("telegram").setLevel(max(root.level, logging.INFO))  # its DEBUG shows whole updates
    logging.captureWarnings(True)  # noqa: FBT003
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_thread
    sys.stdout = _wrapped(sys.stdout)
    sys.stderr = _wrapped(sys.stderr)


def asyncio_exception_handler(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what went wrong in an event loop, for `loop.set_exception_handler`."""
    logging.getLogger("asyncio").error("%s", context["message"], exc_info=context.get("exception"))


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger(__name__).critical("Stopped by an error that nobody expected", exc_info=(kind, error, trace))


def _log_thread(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_type is not SystemExit and arguments.exc_value is not None:
        details = (arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
        name = arguments.thread.name if arguments.thread else "unknown"
        logging.getLogger(__name__).critical("Thread %s was ended by an error", name, exc_info=details)


def _wrapped(stream: TextIO) -> TextIO:
    return stream if isinstance(stream, RedactingStream) else cast(TextIO, RedactingStream(stream))


def _without(text: str, forms: Iterable[str]) -> str:
    # First characters -> what may follow, so that the cost of a look does not grow with the number of forms.
    starting: dict[str, list[str]] = {}
    for form in forms:
        starting.setdefault(form[:_SHORTEST], []).append(form)
    pieces = []
    shown = 0  # everything before it is in `pieces`, or hidden
    for start in range(len(text) - _SHORTEST + 1):
        for form in starting.get(text[start : start + _SHORTEST], ()):
            if text.startswith(form, start):
                if start >= shown:
                    pieces += [text[shown:start], MARK]
                shown = max(shown, start + len(form))
    return "".join([*pieces, text[shown:]])


def _windows(value: str) -> set[str]:
    """Return short parts of `value` and its encodings: whatever is to be hidden holds one of them, whole.

    Each is of `_WINDOW` characters without a space, or where there are none such, of `_SHORTEST`.
    """
    parts = [value[start : start + _WINDOW] for start in range(0, len(value) - _WINDOW + 1, _STEP)]
    return {_window(form) for form in (*parts, *_forms(value))}


def _window(form: str) -> str:
    if len(form) < _WINDOW:
        return form[:_SHORTEST]
    # Not where it begins: many keys begin alike, and then each text with that would be looked at for all of them.
    # In steps, for forms that differ at the end alone have the same one then, and a value that of a fragment.
    unspaced = _UNSPACED.search(form, (len(form) - _WINDOW) // 2 // _STEP * _STEP)
    return unspaced[0] if unspaced else form[:_SHORTEST]


def _all_forms(value: str) -> set[str]:
    return _forms(value) | {value[start : start + _FRAGMENT] for start in range(len(value) - _FRAGMENT + 1)}


def _forms(value: str) -> set[str]:
    forms = {value, *_forms_of_bytes(value.encode())}
    if not _UNCHANGED.fullmatch(value):
        forms.update(_escapes(value))
    if len(value) % 2 == 0 and _HEX.fullmatch(value):
        forms.update(_forms_of_bytes(bytes.fromhex(value)))
    return {form for form in forms if len(form) >= _SHORTEST}


def _escapes(value: str) -> Iterator[str]:
    # Escaped twice: a JSON body is often part of something that is shown with `repr`.
    for text in (value, html.escape(value), repr(value.encode())[2:-1]):
        yield from (twice for once in _escaped(text) for twice in _escaped(once))
    for quoted in (quote(value), quote(value, safe=""), quote_plus(value)):
        yield quoted
        yield re.sub("%..", lambda match: match[0].lower(), quoted)


def _escaped(text: str) -> set[str]:
    # `repr` escapes an apostrophe only in a text that holds both kinds of quotes.
    with_apostrophes = repr(f"{text}\"'")[1:-4]
    as_json = (jsonlib.dumps(text, ensure_ascii=escape)[1:-1] for escape in (True, False))
    return {text, repr(text)[1:-1], with_apostrophes, *as_json}


def _forms_of_bytes(value: bytes) -> Iterator[str]:
    yield from (value.hex(), value.hex().upper(), repr(value)[2:-1])
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + value).decode()
        # Inside a longer text, only the characters whose six bits all come from the value are always the same.
        first, last = -(-8 * before // 6), 8 * (before + len(value)) // 6
        for form in (encoded[first:last], encoded[first:]) if before == 0 else (encoded[first:last],):
            yield form
            yield form.replace("+", "-").replace("/", "_")
