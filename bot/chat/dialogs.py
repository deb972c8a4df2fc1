"""Questions that wait for a plain message. Kept in memory only: an answer may be a secret."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from bot.clock import Clock

_PATIENCE_SECONDS = 600.0
_AFTERMATH_SECONDS = 600.0

Answer: TypeAlias = Callable[[str, int], Awaitable[None]]
"""Called with the message's text and id."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    answer: Answer
    until: float
    stopped: str
    is_secret: bool


class Dialogs:
    """At most one open question per person and chat."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[tuple[int, int], _Waiting] = {}
        self._wary: dict[tuple[int, int], float] = {}

    def ask(self, chat_id: int, user_id: int, answer: Answer, *, stopped: str = "", is_secret: bool = False) -> None:
        """Give the person's next plain message in this chat to `answer`, within ten minutes.

        Args:
            chat_id: Where.
            user_id: Who.
            answer: What becomes of the message.
            stopped: What the person is told when another command ends the question.
            is_secret: Whether the answer is a secret. See `is_wary`.
        """
        until = self._clock.monotonic() + _PATIENCE_SECONDS
        self._waiting[chat_id, user_id] = _Waiting(answer, until, stopped, is_secret)
        if is_secret:
            self.beware(chat_id, user_id, until)

    def beware(self, chat_id: int, user_id: int, since: float | None = None) -> None:
        """Expect stray parts of a secret from the person for ten minutes, counted from `since` or now."""
        start = self._clock.monotonic() if since is None else since
        self._wary[chat_id, user_id] = start + _AFTERMATH_SECONDS

    def is_wary(self, chat_id: int, user_id: int) -> bool:
        """Say whether a question for a secret ended lately, so that a plain message may be a part of that secret."""
        if self._wary.get((chat_id, user_id), 0.0) > self._clock.monotonic():
            return not self.is_open(chat_id, user_id)
        self._wary.pop((chat_id, user_id), None)
        return False

    def stopped(self, chat_id: int, user_id: int) -> str:
        """Return what the person is to be told if the open question ends now."""
        found = self._waiting.get((chat_id, user_id))
        return found.stopped if found is not None else ""

    def take(self, chat_id: int, user_id: int) -> Answer | None:
        """Return who waits for the person's message, and forget it."""
        found = self._end(chat_id, user_id)
        return found.answer if found is not None and found.until > self._clock.monotonic() else None

    def is_open(self, chat_id: int, user_id: int) -> bool:
        """Say whether somebody waits for the person's message."""
        found = self._waiting.get((chat_id, user_id))
        return found is not None and found.until > self._clock.monotonic()

    def drop(self, chat_id: int, user_id: int) -> bool:
        """Forget the open question; say whether there was one."""
        return self._end(chat_id, user_id) is not None

    def _end(self, chat_id: int, user_id: int) -> _Waiting | None:
        found = self._waiting.pop((chat_id, user_id), None)
        if found is not None and found.is_secret:
            self.beware(chat_id, user_id, min(found.until, self._clock.monotonic()))
        return found
