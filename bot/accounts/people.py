"""The rows of people and of their accounts. Every function works inside the caller's transaction."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import msgspec

from bot.contract.errors import UserError
from bot.contract.models import Account, KeyPermissions
from bot.store.database import Connection, Row

Role: TypeAlias = Literal["admin", "trader", "viewer", "blocked"]

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,20}")


@dataclass(frozen=True, slots=True)
class User:
    """A person.

    Attributes:
        id: Telegram's numeric id.
        role: What the person may do. The owner is named by the configuration, not here; somebody who was nothing else
            is `blocked` here.
        name: For display; nobody is looked up by it.
        default_account: Id of the account that the person chose as default.
    """

    id: int
    role: Role
    name: str
    default_account: int | None


class AccountRow(msgspec.Struct, frozen=True):
    """One connected account, without its keys.

    Attributes:
        id: Never given to another account.
        user_id: Whose it is.
        exchange: The exchange's id, such as `bitget`.
        label: The person's name for it, lower case, unique among the person's accounts.
        paper: Whether orders are simulated.
        facts: What the plugin's `detect` found.
        options: What the person chose.
        rights: The fields of the last `KeyPermissions`; empty until the exchange was asked.
        created_ms: When it was connected.
    """

    id: int
    user_id: int
    exchange: str
    label: str
    paper: bool
    facts: Mapping[str, str]
    options: Mapping[str, str]
    rights: Mapping[str, Any]
    created_ms: int


def ensure_user(db: Connection, user_id: int, role: Role = "trader", name: str = "", *, now_ms: int) -> User:
    """Return the person, made with `role` when new. A known person keeps their role; a new name is noted."""
    db.execute(
        "INSERT INTO users(id, role, name, created_ms) VALUES (?, ?, ?, ?)"
        " ON CONFLICT(id) DO UPDATE SET name = excluded.name WHERE excluded.name <> ''",
        (user_id, role, name, now_ms),
    )
    user = get_user(db, user_id)
    assert user is not None
    return user


def get_user(db: Connection, user_id: int) -> User | None:
    """Return the person, or `None` for a stranger."""
    row = db.execute("SELECT id, role, name, default_account FROM users WHERE id = ?", (user_id,)).fetchone()
    return None if row is None else User(*row)


def add_account(
    db: Connection,
    user_id: int,
    exchange: str,
    label: str,
    now_ms: int,
    *,
    paper: bool = False,
    facts: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
) -> AccountRow:
    """Add an account to a known person.

    Raises:
        UserError: `LABEL_INVALID` or `LABEL_TAKEN`.
    """
    label = check_label(db, user_id, label)
    row = db.execute(
        "INSERT INTO accounts(user_id, exchange, label, paper, facts, options, created_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING *",
        (user_id, exchange, label, paper, _json(facts), _json(options), now_ms),
    ).fetchone()
    return _account(row)


def check_label(db: Connection, user_id: int, label: str) -> str:
    """Return `label` as it is kept, if the person may use it for a new account.

    Raises:
        UserError: `LABEL_INVALID` or `LABEL_TAKEN`.
    """
    if not _LABEL.fullmatch(label):
        raise UserError(
            "An account's name has 1 to 20 letters a-z, digits, _ or -. Choose another name.", code="LABEL_INVALID"
        )
    label = label.lower()
    if find_account(db, user_id, label):
        raise UserError(
            f"You already have an account named {label}. Choose another name, such as {next_label(db, user_id)}.",
            code="LABEL_TAKEN",
        )
    return label


def next_label(db: Connection, user_id: int) -> str:
    """Return the first of `main`, `main2`, `main3`... that the person does not use."""
    taken = {account.label for account in accounts_of(db, user_id)}
    candidates = itertools.chain(["main"], (f"main{number}" for number in itertools.count(2)))
    return next(label for label in candidates if label not in taken)


def accounts_of(db: Connection, user_id: int) -> list[AccountRow]:
    """Return the person's accounts, oldest first."""
    rows = db.execute("SELECT * FROM accounts WHERE user_id = ? AND removed_ms IS NULL ORDER BY id", (user_id,))
    return [_account(row) for row in rows]


def get_account(db: Connection, account_id: int, user_id: int | None = None) -> AccountRow | None:
    """Return an account that is not removed. With `user_id`, another person's account is the same as an absent one."""
    row = db.execute(
        "SELECT * FROM accounts WHERE id = ? AND user_id = coalesce(?, user_id) AND removed_ms IS NULL",
        (account_id, user_id),
    ).fetchone()
    return None if row is None else _account(row)


def known_account(db: Connection, account_id: int) -> AccountRow:
    """Return an account whose order is being looked after, removed or not.

    Raises:
        UserError: `NO_ACCOUNT`.
    """
    row = db.execute("SELECT * FROM accounts WHERE id = ?", (account_id,)).fetchone()
    if row is None:
        raise UserError("There is no such account. See /accounts for yours.", code="NO_ACCOUNT")
    return _account(row)


def find_account(db: Connection, user_id: int, label: str) -> AccountRow | None:
    """Return the person's account of that name, in any case."""
    row = db.execute(
        "SELECT * FROM accounts WHERE user_id = ? AND label = ? AND removed_ms IS NULL", (user_id, label.lower())
    ).fetchone()
    return None if row is None else _account(row)


def default_account(db: Connection, user_id: int) -> AccountRow | None:
    """Return the account that the person chose as default, else the oldest one."""
    row = db.execute(
        "SELECT accounts.* FROM accounts JOIN users ON users.id = accounts.user_id"
        " WHERE user_id = ? AND removed_ms IS NULL"
        " ORDER BY accounts.id IS users.default_account DESC, accounts.id LIMIT 1",
        (user_id,),
    ).fetchone()
    return None if row is None else _account(row)


def set_default(db: Connection, user_id: int, account_id: int) -> None:
    """Make an account the person's default.

    Raises:
        UserError: `NO_ACCOUNT`: it is not there, or not theirs.
    """
    if get_account(db, account_id, user_id) is None:
        raise UserError("There is no such account. See /accounts for yours.", code="NO_ACCOUNT")
    db.execute("UPDATE users SET default_account = ? WHERE id = ?", (account_id, user_id))


def set_facts(db: Connection, account_id: int, facts: Mapping[str, str]) -> None:
    """Keep what the plugin's `detect` found."""
    db.execute("UPDATE accounts SET facts = ? WHERE id = ?", (_json(facts), account_id))


def set_rights(db: Connection, account_id: int, rights: KeyPermissions) -> None:
    """Keep what the exchange says the key may do."""
    db.execute("UPDATE accounts SET rights = ? WHERE id = ?", (_json(asdict(rights)), account_id))


def set_paper(db: Connection, account_id: int, on: bool) -> None:
    """Turn simulated orders on or off."""
    db.execute("UPDATE accounts SET paper = ? WHERE id = ?", (on, account_id))


def remove_account(db: Connection, account_id: int, now_ms: int) -> None:
    """Erase the account's keys and hide it. Its row stays, for the orders that name it."""
    erase_credentials(db, account_id)
    db.execute("UPDATE accounts SET removed_ms = ? WHERE id = ? AND removed_ms IS NULL", (now_ms, account_id))
    db.execute("UPDATE users SET default_account = NULL WHERE default_account = ?", (account_id,))


def erase_credentials(db: Connection, account_id: int) -> None:
    """Delete the account's sealed keys, and its owner's data key when nothing is sealed with it any more."""
    db.execute("DELETE FROM credentials WHERE account_id = ?", (account_id,))
    db.execute(
        "DELETE FROM data_keys WHERE user_id = (SELECT user_id FROM accounts WHERE id = ?)"
        " AND id NOT IN (SELECT data_key_id FROM credentials UNION SELECT data_key_id FROM second_factor)",
        (account_id,),
    )


def to_contract(row: AccountRow) -> Account:
    """Return the account as plugins see it."""
    return Account(row.id, row.label, row.facts, row.options)


def _account(row: Row) -> AccountRow:
    return AccountRow(
        id=row["id"],
        user_id=row["user_id"],
        exchange=row["exchange"],
        label=row["label"],
        paper=bool(row["paper"]),
        facts=msgspec.json.decode(row["facts"]),
        options=msgspec.json.decode(row["options"]),
        rights=msgspec.json.decode(row["rights"]),
        created_ms=row["created_ms"],
    )


def _json(values: Mapping[str, Any] | None) -> str:
    return json.dumps(dict(values or {}), ensure_ascii=False)
