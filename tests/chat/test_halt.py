"""When no orders are taken: another program with our token, or a clock that cannot be right."""

from __future__ import annotations

import pytest

from bot.chat.halt import TWO_PROGRAMS, WRONG_CLOCK, Halt
from bot.trading.confirm import Button
from tests.chat.conftest import Chat
from tests.trading.conftest import ANN, FakeClock


def test_halt_third_conflict_shuts_and_calm_opens() -> None:
    """Two conflicts are a restart that overlaps; at the third no orders are taken, until none came for 30 s."""
    clock = FakeClock()
    halt = Halt(clock)
    assert [halt.conflict(), halt.conflict(), halt.reason] == [False, False, ""]
    assert [halt.conflict(), halt.conflict(), halt.reason] == [True, False, TWO_PROGRAMS]
    clock.advance(29)
    assert [halt.polled(), halt.reason] == [False, TWO_PROGRAMS]
    clock.advance(1)
    assert [halt.polled(), halt.polled(), halt.reason] == [True, False, ""]


def test_halt_conflicts_for_thirty_seconds_shut() -> None:
    """Programs that poll in turn succeed now and then; a poll between two conflicts does not start the count anew."""
    clock = FakeClock()
    halt = Halt(clock)
    assert halt.conflict() is False
    clock.advance(29)
    assert halt.polled() is False
    clock.advance(1)
    assert [halt.conflict(), halt.reason] == [True, TWO_PROGRAMS]


def test_halt_single_conflict_is_forgotten() -> None:
    """Three conflicts in a week halt nothing."""
    clock = FakeClock()
    halt = Halt(clock)
    for _ in range(5):
        assert [halt.conflict(), halt.reason] == [False, ""]
        clock.advance(30)
        assert halt.polled() is False


@pytest.mark.parametrize(("age_ms", "reason"), [(-30_001, WRONG_CLOCK), (-30_000, ""), (0, ""), (30_000, "")])
def test_halt_message_from_the_future_shuts_until_one_is_not(age_ms: int, reason: str) -> None:
    """An old message may have waited, and opens nothing; a new one with a date that fits does."""
    halt = Halt(FakeClock())
    halt.dated(age_ms)
    assert halt.reason == reason
    halt.dated(90_000)
    assert halt.reason == reason
    halt.dated(1_000)
    assert halt.reason == ""


def shut(chat: Chat) -> None:
    for _ in range(3):
        chat.halt.conflict()


async def test_halted_bot_places_nothing_and_answers_the_rest(chat: Chat) -> None:
    """Commands and buttons that lead to orders are refused with the reason; looking and canceling go on."""
    shut(chat)
    assert await chat.say("/place") == [TWO_PROGRAMS]
    assert await chat.say("/trade") == ["noted"]
    message_id, [data] = await chat.show(Button("x", "place"))
    assert await chat.press(data, message_id) == [TWO_PROGRAMS[:200]]
    message_id, [data] = await chat.show(Button("x", "trade"))
    await chat.press(data, message_id)
    assert len(chat.ran) == 2


async def test_halted_bot_ends_a_preview_that_is_confirmed(real: Chat) -> None:
    """Confirm sends nothing; the card says why."""
    row = await real.room.propose()
    await real.outbox.step()
    row = real.room.row(row)
    assert row.message_id is not None
    shut(real)
    await real.press(real.telegram.data(row.message_id)[0], row.message_id, chat_id=row.chat_id)
    await real.room.desk.drain()
    assert (real.room.row(row).state, real.room.exchange.placing) == ("not_placed", [])
    assert "another program" in real.telegram.shown[row.message_id][0]


async def test_wrong_clock_is_told_once_a_minute_and_shuts_buttons_too(chat: Chat) -> None:
    """A press has no date; while messages come from the future, no button leads to an order."""
    message_id, [data] = await chat.show(Button("x", "place"))
    answers = [await chat.say("/note", age_seconds=-60) for _ in range(3)]
    assert answers == [[WRONG_CLOCK], [], []]
    assert await chat.press(data, message_id) == [WRONG_CLOCK[:200]]
    assert chat.ran == []
    chat.room.clock.advance(60)
    assert await chat.say("/place") == ["noted"]
    assert [user for user, *_ in chat.ran] == [ANN]
