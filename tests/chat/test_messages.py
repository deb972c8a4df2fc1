"""From a message to its command: who is answered, what is run, and what an open question takes."""

from __future__ import annotations

import pytest

from bot.chat.inbox import Inbox
from tests.chat.conftest import OWNER, SECRET, STRANGER, VIEWER, Chat
from tests.chat.test_gate import GROUP, message, update
from tests.trading.conftest import ANN


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("/note", ""),
        ("/NOTE  a  b ", "a  b"),
        ("/note\na\nb", "a\nb"),
        ("/note@tradewire_bot a", "a"),
        ("/note@Tradewire_Bot\na", "a"),
        ("/note\ta", "a"),
    ],
)
async def test_command_is_run_with_what_follows_it(chat: Chat, text: str, args: str) -> None:
    """Case, our own name and any kind of blank make no difference."""
    assert await chat.say(text) == ["noted"]
    assert chat.ran == [(ANN, args, {})]


@pytest.mark.parametrize("kind", ["private", "supergroup"])
async def test_command_for_another_bot_is_none_of_ours(chat: Chat, kind: str) -> None:
    """/note@other is neither run nor answered."""
    assert await chat.say("/note@other a", kind=kind) == []
    assert chat.ran == []


async def test_command_unknown_is_answered_in_private_only(chat: Chat) -> None:
    """A typo gets a hint in the private chat; in a group it may be meant for another bot."""
    assert await chat.say("/nnote BTC") == ["There is no command /nnote. Did you mean /note? /help lists them all."]
    assert await chat.say("/weather") == ["There is no command /weather. /help lists them all."]
    assert await chat.say("/nnote BTC", chat_id=GROUP, kind="supergroup") == []


async def test_plain_text_gets_a_hint_in_private_only(chat: Chat) -> None:
    """Talk in a group is not answered."""
    assert (await chat.say("hello"))[0].startswith("Commands begin with a slash")
    assert await chat.say("hello", chat_id=GROUP, kind="group") == []


async def test_command_without_the_role_is_refused(chat: Chat) -> None:
    """A viewer may not trade, a trader may not administer; nothing is run and the answer says so."""
    told = ["You may not do that. Ask the operator if you should."]
    assert await chat.say("/trade", user_id=VIEWER) == told
    assert await chat.say("/admin", user_id=ANN) == told
    assert chat.ran == []
    assert await chat.say("/admin", user_id=OWNER) == ["noted"]


async def test_command_of_the_private_chat_is_refused_in_a_group(chat: Chat) -> None:
    """The answer in the group offers the way to the private chat."""
    told = await chat.say("/trade", chat_id=GROUP, kind="supergroup")
    assert told == ["I answer that in our private chat only."]
    [(_, keys)] = [each for each in chat.telegram.shown.values() if each[0] in told]
    assert keys == [[{"text": "Open the private chat", "url": "https://t.me/Tradewire_bot"}]]
    assert chat.ran == []


async def test_forged_senders_and_edits_do_nothing_at_all(chat: Chat) -> None:
    """No handler runs and no answer is sent, also for an id that may trade."""
    origin = {"type": "user", "date": 1, "sender_user": {"id": 5, "is_bot": False, "first_name": "E"}}
    assert await chat.say("/trade", forward_origin=origin) == []
    assert await chat.say("/trade", sender_chat={"id": -9, "type": "channel", "title": "x"}) == []
    await chat.dispatcher.handle(update(chat.services.sender.bot, edited_message=message("/trade")))
    assert (chat.ran, chat.telegram.texts()) == ([], [])


async def test_stranger_is_answered_once_a_day(chat: Chat) -> None:
    """The first message is answered with the id; the next answer comes a day later."""
    line = f"This is a private bot. Your Telegram id is {STRANGER}; its operator can let you in."
    assert await chat.say("/note", user_id=STRANGER) == [line]
    chat.room.clock.advance(86_399)
    assert await chat.say("/start", user_id=STRANGER) == []
    chat.room.clock.advance(1)
    assert await chat.say("hello", user_id=STRANGER) == [line]
    assert await chat.say("/note", user_id=STRANGER, chat_id=GROUP, kind="group") == []
    assert chat.ran == []


async def test_strangers_get_twenty_answers_a_minute_in_all(chat: Chat) -> None:
    """A crowd cannot use up what Telegram lets the bot send."""
    answers = [await chat.say("/start", user_id=10_000 + number) for number in range(30)]
    assert [bool(each) for each in answers] == [True] * 20 + [False] * 10
    chat.room.clock.advance(60)
    assert await chat.say("/start", user_id=20_000)


async def test_blocked_person_is_a_stranger(chat: Chat) -> None:
    """Somebody who was blocked learns nothing that a stranger would not."""
    assert (await chat.say("/note", user_id=1004))[0].startswith("This is a private bot.")
    assert await chat.say("/note", user_id=1004) == []


async def test_message_from_the_future_is_not_run(chat: Chat) -> None:
    """A wrong clock here would let old commands through, so it stops them all."""
    assert (await chat.say("/note", age_seconds=-60))[0].startswith("Trading is halted: this server's clock is wrong")
    assert chat.ran == []


async def test_handler_crash_gives_a_number_and_none_of_its_words(chat: Chat, caplog: pytest.LogCaptureFixture) -> None:
    """The person gets a number that is in the log with the traceback; the exception's text stays out of the chat."""
    [told] = await chat.say("/crash")
    reference = told.removesuffix(".").rpartition(" ")[2]
    assert told == f"Something went wrong inside the bot. Tell the operator this number: {reference}."
    [record] = caplog.records
    assert record.getMessage() == f"incident {reference}"
    assert record.exc_info is not None
    assert SECRET in str(record.exc_info[1])


async def test_handler_refusal_is_told_with_its_code(chat: Chat) -> None:
    """A `UserError` was written for the person; an exchange's failure is told by cause and remedy only."""
    assert await chat.say("/refuse") == ["✖ Not done · MIN_NOTIONAL\nToo small."]
    assert await chat.say("/fail") == ["✖ Not done\nAcme did not answer. Try again."]


async def test_handler_without_a_reply_sends_nothing(chat: Chat) -> None:
    """A card is drawn by the outbox; the dispatcher adds nothing to it."""
    assert (await chat.say("/silent"), chat.ran) == ([], ["silent"])


async def test_answer_that_does_not_arrive_is_not_run_again(chat: Chat) -> None:
    """A command whose answer Telegram did not take was handled all the same."""
    inbox = Inbox(chat.room.store, chat.room.clock)
    sent = update(chat.services.sender.bot, message=message("/note"))
    await inbox.take([sent.to_dict()], chat.services.sender.bot)
    chat.telegram.fail("sendMessage", 502)
    await chat.dispatcher.handle(sent)
    assert (await inbox.waiting(chat.services.sender.bot), len(chat.ran)) == ([], 1)


async def test_question_takes_the_next_plain_message(chat: Chat) -> None:
    """The answer gets text and message number, once."""
    got: list[tuple[str, int]] = []

    async def answer(text: str, message_id: int) -> None:
        got.append((text, message_id))

    chat.services.dialogs.ask(ANN, ANN, answer)
    assert await chat.say("the answer", message_id=70) == []
    await chat.say("more", message_id=71)
    assert got == [("the answer", 70)]


async def test_question_takes_a_secret_that_begins_with_a_slash(chat: Chat) -> None:
    """A key in base64 may look like a command; it is not echoed as an unknown one."""
    got: list[str] = []

    async def answer(text: str, message_id: int) -> None:
        got.append(text)

    chat.services.dialogs.ask(ANN, ANN, answer)
    assert await chat.say("/aSecretKey") == []
    assert got == ["/aSecretKey"]


async def test_question_is_dropped_by_a_command(chat: Chat) -> None:
    """Whoever does something else meanwhile is not asked any more."""

    async def answer(text: str, message_id: int) -> None:
        chat.ran.append("answered")

    chat.services.dialogs.ask(ANN, ANN, answer)
    await chat.say("/silent")
    await chat.say("plain")
    assert chat.ran == ["silent"]


async def test_question_crash_gives_a_number(chat: Chat) -> None:
    """An error in an answer is told like one in a command."""

    async def answer(text: str, message_id: int) -> None:
        raise ZeroDivisionError(SECRET)

    chat.services.dialogs.ask(ANN, ANN, answer)
    [told] = await chat.say("x")
    assert "Tell the operator this number" in told


@pytest.mark.parametrize("end", ["/cancel", "/balance", "later"])
@pytest.mark.parametrize("text", ["hunter", "two words", "/hunter"])
async def test_plain_message_after_a_wizard_ended_is_deleted_and_not_shown(real: Chat, text: str, end: str) -> None:
    """A passphrase looks like any word; where a key was asked for lately, no word stays in the chat."""
    await real.say("/connect acme other")
    if end == "later":
        real.room.clock.advance(600)
    else:
        await real.say(end)
    assert await real.say(text) == [
        "That may be part of a key, and nothing asked for one, so I deleted it. /connect begins anew."
    ]
    assert len(real.telegram.named("deleteMessage")) == 1
    real.room.clock.advance(600)
    assert "deleted" not in (await real.say(text))[0]


async def test_plain_message_after_a_wizard_that_cannot_be_deleted_says_so(real: Chat) -> None:
    """The person has to know that it is still there."""
    await real.say("/connect acme other")
    await real.say("/cancel")
    real.telegram.fail("deleteMessage", 400)
    [told] = await real.say("hunter")
    assert "I could NOT delete it; please do, and make a new key" in told


async def test_question_of_another_kind_after_a_wizard_takes_its_answer(real: Chat) -> None:
    """What is asked for is not deleted."""
    await real.say("/connect acme other")
    await real.say("/cancel")
    await real.say("/buy BTC/USDT")
    assert "BUY BTC/USDT" in (await real.say("0.5"))[0]
    assert real.telegram.named("deleteMessage") == []
