"""Who ranks above whom, and who may change whose role. Every function works inside the caller's transaction."""

from __future__ import annotations

from typing import Literal, TypeAlias

from bot.accounts import people
from bot.accounts.people import Role, User
from bot.contract.errors import UserError
from bot.store.database import Connection

Standing: TypeAlias = Literal["owner", "admin", "trader", "viewer"]
"""What somebody is who was let in. The owner is named by the configuration alone."""

RANK = {"blocked": 0, "viewer": 1, "trader": 2, "admin": 3, "owner": 4, "nobody": 5}
ROLES: tuple[Role, ...] = ("viewer", "trader", "admin")
"""The roles that can be given, lowest first."""

SERVER = 0
"""Stands for whoever is at the server's command line, who could write into the configuration as well."""


def standing(db: Connection, user_id: int, owner: int | None) -> Standing | None:
    """Return what a person may do; `None` for strangers and for people who were blocked."""
    if owner is not None and user_id == owner:
        return "owner"
    user = people.get_user(db, user_id)
    return None if user is None or user.role == "blocked" else user.role


def giver(db: Connection, by: int, owner: int | None) -> Standing | None:
    """Return what counts for somebody who gives a role: whoever is at the server stands for the owner."""
    return "owner" if by == SERVER else standing(db, by, owner)


def may_give(own: Standing | None) -> tuple[Role, ...]:
    """Return the roles that somebody may give: those below their own, and none unless they are administrators."""
    if own not in ("admin", "owner"):
        return ()
    return tuple(role for role in ROLES if RANK[role] < RANK[own])


def check_change(db: Connection, *, by: int, owner: int | None, user_id: int, role: Role) -> None:
    """Refuse a change of role that is not for `by` to make.

    Args:
        db: The transaction that makes the change; the giver's own role is read in it.
        by: Who wants it, or `SERVER`.
        owner: The owner's id.
        user_id: Whose role.
        role: What it shall be.

    Raises:
        UserError: `RANK`: it touches the owner, an equal, or gives an equal or higher role.
    """
    if user_id == owner:
        raise UserError("The owner's role is set in the configuration, [access] owner, and nowhere else.", code="RANK")
    own = giver(db, by, owner)
    if not may_give(own):
        raise UserError("Only administrators change roles. Ask one.", code="RANK")
    known = people.get_user(db, user_id)
    before = "blocked" if known is None else known.role
    if max(RANK[before], RANK[role]) >= RANK[own or "blocked"]:
        raise UserError(
            "Nobody gives or takes a role that is equal to their own or higher. Ask the owner.", code="RANK"
        )


def set_role(db: Connection, user_id: int, role: Role, name: str = "", *, now_ms: int) -> Role | None:
    """Give a person, known or new, a role; return the one they had."""
    known = people.get_user(db, user_id)
    people.ensure_user(db, user_id, role, name, now_ms=now_ms)
    db.execute("UPDATE users SET role = ? WHERE id = ?", (role, user_id))
    return None if known is None else known.role


def everybody(db: Connection, owner: int | None = None) -> list[User]:
    """Return everybody who was let in or blocked: the owner, then highest role first, then by name."""
    found = [User(*row) for row in db.execute("SELECT id, role, name, default_account FROM users").fetchall()]
    return sorted(found, key=lambda user: (user.id != owner, -RANK[user.role], user.name.lower(), user.id))
