"""What a signature costs: each plugin's `sign` beside ccxt's, both from parameters to bytes."""

from __future__ import annotations

import os
import sys

from bench.rounds import medians, started, table, write

CCXT = os.environ.get("TRADEWIRE_CCXT_PYTHON", "")
EXCHANGES = ("Bitget", "BitoPro", "Bitrue")


def main(*, smoke: bool) -> None:
    """Measure, and write the table. See bench/README.md."""
    commands = {"tradewire": [sys.executable, "-m", "bench.peers.tradewire_sign"]}
    if CCXT:
        commands["ccxt"] = [CCXT, "bench/peers/ccxt_sign.py"]
    with started(commands) as clients:
        rounds, times = (1, 20) if smoke else (7, 20_000)
        found = {name: medians(clients, rounds, exchange=name, times=times) for name in EXCHANGES}
    rows = [
        [
            name,
            f"{times['ccxt'] / times['tradewire']:.1f}" if CCXT else "-",
            f"{times['tradewire'] * 1e6:.1f} us",
            f"{times['ccxt'] * 1e6:.1f} us" if CCXT else "-",
        ]
        for name, times in found.items()
    ]
    text = table(["exchange", "signatures to ccxt's one", "tradewire", "ccxt"], rows)
    print(text)
    if not smoke:
        note = "BTCC is not among ccxt's exchanges. One core, seven alternating rounds, medians.\n\n"
        write("sign", f"## One signature\n\n{note}{text}")
