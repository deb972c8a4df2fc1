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
_MOST_PLANS = 256


class _Window:
    """Weights spent within the last `seconds`."""

    __slots__ = ("_spent", "_sum", "limit")

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._spent: deque[tuple[float, int]] = deque()
        self._sum = 0

    def spent(self, now: float) -> int:
        spent, oldest = self._spent, now - self.limit.seconds
        while spent and spent[0][0] <= oldest:
            self._sum -= spent.popleft()[1]
        return self._sum

    def wait_seconds(self, over: int, now: float) -> float:
        """Return how long it takes until `over` of what was spent is as old as the window."""
        for at, spent in self._spent:
            over -= spent
            if over <= 0:
                return at + self.limit.seconds - now
        return float(self.limit.seconds) if self._spent else 0.0

    def spend(self, weight: int, now: float) -> None:
        self._spent.append((now, weight))
        self._sum += weight


_Plan: TypeAlias = list[tuple[_Window, int, int]]


class MustWait(Exception):
    """A request that may not wait could not leave at once. Nothing was sent."""


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
        self._plans: dict[tuple[object, ...], _Plan] = {}
        self._closed_until = 0.0
        self._refusals = 0

    async def acquire(
        self, costs: Mapping[str, int], account_id: int, priority: Priority = "usual", *, may_wait: bool = True
    ) -> float:
        """Wait until `costs` may be spent, then spend them.

        Returns:
            For how many seconds it waited.

        Raises:
            MustWait: It may not wait, and would have to. Nothing was spent.
            NotSent: The wait would be longer than ten seconds, or the exchange ordered a longer pause.
            PluginError: A request weighs more than its whole limit.
        """
        plan = self._plan(costs, account_id, priority)
        began = now = self._clock.monotonic()
        while (wait := self._wait_seconds(plan, now)) > 0:
            if not may_wait:
                raise MustWait
            if now + wait > began + _LONGEST_WAIT_SECONDS:
                raise self._refusal(wait)
            await self._clock.sleep(wait)
            now = self._clock.monotonic()
        for window, weight, _ in plan:
            window.spend(weight, now)
        return now - began

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

    def _wait_seconds(self, plan: _Plan, now: float) -> float:
        wait = self._closed_until - now
        for window, weight, most in plan:
            over = window.spent(now) + weight - most
            if over > 0:
                wait = max(wait, window.wait_seconds(over, now))
        return wait

    def _plan(self, costs: Mapping[str, int], account_id: int, priority: Priority) -> _Plan:
        """Return each window that `costs` are spent in, with the weight, and how much may be spent in it then."""
        key = (account_id, priority, *costs.items())
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            plan = self._plans[key] = [
                (window, weight, self._most(name, window.limit.amount, weight, priority))
                for name, weight in costs.items()
                for window in self._windows_of(name, account_id)
            ]
        return plan

    def _most(self, name: str, amount: int, weight: int, priority: Priority) -> int:
        if weight > amount:
            raise PluginError(f"The {self._title} plugin made a request that weighs more than {name} allows.")
        return max(weight, amount * _MAY_SPEND_PERCENT[priority] // 100)

    def _windows_of(self, name: str, account_id: int) -> list[_Window]:
        result = []
        for index, limit in enumerate(self._limits[name]):
            key = (name, index, account_id if limit.per == "account" else 0)
            window = self._windows.get(key)
            if window is None:
                window = self._windows[key] = _Window(limit)
            result.append(window)
        return result
