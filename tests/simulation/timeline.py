"""Virtual time: what will happen in the world, and an event loop that jumps from one event to the next."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import Any

START_MS = 1_790_000_000_000
_LULL_SECONDS = 30.0
_OVERSLEPT_SECONDS = 10.0


class Timeline:
    """All that will happen, in order. Counted in whole microseconds, so that no run ever rounds."""

    def __init__(self, *, dozes: bool = False) -> None:
        self.now_us = 0
        self._dozes = dozes
        self._lull_us = 0
        self._events: list[tuple[int, int, Callable[[], object]]] = []
        self._numbers = itertools.count()

    @property
    def now_ms(self) -> int:
        """The true time, UTC milliseconds."""
        return START_MS + self.now_us // 1000

    def after(self, seconds: float, event: Callable[[], object]) -> None:
        """Let `event` happen in so many seconds."""
        heapq.heappush(self._events, (self.now_us + max(1, round(seconds * 1e6)), next(self._numbers), event))

    def at(self, due_us: int, event: Callable[[], object]) -> None:
        """Let `event` happen at a time, or at once when that has passed."""
        heapq.heappush(self._events, (max(self.now_us, due_us), next(self._numbers), event))

    def stir(self) -> None:
        """Note that somebody did something, or that an order changed."""
        self._lull_us = self.now_us + round(_LULL_SECONDS * 1e6)

    @property
    def overslept_seconds(self) -> float:
        """How much longer than asked for the bot sleeps by now: nothing, unless nothing has happened for a while.

        An idle second costs as much as a busy one, and there are many; what wakes the bot up still does.
        """
        return _OVERSLEPT_SECONDS if self._dozes and self.now_us >= self._lull_us else 0.0

    def happen(self) -> None:
        """Jump to the next event and let it happen."""
        if not self._events:
            raise RuntimeError("the bot waits for something that never happens")
        self.now_us, _, event = heapq.heappop(self._events)
        event()

    def pass_by(self, seconds: float) -> None:
        """Let so much time pass with no bot running."""
        until = self.now_us + round(seconds * 1e6)
        while self._events and self._events[0][0] <= until:
            self.happen()
        self.now_us = until


class _Call(partial[object]):
    """What is ready to be called: the least that asyncio needs of a handle. Nobody cancels one but a timeout."""

    __slots__ = ()

    def cancel(self) -> None:
        asyncio.get_running_loop().forget(self)  # type: ignore[attr-defined]


class _Timer:
    """What the loop will call. An event of the timeline."""

    __slots__ = ("_callback", "_loop")

    def __init__(self, loop: VirtualLoop, callback: Callable[[], object]) -> None:
        self._loop = loop
        self._callback: Callable[[], object] | None = callback

    def __call__(self) -> None:
        """Be due. Nothing is ready then, so that it need not stand in line."""
        if self._callback is not None and not self._loop.is_closed():
            self._callback()

    def cancel(self) -> None:
        self._callback = None


class VirtualLoop(asyncio.BaseEventLoop):
    """An asyncio event loop whose waiting is a jump along a `Timeline`. No selector, no thread, no real time.

    Half of what a world costs would be asyncio's own; so a timer is an event of the timeline, and a call is a `_Call`.
    """

    def __init__(self, timeline: Timeline) -> None:
        super().__init__()
        self._timeline = timeline
        self._due: deque[_Call] = deque()
        self._is_stopped = False

    def time(self) -> float:
        return self._timeline.now_us / 1e6

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> Any:
        return asyncio.Task(coro, loop=self, name=name or "", context=context)

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:
        call = _Call(callback, *args) if context is None else _Call(context.run, callback, *args)
        self._due.append(call)
        return call

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        timer = _Timer(self, partial(callback, *args) if context is None else partial(context.run, callback, *args))
        self._timeline.at(self._timeline.now_us + math.ceil(delay * 1e6), timer)
        return timer

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:
        return self.call_later(when - self.time(), callback, *args, context=context)

    def forget(self, call: _Call) -> None:
        """Leave a call out, if it is still to be made."""
        with suppress(ValueError):
            self._due.remove(call)

    def run_forever(self) -> None:
        """Run until `stop`: what is ready first; when nothing is, what the future brings."""
        due, happen = self._due, self._timeline.happen
        asyncio._set_running_loop(self)
        try:
            while not self._is_stopped:
                if due:
                    due.popleft()()
                else:
                    happen()
        finally:
            self._is_stopped = False  # it may be run again
            asyncio._set_running_loop(None)

    def stop(self) -> None:
        """Run nothing more."""
        self._is_stopped = True

    def _write_to_self(self) -> None:
        raise AssertionError("there is one thread")


def pause(timeline: Timeline, seconds: float) -> Awaitable[None]:
    """Return what sleeps as `asyncio.sleep` does, and costs less."""
    if seconds <= 0:
        return asyncio.sleep(0)
    sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    timeline.at(timeline.now_us + math.ceil(seconds * 1e6), partial(_wake, sleeper))
    return sleeper


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


class VirtualClock:
    """The bot's clock: right, and moved only by the loop."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    def now_ms(self) -> int:
        return self._timeline.now_ms

    def monotonic(self) -> float:
        return self._timeline.now_us / 1e6

    async def sleep(self, seconds: float) -> None:
        await pause(self._timeline, seconds + self._timeline.overslept_seconds)
