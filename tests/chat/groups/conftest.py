"""A group that the owner allowed, and ways to write, press and look there."""

from __future__ import annotations

from typing import Any

import pytest
from telegram import Update

from bot.accounts import people
from bot.trading import groups, reports
from bot.trading.groups import Group
from tests.chat.conftest import OWNER, Chat
from tests.chat.test_gate import GROUP, message, person, update
from tests.trading.conftest import ANN, BOB, START_MS
from tests.trading.test_journal import report

NEW_GROUP = -1_000_000_000_500
TOPIC = 42
IN_GROUP: dict[str, Any] = {"chat_id": GROUP, "kind": "supergroup"}
HOUR_MS = 3_600_000


@pytest.fixture
async def club(real: Chat) -> Chat:
    """A chat with all commands and a group that the owner allowed, which Ann administrates."""
    real.room.store.transact(lambda db: people.ensure_user(db, OWNER, "admin", now_ms=START_MS))
    real.room.store.transact(lambda db: groups.allow(db, GROUP, "Traders", by=OWNER, owner=OWNER, now_ms=START_MS))
    real.telegram.administrators.add((GROUP, ANN))
    return real


async def say(chat: Chat, text: str, user_id: int = ANN, **fields: Any) -> list[str]:
    """Let somebody write in the group."""
    return await chat.say(text, user_id=user_id, **{**IN_GROUP, **fields})


async def push(chat: Chat, label: str, user_id: int = ANN, presser: int = 0) -> str:
    """Let somebody press a button of the newest card in the group; return the answer, or the card then."""
    card = max(chat.telegram.shown)
    keys = [key for row in chat.telegram.shown[card][1] for key in row]
    [data] = [key["callback_data"] for key in keys if key["text"] == label]
    before = len(chat.telegram.texts())
    [told] = await chat.press(data, card, user_id=presser or user_id, chat_id=GROUP, kind="supergroup")
    return told or "\n".join(chat.telegram.texts()[before:])


def share(chat: Chat, *, with_amounts: bool = False, user_id: int = ANN) -> None:
    now_ms = chat.room.clock.now_ms()
    chat.room.store.transact(
        lambda db: groups.share(
            db, GROUP, user_id, "@ann", with_amounts=with_amounts, is_administrator=False, now_ms=now_ms
        )
    )


async def bought(chat: Chat) -> Any:
    """Let an order of Ann's fill."""
    row = await chat.room.placed()
    told, now_ms = report(row, "filled", str(row.quantity)), chat.room.clock.now_ms()
    return chat.room.store.transact(lambda db: reports.apply(db, row.id, told, now_ms))


def posted(chat: Chat, chat_id: int = GROUP) -> list[dict[str, Any]]:
    """What was sent to the group, as (text, topic, whether silent)."""
    sent = chat.telegram.named("sendMessage")
    return [
        (each["text"], each.get("message_thread_id"), each.get("disable_notification", False))
        for each in sent
        if each["chat_id"] == chat_id
    ]


def waiting(chat: Chat) -> list[tuple[Any, ...]]:
    """What waits for groups, as (chat, topic, lane, kind)."""
    rows = chat.room.sql("SELECT chat_id, thread_id, lane, kind FROM outbox WHERE chat_id<0 ORDER BY id")
    return [tuple(row) for row in rows]


def group_of(chat: Chat, chat_id: int = GROUP) -> Group | None:
    return chat.room.store.transact(lambda db: groups.find(db, chat_id))


def member_update(chat: Chat, status: str, chat_id: int = GROUP) -> Update:
    """What Telegram tells when the bot is removed or added."""
    me = {"id": 9, "is_bot": True, "first_name": "Tradewire"}
    extra = {"until_date": 0} if status == "kicked" else {}
    return update(
        chat.services.sender.bot,
        my_chat_member={
            "chat": {"id": chat_id, "type": "supergroup", "title": "Traders"},
            "from": person(BOB),
            "date": START_MS // 1000,
            "old_chat_member": {"user": me, "status": "member"},
            "new_chat_member": {"user": me, "status": status, **extra},
        },
    )


def upgraded(chat: Chat) -> Update:
    """What Telegram writes in a group that became a supergroup."""
    told = message("", chat_id=GROUP, kind="group", migrate_to_chat_id=NEW_GROUP)
    return update(chat.services.sender.bot, message=told)
