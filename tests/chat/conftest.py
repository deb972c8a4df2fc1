"""A dispatcher over a whole trading room, in front of a fake Telegram: what the tests of the chat have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from telegram import Update

from bot import OutcomeUnknown, UserError
from bot.accounts import people
from bot.accounts.vault import MasterKey, Vault
from bot.chat import commands
from bot.chat.dialogs import Dialogs
from bot.chat.dispatch import Dispatcher
from bot.chat.gate import ADMINS, ANYWHERE, PLACING, TRADERS, VIEWERS
from bot.chat.halt import Halt
from bot.chat.inbox import Inbox, InOrder
from bot.chat.outbox import Outbox
from bot.chat.registry import Action, Call, Command, Registry, Services
from bot.chat.reply import Reply, Sender, say
from bot.config import Settings
from bot.trading.confirm import Button
from bot.trading.feeds import Feeds
from tests.chat.test_gate import message, press, update
from tests.chat.test_reply import FakeTelegram, connected
from tests.trading.conftest import ANN, START_MS, Room, new_room

OWNER, VIEWER, STRANGER = 1, 1003, 666
SECRET = "what-an-exception-says"


@dataclass
class Chat:
    """One bot and its chats.

    Attributes:
        ran: What the handlers of the test did, in order.
    """

    room: Room
    telegram: FakeTelegram
    services: Services
    registry: Registry
    outbox: Outbox
    ran: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget what is only in memory between Telegram and the commands."""
        clock = self.room.clock
        self.inbox, self.halt, self.order = Inbox(self.room.store, clock), Halt(clock), InOrder(clock)
        self.dispatcher = Dispatcher(self.services, self.registry, self.inbox, self.halt)
        self.order.handle, self.order.refuse = self.dispatcher.handle, self.dispatcher.refuse
        self.inbox.may_begin, self.inbox.begin = self.dispatcher.may_begin, self.order.put

    def written(self, text: str, *, age_seconds: float = 0, update_id: int | None = None, **fields: Any) -> Update:
        """What Telegram tells of a message."""
        at_ms = self.room.clock.now_ms() - round(age_seconds * 1000)
        numbered = {} if update_id is None else {"update_id": update_id}
        return update(self.services.sender.bot, message=message(text, at_ms=at_ms, **fields), **numbered)

    def pressed(self, data: str, message_id: int, *, user_id: int = ANN, **fields: Any) -> Update:
        """What Telegram tells of a press."""
        return press(data, user_id=user_id, message_id=message_id, bot=self.services.sender.bot, **fields)

    async def arrive(self, updates: Sequence[Update | dict[str, Any]]) -> None:
        """Let updates come in with one poll, and see them handled."""
        await self.handle(await self.take(updates))

    async def take(self, updates: Sequence[Update | dict[str, Any]]) -> list[Update]:
        """Take updates in as Telegram sends them; return those that are new."""
        told = [each if isinstance(each, dict) else each.to_dict() for each in updates]
        return await self.inbox.take(told, self.services.sender.bot)

    async def handle(self, updates: Sequence[Update]) -> None:
        """Let updates be handled, each in its turn."""
        for each in updates:
            self.order.put(each)
        await self.order.drain()

    async def say(self, text: str, **fields: Any) -> list[str]:
        """Let somebody write; return what the bot then sent or edited."""
        before = len(self.telegram.texts())
        await self.dispatcher.handle(self.written(text, **fields))
        return self.telegram.texts()[before:]

    async def show(self, *buttons: Button, user_id: int = ANN) -> tuple[int, list[str]]:
        """Put buttons in a private chat; return the message and their data."""
        message_id = await self.services.sender.send(say("Press", buttons), chat_id=user_id, user_id=user_id)
        return message_id, self.telegram.data(message_id)

    async def press(self, data: str, message_id: int, **fields: Any) -> list[str]:
        """Let somebody press; return the answers that Telegram got for it."""
        before = len(self.telegram.named("answerCallbackQuery"))
        await self.dispatcher.handle(self.pressed(data, message_id, **fields))
        return [each.get("text", "") for each in self.telegram.named("answerCallbackQuery")[before:]]


async def new_chat(directory: Path, registry: Registry | None = None) -> Chat:
    """Return a chat with these commands, or with all of the bot's."""
    room, telegram = new_room(directory), FakeTelegram()
    sender = Sender(await connected(telegram), room.store, room.clock)
    outbox = Outbox(room.store, sender, room.gateway, room.clock)
    services = Services(
        settings=Settings.model_validate({"access": {"owner": OWNER}}),
        clock=room.clock,
        store=room.store,
        vault=Vault(room.store, MasterKey(bytes(range(32))), lambda _: None),
        gateway=room.gateway,
        desk=room.desk,
        feeds=Feeds(room.store, room.gateway, room.reconciler, room.clock),
        sender=sender,
        dialogs=Dialogs(room.clock),
        draw=outbox.draw,
        watch=room.reconciler.watch,
        started_ms=START_MS,
    )
    room.store.transact(lambda db: people.ensure_user(db, VIEWER, "viewer", now_ms=START_MS))
    room.store.transact(lambda db: people.ensure_user(db, 1004, "blocked", now_ms=START_MS))
    return Chat(room, telegram, services, registry or commands.registry(), outbox)


@pytest.fixture
async def chat(tmp_path: Path) -> Any:
    """A chat with a few commands that note what they do."""
    ran: list[Any] = []
    found = await new_chat(tmp_path, _registry(ran))
    found.ran = ran
    yield found
    await found.room.close()


@pytest.fixture
async def real(tmp_path: Path) -> Any:
    """A chat with all commands of the bot."""
    found = await new_chat(tmp_path)
    yield found
    await found.room.close()


def _registry(ran: list[Any]) -> Registry:
    async def note(call: Call) -> Reply:
        ran.append((call.who.user_id, call.args, dict(call.payload)))
        return say("noted")

    async def crash(call: Call) -> Reply:
        raise ZeroDivisionError(SECRET)

    async def refuse(call: Call) -> Reply:
        raise UserError("Too small.", code="MIN_NOTIONAL")

    async def fail(call: Call) -> Reply:
        raise OutcomeUnknown("Acme did not answer", remedy="Try again.", detail=SECRET)

    async def silent(call: Call) -> None:
        ran.append("silent")

    made = (
        Command("note", note, "", "Start", rule=ANYWHERE),
        Command("trade", note, "", "Start", rule=TRADERS),
        Command("place", note, "", "Start", rule=PLACING),
        Command("look", note, "", "Start", rule=ANYWHERE, looks=True),
        Command("admin", note, "", "Start", rule=ADMINS),
        Command("crash", crash, "", "Start", rule=VIEWERS),
        Command("refuse", refuse, "", "Start", rule=VIEWERS),
        Command("fail", fail, "", "Start", rule=VIEWERS),
        Command("silent", silent, "", "Start", rule=VIEWERS),
    )
    actions = (
        Action("note", note, VIEWERS, toast="Noting"),
        Action("trade", note, TRADERS),
        Action("place", note, PLACING),
        Action("admin", note, ADMINS),
        Action("crash", crash, TRADERS),
        Action("refuse", refuse, TRADERS),
        Action("confirm", note, PLACING),
    )
    return Registry({each.name: each for each in made}, {each.name: each for each in actions})
