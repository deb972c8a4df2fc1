"""The one gate before every handler: who, where, how, how old. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from telegram import Chat, Message, Update

from bot.accounts.roles import RANK, Standing

Where: TypeAlias = Literal["private", "anywhere", "group"]

OLDEST_MS = 30_000
NOT_PEOPLE = frozenset({777000, 136817688, 1087968824})
"""Telegram itself, "Channel", and "Group": senders that stand for somebody else."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may do something, and where.

    Attributes:
        role: Least role; `nobody` is more than anybody has.
        where: `private` keeps it out of groups; `group` is for groups alone.
        places: Whether it leads to an order: refused while trading is halted.
        administers: Whether in a group it also takes an administrator of it; Telegram is asked, after the gate.
    """

    role: Standing | Literal["nobody"]
    where: Where
    places: bool = False
    administers: bool = False


ANYWHERE = Rule("viewer", "anywhere")
VIEWERS = Rule("viewer", "private")
TRADERS = Rule("trader", "private")
PLACING = Rule("trader", "private", places=True)
ADMINS = Rule("admin", "private")
MEMBERS = Rule("trader", "group")
ADMINISTRATORS = Rule("trader", "group", administers=True)
OFFICE_IN_GROUPS = Rule("viewer", "anywhere", administers=True)
NOBODY = Rule("nobody", "private")
"""What holds where nothing was said."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A person who may do what they ask."""

    user_id: int
    name: str
    role: Standing
    chat_id: int
    message_id: int
    is_private: bool
    thread_id: int | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Why not. `stranger` and `silent` are not answered as such; `stale` tells the age in `detail_ms`."""

    why: Literal[
        "silent",
        "stranger",
        "role",
        "private",
        "group",
        "anonymous",
        "administrator",
        "unasked",
        "stale",
        "clock",
        "halted",
    ]
    detail_ms: int = 0


def admit(
    update: Update, rule: Rule, *, role: Standing | None, now_ms: int, is_halted: bool = False
) -> Admitted | Refused:
    """Decide about an update.

    Args:
        update: A new message or a button press; anything else is refused in silence.
        rule: What the handler asks for.
        role: The sender's role, or `None` for a stranger; looked up by `sender_id`.
        now_ms: Our time.
        is_halted: Whether no orders are taken at present.
    """
    message, user = _message(update), update.effective_user
    if message is None or user is None or sender_id(update) is None:
        return Refused("anonymous" if rule.where == "group" and _is_anonymous(update) else "silent")
    if role is None:
        return Refused("stranger" if message.chat.type == Chat.PRIVATE else "silent")
    if update.message is not None:
        age_ms = age_of(message, now_ms)
        if age_ms > OLDEST_MS:
            return Refused("stale", age_ms)
        if age_ms < -OLDEST_MS:
            return Refused("clock", age_ms)
    is_private = message.chat.type == Chat.PRIVATE
    if rule.where == "private" and not is_private:
        return Refused("private")
    if rule.where == "group" and message.chat.type not in (Chat.GROUP, Chat.SUPERGROUP):
        return Refused("group")
    if RANK[role] < RANK[rule.role]:
        return Refused("role")
    if rule.places and is_halted:
        return Refused("halted")
    return Admitted(user.id, user.full_name, role, message.chat_id, message.message_id, is_private, topic_of(message))


def topic_of(message: Message) -> int | None:
    """Return the topic of a forum that a message is in; a thread of answers elsewhere is none."""
    return message.message_thread_id if message.is_topic_message else None


def age_of(message: Message, now_ms: int) -> int:
    """Return how many milliseconds ago a message was written, by our clock; negative for one from the future."""
    return now_ms - int(message.date.timestamp() * 1000)


def is_late(update: Update, now_ms: int) -> bool:
    """Say whether an update is a message too old to be run. A press has no age: its button's expiry counts."""
    return update.message is not None and age_of(update.message, now_ms) > OLDEST_MS


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
        return message if isinstance(message, Message) and message.is_accessible and _is_ours(message) else None
    return update.message


def _is_anonymous(update: Update) -> bool:
    """Say whether an administrator wrote in the group's own name: https://core.telegram.org/bots/api#message ."""
    message = update.message
    return message is not None and message.sender_chat is not None and message.sender_chat.id == message.chat_id


def _is_ours(message: Message) -> bool:
    """Say whether a message with buttons can be one that the bot itself wrote there."""
    is_in_a_chats_name = message.sender_chat is not None and message.chat.type != Chat.CHANNEL
    return message.forward_origin is None and message.via_bot is None and not is_in_a_chats_name
