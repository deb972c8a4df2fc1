"""One request to the strict Bitget, as a handler sees it, and the table of handlers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from bot.testing.ledger import Account, Execution, Order, Pair, Plan
from bot.testing.strict import Refused

if TYPE_CHECKING:
    from bot.testing.bitget.exchange import StrictBitget

Mode: TypeAlias = Literal["classic", "unified"]
Row = TypeVar("Row", Order, Plan, Execution)
DAY_MS = 86_400_000
NUMBER = re.compile(r"\d+(\.\d+)?")

CODES = {
    # cause: (code of v2, code of v3, text)
    "symbol": ("40102", "25100", "Symbol does not exist"),
    "offline": ("41113", "25101", "symbol is offline"),
    "maintenance": ("41114", "25102", "The current trading pair is under maintenance"),
    "parameter": ("400172", "25200", "Parameter verification failed"),
    "client id": ("40305", "40305", "client_oid length is not greater than 40, and cannot be Martian characters"),
    "duplicate": ("43118", "25212", "clientOrderId duplicate"),
    "price scale": ("41103", "25610", "param price scale error error"),
    "size scale": ("40808", "25610", "Parameter verification exception size checkBDScale error"),
    "too high": ("40815", "25205", "The order price is above the highest price allowed"),
    "too low": ("40816", "25206", "The order price is below the lowest price allowed"),
    "value": ("45110", "45110", "less than the minimum amount"),
    "crowd": ("43005", "25211", "Exceed the maximum number of orders"),
    "funds": ("43012", "25202", "Insufficient balance"),
    "missing": ("43001", "25204", "The order does not exist"),
    "final": ("45031", "25204", "The order is finalized"),
    "repeated": ("45129", "45129", "The same order may be cancelled only once per second"),
    "no plan": ("43025", "43025", "Plan order does not exist"),
    "span": ("40705", "40705", "The start and end time are too far apart"),
}


@dataclass(eq=False, slots=True, kw_only=True)
class BitgetAccount(Account):
    """One account and its key. Tests may change any of it.

    Attributes:
        authorities: What a classic key may do: `stow` trades spot, `stor` reads it, `wwow` withdraws.
        permissions: What a unified key may do; with `perm_type`.
        ips: Comma separated addresses the key is bound to.
        mode: `classic` or `unified`.
        account_mode: What the v3 settings report, such as `unified`, `hybrid`, `upgrading`.
        funding: The funding wallet, which orders cannot use.
    """

    key: str
    secret: str = field(repr=False)
    passphrase: str = field(repr=False)
    user_id: str
    mode: Mode
    is_demo: bool
    authorities: list[str]
    permissions: list[str]
    perm_type: str = "read-and-write"
    account_mode: str = "unified"
    ips: str = ""
    funding: dict[str, Decimal] = field(default_factory=dict)


@dataclass(slots=True)
class Call:
    """One accepted request, for its handler."""

    exchange: StrictBitget
    account: BitgetAccount
    fields: Mapping[str, Any]
    is_v3: bool

    def get(self, name: str, default: str = "") -> str:
        """Return a parameter."""
        value: str = self.fields.get(name, default)
        return value

    def texts(self, name: str) -> list[str]:
        """Return a parameter that is a list."""
        values: list[str] = self.fields.get(name, [])
        return values

    def refused(self, cause: str, text: str = "") -> Refused:
        """Return the refusal for a cause in `CODES`."""
        classic, unified, default = CODES[cause]
        return Refused(unified if self.is_v3 else classic, text or default)

    def choice(self, name: str, *accepted: str, default: str = "") -> str:
        """Return a parameter that must be one of `accepted`."""
        value = self.get(name, default)
        if value not in accepted:
            raise self.refused("parameter", f"Parameter {name} error")
        return value

    def pair(self, symbol: str = "") -> Pair:
        """Return the market of this name, or that `symbol` names."""
        pair = self.exchange.ledger.pairs.get(symbol or self.get("symbol"))
        if pair is None:
            raise self.refused("symbol")
        return pair

    def pairs(self) -> list[Pair]:
        """Return the market that `symbol` names, or all."""
        return [self.pair()] if self.get("symbol") else list(self.exchange.ledger.pairs.values())

    def number(self, name: str, places: int, *, scale_cause: str = "size scale") -> Decimal:
        """Return a positive plain decimal with at most `places` decimals."""
        text = self.get(name)
        if not NUMBER.fullmatch(text) or not Decimal(text):
            raise self.refused("parameter", f"Parameter {name} error")
        if len(text.partition(".")[2]) > places:
            detail = f" value={text} checkScale={places}" if scale_cause == "size scale" else ""
            raise self.refused(scale_cause, CODES[scale_cause][2] + detail)
        return Decimal(text)

    def integer(self, name: str, default: int) -> int:
        """Return a whole number."""
        text = self.get(name, str(default))
        if not text.isascii() or not text.isdigit():
            raise self.refused("parameter", f"Parameter {name} error")
        return int(text)

    def page(self, rows: Iterable[Row], *, limit: int = 100, days: int = 0, span: int = 0) -> list[Row]:
        """Return the newest rows that symbol, times, cursor and limit select, newest first.

        Args:
            rows: All there are, oldest first.
            limit: Default; the maximum is always 100.
            days: How far back the endpoint looks; zero for no end.
            span: Most days between `startTime` and `endTime`; zero for any.
        """
        now = self.exchange.clock()
        start, end = self.integer("startTime", 0), self.integer("endTime", now)
        if span and self.get("startTime") and end - start > span * DAY_MS:
            raise self.refused("span")
        count = self.integer("limit", limit)
        if not 1 <= count <= 100:
            raise self.refused("parameter", "Parameter limit error")
        below = self.integer("cursor" if self.is_v3 else "idLessThan", 10**20)
        symbols = {pair.symbol for pair in self.pairs()}
        oldest = max(start, now - days * DAY_MS if days else 0)
        chosen = [
            row
            for row in rows
            if row.pair.symbol in symbols and oldest <= row.created_ms <= end and int(row.id) < below
        ]
        return chosen[::-1][:count]

    def visible(self) -> list[Order]:
        """Return the account's orders that reads show."""
        return [row for row in self.exchange.ledger.orders if row.account is self.account and not row.hidden]

    def order(self) -> Order | None:
        """Return the order that `orderId` or, if that is absent, `clientOid` names."""
        order_id, client_id = self.get("orderId"), self.get("clientOid")
        if not order_id and not client_id:
            raise self.refused("parameter", "Parameter orderId error")
        for order in reversed(self.visible()):
            if order_id:
                found = order.id == order_id
            else:
                is_recent = self.is_v3 or order.created_ms >= self.exchange.clock() - 2 * 3_600_000
                found = order.client_id == client_id and is_recent
            if found:
                return order
        return None


Handler: TypeAlias = Callable[[Call], object]
Right: TypeAlias = Literal["public", "any", "read", "trade", "manage"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the API. Parameters are text, but for `lists`, which are lists of text."""

    handler: Handler
    right: Right
    per_second: int
    required: frozenset[str]
    accepted: frozenset[str]
    lists: frozenset[str]


ENDPOINTS: dict[tuple[str, str], Endpoint] = {}


def endpoint(target: str, right: Right, per_second: int, fields: str = "") -> Callable[[Handler], Handler]:
    """Register a handler. `fields` are its parameters; those with `!` are required, those with `[]` lists."""
    method, path = target.split()
    words = fields.split()
    accepted = {word.rstrip("![]") for word in words}
    if path.startswith("/api/v2") and right != "public":
        accepted |= {"requestTime", "receiveWindow"}
    required = frozenset(word.rstrip("!") for word in words if word.endswith("!"))
    lists = frozenset(word.rstrip("[]") for word in words if word.endswith("[]"))

    def register(handler: Handler) -> Handler:
        ENDPOINTS[method, path] = Endpoint(handler, right, per_second, required, frozenset(accepted), lists)
        return handler

    return register
