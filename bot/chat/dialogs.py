"""Questions that wait for a plain message. Kept in memory only: an answer may be a secret."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from bot.clock import Clock

_PATIENCE_SECONDS = 600.0

Answer: TypeAlias = Callable[[str, int], Awaitable[None]]
"""Called with the message's text and id."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    answer: Answer
    until: float
    stopped: str


class Dialogs:
    """At most one open question per person and chat."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[tuple[int, int], _Waiting] = {}

    def ask(self, chat_id: int, user_id: int, answer: Answer, *, stopped: str = "") -> None:
        """Give the person's next plain message in this chat to `answer`, within ten minutes.

        `stopped` is what the person is told when another command ends the question.
        """
        until = self._clock.monotonic() + _PATIENCE_SECONDS
        self._waiting[chat_id, user_id] = _Waiting(answer, until, stopped)

    def stopped(self, chat_id: int, user_id: int) -> str:
        """Return what the person is to be told if the open question ends now."""
        found = self._waiting.get((chat_id, user_id))
        return found.stopped if found is not None else ""

    def take(self, chat_id: int, user_id: int) -> Answer | None:
        """Return who waits for the person's message, and forget it."""
        found = self._waiting.pop((chat_id, user_id), None)
        return found.answer if found is not None and found.until > self._clock.monotonic() else None

    def is_open(self, chat_id: int, user_id: int) -> bool:
        """Say whether somebody waits for the person's message."""
        found = self._waiting.get((chat_id, user_id))
        return found is not None and found.until > self._clock.monotonic()

    def drop(self, chat_id: int, user_id: int) -> bool:
        """Forget the open question; say whether there was one."""
        return self._waiting.pop((chat_id, user_id), None) is not None
