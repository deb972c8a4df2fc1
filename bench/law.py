"""How long an order takes with its whole law: from Confirm to the stored answer, each commit on the disk."""

from __future__ import annotations

import os
import sys

from bench.rounds import medians, server, started, table, write

CCXT = os.environ.get("TRADEWIRE_CCXT_PYTHON", "")
COMMITS = 2
"""Confirmed and sending, answered."""


def main(*, smoke: bool) -> None:
    """Measure, and write the table. See bench/README.md."""
    with server() as origin:
        own = [sys.executable, "-m"]
        commands = {
            "tradewire, press to stored answer": [*own, "bench.peers.tradewire_law", origin],
            f"the {COMMITS} bare SQLite commits in it": [*own, "bench.peers.commits", str(COMMITS)],
            "tradewire, the order alone, a row before and after": [*own, "bench.peers.tradewire_rows", origin],
            "tradewire, the order alone": [*own, "bench.peers.tradewire_order", origin],
        }
        if CCXT:
            commands["ccxt + a sqlite-utils FULL row before and after"] = [CCXT, "bench/peers/ccxt_law.py", origin]
        on_the_way = {
            "tradewire, press to the request on the wire": [*own, "bench.peers.tradewire_law", origin, "--press"],
            "the bare SQLite commit in it": [*own, "bench.peers.commits", "1"],
        }
        with started(commands) as clients, started(on_the_way) as pressed:
            rounds, orders = (1, 3) if smoke else (5, 60)
            one = medians(clients, rounds, orders=orders, at_once=1)
            users = 3 if smoke else 100
            ours, bare = medians(pressed, rounds, orders=orders, at_once=1).values()
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
    text += (
        f"\nFrom the press to the request on the wire: {ours / bare:.1f} times the bare SQLite commit that it contains"
        f" ({ours * 1e6:,.0f} us and {bare * 1e6:,.0f} us).\n"
    )
    print(text)
    if not smoke:
        note = (
            f"Ratios to {base}. Every commit FULL, on the disk. One core, five alternating rounds, medians. The order "
            "alone with a row before and after is the peer's own work, done by the bot. The whole law spends a button, "
            "looks at halts, limits and doubts, moves the order twice, records two events and has its card drawn twice "
            "besides.\n\n"
        )
        write("law", f"## One order with the whole law\n\n{note}{text}")
