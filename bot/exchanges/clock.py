"""The exchange's clock, as far as we can tell: an offset, and timestamps that only rise."""

from __future__ import annotations

import math
from typing import Literal

from bot.clock import Clock

_STALE_SECONDS = 600
_AGAIN_SECONDS = 30
_JUMP_MS = 2_000
_MOST_AHEAD_MS = {"window": 500, "rising": 1_500}


class ExchangeClock:
    """Estimates one exchange's time.

    The offset is the exchange's time against the midpoint of the call that asked for it. It is asked for again after
    ten minutes, or half a minute when there was no answer, after a refused timestamp, and when the wall clock moved
    against the monotonic one (a resumed machine, a stepped clock).
    """

    def __init__(self, clock: Clock, nonce: Literal["window", "rising"] = "window") -> None:
        self._clock = clock
        self._most_ahead_ms = _MOST_AHEAD_MS[nonce]
        self.offset_ms: int | None = None
        self._last = 0
        self._told: tuple[int, float] | None = None  # what the exchange said, and when we had it
        self._rest_seconds = 0.0
        self._anchor: tuple[int, float] | None = None

    def now_ms(self) -> int:
        """Return the exchange's time, UTC milliseconds."""
        return self._clock.now_ms() + (self.offset_ms or 0)

    def at_least_ms(self, at: float) -> int | None:
        """Return a time that the exchange's clock surely showed at a moment, or `None` while it has not told its own.

        It runs by the monotonic clock from what the exchange said: a wall clock that is wrong, or stepped, has no part
        in it.

        Args:
            at: The moment, by the monotonic clock.
        """
        if self._told is None:
            return None
        said_ms, had_at = self._told
        return said_ms + math.floor((at - had_at) * 1000)

    def timestamp(self) -> int:
        """Return the exchange's time for a signature: later than every one returned before.

        Unless the time went back by more than half a second (more where the exchange insists on rising timestamps):
        to stay ahead of that would be refused as the future.
        """
        now = self.now_ms()
        self._last = self._last + 1 if 0 <= self._last - now <= self._most_ahead_ms else now
        return self._last

    def is_stale(self) -> bool:
        """Say whether the offset should be measured again before the next signature."""
        if self._anchor is None:
            return True
        seconds, moved_ms = self._since(*self._anchor)
        return seconds > self._rest_seconds or abs(moved_ms) > _JUMP_MS

    def has_jumped(self) -> bool:
        """Say whether the wall clock moved against the monotonic one since the offset was asked for."""
        if self._anchor is None:
            return False
        _, moved_ms = self._since(*self._anchor)
        return abs(moved_ms) > _JUMP_MS

    def learn(self, server_ms: int, *, began_ms: int, ended_ms: int) -> None:
        """Take over a measurement: the exchange said `server_ms` between two readings of our clock."""
        self.offset_ms = server_ms - (began_ms + ended_ms) // 2
        self._told = server_ms, self._clock.monotonic()
        self._rest(_STALE_SECONDS)

    def take_ours(self) -> None:
        """Take our time for that of an exchange that does not tell its own."""
        self._told = self._clock.now_ms(), self._clock.monotonic()
        self._rest(_STALE_SECONDS)

    def rest(self) -> None:
        """Ask no more for half a minute: there was no answer."""
        self._rest(_AGAIN_SECONDS)

    def distrust(self) -> None:
        """Measure before the next signature: the exchange refused a timestamp."""
        self._anchor = None

    def _rest(self, seconds: float) -> None:
        self._anchor = (self._clock.now_ms(), self._clock.monotonic())
        self._rest_seconds = seconds

    def _since(self, wall_ms: int, monotonic: float) -> tuple[float, float]:
        """Return the seconds since then, and by how many milliseconds the wall clock moved against them."""
        seconds = self._clock.monotonic() - monotonic
        return seconds, self._clock.now_ms() - wall_ms - seconds * 1000
