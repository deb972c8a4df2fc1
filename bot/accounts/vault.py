"""The one home of secrets: sealed rows in the database, opened with a master key that lives outside it.

The master key wraps one data key per person; a data key seals that person's credentials, each under a key of its own:

    record = 0x01 ‖ salt 32 ‖ commitment 32 ‖ nonce 12 ‖ AES-256-GCM ciphertext‖tag
    HKDF-SHA256(data key, salt, purpose) -> record key 32 ‖ commitment 32

The authenticated data names the place of a record (instance, person, account, exchange, field, data key), so a row
copied elsewhere does not open. The commitment ties a record to one key: GCM alone lets a crafted record open under two.
Python cannot be made to forget a value; what was opened may stay in memory until it is reused.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import fields as fields_of
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bot.accounts.people import AccountRow, erase_credentials
from bot.contract.errors import VaultError
from bot.contract.wire import Credentials, Secret
from bot.store.database import Connection, Row, Store

_VERSION = b"\x01"
_KEY_SIZE = 32
_NONCE_SIZE = 12
_TAG_SIZE = 16
_HEAD_SIZE = len(_VERSION) + _KEY_SIZE + _KEY_SIZE + _NONCE_SIZE
_FIELDS = frozenset(field.name for field in fields_of(Credentials))


class WrongMasterKey(VaultError):
    """The master key is not the one that this database was made with."""


class MasterKey:
    """The key that opens everything. Cannot print, pickle or copy its material.

    Attributes:
        id: 32 hex digits that name the key and do not reveal it.
        material: The key as hex.
    """

    __slots__ = ("id", "material")

    def __init__(self, material: bytes) -> None:
        self.material = Secret(material.hex())
        self.id = _expand(material, b"", "id/v1", 16).hex()

    def __repr__(self) -> str:
        return f"MasterKey({self.id[:4]}..)"


def create_master_key(path: Path) -> None:
    """Write a new master key, readable by its owner alone.

    Raises:
        VaultError: Something is there already, or the file cannot be written. Nothing is overwritten.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise VaultError(f"{path} exists already. It was left as it is: without it, stored keys are lost.") from None
    except OSError as error:
        raise VaultError(f"The master key cannot be written to {path}: {error.strerror}.") from error
    with os.fdopen(handle, "wb") as file:
        file.write(secrets.token_bytes(_KEY_SIZE).hex().encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    directory = os.open(path.parent, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


def load_master_key(path: Path) -> MasterKey:
    """Read the master key.

    Raises:
        VaultError: The file is missing, readable by others, or holds no key. The text says what to do.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(1024).strip()
    except FileNotFoundError:
        raise VaultError(
            f"The master key {path} is missing. Put its copy back; for a new installation, run `tradewire init`."
        ) from None
    except OSError as error:
        raise VaultError(f"The master key {path} cannot be read: {error.strerror}.") from error
    if mode & 0o077:
        raise VaultError(f"Others may read the master key {path}. Run `chmod 600 {path}`.")
    if not re.fullmatch(rb"[0-9A-Fa-f]{64}", text):
        raise VaultError(f"{path} holds no master key: expected 64 hex digits. Put the right copy back.")
    return MasterKey(bytes.fromhex(text.decode()))


class Vault:
    """Seals and opens the credentials of one database.

    Args:
        store: The database. One without any data key is bound to `master` for ever.
        master: The key it was made with.
        register: Told each secret that becomes live, to keep it out of logs and messages.

    Raises:
        WrongMasterKey: The database belongs to another key. Nothing was written.
        VaultError: The database's mark of its key is missing or was changed. Nothing was written.
    """

    def __init__(self, store: Store, master: MasterKey, register: Callable[[str], None]) -> None:
        self._store = store
        self._master = master
        self._register = register
        self.instance_id = store.meta("instance_id")
        register(master.material.reveal())
        store.transact(self._check)

    def seal(self, db: Connection, account: AccountRow, fields: Mapping[str, str]) -> None:
        """Replace the account's credentials by `fields`, inside the caller's transaction. Empty fields stay empty.

        Raises:
            VaultError: A field is none of those of `Credentials`, or the person's data key cannot be opened.
        """
        if unknown := sorted(set(fields) - _FIELDS):
            raise VaultError(f"A credential has no field {', '.join(unknown)}; there are {', '.join(sorted(_FIELDS))}.")
        for value in filter(None, fields.values()):
            self._register(value)
        key_id, key = self._data_key(db, account.user_id)
        db.execute("DELETE FROM credentials WHERE account_id = ?", (account.id,))
        for field, value in fields.items():
            if value:
                place = self._credential_place(account.user_id, account.id, account.exchange, field, key_id)
                db.execute(
                    "INSERT INTO credentials(account_id, field, data_key_id, sealed) VALUES (?, ?, ?, ?)",
                    (account.id, field, key_id, _seal(key, value.encode(), place)),
                )

    def open(self, account_id: int) -> Credentials:
        """Return the account's credentials, for one signature.

        Raises:
            VaultError: It has none, or a row was changed or belongs elsewhere.
        """
        return self._store.transact(lambda db: self.open_in(db, account_id))

    def open_in(self, db: Connection, account_id: int) -> Credentials:
        """Do as `open`, inside the caller's transaction."""
        rows = db.execute(
            "SELECT a.id, a.user_id, a.exchange, c.field, c.sealed, k.id AS key_id, k.master_id, k.wrapped"
            " FROM credentials c JOIN accounts a ON a.id = c.account_id JOIN data_keys k ON k.id = c.data_key_id"
            " WHERE c.account_id = ? AND a.removed_ms IS NULL",
            (account_id,),
        ).fetchall()
        if not rows:
            raise VaultError(f"Account {account_id} has no keys. Connect it again.")
        try:
            return Credentials(**self._opened(rows))
        except (InvalidTag, _Refused):
            raise VaultError(
                f"The keys of account {account_id} cannot be opened: a stored row was changed, or belongs elsewhere. "
                "Remove the account and connect it again, with new keys from the exchange."
            ) from None

    def erase(self, db: Connection, account_id: int) -> None:
        """Delete the account's credentials inside the caller's transaction."""
        erase_credentials(db, account_id)

    def _opened(self, rows: list[Row]) -> dict[str, Secret]:
        keys: dict[int, bytes] = {}
        opened = {}
        for row in rows:
            key_id = row["key_id"]
            if key_id not in keys:
                keys[key_id] = self._unwrap(row["user_id"], key_id, row["master_id"], row["wrapped"])
            place = self._credential_place(row["user_id"], row["id"], row["exchange"], row["field"], key_id)
            value = _open(keys[key_id], row["sealed"], place).decode()
            self._register(value)
            opened[row["field"]] = Secret(value)
        return opened

    def _data_key(self, db: Connection, user_id: int) -> tuple[int, bytes]:
        row = db.execute(
            "SELECT id, master_id, wrapped FROM data_keys WHERE user_id = ? ORDER BY id DESC LIMIT 1", (user_id,)
        ).fetchone()
        if row is not None:
            try:
                return row["id"], self._unwrap(user_id, row["id"], row["master_id"], row["wrapped"])
            except (InvalidTag, _Refused):
                raise VaultError(
                    f"The data key of user {user_id} cannot be opened: its row was changed. Nothing was stored. "
                    "Restore a backup of the database."
                ) from None
        key = secrets.token_bytes(_KEY_SIZE)
        self._register(key.hex())
        # The id is part of what is authenticated, so the row must exist first.
        key_id = db.execute(
            "INSERT INTO data_keys(user_id, master_id, wrapped) VALUES (?, ?, x'')", (user_id, self._master.id)
        ).lastrowid
        assert key_id is not None
        wrapped = _seal(self._master_bytes(), key, self._data_key_place(user_id, key_id, self._master.id))
        db.execute("UPDATE data_keys SET wrapped = ? WHERE id = ?", (wrapped, key_id))
        return key_id, key

    def _unwrap(self, user_id: int, key_id: int, master_id: str, wrapped: bytes) -> bytes:
        key = _open(self._master_bytes(), wrapped, self._data_key_place(user_id, key_id, master_id))
        self._register(key.hex())
        return key

    def _check(self, db: Connection) -> None:
        place = ("check", 1, self.instance_id, self._master.id)
        row = db.execute("SELECT value FROM meta WHERE key = 'vault_check'").fetchone()
        if row is None:
            if db.execute("SELECT 1 FROM data_keys LIMIT 1").fetchone():
                raise VaultError(
                    "The database holds keys, but the mark of its master key is gone. Restore a backup of the database."
                )
            blob = _seal(self._master_bytes(), b"", place).hex()
            db.execute("INSERT INTO meta VALUES ('vault_check', ?)", (f"{self._master.id} {blob}",))
            return
        wanted, _, blob = row["value"].partition(" ")
        if wanted != self._master.id:
            raise WrongMasterKey(
                f"the master key does not belong to this database (wanted id {wanted[:4]}..,"
                f" have {self._master.id[:4]}..)"
            )
        try:
            _open(self._master_bytes(), bytes.fromhex(blob), place)
        except (InvalidTag, _Refused, ValueError):
            raise VaultError(
                "The database's mark of its master key was changed. Restore a backup of the database."
            ) from None

    def _master_bytes(self) -> bytes:
        return bytes.fromhex(self._master.material.reveal())

    def _data_key_place(self, user_id: int, key_id: int, master_id: str) -> tuple[str | int, ...]:
        return ("dek", 1, self.instance_id, user_id, key_id, master_id)

    def _credential_place(
        self, user_id: int, account_id: int, exchange: str, field: str, key_id: int
    ) -> tuple[str | int, ...]:
        return ("cred", 1, self.instance_id, user_id, account_id, exchange, field, key_id)


class _Refused(Exception):
    """A record is of an unknown form, or was made with another key."""


def _seal(key: bytes, plaintext: bytes, place: tuple[str | int, ...]) -> bytes:
    salt, nonce = secrets.token_bytes(_KEY_SIZE), secrets.token_bytes(_NONCE_SIZE)
    record_key, commitment = _derive(key, salt, place)
    return _VERSION + salt + commitment + nonce + AESGCM(record_key).encrypt(nonce, plaintext, _bound_to(place))


def _open(key: bytes, record: bytes, place: tuple[str | int, ...]) -> bytes:
    if record[:1] != _VERSION or len(record) < _HEAD_SIZE + _TAG_SIZE:
        raise _Refused
    salt, commitment, nonce = record[1:33], record[33:65], record[65:_HEAD_SIZE]
    record_key, expected = _derive(key, salt, place)
    if not _is_same(commitment, expected):
        raise _Refused
    return AESGCM(record_key).decrypt(nonce, record[_HEAD_SIZE:], _bound_to(place))


def _derive(key: bytes, salt: bytes, place: tuple[str | int, ...]) -> tuple[bytes, bytes]:
    material = _expand(key, salt, f"{place[0]}/v{place[1]}", 2 * _KEY_SIZE)
    return material[:_KEY_SIZE], material[_KEY_SIZE:]


def _expand(key: bytes, salt: bytes, info: str, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info.encode()).derive(key)


def _is_same(commitment: bytes, expected: bytes) -> bool:
    return hmac.compare_digest(commitment, expected)


def _bound_to(place: tuple[str | int, ...]) -> bytes:
    # Each part has its length in front: plain concatenation would make (1, 23) and (12, 3) the same place.
    parts = [str(part).encode() for part in place]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
