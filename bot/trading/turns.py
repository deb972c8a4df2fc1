"""Whose turn it is: things that are each to be asked after now and then, in lanes that can take only so much."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Generic, TypeAlias, TypeVar

K = TypeVar("K", bound=Hashable)
_Queue: TypeAlias = list[tuple[float, int, K]]
_SPARE = 1000


@dataclass(frozen=True, slots=True)
class _Turn:
    lane: str
    due: float
    every: float
    number: int


class Turns(Generic[K]):
    """Keeps the next turn of each key.

    Where more is due than a lane can take, all of it is stretched alike: what is asked after twice a second comes
    before what is asked after twice a minute, by as much as their intervals differ, and nothing waits for ever. Of
    equal intervals the one that waited longest comes first. What has no interval comes before everything.

    Times are seconds of one clock; the cost of a call does not depend on how many keys there are.
    """

    def __init__(self) -> None:
        self._turns: dict[K, _Turn] = {}
        self._lanes: dict[str, dict[float, _Queue[K]]] = {}
        self._numbers = itertools.count()
        self._dead = 0  # entries of the queues whose key has another turn by now, or none

    def __contains__(self, key: K) -> bool:
        return key in self._turns

    def __len__(self) -> int:
        return len(self._turns)

    @property
    def lanes(self) -> tuple[str, ...]:
        """The lanes in which there ever was a turn."""
        return tuple(self._lanes)

    def put(self, key: K, lane: str, due: float, every: float) -> None:
        """Give a key its next turn, in place of the one it had.

        Args:
            key: Whose.
            lane: Where.
            due: When, at the earliest.
            every: Its interval; 0 puts it before everything that has one.
        """
        self.drop(key)
        turn = self._turns[key] = _Turn(lane, due, every, next(self._numbers))
        heappush(self._lanes.setdefault(lane, {}).setdefault(every, []), (due, turn.number, key))

    def drop(self, key: K) -> None:
        """Let a key have no turn any more. Harmless when it has none."""
        if self._turns.pop(key, None) is not None:
            self._dead += 1
            if self._dead > len(self._turns) + _SPARE:
                self._tidy()

    def take(self, lane: str, now: float) -> tuple[K, float] | None:
        """Take the key whose turn it is, with its interval; it has none any more. `None` when nothing is due."""
        heads = [(every, queue) for every, queue in self._lanes.get(lane, {}).items() if self._is_due(queue, now)]
        if not heads:
            return None
        every, queue = max(heads, key=lambda head: (now - head[1][0][0]) / head[0] if head[0] else math.inf)
        key = heappop(queue)[2]
        del self._turns[key]
        return key, every

    def next_due(self, lane: str) -> float:
        """Return when the next turn in a lane is; infinity where there is none."""
        return min(
            (queue[0][0] for queue in self._lanes.get(lane, {}).values() if self._lives(queue)), default=math.inf
        )

    def _is_due(self, queue: _Queue[K], now: float) -> bool:
        return self._lives(queue) and queue[0][0] <= now

    def _lives(self, queue: _Queue[K]) -> bool:
        """Say whether a queue has a first turn, after what is dead before it was thrown away."""
        while queue:
            _, number, key = queue[0]
            turn = self._turns.get(key)
            if turn is not None and turn.number == number:
                return True
            heappop(queue)
            self._dead -= 1
        return False

    def _tidy(self) -> None:
        self._lanes = {lane: {} for lane in self._lanes}
        for key, turn in self._turns.items():
            self._lanes[turn.lane].setdefault(turn.every, []).append((turn.due, turn.number, key))
        for queues in self._lanes.values():
            for queue in queues.values():
                heapify(queue)
        self._dead = 0
