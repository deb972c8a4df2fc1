"""Files sent into a chat: in their turn like any message, without secrets, and never a lost answer."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from bot.chat.reply import Document
from tests.chat.conftest import Chat, new_chat
from tests.trading.conftest import ANN

ROOT = Path(__file__).parents[2] / "bot" / "chat"
FILE = Document("orders.csv", "a,b\n", "two columns")
SENDS = {"send_message", "send_document", "edit_message_text", "send_photo", "reply_text", "reply_document", "answer"}


@pytest.fixture
async def chat(tmp_path: Path) -> Any:
    """A bot with all commands."""
    found = await new_chat(tmp_path)
    yield found
    await found.room.close()


async def test_file_takes_its_turn(chat: Chat) -> None:
    """Ten files at once to one chat take the time that Telegram wants between messages."""
    began, sender = chat.room.clock.monotonic(), chat.services.sender
    for _ in range(10):
        await sender.document(FILE, chat_id=ANN, user_id=ANN)
    assert len(chat.telegram.named("sendDocument")) == 10
    assert chat.room.clock.monotonic() - began >= 5


async def test_file_that_telegram_refuses_for_now_is_asked_for_again(chat: Chat, monkeypatch: Any) -> None:
    """The person is told, once Telegram takes messages again; the file is not kept."""
    monkeypatch.setenv("PTB_TIMEDELTA", "true")  # as `run` sets it
    chat.telegram.fail("sendDocument", 429, "Too Many Requests: retry after 40", retry_after=40)
    await chat.services.sender.document(FILE, chat_id=ANN, user_id=ANN)
    assert chat.telegram.texts() == []
    chat.room.clock.advance(40)
    await chat.outbox.step()
    assert chat.telegram.texts() == ["Telegram takes no file at present. Send the command again in 40 seconds."]


async def test_file_for_a_chat_on_hold_is_not_tried(chat: Chat) -> None:
    """While Telegram wants to be left alone nothing is sent, and nobody waits for it."""
    chat.services.sender.pacer.hold(30, ANN)
    await chat.services.sender.document(FILE, chat_id=ANN, user_id=ANN)
    assert chat.telegram.named("sendDocument") == []
    assert len(chat.room.sql("SELECT 1 FROM outbox")) == 1


def test_messages_leave_by_two_ways_only() -> None:
    """Whatever is sent passes the redactor and the pacer in `reply.py`; answers to presses pass it in `answers.py`."""
    ways = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SENDS:
                ways.add((path.name, node.func.attr))
    assert ways == {
        ("reply.py", "send_message"),
        ("reply.py", "send_document"),
        ("reply.py", "send_photo"),
        ("reply.py", "edit_message_text"),
        ("answers.py", "answer"),
    }
