"""ccxt's order with a row of sqlite-utils before it and one after it, each on the disk before it goes on."""

import sys
import tempfile
from pathlib import Path

import sqlite_utils

sys.path.insert(0, str(Path(__file__).parents[2]))
from bench.clients import serve
from bench.peers.ccxt_order import made, place_with

bitget = made(sys.argv[1])
directory = tempfile.TemporaryDirectory()
database = sqlite_utils.Database(Path(directory.name) / "orders.db")
database.enable_wal()
database.execute("PRAGMA synchronous=FULL")
rows = database["orders"]


async def place():
    rows.insert({"client_order_id": "t1", "symbol": "BTC/USDT", "state": "sending"})
    await place_with(bitget)
    rows.insert({"client_order_id": "t1", "symbol": "BTC/USDT", "state": "open"})


serve(place, bitget.close)
