"""One life of the bot, in a process of its own: everything in it is real but the time and what it speaks to.

The seams at which it can be killed are put in here, from outside of its code: around its database's connection, its
sockets, its calls to Telegram, and three of its methods.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import sqlite3
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, NoReturn
from unittest.mock import patch

import sqlite_utils

from bot.accounts import people
from bot.chat import app
from bot.chat.dispatch import Dispatcher
from bot.cli import instance
from bot.cli.instance import Instance, open_instance
from bot.config import Settings
from bot.exchanges import connections
from bot.exchanges.limits import Limiter
from bot.exchanges.registry import Catalog, Registered
from bot.store import check, database, schema
from bot.store.database import Connection, DirectoryLock
from bot.trading.gateway import Gateway
from tests.crash.blows import Line, Striker, prepare_to_die
from tests.crash.exchange import NAME, OWNER
from tests.crash.failpoints import Blow
from tests.crash.seams import PipeRequest, StruckConnection, Tap
from tests.crash.timing import Loop, LoopClock

ANN = 1001


@dataclass(frozen=True)
class Life:
    """What one life is given.

    Attributes:
        settings: The configuration.
        registered: The exchange.
        address: Where its socket is.
        now_us: When the life begins.
        blow: What ends it, or `None`.
        nth: Which time.
        seed: Its chance.
        is_upgraded: Whether this is the version of the bot with a second migration.
        is_threaded: Whether the database is written in a thread of its own.
    """

    settings: Settings
    registered: Registered
    address: str
    now_us: int
    blow: Blow | None
    nth: int
    seed: str
    is_upgraded: bool
    is_threaded: bool


def live(life: Life, control: socket.socket) -> NoReturn:
    """Be the bot until killed. To be called in a fresh child process."""
    prepare_to_die()
    gc.disable()  # it would touch, and so copy, what is shared with the parent
    os.dup2(2, 1)
    line = Line(control, lambda: os._exit(0))
    try:
        rng = Random(life.seed)
        loop = Loop(life.now_us, is_threaded=life.is_threaded)
        asyncio.set_event_loop(loop)
        striker = Striker(life.blow, life.nth, line, rng)
        loop.set_exception_handler(lambda _, context: line.tell(broken=f"asyncio: {context}"))
        logging.getLogger().addHandler(_Errors(line))
        with _seams(life, loop, striker, line):
            loop.run_until_complete(_run(life))
        line.tell(broken="the bot ended by itself")
    except BaseException:
        line.tell(broken=traceback.format_exc())
    finally:
        sys.stderr.flush()
        os._exit(70)


def warm_up(life: Life, control: socket.socket) -> None:
    """Be the bot in this process, to the end, so that every child begins with all that is made only once."""
    loop, stop = Loop(life.now_us), asyncio.Event()
    line = Line(control, stop.set)
    with _seams(life, loop, Striker(None, 1, line, Random(life.seed)), line):
        loop.run_until_complete(_run(life, stop))
    loop.close()


async def _run(life: Life, stop: asyncio.Event | None = None) -> None:
    lock = DirectoryLock(life.settings.storage.directory)
    catalog = Catalog({NAME: life.registered})
    opened = open_instance(life.settings, catalog, thorough=lock.was_unclean)
    await opened.store.run(partial(_connect, opened))
    try:
        await app.run(opened.settings, opened.clock, opened.store, opened.vault, opened.gateway, stop=stop)
    finally:
        await opened.close()
        lock.release()


def _connect(opened: Instance, db: Connection) -> None:
    """Give Ann an account, unless she has it."""
    now_ms = opened.clock.now_ms()
    people.ensure_user(db, ANN, "admin", now_ms=now_ms)
    if not people.accounts_of(db, ANN):
        account = people.add_account(db, ANN, NAME, "main", now_ms)
        opened.vault.seal(db, account, {"key": OWNER, "secret": "acme-secret-0123456789"})


@contextmanager
def _seams(life: Life, loop: Loop, striker: Striker, line: Line) -> Iterator[None]:
    rng = striker.rng
    is_limited = False

    def asleep() -> None:
        if is_limited:
            striker.reached("order: waits for the limits")

    acquire, handle, place = Limiter.acquire, Dispatcher.handle, Gateway.place
    connect, apply = sqlite3.connect, sqlite_utils.Migrations.apply

    async def acquired(self: Limiter, costs: Any, *who: Any) -> None:
        nonlocal is_limited
        is_limited = "orders" in costs
        if is_limited and striker.falls("order: waits for the limits"):
            self.pause(1.0)
        await acquire(self, costs, *who)

    async def handled(self: Dispatcher, update: Any, *context: Any) -> None:
        if update.callback_query is not None:
            striker.reached("telegram: press received")
        await handle(self, update, *context)

    async def placed(self: Gateway, *order: Any) -> Any:
        ack = await place(self, *order)
        striker.reached("order: parsed")
        return ack

    def connected(*path: Any, **options: Any) -> sqlite3.Connection:
        if options.get("check_same_thread") is not False:
            return connect(*path, **options)  # opened to read
        return connect(*path, **options, factory=partial(StruckConnection, striker))

    def applied(self: Any, to: Any, **options: Any) -> None:
        to.conn.is_migrating = True
        apply(self, to, **options)
        to.conn.is_migrating = False

    async def dial(*_: Any) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(life.address)
        sock.setblocking(False)  # noqa: FBT003  # the socket's own signature
        return sock

    async def create_connection(protocol: Callable[[], Any], **options: Any) -> tuple[Any, Any]:
        inner = protocol()
        tap = Tap(inner, loop, striker)
        await asyncio.SelectorEventLoop.create_connection(loop, lambda: tap, **options)
        return tap, inner

    changes: list[tuple[Any, str, Any]] = [
        (connections, "dial", dial),
        (loop, "create_connection", create_connection),
        (instance, "SystemClock", lambda: LoopClock(loop, asleep)),
        (app, "_announce", _say_nothing),
        (app, "make_request", lambda *_, **__: PipeRequest(loop, line, striker, rng)),
        (sqlite3, "connect", connected),
        (sqlite_utils.Migrations, "apply", applied),
        (Limiter, "acquire", acquired),
        (Dispatcher, "handle", handled),
        (Gateway, "place", placed),
    ]
    if life.is_upgraded:
        newer = upgraded()
        changes += [(database, "migrations", newer), (check, "migrations", newer)]
    with ExitStack() as stack:
        for owner, name, instead in changes:
            stack.enter_context(patch.object(owner, name, instead))
        yield


async def _say_nothing(*_: object) -> None:
    """Stands for the setting of the menus: a fifth of what a life takes, and none of it is an order's."""


def upgraded() -> sqlite_utils.Migrations:
    """Return the migrations of a version to come."""
    newer = sqlite_utils.Migrations(schema.migrations.name)
    newer()(schema.first)

    @newer()
    def second(db: sqlite_utils.Database) -> None:
        db.execute("CREATE TABLE later(id INTEGER PRIMARY KEY) STRICT")
        db.execute("ALTER TABLE orders ADD COLUMN later TEXT NOT NULL DEFAULT ''")
        db.execute("INSERT INTO later SELECT id FROM orders")

    return newer


class _Errors(logging.Handler):
    """Reports what the bot logs as an error: nothing that a crash leaves behind should be one."""

    def __init__(self, line: Line) -> None:
        super().__init__(logging.ERROR)
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        error = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        self._line.tell(broken=f"logged: {record.getMessage()} {error}")
