"""How long an order takes with its whole law: from Confirm to the stored answer, each commit on the disk."""

from __future__ import annotations

import os
import sys

from bench.rounds import medians, server, started, table, write

CCXT = os.environ.get("TRADEWIRE_CCXT_PYTHON", "")
COMMITS = 3
"""Confirmed, sending, answered."""


def main(*, smoke: bool) -> None:
    """Measure, and write the table. See bench/README.md."""
    with server() as origin:
        own = [sys.executable, "-m"]
        commands = {
            "tradewire, press to stored answer": [*own, "bench.peers.tradewire_law", origin],
            f"the {COMMITS} bare SQLite commits in it": [*own, "bench.peers.commits", str(COMMITS)],
            "tradewire, the order alone": [*own, "bench.peers.tradewire_order", origin],
        }
        if CCXT:
            commands["ccxt + a sqlite-utils FULL row before and after"] = [CCXT, "bench/peers/ccxt_law.py", origin]
        with started(commands) as clients:
            rounds, orders = (1, 3) if smoke else (5, 60)
            one = medians(clients, rounds, orders=orders, at_once=1)
            users = 3 if smoke else 100
            many = medians(clients, rounds, orders=max(users, 2 * orders) if smoke else 3 * users, at_once=users)
    base = next((name for name in one if name.startswith("ccxt")), next(iter(one)))
    head = ["way", "time of one order", f"orders/s, {users} users", "(median, one)", f"(orders/s, {users} users)"]
    rows = [
        [
            name,
            f"{one[name] / one[base]:.2f}",
            f"{many[name] / many[base]:.2f}",
            f"{one[name] * 1e6:,.0f} us",
            f"{many[name]:,.0f}",
        ]
        for name in one
    ]
    text = table(head, rows)
    print(text)
    if not smoke:
        note = f"Ratios to {base}. Every commit FULL, on the disk. One core, five alternating rounds, medians.\n\n"
        write("law", f"## One order with the whole law\n\n{note}{text}")
