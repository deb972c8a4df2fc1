"""Four eyes: an order above a line leaves only after an administrator who is not its owner approved it.

Accounts belong to one person each, so the second pair of eyes is that of another administrator, or of the bot's owner,
who is one. Their button is a row of its own, bound to the order exactly as it was shown.
"""

from __future__ import annotations

from bot.accounts import people, roles
from bot.contract.errors import UserError
from bot.contract.models import ClientId
from bot.store.database import Connection
from bot.trading import events, journal, notices, queries
from bot.trading.limits import NONE, Limits
from bot.trading.orders import OrderRow

_ASKED = "approval asked"


def ask(db: Connection, order_id: int, *, owner: int | None, has_code: bool, now_ms: int) -> OrderRow:
    """Let a proposal wait for a second person, and ask all who may approve it.

    Args:
        db: The running transaction.
        order_id: Which.
        owner: The owner's id; the database may know the owner under any role.
        has_code: Whether its owner gave a code of the second factor for it.
        now_ms: The wall clock.

    Raises:
        UserError: `NO_APPROVER`: there is no second administrator.
    """
    row = queries.get(db, order_id)
    others = [each for each in administrators(db, owner) if each != row.user_id]
    if not others:
        text = "An order of this worth needs the approval of another administrator, and there is none."
        raise UserError(f"{text} The owner can invite one: /invite admin.", code="NO_APPROVER")
    detail = {"asked": others, "asked_by": name_of(db, row.user_id), "has_code": has_code}
    events.record(db, kind=_ASKED, detail=detail, now_ms=now_ms, user_id=row.user_id, order_id=order_id)
    for each in others:
        notices.tell(db, chat_id=each, kind="approval", order_id=order_id, payload={"user_id": each}, now_ms=now_ms)
    names = ", ".join(name_of(db, each) for each in others)
    return journal.await_approval(db, order_id, f"It waits for a second person to approve it: {names}.", now_ms)


def give(
    db: Connection,
    order_id: int,
    *,
    approver: int,
    owner: int | None,
    rule: ClientId,
    ceiling: Limits = NONE,
    now_ms: int,
) -> OrderRow | None:
    """Confirm a proposal as the second person. Only the first of any number of calls does it.

    Args:
        db: The running transaction.
        order_id: Which.
        approver: Who approves it.
        owner: The owner's id.
        rule: How the exchange wants client order ids.
        ceiling: The limits of the configuration.
        now_ms: The wall clock.

    Returns:
        The confirmed order, or `None` when it does not wait for approval any more.

    Raises:
        UserError: The approver is who ordered, is no administrator, or the order may not be confirmed now.
    """
    row = queries.get(db, order_id)
    if approver == row.user_id or approver not in administrators(db, owner):
        raise UserError("Another administrator must approve this order.", code="NO_APPROVER")
    asked = [detail for _, kind, detail in events.timeline(db, order_id) if kind == _ASKED]
    if not asked:
        return None
    made = journal.confirm(
        db,
        order_id,
        user_id=row.user_id,
        rule=rule,
        ceiling=ceiling,
        has_code=asked[-1]["has_code"],
        approver=approver,
        now_ms=now_ms,
    )
    if made is not None:
        detail = {"by": name_of(db, approver), "asked_by": name_of(db, row.user_id)}
        events.record(db, kind="approved", detail=detail, now_ms=now_ms, user_id=approver, order_id=order_id)
    return made


def administrators(db: Connection, owner: int | None) -> list[int]:
    """Return the ids of the owner and the administrators."""
    found = {user.id for user in roles.everybody(db) if user.role == "admin"}
    return sorted(found | ({owner} if owner else set()))


def name_of(db: Connection, user_id: int) -> str:
    """Return a person's name with the numeric id, which alone tells two of one name apart."""
    user = people.get_user(db, user_id)
    return f"{user.name} ({user_id})" if user is not None and user.name else str(user_id)
