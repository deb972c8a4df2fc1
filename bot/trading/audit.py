"""Reading the one log of events: who did what, when, and whether the log is whole.

Of orders it shows that something happened, not what was bought or for how much: that is its owner's business.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.store.database import Connection, Row
from bot.trading import events

MOST = 50


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the log.

    Attributes:
        id: Its number; they have no gaps.
        at_ms: When, UTC.
        user_id: Who did it, or whom it is about; `None` where nobody did.
        order_id: Which order it is about, if any.
        kind: What happened.
        detail: The rest; empty for an order.
    """

    id: int
    at_ms: int
    user_id: int | None
    order_id: int | None
    kind: str
    detail: Mapping[str, Any]

    @property
    def in_words(self) -> str:
        """What happened, in one line."""
        what = self.kind.replace("_", " ")
        if self.order_id is not None:
            what = f"order #{self.order_id} {what}"
        told = ", ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in self.detail.items())
        return f"{what}: {told}" if told else what


@dataclass(frozen=True, slots=True)
class Chain:
    """The state of the log.

    Attributes:
        length: How many events it has.
        hash: Of the newest, hex; empty when there is none.
        broken: The number of the first event that was changed or is missing, or `None`.
    """

    length: int
    hash: str
    broken: int | None


def recent(db: Connection, most: int, *, user_id: int | None = None) -> list[Event]:
    """Return the newest events, newest first; with `user_id` those of one person and of their orders."""
    query = (
        "SELECT id, at_ms, coalesce(user_id, (SELECT user_id FROM orders WHERE orders.id = order_id)) AS user_id,"
        " order_id, kind, detail FROM events"
        " WHERE ?1 IS NULL OR user_id = ?1 OR order_id IN (SELECT id FROM orders WHERE user_id = ?1)"
        " ORDER BY id DESC LIMIT ?2"
    )
    return [_event(row) for row in db.execute(query, (user_id, most)).fetchall()]


def chain(db: Connection) -> Chain:
    """Look at every event of the log."""
    broken = events.verify_chain(db)
    last = db.execute("SELECT hash FROM events ORDER BY id DESC LIMIT 1").fetchone()
    length = db.execute("SELECT count(*) AS n FROM events").fetchone()["n"]
    return Chain(length, last["hash"].hex() if last else "", broken)


def has_hash(db: Connection, digest: str) -> bool:
    """Say whether some event has this hash, hex."""
    return db.execute("SELECT 1 FROM events WHERE hash = ?", (bytes.fromhex(digest),)).fetchone() is not None


def described(db: Connection, number: int) -> str:
    """Return what the log now says of an event, for whoever looks into a broken log."""
    row = db.execute("SELECT * FROM events WHERE id = ?", (number,)).fetchone()
    return f"event {number} is missing" if row is None else f"event {number} ({row['kind']}) was changed"


def _event(row: Row) -> Event:
    detail = {} if row["order_id"] is not None else json.loads(row["detail"])
    return Event(row["id"], row["at_ms"], row["user_id"], row["order_id"], row["kind"], detail)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
