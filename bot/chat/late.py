"""What came too late to be run: gathered until the backlog is over, then answered with one message a person.

Nothing of it is run by itself but a lone question. An order is offered again; Yes leads to a preview like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from telegram import Update

from bot.chat.registry import Call, Command, Offer
from bot.chat.reply import Key, Reply
from bot.chat.text import Text
from bot.clock import Clock
from bot.contract.errors import BotError
from bot.trading.confirm import Button
from bot.trading.sending import in_words

QUIET_SECONDS = 2.0
PATIENCE_SECONDS = 60.0
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
