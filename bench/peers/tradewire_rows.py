"""The order alone with a small row before it and one after it, as the peer stores them; by the bot's own store."""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

from bench.clients import serve
from bench.peers.tradewire_order import driver
from bot.exchanges.transport import Departure
from bot.store.database import Connection, Store


def insert(db: Connection, *, state: str) -> None:
    """Store the row that ccxt's peer stores."""
    db.execute("INSERT INTO placed(client_order_id, symbol, state) VALUES ('t1', 'BTC/USDT', ?)", (state,))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory) / "tradewire.db")
        store.transact(lambda db: db.execute("CREATE TABLE placed(client_order_id TEXT, symbol TEXT, state TEXT)"))

        async def before_send(_: Departure) -> None:
            await store.run(partial(insert, state="sending"))

        order, close = driver(sys.argv[1], before_send=before_send)

        async def place() -> None:
            await order()
            await store.run(partial(insert, state="open"))

        serve(place, close)
