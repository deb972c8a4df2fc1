"""What happens to groups of the local Telegram: topics, borrowed names, the move to a supergroup, the bot removed.

Source: https://core.telegram.org/bots/api#message and #chatmemberupdated (read 2026-11-20).
"""

from __future__ import annotations

from typing import Any

from bot.local.models import Chat, Json, Message, Person
from bot.local.telegram import LocalTelegram
from bot.local.text import find_entities

ANONYMOUS = Person(1087968824, "Group", "GroupAnonymousBot", is_bot=True)
"""Who Telegram says wrote what an anonymous administrator writes."""
CHANNEL = Person(136817688, "Channel", "Channel_Bot", is_bot=True)
"""Who Telegram says wrote what somebody writes in a channel's name."""
_NEWS = Chat(-1_000_000_000_900, "News", [])


def add_topic(telegram: LocalTelegram, chat_id: int, name: str) -> int:
    """Add a topic to a group, which makes it a forum, and return its thread id."""
    topics = telegram.chats[chat_id].topics
    thread_id = 1001 + len(topics)
    topics[thread_id] = name
    return thread_id


def say_anonymously(telegram: LocalTelegram, chat_id: int, text: str) -> Message:
    """Write in a group as an administrator who remains anonymous does."""
    return _say(telegram, chat_id, text, ANONYMOUS, telegram.chats[chat_id])


def say_as_channel(telegram: LocalTelegram, chat_id: int, text: str) -> Message:
    """Write in a group in the name of a channel."""
    return _say(telegram, chat_id, text, CHANNEL, _NEWS)


def remove_bot(telegram: LocalTelegram, chat_id: int, by: int) -> None:
    """Let somebody remove the bot from a group."""
    telegram.chats[chat_id].has_bot = False
    _membership(telegram, chat_id, by, "member", "kicked")


def add_bot(telegram: LocalTelegram, chat_id: int, by: int) -> None:
    """Let somebody add the bot to a group that removed it."""
    telegram.chats[chat_id].has_bot = True
    _membership(telegram, chat_id, by, "left", "member")


def upgrade(telegram: LocalTelegram, chat_id: int, new_chat_id: int, by: int, *, tells: bool = True) -> Chat:
    """Let a group become a supergroup, with another id.

    Args:
        telegram: Where.
        chat_id: The group.
        new_chat_id: The supergroup's id.
        by: Who did it.
        tells: Whether the bot hears of it. Updates are lost after a day; then it learns by being refused.
    """
    old = telegram.chats[chat_id]
    new = Chat(new_chat_id, old.title, list(old.members), set(old.admins))
    old.moved_to, telegram.chats[new_chat_id] = new_chat_id, new
    told = [
        telegram.post(old, telegram.people[by], service={"migrate_to_chat_id": new_chat_id}),
        telegram.post(new, telegram.people[by], service={"migrate_from_chat_id": chat_id}),
    ]
    for message in told if tells else ():
        telegram.tell_bot("message", message)
    return new


def _say(telegram: LocalTelegram, chat_id: int, text: str, sender: Person, name: Chat) -> Message:
    content: dict[str, Any] = {"text": text, "entities": find_entities(text), "sender_chat": name}
    message = telegram.post(telegram.chats[chat_id], sender, **content)
    telegram.tell_bot("message", message)
    return message


def _membership(telegram: LocalTelegram, chat_id: int, by: int, before: str, after: str) -> None:
    def member(status: str) -> Json:
        until = {"until_date": 0} if status == "kicked" else {}
        return {"user": telegram.bot.to_json(), "status": status, **until}

    telegram.queue(
        "my_chat_member",
        {
            "chat": telegram.chats[chat_id].to_json(),
            "from": telegram.people[by].to_json(),
            "date": telegram.now(),
            "old_chat_member": member(before),
            "new_chat_member": member(after),
        },
    )
