"""Questions that wait for a plain message."""

from __future__ import annotations

from bot.chat.dialogs import Dialogs
from tests.trading.conftest import ANN, BOB, CHAT, FakeClock


async def first(text: str, message_id: int) -> None:
    """An answer."""


async def second(text: str, message_id: int) -> None:
    """Another answer."""


def test_take_returns_the_newest_question_once() -> None:
    """A later question replaces an earlier one, and is answered by one message only."""
    dialogs = Dialogs(FakeClock())
    dialogs.ask(CHAT, ANN, first)
    dialogs.ask(CHAT, ANN, second)
    assert [dialogs.take(CHAT, ANN), dialogs.take(CHAT, ANN)] == [second, None]


def test_question_belongs_to_one_person_in_one_chat() -> None:
    """Neither another person in the chat nor the person in another chat can answer."""
    dialogs = Dialogs(FakeClock())
    dialogs.ask(CHAT, ANN, first)
    others = ((CHAT, BOB), (CHAT + 1, ANN))
    assert [dialogs.is_open(*key) for key in others] == [False, False]
    assert [dialogs.take(*key) for key in others] == [None, None]
    assert dialogs.take(CHAT, ANN) is first


def test_question_is_forgotten_after_ten_minutes() -> None:
    """A key pasted long after the wizard began is not taken for an answer."""
    clock = FakeClock()
    dialogs = Dialogs(clock)
    dialogs.ask(CHAT, ANN, first)
    clock.advance(599)
    assert dialogs.is_open(CHAT, ANN)
    clock.advance(1)
    assert not dialogs.is_open(CHAT, ANN)
    assert dialogs.take(CHAT, ANN) is None


def test_drop_says_whether_there_was_a_question() -> None:
    """What was dropped cannot be answered any more."""
    dialogs = Dialogs(FakeClock())
    dialogs.ask(CHAT, ANN, first)
    assert [dialogs.drop(CHAT, ANN), dialogs.drop(CHAT, ANN), dialogs.take(CHAT, ANN)] == [True, False, None]


def test_wary_for_ten_minutes_after_a_question_for_a_secret_ended() -> None:
    """However it ended: answered, dropped or forgotten, parts of the secret may still come."""
    for end in ("take", "drop", "forget"):
        clock = FakeClock()
        dialogs = Dialogs(clock)
        dialogs.ask(CHAT, ANN, first, is_secret=True)
        assert not dialogs.is_wary(CHAT, ANN)
        if end == "forget":
            clock.advance(600)
        else:
            getattr(dialogs, end)(CHAT, ANN)
        clock.advance(599)
        assert [dialogs.is_wary(CHAT, ANN), dialogs.is_wary(CHAT, BOB), dialogs.is_wary(CHAT + 1, ANN)] == [
            True,
            False,
            False,
        ]
        clock.advance(1)
        assert not dialogs.is_wary(CHAT, ANN)


def test_wary_not_after_other_questions_nor_while_one_is_open() -> None:
    """A size that is typed is no secret, and an answer that is waited for goes to who asked."""
    dialogs = Dialogs(FakeClock())
    dialogs.ask(CHAT, ANN, first)
    dialogs.drop(CHAT, ANN)
    assert not dialogs.is_wary(CHAT, ANN)
    dialogs.beware(CHAT, ANN)
    dialogs.ask(CHAT, ANN, second)
    assert not dialogs.is_wary(CHAT, ANN)
    dialogs.drop(CHAT, ANN)
    assert dialogs.is_wary(CHAT, ANN)
