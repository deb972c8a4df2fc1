"""Whatever comes twice, ten times or in disorder happens once: messages by their number, buttons by being spent."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from telegram import Bot, Update

from bot.chat.gate import ANYWHERE
from bot.chat.inbox import Inbox, Json
from bot.chat.registry import Action, Call, Command, Registry
from bot.trading.confirm import Button
from tests.chat.conftest import Chat, new_chat
from tests.e2e.conftest import ANN, Desk, neighbours
from tests.trading.conftest import CHAT, new_room

UPDATES, MANY_UPDATES = 5_000, 100_000
CARDS, PRESSES = 100, 1_000
A_DAY = 1_000
PEOPLE = range(2001, 2041)
POLL = 100
TWO_DAYS_MS = 48 * 3600 * 1000


@pytest.fixture
def quick_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory, where there is one: what is counted here are transactions, not writes to a disk."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        yield Path(directory)


class Counted:
    """A chat whose commands and buttons count what they do, and a Telegram that repeats itself."""

    def __init__(self, seed: int) -> None:
        self.effects: Counter[tuple[str, int, int]] = Counter()
        self.sent: set[tuple[str, int, int]] = set()
        self.chance = random.Random(seed)
        self.numbers: Counter[int] = Counter()
        self.chat: Chat

    async def open(self, directory: Path) -> None:
        async def note(call: Call) -> None:
            kind, number = ("press", call.payload["number"]) if call.payload else ("message", call.who.message_id)
            self.effects[kind, call.who.chat_id, number] += 1

        command = Command("note", note, "", "Start", rule=ANYWHERE)
        self.chat = await new_chat(directory, Registry({"note": command}, {"note": Action("note", note, ANYWHERE)}))
        owner, start_ms = self.chat.room.account.user_id, self.chat.room.clock.now_ms()
        assert owner == ANN
        for person in PEOPLE:
            self.chat.room.sql("INSERT INTO users(id, role, created_ms) VALUES (?, 'trader', ?)", person, start_ms)

    async def day(self, messages: int, presses: int) -> None:
        """Let a day's updates come in: each one to five times, in any order, with the bot dying now and then."""
        made = [self._message() for _ in range(messages)]
        made += [await self._press() for _ in range(presses)]
        deliveries = [each for each in made for _ in range(self.chance.randint(1, 5))]
        self.chance.shuffle(deliveries)
        polls = [deliveries[start : start + POLL] for start in range(0, len(deliveries), POLL)]
        seen: dict[int, dict[str, Any]] = {}
        for poll in polls:
            await self._arrive([self._told(each, seen) for each in poll])
            self.chat.room.clock.advance(86_400 / len(polls))

    def _message(self) -> tuple[str, int, Any]:
        person = self.chance.choice(PEOPLE)
        self.numbers[person] += 1
        self.sent.add(("message", person, self.numbers[person]))
        return "message", person, self.numbers[person]

    async def _press(self) -> tuple[str, int, Any]:
        person, number = self.chance.choice(PEOPLE), len(self.sent)
        button = Button("x", "note", {"number": number}, seconds=3 * 86_400)
        self.sent.add(("press", person, number))
        return "press", person, await self.chat.show(button, user_id=person)

    def _told(self, made: tuple[str, int, Any], seen: dict[int, dict[str, Any]]) -> dict[str, Any]:
        """What Telegram tells, with an update id that says nothing; a repeat is the same again."""
        if id(made) not in seen:
            kind, person, what = made
            update_id = self.chance.randrange(2**31)
            if kind == "press":
                message_id, [data] = what
                told = self.chat.pressed(data, message_id, user_id=person)
            else:
                told = self.chat.written("/note", user_id=person, message_id=what, update_id=update_id)
            seen[id(made)] = told.to_dict()
        return seen[id(made)]

    async def _arrive(self, poll: Sequence[dict[str, Any]]) -> None:
        if self.chance.random() < 0.1:  # it dies between the commit and the work, and Telegram was not told
            await self.chat.take(poll)
            self.chat.restart()
            back = await self.chat.inbox.waiting(self.chat.services.sender.bot)
            await self.chat.handle(back)
        await self.chat.arrive(poll)


async def repeated(directory: Path, updates: int) -> Counted:
    counted = Counted(seed=updates)
    await counted.open(directory)
    for _ in range(0, updates, A_DAY):
        await counted.day(A_DAY * 95 // 100, A_DAY * 5 // 100)
    return counted


@pytest.mark.parametrize("updates", [UPDATES, pytest.param(MANY_UPDATES, marks=pytest.mark.nightly)])
async def test_updates_repeated_and_shuffled_have_one_effect_each(quick_disk: Path, updates: int) -> None:
    """No command is lost, none runs twice, no button works twice, and the inbox remembers two days."""
    counted = await repeated(quick_disk, updates)
    room = counted.chat.room
    assert dict(counted.effects) == dict.fromkeys(counted.sent, 1)
    oldest = room.sql("SELECT min(at_ms) AS ms, count(*) AS n, count(payload) AS left FROM inbox")[0]
    assert oldest["ms"] >= room.clock.now_ms() - TWO_DAYS_MS - 3_600_000
    assert (oldest["n"] <= 3 * A_DAY, oldest["left"]) == (True, 0)
    await room.close()


async def test_updates_told_apart_by_a_watermark_are_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: remembering only the highest update id loses commands, and the count above would see it."""
    take, highest = Inbox.take, -1

    async def watermark(self: Inbox, found: Sequence[Json], bot: Bot) -> list[Update]:
        nonlocal highest
        new = [each for each in found if each["update_id"] > highest]
        highest = max([highest, *(each["update_id"] for each in new)])
        return await take(self, new, bot)

    monkeypatch.setattr(Inbox, "take", watermark)
    counted = Counted(seed=1)
    await counted.open(tmp_path)
    await counted.day(95, 5)
    assert len(counted.effects) < len(counted.sent)
    await counted.chat.room.close()


async def test_hundred_cards_pressed_a_thousand_times_at_once_place_one_order_each(
    quick_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many presses of a card's Confirm run side by side, the exchange gets one placing request.

    The store's thread is left out, for speed; each press is the same transaction.
    """
    room = new_room(quick_disk)

    async def run(work: Callable[[Any], Any]) -> Any:
        await asyncio.sleep(0)
        return room.store.transact(work)

    monkeypatch.setattr(room.store, "run", run)

    async def press(data: str, message_id: int) -> str:
        found = await room.desk.press(data, user_id=ANN, chat_id=CHAT, message_id=message_id)
        if isinstance(found, str):
            return found
        room.desk.send(found[1])
        return "sent"

    answers: Counter[str] = Counter()
    for _ in range(CARDS):
        row = await room.propose()
        [data] = room.show(row)
        message_id = room.row(row).message_id
        assert message_id is not None
        answers.update(await asyncio.gather(*(press(data, message_id) for _ in range(PRESSES))))
        await room.desk.drain()
    assert len(room.exchange.placing) == CARDS
    assert answers == {"sent": CARDS, "used": CARDS * (PRESSES - 1)}
    await room.close()


async def test_card_pressed_a_thousand_times_through_the_chat_places_one_order(tmp_path: Path) -> None:
    """The whole way from Telegram's update: every press is answered, one order leaves."""
    chat = await new_chat(tmp_path)
    for _ in range(2):
        row = await chat.room.propose()
        await chat.outbox.step()
        message_id = chat.room.row(row).message_id
        assert message_id is not None
        data = chat.telegram.data(message_id)[0]
        before = len(chat.telegram.named("answerCallbackQuery"))
        await chat.arrive([chat.pressed(data, message_id, chat_id=row.chat_id) for _ in range(PRESSES)])
        assert len(chat.telegram.named("answerCallbackQuery")) - before == PRESSES
        await chat.room.desk.drain()
    assert len(chat.room.exchange.placing) == 2
    await chat.room.close()


@pytest.mark.network
@pytest.mark.parametrize("dies", ["before it is told", "after it is told"])
async def test_kill_between_commit_and_handling_replays_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    """Telegram hears of an arrival only after it is in the file; then it is run once, whoever brings it back."""
    async with neighbours(tmp_path) as desk:
        await desk.start()
        await desk.connect()
        desk.say("/id")
        await desk.see("You: 1001")
        reached = asyncio.Event()
        take = Inbox.take

        async def commit_and_hang(self: Inbox, found: Sequence[Json], bot: Bot) -> list[Update]:
            taken = await take(self, found, bot)
            if not taken:
                return taken
            assert desk.telegram.pending_updates == 1
            reached.set()
            if dies == "before it is told":
                await asyncio.Event().wait()
            return []

        with monkeypatch.context() as dying:
            dying.setattr(Inbox, "take", commit_and_hang)
            desk.say("/buy BTC/USDT 0.001 @ 50000")
            await asyncio.wait_for(reached.wait(), 10)
            if dies == "after it is told":
                await desk.telegram.wait(lambda telegram: telegram.pending_updates == 0, 10)
            await desk.kill()
        await desk.start()
        await desk.see("BUY BTC/USDT", "50,000.00")
        desk.say("/price BTC/USDT")
        await desk.see("Bid / ask")
        assert _proposals(desk) == 1
        await desk.end()


@pytest.mark.network
async def test_kill_between_effect_and_handling_does_it_once_and_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alert that was stored before the kill is not stored again, and its owner is told that it was."""
    async with neighbours(tmp_path) as desk:
        await desk.start()
        await desk.connect()
        reached = asyncio.Event()

        async def hang(self: Inbox, *updates: Update) -> None:
            reached.set()
            await asyncio.Event().wait()

        with monkeypatch.context() as dying:
            dying.setattr(Inbox, "handled", hang)
            desk.say("/alert BTC/USDT > 90000")
            await asyncio.wait_for(reached.wait(), 10)
            await desk.kill()
        await desk.start()
        await desk.see("I was stopped right after I did your /alert", "do not send it again", "/alerts lists")
        assert _count(desk, "alerts") == 1
        await desk.end()


def _proposals(desk: Desk) -> int:
    return _count(desk, "orders")


def _count(desk: Desk, table: str) -> int:
    assert desk.instance is not None
    return int(desk.instance.store.transact(lambda db: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]))
