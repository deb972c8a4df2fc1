"""Every place where a process leaves bytes: no canary in any encoding gets there, and the redactor is why."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from telegram.request import RequestData

from bot import Request, Response, UserError
from bot.chat.reply import Document, Reply, Sender, say
from bot.chat.text import Text
from bot.redact import MARK, RedactingFormatter, Redactor, redactor
from bot.store.backup import back_up
from bot.trading import events, notices
from bot.trading.confirm import Button
from tests.chat.conftest import Chat, new_chat
from tests.security.canaries import CANARIES, ENCODINGS, everything, forget, leaked_bytes
from tests.trading.conftest import ANN, CHAT, FakeExchange, Room, _reply

_CRASH = """
import sys
from bot import redact
from bot.redact import Redactor, redactor
from tests.security.canaries import CANARIES, everything
if sys.argv[1] == "off":
    Redactor.redact = lambda self, text: text
for value in CANARIES.values():
    redactor.register(value)
redact.install("DEBUG", sys.stderr)
print(everything())
raise RuntimeError(everything())
"""


@dataclass
class Place:
    """One bot with its files, and whether the redactor works."""

    chat: Chat
    directory: Path
    is_redacting: bool

    @property
    def room(self) -> Room:
        return self.chat.room

    @property
    def sender(self) -> Sender:
        return self.chat.services.sender

    def sent(self) -> bytes:
        """Everything that Telegram was told."""
        return repr(self.chat.telegram.calls).encode()


class Echo(FakeExchange):
    """Refuses every order with words that hold all secrets, as one that repeats what it was sent."""

    async def send(self, request: Request, *, timeout_seconds: float) -> Response:
        if not request.places:
            return await super().send(request, timeout_seconds=timeout_seconds)
        return _reply(None, code=everything(), status=400)


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every canary is a live secret of this process, for the time of the test."""
    forget(monkeypatch.setattr)
    for value in CANARIES.values():
        redactor.register(value)


@pytest.fixture(params=["on", "off"])
async def place(request: Any, live: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bot with a redactor, and as a control one whose redactor does nothing."""
    if request.param == "off":
        monkeypatch.setattr(Redactor, "redact", lambda self, text: text)
    chat = await new_chat(tmp_path)
    yield Place(chat, tmp_path, request.param == "on")
    await chat.room.close()


async def _refused(place: Place) -> None:
    """Let an exchange refuse an order with secrets in its words; they get into the order, its event and its card."""
    exchange = place.room.exchange
    exchange.__class__ = Echo
    await place.room.placed()


async def _wal(place: Place) -> bytes:
    await _refused(place)
    return place.room.path.with_name("tradewire.db-wal").read_bytes()


async def _journal(place: Place) -> bytes:
    await _refused(place)
    place.room.store.close()
    return place.room.path.read_bytes()


async def _backup(place: Place) -> bytes:
    await _refused(place)
    target = place.directory / "backups" / "copy.db"
    back_up(place.room.path, target)
    return target.read_bytes()


async def _event(place: Place) -> bytes:
    detail = {"by": everything(), "nested": [{everything(): [everything()]}]}
    place.room.store.transact(lambda db: events.record(db, kind="x", detail=detail, now_ms=1))
    return str([tuple(row) for row in place.room.sql("SELECT kind, detail FROM events")]).encode()


async def _outbox(place: Place) -> bytes:
    place.sender.pacer.hold(60, CHAT)
    await place.sender.send(Reply(Text().plain(everything()), ((Button(everything(), "x"),),)), chat_id=CHAT, user_id=1)
    payload = {"text": everything(), "rows": [[everything()]]}
    place.room.store.transact(lambda db: notices.tell(db, chat_id=CHAT, kind="note", payload=payload, now_ms=1))
    return "".join(row["payload"] for row in place.room.sql("SELECT payload FROM outbox")).encode()


async def _message(place: Place) -> bytes:
    for kind, value in CANARIES.items():
        texts = [encode(value) for encode in ENCODINGS.values()]
        text = Text().plain(f"{kind}: ").bold(texts[0]).plain(" ".join(texts))
        label = Button(texts[0], "x")
        await place.sender.deliver(Reply(text, ((label,),)), chat_id=CHAT, user_id=1)
    return place.sent()


async def _document(place: Place) -> bytes:
    files: list[bytes] = []
    answer = place.chat.telegram.do_request

    async def keep(url: str, method: str, request_data: RequestData | None = None, *rest: Any, **more: Any) -> Any:
        files.append(repr(request_data and request_data.multipart_data).encode())
        return await answer(url, method, request_data, *rest, **more)

    place.chat.telegram.do_request = keep  # type: ignore[method-assign]
    await place.sender.document(Document("x.txt", everything(), everything()), chat_id=CHAT, user_id=1)
    return place.sent() + b"".join(files)


async def _toast(place: Place) -> bytes:
    def crowd(value: str) -> Callable[..., Awaitable[Any]]:
        async def press(*_: Any, **__: Any) -> Any:
            raise UserError(value)

        return press

    message_id = await place.sender.send(say("x"), chat_id=ANN, user_id=ANN)
    for value in CANARIES.values():
        place.chat.services.desk.press = crowd(value)  # type: ignore[method-assign]
        await place.chat.press("c1:x", message_id or 0)
    return place.sent()


async def _log_file(place: Place) -> bytes:
    path, root = place.directory / "bot.log", logging.getLogger()
    handler = logging.FileHandler(path)
    handler.setFormatter(RedactingFormatter())
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        logging.getLogger("bot.x").debug("words: %s", everything())
        await _refused(place)
        place.room.exchange.arriving = _fail
        place.room.exchange.__class__ = FakeExchange
        await place.room.placed(side="sell")
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()
    return path.read_bytes()


def _fail(_: Request) -> None:
    secret = everything()
    raise RuntimeError(secret)


async def _crash(place: Place) -> bytes:
    how = "on" if place.is_redacting else "off"
    command = [sys.executable, "-c", _CRASH, how]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, cwd=root, check=False)  # noqa: ASYNC221
    assert done.returncode == 1
    assert b"Stopped by an error that nobody expected" in done.stderr
    return done.stdout + done.stderr


SINKS: dict[str, Callable[[Place], Awaitable[bytes]]] = {
    "journal": _journal,
    "write-ahead log": _wal,
    "event log": _event,
    "outbox": _outbox,
    "backup": _backup,
    "message": _message,
    "file sent": _document,
    "answer to a press": _toast,
    "log file at DEBUG, with tracebacks": _log_file,
    "both streams of a process that crashes": _crash,
}


@pytest.mark.parametrize("sink", SINKS)
async def test_sink_given_every_secret_keeps_none(place: Place, sink: str) -> None:
    """With the redactor not one canary is there in any encoding; without it, canaries of every kind are."""
    found = await SINKS[sink](place)
    seen = {kind for kind, _ in leaked_bytes(found)}
    marks = (MARK.encode(), b"\\u2039secret\\u203a")
    if place.is_redacting:
        assert (seen, any(mark in found for mark in marks)) == (set(), True)
    else:
        assert seen == set(CANARIES)
