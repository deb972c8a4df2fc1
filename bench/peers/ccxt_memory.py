"""ccxt with an instance for each user, all with the same markets, that do nothing. Runs with its interpreter."""

import asyncio
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from bench.clients import resident_bytes
from bench.peers.ccxt_order import made


async def main():
    os.sched_setaffinity(0, {0})
    first = made(sys.argv[1])
    while line := sys.stdin.readline():
        clients = [made(sys.argv[1], first) for _ in range(json.loads(line)["users"])]
        print(json.dumps(resident_bytes()), flush=True)
        await asyncio.gather(*(each.close() for each in clients))
    await first.close()


asyncio.run(main())
