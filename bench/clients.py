"""What every client of `bench.rounds` does: place orders, tell the time, and say what memory and failures it took."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import statistics
import sys
import time
from pathlib import Path

_LONGEST_SECONDS = 15
"""A client that is so slow answers with the orders that it has placed by then."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes():
    """Return the memory of this process that is in use now."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


def serve(place, close=None, prepare=None):
    """Answer questions from standard input: `{"orders": 100, "at_once": 1}`, or `"figure": "cpu"` with it.

    Args:
        place: Places one order; a coroutine function. It may return the seconds that count.
        close: Lets go of everything; a coroutine function.
        prepare: Makes ready for a number of orders by so many users, before the time is taken; a function.

    One at a time, the answer is the median in seconds; else the orders in a second. Of `cpu` it is the median
    of the processor's seconds, of all threads.
    """
    os.sched_setaffinity(0, {0})

    async def answer(orders, at_once, figure="time"):
        if prepare is not None:
            prepare(orders, at_once)
        if at_once == 1:
            read = time.process_time if figure == "cpu" else time.perf_counter
            times, until = [], time.monotonic() + _LONGEST_SECONDS
            while len(times) < orders and time.monotonic() < until:
                began = read()
                took = await place()
                times.append(read() - began if took is None else took)
            return statistics.median(times)

        async def user():
            for _ in range(orders // at_once):
                await place()

        began = time.perf_counter()
        await asyncio.gather(*(user() for _ in range(at_once)))
        return orders / (time.perf_counter() - began)

    asyncio.run(_answered(answer, close))


def serve_crowd(place, begin, close=None):
    """Answer questions from standard input: `{"ask": "signal"}`, then `{"ask": "memory"}` or `{"ask": "failures"}`.

    Args:
        place: Places one user's order; a coroutine function.
        begin: Returns the users that a signal is for; a coroutine function, called once and before any time is taken.
        close: Lets go of everything; a coroutine function.

    A signal is an order of every user at once; its answer is the seconds until the last has ended. Memory is what users
    and signals added, in bytes; failures are counted over all signals.
    """
    os.sched_setaffinity(0, {0})
    before = resident_bytes()
    users, failures = [], []

    async def answer(ask):
        if ask == "memory":
            return resident_bytes() - before
        if ask == "failures":
            return len(failures)
        if not users:
            users.extend(await begin())
        began = time.perf_counter()
        ended = await asyncio.gather(*(place(user) for user in users), return_exceptions=True)
        took = time.perf_counter() - began
        failures.extend(each for each in ended if isinstance(each, BaseException))
        return took

    asyncio.run(_answered(answer, close))


async def _answered(answer, close):
    """Answer each line with one, until there are no more."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await answer(**json.loads(line))), flush=True)
    if close is not None:
        await close()
