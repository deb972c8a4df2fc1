"""One request to the strict BTCC, as a handler sees it, and the table of handlers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias

from bot.testing.ledger import Account, Execution, Order, Pair, Plan, round_down
from bot.testing.strict import Refused

if TYPE_CHECKING:
    from bot.testing.btcc.exchange import StrictBTCC

NUMBER = re.compile(r"\d{1,20}(\.\d{1,30})?")
SIDES: dict[int, Literal["buy", "sell"]] = {1: "buy", 2: "sell"}
TEXTS = {
    "1": "invalid argument", "2": "internal error", "3": "service unavailable", "4": "unknown command",
    "5": "service timeout", "6": "require auth", "10": "balance not enough", "11": "amount too small",
    "12": "no enough trader", "201": "general failure", "202": "param error", "203": "db error",
    "204": "valid sign error", "205": "valid access id error", "206": "limit error", "207": "close market error",
}  # fmt: skip


@dataclass(eq=False, slots=True, kw_only=True)
class BTCCAccount(Account):
    """One account and its key. Tests may change any of it; no key has more rights than `read` and `trade`."""

    access_id: str
    secret_key: str = field(repr=False)
    rights: set[str]
    ips: tuple[str, ...] = ()


@dataclass(slots=True)
class Call:
    """One accepted request, for its handler."""

    exchange: StrictBTCC
    account: BTCCAccount
    path: str
    fields: Mapping[str, Any]

    def text(self, name: str) -> str:
        """Return a parameter that is text."""
        return str(self.fields.get(name, ""))

    def integer(self, name: str, *, default: int = 0, most: int | None = None) -> int:
        """Return a parameter that is an integer."""
        value = int(self.fields.get(name, default))
        if value < 0 or (most is not None and value > most):
            refuse("1")
        return value

    def pair(self) -> Pair:
        """Return the market named."""
        pair = self.exchange.ledger.pairs.get(self.text("market"))
        return pair or refuse("1")

    def amount(self, name: str, places: int) -> Decimal:
        """Return a positive number, cut to `places` decimals: the engine drops the rest without a word."""
        text = self.text(name)
        if not NUMBER.fullmatch(text) or not Decimal(text):
            refuse("1")
        return round_down(Decimal(text), places)

    def side(self) -> Literal["buy", "sell"]:
        """Return the side; 1 is buy."""
        return SIDES.get(self.integer("side")) or refuse("1")

    def orders(self, *, is_open: bool) -> list[Order]:
        """Return what a list of orders shows, newest first: of finished orders only those with a fill."""
        return [
            order
            for order in reversed(self.exchange.ledger.orders)
            if order.account is self.account
            and not order.hidden
            and (order.status == "open") == is_open
            and (is_open or order.filled)
        ]

    def plans(self) -> list[Plan]:
        """Return the stop orders that wait, newest first."""
        plans = reversed(self.exchange.ledger.plans)
        return [plan for plan in plans if plan.account is self.account and plan.status == "open" and not plan.hidden]

    def order(self, name: str, *, is_open: bool) -> Order | None:
        """Return the order that a parameter names, where that list shows it."""
        wanted = str(self.integer(name))
        return next((order for order in self.orders(is_open=is_open) if order.id == wanted), None)

    def page(self, rows: Iterable[Order | Plan | Execution]) -> tuple[Sequence[Any], int]:
        """Return the rows that market, side, times, offset and limit select, and how many there are in all."""
        pair, side = self.pair(), self.integer("side", most=2)
        start, end = self.integer("start_time"), self.integer("end_time") or 10**10
        offset, limit = self.integer("offset"), self.integer("limit", default=100, most=100)
        found = []
        for row in rows:
            order = row.order if isinstance(row, Execution) else row
            is_wanted = order.pair is pair and SIDES.get(side, order.side) == order.side
            if is_wanted and start <= row.created_ms / 1000 <= end:
                found.append(row)
        return found[offset : offset + limit], len(found)


def refuse(code: str, text: str = "") -> NoReturn:
    """Refuse the request."""
    raise Refused(code, text or TEXTS[code], status=200)


Handler: TypeAlias = Callable[[Call], object]
Right: TypeAlias = Literal["", "read", "trade"]
Envelope: TypeAlias = Literal["E1", "E2"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the API. `fields` are name to kind; a `!` behind the kind marks a required one."""

    handler: Handler
    right: Right
    envelope: Envelope
    fields: Mapping[str, str]


ENDPOINTS: dict[tuple[str, str], Endpoint] = {}


def endpoint(target: str, right: Right, fields: str = "", envelope: Envelope = "E2") -> Callable[[Handler], Handler]:
    """Register a handler. `fields` are words like `market:text!` and `side:integer`."""
    method, name = target.split()
    kinds = dict(word.split(":") for word in fields.split())

    def register(handler: Handler) -> Handler:
        ENDPOINTS[method, name] = Endpoint(handler, right, envelope, kinds)
        return handler

    return register
