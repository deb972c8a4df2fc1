"""One attacker at a thousand updates a second: what others wait for, in virtual time.

The database takes two milliseconds a transaction and does one at a time; Telegram hands out a hundred updates a poll.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from telegram import Update

from bot.accounts import people
from bot.chat.strangers import Strangers
from bot.trading.confirm import Button
from tests.chat.conftest import STRANGER, Chat
from tests.trading.conftest import START_MS, FakeClock

SECONDS, SECONDS_NIGHTLY = 2, 60
A_SECOND = 1_000
OTHERS = tuple(range(3000, 3010))
TRANSACTION_SECONDS, NETWORK_SECONDS, A_POLL = 0.002, 0.03, 100
BOUND_SECONDS = 2.0
_HOPS = 20


class Turns:
    """Lets a clock's sleepers wake in order, each only when nobody has anything to do before that."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._clock.monotonic() + max(0.0, seconds), next(self._numbers), woken))
        await woken

    async def go_on(self) -> None:
        while True:
            for _ in range(_HOPS):
                await asyncio.sleep(0)
            if self._sleepers:
                due, _, woken = heapq.heappop(self._sleepers)
                self._clock.advance(max(0.0, due - self._clock.monotonic()))
                if not woken.done():
                    woken.set_result(None)


@dataclass
class Flood:
    """A chat under attack.

    Attributes:
        attack: Makes the attacker's next update.
        in_line: Whether updates are handled one after another.
    """

    chat: Chat
    attack: Callable[[], Update]
    in_line: bool = False
    asked: list[tuple[float, int]] = field(default_factory=list)
    answered: list[tuple[float, int]] = field(default_factory=list)

    async def waits(self, monkeypatch: pytest.MonkeyPatch, seconds: int = SECONDS) -> list[float]:
        """Let others ask for something while it goes on; return how long each of them waited."""
        clock, store, telegram = self.chat.room.clock, self.chat.room.store, self.chat.telegram
        for user_id in OTHERS:
            store.transact(lambda db, user_id=user_id: people.ensure_user(db, user_id, "viewer", now_ms=START_MS))
        turns, lock, answer = Turns(clock), asyncio.Lock(), telegram._answer

        async def run(work: Callable[[Any], Any]) -> Any:
            async with lock:
                await turns.sleep(TRANSACTION_SECONDS)
                return store.transact(work)

        def noted(name: str, values: dict[str, Any]) -> Any:
            if name == "sendMessage":
                self.answered.append((clock.monotonic(), values["chat_id"]))
            return answer(name, values)

        monkeypatch.setattr(clock, "sleep", turns.sleep)
        monkeypatch.setattr(store, "run", run)
        monkeypatch.setattr(telegram, "_answer", noted)
        going = asyncio.ensure_future(turns.go_on())
        await self._go_on(seconds)
        going.cancel()
        return [
            next((at for at, to in self.answered if to == chat_id and at >= since), float("inf")) - since
            for since, chat_id in self.asked
        ]

    async def _go_on(self, seconds: int) -> None:
        chat, clock = self.chat, self.chat.room.clock
        waiting: deque[Update] = deque()
        tasks: list[asyncio.Future[None]] = []
        line = asyncio.Lock()
        sent, began = 0, clock.monotonic()

        async def one_after_another(update: Update) -> None:
            async with line:
                await chat.dispatcher.handle(update)

        def put(update: Update) -> None:
            if self.in_line:
                tasks.append(asyncio.ensure_future(one_after_another(update)))
            else:
                chat.order.put(update)

        chat.inbox.begin = put
        while (passed := clock.monotonic() - began) < seconds:
            due = int(passed * A_SECOND) - sent
            waiting.extend(self.attack() for _ in range(due))
            sent += due
            if len(self.asked) < int(passed * len(OTHERS)):
                user_id = OTHERS[len(self.asked) % len(OTHERS)]
                self.asked.append((clock.monotonic(), user_id))
                waiting.append(chat.written("/look", user_id=user_id))
            batch = [waiting.popleft() for _ in range(min(A_POLL, len(waiting)))]
            for update in await chat.take(batch):
                put(update)
            await clock.sleep(NETWORK_SECONDS)
        await asyncio.gather(*tasks)
        await chat.order.drain()
        assert sent >= (seconds - 1) * A_SECOND


async def attacks(chat: Chat) -> dict[str, Callable[[], Update]]:
    """What can be sent in a flood: by somebody who may, by a stranger, and presses."""
    message_id, [data] = await chat.show(Button("x", "note"))
    return {
        "commands": lambda: chat.written("/note"),
        "a stranger": lambda: chat.written("/start", user_id=STRANGER),
        "talk": lambda: chat.written("hello"),
        "presses": lambda: chat.pressed(data, message_id),
        "forged presses": lambda: chat.pressed("c1:AAAAAAAAAAAAAAAAAAAAAA", message_id),
    }


@pytest.mark.parametrize("kind", ["commands", "a stranger", "talk", "presses", "forged presses"])
async def test_flood_of_one_makes_nobody_else_wait(chat: Chat, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Everybody else is answered within two seconds, though the attacker asks for more than there is."""
    found = await Flood(chat, (await attacks(chat))[kind]).waits(monkeypatch)
    assert len(found) >= SECONDS * len(OTHERS) - len(OTHERS)
    assert max(found) <= BOUND_SECONDS


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["commands", "a stranger", "talk", "presses", "forged presses"])
async def test_flood_of_one_for_a_minute_makes_nobody_else_wait(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The same for sixty seconds."""
    found = await Flood(chat, (await attacks(chat))[kind]).waits(monkeypatch, SECONDS_NIGHTLY)
    assert max(found) <= BOUND_SECONDS


async def test_flood_would_make_others_wait_in_one_line(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: handled one after another, as the library does by default, the same flood holds everybody up."""
    found = await Flood(chat, (await attacks(chat))["commands"], in_line=True).waits(monkeypatch, 2)
    assert max(found) > BOUND_SECONDS


def test_strangers_are_answered_once_a_day_and_twenty_a_minute() -> None:
    """Of ten thousand strangers who write all the time for three days."""
    strangers = Strangers()
    said: list[tuple[float, int]] = []
    for step in range(3 * 86_400 // 10):
        now = step * 10.0
        for number in range(10):
            user_id = (step * 7 + number) % 10_000
            if strangers.may_answer(user_id, "x", now):
                said.append((now, user_id))
    by_person: dict[int, list[float]] = {}
    for at, user_id in said:
        by_person.setdefault(user_id, []).append(at)
    gaps = [later - earlier for times in by_person.values() for earlier, later in itertools.pairwise(times)]
    times = [at for at, _ in said]
    most = max(sum(at <= each < at + 60 for each in times[index : index + 30]) for index, at in enumerate(times))
    assert (min(gaps) >= 86_400, most, len(gaps) > 1000) == (True, 20, True)


def test_strangers_newest_come_first_and_names_are_cut() -> None:
    """Whoever lets people in sees the last who wrote."""
    strangers = Strangers()
    for user_id in range(5):
        strangers.may_answer(user_id, "n" * 100, 10.0 * user_id)
    assert [(each.user_id, len(each.name)) for each in strangers.newest(2)] == [(4, 64), (3, 64)]
