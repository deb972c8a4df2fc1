"""All alerts of the instance in memory, by the series of values they wait for. It knows ids and levels, no people."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bot.alerts.book import Book
from bot.alerts.rules import Rule, State

What: TypeAlias = Literal["price", "spread", "volume"]
Key: TypeAlias = tuple[str, str, What]
"""An exchange, a pair as that exchange spells it, and which of its figures."""

AWAY_MS = 60_000
"""A value that comes so long after the one before ends a gap: what fires then may have happened at any time in it."""


@dataclass(frozen=True, slots=True)
class Fired:
    """An alert that fired.

    Attributes:
        alert_id: Which.
        value: At which value, scaled.
        at_ms: When it was seen.
        state: What it remembers from now on; `None` when it is done.
        away_since_ms: When the value was seen last, if nobody looked in between; else 0.
    """

    alert_id: int
    value: int
    at_ms: int
    state: State | None
    away_since_ms: int = 0


class Engine:
    """Tells what fires. Call `advance` before the ticks of each second: quiet times, ends and windows go by it.

    Attributes:
        rearmed: Alerts whose state changed without firing; whoever stores that empties it.
    """

    def __init__(self) -> None:
        self._books: dict[Key, Book] = {}
        self._keys: dict[int, Key] = {}
        self._expiries: dict[int, int] = {}
        self._timers: list[tuple[int, int]] = []
        self.rearmed: dict[int, State] = {}
        self._now_ms = 0

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._books)

    def __contains__(self, key: Key) -> bool:
        return key in self._books

    def put(  # noqa: PLR0917
        self, alert_id: int, key: Key, rule: Rule, state: State, expires_ms: int, now_ms: int
    ) -> None:
        """Watch an alert, or watch it differently."""
        now_ms = self._forward(now_ms)
        if self._keys.get(alert_id, key) != key:
            self.remove(alert_id, now_ms)
        book = self._books.setdefault(key, Book())
        self._keys[alert_id] = key
        self._expiries[alert_id] = expires_ms
        book.put(alert_id, rule, state, now_ms)
        if len(self._timers) > 4 * len(self._keys) + 64:  # what was edited or snoozed often left its old times behind
            self._timers = [(at_ms, each) for each, at_ms in self._expiries.items() if each != alert_id]
            for each in self._keys:
                self._timers += self._quiet(each, now_ms)
            heapq.heapify(self._timers)
        heapq.heappush(self._timers, (expires_ms, alert_id))
        self._wake_later(alert_id, state, now_ms)

    def remove(self, alert_id: int, now_ms: int) -> None:
        """Watch an alert no more."""
        key = self._keys.pop(alert_id, None)
        if key is None:
            return
        del self._expiries[alert_id]
        self._books[key].remove(alert_id, now_ms)
        if not self._books[key]:
            del self._books[key]

    def saw(self, key: Key, value: int, at_ms: int) -> None:
        """Remember what was seen before the program stopped. Nothing fires by it."""
        book = self._books.get(key)
        if book is not None and book.value is None:
            book.remember(value, at_ms)

    def seen(self) -> dict[Key, tuple[int, int]]:
        """Return the newest value of each series, and when it was told."""
        return {key: (book.value, book.seen_ms) for key, book in self._books.items() if book.value is not None}

    def tick(self, key: Key, value: int, now_ms: int) -> list[Fired] | None:
        """Take a value in; return what fires, if anything."""
        book = self._books.get(key)
        if book is None:
            return None
        before_ms, book.seen_ms, book.value = book.seen_ms, now_ms, value
        if book.low <= value <= book.high:
            return None
        now_ms = self._forward(now_ms)
        ids = book.slow(value, now_ms)
        while book.rearmed:
            alert_id = book.rearmed.pop()
            self.rearmed[alert_id] = book[alert_id].state
        away_since_ms = before_ms if before_ms and now_ms - before_ms >= AWAY_MS else 0
        return [self._fired(book, alert_id, value, now_ms, away_since_ms) for alert_id in ids]

    def advance(self, now_ms: int) -> list[int]:
        """Let time pass; return the alerts that end by it."""
        ended = []
        now_ms = self._forward(now_ms)
        while self._timers and self._timers[0][0] <= now_ms:
            _, alert_id = heapq.heappop(self._timers)
            if alert_id not in self._keys:
                continue
            if self._expiries[alert_id] <= now_ms:
                ended.append(alert_id)
                self.remove(alert_id, now_ms)
                continue
            book = self._books[self._keys[alert_id]]
            found = book[alert_id]
            if found.entry is None and found.state.quiet_until_ms <= now_ms:
                book.put(alert_id, found.rule, found.state, now_ms)
        for book in self._books.values():
            book.advance(now_ms)
        return ended

    def _forward(self, now_ms: int) -> int:
        """Return the time. While the wall clock is set back it stands still: what was woken must not sleep again."""
        self._now_ms = max(self._now_ms, now_ms)
        return self._now_ms

    def _quiet(self, alert_id: int, now_ms: int) -> list[tuple[int, int]]:
        until_ms = self._books[self._keys[alert_id]][alert_id].state.quiet_until_ms
        return [(until_ms, alert_id)] if until_ms > now_ms else []

    def _fired(self, book: Book, alert_id: int, value: int, now_ms: int, away_since_ms: int) -> Fired:
        found = book[alert_id]
        state = None if found.rule.every_ms is None else found.state
        if state is None:
            self.remove(alert_id, now_ms)
        else:
            book.put(alert_id, found.rule, state, now_ms)
            self._wake_later(alert_id, state, now_ms)
        return Fired(alert_id, value, now_ms, state, away_since_ms)

    def _wake_later(self, alert_id: int, state: State, now_ms: int) -> None:
        if state.quiet_until_ms > now_ms:
            heapq.heappush(self._timers, (state.quiet_until_ms, alert_id))
