from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import TextIO, cast

import pytest

from bot import redact
from bot.redact import MARK, RedactingFormatter, RedactingStream, Redactor, asyncio_exception_handler, install
from tests.security.canaries import CANARIES, ENCODINGS, everything, leaked, leaks


@pytest.fixture
def redactor(monkeypatch: pytest.MonkeyPatch) -> Redactor:
    """The process's redactor, fresh, knowing every canary."""
    redactor = Redactor()
    for value in CANARIES.values():
        redactor.register(value)
    monkeypatch.setattr(redact, "redactor", redactor)
    return redactor


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, redactor: Redactor) -> Iterator[Callable[[], io.StringIO]]:
    """Calls `install` at DEBUG and returns everything that this process writes from then on; undone afterwards."""
    sink = io.StringIO()
    root = logging.getLogger()
    loggers = [root, *map(logging.getLogger, (*redact._LOUD_LOGGERS, "telegram"))]
    levels, handlers = [logger.level for logger in loggers], root.handlers[:]

    def install_now() -> io.StringIO:
        for owner, name in ((sys, "excepthook"), (threading, "excepthook"), (warnings, "showwarning")):
            monkeypatch.setattr(owner, name, getattr(owner, name))
        monkeypatch.setattr(sys, "stdout", sink)
        monkeypatch.setattr(sys, "stderr", sink)
        install("DEBUG", sink)
        return sink

    yield install_now
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


# Values


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("kind", CANARIES)
def test_redact_registered_value_is_hidden_in_every_encoding(redactor: Redactor, kind: str, encoding: str) -> None:
    """Twelve kinds of secret, ten encodings: nine characters in a row are never left, and the rest of the line is."""
    encoded = ENCODINGS[encoding](CANARIES[kind])
    assert leaks(f"before {encoded} after", encoded)
    clean = redactor.redact(f"before {encoded} after")
    assert (leaks(clean, encoded), MARK in clean) == (False, True)
    assert clean.startswith("before ")
    assert clean.endswith(" after")


def test_redact_unregistered_values_are_seen() -> None:
    """Control: without registration, every kind but those of known shape stays readable."""
    seen = {kind for kind, _ in leaked(Redactor().redact(everything()))}
    assert seen >= set(CANARIES) - {"bot token"}


@pytest.mark.parametrize("kind", ["master key", "data key"])
def test_redact_hex_value_hides_its_bytes(redactor: Redactor, kind: str) -> None:
    """A key registered as hex is hidden as the bytes it stands for, too."""
    value = bytes.fromhex(CANARIES[kind])
    forms = [repr(value), base64.b64encode(b"x" + value).decode(), base64.urlsafe_b64encode(value).decode()]
    assert [leaks(redactor.redact(form), form) for form in [*forms, value.hex().upper()]] == [False] * 4


def test_redact_value_in_json_in_repr_is_hidden(redactor: Redactor) -> None:
    """A reply's body shown within a mapping is escaped twice, and hidden all the same."""
    value = 'it\'s "quoted" \\ \u00e9'
    redactor.register(value)
    shown = [repr({"body": json.dumps({"a": value})}), json.dumps({"a": repr([value])}), repr([value, "'\""])]
    assert [text for text in shown if any(part in redactor.redact(text) for part in ("it", "quoted"))] == []


@pytest.mark.parametrize("length", [12, 13, 20, 31])
def test_redact_value_cut_anywhere_is_hidden_whole(redactor: Redactor, length: int) -> None:
    """A truncated or wrapped secret leaves nothing: overlapping fragments are one."""
    value = CANARIES["api key"]
    for start in range(len(value) - length + 1):
        assert redactor.redact(f"<{value[start : start + length]}>") == f"<{MARK}>"


def test_redact_overlapping_values_are_hidden_whole() -> None:
    """Where two secrets share characters, both go."""
    redactor = Redactor()
    redactor.register("abcdefgh")
    redactor.register("efghijkl")
    assert redactor.redact("1 abcdefghijkl 2") == f"1 {MARK} 2"


def test_redact_neighbours_are_two_marks(redactor: Redactor) -> None:
    """Two secrets side by side are two marks, and what stands around them stays."""
    key, secret = CANARIES["api key"], CANARIES["invite token"]
    assert redactor.redact(f"{key}{secret}, {key}") == f"{MARK}{MARK}, {MARK}"


def test_register_short_value_hides_nothing() -> None:
    """Five characters would be found everywhere; they are left."""
    redactor = Redactor()
    redactor.register("order")
    assert redactor.redact("order 5, orders") == "order 5, orders"


# Shapes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/bot7311223344:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawQ/getMe", "/bot•/getMe"),
        ("7311223344%3AAAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawQ", "•"),
        ("ACCESS-KEY: bg_1", "ACCESS-KEY: •"),
        ("{'ACCESS-SIGN': 'ab+c/d=', 'ACCESS-TIMESTAMP': '17'}", "{'ACCESS-SIGN': '•', 'ACCESS-TIMESTAMP': '17'}"),
        ("[(b'access-passphrase', b'hunter2')]", "[(b'access-passphrase', b'•')]"),
        ("X-CH-APIKEY=zz X-CH-TS=17", "X-CH-APIKEY=• X-CH-TS=17"),
        ("x-bitopro-payload: eyJ9", "x-bitopro-payload: •"),
        ('"X-BITOPRO-SIGNATURE": "0f"', '"X-BITOPRO-SIGNATURE": "•"'),
        ("X-Telegram-Bot-Api-Secret-Token: s", "X-Telegram-Bot-Api-Secret-Token: •"),
        ("authorization: Bearer a.b", "authorization: Bearer •"),
        ("/v1/order?symbol=BTC&sign=0f&x=1", "/v1/order?symbol=BTC&sign=•&x=1"),
        ("a=1&signature=0f", "a=1&signature=•"),
        ("password=a,b;c&next=1", "password=•&next=1"),
        ("access_token=x token=y secret_key=z api_key=w", "access_token=• token=• secret_key=• api_key=•"),
        ('{"password": "two words", "user": "a"}', '{"password": "•", "user": "a"}'),
        ("signature 0123456789abcdef is wrong", "signature • is wrong"),
        ("the secret is 'QUJDREVGR0hJSktMTU5PUA=='", "the secret is '•'"),
    ],
)
def test_redact_shape_of_a_secret_is_hidden(text: str, expected: str) -> None:
    """What looks like a secret goes without being registered; its name and its neighbours stay."""
    clean = Redactor().redact(text)
    assert clean == expected.replace("•", MARK)


@pytest.mark.parametrize(
    "text",
    [
        "Bought 0.5 BTC at 64000.12 USDT, order 1234567890123",
        "Bitget refused the order: the passphrase is wrong. Check it.",
        "Sign in, then sign: the token of this market is BTC.",
        "2026-01-31T12:00:00.000Z INFO bot.trading.desk: tw1x9k2m bitget sending -> open in 212 ms",
        "key, secret and passphrase",
        "ACCESS-TIMESTAMP: 1700000000000",
    ],
)
def test_redact_ordinary_text_is_unchanged(redactor: Redactor, text: str) -> None:
    """Prices, ids, times and sentences about keys stay readable."""
    assert redactor.redact(text) == text


# Sinks


def _uncaught() -> None:
    try:
        raise ValueError(everything())
    except ValueError:
        sys.excepthook(*cast(tuple[type[BaseException], BaseException, None], sys.exc_info()))


def _thread() -> None:
    def fail() -> None:
        raise ValueError(everything())

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


def _loop() -> None:
    asyncio_exception_handler(
        cast(asyncio.AbstractEventLoop, None), {"message": "lost", "exception": OSError(everything())}
    )


def _broken_record() -> None:
    logging.getLogger("bot").info("%d", everything())


def _logged() -> None:
    try:
        raise KeyError(everything())
    except KeyError:
        logging.getLogger("bot").debug("failed: %s", everything(), exc_info=True, stack_info=True)


def _warned() -> None:
    warnings.showwarning(everything(), UserWarning, __file__, 1)


SINKS: dict[str, Callable[[], object]] = {
    "log record with exception": _logged,
    "log call that fails": _broken_record,
    "uncaught exception": _uncaught,
    "uncaught exception in a thread": _thread,
    "event loop": _loop,
    "warning": _warned,
    "stdout": lambda: print(everything()),
    "stdout without newline": lambda: print(everything(), end="", flush=True),
    "stderr": lambda: print(everything(), file=sys.stderr),
    "stderr in pieces": lambda: [sys.stderr.write(letter) for letter in everything() + "\n"],
    "writelines": lambda: sys.stdout.writelines([everything(), "\n"]),
}


@pytest.mark.parametrize("sink", SINKS)
def test_install_sink_writes_no_canary(start: Callable[[], io.StringIO], sink: str) -> None:
    """Whatever way a process has to write, no canary comes out in any encoding, and something does."""
    written = start()
    SINKS[sink]()
    text = written.getvalue()
    assert (leaked(text), MARK in text) == ([], True)


@pytest.mark.parametrize("sink", SINKS)
def test_install_sink_with_the_redactor_off_writes_canaries(
    start: Callable[[], io.StringIO], monkeypatch: pytest.MonkeyPatch, sink: str
) -> None:
    """Control: the same sinks show every kind of secret when the redactor does nothing."""
    monkeypatch.setattr(Redactor, "redact", lambda self, text: text)
    written = start()
    SINKS[sink]()
    assert {kind for kind, _ in leaked(written.getvalue())} == set(CANARIES)


def test_install_libraries_that_log_urls_are_quiet(start: Callable[[], io.StringIO]) -> None:
    """At DEBUG, the HTTP libraries still write warnings only, and Telegram's library no DEBUG."""
    written = start()
    for name in ("httpx", "httpcore.http11", "hpack.hpack", "h11", "telegram.ext.Application"):
        logging.getLogger(name).debug("%s debug", name)
        logging.getLogger(name).warning("%s warning", name)
    logging.getLogger("httpx").info("httpx info")
    lines = [line.partition(": ")[2] for line in written.getvalue().splitlines()]
    assert lines == [
        "httpx warning",
        "httpcore.http11 warning",
        "hpack.hpack warning",
        "h11 warning",
        "telegram.ext.Application warning",
    ]


def test_install_replaces_handlers_and_wraps_streams_once(start: Callable[[], io.StringIO]) -> None:
    """No handler without the filter is left, and installing again adds no second one."""
    written = start()
    logging.getLogger().addHandler(logging.StreamHandler(written))
    stdout = sys.stdout
    install("INFO", written)
    logging.getLogger("bot").info("once")
    assert written.getvalue().count("once") == 1
    assert sys.stdout is stdout


def test_install_interrupt_by_the_user_is_no_error(start: Callable[[], io.StringIO]) -> None:
    """Ctrl-C ends the process without a traceback."""
    written = start()
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert written.getvalue() == ""


def _record(message: str, error: Exception | None = None) -> logging.LogRecord:
    info = None if error is None else (type(error), error, None)
    record = logging.LogRecord("bot.desk", logging.INFO, __file__, 1, "%s", (message,), info)
    record.created, record.msecs = 1_767_225_600.25, 250.0
    return record


def test_formatter_text_line_has_utc_time_level_and_logger(redactor: Redactor) -> None:
    """One line in UTC, with the secret marked."""
    line = RedactingFormatter().format(_record(f"key {CANARIES['api key']}"))
    assert line == f"2026-01-01T00:00:00.250Z INFO bot.desk: key {MARK}"


def test_formatter_json_is_one_object_with_clean_parts(redactor: Redactor) -> None:
    """The JSON form stays readable JSON when message and traceback hold secrets and quotes."""
    secret = CANARIES["vault passphrase"]
    line = RedactingFormatter(json=True).format(_record(f'say "{secret}"', ValueError(secret)))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-01-01T00:00:00.250Z",
        "level": "INFO",
        "logger": "bot.desk",
        "message": f'say "{MARK}"',
        "traceback": f"ValueError: {MARK}",
    }


def test_stream_unfinished_line_waits_for_its_end(redactor: Redactor) -> None:
    """A secret in two writes is hidden: nothing is passed on before the line ends."""
    sink, value = io.StringIO(), CANARIES["api key"]
    stream = RedactingStream(sink)
    sizes = [stream.write(part) for part in ("a\nkey ", value[:9], value[9:])]
    held = sink.getvalue()
    stream.write("\nrest")
    ended = sink.getvalue()
    stream.flush()
    assert (sizes, held, ended, sink.getvalue()) == ([6, 9, 26], "a\n", f"a\nkey {MARK}\n", f"a\nkey {MARK}\nrest")


def test_stream_offers_no_way_around_the_filter(redactor: Redactor) -> None:
    """The bytes below are out of reach; what describes the stream is not."""
    sink = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    stream = cast(TextIO, RedactingStream(sink))
    assert (hasattr(stream, "buffer"), hasattr(stream, "detach")) == (False, False)
    assert (stream.encoding, stream.isatty()) == ("utf-8", False)


def test_cleaned_secret_is_hidden_in_every_kind_of_plain_value(redactor: Redactor) -> None:
    """In names and texts of mappings, lists and tuples, also of a mapping that is no dict; other values stay."""
    secret = CANARIES["api key"]
    value = MappingProxyType({secret: [1, None, (secret, {"a": secret, "b": 2.5})]})
    assert redactor.cleaned(value) == {MARK: [1, None, [MARK, {"a": MARK, "b": 2.5}]]}


def test_cleaned_number_is_left_alone_though_a_secret_has_the_same_digits() -> None:
    """An amount in the log of events must read as it was, whatever passphrase somebody chose."""
    redactor = Redactor()
    redactor.register("100000")
    assert redactor.cleaned({"filled": "100000.50", "said": "key 100000"}) == {
        "filled": "100000.50",
        "said": f"key {MARK}",
    }
