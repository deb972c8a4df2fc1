"""What a start costs: `tradewire run` until it asks for updates, beside importing its libraries; and a first order."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.request import urlopen

from bench.rounds import server, started, table, write

CCXT = os.environ.get("TRADEWIRE_CCXT_PYTHON", "")
LIBRARIES = "telegram.ext, httpx, sqlite_utils, pluggy, cryptography"
RUN = "`tradewire run` until it asks for updates"
PEER = "Python that imports its libraries"
KINDS = {"": "import sys; sys.modules['numpy'] = None\n"} | ({", with charts": ""} if find_spec("numpy") else {})
"""Installation to what is run first: of the optional charts, sqlite-utils imports numpy at every start."""
STEADY_SECONDS = 3.0
"""After the first question for updates: menus are announced and the first rounds are over."""
_IMPORTS = f"import time, {LIBRARIES}; print(time.monotonic(), flush=True); input()"


class Start(NamedTuple):
    """What one start took: seconds until it was ready, the processor's, and bytes at the most and in the end."""

    seconds: float
    cpu_seconds: float
    peak: float
    steady: float


def main(*, smoke: bool) -> None:
    """Measure, and write the tables. See bench/README.md."""
    starts, orders = _starts(smoke=smoke), _first_orders()
    print(starts, orders, sep="\n")
    if not smoke:
        write("start", starts)
        write("first order", orders)


def _starts(*, smoke: bool) -> str:
    rounds, seconds = (1, 0.2) if smoke else (7, STEADY_SECONDS)
    found: defaultdict[str, list[Start]] = defaultdict(list)
    os.sched_setaffinity(0, {0})  # what is started inherits it
    with (
        server("bench.first_poll") as telegram,
        server("bench.exchange") as exchange,
        TemporaryDirectory() as directory,
    ):
        for number in range(rounds + 1 - smoke):
            for kind, first in KINDS.items():
                token = f"{700000000 + number}:{'start' * 6}{len(kind):05}"
                config = _configured(Path(directory), telegram, exchange, token)
                figures = {RUN: _run(first, config, telegram, token, seconds), PEER: _import(first)}
                if number or smoke:  # the first round makes the database and the byte code, and fills the disk's cache
                    for name, each in figures.items():
                        found[name + kind].append(each)
    middle = {name: Start(*map(statistics.median, zip(*each, strict=True))) for name, each in found.items()}
    rows = [
        [
            name + kind,
            *(f"{own / other:.2f}" for own, other in zip(middle[name + kind], middle[PEER + kind], strict=True)),
            f"{middle[name + kind].seconds:.2f} s",
            f"{middle[name + kind].cpu_seconds:.2f} s",
            f"{middle[name + kind].peak / 1e6:.0f} MB",
            f"{middle[name + kind].steady / 1e6:.0f} MB",
        ]
        for kind in KINDS
        for name in (RUN, PEER)
    ]
    figures_of = ("time", "processor", "memory, peak", "memory, steady")
    note = (
        f"Ratios to {PEER}: {LIBRARIES}. One exchange in use, nobody but the owner, a database from the last time. One "
        "core, seven alternating rounds, medians. Goals: time 2, memory 1.5. The optional charts bring numpy, which "
        "sqlite_utils then imports on both sides."
    )
    return f"## A start\n\n{note}\n\n{table(['what', *figures_of, *(f'({each})' for each in figures_of)], rows)}"


def _run(first: str, config: Path, telegram: str, token: str, steady_seconds: float) -> Start:
    """Start the bot, with a token that was not used before, and end it."""
    command = [sys.executable, "-c", f"{first}from bot.cli import main; main()", "run", "--config", str(config)]
    began = time.monotonic()
    process = subprocess.Popen(command, env=_environment())
    try:
        seconds = _first_poll(telegram, token) - began
        cpu_seconds, peak = _cpu_seconds(process.pid), _memory(process.pid, "VmHWM")
        time.sleep(steady_seconds)
        return Start(seconds, cpu_seconds, peak, _memory(process.pid, "VmRSS"))
    finally:
        process.terminate()
        process.wait()


def _configured(directory: Path, telegram: str, exchange: str, token: str) -> Path:
    key, config = directory / "master.key", directory / "config.toml"
    key.write_text("00" * 32 + "\n")
    key.chmod(0o600)
    config.write_text(
        f'[telegram]\ntoken = "{token}"\nbase_url = "{telegram}/bot"\n[access]\nowner = 7\n'
        f'[storage]\ndirectory = "{directory / "data"}"\n[vault]\nkey_file = "{key}"\n'
        f'[exchanges.bitget]\nbase_url = "{exchange}"\n'
        + "".join(f"[exchanges.{other}]\nenabled = false\n" for other in ("bitopro", "bitrue", "btcc"))
        + '[logging]\nlevel = "WARNING"\n'
    )
    return config


def _first_poll(telegram: str, token: str) -> float:
    with socket.create_connection(("127.0.0.1", int(telegram.rpartition(":")[2]))) as asking:
        asking.sendall(f"GET /measure/{token}/first_poll/0 HTTP/1.1\r\n\r\n".encode())
        return float(asking.makefile().readline())


def _import(first: str) -> Start:
    began = time.monotonic()
    command = [sys.executable, "-c", first + _IMPORTS]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment()
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        seconds = float(process.stdout.readline()) - began
        found = Start(seconds, _cpu_seconds(process.pid), *(_memory(process.pid, each) for each in ("VmHWM", "VmRSS")))
        process.stdin.write("\n")
        process.stdin.flush()
        return found


def _environment() -> dict[str, str]:
    """Return that of a person's terminal: byte code is kept, without which each start would compile everything."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TRADEWIRE_") and name != "PYTHONDONTWRITEBYTECODE"
    }


def _memory(process: int, name: str) -> float:
    """Return `VmHWM`, the most that was ever in memory, or `VmRSS`, what is now; in bytes."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith(name))


def _cpu_seconds(process: int) -> float:
    return time.clock_gettime(~process << 3 | 2)  # as clock_getcpuclockid(3) makes it; /proc counts in steps of 10 ms


def _first_orders() -> str:
    """Count what a new process asks its exchange for until two orders are placed."""
    rows = []
    with server("bench.exchange") as origin:
        commands: dict[str, Sequence[str]] = {
            "tradewire": [sys.executable, "-m", "bench.peers.tradewire_first", origin]
        }
        if CCXT:
            commands["ccxt"] = [CCXT, "bench/peers/ccxt_first.py", origin]
        for name, command in commands.items():
            with started({name: command}) as [client]:
                for order in ("first", "second"):
                    seconds = client.ask(orders=1, at_once=1)
                    lists, requests = (_counted(origin, kind) for kind in ("markets", "count"))
                    rows.append([name, order, str(requests), str(lists), f"{seconds * 1e3:.0f} ms"])
    head = ["client", "order", "requests", "of them lists of markets", "(time)"]
    note = (
        "Each order is previewed and placed. tradewire also asks for the exchange's time, and for each preview the "
        "price and the balance; placing is one request. ccxt previews nothing."
    )
    return f"## The first orders of a process\n\n{note}\n\n{table(head, rows)}"


def _counted(origin: str, kind: str) -> int:
    with urlopen(f"{origin}/measure/{kind}") as reply:
        return int(reply.read())
