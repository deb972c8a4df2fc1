"""One seed, one world: people, exchanges, Telegram, a disk and a bot that dies; then what must be true of it."""

from __future__ import annotations

import gc
import hashlib
import itertools
import json
import logging
import os
import sqlite3
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from random import Random
from types import SimpleNamespace
from unittest.mock import patch

import stamina
from telegram import TelegramObject

from bot.accounts import people as accounts
from bot.chat import inbox
from bot.chat.render import card
from bot.redact import Redactor
from bot.store.database import Connection, Store
from bot.trading import client_ids, confirm, journal
from bot.trading.law import LAW
from bot.trading.orders import OrderRow, row_of
from tests.simulation.disk import Disk
from tests.simulation.people import Person, Telegram, Want, make_wants
from tests.simulation.process import Process, read_update
from tests.simulation.timeline import START_MS, Timeline
from tests.simulation.venue import MEMORIES, USUAL, WINDOWS, Placed, Trouble, Venue

PEOPLE = 12
WANTS = 5
_LONGEST_SECONDS = 2 * 3600.0
_QUIET_SECONDS = 1500.0  # an order held to be absent is looked for every ten minutes
_CHECK_SECONDS = 10.0
_GARBAGE = 50_000
"""How many new objects the collector waits for. Few of those that a world leaves behind refer to each other."""


@dataclass(slots=True)
class Outcome:
    """What became of a world.

    Attributes:
        seed: Makes the same world again.
        stories: Orders that were confirmed.
        needs_human: Those of them that a person had to settle.
        unclear: Those of them that were in doubt at least once.
        crashes: How often the bot died.
        broken: What ought never to happen, in words; empty when all is well.
        digest: The same for two runs that were the same in every event.
    """

    seed: int
    stories: int = 0
    needs_human: int = 0
    unclear: int = 0
    crashes: int = 0
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)
    digest: str = ""


class World:
    """Everything there is.

    Args:
        seed: Decides all that happens by chance.
        directory: Where the bot's file may lie.
        crash_rate: Crashes for each order, about.
        trouble: How often other things go wrong.
    """

    def __init__(self, seed: int, directory: Path, crash_rate: float, trouble: Trouble = USUAL) -> None:
        self.rng = Random(seed)
        self.timeline = Timeline(dozes=True)
        self.telegram = Telegram(self.timeline, self.rng)
        path = directory / "tradewire.db"
        path.write_bytes(_empty_database())
        self.disk = Disk(path, self.timeline)
        self.crash_rate = crash_rate
        self.trouble = trouble
        self.venues = {
            name: Venue(
                name, memory, self.rng.choice(WINDOWS), self.timeline, self.rng, self._may_be_very_late, trouble
            )
            for name, memory in zip(_NAMES, MEMORIES, strict=True)
        }
        for number in range(PEOPLE):
            quantities = range(10_000 + 100 * number, 10_000 + 100 * number + WANTS)
            chat_id = number + 1
            self.telegram.people[chat_id] = Person(
                chat_id,
                make_wants(self.rng, quantities),
                self.telegram,
                self._exists,
            )
        self._process: Process | None = None
        self.failures: list[str] = []
        self._is_over = False
        self._end_us = _LONGEST_SECONDS * 1e6
        self.crashes = 0

    def run(self) -> None:
        """Let it all happen, until everybody has what they want and nothing moves any more."""
        for person in self.telegram.people.values():
            self.timeline.after(self.rng.uniform(0, 20), person.begin)
        self._plan_trouble()
        self.timeline.after(_CHECK_SECONDS, self._check)
        while not self._is_over:
            process = Process(self.timeline, self.rng, self.disk, self.venues, self.telegram, self.crash_rate)
            self._process = process
            process.live()
            self.failures += process.failures
            if not self._is_over:
                self.crashes += 1
                self.timeline.pass_by(self.rng.uniform(0.2, 10))

    def rows(self) -> list[OrderRow]:
        """Return all orders as committed."""
        return [row_of(row) for row in self.query("SELECT * FROM orders ORDER BY id")]

    def query(self, statement: str) -> list[sqlite3.Row]:
        """Return what was committed."""
        return self.disk.query(statement)

    def orders(self) -> list[tuple[Venue, Placed]]:
        """Return every order that an exchange accepted."""
        return [(venue, placed) for venue in self.venues.values() for placed in venue.orders]

    def _plan_trouble(self) -> None:
        rng, timeline = self.rng, self.timeline

        def fail(of: Venue | Telegram, seconds: float) -> None:
            of.down_until_us = timeline.now_us + round(seconds * 1e6)

        def fill_disk(seconds: float) -> None:
            self.disk.full_until_us = timeline.now_us + round(seconds * 1e6)

        def move_price(venue: Venue) -> None:
            venue.price = (venue.price * Decimal(rng.randrange(975, 1026)) / 1000).quantize(Decimal("0.01"))
            if not venue.is_calm:
                timeline.after(rng.uniform(20, 60), lambda: move_price(venue))

        for venue in self.venues.values():
            timeline.after(rng.uniform(10, 60), lambda venue=venue: move_price(venue))
            if rng.random() < self.trouble.outages:
                seconds = rng.uniform(5, 200)
                timeline.after(rng.uniform(5, 150), lambda venue=venue, seconds=seconds: fail(venue, seconds))
        if rng.random() < 0.3:
            timeline.after(rng.uniform(5, 150), lambda: fail(self.telegram, rng.uniform(5, 60)))
        often = self.trouble.full_disks
        for _ in range(int(often) if often >= 1 else rng.random() < often):
            timeline.after(rng.uniform(5, 150), lambda: fill_disk(rng.uniform(*self.trouble.full_seconds)))

    def _check(self) -> None:
        """End the world once nothing is left to happen; before that, end its troubles once everybody is done."""
        if self.timeline.now_us > self._end_us:
            return self._end()
        if all(person.is_done for person in self.telegram.people.values()):
            if not self.telegram.is_calm:
                self._end_us = self.timeline.now_us + _QUIET_SECONDS * 1e6
            self.telegram.is_calm = True
            self.crash_rate = 0
            if self._process is not None:
                self._process.life.crash_rate = 0
            for venue in self.venues.values():
                venue.is_calm = True
            if self._is_quiet():
                return self._end()
        self.timeline.after(_CHECK_SECONDS, self._check)
        return None

    def _end(self) -> None:
        self._is_over = True
        if self._process is not None:
            self._process.life.end()

    def _is_quiet(self) -> bool:
        """Say whether the bot and the exchanges agree, with nothing left to tell."""
        if any(venue.under_way for venue in self.venues.values()) or self.query("SELECT 1 FROM outbox LIMIT 1"):
            return False
        return not _wrong_verdicts(self)

    def _may_be_very_late(self, quantity: Decimal) -> bool:
        is_alone = any(want.gives_up for want in self._wants() if want.quantity == quantity)
        return is_alone and self.rng.random() < self.trouble.very_late

    def _wants(self) -> Iterator[Want]:
        return (want for person in self.telegram.people.values() for want in person.wants)

    def _exists(self, want: Want) -> bool:
        return any(placed.quantity == want.quantity for _, placed in self.orders())


_NAMES = ("ever", "open", "label", "none")


@cache
def _empty_database() -> bytes:
    """Return the file of a bot that knows everybody and has no order yet."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "tradewire.db"
        store = Store(path)

        def fill(db: Connection) -> None:
            journal.install_law(db)
            db.execute("UPDATE meta SET value=? WHERE key='client_id_key'", ("5e" * 32,))
            for number in range(PEOPLE):
                accounts.ensure_user(db, number + 1, now_ms=START_MS)
                accounts.add_account(db, number + 1, _NAMES[number % len(_NAMES)], "main", START_MS)

        store.transact(fill)
        store.close()
        return path.read_bytes()


def _wrong_verdicts(world: World) -> list[str]:
    """Return the orders whose row says something else than their exchange."""
    found = {(placed.owner, placed.client_id): placed for _, placed in world.orders()}
    wrong = []
    for row in world.rows():
        placed = found.pop((str(row.account_id), row.client_order_id), None)
        if placed is None:
            ends = ("rejected", "not_placed", "expired")
            if world.venues[row.exchange].window_seconds is None:
                ends += ("needs_human",)
            if row.state not in ends:
                wrong.append(f"wrong verdict: #{row.id} is {row.state}, but {row.exchange} never had it")
        elif (row.state, row.filled) != (placed.state, placed.filled):
            truth = f"{placed.state}, {placed.filled} filled"
            wrong.append(
                f"wrong verdict: #{row.id} is {row.state}, {row.filled} filled; at {row.exchange} it is {truth}"
            )
    return wrong + [f"lost: no row knows {placed.id} of account {placed.owner}" for placed in found.values()]


def _duplicates(world: World) -> list[str]:
    ordered = Counter(placed.quantity for _, placed in world.orders())
    sent = Counter((venue.name, *key) for venue in world.venues.values() for key in venue.placing)
    return [
        f"duplicate: {count} orders for the one of {quantity}" for quantity, count in ordered.items() if count > 1
    ] + [f"sent {count} times: {key}" for key, count in sent.items() if count > 1]


def _illegal_steps(world: World) -> list[str]:
    wrong = []
    lived: defaultdict[int, list[str]] = defaultdict(list)
    for event in world.query("SELECT order_id, kind FROM events ORDER BY id"):
        if event["kind"] in LAW:
            lived[event["order_id"]].append(event["kind"])
    for row in world.rows():
        states = lived[row.id]
        steps = itertools.pairwise(states)
        wrong += [f"illegal: #{row.id} went from {a} to {b}" for a, b in steps if a != b and b not in LAW[a]]
        if states[-1] != row.state:
            wrong.append(f"illegal: #{row.id} is {row.state}, its last event says {states[-1]}")
    return wrong


def _untold(world: World) -> list[str]:
    """Return the orders whose card does not show their state."""
    wrong = []
    for row in world.rows():
        if row.message_id is None:
            if row.state not in ("expired", "not_placed"):
                wrong.append(f"untold: #{row.id} is {row.state} and has no card")
            continue
        shown = world.telegram.messages[row.message_id].text
        due = card(row, account="main", exchange=row.exchange.capitalize()).text.fitting().text
        if shown != due:
            wrong.append(f"untold: #{row.id} is {row.state}; its card says {shown!r}")
    return wrong


def _counted(world: World, outcome: Outcome) -> None:
    outcome.stories = world.query("SELECT count(*) FROM orders WHERE client_order_id IS NOT NULL")[0][0]
    count = "SELECT count(DISTINCT order_id) FROM events WHERE kind="
    outcome.needs_human = world.query(f"{count}'needs_human'")[0][0]
    outcome.unclear = world.query(f"{count}'unknown'")[0][0]
    outcome.crashes = world.crashes
    outcome.seconds = world.timeline.now_us / 1e6


def _digest(world: World) -> str:
    last = world.query("SELECT hash FROM events ORDER BY id DESC LIMIT 1")
    orders = [[placed.id, placed.client_id, placed.history] for _, placed in world.orders()]
    texts = [[each.message_id, each.text, each.buttons] for each in world.telegram.messages.values()]
    parts = [last[0]["hash"].hex() if last else "", world.timeline.now_us, orders, texts]
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


@cache
def _leave_alone() -> None:
    """Let the collector not look through what was there before the first world, for what the worlds leave behind."""
    gc.collect()
    gc.freeze()


@contextmanager
def _alone(rng: Random) -> Iterator[None]:
    """Take away what would make two runs differ, or slow: other sources of chance, pauses and the log."""
    chance = SimpleNamespace(
        token_bytes=rng.randbytes, randbelow=rng.randrange, token_hex=lambda size: rng.randbytes(size).hex()
    )
    was_testing, disabled, thresholds = stamina.is_testing(), logging.root.manager.disable, gc.get_threshold()
    logging.disable(logging.CRITICAL)
    stamina.set_testing(True, attempts=3, cap=True)
    with (
        patch.dict(os.environ, PTB_TIMEDELTA="true"),  # as `bot.chat.app` sets it
        patch.object(confirm, "secrets", chance),
        patch.object(client_ids, "secrets", chance),
        patch.object(Redactor, "redact", lambda _, text: text),  # there is no secret here, and much to read
        patch.object(Redactor, "cleaned", lambda _, value: value),
        patch.object(inbox, "read_update", read_update),
        patch.object(TelegramObject, "__setattr__", object.__setattr__),  # it asks each time whether it is frozen
    ):
        _leave_alone()
        gc.set_threshold(_GARBAGE)
        try:
            yield
        finally:
            gc.set_threshold(*thresholds)
            logging.disable(disabled)
            if not was_testing:
                stamina.set_testing(False)


def simulate(seed: int, *, crash_rate: float = 0.02, trouble: Trouble = USUAL) -> Outcome:
    """Run the world of a seed and judge it."""
    memory = Path("/dev/shm")
    outcome = Outcome(seed)
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        world = World(seed, Path(directory), crash_rate, trouble)
        with _alone(Random(seed)):
            world.run()
    _counted(world, outcome)
    outcome.broken = (
        sorted(set(world.failures))
        + _duplicates(world)
        + _wrong_verdicts(world)
        + _illegal_steps(world)
        + _untold(world)
    )
    outcome.digest = _digest(world)
    world.disk.content.close()
    return outcome
