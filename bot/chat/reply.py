"""What a command answers, and sending it: buttons become rows first, then a message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from telegram import Bot, CopyTextButton, InlineKeyboardButton, InlineKeyboardMarkup
from telegram.error import BadRequest

from bot.chat.text import Text
from bot.clock import Clock
from bot.redact import redactor
from bot.store.database import Store
from bot.trading import confirm
from bot.trading.confirm import Button

_GONE = ("not found", "can't be edited", "message_id_invalid")


@dataclass(frozen=True, slots=True)
class Link:
    """A button that opens an address."""

    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Copy:
    """A button that copies a text."""

    text: str
    value: str


Key: TypeAlias = Button | Link | Copy


@dataclass(frozen=True, slots=True)
class Reply:
    """A message to be sent, or to replace the one whose button was pressed."""

    text: Text
    rows: tuple[tuple[Key, ...], ...] = ()


def say(text: str, *rows: tuple[Key, ...]) -> Reply:
    """Return a plain reply."""
    return Reply(Text().plain(text), rows)


class Sender:
    """Sends replies.

    Args:
        bot: Telegram.
        store: Where buttons are kept.
        clock: Ours.
    """

    def __init__(self, bot: Bot, store: Store, clock: Clock) -> None:
        self.bot = bot
        self._store = store
        self._clock = clock

    async def send(self, reply: Reply, *, chat_id: int, user_id: int, message_id: int | None = None) -> int:
        """Send `reply`, or edit the message `message_id` into it, and return the message's id.

        Args:
            reply: What to say.
            chat_id: Where.
            user_id: The only person whose presses count.
            message_id: The message to edit, or `None`. One that is gone is sent anew.
        """
        text = _without_secrets(reply.text).fitting()  # the mark may be longer than the secret
        data, markup = await self._keyboard(reply, chat_id, user_id, message_id)
        if message_id is not None:
            try:
                await self.bot.edit_message_text(
                    text.text, chat_id, message_id, entities=text.entities, reply_markup=markup
                )
                return message_id
            except BadRequest as error:
                if "not modified" in error.message:
                    return message_id
                if not any(each in error.message.lower() for each in _GONE):
                    raise
                data, markup = await self._keyboard(reply, chat_id, user_id, None)
        message = await self.bot.send_message(chat_id, text.text, entities=text.entities, reply_markup=markup)
        if data:
            await self._store.run(lambda db: confirm.attach(db, data, message.message_id))
        return message.message_id

    async def _keyboard(
        self, reply: Reply, chat_id: int, user_id: int, message_id: int | None
    ) -> tuple[list[str], InlineKeyboardMarkup | None]:
        buttons = [key for row in reply.rows for key in row if isinstance(key, Button)]
        if not buttons and message_id is None and not reply.rows:
            return [], None
        data = await self._store.run(
            lambda db: confirm.mint(
                db, buttons, user_id=user_id, chat_id=chat_id, message_id=message_id, now_ms=self._clock.now_ms()
            )
        )
        waiting = iter(data)
        rows = [[_made(key, waiting.__next__) for key in row] for row in reply.rows]
        return data, InlineKeyboardMarkup(rows) if rows else None


def _without_secrets(text: Text) -> Text:
    shown = redactor.redact(text.text)
    return text if shown == text.text else Text(shown)


def _made(key: Key, following: object) -> InlineKeyboardButton:
    if isinstance(key, Link):
        return InlineKeyboardButton(key.text, url=key.url)
    if isinstance(key, Copy):
        return InlineKeyboardButton(key.text, copy_text=CopyTextButton(key.value))
    assert callable(following)
    return InlineKeyboardButton(key.text, callback_data=following(), style=key.style or None)
