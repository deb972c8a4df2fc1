"""What comes in is committed first, handled once, in order within a chat, and kept only where it is harmless."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from telegram import Update

from bot.chat.inbox import Inbox, InOrder
from bot.store.database import Store
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
    assert await kept.inbox.take([first, again]) == [first]
    assert await kept.inbox.take([again]) == []
    await kept.inbox.handled(first)
    assert await kept.inbox.take([again]) == []


async def test_take_same_number_in_another_chat_is_another_message(kept: Kept) -> None:
    """Telegram numbers the messages of each chat by itself."""
    both = [command(message_id=7, user_id=ANN), command(message_id=7, user_id=BOB)]
    assert await kept.inbox.take(both) == both


async def test_take_presses_pass_without_a_row(kept: Kept) -> None:
    """A button's own row makes its press happen once."""
    found = press()
    assert await kept.inbox.take([found]) == [found]
    assert kept.payloads() == []


@pytest.mark.parametrize(
    "text",
    ["my-secret-canary", "/connect bitget my-secret-canary", "/CONNECT@Tradewire_bot my-secret-canary",
     "/my-secret-canary+/=", "//my-secret-canary"],
)  # fmt: skip
async def test_take_what_may_be_a_secret_is_never_stored(kept: Kept, text: str) -> None:
    """Of plain text, /connect and what only looks like a command, the file keeps a number and not one word."""
    sent = command(text)
    assert await kept.inbox.take([sent]) == [sent]
    assert kept.payloads() == [None]
    assert b"my-secret-canary" not in kept.bytes()


async def test_take_photo_is_remembered_as_a_number(kept: Kept) -> None:
    """A message without text, such as a photo of a key, is not stored either."""
    sent = update(message=message(text=None, caption="/my-secret-canary"))  # type: ignore[arg-type]
    assert await kept.inbox.take([sent]) == [sent]
    assert kept.payloads() == [None]


async def test_waiting_returns_unhandled_commands_in_order(kept: Kept) -> None:
    """After a crash, the commands that were taken and not handled come back as they were, oldest first."""
    sent = [command("/a"), command("plain"), command("/b"), command("/c", user_id=BOB)]
    await kept.inbox.take(sent)
    await kept.inbox.handled(sent[2])
    back = await Inbox(kept.store, kept.clock).waiting(await connected(FakeTelegram()))
    assert [each.to_dict() for each in back] == [sent[0].to_dict(), sent[3].to_dict()]


async def test_handled_erases_the_text_from_the_file(kept: Kept) -> None:
    """What was handled leaves no word behind."""
    sent = command("/why canary-of-a-command")
    await kept.inbox.take([sent])
    assert kept.payloads() != [None]
    await kept.inbox.handled(sent)
    assert kept.payloads() == [None]


async def test_take_forgets_handled_messages_after_two_days_and_no_others(kept: Kept) -> None:
    """Telegram redelivers for a day; a command that still waits is kept however old it is."""
    handled, waiting = command("/a", message_id=1), command("/b", message_id=2)
    await kept.inbox.take([handled, waiting])
    await kept.inbox.handled(handled)
    kept.clock.advance(TWO_DAYS)
    await kept.inbox.take([command(message_id=3)])
    assert len(kept.payloads()) == 3
    kept.clock.advance(1)
    await kept.inbox.take([command(message_id=4)])
    assert [bool(each) for each in kept.payloads()] == [True, True, True]


async def test_in_order_one_chat_is_handled_one_after_another() -> None:
    """The second message of a chat begins when the first has ended, however long that takes."""
    processor, log, gate = InOrder(FakeClock()), [], asyncio.Event()

    async def slow() -> None:
        log.append("first begins")
        await gate.wait()
        log.append("first ends")

    async def quick(name: str) -> None:
        log.append(name)

    tasks = [
        asyncio.create_task(processor.process_update(command(), slow())),
        asyncio.create_task(processor.process_update(command(), quick("second"))),
        asyncio.create_task(processor.process_update(press(), quick("third"))),
    ]
    await _turns()
    assert log == ["first begins"]
    gate.set()
    await asyncio.gather(*tasks)
    assert log == ["first begins", "first ends", "second", "third"]


async def test_in_order_other_chats_do_not_wait() -> None:
    """A chat whose exchange is slow holds up nobody else."""
    processor, done, gate = InOrder(FakeClock()), [], asyncio.Event()

    async def quick(name: str) -> None:
        done.append(name)

    async def slow() -> None:
        await gate.wait()

    waiting = asyncio.create_task(processor.process_update(command(user_id=ANN), slow()))
    await processor.process_update(command(user_id=BOB), quick("Bob"))
    await processor.process_update(update(poll_answer=None), quick("no chat"))
    assert (done, waiting.done()) == (["Bob", "no chat"], False)
    gate.set()
    await waiting


async def test_in_order_failure_lets_the_next_message_begin() -> None:
    """An error in one message does not block its chat."""
    processor, done = InOrder(FakeClock()), []

    async def broken() -> None:
        raise ZeroDivisionError

    async def quick() -> None:
        done.append("second")

    with pytest.raises(ZeroDivisionError):
        await processor.process_update(command(), broken())
    await processor.process_update(command(), quick())
    assert done == ["second"]


async def test_in_order_waiting_takes_no_place_from_others() -> None:
    """With two places, a chat that has twenty updates waiting holds one of them; everybody else goes on."""
    processor, gate, done = InOrder(FakeClock(), most=2), asyncio.Event(), []

    async def slow() -> None:
        await gate.wait()

    async def quick(number: int) -> None:
        done.append(number)

    flood = [asyncio.create_task(processor.process_update(command(user_id=ANN), slow())) for _ in range(20)]
    await _turns()
    for number in range(50):
        await asyncio.wait_for(processor.process_update(command(user_id=BOB + number), quick(number)), 1)
    assert done == list(range(50))
    gate.set()
    await asyncio.gather(*flood)


async def test_in_order_beyond_what_may_wait_is_refused_and_not_handled() -> None:
    """One is at work, three wait, all others are handed back; when the queue is empty, messages pass again."""
    processor, gate, done, refused = InOrder(FakeClock(), waiting=3), asyncio.Event(), [], []

    async def refuse(sent: Update) -> None:
        refused.append(sent)

    async def work(number: int) -> None:
        await gate.wait()
        done.append(number)

    processor.refuse = refuse
    sent = [command() for _ in range(10)]
    tasks = [asyncio.create_task(processor.process_update(each, work(number))) for number, each in enumerate(sent)]
    await _turns()
    assert refused == sent[4:]
    gate.set()
    await asyncio.gather(*tasks)
    await processor.process_update(command(), work(10))
    assert (done, len(refused)) == ([0, 1, 2, 3, 10], 6)


async def test_in_order_late_messages_do_not_queue() -> None:
    """A backlog is only gathered: it neither waits for its chat nor fills its queue."""
    processor, gate, done = InOrder(FakeClock(), waiting=1), asyncio.Event(), []

    async def slow() -> None:
        await gate.wait()

    async def quick(number: int) -> None:
        done.append(number)

    first = asyncio.create_task(processor.process_update(command(), slow()))
    await _turns()
    for number in range(10):
        await asyncio.wait_for(processor.process_update(command(at_ms=START_MS - 31_000), quick(number)), 1)
    assert done == list(range(10))
    gate.set()
    await first


async def test_in_order_stopped_while_waiting_leaves_nothing_behind() -> None:
    """An update that is cancelled in its queue is neither run nor forgotten as waiting."""
    processor, gate, done = InOrder(FakeClock(), waiting=1), asyncio.Event(), []

    async def work(number: int) -> None:
        await gate.wait()
        done.append(number)

    tasks = [asyncio.create_task(processor.process_update(command(), work(number))) for number in range(2)]
    await _turns()
    tasks[1].cancel()
    await asyncio.gather(tasks[1], return_exceptions=True)
    gate.set()
    await tasks[0]
    await processor.process_update(command(), work(2))
    assert done == [0, 2]


async def test_connecting_names_the_chats_where_a_key_may_be_on_its_way(kept: Kept) -> None:
    """A restart ends every wizard; whose began lately is remembered without a word of what was typed."""
    await kept.inbox.take([command("/connect acme", user_id=ANN), command("/balance", user_id=BOB)])
    assert await Inbox(kept.store, kept.clock).connecting() == [ANN]
    kept.clock.advance(20 * 60)
    assert await kept.inbox.connecting() == []


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
