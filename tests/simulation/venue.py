"""An exchange in the simulation: what it keeps, and how it misbehaves. Its plugin is in `tests.simulation.plugin`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any, Literal, TypeAlias

import msgspec

from bot import Request, Response
from tests.simulation.timeline import Timeline

Memory: TypeAlias = Literal["forever", "while open", "label", "none"]
"""What it does with client ids: refuses one it has ever seen; one that is open; none, but tells them; nothing."""

MEMORIES: tuple[Memory, ...] = ("forever", "while open", "label", "none")
WINDOWS = (10, 35, 10, None)
"""Documented seconds of validity, drawn for each exchange of a world; `None` proves no absence."""

STALE_SECONDS = 3.0
LATE_SECONDS = 120.0
VERY_LATE_SECONDS = 400.0

FATES = {
    "accepted": 805,
    "refused": 40,
    "busy": 10,
    "never left": 25,
    "request lost": 10,
    "answer lost": 40,
    "late": 25,
    "5xx, accepted": 20,
    "5xx, not accepted": 4,
    "400, accepted": 20,
    "400, not accepted": 4,
    "unreadable": 10,
}
"""What becomes of a placing request, in weights. Harsh on purpose: about one answer in seven is unclear."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """How often things go wrong, beside crashes.

    Attributes:
        fates: What becomes of a placing request, in weights.
        failing_reads: Share of reads that are answered with an error.
        outages: Share of exchanges that are away once.
        very_late: Share of the orders given up unseen, without a documented window, that turn up after all.
        full_disks: How often the disk of a world is full; below one, the share of worlds where it is.
        full_seconds: For how long, at least and at most.
    """

    fates: Mapping[str, int] = field(default_factory=lambda: FATES)
    failing_reads: float = 0.01
    outages: float = 0.15
    very_late: float = 0.06
    full_disks: float = 0.3
    full_seconds: tuple[float, float] = (0.1, 30)


USUAL = Trouble()


@dataclass(slots=True)
class Placed:
    """An order as the exchange keeps it, with every state it was in: `(since, state, filled)`."""

    id: str
    client_id: str
    owner: str
    symbol: str
    side: str
    type: str
    quantity: Decimal
    price: str | None
    created_ms: int
    visible_us: int
    history: list[tuple[int, str, Decimal]] = field(default_factory=list)

    @property
    def state(self) -> str:
        return self.history[-1][1]

    @property
    def filled(self) -> Decimal:
        return self.history[-1][2]


class Venue:
    """One exchange. It survives every crash of the bot.

    Args:
        name: Its id.
        memory: What it does with client ids.
        window_seconds: How long a request is valid, or `None` when it does not say.
        timeline: The world's time.
        rng: The world's chance.
        very_late: Says of a quantity whether its order may turn up after a person closed the doubt unseen.
        trouble: How often things go wrong.

    Attributes:
        placing: Client id of every placing request that left the bot, with its owner.
    """

    def __init__(
        self,
        name: str,
        memory: Memory,
        window_seconds: int | None,
        timeline: Timeline,
        rng: Random,
        very_late: Callable[[Decimal], bool],
        trouble: Trouble,
    ) -> None:
        self.name, self.memory, self.window_seconds = name, memory, window_seconds
        self.timeline, self.rng = timeline, rng
        self.orders: list[Placed] = []
        self._of: defaultdict[str, list[Placed]] = defaultdict(list)
        self.placing: list[tuple[str, str]] = []
        self.under_way = 0
        self.down_until_us = 0
        self.is_calm = False
        self.skew_ms = rng.randrange(-30_000, 30_000)
        self.price = Decimal(60_000)
        self._very_late = very_late
        self.trouble = trouble

    @property
    def is_down(self) -> bool:
        return self.timeline.now_us < self.down_until_us

    @property
    def now_ms(self) -> int:
        return self.timeline.now_ms + self.skew_ms

    def fate(self, request: Request) -> str:
        """Draw what becomes of a placing request."""
        if self.is_calm:
            return "accepted"
        if self.is_down:
            return self.rng.choice(("never left", "request lost"))
        if self.window_seconds is None and self._very_late(Decimal(request.json["quantity"])):
            return "very late"
        return self.rng.choices(tuple(self.trouble.fates), self.trouble.fates.values())[0]

    def receive(self, request: Request, fate: str, answer: Callable[[Response | None], None]) -> None:
        """Take a placing request as it arrives, and answer it, or not."""
        if fate in ("late", "very late"):
            least, most = (0.5, LATE_SECONDS) if fate == "late" else (LATE_SECONDS + 30, VERY_LATE_SECONDS)
            self.under_way += 1
            self.timeline.after(self.rng.uniform(least, most), lambda: self._arrive_late(request, answer))
            return None
        if fate in ("refused", "busy"):
            return answer(reply(None, code={"refused": "POOR", "busy": "BUSY"}[fate], status=400))
        placed = None if fate in ("request lost", "5xx, not accepted", "400, not accepted") else self._take(request)
        if fate in ("request lost", "answer lost"):
            return answer(None)
        if fate.startswith("5xx"):
            return answer(Response(502, {}, b"<html>Bad gateway</html>"))
        if fate.startswith("400"):
            return answer(reply(None, code="TIMED_OUT", status=400))
        if fate == "unreadable":
            return answer(Response(200, {}, b"{"))
        return answer(reply(None, code="WHAT", status=400) if placed is None else reply({"id": placed.id}))

    def find(self, owner: str, query: dict[str, str]) -> list[dict[str, Any]]:
        """Return what a look for an order shows: by its client id, or all that look like it where ids are nothing."""
        names = ("symbol", "side", "quantity", "price") if self.memory == "none" else ("client_id",)
        looks = _looks(query, names)
        found = [each for each in self._of[owner] if _looks(each, names) == looks]
        return [row for each in found if (row := self._seen(each)) is not None]

    def get(self, owner: str, order_id: str) -> dict[str, Any] | None:
        """Return one order as a replica shows it."""
        found = next(each for each in self._of[owner] if each.id == order_id)
        return self._seen(found)

    def cancel(self, owner: str, order_id: str) -> bool:
        """Cancel an order, now or in a moment, as long as it is not done."""
        found = next(each for each in self._of[owner] if each.id == order_id)
        if found.state not in ("open", "partially_filled"):
            return False
        self._soon(self.rng.choice((0.001, 0.5, 2.0)), found, "canceled", None)
        return True

    def _arrive_late(self, request: Request, answer: Callable[[Response | None], None]) -> None:
        self.under_way -= 1
        placed = self._take(request)
        answer(None if placed is None else reply({"id": placed.id}))

    def _take(self, request: Request) -> Placed | None:
        """Accept an order, unless its request is too old or its client id was seen."""
        body, owner = request.json, request.headers["key"]
        if self.window_seconds is not None and self.now_ms > int(request.headers["time"]) + self.window_seconds * 1000:
            return None
        same = [each for each in self._of[owner] if each.client_id == body["client_id"]]
        if self.memory == "forever" and same:
            return None
        if self.memory == "while open" and any(each.state in ("open", "partially_filled") for each in same):
            return None
        stale = 0.0 if self.is_calm or self.rng.random() < 0.5 else self.rng.uniform(0, STALE_SECONDS)
        placed = Placed(
            id=f"{self.name}{len(self.orders) + 1}",
            client_id=body["client_id"],
            owner=owner,
            symbol=body["symbol"],
            side=body["side"],
            type=body["type"],
            quantity=Decimal(body["quantity"]),
            price=body["price"],
            created_ms=self.now_ms,
            visible_us=self.timeline.now_us + round(stale * 1e6),
            history=[(self.timeline.now_us, "open", Decimal(0))],
        )
        self.orders.append(placed)
        self._of[owner].append(placed)
        self.timeline.stir()
        self._trade(placed)
        return placed

    def _trade(self, placed: Placed) -> None:
        """Decide how an order will be filled: at once, bit by bit, only after long, or cut short."""
        whole, part = placed.quantity, round(placed.quantity / 3, 6)
        chance = self.rng.random()
        if chance < 0.65 or placed.type == "market":
            self._become(placed, "filled", whole)
        elif chance < 0.85:
            first = self.rng.uniform(0.2, 2)
            self._soon(first, placed, "partially_filled", part)
            self._soon(first + self.rng.uniform(0.2, 1), placed, "partially_filled", 2 * part)
            self._soon(first + self.rng.uniform(1, 2), placed, "filled", whole)
        elif chance < 0.95:
            self._soon(self.rng.uniform(2, 6), placed, "filled", whole)
        else:
            self._become(placed, "partially_filled", part)
            self._soon(self.rng.uniform(0, 2), placed, "canceled", None)

    def _soon(self, seconds: float, placed: Placed, state: str, filled: Decimal | None) -> None:
        self.timeline.after(seconds, lambda: self._become(placed, state, placed.filled if filled is None else filled))

    def _become(self, placed: Placed, state: str, filled: Decimal) -> None:
        if placed.state in ("open", "partially_filled"):
            self.timeline.stir()
            placed.history.append((self.timeline.now_us, state, filled))

    def _seen(self, placed: Placed) -> dict[str, Any] | None:
        """Return an order as one replica has it: up to three seconds old, or not there yet."""
        lag_us = 0 if self.is_calm or self.rng.random() < 0.7 else round(self.rng.uniform(0, STALE_SECONDS) * 1e6)
        if self.timeline.now_us < placed.visible_us:
            return None
        known = [each for each in placed.history if each[0] <= self.timeline.now_us - lag_us]
        _, state, filled = known[-1] if known else placed.history[0]
        return {
            "id": placed.id,
            "client_id": "" if self.memory == "none" else placed.client_id,
            "symbol": placed.symbol,
            "side": placed.side,
            "type": placed.type,
            "state": state,
            "filled": str(filled),
            "quantity": str(placed.quantity),
            "price": placed.price,
            "created_ms": placed.created_ms,
        }


def _looks(of: Placed | dict[str, str], names: tuple[str, ...]) -> list[str]:
    return [str((of[name] if isinstance(of, dict) else getattr(of, name)) or "") for name in names]


def reply(data: Any, *, code: str = "0", status: int = 200) -> Response:
    """Return a reply as these exchanges write it."""
    return Response(status, {}, _encoded({"code": code, "data": data}))


_encoded = msgspec.json.Encoder().encode
