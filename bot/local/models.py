"""What the local Telegram is made of: people, chats, messages, files, each with its form in the Bot API."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from bot.local.text import Entity

Json: TypeAlias = dict[str, Any]
Button: TypeAlias = dict[str, Any]

TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}


class ApiError(Exception):
    """What the Bot API answers instead of a result.

    Args:
        status: HTTP status, repeated as `error_code`.
        description: Telegram's own words, beginning with `Bad Request:` and the like.
        parameters: What a program may go by, as `{"migrate_to_chat_id": -1001}`.
    """

    def __init__(self, status: int, description: str, parameters: Json | None = None) -> None:
        super().__init__(description)
        self.body: Json = {"ok": False, "error_code": status, "description": description}
        if parameters:
            self.body["parameters"] = parameters


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a Telegram account; the bot is one, too. `note` says on the page what they may do."""

    id: int
    name: str
    username: str
    note: str = ""
    is_bot: bool = False

    def to_json(self) -> Json:
        """Return the Bot API's `User`."""
        return {"id": self.id, "is_bot": self.is_bot, "first_name": self.name, "username": self.username}


@dataclass(slots=True, eq=False)
class Chat:
    """A private chat, which has its person's id, or a group, whose id is negative."""

    id: int
    title: str
    members: list[Person]
    admins: set[int] = field(default_factory=set)
    messages: list[Message] = field(default_factory=list)
    typing: int = 0
    """Revision at which the bot last said that it is busy."""
    kind: Literal["group", "supergroup"] = "supergroup"
    topics: dict[int, str] = field(default_factory=dict)
    """Thread id to the name of a forum's topic; the main one has no id."""
    has_bot: bool = True
    moved_to: int | None = None
    """The supergroup that a group became."""

    @property
    def is_private(self) -> bool:
        """Whether it is one person's chat with the bot."""
        return self.id > 0

    def to_json(self) -> Json:
        """Return the Bot API's `Chat`."""
        if not self.is_private:
            forum: Json = {"is_forum": True} if self.topics else {}
            return {"id": self.id, "type": self.kind, "title": self.title, **forum}
        person = self.members[0]
        return {"id": self.id, "type": "private", "first_name": person.name, "username": person.username}


@dataclass(frozen=True, slots=True)
class File:
    """Bytes sent as a photo or a document."""

    id: str
    kind: Literal["photo", "document"]
    name: str
    data: bytes = field(repr=False)

    @property
    def mime_type(self) -> str:
        """Tell pictures by their first bytes; all else is only bytes."""
        return next((kind for start, kind in TYPES.items() if self.data.startswith(start)), "application/octet-stream")

    def to_json(self) -> Json:
        """Return the fields of the Bot API's `PhotoSize` or `Document`."""
        common: Json = {"file_id": self.id, "file_unique_id": f"u{self.id}", "file_size": len(self.data)}
        if self.kind == "document":
            return {**common, "file_name": self.name, "mime_type": self.mime_type}
        is_png = self.mime_type == "image/png" and len(self.data) >= 24
        width, height = struct.unpack(">II", self.data[16:24]) if is_png else (640, 480)
        return {**common, "width": width, "height": height}


@dataclass(slots=True, kw_only=True, eq=False)
class Message:
    """One message as it looks now. Deleted ones stay, marked, so that a page that was away learns of it."""

    chat: Chat
    id: int
    sender: Person
    date: int
    text: str = ""
    """The caption, when there is a file."""
    entities: list[Entity] = field(default_factory=list)
    keyboard: list[list[Button]] = field(default_factory=list)
    markup: Json | None = None
    """Any other reply markup, such as `force_reply`."""
    file: File | None = None
    reply_to: Message | None = None
    is_forwarded: bool = False
    thread_id: int | None = None
    """The topic of a forum; `None` is the main one."""
    sender_chat: Chat | None = None
    """In whose name it was written, when not in the sender's."""
    service: Json = field(default_factory=dict)
    """What Telegram tells of the chat itself, such as `migrate_to_chat_id`."""
    is_silent: bool = False
    is_pinned: bool = False
    is_deleted: bool = False
    edit_date: int | None = None
    former_buttons: list[Button] = field(default_factory=list)
    revision: int = 0

    @property
    def buttons(self) -> list[list[str]]:
        """The labels of the inline keyboard, row by row."""
        return [[str(button["text"]) for button in row] for row in self.keyboard]

    def to_json(self, *, is_nested: bool = False) -> Json:
        """Return the Bot API's `Message`; a nested one leaves out what it answers."""
        words, marks = ("caption", "caption_entities") if self.file else ("text", "entities")
        optional: Json = {
            words: self.text,
            marks: self.entities,
            "reply_markup": {"inline_keyboard": self.keyboard} if self.keyboard else None,
            "edit_date": self.edit_date,
            "reply_to_message": self.reply_to.to_json(is_nested=True) if self.reply_to and not is_nested else None,
        }
        if self.file:
            optional[self.file.kind] = [self.file.to_json()] if self.file.kind == "photo" else self.file.to_json()
        if self.thread_id is not None:
            optional |= {"message_thread_id": self.thread_id, "is_topic_message": True}
        if self.sender_chat is not None:
            optional["sender_chat"] = self.sender_chat.to_json()
        if self.is_forwarded:
            optional["forward_origin"] = {"type": "user", "date": self.date, "sender_user": self.sender.to_json()}
        return {
            "message_id": self.id,
            "from": self.sender.to_json(),
            "chat": self.chat.to_json(),
            "date": self.date,
            **self.service,
            **{key: value for key, value in optional.items() if value},
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What the bot answered to a pressed button: a toast, or an alert that stays until it is closed."""

    query_id: str
    person_id: int
    text: str
    is_alert: bool
    revision: int = field(compare=False)
