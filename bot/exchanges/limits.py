"""Keeping an exchange's published limits, for all users of one address together.

A counting window and no library's bucket: the reserve for cancels, the pause that an exchange orders, and a clock
that tests can turn are one small thing here, and three workarounds there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Literal, TypeAlias

from bot.clock import Clock
from bot.contract.errors import NotSent, PluginError
from bot.contract.models import Limit

Priority: TypeAlias = Literal["urgent", "usual", "routine"]
_MAY_SPEND_PERCENT: Mapping[Priority, int] = {"urgent": 100, "usual": 80, "routine": 50}
_LONGEST_WAIT_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 300.0


class _Window:
    """Weights spent within the last `seconds`."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._spent: deque[tuple[float, int]] = deque()
        self._sum = 0

    def spent(self, now: float) -> int:
        while self._spent and self._spent[0][0] <= now - self.limit.seconds:
            self._sum -= self._spent.popleft()[1]
        return self._sum

    def wait_seconds(self, weight: int, now: float, budget: int) -> float:
        over = self.spent(now) + weight - budget
        if over <= 0 or not self._spent:
            return 0.0
        for at, spent in self._spent:
            over -= spent
            if over <= 0:
                return at + self.limit.seconds - now
        return float(self.limit.seconds)

    def spend(self, weight: int, now: float) -> None:
        self._spent.append((now, weight))
        self._sum += weight


class Limiter:
    """All limits of one exchange and one egress address.

    What a person asks for may use four fifths of each limit; the rest is kept for cancels and for looking after orders
    in doubt (`urgent`). What is asked again and again, unasked, waits once half is used (`routine`).
    """

    def __init__(self, title: str, limits: Mapping[str, tuple[Limit, ...]], clock: Clock) -> None:
        self._title = title
        self._limits = limits
        self._clock = clock
        self._windows: dict[tuple[str, int, int], _Window] = {}
        self._closed_until = 0.0
        self._refusals = 0

    async def acquire(self, costs: Mapping[str, int], account_id: int, priority: Priority = "usual") -> None:
        """Wait until `costs` may be spent, then spend them.

        Raises:
            NotSent: The wait would be longer than ten seconds, or the exchange ordered a longer pause.
            PluginError: A request weighs more than its whole limit.
        """
        deadline = self._clock.monotonic() + _LONGEST_WAIT_SECONDS
        while (wait := self._wait_seconds(costs, account_id, priority)) > 0:
            if self._clock.monotonic() + wait > deadline:
                raise self._refusal(wait)
            await self._clock.sleep(wait)
        now = self._clock.monotonic()
        for name, weight in costs.items():
            for window in self._windows_of(name, account_id):
                window.spend(weight, now)

    def check_pause(self) -> None:
        """Refuse what was let through just before the exchange ordered a pause.

        Raises:
            NotSent: The pause lasts.
        """
        wait = self._closed_until - self._clock.monotonic()
        if wait > 0:
            raise self._refusal(wait)

    def pause(self, seconds: float | None) -> None:
        """Send nothing for `seconds`, as the exchange said; without a figure 1 s, doubled each time in a row.

        Refusals that come while a pause lasts belong to requests already under way, and count as one.
        """
        now = self._clock.monotonic()
        if now >= self._closed_until:
            self._refusals += 1
        if seconds is None:
            seconds = min(2.0 ** min(self._refusals - 1, 10), _LONGEST_PAUSE_SECONDS)
        self._closed_until = max(self._closed_until, now + seconds)

    def accepted(self) -> None:
        """Note that the exchange took a request: the next pause without a figure begins at one second again."""
        self._refusals = 0

    def remaining_percent(self) -> int:
        """Return how much of the tightest limit is left."""
        now = self._clock.monotonic()
        left = [100 - 100 * window.spent(now) // window.limit.amount for window in self._windows.values()]
        return max(0, min(left, default=100))

    def _refusal(self, wait: float) -> NotSent:
        text = f"{self._title} allows no more requests for {wait:.0f} seconds"
        return NotSent(text, code="RATE_LIMIT", remedy="Wait a little and try again.")

    def _wait_seconds(self, costs: Mapping[str, int], account_id: int, priority: Priority) -> float:
        now = self._clock.monotonic()
        wait = self._closed_until - now
        for name, weight in costs.items():
            for window in self._windows_of(name, account_id):
                amount = window.limit.amount
                if weight > amount:
                    raise PluginError(f"The {self._title} plugin made a request that weighs more than {name} allows.")
                budget = max(weight, amount * _MAY_SPEND_PERCENT[priority] // 100)
                wait = max(wait, window.wait_seconds(weight, now, budget))
        return wait

    def _windows_of(self, name: str, account_id: int) -> list[_Window]:
        result = []
        for index, limit in enumerate(self._limits[name]):
            key = (name, index, account_id if limit.per == "account" else 0)
            window = self._windows.get(key)
            if window is None:
                window = self._windows[key] = _Window(limit)
            result.append(window)
        return result
