"""Hooks: where alerts come in. A hook's row says whose they are, where they go and what they may do; no body does.

What travels in the address is a random number of 256 bits; the row holds its hash. Every function works inside the
caller's transaction.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from bot.contract.errors import UserError
from bot.signals.alert import Alert
from bot.signals.idea import Idea, pair_of
from bot.store.database import Connection, Row
from bot.trading import events, notices
from bot.trading.orders import as_text

PATH = "/hooks/"
"""What stands before the random number in the address."""

FRESH_MS = 60_000
SAME_MS = 60_000
BURST_MS = 60_000
KEEP_MS = 30 * 86_400_000
MOST_HOOKS = 20
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,19}")

Mode: TypeAlias = Literal["notify", "ask", "auto"]
MODES: tuple[Mode, ...] = ("notify", "ask", "auto")
Verdict: TypeAlias = Literal["taken", "repeated", "undated", "late", "early", "out of order", "paused"]

WHY: Mapping[Verdict, str] = {
    "taken": "It would be taken.",
    "repeated": "It came before, so it would be ignored.",
    "undated": (
        "It says neither when it was sent nor its sequence number. Whoever saw it could send it again, so a hook that "
        'orders without asking ignores it. Add "time": "{{timenow}}" to the message, as the templates have it.'
    ),
    "late": f"It is older than {FRESH_MS // 1000} seconds, so it would be ignored.",
    "early": "Its time is in the future, so it would be ignored. Check the clocks.",
    "out of order": "Its sequence number is not above the last one, so it would be ignored.",
    "paused": "Too many alerts came within a minute, so the hook is closed. /hook mode opens it again.",
}


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook.

    Attributes:
        id: Its number.
        user_id: Whose.
        name: The person's name for it.
        account_id: The account it trades on; `None` is their default one.
        chat_id: Where cards go.
        mode: What becomes of an alert.
        size: How much an order is worth in the quote asset, where that was set.
        day: The most that orders placed without asking may be worth in a UTC day, in USDT.
        pairs: Which pairs it may trade; none named is all, but not without asking.
        sequence: The last sequence number.
        closed_ms: Since when too many alerts hold it closed.
        taken: Alerts taken so far.
        ignored: Alerts ignored so far.
        last: What became of the last one, in words.
    """

    id: int
    user_id: int
    name: str
    account_id: int | None
    chat_id: int
    mode: Mode
    size: Decimal | None
    day: Decimal | None
    pairs: frozenset[str]
    sequence: int | None
    closed_ms: int | None
    taken: int
    ignored: int
    last: str

    def allows(self, pair: str) -> bool:
        """Say whether the hook may trade a pair."""
        wanted = _letters(pair)
        return not self.pairs or any(_letters(each) == wanted for each in self.pairs)


@dataclass(frozen=True, slots=True)
class Job:
    """An alert that was taken and is to be worked off."""

    id: int
    hook: Hook
    idea: Idea | None
    text: str
    missed: int
    at_ms: int


def make(
    db: Connection, *, user_id: int, name: str, chat_id: int, account_id: int | None, now_ms: int
) -> tuple[Hook, str]:
    """Make a hook that only notifies, and return it with its token, which is stored nowhere.

    Raises:
        UserError: `HOOK`: the name is no name or taken, or there are too many hooks.
    """
    name = name.lower()
    if not _NAME.fullmatch(name):
        raise UserError("A hook's name has 1 to 20 letters a-z, digits, _ or -. For example: /hook new tv", code="HOOK")
    existing = of_user(db, user_id)
    if any(each.name == name for each in existing) or len(existing) >= MOST_HOOKS:
        problem = f"You have {MOST_HOOKS} hooks" if len(existing) >= MOST_HOOKS else f"You have a hook {name} already"
        raise UserError(f"{problem}. /hook list shows them, /hook off {name} ends one.", code="HOOK")
    token = secrets.token_urlsafe(32)
    row = db.execute(
        "INSERT INTO hooks(user_id, name, token_hash, account_id, chat_id, mode, created_ms)"
        " VALUES (?, ?, ?, ?, ?, 'notify', ?) RETURNING *",
        (user_id, name, hashed(token), account_id, chat_id, now_ms),
    ).fetchone()
    events.record(db, kind="hook made", detail={"hook": name, "chat": chat_id}, now_ms=now_ms, user_id=user_id)
    return _hook(row), token


def rotate(db: Connection, hook: Hook, now_ms: int) -> str:
    """Give a hook another token; the one before opens nothing from this commit on. Counting begins anew."""
    token = secrets.token_urlsafe(32)
    db.execute("UPDATE hooks SET token_hash=?, sequence=NULL WHERE id=?", (hashed(token), hook.id))
    events.record(db, kind="hook rotated", detail={"hook": hook.name}, now_ms=now_ms, user_id=hook.user_id)
    return token


def set_mode(
    db: Connection,
    hook: Hook,
    mode: Mode,
    *,
    size: Decimal | None,
    day: Decimal | None,
    pairs: frozenset[str],
    now_ms: int,
) -> Hook:
    """Say what becomes of alerts from now on, and open a hook that was closed. Whoever sets `auto` gave a code before.

    Raises:
        UserError: `HOOK`: orders without asking need a size, a cap of the day and pairs.
    """
    if mode == "auto" and hook.account_id is None:
        text = "This hook names no account. Make another one: /hook new NAME on LABEL. /accounts lists yours."
        raise UserError(text, code="HOOK")
    if mode == "auto" and (size is None or day is None or size > day or not pairs):
        raise UserError(
            "Without asking, a hook needs a size, a most per day that is not below it, and its pairs: "
            f"/hook mode {hook.name} auto $50 day $200 BTC/USDT ETH/USDT",
            code="HOOK",
        )
    db.execute(
        "UPDATE hooks SET mode=?, size=?, day=?, pairs=?, closed_ms=NULL, opened_ms=? WHERE id=?",
        (mode, as_text(size), as_text(day), " ".join(sorted(map(pair_of, pairs))), now_ms, hook.id),
    )
    detail = {"hook": hook.name, "mode": mode, "size": size, "day": day, "pairs": sorted(pairs)}
    events.record(
        db,
        kind="hook mode",
        detail={**detail, "size": as_text(size), "day": as_text(day)},
        now_ms=now_ms,
        user_id=hook.user_id,
    )
    return by_id(db, hook.id)


def remove(db: Connection, hook: Hook, now_ms: int) -> None:
    """End a hook. What waits of it is not worked off."""
    db.execute("DELETE FROM hook_events WHERE hook_id=?", (hook.id,))
    db.execute("DELETE FROM hooks WHERE id=?", (hook.id,))
    events.record(db, kind="hook off", detail={"hook": hook.name}, now_ms=now_ms, user_id=hook.user_id)


def of_user(db: Connection, user_id: int) -> list[Hook]:
    """Return a person's hooks, by name."""
    return [_hook(row) for row in db.execute("SELECT * FROM hooks WHERE user_id=? ORDER BY name", (user_id,))]


def named(db: Connection, user_id: int, name: str) -> Hook:
    """Return a person's hook.

    Raises:
        UserError: `HOOK`: they have none of that name.
    """
    found = next((each for each in of_user(db, user_id) if each.name == name.lower()), None)
    if found is None:
        raise UserError(f"You have no hook named {name[:20] or '(nothing)'}. /hook list shows yours.", code="HOOK")
    return found


def by_id(db: Connection, hook_id: int) -> Hook:
    """Return a hook that exists."""
    return _hook(db.execute("SELECT * FROM hooks WHERE id=?", (hook_id,)).fetchone())


def by_token(db: Connection, token: str) -> Hook | None:
    """Return the hook that an address names."""
    if not _TOKEN.fullmatch(token):
        return None
    row = db.execute("SELECT * FROM hooks WHERE token_hash=?", (hashed(token),)).fetchone()
    return None if row is None else _hook(row)


def judge(db: Connection, hook: Hook, alert: Alert, now_ms: int, *, burst: int) -> Verdict:
    """Say what becomes of an alert, and change nothing."""
    if _is_repeated(db, hook, alert, now_ms):
        return "repeated"
    if hook.mode == "auto" and alert.time_ms is None and alert.sequence is None:  # ids are forgotten after a month
        return "undated"
    if alert.time_ms is not None and alert.time_ms < now_ms - FRESH_MS:
        return "late"
    if alert.time_ms is not None and alert.time_ms > now_ms + FRESH_MS:
        return "early"
    if alert.sequence is not None and hook.sequence is not None and alert.sequence <= hook.sequence:
        return "out of order"
    if hook.closed_ms is not None or _recent(db, hook, now_ms) >= burst:
        return "paused"
    return "taken"


def take(db: Connection, token: str, alert: Alert, now_ms: int, *, burst: int) -> Verdict | None:
    """Keep an alert to be worked off, if it is new, fresh and in order; `None` when the token opens nothing."""
    hook = by_token(db, token)
    if hook is None:
        return None
    verdict = judge(db, hook, alert, now_ms, burst=burst)
    if verdict == "taken":
        _keep(db, hook, alert, now_ms)
    else:
        db.execute("UPDATE hooks SET ignored=ignored+1, last=? WHERE id=?", (verdict, hook.id))
    if verdict == "undated" and hook.last != verdict:
        text = f"Hook {hook.name}: an alert was ignored. {WHY[verdict]}"
        notices.tell(
            db,
            chat_id=hook.user_id,
            kind="note",
            payload={"text": text},
            merge_key=f"hook:{hook.id}:undated",
            now_ms=now_ms,
        )
    if verdict == "paused" and hook.closed_ms is None:
        db.execute("UPDATE hooks SET closed_ms=? WHERE id=?", (now_ms, hook.id))
        text = (
            f"Hook {hook.name}: {burst} alerts came within a minute, so I closed it, and more are ignored. "
            f"Look at what sends them; then /hook mode {hook.name} {hook.mode} opens it again."
        )
        notices.tell(db, chat_id=hook.user_id, kind="note", payload={"text": text}, now_ms=now_ms)
        events.record(db, kind="hook closed", detail={"hook": hook.name}, now_ms=now_ms, user_id=hook.user_id)
    return verdict


def waiting(db: Connection, most: int) -> list[int]:
    """Return the numbers of alerts that wait, oldest first."""
    query = "SELECT id FROM hook_events WHERE state='waiting' ORDER BY id LIMIT ?"
    return [row["id"] for row in db.execute(query, (most,))]


def begin(db: Connection, event_id: int) -> Job | None:
    """Take an alert to work it off, once: after a crash it is not begun again. `None` when it is gone."""
    row = db.execute(
        "UPDATE hook_events SET state='begun' WHERE id=? AND state='waiting' RETURNING *", (event_id,)
    ).fetchone()
    if row is None:
        return None
    idea = None if row["idea"] is None else Idea.from_json(row["idea"])
    return Job(row["id"], by_id(db, row["hook_id"]), idea, row["text"], row["missed"], row["at_ms"])


def finish(db: Connection, job: Job, result: str, *, order_id: int | None = None) -> None:
    """Note what became of an alert."""
    values = (result, order_id, job.id)
    db.execute("UPDATE hook_events SET state='done', result=?, order_id=coalesce(?, order_id) WHERE id=?", values)
    db.execute("UPDATE hooks SET last=? WHERE id=?", (result, job.hook.id))


def ordered(db: Connection, job: Job, order_id: int) -> None:
    """Note which order an alert led to, before it can be sent."""
    db.execute("UPDATE hook_events SET order_id=? WHERE id=?", (order_id, job.id))


def orders_since(db: Connection, hook: Hook, since_ms: int) -> list[int]:
    """Return the orders that a hook's alerts led to."""
    query = "SELECT order_id FROM hook_events WHERE hook_id=? AND at_ms>=? AND order_id IS NOT NULL"
    return [row["order_id"] for row in db.execute(query, (hook.id, since_ms))]


def recover(db: Connection, now_ms: int) -> None:
    """After a start: what was begun may have been done, so it is told and not done again. Old rows go."""
    query = "UPDATE hook_events SET state='done', result='interrupted' WHERE state='begun' RETURNING hook_id, text"
    for row in db.execute(query).fetchall():
        hook = by_id(db, row["hook_id"])
        text = (
            f"Hook {hook.name}: the bot stopped while it worked on an alert. I do not begin it again; "
            "/orders and /history show whether it led to an order."
        )
        notices.tell(db, chat_id=hook.user_id, kind="note", payload={"text": text}, now_ms=now_ms)
    db.execute("DELETE FROM hook_events WHERE state='done' AND at_ms<?", (now_ms - KEEP_MS,))


def hashed(token: str) -> bytes:
    """Return what is stored of a token."""
    return hashlib.sha256(token.encode()).digest()


def _keep(db: Connection, hook: Hook, alert: Alert, now_ms: int) -> None:
    has_gap = alert.sequence is not None and hook.sequence is not None
    missed = alert.sequence - hook.sequence - 1 if has_gap else 0  # type: ignore[operator]
    values: tuple[Any, ...] = (
        hook.id,
        alert.digest,
        alert.id,
        None if alert.idea is None else alert.idea.to_json(),
        alert.text,
        missed,
        now_ms,
    )
    db.execute(
        "INSERT INTO hook_events(hook_id, digest, alert_id, idea, text, missed, state, at_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, 'waiting', ?)",
        values,
    )
    db.execute(
        "UPDATE hooks SET taken=taken+1, last='taken', sequence=coalesce(?, sequence) WHERE id=?",
        (alert.sequence, hook.id),
    )


def _is_repeated(db: Connection, hook: Hook, alert: Alert, now_ms: int) -> bool:
    """Say whether an alert came before: by its id, by body where that holds a time, else within the last minute."""
    if (
        alert.id
        and db.execute("SELECT 1 FROM hook_events WHERE hook_id=? AND alert_id=?", (hook.id, alert.id)).fetchone()
    ):
        return True
    since_ms = 0 if alert.time_ms is not None or alert.id else now_ms - SAME_MS
    query = "SELECT 1 FROM hook_events WHERE hook_id=? AND digest=? AND at_ms>?"
    return db.execute(query, (hook.id, alert.digest, since_ms)).fetchone() is not None


def _recent(db: Connection, hook: Hook, now_ms: int) -> int:
    query = (
        "SELECT count(*) AS n FROM hook_events JOIN hooks ON hooks.id=hook_id"
        " WHERE hook_id=? AND at_ms>? AND at_ms>=coalesce(opened_ms, 0)"
    )
    count: int = db.execute(query, (hook.id, now_ms - BURST_MS)).fetchone()["n"]
    return count


def _letters(pair: str) -> str:
    return "".join(filter(str.isalnum, pair.upper()))


def _hook(row: Row) -> Hook:
    return Hook(
        id=row["id"],
        user_id=row["user_id"],
        name=row["name"],
        account_id=row["account_id"],
        chat_id=row["chat_id"],
        mode=row["mode"],
        size=None if row["size"] is None else Decimal(row["size"]),
        day=None if row["day"] is None else Decimal(row["day"]),
        pairs=frozenset(row["pairs"].split()),
        sequence=row["sequence"],
        closed_ms=row["closed_ms"],
        taken=row["taken"],
        ignored=row["ignored"],
        last=row["last"],
    )
