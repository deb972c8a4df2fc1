"""A group from allowing it to its move, end to end: what it is shown, and that it survives what befalls groups."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.local import groups
from bot.local.telegram import LocalTelegram
from tests.e2e.conftest import ANN, Desk, neighbours

pytestmark = pytest.mark.network

BOB = 1002
GROUP, SUPERGROUP = -501, -1_000_000_000_501
FILL = "🟢 @ann bought BTC/USDT"


@pytest.fixture
async def club(tmp_path: Path) -> AsyncIterator[Desk]:
    """A running bot in a group of Ann, who owns the bot and administrates the group, and Bob, a stranger."""
    async with neighbours(tmp_path) as desk:
        desk.telegram.add_person(BOB, "Bob", "bob")
        desk.telegram.add_group(GROUP, "Traders", [ANN, BOB], admins=[ANN]).kind = "group"
        await desk.start()
        await desk.connect()
        yield desk
        await desk.end()


async def seen(desk: Desk, text: str, chat_id: int = GROUP, times: int = 1) -> Any:
    """Wait until the bot said it so often in the group; return the newest of these messages."""

    def look(telegram: LocalTelegram) -> Any:
        found = [each for each in telegram.messages(chat_id) if each.sender.is_bot and text in each.text]
        return found[-1] if len(found) >= times else None

    return await desk.telegram.wait(look, 10)


async def set_up(desk: Desk, chat_id: int = GROUP) -> None:
    """Let the group be posted to, and Ann's fills be shown there."""
    desk.telegram.say(ANN, chat_id, "/group allow")
    card = await seen(desk, "Your own fills: not shown.", chat_id)
    assert card.text.startswith("Traders\n")
    desk.telegram.press(ANN, chat_id, card.id, "Show my fills here")
    await seen(desk, "Your own fills: shown without amounts and prices.", chat_id)


async def buy(desk: Desk) -> None:
    await desk.preview("/buy btcusdt $60")
    desk.press("Confirm")


async def test_group_shows_a_fill_in_its_topic_and_nothing_else_of_it(tmp_path: Path) -> None:
    """Asked, allowed, routed, opted in: the fill's line appears in the topic; size and price stay in private."""
    async with neighbours(tmp_path) as desk:
        desk.telegram.add_person(BOB, "Bob", "bob")
        desk.telegram.add_group(SUPERGROUP, "Traders", [ANN, BOB], admins=[ANN])
        topic = groups.add_topic(desk.telegram, SUPERGROUP, "Fills")
        await desk.start()
        await desk.connect()
        desk.telegram.say(ANN, SUPERGROUP, "/group")
        await seen(desk, f"id {SUPERGROUP}", SUPERGROUP)
        await set_up(desk, SUPERGROUP)
        desk.telegram.say(ANN, SUPERGROUP, "/route fills here", thread_id=topic)
        assert (await seen(desk, "Fills are posted here", SUPERGROUP)).thread_id == topic
        await buy(desk)
        told = await seen(desk, FILL, SUPERGROUP)
        assert (told.text, told.thread_id, told.is_silent) == (FILL, topic, False)
        await desk.end()


async def test_group_refuses_who_cannot_be_held_to_it(club: Desk) -> None:
    """An anonymous administrator hears why; a channel and a stranger hear nothing; nothing changes."""
    await set_up(club)
    before = len(club.telegram.messages(GROUP))
    groups.say_as_channel(club.telegram, GROUP, "/mute 8h")
    club.telegram.say(BOB, GROUP, "/mute 8h")
    groups.say_anonymously(club.telegram, GROUP, "/mute 8h")
    await seen(club, "You write as an anonymous administrator")
    answers = [each for each in club.telegram.messages(GROUP)[before:] if each.sender.is_bot and not each.sender_chat]
    assert len(answers) == 1
    await buy(club)
    await seen(club, FILL)


@pytest.mark.parametrize("tells", [True, False], ids=["told", "missed"])
async def test_group_that_becomes_a_supergroup_goes_on_there(club: Desk, tells: bool) -> None:
    """With the news or without it, the next fill is shown in the supergroup, and the set-up is known there."""
    await set_up(club)
    groups.upgrade(club.telegram, GROUP, SUPERGROUP, ANN, tells=tells)
    await buy(club)
    await seen(club, FILL, SUPERGROUP)
    club.telegram.say(ANN, SUPERGROUP, "/group")
    await seen(club, "Your own fills: shown without amounts and prices.", SUPERGROUP)


async def test_group_that_removes_the_bot_and_takes_it_back_is_as_it_was(club: Desk) -> None:
    """While it is away fills are told in private alone; after a kill and its return they are shown again."""
    await set_up(club)
    groups.remove_bot(club.telegram, GROUP, ANN)
    await buy(club)
    await club.see("Filled")
    await club.kill()
    await club.start()
    groups.add_bot(club.telegram, GROUP, ANN)
    club.telegram.say(ANN, GROUP, "/group")
    await seen(club, "Your own fills: shown without amounts and prices.", times=2)
    await buy(club)
    await seen(club, FILL)
    assert [each.text for each in club.telegram.messages(GROUP)].count(FILL) == 1


async def test_balance_asked_in_a_group_is_answered_in_private(club: Desk) -> None:
    """The group gets a button, and the button's link gets the balance."""
    club.telegram.say(ANN, GROUP, "/balance")
    told = await seen(club, "I answer that in our private chat only.")
    [[key]] = told.keyboard
    assert key["url"] == "https://t.me/tradewire_bot?start=ask_balance"
    club.say("/start ask_balance")
    await club.see("USDT", "1,000")
    assert not [each for each in club.telegram.messages(GROUP) if "1,000" in each.text]
