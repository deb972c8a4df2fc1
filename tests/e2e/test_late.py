"""A bot that was away: of all that waited, nothing trades, and nobody gets more than one message."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bot.accounts import people
from bot.chat import gate, halt, polling
from bot.local.models import ApiError
from bot.store.database import Connection
from tests.chat.conftest import Chat, new_chat
from tests.chat.test_gate import message, update
from tests.e2e.conftest import ANN, Desk, neighbours

WAITING, MANY_WAITING = 1_000, 10_000
PEOPLE = range(2001, 2021)
DAY = 86_400
COMMANDS = (
    "/buy BTC/USDT 0.1", "/buy BTC/USDT 0.1 @ 58000", "/sell ETH/USDT 10%", "/buy", "/trade BTC/USDT", "/cancel all",
    "/paper on", "/balance", "/price BTC/USDT", "/connect acme x", "hello", "/nothing",
)  # fmt: skip
ORIGIN = {"type": "user", "date": 1, "sender_user": {"id": 5, "is_bot": False, "first_name": "E"}}


async def backlog(directory: Path, size: int) -> Chat:
    """Let a day's commands, expired presses, edits and forwards come in at once."""
    chat, chance = await new_chat(directory), random.Random(size)
    room, bot = chat.room, chat.services.sender.bot

    def enroll(db: Connection) -> None:
        for person in PEOPLE:
            people.ensure_user(db, person, now_ms=0)
            account = people.add_account(db, person, "acme", "main", 0)
            chat.services.vault.seal(db, account, {"key": "the-key", "secret": "the-secret"})

    room.store.transact(enroll)
    row = await room.propose()
    await chat.outbox.step()
    message_id = room.row(row).message_id
    assert message_id is not None
    confirm = chat.telegram.data(message_id)[0]
    room.clock.advance(DAY)
    await room.desk.drain()
    chat.telegram.calls.clear()
    updates = []
    for number in range(size):
        person, text, age = chance.choice(PEOPLE), chance.choice(COMMANDS), chance.uniform(31, DAY)
        match number % 10:
            case 0:
                updates.append(chat.pressed(confirm, message_id, chat_id=row.chat_id))
            case 1:
                updates.append(
                    chat.written(text, user_id=person, age_seconds=chance.choice((0, age)), forward_origin=ORIGIN)
                )
            case 2:
                edited = message(text, user_id=person, at_ms=room.clock.now_ms() - round(age * 1000), edit_date=1)
                updates.append(update(bot, **{chance.choice(("edited_message", "message")): edited}))
            case _:
                updates.append(chat.written(text, user_id=person, age_seconds=age))
    taken = [each for start in range(0, size, 100) for each in await chat.take(updates[start : start + 100])]
    await chat.handle(taken)
    return chat


def outcome(chat: Chat) -> dict[str, Any]:
    sent = Counter(each["chat_id"] for each in chat.telegram.named("sendMessage"))
    return {
        "orders": [each["state"] for each in chat.room.sql("SELECT state FROM orders WHERE id>1")],
        "placed": len(chat.room.exchange.placing),
        "paper": sum(each["paper"] for each in chat.room.sql("SELECT paper FROM accounts")),
        "messages": sorted(sent[person] for person in PEOPLE),
    }


@pytest.mark.parametrize("size", [WAITING, pytest.param(MANY_WAITING, marks=pytest.mark.nightly)])
async def test_backlog_of_a_day_places_nothing_and_is_one_message_each(tmp_path: Path, size: int) -> None:
    """Stale, edited and forwarded commands and expired presses: no order, no preview, no switch; one message each."""
    chat = await backlog(tmp_path, size)
    assert outcome(chat) == {"orders": [], "placed": 0, "paper": 0, "messages": [1] * len(PEOPLE)}
    assert await chat.inbox.waiting(chat.services.sender.bot) == []
    await chat.room.close()


async def test_backlog_without_the_age_gate_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: when nothing is too old, the same backlog makes previews and switches, and is seen."""
    monkeypatch.setattr(gate, "OLDEST_MS", 2 * DAY * 1000)
    chat = await backlog(tmp_path, 200)
    found = outcome(chat)
    assert found["orders"]
    assert found["paper"] > 0
    assert max(found["messages"]) > 1
    await chat.room.close()


@pytest.mark.network
async def test_start_after_an_hour_offers_the_order_once_and_confirm_places_it(tmp_path: Path) -> None:
    """Through Telegram and the exchange: what waited is one message, Yes is a preview, and Confirm is what sends."""
    async with neighbours(tmp_path) as desk:
        await desk.start()
        await desk.connect()
        await desk.end()
        now = desk.clock.now_ms() / 1000
        for number in range(250):
            desk.telegram.say(ANN, ANN, "/buy BTC/USDT 0.001 @ 50000", date=now - 3600 + number)
        await desk.start()
        await desk.see("I was away", "240 older commands", " min ago: /buy BTC/USDT 0.001 @ 50000")
        desk.say("/id")
        await desk.see("You: 1001")
        assert (len(_told(desk)), _rows(desk)) == (2, 0)
        offer = next(each for each in desk.telegram.messages(ANN) if "I was away" in each.text)
        desk.telegram.press(ANN, ANN, offer.id, offer.keyboard[0][0]["callback_data"])
        await desk.see("BUY BTC/USDT", "50,000.00")
        assert desk.exchange.placing_requests == 0
        desk.press("Confirm")
        await desk.see("Accepted", "Order id")
        assert desk.exchange.placing_requests == 1
        await desk.end()


@pytest.mark.network
async def test_second_program_with_the_token_halts_trading_until_it_stops(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three conflicts: the owner is told and Confirm sends nothing; when the other is gone, orders are taken again."""
    monkeypatch.setattr(polling, "_CONFLICT_SECONDS", 0.05)
    monkeypatch.setattr(halt, "_CALM_SECONDS", 10.0)
    monkeypatch.setattr(polling, "POLL_SECONDS", 1)
    await desk.preview("/buy BTC/USDT 0.001 @ 50000")

    async def other() -> None:
        while True:
            with contextlib.suppress(ApiError):  # it gets as many conflicts as it makes
                await desk.telegram.take_updates(0, 1, 0.02, None)
            await asyncio.sleep(0)

    rival = asyncio.create_task(other())
    await desk.see("Another program receives this bot's messages", within=20)
    rival.cancel()
    await asyncio.gather(rival, return_exceptions=True)
    desk.press("Confirm")
    await desk.see("Not placed", "Trading is halted: another program")
    assert desk.exchange.placing_requests == 0
    await desk.see("I take orders again", within=20)
    await desk.preview("/buy BTC/USDT 0.001 @ 50000")
    desk.press("Confirm")
    await desk.see("Accepted")
    assert desk.exchange.placing_requests == 1


@pytest.mark.network
async def test_passphrase_after_a_restart_in_the_key_wizard_is_deleted(tmp_path: Path) -> None:
    """A restart ends the wizard without a word; what is pasted next is deleted all the same."""
    async with neighbours(tmp_path) as desk:
        await desk.start()
        desk.say("/connect bitget")
        await desk.see("Now send the")
        await desk.kill()
        await desk.start()
        desk.say("hunter")
        await desk.see("may be part of a key", "I deleted it")
        assert "hunter" not in desk.texts()
        await desk.end()


def _told(desk: Desk) -> list[str]:
    return [each.text for each in desk.telegram.messages(ANN) if each.sender.id != ANN]


def _rows(desk: Desk) -> int:
    assert desk.instance is not None
    return int(desk.instance.store.transact(lambda db: db.execute("SELECT count(*) FROM orders").fetchone()[0]))
