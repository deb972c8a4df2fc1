"""What one more person with a key costs who does nothing: the memory of a process with few of them and with many."""

from __future__ import annotations

import itertools
import os
import statistics
import sys
from collections.abc import Sequence

from bench.rounds import server, started, table, write

CCXT = os.environ.get("TRADEWIRE_CCXT_PYTHON", "")
WARM = 100
"""Users for whom all is done once before anything is measured: what everybody shares is there then."""
OWN = "tradewire, after the first round of a start"
PEER = "ccxt, an instance each, with shared markets"
USERS = {OWN: (1, 1000, 10_000), PEER: (1, 1000)}
"""How many there are in turn. An instance of ccxt costs the same however many there are, and 10,000 need 2.4 GB."""
SMOKE = dict.fromkeys(USERS, (1, 3))


def main(*, smoke: bool) -> None:
    """Measure, and write the table. See bench/README.md."""
    rounds, sizes, warm = (1, SMOKE, 1) if smoke else (3, USERS, WARM)
    with server("bench.exchange") as origin:
        commands: dict[str, Sequence[str]] = {
            OWN: [sys.executable, "-m", "bench.peers.tradewire_memory", origin, str(warm)]
        }
        if CCXT:
            commands[PEER] = [CCXT, "bench/peers/ccxt_memory.py", origin]
        found: dict[tuple[str, int, int], list[float]] = {}
        for _ in range(rounds):
            for name, command in commands.items():
                used = {users: _used(name, command, users) for users in sizes[name]}
                for few, many in itertools.pairwise(sizes[name]):
                    found.setdefault((name, few, many), []).append((used[many] - used[few]) / (many - few))
    each = {key: statistics.median(figures) for key, figures in found.items()}
    base = next(reversed(each.values()))
    rows = [
        [name, f"{few:,} to {many:,}", f"{figure / base:.3f}" if base else "-", f"{figure / 1e3:,.1f} kB"]
        for (name, few, many), figure in each.items()
    ]
    text = table(["way", "users", "memory of one more", "(memory)"], rows)
    print(text)
    if not smoke:
        note = (
            f"Ratios to {PEER if CCXT else 'the last line'}. Memory of a process with many users less that with few, "
            "each in a process of its own, for one user of the difference. tradewire's have been looked after once, as "
            "after every start: their keys were opened and their open orders listed. The first thousand also fill "
            "what does not grow any more, such as the database's cache. Three alternating rounds, medians. "
            "Goal: 4 kB.\n\n"
        )
        write("memory", f"## A person who does nothing\n\n{note}{text}")


def _used(name: str, command: Sequence[str], users: int) -> float:
    with started({name: command}) as [client]:
        return client.ask(users=users)
