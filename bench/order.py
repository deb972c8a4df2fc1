"""How long an order takes: one after another, and for many users at once, without the journal."""

from __future__ import annotations

import os
import sys

from bench.rounds import medians, server, started, table, write

CCXT = os.environ.get("TRADEWIRE_CCXT_PYTHON", "")
USERS = (10, 100, 1000)


def main(*, smoke: bool) -> None:
    """Measure, and write the table. See bench/README.md."""
    with server() as origin:
        own = [sys.executable, "-m"]
        commands = {
            "raw socket, bytes signed beforehand": [*own, "bench.peers.raw", origin],
            "tradewire": [*own, "bench.peers.tradewire_order", origin],
            "tradewire over httpx's own transport": [*own, "bench.peers.httpx_order", origin],
        }
        if CCXT:
            commands["ccxt async, rate limiter off"] = [CCXT, "bench/peers/ccxt_order.py", origin]
        with started(commands) as clients:
            rounds, orders = (1, 5) if smoke else (5, 2000)
            one = medians(clients, rounds, orders=orders, at_once=1)
            many = {}
            for users in USERS[:1] if smoke else USERS:
                usable = clients if users < 1000 else [each for each in clients if "httpx" not in each.name]
                many[users] = medians(usable, rounds, orders=max(users, orders), at_once=users)
    base = next((name for name in one if name.startswith("ccxt")), "tradewire")
    rows = [
        [
            name,
            f"{one[name] / one[base]:.2f}",
            *(f"{found[name] / found[base]:.2f}" if name in found else "-" for found in many.values()),
            f"{one[name] * 1e6:,.0f} us",
        ]
        for name in one
    ]
    head = ["client", "time of one order", *(f"orders/s, {users} users" for users in many), "(median, one)"]
    text = table(head, rows)
    print(text)
    if not smoke:
        note = f"Ratios to {base}. One core for client and server, five alternating rounds, medians.\n\n"
        write("order", f"## One signed order, one reply, no journal\n\n{note}{text}")
