"""Forged presses: guessed, mutated and misplaced callback data. None is accepted, each is answered."""

from __future__ import annotations

import base64
import inspect
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bot.chat.reply import say
from bot.trading import confirm
from bot.trading.confirm import PREFIX, Button, Press
from tests.chat.conftest import Chat
from tests.trading.conftest import ANN, BOB

FORGED, FORGED_NIGHTLY = 20_000, 1_000_000
DISPATCHED = 500
EACH = 100
CARD = 500
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
ODD = ("", " ", "=", "==", "\n", "\x00", "\u200b", "é", "\ud800", "'", '"', "%", "c1:", ";--", "А")


def forged(real: list[str], count: int, seed: int = 1) -> Iterator[str]:
    """Strings like those of real buttons, but for something."""
    dice = random.Random(seed)

    def guess() -> str:
        return PREFIX + base64.urlsafe_b64encode(dice.randbytes(16)).decode().rstrip("=")

    def one_character(data: str) -> str:
        at = dice.randrange(len(data))
        return data[:at] + dice.choice(ALPHABET) + data[at + 1 :]

    def odd(data: str) -> str:
        at = dice.randrange(len(data) + 1)
        return data[:at] + dice.choice(ODD) + data[at:]

    ways: list[Callable[[str], str]] = [
        lambda _: guess(),
        one_character,
        odd,
        lambda data: data[: dice.randrange(len(data))],
        lambda data: data.swapcase(),
        lambda data: data[::-1],
        lambda data: data.removeprefix(PREFIX),
        lambda data: data + dice.choice(real),
        lambda data: data[:14] + dice.choice(real)[14:],
        lambda _: f"{dice.choice(('confirm', 'force_enter__', 'c2:', 'C1:'))}{dice.randrange(100)}",
    ]
    genuine = set(real)
    made = 0
    while made < count:
        data = dice.choice(ways)(dice.choice(real))
        if data not in genuine:
            made += 1
            yield data


def accepted(chat: Chat, count: int) -> list[str]:
    """Redeem so many forged strings as the person, in the chat and under the message of a hundred live buttons."""
    buttons = [Button("x", "confirm", seconds=10**6)] * EACH
    where = {"user_id": ANN, "chat_id": ANN, "message_id": CARD, "now_ms": chat.room.clock.now_ms()}
    real = chat.room.store.transact(lambda db: confirm.mint(db, buttons, **where))

    def work(db: Any) -> list[str]:
        return [data for data in forged(real, count) if isinstance(confirm.redeem(db, data, **where), Press)]

    found = chat.room.store.transact(work)
    # What is genuine is still there, each once: the search would have found it.
    spent = chat.room.store.transact(lambda db: [confirm.redeem(db, data, **where) for data in real])
    assert [type(each) for each in spent] == [Press] * EACH
    return found


async def test_forged_data_is_never_accepted(chat: Chat) -> None:
    """Guesses and mutations of real buttons, as their own person in their own message: none works."""
    assert accepted(chat, FORGED) == []


@pytest.mark.nightly
async def test_forged_data_is_never_accepted_in_a_million(chat: Chat) -> None:
    """The same, a million times."""
    assert accepted(chat, FORGED_NIGHTLY) == []


async def test_forged_presses_are_each_answered_at_once_and_run_nothing(chat: Chat) -> None:
    """Through the dispatcher: one toast each, within a second of the bot's time, no handler and no message."""
    message_id, real = await chat.show(*[Button("x", "note", seconds=10**6)] * 8)
    before = len(chat.telegram.texts())
    for data in forged(real, DISPATCHED):
        began = chat.room.clock.monotonic()
        assert await chat.press(data, message_id) == ["This button no longer works. Send the command again."]
        assert chat.room.clock.monotonic() - began <= 1
    assert (chat.ran, len(chat.telegram.texts())) == ([], before)


TOO_LATE = "Too late: this button has expired and did nothing. Send the command again for a new one."
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "person": ({"user_id": BOB, "chat_id": ANN}, "This button belongs to someone else. Send the command yourself."),
    "chat": ({"chat_id": ANN + 1}, "This button no longer works. Send the command again."),
    "message": ({"message_id": 9_999}, "This button no longer works. Send the command again."),
    "expired": ({}, TOO_LATE),
    "used": ({}, "Pressed already: a button works once. What became of it is in this chat; of an order, in /orders."),
    "drawn anew": ({}, TOO_LATE),
}
"""Binding to the press that does not fit it, and the answer."""


async def misplaced(chat: Chat, binding: str) -> tuple[list[str], int]:
    """Press a button in a way that does not fit; return the answers and how often its handler ran by that."""
    message_id, [data] = await chat.show(Button("x", "note", {"stays": True}, seconds=60))
    if binding == "expired":
        chat.room.clock.advance(60)
    elif binding == "used":
        await chat.press(data, message_id)
    elif binding == "drawn anew":
        anew = say("Other", (Button("y", "note"),))
        await chat.services.sender.send(anew, chat_id=ANN, user_id=ANN, message_id=message_id)
    chat.ran.clear()
    return await chat.press(data, **{"message_id": message_id, **WRONG[binding][0]}), len(chat.ran)


@pytest.mark.parametrize("binding", WRONG)
async def test_misplaced_press_is_refused_every_time(chat: Chat, binding: str) -> None:
    """A hundred buttons of each kind: none works for anybody, anywhere or at any time it was not made for."""
    assert [await misplaced(chat, binding) for _ in range(EACH)] == [([WRONG[binding][1]], 0)] * EACH


@pytest.mark.parametrize(
    ("binding", "condition"),
    [
        ("person", "user_id=?"),
        ("chat", "chat_id=?"),
        ("message", "message_id=?"),
        ("expired", "expires_ms>?"),
        ("drawn anew", "expires_ms>?"),
        ("used", "used_ms IS NULL"),
    ],
)
async def test_misplaced_press_would_work_without_its_binding(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, binding: str, condition: str
) -> None:
    """Control: with one condition taken out of the UPDATE, exactly that press works."""
    source = inspect.getsource(confirm.redeem)
    always = "1=1" if condition == "used_ms IS NULL" else "? IS NOT NULL"
    assert source.count(f" AND {condition}") == 1
    space = dict(vars(confirm))
    exec(source.replace(f" AND {condition}", f" AND {always}"), space)
    monkeypatch.setattr(confirm, "redeem", space["redeem"])
    assert await misplaced(chat, binding) == (["Noting"], 1)
    others = [each for each in WRONG if each != binding and condition != "expires_ms>?"]
    assert [(await misplaced(chat, each))[1] for each in others] == [0] * len(others)
