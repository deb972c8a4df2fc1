"""Forgetting a person: their keys, their second factor and their words go; what happened to money stays.

Orders, fills and the log of events stay under the numeric id, without a name: the log is one chain, and an exchange's
statement must still be explainable. Accounts that orders name stay as empty rows.
"""

from __future__ import annotations

from bot.contract.errors import UserError
from bot.store.database import Connection, Store
from bot.trading import events, journal, queries
from bot.trading.law import DOUBTFUL, LIVE

_UNFINISHED = ("confirmed", *LIVE, *DOUBTFUL)

_ERASE = (
    "DELETE FROM credentials WHERE account_id IN (SELECT id FROM accounts WHERE user_id = ?1)",
    "DELETE FROM second_factor WHERE user_id = ?1",
    "DELETE FROM data_keys WHERE user_id = ?1",
    "DELETE FROM paper WHERE account_id IN (SELECT id FROM accounts WHERE user_id = ?1)",
    "DELETE FROM halts WHERE user_id = ?1",
    "DELETE FROM limits WHERE user_id = ?1",
    "DELETE FROM alerts WHERE user_id = ?1",
    "DELETE FROM boards WHERE user_id = ?1",
    "DELETE FROM hook_events WHERE hook_id IN (SELECT id FROM hooks WHERE user_id = ?1)",
    "DELETE FROM hooks WHERE user_id = ?1",
    "DELETE FROM signal_wishes WHERE user_id = ?1",
    "DELETE FROM signal_followers WHERE user_id = ?1 OR signal_id IN (SELECT id FROM signals WHERE author = ?1)",
    "DELETE FROM outbox WHERE json_extract(payload, '$.signal') IN (SELECT id FROM signals WHERE author = ?1)",
    "DELETE FROM signals WHERE author = ?1",
    "DELETE FROM buttons WHERE user_id = ?1",
    "DELETE FROM invites WHERE made_by = ?1 OR used_by = ?1",
    "DELETE FROM inbox WHERE chat_id = ?1",
    "DELETE FROM outbox WHERE chat_id = ?1",
    "DELETE FROM outbox WHERE kind = 'group_fill' AND json_extract(payload, '$.user') = ?1",
    "DELETE FROM shared_fills WHERE user_id = ?1",
    "UPDATE users SET default_account = NULL WHERE id = ?1",
    "DELETE FROM accounts WHERE user_id = ?1 AND NOT EXISTS (SELECT 1 FROM orders WHERE account_id = accounts.id)",
    "UPDATE accounts SET label = 'forgotten', facts = '{}', options = '{}', rights = '{}' WHERE user_id = ?1",
    "UPDATE users SET name = '', role = 'blocked' WHERE id = ?1",
    "DELETE FROM users WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM accounts WHERE user_id = ?1)"
    " AND NOT EXISTS (SELECT 1 FROM orders WHERE user_id = ?1)",
)

AFTERWARDS = (
    "Backups made before still hold the sealed keys: delete those backups, or delete the keys at the exchanges, which "
    "is best in any case. Orders and the log keep the numeric id."
)
"""What a person must know that was forgotten."""

LOG_LEFT = (
    "Another program is reading the database, so its log still holds the sealed rows. The next start of the bot, with "
    "nothing else running, empties it."
)
"""What to say when `forget` returned `False`."""


def check(db: Connection, user_id: int) -> None:
    """Refuse to forget somebody whose orders are not finished: without the keys they would be lost sight of.

    Raises:
        UserError: `ORDERS_LIVE` or `NO_USER`.
    """
    query = "SELECT id, label FROM accounts WHERE user_id = ? ORDER BY id"
    for account in db.execute(query, (user_id,)).fetchall():
        for order in queries.in_states(db, _UNFINISHED, account["id"]):
            raise UserError(
                f"Order #{order.id} of {account['label']} is not finished. Cancel it or wait; then nothing is lost "
                "sight of.",
                code="ORDERS_LIVE",
            )
    if db.execute("SELECT 1 FROM users WHERE id = ?", (user_id,)).fetchone() is None:
        raise UserError(f"Nobody with the id {user_id} is known here.", code="NO_USER")


def erase(db: Connection, user_id: int, now_ms: int) -> None:
    """Delete everything of a person that is not the record of money, in the caller's transaction.

    Proposals end, accounts close, and the person is a stranger again; one with orders stays as a blocked, nameless row.

    Raises:
        UserError: As `check`. Nothing was deleted.
    """
    check(db, user_id)
    accounts = db.execute("SELECT id FROM accounts WHERE user_id = ?", (user_id,)).fetchall()
    for account in accounts:
        for order in queries.in_states(db, ("proposed",), account["id"]):
            journal.end(db, order.id, "expired", "The person was forgotten. Nothing was sent.", now_ms)
    db.execute("UPDATE accounts SET removed_ms = ?2 WHERE user_id = ?1 AND removed_ms IS NULL", (user_id, now_ms))
    for statement in _ERASE:
        db.execute(statement, (user_id,))
    events.record(db, kind="forgotten", detail={}, now_ms=now_ms, user_id=user_id)


def forget(store: Store, user_id: int, now_ms: int) -> bool:
    """Erase a person and leave no copy of what was erased in the database's files. Blocks for the time it takes.

    Returns:
        Whether the database's log was emptied too; if not, another program is reading it, and a restart empties it.

    Raises:
        UserError: As `check`. Nothing was deleted.
        StoreUnavailable: It was erased, but the file could not be written anew.
    """
    store.transact(lambda db: erase(db, user_id, now_ms))
    return store.compact()
