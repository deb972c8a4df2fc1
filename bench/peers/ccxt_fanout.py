"""A thousand users of ccxt: an instance each, its rate limiter off, all with the same markets; no journal."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from bench.clients import serve_crowd
from bench.peers.ccxt_order import made, place_with

clients = []


async def begin():
    first = made(sys.argv[1])
    clients.extend([first, *(made(sys.argv[1], first) for _ in range(int(sys.argv[2]) - 1))])
    return clients


async def close():
    await asyncio.gather(*(each.close() for each in clients))


serve_crowd(place_with, begin, close)
