"""What a signature costs: each plugin's `sign` beside ccxt's, both from parameters to bytes."""

from __future__ import annotations

import os
import sys

from bench.rounds import medians, started, table, write

CCXT = os.environ.get("TRADEWIRE_CCXT_PYTHON", "")
EXCHANGES = ("Bitget", "BitoPro", "Bitrue")


def main(*, smoke: bool) -> None:
    """Measure, and write the table. See bench/README.md."""
    commands = {
        "tradewire": [sys.executable, "-m", "bench.peers.tradewire_sign"],
        "floor": [sys.executable, "-m", "bench.peers.floor_sign"],
    }
    if CCXT:
        commands["ccxt"] = [CCXT, "bench/peers/ccxt_sign.py"]
    with started(commands) as clients:
        rounds, times = (1, 20) if smoke else (7, 20_000)
        found = {name: medians(clients, rounds, exchange=name, times=times) for name in EXCHANGES}
    rows = [
        [
            exchange,
            *(f"{took['ccxt'] / took[name]:.1f}" if CCXT else "-" for name in ("tradewire", "floor")),
            *(f"{took[name] * 1e6:.1f} us" if name in took else "-" for name in ("tradewire", "floor", "ccxt")),
        ]
        for exchange, took in found.items()
    ]
    text = table(
        ["exchange", "signatures to ccxt's one", "the floor's to ccxt's one", "tradewire", "floor", "ccxt"], rows
    )
    print(text)
    if not smoke:
        note = (
            "From parameters to signed URL, headers and body. BTCC is not among ccxt's exchanges. One core, seven"
            " alternating rounds, medians. tradewire's keys were opened before, as those of an account in use are. The"
            " floor is the text, Python's own HMAC and its base64 or hex alone: most of it is the HMAC, which sets its"
            " key up anew each time.\n\n"
        )
        write("sign", f"## One signature\n\n{note}{text}")
