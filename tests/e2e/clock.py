"""The time of the end-to-end tests: a bot, its Telegram and its exchange live faster than the machine's clock goes."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SPEED = 20
_TURN_SECONDS = 0.005


class QuickClock:
    """Time that passes `SPEED` times as fast, in the turns of the loop.

    It does not look at the machine's clock: while a loaded machine leaves the tests no processor, no time passes, so no
    signature becomes too old and no preview ends.
    """

    def __init__(self) -> None:
        self._began_ms = time.time_ns() // 1_000_000
        self._seconds = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def now_ms(self) -> int:
        return self._began_ms + round(self._seconds * 1000)

    def monotonic(self) -> float:
        return self._seconds

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return await asyncio.sleep(0)
        awake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._seconds + seconds, next(self._numbers), awake))
        return await awake

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        """Let time pass while the context is open."""
        task = asyncio.create_task(self._pass())
        try:
            yield
        finally:
            task.cancel()

    async def _pass(self) -> None:
        while True:
            await asyncio.sleep(_TURN_SECONDS)
            self._seconds += _TURN_SECONDS * SPEED
            while self._sleepers and self._sleepers[0][0] <= self._seconds:
                awake = heapq.heappop(self._sleepers)[2]
                if not awake.done():
                    awake.set_result(None)
