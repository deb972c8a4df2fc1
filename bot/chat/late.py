"""What came too late to be run: gathered until the backlog is over, then answered with one message a person.

Nothing of it is run by itself but a lone question. An order is offered again; Yes leads to a preview like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from telegram import Message, Update

from bot.accounts.roles import Standing
from bot.chat import strays
from bot.chat.admission import Admission
from bot.chat.answers import Answers, logged
from bot.chat.gate import ANYWHERE, Admitted, admit, age_of, sender_id
from bot.chat.inbox import Inbox
from bot.chat.registry import Call, Command, Offer, Registry, Services
from bot.chat.reply import Key, Reply
from bot.chat.strays import Strays
from bot.chat.text import Text
from bot.clock import Clock
from bot.contract.errors import BotError
from bot.trading.confirm import Button
from bot.trading.sending import in_words

QUIET_SECONDS = 2.0
PATIENCE_SECONDS = 60.0
_CHATS_AT_ONCE = 8
_MOST_LISTED = 10
_MOST_OFFERED = 3
_LONGEST_LABEL = 40

_UNREAD = "I was away. What you wrote {ago} ago was not run. Send it again if you still want it."


class Backlog:
    """Gathers late updates until none came for a while.

    Args:
        clock: Ours.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._gathered: dict[tuple[int, int], list[Update]] = {}
        self._newest = 0.0
        self._is_gathering = False

    async def gather(self, update: Update, sender: int) -> list[list[Update]]:
        """Take an update in; the first of a backlog waits and gets all of it, by person and chat, others nothing."""
        assert update.message is not None
        self._gathered.setdefault((update.message.chat_id, sender), []).append(update)
        self._newest = self._clock.monotonic()
        if self._is_gathering:
            return []
        self._is_gathering = True
        try:
            await self._quiet()
        finally:
            self._is_gathering = False
            gathered, self._gathered = self._gathered, {}
        return list(gathered.values())

    async def _quiet(self) -> None:
        began = self._clock.monotonic()
        while (left := self._newest + QUIET_SECONDS - self._clock.monotonic()) > 0:
            if self._clock.monotonic() - began >= PATIENCE_SECONDS:
                return
            await self._clock.sleep(left)


@dataclass(frozen=True, slots=True)
class Asked:
    """A late command that its sender was allowed to give."""

    command: Command
    call: Call
    age_ms: int

    @property
    def words(self) -> str:
        """What was typed, where that can be no secret."""
        return f"/{self.command.name} {self.call.args if self.command.offer else ''}".strip()


class Latecomers:
    """Answers what came late, when all of it is there.

    Args:
        services: What handlers work with.
        registry: All commands.
        inbox: Told when messages were handled.
        admission: Lets people in.
        answers: Runs a lone question.
    """

    def __init__(
        self, services: Services, registry: Registry, inbox: Inbox, admission: Admission, answers: Answers
    ) -> None:
        self._services = services
        self._registry = registry
        self._inbox = inbox
        self._admission = admission
        self._answers = answers
        self._strays = Strays(services.sender, services.dialogs)
        self._backlog = Backlog(services.clock)

    async def handle(self, update: Update) -> None:
        """Gather a message; the first of a backlog waits for its end and answers all of it."""
        gate = asyncio.Semaphore(_CHATS_AT_ONCE)

        async def one(updates: Sequence[Update]) -> None:
            async with gate:
                await logged(self._catch_up(updates))
                await logged(self._inbox.handled(*updates))

        await asyncio.gather(*(one(each) for each in await self._backlog.gather(update, sender_id(update) or 0)))

    async def _catch_up(self, updates: Sequence[Update]) -> None:
        """Answer what one person sent to one chat while the bot was away: one message in private, none in a group."""
        sender, chat = sender_id(updates[0]), updates[0].effective_chat
        assert chat is not None
        role = self._admission.role(sender) if sender is not None else None
        if role is None:
            await self._admission.admit(updates[-1], ANYWHERE)
            return
        if chat.type != chat.PRIVATE:
            return
        asked: list[Asked] = []
        deleted: list[bool] = []
        for update in updates:
            assert update.message is not None
            found = self._asked(update, update.message, role)
            if found is not None:
                asked.append(found)
            elif self._strays.may_be_secret(chat.id, sender or 0, update.message.text or "", came_late=True):
                deleted.append(await self._strays.delete(chat.id, update.message.message_id))
        if [each.command.may_run_late for each in asked] == [True] and len(updates) == 1:
            await self._answers.run(asked[0].command.run, asked[0].call)
            return
        assert updates[0].message is not None
        reply = await summary(asked, oldest_ms=age_of(updates[0].message, self._services.clock.now_ms()))
        if deleted:
            text = Text().line(strays.late(deleted)).line()
            reply = replace(reply, text=text if len(deleted) == len(updates) else text.add(reply.text))
        await self._services.sender.send(reply, chat_id=chat.id, user_id=sender or 0)

    def _asked(self, update: Update, message: Message, role: Standing) -> Asked | None:
        """Return a late command that its sender might have given in time."""
        asked = self._registry.asked(message.text or "", self._services.sender.bot.username)
        command = self._registry.commands.get(asked[0]) if asked else None
        if asked is None or command is None:
            return None
        age_ms = age_of(message, self._services.clock.now_ms())
        then_ms = self._services.clock.now_ms() - age_ms
        who = admit(update, command.rule, role=role, now_ms=then_ms)
        if not isinstance(who, Admitted):
            return None
        call = Call(self._services, who, asked[1], only_looks=self._registry.is_look(*asked))
        return Asked(command, call, age_ms)


async def summary(asked: Sequence[Asked], *, oldest_ms: int) -> Reply:
    """Return the one message that a person gets for a backlog.

    Args:
        asked: Their commands, oldest first; empty when there was nothing that could be run.
        oldest_ms: The age of the first thing they sent.
    """
    if not asked:
        return Reply(Text().plain(_UNREAD.format(ago=_ago(oldest_ms))))
    shown = asked[-_MOST_LISTED:]
    asking = [each for each in shown if each.command.offer is not None][-_MOST_OFFERED:]
    offers = {id(each): await _offer(each) for each in asking}
    if len(asked) == 1 and offers:
        return _single(asked[0], offers[id(asked[0])])
    text = Text().line("I was away. Nothing of this was run:")
    if len(shown) < len(asked):
        text.line(f"{len(asked) - len(shown)} older commands")
    rows: list[tuple[Key, ...]] = []
    for each in shown:
        offer = offers.get(id(each))
        text.line(f"{_ago(each.age_ms)} ago: {each.words}" + (f" · {offer.now}" if offer and offer.now else ""))
        if offer and offer.yes:
            rows.append((replace(offer.yes, text=_label(each.words), payload={**offer.yes.payload, "stays": True}),))
    if not rows:
        return Reply(text.plain("Send again what you still want."))
    text.plain("Press what you still want: each order gets a fresh preview. Send the rest again.")
    return Reply(text, (*rows, (_no("Nothing of it"),)))


def _single(asked: Asked, offer: Offer) -> Reply:
    text = Text().line(f"I was away. You asked {_ago(asked.age_ms)} ago: {asked.words}").line("It was not run.")
    if offer.now:
        text.line(offer.now)
    if offer.yes is None:
        return Reply(text)
    return Reply(text.plain("Do you still want it?"), ((offer.yes, _no("No")),))


async def _offer(asked: Asked) -> Offer:
    assert asked.command.offer is not None
    try:
        return await asked.command.offer(asked.call)
    except BotError as error:
        return Offer(in_words(error), None)


def _no(text: str) -> Button:
    return Button(text, "not_wanted", seconds=86_400)


def _label(words: str) -> str:
    return words if len(words) <= _LONGEST_LABEL else words[: _LONGEST_LABEL - 1] + "…"


def _ago(age_ms: int) -> str:
    minutes = max(1, age_ms // 60_000)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
