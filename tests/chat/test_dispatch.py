"""From an update to what handles it: how many of one chat, and which need not wait for the disk."""

from __future__ import annotations

from bot.chat.presses import TOASTS
from bot.chat.refusals import TOO_MANY_PRESSES, TOO_MUCH
from bot.trading.confirm import Button
from tests.chat.conftest import STRANGER, Chat
from tests.chat.test_gate import message, update
from tests.trading.conftest import ANN, BOB


async def test_flood_of_one_chat_is_refused_once_and_others_are_served(chat: Chat) -> None:
    """Of a hundred messages at once 21 are run, one answer tells of the rest, and nothing of it comes back later."""
    flood = [chat.written(f"/note {number}") for number in range(100)]
    await chat.arrive([*flood, chat.written("/note", user_id=BOB)])
    told = [each["text"] for each in chat.telegram.named("sendMessage") if each["chat_id"] == ANN]
    assert sorted(told) == sorted(["noted"] * 21 + [TOO_MUCH])
    assert [user for user, *_ in chat.ran].count(BOB) == 1
    assert await chat.inbox.waiting(chat.services.sender.bot) == []


async def test_flood_of_presses_answers_every_one(chat: Chat) -> None:
    """No press is left without an answer; the button works once."""
    message_id, [data] = await chat.show(Button("x", "note"))
    await chat.arrive([chat.pressed(data, message_id) for _ in range(100)])
    answers = [each["text"] for each in chat.telegram.named("answerCallbackQuery")]
    assert {answer: answers.count(answer) for answer in answers} == {
        "Noting": 1, TOASTS["used"]: 20, TOO_MANY_PRESSES: 79
    }  # fmt: skip
    assert len(chat.ran) == 1


async def test_flood_of_a_stranger_is_not_answered(chat: Chat) -> None:
    """Strangers get their one line."""
    await chat.arrive([chat.written("/note", user_id=STRANGER) for _ in range(50)])
    assert len(chat.telegram.texts()) == 1


async def test_update_may_begin_before_it_is_stored_when_it_has_no_effect(real: Chat) -> None:
    """A command that only looks, and a press, which its button makes happen once. All else waits for the disk."""
    looks = ("/help", "/price BTC", "/PRICE@tradewire_bot BTC", "/start", "/start ask_balance")
    others = ("/buy BTC $5", "/start inv_x", "/start sig_1", "/start ask_trade", "/unknown", "/price@other BTC", "text")
    written = {text: real.dispatcher.may_begin(real.written(text)) for text in (*looks, *others)}
    assert written == dict.fromkeys(looks, True) | dict.fromkeys(others, False)
    bot = real.services.sender.bot
    odd = [real.written("/help", age_seconds=31), real.written(None), update(bot, edited_message=message("/help"))]  # type: ignore[arg-type]
    assert [real.dispatcher.may_begin(each) for each in odd] == [False] * 3
    assert real.dispatcher.may_begin(real.pressed("x", 1))
