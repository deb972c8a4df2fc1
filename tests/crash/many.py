"""Kill the bot with many seeds, in pieces if need be: `python -m tests.crash.many SEEDS [--first SEED]`.

One seed is one kill or two at every failpoint on every kind of exchange. It says after each how far it is, and at the
end, also when it is stopped, with which seed to go on.
"""

from __future__ import annotations

import argparse
import itertools

from tests.crash.exchange import MEMORIES
from tests.crash.failpoints import STRIKES
from tests.crash.nursery import nursery
from tests.crash.outside import Case
from tests.crash.test_crash import NIGHTLY_SEEDS, SEEDS


def main() -> None:
    """Run them, and end with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int)
    parser.add_argument("--first", type=int, default=SEEDS + NIGHTLY_SEEDS)
    args = parser.parse_args()
    kills, wrong, seed = 0, 0, args.first
    try:
        with nursery() as found:
            for seed in range(args.first, args.first + args.seeds):
                for failpoint, memory in itertools.product(STRIKES, MEMORIES):
                    outcome = found.run(Case(failpoint, memory, seed))
                    kills += len(outcome.struck)
                    if outcome.broken or STRIKES[failpoint].moment not in outcome.struck:
                        wrong += 1
                        print(f'again: python -m tests.crash.nursery "{failpoint}" "{memory}" {seed}')
                        print("\n".join(outcome.broken), flush=True)
                print(f"{kills} kills, {wrong} worlds went wrong, next seed {seed + 1}", flush=True)
            seed = args.first + args.seeds
    except KeyboardInterrupt:
        pass
    print(f"{kills} kills, {wrong} worlds went wrong; go on with --first {seed}", flush=True)
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
