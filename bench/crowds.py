"""Users that another process puts into the database, as after a start: this one has seen none of their secrets."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeAlias

from bench.peers.tradewire_law import Bot

Buttons: TypeAlias = dict[int, list[tuple[str, int]]]
"""User to the buttons that confirm their orders, each with the message that it is in."""


def proposed(origin: str, directory: Path, users: int, each: int) -> Buttons:
    """Make users with keys in the database of `directory`, each with orders to be confirmed."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        return other.submit(_proposed, origin, directory, users, each).result()


def _proposed(origin: str, directory: Path, users: int, each: int) -> Buttons:
    bot = Bot(origin, directory)
    bot.add_users(users)
    bot.prepare(users * each, users)
    bot.store.close()
    return bot.ready


def with_users(origin: str, directory: Path, users: int) -> None:
    """Make users with keys in the database of `directory`."""
    proposed(origin, directory, users, 0)
