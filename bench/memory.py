"""What a person with a key costs who does nothing: the memory of a process with few of them and with many."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Sequence

from bench.rounds import server, started, table, write

CCXT = os.environ.get("TRADEWIRE_CCXT_PYTHON", "")
NONE = 1
WARM = 100
"""Users for whom all is done once before anything is measured: what everybody shares is there then."""
USERS = (1000, 10_000)
OWN = "tradewire, after the first round of a start"
PEER = "ccxt, an instance each, with shared markets"


def main(*, smoke: bool) -> None:
    """Measure, and write the table. See bench/README.md."""
    rounds, sizes, warm = (1, (3,), 1) if smoke else (3, USERS, WARM)
    with server("bench.exchange") as origin:
        own = [sys.executable, "-m", "bench.peers.tradewire_memory", origin, str(warm)]
        commands: dict[str, Sequence[str]] = {OWN: own}
        if CCXT:
            commands[PEER] = [CCXT, "bench/peers/ccxt_memory.py", origin]
        found: dict[tuple[str, int], list[float]] = {}
        for _ in range(rounds):
            for users in sizes:
                for name, command in commands.items():
                    found.setdefault((name, users), []).append(_bytes_each(name, command, users))
    each = {key: statistics.median(figures) for key, figures in found.items()}
    rows = [
        [
            name,
            *(f"{each[name, users] / each[PEER if CCXT else OWN, users]:.3f}" for users in sizes),
            *(f"{each[name, users] / 1e3:,.1f} kB" for users in sizes),
        ]
        for name in commands
    ]
    text = table(["way", *(f"{n:,} users" for n in sizes), *(f"(each of {n:,})" for n in sizes)], rows)
    print(text)
    if not smoke:
        note = (
            f"Ratios to {PEER if CCXT else OWN}. Memory of a process with so many users less that with {NONE}, in a "
            "process of its own each time, for one user. tradewire's have been looked after once, as after every "
            "start: their keys were opened and their open orders listed. Three alternating rounds, medians. "
            "Goal: 4 kB.\n\n"
        )
        write("memory", f"## A person who does nothing\n\n{note}{text}")


def _bytes_each(name: str, command: Sequence[str], users: int) -> float:
    used = []
    for count in (NONE, users):
        with started({name: command}) as [client]:
            used.append(client.ask(users=count))
    return (used[1] - used[0]) / (users - NONE)
