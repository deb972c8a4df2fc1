"""Whose turn it is, with nothing but numbers."""

from __future__ import annotations

import math
from collections import Counter

from bot.trading import turns
from bot.trading.turns import Turns


def test_take_gives_what_is_due_and_the_longest_overdue_first() -> None:
    """At its second it is due, not before; and each is taken once."""
    keys: Turns[str] = Turns()
    keys.put("late", "acme", 5, 30)
    keys.put("later", "acme", 7, 30)
    keys.put("next", "acme", 10, 30)
    keys.put("elsewhere", "other", 0, 30)
    assert [keys.take("acme", now) for now in (4.9, 9, 9, 9, 10, 99)] == [
        None,
        ("late", 30),
        ("later", 30),
        None,
        ("next", 30),
        None,
    ]


def test_take_puts_what_was_called_for_before_everything() -> None:
    """However long the others have waited; and of two, the first that was called for."""
    keys: Turns[str] = Turns()
    keys.put("old", "acme", 0, 0.5)
    keys.put("first", "acme", 98, 0)
    keys.put("second", "acme", 99, 0)
    assert [keys.take("acme", 100) for _ in range(3)] == [("first", 0), ("second", 0), ("old", 0.5)]


def test_take_stretches_all_intervals_alike_when_too_much_is_due() -> None:
    """A lane that can take a tenth of it asks each a tenth as often: the young as ever before the old, none never."""
    keys: Turns[int] = Turns()
    every = {key: 0.5 if key < 10 else 30.0 for key in range(2_410)}  # 20 + 80 turns a second
    for key, interval in every.items():
        keys.put(key, "acme", 0, interval)
    taken: Counter[int] = Counter()
    seconds = 1_200
    for number in range(10 * seconds):
        now = number / 10
        found = keys.take("acme", now)
        assert found is not None
        taken[found[0]] += 1
        keys.put(found[0], "acme", now + every[found[0]], every[found[0]])
    young = [taken[key] for key in range(10)]
    old = [taken[key] for key in range(10, 2_410)]
    assert (min(young) >= 0.8 * seconds / 5, min(old) >= 3) == (True, True)
    assert (max(young) - min(young) <= 1, max(old) - min(old) <= 1) == (True, True)


def test_put_again_replaces_the_turn() -> None:
    """Earlier, later or in another lane: only the last counts."""
    keys: Turns[str] = Turns()
    keys.put("a", "acme", 5, 30)
    keys.put("a", "acme", 50, 30)
    keys.put("b", "acme", 50, 30)
    keys.put("b", "other", 5, 1)
    assert [keys.take("acme", 49), keys.take("acme", 50), keys.take("acme", 99)] == [None, ("a", 30), None]
    assert (keys.take("other", 5), len(keys)) == (("b", 1), 0)


def test_drop_ends_its_turn() -> None:
    """It is known no more; to drop it twice is no error."""
    keys: Turns[str] = Turns()
    keys.put("a", "acme", 5, 30)
    keys.drop("a")
    keys.drop("a")
    assert ("a" in keys, keys.take("acme", 99), keys.next_due("acme")) == (False, None, math.inf)


def test_next_due_is_that_of_the_earliest_that_lives() -> None:
    """Turns that were replaced do not count."""
    keys: Turns[str] = Turns()
    keys.put("a", "acme", 5, 30)
    keys.put("b", "acme", 9, 1)
    keys.put("a", "acme", 20, 30)
    assert [keys.next_due("acme"), keys.next_due("nowhere"), keys.lanes] == [9, math.inf, ("acme",)]


def test_put_again_and_again_keeps_nothing_of_the_past() -> None:
    """A stream that tells of one order a million times must not fill the memory; and its turn is not lost by it."""
    keys: Turns[str] = Turns()
    keys.put("b", "acme", 1, 30)
    for number in range(5 * turns._SPARE):
        keys.put("a", "acme", number, 30)
    assert sum(map(len, keys._lanes["acme"].values())) <= turns._SPARE + 10
    assert [keys.take("acme", 10**6) for _ in range(3)] == [("b", 30), ("a", 30), None]
