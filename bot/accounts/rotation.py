"""Changing the keys that seal: the master key, row by row and resumable, and one person's data key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

from bot.accounts import people, second_factor
from bot.accounts.vault import (
    MARK,
    NEXT_MARK,
    NOT_OPENED,
    MasterKey,
    Vault,
    check_mark,
    make_mark,
    unwrap,
    wrap,
)
from bot.contract.errors import VaultError
from bot.store.database import Connection, Row, Store


def is_begun(db: Connection) -> bool:
    """Say whether a change of the master key was begun and not finished."""
    return _mark(db, NEXT_MARK) is not None


def check_old(store: Store, old: MasterKey) -> None:
    """Refuse a key that is not the database's own, before a new one is made.

    Raises:
        WrongMasterKey: It is another's.
        VaultError: The database's mark is gone or was changed.
    """
    instance_id = store.meta("instance_id")
    store.transact(lambda db: _check_old(db, old, instance_id))


def rotate_master(store: Store, old: MasterKey, new: MasterKey, on_row: Callable[[int], None] = lambda _: None) -> int:
    """Wrap every data key with a new master key, each in a commit of its own. Run it again after it was cut short.

    Until it is done no vault opens on this database, so nothing can be sealed with the old key meanwhile. The bot must
    be stopped: it holds the old key.

    Args:
        store: The database.
        old: The key it was made with.
        new: The key it shall have.
        on_row: Told after each commit how many rows are left.

    Returns:
        How many data keys were wrapped anew by this run; 0 also when it had been finished before.

    Raises:
        WrongMasterKey: One of the keys is not the one that this database knows. Nothing was written.
        VaultError: A row was changed and does not open. The rows before it are done; the rest is as it was.
    """
    if old.id == new.id:
        raise VaultError("The new master key is the old one. Name another file with --new-key.")
    instance_id = store.meta("instance_id")
    if store.transact(lambda db: _is_done(db, new, instance_id)):
        return 0
    store.transact(lambda db: _begin(db, old, new, instance_id))
    done = 0
    while (left := store.transact(lambda db: _rewrap_one(db, old, new, instance_id))) is not None:
        done += 1
        on_row(left)
    store.transact(lambda db: _finish(db, old, new, instance_id))
    return done


def rotate_data(db: Connection, vault: Vault, user_id: int) -> int:
    """Seal all secrets of a person with a new data key, and erase the old one in the same commit.

    Returns:
        How many accounts and second factors were sealed anew.

    Raises:
        VaultError: One of them cannot be opened. Nothing was changed.
    """
    accounts = [
        account
        for account in people.accounts_of(db, user_id)
        if db.execute("SELECT 1 FROM credentials WHERE account_id = ?", (account.id,)).fetchone()
    ]
    opened = [(account, vault.open_in(db, account.id)) for account in accounts]
    before = db.execute("SELECT coalesce(max(id), 0) FROM data_keys WHERE user_id = ?", (user_id,)).fetchone()[0]
    seed = second_factor.seed_of(db, user_id, vault=vault)
    if not opened and seed is None:
        return 0
    vault.renew_data_key(db, user_id)
    for account, keys in opened:
        vault.seal(db, account, {field.name: getattr(keys, field.name).reveal() for field in fields(keys)})
    if seed is not None:
        second_factor.keep_seed(db, user_id, seed, vault=vault)
    db.execute("DELETE FROM data_keys WHERE user_id = ? AND id <= ?", (user_id, before))
    return len(opened) + (seed is not None)


def _is_done(db: Connection, new: MasterKey, instance_id: str) -> bool:
    mark = _mark(db, MARK)
    if is_begun(db) or mark is None or mark.partition(" ")[0] != new.id:
        return False
    check_mark(mark, new, instance_id)
    return True


def _begin(db: Connection, old: MasterKey, new: MasterKey, instance_id: str) -> None:
    _check_old(db, old, instance_id)
    begun = _mark(db, NEXT_MARK)
    if begun is not None:
        check_mark(begun, new, instance_id)
    else:
        db.execute("INSERT INTO meta VALUES (?, ?)", (NEXT_MARK, make_mark(new, instance_id)))


def _check_old(db: Connection, old: MasterKey, instance_id: str) -> None:
    mark = _mark(db, MARK)
    if mark is None:
        raise VaultError("The mark of the database's master key is gone. Restore a backup of the database.")
    check_mark(mark, old, instance_id)


def _rewrap_one(db: Connection, old: MasterKey, new: MasterKey, instance_id: str) -> int | None:
    """Wrap the next row; return how many are left, or `None` when there was none."""
    row: Row | None = db.execute(
        "SELECT * FROM data_keys WHERE master_id <> ? ORDER BY id LIMIT 1", (new.id,)
    ).fetchone()
    if row is None:
        return None
    user_id, key_id = row["user_id"], row["id"]
    try:
        key = unwrap(old, instance_id, user_id, key_id, row["wrapped"])
    except NOT_OPENED:
        raise VaultError(
            f"The data key {key_id} of user {user_id} cannot be opened: its row was changed. It and those behind it "
            "are as they were. Restore a backup of the database and begin again."
        ) from None
    wrapped = wrap(new, instance_id, user_id, key_id, key)
    db.execute("UPDATE data_keys SET master_id = ?, wrapped = ? WHERE id = ?", (new.id, wrapped, key_id))
    left = db.execute("SELECT count(*) FROM data_keys WHERE master_id <> ?", (new.id,)).fetchone()[0]
    return int(left)


def _finish(db: Connection, old: MasterKey, new: MasterKey, instance_id: str) -> None:
    left = db.execute("SELECT count(*) FROM data_keys WHERE master_id <> ?", (new.id,)).fetchone()[0]
    if left:
        raise VaultError(f"{left} data keys still need the master key {old.id[:4]}... Run the command again.")
    db.execute("UPDATE meta SET value = ? WHERE key = ?", (make_mark(new, instance_id), MARK))
    db.execute("DELETE FROM meta WHERE key = ?", (NEXT_MARK,))


def _mark(db: Connection, name: str) -> str | None:
    row = db.execute("SELECT value FROM meta WHERE key = ?", (name,)).fetchone()
    return None if row is None else str(row["value"])
