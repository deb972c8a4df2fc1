"""One series of values and all that waits for them: heaps behind the nearest level; an idle tick is two comparisons."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from typing import TypeAlias

from bot.alerts import rules
from bot.alerts.rules import Level, Move, Rule, State

BUCKETS = 60
"""Parts that a window is counted in: what is a part too old still counts."""

_Entry: TypeAlias = tuple[int, int]
"""What the heap is ordered by, and the alert."""

_NEVER = 1 << 256


@dataclass(slots=True)
class Waiting:
    """An alert in a book. `entry` and `heap` are where it waits; `None` while it is quiet."""

    rule: Rule
    state: State
    entry: _Entry | None = None
    heap: list[_Entry] | None = None


@dataclass(slots=True)
class _Window:
    """The lowest and highest of one length of time, and the moves that look at it, nearest first."""

    length_ms: int
    buckets: deque[list[int]] = field(default_factory=deque)  # [number, low, high]
    low: int = 0
    high: int = 0
    moves: list[_Entry] = field(default_factory=list)
    users: int = 0

    def number(self, at_ms: int) -> int:
        return at_ms * BUCKETS // self.length_ms

    def forget(self, now_ms: int) -> None:
        """Drop what is too old."""
        oldest = self.number(now_ms) - BUCKETS
        if not self.buckets or self.buckets[0][0] >= oldest:
            return
        while self.buckets and self.buckets[0][0] < oldest:
            self.buckets.popleft()
        self._measure()

    def see(self, value: int, at_ms: int) -> None:
        """Take a value in."""
        number = self.number(at_ms)
        if not self.buckets or self.buckets[-1][0] < number:
            self.buckets.append([number, value, value])
        last = self.buckets[-1]
        last[1], last[2] = min(last[1], value), max(last[2], value)
        self._measure()

    def _measure(self) -> None:
        self.low = min((bucket[1] for bucket in self.buckets), default=0)
        self.high = max((bucket[2] for bucket in self.buckets), default=0)

    def narrowest(self, now_ms: int) -> tuple[int, int]:
        """Return the range that teaches it nothing; an empty one before the first value of a bucket."""
        if not self.buckets or self.buckets[-1][0] < self.number(now_ms):
            return 1, 0
        return self.buckets[-1][1], self.buckets[-1][2]


class Book:
    """The alerts on one series.

    Attributes:
        low: Nothing fires and nothing changes from here ...
        high: ... to here.
        value: The newest value, or `None` before the first.
        seen_ms: When it was told; 0 before the first.
        rearmed: Levels that went back so far that reaching them is a crossing again.
    """

    __slots__ = ("_down", "_up", "_waiting", "_windows", "high", "low", "rearmed", "seen_ms", "value")

    def __init__(self) -> None:
        self.low, self.high = -_NEVER, _NEVER
        self.value: int | None = None
        self.seen_ms = 0
        self.rearmed: list[int] = []
        self._waiting: dict[int, Waiting] = {}
        self._up: list[_Entry] = []
        self._down: list[_Entry] = []  # of negated values
        self._windows: dict[int, _Window] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __getitem__(self, alert_id: int) -> Waiting:
        return self._waiting[alert_id]

    def put(self, alert_id: int, rule: Rule, state: State, now_ms: int) -> None:
        """Let an alert wait for what its state says, in place of what it waited for."""
        found = self._waiting.get(alert_id)
        if found is None or found.rule != rule:
            self.remove(alert_id, now_ms)
            found = self._waiting[alert_id] = Waiting(rule, state)
            if isinstance(rule, Move):
                self._window(rule.window_ms, now_ms).users += 1
        found.state = state
        self._place(alert_id, found, now_ms)
        self._guard(now_ms)

    def remove(self, alert_id: int, now_ms: int) -> None:
        """Forget an alert. Its place in a heap is found void when it comes up, or when half of the heap is."""
        found = self._waiting.pop(alert_id, None)
        if found is None:
            return
        self._leave(found)
        if isinstance(found.rule, Move):
            window = self._windows[found.rule.window_ms]
            window.users -= 1
            if not window.users:
                del self._windows[window.length_ms]
        self._guard(now_ms)

    def remember(self, value: int, at_ms: int) -> None:
        """Take in what was seen before the program stopped. Nothing fires by it."""
        self.value, self.seen_ms = value, at_ms
        for window in self._windows.values():
            window.see(value, at_ms)
        self._guard(at_ms)

    def advance(self, now_ms: int) -> None:
        """Let windows go on. Cheap where nothing looks back."""
        if self._windows:
            self._guard(now_ms)

    def slow(self, value: int, now_ms: int) -> list[int]:
        """Take a value in that is outside the guard; return what fires. The caller says what becomes of those.

        A level that only went back is placed anew here.
        """
        fired = []
        while self._is_due(self._up, value):
            fired += self._judge(heapq.heappop(self._up), value, now_ms)
        while self._is_due(self._down, -value):
            fired += self._judge(heapq.heappop(self._down), value, now_ms)
        for window in self._windows.values():
            window.forget(now_ms)
            window.see(value, now_ms)
            while self._top(window.moves) is not None and self._has_moved(window, value):
                fired += self._judge(heapq.heappop(window.moves), value, now_ms)
        self._guard(now_ms)
        return fired

    def _is_due(self, heap: list[_Entry], value: int) -> bool:
        top = self._top(heap)
        return top is not None and top[0] <= value

    def _has_moved(self, window: _Window, value: int) -> bool:
        parts = window.moves[0][0]
        return value >= rules.risen_to(window.low, parts) or value <= rules.fallen_to(window.high, parts)

    def _judge(self, entry: _Entry, value: int, now_ms: int) -> list[int]:
        found = self._waiting[entry[1]]
        found.entry = found.heap = None
        if isinstance(found.rule, Level):
            fires, found.state = rules.after_value(found.rule, found.state, value, now_ms)
        else:
            window = self._windows[found.rule.window_ms]
            fires, found.state = rules.after_move(found.rule, found.state, value, window.low, window.high, now_ms)
        if not fires:
            self.rearmed.append(entry[1])
            self._place(entry[1], found, now_ms)
        return [entry[1]] if fires else []

    def _place(self, alert_id: int, found: Waiting, now_ms: int) -> None:
        self._leave(found)
        rule, state = found.rule, found.state
        if isinstance(rule, Move):
            if state.quiet_until_ms <= now_ms:
                self._push(found, self._windows[rule.window_ms].moves, (rule.parts, alert_id))
        elif not state.is_armed:
            heap, sign = (self._down, -1) if rule.above else (self._up, 1)
            self._push(found, heap, (sign * rule.back, alert_id))
        elif state.quiet_until_ms <= now_ms:
            heap, sign = (self._up, 1) if rule.above else (self._down, -1)
            self._push(found, heap, (sign * rule.at, alert_id))

    def _window(self, length_ms: int, now_ms: int) -> _Window:
        """Return the window of a length; a new one begins with the newest value."""
        found = self._windows.get(length_ms)
        if found is None:
            found = self._windows[length_ms] = _Window(length_ms)
            if self.value is not None:
                found.see(self.value, self.seen_ms)
                found.forget(now_ms)
        return found

    def _push(self, found: Waiting, heap: list[_Entry], entry: _Entry) -> None:
        if len(heap) > 2 * len(self._waiting) + BUCKETS:
            heap[:] = [each for each in heap if self._is_valid(each)]
            heapq.heapify(heap)
        heapq.heappush(heap, entry)
        found.entry, found.heap = entry, heap

    @staticmethod
    def _leave(found: Waiting) -> None:
        found.entry = found.heap = None

    def _is_valid(self, entry: _Entry) -> bool:
        found = self._waiting.get(entry[1])
        return found is not None and found.entry is entry

    def _top(self, heap: list[_Entry]) -> _Entry | None:
        while heap and not self._is_valid(heap[0]):
            heapq.heappop(heap)
        return heap[0] if heap else None

    def _guard(self, now_ms: int) -> None:
        up, down = self._top(self._up), self._top(self._down)
        low = -_NEVER if down is None else 1 - down[0]
        high = _NEVER if up is None else up[0] - 1
        for window in self._windows.values():
            window.forget(now_ms)
            least, most = window.narrowest(now_ms)
            low, high = max(low, least), min(high, most)
            if window.buckets and (top := self._top(window.moves)) is not None:
                low = max(low, rules.fallen_to(window.high, top[0]) + 1)
                high = min(high, rules.risen_to(window.low, top[0]) - 1)
        self.low, self.high = low, high
