"""How much a person may trade: their own limits under the ceiling of the configuration, whichever is tighter.

They are part of the order path and no guards: looked at for the preview, and again in the transaction that lets the
order leave, with the facts frozen in its row. So of two orders that are confirmed at once, the second sees the first.

Money counts in USDT. An order is worth its notional, in USDT by the exchange's own ticker when the preview was made.
Where there is no such ticker the worth is unknown, and with any limit in money set the order is refused.

The day is that of UTC. Its notional is what was sent in it, whole, but for orders that the exchange refused or never
had; of a canceled one, what was filled. Its loss is what sales brought less than the average cost of what was sold, as
far as fills known to the bot tell, gains of the day set off against it. It stops buying, never selling: nobody is
locked into what they hold. Paper trading has the same limits, counted apart from real money.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal
from typing import TypeAlias

from bot.config import LimitSettings
from bot.store.database import Connection
from bot.trading.orders import as_text

RAISE_DELAY_MS = 600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What may not be exceeded; `None` is no limit.

    Attributes:
        order: Worth of one order, in USDT.
        day: Worth of all orders of a UTC day, in USDT.
        loss: Loss of a UTC day, in USDT; no buying beyond it.
        open: Orders that are open or in doubt at once.
        minute: Orders sent within a minute; of these half, rounded up, within ten seconds.
        pairs: Symbols that may be traded.
        collar: How far a limit price may go through the market, per cent.
        slippage: How much worse than the best price a market order may be on average, per cent.
        code: Worth above which an order needs a code of the second factor, in USDT.
        approval: Worth above which an order needs the approval of an administrator who is somebody else, in USDT.
    """

    order: Decimal | None = None
    day: Decimal | None = None
    loss: Decimal | None = None
    open: int | None = None
    minute: int | None = None
    pairs: frozenset[str] | None = None
    collar: Decimal | None = None
    slippage: Decimal | None = None
    code: Decimal | None = None
    approval: Decimal | None = None

    @property
    def counts_money(self) -> bool:
        """Whether the worth of an order matters."""
        return any(each is not None for each in (self.order, self.day, self.loss, self.code, self.approval))


NAMES = tuple(field.name for field in fields(Limits))
NONE = Limits()
Value: TypeAlias = Decimal | int | frozenset[str] | None


def ceiling_of(settings: LimitSettings) -> Limits:
    """Return the limits that the configuration sets for everybody."""
    return Limits(
        order=settings.order,
        day=settings.day,
        loss=settings.day_loss,
        open=settings.open_orders,
        minute=settings.orders_a_minute,
        pairs=frozenset(each.upper() for each in settings.pairs) or None,
        collar=settings.price_collar_percent,
        slippage=settings.slippage_percent,
        approval=settings.approval,
    )


def read(db: Connection, user_id: int, ceiling: Limits, now_ms: int) -> Limits:
    """Return what holds for a person: the tighter of their own limits and the ceiling."""
    values = _own(db, user_id, now_ms)
    return tightest(Limits(**values), ceiling) if values else ceiling  # type: ignore[arg-type]


def own(db: Connection, user_id: int, now_ms: int) -> Limits:
    """Return what a person set, whatever the ceiling says."""
    return Limits(**_own(db, user_id, now_ms))  # type: ignore[arg-type]


def _own(db: Connection, user_id: int, now_ms: int) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for row in db.execute("SELECT * FROM limits WHERE user_id=?", (user_id,)):
        is_due = row["next_ms"] is not None and row["next_ms"] <= now_ms
        values[row["name"]] = _value(row["name"], row["next_value"] if is_due else row["value"])
    return values


def waiting(db: Connection, user_id: int, now_ms: int) -> dict[str, tuple[Value, int]]:
    """Return the raises that do not hold yet: name to value and when it will, in UTC ms."""
    query = "SELECT * FROM limits WHERE user_id=? AND next_ms>?"
    rows = db.execute(query, (user_id, now_ms)).fetchall()
    return {row["name"]: (_value(row["name"], row["next_value"]), row["next_ms"]) for row in rows}


def is_looser(name: str, before: Value, after: Value) -> bool:
    """Say whether a change of one limit lets through what was held back."""
    if before is None or after is None:
        return before is not None
    if isinstance(before, frozenset) and isinstance(after, frozenset):
        return not after <= before
    return after > before  # type: ignore[operator]


def change(db: Connection, user_id: int, name: str, value: Value, *, now_ms: int) -> int | None:
    """Set one of a person's limits: a tighter one at once, a looser one after ten minutes.

    Whoever calls it for a looser one has taken a code before, where the person has a second factor.

    Returns:
        When it holds, in UTC ms, or `None` when it holds already.
    """
    before = getattr(own(db, user_id, now_ms), name)
    delays = is_looser(name, before, value)
    ends_ms = now_ms + RAISE_DELAY_MS if delays else None
    texts = (text_of(before), text_of(value)) if delays else (text_of(value), None)
    db.execute("INSERT OR REPLACE INTO limits VALUES (?, ?, ?, ?, ?)", (user_id, name, *texts, ends_ms))
    return ends_ms


def tightest(one: Limits, other: Limits) -> Limits:
    """Return the tighter of each limit."""
    values = {name: tightest_of(getattr(one, name), getattr(other, name)) for name in NAMES}
    return Limits(**values)  # type: ignore[arg-type]


def tightest_of(one: Value, other: Value) -> Value:
    """Return the tighter of two values of a limit."""
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, frozenset) and isinstance(other, frozenset):
        return one & other
    return min(one, other)


def text_of(value: Value) -> str | None:
    """Return a limit as it is stored."""
    if isinstance(value, frozenset):
        return " ".join(sorted(value))
    return None if value is None else str(value) if isinstance(value, int) else as_text(value)


def _value(name: str, text: str | None) -> Value:
    if text is None:
        return None
    if name == "pairs":
        return frozenset(text.split())
    return int(text) if name in ("open", "minute") else Decimal(text)
