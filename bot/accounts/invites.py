"""Invitations: links that let one stranger in, once, soon. Every function works inside the caller's transaction.

What travels in the link is a random number of 128 bits; the row holds its hash. It is spent by one UPDATE; only a row
that this UPDATE returned lets anybody in.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

from bot.accounts import people, roles
from bot.accounts.people import Role
from bot.contract.errors import UserError
from bot.store.database import Connection

PREFIX = "inv_"
MOST_SECONDS = 900
_KEEP_MS = 30 * 86_400_000
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")


@dataclass(frozen=True, slots=True)
class Invite:
    """An invitation that was just redeemed: who made it, and the role it gives."""

    made_by: int
    role: Role


def make(db: Connection, *, by: int, owner: int | None, role: Role, seconds: int, now_ms: int) -> str:
    """Make an invitation and return its token, which is stored nowhere.

    Args:
        db: The running transaction.
        by: Who invites, or `roles.SERVER`.
        owner: The owner's id.
        role: What the link gives; below the role of whoever invites.
        seconds: How long it can be redeemed, at most `MOST_SECONDS`.
        now_ms: The time.

    Raises:
        UserError: `RANK`, or the time is too long.
    """
    _check(db, by, owner, role)
    if not 0 < seconds <= MOST_SECONDS:
        raise UserError(f"An invitation lasts {MOST_SECONDS // 60} minutes at most, such as /invite trader 15m.")
    db.execute("DELETE FROM invites WHERE expires_ms < ?", (now_ms - _KEEP_MS,))
    token = secrets.token_urlsafe(16)
    db.execute(
        "INSERT INTO invites(token_hash, role, made_by, created_ms, expires_ms) VALUES (?, ?, ?, ?, ?)",
        (hashed(token), role, by, now_ms, now_ms + seconds * 1000),
    )
    return token


def redeem(db: Connection, token: str, *, user_id: int, owner: int | None, now_ms: int) -> Invite | None:
    """Spend an invitation for a stranger.

    Returns:
        The invitation, or `None` when there is none that counts: never made, used, over, taken back, its maker may no
        longer give the role, or the person is known here already, blocked or not.
    """
    if not _TOKEN.fullmatch(token) or user_id == owner or people.get_user(db, user_id) is not None:
        return None
    row = db.execute(
        "UPDATE invites SET used_by = ?, used_ms = ? WHERE token_hash = ? AND used_ms IS NULL AND expires_ms > ?"
        " RETURNING made_by, role",
        (user_id, now_ms, hashed(token), now_ms),
    ).fetchone()
    if row is None:
        return None
    try:
        _check(db, row["made_by"], owner, row["role"])
    except UserError:
        return None
    return Invite(row["made_by"], row["role"])


def take_back(db: Connection, token_hash: bytes, by: int) -> bool:
    """End an invitation of `by` that nobody used; say whether there was one."""
    query = "DELETE FROM invites WHERE token_hash = ? AND made_by = ? AND used_ms IS NULL"
    return db.execute(query, (token_hash, by)).rowcount == 1


def take_back_all(db: Connection, by: int) -> None:
    """End every unused invitation of somebody whose role was lowered."""
    db.execute("DELETE FROM invites WHERE made_by = ? AND used_ms IS NULL", (by,))


def hashed(token: str) -> bytes:
    """Return what the row of a token is found by."""
    return hashlib.sha256(token.encode()).digest()


def _check(db: Connection, by: int, owner: int | None, role: Role) -> None:
    if role not in roles.may_give(roles.giver(db, by, owner)):
        text = "You can invite people to roles below your own only: an administrator to trader or viewer."
        raise UserError(text, code="RANK")
