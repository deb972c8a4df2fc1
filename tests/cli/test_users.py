from __future__ import annotations

import json
from typing import Any

import pytest

from bot.accounts import people
from bot.store.database import Store

NO_DATABASE = "Error: There is no database at"


@pytest.fixture
def house(installation: Any) -> Any:
    """An installation whose bot ran once: its owner, 7, is known."""
    installation.configure()
    store = Store(installation.database)
    store.transact(lambda db: people.ensure_user(db, 7, "admin", "Olga", now_ms=1))
    store.close()
    return installation


def listed(house: Any) -> dict[int, str]:
    return {row["id"]: row["role"] for row in json.loads(house.run("users", "list", "--json").stdout)}


def test_users_add_changes_and_blocks(house: Any) -> None:
    """The operator lets people in, changes them and shuts them out; each answer says what became of it."""
    answers = [
        house.run("users", "add", "8", "admin", "--name", "Ann\u202e"),
        house.run("users", "add", "8", "trader"),
        house.run("users", "block", "8"),
    ]
    assert [(each.exit_code, each.output) for each in answers] == [
        (0, "Ann? (8) may use the bot as admin.\n"),
        (0, "Ann? (8) is now trader, was admin.\n"),
        (0, "Ann? (8) is blocked.\n"),
    ]
    assert listed(house) == {7: "owner", 8: "blocked"}
    assert house.run("users", "list").output == "7  owner  Olga\n8  blocked  Ann?\n"
    assert house.count("events") == 3


@pytest.mark.parametrize("words", [("add", "7", "viewer"), ("block", "7")])
def test_users_owner_is_changed_in_the_configuration_only(house: Any, words: tuple[str, ...]) -> None:
    """Not even the server's own command line does it."""
    result = house.run("users", *words)
    assert (result.exit_code, result.stderr) == (
        1, "Error: The owner's role is set in the configuration, [access] owner, and nowhere else.\n"
    )  # fmt: skip
    assert listed(house) == {7: "owner"}


@pytest.mark.parametrize("words", [("add", "8", "owner"), ("add", "@ann", "trader"), ("add", "0", "trader")])
def test_users_takes_numeric_ids_and_known_roles_only(house: Any, words: tuple[str, ...]) -> None:
    """A name is nobody: it can be taken by somebody else tomorrow."""
    assert house.run("users", *words).exit_code == 2
    assert listed(house) == {7: "owner"}


def test_users_without_a_database_makes_none(installation: Any) -> None:
    """The command changes a bot that is there."""
    installation.configure()
    result = installation.run("users", "list")
    assert (result.exit_code, result.stderr.startswith(NO_DATABASE), installation.database.exists()) == (1, True, False)


def test_users_empty_list_says_how_to_begin(installation: Any) -> None:
    """A bot that never ran knows nobody."""
    installation.configure()
    Store(installation.database).close()
    assert "tradewire users add" in installation.run("users", "list").output
