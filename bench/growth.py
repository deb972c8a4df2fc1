"""Whether an order costs the same at the end: with many users, many open orders, and a long journal."""

from __future__ import annotations

import sys

from bench.rounds import medians, server, started, table, write

CASES = {
    "users": ("users with keys, who order in turn", (1, 10, 100, 1000)),
    "others": ("open orders of 1,000 others", (0, 1000, 100_000)),
    "own": ("open orders of the one who orders", (0, 1000, 100_000)),
    "journal": ("rows of the journal: finished orders of the one who orders, over a year, and their events",
                (0, 10_000, 1_000_000)),
}  # fmt: skip
SMOKE = {"others": (0, 10)}
HEAD = ["what grows", "how many", "time of an order", "processor", "an idle look", "(median)", "(processor)", "(look)"]


def main(*, smoke: bool) -> None:
    """Measure, and write the table. See bench/README.md."""
    with server() as origin:
        rows = [row for case in (SMOKE if smoke else CASES) for row in _rows(origin, case, smoke=smoke)]
    text = table(HEAD, rows)
    print(text)
    if not smoke:
        note = (
            "Ratios to the first line of each kind. From the press of Confirm to the stored answer, one order after "
            "another, with the default limits so wide that they never hold, and none for open orders. An idle look is "
            "what the reconciler does at least each second when no order is to be asked after, in the processor's "
            "time. One core, three alternating rounds, medians. Goal: 1.\n\n"
        )
        write("growth", f"## An order as the bot grows\n\n{note}{text}")


def _rows(origin: str, case: str, *, smoke: bool) -> list[list[str]]:
    title, sizes = CASES[case]
    sizes = SMOKE[case] if smoke else sizes
    rounds, orders, looks = (1, 2, 1) if smoke else (3, 40, 3)
    figures = []
    with started(_commands(origin, case, sizes, "orders")) as clients:
        for figure in ("time", "cpu"):
            figures.append(medians(clients, rounds, orders=orders, at_once=1, figure=figure))
    with started(_commands(origin, case, sizes, "looks")) as clients:
        figures.append(medians(clients, rounds, looks=looks))
    base = f"{sizes[0]:,}"
    return [
        [
            title,
            size,
            *(f"{each[size] / each[base]:.2f}" for each in figures),
            *(f"{each[size] * 1e6:,.0f} us" for each in figures),
        ]
        for size in (f"{each:,}" for each in sizes)
    ]


def _commands(origin: str, case: str, sizes: tuple[int, ...], what: str) -> dict[str, list[str]]:
    command = [sys.executable, "-m", "bench.peers.tradewire_growth", origin, case]
    return {f"{size:,}": [*command, str(size), what] for size in sizes}
