"""What is thrown away of turns that were replaced, and when: seldom enough to be cheap, and nothing that lives."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from bot.trading import turns
from bot.trading.turns import Turns

KEYS = 10
DEAD = KEYS + turns._SPARE
"""So many replaced turns are too many: at a replacement one of the ten has no turn for a moment."""


def tidied(keys: Turns[int], monkeypatch: pytest.MonkeyPatch) -> Callable[[int], int]:
    """Return a function that replaces so many turns and returns how often all were tidied since the start."""
    times, tidy, due = 0, keys._tidy, 0

    def counted() -> None:
        nonlocal times
        times += 1
        tidy()

    monkeypatch.setattr(keys, "_tidy", counted)

    def replace(count: int) -> int:
        nonlocal due
        for _ in range(count):
            due += 1
            keys.put(due % KEYS, "acme", due, 30)
        return times

    return replace


def test_tidy_comes_once_in_a_thousand_replacements(monkeypatch: pytest.MonkeyPatch) -> None:
    """All keys are gone through then: at each replacement it would cost more the more keys there are."""
    replace = tidied(Turns(), monkeypatch)
    assert [replace(KEYS + DEAD - 1), replace(1), replace(DEAD - 1), replace(1)] == [0, 1, 1, 2]


@pytest.mark.parametrize("way", ["next_due", "take"])
def test_tidy_does_not_count_what_was_thrown_away_before(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is dead and first in its queue goes with the next question."""
    keys: Turns[int] = Turns()
    replace = tidied(keys, monkeypatch)
    replace(KEYS + 500)
    first = keys.next_due("acme") if way == "next_due" else keys.take("acme", 0)
    assert (first, keys._dead) == (501 if way == "next_due" else None, 0)
    assert [replace(DEAD - 2), keys._dead, replace(2)] == [0, DEAD - 2, 1]


def test_tidy_keeps_the_order_of_turns() -> None:
    """Whatever was given its turn first."""
    keys: Turns[str] = Turns()
    for key, due in (("late", 9), ("early", 5), ("middle", 7)):
        keys.put(key, "acme", due, 30)
    keys.put("elsewhere", "other", 1, 30)
    keys._tidy()
    assert (keys.next_due("acme"), keys.next_due("other"), keys.lanes) == (5, 1, ("acme", "other"))
    assert [keys.take("acme", 9) for _ in range(4)] == [("early", 30), ("middle", 30), ("late", 30), None]
    assert keys.next_due("acme") == math.inf
