"""Kill the bot with many seeds, in pieces if need be: `python -m tests.crash.many SEEDS [--first SEED]`.

One seed is one kill or two at every failpoint on every kind of exchange. It says after every few how far it is, and at
the end, also when it is stopped, with which seed to go on.
"""

from __future__ import annotations

import argparse
import itertools

from tests.crash.exchange import MEMORIES
from tests.crash.failpoints import STRIKES
from tests.crash.nursery import nursery
from tests.crash.outside import worlds
from tests.crash.test_crash import NIGHTLY_SEEDS, SEEDS

_PIECE = 5


def main() -> None:
    """Run them, and end with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int)
    parser.add_argument("--first", type=int, default=SEEDS + NIGHTLY_SEEDS)
    args = parser.parse_args()
    kills, wrong, seed, end = 0, 0, args.first, args.first + args.seeds
    try:
        with nursery() as found:
            for seed in range(args.first, end, _PIECE):
                seeds = range(seed, min(end, seed + _PIECE))
                for failpoint, memory in itertools.product(STRIKES, MEMORIES):
                    for case in worlds(failpoint, memory, seeds):
                        outcome = found.run(case)
                        kills += len(outcome.struck)
                        if outcome.broken or outcome.struck.count(STRIKES[failpoint].moment) < case.wishes:
                            wrong += 1
                            print(
                                "\n".join([f"again: python -m tests.crash.nursery {case}", *outcome.broken]), flush=True
                            )
                print(f"{kills} kills, {wrong} worlds went wrong, next seed {seeds.stop}", flush=True)
            seed = end
    except KeyboardInterrupt:
        pass
    print(f"{kills} kills, {wrong} worlds went wrong; go on with --first {seed}", flush=True)
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
