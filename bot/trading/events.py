"""The event log: one chain for orders and people, in which each event carries the hash of itself and the one before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from bot.redact import redactor
from bot.store.database import Connection
from bot.trading.orders import as_json

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def record(
    db: Connection,
    *,
    kind: str,
    detail: Mapping[str, Any],
    ours: Mapping[str, Any] = _NOTHING,
    now_ms: int,
    user_id: int | None = None,
    order_id: int | None = None,
) -> None:
    """Append an event to the one chain: each carries the hash of itself and the one before.

    Args:
        db: The running transaction.
        kind: What happened.
        detail: Plain values. Secrets in them are hidden: an exchange's own words may repeat what it was sent.
        ours: More of it that the bot made itself, such as ids and hashes: it is not looked through, which takes long.
        now_ms: The wall clock.
        user_id: Who did it, or whose it is.
        order_id: The order it is about.
    """
    last = db.execute("SELECT hash FROM events ORDER BY id DESC LIMIT 1").fetchone()
    text = as_json({**redactor.cleaned(detail), **ours})
    digest = _link(last["hash"] if last else b"", now_ms, user_id, order_id, kind, text)
    db.execute(
        "INSERT INTO events(at_ms, user_id, order_id, kind, detail, hash) VALUES (?, ?, ?, ?, ?, ?)",
        (now_ms, user_id, order_id, kind, text, digest),
    )


def timeline(db: Connection, order_id: int) -> list[tuple[int, str, dict[str, Any]]]:
    """Return an order's events as (time in UTC ms, kind, detail), oldest first."""
    query = "SELECT at_ms, kind, detail FROM events WHERE order_id=? ORDER BY id"
    return [(row["at_ms"], row["kind"], json.loads(row["detail"])) for row in db.execute(query, (order_id,))]


def verify_chain(db: Connection) -> int | None:
    """Return the number of the first event that was changed or is missing, or `None` when all are as written."""
    before, expected = b"", 1
    for row in db.execute("SELECT * FROM events ORDER BY id"):
        link = _link(before, row["at_ms"], row["user_id"], row["order_id"], row["kind"], row["detail"])
        if (row["id"], row["hash"]) != (expected, link):
            return expected
        before, expected = link, expected + 1
    written = db.execute("SELECT seq FROM sqlite_sequence WHERE name='events'").fetchone()
    return expected if written and written["seq"] >= expected else None


def _link(before: bytes, *values: Any) -> bytes:
    return hashlib.sha256(as_json([before.hex(), *values]).encode()).digest()
