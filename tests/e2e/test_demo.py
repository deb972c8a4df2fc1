"""The demo: the whole bot on this machine alone."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from bot.cli.demo import ANN, TOUR, running, step

pytestmark = pytest.mark.network


async def test_tour_without_a_terminal_ends_well() -> None:
    """`tradewire demo --tour` needs no terminal, plays every step, and exits 0."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        "demo",
        "--tour",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    text = output.decode()
    assert process.returncode == 0, text
    assert [what for _, what, expected in TOUR if what not in text or expected not in text] == []


async def test_kept_demo_answers_again_and_remembers(tmp_path: Path) -> None:
    """With --keep, a second demo hears its people from the first word on, and knows the account's history."""
    for _ in range(2):
        async with running(tmp_path) as demo:
            await step(demo.telegram, "say", "/start", "Trade from this chat")
            await step(demo.telegram, "say", "/buy BTC/USDT $50", "Then free")
            await step(demo.telegram, "press", "Confirm", "Filled")
    async with running(tmp_path) as demo:
        assert "#2" in await step(demo.telegram, "say", "/order 2", "filled")


async def test_demo_says_that_its_money_is_paper_and_needs_no_key(tmp_path: Path) -> None:
    """Where no exchange has real money there is nothing to switch, and no key to give."""
    async with running(tmp_path) as demo:
        card = await step(demo.telegram, "say", "/settings", "Default account: main")
        keys = [key for row in demo.telegram.last(ANN).buttons for key in row]
        key = await step(demo.telegram, "say", "/connect", "paper")
        switched = await step(demo.telegram, "say", "/paper off", "paper")
    assert "Paper trading of main: always, its exchange has no real money" in card.splitlines()
    assert [each for each in keys if "Paper" in each] == []
    assert key == "Everything here trades on paper, so no key is needed and none is taken. Try /buy BTC/USDT $50"
    assert "main always trades on paper: its exchange has no real money. Nothing was changed." in switched


async def test_demo_groups_thousands_alike(tmp_path: Path) -> None:
    """Dollars and any other money."""
    async with running(tmp_path) as demo:
        rows = (await step(demo.telegram, "say", "/balance", "USDT")).splitlines()
    held = dict(row.split()[:2] for row in rows if row.startswith(("USDT", "TWD")))
    assert held == {"USDT": "10,000.00", "TWD": "300,000"}
