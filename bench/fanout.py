"""One signal to all users at once: the first time in a new process, again, and the memory that it takes."""

from __future__ import annotations

import os
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence

from bench.rounds import server, started, table, write

CCXT = os.environ.get("TRADEWIRE_CCXT_PYTHON", "")
USERS = 1000
AGAIN = 3
OWN = "tradewire, press to stored answer"
PEER = "ccxt, an instance for each user, no journal"


def main(*, smoke: bool) -> None:
    """Measure, and write the table. See bench/README.md."""
    users, rounds = (3, 1) if smoke else (USERS, 3)
    with server() as origin:
        commands = {OWN: [sys.executable, "-m", "bench.peers.tradewire_fanout", origin, str(users)]}
        if CCXT:
            commands[PEER] = [CCXT, "bench/peers/ccxt_fanout.py", origin, str(users)]
        found = measured(commands, rounds)
    base = found[PEER if CCXT else OWN]
    rows = [
        [
            name,
            *(f"{figures[kind] / base[kind]:.3f}" for kind in ("first", "again", "memory")),
            f"{figures['failures']:.0f}",
            f"{figures['first']:.2f} s",
            f"{figures['again']:.2f} s",
            f"{figures['memory'] / 1e6:.1f} MB",
        ]
        for name, figures in found.items()
    ]
    head = ["way", "first time", "again", "memory added", "failures", "(first time)", "(again)", "(memory)"]
    text = table(head, rows)
    print(text)
    if not smoke:
        note = (
            f"Ratios to {PEER if CCXT else OWN}. {users:,} orders at once, until the last has its answer. Each round "
            "begins with a new process, whose first signal opens connections and keys; users and instances are there "
            "before. ccxt keeps no journal and commits nothing; tradewire's orders are on the disk before they leave "
            "and when they end. One core, three alternating rounds, medians; failures of all rounds.\n\n"
        )
        write("fanout", f"## One signal to {users:,} users\n\n{note}{text}")


def measured(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, dict[str, float]]:
    """Return each way's medians: `first`, `again`, `memory`; and all of its `failures`."""
    found: dict[str, defaultdict[str, list[float]]] = {name: defaultdict(list) for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            with started({name: command}) as [client]:
                figures = found[name]
                figures["first"].append(client.ask(ask="signal"))
                figures["memory"].append(client.ask(ask="memory"))
                figures["again"] += [client.ask(ask="signal") for _ in range(AGAIN)]
                figures["failures"].append(client.ask(ask="failures"))
    return {
        name: {kind: sum(each) if kind == "failures" else statistics.median(each) for kind, each in figures.items()}
        for name, figures in found.items()
    }
