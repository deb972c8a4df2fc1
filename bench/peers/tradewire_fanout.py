"""The bot with a thousand users who follow one signal: each order from its press to its stored answer."""

import sys
import tempfile
from pathlib import Path

from bench.clients import serve_crowd
from bench.crowds import proposed
from bench.peers.tradewire_law import Bot
from bot.cli.memory import collect_seldom

SIGNALS = 6
"""Orders that wait for each user's Confirm: more than will be asked for."""


def main(origin: str, users: int, directory: Path) -> None:
    bot = Bot(origin, directory)

    async def begin() -> list[int]:
        bot.ready = proposed(origin, directory, users, SIGNALS)
        return list(bot.ready)

    serve_crowd(bot.place_of, begin, bot.close)


if __name__ == "__main__":
    collect_seldom()  # as `tradewire run`
    with tempfile.TemporaryDirectory() as name:
        main(sys.argv[1], int(sys.argv[2]), Path(name))
