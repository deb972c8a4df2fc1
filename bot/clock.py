"""Time as a constructor argument, so that tests bring their own."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol


class Clock(Protocol):
    """What the core knows of time."""

    def now_ms(self) -> int:
        """Return wall-clock time, UTC milliseconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Return wall-clock time, UTC milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        await asyncio.sleep(seconds)


async def wait_at_most(clock: Clock, seconds: float, event: asyncio.Event) -> None:
    """Return once `event` is set, or `seconds` have passed; at once if it is set already. It is not cleared."""
    if event.is_set():
        return
    loop = asyncio.get_running_loop()
    waits: list[asyncio.Task[Any]] = [loop.create_task(event.wait()), loop.create_task(clock.sleep(seconds))]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()
