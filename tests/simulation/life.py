"""One life of the bot, which may end wherever something passes from the bot to the world or back."""

from __future__ import annotations

from random import Random

from tests.simulation.timeline import Timeline, VirtualLoop


class Killed(BaseException):
    """Ends what a dead process still had under way, past every handler."""


class Life:
    """A life with its loop.

    Args:
        timeline: The world's time.
        rng: The world's chance.
        crash_rate: How many crashes there are for each order, about.

    Attributes:
        is_dead: Whether nothing of it runs any more.
        is_buried: Whether what was under way is being taken apart.
    """

    def __init__(self, timeline: Timeline, rng: Random, crash_rate: float) -> None:
        self.timeline, self.rng, self.crash_rate = timeline, rng, crash_rate
        self.loop = VirtualLoop(timeline)
        self.is_dead = self.is_buried = False

    def end(self) -> None:
        """Be killed: nothing that was under way goes on."""
        self.is_dead = True
        self.loop.stop()

    def passes(self, weight: float) -> bool:
        """Pass a boundary, or die there; say whether it lives. Whoever is told that it does not must await `rest`."""
        if not self.is_dead and self.crash_rate and self.rng.random() < weight * self.crash_rate:
            self.end()
        return not self.is_dead

    async def rest(self) -> None:
        """Never come back."""
        if self.is_buried:
            raise Killed
        await self.loop.create_future()
