"""What tests put in the place of the world."""

from __future__ import annotations

import asyncio
import math
from bisect import insort

START_MS = 1_700_000_000_000


class FakeClock:
    """Time that passes only while somebody sleeps, or when a test says so. Sleepers wake in the order they are due.

    Counted in whole microseconds, so that a sleeper is never a rounding error early.
    """

    def __init__(self) -> None:
        self._now_us = 0
        self._wall_ms = START_MS
        self._due: list[int] = []

    def now_ms(self) -> int:
        """Return wall-clock time, UTC milliseconds."""
        return self._wall_ms + self._now_us // 1000

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return self._now_us / 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` pass, at once if nobody is due earlier."""
        due = self._now_us + max(1, math.ceil(seconds * 1_000_000))
        insort(self._due, due)
        try:
            await asyncio.sleep(0)
            while self._now_us < due:
                if self._due[0] == due:
                    self._now_us = due
                else:
                    await asyncio.sleep(0)
        finally:
            self._due.remove(due)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass while nobody looks."""
        self._now_us += math.ceil(seconds * 1_000_000)

    def set_wall(self, by_ms: int) -> None:
        """Step the wall clock, as NTP or a resumed machine does; the monotonic one stays."""
        self._wall_ms += by_ms
