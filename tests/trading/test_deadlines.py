"""Ends by the monotonic clock, each on both sides of its edge."""

from __future__ import annotations

from bot.trading.deadlines import Deadlines
from tests.trading.conftest import FakeClock


def test_deadline_is_over_at_its_second_and_not_before() -> None:
    """The last moment is over already: what is sent then leaves too late."""
    clock = FakeClock()
    clock.advance(100)
    deadlines = Deadlines(clock)
    deadlines.set(1, 15)
    clock.advance(14.5)
    before = deadlines.is_over(1), deadlines.over()
    clock.advance(0.5)
    assert (before, deadlines.is_over(1), deadlines.over()) == ((False, frozenset()), True, frozenset({1}))


def test_deadlines_are_kept_by_order() -> None:
    """One that is over says nothing of another, nor of an order without any."""
    clock = FakeClock()
    deadlines = Deadlines(clock)
    deadlines.set(1, 10)
    deadlines.set(2, 20)
    clock.advance(10)
    assert ([deadlines.is_over(each) for each in (1, 2, 3)], deadlines.over()) == ([True, False, False], frozenset({1}))


def test_deadline_set_again_counts_from_now() -> None:
    """A preview that becomes a confirmed order has fifteen seconds from its confirmation."""
    clock = FakeClock()
    deadlines = Deadlines(clock)
    deadlines.set(1, 60)
    clock.advance(59)
    deadlines.set(1, 15)
    clock.advance(14)
    assert deadlines.over() == frozenset()


def test_deadline_forgotten_is_over_no_more() -> None:
    """What left in time has no end of this kind; to forget what is not held is no error."""
    clock = FakeClock()
    deadlines = Deadlines(clock)
    deadlines.set(1, 1)
    deadlines.set(2, 1)
    clock.advance(2)
    deadlines.forget(frozenset({1, 7}))
    assert (deadlines.is_over(1), deadlines.over()) == (False, frozenset({2}))


def test_deadline_that_was_told_to_be_over_can_be_set_again_or_forgotten() -> None:
    """Being asked changes nothing: the next answer is of what holds then."""
    clock = FakeClock()
    deadlines = Deadlines(clock)
    deadlines.set(1, 1)
    deadlines.set(2, 1)
    clock.advance(2)
    before = deadlines.over()
    deadlines.set(1, 5)
    deadlines.forget(frozenset({2}))
    assert (before, deadlines.over()) == (frozenset({1, 2}), frozenset())
