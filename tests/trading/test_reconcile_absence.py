"""When an order that does not show is proved absent: the exchange's time, three clean looks, and nothing less."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot import Flow, OutcomeUnknown, Request, hookimpl
from tests.trading.conftest import START_MS, Acme, FakeClock, Room, new_room
from tests.trading.test_reconcile import ask, body_of, doubtful


async def test_absence_needs_three_misses_five_seconds_apart_after_window_and_five_more(room: Room) -> None:
    """The figures of the rule, to the millisecond: nothing counts too early or too close, and the third decides."""
    row, first = await doubtful(room)
    moments = (
        (first - 10_000, 0, "unknown"),
        (first - 1, 0, "unknown"),
        (first, 1, "unknown"),
        (first + 4_999, 1, "unknown"),
        (first + 5_000, 2, "unknown"),
        (first + 9_999, 2, "unknown"),
        (first + 10_000, 3, "not_placed"),
    )
    seen = []
    for at_ms, _, _ in moments:
        now = await ask(room, row, at_ms=at_ms)
        seen.append((at_ms, now.misses, now.state))
    assert tuple(seen) == moments


@pytest.mark.parametrize("error", ["error", "unreadable", "POOR", "GONE"])
async def test_absence_error_between_neither_counts_nor_resets(room: Room, error: str) -> None:
    """A question that failed is no answer, in either direction."""
    row, first = await doubtful(room)
    room.exchange.reads = [error, "fine", error, "fine", error, error]
    seen = [(await ask(room, row, at_ms=first + number * 6_000)).misses for number in range(6)]
    assert seen == [0, 1, 1, 2, 2, 2]
    assert (await ask(room, row, at_ms=first + 36_000)).state == "not_placed"


async def test_absence_slow_answer_counts_from_the_question(room: Room) -> None:
    """A question put inside the window says nothing about the end of it, however late its answer comes."""
    row, first = await doubtful(room)
    room.exchange.answering = lambda: room.clock.advance(10)
    assert (await ask(room, row, at_ms=first - 5_000)).misses == 0


async def test_absence_slow_answers_are_spaced_by_their_questions(room: Room) -> None:
    """Asked again at once after an answer, the exchange has not been given five seconds, though the answer took six."""
    row, first = await doubtful(room)
    await ask(room, row, at_ms=first)
    room.exchange.answering = lambda: room.clock.advance(6)
    assert (await ask(room, row, at_ms=first + 1_000)).misses == 1


async def test_absence_is_judged_by_the_exchanges_clock(room: Room) -> None:
    """The window ends by the exchange's time: with its clock 60 s behind ours, ours proves nothing yet."""
    clock = room.gateway.named("acme").transport.clock
    clock.learn(room.clock.now_ms() - 60_000, began_ms=room.clock.now_ms(), ended_ms=room.clock.now_ms())
    row, first = await doubtful(room)
    assert first < room.clock.now_ms()
    clock.offset_ms = -60_000
    assert [(await ask(room, row)).misses, (await ask(room, row, at_ms=first + 60_000)).misses] == [0, 1]


class Behind(Acme):
    """An exchange whose clock is 24 seconds behind ours, and which tells it when it can."""

    clock: FakeClock
    can_tell = False

    @hookimpl
    def server_time(self) -> Flow[int]:
        yield Request.get("/price", auth="none")
        if not self.can_tell:
            raise OutcomeUnknown("No time is told just now")
        return START_MS - 24_000 + round(self.clock.monotonic() * 1000)


def behind(directory: Path, *, can_tell: bool) -> Room:
    room = new_room(directory, kind=Behind)
    room.plugin.clock, room.plugin.can_tell = room.clock, can_tell
    return room


async def test_absence_is_not_proved_while_the_exchange_tells_no_time(tmp_path: Path) -> None:
    """Its clock may be behind: what was signed with ours, which is ahead, may be accepted for longer than we think."""
    room = behind(tmp_path, can_tell=False)
    row, first = await doubtful(room)
    seen = [await ask(room, row, at_ms=first + number * 6_000) for number in range(4)]
    assert [(each.state, each.misses) for each in seen] == [("unknown", 0)] * 4
    late = await ask(room, row, at_ms=(row.sent_ms or 0) + 120_000)
    assert (late.state, late.reason.partition(":")[0]) == (
        "needs_human",
        "The exchange does not show it, and does not tell its time",
    )
    await room.close()


async def test_absence_is_proved_by_the_time_that_the_exchange_told_at_last(tmp_path: Path) -> None:
    """By its clock, which is behind ours, the window ends later than ours says; then three looks count."""
    room = behind(tmp_path, can_tell=False)
    row, first = await doubtful(room)
    await ask(room, row, at_ms=first)
    room.plugin.can_tell = True
    room.gateway.named("acme").transport.clock.distrust()
    moments = ((first + 23_990, 0), (first + 24_010, 1), (first + 30_010, 2), (first + 36_010, 3))
    seen = [(at_ms, (await ask(room, row, at_ms=at_ms)).misses) for at_ms, _ in moments]
    assert (tuple(seen), room.row(row).state) == (moments, "not_placed")
    await room.close()


async def test_absence_is_not_proved_by_a_wall_clock_that_was_put_forward(tmp_path: Path) -> None:
    """An hour that did not pass is no hour for a request to arrive in, though nobody tells its time since."""
    room = behind(tmp_path, can_tell=True)
    row, _ = await doubtful(room)
    room.plugin.can_tell = False
    room.clock.wall_ms += 3_600_000
    assert (await ask(room, row)).misses == 0
    await room.close()


async def test_absence_found_after_two_misses_is_open(room: Room) -> None:
    """Until the last moment the order may turn up, and then it is simply open."""
    row, first = await doubtful(room)
    for number in range(2):
        await ask(room, row, at_ms=first + number * 6_000)
    room.exchange._take(body_of(row), 0)
    now = await ask(room, row)
    assert (now.state, now.late, now.misses) == ("open", False, 0)


async def test_absence_survives_a_restart(room: Room) -> None:
    """Misses counted before a restart are kept; a restart proves nothing by itself."""
    row, first = await doubtful(room)
    await ask(room, row, at_ms=first)
    again = room.restart()
    assert (again.row(row).misses, again.row(row).state) == (1, "unknown")
    await again.settle()
    assert again.row(row).state == "not_placed"
    await again.close()
