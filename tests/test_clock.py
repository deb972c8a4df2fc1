"""Waiting with a limit."""

from __future__ import annotations

import asyncio

from bot.clock import wait_at_most
from tests.fakes import FakeClock


async def test_wait_at_most_event_never_set_ends_when_the_seconds_passed() -> None:
    clock, event = FakeClock(), asyncio.Event()
    await wait_at_most(clock, 1.5, event)
    assert (clock.monotonic(), event.is_set()) == (1.5, False)


async def test_wait_at_most_event_set_before_passes_no_time_and_leaves_it_set() -> None:
    clock, event = FakeClock(), asyncio.Event()
    event.set()
    await wait_at_most(clock, 1.5, event)
    assert (clock.monotonic(), event.is_set()) == (0.0, True)


class _Endless(FakeClock):
    def __init__(self) -> None:
        super().__init__()
        self.is_ended = False

    async def sleep(self, seconds: float) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.is_ended = True


async def test_wait_at_most_event_set_meanwhile_ends_and_leaves_no_sleeper() -> None:
    clock, event = _Endless(), asyncio.Event()
    waiting = asyncio.create_task(wait_at_most(clock, 1.5, event))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    event.set()
    await waiting
    await asyncio.sleep(0)
    assert clock.is_ended


async def test_wait_at_most_cancelled_leaves_no_sleeper() -> None:
    clock, event = _Endless(), asyncio.Event()
    waiting = asyncio.create_task(wait_at_most(clock, 1.5, event))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    await asyncio.sleep(0)
    assert (waiting.cancelled(), clock.is_ended) == (True, True)
