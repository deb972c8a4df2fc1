"""Virtual time for a real process: a loop that waits for threads and sockets, and jumps over all other waiting."""

from __future__ import annotations

import asyncio
import math
import selectors
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from tests.simulation.timeline import START_MS

_LOST_SECONDS = 20.0


class _Jumping(selectors.DefaultSelector):
    """Tells the loop what came in, and lets the time pass when nothing can."""

    loop: Loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is not None and timeout <= 0:
            return []  # there is enough to do
        if self.loop.under_way:
            found = super().select(_LOST_SECONDS)
            if not found:
                raise RuntimeError("a thread or an answer from outside got lost")
            return found
        if timeout is None:
            raise RuntimeError("the bot waits for something that never happens")
        self.loop.now_us += math.ceil(timeout * 1e6)
        return []


class Loop(asyncio.SelectorEventLoop):
    """An event loop in virtual time.

    Attributes:
        now_us: Virtual microseconds since the beginning of the world.
        under_way: How many pieces of work threads and the world outside still owe an answer to; time stands still.

    Args:
        now_us: Where time begins.
        is_threaded: Whether what is given to a thread runs in one. Otherwise it runs in the loop, between two calls,
            which takes half the time: most of what the kernel does for a life is to hand work to and fro.
    """

    def __init__(self, now_us: int, *, is_threaded: bool = False) -> None:
        selector = _Jumping()
        selector.loop = self
        self.now_us = now_us
        self.under_way = 0
        self._is_threaded = is_threaded
        super().__init__(selector)
        self._clock_resolution = 1e-6

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def _run_once(self) -> None:
        """Do what is ready; only when nothing is, look at sockets and timers."""
        ready = self._ready  # type: ignore[attr-defined]
        if not ready:
            super()._run_once()  # type: ignore[misc]
            return
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def time(self) -> float:
        return self.now_us / 1e6

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Run `func` in a thread or as if in one; no time passes meanwhile."""
        assert executor is not None
        if not self._is_threaded:
            result = self.create_future()
            self.call_soon(_do, result, func, args)
            return result
        work: Future[Any] = executor.submit(func, *args)
        self.under_way += 1
        wrapped = asyncio.wrap_future(work, loop=self)
        work.add_done_callback(lambda _: self.call_soon_threadsafe(self._arrived))
        return wrapped

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any, context: Any = None) -> asyncio.Handle:
        if threading.get_ident() == self._thread_id:  # type: ignore[attr-defined]
            return self.call_soon(callback, *args, context=context)
        return super().call_soon_threadsafe(callback, *args, context=context)

    def _arrived(self) -> None:
        self.under_way -= 1


def _do(result: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        found = func(*args)
    except BaseException as error:
        result.set_exception(error)
    else:
        if not result.done():  # its caller may have been cancelled
            result.set_result(found)


class LoopClock:
    """The bot's clock, moved by its loop."""

    def __init__(self, loop: Loop, sleeping: Callable[[], None]) -> None:
        self._loop = loop
        self._sleeping = sleeping

    def now_ms(self) -> int:
        return START_MS + self._loop.now_us // 1000

    def monotonic(self) -> float:
        return self._loop.now_us / 1e6

    async def sleep(self, seconds: float) -> None:
        self._sleeping()
        await asyncio.sleep(seconds)
