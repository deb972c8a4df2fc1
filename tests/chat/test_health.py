from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from telegram.error import RetryAfter

from bot.chat import health
from bot.chat.commands import status
from bot.chat.halt import Halt
from bot.chat.health import ExchangeReport, Health, Report, Stored
from bot.chat.polling import Polling
from bot.exchanges.streams import StreamState
from bot.store.errors import StoreUnavailable
from tests.trading.conftest import Room, new_room


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    found = new_room(tmp_path)
    yield found
    await found.close()


@pytest.fixture
def vitals(room: Room) -> Health:
    """The signs of life of a bot whose polling loop just began a turn."""
    found = Health(room.store, room.gateway, room.clock)
    found.polling(60)
    return found


class _Store:
    """A store that hangs or refuses."""

    commits = 0

    def __init__(self, how: str) -> None:
        self._how = how

    async def run(self, _: Any) -> Any:
        if self._how == "hangs":
            await asyncio.Event().wait()
        raise StoreUnavailable("the disk is full")


async def test_report_of_a_bot_at_work_has_every_figure(room: Room, vitals: Health) -> None:
    """Orders, queues, clocks, limits and commits, and no problem."""
    await room.placed()
    await room.placed("drop after", pair="ETH/USDT")
    room.clock.advance(3)
    vitals.answered()
    room.clock.advance(7)
    acme = room.gateway.exchanges["acme"].transport
    acme.clock.learn(room.clock.now_ms(), began_ms=room.clock.now_ms(), ended_ms=room.clock.now_ms())
    acme.limiter.remaining_percent = lambda: 75  # type: ignore[method-assign]
    report = await vitals.report()
    assert report == Report(
        problems=(),
        up_seconds=10,
        heard_seconds=7,
        commits=room.store.commits,
        stored=Stored(live=1, doubtful=1, outbox=2, inbox=0),
        exchanges=(ExchangeReport("acme", 0, 75), ExchangeReport("acme:paper", None, 100)),
    )
    assert report.commits > 0


async def test_report_reading_makes_no_commit(vitals: Health) -> None:
    """Being looked at is no activity."""
    first = await vitals.report()
    assert (await vitals.report()).commits == first.commits


@pytest.mark.parametrize(("silent_seconds", "is_well"), [(90, True), (91, False)])
async def test_report_telegram_away_is_a_problem_but_no_death(
    room: Room, vitals: Health, silent_seconds: int, is_well: bool
) -> None:
    """A loop that comes round and gets no answer is alive: a restart would not bring the network back."""
    vitals.answered()
    room.clock.advance(silent_seconds)
    vitals.polling(60)
    assert (not (await vitals.report()).problems, await vitals.is_alive()) == (is_well, True)


async def test_report_never_answered_is_a_problem_too(room: Room, vitals: Health) -> None:
    """A bot that never reached Telegram is not well, however often it tries."""
    room.clock.advance(91)
    vitals.polling(60)
    report = await vitals.report()
    assert (report.heard_seconds, report.problems) == (
        None,
        ("Telegram has not answered for 91 seconds. Check the network; the log says what was tried.",),
    )


@pytest.mark.parametrize(("later", "is_alive"), [(90, True), (91, False)])
async def test_is_alive_polling_that_does_not_come_round_is_dead(
    room: Room, vitals: Health, later: int, is_alive: bool
) -> None:
    """The loop said when it comes round again; half a minute after that it hangs."""
    room.clock.advance(later)
    assert await vitals.is_alive() is is_alive


async def test_is_alive_long_pause_that_was_announced_is_no_death(room: Room, vitals: Health) -> None:
    """Telegram may order a pause of many minutes; who keeps it is alive."""
    vitals.polling(900)
    room.clock.advance(920)
    assert await vitals.is_alive()


async def test_is_alive_without_polling_asks_the_database_alone(room: Room) -> None:
    """Before the first poll, and where Telegram sends by itself, there is nothing to be late."""
    found = Health(room.store, room.gateway, room.clock)
    room.clock.advance(10_000)
    assert (await found.is_alive(), (await found.report()).problems) == (True, ())


@pytest.mark.parametrize(
    ("how", "is_alive", "problem"),
    [
        ("hangs", False, "The database has not answered for 0 seconds."),
        ("refuses", True, "The database refuses; the log says why."),
    ],
)
async def test_database_that_hangs_is_dead_and_one_that_refuses_is_only_not_well(
    room: Room, monkeypatch: pytest.MonkeyPatch, how: str, is_alive: bool, problem: str
) -> None:
    """A full disk is no reason to be restarted; a thread that never returns is."""
    monkeypatch.setattr(health, "STORE_SECONDS", 0)
    store: Any = _Store(how)
    found = Health(store, room.gateway, room.clock)
    report = await found.report()
    assert (await found.is_alive(), report.problems, report.stored) == (is_alive, (problem,), None)


async def test_is_alive_real_polling_loop_that_fails_is_alive_and_one_that_hangs_is_not(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each turn of the loop counts, whatever came of it; a request that never returns is found out."""
    monkeypatch.setenv("PTB_TIMEDELTA", "true")
    asked: asyncio.Queue[None] = asyncio.Queue()
    answers: asyncio.Queue[None] = asyncio.Queue()

    async def post(*_: Any, **__: Any) -> Any:
        asked.put_nowait(None)
        await answers.get()
        raise RetryAfter(0)

    found, stop = Health(room.store, room.gateway, room.clock), asyncio.Event()
    way: Any = SimpleNamespace(post=post)
    bot: Any = SimpleNamespace(base_url="")
    unused: Any = None
    polling = Polling(way, bot, unused, unused, halt=Halt(room.clock), health=found, tell_owner=unused)
    task = asyncio.create_task(polling.receive(stop))
    await asked.get()
    alive = []
    for _ in range(3):
        room.clock.advance(80)
        answers.put_nowait(None)
        await asked.get()
        alive.append(await found.is_alive())
    room.clock.advance(91)
    alive.append(await found.is_alive())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert alive == [True, True, True, False]


async def test_report_counts_streams_by_exchange(room: Room, vitals: Health) -> None:
    """Each account's socket counts, and the oldest sign of life of those that are open."""

    class Feeds:
        def state(self, account_id: int, exchange_id: str) -> Any:
            return StreamState(account_id == room.account.id, 5, "") if exchange_id == "acme" else None

    feeds: Any = Feeds()
    vitals.feeds = feeds
    exchange, paper = (await vitals.report()).exchanges
    assert (exchange, paper) == (ExchangeReport("acme", None, 100, 1, 1, 5), ExchangeReport("acme:paper", None, 100))


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (
            Report((), 9, 7, 12, Stored(live=1, doubtful=0, outbox=0, inbox=2), ()),
            "Telegram ✓ heard 7 s ago · Database ✓ 12 commits · 2 commands at work",
        ),
        (Report((), 9, None, 0, Stored(0, 0, 0, 0), ()), "Database ✓ 0 commits · 0 commands at work"),
        (Report(("It is late.", "It is full."), 9, 7, 0, None, ()), "⚠ It is late. It is full."),
    ],
)
def test_status_line_says_what_monitors_are_told(report: Report, line: str) -> None:
    """/status has the same report, in words; where something is wrong, the reasons."""
    assert status._bot(report) == line
