"""Why not, in words, and how often that is said."""

from __future__ import annotations

from bot.chat.gate import Refused
from bot.chat.halt import WRONG_CLOCK, Halt
from bot.chat.strangers import Strangers
from bot.clock import Clock

_MINUTE_SECONDS = 60.0

INVITATION_OVER = "This invitation has ended or was used. Ask for a new one."
TOO_MUCH = "That was too much at once, and not all of it was run. Wait for the answers, then send what is missing."
TOO_MANY_PRESSES = "Too many presses at once. Wait for the answers; this one did nothing."


_IN_GROUPS = {
    "group": "That is about one group. Write it there.",
    "administrator": "Only an administrator of this group may change that. Ask one who may use this bot.",
    "unasked": "Telegram did not say whether you administrate this group. Nothing was changed; try again shortly.",
    "anonymous": 'You write as an anonymous administrator, so I cannot tell who you are. Turn off "Remain anonymous" '
    "in your rights here and send it again.",
}


class Refusals:
    """Words for refusals, and restraint: a crowd must not use up what Telegram lets the bot send.

    Args:
        clock: Ours.
        halt: Tells why no orders are taken.
        strangers: Tell who was answered today.
    """

    def __init__(self, clock: Clock, halt: Halt, strangers: Strangers) -> None:
        self._clock = clock
        self._halt = halt
        self._strangers = strangers
        self._said: dict[tuple[str, int], float] = {}

    def text(self, found: Refused, user_id: int = 0) -> str:
        """Return what a person is told."""
        if found.why == "stranger":
            return f"This is a private bot. Your Telegram id is {user_id}; its operator can let you in."
        if found.why == "halted":
            return self._halt.reason
        if found.why == "clock":
            return WRONG_CLOCK
        if found.why == "private":
            return "I answer that in our private chat only."
        if found.why in _IN_GROUPS:
            return _IN_GROUPS[found.why]
        return "You may not do that. Ask the operator if you should."

    def may_answer(self, found: Refused, user_id: int, chat_id: int, name: str = "") -> bool:
        """Say whether a refused message is answered: strangers once a day, a wrong clock once a minute."""
        if found.why == "stranger":
            return self._strangers.may_answer(user_id, name, self._clock.monotonic())
        if found.why == "clock":
            return self.is_first("clock", chat_id)
        if found.why == "anonymous":
            return self.is_first("anonymous", chat_id)
        return found.why not in ("silent", "stale")  # what is late is answered all together

    def is_first(self, what: str, chat_id: int) -> bool:
        """Say whether a chat was not told `what` within the last minute, and note that it is told now."""
        now = self._clock.monotonic()
        self._said = {key: at for key, at in self._said.items() if now - at < _MINUTE_SECONDS}
        if (what, chat_id) in self._said:
            return False
        self._said[what, chat_id] = now
        return True
