"""The bot after a start, once the first round over all accounts has ended: what it keeps for people who do nothing."""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

from bench.clients import resident_bytes
from bench.crowds import with_users
from bench.peers.tradewire_law import Bot

_LONGEST_SECONDS = 300


async def looked_after(origin: str, users: int) -> float:
    """Return the memory in use, in bytes, with so many users."""
    with tempfile.TemporaryDirectory() as name:
        with_users(origin, Path(name), users)
        bot = Bot(origin, Path(name))
        await bot.reconciler.begin()
        async with asyncio.timeout(_LONGEST_SECONDS):
            while bot.reconciler._unlisted:
                await bot.reconciler.step()
        used = resident_bytes()
        await bot.close()
    return used


async def main(origin: str, warm: int) -> None:
    os.sched_setaffinity(0, {0})
    await looked_after(origin, warm)
    while line := sys.stdin.readline():
        print(json.dumps(await looked_after(origin, json.loads(line)["users"])), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
