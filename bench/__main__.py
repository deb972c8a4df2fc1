"""`python -m bench QUESTION [--smoke]`."""

from __future__ import annotations

import argparse
from importlib import import_module

QUESTIONS = ("alerts", "fanout", "growth", "law", "memory", "order", "sign", "start", "telegram")


def main() -> None:
    """Run one measurement."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure one thing; see bench/README.md.")
    parser.add_argument("question", choices=QUESTIONS)
    parser.add_argument("--smoke", action="store_true", help="a few requests, and nothing is written")
    asked = parser.parse_args()
    import_module(f"bench.{asked.question}").main(smoke=asked.smoke)


if __name__ == "__main__":
    main()
