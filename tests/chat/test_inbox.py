"""What comes in is committed first, handled once, in order within a chat, and kept only where it is harmless."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from telegram import Update

from bot.chat.inbox import Inbox, InOrder
from bot.store.database import Store
from bot.store.errors import StoreUnavailable
from tests.chat.test_gate import message, press, update
from tests.chat.test_reply import FakeTelegram, connected
from tests.trading.conftest import ANN, BOB, START_MS, FakeClock

TWO_DAYS = 48 * 3600


class Kept:
    """An inbox, and a look at what its file remembers."""

    def __init__(self, path: Path) -> None:
        self.clock = FakeClock()
        self.store = Store(path)
        self.inbox = Inbox(self.store, self.clock)

    async def take(self, updates: Sequence[Update]) -> list[Update]:
        return await self.inbox.take([each.to_dict() for each in updates], None)

    def payloads(self) -> list[str | None]:
        query = "SELECT payload FROM inbox ORDER BY rowid"
        return [row["payload"] for row in self.store.transact(lambda db: db.execute(query).fetchall())]

    def bytes(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.store.path.parent.glob("tradewire.db*"))


@pytest.fixture
def kept(tmp_path: Path) -> Any:
    found = Kept(tmp_path / "tradewire.db")
    yield found
    found.store.close()


def command(text: str = "/balance", **fields: Any) -> Update:
    return update(message=message(text, **fields))


async def test_take_same_message_twice_is_handled_once(kept: Kept) -> None:
    """A message that Telegram delivers again, in the same batch or after it was handled, is not handed out again."""
    first = command(message_id=7)
    again = command(message_id=7)
    assert await kept.take([first, again]) == [first]
    assert await kept.take([again]) == []
    await kept.inbox.handled(first)
    assert await kept.take([again]) == []


async def test_take_same_number_in_another_chat_is_another_message(kept: Kept) -> None:
    """Telegram numbers the messages of each chat by itself."""
    both = [command(message_id=7, user_id=ANN), command(message_id=7, user_id=BOB)]
    assert await kept.take(both) == both


async def test_take_presses_pass_without_a_row(kept: Kept) -> None:
    """A button's own row makes its press happen once."""
    found = press()
    assert await kept.take([found]) == [found]
    assert kept.payloads() == []


@pytest.mark.parametrize(
    "text",
    ["my-secret-canary", "/connect bitget my-secret-canary", "/CONNECT@Tradewire_bot my-secret-canary",
     "/my-secret-canary+/=", "//my-secret-canary"],
)  # fmt: skip
async def test_take_what_may_be_a_secret_is_never_stored(kept: Kept, text: str) -> None:
    """Of plain text, /connect and what only looks like a command, the file keeps a number and not one word."""
    sent = command(text)
    assert await kept.take([sent]) == [sent]
    assert kept.payloads() == [None]
    assert b"my-secret-canary" not in kept.bytes()


async def test_take_photo_is_remembered_as_a_number(kept: Kept) -> None:
    """A message without text, such as a photo of a key, is not stored either."""
    sent = update(message=message(text=None, caption="/my-secret-canary"))  # type: ignore[arg-type]
    assert await kept.take([sent]) == [sent]
    assert kept.payloads() == [None]


async def test_waiting_returns_unhandled_commands_in_order(kept: Kept) -> None:
    """After a crash, the commands that were taken and not handled come back as they were, oldest first."""
    sent = [command("/a"), command("plain"), command("/b"), command("/c", user_id=BOB)]
    await kept.take(sent)
    await kept.inbox.handled(sent[2])
    back = await Inbox(kept.store, kept.clock).waiting(await connected(FakeTelegram()))
    assert [each.to_dict() for each in back] == [sent[0].to_dict(), sent[3].to_dict()]


async def test_handled_erases_the_text_from_the_file(kept: Kept) -> None:
    """What was handled leaves no word behind."""
    sent = command("/why canary-of-a-command")
    await kept.take([sent])
    assert kept.payloads() != [None]
    await kept.inbox.handled(sent)
    assert kept.payloads() == [None]


async def test_take_words_of_another_message_are_never_stored(kept: Kept) -> None:
    """A command may answer a message that holds a key; of that message the file keeps nothing."""
    quoted = message("quoted-canary", message_id=6)
    sent = command("/why 7", message_id=7, reply_to_message=quoted, quote={"text": "quoted-canary", "position": 0})
    assert await kept.take([sent]) == [sent]
    [back] = await kept.inbox.waiting(None)
    assert back.message is not None
    assert (back.message.text, back.message.reply_to_message, back.message.quote) == ("/why 7", None, None)
    assert b"quoted-canary" not in kept.bytes()


async def test_take_command_of_an_unknown_form_is_left_out(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    """What the library cannot read leaves no row, and costs the others nothing."""
    odd, good = command("/odd", message_id=7).to_dict(), command("/good", message_id=8)
    odd["message"]["entities"] = [5]
    assert await kept.inbox.take([odd, {"update_id": 3}, good.to_dict()], None) == [Update(3), good]
    assert (await kept.inbox.waiting(None), len(kept.payloads())) == ([good], 1)
    assert [each.getMessage() for each in caplog.records] == [
        "an update of an unknown form was left out (AttributeError)"
    ]


async def test_waiting_row_that_cannot_be_read_does_not_stop_the_start(kept: Kept) -> None:
    """After another version of the library stored it, the bot starts all the same."""
    await kept.take([command("/odd", message_id=7), command("/good", message_id=8)])
    kept.store.transact(lambda db: db.execute("""UPDATE inbox SET payload='{"message": 3}' WHERE message_id=7"""))
    assert [each.message.text for each in await kept.inbox.waiting(None) if each.message] == ["/good"]


async def test_handled_plain_text_costs_no_commit(kept: Kept) -> None:
    """Of plain text there is nothing to forget."""
    sent = command("just talk")
    await kept.take([sent])
    before = kept.store.commits
    await kept.inbox.handled(sent)
    assert kept.store.commits == before


async def test_take_forgets_handled_messages_after_two_days_and_no_others(kept: Kept) -> None:
    """Telegram redelivers for a day; a command that still waits is kept however old it is."""
    handled, waiting = command("/a", message_id=1), command("/b", message_id=2)
    await kept.take([handled, waiting])
    await kept.inbox.handled(handled)
    kept.clock.advance(TWO_DAYS)
    await kept.take([command(message_id=3)])
    assert len(kept.payloads()) == 3
    kept.clock.advance(1)
    await kept.take([command(message_id=4)])
    assert [bool(each) for each in kept.payloads()] == [True, True, True]


def begins(kept: Kept, *texts: str) -> list[Update]:
    """Let commands with these words begin before they are stored; return those that have begun."""
    begun: list[Update] = []
    kept.inbox.may_begin = lambda sent: sent.message is None or sent.message.text in texts
    kept.inbox.begin = begun.append
    return begun


class Disk:
    """Lets commits wait, or fail."""

    def __init__(self, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        self.works, self.is_full = asyncio.Event(), False
        self._run = kept.store.run
        monkeypatch.setattr(kept.store, "run", self._later)

    async def _later(self, work: Callable[[Any], Any]) -> Any:
        await self.works.wait()
        if self.is_full:
            raise StoreUnavailable("The disk is full.")
        return await self._run(work)


async def test_take_what_only_looks_begins_before_it_is_stored(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not wait for the disk. Who takes it in does, so that Telegram is not told too early."""
    disk, begun = Disk(kept, monkeypatch), begins(kept, "/help")
    looks, acts = command("/help", message_id=7), command("/alert", message_id=8, user_id=BOB)
    taken = asyncio.create_task(kept.take([looks, acts]))
    await _turns()
    assert (begun, taken.done(), kept.payloads()) == ([looks], False, [])
    disk.works.set()
    assert await taken == [acts]
    assert [each is not None for each in kept.payloads()] == [True, True]


async def test_take_what_follows_a_message_that_waits_waits_too(kept: Kept) -> None:
    """Nothing of a chat overtakes what came before it; other chats go on."""
    begun = begins(kept, "/help")
    first, follows = command("/alert", message_id=7), command("/help", message_id=8)
    other = command("/help", user_id=BOB)
    assert await kept.take([first, follows, other]) == [first, follows]
    assert [each.message and each.message.chat_id for each in begun] == [BOB]


async def test_take_same_message_begins_once(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Again in the batch, again while it is being stored, again when it is stored, and again after it was handled."""
    disk, begun = Disk(kept, monkeypatch), begins(kept, "/help")
    sent = [command("/help", message_id=7) for _ in range(5)]
    takes = [asyncio.create_task(kept.take(each)) for each in (sent[:2], sent[2:3])]
    await _turns()
    disk.works.set()
    assert await asyncio.gather(*takes) == [[], []]
    assert await kept.take(sent[3:4]) == []
    await kept.inbox.handled(sent[0])
    assert await kept.take(sent[4:]) == []
    assert len(begun) == 1


async def test_take_begins_nothing_while_the_disk_is_full(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Telegram sends again what was not stored: it would be answered at each attempt, and so waits until it works."""
    disk, begun = Disk(kept, monkeypatch), begins(kept, "/help")
    disk.works.set()
    disk.is_full = True
    sent = command("/help", message_id=7)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await kept.take([sent])
    assert len(begun) == 1
    disk.is_full = False
    assert await kept.take([sent]) == [sent]
    assert await kept.take([command("/help", message_id=8)]) == []
    assert [each.message and each.message.message_id for each in begun] == [7, 8]


async def test_handled_before_it_is_stored_is_forgotten_all_the_same(kept: Kept) -> None:
    """An answer that is quicker than the disk leaves no command behind to be answered again after a restart."""
    tasks: list[asyncio.Task[None]] = []
    kept.inbox.may_begin = lambda _: True
    kept.inbox.begin = lambda sent: tasks.append(asyncio.create_task(kept.inbox.handled(sent)))
    assert await kept.take([command("/help")]) == []
    await asyncio.gather(*tasks)
    assert (len(tasks), kept.payloads()) == (1, [None])


async def test_take_presses_alone_wait_for_nothing(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of them is stored here, so a full disk, or a slow one, is no reason to hold one up."""
    Disk(kept, monkeypatch)
    found = [press(), press()]
    assert await asyncio.wait_for(kept.take(found), 1) == found


class Turns:
    """An order of updates, where each update has a work of its own."""

    def __init__(self, **limits: int) -> None:
        self.order = InOrder(FakeClock(), **limits)
        self.order.handle = self._handle
        self._works: dict[int, Callable[[], Awaitable[None]]] = {}

    def put(self, sent: Update, work: Callable[..., Awaitable[None]], *values: Any) -> None:
        self._works[id(sent)] = partial(work, *values)
        self.order.put(sent)

    async def _handle(self, sent: Update) -> None:
        await self._works[id(sent)]()


async def test_in_order_one_chat_is_handled_one_after_another() -> None:
    """The second message of a chat begins when the first has ended, however long that takes."""
    turns, log, gate = Turns(), [], asyncio.Event()

    async def slow() -> None:
        log.append("first begins")
        await gate.wait()
        log.append("first ends")

    async def quick(name: str) -> None:
        log.append(name)

    turns.put(command(), slow)
    turns.put(command(), quick, "second")
    turns.put(press(), quick, "third")
    await _turns()
    assert log == ["first begins"]
    gate.set()
    await turns.order.drain()
    assert log == ["first begins", "first ends", "second", "third"]


async def test_in_order_other_chats_do_not_wait() -> None:
    """A chat whose exchange is slow holds up nobody else."""
    turns, done, gate = Turns(), [], asyncio.Event()

    async def work(name: str) -> None:
        if name == "Ann":
            await gate.wait()
        done.append(name)

    turns.put(command(user_id=ANN), work, "Ann")
    turns.put(command(user_id=BOB), work, "Bob")
    turns.put(update(poll_answer=None), work, "no chat")
    await _turns()
    assert done == ["Bob", "no chat"]
    gate.set()
    await turns.order.drain()
    assert done == ["Bob", "no chat", "Ann"]


async def test_in_order_failure_lets_the_next_message_begin(caplog: pytest.LogCaptureFixture) -> None:
    """An error in one message does not block its chat, and is in the log."""
    turns, done = Turns(), []

    async def broken() -> None:
        raise ZeroDivisionError

    async def quick() -> None:
        done.append("second")

    turns.put(command(), broken)
    turns.put(command(), quick)
    await turns.order.drain()
    [record] = caplog.records
    assert record.exc_info is not None
    assert (done, record.exc_info[0]) == (["second"], ZeroDivisionError)


async def test_in_order_waiting_takes_no_place_from_others() -> None:
    """With two places, a chat that has twenty updates waiting holds one of them; everybody else goes on."""
    turns, gate, done = Turns(most=2), asyncio.Event(), []

    async def quick(number: int) -> None:
        done.append(number)

    for _ in range(20):
        turns.put(command(user_id=ANN), gate.wait)
    await _turns()
    for number in range(50):
        turns.put(command(user_id=BOB + number), quick, number)
    await _turns(100)
    assert done == list(range(50))
    gate.set()
    await turns.order.drain()


async def test_in_order_beyond_what_may_wait_is_refused_and_not_handled() -> None:
    """One is at work, three wait, all others are handed back; when the queue is empty, messages pass again."""
    turns, gate, done, refused = Turns(waiting=3), asyncio.Event(), [], []

    async def refuse(sent: Update) -> None:
        refused.append(sent)

    async def work(number: int) -> None:
        await gate.wait()
        done.append(number)

    turns.order.refuse = refuse
    sent = [command() for _ in range(10)]
    for number, each in enumerate(sent):
        turns.put(each, work, number)
    await _turns()
    assert refused == sent[4:]
    gate.set()
    await turns.order.drain()
    turns.put(command(), work, 10)
    await turns.order.drain()
    assert (done, len(refused)) == ([0, 1, 2, 3, 10], 6)


async def test_in_order_late_messages_do_not_queue() -> None:
    """A backlog is only gathered: it neither waits for its chat nor fills its queue."""
    turns, gate, done = Turns(waiting=1), asyncio.Event(), []

    async def quick(number: int) -> None:
        done.append(number)

    turns.put(command(), gate.wait)
    await _turns()
    for number in range(10):
        turns.put(command(at_ms=START_MS - 31_000), quick, number)
    await _turns()
    assert done == list(range(10))
    gate.set()
    await turns.order.drain()


async def test_in_order_ended_leaves_nothing_at_work_or_waiting() -> None:
    """What is cancelled, at work or in its queue, is not run to its end, and its chat is free afterwards."""
    turns, gate, done = Turns(waiting=1), asyncio.Event(), []

    async def work(number: int) -> None:
        await gate.wait()
        done.append(number)

    for number in range(2):
        turns.put(command(), work, number)
    await _turns()
    turns.order.end()
    await turns.order.drain()
    gate.set()
    for number in (2, 3):
        turns.put(command(), work, number)
    await turns.order.drain()
    assert done == [2, 3]


async def test_connecting_names_the_chats_where_a_key_may_be_on_its_way(kept: Kept) -> None:
    """A restart ends every wizard; whose began lately is remembered without a word of what was typed."""
    await kept.take([command("/connect acme", user_id=ANN), command("/balance", user_id=BOB)])
    assert await Inbox(kept.store, kept.clock).connecting() == [ANN]
    kept.clock.advance(20 * 60)
    assert await kept.inbox.connecting() == []


async def _turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)
