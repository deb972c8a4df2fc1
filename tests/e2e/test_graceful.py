"""The life of the real process: started by the command line of the systemd unit, watched, and ended by SIGTERM."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import socket
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from bot.accounts import people
from bot.cli.deploy import EXECUTABLE, template
from bot.cli.instance import open_instance
from bot.local.telegram import LocalTelegram, Message
from bot.trading.connect import connect
from tests.e2e.conftest import KEY, TOKEN, Desk, neighbours

pytestmark = pytest.mark.network

ORDERS = 15
NIGHTLY_ORDERS = 100
EACH = 5
"""Orders of one person; more in one chat would wait for each other for long."""


def _people(orders: int) -> list[int]:
    return [1001 + number for number in range(-(-orders // EACH))]


def _key(person: int) -> dict[str, str]:
    return {name: f"{value}{person}" for name, value in KEY.items()}


async def _prepare(desk: Desk, persons: list[int]) -> None:
    """Let everybody in, each with a key of their own, before the process is started."""
    instance = open_instance(desk.settings)
    for person in persons:
        if person != persons[0]:
            desk.telegram.add_person(person, f"P{person}", f"p{person}")
        desk.exchange.add_account(**_key(person), balances={"USDT": Decimal(100_000)})
        role: Any = "admin" if person == persons[0] else "trader"
        instance.store.transact(lambda db, who=person, as_role=role: people.ensure_user(db, who, as_role, now_ms=0))
        it = instance
        await connect(
            it.gateway, it.store, it.vault, it.clock,
            user_id=person, exchange_id="bitget", label="main", fields=_key(person),
        )  # fmt: skip
    await instance.close()


def _write_config(desk: Desk, config: Path, **sections: Any) -> None:
    values = {
        "telegram": {"base_url": desk.settings.telegram.base_url},
        "access": {"owner": 1001},
        "exchanges": {"bitget": {"base_url": desk.settings.exchanges["bitget"].base_url}},
        "limits": {"orders_a_minute": 1000},
        **sections,
    }
    config.write_text(tomlkit.dumps(values))


class Manager:
    """What systemd does with the unit: credentials, environment, the command line, and a socket for what it is told."""

    def __init__(self, desk: Desk, directory: Path) -> None:
        self.directory, self._desk = directory, desk
        self.credentials = directory / "credentials"
        self.credentials.mkdir()
        self.log = directory / "log"
        _write_config(desk, self.credentials / "config.toml")
        (self.credentials / "telegram-token").write_text(TOKEN + "\n")
        (self.credentials / "master.key").write_bytes(desk.settings.vault.key_file.read_bytes())
        for each in self.credentials.iterdir():
            each.chmod(0o440)  # as systemd leaves them: the access list for the service shows as a right of the group

    def _expanded(self, text: str) -> str:
        state = self._desk.settings.storage.directory.parent
        return text.replace("%d", str(self.credentials)).replace("%S/tradewire", str(state / "data"))

    def _of(self, name: str) -> Iterator[str]:
        for line in template("systemd").splitlines():
            if line.startswith(f"{name}="):
                yield self._expanded(line.partition("=")[2])

    async def start(self, environ: dict[str, str] | None = None) -> asyncio.subprocess.Process:
        """Run ExecStart."""
        (line,) = self._of("ExecStart")
        words = shlex.split(line.replace(EXECUTABLE, str(Path(sys.executable).with_name("tradewire"))))
        own = {name: value for name, value in os.environ.items() if not name.startswith("TRADEWIRE_")}
        given = dict(each.split("=", 1) for each in self._of("Environment"))
        everything = {**own, **given, "CREDENTIALS_DIRECTORY": str(self.credentials), **(environ or {})}
        with self.log.open("ab") as file:
            return await asyncio.create_subprocess_exec(*words, stdout=file, stderr=file, env=everything)


@contextmanager
def _notices(directory: Path) -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(str(directory / "notify"))
        listener.setblocking(False)  # noqa: FBT003
        yield listener


async def _told(listener: socket.socket) -> str:
    data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(listener, 256), 20)
    return data.decode()


async def _polling(telegram: LocalTelegram) -> None:
    await telegram.wait(lambda it: any(name == "getUpdates" for name, _ in it.calls), 20)


async def _ended(process: asyncio.subprocess.Process) -> int:
    process.send_signal(signal.SIGTERM)
    return await asyncio.wait_for(process.wait(), 40)


async def test_unit_command_line_starts_the_bot_and_tells_the_service_manager(tmp_path: Path) -> None:
    """ExecStart with credentials and environment of the unit runs the bot; systemd hears ready, alive and stopping."""
    async with neighbours(tmp_path, is_quick=False) as desk:
        manager = Manager(desk, tmp_path)
        with _notices(tmp_path) as listener:
            process = await manager.start({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000"})
            first = {await _told(listener), await _told(listener)}
            await _polling(desk.telegram)
            desk.say("/id")
            await desk.see("1001")
            third = await _told(listener)
            process.send_signal(signal.SIGTERM)
            while (last := await _told(listener)) == "WATCHDOG=1":
                pass
            code = await asyncio.wait_for(process.wait(), 30)
        log = manager.log.read_text()
    assert (first, third, last, code) == ({"READY=1", "WATCHDOG=1"}, "WATCHDOG=1", "STOPPING=1", 0), log
    assert ("Traceback" in log, TOKEN in log) == (False, False)


async def test_unit_with_nothing_in_place_ends_with_every_reason_and_no_restart(tmp_path: Path) -> None:
    """Token, owner and master key missing are one message, and exit code 78."""
    async with neighbours(tmp_path, is_quick=False) as desk:
        manager = Manager(desk, tmp_path)
        for name, text in (("config.toml", ""), ("telegram-token", "")):
            (manager.credentials / name).chmod(0o600)
            (manager.credentials / name).write_text(text)
        (manager.credentials / "master.key").unlink()
        process = await manager.start()
        code = await asyncio.wait_for(process.wait(), 20)
        log = manager.log.read_text()
    named = [word in log for word in ("[telegram] token", "[access] owner", "The master key")]
    assert (code, named, "Traceback" in log) == (78, [True] * 3, False), log


@pytest.mark.parametrize(
    ("orders", "hangs"), [(ORDERS, False), pytest.param(NIGHTLY_ORDERS, True, marks=pytest.mark.nightly)]
)
async def test_sigterm_amid_orders_loses_and_doubles_none(tmp_path: Path, orders: int, hangs: bool) -> None:
    """Stopped while orders leave, and started again: each has one fate, and the exchange knows no other.

    Where one of them `hangs`, its answer never comes: it is waited for within bounds and then looked for.
    """
    persons = _people(orders)
    async with neighbours(tmp_path, is_quick=False) as desk:
        await _prepare(desk, persons)
        manager = Manager(desk, tmp_path)
        process = await manager.start()
        await _polling(desk.telegram)
        await asyncio.gather(*(_previews(desk.telegram, person, EACH) for person in persons))
        if hangs:
            desk.exchange.misbehave("slow", "place-order")
        for person in persons:
            for message in _confirmable(desk.telegram, person):
                desk.telegram.press(person, person, message.id, "Confirm")
        while desk.exchange.placing_requests < orders // 4:  # noqa: ASYNC110  # a process of its own, without events
            await asyncio.sleep(0.005)
        amid = desk.exchange.placing_requests
        assert await _ended(process) == 0, manager.log.read_text()
        stopped = _states(desk)
        desk.telegram.calls.clear()
        again = await manager.start()
        await _polling(desk.telegram)
        await asyncio.wait_for(_settled(desk), 40)
        assert await _ended(again) == 0
        rows = _rows(desk)
        placed = Counter(order.client_id for order in desk.exchange.orders())
        log = manager.log.read_text()
    everyone = len(persons) * EACH
    assert amid < everyone, "all had left already; nothing was tried"
    assert len(rows) == everyone
    assert {row["client_order_id"] for row in rows if row["state"] == "open"} == set(placed), (stopped, log[-3000:])
    assert set(placed.values()) == {1}
    assert desk.exchange.placing_requests == len(placed)
    assert Counter(row["state"] for row in rows).keys() <= {"open", "not_placed", "proposed", "expired"}
    assert "Traceback" not in log, log[-3000:]


async def _previews(telegram: LocalTelegram, person: int, count: int) -> None:
    for number in range(count):
        telegram.say(person, person, f"/buy BTC/USDT 0.00{number + 1} @ {50_000 - number}")
        await telegram.wait(lambda it, least=number + 1: len(_confirmable(it, person)) >= least, 60)


def _confirmable(telegram: LocalTelegram, person: int) -> list[Message]:
    messages = telegram.messages(person)
    return [each for each in messages if any("Confirm" in key for row in each.buttons for key in row)]


def _rows(desk: Desk) -> list[sqlite3.Row]:
    with closing(sqlite3.connect(desk.settings.storage.directory / "tradewire.db")) as database:
        database.row_factory = sqlite3.Row
        return database.execute("SELECT * FROM orders").fetchall()


def _states(desk: Desk) -> Counter[str]:
    return Counter(row["state"] for row in _rows(desk))


async def _settled(desk: Desk) -> None:
    # A look into another process's file.
    while _states(desk).keys() & {"confirmed", "sending", "unknown", "needs_human"}:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
