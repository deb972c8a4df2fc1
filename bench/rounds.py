"""Running clients in turns: each is a process that reads a line of JSON and answers with one."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("RESULTS.md")


@dataclass
class Client:
    """A process that measures itself."""

    name: str
    process: subprocess.Popen[str]

    def ask(self, **question: Any) -> float:
        """Return the figure it measured.

        Raises:
            RuntimeError: It died; what it said is on the terminal.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended without a figure")
        return float(json.loads(line))


@contextmanager
def started(commands: Mapping[str, Sequence[str]]) -> Iterator[list[Client]]:
    """Start clients, and end them."""
    root = Path(__file__).parents[1]
    clients = [
        Client(name, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root))
        for name, command in commands.items()
    ]
    try:
        yield clients
    finally:
        for client in clients:
            client.process.kill()
            client.process.wait()
            for pipe in (client.process.stdin, client.process.stdout):
                assert pipe is not None
                pipe.close()


@contextmanager
def server(module: str = "bench.server") -> Iterator[str]:
    """Run a local server and give its origin."""
    with started({module: [sys.executable, "-m", module]}) as [running]:
        assert running.process.stdout is not None
        yield f"http://127.0.0.1:{running.process.stdout.readline().strip()}"


def medians(clients: Sequence[Client], rounds: int, **question: Any) -> dict[str, float]:
    """Ask each client in turn, `rounds` times, and return each one's median. A first round warms up."""
    found: dict[str, list[float]] = {client.name: [] for client in clients}
    for number in range(rounds + 1):
        for client in clients:
            figure = client.ask(**question)
            if number:
                found[client.name].append(figure)
    return {name: statistics.median(figures) for name, figures in found.items()}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def write(section: str, text: str) -> None:
    """Replace a section of RESULTS.md."""
    marks = f"<!-- {section} -->\n", f"<!-- /{section} -->\n"
    old = RESULTS.read_text() if RESULTS.exists() else "# Results\n"
    before, found, rest = old.partition(marks[0])
    after = rest.partition(marks[1])[2] if found else ""
    gap = "" if found else "\n"
    RESULTS.write_text(f"{before}{gap}{marks[0]}{text.strip()}\n{marks[1]}{after}")
