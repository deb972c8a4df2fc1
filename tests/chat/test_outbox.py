"""Cards are drawn until Telegram took their latest state, and nothing that has to be told is lost."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.chat.outbox import Outbox
from bot.chat.render import card
from bot.chat.reply import Link, Sender, say
from bot.store.database import Connection
from bot.trading import journal, notices
from bot.trading.confirm import Button
from bot.trading.orders import OrderRow
from tests.chat.test_reply import FakeTelegram, connected
from tests.trading.conftest import ANN, CHAT, Room, new_room


@dataclass
class Cards:
    """An outbox over a whole trading room, in front of a fake Telegram."""

    room: Room
    telegram: FakeTelegram
    sender: Sender
    outbox: Outbox

    def waiting(self) -> list[int]:
        return [row["order_id"] for row in self.room.sql("SELECT order_id FROM outbox ORDER BY id")]

    def tell(self, row: OrderRow) -> None:
        self.room.store.transact(lambda db: journal.tell(db, row.id, self.room.clock.now_ms()))

    def shown(self, row: OrderRow) -> str:
        """The card of an order, as the chat shows it."""
        message_id = self.room.row(row).message_id
        return "" if message_id is None else self.telegram.shown[message_id][0]


@pytest.fixture
async def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PTB_TIMEDELTA", "true")  # as the bot does
    room, telegram = new_room(tmp_path), FakeTelegram()
    sender = Sender(await connected(telegram), room.store, room.clock)
    yield Cards(room, telegram, sender, Outbox(room.store, sender, room.gateway, room.clock))
    await room.close()


async def test_step_draws_a_new_card_and_remembers_its_message(cards: Cards) -> None:
    """A proposal becomes a message with buttons that work there, and nothing is left to tell."""
    row = await cards.room.propose()
    assert not await cards.outbox.step()
    assert cards.waiting() == []
    assert "BUY BTC/USDT" in cards.shown(row)
    message_id = cards.room.row(row).message_id
    assert message_id is not None
    _, confirmed = await cards.room.press(row, cards.telegram.data(message_id)[0])
    assert confirmed.state == "confirmed"


async def test_step_several_changes_of_one_order_are_one_edit(cards: Cards) -> None:
    """Placed and accepted between two steps is told once, in its latest state."""
    row = await cards.room.propose()
    await cards.outbox.step()
    cards.room.desk.send(await cards.room.confirmed(cards.room.row(row)))
    await cards.room.desk.drain()
    assert cards.waiting() == [row.id]
    before = len(cards.telegram.named("editMessageText"))
    await cards.outbox.step()
    assert len(cards.telegram.named("editMessageText")) == before + 1
    assert ("Accepted" in cards.shown(row), cards.waiting()) == (True, [])


@pytest.mark.filterwarnings("ignore::telegram.warnings.PTBDeprecationWarning")
@pytest.mark.parametrize("told_in", ["seconds", "a timedelta"])
async def test_draw_flood_control_waits_as_long_as_telegram_says(
    cards: Cards, told_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After "retry after 7" the card is not tried for seven seconds, and then drawn; in either form of the library."""
    monkeypatch.setenv("PTB_TIMEDELTA", "true" if told_in == "a timedelta" else "false")
    row = await cards.room.propose()
    cards.telegram.fail("sendMessage", 429, "Too Many Requests", retry_after=7)
    assert await cards.outbox.step()
    cards.room.clock.advance(6.9)
    assert await cards.outbox.step()
    assert len(cards.telegram.named("sendMessage")) == 1
    cards.room.clock.advance(0.1)
    assert not await cards.outbox.step()
    assert "BUY BTC/USDT" in cards.shown(row)


async def test_draw_failure_is_kept_and_tried_at_growing_intervals(cards: Cards) -> None:
    """While Telegram is in trouble the card waits: 1, 2, 5, 15, 30 and again 30 seconds."""
    row = await cards.room.propose()
    for _ in range(6):
        cards.telegram.fail("sendMessage", 502)
    waits = []
    for _ in range(7):
        tries = len(cards.telegram.named("sendMessage"))
        waited = 0
        while len(cards.telegram.named("sendMessage")) == tries:
            await cards.outbox.step()
            cards.room.clock.advance(1)
            waited += 1
        waits.append(waited - 1)
    assert waits == [0, 0, 1, 4, 14, 29, 29]
    assert (cards.waiting(), "BUY BTC/USDT" in cards.shown(row)) == ([], True)


async def test_draw_owner_who_blocked_the_bot_is_told_when_they_come_back(cards: Cards) -> None:
    """Forbidden ends the telling, also after other failures; the result is kept until the chat lets the bot in."""
    row = await cards.room.propose()
    cards.telegram.fail("sendMessage", 502)
    cards.telegram.fail("sendMessage", 403, "Forbidden: bot was blocked by the user")
    await cards.outbox.step()
    cards.room.clock.advance(5)
    assert not await cards.outbox.step()
    cards.room.clock.advance(3600)
    assert not await cards.outbox.step()
    assert (len(cards.telegram.named("sendMessage")), cards.waiting()) == (2, [row.id])
    await cards.sender.send(say("Welcome back"), chat_id=CHAT, user_id=ANN)
    assert not await cards.outbox.step()
    assert ("BUY BTC/USDT" in cards.shown(row), cards.waiting()) == (True, [])


async def test_draw_card_that_vanished_is_sent_anew(cards: Cards) -> None:
    """When the person deleted the card, the order gets a new one and keeps it."""
    row = await cards.room.propose()
    await cards.outbox.step()
    first = cards.room.row(row).message_id
    cards.tell(row)
    cards.telegram.fail("editMessageText", 400, "Bad Request: message to edit not found")
    await cards.outbox.step()
    second = cards.room.row(row).message_id
    assert (first != second, cards.waiting()) == (True, [])


async def test_draw_change_during_the_edit_is_drawn_afterwards(cards: Cards) -> None:
    """What is committed while Telegram is being told is not struck out with it, and is told next."""
    row = await cards.room.propose()
    cards.telegram.gate = asyncio.Event()
    cards.telegram.arrived.clear()
    drawing = asyncio.create_task(cards.outbox.step())
    await cards.telegram.arrived.wait()
    cards.room.store.transact(lambda db: journal.end(db, row.id, "expired", "Too late.", cards.room.clock.now_ms()))
    cards.telegram.gate.set()
    assert not await drawing
    assert ["Too late." in text for text in cards.telegram.texts()] == [False, True]
    assert ("Too late." in cards.shown(row), cards.waiting()) == (True, [])


async def test_draw_two_orders_of_one_card_end_with_the_newer(cards: Cards) -> None:
    """A preview that takes over a card is what the card shows, even if the old one was just being drawn."""
    first = await cards.room.propose(price="58000")
    await cards.outbox.step()
    message_id = cards.room.row(first).message_id
    cards.tell(first)
    cards.telegram.gate = asyncio.Event()
    cards.telegram.arrived.clear()
    drawing = asyncio.create_task(cards.outbox.step())
    await asyncio.wait_for(cards.telegram.arrived.wait(), 5)
    second = await cards.room.propose(price="57000", message_id=message_id)
    slow, cards.telegram.gate = cards.telegram.gate, None  # Telegram is slow with the old card alone
    drawn = asyncio.create_task(cards.outbox.draw(second.id))
    for _ in range(20):  # more turns of the database than a draw takes
        await cards.room.store.run(lambda _: None)
    slow.set()
    await asyncio.gather(drawing, drawn)
    assert (cards.room.row(first).message_id, cards.room.row(second).message_id) == (None, message_id)
    assert "57,000.00" in cards.shown(second)
    assert cards.waiting() == []
    await cards.outbox.step()
    assert "57,000.00" in cards.shown(second)


async def test_step_card_that_cannot_be_drawn_stops_no_other(
    cards: Cards, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake in the code that draws is logged, tried again with pauses, and holds up no other order."""
    bad, good = await cards.room.propose(), await cards.room.propose(side="sell", price="62000")

    def broken(row: OrderRow, **names: str) -> Any:
        if row.id == bad.id:
            raise ZeroDivisionError
        return card(row, **names)

    monkeypatch.setattr("bot.chat.notes.card", broken)
    assert await cards.outbox.step()
    assert (cards.waiting(), "SELL" in cards.shown(good)) == ([bad.id], True)
    await cards.outbox.step()
    assert [record.exc_info is not None for record in caplog.records] == [True]  # the pause has not passed yet
    monkeypatch.setattr("bot.chat.notes.card", card)
    cards.room.clock.advance(1)
    assert not await cards.outbox.step()
    assert "BUY" in cards.shown(bad)


async def test_run_wakes_when_told(cards: Cards) -> None:
    """The loop sleeps while there is nothing to tell, and draws as soon as there is."""
    cards.telegram.arrived.clear()
    running = asyncio.create_task(cards.outbox.run())
    await asyncio.sleep(0)
    row = await cards.room.propose()
    cards.outbox.told()
    await asyncio.wait_for(cards.telegram.arrived.wait(), 5)
    running.cancel()
    await asyncio.wait([running])
    assert "BUY BTC/USDT" in cards.telegram.texts()[0]
    assert row.state == "proposed"


async def test_draw_group_that_became_a_supergroup_is_followed(cards: Cards) -> None:
    """Rows and order go to the new chat, and the card is sent anew there."""
    row = await cards.room.propose()
    await cards.outbox.step()
    cards.tell(row)
    cards.telegram.fail("editMessageText", 400, "Bad Request: group chat was upgraded", migrate_to_chat_id=-100_500)
    assert not await cards.outbox.step()
    sent = cards.telegram.named("sendMessage")[-1]
    now = cards.room.row(row)
    assert (sent["chat_id"], now.chat_id, cards.waiting()) == (-100_500, -100_500, [])
    assert "BUY BTC/USDT" in cards.shown(row)


async def test_draw_told_but_not_stored_is_not_told_again(cards: Cards, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk is full, what Telegram took is struck out as soon as that works, and not sent a second time."""
    row = await cards.room.propose()
    told, failures = notices.told, [1, 2, 3]

    def full(db: Connection, notice_id: int) -> None:
        if failures:
            failures.pop()
            raise sqlite3.OperationalError("database or disk is full")
        told(db, notice_id)

    monkeypatch.setattr(notices, "told", full)
    assert not await cards.outbox.step()
    assert (len(cards.telegram.named("sendMessage")), cards.waiting(), failures) == (1, [], [])
    assert cards.room.row(row).message_id is not None


async def test_reply_to_a_chat_that_is_held_is_kept_and_sent_later(cards: Cards) -> None:
    """An answer that meets "retry after" waits in the outbox, with its buttons, and the handler goes on."""
    cards.telegram.fail("sendMessage", 429, "Too Many Requests", retry_after=40)
    reply = say("Sure?", (Button("Yes", "yes", {"n": 1}, None, b"\x01"), Link("Look", "https://t.me/x")))
    for _ in range(2):  # the second finds the chat held already
        assert await cards.sender.send(reply, chat_id=CHAT, user_id=ANN) is None
    assert await cards.outbox.step()
    assert len(cards.telegram.named("sendMessage")) == 1
    cards.room.clock.advance(40)
    assert not await cards.outbox.step()
    assert [text for text, _ in cards.telegram.shown.values()] == ["Sure?", "Sure?"]
    message_id = next(iter(cards.telegram.shown))
    _, confirmed = await cards.room.desk.press(
        cards.telegram.data(message_id)[0], user_id=ANN, chat_id=CHAT, message_id=message_id
    )
    assert confirmed is None


async def test_run_wakes_for_a_reply_that_is_kept(cards: Cards) -> None:
    """The loop sends a kept answer without being asked by anybody else."""
    running = asyncio.create_task(cards.outbox.run())
    await asyncio.sleep(0)
    cards.telegram.fail("sendMessage", 429, "Too Many Requests", retry_after=1)
    await cards.sender.send(say("Hello"), chat_id=CHAT, user_id=ANN)
    for _ in range(200):
        if cards.telegram.shown:
            break
        await cards.room.store.run(lambda _: None)
    running.cancel()
    await asyncio.wait([running])
    assert [text for text, _ in cards.telegram.shown.values()] == ["Hello"]


async def test_finish_leaves_what_cannot_be_told(cards: Cards, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of the program a Telegram that hangs is not waited for, and the row stays."""
    monkeypatch.setattr("bot.chat.outbox._LAST_WORDS_SECONDS", 0)
    row = await cards.room.propose()
    cards.telegram.gate = asyncio.Event()
    await cards.outbox.finish()
    assert cards.waiting() == [row.id]
