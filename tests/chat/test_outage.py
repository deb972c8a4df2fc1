"""Telegram away, flooded or cut off: in virtual time nothing is lost, hardly anything repeated, and no limit passed."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest.mock import patch

import pytest
from telegram.error import NetworkError, RetryAfter, TimedOut
from telegram.request import RequestData

from bot.chat.notes import Drawn, renderers
from bot.chat.outbox import Outbox
from bot.chat.pacer import Pacer
from bot.chat.reply import Sender, say
from bot.store.database import Connection, Store
from bot.trading import journal, notices
from bot.trading.notices import Notice
from tests.chat.test_pacer import in_virtual_time, over_limits
from tests.chat.test_reply import FakeTelegram, connected
from tests.simulation.timeline import Timeline, VirtualClock
from tests.trading.conftest import new_room

T = TypeVar("T")
HOUR = 3600
SOON = {"results": 300, "alerts": 600}
FULL = {"results": 10_000, "alerts": 50_000}


class InlineStore(Store):
    """The real store without its thread and without waiting for the disk.

    Attributes:
        dies: Asked before each transaction; who is killed there never comes back.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        for pragma in ("synchronous=OFF", "fullfsync=0", "secure_delete=0"):
            self._connection.execute(f"PRAGMA {pragma}")
        self.dies: Callable[[], bool] = lambda: False

    async def run(self, work: Callable[[Connection], T]) -> T:
        if self.dies():
            await asyncio.get_running_loop().create_future()
        return self.transact(work)


class VirtualTelegram(FakeTelegram):
    """The far end of the Bot API in virtual time: takes 50 ms, and fails as told.

    Attributes:
        sent: (microsecond, chat, method, text) of every call that tells something, also of those that failed.
        taken: The same of those that were shown in a chat.
        away: From and until when nothing gets through, in seconds.
        flooded: From and until when everything is answered with "retry after".
        loses: How often a message is shown while its answer gets lost: every so many new ones, none twice.
    """

    def __init__(self, timeline: Timeline) -> None:
        super().__init__()
        self.timeline = timeline
        self.sent: list[tuple[int, int, str, str]] = []
        self.taken: list[tuple[int, int, str, str]] = []
        self.probes: list[float] = []
        self.away = self.flooded = (0.0, 0.0)
        self.loses = 0
        self._shown = 0
        self._lost: set[str] = set()

    async def do_request(
        self, url: str, method: str, request_data: RequestData | None = None, *_: Any, **__: Any
    ) -> tuple[int, bytes]:
        name, values = url.rpartition("/")[2], request_data.parameters if request_data else {}
        began = self.timeline.now_us
        if name == "getMe":
            self.probes.append(began / 1e6)
        else:
            entry = (began, values["chat_id"], name, values["text"])
            self.sent.append(entry)
        await asyncio.sleep(0.05)
        if self.away[0] <= began / 1e6 < self.away[1]:
            raise NetworkError("no route")
        if name != "getMe" and self.flooded[0] <= began / 1e6 < self.flooded[1]:
            raise RetryAfter(-int((began / 1e6 - self.flooded[1]) // 1))
        answer = await super().do_request(url, method, request_data)
        if name != "getMe":
            self.taken.append(entry)
            self._shown += name == "sendMessage"
            if self.loses and name == "sendMessage" and self._shown % self.loses == 0 and entry[3] not in self._lost:
                self._lost.add(entry[3])
                raise TimedOut
        return answer


def alert(_: Connection, notice: Notice) -> Drawn:
    return Drawn(say(f"alert {notice.payload['n']}"))


GATEWAY: Any = SimpleNamespace(exchanges={})


class World:
    """An outbox over a real database in virtual time.

    Args:
        path: The database; it has one order, of which `results` makes more.
    """

    def __init__(self, path: Path) -> None:
        self.timeline = Timeline()
        self.clock = VirtualClock(self.timeline)
        self.telegram = VirtualTelegram(self.timeline)
        self.store = InlineStore(path)
        self.orders = 1

    async def start(self) -> None:
        self.sender = Sender(await connected(self.telegram), self.store, self.clock)
        self.outbox = Outbox(self.store, self.sender, GATEWAY, self.clock, {**renderers(GATEWAY), "alert": alert})
        self.running = asyncio.ensure_future(self.outbox.run())

    async def whole(self, work: Coroutine[Any, Any, T]) -> T:
        await self.start()
        return await work

    async def kill(self) -> None:
        doomed = asyncio.all_tasks() - {asyncio.current_task()}
        for task in doomed:
            task.cancel()
        await asyncio.gather(*doomed, return_exceptions=True)

    def results(self, count: int, chats: int) -> None:
        """Let so many orders be accepted by the exchange, in chats 1 and up."""

        def work(db: Connection) -> None:
            columns = [row["name"] for row in db.execute("PRAGMA table_info(orders)")]
            same = [each for each in columns if each not in ("id", "chat_id", "state")]
            for order_id in range(self.orders + 1, self.orders + 1 + count):
                db.execute(
                    f"INSERT INTO orders(id, chat_id, state, {','.join(same)})"
                    f" SELECT ?, ?, 'open', {','.join(same)} FROM orders WHERE id=1",
                    (order_id, 1 + order_id % chats),
                )
                journal.tell(db, order_id, self.clock.now_ms())

        self.store.transact(work)
        self.orders += count
        self.outbox.told()

    def alerts(self, count: int, chats: int, first_chat: int = 100_000) -> None:
        """Let so many alerts fire."""

        def work(db: Connection) -> None:
            for number in range(count):
                notices.tell(
                    db,
                    chat_id=first_chat + number % chats,
                    kind="alert",
                    lane="alert",
                    payload={"n": number},
                    now_ms=self.clock.now_ms(),
                )

        self.store.transact(work)
        self.outbox.told()

    def left(self) -> int:
        return int(self.store.transact(lambda db: db.execute("SELECT count(*) FROM outbox").fetchone()[0]))

    async def until_told(self, seconds: float) -> None:
        """Let time pass until nothing waits."""
        due = self.clock.monotonic() + seconds
        while self.left() and self.clock.monotonic() < due:
            await self.clock.sleep(1)

    def cards(self) -> Counter[int]:
        """How often a card of each order was sent anew."""
        found = (
            re.match(r"✅ Accepted · #(\d+)", text) for _, _, name, text in self.telegram.taken if name == "sendMessage"
        )
        return Counter(int(each[1]) for each in found if each)

    def first_told(self) -> dict[int, float]:
        """When each order's news were first seen in its chat, by card or by digest, in seconds."""
        seen: dict[int, float] = {}
        for at_us, chat_id, _, text in self.telegram.taken:
            for number in re.findall(r"#(\d+)", text):
                seen.setdefault(int(number), at_us / 1e6)
            if text.startswith("While I could not reach you"):
                for row in self.store.transact(
                    lambda db, chat_id=chat_id: db.execute(
                        "SELECT id FROM orders WHERE chat_id=? AND id>1", (chat_id,)
                    ).fetchall()
                ):
                    seen.setdefault(row["id"], at_us / 1e6)
        return seen

    def over_limits(self) -> list[str]:
        return over_limits((at, chat) for at, chat, *_ in self.telegram.sent)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        result = in_virtual_time(self.whole(work), self.timeline)
        assert self.over_limits() == []
        return result


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database with one order."""
    directory = tmp_path_factory.mktemp("seed")

    async def work() -> None:
        room = new_room(directory)
        await room.propose()
        room.sql("DELETE FROM outbox")
        await room.close()

    asyncio.run(work())
    return (directory / "tradewire.db").read_bytes()


@pytest.fixture
def world(seed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PTB_TIMEDELTA", "true")  # as the bot does
    path = tmp_path / "tradewire.db"
    path.write_bytes(seed)
    world = World(path)
    yield world
    world.store.close()


@pytest.mark.parametrize("load", [SOON, pytest.param(FULL, marks=[pytest.mark.nightly, pytest.mark.timeout(900)])])
def test_outage_of_an_hour_loses_nothing_and_sums_up(world: World, load: dict[str, int]) -> None:
    """Results come first, within seconds, as one digest per chat; then every card; nothing more than twice."""
    results, alerts = load["results"], load["alerts"]
    chats, alert_chats = max(10, results // 100), max(10, alerts // 100)
    world.telegram.away = (5.0, HOUR)
    world.telegram.loses = 37

    async def work() -> None:
        await world.clock.sleep(6)
        for _ in range(10):
            world.results(results // 10, chats)
            world.alerts(alerts // 10, alert_chats)
            await world.clock.sleep((HOUR - 400) / 10)
        await world.until_told(7200)

    world.run(work())
    assert world.left() == 0
    cards = world.cards()
    assert (sorted(cards), max(cards.values()) <= 2) == (list(range(2, results + 2)), True)
    digests = Counter(chat for _, chat, _, text in world.telegram.taken if text.startswith("While I could not"))
    assert {digests[chat] for chat in range(1, chats + 1)} <= {1, 2}
    told = sorted(world.first_told().values())
    assert len(told) == results
    back = min(at for at, *_ in world.telegram.taken) / 1e6
    assert HOUR <= back <= HOUR + 31
    assert told[int(len(told) * 0.95)] - back <= 5
    first_alert = min(at for at, chat, *_ in world.telegram.taken if chat >= 100_000) / 1e6
    assert max(told) <= first_alert
    tried = sum(5 <= at / 1e6 < HOUR for at, *_ in world.telegram.sent)
    probed = sum(5 <= at < HOUR for at in world.telegram.probes)
    assert (tried <= 12, probed <= HOUR / 30 + 5) == (True, True)


def test_outage_digest_says_what_happened(world: World) -> None:
    """Orders by state and by name, alerts counted, and the cards announced."""
    world.telegram.away = (1.0, 600.0)

    async def work() -> None:
        await world.clock.sleep(2)
        world.results(20, 1)
        world.alerts(250, 1, first_chat=1)
        await world.until_told(1200)

    world.run(work())
    digest = next(text for *_, text in world.telegram.taken if text.startswith("While"))
    lines = digest.splitlines()
    assert re.fullmatch(r"While I could not reach you · \d\d:\d\d to \d\d:\d\d UTC", lines[0])
    assert lines[1] == "Orders: 20 open."
    assert lines[2].startswith("#21 BUY BTC/USDT 0.5")
    assert lines[17:20] == [
        "… and 5 more; /history lists them.",
        "Their cards are brought up to date after this.",
        "Alerts: 250.",
    ]
    assert (lines[20], lines[-1]) == ("alert 249", "… and 240 earlier ones.")
    assert sorted(world.cards()) == list(range(2, 22))


def test_reply_while_four_hundred_alerts_wait_is_sent_at_once(world: World) -> None:
    """An answer to a command, and an order's result, never stand behind alerts."""

    async def work() -> list[float]:
        world.alerts(400, 200, first_chat=1)
        waits = []
        for chat_id in (1, 5000, 150, 5001, 20):
            await world.clock.sleep(0.37)
            began = world.clock.monotonic()
            await world.sender.send(say(f"reply {began}"), chat_id=chat_id, user_id=chat_id)
            waits.append(next(at / 1e6 for at, _, _, text in world.telegram.sent if text == f"reply {began}") - began)
        await world.until_told(600)
        return waits

    assert max(world.run(work())) <= 0.1
    assert (world.left(), len(world.telegram.taken)) == (0, 405)


@pytest.mark.parametrize("alerts", [1_000, pytest.param(10_000, marks=pytest.mark.nightly)])
def test_result_while_alerts_wait_is_sent_at_once(world: World, alerts: int) -> None:
    """Neither an alert's chat nor the limit of all chats makes an order wait, and no query reads the queue through."""
    steps = Counter[int]()

    async def work() -> list[float]:
        world.alerts(alerts, max(10, alerts // 100), first_chat=1)
        waits = []
        for _ in range(10):
            await world.clock.sleep(0.73)
            began = world.clock.monotonic()
            world.store._connection.set_progress_handler(lambda: steps.update([0]) or 0, 1000)
            world.results(1, 5)
            await world.clock.sleep(0.2)
            world.store._connection.set_progress_handler(None, 0)
            mark = f"#{world.orders}\n"
            waits.append(next(at / 1e6 for at, _, _, text in world.telegram.sent if mark in text) - began)
        return waits

    assert max(world.run(work())) <= 0.1
    assert steps[0] < 400


FORBIDDEN = (2.0, 42.0)


def flood(world: World) -> tuple[int, int, list[int]]:
    """Run into "retry after 40"; return calls in the forbidden time after it was known, orders lost, and repeats."""
    world.telegram.flooded = FORBIDDEN

    async def work() -> None:
        world.results(200, 40)
        await world.until_told(300)

    world.run(work())
    known = FORBIDDEN[0] + 0.5
    early = sum(known < at / 1e6 < FORBIDDEN[1] for at, *_ in world.telegram.sent)
    cards = world.cards()
    return early, 200 - len(cards), [number for number, count in cards.items() if count > 1]


def test_retry_after_forty_seconds_loses_and_repeats_nothing(world: World) -> None:
    """Nothing is sent before the forty seconds are over, and everything after them."""
    assert flood(world) == (0, 0, [])
    assert world.left() == 0


def test_retry_after_with_a_fixed_ladder_is_noticed(world: World) -> None:
    """Control: three tries at fixed pauses, as other bots have it, are seen to come too early and to lose orders."""

    async def laddered(outbox: Outbox, notice: Notice, _: Any, drawn: Drawn) -> Callable[[Connection], None]:
        for pause in (1, 2, 4):
            try:
                message_id = await outbox._sender.deliver(drawn.reply, chat_id=notice.chat_id, user_id=drawn.user_id)
            except RetryAfter:
                await world.clock.sleep(pause)
            else:
                return lambda db: (drawn.sent(db, message_id), notices.told(db, notice.id))[0]
        return lambda db: notices.told(db, notice.id)

    with patch.object(Outbox, "_sent", laddered), patch.object(Pacer, "hold", lambda *_: None):
        early, lost, _ = flood(world)
    assert (early > 0, lost > 0) == (True, True)


@pytest.mark.parametrize("kills", [(3,), (1, 20, 45)])
def test_kill_between_send_and_commit_repeats_at_most_once(world: World, kills: tuple[int, ...]) -> None:
    """What Telegram took just before the process died is sent once more, and nothing else is."""

    def taken() -> int:
        return sum(name == "sendMessage" for _, _, name, _ in world.telegram.taken)

    async def work() -> None:
        world.results(50, 10)
        for kill in kills:
            dead = asyncio.Event()

            def dies(kill: int = kill, dead: asyncio.Event = dead) -> bool:
                if taken() >= kill:
                    dead.set()
                return dead.is_set()

            world.store.dies = dies
            await dead.wait()
            await world.clock.sleep(1)
            await world.kill()
            world.store.dies = lambda: False
            await world.start()
        await world.until_told(600)

    in_virtual_time(world.whole(work()), world.timeline)
    cards = world.cards()
    assert (sorted(cards), max(cards.values()), world.left()) == (list(range(2, 52)), 2, 0)
    assert taken() - 50 <= 12 * len(kills)
