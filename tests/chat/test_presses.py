"""From a press to what its button does: every press is answered exactly once, and what is done is done once."""

from __future__ import annotations

from typing import Any

import pytest

from bot.chat.presses import TOASTS
from bot.chat.reply import say
from bot.trading.confirm import Button
from tests.chat.conftest import SECRET, STRANGER, VIEWER, Chat
from tests.chat.test_gate import GROUP
from tests.trading.conftest import ANN, BOB


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
