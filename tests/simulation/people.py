"""Telegram and the people behind it: they press, press twice, order again when told that it failed, or told nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any, Literal

from telegram.error import NetworkError, RetryAfter, TimedOut

from bot.trading.intent import Amount, Fixed, Intent
from tests.simulation.timeline import Timeline, pause

Said = Literal["proposed", "sending", "doubt", "look", "live", "done", "failed"]
HEADLINES: dict[str, Said] = {
    "⏳ Sending…": "sending",
    "❔ Not sure yet": "doubt",
    "❔ Please look": "look",
    "✅ Accepted": "live",
    "◐ Partly filled": "live",
    "✅ Filled": "done",
    "✖ Canceled": "done",
    "✖ Refused": "failed",
    "✖ Not placed": "failed",
    "✖ Not sent": "failed",
}
"""What a person understands of the first words on a card; a card without them is a preview."""

PATIENCE_SECONDS = 300.0
MOST_ATTEMPTS = 4
_PRICES = {"buy": Decimal(50_000), "sell": Decimal(70_000)}


@dataclass(slots=True)
class Message:
    """A message as Telegram has it."""

    message_id: int
    chat_id: int
    text: str
    buttons: dict[str, str]


@dataclass(slots=True)
class Update:
    """What Telegram brings to the bot: words, or a press on a button of a message."""

    update_id: int
    chat_id: int
    message_id: int
    sent_ms: int
    text: str = ""
    data: str = ""


class Telegram:
    """Messages and updates. It survives every crash of the bot, and fails as it likes."""

    def __init__(self, timeline: Timeline, rng: Random) -> None:
        self.timeline, self.rng = timeline, rng
        self.messages: dict[int, Message] = {}
        self.updates: list[Update] = []
        self.people: dict[int, Person] = {}
        self.down_until_us = 0
        self.is_calm = False
        self.arrived: Callable[[], None] = lambda: None
        self._last_update = 0
        self._last_message = 1000

    @property
    def is_down(self) -> bool:
        return self.timeline.now_us < self.down_until_us

    def new_message_id(self) -> int:
        self._last_message += 1
        return self._last_message

    def bring(self, chat_id: int, message_id: int, *, text: str = "", data: str = "") -> None:
        """Keep an update for the bot; now and then twice."""
        for _ in range(2 if self.rng.random() < 0.03 else 1):
            self._last_update += 1
            now_ms = self.timeline.now_ms
            self.updates.append(Update(self._last_update, chat_id, message_id, now_ms, text, data))
        self.timeline.stir()
        self.arrived()

    async def say(self, chat_id: int, message_id: int | None, text: str, markup: Any) -> int:
        """Send or edit a message for the bot."""
        await pause(self.timeline, self.rng.uniform(0.02, 0.2))
        chance = 1.0 if self.is_calm else self.rng.random()
        if self.is_down:
            raise NetworkError("no route")
        if chance < 0.01:
            raise RetryAfter(self.rng.randrange(1, 41))
        if chance < 0.02:
            raise TimedOut
        keys = [] if markup is None else [key for row in markup.inline_keyboard for key in row]
        buttons = {key.text: key.callback_data for key in keys}
        if message_id is None:
            message_id = self.new_message_id()
        self.timeline.stir()
        self.messages[message_id] = message = Message(message_id, chat_id, text, buttons)
        self.timeline.after(self.rng.uniform(0.02, 0.3), lambda: self.people[chat_id].see(message))
        if chance < 0.03:
            raise TimedOut  # it was sent all the same
        return message_id


@dataclass(slots=True)
class Want:
    """What one person wants done once. Its quantity is nobody else's, so that every order can be traced to it.

    Attributes:
        gives_up: Closes a doubt without having looked, and lets the matter rest.
        hesitant: Cancels the order once it is open.
        impatient: Orders again while the bot is in doubt.
        changes_mind: Drops the preview.
        confirmed: The message whose Confirm was pressed last.
        news: How often it was waited for news of it.
    """

    intent: Intent
    quantity: Decimal
    gives_up: bool = False
    hesitant: bool = False
    impatient: bool = False
    changes_mind: bool = False
    attempts: int = 0
    is_over: bool = False
    confirmed: int | None = None
    news: int = 0
    cards: dict[int, Said] = field(default_factory=dict)


def make_wants(rng: Random, quantities: range) -> list[Want]:
    """Draw what a person will want, one thing after another."""
    result = []
    for number in quantities:
        side: Literal["buy", "sell"] = rng.choice(("buy", "sell"))
        quantity = Decimal(number) / 1_000_000
        price = None if rng.random() < 0.15 else Fixed(_PRICES[side])
        intent = Intent(side, rng.choice(("BTC/USDT", "BTC/USDT", "ETH/USDT")), Amount(quantity, None), price)
        chances = [rng.random() < chance for chance in (0.15, 0.1, 0.6, 0.02)]
        result.append(Want(intent, quantity, *chances))
    return result


class Person:
    """One person with one account, who wants one thing after another and believes what the cards say.

    Args:
        chat_id: The chat with the bot, which is also the person's id.
        wants: What is wanted, in order.
        telegram: Where the cards are.
        exists: Says whether the exchange has an order for a want, for a person who looks there.
    """

    def __init__(
        self,
        chat_id: int,
        wants: list[Want],
        telegram: Telegram,
        exists: Callable[[Want], bool],
    ) -> None:
        self.chat_id, self.wants = chat_id, wants
        self._telegram, self._timeline, self._rng = telegram, telegram.timeline, telegram.rng
        self._exists = exists
        self._begun = 0
        self._by_card: dict[int, Want] = {}

    @property
    def is_done(self) -> bool:
        return all(want.is_over for want in self.wants)

    @property
    def _want(self) -> Want:
        return self.wants[min(self._begun, len(self.wants)) - 1]

    def begin(self) -> None:
        """Turn to the next want."""
        if self._begun < len(self.wants):
            self._begun += 1
            self._order(self._want)

    def see(self, message: Message) -> None:
        """Read a message that is new or changed, and act on it."""
        if message is not self._telegram.messages[message.message_id]:
            return  # changed again meanwhile
        want = self._by_card.get(message.message_id)
        want = want or next((each for each in self.wants[: self._begun] if _shows(message.text, each)), None)
        if want is None:
            if message.text.startswith(("✖", "I was away")) and not self._want.cards:
                self._soon(5, 20, self._want, lambda want: want.cards or self._order(want))
            return
        headline = next((said for words, said in HEADLINES.items() if message.text.startswith(words)), None)
        said: Said = headline or "proposed"
        is_news = want.cards.get(message.message_id) != said or said == "proposed"
        want.cards[message.message_id] = said
        self._by_card[message.message_id] = want
        self._wait(want)
        if is_news and not want.is_over:
            self._react(want, said, message.message_id)

    def _react(self, want: Want, said: Said, message_id: int) -> None:
        if said == "proposed":
            self._soon(0.5, 4, want, lambda want: self._answer_preview(want, message_id))
        elif said == "failed":
            self._soon(1, 8, want, lambda want: want.cards[message_id] == "failed" and self._try_again(want))
        elif said == "doubt" and want.impatient:
            self._soon(0.5, 15, want, lambda want: want.cards[message_id] == "doubt" and self._order(want))
        elif said == "look":
            self._soon(2, 30, want, lambda want: self._look(want, message_id))
        elif said == "live" and want.hesitant:
            self._soon(0.2, 3, want, lambda want: self._press(message_id, "✖ Cancel order"))
        elif said == "done":
            self._finish(want)

    def _answer_preview(self, want: Want, message_id: int) -> None:
        others = {said for card, said in want.cards.items() if card != message_id}
        if want.cards[message_id] != "proposed":
            return
        if want.changes_mind:
            self._press(message_id, "✖ Cancel")
            self._finish(want)
        elif want.cards.get(want.confirmed or 0) == "proposed" and want.confirmed != message_id:
            self._soon(2, 4, want, lambda want: self._answer_preview(want, message_id))  # what came of the other one?
        elif others & {"live", "done", "sending"}:
            self._press(message_id, "✖ Cancel")
        else:
            want.confirmed = message_id
            self._press(message_id, "✅ Confirm", unless=lambda: self._has_news(want))

    def _look(self, want: Want, message_id: int) -> None:
        """Look at the exchange, as the card asks; or only say so."""
        if want.cards[message_id] != "look":
            return
        if want.gives_up:
            self._press(message_id, "I looked: not placed")
            self._finish(want)
        elif self._exists(want):
            self._finish(want)
        else:
            self._press(message_id, "I looked: not placed")

    def _try_again(self, want: Want) -> None:
        if set(want.cards.values()) == {"failed"}:
            self._order(want)

    def _order(self, want: Want) -> None:
        if want.attempts == MOST_ATTEMPTS:
            return self._finish(want)
        want.attempts += 1
        self._wait(want)
        text = f"/order {self.wants.index(want)}"
        self._telegram.bring(self.chat_id, self._telegram.new_message_id(), text=text)
        return None

    def _has_news(self, want: Want) -> bool:
        """Say whether a card that was called a doubt, as Telegram has it by now, tells that the order lives."""
        texts = [self._telegram.messages[card].text for card, said in want.cards.items() if said == "doubt"]
        return any(HEADLINES.get(text.split("\n")[0]) in ("live", "done") for text in texts)

    def _press(self, message_id: int, label: str, *, unless: Callable[[], bool] = lambda: False) -> None:
        data = self._telegram.messages[message_id].buttons.get(label)
        if data is None:
            return
        presses = 1 if self._rng.random() < 0.85 else 2
        for _ in range(presses):
            delay = self._rng.uniform(0.02, 0.4)
            self._timeline.after(delay, lambda: unless() or self._telegram.bring(self.chat_id, message_id, data=data))

    def _finish(self, want: Want) -> None:
        if not want.is_over:
            want.is_over = True
            self._timeline.after(self._rng.uniform(0.2, 2), self.begin)

    def _soon(self, least: float, most: float, want: Want, act: Callable[[Want], object]) -> None:
        self._timeline.after(self._rng.uniform(least, most), lambda: want.is_over or act(want))

    def _wait(self, want: Want) -> None:
        """Begin to wait for news of a want."""
        want.news += 1
        news = want.news

        def unless_told() -> None:
            if want.is_over or want.news != news:
                return
            if {"live", "doubt", "look"} & set(want.cards.values()):
                self._wait(want)  # told that it lasts
                for message_id in want.cards:
                    self._look(want, message_id)  # the press may have been lost
            else:
                self._order(want)

        self._timeline.after(PATIENCE_SECONDS, unless_told)


def _shows(text: str, want: Want) -> bool:
    return re.search(rf"(?<![\d.]){want.quantity.normalize():f}(?!\d)", text) is not None
