"""Limits and halts through chat, the server's signal, file and command line: real HTTP on both sides."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pyotp
import pytest
from click.testing import CliRunner

from bot.accounts import second_factor
from bot.cli import main
from tests.e2e.conftest import ANN, Desk

pytestmark = pytest.mark.network


async def test_limit_refuses_and_its_button_makes_the_order_fit(desk: Desk) -> None:
    """Set in chat, it holds at once; the refusal names it and offers the size that fits."""
    desk.say("/limits order 50")
    await desk.see("One order: 50 USDT. It holds from now on.")
    desk.say("/buy BTC/USDT $100 @ 50000")
    await desk.see("LIMIT_ORDER", "worth 100 USDT, and your limit for one order is 50 USDT")
    desk.press("Make it 50 USDT")
    await desk.see("BUY BTC/USDT", "Total", "50.00 USDT")
    desk.press("Confirm")
    await desk.see("✅ Accepted")
    desk.say("/limits order 900")
    await desk.see("One order: 900 USDT. It holds from", "/2fa")
    desk.say("/limits")
    await desk.see("Your limits", "50 USDT → 900 USDT at")


async def test_order_below_the_minimum_is_raised_by_a_button(desk: Desk) -> None:
    """The refusal's button leads to a preview of the least that Bitget takes."""
    desk.say("/buy BTC/USDT $0.5")
    await desk.see("MIN_NOTIONAL", "Bitget needs at least 1 USDT")
    desk.press("Raise to")
    await desk.see("BUY BTC/USDT", "Amount", "Total")
    desk.press("Confirm")
    await desk.see("✅ Filled", "BUY BTC/USDT")


async def test_price_through_the_market_is_refused_by_the_default_collar(desk: Desk) -> None:
    """A limit price with a digit too many stops at the ceiling of the configuration."""
    desk.say("/buy BTC/USDT 0.001 @ 66000")
    await desk.see("LIMIT_COLLAR", "your limit is 5%")
    assert desk.exchange.placing_requests == 0


async def test_panic_stops_a_shown_preview_and_offers_to_cancel(desk: Desk) -> None:
    """The open order is offered; the preview that was there already places nothing; canceling works."""
    await desk.preview("/buy BTC/USDT 0.001 @ 50000")
    desk.press("Confirm")
    await desk.see("✅ Accepted")
    await desk.preview("/buy BTC/USDT 0.002 @ 50000")
    desk.say("/panic")
    await desk.see("Trading is halted", "Nothing is sent from now on")
    desk.press("Confirm")
    desk.say("/sell BTC/USDT 0.001")
    await desk.see("HALTED", "/resume")
    desk.press("Cancel my 1 open order")
    await desk.see("✖ Canceled")
    desk.say("/resume")
    await desk.see("Trading goes on at", "/2fa")
    desk.say("/buy BTC/USDT 0.001 @ 50000")
    await desk.see("It goes on at", "/panic keeps it halted")
    assert desk.exchange.placing_requests == 1


async def test_signal_halts_everybody_and_the_server_ends_it(desk: Desk, tmp_path: Path) -> None:
    """SIGUSR1 halts, the owner is told, and `tradewire resume` lets trading go on at once."""
    desk.say("/id")
    await desk.see("You: 1001")
    os.kill(os.getpid(), signal.SIGUSR1)
    await desk.see("Trading has been halted since", "by a signal on the server", "for everybody")
    desk.say("/buy BTC/USDT 0.001 @ 50000")
    await desk.see("HALTED")
    assert "Trading goes on." in await command(tmp_path, "resume")
    await desk.preview("/buy BTC/USDT 0.001 @ 50000")


async def test_panic_on_the_command_line_halts_the_running_bot(desk: Desk, tmp_path: Path) -> None:
    """Another process commits the halt; the preview that is shown already places nothing."""
    await desk.preview("/buy BTC/USDT 0.001 @ 50000")
    assert "Trading has been halted since" in await command(tmp_path, "panic")
    desk.press("Confirm")
    desk.say("/buy BTC/USDT 0.002 @ 50000")
    await desk.see("HALTED", "by the server's command line")
    assert desk.exchange.placing_requests == 0


async def test_file_halts_and_is_told(desk: Desk, tmp_path: Path) -> None:
    """While the file lies there, /resume all says where it is; the command line takes it away."""
    desk.say("/id")
    await desk.see("You: 1001")
    (tmp_path / "data" / "halt").touch()
    await desk.see("Trading has been halted since", "by the file halt on the server")
    desk.say("/resume all")
    await desk.see("halts trading for as long as it lies there")
    assert "Trading goes on." in await command(tmp_path, "resume")
    assert not (tmp_path / "data" / "halt").exists()
    await desk.preview("/buy BTC/USDT 0.001 @ 50000")


async def command(tmp_path: Path, name: str) -> str:
    """Run a command of `tradewire` against the directory of the running bot."""
    file = tmp_path / "config.toml"
    file.write_text(f'[access]\nowner = {ANN}\n[storage]\ndirectory = "{tmp_path / "data"}"\n')
    result = await asyncio.to_thread(CliRunner().invoke, main, [name, "--config", str(file)])
    assert result.exit_code == 0, result.output
    return result.output


async def test_order_above_the_line_takes_a_code(desk: Desk) -> None:
    """Confirm leads to the question for a code; a wrong one places nothing, the right one places the order."""
    it = desk.instance
    assert it is not None
    seed = it.store.transact(lambda db: second_factor.begin(db, ANN, vault=it.vault))
    now_ms = it.clock.now_ms()
    earlier, right = (pyotp.TOTP(seed.reveal()).at(now_ms // 1000 + offset) for offset in (-30, 0))
    it.store.transact(lambda db: second_factor.confirm(db, ANN, earlier, now_ms, vault=it.vault))
    desk.say("/limits code 10")
    await desk.see("Code above: 10 USDT. It holds from now on.")
    desk.say("/buy BTC/USDT 0.001 @ 50000")
    await desk.see("BUY BTC/USDT", "Total")
    desk.press("Confirm with a code")
    await desk.see("Send the code")
    desk.say("000000" if right != "000000" else "111111")
    await desk.see("That code is wrong")
    assert desk.exchange.placing_requests == 0
    desk.say(right)
    await desk.see("✅ Accepted")
    assert right not in " ".join(desk.texts())
