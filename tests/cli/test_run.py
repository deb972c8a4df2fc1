from __future__ import annotations

import json
import logging
import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest

from bot.chat import app, webhook
from bot.config import Settings
from bot.store.database import DirectoryLock

TOKEN = "123456789:AAcanary-canary-canary-canary-canary"
READY = f'[telegram]\ntoken = "{TOKEN}"\n[access]\nowner = 7\n[exchanges.acme]\n'


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was given to the bot each time that it was run."""
    calls: list[Any] = []

    async def run(settings: Any, *parts: Any, **options: Any) -> None:
        print(f"started with {settings.telegram.token.get_secret_value()}")
        calls.append(settings)

    monkeypatch.setattr(app, "run", run)
    return calls


def test_run_without_token_and_owner_says_where_to_find_both(installation: Any, started: list[Any]) -> None:
    """Both missing keys are named at once with the way to get them; nothing is started or made."""
    installation.configure("")
    result = installation.run("run")
    assert (result.exit_code, started, installation.database.exists()) == (78, [], False)
    assert [word in result.stderr for word in ("[telegram] token", "@BotFather", "[access] owner", "numeric")] == [
        True
    ] * 4


def test_run_ready_starts_the_bot_and_releases_everything(installation: Any, started: list[Any]) -> None:
    """A complete configuration runs; afterwards the directory is free again, and nobody was asked anything."""
    installation.configure(READY)
    result = installation.run("run")
    assert (result.exit_code, len(started), installation.sent) == (0, 1, [])
    DirectoryLock(installation.database.parent).release()


def test_run_token_printed_by_anything_is_hidden(installation: Any, started: list[Any]) -> None:
    """What the bot writes to its streams goes through the filter."""
    installation.configure(READY)
    assert installation.run("run").stdout == "started with ‹secret›\n"


def test_run_twice_refuses_the_second(installation: Any, started: list[Any]) -> None:
    """A data directory serves one bot."""
    installation.configure(READY)
    lock = DirectoryLock(installation.database.parent)
    try:
        result = installation.run("run")
    finally:
        lock.release()
    assert (result.exit_code, started) == (75, [])
    assert "is using" in result.stderr


def test_run_without_master_key_makes_no_database(installation: Any, started: list[Any]) -> None:
    """A missing master key stops the start, names the file, and never leads to a new one."""
    installation.configure(READY)
    installation.master_key.unlink()
    result = installation.run("run")
    assert (result.exit_code, started, installation.database.exists()) == (78, [], False)
    assert str(installation.master_key) in result.stderr
    DirectoryLock(installation.database.parent).release()


def test_run_with_much_missing_names_all_of_it_at_once(installation: Any, started: list[Any]) -> None:
    """Token, owner and master key are one message: nobody starts three times to learn of three mistakes."""
    installation.configure("")
    installation.master_key.unlink()
    result = installation.run("run")
    named = [word in result.stderr for word in ("[telegram] token", "[access] owner", str(installation.master_key))]
    assert (result.exit_code, started, named) == (78, [], [True] * 3)


def test_run_logging_as_json_writes_one_object_a_line(
    installation: Any, started: list[Any], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line can be read by a program, and its secrets are hidden as in text."""

    async def run(*parts: Any, **options: Any) -> None:
        logging.getLogger("bot.test").warning("the token is %s", TOKEN)

    monkeypatch.setattr(app, "run", run)
    installation.configure(READY + '[logging]\nformat = "json"\n')
    result = installation.run("run")
    (line,) = [json.loads(line) for line in result.stderr.splitlines()]
    assert (line["level"], line["logger"], line["message"]) == ("WARNING", "bot.test", "the token is ‹secret›")


def test_run_heartbeat_address_printed_by_anything_is_hidden(
    installation: Any, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The monitor's address is as good as a password."""
    url = "https://monitor.example/ping/7f3a91c0-canary"

    async def run(*parts: Any, **options: Any) -> None:
        print(url)

    async def silent(*parts: Any) -> None:
        """Call nobody."""

    monkeypatch.setattr(app, "run", run)
    monkeypatch.setattr("bot.web.heartbeat.beat", silent)
    installation.configure(READY + f'[heartbeat]\nurl = "{url}"\n')
    assert "canary" not in installation.run("run").output


def test_run_without_configuration_says_how_to_make_it(installation: Any, started: list[Any]) -> None:
    """The remedy is in the sentence."""
    result = installation.run("run")
    assert (result.exit_code, f"tradewire init --config {installation.config}" in result.stderr) == (78, True)


def test_run_imports_no_web_server_and_nothing_that_draws() -> None:
    """What only some bots need, or none, is imported by those: it would be a fifth of every start."""
    code = (
        "import sys, bot.cli.run\n"
        "needless = 'uvicorn starlette jinja2 matplotlib prometheus_client telegram.ext websockets'\n"
        "print(sorted(set(needless.split()) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("sections", "is_open"),
    [
        ({}, False),
        ({"hooks": {"enabled": True}}, True),
        ({"telegram": {"mode": "webhook", "webhook_url": "https://bot.example/t", "webhook_secret": "s" * 32}}, True),
    ],
)
def test_doors_are_opened_for_what_comes_in_by_http(sections: dict[str, Any], *, is_open: bool) -> None:
    """Only hooks and Telegram's webhook need a listener."""
    found = import_module("bot.cli.run")._doors(Settings.model_validate(sections))
    assert (found is not webhook.listen_to_nobody) is is_open
