"""What waited while the bot was away: nothing is run, one message tells of it, an order is offered at today's price."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.chat.late import PATIENCE_SECONDS, QUIET_SECONDS, Backlog
from tests.chat.conftest import STRANGER, VIEWER, Chat
from tests.chat.test_gate import GROUP, message, update
from tests.fakes import FakeClock
from tests.trading.conftest import ANN, BOB

TWELVE = 720


async def missed(chat: Chat, *texts: str, **fields: Any) -> list[str]:
    """Let messages of the last minutes come in at once, a minute apart; return what the bot says."""
    before = len(chat.telegram.texts())
    ages = range(TWELVE, TWELVE - 60 * len(texts), -60)
    await chat.arrive([chat.written(text, age_seconds=age, **fields) for text, age in zip(texts, ages, strict=True)])
    return chat.telegram.texts()[before:]


def keys(chat: Chat) -> dict[str, str]:
    """The newest message's buttons: label to data."""
    _, rows = chat.telegram.shown[max(chat.telegram.shown)]
    return {key["text"]: key["callback_data"] for row in rows for key in row}


def orders(chat: Chat) -> list[str]:
    return [row["state"] for row in chat.room.sql("SELECT state FROM orders ORDER BY id")]


async def test_late_order_is_offered_at_the_new_price_and_leads_to_a_preview(real: Chat) -> None:
    """Yes turns the offer into a fresh preview; only that one's Confirm sends."""
    assert await missed(real, "/buy BTC/USDT 0.5") == [
        "I was away. You asked 12 min ago: /buy BTC/USDT 0.5\nIt was not run.\nBTC/USDT is now 60,000.00.\n"
        "Do you still want it?"
    ]
    assert (orders(real), list(keys(real))) == ([], ["Yes, at the new price", "No"])
    message_id = max(real.telegram.shown)
    await real.press(keys(real)["Yes, at the new price"], message_id)
    assert (orders(real), real.room.exchange.placing) == (["proposed"], [])
    assert "BUY BTC/USDT" in real.telegram.shown[message_id][0]
    assert await real.press(keys(real)["✅ Confirm"], message_id) == ["Sending #1…"]
    await real.room.desk.drain()
    assert len(real.room.exchange.placing) == 1


async def test_late_order_tells_the_price_of_the_last_order_of_the_pair(real: Chat) -> None:
    """A person sees how far the price went since they last looked."""
    await real.room.placed(pair="BTC/USDT")
    real.room.exchange.last = "57000"
    [told] = await missed(real, "/sell BTC/USDT 0.5 @ 61000")
    assert "BTC/USDT was 60,000.00 at your last order, now 57,000.00." in told
    assert list(keys(real)) == ["Yes, show it", "No"]


async def test_late_order_refused_by_no_does_nothing(real: Chat) -> None:
    """No takes the buttons away."""
    await missed(real, "/buy BTC/USDT 0.5")
    message_id = max(real.telegram.shown)
    await real.press(keys(real)["No"], message_id)
    assert (real.telegram.shown[message_id], orders(real)) == (("Nothing was done.", []), [])


async def test_late_panic_halts_all_the_same(real: Chat) -> None:
    """It changes something, but it only takes a risk away."""
    told = await missed(real, "/panic")
    assert "Trading is halted" in told[0]
    assert [tuple(row) for row in real.room.sql("SELECT user_id FROM halts")] == [(ANN,)]


async def test_late_order_is_offered_although_its_price_is_not_known(real: Chat) -> None:
    """An exchange that does not answer takes nothing away but the price."""
    real.room.exchange.broken["/ticker"] = "error"
    assert "is now" not in (await missed(real, "/buy BTC/USDT 0.5"))[0]
    assert list(keys(real)) == ["Yes, at the new price", "No"]


async def test_late_order_that_cannot_be_read_says_so(real: Chat) -> None:
    """There is no button to an order that nobody understands."""
    [told] = await missed(real, "/buy BTC/USDT 5,000")
    assert told.startswith("I was away. You asked 12 min ago: /buy BTC/USDT 5,000\nIt was not run.\n")
    assert keys(real) == {}


async def test_several_late_commands_make_one_message_with_the_last_that_trade(real: Chat) -> None:
    """Everything is listed, the last three that trade can be asked for, and the message stays for the others."""
    await real.room.placed()
    [told] = await missed(
        real, "/buy BTC/USDT 0.1", "/connect acme canary", "/buy BTC/USDT 0.2", "/balance", "/sell ETH/USDT 0.3",
        "/cancel 1", "hello",
    )  # fmt: skip
    assert told == (
        "I was away. Nothing of this was run:\n"
        "12 min ago: /buy BTC/USDT 0.1\n"
        "11 min ago: /connect\n"
        "10 min ago: /buy BTC/USDT 0.2 · BTC/USDT was 60,000.00 at your last order, now 60,000.00.\n"
        "9 min ago: /balance\n"
        "8 min ago: /sell ETH/USDT 0.3 · ETH/USDT is now 60,000.00.\n"
        "7 min ago: /cancel 1\n"
        "Press what you still want: each order gets a fresh preview. Send the rest again."
    )
    assert list(keys(real)) == ["/buy BTC/USDT 0.2", "/sell ETH/USDT 0.3", "/cancel 1", "Nothing of it"]
    message_id = max(real.telegram.shown)
    offered = keys(real)
    await real.press(offered["/sell ETH/USDT 0.3"], message_id)
    assert real.telegram.shown[message_id][0] == told
    await real.press(offered["/cancel 1"], message_id)
    await real.room.desk.drain()
    assert [each.state for each in real.room.exchange.orders] == ["canceled"]
    assert [row["side"] for row in real.room.sql("SELECT side FROM orders WHERE state='proposed'")] == ["sell"]


async def test_late_question_alone_is_answered(real: Chat) -> None:
    """Whoever only asked for something gets the answer of now."""
    assert (await missed(real, "/price BTC/USDT"))[0].startswith("BTC/USDT")


@pytest.mark.parametrize("text", ["/paper on", "/keys", "hello", "/nothing"])
async def test_late_message_that_may_not_be_answered_is_told(real: Chat, text: str) -> None:
    """What changes something, and what is no command, is not run; its sender is told."""
    [told] = await missed(real, text)
    assert told.startswith("I was away.")
    assert real.room.sql("SELECT paper FROM accounts")[0]["paper"] == 0


async def test_long_backlog_is_one_message_that_fits(real: Chat) -> None:
    """Of many commands the last ten are listed, and the others counted."""
    await real.arrive([real.written("/buy BTC/USDT 0.1", age_seconds=TWELVE - each) for each in range(200)])
    [told] = real.telegram.texts()
    assert ("190 older commands" in told, told.count("/buy")) == (True, 10)


async def test_late_commands_of_several_people_make_one_message_each(real: Chat) -> None:
    """A person reads of their own commands only; strangers get their line, groups nothing."""
    updates = [
        real.written("/buy BTC/USDT 0.1", user_id=user_id, age_seconds=TWELVE - number, **fields)
        for number in range(3)
        for user_id, fields in (
            (ANN, {}),
            (BOB, {}),
            (VIEWER, {}),
            (STRANGER, {}),
            (ANN, {"chat_id": GROUP, "kind": "supergroup"}),
        )
    ]
    await real.arrive(updates)
    sent = sorted((each["chat_id"], each["text"].partition(".")[0]) for each in real.telegram.named("sendMessage"))
    assert sent == [
        (STRANGER, "This is a private bot"), (ANN, "I was away"), (BOB, "I was away"), (VIEWER, "I was away")
    ]  # fmt: skip
    assert orders(real) == []


async def test_late_command_that_was_taken_in_twice_is_offered_once(real: Chat) -> None:
    """A redelivered message is no second one; a crash before the offer went out brings it back."""
    sent = real.written("/buy BTC/USDT 0.5", age_seconds=TWELVE)
    await real.take([sent])
    real.restart()
    [back] = await real.inbox.waiting(real.services.sender.bot)
    assert await real.take([sent]) == []
    await real.dispatcher.handle(back)
    assert (len(real.telegram.texts()), await real.inbox.waiting(real.services.sender.bot)) == (1, [])


async def test_late_key_is_deleted(real: Chat) -> None:
    """A key that was pasted while the bot was away does not stay in the chat, and is not shown."""
    [told] = await missed(real, "abcdef0123456789abcdef")
    assert ("I deleted it" in told, "abcdef0123" in told) == (True, False)
    assert len(real.telegram.named("deleteMessage")) == 1


async def test_late_answer_to_the_key_wizard_is_deleted_and_asked_for_again(real: Chat) -> None:
    """An answer without the looks of a key goes too, when a key was asked for; the wizard waits on."""
    await real.say("/connect acme other")
    [told] = await missed(real, "hunter")
    assert ("came too late, so I deleted it" in told, "hunter" in told) == (True, False)
    assert real.services.dialogs.is_open(ANN, ANN)


async def test_message_that_grows_late_while_it_is_looked_at_is_told(chat: Chat, monkeypatch: Any) -> None:
    """The second that passes between two looks at the clock loses no command."""
    admission = chat.dispatcher._admission
    role = admission.role

    def slow(user_id: int) -> Any:
        chat.room.clock.advance(2)
        return role(user_id)

    monkeypatch.setattr(admission, "role", slow)
    assert (await chat.say("/note", age_seconds=29))[0].startswith("I was away")
    assert chat.ran == []


async def test_backlog_is_over_when_nothing_came_for_two_seconds() -> None:
    """Only the first gets it, whole; what dribbles in without end is cut after a minute."""
    clock = FakeClock()
    backlog = Backlog(clock)
    sent = [update(message=message(f"/{number}")) for number in range(3)]

    async def dribble(seconds: float, until: float) -> list[Any]:
        got = []
        while clock.monotonic() < until:
            await clock.sleep(seconds)
            got += await backlog.gather(sent[1], ANN)
        return got

    first, others = await asyncio.gather(backlog.gather(sent[0], ANN), dribble(1.0, 5.0))
    assert ([len(each) for each in first], others, clock.monotonic()) == ([6], [], 5.0 + QUIET_SECONDS)
    began = clock.monotonic()
    task = asyncio.create_task(dribble(1.5, began + 2 * PATIENCE_SECONDS))
    assert len(await backlog.gather(sent[2], BOB)) == 2
    assert PATIENCE_SECONDS <= clock.monotonic() - began <= PATIENCE_SECONDS + QUIET_SECONDS
    task.cancel()
