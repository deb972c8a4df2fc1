from __future__ import annotations

import json
from typing import Any

import pytest
from telegram.error import InvalidToken, TimedOut

from bot import NotSent
from bot.cli import telegram as ask
from bot.exchanges.registry import Plugin

TOKEN = "123456789:AAcanary-canary-canary-canary-canary"
READY = f'[telegram]\ntoken = "{TOKEN}"\n[access]\nowner = 7\n[exchanges.acme]\n'
KEY = {"key": "canary-key-0123456789abcdef", "secret": "canary-secret-0123456789abcdef"}


@pytest.fixture(autouse=True)
def telegram_answers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What Telegram says to getMe: a name, or an error that is raised."""
    answers: list[Any] = ["acme_bot"]

    async def username(_: Any) -> str:
        if isinstance(answers[0], Exception):
            raise answers[0]
        return str(answers[0])

    monkeypatch.setattr(ask, "username", username)
    return answers


def report(installation: Any, *words: str) -> tuple[int, dict[str, str]]:
    """Return doctor's exit code and its mark for each name; the worst mark where there are several."""
    result = installation.run("doctor", "--json", *words)
    assert TOKEN[10:] not in result.output
    found = json.loads(result.stdout)
    assert found["ok"] is (result.exit_code == 0)
    return result.exit_code, {check["name"]: check["mark"] for check in found["checks"]}


def add_key(installation: Any) -> None:
    installation.run("keys", "add", "--exchange", "acme", "--stdin", stdin=json.dumps(KEY))


def test_doctor_healthy_installation_has_one_line_each(installation: Any) -> None:
    """Everything that is checked is named once, in words."""
    installation.configure(READY)
    add_key(installation)
    result = installation.run("doctor")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "✓ configuration: every key is known and every value accepted",
        f"✓ master key: {installation.master_key}, for its owner alone",
        f"✓ database: {installation.database} is whole, and every commit reaches the disk",
        "✓ owner: 7",
        "✓ address: This server sends from 93.184.216.34.",
        "✓ token: @acme_bot",
        "✓ acme: answers, 0 markets",
        "✓ acme: clock: +38 ms",
        "✓ key acme·main of user 7: clock: +38 ms; signature: accepted; read: 0 assets; trade: allowed; no order was "
        "sent to try it; withdraw: verified: the key cannot withdraw; IP: bound to addresses",
    ]


def test_doctor_private_address_is_no_fault_and_points_to_the_public_one(installation: Any) -> None:
    """The line says where exchanges see requests come from, of each exchange that is in use."""
    section = '[exchanges.acme]\nlocal_address = "10.0.0.9"\n[exchanges.other]\nenabled = false\nproxy = "http://p"\n'
    installation.configure(READY.replace("[exchanges.acme]\n", section))
    lines = installation.run("doctor", "--offline").stdout.splitlines()
    assert [line for line in lines if "address:" in line] == [
        "✓ address: This server sends from 93.184.216.34. acme: from 10.0.0.9. 10.0.0.9 is a private address: an "
        "exchange sees the public address of your router or provider instead. Read that one in the provider's panel "
        "or on the router's status page, and enter it at the exchange."
    ]


def test_doctor_before_the_first_start_makes_no_database(installation: Any) -> None:
    """Looking leaves nothing behind, so that a doctor run as root does not take the bot's files from it."""
    installation.configure(READY)
    code, marks = report(installation)
    assert (code, marks["acme"], installation.database.parent.exists()) == (0, "ok", False)


def test_doctor_offline_asks_nobody(installation: Any, telegram_answers: list[Any]) -> None:
    """--offline looks at this machine only."""
    installation.configure(READY)
    telegram_answers[0] = AssertionError("asked")
    code, marks = report(installation, "--offline")
    assert (code, installation.sent) == (0, [])
    assert list(marks) == ["configuration", "master key", "database", "owner", "address"]


def test_doctor_exchange_without_section_or_account_is_not_asked(installation: Any) -> None:
    """A plugin that is merely installed causes no traffic."""
    installation.configure(READY.replace("[exchanges.acme]\n", ""))
    code, marks = report(installation)
    assert (code, "acme" in marks, installation.sent) == (0, False, [])


def test_doctor_without_token_and_owner_names_both(installation: Any) -> None:
    """Each missing setting is a line of its own with its remedy."""
    installation.configure("")
    result = installation.run("doctor")
    failed = [line for line in result.stdout.splitlines() if line.startswith("✗")]
    assert (result.exit_code, [line.split(":")[0] for line in failed]) == (1, ["✗ token", "✗ owner"])
    assert ["BotFather" in failed[0], "tradewire init" in failed[1]] == [True, True]


@pytest.mark.parametrize(
    ("error", "words"), [(InvalidToken(f"The token `{TOKEN}` was rejected"), "@BotFather"), (TimedOut(), "network")]
)
def test_doctor_token_refused_gives_the_remedy_and_not_the_token(
    installation: Any, telegram_answers: list[Any], error: Exception, words: str
) -> None:
    """Telegram's own error may quote the token; ours does not."""
    installation.configure(READY)
    telegram_answers[0] = error
    result = installation.run("doctor")
    line = next(line for line in result.stdout.splitlines() if line.startswith("✗ token"))
    assert (result.exit_code, words in line, TOKEN in result.output) == (1, True, False)


@pytest.mark.parametrize(
    ("found", "mark", "words"), [(object(), "✓", "and /metrics"), (None, "⚠", "pip install 'tradewire[metrics]'")]
)
def test_doctor_health_says_where_it_is_and_what_its_metrics_need(
    installation: Any, monkeypatch: pytest.MonkeyPatch, found: object, mark: str, words: str
) -> None:
    """The address to type, and the package that is missing where it is."""
    monkeypatch.setattr("bot.cli.doctor.find_spec", lambda _: found)
    installation.configure(READY + "[health]\nport = 8090\n")
    lines = installation.run("doctor", "--offline").stdout.splitlines()
    (line,) = [line for line in lines if "health:" in line]
    assert (line[0], "http://127.0.0.1:8090/healthz" in line, words in line) == (mark, True, True)


def test_doctor_configuration_wrong_shows_the_mistakes(installation: Any) -> None:
    """A wrong file is the one failing line, with exit code 1."""
    installation.configure("[loging]\n")
    result = installation.run("doctor")
    assert (result.exit_code, "[loging]: there is no such key" in result.stdout) == (1, True)


def test_doctor_master_key_open_to_others_fails(installation: Any) -> None:
    """The remedy is a command to copy."""
    installation.configure(READY)
    installation.master_key.chmod(0o644)
    result = installation.run("doctor", "--offline")
    assert (result.exit_code, f"chmod 600 {installation.master_key}" in result.stdout) == (1, True)


def test_doctor_master_key_of_another_database_fails(installation: Any) -> None:
    """A key that opens nothing here is found before the bot is started with it; no exchange is asked."""
    installation.configure(READY)
    add_key(installation)
    installation.sent.clear()
    installation.master_key.unlink()
    installation.configure(READY)
    code, marks = report(installation)
    assert (code, marks["master key"], marks["database"], installation.sent) == (1, "failed", "ok", [])


def test_doctor_master_key_inside_the_data_directory_warns(installation: Any) -> None:
    """A copy of the data directory would hold lock and key."""
    installation.configure(READY)
    inside = installation.database.parent / "master.key"
    inside.parent.mkdir()
    installation.master_key.rename(inside)
    text = installation.config.read_text().replace(str(installation.master_key), str(inside))
    installation.config.write_text(text)
    code, marks = report(installation, "--offline")
    assert (code, marks["master key"]) == (0, "warning")


def test_doctor_database_damaged_fails_and_leaves_it(installation: Any) -> None:
    """A file that is no database is reported and stays as it was."""
    installation.configure(READY)
    installation.database.parent.mkdir()
    installation.database.write_bytes(b"no database" * 1000)
    code, marks = report(installation)
    assert (code, marks["database"], installation.database.read_bytes()) == (1, "failed", b"no database" * 1000)


def test_doctor_exchange_unreachable_fails(installation: Any) -> None:
    """An exchange in use that does not answer is a failure with a place to look."""
    installation.configure(READY)
    installation.answers["/markets"] = NotSent("Acme cannot be reached")
    result = installation.run("doctor")
    assert result.exit_code == 1
    assert "✗ acme: Acme cannot be reached. Check the network and [exchanges.acme]." in result.stdout.splitlines()


def test_doctor_section_of_no_installed_exchange_fails(installation: Any) -> None:
    """A section for a plugin that is not there does nothing, and doctor says so."""
    installation.configure(READY.replace("acme", "acne"))
    code, marks = report(installation)
    assert (code, marks["acne"]) == (1, "failed")


def test_doctor_broken_plugin_fails_only_where_it_is_used(installation: Any) -> None:
    """A broken plugin that nobody configured is a warning; one with a section is a failure."""
    installation.configure(READY)
    installation.plugins.append(Plugin("fine", None, problem="it cannot be imported"))
    unused = report(installation)
    installation.configure(READY + "[exchanges.fine]\n")
    used = report(installation)
    assert (unused[0], unused[1]["fine"], used[0], used[1]["fine"]) == (0, "warning", 1, "failed")


def test_doctor_key_that_may_withdraw_fails(installation: Any) -> None:
    """A right given to a key after it was connected is found, and its line says what to do."""
    installation.configure(READY)
    add_key(installation)
    installation.answers["/rights"] = {"can_withdraw": "yes"}
    result = installation.run("doctor")
    assert result.exit_code == 1
    assert (
        "✗ key acme·main of user 7: withdraw: This Acme key may withdraw money, which the bot never needs. "
        "Make a key without that right." in result.stdout.splitlines()
    )
