"""Whether orders are taken at all, and if not, why: the same token polled elsewhere, or a clock that is wrong."""

from __future__ import annotations

from bot.chat.gate import OLDEST_MS
from bot.clock import Clock

_MOST_CONFLICTS = 3
_LONGEST_SECONDS = 30.0
_CALM_SECONDS = 30.0  # longer than one poll: two programs that poll in turn both succeed now and then

TWO_PROGRAMS = (
    "Trading is halted: another program receives this bot's messages, so nobody can say which of the two acts. "
    "Nothing was sent. The operator must stop it; trading opens again by itself, then send the command again."
)
HALTED = (
    "Another program receives this bot's messages with the same token, so I take no orders until it stops. Is it not "
    "yours? Then somebody has the token: let @BotFather revoke it, write the new one into the configuration and "
    "start me again."
)
OPEN_AGAIN = "No other program receives this bot's messages any more. I take orders again."
"""The two that the owner is told."""
WRONG_CLOCK = (
    "Trading is halted: this server's clock is wrong, so I cannot tell old commands from new ones. Nothing was done. "
    "The operator must set it; trading opens again by itself, then send the command again."
)


class Halt:
    """Shuts the way to new orders. Looking, canceling and orders already placed go on.

    Args:
        clock: Ours.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._conflicts = 0
        self._first = self._last = 0.0
        self._two_programs = self._wrong_clock = False

    @property
    def reason(self) -> str:
        """What a person is told; empty while orders are taken."""
        if self._two_programs:
            return TWO_PROGRAMS
        return WRONG_CLOCK if self._wrong_clock else ""

    def conflict(self) -> bool:
        """Note that Telegram told of another program with our token; say whether that halts trading just now."""
        now = self._clock.monotonic()
        self._first = self._first if self._conflicts else now
        self._last = now
        self._conflicts += 1
        is_new = not self._two_programs and (
            self._conflicts >= _MOST_CONFLICTS or now - self._first >= _LONGEST_SECONDS
        )
        self._two_programs = self._two_programs or is_new
        return is_new

    def polled(self) -> bool:
        """Note that a poll was answered; say whether trading opens just now."""
        if not self._conflicts or self._clock.monotonic() - self._last < _CALM_SECONDS:
            return False
        is_new, self._two_programs = self._two_programs, False
        self._conflicts = 0
        return is_new

    def dated(self, age_ms: int) -> None:
        """Compare our clock with Telegram's: a new message is as old as `age_ms`, and one from the future proves ours
        wrong. An old one may only have waited, and proves nothing.
        """
        if age_ms <= OLDEST_MS:
            self._wrong_clock = age_ms < -OLDEST_MS
