"""`tradewire audit`: an untouched log passes, any touched one is named, and reading it changes nothing."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from typing import Any

import pytest

from bot.store.database import Store
from bot.trading import events, membership
from tests.cli.conftest import NOW_MS


@pytest.fixture
def logged(installation: Any) -> Any:
    """An installation whose log has four events: three of people, one that the second person caused."""
    installation.configure()
    store = Store(installation.database)
    for user_id in (8, 9):
        store.transact(
            lambda db, user_id=user_id: membership.change_role(
                db, by=7, owner=7, user_id=user_id, role="trader", name="x", now_ms=NOW_MS
            )
        )
    store.transact(
        lambda db: events.record(db, kind="key added", detail={"exchange": "acme"}, now_ms=NOW_MS, user_id=8)
    )
    store.transact(lambda db: events.record(db, kind="halt", detail={"all": True, "by": None}, now_ms=NOW_MS))
    store.close()
    return installation


def change(installation: Any, *statements: str) -> None:
    with sqlite3.connect(installation.database) as db:
        for statement in statements:
            db.execute(statement)
    db.close()


def test_verify_untouched_log_is_whole_and_gives_a_hash_to_note(logged: Any) -> None:
    """Exit code 0, the number of events, and the hash of the newest; that hash is found again later."""
    result = logged.run("audit", "verify")
    assert result.output.startswith("The log is whole: 4 events.\nHash of the newest: ")
    digest = result.output.split()[-1]
    again = logged.run("audit", "verify", "--hash", digest)
    assert (result.exit_code, again.exit_code, len(digest)) == (0, 0, 64)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE events SET detail = '{}' WHERE id = 2", "event 2 (role) was changed"),
        ("UPDATE events SET user_id = 9 WHERE id = 3", "event 3 (key added) was changed"),
        ("UPDATE events SET at_ms = at_ms + 1 WHERE id = 1", "event 1 (role) was changed"),
        ("DELETE FROM events WHERE id = 2", "event 2 is missing"),
        ("DELETE FROM events WHERE id = 4", "event 4 is missing"),
        ("DELETE FROM events", "event 1 is missing"),
    ],
)
def test_verify_touched_log_names_the_first_event_and_exits_with_1(logged: Any, statement: str, told: str) -> None:
    """Whatever was changed, taken away or cut off: the first event that is not as written is named."""
    change(logged, statement)
    result = logged.run("audit", "verify")
    assert (result.exit_code, told in result.output) == (1, True)
    assert "Hash" not in result.output


def test_verify_log_written_anew_lacks_the_hash_that_was_noted(logged: Any) -> None:
    """Who rewrites the whole chain passes the check, and not the hash that somebody noted before."""
    digest = logged.run("audit", "verify").output.split()[-1]
    change(logged, "DELETE FROM events", "UPDATE sqlite_sequence SET seq = 0 WHERE name = 'events'")
    store = Store(logged.database)
    store.transact(lambda db: events.record(db, kind="nothing happened", detail={}, now_ms=NOW_MS))
    store.close()
    plain, noted = logged.run("audit", "verify"), logged.run("audit", "verify", "--hash", digest)
    assert (plain.exit_code, noted.exit_code) == (0, 1)
    assert "no event has the hash that you noted" in noted.output


def test_verify_word_that_is_no_hash_is_refused(logged: Any) -> None:
    result = logged.run("audit", "verify", "--hash", "abc")
    assert (result.exit_code, "64 hex digits" in result.output) == (1, True)


def test_verify_without_a_database_says_so(installation: Any) -> None:
    installation.configure()
    result = installation.run("audit", "verify")
    assert (result.exit_code, "There is no database" in result.output) == (1, True)
    assert not installation.database.exists()


def test_show_prints_events_oldest_first_and_of_one_person(logged: Any) -> None:
    """Number, time in UTC, person and what happened; `--user` and `--last` choose."""
    everything, of_one = logged.run("audit", "show"), logged.run("audit", "show", "--user", "8", "--last", "1")
    lines = everything.output.splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4"]
    assert lines[0] == "1  2023-11-14T22:13:20Z  8  role: by 7, role trader, was stranger"
    assert lines[3] == "4  2023-11-14T22:13:20Z  -  halt: all yes, by none"
    assert of_one.output == "3  2023-11-14T22:13:20Z  8  key added: exchange acme\n"


def test_audit_reads_and_changes_nothing(logged: Any) -> None:
    """The file is the same after all of it, byte for byte."""
    before = hashlib.sha256(logged.database.read_bytes()).hexdigest()
    logged.run("audit", "verify")
    logged.run("audit", "show")
    assert hashlib.sha256(logged.database.read_bytes()).hexdigest() == before


def test_show_text_of_others_cannot_move_the_cursor(logged: Any) -> None:
    """Control characters in an event are printed as codes."""
    store = Store(logged.database)
    store.transact(lambda db: events.record(db, kind="x\x1b[2J", detail={"a": "b\u202e"}, now_ms=NOW_MS))
    store.close()
    assert re.search(r"x\\u001b\[2J: a b\\u202e", logged.run("audit", "show").output)
