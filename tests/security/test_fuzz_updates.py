"""Updates of every kind with hostile content, through the inbox, the gate and every command of the bot.

What must hold: nothing crashes, no traceback and no path reaches a chat, nothing is shown raw that could mislead, and
nobody orders for somebody else. `python -m tests.security.atheris_updates` does the same, guided by coverage.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from telegram import Update

from bot.chat import commands
from bot.exchanges import address
from tests.chat.conftest import OWNER, Chat, new_chat
from tests.security.hostile import KINDS, Hostile
from tests.trading.conftest import ANN, BOB

UPDATES = 3_000
NIGHTLY_UPDATES = 100_000
BATCH = 20
LIFE = 300
MOST = 2_000
"""Updates after which a new bot takes over: some of them halt trading or forget people."""

WORDS = tuple(
    re.findall(
        r"\S+",
        "BTC/USDT btc $50 0.1 50% max @ 60000 58k stop post ioc fok on off main all buy sell trader viewer 15m 1001 "
        "1002 acme rename remove test #1 2026-01-01 enable disable default",
    )
)
_ROOT = str(Path(__file__).parents[2])
_TOLD = re.compile(r"Traceback|File \"|\.py\b|/tmp/|site-packages|sqlite3\.|object at 0x|<class |" + re.escape(_ROOT))
_PARTS = {"bold", "italic", "code", "pre"}


class Errors(logging.Handler):
    """Keeps what is logged as an error: an update that was not handled, or an incident."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


class Target:
    """A bot that hostile updates are thrown at; a new one after `LIFE` of them."""

    def __init__(self, directory: Path) -> None:
        self.errors = Errors()
        self.handled = 0
        self._places = (directory / str(number) for number in itertools.count())
        self._chat: Chat | None = None

    async def chat(self) -> Chat:
        if self._chat is None:
            place = next(self._places)
            await asyncio.to_thread(place.mkdir)
            self._chat = await new_chat(place)
            self._chat.room.store._connection.execute("PRAGMA synchronous=0")  # nothing here is about power cuts
            schema = self._chat.room.sql("SELECT group_concat(sql) AS text FROM sqlite_schema")[0]["text"]
            self._schema = schema
        return self._chat

    async def close(self) -> None:
        if self._chat is not None:
            await self._chat.room.close()
            self._chat = None

    async def throw(self, random: Random, texts: tuple[str, ...] = (), count: int = BATCH) -> list[str]:
        """Throw `count` updates; return what should not have happened, in words."""
        chat = await self.chat()
        hostile = Hostile(random, tuple(chat.registry.commands), (*WORDS, *texts))
        hostile._number = self.handled
        before, seen = len(chat.telegram.calls), len(self.errors.found)
        for _ in range(count):
            raw = hostile.update(chat.room.clock.now_ms(), _button(chat, random))
            update = Update.de_json(json.loads(json.dumps(raw)), chat.services.sender.bot)
            await chat.arrive([update])
            await chat.outbox.step()
        await chat.room.desk.drain()
        wrong = [f"logged: {each}" for each in self.errors.found[seen:]]
        wrong += [each for call in chat.telegram.calls[before:] for each in _misleading(*call)]
        wrong += [f"order of another: {dict(row)}" for row in chat.room.sql(_STRANGE_ORDERS, OWNER, ANN, BOB)]
        self.handled += count
        if self.handled % LIFE == 0:
            now = chat.room.sql("SELECT group_concat(sql) AS text FROM sqlite_schema")[0]["text"]
            wrong += ["the tables were changed"] if now != self._schema else []
            await self.close()
        return wrong


_STRANGE_ORDERS = (
    "SELECT o.id, o.user_id, a.user_id AS owner FROM orders o JOIN accounts a ON a.id = o.account_id"
    " WHERE o.user_id <> a.user_id OR o.user_id NOT IN (?, ?, ?)"
    " AND o.user_id NOT IN (SELECT user_id FROM events WHERE kind = 'role')"
)


def _button(chat: Chat, random: Random) -> tuple[str, int] | None:
    """Return a button that exists and its message, to be pressed by whoever comes."""
    shown = [
        (message_id, data) for message_id in list(chat.telegram.shown)[-5:] for data in chat.telegram.data(message_id)
    ]
    if not shown:
        return None
    message_id, data = random.choice(shown)
    return data, message_id


def _misleading(method: str, values: dict[str, Any]) -> Iterator[str]:
    text = str(values.get("text") or values.get("caption") or "")
    if _TOLD.search(text):
        yield f"told in {method}: {text}"
    if "parse_mode" in values:
        yield f"{method} with a parse mode"
    if raw := [each for each in text if each != "\n" and unicodedata.category(each)[0] == "C"]:
        yield f"{method} shows {raw[0]!r} raw"
    entities = values.get("entities") or []
    size = len(text.encode("utf-16-le", "surrogatepass")) // 2
    for entity in json.loads(entities) if isinstance(entities, str) else entities:
        if entity["type"] not in _PARTS or entity["offset"] + entity["length"] > size:
            yield f"{method} with {entity}"
    if "the-secret" in text or "the-key" in text:
        yield f"{method} shows a key"


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Target, asyncio.Runner]]:
    monkeypatch.setattr(address, "outgoing_address", lambda: "192.0.2.7")
    with asyncio.Runner() as runner:
        target = Target(tmp_path)
        logging.getLogger().addHandler(target.errors)
        yield target, runner
        logging.getLogger().removeHandler(target.errors)
        runner.run(target.close())


def _fuzz(target: Target, runner: asyncio.Runner, updates: int) -> None:
    @settings(
        max_examples=updates // BATCH,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(seed=st.integers(0, 2**32), texts=st.lists(st.text(max_size=40), max_size=3))
    def throw(seed: int, texts: list[str]) -> None:
        assert runner.run(target.throw(Random(seed), tuple(texts))) == []

    throw()
    assert target.handled >= updates * 9 // 10


def test_hostile_updates_change_nothing_and_tell_nothing(target: tuple[Target, asyncio.Runner]) -> None:
    """Thousands of updates: no crash, no traceback, path or raw control character in a chat, no order of a stranger."""
    _fuzz(*target, UPDATES)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_hostile_updates_by_the_hundred_thousand(target: tuple[Target, asyncio.Runner]) -> None:
    """The same at length."""
    _fuzz(*target, NIGHTLY_UPDATES)


def test_hostile_updates_do_reach_the_commands(target: tuple[Target, asyncio.Runner]) -> None:
    """The corpus has every kind of update, runs most commands, and makes orders that people may make."""
    hit, runner = target
    random, kinds = Random(1), set()
    hostile = Hostile(random, tuple(commands.registry().commands), WORDS)
    for _ in range(1_000):
        kinds |= hostile.update(1_700_000_000_000).keys() - {"update_id"}
    assert kinds == set(KINDS)
    missing, orders = {"Not done", "no command", "BTC/USDT"}, 0
    for _ in range(MOST // BATCH):
        chat = runner.run(hit.chat())
        runner.run(hit.throw(random))
        told = "\n".join(chat.telegram.texts())
        missing = {part for part in missing if part not in told}
        orders += hit.handled % LIFE != 0 and len(chat.room.sql("SELECT 1 FROM orders"))
        if not missing and orders:
            break
    assert (missing, orders > 0) == (set(), True)


@pytest.mark.parametrize(
    "values",
    [
        {"text": 'Traceback (most recent call last):\n  File "x"'},
        {"text": f"see {_ROOT}/bot"},
        {"text": "a\u202eb"},
        {"text": "x", "parse_mode": "HTML"},
        {"text": "x", "entities": '[{"type": "text_link", "offset": 0, "length": 1}]'},
        {"text": "x", "entities": '[{"type": "bold", "offset": 0, "length": 2}]'},
        {"text": "the-secret"},
    ],
)
def test_look_at_messages_notices_what_misleads(values: dict[str, Any]) -> None:
    """Control: each of the things that must not be told is seen."""
    assert list(_misleading("sendMessage", values)) != []
