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
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bot.accounts.opened import Opened, Sealed
from bot.accounts.people import AccountRow, erase_credentials
from bot.contract.errors import VaultError
from bot.contract.wire import Credentials, Secret
from bot.store.database import Connection, Store

MARK = "vault_check"
"""The row of `meta` that names the master key."""
NEXT_MARK = "vault_next"
"""The row of `meta` that names the master key to come, while the data keys are wrapped anew."""

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
        problem = f"The master key {path} cannot be read: {error.strerror}."
        raise VaultError(f"{problem} It must belong to the user who runs the bot.") from error
    # A credential of systemd is opened to the service by an access list, which shows as a right of the group.
    given = path.parent == Path(os.environ.get("CREDENTIALS_DIRECTORY") or "/nowhere")
    if mode & (0o037 if given else 0o077):
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
        self._opened = Opened()
        store.transact(self._opened.watch)

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
        self._opened.sealed(account.id)

    def renew_data_key(self, db: Connection, user_id: int) -> None:
        """Make a new data key for a person; whatever is sealed from now on is sealed with it."""
        self._new_data_key(db, user_id)

    def open(self, account_id: int) -> Credentials:
        """Return the account's credentials, for one signature. Those of accounts used last are kept: see `Opened`.

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
            self._opened.erased(account_id)  # perhaps by another process
            raise VaultError(f"Account {account_id} has no keys. Connect it again.")
        sealed = tuple(map(tuple, rows))
        if (kept := self._opened.get(account_id, sealed)) is not None:
            return kept
        try:
            keys = Credentials(**self._unsealed(sealed))
        except (InvalidTag, _Refused):
            raise VaultError(
                f"The keys of account {account_id} cannot be opened: a stored row was changed, or belongs elsewhere. "
                "Remove the account and connect it again, with new keys from the exchange."
            ) from None
        self._opened.keep(account_id, sealed, keys)
        return keys

    def seal_for(self, db: Connection, user_id: int, purpose: str, value: Secret) -> tuple[int, bytes]:
        """Seal a secret of a person that belongs to no account, inside the caller's transaction.

        Args:
            db: The transaction that stores it.
            user_id: Whose it is. One secret of a person and purpose: a row copied to another person does not open.
            purpose: What it is for, such as `totp`.
            value: The secret.

        Returns:
            The number of the data key and the sealed record.

        Raises:
            VaultError: The person's data key cannot be opened.
        """
        self._register(value.reveal())
        key_id, key = self._data_key(db, user_id)
        return key_id, _seal(key, value.reveal().encode(), self._purpose_place(purpose, user_id, key_id))

    def open_for(self, db: Connection, user_id: int, purpose: str, key_id: int, sealed: bytes) -> Secret:
        """Return what `seal_for` sealed, inside the caller's transaction.

        Raises:
            VaultError: A row was changed or belongs elsewhere.
        """
        try:
            return self._opened_for(db, user_id, purpose, key_id, sealed)
        except NOT_OPENED:
            raise VaultError(
                f"A secret of user {user_id} ({purpose}) cannot be opened: a stored row was changed, or belongs "
                "elsewhere. Restore a backup of the database, or set it up anew."
            ) from None

    def erase(self, db: Connection, account_id: int) -> None:
        """Delete the account's credentials inside the caller's transaction."""
        erase_credentials(db, account_id)

    def _opened_for(self, db: Connection, user_id: int, purpose: str, key_id: int, sealed: bytes) -> Secret:
        row = db.execute(
            "SELECT master_id, wrapped FROM data_keys WHERE id = ? AND user_id = ?", (key_id, user_id)
        ).fetchone()
        if row is None:
            raise _Refused
        key = self._unwrap(user_id, key_id, row["master_id"], row["wrapped"])
        value = _open(key, sealed, self._purpose_place(purpose, user_id, key_id)).decode()
        self._register(value)
        return Secret(value)

    def _unsealed(self, rows: Sealed) -> dict[str, Secret]:
        keys: dict[int, bytes] = {}
        opened = {}
        for account_id, user_id, exchange, field, record, key_id, master_id, wrapped in rows:
            if key_id not in keys:
                keys[key_id] = self._unwrap(user_id, key_id, master_id, wrapped)
            place = self._credential_place(user_id, account_id, exchange, field, key_id)
            value = _open(keys[key_id], record, place).decode()
            self._register(value)
            opened[field] = Secret(value)
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
        return self._new_data_key(db, user_id)

    def _new_data_key(self, db: Connection, user_id: int) -> tuple[int, bytes]:
        # The master key may have been changed since this vault was opened: then nothing may be wrapped with it.
        self._check(db)
        key = secrets.token_bytes(_KEY_SIZE)
        self._register(key.hex())
        # The id is part of what is authenticated, so the row must exist first.
        key_id = db.execute(
            "INSERT INTO data_keys(user_id, master_id, wrapped) VALUES (?, ?, x'')", (user_id, self._master.id)
        ).lastrowid
        assert key_id is not None
        wrapped = wrap(self._master, self.instance_id, user_id, key_id, key)
        db.execute("UPDATE data_keys SET wrapped = ? WHERE id = ?", (wrapped, key_id))
        return key_id, key

    def _unwrap(self, user_id: int, key_id: int, master_id: str, wrapped: bytes) -> bytes:
        if master_id != self._master.id:
            raise _Refused
        key = unwrap(self._master, self.instance_id, user_id, key_id, wrapped)
        self._register(key.hex())
        return key

    def _check(self, db: Connection) -> None:
        if db.execute("SELECT 1 FROM meta WHERE key = ?", (NEXT_MARK,)).fetchone():
            raise VaultError(
                "A change of the master key was begun and is not finished; both key files are needed until it is. "
                "Run `tradewire keys rotate-master` again, as before."
            )
        row = db.execute("SELECT value FROM meta WHERE key = ?", (MARK,)).fetchone()
        if row is None:
            if db.execute("SELECT 1 FROM data_keys LIMIT 1").fetchone():
                raise VaultError(
                    "The database holds keys, but the mark of its master key is gone. Restore a backup of the database."
                )
            db.execute("INSERT INTO meta VALUES (?, ?)", (MARK, make_mark(self._master, self.instance_id)))
            return
        check_mark(row["value"], self._master, self.instance_id)

    def _purpose_place(self, purpose: str, user_id: int, key_id: int) -> tuple[str | int, ...]:
        return (purpose, 1, self.instance_id, user_id, key_id)

    def _credential_place(
        self, user_id: int, account_id: int, exchange: str, field: str, key_id: int
    ) -> tuple[str | int, ...]:
        return ("cred", 1, self.instance_id, user_id, account_id, exchange, field, key_id)


class _Refused(Exception):
    """A record is of an unknown form, or was made with another key."""


NOT_OPENED = (InvalidTag, _Refused)
"""What `unwrap` raises when a row was changed or belongs elsewhere."""


def wrap(master: MasterKey, instance_id: str, user_id: int, key_id: int, data_key: bytes) -> bytes:
    """Return a person's data key, sealed with the master key for one row."""
    return _seal(_bytes_of(master), data_key, _data_key_place(instance_id, user_id, key_id, master.id))


def unwrap(master: MasterKey, instance_id: str, user_id: int, key_id: int, wrapped: bytes) -> bytes:
    """Return what `wrap` sealed. Raises one of `NOT_OPENED`."""
    return _open(_bytes_of(master), wrapped, _data_key_place(instance_id, user_id, key_id, master.id))


def make_mark(master: MasterKey, instance_id: str) -> str:
    """Return the mark by which a database knows its master key."""
    return f"{master.id} {_seal(_bytes_of(master), b'', _mark_place(master, instance_id)).hex()}"


def check_mark(mark: str, master: MasterKey, instance_id: str) -> None:
    """Compare a master key with a database's mark.

    Raises:
        WrongMasterKey: It is the mark of another key.
        VaultError: The mark was changed.
    """
    wanted, _, blob = mark.partition(" ")
    if wanted != master.id:
        raise WrongMasterKey(
            f"the master key does not belong to this database (wanted id {wanted[:4]}.., have {master.id[:4]}..)"
        )
    try:
        _open(_bytes_of(master), bytes.fromhex(blob), _mark_place(master, instance_id))
    except (*NOT_OPENED, ValueError):
        raise VaultError(
            "The database's mark of its master key was changed. Restore a backup of the database."
        ) from None


def _bytes_of(master: MasterKey) -> bytes:
    return bytes.fromhex(master.material.reveal())


def _data_key_place(instance_id: str, user_id: int, key_id: int, master_id: str) -> tuple[str | int, ...]:
    return ("dek", 1, instance_id, user_id, key_id, master_id)


def _mark_place(master: MasterKey, instance_id: str) -> tuple[str | int, ...]:
    return ("check", 1, instance_id, master.id)


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
    return b"".join(map(_measured, place))


@lru_cache(maxsize=256)  # the records of an account differ in one part of their places
def _measured(part: str | int) -> bytes:
    text = str(part).encode()
    return len(text).to_bytes(4, "big") + text
