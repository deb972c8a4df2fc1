"""From an update to its handler: who is answered, what is run, and that every press is answered exactly once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bot import OrderReport
from bot.chat import commands
from bot.chat.dispatch import TOASTS
from bot.chat.inbox import Inbox
from bot.chat.refusals import TOO_MANY_PRESSES, TOO_MUCH
from bot.chat.reply import say
from bot.trading.confirm import Button
from tests.chat.conftest import OWNER, SECRET, STRANGER, VIEWER, Chat
from tests.chat.test_gate import GROUP, message, update
from tests.trading.conftest import ANN, BOB

# Messages


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


# Open questions


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


# Floods


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


# Presses


async def test_press_runs_its_action_with_its_payload(chat: Chat) -> None:
    """The toast is the action's, the handler gets the payload, and the answer edits the message."""
    message_id, [data] = await chat.show(Button("x", "note", {"n": 1}))
    assert await chat.press(data, message_id) == ["Noting"]
    assert chat.ran == [(ANN, "", {"n": 1})]
    assert chat.telegram.shown[message_id] == ("noted", [])


async def test_press_of_another_persons_button_does_nothing_and_leaves_it_usable(chat: Chat) -> None:
    """Bob cannot press what was made for Ann; Ann still can."""
    message_id, [data] = await chat.show(Button("x", "note"))
    assert await chat.press(data, message_id, user_id=BOB, chat_id=ANN) == [TOASTS["not yours"]]
    assert chat.ran == []
    assert await chat.press(data, message_id) == ["Noting"]


async def test_press_twice_does_it_once(chat: Chat) -> None:
    """The second press is told that it was done."""
    message_id, [data] = await chat.show(Button("x", "note"))
    await chat.press(data, message_id)
    # The handler's answer took the buttons away; a press that was on its way is too late either way.
    assert await chat.press(data, message_id) == [TOASTS["used"]]
    assert len(chat.ran) == 1


async def test_press_applies_the_rule_of_its_action(chat: Chat) -> None:
    """A button is no way around the role: one that was shown to somebody is refused if its action is not theirs."""
    message_id, [data] = await chat.show(Button("x", "admin"))
    assert await chat.press(data, message_id) == ["You may not do that. Ask the operator if you should."]
    message_id, [data] = await chat.show(Button("x", "trade"), user_id=VIEWER)
    assert await chat.press(data, message_id, user_id=VIEWER) == [
        "You may not do that. Ask the operator if you should."
    ]
    assert chat.ran == []


async def test_press_in_a_group_of_a_private_action_is_refused(chat: Chat) -> None:
    """The place counts for buttons too."""
    message_id = await chat.services.sender.send(say("Press", (Button("x", "trade"),)), chat_id=GROUP, user_id=ANN)
    [data] = chat.telegram.data(message_id)
    told = await chat.press(data, message_id, chat_id=GROUP, kind="supergroup")
    assert told == ["I answer that in our private chat only."]
    assert chat.ran == []


async def test_confirm_sends_the_order_and_says_so(chat: Chat) -> None:
    """Confirm answers at once and sends once."""
    row = await _proposed(chat)
    data = chat.telegram.data(row.message_id)[0]
    assert await chat.press(data, row.message_id, chat_id=row.chat_id) == [f"Sending #{row.id}…"]
    await chat.room.desk.drain()
    assert (chat.room.row(row).state, len(chat.room.exchange.placing)) == ("open", 1)


async def test_confirm_by_somebody_who_may_no_longer_trade_sends_nothing(chat: Chat) -> None:
    """A role that was taken away between preview and Confirm counts: the order ends, and not a byte leaves."""
    row = await _proposed(chat)
    chat.room.sql("UPDATE users SET role='viewer' WHERE id=?", ANN)
    data = chat.telegram.data(row.message_id)[0]
    told = await chat.press(data, row.message_id, chat_id=row.chat_id)
    await chat.room.desk.drain()
    assert told == ["You may not do that. Ask the operator if you should."]
    assert (chat.room.row(row).state, chat.room.exchange.placing) == ("not_placed", [])
    assert "You may not do that" in chat.telegram.shown[row.message_id][0]


async def test_action_runs_although_its_toast_did_not_arrive(chat: Chat) -> None:
    """A spent button's work is done even if Telegram did not take the answer to the press."""
    message_id, [data] = await chat.show(Button("x", "note"))
    chat.telegram.fail("answerCallbackQuery", 502)
    await chat.press(data, message_id)
    assert len(chat.ran) == 1


async def _proposed(chat: Chat) -> Any:
    row = await chat.room.propose()
    await chat.outbox.step()
    return chat.room.row(row)


GONE = {"chat": {"id": ANN, "type": "private"}, "message_id": 500, "date": 0}
PRESSES: dict[str, tuple[str, dict[str, Any]]] = {
    "right": ("note", {}),
    "forged": ("note", {"data": "c1:AAAAAAAAAAAAAAAAAAAAAA"}),
    "of another kind": ("note", {"data": "force_enter__BTC"}),
    "by another person": ("note", {"user_id": BOB, "chat_id": ANN}),
    "by a stranger": ("note", {"user_id": STRANGER, "chat_id": ANN}),
    "under another message": ("note", {"message_id": 999}),
    "under a message that is gone": ("note", {"message": GONE}),
    "under an inline message": ("note", {"message": None, "inline_message_id": "x"}),
    "of an action refused": ("admin", {}),
    "of an action that crashes": ("crash", {}),
    "of an action that fails": ("refuse", {}),
    "of an action no longer there": ("forgotten", {}),
}


@pytest.mark.parametrize("case", PRESSES)
async def test_press_is_answered_exactly_once(chat: Chat, case: str) -> None:
    """Whatever is pressed by whomever, Telegram gets one answer, and one for the second press."""
    action, change = PRESSES[case]
    message_id, [data] = await chat.show(Button("x", action))
    given = {"data": data, "message_id": message_id, **change}
    for _ in range(2):
        assert len(await chat.press(**given)) == 1
    assert len(chat.ran) == (1 if case == "right" else 0)


async def test_press_while_the_database_fails_is_answered_with_a_number(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even an error before the button was spent leaves nobody waiting."""

    async def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError(SECRET)

    message_id, [data] = await chat.show(Button("x", "note"))
    monkeypatch.setattr(chat.services.desk, "press", broken)
    [told] = await chat.press(data, message_id)
    assert "Tell the operator this number" in told
    assert SECRET not in told


async def test_press_expired_button_sends_nothing(chat: Chat) -> None:
    """Confirm counts for as long as its preview."""
    row = await _proposed(chat)
    chat.room.clock.advance(60)
    told = await chat.press(chat.telegram.data(row.message_id)[0], row.message_id, chat_id=row.chat_id)
    assert told == [TOASTS["expired"]]
    assert chat.room.exchange.placing == []


# The real commands, where they once did something else than they said


@pytest.mark.parametrize("switch", ["off", "on"])
async def test_paper_switch_ends_previews_made_before_it(real: Chat, switch: str) -> None:
    """A preview of a paper order can never become a real order, nor the other way round."""
    real.room.sql("UPDATE accounts SET paper=?", switch == "off")
    await real.say("/buy BTC/USDT 0.5 @ 58000")
    [message_id] = real.telegram.shown
    data = real.telegram.data(message_id)[0]
    await real.say(f"/paper {switch}")
    assert "Paper trading was switched. Nothing was sent." in real.telegram.shown[message_id][0]
    await real.press(data, message_id)
    await real.room.desk.drain()
    assert (real.room.exchange.placing, real.room.paper.placing) == ([], [])


async def test_paper_switch_with_an_order_under_way_is_refused(real: Chat) -> None:
    """An open order, or one in doubt, is looked after where it is; switching would lose it."""
    row = await real.room.placed("drop before")
    assert row.state == "unknown"
    [told] = await real.say("/paper on")
    assert f"Order #{row.id} of main is not finished" in told
    assert real.room.sql("SELECT paper FROM accounts")[0]["paper"] == 0


async def test_size_typed_later_keeps_the_price_typed_before(real: Chat) -> None:
    """A limit price given with the command is not lost when the size is asked for: no market order by surprise."""
    [asked] = await real.say("/buy BTC/USDT @ 58000")
    assert "How much?" in asked
    [card] = await real.say("0.5")
    assert ("limit" in card, "58,000.00" in card) == (True, True)


async def test_size_typed_later_may_bring_its_own_price(real: Chat) -> None:
    """What is typed last counts."""
    await real.say("/sell BTC/USDT @ 61000")
    [card] = await real.say("0.5 @ 62000")
    assert ("SELL" in card, "62,000.00" in card) == (True, True)


@pytest.mark.parametrize("pair", ["eth/usdt", "ETHUSDT", "eth"])
async def test_orders_of_one_pair_shows_no_other(real: Chat, pair: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order of the bot on another pair is neither listed nor taken for one that was placed elsewhere."""
    await real.room.placed(pair="BTC/USDT")
    mine = await real.room.placed(pair="ETH/USDT", price="2900")

    def report(exchange_order_id: str, symbol: str) -> OrderReport:
        return OrderReport(
            exchange_order_id=exchange_order_id, client_order_id="", exchange_symbol=symbol, side="sell",
            type="limit", state="open", filled=Decimal(0), quantity=Decimal(2), price=Decimal(70000),
        )  # fmt: skip

    async def open_orders(*_: Any) -> list[OrderReport]:
        return [report("x1", "BTCUSDT"), report("x2", "ETHUSDT"), report("y1", "BTCUSDT"), report("y2", "ETHUSDT")]

    monkeypatch.setattr(real.room.gateway, "open_orders", open_orders)
    [told] = await real.say(f"/orders {pair}")
    assert told == (
        f"Open orders\n#{mine.id} BUY ETH/USDT 0.5 @ 2,900.00 · open\nSELL ETH/USDT 2 @ 70000 · placed elsewhere · main"
    )


async def test_cancel_ends_an_open_question(real: Chat) -> None:
    """/cancel stops the key wizard, as it says it does."""
    [asked] = await real.say("/connect acme other")
    assert "/cancel stops" in asked
    assert await real.say("/cancel") == ["Forgotten. Nothing was stored."]
    assert not real.services.dialogs.is_open(ANN, ANN)


async def test_connect_paper_exchange_says_that_it_needs_no_key(real: Chat) -> None:
    """A paper twin has no credentials to ask for."""
    twin = real.room.gateway.named("acme:paper").info
    object.__setattr__(twin, "credential_fields", ())  # as a paper exchange declares; the one of this room has a key
    assert "needs no key" in (await real.say("/connect acme:paper"))[0]


@pytest.mark.parametrize("text", ["/why ²", "/order ²", "/cancel ²", "/history ²", "/orders ²", "/cancel #", "/why #"])
async def test_odd_digits_get_a_sentence(real: Chat, text: str) -> None:
    """What only looks like a number is no reason to fail."""
    [told] = await real.say(text)
    assert told.startswith("✖ Not done")


async def test_help_lists_every_command_once(real: Chat) -> None:
    """/help is made from the registry, so nothing is missing and nothing is there twice."""
    [told] = await real.say("/help")
    listed = [line.split()[0] for line in told.splitlines() if line.startswith("/") and " – " in line]
    assert sorted(listed) == sorted(f"/{name}" for name in commands.registry().commands)
