"""The alerts people set: the only writer of the tables `alerts` and `alert_values`.

Every function works inside the caller's transaction. What an alert waits for is kept as it was written; rules are made
of it anew at each start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from typing import Literal, TypeAlias

from bot.alerts import rules
from bot.alerts.engine import Fired, Key, What
from bot.alerts.rules import Move, Rule, State
from bot.contract.errors import UserError
from bot.store.database import Connection, Row

Kind: TypeAlias = Literal["above", "below", "move", "spread", "volume"]

_KEPT_MS = 7 * 86_400_000
_FIGURES: Mapping[Kind, What] = {"spread": "spread", "volume": "volume"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an alert waits for.

    Attributes:
        exchange: Whose figures.
        symbol: `BTC/USDT`.
        exchange_symbol: The exchange's spelling.
        kind: `above` and `below` wait for a price, `move` for a change within `window_ms`, `spread` and `volume` for
            such a figure.
        at: A price in quote, a per cent of change or spread, or a volume of 24 hours in base.
        title: The same in words, such as `BTC/USDT > 60,000.00`.
        back_percent: How far it goes back before it may fire again, in per cent of `at`.
        window_ms: How far a `move` looks back.
        every_ms: Least time between two firings; `None` fires once.
        intent: The order that is offered when it fires, as JSON; empty for none.
        expires_ms: When it ends by itself.
    """

    exchange: str
    symbol: str
    exchange_symbol: str
    kind: Kind
    at: Decimal
    title: str
    expires_ms: int
    back_percent: Decimal = Decimal("0.2")
    window_ms: int = 0
    every_ms: int | None = None
    intent: str = ""

    @property
    def key(self) -> Key:
        """Return the series of values that it waits for."""
        return self.exchange, self.exchange_symbol, _FIGURES.get(self.kind, "price")

    @property
    def rule(self) -> Rule:
        """Return it as the engine knows it."""
        if self.kind == "move":
            return Move(rules.parts(self.at), self.window_ms, self.every_ms)
        is_above = self.kind != "below"
        return rules.level(self.at, above=is_above, back_percent=self.back_percent, every_ms=self.every_ms)


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert.

    Attributes:
        id: Its number.
        user_id: Who set it.
        chat_id: Where it is told.
        thread_id: The topic there, or `None`.
        wish: What it waits for.
        state: What it remembers.
        ended: Why it waits no more: `fired` or `expired`; empty while it waits.
        fired: How often it fired.
        changed_ms: When it was set, edited or snoozed.
    """

    id: int
    user_id: int
    chat_id: int
    thread_id: int | None
    wish: Wish
    state: State
    ended: str
    fired: int
    changed_ms: int


def add(
    db: Connection,
    wish: Wish,
    *,
    user_id: int,
    chat_id: int,
    thread_id: int | None = None,
    most_per_user: int,
    most: int,
    now_ms: int,
) -> int:
    """Set an alert and return its number.

    Raises:
        UserError: `ALERT_LIMIT`: the person, or the whole bot, has as many as it may.
    """
    _check_room(db, user_id, most_per_user, most)
    db.execute("DELETE FROM alerts WHERE ended<>'' AND changed_ms<?", (now_ms - _KEPT_MS,))
    values = _columns(wish) | {"user_id": user_id, "chat_id": chat_id, "thread_id": thread_id, "changed_ms": now_ms}
    names = ",".join(values)
    marks = ",".join("?" * len(values))
    query = f"INSERT INTO alerts({names}) VALUES ({marks}) RETURNING id"  # noqa: S608  # our own names
    return int(db.execute(query, tuple(values.values())).fetchone()["id"])


def change(
    db: Connection,
    alert_id: int,
    wish: Wish,
    *,
    user_id: int,
    most_per_user: int,
    most: int,
    is_armed: bool = True,
    now_ms: int,
) -> None:
    """Let an alert wait for something else, or for the same again after it ended.

    What stands beyond its level already is to be set without `is_armed`: then it waits for going back first.

    Raises:
        UserError: `ALERT_LIMIT`, where it had ended and there is no room for one more.
    """
    if db.execute("SELECT ended FROM alerts WHERE id=?", (alert_id,)).fetchone()["ended"]:
        _check_room(db, user_id, most_per_user, most)
    values = _columns(wish) | {"armed": is_armed, "quiet_until_ms": 0, "ended": "", "changed_ms": now_ms}
    names = ",".join(f"{name}=?" for name in values)
    db.execute(f"UPDATE alerts SET {names} WHERE id=?", (*values.values(), alert_id))  # noqa: S608  # our own names


def snooze(db: Connection, alert_id: int, until_ms: int, now_ms: int) -> None:
    """Keep an alert quiet until then."""
    db.execute("UPDATE alerts SET quiet_until_ms=?, changed_ms=? WHERE id=?", (until_ms, now_ms, alert_id))


def delete(db: Connection, alert_id: int) -> None:
    """Forget an alert."""
    db.execute("DELETE FROM alerts WHERE id=?", (alert_id,))


def fire(db: Connection, fired: Fired) -> Alert | None:
    """Note that an alert fired; return it, or `None` where that was overtaken: it is gone, over or was changed."""
    found = get(db, fired.alert_id)
    if found is None or found.ended or found.changed_ms > fired.at_ms:
        return None
    state = fired.state or State(is_armed=False)
    db.execute(
        "UPDATE alerts SET fired=fired+1, armed=?, quiet_until_ms=?, ended=? WHERE id=?",
        (state.is_armed, state.quiet_until_ms, "" if fired.state else "fired", found.id),
    )
    return get(db, found.id)


def rearm(db: Connection, states: Mapping[int, State]) -> None:
    """Note which alerts went back to where reaching their level is a crossing again."""
    rows = [(state.is_armed, alert_id) for alert_id, state in states.items()]
    db.executemany("UPDATE alerts SET armed=? WHERE id=?", rows)


def end(db: Connection, alert_id: int, why: Literal["expired", "fired"], now_ms: int) -> Alert | None:
    """End an alert that waits; return it, or `None` if it did not."""
    changed = db.execute(
        "UPDATE alerts SET ended=?, changed_ms=? WHERE id=? AND ended=''", (why, now_ms, alert_id)
    ).rowcount
    return get(db, alert_id) if changed else None


def get(db: Connection, alert_id: int) -> Alert | None:
    """Return an alert."""
    row = db.execute("SELECT * FROM alerts WHERE id=?", (alert_id,)).fetchone()
    return None if row is None else _alert(row)


def waiting(db: Connection) -> list[Alert]:
    """Return every alert that waits."""
    return [_alert(row) for row in db.execute("SELECT * FROM alerts WHERE ended='' ORDER BY id").fetchall()]


def in_chat(db: Connection, chat_id: int) -> list[Alert]:
    """Return the alerts of a chat that wait, oldest first."""
    query = "SELECT * FROM alerts WHERE chat_id=? AND ended='' ORDER BY id"
    return [_alert(row) for row in db.execute(query, (chat_id,)).fetchall()]


def remember(db: Connection, values: Mapping[Key, tuple[int, int]]) -> None:
    """Keep the newest values, so that the next start knows what was seen last, and when."""
    rows = [(*key, str(value), at_ms) for key, (value, at_ms) in values.items()]
    db.executemany("INSERT OR REPLACE INTO alert_values VALUES (?, ?, ?, ?, ?)", rows)


def remembered(db: Connection) -> dict[Key, tuple[int, int]]:
    """Return what `remember` kept."""
    rows = db.execute("SELECT * FROM alert_values").fetchall()
    return {(row["exchange"], row["exchange_symbol"], row["figure"]): (int(row["value"]), row["at_ms"]) for row in rows}


def forget_values(db: Connection, keys: Iterable[Key]) -> None:
    """Drop the values of series that nobody waits for any more."""
    db.executemany("DELETE FROM alert_values WHERE exchange=? AND exchange_symbol=? AND figure=?", list(keys))


def _check_room(db: Connection, user_id: int, most_per_user: int, most: int) -> None:
    own = db.execute("SELECT count(*) AS n FROM alerts WHERE user_id=? AND ended=''", (user_id,)).fetchone()["n"]
    if own >= most_per_user:
        text = f"You have {own} alerts, as many as this bot allows. /alerts lists them; delete one first."
        raise UserError(text, code="ALERT_LIMIT")
    everybody = db.execute("SELECT count(*) AS n FROM alerts WHERE ended=''").fetchone()["n"]
    if everybody >= most:
        text = f"All of this bot's {most} alerts are taken. The operator can allow more: [alerts] total."
        raise UserError(text, code="ALERT_LIMIT")


def _columns(wish: Wish) -> dict[str, object]:
    return asdict(wish) | {"at": format(wish.at, "f"), "back_percent": format(wish.back_percent, "f")}


def _alert(row: Row) -> Alert:
    columns = {field.name: row[field.name] for field in fields(Wish)}
    wish = Wish(**columns | {"at": Decimal(row["at"]), "back_percent": Decimal(row["back_percent"])})
    state = State(is_armed=bool(row["armed"]), quiet_until_ms=row["quiet_until_ms"])
    where = (row["user_id"], row["chat_id"], row["thread_id"])
    return Alert(row["id"], *where, wish, state, row["ended"], row["fired"], row["changed_ms"])
