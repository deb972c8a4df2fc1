"""Run many worlds, in pieces if need be: `python -m tests.simulation.many STORIES [--first SEED] [--crashes 0.15]`.

Each world has the next seed. It says now and then how far it is, and at the end, also when it is stopped, with which
seed to go on.
"""

from __future__ import annotations

import argparse

from tests.simulation.test_simulation import SELDOM, seeds_of
from tests.simulation.world import simulate

_WORLDS_BETWEEN_WORDS = 50
_SHARD = 3_000
"""Of seeds that no test has."""


def main() -> None:
    """Run them, and end with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stories", type=int)
    parser.add_argument("--first", type=int, default=seeds_of(_SHARD).start)
    parser.add_argument("--crashes", type=float, default=SELDOM.crash_rate)
    args = parser.parse_args()
    lived, crashes, wrong, seed = 0, 0, 0, args.first
    try:
        while lived < args.stories:
            outcome = simulate(seed, crash_rate=args.crashes)
            seed += 1
            lived, crashes = lived + outcome.stories, crashes + outcome.crashes
            if outcome.broken:
                wrong += 1
                print(f"again: python -m tests.simulation.replay {outcome.seed} --crashes {args.crashes}")
                print("\n".join(outcome.broken), flush=True)
            if (seed - args.first) % _WORLDS_BETWEEN_WORDS == 0:
                print(f"{lived} orders, {crashes} crashes, {wrong} worlds went wrong, next seed {seed}", flush=True)
    except KeyboardInterrupt:
        pass
    print(f"{lived} orders, {crashes} crashes, {wrong} worlds went wrong; go on with --first {seed}", flush=True)
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
