"""The one gate before every handler: who, where, how, how old. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from telegram import Chat, Message, Update

Role: TypeAlias = Literal["owner", "admin", "trader", "viewer"]
Where: TypeAlias = Literal["private", "anywhere"]

RANK: dict[str, int] = {"viewer": 1, "trader": 2, "admin": 3, "owner": 4}
OLDEST_MS = 30_000
NOT_PEOPLE = frozenset({777000, 136817688, 1087968824})
"""Telegram itself, "Channel", and "Group": senders that stand for somebody else."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may do something, and where.

    Attributes:
        role: Least role.
        where: `private` keeps it out of groups.
    """

    role: Role
    where: Where


ANYWHERE = Rule("viewer", "anywhere")
VIEWERS = Rule("viewer", "private")
TRADERS = Rule("trader", "private")
ADMINS = Rule("admin", "private")


@dataclass(frozen=True, slots=True)
class Admitted:
    """A person who may do what they ask."""

    user_id: int
    name: str
    role: Role
    chat_id: int
    message_id: int
    is_private: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """Why not. `stranger` and `silent` are not answered as such; `stale` tells the age in `detail_ms`."""

    why: Literal["silent", "stranger", "role", "private", "stale", "clock"]
    detail_ms: int = 0


def admit(update: Update, rule: Rule, *, role: Role | None, now_ms: int) -> Admitted | Refused:
    """Decide about an update.

    Args:
        update: A new message or a button press; anything else is refused in silence.
        rule: What the handler asks for.
        role: The sender's role, or `None` for a stranger; looked up by `sender_id`.
        now_ms: Our time.
    """
    message, user = _message(update), update.effective_user
    if message is None or user is None or sender_id(update) is None:
        return Refused("silent")
    if role is None:
        return Refused("stranger" if message.chat.type == Chat.PRIVATE else "silent")
    is_private = message.chat.type == Chat.PRIVATE
    if rule.where == "private" and not is_private:
        return Refused("private")
    if RANK[role] < RANK[rule.role]:
        return Refused("role")
    if update.message is not None:
        age_ms = now_ms - int(message.date.timestamp() * 1000)
        if age_ms > OLDEST_MS:
            return Refused("stale", age_ms)
        if age_ms < -OLDEST_MS:
            return Refused("clock", age_ms)
    return Admitted(user.id, user.full_name, role, message.chat_id, message.message_id, is_private)


def sender_id(update: Update) -> int | None:
    """Return the numeric id of the person behind an update, or `None` when no person surely is.

    Edited, forwarded, posted through another bot or in the name of a chat: nobody can be held to that.
    """
    user = update.effective_user
    if user is None or user.is_bot or user.id in NOT_PEOPLE:
        return None
    if update.callback_query is not None:
        return user.id if _message(update) is not None else None
    message = update.message
    if message is None or message.sender_chat is not None:
        return None
    if message.forward_origin is not None or message.via_bot is not None or message.edit_date is not None:
        return None
    return user.id


def _message(update: Update) -> Message | None:
    if update.callback_query is not None:
        message = update.callback_query.message
        # The library makes a `Message` of every message, also of one that Telegram no longer shows to the bot.
        return message if isinstance(message, Message) and message.is_accessible else None
    return update.message
