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
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
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
from bot.exchanges.registry import Catalog
from bot.store import check, database, schema
from bot.store.database import Connection, DirectoryLock
from bot.trading.gateway import Gateway
from tests.crash.blows import Line, Striker, prepare_to_die
from tests.crash.exchange import MEMORIES, NAME, OWNER, registered
from tests.crash.failpoints import Blow
from tests.crash.seams import PipeRequest, StruckConnection, Tap
from tests.crash.timing import Loop, LoopClock
from tests.simulation.defects import DEFECTS, built_in
from tests.simulation.venue import WINDOWS, Memory

ANN = 1001
_TOKEN = "123456789:crash-token-that-must-not-leak"


@dataclass(frozen=True)
class Life:
    """What one life is given.

    Attributes:
        directory: The bot's.
        key_file: Where its master key is.
        memory: What the exchange does with client ids.
        window_seconds: How long a request to it is valid, or `None` when it does not say.
        address: Where its socket is.
        now_us: When the life begins.
        blow: What ends it, or `None`.
        nth: Which time.
        seed: Its chance.
        is_upgraded: Whether this is the version of the bot with a second migration.
        is_threaded: Whether the database is written in a thread of its own.
        defect: What of the simulation's defects is built into the bot; none if empty.
    """

    directory: Path
    key_file: Path
    memory: Memory
    window_seconds: int | None
    address: str
    now_us: int
    blow: Blow | None
    nth: int
    seed: str
    is_upgraded: bool
    is_threaded: bool
    defect: str


def live(life: Life, control: socket.socket) -> NoReturn:
    """Be the bot until killed. To be called in a fresh child process."""
    prepare_to_die()
    gc.disable()  # it would touch, and so copy, what is shared with the parent
    os.dup2(2, 1)
    line = Line(control, lambda: os._exit(0))
    try:
        loop = Loop(life.now_us, is_threaded=life.is_threaded)
        asyncio.set_event_loop(loop)
        striker = Striker(life.blow, life.nth, line, Random(life.seed))
        loop.set_exception_handler(lambda _, context: line.tell(broken=f"asyncio: {context}"))
        logging.getLogger().addHandler(_Errors(line))
        with _seams(life, loop, striker, line), built_in(DEFECTS[life.defect]) if life.defect else nullcontext():
            loop.run_until_complete(_run(life))
        line.tell(broken="the bot ended by itself")
    except BaseException:
        line.tell(broken=traceback.format_exc())
    finally:
        sys.stderr.flush()
        os._exit(70)


def warm_up(life: Life, control: socket.socket) -> None:
    """Be the bot in this process, to the end, so that every child begins with all that is made only once."""
    for memory, window_seconds in product(MEMORIES, WINDOWS):
        registered(memory, window_seconds)
    loop, stop = Loop(life.now_us), asyncio.Event()
    line = Line(control, stop.set)
    with _seams(life, loop, Striker(None, 1, line, Random(life.seed)), line):
        loop.run_until_complete(_run(life, stop))
    loop.close()


async def _run(life: Life, stop: asyncio.Event | None = None) -> None:
    settings = Settings.model_validate(
        {
            "telegram": {"token": _TOKEN},
            "access": {"owner": ANN},
            "storage": {"directory": life.directory},
            "vault": {"key_file": life.key_file},
            "exchanges": {"acme": {"base_url": "http://127.0.0.1:9"}},
        }
    )
    lock = DirectoryLock(settings.storage.directory)
    catalog = Catalog({NAME: registered(life.memory, life.window_seconds)})
    opened = open_instance(settings, catalog, thorough=lock.was_unclean)
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

    async def acquired(self: Limiter, costs: Any, *who: Any, **how: Any) -> float:
        nonlocal is_limited
        is_limited = "orders" in costs
        if is_limited and striker.falls("order: waits for the limits"):
            self.pause(1.0)
        return await acquire(self, costs, *who, **how)

    async def handled(self: Dispatcher, update: Any, *context: Any) -> None:
        if update.callback_query is not None:
            striker.reached("telegram: press received")
        await handle(self, update, *context)

    async def placed(self: Gateway, *order: Any, **how: Any) -> Any:
        ack = await place(self, *order, **how)
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
        (instance, "add_paper", _add_nothing),
        (app, "make_request", lambda *_, **__: PipeRequest(loop, line, striker, rng)),
        (sqlite3, "connect", connected),
        (sqlite_utils.Migrations, "apply", applied),
        (Limiter, "acquire", acquired),
        (Dispatcher, "handle", handled),
        (Gateway, "place", placed),
    ]
    if life.is_upgraded:
        newer = upgraded()
        changes += [(database, "MIGRATIONS", newer), (check, "MIGRATIONS", newer)]
    with ExitStack() as stack:
        for owner, name, instead in changes:
            stack.enter_context(patch.object(owner, name, instead))
        yield


async def _say_nothing(*_: object) -> None:
    """Stands for the setting of the menus: a fifth of what a life takes, and none of it is an order's."""


def _add_nothing(*_: object) -> None:
    """Stands for the paper exchange: a third of what a start takes, and none of it is an order's."""


def upgraded() -> dict[str, Callable[[sqlite3.Connection], None]]:
    """Return the migrations of a version to come."""

    def second(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE later(id INTEGER PRIMARY KEY) STRICT")
        db.execute("ALTER TABLE orders ADD COLUMN later TEXT NOT NULL DEFAULT ''")
        db.execute("INSERT INTO later SELECT id FROM orders")

    return {**schema.MIGRATIONS, "second": second}


class _Errors(logging.Handler):
    """Reports what the bot logs as an error: nothing that a crash leaves behind should be one."""

    def __init__(self, line: Line) -> None:
        super().__init__(logging.ERROR)
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        error = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        self._line.tell(broken=f"logged: {record.getMessage()} {error}")
