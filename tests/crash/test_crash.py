"""The bot killed at every failpoint of the order path: nothing lost, nothing doubled, nothing said that is not so."""

from __future__ import annotations

import pytest

from tests.crash.conftest import Cases
from tests.crash.exchange import MEMORIES
from tests.crash.failpoints import STRIKES
from tests.crash.outside import Case, worlds

SEEDS = 10
NIGHTLY_SEEDS = 1_000
DEFECT_SEEDS = 2
_NIGHTLY_SECONDS = 3_600

FAILPOINTS = (
    "inbox before commit",
    "inbox after commit",
    "proposal before commit",
    "proposal after commit",
    "card sent, not stored",
    "card stored",
    "press received",
    "compare-and-set open",
    "confirmed",
    "before sending",
    "after sending",
    "limiter wait",
    "connected",
    "half written",
    "written",
    "headers",
    "half body",
    "parsed",
    "outcome open",
    "outcome committed",
    "card edit sent, not marked",
    "reconcile asked",
    "reconcile answered",
    "reconcile committed",
    "fill commit",
    "cancel sent",
    "cancel answered",
    "rotation row",
    "migration step",
    "checkpoint",
    "backup page",
)
"""Every one there is, in the order in which an order meets them."""

NOT_BUILT = {"rotation row"}
"""The master key cannot be changed yet."""


def run(cases: Cases, failpoint: str, seeds: range) -> None:
    """Kill the bot at a failpoint on each kind of exchange, and fail with the command that repeats it."""
    for memory in MEMORIES:
        for case in worlds(failpoint, memory, seeds):
            found = cases.run(case)
            again = f"again: python -m tests.crash.nursery {case}"
            assert not found["broken"], "\n".join([again, *found["broken"]])
            assert found["struck"].count(STRIKES[failpoint].moment) >= case.wishes, again


def test_failpoints_are_all_struck_but_those_of_features_to_come() -> None:
    """A failpoint cannot be forgotten: the table has the whole list."""
    assert tuple(STRIKES) == tuple(name for name in FAILPOINTS if name not in NOT_BUILT)


@pytest.mark.parametrize("failpoint", STRIKES)
def test_bot_killed_at_failpoint_loses_and_doubles_nothing(cases: Cases, failpoint: str) -> None:
    """Whoever restarts the bot finds every order, once, as the exchange has it, and the cards say so."""
    run(cases, failpoint, range(SEEDS))


@pytest.mark.nightly
@pytest.mark.timeout(_NIGHTLY_SECONDS)
@pytest.mark.parametrize("failpoint", STRIKES)
def test_bot_killed_at_failpoint_all_night_loses_and_doubles_nothing(cases: Cases, failpoint: str) -> None:
    """Hundreds of times the same, with other seeds."""
    run(cases, failpoint, range(SEEDS, SEEDS + NIGHTLY_SEEDS))


@pytest.mark.parametrize(
    ("defect", "failpoint"),
    [
        ("stored_after_sending", "headers"),
        pytest.param("stored_after_sending", "half body", marks=pytest.mark.nightly),
        ("restart_is_failure", "headers"),
        ("restart_is_failure", "outcome open"),
        ("restart_sends_again", "headers"),
        ("restart_sends_again", "outcome open"),
        pytest.param("told_apart_from_outcome", "reconcile committed", marks=pytest.mark.nightly),
    ],
)
def test_bot_with_protection_taken_out_fails_when_killed(cases: Cases, defect: str, failpoint: str) -> None:
    """Sent before stored, judged or sent anew by a restart, told apart: each is seen on every kind of exchange."""
    caught = {
        memory
        for memory in MEMORIES
        if any(cases.run(Case(failpoint, memory, seed), defect)["broken"] for seed in range(DEFECT_SEEDS))
    }
    assert caught == set(MEMORIES)
