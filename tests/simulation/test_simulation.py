"""The order path under every fault there is a model of: nothing doubled, nothing lost, nothing said that is not so."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.simulation.defects import DEFECTS, Defect, built_in
from tests.simulation.world import Outcome, simulate

STORIES = 20_000
NIGHTLY_STORIES = 1_000_000
SHARD_STORIES = 800  # some seconds, so that the shards spread evenly over the workers
NIGHTLY_SHARD_STORIES = 8_000
DEFECT_WORLDS = 12
NIGHTLY_DEFECT_WORLDS = 1_500  # a hundred thousand orders
_MOST_A_WORLD = 1_000
_SECONDS = 600
_NIGHTLY_SECONDS = 7_200


@dataclass(frozen=True)
class Load:
    """How often the bot dies for each order, and how many orders may then be left to a person."""

    crash_rate: float
    most_needs_human: float


SELDOM, OFTEN = Load(0.02, 0.01), Load(0.15, 0.03)


def run(seeds: Iterable[int], load: Load, stories: int) -> list[Outcome]:
    """Run worlds until so many orders have lived, or one of them went wrong."""
    outcomes = []
    for seed in seeds:
        outcomes.append(simulate(seed, crash_rate=load.crash_rate))
        if outcomes[-1].broken or sum(each.stories for each in outcomes) >= stories:
            break
    return outcomes


def judged(outcomes: list[Outcome], load: Load, stories: int) -> None:
    """Fail with the one command that shows it again."""
    last = outcomes[-1]
    again = f"python -m tests.simulation.replay {last.seed} --crashes {load.crash_rate}"
    assert not last.broken, "\n".join([f"again: {again}", *last.broken])
    lived = sum(each.stories for each in outcomes)
    assert lived >= stories
    expected = load.most_needs_human * lived
    assert sum(each.needs_human for each in outcomes) <= expected + 3 * math.sqrt(expected)  # chance has its share


def seeds_of(shard: int) -> range:
    """Return the seeds of a shard, which no other has."""
    return range(shard * _MOST_A_WORLD * 1000, (shard + 1) * _MOST_A_WORLD * 1000)


def stories_of(load: Load, total: int) -> int:
    """Few crashes for four fifths of the orders, many for the others."""
    return total * (4 if load is SELDOM else 1) // 5


def shards_of(total: int, most: int) -> list[Any]:
    """Return the shards of so many orders, as parameters: under which load, which shard, and how many orders."""
    found = []
    for name, load in (("seldom", SELDOM), ("often", OFTEN)):
        stories = stories_of(load, total)
        count = math.ceil(stories / most)
        sizes = [stories * (shard + 1) // count - stories * shard // count for shard in range(count)]
        found += [pytest.param(load, shard, size, id=f"{name}-{shard}") for shard, size in enumerate(sizes)]
    return found


@pytest.mark.timeout(_SECONDS)
@pytest.mark.parametrize(("load", "shard", "stories"), shards_of(STORIES, SHARD_STORIES))
def test_orders_under_every_fault_are_never_doubled_lost_or_told_wrong(load: Load, shard: int, stories: int) -> None:
    """And few doubts are left to people."""
    judged(run(seeds_of(shard), load, stories), load, stories)


@pytest.mark.nightly
@pytest.mark.timeout(_NIGHTLY_SECONDS)
@pytest.mark.parametrize(("load", "shard", "stories"), shards_of(NIGHTLY_STORIES, NIGHTLY_SHARD_STORIES))
def test_orders_under_every_fault_all_night_are_never_doubled_lost_or_told_wrong(
    load: Load, shard: int, stories: int
) -> None:
    """Fifty times the same."""
    judged(run(seeds_of(1000 + shard), load, stories), load, stories)


def test_seed_run_twice_is_the_same_in_every_event() -> None:
    """A failing seed can be looked at again."""
    assert simulate(7, crash_rate=0.15) == simulate(7, crash_rate=0.15)


def shown_by(defect: Defect, seeds: Iterable[int]) -> list[str]:
    """Return what goes wrong in the first world that shows a defect; a failure of its own is none of that."""
    with built_in(defect):
        for seed in seeds:
            broken = simulate(seed, crash_rate=defect.crash_rate, trouble=defect.trouble).broken
            assert not [each for each in broken if each.startswith("crashed")]
            if any(each.startswith(defect.shows) for each in broken):
                return broken
    return []


@pytest.mark.parametrize("name", [name for name, each in DEFECTS.items() if each.is_quick])
def test_defect_put_into_the_bot_is_seen_as_what_it_is(name: str) -> None:
    """The simulation is worth something only if it misses each protection."""
    assert shown_by(DEFECTS[name], seeds_of(0)[:DEFECT_WORLDS])


@pytest.mark.nightly
@pytest.mark.timeout(_NIGHTLY_SECONDS)
@pytest.mark.parametrize("name", DEFECTS)
def test_defect_put_into_the_bot_is_seen_within_a_hundred_thousand(name: str) -> None:
    """Also those that show themselves seldom."""
    assert shown_by(DEFECTS[name], seeds_of(2000)[:NIGHTLY_DEFECT_WORLDS])
