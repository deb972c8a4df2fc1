"""The bot with much in its database: the whole law of an order, or one idle look after all open orders."""

import asyncio
import json
import math
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bench.clients import serve
from bench.peers.tradewire_law import Bot
from bot.config import LimitSettings
from bot.store.database import Connection
from bot.trading.limits import Limits, ceiling_of

ME = 1
OTHERS = 1000
_YEAR_MS = 365 * 86_400_000
_EVENTS_OF_AN_ORDER = 4
_COPIED = (
    "exchange, symbol, side, params, params_hash, intent, expires_ms"  # of a real proposal, so that all can be read
)
_DEFAULT = ceiling_of(LimitSettings())
CEILING = Limits(minute=10**9, collar=_DEFAULT.collar, slippage=_DEFAULT.slippage)
"""The limits that hold by default, so wide that they never do: what they look at is looked at.

None for open orders, of which some have very many here: they are counted no further than their limit, by default 100.
"""


def fill(db: Connection, case: str, size: int, now_ms: int) -> None:
    """Put rows into the database, as if they had come there one by one.

    Args:
        db: The running transaction; it holds one proposal, of `ME`.
        case: `others`: open orders of others; `own`: of the one who orders; `journal`: finished orders of the one who
            orders over a year, with their events, rows in all.
        size: How many.
        now_ms: The time.
    """
    if case == "others":
        _open_orders(db, size, now_ms, f"2 + i % {OTHERS}")
    elif case == "own":
        _open_orders(db, size, now_ms, str(ME))
    elif case == "journal":
        orders = size // (1 + _EVENTS_OF_AN_ORDER)
        step_ms = _YEAR_MS // max(1, orders)
        _orders(db, orders, str(ME), "filled", f"{now_ms - _YEAR_MS} + i * {step_ms}")
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO events(at_ms, user_id, order_id, kind, detail, hash)"
            " SELECT at_ms, user_id, (SELECT min(id) FROM orders WHERE state='filled') + i / ?, kind, detail, hash"
            " FROM n, (SELECT * FROM events ORDER BY id LIMIT 1)"
            " WHERE ?",
            (orders * _EVENTS_OF_AN_ORDER - 1, _EVENTS_OF_AN_ORDER, orders > 0),
        )


def _open_orders(db: Connection, count: int, now_ms: int, user: str) -> None:
    _orders(db, count, user, "open", f"{now_ms} - 7200000 - i")


def _orders(db: Connection, count: int, user: str, state: str, at_ms: str) -> None:
    db.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        f" INSERT INTO orders(account_id, user_id, state, client_order_id, exchange_order_id, filled, average_price,"
        f" chat_id, message_id, created_ms, sent_ms, updated_ms, {_COPIED})"
        f" SELECT {user}, {user}, '{state}', 'grown-' || i, 'there-' || i, '0', NULL,"
        f" {user}, 1000000 + i, {at_ms}, {at_ms}, {at_ms}, {_COPIED}"
        " FROM n, (SELECT * FROM orders ORDER BY id LIMIT 1) WHERE ?",
        (count, count > 0),
    )


def grown(origin: str, directory: Path, case: str, size: int) -> Bot:
    """Return a bot whose database holds what `case` names."""
    bot = Bot(origin, directory, CEILING)
    bot.add_users(size if case == "users" else ME)
    others = OTHERS if case == "others" else 0

    def work(db: Connection) -> None:
        bot.ready = {ME: []}
        bot.propose(db, bot.accounts[0])
        db.executemany(
            "INSERT INTO users(id, role, created_ms) VALUES (?, 'trader', 0)", [(ME + 1 + i,) for i in range(others)]
        )
        db.executemany(
            "INSERT INTO accounts(id, user_id, exchange, label, created_ms) VALUES (?, ?, 'bitget', 'main', 0)",
            [(ME + 1 + i, ME + 1 + i) for i in range(others)],
        )
        fill(db, case, size, bot.clock.now_ms())
        db.execute("UPDATE orders SET state='expired' WHERE state='proposed'")
        bot.first = db.execute("SELECT max(id) AS last FROM orders").fetchone()["last"] + 1

    bot.store.transact(work)
    return bot


def serve_looks(bot: Bot) -> None:
    """Answer with the processor's seconds of one look of the reconciler at which nothing is due."""
    os.sched_setaffinity(0, {0})

    async def look() -> float:
        began = time.process_time()
        await bot.reconciler.step()
        return time.process_time() - began

    async def main() -> None:
        await bot.reconciler.begin()
        watched = bot.reconciler._watched
        for key in bot.reconciler._unlisted:
            watched._turns.put(key, key[1], math.inf, 300.0)
        for order_id, (_, exchange_id) in watched._keys.items():
            watched._turns.put(order_id, exchange_id, math.inf, 30.0)
        while line := await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
            figures = [await look() for _ in range(json.loads(line)["looks"])]
            print(json.dumps(statistics.median(figures)), flush=True)
        await bot.close()

    asyncio.run(main())


def main(origin: str, case: str, size: int, what: str, directory: Path) -> None:
    bot = grown(origin, directory, case, size)
    users = size if case == "users" else 1
    if what == "looks":
        serve_looks(bot)
    else:
        serve(bot.place, bot.close, lambda orders, _: bot.prepare(orders, users))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], Path(name))
