"""Buttons that work once: rows bound to person, chat, message and, where money moves, to the frozen order.

What travels in Telegram's callback data is a random number and nothing else. The row is spent by one UPDATE; only a
row count of 1 goes on.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import msgspec

from bot.store.database import Connection, Row

PREFIX = "c1:"
_GRACE_MS = 10_000
_KEEP_MS = 48 * 3600 * 1000  # an old button says what became of it, for so long

# A button that was ended before its time has the time of that in `expires_ms`, below zero: it stays dead whatever
# becomes of the clock.

Refusal: TypeAlias = Literal["unknown", "not yours", "used", "expired"]


@dataclass(frozen=True, slots=True)
class Button:
    """A button to be made.

    Attributes:
        text: What it says.
        action: Which handler it calls.
        payload: What that handler needs; plain values.
        order_id: The order it acts on, if any.
        params_hash: Binds it to the order exactly as shown.
        seconds: How long it works.
        style: How Telegram may colour it.
    """

    text: str
    action: str
    payload: dict[str, Any] = field(default_factory=dict)
    order_id: int | None = None
    params_hash: bytes | None = None
    seconds: int = 600
    style: Literal["", "primary", "success", "danger"] = ""


class Press(msgspec.Struct, frozen=True):
    """A button that was pressed by its owner, for the first time, in time."""

    action: str
    payload: dict[str, Any]
    order_id: int | None
    params_hash: bytes | None


def mint(
    db: Connection, buttons: Iterable[Button], *, user_id: int, chat_id: int, message_id: int | None, now_ms: int
) -> list[str]:
    """Store `buttons` and return their callback data. With a message id, the message's earlier buttons die.

    Except for those that may as well be pressed twice: a thumb may already be on its way when a card is drawn anew.
    """
    if message_id is not None:
        db.execute(
            "UPDATE buttons SET expires_ms=CASE WHEN action IN ('cancel', 'refresh') THEN min(expires_ms, ?) ELSE ? END"
            " WHERE chat_id=? AND message_id=? AND expires_ms>0",
            (now_ms + _GRACE_MS, -now_ms, chat_id, message_id),
        )
    db.execute("DELETE FROM buttons WHERE expires_ms BETWEEN ? AND ?", (_KEEP_MS - now_ms, now_ms - _KEEP_MS))
    result = []
    for button in buttons:
        nonce = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        db.execute(
            "INSERT INTO buttons VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
            (
                _hashed(nonce),
                button.action,
                json.dumps(button.payload, separators=(",", ":")),
                button.order_id,
                button.params_hash,
                user_id,
                chat_id,
                message_id,
                now_ms + button.seconds * 1000,
            ),
        )
        result.append(PREFIX + nonce)
    return result


def attach(db: Connection, data: Sequence[str], message_id: int) -> None:
    """Bind freshly minted buttons to the message that Telegram made of them."""
    hashes = [(message_id, _hashed(each.removeprefix(PREFIX))) for each in data]
    db.executemany("UPDATE buttons SET message_id=? WHERE nonce_hash=? AND message_id IS NULL", hashes)


def redeem(db: Connection, data: str, *, user_id: int, chat_id: int, message_id: int, now_ms: int) -> Press | Refusal:
    """Spend a button. Only the first press by the right person, in the right message, in time, gets a `Press`."""
    if not data.startswith(PREFIX):
        return "unknown"
    key = _hashed(data.removeprefix(PREFIX))
    spent = db.execute(
        "UPDATE buttons SET used_ms=? WHERE nonce_hash=? AND user_id=? AND chat_id=? AND message_id=?"
        " AND used_ms IS NULL AND expires_ms>? RETURNING action, payload, order_id, params_hash",
        (now_ms, key, user_id, chat_id, message_id, now_ms),
    ).fetchone()
    if spent is not None:
        return _press(spent)
    row = db.execute("SELECT * FROM buttons WHERE nonce_hash=?", (key,)).fetchone()
    if row is None or (row["chat_id"], row["message_id"]) != (chat_id, message_id):
        return "unknown"
    if row["user_id"] != user_id:
        return "not yours"
    return "expired" if row["used_ms"] is None else "used"


def look_at(db: Connection, data: str, *, user_id: int, chat_id: int, message_id: int, now_ms: int) -> Press | None:
    """Return what `redeem` would, without spending the button; `None` where it would refuse."""
    row = db.execute(
        "SELECT action, payload, order_id, params_hash FROM buttons"
        " WHERE nonce_hash=? AND user_id=? AND chat_id=? AND message_id=? AND used_ms IS NULL AND expires_ms>?",
        (_hashed(data.removeprefix(PREFIX)), user_id, chat_id, message_id, now_ms),
    ).fetchone()
    return None if row is None or not data.startswith(PREFIX) else _press(row)


def _press(row: Row) -> Press:
    action, payload, order_id, params_hash = row
    return Press(action, json.loads(payload) if payload != "{}" else {}, order_id, params_hash)


def end_all(db: Connection, user_id: int, now_ms: int) -> None:
    """End every unused button of a person."""
    query = "UPDATE buttons SET expires_ms=? WHERE user_id=? AND used_ms IS NULL AND expires_ms>0"
    db.execute(query, (-now_ms, user_id))


def _hashed(nonce: str) -> bytes:
    return hashlib.sha256(nonce.encode("utf-8", "surrogatepass")).digest()  # a forged text may have halves of letters
