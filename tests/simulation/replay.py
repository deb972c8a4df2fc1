"""Run one seed again: `python -m tests.simulation.replay SEED [--crashes 0.15] [--defect NAME]`."""

from __future__ import annotations

import argparse
from contextlib import nullcontext

from tests.simulation.defects import DEFECTS, built_in
from tests.simulation.venue import USUAL
from tests.simulation.world import simulate


def main() -> None:
    """Print what became of the world of a seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--crashes", type=float)
    parser.add_argument("--defect", choices=DEFECTS)
    args = parser.parse_args()
    defect = DEFECTS[args.defect] if args.defect else None
    crash_rate = args.crashes if args.crashes is not None else defect.crash_rate if defect else 0.02
    with built_in(defect) if defect else nullcontext():
        outcome = simulate(args.seed, crash_rate=crash_rate, trouble=defect.trouble if defect else USUAL)
    print(f"seed {outcome.seed}: {outcome.stories} orders in {outcome.seconds:.0f} s, {outcome.crashes} crashes")
    print(f"in doubt {outcome.unclear}, left to a person {outcome.needs_human}, digest {outcome.digest[:16]}")
    print("\n".join(outcome.broken) or "all is well")


if __name__ == "__main__":
    main()
