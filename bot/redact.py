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
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, NoReturn, TextIO, cast
from urllib.parse import quote, quote_plus

MARK = "‹secret›"

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_SHORTEST = 6
_FRAGMENT = 12
_LOUD_LOGGERS = ("httpx", "httpcore", "hpack", "h11")  # they write URLs and headers, at INFO and below

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
_SHAPES = tuple(
    (re.compile(pattern, re.IGNORECASE), rf"\g<before>{MARK}")
    for pattern in (
        r"(?P<before>)(?<!\d)\d{6,}(?::|%3A)[A-Za-z0-9_-]{30,}",  # a Telegram bot token
        rf"""(?P<before>\b{_HEADER}\b['"]?\s{{0,4}}[:=,]\s{{0,4}}(?:b?['"])?(?:(?:basic|bearer)\s)?){_VALUE}""",
        rf"(?P<before>(?<![a-z]){_WORD}=){_VALUE}",
        rf"""(?P<before>['"]{_WORD}['"]\s{{0,4}}[:=,]\s{{0,4}}b?['"])[^'"‹›]+""",
        rf"""(?P<before>(?<![a-z]){_WORD}\b['"]?[\s:=,]{{0,4}}(?:is\s)?(?:b?['"])?)[A-Za-z0-9+/_-]{{16,}}=*""",
    )
)


class Redactor:
    """Knows the live secrets, and hides them and their encodings in text. Holds them, so it cannot print or pickle."""

    __slots__ = ("_forms", "_lock", "_values")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: set[str] = set()
        # First characters -> what may follow, so that the cost of a look does not grow with the number of secrets.
        self._forms: dict[str, frozenset[str]] = {}

    def register(self, value: str) -> None:
        """Hide `value` from now on. Values below six characters are not hidden: they would be found everywhere.

        Of a hex value, the encodings of the bytes it stands for are hidden too.
        """
        if len(value) < _SHORTEST or value in self._values:
            return
        with self._lock:
            for form in _forms(value):
                if len(form) >= _SHORTEST:
                    start = form[:_SHORTEST]
                    self._forms[start] = self._forms.get(start, frozenset()) | {form}
            self._values.add(value)

    def redact(self, text: str) -> str:
        """Return `text` with a mark in place of every secret."""
        text = self._without_values(text)
        for shape, replacement in _SHAPES:
            text = shape.sub(replacement, text)
        return text

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

    def _without_values(self, text: str) -> str:
        pieces = []
        shown = 0  # everything before it is in `pieces`, or hidden
        for start in range(len(text) - _SHORTEST + 1):
            for form in self._forms.get(text[start : start + _SHORTEST], ()):
                if text.startswith(form, start):
                    if start >= shown:
                        pieces += [text[shown:start], MARK]
                    shown = max(shown, start + len(form))
        return "".join([*pieces, text[shown:]])

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


def _forms(value: str) -> Iterator[str]:
    yield value
    yield from (value[start : start + _FRAGMENT] for start in range(len(value) - _FRAGMENT + 1))
    # Escaped twice: a JSON body is often part of something that is shown with `repr`.
    for text in (value, html.escape(value), repr(value.encode())[2:-1]):
        yield from (twice for once in _escaped(text) for twice in _escaped(once))
    for quoted in (quote(value), quote(value, safe=""), quote_plus(value)):
        yield quoted
        yield re.sub("%..", lambda match: match[0].lower(), quoted)
    yield from _forms_of_bytes(value.encode())
    if re.fullmatch("(?:[0-9A-Fa-f]{2})+", value):
        yield from _forms_of_bytes(bytes.fromhex(value))


def _escaped(text: str) -> set[str]:
    # `repr` escapes an apostrophe only in a text that holds both kinds of quotes.
    with_apostrophes = repr(f"{text}\"'")[1:-4]
    as_json = (jsonlib.dumps(text, ensure_ascii=escape)[1:-1] for escape in (True, False))
    return {text, repr(text)[1:-1], with_apostrophes, *as_json}


def _forms_of_bytes(value: bytes) -> Iterator[str]:
    yield from (value.hex(), value.hex().upper(), repr(value)[2:-1])
    encoders: tuple[Callable[[bytes], bytes], ...] = (base64.b64encode, base64.urlsafe_b64encode)
    for encode in encoders:
        yield encode(value).decode()
        for before in range(3):
            # Inside a longer text, only the characters whose six bits all come from the value are always the same.
            first, last = -(-8 * before // 6), 8 * (before + len(value)) // 6
            yield encode(bytes(before) + value)[first:last].decode()
