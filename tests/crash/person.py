"""The person before the chat: orders, confirms, cancels, presses again what did nothing, orders again after a no."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from random import Random

from bot.local.models import Json, Message
from bot.local.telegram import LocalTelegram
from tests.crash.exchange import Exchange
from tests.crash.inside import ANN
from tests.simulation.people import HEADLINES, Said

_PATIENCE_SECONDS = 60.0
_AGAIN_SECONDS = 5.0
_MOST_ORDERS = 4
_MOST_PRESSES = 3
_CONFIRM = "✅ Confirm"


class Telegram(LocalTelegram):
    """The local Telegram, asked without waiting."""

    def take(self, offset: int) -> list[Json]:
        """Return the updates from `offset` on, and forget those before it."""
        self._updates = [update for update in self._updates if update["update_id"] >= offset]
        return self._updates


@dataclass(frozen=True)
class Plot:
    """What a person wants.

    Attributes:
        cancels: Whether the order is to be canceled in the end.
        is_patient: Whether only once a part of it was filled.
        at_market: Whether it is a market order, which is filled at once.
    """

    cancels: bool
    is_patient: bool
    at_market: bool


class Person:
    """Wants one thing, once, and looks only at what the chat says of it.

    Args:
        telegram: Where the cards are.
        exchange: Where a careful person looks.
        rng: Chance.
        plot: What is wanted.
        number: Which of a person's wishes this is. Those of one world differ in their quantity.

    Attributes:
        quantity: How much is wanted.
        since: The newest message from before; those up to it tell of other wishes.
        is_done: Whether the cards say that it happened, or it was tried often enough.
    """

    def __init__(self, telegram: Telegram, exchange: Exchange, rng: Random, plot: Plot, number: int) -> None:
        self._telegram, self._exchange, self._rng = telegram, exchange, rng
        self._plot = plot
        side = rng.choice(("buy", "sell"))
        self.quantity = Decimal(10_000 + 10 * rng.randrange(1_000) + number % 10) / 1_000_000
        price = "" if plot.at_market else {"buy": " @ 50000", "sell": " @ 70000"}[side]
        self._command = f"/{side} BTC/USDT {self.quantity}{price}"
        self._orders = 0
        self._ordered_at = 0.0
        self._presses: dict[tuple[int, str], list[float]] = {}
        self.since = max((each.id for each in telegram.messages(ANN)), default=0)
        self.is_done = False

    def glance(self, now: float) -> None:
        """Look at the chat, and do what there is to do. To be called every second or so.

        Args:
            now: Seconds.
        """
        messages = self._telegram.messages(ANN)
        cards = [each for each in messages if each.sender.id != ANN and each.id > self.since]
        says = [said for each in cards if (said := self._said(each, now)) is not None]
        self.is_done = "done" in says or (self._orders == _MOST_ORDERS and set(says) <= {"failed"})
        if self.is_done:
            return
        waited = now - self._ordered_at
        is_told_nothing = set(says) <= {"failed"} and waited > _PATIENCE_SECONDS
        is_told_no = set(says) == {"failed"} and len(says) >= self._orders and waited > _AGAIN_SECONDS
        if (not self._orders or is_told_nothing or is_told_no) and self._orders < _MOST_ORDERS:
            self._orders += 1
            self._ordered_at = now
            self._telegram.say(ANN, ANN, self._command)
            return
        self._confirm([each for each in cards if _has(each, _CONFIRM)], says, now)
        for each in cards:
            self._answer(each, now)

    def _confirm(self, previews: list[Message], says: list[Said], now: float) -> None:
        """Press Confirm on every preview of one command; of several commands, on one preview after another."""
        if self._orders > 1:
            alive = [each for each in previews if self._said(each, now)]
            pressed = [each for each in alive if (each.id, _CONFIRM) in self._presses]
            previews = (pressed or alive)[-1:] if set(says) <= {"failed", "proposed"} else []
        for each in previews:
            self._press(each, _CONFIRM, now)

    def _said(self, message: Message, now: float) -> Said | None:
        """Return what a card says, or `None` of one that says nothing, or only the same however often it is pressed."""
        if message.text.startswith("You looked at the exchange"):
            return "look"
        found = next((said for words, said in HEADLINES.items() if message.text.startswith(words)), None)
        if found is None and _has(message, _CONFIRM):
            pressed = self._presses.get((message.id, _CONFIRM), [])
            is_dead = len(pressed) == _MOST_PRESSES and now - pressed[-1] > _AGAIN_SECONDS
            return None if is_dead else "proposed"
        return found

    def _answer(self, message: Message, now: float) -> None:
        labels = [label for row in message.buttons for label in row]
        is_time = message.text.startswith("◐") or not self._plot.is_patient
        if "✖ Cancel order" in labels and self._plot.cancels and is_time:
            self._press(message, "✖ Cancel order", now)
        look = next((label for label in labels if label.startswith("I looked")), None)
        if look is not None and not self._exists():
            self._press(message, look, now)
        if message.text.startswith("✖") or not (offer := next((each for each in labels if "Yes" in each), None)):
            return
        self._press(message, offer, now)

    def _exists(self) -> bool:
        placed = (each.quantity for each in self._exchange.orders)
        return bool(self._exchange.under_way) or self.quantity in placed

    def _press(self, message: Message, label: str, now: float) -> None:
        pressed = self._presses.setdefault((message.id, label), [])
        if len(pressed) == _MOST_PRESSES or (pressed and now - pressed[-1] < _AGAIN_SECONDS):
            return
        pressed.append(now)
        for _ in range(2 if self._rng.random() < 0.2 else 1):
            self._telegram.press(ANN, ANN, message.id, label)


def _has(message: Message, label: str) -> bool:
    return any(label in row for row in message.buttons)
