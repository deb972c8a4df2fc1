"""The strict Bitrue itself: accounts, and the checks that every request passes before its handler."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Literal
from urllib.parse import unquote_to_bytes

from bot.testing.bitrue.call import ENDPOINTS, TEXTS, BitrueAccount, BitruePair, Call, Endpoint, refuse
from bot.testing.ledger import Money
from bot.testing.strict import Received, Refused, Reply, StrictExchange

LISTEN_KEY = "/poseidon/api/v1/listenKey"
LISTEN_MS = 3_600_000
BAN_MS = 120_000


@dataclass(slots=True)
class ListenKey:
    """A key to an account's socket, and when it ends."""

    account: BitrueAccount
    until_ms: int


class StrictBitrue(StrictExchange):
    """Bitrue's spot API for tests, with BTCUSDT, ETHUSDT and SHAUSDT, of which at least 388.89 are traded.

    Args:
        clock: Returns the exchange's time in UTC milliseconds; the machine's by default.

    Attributes:
        caller_ip: Where requests seem to come from, for keys bound to addresses.
        clock_code: The code for a wrong time. The document has it under -1022; a guide and live answers under others.
        cancel_code: The code for canceling a finished order; the document gives both.
        tells_client_ids: Whether orders show the caller's ids, which they often do not.
        knows_client_ids: Whether an order can be looked up by the caller's id.
        takes_client_ids: Whether the caller's id alone names an order; Bitrue's is documented as mandatory.
        refuses_repeats: Whether a client id is taken once only. No document tells.
        is_limiting: Whether `limits` hold; going on after it leads to a ban.
        limits: How much weight a minute may have, per address in `general` and per account in `orders`.
        odd_rows: Put as they are behind the rows of a list, by the last word of its path.
        quantities: By order id, what was ordered in base.
        listen_keys: By key.
    """

    placing_paths: ClassVar[frozenset[str]] = frozenset({"/api/v1/order"})

    def __init__(self, *, clock: Callable[[], int] | None = None) -> None:
        pairs = [
            BitruePair("BTCUSDT", "BTC", "USDT", 2, 5, min_value=Decimal(10), min_quantity=Decimal("0.0001")),
            BitruePair("ETHUSDT", "ETH", "USDT", 2, 4, min_value=Decimal(10), min_quantity=Decimal("0.001")),
            BitruePair("SHAUSDT", "SHA", "USDT", 6, 2, min_value=Decimal(10), min_quantity=Decimal("388.89")),
        ]
        super().__init__(pairs, clock=clock, first_id=307_650_651_173_648_897)
        for pair in pairs:
            pair.maker_fee = pair.taker_fee = Decimal("0.00098")
            pair.band = Decimal("0.3")
        self.accounts: dict[str, BitrueAccount] = {}
        self.caller_ip = "127.0.0.1"
        self.clock_code: Literal["-1021", "-1022", "-1102"] = "-1022"
        self.cancel_code: Literal["-2010", "-2013"] = "-2010"
        self.tells_client_ids = False
        self.knows_client_ids = self.takes_client_ids = True
        self.refuses_repeats = True
        self.is_limiting = False
        self.limits = {"general": 1200, "orders": 100}
        self.odd_rows: defaultdict[str, list[Any]] = defaultdict(list)
        self.quantities: dict[str, Decimal] = {}
        self.listen_keys: dict[str, ListenKey] = {}
        self._calls: defaultdict[tuple[str, str], deque[int]] = defaultdict(deque)
        self._banned_until_ms = 0
        self._is_warned = False
        self.set_price("BTCUSDT", "60000.00", "60000.10")
        self.set_price("ETHUSDT", "3000.00", "3000.10")
        self.set_price("SHAUSDT", "0.050000", "0.050100")

    @property
    def placing_requests(self) -> int:
        """How many requests to place an order arrived; reads and cancels have the same path."""
        return sum(each.method == "POST" and each.path in self.placing_paths for each in self.received)

    def add_account(
        self,
        key: str,
        secret: str,
        *,
        balances: Mapping[str, Money] | None = None,
        rights: Iterable[str] = ("read", "trade"),
        ips: Iterable[str] = (),
    ) -> BitrueAccount:
        """Open an account with one key and these free balances."""
        account = BitrueAccount(api_key=key, secret=secret, rights=set(rights), ips=tuple(ips))
        for asset, amount in (balances or {}).items():
            account.free[asset] = Decimal(amount)
        self.accounts[key] = account
        return account

    def refusal(self, code: str) -> Reply:
        """Return the refusal with this code, or HTTP 429 and 418 for `rate_limited` and `banned`."""
        if code in ("rate_limited", "banned"):
            return self._limited(418 if code == "banned" else 429)
        status, text = TEXTS.get(code, (400, "refused"))
        return _refused(code, text, status)

    def handle(self, received: Received) -> Reply:
        """Carry out one request, or refuse it as Bitrue does."""
        path, tail = received.path, ""
        if path.startswith(f"{LISTEN_KEY}/"):
            path, tail = f"{LISTEN_KEY}/*", path.removeprefix(f"{LISTEN_KEY}/")
        found = ENDPOINTS.get((received.method, path))
        try:
            if self.clock() < self._banned_until_ms:
                return self._limited(418)
            if found is None:
                if any(known == path for _, known in ENDPOINTS):
                    refuse("-1020")
                return Reply(404, b"<html>404 Not Found</html>", {"content-type": "text/html"})
            fields = _fields(received)
            account = self._authenticate(received, fields, found)
            if self.is_limiting and self._is_over(account, found.weights):
                return self._limited(418 if self.clock() < self._banned_until_ms else 429)
            return _json(found.handler(Call(self, account, fields, tail)))
        except Refused as refused:
            return _refused(refused.code, refused.text, refused.status)

    def _limited(self, status: int) -> Reply:
        reply = _refused("-1003", "Too many requests; please slow down.", status)
        return Reply(reply.status, reply.body, {**reply.headers, "rate_limit_p": "orders_user_seconds"})

    def _is_over(self, account: BitrueAccount, weights: Mapping[str, int]) -> bool:
        now = self.clock()
        spent = {name: self._calls[name, account.api_key if name == "orders" else ""] for name in weights}
        for calls in spent.values():
            while calls and calls[0] <= now - 60_000:
                calls.popleft()
                self._is_warned = False
        if all(len(spent[name]) + weight <= self.limits[name] for name, weight in weights.items()):
            for name, weight in weights.items():
                spent[name].extend([now] * weight)
            return False
        if self._is_warned:
            self._banned_until_ms = now + BAN_MS
        self._is_warned = True
        return True

    def _authenticate(self, received: Received, fields: Mapping[str, str], found: Endpoint) -> BitrueAccount:
        if not found.right:
            _check_names(found, fields, set())
            return NOBODY
        account = self.accounts.get(received.headers.get("x-mbx-apikey", ""))
        if account is None:
            refuse("-2015")
        if found.right == "key":
            return account
        _check_names(found, fields, {"timestamp", "recvWindow", "signature"})
        text, _, theirs = received.query.rpartition("&signature=")
        expected = signature(account.secret, text.encode("latin-1") + received.body)
        if not text or not hmac.compare_digest(theirs.encode("latin-1"), expected.encode()):
            refuse("-1022")
        stamp, window = fields.get("timestamp", ""), fields.get("recvWindow", "5000")
        if not stamp.isdecimal() or not window.isdecimal() or int(window) > 60_000:
            refuse("-1102")
        if int(stamp) >= self.clock() + 1000 or self.clock() - int(stamp) > int(window):
            refuse(self.clock_code, "timestamp IllegalArgumentException." if self.clock_code == "-1102" else "")
        if found.right not in account.rights or (account.ips and self.caller_ip not in account.ips):
            refuse("-1022", "You are not authorized to execute this request.")
        return account


NOBODY = BitrueAccount(api_key="", secret="", rights=set())


def _fields(received: Received) -> dict[str, str]:
    """Return the parameters; all belong into the query, each once."""
    if received.body:
        refuse("-1102", "parameters in the body are not taken here")
    parts = [part.partition("=") for part in received.query.split("&") if part]
    fields = {name: unquote_to_bytes(value).decode("utf-8", "replace") for name, _, value in parts}
    if len(fields) < len(parts):
        refuse("-1102", "a parameter came twice")
    return fields


def _check_names(found: Endpoint, fields: Mapping[str, str], more: set[str]) -> None:
    missing = [name for name in sorted(found.required) if not fields.get(name)]
    if missing or not set(fields) <= found.fields | more:
        refuse("-1102")


def signature(secret: str, text: bytes) -> str:
    """Return what `signature` must be: of the raw query before it, followed by the raw body."""
    return hmac.digest(secret.encode(), text, hashlib.sha256).hex()


def _refused(code: str, text: str, status: int) -> Reply:
    return _json({"code": int(code), "msg": text, "data": None}, status)


def _json(content: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(content, separators=(",", ":")).encode())
