"""Runs cases: one warmed process, from which each life of the bot is forked.

As a program it reads one case a line as JSON and writes its outcome as JSON. By hand, to see a seed again:
`python -m tests.crash.nursery "half written" label 7 [DEFECT]`.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bot.accounts.vault import create_master_key
from bot.config import Settings
from bot.store.database import Store
from tests.crash.inside import ANN
from tests.crash.outside import Case, Outcome, World
from tests.simulation.defects import DEFECTS, built_in

_TOKEN = "123456789:crash-token-that-must-not-leak"


class Nursery:
    """Makes worlds, each with a directory of its own.

    Args:
        directory: Where.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key_file = directory / "keys" / "master.key"
        create_master_key(self._key_file)
        self._empty = directory / "empty.db"
        Store(self._empty).close()
        self._number = 0

    def run(self, case: Case, defect: str = "") -> Outcome:
        """Let a world happen; with a defect of the simulation built into the bot, if one is named."""
        with self._world(case) as world, built_in(DEFECTS[defect]) if defect else nullcontext():
            return world.run()

    def warm_up(self) -> None:
        """Make once what is made only once."""
        with self._world(Case("confirmed", "label", 1)) as world:
            world.warm_up()

    @contextmanager
    def _world(self, case: Case) -> Iterator[World]:
        self._number += 1
        directory = self._directory / str(self._number)
        directory.mkdir(mode=0o700)
        if case.failpoint != "migration step" or case.seed % 2 == 0:
            shutil.copy(self._empty, directory / "tradewire.db")
        settings = Settings.model_validate(
            {
                "telegram": {"token": _TOKEN},
                "access": {"owner": ANN},
                "storage": {"directory": directory},
                "vault": {"key_file": self._key_file},
                "exchanges": {"acme": {"base_url": "http://127.0.0.1:9"}},
            }
        )
        try:
            yield World(case, settings)
        finally:
            shutil.rmtree(directory)


@contextmanager
def nursery() -> Iterator[Nursery]:
    """Open a nursery, in memory where the system has a place for files there: a kill loses none of what was written."""
    os.environ["PTB_TIMEDELTA"] = "true"
    warnings.simplefilter("error")
    logging.getLogger().setLevel(logging.ERROR)
    place = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(prefix="tradewire-crash-", dir=place if place.is_dir() else None))
    try:
        found = Nursery(directory)
        found.warm_up()
        gc.collect()
        gc.freeze()  # the collector of a child must not touch, and so copy, all that it shares with its parent
        yield found
    finally:
        shutil.rmtree(directory)


def main(arguments: list[str]) -> None:
    """Run one case by hand, or those that come in."""
    with nursery() as found:
        if arguments:
            name, memory, seed, *defect = arguments
            print(json.dumps(asdict(found.run(Case(name, memory, int(seed)), *defect)), indent=2, ensure_ascii=False))  # type: ignore[arg-type]
            return
        for line in sys.stdin:
            wanted: dict[str, Any] = json.loads(line)
            defect = wanted.pop("defect", "")
            print(json.dumps(asdict(found.run(Case(**wanted), defect))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
