"""One request to the strict BitoPro, as a handler sees it, and how BitoPro writes what it keeps."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from bot.testing.ledger import Account, Order, Pair, Plan
from bot.testing.strict import Refused

if TYPE_CHECKING:
    from bot.testing.bitopro.exchange import StrictBitoPro

DAY_MS = 86_400_000
NUMBER = re.compile(r"\d+(\.\d+)?")

TEXTS = {
    400: "Invalid body",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
}
"""Only the first is a text known from the real one; for the others none is documented."""


@dataclass(eq=False, slots=True)
class BitoProPair(Pair):
    """A pair with BitoPro's own rules; `maintain` makes it suspended."""

    min_base: Decimal = Decimal("0.0001")
    max_base: Decimal = Decimal(1000)
    min_market_buy: Decimal = Decimal(100)
    base_places: int = 8
    maintain: bool = False


@dataclass(eq=False, slots=True, kw_only=True)
class BitoProAccount(Account):
    """One account and its key. Tests may change any of it.

    Attributes:
        permissions: `read` and `order`.
        ips: Addresses the key is bound to; empty for none.
        staked: Part of the balance that is neither free nor in orders.
        last_nonce: The largest seen.
    """

    key: str
    secret: str = field(repr=False)
    email: str = field(repr=False)
    permissions: set[str]
    ips: set[str]
    staked: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    last_nonce: int = 0


def refused(status: int, text: str = "") -> Refused:
    """Return a refusal; BitoPro has no codes."""
    return Refused(str(status), text or TEXTS[status], status=status)


@dataclass(slots=True)
class Call:
    """One accepted request, for its handler."""

    account: BitoProAccount
    pair: BitoProPair | None
    order_id: str
    query: Mapping[str, str]
    body: Mapping[str, Any]

    def market(self) -> BitoProPair:
        """Return the pair that the path names."""
        if self.pair is None:
            raise refused(404)
        return self.pair

    def integer(self, name: str, default: int) -> int:
        """Return a whole number of the query."""
        text = self.query.get(name, str(default))
        if not re.fullmatch(r"-?\d+", text, re.ASCII):
            raise refused(400, f"Wrong parameter: {name}")
        return int(text)

    def choice(self, name: str, *accepted: str, default: str = "") -> str:
        """Return a field of the body that must be one of `accepted`, letter case aside."""
        value = self.body.get(name, default)
        if not isinstance(value, str) or value.upper() not in accepted:
            raise refused(400, f"Wrong parameter: {name}")
        return value.upper()

    def number(self, name: str, places: int, cause: str) -> Decimal:
        """Return a positive plain decimal in text, with at most `places` decimals."""
        text = self.body.get(name)
        if not isinstance(text, str) or not NUMBER.fullmatch(text) or not Decimal(text):
            raise refused(400, f"Invalid {cause}")
        if len(text.partition(".")[2]) > places:
            raise refused(400, f"Invalid {cause} {text}, decimal limit is {places}.")
        return Decimal(text)


Handler: TypeAlias = "Callable[[StrictBitoPro, Call], object]"
Right: TypeAlias = Literal["public", "read", "order"]
Shown: TypeAlias = Order | Plan


def wire_id(row: Shown) -> str:
    """Return the id that requests and replies have."""
    return f"SL-{row.id}" if isinstance(row, Plan) else row.id


def status(row: Shown) -> int:
    """Return BitoPro's number for a state."""
    if isinstance(row, Plan):
        return {"open": -1, "canceled": 4, "failed": 4}[row.status]
    if row.status == "open":
        return 1 if row.filled else 0
    if row.status == "filled":
        return 2
    return 6 if row.reason == "post_only" else 3 if row.filled else 4
