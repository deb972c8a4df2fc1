"""Signals that were posted: their rows, their end, who followed. Every function works in the caller's transaction."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bot.contract.errors import UserError
from bot.signals.idea import Idea, note_of
from bot.store.database import Connection, Row
from bot.trading import groups, notices

PREFIX = "sig_"
KIND = "signal"
"""The kind of the notice that draws a signal's card."""
WORDS = "signal_words"
"""The kind of the notice that shows an alert which is no signal."""
State: TypeAlias = Literal["open", "canceled", "ended"]
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16}")


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal.

    Attributes:
        id: Its number.
        token: Names it in the link of its card; opens nothing for people without a role.
        author: Whose it is; of a hook's signal, the hook's owner.
        source: What the card says where it came from: a person or a hook.
        chat_id: Where its card is.
        message_id: The card, once Telegram took it.
        idea: What it says.
        remark: Something that readers of the card should know.
        state: Whether it still counts.
        until_ms: When it ends.
        followed: How many people sent an order that followed it.
        created_ms: When it was posted.
        changed_ms: When its author changed it last.
    """

    id: int
    token: str
    author: int
    source: str
    chat_id: int
    message_id: int | None
    idea: Idea
    remark: str
    state: State
    until_ms: int
    followed: int
    created_ms: int
    changed_ms: int | None


def post(
    db: Connection,
    idea: Idea,
    *,
    author: int,
    source: str,
    chat_id: int,
    valid_ms: int,
    remark: str = "",
    now_ms: int,
) -> Signal:
    """Keep a signal and commit that its card is shown. Wake the outbox after the commit.

    Raises:
        UserError: `NO_GROUP`: the group is not one of the bot's, or shows no signals at present.
    """
    if chat_id < 0:
        found = groups.get(db, chat_id).routes["signals"]
        if found.level == "off" or found.muted_until_ms > now_ms:
            raise UserError("Signals are off or muted in this group. /group shows how it is set up.", code="NO_GROUP")
    row = db.execute(
        "INSERT INTO signals(token, author, source, chat_id, idea, remark, state, until_ms, created_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, 'open', ?, ?) RETURNING id",
        (
            secrets.token_urlsafe(12),
            author,
            source[:64],
            chat_id,
            idea.to_json(),
            remark,
            now_ms + valid_ms,
            now_ms,
        ),
    ).fetchone()
    signal = get(db, row["id"])
    tell(db, signal, now_ms)
    return signal


def post_words(db: Connection, text: str, *, source: str, chat_id: int, remark: str, now_ms: int) -> None:
    """Commit that words are shown which nobody can trade. Wake the outbox after the commit.

    Raises:
        UserError: `NO_GROUP`.
    """
    payload = {"text": text, "source": source, "remark": remark}
    if chat_id < 0:
        groups.get(db, chat_id)
        groups.post(db, "signals", kind=WORDS, payload=payload, chat_id=chat_id, now_ms=now_ms)
    else:
        notices.tell(db, chat_id=chat_id, kind=WORDS, payload=payload, lane="alert", now_ms=now_ms)


def get(db: Connection, signal_id: int) -> Signal:
    """Return a signal.

    Raises:
        UserError: `NO_SIGNAL`.
    """
    row = db.execute("SELECT * FROM signals WHERE id=?", (signal_id,)).fetchone()
    if row is None:
        raise UserError(f"There is no signal #{signal_id}.", code="NO_SIGNAL")
    return _signal(row)


def by_token(db: Connection, token: str) -> Signal | None:
    """Return the signal that a link names."""
    if not _TOKEN.fullmatch(token):
        return None
    row = db.execute("SELECT * FROM signals WHERE token=?", (token,)).fetchone()
    return None if row is None else _signal(row)


def change(db: Connection, signal_id: int, idea: Idea, *, by: int, valid_ms: int | None, now_ms: int) -> Signal:
    """Let a signal say something else from now on, on the same card. Orders that followed it stay as they are.

    Raises:
        UserError: `NO_SIGNAL`: it is not there, not theirs, or over; or `SIGNAL`: it is about another pair.
    """
    was = _own(db, signal_id, by)
    if idea.pair != was.idea.pair or idea.side != was.idea.side:
        raise UserError(
            f"Signal #{signal_id} is a {was.idea.side} of {was.idea.pair}. For another one, cancel it and post anew.",
            code="SIGNAL",
        )
    until_ms = was.until_ms if valid_ms is None else now_ms + valid_ms
    values = (idea.to_json(), until_ms, now_ms, signal_id)
    db.execute("UPDATE signals SET idea=?, until_ms=?, changed_ms=? WHERE id=?", values)
    return _told(db, signal_id, now_ms)


def cancel(db: Connection, signal_id: int, *, by: int, now_ms: int) -> Signal:
    """End a signal; its card says so.

    Raises:
        UserError: `NO_SIGNAL`.
    """
    _own(db, signal_id, by)
    db.execute("UPDATE signals SET state='canceled' WHERE id=?", (signal_id,))
    return _told(db, signal_id, now_ms)


def follow(db: Connection, signal: Signal, user_id: int, now_ms: int) -> None:
    """Note that somebody looks at an order that follows a signal. They count once it was sent."""
    db.execute("INSERT OR IGNORE INTO signal_followers VALUES (?, ?, ?)", (signal.id, user_id, now_ms))


def refresh(db: Connection, now_ms: int) -> bool:
    """End what is over and count followers anew; say whether any card changes by that."""
    changed = False
    for row in db.execute("SELECT * FROM signals WHERE state='open'").fetchall():
        signal = _signal(row)
        state = "ended" if signal.until_ms <= now_ms else "open"
        followed = _followers(db, signal)
        if (state, followed) != (signal.state, signal.followed):
            db.execute("UPDATE signals SET state=?, followed=? WHERE id=?", (state, followed, signal.id))
            _told(db, signal.id, now_ms)
            changed = True
    return changed


def tell(db: Connection, signal: Signal, now_ms: int) -> None:
    """Commit that a signal's card is shown as it is now: in the topic for signals, or where it is already."""
    payload, key = {"signal": signal.id}, f"signal:{signal.id}"
    if signal.chat_id < 0 and signal.message_id is None:
        groups.post(
            db,
            "signals",
            kind=KIND,
            payload=payload,
            lane="result",
            merge_key=key,
            chat_id=signal.chat_id,
            now_ms=now_ms,
        )
    else:
        notices.tell(db, chat_id=signal.chat_id, kind=KIND, payload=payload, merge_key=key, now_ms=now_ms)


def drawn(db: Connection, signal_id: int, message_id: int) -> None:
    """Note which message is a signal's card."""
    db.execute("UPDATE signals SET message_id=? WHERE id=?", (message_id, signal_id))


def _own(db: Connection, signal_id: int, by: int) -> Signal:
    signal = get(db, signal_id)
    if signal.author != by or signal.state != "open":
        raise UserError(f"Signal #{signal_id} is not an open one of yours.", code="NO_SIGNAL")
    return signal


def _told(db: Connection, signal_id: int, now_ms: int) -> Signal:
    signal = get(db, signal_id)
    tell(db, signal, now_ms)
    return signal


def _followers(db: Connection, signal: Signal) -> int:
    query = (
        "SELECT count(DISTINCT orders.user_id) AS n FROM signal_followers JOIN orders"
        " ON orders.user_id=signal_followers.user_id AND orders.created_ms>=signal_followers.at_ms"
        " WHERE signal_id=? AND orders.sent_ms IS NOT NULL AND json_extract(orders.intent, '$.note')=?"
    )
    count: int = db.execute(query, (signal.id, note_of(signal.id))).fetchone()["n"]
    return count


def _signal(row: Row) -> Signal:
    return Signal(
        id=row["id"],
        token=row["token"],
        author=row["author"],
        source=row["source"],
        chat_id=row["chat_id"],
        message_id=row["message_id"],
        idea=Idea.from_json(row["idea"]),
        remark=row["remark"],
        state=row["state"],
        until_ms=row["until_ms"],
        followed=row["followed"],
        created_ms=row["created_ms"],
        changed_ms=row["changed_ms"],
    )
