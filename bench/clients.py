"""What every client of `bench.rounds` does: place orders one after another, or many at once, and tell the time."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time


def serve(place, close=None, prepare=None):
    """Answer questions from standard input: `{"orders": 100, "at_once": 1}`.

    Args:
        place: Places one order; a coroutine function.
        close: Lets go of everything; a coroutine function.
        prepare: Makes ready for a number of orders by so many users, before the time is taken; a function.

    One at a time, the answer is the median in seconds; else the orders in a second.
    """
    os.sched_setaffinity(0, {0})

    async def answer(orders, at_once):
        if prepare is not None:
            prepare(orders, at_once)
        if at_once == 1:
            times = []
            for _ in range(orders):
                began = time.perf_counter()
                await place()
                times.append(time.perf_counter() - began)
            return statistics.median(times)

        async def user():
            for _ in range(orders // at_once):
                await place()

        began = time.perf_counter()
        await asyncio.gather(*(user() for _ in range(at_once)))
        return orders / (time.perf_counter() - began)

    async def main():
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps(await answer(**json.loads(line))), flush=True)
        if close is not None:
            await close()

    asyncio.run(main())
