"""The daily look at the database: it comes every day, and tells its owner once when something is wrong."""

from __future__ import annotations

import asyncio

import pytest

from bot.trading import upkeep
from bot.trading.upkeep import DAY_SECONDS, look_daily
from tests.trading.conftest import START_MS, Room


async def test_look_daily_tells_of_a_changed_event_and_ends(room: Room) -> None:
    """Days on which all is well are silent; a changed event is told, and nothing is stored from then on."""
    await room.placed()
    told: list[str] = []

    async def tell(text: str) -> None:
        told.append(text)

    slept: list[float] = []

    class Days:
        def now_ms(self) -> int:
            return START_MS

        def monotonic(self) -> float:
            return 0.0

        async def sleep(self, seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 3:
                room.sql("UPDATE events SET kind='other' WHERE id=2")

    await asyncio.wait_for(look_daily(room.store, Days(), tell), 10)
    assert slept == [DAY_SECONDS] * 3
    assert [("event 2 of its log was changed" in text, "tradewire restore FILE" in text) for text in told] == [
        (True, True)
    ]
    with pytest.raises(upkeep.StoreDamaged):
        await room.propose()
