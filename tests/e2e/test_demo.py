"""The demo: the whole bot on this machine alone."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from bot.cli.demo import TOUR, running, step

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
