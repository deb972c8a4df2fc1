"""Who wrote and is not let in: answered once a day, and remembered so that an administrator may let them in."""

from __future__ import annotations

from dataclasses import dataclass

_DAY_SECONDS = 86_400.0
_MINUTE_SECONDS = 60.0
_MOST_A_MINUTE = 20


@dataclass(frozen=True, slots=True)
class Stranger:
    """Somebody who wrote to the bot. The name is for display only."""

    user_id: int
    name: str
    at: float


class Strangers:
    """Those answered within the last day. Kept in memory: whoever wants in can write again."""

    def __init__(self) -> None:
        self._answered: dict[int, Stranger] = {}
        self._times: list[float] = []

    def may_answer(self, user_id: int, name: str, now: float) -> bool:
        """Say whether a stranger is answered, and note it: once a day each, twenty a minute in all.

        Args:
            user_id: Who wrote.
            name: What they call themselves.
            now: Monotonic seconds.
        """
        self._times = [at for at in self._times if at > now - _MINUTE_SECONDS]
        while self._answered and now - (oldest := next(iter(self._answered.values()))).at >= _DAY_SECONDS:
            del self._answered[oldest.user_id]
        if user_id in self._answered or len(self._times) >= _MOST_A_MINUTE:
            return False
        self._answered[user_id] = Stranger(user_id, name[:64], now)
        self._times.append(now)
        return True

    def newest(self, most: int) -> list[Stranger]:
        """Return who wrote last, newest first."""
        return list(reversed(self._answered.values()))[:most]
