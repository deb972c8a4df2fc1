"""An installation in a temporary directory, with one stub exchange whose network is a dictionary."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bot import (
    AuthFailed,
    Balance,
    Capabilities,
    Credentials,
    ExchangeError,
    ExchangeInfo,
    Flow,
    KeyPermissions,
    Market,
    Request,
    Response,
    Ticker,
    hookimpl,
)
from bot.accounts.vault import create_master_key
from bot.cli import main
from bot.exchanges import registry
from bot.exchanges.registry import Plugin
from bot.store.database import Store

NOW_MS = 1_700_000_000_000


class FakeClock:
    def now_ms(self) -> int:
        return NOW_MS

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


class Acme:
    @hookimpl
    def exchange_info(self) -> ExchangeInfo:
        return ExchangeInfo(
            id="acme",
            title="Acme",
            hosts={"api": "https://acme.example"},
            paths=("GET /*",),
            capabilities=Capabilities(key_report=True, sandbox=True),
            key_help=("Make a key without the right to withdraw.",),
        )

    @hookimpl
    def sign(self, request: Request, credentials: Credentials) -> Request:
        return request.with_headers({"acme-key": credentials.key.reveal(), "acme-sign": credentials.secret.reveal()})

    @hookimpl
    def map_error(self, response: Response) -> ExchangeError | None:
        return AuthFailed("the signature is wrong", remedy="Copy the key again.") if response.status == 401 else None

    @hookimpl
    def server_time(self) -> Flow[int]:
        return int((yield Request.get("/time", auth="none")).json())

    @hookimpl
    def balances(self) -> Flow[list[Balance]]:
        return (yield Request.get("/balances")).json()  # type: ignore[no-any-return]

    @hookimpl
    def key_permissions(self) -> Flow[KeyPermissions]:
        return KeyPermissions(**(yield Request.get("/rights")).json())

    @hookimpl
    def markets(self) -> Flow[list[Market]]:
        step = Decimal("0.01")
        return [
            Market(
                symbol=f"{base}/USDT", exchange_symbol=base, base=base, quote="USDT",
                price_step=step, quantity_step=step, quote_step=step,
            )
            for base in (yield Request.get("/markets", auth="none")).json()
        ]  # fmt: skip

    @hookimpl
    def ticker(self, market: Market) -> Flow[Ticker]:
        return Ticker(exchange_symbol="BTC", last=(yield Request.get("/price", auth="none")).json())

    @hookimpl
    def place_order(self) -> None:
        raise NotImplementedError


@dataclass
class Installation:
    """What a test arranges, and the command line."""

    directory: Path
    answers: dict[str, Any]
    plugins: list[Plugin]
    sent: list[Request] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.directory / "config.toml"

    @property
    def database(self) -> Path:
        return self.directory / "data" / "tradewire.db"

    @property
    def master_key(self) -> Path:
        return self.directory / "keys" / "master.key"

    def configure(self, text: str = "[access]\nowner = 7\n") -> None:
        """Write the configuration, and make a master key."""
        self.config.write_text(
            f'[storage]\ndirectory = "{self.database.parent}"\n[vault]\nkey_file = "{self.master_key}"\n{text}'
        )
        if not self.master_key.exists():
            create_master_key(self.master_key)

    def run(self, *words: str, stdin: str = "") -> Result:
        """Run one command; `--config` is added."""
        command = [*words, "--config", str(self.config)]
        result = CliRunner().invoke(main, command, input=stdin, env={"COLUMNS": "120"})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def count(self, table: str) -> int:
        """Return the number of rows of a table; zero without a database."""
        if not self.database.exists():
            return 0
        store = Store(self.database)
        try:
            return int(store.transact(lambda db: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]))
        finally:
            store.close()

    def bytes_on_disk(self) -> bytes:
        """Return everything in the installation's files, the master key's apart."""
        files = (path for path in self.directory.rglob("*") if path.is_file() and path != self.master_key)
        return b"".join(path.read_bytes() for path in files)


class FakeWire:
    """Answers by path; an exception is raised, 401 is a refusal."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    async def send(self, request: Request, *, timeout_seconds: float) -> Response:
        self._installation.sent.append(request)
        answer = self._installation.answers[request.path]
        if isinstance(answer, BaseException):
            raise answer
        return Response(401 if answer == 401 else 200, {}, json.dumps(answer).encode())

    async def close(self) -> None:
        pass


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """Nothing yet but a directory and the stub exchange."""
    for name in [name for name in os.environ if name.startswith("TRADEWIRE_")]:
        monkeypatch.delenv(name)
    rights = {"can_read": "yes", "can_trade": "yes", "can_withdraw": "no", "is_ip_bound": "yes"}
    answers = {"/time": NOW_MS + 38, "/markets": [], "/price": 60000.5, "/balances": [], "/rights": rights}
    made = Installation(tmp_path, answers, [Plugin("acme", Acme(), "tradewire-acme", "1.2.3")])
    monkeypatch.setattr(registry, "discover", lambda *_: made.plugins)
    monkeypatch.setattr("bot.cli.instance.HttpWire", lambda *_, **__: FakeWire(made))
    monkeypatch.setattr("bot.cli.instance.SystemClock", FakeClock)
    monkeypatch.setattr("bot.exchanges.address.outgoing_address", lambda: "93.184.216.34")
    monkeypatch.setattr("bot.cli.run.keep_private", lambda: None)  # it would hold for the tests' own process
    return made


@pytest.fixture(autouse=True)
def untouched_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what a command does to logging and to the hooks for uncaught exceptions."""
    for owner, name in ((sys, "excepthook"), (threading, "excepthook"), (warnings, "showwarning")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    root = logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in ("httpx", "httpcore", "hpack", "h11", "telegram"))]
    levels, handlers = [logger.level for logger in loggers], root.handlers[:]
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
