"""The measurement of idle ticks does not rot, and its ratio is far from that of a scan."""

from __future__ import annotations

import pytest

from bench import alerts

SOON = (100_000, 1000)
FULL = (1_000_000, 1)
GOAL = 1.5
WORST = 5
"""What a busy machine may make of a ratio of one; a scan would make it a hundred and more."""


def test_idle_tick_measurement_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Its smoke run prints both rows and writes nothing."""
    alerts.main(smoke=True)
    assert [line.split(" |")[0] for line in capsys.readouterr().out.splitlines()[2:4]] == [
        "| 1,000 on 10",
        "| 10,000 on 1",
    ]


def test_idle_tick_with_many_alerts_costs_what_it_costs_with_few() -> None:
    """20,000 alerts on one pair against 200; figures of the goal are in bench/RESULTS.md."""
    assert alerts.ratios((20_000, 1), few=200, rounds=5, ticks=5000)[2] < WORST


@pytest.mark.nightly
@pytest.mark.parametrize("many", [SOON, FULL])
def test_idle_tick_reaches_the_goal(many: tuple[int, int]) -> None:
    """As many as the goal names."""
    assert alerts.ratios(many, few=alerts.FEW, rounds=9, ticks=100_000)[2] <= GOAL
