"""What every bot of `bench.telegram` does: run, and let the Bot API measure it. Needs the standard library alone."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from urllib.parse import urlsplit


def serve(origin, token, run):
    """Run a bot, and answer questions from standard input: `{"kind": "alone", "number": 100}`.

    Args:
        origin: Where the Bot API of `bench.bot_api` is.
        token: The bot's.
        run: Answers updates, for ever; a coroutine function.
    """
    os.sched_setaffinity(0, {0})

    async def measured(kind, number):
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(origin).port)
        writer.write(f"GET /measure/{token}/{kind}/{number} HTTP/1.1\r\n\r\n".encode())
        figure = await reader.readline()
        writer.close()
        return figure.decode().strip()

    async def answer():
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            print(await measured(**json.loads(line)), flush=True)

    async def main():
        tasks = [asyncio.create_task(answer()), asyncio.create_task(run())]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # a bot that broke says why

    asyncio.run(main())
