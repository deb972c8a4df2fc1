"""The local Telegram's state: people, chats, messages, and the updates a bot has not confirmed yet. No I/O.

People act through `say`, `edit` and `press`; the bot acts through `bot.local.api`. Every change wakes whoever waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal, TypeVar

from bot.local.models import Answer, ApiError, Chat, File, Json, Message, Person
from bot.local.text import find_entities

T = TypeVar("T")


class LocalTelegram:
    """People, chats and one bot, in memory.

    Attributes:
        calls: Every Bot API call as (method, parameters), refused ones included.
        answers: What was answered to pressed buttons, in order.
        unsupported: Methods that answer 404, as a server too old to know them does.
        blocked: Ids of people who blocked the bot.

    Args:
        bot_username: Without the `@`.
        clock: Unix seconds; gives messages their date.
        privacy: Whether the bot sees only commands and replies to itself in groups it does not administrate.
    """

    def __init__(
        self, bot_username: str = "tradewire_bot", *, clock: Callable[[], float] = time.time, privacy: bool = True
    ) -> None:
        self.bot = Person(7_000_000_001, "tradewire", bot_username, is_bot=True)
        self.privacy = privacy
        self.people: dict[int, Person] = {}
        self.chats: dict[int, Chat] = {}
        self.files: dict[str, File] = {}
        self.commands: dict[tuple[str, str], list[Json]] = {}
        self.queries: dict[str, int] = {}
        self.answers: list[Answer] = []
        self.calls: list[tuple[str, Json]] = []
        self.unsupported: set[str] = set()
        self.blocked: set[int] = set()
        self.webhook = ""
        self.revision = 0
        self.commands_revision = 0
        self.is_closed = False
        self._clock = clock
        self._failures: dict[str, deque[Json]] = {}
        self._updates: list[Json] = []
        self._next_update = 100_000
        self._allowed: set[str] = set()
        self._poll = 0
        self._change = asyncio.Event()

    # People and chats

    def add_person(self, person_id: int, name: str, username: str, *, note: str = "") -> Person:
        """Add somebody and their private chat with the bot, which has their id."""
        person = Person(person_id, name, username, note)
        self.people[person_id] = person
        self.chats[person_id] = Chat(person_id, name, [person])
        return person

    def add_group(
        self,
        chat_id: int,
        title: str,
        members: Sequence[int],
        *,
        admins: Sequence[int] = (),
        bot_is_admin: bool = False,
    ) -> Chat:
        """Add a group of people already known, with the bot in it."""
        if chat_id >= 0:
            raise ValueError(f"{chat_id} is not a group's id: Telegram's are negative, such as -1001.")
        chat = Chat(chat_id, title, [self.people[member] for member in members], set(admins))
        if bot_is_admin:
            chat.admins.add(self.bot.id)
        self.chats[chat_id] = chat
        return chat

    # What people do

    def say(
        self,
        person_id: int,
        chat_id: int,
        text: str,
        *,
        reply_to: int | None = None,
        date: float | None = None,
        is_forwarded: bool = False,
        thread_id: int | None = None,
    ) -> Message:
        """Let a person write `text`; the bot gets an update if Telegram would give it one.

        Args:
            person_id: Who writes; must be in the chat.
            chat_id: A group, or the person's own id for the private chat.
            text: Commands in it are marked as Telegram does.
            reply_to: Id of the message answered.
            date: Unix seconds when it was written, to make a message that arrives late; now by default.
            is_forwarded: Whether it was written elsewhere first.
            thread_id: The topic of a forum.
        """
        content: Json = {"is_forwarded": is_forwarded, "thread_id": thread_id}
        return self._from_person(person_id, chat_id, reply_to, date, text=text, entities=find_entities(text), **content)

    def send_file(self, person_id: int, chat_id: int, name: str, data: bytes, *, caption: str = "") -> Message:
        """Let a person send a document."""
        file = self.add_file("document", name, data)
        return self._from_person(
            person_id, chat_id, None, None, text=caption, entities=find_entities(caption), file=file
        )

    def edit(self, person_id: int, chat_id: int, message_id: int, text: str) -> Message:
        """Let a person change a message of their own."""
        message = self.find(chat_id, message_id)
        if message is None or message.sender.id != person_id:
            raise LookupError(f"{person_id} wrote no message {message_id} in chat {chat_id}.")
        self.change(message, text=text, entities=find_entities(text))
        self.tell_bot("edited_message", message)
        return message

    def press(self, person_id: int, chat_id: int, message_id: int, button: str, *, stale: bool = False) -> str:
        """Let a person press a button and return the id of the callback query.

        Args:
            person_id: Who presses; must be in the chat.
            chat_id: Where the message is.
            message_id: The message that carries the button.
            button: Its callback data, or a part of its label that no other button there has.
            stale: Whether buttons count that an edit has taken away: what a second tap presses on a slow phone.
        """
        person, message = self._member(person_id, chat_id), self.find(chat_id, message_id)
        if message is None:
            raise LookupError(f"There is no message {message_id} in chat {chat_id}.")
        offered = [button for row in message.keyboard for button in row] + (message.former_buttons if stale else [])
        offered = [each for each in offered if "callback_data" in each]
        data = {each["callback_data"] for each in offered if each["callback_data"] == button} or {
            each["callback_data"] for each in offered if button.lower() in each["text"].lower()
        }
        if len(data) != 1:
            labels = [each["text"] for each in offered]
            raise LookupError(f"{len(data)} buttons match {button!r}; message {message_id} has {labels}.")
        query_id = str(4_000_000_000 + len(self.queries))
        self.queries[query_id] = person_id
        self.queue(
            "callback_query",
            {
                "id": query_id,
                "from": person.to_json(),
                "message": message.to_json(),
                "chat_instance": str(chat_id),
                "data": data.pop(),
            },
        )
        return query_id

    # What tests ask and arrange

    def messages(self, chat_id: int) -> list[Message]:
        """Return the messages of a chat that are still there, oldest first."""
        return [message for message in self.chats[chat_id].messages if not message.is_deleted]

    def last(self, chat_id: int) -> Message:
        """Return the newest message of a chat."""
        messages = self.messages(chat_id)
        if not messages:
            raise LookupError(f"Nobody has written in chat {chat_id} yet.")
        return messages[-1]

    def find(self, chat_id: int, message_id: int) -> Message | None:
        """Return a message that is still there."""
        return next((each for each in self.messages(chat_id) if each.id == message_id), None)

    async def wait(self, predicate: Callable[[LocalTelegram], T], timeout: float = 5) -> T:  # noqa: ASYNC109
        """Wait until `predicate(self)` is true and return its value. Asked after every change.

        A `LookupError` means not yet: `wait(lambda t: t.last(11).text == "done")` works in an empty chat.

        Raises:
            TimeoutError: It stayed false; the text has the end of every chat.
        """
        try:
            async with asyncio.timeout(timeout):
                while True:
                    with contextlib.suppress(LookupError):
                        if value := predicate(self):
                            return value
                    await self.changed()
        except TimeoutError:
            raise TimeoutError(f"Waited {timeout} s in vain. The chats hold:\n{self._transcript()}") from None

    def fail_next(self, method: str, status: int, body: Mapping[str, Any] | None = None) -> None:
        """Let the next call of `method` fail; called twice, the next two.

        Args:
            method: As `sendMessage`.
            status: HTTP status.
            body: Joined to the usual fields, as `{"parameters": {"retry_after": 2}}`.
        """
        plain = ApiError(status, HTTPStatus(status).phrase).body
        self._failures.setdefault(method.lower(), deque()).append({**plain, **(body or {})})

    def next_failure(self, method: str) -> Json | None:
        """Take the failure arranged for this call, if there is one."""
        failures = self._failures.get(method.lower())
        return failures.popleft() if failures else None

    # What the bot's side does: see bot.local.api

    def add_file(self, kind: Literal["photo", "document"], name: str, data: bytes) -> File:
        """Store a file under a new id."""
        file = File(f"file{len(self.files) + 1}", kind, name, data)
        self.files[file.id] = file
        return file

    def post(self, chat: Chat, sender: Person, **content: Any) -> Message:
        """Append a message to a chat. Its ids count per chat, as in real groups: an id alone names nothing."""
        content.setdefault("date", int(self._clock()))
        message = Message(chat=chat, id=len(chat.messages) + 1, sender=sender, **content)
        chat.messages.append(message)
        self._touch(message)
        return message

    def change(self, message: Message, **content: Any) -> None:
        """Change a message in place; the page shows it as edited if its text changed."""
        if "keyboard" in content:
            message.former_buttons += [button for row in message.keyboard for button in row]
        if "text" in content:
            message.edit_date = int(self._clock())
        for name, value in content.items():
            setattr(message, name, value)
        self._touch(message)

    def answer(self, query_id: str, text: str, *, is_alert: bool) -> None:
        """Answer a pressed button."""
        self._touch()
        self.answers.append(Answer(query_id, self.queries[query_id], text, is_alert, self.revision))

    def set_commands(self, scope: str, language: str, commands: list[Json] | None) -> None:
        """Set the bot's menu for a scope, written as compact JSON; `None` removes it."""
        self.commands.pop((scope, language), None)
        if commands is not None:
            self.commands[scope, language] = commands
        self._touch()
        self.commands_revision = self.revision

    def menu(self, person: Person, chat: Chat) -> list[Json]:
        """Return the commands that Telegram offers to a person in a chat: those of the narrowest scope set."""
        is_admin = person.id in chat.admins
        private, group = [{"type": "all_private_chats"}], [{"type": "all_group_chats"}]
        scopes: list[Json] = [
            {"type": "chat_member", "chat_id": chat.id, "user_id": person.id},
            *([{"type": "chat_administrators", "chat_id": chat.id}] if is_admin else []),
            {"type": "chat", "chat_id": chat.id},
            *([{"type": "all_chat_administrators"}] if is_admin else []),
            *(private if chat.is_private else group),
            {"type": "default"},
        ]
        found = (self.commands.get((json.dumps(scope, sort_keys=True), "")) for scope in scopes)
        return next((commands for commands in found if commands), [])

    def show_typing(self, chat: Chat) -> None:
        """Let the page say that the bot is busy."""
        self._touch()
        chat.typing = self.revision

    async def take_updates(self, offset: int, limit: int, timeout: float, allowed: set[str] | None) -> list[Json]:  # noqa: ASYNC109
        """Return updates as getUpdates does: those below `offset` are confirmed and gone, all others stay."""
        self._poll += 1
        mine = self._poll
        self._wake()
        if allowed is not None:
            self._allowed = allowed
        if offset < 0:
            offset = self._updates[offset]["update_id"] if -offset <= len(self._updates) else 0
        self._updates = [update for update in self._updates if update["update_id"] >= offset]
        try:
            async with asyncio.timeout(timeout):
                while not self._updates and not self.is_closed:
                    await self.changed()
                    if self._poll != mine:
                        raise ApiError(409, "Conflict: terminated by other getUpdates request; make sure that only "
                                            "one bot instance is running")  # fmt: skip
        except TimeoutError:
            pass
        return self._updates[:limit]

    def drop_updates(self) -> None:
        """Forget what the bot has not confirmed."""
        self._updates.clear()

    def now(self) -> int:
        """Return the time in Unix seconds."""
        return int(self._clock())

    @property
    def pending_updates(self) -> int:
        """How many updates the bot has not confirmed."""
        return len(self._updates)

    async def changed(self) -> None:
        """Wait for the next change."""
        await self._change.wait()

    def open(self) -> None:
        """Take up waiting again after `close`: a server was started on this state."""
        self.is_closed = False

    def close(self) -> None:
        """Send everybody home who waits for a change: the server is stopping."""
        self.is_closed = True
        self._wake()

    def _from_person(
        self, person_id: int, chat_id: int, reply_to: int | None, date: float | None, **content: Any
    ) -> Message:
        person = self._member(person_id, chat_id)
        if date is not None:
            content["date"] = int(date)
        if reply_to is not None:
            content["reply_to"] = self.find(chat_id, reply_to)
        message = self.post(self.chats[chat_id], person, **content)
        self.tell_bot("message", message)
        return message

    def _member(self, person_id: int, chat_id: int) -> Person:
        person = self.people[person_id]
        if person not in self.chats[chat_id].members:
            raise LookupError(f"{person.name} ({person_id}) is not in chat {chat_id}.")
        return person

    def tell_bot(self, kind: str, message: Message) -> None:
        """Give the bot an update of a message, if Telegram would."""
        if message.chat.is_private or (message.chat.has_bot and self._is_for_bot(message)):
            self.queue(kind, message.to_json())

    def _is_for_bot(self, message: Message) -> bool:
        """Tell whether the bot sees a group's message: https://core.telegram.org/bots/features#privacy-mode ."""
        if not self.privacy or self.bot.id in message.chat.admins:
            return True
        if message.service:
            return True
        if message.reply_to and message.reply_to.sender is self.bot:
            return True
        names = {name.lower() for name in message.text.split() if "@" in name}
        own = f"@{self.bot.username}".lower()
        commands = [word for word in message.text.split()[:1] if word.startswith("/") and "@" not in word]
        return bool(commands) or any(name.endswith(own) for name in names)

    def queue(self, kind: str, content: Json) -> None:
        """Let the bot have an update, unless it did not ask for that kind."""
        if self._allowed and kind not in self._allowed:
            return
        self._updates.append({"update_id": self._next_update, kind: content})
        self._next_update += 1
        self._wake()

    def _touch(self, message: Message | None = None) -> None:
        self.revision += 1
        if message:
            message.revision = self.revision
        self._wake()

    def _wake(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    def _transcript(self) -> str:
        lines = (
            f"{chat.title} · {message.sender.name}: {message.text!r} {message.buttons or ''}"
            for chat in self.chats.values()
            for message in self.messages(chat.id)[-5:]
        )
        return "\n".join(lines)
