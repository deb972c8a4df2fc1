"""Who ranks above whom: every giver, every role before and after."""

from __future__ import annotations

import itertools

import pytest

from bot import UserError
from bot.accounts import people, roles
from bot.store.database import Connection, Store

OWNER, NEW = 1, 99
IDS = {"owner": OWNER, "admin": 2, "trader": 3, "viewer": 4, "blocked": 5, "stranger": 6}
TARGETS = {"owner": OWNER, "admin": 12, "trader": 13, "viewer": 14, "blocked": 15, "stranger": 16}

TABLE = """
          admin  trader viewer blocked
server    yes    yes    yes    yes
owner     yes    yes    yes    yes
admin     -      yes    yes    yes
trader    -      -      -      -
viewer    -      -      -      -
blocked   -      -      -      -
stranger  -      -      -      -
"""
"""Who may give which role to somebody who ranks below the giver."""


@pytest.fixture
def db(store: Store) -> Connection:
    db = store.transact(lambda db: db)
    for ids in (IDS, TARGETS):
        for role, user_id in ids.items():
            if role != "stranger":
                people.ensure_user(db, user_id, "admin" if role == "owner" else role, now_ms=5)  # type: ignore[arg-type]
    return db


def allowed() -> set[tuple[str, str, str]]:
    """TABLE, for every role before: an administrator is not an administrator's to change, the owner is nobody's."""
    columns, *lines = [line.split() for line in TABLE.strip().splitlines()]
    return {
        (giver, before, role)
        for giver, *cells in lines
        for role, cell in zip(columns, cells, strict=True)
        for before in TARGETS
        if cell == "yes" and before != "owner" and not (giver == "admin" and before == "admin")
    }


def test_change_of_role_is_for_those_who_rank_above_both() -> None:
    """The table is about something: it allows some and refuses most."""
    assert len(allowed()) == 2 * 5 * 4 + 4 * 3


def test_check_change_follows_the_table(db: Connection) -> None:
    """Of every giver, role before and role after, exactly those of the table pass."""
    passed, codes = set(), set()
    for giver, before, role in itertools.product(("server", *IDS), TARGETS, ("admin", "trader", "viewer", "blocked")):
        by = roles.SERVER if giver == "server" else IDS[giver]
        try:
            roles.check_change(db, by=by, owner=OWNER, user_id=TARGETS[before], role=role)  # type: ignore[arg-type]
        except UserError as refused:
            codes.add(refused.code)
        else:
            passed.add((giver, before, role))
    assert (passed, codes) == (allowed(), {"RANK"})


def test_nobody_changes_their_own_role(db: Connection) -> None:
    """Not even downwards: an administrator who wants out asks the owner."""
    for by in (OWNER, IDS["admin"]):
        with pytest.raises(UserError):
            roles.check_change(db, by=by, owner=OWNER, user_id=by, role="viewer")


def test_standing_is_the_owner_by_id_alone(db: Connection) -> None:
    """The configuration names the owner; blocked people and strangers have no standing; there may be no owner."""
    found = {role: roles.standing(db, user_id, OWNER) for role, user_id in IDS.items()}
    assert found == {**{role: role for role in IDS}, "blocked": None, "stranger": None}
    assert roles.standing(db, OWNER, None) == "admin"
    assert roles.standing(db, 0, None) is None


def test_set_role_tells_the_role_before(db: Connection) -> None:
    """Known people change, strangers are made; an empty name leaves the one that is known."""
    assert roles.set_role(db, NEW, "viewer", "Zoe", now_ms=9) is None
    assert roles.set_role(db, NEW, "trader", now_ms=9) == "viewer"
    assert people.get_user(db, NEW) == people.User(NEW, "trader", "Zoe", None)


def test_everybody_is_listed_by_rank(db: Connection) -> None:
    """Highest role first."""
    order = [roles.RANK[user.role] for user in roles.everybody(db)]
    assert (order == sorted(order, reverse=True), len(order)) == (True, 9)
