"""The process that the worlds of the crash tests are in."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.crash.outside import Case

_ROOT = Path(__file__).parents[2]


class Cases:
    """Runs cases in a process of one thread: it is forked, and pytest's own must not be.

    Args:
        process: A running `tests.crash.nursery`.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, case: Case, defect: str = "") -> dict[str, Any]:
        """Return what became of a world."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({**asdict(case), "defect": defect}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the crash tests' own process died at {case}"
        found: dict[str, Any] = json.loads(answer)
        return found


@pytest.fixture(scope="session")
def cases() -> Iterator[Cases]:
    """Make one such process for all tests of a worker."""
    command = [sys.executable, "-m", "tests.crash.nursery"]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Cases(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0
