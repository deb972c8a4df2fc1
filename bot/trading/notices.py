"""What is to be told, committed with the change that it tells: the only writer of the table `outbox`.

Every function works inside the caller's transaction. A row stays until Telegram took its message. What is told anew
under a merge key takes the place of the row before it and gets a number of its own, so whoever was just sending the old
one cannot strike out the new one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

from bot.redact import redactor
from bot.store.database import Connection, Row

Lane: TypeAlias = Literal["result", "alert"]
Queue: TypeAlias = Literal["result", "refresh", "alert"]
QUEUES: tuple[Queue, ...] = ("result", "refresh", "alert")
"""In the order they are served. `refresh`: summed up in a digest already, and drawn when there is time."""

MOST_ALERTS = 200
"""Alerts that wait for one chat. One more makes the oldest go; results are never dropped."""

_ROUTES = ("outbox", "alerts", "boards", "groups", "routes", "shared_fills", "signals", "hooks")
"""Tables whose `chat_id` says where something is told, besides that of the orders."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to be told.

    Attributes:
        id: Its number; a newer version has a higher one.
        chat_id: Where.
        thread_id: The topic there, or `None`.
        lane: Which queue it waits in.
        kind: Names the renderer.
        payload: What the renderer needs; plain values.
        order_id: The order it is about, or `None`.
        happened: How often it happened while it waited.
        skipped: How many older alerts were dropped for it.
        tries: How often it failed to be sent.
        not_before_ms: When it is due again after a failure; 0 at once.
        created_ms: When the oldest news in it was committed.
    """

    id: int
    chat_id: int
    thread_id: int | None
    lane: Queue
    kind: str
    payload: dict[str, Any]
    order_id: int | None
    happened: int
    skipped: int
    tries: int
    not_before_ms: int
    created_ms: int


def tell(
    db: Connection,
    *,
    chat_id: int,
    kind: str,
    lane: Lane = "result",
    order_id: int | None = None,
    payload: Mapping[str, Any] | None = None,
    merge_key: str | None = None,
    thread_id: int | None = None,
    now_ms: int,
) -> None:
    """Commit that something is to be told. Wake the outbox after the commit.

    Args:
        db: The transaction that makes it true.
        chat_id: Where.
        kind: Names its renderer in `bot.chat.notes`.
        lane: `result` tells what became of money or of a command and is never dropped; `alert` waits behind it.
        order_id: The order it is about.
        payload: Plain values for the renderer, without secrets.
        merge_key: What it has in common with those it replaces while they wait in the same chat.
        thread_id: The topic of the chat.
        now_ms: Wall-clock time.
    """
    text = json.dumps(redactor.cleaned(payload), separators=(",", ":")) if payload else "{}"
    happened, skipped, created_ms = 0, 0, now_ms
    before = None if merge_key is None else _waiting_under(db, chat_id, merge_key)
    if before is not None:  # it hands on what it counted
        happened, skipped, created_ms = before["happened"], before["skipped"], before["created_ms"]
        told(db, before["id"])
    elif lane == "alert" and _waiting(db, chat_id, ("alert",), MOST_ALERTS) == MOST_ALERTS:
        skipped = _drop_oldest_alert(db, chat_id)
    db.execute(
        "INSERT INTO outbox(chat_id, thread_id, lane, kind, payload, merge_key, order_id, happened, skipped,"
        " created_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (chat_id, thread_id, lane, kind, text, merge_key, order_id, happened + 1, skipped, created_ms),
    )


def arrivals(db: Connection, lane: Queue, *, after: int, most: int) -> list[tuple[int, int]]:
    """Return (number, chat) of what came into a queue after number `after`, oldest first, `most` of them at most."""
    query = "SELECT id, chat_id FROM outbox WHERE lane=? AND id>? ORDER BY id LIMIT ?"
    return [(row["id"], row["chat_id"]) for row in db.execute(query, (lane, after, most)).fetchall()]


def following(db: Connection, chat_id: int, lane: Queue) -> Notice | None:
    """Return what is told next in a chat's queue: fresh news first come, first served, then what failed before."""
    query = "SELECT * FROM outbox WHERE chat_id=? AND lane=? ORDER BY not_before_ms, created_ms, id LIMIT 1"
    return _notice(db.execute(query, (chat_id, lane)).fetchone())


def of_order(db: Connection, order_id: int) -> Notice | None:
    """Return the waiting news of an order's card, if there is any."""
    query = "SELECT * FROM outbox WHERE order_id=? AND kind='order' AND lane<>'held' LIMIT 1"
    return _notice(db.execute(query, (order_id,)).fetchone())


def told(db: Connection, notice_id: int) -> None:
    """Strike out what Telegram took."""
    db.execute("DELETE FROM outbox WHERE id=?", (notice_id,))


def postpone(db: Connection, notice_id: int, until_ms: int) -> None:
    """Count a failure, and try again later."""
    db.execute("UPDATE outbox SET tries=tries+1, not_before_ms=? WHERE id=?", (until_ms, notice_id))


def has_backlog(db: Connection, chat_id: int, enough: int) -> bool:
    """Say whether so much waits to be told in a chat that it is better summed up."""
    return _waiting(db, chat_id, ("result", "alert"), enough) == enough


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in one chat, summed up.

    Attributes:
        until_id: The newest news in it; what comes later is told by itself.
        since_ms: When the oldest was committed.
        states: Order state to how many orders are in it now.
        orders: Ids of orders to be named: those in doubt, then the newest.
        others: Results that are no orders; they follow in full.
        alerts: How often alerts fired, those included that were merged or dropped.
        newest_alerts: Some of them.
    """

    until_id: int
    since_ms: int
    states: Mapping[str, int]
    orders: tuple[int, ...]
    others: int
    alerts: int
    newest_alerts: tuple[Notice, ...]


def backlog(db: Connection, chat_id: int, *, most_orders: int, most_alerts: int) -> Backlog:
    """Sum up what waits in a chat."""
    found = db.execute(
        "SELECT max(id) AS until, min(created_ms) AS since, total(lane='result' AND kind<>'order') AS others,"
        " total(CASE lane WHEN 'alert' THEN happened + skipped END) AS alerts"
        " FROM outbox WHERE chat_id=? AND lane IN ('result', 'alert')",
        (chat_id,),
    ).fetchone()
    orders = (
        "FROM outbox JOIN orders ON orders.id=outbox.order_id"
        " WHERE outbox.chat_id=? AND lane='result' AND kind='order' AND outbox.id<=?"
    )
    states = db.execute(f"SELECT state, count(*) AS n {orders} GROUP BY state", (chat_id, found["until"])).fetchall()
    named = db.execute(
        f"SELECT order_id {orders} ORDER BY state IN ('unknown', 'needs_human') DESC, outbox.id DESC LIMIT ?",
        (chat_id, found["until"], most_orders),
    ).fetchall()
    alerts = db.execute(
        "SELECT * FROM outbox WHERE chat_id=? AND lane='alert' ORDER BY id DESC LIMIT ?", (chat_id, most_alerts)
    ).fetchall()
    return Backlog(
        until_id=found["until"],
        since_ms=found["since"],
        states={row["state"]: row["n"] for row in states},
        orders=tuple(row["order_id"] for row in named),
        others=int(found["others"]),
        alerts=int(found["alerts"]),
        newest_alerts=tuple(notice for row in alerts if (notice := _notice(row)) is not None),
    )


def summed_up(db: Connection, chat_id: int, until_id: int) -> None:
    """Note that a digest told what waited: alerts are done with, results are still drawn, when there is time."""
    db.execute("DELETE FROM outbox WHERE chat_id=? AND lane='alert' AND id<=?", (chat_id, until_id))
    db.execute("UPDATE outbox SET lane='refresh' WHERE chat_id=? AND lane='result' AND id<=?", (chat_id, until_id))


def park(db: Connection, chat_id: int) -> None:
    """Keep results of a chat that does not let us in, until it does. Alerts would be stale by then."""
    db.execute("DELETE FROM outbox WHERE chat_id=? AND lane='alert'", (chat_id,))
    db.execute("UPDATE outbox SET lane='held' WHERE chat_id=?", (chat_id,))
    db.execute("UPDATE groups SET away=1 WHERE chat_id=?", (chat_id,))


def parked(db: Connection) -> set[int]:
    """Return the chats that do not let us in."""
    return {row["chat_id"] for row in db.execute("SELECT DISTINCT chat_id FROM outbox WHERE lane='held'").fetchall()}


def unpark(db: Connection, chat_id: int) -> None:
    """Tell what was kept for a chat that lets us in again."""
    db.execute("UPDATE outbox SET lane='result', tries=0, not_before_ms=0 WHERE chat_id=? AND lane='held'", (chat_id,))
    db.execute("UPDATE groups SET away=0 WHERE chat_id=?", (chat_id,))


def lose_topic(db: Connection, chat_id: int, thread_id: int) -> None:
    """Note that a topic is no more: what was told there is told in the group's main one."""
    for table in ("outbox", "routes"):
        db.execute(f"UPDATE {table} SET thread_id=NULL WHERE chat_id=? AND thread_id=?", (chat_id, thread_id))  # noqa: S608


def migrate(db: Connection, chat_id: int, new_chat_id: int) -> None:
    """Follow a group that became a supergroup. Its old messages can be edited no more, so cards are sent anew."""
    db.execute("UPDATE boards SET message_id=NULL WHERE chat_id=?", (chat_id,))
    for table in _ROUTES:
        db.execute(f"UPDATE OR REPLACE {table} SET chat_id=? WHERE chat_id=?", (new_chat_id, chat_id))  # noqa: S608
    db.execute("UPDATE orders SET chat_id=?, message_id=NULL WHERE chat_id=?", (new_chat_id, chat_id))
    unpark(db, new_chat_id)  # Telegram may say that the bot left the old group


def _waiting_under(db: Connection, chat_id: int, merge_key: str) -> Row | None:
    query = "SELECT id, happened, skipped, created_ms FROM outbox WHERE chat_id=? AND merge_key=?"
    found: Row | None = db.execute(query, (chat_id, merge_key)).fetchone()
    return found


def _waiting(db: Connection, chat_id: int, lanes: tuple[Queue, ...], most: int) -> int:
    """Count what waits in some queues of a chat, but no further than `most`."""
    left = most
    for lane in lanes:
        query = "SELECT count(*) AS n FROM (SELECT 1 FROM outbox WHERE chat_id=? AND lane=? LIMIT ?)"
        left -= db.execute(query, (chat_id, lane, left)).fetchone()["n"]
    return most - left


def _drop_oldest_alert(db: Connection, chat_id: int) -> int:
    gone = following(db, chat_id, "alert")
    assert gone is not None
    told(db, gone.id)
    return gone.happened + gone.skipped


def _notice(row: Row | None) -> Notice | None:
    if row is None:
        return None
    values = {field.name: row[field.name] for field in fields(Notice)}
    return Notice(**{**values, "payload": json.loads(row["payload"])})
