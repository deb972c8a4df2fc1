"""How the running bot is: one report for `/status`, for monitors and for the service manager.

Two questions are kept apart. *Is it alive?* asks whether polling and the database come back at all; where they hang, a
restart helps. *Is it well?* asks whether they also succeed; a restart mends no network and no full disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from bot.clock import Clock
from bot.exchanges.streams import StreamState
from bot.store.database import Connection, Store
from bot.trading import queries
from bot.trading.feeds import Feeds
from bot.trading.gateway import Exchange, Gateway
from bot.trading.law import DOUBTFUL, LIVE

STORE_SECONDS = 30
_LATE_SECONDS = 90
"""An answered poll takes 25 s at most; later than this, Telegram or the network is away."""
_SLACK_SECONDS = 30


@dataclass(frozen=True, slots=True)
class ExchangeReport:
    """One exchange in use.

    Attributes:
        id: Its id; `bitget:paper` for the paper twin.
        clock_offset_ms: Its clock against ours, or `None` before it was measured.
        limits_free_percent: What is left of its tightest limit.
        streams: How many accounts are followed by sockets.
        streams_open: How many of them are connected.
        heard_seconds: Age of the oldest last sign of life among the open ones, or `None`.
    """

    id: str
    clock_offset_ms: int | None
    limits_free_percent: int
    streams: int = 0
    streams_open: int = 0
    heard_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """What the database tells: live and doubtful orders, messages to send, and commands not handled yet."""

    live: int
    doubtful: int
    outbox: int
    inbox: int


@dataclass(frozen=True, slots=True)
class Report:
    """How the bot is.

    Attributes:
        problems: Why it is not well, in sentences; empty when it is.
        up_seconds: Since the start.
        heard_seconds: Since Telegram last answered a poll; `None` before the first, and where nothing is polled.
        commits: Commits that changed something, since the start.
        stored: What the database tells, or `None` when it does not answer.
        exchanges: Those in use.
    """

    problems: tuple[str, ...]
    up_seconds: int
    heard_seconds: int | None
    commits: int
    stored: Stored | None
    exchanges: tuple[ExchangeReport, ...]


class Health:
    """Notes the signs of life, and reports.

    Args:
        store: The database.
        gateway: The exchanges.
        clock: Ours.

    Attributes:
        feeds: The streams, once there are any.
    """

    def __init__(self, store: Store, gateway: Gateway, clock: Clock) -> None:
        self.feeds: Feeds | None = None
        self._store = store
        self._gateway = gateway
        self._clock = clock
        self._began = clock.monotonic()
        self._heard: float | None = None
        self._silent_since: float | None = None
        self._due: float | None = None

    def polling(self, seconds: float) -> None:
        """Note that the polling loop comes round again within `seconds`."""
        now = self._clock.monotonic()
        self._due = now + seconds + _SLACK_SECONDS
        self._silent_since = now if self._silent_since is None else self._silent_since

    def answered(self) -> None:
        """Note that Telegram answered a poll."""
        self._heard = self._silent_since = self._clock.monotonic()

    async def is_alive(self) -> bool:
        """Say whether polling and the database come back. Takes up to `STORE_SECONDS`.

        A database that refuses has come back: a full disk is no reason to be restarted.
        """
        if self._due is not None and self._clock.monotonic() > self._due:
            return False
        try:
            await self._asked()
        except TimeoutError:
            return False
        except sqlite3.Error:
            return True
        return True

    async def report(self) -> Report:
        """Return how the bot is. Takes up to `STORE_SECONDS`; asks nobody outside."""
        stored: Stored | None = None
        keys: list[tuple[int, str]] = []
        problems = list(self._silence())
        try:
            stored, keys = await self._asked()
        except TimeoutError:
            problems.append(f"The database has not answered for {STORE_SECONDS} seconds.")
        except sqlite3.Error:
            problems.append("The database refuses; the log says why.")
        return Report(
            problems=tuple(problems),
            up_seconds=int(self._clock.monotonic() - self._began),
            heard_seconds=self._heard_seconds(),
            commits=self._store.commits,
            stored=stored,
            exchanges=tuple(self._exchange(name, exchange, keys) for name, exchange in self._in_use()),
        )

    async def _asked(self) -> tuple[Stored, list[tuple[int, str]]]:
        async with asyncio.timeout(STORE_SECONDS):
            return await self._store.run(_look)

    def _heard_seconds(self) -> int | None:
        return None if self._heard is None else int(self._clock.monotonic() - self._heard)

    def _silence(self) -> Iterator[str]:
        if self._silent_since is None:
            return
        seconds = int(self._clock.monotonic() - self._silent_since)
        if seconds > _LATE_SECONDS:
            yield f"Telegram has not answered for {seconds} seconds. Check the network; the log says what was tried."

    def _in_use(self) -> list[tuple[str, Exchange]]:
        return sorted(self._gateway.exchanges.items())

    def _exchange(self, name: str, exchange: Exchange, keys: list[tuple[int, str]]) -> ExchangeReport:
        states = [] if self.feeds is None else list(_states(self.feeds, name, keys))
        heard = [state.heard_seconds for state in states if state.is_open and state.heard_seconds is not None]
        return ExchangeReport(
            id=name,
            clock_offset_ms=exchange.transport.clock.offset_ms,
            limits_free_percent=exchange.transport.limiter.remaining_percent(),
            streams=len(states),
            streams_open=sum(state.is_open for state in states),
            heard_seconds=max(heard, default=None),
        )


def _states(feeds: Feeds, name: str, keys: list[tuple[int, str]]) -> Iterator[StreamState]:
    for account_id, exchange_id in keys:
        if exchange_id == name and (state := feeds.state(account_id, exchange_id)) is not None:
            yield state


def _look(db: Connection) -> tuple[Stored, list[tuple[int, str]]]:
    def count(query: str) -> int:
        return int(db.execute(query).fetchone()[0])

    stored = Stored(
        live=len(queries.in_states(db, LIVE)),
        doubtful=len(queries.in_states(db, DOUBTFUL)),
        outbox=count("SELECT count(*) FROM outbox"),
        inbox=count("SELECT count(*) FROM inbox WHERE payload IS NOT NULL"),
    )
    rows = db.execute("SELECT id, exchange FROM accounts WHERE removed_ms IS NULL").fetchall()
    return stored, [(row["id"], name) for row in rows for name in (row["exchange"], f"{row['exchange']}:paper")]
