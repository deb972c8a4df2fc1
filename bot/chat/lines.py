"""What the outbox knows between its looks at the database: which chats wait, and whether Telegram is there."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence


class Line:
    """Chats that wait in one queue, each once; who may be served first comes first."""

    def __init__(self) -> None:
        self.members: set[int] = set()
        self._heap: list[tuple[float, int, int]] = []
        self._numbers = itertools.count()

    @property
    def due(self) -> float:
        """When the first may be served; there must be one."""
        return self._heap[0][0]

    def is_due(self, now: float) -> bool:
        """Say whether somebody may be served."""
        return bool(self._heap) and self.due <= now

    def add(self, chat_id: int, at: float) -> None:
        """Let a chat wait until `at`, unless it waits already."""
        if chat_id not in self.members:
            self.members.add(chat_id)
            heapq.heappush(self._heap, (at, next(self._numbers), chat_id))

    def next(self, now: float, ready_at: Callable[[int], float]) -> int | None:
        """Take the first chat that is due and that `ready_at` lets pass."""
        while self._heap and self._heap[0][0] <= now:
            chat_id = heapq.heappop(self._heap)[2]
            if (ready := ready_at(chat_id)) > now:
                heapq.heappush(self._heap, (ready, next(self._numbers), chat_id))
                continue
            self.members.discard(chat_id)
            return chat_id
        return None


class Silence:
    """Whether Telegram was found to be out of reach, and when it is asked again.

    Attributes:
        is_over: Whether messages may be sent.
        until: When to ask again, by the clock's `monotonic`.

    Args:
        pauses: Seconds between questions; the last is repeated.
    """

    def __init__(self, pauses: Sequence[int]) -> None:
        self._pauses = pauses
        self.is_over = True
        self.until = 0.0
        self._failures = 0

    def begin(self) -> None:
        """Note that a message did not get through."""
        self.is_over = False

    def goes_on(self, now: float) -> None:
        """Note that a question did not get through either."""
        self.until = now + self._pauses[min(self._failures, len(self._pauses) - 1)]
        self._failures += 1

    def end(self) -> None:
        """Note that something got through."""
        self.is_over, self.until, self._failures = True, 0.0, 0
