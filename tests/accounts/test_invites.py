"""Invitations: one stranger, once, in time, and never to more than the maker may give."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bot import UserError
from bot.accounts import invites, people, roles
from bot.accounts.invites import Invite
from bot.store.database import Connection, Store

OWNER, ADMIN, TRADER, EVE, MAX = 1, 2, 3, 66, 67
MINUTES_15_MS = 900_000


@pytest.fixture
def db(store: Store) -> Connection:
    db = store.transact(lambda db: db)
    people.ensure_user(db, ADMIN, "admin", now_ms=5)
    people.ensure_user(db, TRADER, "trader", now_ms=5)
    return db


def make(db: Connection, by: int = OWNER, role: Any = "trader", seconds: int = 900, now_ms: int = 0) -> str:
    return invites.make(db, by=by, owner=OWNER, role=role, seconds=seconds, now_ms=now_ms)


def redeem(db: Connection, token: str, user_id: int = EVE, now_ms: int = 0) -> Invite | None:
    return invites.redeem(db, token, user_id=user_id, owner=OWNER, now_ms=now_ms)


def test_redeem_gives_maker_and_role_once(db: Connection) -> None:
    """The first stranger gets in, the second press and the second stranger do not."""
    token = make(db, ADMIN)
    assert [redeem(db, token), redeem(db, token), redeem(db, token, MAX)] == [Invite(ADMIN, "trader"), None, None]


@pytest.mark.parametrize(("at_ms", "counts"), [(0, True), (MINUTES_15_MS - 1, True), (MINUTES_15_MS, False)])
def test_redeem_counts_for_fifteen_minutes(db: Connection, at_ms: int, counts: bool) -> None:
    """The last millisecond counts, the next does not."""
    assert (redeem(db, make(db), now_ms=at_ms) is not None) is counts


@pytest.mark.parametrize("token", ["", "x", "A" * 22, "A" * 23, "\ud800" * 22, "é" * 22, "' OR 1=1 --aaaaaaaaaaaa"])
def test_redeem_something_never_made_is_refused(db: Connection, token: str) -> None:
    """Guesses and texts that no token can be."""
    make(db)
    assert redeem(db, token) is None


def test_redeem_by_somebody_known_is_refused_and_not_spent(db: Connection) -> None:
    """A link changes nobody's role, lets no blocked person back in, and stays good for whom it was meant."""
    people.ensure_user(db, MAX, "blocked", now_ms=5)
    token = make(db)
    assert [redeem(db, token, user_id) for user_id in (OWNER, ADMIN, TRADER, MAX)] == [None] * 4
    assert redeem(db, token) == Invite(OWNER, "trader")


def test_make_gives_roles_below_ones_own_only(db: Connection) -> None:
    """The owner and the server may invite administrators, administrators traders and viewers, nobody else anybody."""
    made, codes = set(), set()
    makers = (OWNER, roles.SERVER, ADMIN, TRADER, EVE)
    for by, role in itertools.product(makers, ("owner", "admin", "trader", "viewer")):
        try:
            make(db, by, role)
        except UserError as refused:
            codes.add(refused.code)
        else:
            made.add((by, role))
    highest = {(by, "admin") for by in (OWNER, roles.SERVER)}
    assert made == highest | {(by, role) for by in (OWNER, roles.SERVER, ADMIN) for role in ("trader", "viewer")}
    assert codes == {"RANK"}


@pytest.mark.parametrize("seconds", [0, -1, 901, 86_400])
def test_make_for_more_than_fifteen_minutes_is_refused(db: Connection, seconds: int) -> None:
    """No link lies about for an hour."""
    with pytest.raises(UserError, match="15 minutes at most"):
        make(db, seconds=seconds)


@pytest.mark.parametrize("role", ["trader", "viewer", "blocked"])
def test_redeem_of_a_maker_who_lost_the_right_is_refused(db: Connection, role: Any) -> None:
    """The maker's own role counts when the link is used, not only when it was made."""
    token = make(db, ADMIN)
    roles.set_role(db, ADMIN, role, now_ms=6)
    assert redeem(db, token) is None


def test_take_back_ends_ones_own_unused_invitation(db: Connection) -> None:
    """Another's cannot be taken back, nor one that was used."""
    mine, theirs, used = make(db, ADMIN), make(db, OWNER), make(db, ADMIN)
    redeem(db, used)
    ended = [invites.take_back(db, invites.hashed(token), ADMIN) for token in (mine, theirs, used)]
    assert ended == [True, False, False]
    assert [redeem(db, mine, MAX), redeem(db, theirs, MAX)] == [None, Invite(OWNER, "trader")]


def test_token_is_new_each_time_and_stored_nowhere(store: Store, db: Connection) -> None:
    """128 bits that fit into a link; no file of the database has them."""
    tokens = [store.transact(make) for _ in range(50)]
    files = b"".join(path.read_bytes() for path in store.path.parent.iterdir())
    assert (len(set(tokens)), {len(each) for each in tokens}) == (50, {22})
    assert [each for each in tokens if each.encode() in files] == []
    assert len(invites.PREFIX + tokens[0]) <= 64
    assert invites.hashed(tokens[0]) in files  # the search would find it


def test_redeem_by_many_at_once_lets_one_in(store: Store) -> None:
    """Of fifty strangers who press the same link together, in threads of their own, one gets in."""
    token = store.transact(make)

    def one(user_id: int) -> Invite | None:
        return store.transact(lambda db: redeem(db, token, user_id))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(one, range(1000, 1050)))
    assert [each for each in found if each] == [Invite(OWNER, "trader")]


def test_make_forgets_invitations_of_long_ago(db: Connection) -> None:
    """Rows are kept for a month, for whoever asks how somebody came in."""
    make(db)
    make(db, now_ms=31 * 86_400_000)
    assert db.execute("SELECT count(*) FROM invites").fetchone()[0] == 1
