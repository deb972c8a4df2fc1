"""Ends by a clock that nobody sets: what ends by the wall clock ends by this one too, whichever comes first."""

from __future__ import annotations

from bot.clock import Clock


class Deadlines:
    """When each preview, and each confirmed order that did not leave yet, ends by the machine's monotonic clock.

    The database holds the end by the wall clock, which a time server may step back by an hour. These are held in
    memory: after a restart they are set anew, and never for longer than at first.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends: dict[int, float] = {}

    def set(self, order_id: int, seconds: float) -> None:
        """Let an order end `seconds` from now."""
        self._ends[order_id] = self._clock.monotonic() + seconds

    def is_over(self, order_id: int) -> bool:
        """Say whether an order's time has passed."""
        return order_id in self._ends and self._ends[order_id] <= self._clock.monotonic()

    def over(self) -> frozenset[int]:
        """Return the orders whose time has passed."""
        return frozenset(each for each in self._ends if self.is_over(each))

    def forget(self, order_ids: frozenset[int]) -> None:
        """Hold the ends of these orders no more."""
        for order_id in order_ids:
            self._ends.pop(order_id, None)
