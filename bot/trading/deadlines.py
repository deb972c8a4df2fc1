"""Ends by a clock that nobody sets: what ends by the wall clock ends by this one too, whichever comes first."""

from __future__ import annotations

from collections.abc import Collection
from heapq import heappop, heappush

from bot.clock import Clock


class Deadlines:
    """When each preview, and each confirmed order that did not leave yet, ends by the machine's monotonic clock.

    The database holds the end by the wall clock, which a time server may step back by an hour. These are held in
    memory: after a restart they are set anew, and never for longer than at first.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends: dict[int, float] = {}
        self._queue: list[tuple[float, int]] = []  # of all ends that were ever set and have not come yet
        self._over: set[int] = set()

    def set(self, order_id: int, seconds: float) -> None:
        """Let an order end `seconds` from now."""
        self._over.discard(order_id)
        self._ends[order_id] = self._clock.monotonic() + seconds
        heappush(self._queue, (self._ends[order_id], order_id))

    def is_over(self, order_id: int) -> bool:
        """Say whether an order's time has passed."""
        return order_id in self._ends and self._ends[order_id] <= self._clock.monotonic()

    def over(self) -> frozenset[int]:
        """Return the orders whose time has passed."""
        now = self._clock.monotonic()
        while self._queue and self._queue[0][0] <= now:
            end, order_id = heappop(self._queue)
            if self._ends.get(order_id) == end:
                self._over.add(order_id)
        return frozenset(self._over)

    def forget(self, order_ids: Collection[int]) -> None:
        """Hold the ends of these orders no more."""
        for order_id in order_ids:
            self._ends.pop(order_id, None)
            self._over.discard(order_id)
