from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pyotp
import pytest

from bot import Credentials
from bot.accounts import people, rotation, second_factor
from bot.accounts.vault import MasterKey, Vault, WrongMasterKey
from bot.contract.errors import VaultError
from bot.store.database import Connection, Store

PEOPLE = 6
NOW = 1_760_000_000_000


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Safe:
    """A database with the keys of six people, and what they are."""

    path: Path
    old: MasterKey
    new: MasterKey
    keys: dict[int, Credentials]
    seed: str

    def opened(self, master: MasterKey) -> dict[int, Credentials]:
        store = Store(self.path)
        try:
            vault = Vault(store, master, lambda _: None)
            return {account: vault.open(account) for account in self.keys}
        finally:
            store.close()

    def files(self) -> dict[str, str]:
        return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in self.path.parent.iterdir()}


@pytest.fixture
def safe(store: Store, master: MasterKey) -> Safe:
    vault = Vault(store, master, lambda _: None)

    def fill(db: Connection) -> tuple[list[int], str]:
        accounts = []
        for user in range(1, PEOPLE + 1):
            people.ensure_user(db, user, now_ms=0)
            account = people.add_account(db, user, "bitget", "main", 0)
            vault.seal(db, account, {"key": f"key-{user}", "secret": f"secret-{user}"})
            accounts.append(account.id)
        seed = second_factor.begin(db, 1, vault=vault).reveal()
        second_factor.confirm(db, 1, pyotp.HOTP(seed).at(NOW // 30_000), NOW, vault=vault)
        return accounts, seed

    accounts, seed = store.transact(fill)
    keys = {account: vault.open(account) for account in accounts}
    store.close()
    return Safe(store.path, master, MasterKey(bytes(range(32, 64))), keys, seed)


def rotate(safe: Safe, *, dies_after: int | None = None) -> tuple[int, list[int]]:
    """Rotate; die after so many commits of rows. Return what the run says it did, and what was left after each."""
    left: list[int] = []

    def on_row(number: int) -> None:
        left.append(number)
        if len(left) == dies_after:
            raise Killed

    store = Store(safe.path)
    try:
        return rotation.rotate_master(store, safe.old, safe.new, on_row), left
    except Killed:
        return -1, left
    finally:
        store.close()


def test_rotate_master_gives_every_row_to_the_new_key(safe: Safe) -> None:
    """Afterwards the new key opens everything, and the old one nothing."""
    assert rotate(safe) == (PEOPLE, [5, 4, 3, 2, 1, 0])
    assert safe.opened(safe.new) == safe.keys
    with pytest.raises(WrongMasterKey):
        safe.opened(safe.old)
    store = Store(safe.path)
    rows = store.transact(lambda db: {row["master_id"] for row in db.execute("SELECT master_id FROM data_keys")})
    store.close()
    assert rows == {safe.new.id}


@pytest.mark.parametrize("dies_after", range(1, PEOPLE + 1))
def test_rotate_master_killed_at_any_row_is_taken_up_again(safe: Safe, dies_after: int) -> None:
    """Half done, no vault opens with either key alone; the same command ends it, and nothing is lost."""
    assert rotate(safe, dies_after=dies_after) == (-1, list(range(PEOPLE - 1, PEOPLE - 1 - dies_after, -1)))
    before = safe.files()
    for master in (safe.old, safe.new):
        with pytest.raises(VaultError, match="both key files are needed"):
            safe.opened(master)
    assert safe.files() == before
    assert rotate(safe)[0] == PEOPLE - dies_after
    assert safe.opened(safe.new) == safe.keys


def test_rotate_master_again_after_the_end_does_nothing(safe: Safe) -> None:
    """A second run finds it done."""
    rotate(safe)
    before = safe.files()
    assert (rotate(safe), safe.files()) == ((0, []), before)


def test_rotate_master_with_a_wrong_key_writes_nothing(safe: Safe) -> None:
    """Neither a wrong old key at the start, nor another new key half way, changes a byte."""
    stranger, before = MasterKey(bytes(32)), safe.files()
    store = Store(safe.path)
    with pytest.raises(WrongMasterKey):
        rotation.rotate_master(store, stranger, safe.new)
    with pytest.raises(VaultError, match="is the old one"):
        rotation.rotate_master(store, safe.old, safe.old)
    store.close()
    assert safe.files() == before
    rotate(safe, dies_after=2)
    before = safe.files()
    store = Store(safe.path)
    for old, new in ((safe.old, stranger), (stranger, safe.new), (safe.new, safe.old)):
        with pytest.raises(WrongMasterKey):
            rotation.rotate_master(store, old, new)
    store.close()
    assert safe.files() == before


def test_rotate_master_row_that_was_changed_stops_it_and_loses_nothing(safe: Safe) -> None:
    """The rows before it are done, it and those behind it are as they were; mended, the run ends."""
    store = Store(safe.path)
    whole = store.transact(lambda db: db.execute("SELECT wrapped FROM data_keys WHERE id = 3").fetchone()[0])
    flip = "UPDATE data_keys SET wrapped = ? WHERE id = 3"
    store.transact(lambda db: db.execute(flip, (whole[:-1] + bytes([whole[-1] ^ 1]),)))
    with pytest.raises(VaultError, match="data key 3 of user 3"):
        rotation.rotate_master(store, safe.old, safe.new)
    masters = store.transact(lambda db: [row[0] for row in db.execute("SELECT master_id FROM data_keys ORDER BY id")])
    store.transact(lambda db: db.execute(flip, (whole,)))
    store.close()
    assert masters == [safe.new.id] * 2 + [safe.old.id] * 4
    rotate(safe)
    assert safe.opened(safe.new) == safe.keys


def test_vault_opened_before_a_rotation_makes_no_data_key_after_it(safe: Safe) -> None:
    """A `keys add` that waited at its prompt meanwhile must not seal with a key that is about to be thrown away."""
    store = Store(safe.path)
    vault = Vault(store, safe.old, lambda _: None)
    rotation.rotate_master(store, safe.old, safe.new)

    def add(db: Connection) -> None:
        people.ensure_user(db, 99, now_ms=0)
        vault.seal(db, people.add_account(db, 99, "bitget", "main", 0), {"key": "late"})

    with pytest.raises(WrongMasterKey):
        store.transact(add)
    store.close()


def test_rotate_data_seals_all_of_one_person_anew(safe: Safe) -> None:
    """Keys and seed open as before, no row is what it was, and other people's rows are untouched."""
    store = Store(safe.path)
    vault = Vault(store, safe.old, lambda _: None)

    def rows(db: Connection, mine: str) -> set[tuple[object, ...]]:
        query = f"SELECT id, wrapped FROM data_keys WHERE user_id {mine} 1 UNION ALL SELECT data_key_id, sealed FROM"
        query += f" credentials JOIN accounts ON accounts.id = account_id WHERE user_id {mine} 1"
        if mine == "=":
            query += " UNION ALL SELECT data_key_id, sealed FROM second_factor"
        return {tuple(row) for row in db.execute(query)}

    before = store.transact(lambda db: (rows(db, "="), rows(db, "<>")))
    sealed = store.transact(lambda db: rotation.rotate_data(db, vault, 1))
    after = store.transact(lambda db: (rows(db, "="), rows(db, "<>")))
    later = NOW + 60_000
    code = pyotp.HOTP(safe.seed).at(later // 30_000)
    store.transact(lambda db: second_factor.verify(db, 1, code, later, vault=vault))
    nobody = store.transact(lambda db: rotation.rotate_data(db, vault, 99))
    store.close()
    assert (sealed, nobody, before[0] & after[0], before[1] == after[1]) == (2, 0, set(), True)
    assert (len(before[0]), len(after[0])) == (4, 4)
    assert safe.opened(safe.old) == safe.keys


def test_rotate_data_cut_short_changes_nothing(safe: Safe) -> None:
    """It is one commit: what fails in it leaves the old data key and what it opens."""
    store = Store(safe.path)
    vault = Vault(store, safe.old, lambda _: None)

    def work(db: Connection) -> None:
        rotation.rotate_data(db, vault, 1)
        raise Killed

    with pytest.raises(Killed):
        store.transact(work)
    store.close()
    assert safe.opened(safe.old) == safe.keys
