from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from telegram import Chat, Message, Update, User
from telegram.error import InvalidToken, TimedOut

from bot.accounts.vault import load_master_key
from bot.cli import telegram as ask
from bot.cli.telegram import starter
from bot.config import load

TOKEN = "123456789:AAcanary-canary-canary-canary-canary"
ANN = User(11, "Ann", is_bot=False)
BOB = User(12, "Bob\u202e", is_bot=False)


def update(number: int, sender: User, text: str = "/start", chat: str = "private") -> Update:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Update(number, Message(number, at, Chat(sender.id, chat), from_user=sender, text=text))


class FakeBot:
    """Shows its updates as Telegram does: from `offset`, at most a hundred; an exception in `error` is raised."""

    username = "acme_bot"

    def __init__(self, updates: Sequence[Update] = (), error: BaseException | None = None) -> None:
        self.updates = list(updates)
        self.error = error
        self.offsets: list[int | None] = []

    async def __aenter__(self) -> FakeBot:
        if isinstance(self.error, InvalidToken | TimedOut):
            raise self.error
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def get_updates(self, offset: int | None = None, timeout: int = 0) -> tuple[Update, ...]:  # noqa: ASYNC109
        if self.error is not None:
            raise self.error
        self.offsets.append(offset)
        return tuple(each for each in self.updates if each.update_id >= (offset or 0))[:100]


@pytest.fixture
def bots(monkeypatch: pytest.MonkeyPatch) -> list[FakeBot]:
    """The one bot that the command line gets to talk to."""
    known: list[FakeBot] = [FakeBot()]
    monkeypatch.setattr(ask, "make_bot", lambda _: known[0])
    return known


@pytest.fixture
def home(installation: Any) -> Any:
    return installation.directory


def written(home: Path) -> dict[str, Any]:
    return tomllib.loads((home / "config.toml").read_text())


def test_init_makes_config_key_and_directory_for_their_owner_alone(installation: Any, home: Path, bots: Any) -> None:
    """One command makes all that a start needs; the key is not in the data directory, and nobody else may read."""
    result = installation.run("init", "--yes", "--token", TOKEN, "--owner", "7")
    assert result.exit_code == 0
    assert {name: section for name, section in written(home).items() if section} == {
        "telegram": {"token": TOKEN},
        "access": {"owner": 7},
        "storage": {"directory": str(home / "data")},
        "vault": {"key_file": str(home / "master.key")},
    }
    modes = {name: (home / name).stat().st_mode & 0o777 for name in ("config.toml", "master.key", "data")}
    assert modes == {"config.toml": 0o600, "master.key": 0o600, "data": 0o700}
    load_master_key(home / "master.key")
    assert "✓ The token is that of @acme_bot." in result.output.splitlines()
    assert TOKEN not in result.output


def test_init_config_keeps_every_comment_of_the_example(installation: Any, home: Path, bots: Any) -> None:
    """What is written is the example, with nothing but the asked lines changed."""
    installation.run("init", "--yes", "--token", TOKEN, "--owner", "7")
    example = (Path(__file__).parents[2] / "config.example.toml").read_text().splitlines()
    lines = (home / "config.toml").read_text().splitlines()
    changed = [(old, new) for old, new in zip(example, lines, strict=True) if old != new]
    assert changed == [
        ('# token = ""', f'token = "{TOKEN}"'),
        ("# owner = 123456789", "owner = 7"),
        ('# directory = "~/.local/share/tradewire"', f'directory = "{home / "data"}"'),
        ('# key_file = "~/.config/tradewire/master.key"', f'key_file = "{home / "master.key"}"'),
    ]


def test_init_yes_without_anything_asks_nothing(installation: Any, home: Path, bots: Any) -> None:
    """--yes ends by itself and says what is left to do; Telegram is not asked."""
    bots[0].error = AssertionError("asked")
    result = installation.run("init", "--yes")
    assert (result.exit_code, load(home / "config.toml", {}).access.owner) == (0, None)
    assert ["[telegram] token" in result.output, "[access] owner" in result.output] == [True, True]


def test_init_twice_changes_nothing(installation: Any, home: Path, bots: Any) -> None:
    """The second run leaves every file as it is and says so, whatever it is told."""
    installation.run("init", "--yes", "--token", TOKEN, "--owner", "7")
    before = {path: path.read_bytes() for path in home.iterdir() if path.is_file()}
    result = installation.run("init", "--token", "1:other", "--owner", "8")
    assert result.exit_code == 0
    assert {path: path.read_bytes() for path in home.iterdir() if path.is_file()} == before
    assert result.output.count("there already") == 3


def test_init_with_config_makes_only_what_is_missing(installation: Any, home: Path, bots: Any) -> None:
    """A configuration that names a key and a directory gets exactly these."""
    installation.config.write_text(f'[vault]\nkey_file = "{home}/k"\n[storage]\ndirectory = "{home}/d"\n')
    before = installation.config.read_text()
    assert installation.run("init", "--yes").exit_code == 0
    assert sorted(path.name for path in home.iterdir()) == ["config.toml", "d", "k"]
    assert installation.config.read_text() == before


def test_init_database_without_its_key_gets_no_new_one(installation: Any, bots: Any) -> None:
    """A lost master key is not replaced: a new one would open nothing, and hide that the old one is needed."""
    installation.configure()
    installation.run("keys", "list")
    installation.master_key.unlink()
    result = installation.run("init", "--yes")
    assert (result.exit_code, installation.master_key.exists()) == (78, False)
    assert "Put its copy back" in result.stderr


def test_init_key_inside_the_data_directory_warns(installation: Any, home: Path, bots: Any) -> None:
    """It is done as configured, and called what it is."""
    installation.config.write_text(f'[vault]\nkey_file = "{home}/d/k"\n[storage]\ndirectory = "{home}/d"\n')
    result = installation.run("init", "--yes")
    assert (result.exit_code, "lies inside the data directory" in result.output) == (0, True)


def test_init_token_of_another_form_writes_nothing(installation: Any, home: Path, bots: Any) -> None:
    """A mistyped token is refused with its form and is not quoted."""
    result = installation.run("init", "--yes", "--token", "canary-token")
    assert (result.exit_code, list(home.iterdir()), "canary" in result.output) == (78, [], False)
    assert "a token has the form 123456789:text" in result.stderr


@pytest.mark.parametrize("error", [InvalidToken(f"The token `{TOKEN}` was rejected"), TimedOut()])
def test_init_token_not_verified_is_a_warning(installation: Any, home: Path, bots: Any, error: Exception) -> None:
    """Without Telegram's yes the token is kept all the same, and the owner is asked for by number."""
    bots[0].error = error
    result = installation.run("init", stdin=f"{TOKEN}\n7\n")
    assert (result.exit_code, written(home)["telegram"], written(home)["access"]) == (0, {"token": TOKEN}, {"owner": 7})
    assert ("⚠ The token is not verified" in result.output, TOKEN in result.output) == (True, False)


def test_init_owner_is_who_wrote_start_and_is_confirmed(installation: Any, home: Path, bots: Any) -> None:
    """The first to write /start is offered with name and id; a no goes on to the next. Invisible signs are left out."""
    bots[0].updates = [update(1, BOB), update(2, ANN)]
    result = installation.run("init", stdin=f"{TOKEN}\nn\ny\n")
    assert (result.exit_code, written(home)["access"]) == (0, {"owner": 11})
    assert "Write /start to @acme_bot in Telegram; waiting ... Ctrl-C to skip" in result.output
    assert "Bob (id 12) wrote /start. Is this you, the owner?" in result.output


def test_init_waiting_skipped_asks_for_the_number(installation: Any, home: Path, bots: Any) -> None:
    """Ctrl-C ends the waiting, not the command."""
    bots[0].error = KeyboardInterrupt()
    result = installation.run("init", "--token", TOKEN, stdin="7\n")
    assert (result.exit_code, written(home)["access"]) == (0, {"owner": 7})


def test_init_token_in_the_environment_is_used_and_not_written(
    installation: Any, home: Path, bots: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that the environment brings is verified, and stays out of the file."""
    monkeypatch.setenv("TRADEWIRE_TELEGRAM__TOKEN", TOKEN)
    result = installation.run("init", "--owner", "7")
    assert (result.exit_code, written(home)["telegram"]) == (0, {})
    assert "✓ The token is that of @acme_bot." in result.output.splitlines()


async def test_starter_passes_over_everything_else_and_confirms_nothing() -> None:
    """Only /start in private counts; Telegram keeps every update for the bot's first run."""
    bot = FakeBot([update(1, BOB, "hello"), update(2, BOB, "/started"), update(3, BOB, chat="group")])
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        bot.updates.append(update(4, ANN, "/start now"))

    assert await starter(bot, sleep=sleep) == ANN  # type: ignore[arg-type]
    assert (bot.offsets, len(pauses)) == ([None, None], 1)


async def test_starter_full_page_confirms_it_to_see_more() -> None:
    """Behind a hundred waiting updates nothing new is shown, so these are confirmed; the /start itself is not."""
    bot = FakeBot([*(update(number, BOB, "spam") for number in range(1, 101)), update(101, ANN)])
    assert await starter(bot) == ANN  # type: ignore[arg-type]
    assert bot.offsets == [None, 101]
