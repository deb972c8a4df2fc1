"""Groups that may be posted to: what, how loud, in which topic, and whose fills.

Every function works inside the caller's transaction, so that a post is committed with what it tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

from bot.accounts import roles
from bot.contract.errors import UserError
from bot.store.database import Connection
from bot.trading import events, notices
from bot.trading.law import ENDS
from bot.trading.notices import Lane
from bot.trading.orders import OrderRow

Event: TypeAlias = Literal["fills", "alerts", "signals", "errors"]
Level: TypeAlias = Literal["on", "silent", "off"]
Posters: TypeAlias = Literal["traders", "administrators"]

EVENTS: tuple[Event, ...] = ("fills", "alerts", "signals", "errors")
LEVELS: tuple[Level, ...] = ("on", "silent", "off")
FILL = "group_fill"
"""The kind of a notice that shows somebody's fill in a group."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours in which posts make no sound.

    Attributes:
        start: Minute of the day.
        end: Minute of the day; before `start`, it is one of the next day.
        zone: Name of a time zone, such as `Europe/Berlin`.
    """

    start: int
    end: int
    zone: str

    def holds(self, now_ms: int) -> bool:
        """Say whether it is quiet now."""
        here = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(ZoneInfo(self.zone))
        minute = here.hour * 60 + here.minute
        if self.start <= self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end

    def __str__(self) -> str:
        hours = (f"{minute // 60:02}:{minute % 60:02}" for minute in (self.start, self.end))
        return f"{' to '.join(hours)} {self.zone}"


@dataclass(frozen=True, slots=True)
class Route:
    """How one kind of event is posted: how loud, in which topic, and from when on again after a mute."""

    level: Level
    thread_id: int | None
    muted_until_ms: int


@dataclass(frozen=True, slots=True)
class Group:
    """A group that an administrator of the bot allowed.

    Attributes:
        chat_id: Its id, negative.
        title: For display.
        posters: Who may have something posted here.
        quiet: When posts make no sound, or `None`.
        routes: What becomes of each kind of event.
    """

    chat_id: int
    title: str
    posters: Posters
    quiet: Quiet | None
    routes: Mapping[Event, Route]


@dataclass(frozen=True, slots=True)
class Share:
    """Somebody's wish to show their fills in a group. Without `with_amounts` neither size nor price is told."""

    chat_id: int
    title: str
    name: str
    with_amounts: bool


def find(db: Connection, chat_id: int) -> Group | None:
    """Return a group, or `None` when nobody allowed it."""
    row = db.execute("SELECT * FROM groups WHERE chat_id=?", (chat_id,)).fetchone()
    if row is None:
        return None
    quiet = None if row["quiet_start"] is None else Quiet(row["quiet_start"], row["quiet_end"], row["quiet_zone"])
    found = db.execute("SELECT * FROM routes WHERE chat_id=?", (chat_id,)).fetchall()
    routes = {each["event"]: Route(each["level"], each["thread_id"], each["muted_until_ms"]) for each in found}
    return Group(chat_id, row["title"], row["posters"], quiet, routes)


def get(db: Connection, chat_id: int) -> Group:
    """Return a group.

    Raises:
        UserError: `NO_GROUP`: nobody allowed it.
    """
    found = find(db, chat_id)
    if found is None:
        raise UserError(
            f"Ask the bot's owner to allow this group: id {chat_id}. An administrator of the bot does that here with "
            "/group allow.",
            code="NO_GROUP",
        )
    return found


def allow(db: Connection, chat_id: int, title: str, *, by: int, owner: int | None, now_ms: int) -> None:
    """Let a group be posted to. One that is allowed already stays as it is set up.

    Raises:
        UserError: `RANK`: `by` is no administrator of the bot.
    """
    _check_admin(db, by, owner)
    db.execute(
        "INSERT INTO groups(chat_id, title, allowed_by, allowed_ms) VALUES (?, ?, ?, ?)"
        " ON CONFLICT(chat_id) DO UPDATE SET title=excluded.title",
        (chat_id, title, by, now_ms),
    )
    db.executemany("INSERT OR IGNORE INTO routes(chat_id, event) VALUES (?, ?)", [(chat_id, each) for each in EVENTS])
    _record(db, chat_id, by, {"allowed": True}, now_ms)


def forbid(db: Connection, chat_id: int, *, by: int, owner: int | None, now_ms: int) -> None:
    """Forget a group, with all that it was set up to and what waits to be posted there.

    Raises:
        UserError: `RANK`: `by` is no administrator of the bot; or `NO_GROUP`.
    """
    _check_admin(db, by, owner)
    get(db, chat_id)
    for event in EVENTS:
        _withdraw(db, chat_id, event)
    for table in ("groups", "routes", "shared_fills"):
        db.execute(f"DELETE FROM {table} WHERE chat_id=?", (chat_id,))  # noqa: S608  # three names, above
    _record(db, chat_id, by, {"allowed": False}, now_ms)


def set_level(db: Connection, chat_id: int, event: Event, level: Level, *, by: int, now_ms: int) -> None:
    """Say how loud an event is posted. `off` also takes back what waits to be posted."""
    get(db, chat_id)
    db.execute("UPDATE routes SET level=? WHERE chat_id=? AND event=?", (level, chat_id, event))
    if level == "off":
        _withdraw(db, chat_id, event)
    _record(db, chat_id, by, {event: level}, now_ms)


def set_posters(db: Connection, chat_id: int, posters: Posters, *, by: int, now_ms: int) -> None:
    """Say who may have something posted. When it is for administrators alone, others' fills end; they may ask anew."""
    get(db, chat_id)
    db.execute("UPDATE groups SET posters=? WHERE chat_id=?", (posters, chat_id))
    if posters == "administrators":
        others = "SELECT user_id FROM shared_fills WHERE chat_id=? AND user_id<>?"
        for row in db.execute(others, (chat_id, by)).fetchall():
            unshare(db, chat_id, row["user_id"], now_ms)
    _record(db, chat_id, by, {"posters": posters}, now_ms)


def set_quiet(db: Connection, chat_id: int, quiet: Quiet | None, *, by: int, now_ms: int) -> None:
    """Say when posts make no sound."""
    get(db, chat_id)
    values = (None, None, "UTC") if quiet is None else (quiet.start, quiet.end, quiet.zone)
    db.execute("UPDATE groups SET quiet_start=?, quiet_end=?, quiet_zone=? WHERE chat_id=?", (*values, chat_id))
    _record(db, chat_id, by, {"quiet": str(quiet) if quiet else "off"}, now_ms)


def route(db: Connection, chat_id: int, event: Event, thread_id: int | None, *, by: int, now_ms: int) -> None:
    """Post an event in this topic from now on, and what waits of it too; `None` is the group's main one."""
    get(db, chat_id)
    db.execute("UPDATE routes SET thread_id=? WHERE chat_id=? AND event=?", (thread_id, chat_id, event))
    waiting = "UPDATE outbox SET thread_id=? WHERE chat_id=? AND json_extract(payload, '$.event')=?"
    db.execute(waiting, (thread_id, chat_id, event))
    _record(db, chat_id, by, {"route": event, "topic": thread_id}, now_ms)


def mute(db: Connection, chat_id: int, event: Event | None, until_ms: int, *, by: int, now_ms: int) -> None:
    """Post nothing of an event, or of any, until then; what waits is taken back. 0 ends it."""
    get(db, chat_id)
    for each in EVENTS if event is None else (event,):
        db.execute("UPDATE routes SET muted_until_ms=? WHERE chat_id=? AND event=?", (until_ms, chat_id, each))
        if until_ms > now_ms:
            _withdraw(db, chat_id, each)
    _record(db, chat_id, by, {"muted": event or "all", "until_ms": until_ms}, now_ms)


def share(
    db: Connection,
    chat_id: int,
    user_id: int,
    name: str,
    *,
    with_amounts: bool,
    is_administrator: bool,
    now_ms: int,
) -> None:
    """Show somebody's fills in a group from now on.

    Args:
        db: The running transaction.
        chat_id: Where.
        user_id: Whose.
        name: What the group calls them.
        with_amounts: Whether size and price are told.
        is_administrator: Whether they administrate the group.
        now_ms: The wall clock.

    Raises:
        UserError: `NO_GROUP`, or `GROUP_ADMIN`: only administrators may post here.
    """
    if get(db, chat_id).posters == "administrators" and not is_administrator:
        raise UserError("In this group only its administrators may have something posted.", code="GROUP_ADMIN")
    db.execute("INSERT OR REPLACE INTO shared_fills VALUES (?, ?, ?, ?)", (chat_id, user_id, name, with_amounts))
    _record(db, chat_id, user_id, {"shows_fills": "with amounts" if with_amounts else "without amounts"}, now_ms)


def unshare(db: Connection, chat_id: int, user_id: int, now_ms: int) -> None:
    """Show somebody's fills there no more. What waits to be posted goes in the same commit."""
    db.execute("DELETE FROM shared_fills WHERE chat_id=? AND user_id=?", (chat_id, user_id))
    waiting = "DELETE FROM outbox WHERE chat_id=? AND kind=? AND json_extract(payload, '$.user')=?"
    db.execute(waiting, (chat_id, FILL, user_id))
    _record(db, chat_id, user_id, {"shows_fills": "off"}, now_ms)


def shares(db: Connection, user_id: int) -> list[Share]:
    """Return where somebody shows their fills."""
    query = (
        "SELECT chat_id, title, name, amounts FROM shared_fills JOIN groups USING(chat_id) WHERE user_id=?"
        " ORDER BY title, chat_id"
    )
    rows = db.execute(query, (user_id,)).fetchall()
    return [Share(row["chat_id"], row["title"], row["name"], bool(row["amounts"])) for row in rows]


def shared_by(db: Connection, chat_id: int) -> int:
    """Return how many people show their fills in a group."""
    count: int = db.execute("SELECT count(*) AS n FROM shared_fills WHERE chat_id=?", (chat_id,)).fetchone()["n"]
    return count


def post(
    db: Connection,
    event: Event,
    *,
    kind: str,
    payload: Mapping[str, Any],
    lane: Lane = "alert",
    merge_key: str | None = None,
    chat_id: int | None = None,
    now_ms: int,
) -> None:
    """Commit that groups are told of an event, each as it is set up. Wake the outbox after the commit.

    Args:
        db: The transaction that makes it true.
        event: What happened; decides on level, mute and topic.
        kind: Names its renderer.
        payload: Plain values for the renderer, without secrets. `event` is added.
        lane: As for `notices.tell`.
        merge_key: As for `notices.tell`.
        chat_id: The only group to be told; all of them when left out.
        now_ms: The wall clock.
    """
    query = (
        "SELECT chat_id, thread_id FROM routes JOIN groups USING(chat_id)"
        " WHERE event=?1 AND level<>'off' AND muted_until_ms<=?2 AND NOT away AND chat_id=coalesce(?3, chat_id)"
    )
    for row in db.execute(query, (event, now_ms, chat_id)).fetchall():
        notices.tell(
            db,
            chat_id=row["chat_id"],
            thread_id=row["thread_id"],
            kind=kind,
            lane=lane,
            payload={**payload, "event": event},
            merge_key=merge_key,
            now_ms=now_ms,
        )


def post_fill(db: Connection, row: OrderRow, now_ms: int) -> None:
    """Commit that an order, now ended, filled: in the groups where its owner wants that shown."""
    if row.state not in ENDS or not row.filled:
        return
    query = "SELECT chat_id FROM shared_fills JOIN users ON users.id=user_id WHERE user_id=? AND role<>'blocked'"
    for found in db.execute(query, (row.user_id,)).fetchall():
        post(
            db,
            "fills",
            kind=FILL,
            payload={"order": row.id, "user": row.user_id},
            lane="result",
            merge_key=f"fill:{row.id}",
            chat_id=found["chat_id"],
            now_ms=now_ms,
        )


def is_silent(db: Connection, chat_id: int, event: Event, now_ms: int) -> bool:
    """Say whether a post makes no sound now."""
    group = find(db, chat_id)
    if group is None:
        return False
    return group.routes[event].level == "silent" or (group.quiet is not None and group.quiet.holds(now_ms))


def rename(db: Connection, chat_id: int, title: str) -> None:
    """Note what a group is called now."""
    db.execute("UPDATE groups SET title=? WHERE chat_id=? AND title<>?", (title, chat_id, title))


def is_away(db: Connection, chat_id: int) -> bool:
    """Say whether the bot was removed from a group that it knows."""
    return db.execute("SELECT 1 FROM groups WHERE chat_id=? AND away", (chat_id,)).fetchone() is not None


def _check_admin(db: Connection, by: int, owner: int | None) -> None:
    if roles.standing(db, by, owner) not in ("admin", "owner"):
        raise UserError("Only the bot's owner and its administrators allow groups. Ask one.", code="RANK")


def _withdraw(db: Connection, chat_id: int, event: Event) -> None:
    """Take back what waits to be posted."""
    db.execute("DELETE FROM outbox WHERE chat_id=? AND json_extract(payload, '$.event')=?", (chat_id, event))


def _record(db: Connection, chat_id: int, by: int, detail: dict[str, Any], now_ms: int) -> None:
    events.record(db, kind="group", detail={"chat": chat_id, **detail}, now_ms=now_ms, user_id=by)
