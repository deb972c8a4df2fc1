"""How fast Telegram may be told things: one limiter for messages and edits, with a lane for results and one for alerts.

Source: https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this (read 2026-11-20): about 30
messages a second in all, one a second in a chat with short bursts above that, 20 a minute in a group.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.clock import Clock
from bot.trading.notices import Lane

LANES: tuple[Lane, ...] = ("result", "alert")


@dataclass(frozen=True, slots=True)
class Pace:
    """How many messages may be sent, by lane. What alerts may not use is kept for results, so that none waits.

    Attributes:
        everyone: In any second.
        burst: To one chat at once; each comes back after a second.
        group: To one group in any minute.
    """

    everyone: Mapping[Lane, int]
    burst: Mapping[Lane, int]
    group: Mapping[Lane, int]


TELEGRAM = Pace({"result": 30, "alert": 20}, {"result": 5, "alert": 2}, {"result": 20, "alert": 15})
LOCAL = Pace(*[dict.fromkeys(LANES, 1000)] * 3)
"""For the Telegram on this machine, which refuses nobody."""

_SECOND = 1.0
_MINUTE = 60.0
_SLACK = 0.000_001  # a clock that counts in fractions may wake a sleeper a rounding error early
_FLOOD_CHATS = 3
_FLOOD_SECONDS = 10.0
_IDLE_EVERY = 1024


class _Window:
    """At most so many in any stretch of time."""

    def __init__(self, most: Mapping[Lane, int], seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._times: deque[float] = deque(maxlen=max(most.values()))

    def ready_at(self, lane: Lane) -> float:
        most = self._most[lane]
        return self._times[-most] + self._seconds if len(self._times) >= most else 0.0

    def take(self, now: float) -> None:
        self._times.append(now)


@dataclass(slots=True)
class _Chat:
    burst: Mapping[Lane, int]
    minute: _Window | None
    paid_until: float = 0.0  # each message is paid for with a second; a burst runs ahead of the clock
    held_until: float = 0.0
    doors: Mapping[Lane, asyncio.Lock] = field(default_factory=lambda: {lane: asyncio.Lock() for lane in LANES})

    def ready_at(self, lane: Lane) -> float:
        ready = max(self.held_until, self.paid_until - (self.burst[lane] - 1) * _SECOND)
        return ready if self.minute is None else max(ready, self.minute.ready_at(lane))

    def take(self, now: float) -> None:
        self.paid_until = max(now, self.paid_until) + _SECOND
        if self.minute is not None:
            self.minute.take(now)

    def is_idle(self, now: float) -> bool:
        last = self.paid_until if self.minute is None else self.paid_until + _MINUTE
        return max(last, self.held_until) < now and not any(door.locked() for door in self.doors.values())


@dataclass(slots=True)
class _Waiter:
    chat_id: int
    done: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Pacer:
    """Gives turns. All times are those of the clock's `monotonic`.

    Work for a turn does not depend on how many wait: one message per chat and lane sleeps out the chat's own limit
    while the others stand behind it, and the limit of all chats is waited for in one line per lane.

    Args:
        clock: Ours.
        pace: How fast.
    """

    def __init__(self, clock: Clock, pace: Pace = TELEGRAM) -> None:
        self._clock = clock
        self._pace = pace
        self._everyone = _Window(pace.everyone, _SECOND)
        self._held_until = 0.0
        self._chats: dict[int, _Chat] = {}
        self._lines: dict[Lane, deque[_Waiter]] = {lane: deque() for lane in LANES}
        self._alarm: tuple[float, asyncio.Task[None]] | None = None
        self._refused: dict[int, float] = {}
        self._turns = 0

    async def turn(self, chat_id: int, lane: Lane) -> None:
        """Wait until one message may be sent to a chat, or edited there. Who gets a turn uses it at once."""
        async with self._chat(chat_id).doors[lane]:
            while True:
                wait = self.ready_at(chat_id, lane) - self._clock.monotonic()
                if wait > _SLACK:
                    await self._clock.sleep(wait)
                    continue
                waiter = _Waiter(chat_id)
                self._lines[lane].append(waiter)
                self._serve()
                if await waiter.done:
                    return

    def ready_at(self, chat_id: int, lane: Lane) -> float:
        """Return when a chat's own limit and every hold let a message pass; the past means now."""
        chat = self._chats.get(chat_id)
        return self._held_until if chat is None else max(self._held_until, chat.ready_at(lane))

    def everyone_ready_at(self, lane: Lane) -> float:
        """Return when the limit that all chats share lets a message pass; the past means now."""
        return max(self._held_until, self._everyone.ready_at(lane))

    def hold(self, seconds: float, chat_id: int | None = None) -> None:
        """Obey Telegram's "retry after": send nothing to a chat, or to nobody, for so long.

        Telegram does not say whom it means. When several chats are refused at about the same time, it is everyone.
        Unverified: that three chats within ten seconds tell the one from the other.

        Args:
            seconds: As Telegram said.
            chat_id: Whose message was refused; `None` for a call that belongs to no chat.
        """
        now = self._clock.monotonic()
        if chat_id is not None:
            chat = self._chat(chat_id)
            chat.held_until = max(chat.held_until, now + seconds)
            self._refused = {each: at for each, at in self._refused.items() if now - at < _FLOOD_SECONDS}
            self._refused[chat_id] = now
        if chat_id is None or len(self._refused) >= _FLOOD_CHATS:
            self._held_until = max(self._held_until, now + seconds)

    def _chat(self, chat_id: int) -> _Chat:
        found = self._chats.get(chat_id)
        if found is None:
            minute = _Window(self._pace.group, _MINUTE) if chat_id < 0 else None
            found = self._chats[chat_id] = _Chat(self._pace.burst, minute)
        return found

    def _serve(self) -> None:
        """Give every turn that is due: results first, and in each lane in order."""
        now = self._clock.monotonic()
        for lane in LANES:
            line = self._lines[lane]
            while line:
                if line[0].done.done():  # gave up waiting
                    line.popleft()
                    continue
                if (ready := self.everyone_ready_at(lane)) > now + _SLACK:
                    self._wake_at(ready)
                    return
                waiter = line.popleft()
                is_ready = self.ready_at(waiter.chat_id, lane) <= now + _SLACK
                if is_ready:
                    self._everyone.take(now)
                    self._chat(waiter.chat_id).take(now)
                    self._forget_idle(now)
                waiter.done.set_result(is_ready)

    def _wake_at(self, when: float) -> None:
        if self._alarm is not None and not self._alarm[1].done():
            if self._alarm[0] <= when:
                return
            self._alarm[1].cancel()
        self._alarm = when, asyncio.get_running_loop().create_task(self._wake(when))

    async def _wake(self, when: float) -> None:
        await self._clock.sleep(max(0.0, when - self._clock.monotonic()))
        self._alarm = None
        self._serve()

    def _forget_idle(self, now: float) -> None:
        self._turns += 1
        if self._turns % _IDLE_EVERY == 0:
            self._chats = {chat_id: chat for chat_id, chat in self._chats.items() if not chat.is_idle(now)}
