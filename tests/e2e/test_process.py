"""The real command in a process of its own: started, killed with signal 9, started again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest
import tomlkit

from tests.e2e.conftest import ANN, KEY, TOKEN, Desk, neighbours

pytestmark = pytest.mark.network


def _configure(desk: Desk, tmp_path: Path) -> Path:
    """Write the smallest configuration that runs."""
    config = tmp_path / "config.toml"
    values = {
        "telegram": {"token": TOKEN, "base_url": desk.settings.telegram.base_url},
        "access": {"owner": ANN},
        "storage": {"directory": str(desk.settings.storage.directory)},
        "vault": {"key_file": str(desk.settings.vault.key_file)},
        "exchanges": {"bitget": {"base_url": desk.settings.exchanges["bitget"].base_url}},
    }
    config.write_text(tomlkit.dumps(values))
    return config


async def _tradewire(*arguments: str, given: str = "") -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(given.encode()), 60)
    return process.returncode or 0, output.decode()


async def _run(config: Path, log: Path) -> asyncio.subprocess.Process:
    with log.open("ab") as file:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "run", "--config", str(config), stdout=file, stderr=file
        )


async def test_run_survives_kill_9_while_sending(tmp_path: Path) -> None:
    """A process killed with its order on the wire leaves one order, and the next start a true card."""
    async with neighbours(tmp_path, is_quick=False) as desk:
        config, log = _configure(desk, tmp_path), tmp_path / "log"
        code, output = await _tradewire(
            "keys",
            "add",
            "--config",
            str(config),
            "--user",
            str(ANN),
            "--exchange",
            "bitget",
            "--label",
            "main",
            "--stdin",
            given=json.dumps(KEY),
        )
        assert code == 0, output
        assert not any(secret in output for secret in KEY.values())
        first = await _run(config, log)
        await desk.telegram.wait(lambda telegram: any(name == "getUpdates" for name, _ in telegram.calls), 10)
        await desk.preview("/buy BTC/USDT 0.001 @ 50000")
        fault = desk.exchange.misbehave("slow", "place-order")
        desk.press("Confirm")
        await asyncio.wait_for(fault.reached.wait(), 10)
        first.kill()
        await first.wait()
        fault.release()
        desk.telegram.calls.clear()
        second = await _run(config, log)
        await desk.telegram.wait(lambda telegram: any(name == "getUpdates" for name, _ in telegram.calls), 10)
        await desk.see("Accepted", "Order id", within=20)
        assert desk.exchange.placing_requests == 1
        assert len(desk.exchange.orders()) == 1
        code, output = await _tradewire("run", "--config", str(config))
        assert (code, "Another tradewire" in output) == (75, True)
        second.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(second.wait(), 20) == 0
        text = log.read_text()
        assert "Traceback" not in text
        assert not any(secret in text for secret in (*KEY.values(), TOKEN))


async def test_run_refuses_a_wrong_master_key(tmp_path: Path) -> None:
    """A master key of another database ends the start with code 78 and changes no byte."""
    async with neighbours(tmp_path, is_quick=False) as desk:
        await desk.start()
        await desk.connect()
        await desk.end()
        config = _configure(desk, tmp_path)
        key_file = desk.settings.vault.key_file
        key_file.write_text(os.urandom(32).hex())
        database = desk.settings.storage.directory / "tradewire.db"
        before = database.read_bytes()
        code, output = await _tradewire("run", "--config", str(config))
        assert code == 78
        assert "does not belong to this database" in output
        assert database.read_bytes() == before
