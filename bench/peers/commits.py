"""The bare commits that an order contains: so many small rows, each on the disk before the next."""

import sqlite3
import sys
import tempfile
from pathlib import Path

from bench.clients import serve

directory = tempfile.TemporaryDirectory()
database = sqlite3.connect(Path(directory.name) / "bare.db", isolation_level=None)
database.execute("PRAGMA journal_mode=wal")
database.execute("PRAGMA synchronous=FULL")
database.execute("CREATE TABLE rows(id INTEGER PRIMARY KEY, text TEXT) STRICT")


async def place():
    for _ in range(int(sys.argv[1])):
        database.execute("INSERT INTO rows(text) VALUES (?)", ("x" * 200,))


serve(place)
