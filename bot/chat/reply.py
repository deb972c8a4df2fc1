"""What a command answers, and sending it at Telegram's pace: buttons become rows first, then a message."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias, TypeVar

from telegram import Bot, CopyTextButton, InlineKeyboardButton, InlineKeyboardMarkup, InputFile, MessageEntity
from telegram.error import BadRequest, RetryAfter

from bot.chat.pacer import TELEGRAM, Pace, Pacer
from bot.chat.text import Text
from bot.clock import Clock
from bot.redact import redactor
from bot.store.database import Store
from bot.trading import confirm, notices
from bot.trading.confirm import Button
from bot.trading.notices import Lane

log = logging.getLogger(__name__)
_GONE = ("message to edit not found", "can't be edited", "message_id_invalid")
_PATIENCE_SECONDS = 5
T = TypeVar("T")


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


@dataclass(frozen=True, slots=True)
class Document:
    """A text to be sent as a file."""

    name: str
    text: str
    caption: str


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture to be sent: a PNG with at most 1,024 characters below it."""

    png: bytes
    caption: str


def say(text: str, *rows: tuple[Key, ...]) -> Reply:
    """Return a plain reply."""
    return Reply(Text().plain(text), rows)


class Sender:
    """Sends replies, each call in its turn.

    Attributes:
        bot: Telegram.
        pacer: Gives the turns.
        kept: Called when a reply was put into the outbox.
        reached: Called with each chat that took a message.
        moved: Called with a chat whose notices came there without being new.

    Args:
        bot: Telegram.
        store: Where buttons are kept.
        clock: Ours.
        pace: How fast Telegram may be told things.
    """

    def __init__(self, bot: Bot, store: Store, clock: Clock, pace: Pace = TELEGRAM) -> None:
        self.bot = bot
        self.pacer = Pacer(clock, pace)
        self.kept: Callable[[], None] = lambda: None
        self.reached: Callable[[int], None] = lambda _: None
        self.moved: Callable[[int], None] = lambda _: None
        self._store = store
        self._clock = clock

    async def send(
        self,
        reply: Reply,
        *,
        chat_id: int,
        user_id: int,
        message_id: int | None = None,
        thread_id: int | None = None,
    ) -> int | None:
        """Answer somebody. While Telegram wants no messages for this chat, the answer waits in the outbox.

        Args:
            reply: What to say.
            chat_id: Where.
            user_id: The only person whose presses count.
            message_id: The message to edit, or `None`. One that is gone is sent anew.
            thread_id: The topic of the chat, for a new message.

        Returns:
            The message's id, or `None` when it is sent later.
        """
        if self._wait_seconds(chat_id) <= _PATIENCE_SECONDS:
            try:
                return await self.deliver(
                    reply, chat_id=chat_id, user_id=user_id, message_id=message_id, thread_id=thread_id
                )
            except RetryAfter:
                pass  # the pacer holds the chat
        payload = {"reply": packed(reply), "user_id": user_id, "message_id": message_id}
        now_ms = self._clock.now_ms()
        await self._store.run(
            lambda db: notices.tell(
                db, chat_id=chat_id, thread_id=thread_id, kind="reply", payload=payload, now_ms=now_ms
            )
        )
        self.kept()
        return None

    async def deliver(
        self,
        reply: Reply,
        *,
        chat_id: int,
        user_id: int,
        message_id: int | None = None,
        lane: Lane = "result",
        thread_id: int | None = None,
        is_silent: bool = False,
    ) -> int:
        """Send `reply`, or edit the message `message_id` into it, and return the message's id.

        Args:
            reply: What to say.
            chat_id: Where.
            user_id: The only person whose presses count.
            message_id: The message to edit, or `None`. One that is gone is sent anew.
            lane: Which line to wait in.
            thread_id: The topic of the chat, for a new message.
            is_silent: Whether a new message makes no sound.

        Raises:
            RetryAfter: Telegram wants to be left alone; the pacer holds the chat.
            TelegramError: It was not sent, or nobody knows.
        """
        try:
            sent = await self._deliver(reply, chat_id, user_id, message_id, lane, thread_id, is_silent)
        except RetryAfter as error:
            self.pacer.hold(seconds_of(error), chat_id)
            raise
        self.reached(chat_id)
        return sent

    async def redraw(self, text: Text, *, chat_id: int, message_id: int) -> bool:
        """Change a message without buttons in its turn, behind everything that matters more.

        Returns:
            Whether the message is still there.

        Raises:
            RetryAfter: Telegram wants to be left alone; the pacer holds the chat.
            TelegramError: It was not changed, or nobody knows.
        """

        async def edit(text: Text) -> None:
            await self.pacer.turn(chat_id, "alert")
            await self.bot.edit_message_text(text.text, chat_id, message_id, entities=text.entities)

        try:
            await _or_plain(edit, _without_secrets(text).fitting())
        except RetryAfter as error:
            self.pacer.hold(seconds_of(error), chat_id)
            raise
        except BadRequest as error:
            reason = error.message.lower()
            if any(each in reason for each in _GONE):
                return False
            if "not modified" not in reason:
                raise
        self.reached(chat_id)
        return True

    async def document(self, file: Document, *, chat_id: int, user_id: int) -> None:
        """Send a file in its turn. It is not kept for later: when Telegram takes none now, the person is told so.

        Raises:
            TelegramError: It was not sent, or nobody knows.
        """
        content = InputFile(redactor.redact(file.text).encode(), filename=file.name)
        caption = redactor.redact(file.caption)
        if not await self._upload(lambda: self.bot.send_document(chat_id, content, caption=caption), chat_id, "result"):
            await self._say_later("file", chat_id, user_id)

    async def photo(
        self,
        picture: Photo,
        *,
        chat_id: int,
        user_id: int,
        thread_id: int | None = None,
        lane: Lane = "result",
        is_silent: bool = False,
    ) -> bool:
        """Send a picture in its turn, as `document` does.

        Args:
            picture: What to show.
            chat_id: Where.
            user_id: Whoever asked for it, and is told when Telegram takes none now; 0 tells nobody.
            thread_id: The topic of the chat.
            lane: Which line to wait in.
            is_silent: Whether it makes no sound.

        Returns:
            Whether it was sent.

        Raises:
            TelegramError: It was not sent, or nobody knows.
        """
        content, caption = InputFile(picture.png, filename="picture.png"), redactor.redact(picture.caption)
        extra: dict[str, Any] = {} if thread_id is None else {"message_thread_id": thread_id}
        extra |= {"disable_notification": True} if is_silent else {}
        is_sent = await self._upload(
            lambda: self.bot.send_photo(chat_id, content, caption=caption, **extra), chat_id, lane
        )
        if not is_sent and user_id:
            await self._say_later("picture", chat_id, user_id)
        return is_sent

    async def _upload(self, send: Callable[[], Awaitable[object]], chat_id: int, lane: Lane) -> bool:
        if self._wait_seconds(chat_id) > _PATIENCE_SECONDS:
            return False
        await self.pacer.turn(chat_id, lane)
        try:
            await send()
        except RetryAfter as error:
            self.pacer.hold(seconds_of(error), chat_id)
            return False
        self.reached(chat_id)
        return True

    async def _say_later(self, what: str, chat_id: int, user_id: int) -> None:
        wait = max(1, math.ceil(self._wait_seconds(chat_id)))
        text = f"Telegram takes no {what} at present. Send the command again in {wait} seconds."
        await self.send(say(text), chat_id=chat_id, user_id=user_id)

    def _wait_seconds(self, chat_id: int) -> float:
        return self.pacer.ready_at(chat_id, "result") - self._clock.monotonic()

    async def _deliver(  # noqa: PLR0917
        self,
        reply: Reply,
        chat_id: int,
        user_id: int,
        message_id: int | None,
        lane: Lane,
        thread_id: int | None,
        is_silent: bool,
    ) -> int:
        text = _without_secrets(reply.text).fitting()  # the mark may be longer than the secret
        data, markup = await self._keyboard(reply, chat_id, user_id, message_id)

        async def edit(text: Text) -> None:
            await self.pacer.turn(chat_id, lane)
            await self.bot.edit_message_text(
                text.text, chat_id, message_id, entities=text.entities, reply_markup=markup
            )

        async def send(text: Text) -> int:
            await self.pacer.turn(chat_id, lane)
            extra: dict[str, Any] = {} if thread_id is None else {"message_thread_id": thread_id}
            extra |= {"disable_notification": True} if is_silent else {}
            message = await self.bot.send_message(
                chat_id, text.text, entities=text.entities, reply_markup=markup, **extra
            )
            return message.message_id

        if message_id is not None:
            try:
                await _or_plain(edit, text)
            except BadRequest as error:
                reason = error.message.lower()
                if "not modified" in reason:
                    return message_id
                if not any(each in reason for each in _GONE):
                    raise
                data, markup = await self._keyboard(reply, chat_id, user_id, None)
            else:
                return message_id
        sent = await _or_plain(send, text)
        if data:
            await self._store.run(lambda db: confirm.attach(db, data, sent))
        return sent

    async def _keyboard(
        self, reply: Reply, chat_id: int, user_id: int, message_id: int | None
    ) -> tuple[list[str], InlineKeyboardMarkup | None]:
        buttons = [key for row in reply.rows for key in row if isinstance(key, Button)]
        data: list[str] = []
        if buttons or message_id is not None:  # an edit ends the buttons that the message had
            data = await self._store.run(
                lambda db: confirm.mint(
                    db, buttons, user_id=user_id, chat_id=chat_id, message_id=message_id, now_ms=self._clock.now_ms()
                )
            )
        waiting = iter(data)
        rows = [[_made(key, waiting.__next__) for key in row] for row in reply.rows]
        return data, InlineKeyboardMarkup(rows) if rows else None


def seconds_of(error: RetryAfter) -> float:
    """Return how long Telegram wants to be left alone; the library says it in one of two forms."""
    wait = error.retry_after
    return wait if isinstance(wait, int) else wait.total_seconds()


def packed(reply: Reply) -> dict[str, Any]:
    """Return a reply as plain values without secrets, to be kept in a row."""
    text = _without_secrets(reply.text).fitting()
    kinds = {Button: "button", Link: "link", Copy: "copy"}
    return {
        "text": text.text,
        "entities": [[entity.type, entity.offset, entity.length] for entity in text.entities],
        "rows": [[[kinds[type(key)], _plain(asdict(key))] for key in row] for row in reply.rows],
    }


def unpacked(values: dict[str, Any]) -> Reply:
    """Return what `packed` made plain."""
    made: dict[str, Callable[..., Key]] = {"button": Button, "link": Link, "copy": Copy}
    rows = tuple(tuple(made[kind](**_unplain(fields)) for kind, fields in row) for row in values["rows"])
    return Reply(Text(values["text"], [MessageEntity(*each) for each in values["entities"]]), rows)


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in fields.items()}


def _unplain(fields: dict[str, Any]) -> dict[str, Any]:
    found = fields.get("params_hash")
    return {**fields, "params_hash": bytes.fromhex(found)} if found else fields


async def _or_plain(call: Callable[[Text], Awaitable[T]], text: Text) -> T:
    """Send `text`; when Telegram cannot read its entities, without them. Bold type is not worth a lost message."""
    try:
        return await call(text)
    except BadRequest as error:
        if "entit" not in error.message.lower() or not text.entities:
            raise
        log.error("Telegram refused the entities of a message; it was sent without them")
        return await call(Text(text.text))


def _without_secrets(text: Text) -> Text:
    shown = redactor.redact(text.text)
    return text if shown == text.text else Text(shown)


def _made(key: Key, following: object) -> InlineKeyboardButton:
    label = redactor.redact(key.text)
    if isinstance(key, Link):  # addresses and texts to copy are left: an invitation is given that way, on purpose
        return InlineKeyboardButton(label, url=key.url)
    if isinstance(key, Copy):
        return InlineKeyboardButton(label, copy_text=CopyTextButton(key.value))
    assert callable(following)
    return InlineKeyboardButton(label, callback_data=following(), style=key.style or None)
