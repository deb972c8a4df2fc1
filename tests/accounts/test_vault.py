from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from bot import Credentials, Secret
from bot.accounts import people
from bot.accounts import vault as vault_module
from bot.accounts.people import AccountRow
from bot.accounts.vault import MasterKey, Vault, WrongMasterKey
from bot.contract.errors import VaultError
from bot.store.database import Connection, Store

FIELDS = {"key": "canary-key-0001", "secret": "canary-secret-0001", "passphrase": "canary-pass-0001"}
PLACE = ("cred", 1, "instance", 1, 23, "bitget", "secret", 4)


@contextmanager
def undone(store: Store) -> Iterator[Connection]:
    """Hand out the connection inside a transaction that is rolled back: an attack without the wait for the disk."""
    db = store.transact(lambda db: db)
    db.execute("BEGIN")
    try:
        yield db
    finally:
        db.execute("ROLLBACK")


def is_refused(work: Callable[..., object], *arguments: object) -> bool:
    try:
        work(*arguments)
    except VaultError:
        return True
    return False


def set_mark(store: Store, value: str) -> None:
    store.transact(lambda db: db.execute("INSERT OR REPLACE INTO meta VALUES ('vault_check', ?)", (value,)))


def files_of(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.iterdir())}


@pytest.fixture
def sealed(store: Store, vault: Vault, account: AccountRow) -> AccountRow:
    """An account with keys in the vault."""
    store.transact(lambda db: vault.seal(db, account, FIELDS))
    return account


# Binding a database to its key


def test_vault_wrong_master_key_writes_nothing(
    store: Store, vault: Vault, sealed: AccountRow, registered: list[str]
) -> None:
    """Another key stops at the door: the text names both ids, no byte changes and no key is made."""
    store.close()
    before = files_of(store.path.parent)
    again = Store(store.path)
    wrong, right = MasterKey(bytes(32)), MasterKey(bytes(range(32)))
    with pytest.raises(WrongMasterKey) as caught:
        Vault(again, wrong, registered.append)
    again.close()
    wanted = f"(wanted id {right.id[:4]}.., have {wrong.id[:4]}..)"
    assert str(caught.value) == f"the master key does not belong to this database {wanted}"
    assert files_of(store.path.parent) == before


def test_vault_right_master_key_after_restart_opens(store: Store, sealed: AccountRow, master: MasterKey) -> None:
    """A second vault with the same key finds its mark and opens what the first sealed."""
    assert Vault(store, master, lambda _: None).open(sealed.id) == _credentials(FIELDS)


def test_vault_mark_removed_or_changed_is_refused(store: Store, sealed: AccountRow, master: MasterKey) -> None:
    """Deleting or forging the mark does not bind a database with keys to a new master key."""
    wrong = MasterKey(bytes(32))
    marks = {f"{wrong.id} {'00' * 93}": wrong, f"{master.id} {'00' * 93}": master, f"{master.id} zz": master, "": wrong}
    store.transact(lambda db: db.execute("DELETE FROM meta WHERE key = 'vault_check'"))
    refused = [is_refused(Vault, store, key, print) for key in (wrong, master)]
    for mark, key in marks.items():
        set_mark(store, mark)
        refused.append(is_refused(Vault, store, key, print))
    assert refused == [True] * 6


# Sealing and opening


def _credentials(fields: dict[str, str]) -> Credentials:
    return Credentials(**{name: Secret(value) for name, value in fields.items()})


def test_vault_open_returns_what_was_sealed(vault: Vault, sealed: AccountRow) -> None:
    """Sealed fields come back; a field that the exchange does not use stays empty."""
    assert vault.open(sealed.id) == _credentials({**FIELDS, "email": ""})


def test_vault_open_registers_each_live_value(
    store: Store, sealed: AccountRow, master: MasterKey, registered: list[str]
) -> None:
    """After a restart, everything that was opened is known to the redactor: keys, master key and data key."""
    seen: list[str] = []
    Vault(store, master, seen.append).open(sealed.id)
    data_key = (set(registered) - {*FIELDS.values(), master.material.reveal()}).pop()
    assert set(seen) == {*FIELDS.values(), master.material.reveal(), data_key}
    assert len(bytes.fromhex(data_key)) == 32


def test_vault_seal_again_replaces_every_field(store: Store, vault: Vault, sealed: AccountRow) -> None:
    """New keys leave nothing of the old ones, also no field that the new ones do not have."""
    store.transact(lambda db: vault.seal(db, sealed, {"key": "second-key", "secret": "ключ", "email": ""}))
    assert vault.open(sealed.id) == _credentials({"key": "second-key", "secret": "ключ"})


def test_vault_seal_unknown_field_is_refused(store: Store, vault: Vault, sealed: AccountRow) -> None:
    """A field that `Credentials` does not have is refused, and the old keys stay."""
    assert is_refused(lambda: store.transact(lambda db: vault.seal(db, sealed, {"key": "k", "pin": "1"})))
    assert vault.open(sealed.id) == _credentials(FIELDS)


def test_vault_seal_same_value_twice_gives_unlike_records(store: Store, vault: Vault, sealed: AccountRow) -> None:
    """No two records share salt, commitment, nonce or ciphertext, so equal secrets cannot be recognised."""
    records = []
    for _ in range(2):
        store.transact(lambda db: vault.seal(db, sealed, {"key": "same", "secret": "same"}))
        records += store.transact(lambda db: [row["sealed"] for row in db.execute("SELECT sealed FROM credentials")])
    parts = [(r[1:33], r[33:65], r[65:77], r[77:]) for r in records]
    assert [len(set(column)) for column in zip(*parts, strict=True)] == [4, 4, 4, 4]


def test_vault_erase_leaves_nothing_to_open(store: Store, vault: Vault, sealed: AccountRow) -> None:
    """After erasing, opening says that there are no keys, and neither record nor data key is left."""
    store.transact(lambda db: vault.erase(db, sealed.id))
    with pytest.raises(VaultError, match="has no keys"):
        vault.open(sealed.id)
    left = store.transact(lambda db: db.execute("SELECT * FROM credentials, data_keys").fetchall())
    assert left == []


def test_vault_open_removed_account_is_refused(store: Store, vault: Vault, sealed: AccountRow) -> None:
    """Rows put back under a removed account do not open."""
    store.transact(lambda db: db.execute("UPDATE accounts SET removed_ms = 1"))
    assert is_refused(vault.open, sealed.id)


def test_vault_seal_rolled_back_stores_nothing(store: Store, vault: Vault, account: AccountRow) -> None:
    """Sealing is part of the caller's transaction: what fails later takes the keys with it."""

    def work(db: Connection) -> None:
        vault.seal(db, account, FIELDS)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.transact(work)
    assert store.transact(lambda db: db.execute("SELECT count(*) FROM data_keys").fetchone()[0]) == 0


def test_vault_seal_leaves_no_secret_in_any_file(store: Store, sealed: AccountRow, registered: list[str]) -> None:
    """Neither database nor WAL holds a credential, the master key or the data key, as text or as bytes."""
    secrets = [value.encode() for value in registered]
    secrets += [bytes.fromhex(value) for value in registered if len(value) == 64]
    files = {path.name: path.read_bytes() for path in store.path.parent.iterdir()}
    hits = [(name, secret) for name, data in files.items() for secret in secrets if secret in data]
    assert (hits, len(secrets)) == ([], 7)
    assert any(sealed.exchange.encode() in data for data in files.values())  # the search would find a plain column


# The form of a record: databases hold such, so it stays

RECORD = bytes.fromhex(
    "01000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    "eab717814bf51447c11ca70ef605c3c192aede5c5ed39fcc194315722212dc40"
    "000102030405060708090a0b45362e49fdba5ccadcc496c0923922773e95f7f587ab1131"
)
"""Sealed at `PLACE` with the key 00 01 .. 1f: version and salt; commitment; nonce and ciphertext."""


def test_open_record_that_was_sealed_long_ago_opens() -> None:
    """A record of known bytes opens: neither what is derived nor what is authenticated has changed."""
    assert vault_module._open(bytes(range(32)), RECORD, PLACE) == "ключ".encode()


def test_bound_to_is_each_part_behind_its_length() -> None:
    """Of bytes, four to a length: what is authenticated is the same in every version, and for a part seen before."""
    expected = b"\0\0\0\4cred\0\0\0\0011\0\0\0\2\xc3\xa9\0\0\0\0\0\0\0\0011"
    assert [vault_module._bound_to(("cred", 1, "é", "", "1")) for _ in range(2)] == [expected] * 2


# Attacks on rows


def _seal_rows(store: Store, vault: Vault, people_count: int) -> None:
    """Seal four fields of two accounts of each person."""

    def work(db: Connection) -> None:
        for user in range(1, people_count + 1):
            people.ensure_user(db, user, now_ms=0)
            for label in ("one", "two"):
                account = people.add_account(db, user, "bitget", label, 0)
                vault.seal(db, account, {name: f"{name}-{user}-{label}" for name in (*FIELDS, "email")})

    store.transact(work)


def _swaps(store: Store, vault: Vault, *, with_data_key: bool) -> tuple[int, int]:
    """Copy each row over each other one; return how many copies were tried and how many opened."""
    tried = opened = 0
    put = "UPDATE credentials SET sealed = ?, data_key_id = ? WHERE account_id = ? AND field = ?"
    with undone(store) as db:
        rows = db.execute("SELECT sealed, data_key_id, account_id, field FROM credentials").fetchall()
        for target, source in itertools.permutations(rows, 2):
            key_id = (source if with_data_key else target)["data_key_id"]
            db.execute(put, (source["sealed"], key_id, target["account_id"], target["field"]))
            tried += 1
            opened += not is_refused(vault.open_in, db, target["account_id"])
            db.execute(put, tuple(target))
        for row in rows:
            vault.open_in(db, row["account_id"])
    return tried, opened


@pytest.mark.parametrize("with_data_key", [True, False])
def test_vault_row_copied_over_another_never_opens(store: Store, vault: Vault, with_data_key: bool) -> None:
    """Of all ordered pairs of rows none opens in the other's place, be the data key's number copied along or not."""
    _seal_rows(store, vault, 5)
    assert _swaps(store, vault, with_data_key=with_data_key) == (40 * 39, 0)


def test_vault_row_copied_over_another_of_many_never_opens(store: Store, vault: Vault) -> None:
    """The same for 200 rows of 25 people."""
    _seal_rows(store, vault, 25)
    assert _swaps(store, vault, with_data_key=True) == (200 * 199, 0)


def test_vault_without_places_rows_could_be_swapped(
    store: Store, master: MasterKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: without authenticated data, every copy opens, also another person's."""
    monkeypatch.setattr(vault_module, "_bound_to", lambda place: b"")
    vault = Vault(store, master, lambda _: None)
    _seal_rows(store, vault, 5)
    assert _swaps(store, vault, with_data_key=True) == (40 * 39, 40 * 39)


@pytest.mark.parametrize(("table", "column"), [("credentials", "sealed"), ("data_keys", "wrapped")])
def test_vault_record_with_one_bit_flipped_never_opens(
    store: Store, vault: Vault, account: AccountRow, table: str, column: str
) -> None:
    """Every single bit of a record and of a wrapped data key counts."""
    store.transact(lambda db: vault.seal(db, account, {"secret": "canary-secret-0001"}))
    with undone(store) as db:
        record = db.execute(f"SELECT {column} FROM {table}").fetchone()[0]
        opened = []
        for bit in range(8 * len(record)):
            changed = bytearray(record)
            changed[bit // 8] ^= 1 << bit % 8
            db.execute(f"UPDATE {table} SET {column} = ?", (bytes(changed),))
            if not is_refused(vault.open_in, db, account.id):
                opened.append(bit)
    assert (opened, len(record) > 93) == ([], True)


@pytest.mark.parametrize("length", [0, 1, 76, 77, 92, 93])
def test_vault_record_cut_short_is_refused(store: Store, vault: Vault, sealed: AccountRow, length: int) -> None:
    """A record that lost its end is refused, not misread."""
    with undone(store) as db:
        db.execute("UPDATE credentials SET sealed = substr(sealed, 1, ?)", (length,))
        assert is_refused(vault.open_in, db, sealed.id)


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE accounts SET user_id = 2",
        "UPDATE accounts SET exchange = 'bitrue'",
        "UPDATE credentials SET account_id = (SELECT max(id) FROM accounts)",
        "UPDATE credentials SET field = 'email' WHERE field = 'secret'",
        "UPDATE credentials SET data_key_id = (SELECT max(id) FROM data_keys)",
        "UPDATE data_keys SET master_id = 'another'",
    ],
)
def test_vault_row_moved_to_another_place_is_refused(
    store: Store, vault: Vault, sealed: AccountRow, attack: str
) -> None:
    """A row that names another owner, exchange, account, field, data key or master key does not open."""
    with undone(store) as db:
        people.ensure_user(db, 2, now_ms=0)
        people.add_account(db, 1, "bitget", "other", 0)
        db.execute(
            "INSERT INTO data_keys(user_id, master_id, wrapped) SELECT user_id, master_id, wrapped FROM data_keys"
        )
        vault.open_in(db, sealed.id)
        db.execute(attack)
        ids = [row["account_id"] for row in db.execute("SELECT DISTINCT account_id FROM credentials")]
        assert [is_refused(vault.open_in, db, account_id) for account_id in ids] == [True]


def test_vault_rows_of_another_instance_are_refused(store: Store, vault: Vault, sealed: AccountRow) -> None:
    """A row does not open in another instance with the same master key."""
    vault.instance_id = "another"
    assert is_refused(vault.open, sealed.id)


@pytest.mark.parametrize("position", range(len(PLACE)))
def test_open_any_part_of_the_place_changed_is_refused(position: int) -> None:
    """Each part of the place is authenticated: purpose, version, instance, person, account, exchange, field, key."""
    key = bytes(32)
    record = vault_module._seal(key, b"value", PLACE)
    changed = (*PLACE[:position], f"{PLACE[position]}x", *PLACE[position + 1 :])
    assert vault_module._open(key, record, PLACE) == b"value"
    with pytest.raises((vault_module._Refused, InvalidTag)):
        vault_module._open(key, record, changed)


def test_open_person_1_account_23_is_not_person_12_account_3(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengths keep 1‖23 and 12‖3 apart. Control: with plain concatenation the record opens in both places."""
    key, other = bytes(32), (*PLACE[:3], 12, 3, *PLACE[5:])
    with pytest.raises(InvalidTag):
        vault_module._open(key, vault_module._seal(key, b"value", PLACE), other)
    monkeypatch.setattr(vault_module, "_bound_to", lambda place: "".join(map(str, place)).encode())
    assert vault_module._open(key, vault_module._seal(key, b"value", PLACE), other) == b"value"


# One record, two keys


def _aes(key: bytes, block: bytes) -> int:
    return int.from_bytes(Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block), "big")


def _times(a: int, b: int) -> int:
    """Multiply in GCM's field (NIST SP 800-38D, 6.3): bit 0 is the leftmost."""
    product = 0
    for bit in range(127, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = b >> 1 ^ (0xE1 << 120 if b & 1 else 0)
    return product


def _inverse(a: int) -> int:
    result, power = 1 << 127, a
    for _ in range(127):  # a ** (2 ** 128 - 2)
        power = _times(power, power)
        result = _times(result, power)
    return result


def _record_for_both(keys: tuple[bytes, bytes]) -> bytes:
    """Make one record whose GCM tag is right under two data keys: one free block, one linear equation."""
    salt, nonce, aad = bytes(32), bytes(12), vault_module._bound_to(PLACE)
    blocks = [aad[start : start + 16].ljust(16, b"\0") for start in range(0, len(aad), 16)]
    lengths = (8 * len(aad)) << 64 | 128
    derived = [vault_module._derive(key, salt, PLACE) for key in keys]
    squares, rests = [], []
    for record_key, _ in derived:
        h = _aes(record_key, bytes(16))
        state = 0
        for part in blocks:
            state = _times(state ^ int.from_bytes(part, "big"), h)
        square = _times(h, h)
        squares.append(square)
        rests.append(_times(state, square) ^ _times(lengths, h) ^ _aes(record_key, nonce + b"\0\0\0\1"))
    block = _times(rests[0] ^ rests[1], _inverse(squares[0] ^ squares[1]))
    tag = rests[0] ^ _times(block, squares[0])
    ciphertext = block.to_bytes(16, "big") + tag.to_bytes(16, "big")
    return b"\x01" + salt + derived[0][1] + nonce + ciphertext


def test_open_record_made_for_two_keys_opens_under_one_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commitment ties a record to one key. Control: without it, GCM opens the crafted record under both."""
    keys = (b"\x01" * 32, b"\x02" * 32)
    record = _record_for_both(keys)
    first = vault_module._open(keys[0], record, PLACE)
    with pytest.raises(vault_module._Refused):
        vault_module._open(keys[1], record, PLACE)
    monkeypatch.setattr(vault_module, "_is_same", lambda commitment, expected: True)
    assert vault_module._open(keys[1], record, PLACE) != first


def test_open_unknown_version_is_refused() -> None:
    """A record of a later version is refused, whatever follows."""
    record = vault_module._seal(bytes(32), b"value", PLACE)
    with pytest.raises(vault_module._Refused):
        vault_module._open(bytes(32), b"\x02" + record[1:], PLACE)
