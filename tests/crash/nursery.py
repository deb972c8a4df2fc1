"""Runs cases: the process that the worlds are in, and beside it the one that the bot's lives are forked from.

As a program it reads one case a line as JSON and writes its outcome as JSON. By hand, to see the five wishes from seed
10 on again: `python -m tests.crash.nursery "half written" label 10 5 [DEFECT]`.
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
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bot.accounts.vault import create_master_key
from bot.store.database import Store
from tests.crash.outside import Case, Outcome, World
from tests.crash.zygote import Zygote


class Nursery:
    """Makes worlds, each with a directory of its own.

    Args:
        directory: Where.
        zygote: What the bot's lives are forked from.
    """

    def __init__(self, directory: Path, zygote: Zygote) -> None:
        self._directory = directory
        self._zygote = zygote
        self._key_file = directory / "keys" / "master.key"
        create_master_key(self._key_file)
        self._empty = directory / "empty.db"
        Store(self._empty).close()
        self._number = 0

    def run(self, case: Case, defect: str = "") -> Outcome:
        """Let a world happen; with a defect of the simulation built into the bot, if one is named."""
        with self._place(case) as directory:
            return World(case, directory, self._key_file, self._zygote, defect=defect).run()

    def warm_up(self) -> None:
        """Make once what is made only once."""
        case = Case("reconcile committed", "label", 1, wishes=4)
        with self._place(case) as directory:
            outcome = World(case, directory, self._key_file, self._zygote, is_peaceful=True).run()
        if outcome.broken:
            raise RuntimeError(f"the bot cannot live here even unharmed: {outcome.broken}")

    @contextmanager
    def _place(self, case: Case) -> Iterator[Path]:
        """Make a directory as the bot finds it: with an empty database, or with none for its migration."""
        self._number += 1
        directory = self._directory / str(self._number)
        directory.mkdir(mode=0o700)
        if case.failpoint != "migration step" or case.seed % 2 == 0:
            shutil.copy(self._empty, directory / "tradewire.db")
        try:
            yield directory
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
    zygote = Zygote()
    try:
        found = Nursery(directory, zygote)
        found.warm_up()
        gc.collect()
        gc.freeze()
        yield found
    finally:
        zygote.close()
        shutil.rmtree(directory)


def main(arguments: list[str]) -> None:
    """Run one case by hand, or those that come in."""
    with nursery() as found:
        if arguments:
            name, memory, seed, wishes, *defect = arguments
            case = Case(name, memory, int(seed), int(wishes))  # type: ignore[arg-type]
            print(json.dumps(asdict(found.run(case, *defect)), indent=2, ensure_ascii=False))
            return
        for line in sys.stdin:
            wanted: dict[str, Any] = json.loads(line)
            defect = wanted.pop("defect", "")
            print(json.dumps(asdict(found.run(Case(**wanted), defect))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
