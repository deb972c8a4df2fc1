"""The exchange's time: an offset, and timestamps that only rise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.exchanges.clock import ExchangeClock
from tests.fakes import START_MS, FakeClock


def measured(server_ms: int = START_MS) -> tuple[ExchangeClock, FakeClock]:
    ours = FakeClock()
    clock = ExchangeClock(ours)
    clock.learn(server_ms, began_ms=START_MS, ended_ms=START_MS)
    return clock, ours


def test_offset_is_taken_against_the_midpoint_of_the_call() -> None:
    """The exchange read its clock somewhere between our two readings; the middle is the best guess."""
    clock = ExchangeClock(FakeClock())
    assert (clock.offset_ms, clock.now_ms()) == (None, START_MS)
    clock.learn(START_MS + 5_000, began_ms=START_MS, ended_ms=START_MS + 400)
    assert (clock.offset_ms, clock.now_ms()) == (4_800, START_MS + 4_800)


@given(st.integers(-(10**7), 10**7), st.integers(0, 4_000), st.integers(0, 4_000), st.integers(-(10**6), 10**6))
def test_offset_is_wrong_by_no_more_than_half_the_round_trip(
    offset: int, there_ms: int, back_ms: int, wall_ms: int
) -> None:
    """However the time is split between the ways, the error is at most half of it."""
    ours = FakeClock()
    ours.set_wall(wall_ms)
    clock = ExchangeClock(ours)
    began = ours.now_ms()
    clock.learn(began + there_ms + offset, began_ms=began, ended_ms=began + there_ms + back_ms)
    assert clock.offset_ms is not None
    assert abs(clock.offset_ms - offset) <= (there_ms + back_ms + 1) // 2


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-200, 200)), max_size=40))
def test_timestamps_only_rise_while_time_is_put_right_by_little(steps: list[tuple[int, int]]) -> None:
    """Several within one millisecond, and small corrections of the offset, never repeat or go back."""
    clock, ours = measured()
    seen = [clock.timestamp()]
    at_ms = 0
    for passed_ms, drift in steps:
        ours.advance(passed_ms / 1000)
        at_ms += passed_ms
        clock.learn(ours.now_ms() + drift, began_ms=ours.now_ms(), ended_ms=ours.now_ms())
        seen.append(clock.timestamp())
    assert seen == sorted(set(seen))
    assert max(seen) <= ours.now_ms() + 500


@pytest.mark.parametrize(("back_ms", "expected"), [(500, 1), (501, -501), (3_600_000, -3_600_000)])
def test_timestamp_follows_a_clock_that_was_put_back(back_ms: int, expected: int) -> None:
    """A signature from the future is refused: rising on from a wrong time would be wrong for as long as it was."""
    clock, ours = measured()
    assert clock.timestamp() == START_MS
    ours.set_wall(-back_ms)
    assert clock.timestamp() == START_MS + expected


def test_offset_is_stale_until_it_was_asked_for() -> None:
    """Nothing is known at the start; resting counts as asking, also without an answer."""
    clock = ExchangeClock(FakeClock())
    assert clock.is_stale()
    clock.rest()
    assert not clock.is_stale()
    assert clock.offset_ms is None


@pytest.mark.parametrize(("seconds", "is_stale"), [(30, False), (31, True)])
def test_offset_without_an_answer_is_asked_for_again_after_half_a_minute(seconds: int, is_stale: bool) -> None:
    """An exchange that failed once to tell its time is not signed for with ours for ten minutes."""
    ours = FakeClock()
    clock = ExchangeClock(ours)
    clock.rest()
    ours.advance(seconds)
    assert clock.is_stale() is is_stale


def test_exchange_that_tells_no_time_has_ours_for_ten_minutes() -> None:
    """Then ours is taken anew; it is no offset that was measured."""
    ours = FakeClock()
    clock = ExchangeClock(ours)
    clock.take_ours()
    ours.advance(600)
    assert (clock.is_stale(), clock.offset_ms, clock.at_least_ms(ours.monotonic())) == (False, None, ours.now_ms())
    ours.advance(1)
    assert clock.is_stale()


def test_exchanges_time_is_not_known_before_it_was_told() -> None:
    """Our own proves nothing: it may be ahead."""
    ours = FakeClock()
    clock = ExchangeClock(ours)
    assert clock.at_least_ms(ours.monotonic()) is None
    clock.rest()
    assert clock.at_least_ms(ours.monotonic()) is None


@pytest.mark.parametrize("wall_ms", [0, 3_600_000, -3_600_000])
def test_exchanges_time_runs_on_whatever_becomes_of_the_wall_clock(wall_ms: int) -> None:
    """From what it said, as old as that was when it arrived, by the monotonic clock; also for a moment before that."""
    ours = FakeClock()
    clock = ExchangeClock(ours)
    clock.learn(START_MS - 24_000, began_ms=START_MS, ended_ms=START_MS + 400)
    had_at = ours.monotonic()
    ours.set_wall(wall_ms)
    ours.advance(10)
    found = [clock.at_least_ms(at) for at in (had_at - 1.5, had_at, ours.monotonic())]
    assert found == [START_MS - 25_500, START_MS - 24_000, START_MS - 14_000]


@pytest.mark.parametrize(("seconds", "is_stale"), [(599, False), (600, False), (601, True)])
def test_offset_is_stale_after_ten_minutes(seconds: int, is_stale: bool) -> None:
    """Clocks drift by seconds a day: ten minutes are a millisecond or two."""
    clock, ours = measured()
    ours.advance(seconds)
    assert clock.is_stale() is is_stale


@pytest.mark.parametrize(("by_ms", "is_stale"), [(2_000, False), (2_001, True), (-2_000, False), (-2_001, True)])
def test_offset_is_stale_after_a_jump_of_the_wall_clock(by_ms: int, is_stale: bool) -> None:
    """The wall clock moved against the monotonic one: a resumed machine or a step, in either direction."""
    clock, ours = measured()
    ours.advance(300)
    ours.set_wall(by_ms)
    assert clock.is_stale() is is_stale


def test_offset_is_stale_after_a_refused_timestamp() -> None:
    """The exchange says it is wrong; until it is measured again the old one is used."""
    clock, ours = measured(START_MS + 700)
    clock.distrust()
    assert clock.is_stale()
    assert clock.timestamp() == START_MS + 700
    clock.learn(START_MS + 900, began_ms=ours.now_ms(), ended_ms=ours.now_ms())
    assert not clock.is_stale()
    assert clock.now_ms() == START_MS + 900
