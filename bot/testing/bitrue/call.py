"""One request to the strict Bitrue, as a handler sees it, and the table of handlers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias, TypeVar

from bot.testing.ledger import Account, Order, Pair
from bot.testing.strict import Refused

if TYPE_CHECKING:
    from bot.testing.bitrue.exchange import StrictBitrue

NUMBER = re.compile(r"\d{1,20}(\.\d{1,30})?")
T = TypeVar("T")

TEXTS: Mapping[str, tuple[int, str]] = {
    "-1003": (429, "Too many requests; current limit reached."),
    "-1013": (400, "Filter failure: PRICE_FILTER"),
    "-1016": (500, "This service is no longer available."),
    "-1020": (405, "This operation is not supported."),
    "-1021": (400, "Timestamp for this request is outside of the recvWindow."),
    "-1022": (401, "Signature for this request is not valid."),
    "-1102": (412, "A mandatory parameter was not sent, was empty/null, or malformed."),
    "-1111": (412, "Invalid volume or price."),
    "-1121": (412, "Invalid symbol."),
    "-1150": (200, "Invalid listen key."),
    "-2010": (406, "The order was refused."),
    "-2013": (200, "Could not find order information for given order ID."),
    "-2015": (401, "Invalid API-key, IP, or permissions for action."),
    "-2017": (200, "Account has insufficient balance for requested action."),
}
"""Statuses and texts by code."""


@dataclass(eq=False, slots=True)
class BitruePair(Pair):
    """A market with a least quantity. Its `band` is how far a price may be from the last, as a fraction."""

    min_quantity: Decimal = Decimal(0)


@dataclass(eq=False, slots=True, kw_only=True)
class BitrueAccount(Account):
    """One account and its key. Tests may change any of it.

    Attributes:
        rights: Of the key: `read`, `trade`, `withdraw`.
        flags: What the account endpoint reports as `canTrade` and `canWithdraw`.
    """

    api_key: str
    secret: str = field(repr=False)
    rights: set[str]
    flags: tuple[bool, bool] = (True, True)
    ips: tuple[str, ...] = ()


@dataclass(slots=True)
class Call:
    """One accepted request, for its handler."""

    exchange: StrictBitrue
    account: BitrueAccount
    fields: Mapping[str, str]
    tail: str = ""

    def text(self, name: str) -> str:
        """Return a parameter, empty where it is missing."""
        return self.fields.get(name, "")

    def one_of(self, name: str, known: Mapping[str, T]) -> T:
        """Return what a parameter's word stands for."""
        if self.text(name) not in known:
            refuse("-1102")
        return known[self.text(name)]

    def whole(self, name: str, default: int) -> int:
        """Return a parameter that is a whole number."""
        text = self.text(name) or str(default)
        if not text.isdecimal():
            refuse("-1102")
        return int(text)

    def limit(self, *, most: int, default: int = 100) -> int:
        """Return how many rows are wanted."""
        number = self.whole("limit", default)
        if not 0 < number <= most:
            refuse("-1102")
        return number

    def pair(self) -> BitruePair:
        """Return the market named, in upper case only."""
        pair = self.exchange.ledger.pairs.get(self.text("symbol"))
        if not isinstance(pair, BitruePair):
            refuse("-1121")
        return pair

    def amount(self, name: str, places: int) -> Decimal:
        """Return a positive number with at most so many decimals."""
        text = self.text(name)
        if not NUMBER.fullmatch(text):
            refuse("-1102")
        number = Decimal(text)
        if not number or number != round(number, places):
            refuse("-1111")
        return number

    def orders(self) -> list[Order]:
        """Return the orders of the market that reads show, newest first."""
        pair = self.pair()
        return [
            order
            for order in reversed(self.exchange.ledger.orders)
            if order.account is self.account and order.pair is pair and not order.hidden
        ]

    def order(self) -> Order | None:
        """Return the order named by Bitrue's id, or else by the caller's."""
        wanted, ours = self.text("orderId"), self.text("origClientOrderId")
        if not wanted and not (ours and self.exchange.takes_client_ids):
            refuse("-1102")
        return next((o for o in self.orders() if wanted == o.id or (not wanted and ours == o.client_id)), None)


def refuse(code: str, text: str = "") -> NoReturn:
    """Refuse the request."""
    status, usual = TEXTS[code]
    raise Refused(code, text or usual, status=status)


Handler: TypeAlias = Callable[[Call], Any]
Right: TypeAlias = Literal["", "key", "read", "trade"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the API: who may call it, the parameters it takes and those it needs, and what it weighs by limit."""

    handler: Handler
    right: Right
    fields: frozenset[str]
    required: frozenset[str]
    weights: Mapping[str, int]


ENDPOINTS: dict[tuple[str, str], Endpoint] = {}


def endpoint(target: str, right: Right, fields: str = "", *, weight: int = 1) -> Callable[[Handler], Handler]:
    """Register a handler. `fields` are words like `symbol!` and `limit`; a `!` marks a required one.

    Unverified: that of all requests only those that trade weigh against the limit on orders.
    """
    method, path = target.split()
    words = fields.split()
    names = frozenset(word.rstrip("!") for word in words)
    required = frozenset(word[:-1] for word in words if word.endswith("!"))

    weights = {"general": weight, "orders": 1} if right == "trade" else {"general": weight}

    def register(handler: Handler) -> Handler:
        ENDPOINTS[method, path] = Endpoint(handler, right, names, required, weights)
        return handler

    return register
