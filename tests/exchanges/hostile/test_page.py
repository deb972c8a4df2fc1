"""What the core contains of a plugin that means harm, and what is a matter of trust: docs/security.md lists both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exchanges.hostile import test_orders, test_program, test_reach

ROOT = Path(__file__).parents[3]
TRUSTED = (
    "reads the environment",
    "reads files",
    "opens the database",
    "searches memory: other objects, frames, the garbage collector",
    "opens a socket of its own",
    "starts another program, or forks",
    "starts a thread",
    "registers something to run at exit",
    "changes where Python imports from",
    "replaces functions of libraries: httpx, hashlib, json, logging, Decimal",
    "blocks the bot: sleeps, or computes without end",
    "keeps the secret that `sign` saw, and sends it to its own exchange later",
    "changes the size or the price of an order before it signs it",
    "lies about prices, balances, or fills that its order could have had",
)
CONTAINED = (*test_reach.CONTAINED, *test_program.CONTAINED, *test_orders.CONTAINED)


def test_hostile_suite_is_as_large_as_promised() -> None:
    """Thirty behaviours or more, of which eighteen or more are contained."""
    assert len(CONTAINED) >= 18
    assert len({*CONTAINED, *TRUSTED}) >= 30


@pytest.mark.parametrize(
    ("heading", "behaviours"), [("Contained", CONTAINED), ("A matter of trust", TRUSTED)], ids=["kept", "trust"]
)
def test_security_page_lists_what_a_plugin_can_and_cannot_do(heading: str, behaviours: tuple[str, ...]) -> None:
    """Who installs a plugin reads there exactly what is tested here, in the same words and in this order."""
    assert list(_listed_under(heading)) == list(behaviours)


def _listed_under(heading: str) -> Iterator[str]:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    section = page.partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    for item in re.findall(r"^- (.*(?:\n  .*)*)", section, flags=re.MULTILINE):
        yield re.sub(r"\s+", " ", item).removesuffix(".")
