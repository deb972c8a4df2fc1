"""Opened keys stay for the accounts used last, and never outlive the rows that they were opened from."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot import Credentials, Secret
from bot.accounts import people, rotation
from bot.accounts.opened import MOST, Opened
from bot.accounts.people import AccountRow
from bot.accounts.vault import MasterKey, Vault
from bot.contract.errors import VaultError
from bot.store.database import Connection, Store
from bot.trading import connect, forget

FIELDS = {"key": "canary-key-0001", "secret": "canary-secret-0001"}
KEYS = Credentials(key=Secret(FIELDS["key"]), secret=Secret(FIELDS["secret"]))
ROWS = (("a row",),)


@pytest.fixture
def opened(store: Store, vault: Vault, account: AccountRow) -> Opened:
    """What a vault keeps of one account that was used, and told when rows of it are erased."""
    store.transact(lambda db: vault.seal(db, account, FIELDS))
    assert vault.open(account.id) == KEYS
    found: Opened = vault._opened
    assert len(found) == 1
    return found


@pytest.mark.usefixtures("opened")
def test_vault_open_again_returns_the_very_same_keys(vault: Vault, account: AccountRow) -> None:
    """So a `Secret` signs the next request with what it prepared for the last one."""
    assert vault.open(account.id) is vault.open(account.id)


CHANGES = [
    "UPDATE credentials SET sealed = zeroblob(200) WHERE field = 'secret'",
    "UPDATE credentials SET sealed = (SELECT sealed FROM credentials WHERE field = 'key') WHERE field = 'secret'",
    "UPDATE credentials SET field = 'email' WHERE field = 'secret'",
    "UPDATE accounts SET exchange = 'bitrue'",
    "UPDATE data_keys SET wrapped = zeroblob(200)",
    "UPDATE data_keys SET master_id = 'another'",
]


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize("change", CHANGES)
def test_vault_row_changed_after_it_was_opened_is_refused(
    store: Store, vault: Vault, account: AccountRow, change: str
) -> None:
    """What is kept does not stand in for rows that would not open."""
    store.transact(lambda db: db.execute(change))
    with pytest.raises(VaultError, match="cannot be opened"):
        vault.open(account.id)


@pytest.mark.usefixtures("opened")
def test_vault_account_of_another_person_is_refused(store: Store, vault: Vault, account: AccountRow) -> None:
    """Keys that were opened for their owner do not follow the account to somebody else."""

    def give_away(db: Connection) -> None:
        people.ensure_user(db, 2, now_ms=0)
        db.execute("UPDATE accounts SET user_id = 2")

    store.transact(give_away)
    with pytest.raises(VaultError, match="cannot be opened"):
        vault.open(account.id)


ERASING: dict[str, Callable[[Connection, Vault, AccountRow], object]] = {
    "vault": lambda db, vault, account: vault.erase(db, account.id),
    "removed": lambda db, _, account: people.remove_account(db, account.id, 1),
    "key removed": lambda db, _, account: connect.remove_key(db, account, 1),
    "forgotten": lambda db, _, account: forget.erase(db, account.user_id, 1),
    "one row": lambda db, *_: db.execute("DELETE FROM credentials WHERE field = 'key'"),
}


@pytest.mark.parametrize("erase", ERASING.values(), ids=ERASING)
def test_opened_keys_go_with_their_rows(
    store: Store, vault: Vault, account: AccountRow, opened: Opened, erase: Callable[..., object]
) -> None:
    """Whoever erases the rows, and whether or not they know of the vault; none come back before the commit."""

    def work(db: Connection) -> tuple[int, int]:
        erase(db, vault, account)
        after = len(opened)
        assert store.look(lambda seen: vault.open_in(seen, account.id)) == KEYS  # not committed: still to be read
        return after, len(opened)

    assert store.transact(work) == (0, 0)


@pytest.mark.parametrize("change", ["sealed", "rotated"])
def test_opened_keys_that_are_replaced_are_gone_at_once(
    store: Store, vault: Vault, account: AccountRow, opened: Opened, change: str
) -> None:
    """With the new ones, which are kept as the old ones were."""
    new = {"key": "second-key", "secret": "second-secret"} if change == "sealed" else FIELDS

    def work(db: Connection) -> int:
        if change == "sealed":
            vault.seal(db, account, new)
        else:
            rotation.rotate_data(db, vault, account.user_id)
        return len(opened)

    assert store.transact(work) == 0
    found = vault.open(account.id)
    assert found == Credentials(**{name: Secret(value) for name, value in new.items()})
    assert vault.open(account.id) is found


def test_opened_keys_that_another_process_removed_are_dropped(
    store: Store, vault: Vault, account: AccountRow, master: MasterKey, opened: Opened
) -> None:
    """At the next signature, which has no rows to be made with."""
    other = Store(store.path)
    other.transact(lambda db: people.remove_account(db, account.id, 1))
    other.close()
    with pytest.raises(VaultError, match="has no keys"):
        vault.open(account.id)
    assert len(opened) == 0


def test_vault_account_that_was_not_removed_after_all_opens(
    store: Store, vault: Vault, account: AccountRow, opened: Opened
) -> None:
    """A transaction that is undone costs what was kept, and nothing else."""

    def work(db: Connection) -> None:
        people.remove_account(db, account.id, 1)
        raise KeyError

    with pytest.raises(KeyError):
        store.transact(work)
    assert (len(opened), vault.open(account.id)) == (0, KEYS)


def test_opened_keeps_those_that_were_used_last() -> None:
    """One more than it may keep costs the keys that nobody asked for the longest."""
    opened = Opened()
    for number in range(MOST):
        opened.keep(number, ROWS, Credentials(key=Secret(str(number))))
    assert opened.get(0, ROWS) == Credentials(key=Secret("0"))
    opened.keep(MOST, ROWS, KEYS)
    found = [opened.get(number, ROWS) for number in range(MOST + 1)]
    assert (len(opened), [number for number, keys in enumerate(found) if keys is None]) == (MOST, [1])


def test_opened_keeps_as_many_as_the_operator_is_told() -> None:
    """What stays in memory is said where it matters."""
    text = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
    assert f"the keys of the {MOST} accounts that signed last" in " ".join(text.split())


def test_opened_keys_of_other_rows_are_dropped() -> None:
    """They are of no use any more, so they do not stay."""
    opened = Opened()
    opened.keep(1, ROWS, KEYS)
    assert (opened.get(1, (("another",),)), len(opened), opened.get(1, ROWS)) == (None, 0, None)


@pytest.mark.parametrize("act", [copy.copy, copy.deepcopy, pickle.dumps, vars])
def test_opened_is_neither_copied_nor_stored(act: Callable[[Any], Any]) -> None:
    """A copy would live on without its rows."""
    opened = Opened()
    opened.keep(1, ROWS, KEYS)
    with pytest.raises(TypeError):
        act(opened)
    assert "canary" not in repr(opened)
