"""Each measurement still runs: a few requests of each, and no figure is looked at."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import QUESTIONS

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "RESULTS.md"

pytestmark = pytest.mark.network


@pytest.mark.parametrize("question", QUESTIONS)
def test_measurement_in_brief_runs_and_leaves_the_results(question: str) -> None:
    """Without the peers that have an environment of their own; a program of it that dies ends the whole."""
    before = RESULTS.stat().st_mtime_ns
    alone = {name: value for name, value in os.environ.items() if not name.startswith("TRADEWIRE_")}
    command = [sys.executable, "-m", "bench", question, "--smoke"]
    ran = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr, "| --- |" in ran.stdout) == (0, "", True)
    assert RESULTS.stat().st_mtime_ns == before


@pytest.mark.parametrize("question", QUESTIONS)
def test_measurement_is_explained(question: str) -> None:
    """Its command stands in the book of measurements."""
    assert f"python -m bench {question}" in (ROOT / "bench" / "README.md").read_text()
