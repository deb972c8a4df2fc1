"""Letting people in and changing what they may do: the change, its event, what it ends and who is told, in one commit.

Every function takes the connection of a running transaction. Wake the outbox after the commit.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.accounts import invites, people, roles
from bot.accounts.people import Role
from bot.accounts.roles import RANK
from bot.store.database import Connection
from bot.trading import confirm, events, journal, notices, queries
from bot.trading.law import DOUBTFUL, LIVE

_NAME = 64
_CHANGED = "The role of this account's owner was lowered. Nothing was sent."


@dataclass(frozen=True, slots=True)
class Change:
    """A change of role.

    Attributes:
        user_id: Whose.
        name: For display.
        was: The role before; `None` for a stranger.
        role: The role now.
        open_orders: How many of their orders are open or in doubt at exchanges; a change of role cancels none.
    """

    user_id: int
    name: str
    was: Role | None
    role: Role
    open_orders: int

    @property
    def in_words(self) -> str:
        """The change as its owner and administrators read it."""
        who = f"{self.name} ({self.user_id})" if self.name else str(self.user_id)
        if self.role == "blocked":
            text = f"{who} is blocked."
        elif self.was in (None, "blocked"):
            text = f"{who} may use the bot as {self.role}."
        else:
            text = f"{who} is now {self.role}, was {self.was}."
        if is_lowered(self.was, self.role) and self.open_orders:
            text += f" Their unfinished orders stay at the exchange: {self.open_orders}."
        return text


def is_lowered(was: Role | None, role: Role) -> bool:
    """Say whether a change takes rights away."""
    return RANK[role] < RANK[was or "blocked"]


def change_role(
    db: Connection, *, by: int, owner: int | None, user_id: int, role: Role, name: str = "", now_ms: int
) -> Change:
    """Give a person another role. Lowering it ends at once what they had begun: buttons, previews, invitations.

    Args:
        db: The running transaction.
        by: Who changes it, or `roles.SERVER`.
        owner: The owner's id. They are told, unless they do it themselves.
        user_id: Whose role, known or a stranger.
        role: What it shall be.
        name: What a stranger is called, for display.
        now_ms: The time.

    Raises:
        UserError: `RANK`: it is not for `by` to make. Nothing was changed.
    """
    roles.check_change(db, by=by, owner=owner, user_id=user_id, role=role)
    was = roles.set_role(db, user_id, role, name[:_NAME], now_ms=now_ms)
    user = people.get_user(db, user_id)
    assert user is not None
    if is_lowered(was, role):
        _end_what_was_begun(db, user_id, now_ms)
    change = Change(user_id, user.name, was, role, _open_orders(db, user_id))
    if was != role:
        detail = {"role": role, "was": was or "stranger", "by": _named(by)}
        events.record(db, kind="role", detail=detail, now_ms=now_ms, user_id=user_id)
        _tell_owner(db, owner, by, f"{change.in_words} Changed by {_named(by)}.", now_ms)
        if role != "blocked":
            _tell(db, user_id, f"You may now use this bot as {role}. /help lists everything.", now_ms)
    return change


def invite(db: Connection, *, by: int, owner: int | None, role: Role, seconds: int, now_ms: int) -> str:
    """Make an invitation and return its token. See `bot.accounts.invites.make`."""
    token = invites.make(db, by=by, owner=owner, role=role, seconds=seconds, now_ms=now_ms)
    events.record(db, kind="invited", detail={"role": role, "seconds": seconds}, now_ms=now_ms, user_id=by or None)
    _tell_owner(db, owner, by, f"{_named(by)} made an invitation for a {role}.", now_ms)
    return token


def join(db: Connection, token: str, *, user_id: int, name: str, owner: int | None, now_ms: int) -> Role | None:
    """Let a stranger in by an invitation; return their role, or `None` when it does not count."""
    found = invites.redeem(db, token, user_id=user_id, owner=owner, now_ms=now_ms)
    if found is None:
        return None
    roles.set_role(db, user_id, found.role, name[:_NAME], now_ms=now_ms)
    detail = {"role": found.role, "was": "stranger", "by": _named(found.made_by), "invited": True}
    events.record(db, kind="role", detail=detail, now_ms=now_ms, user_id=user_id)
    change = Change(user_id, name[:_NAME], None, found.role, 0)
    told = f"{change.in_words} They used an invitation of {_named(found.made_by)}."
    for each in {owner, found.made_by or owner} - {None}:
        _tell(db, each or 0, told, now_ms)
    return found.role


def let_in(db: Connection, user_id: int, role: Role, *, owner: int | None, now_ms: int) -> None:
    """Give a role to a stranger for whom the server just stored a key; the row made for the key gave none."""
    roles.set_role(db, user_id, role, now_ms=now_ms)
    detail = {"role": role, "was": "stranger", "by": _named(roles.SERVER), "key": True}
    events.record(db, kind="role", detail=detail, now_ms=now_ms, user_id=user_id)
    told = f"{Change(user_id, '', None, role, 0).in_words} A key of theirs was added on the server."
    _tell_owner(db, owner, roles.SERVER, told, now_ms)
    _tell(db, user_id, f"You may now use this bot as {role}. /help lists everything.", now_ms)


def take_back(db: Connection, token_hash: bytes, *, by: int, now_ms: int) -> bool:
    """End an unused invitation of `by`; say whether there was one."""
    if not invites.take_back(db, token_hash, by):
        return False
    events.record(db, kind="invitation taken back", detail={}, now_ms=now_ms, user_id=by)
    return True


def _end_what_was_begun(db: Connection, user_id: int, now_ms: int) -> None:
    confirm.end_all(db, user_id, now_ms)
    invites.take_back_all(db, user_id)
    for row in queries.in_states(db, ("proposed", "confirmed")):
        if row.user_id == user_id and row.state == "proposed":
            journal.end(db, row.id, "expired", _CHANGED, now_ms)
        elif row.user_id == user_id:
            journal.never_left(db, row.id, _CHANGED, now_ms)


def _open_orders(db: Connection, user_id: int) -> int:
    return sum(row.user_id == user_id for row in queries.in_states(db, (*LIVE, *DOUBTFUL)))


def _tell_owner(db: Connection, owner: int | None, by: int, text: str, now_ms: int) -> None:
    if owner is not None and by != owner:
        _tell(db, owner, text, now_ms)


def _tell(db: Connection, chat_id: int, text: str, now_ms: int) -> None:
    notices.tell(db, chat_id=chat_id, kind="note", payload={"text": text}, now_ms=now_ms)


def _named(by: int) -> str:
    return str(by) if by else "the server"
