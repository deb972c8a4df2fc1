"""The strict BTCC itself: accounts, and the checks that every request passes before its handler."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, ClassVar, Literal, NoReturn
from urllib.parse import unquote_to_bytes

from bot.testing.btcc.call import ENDPOINTS, TEXTS, BTCCAccount, Call, Endpoint, refuse
from bot.testing.ledger import Money, Pair
from bot.testing.strict import Received, Refused, Reply, StrictExchange

PREFIX = "/btcc_api_trade"


class StrictBTCC(StrictExchange):
    """BTCC's spot API for tests, with BTCUSDT, ETHUSDT and MINAUSDT, whose amounts have one decimal.

    Args:
        clock: Returns the exchange's time in UTC milliseconds; the machine's by default.

    Attributes:
        caller_ip: Where requests seem to come from, for keys bound to addresses.
        window_seconds: How far a request's time may be off. No document tells.
        codes_in: Whether refusals from 201 on come in `code` or in `error.code`. No document tells.
        takes_client_id: Whether placing takes `client_id`, which the document lists in answers only.
        missing: Endpoints that are unknown here, of those known by two names.
        min_amounts: By symbol, in base.
        has_last: Whether the order book tells the last price.
        early_requests: How many requests came while the caller was blocked.
    """

    placing_paths: ClassVar[frozenset[str]] = frozenset({f"{PREFIX}/order/limit", f"{PREFIX}/order/market"})

    def __init__(self, *, clock: Callable[[], int] | None = None) -> None:
        rules = (("BTC", 2, 5), ("ETH", 2, 4), ("MINA", 4, 1))
        pairs = [Pair(f"{base}USDT", base, "USDT", price, quantity) for base, price, quantity in rules]
        super().__init__(pairs, clock=clock, first_id=6996187031)
        for pair in pairs:
            pair.maker_fee = pair.taker_fee = Decimal("0.003")
        self.accounts: dict[str, BTCCAccount] = {}
        self.caller_ip = "127.0.0.1"
        self.window_seconds = 30
        self.codes_in: Literal["code", "error"] = "error"
        self.takes_client_id = True
        self.missing = {"market/ticker", "order/deal"}
        self.min_amounts = {"BTCUSDT": Decimal("0.0003"), "ETHUSDT": Decimal("0.003"), "MINAUSDT": Decimal(50)}
        self.has_last = True
        self.early_requests = 0
        self.labels: dict[str, tuple[str, str]] = {}
        self._blocked_until_ms = 0
        self.set_price("BTCUSDT", "60000.00", "60000.10")
        self.set_price("ETHUSDT", "3000.00", "3000.10")
        self.set_price("MINAUSDT", "0.5000", "0.5001")

    def add_account(
        self,
        key: str,
        secret: str,
        *,
        balances: Mapping[str, Money] | None = None,
        rights: Iterable[str] = ("read", "trade"),
        ips: Iterable[str] = (),
    ) -> BTCCAccount:
        """Open an account with one key and these free balances."""
        account = BTCCAccount(access_id=key, secret_key=secret, rights=set(rights), ips=tuple(ips))
        for asset, amount in (balances or {}).items():
            account.free[asset] = Decimal(amount)
        self.accounts[key] = account
        return account

    def block(self, seconds: int) -> None:
        """Answer every request for so long as BTCC answers an address that asked too often."""
        self._blocked_until_ms = (self.clock() // 1000 + seconds) * 1000

    def refusal(self, code: str) -> Reply:
        """Return the refusal with this code; `rate_limited` and `banned` block the caller for 2 and 120 seconds."""
        if code in ("rate_limited", "banned", "429"):
            self.block(120 if code == "banned" else 2)
            return self._blocked()
        return self._refused(code, TEXTS.get(code, "refused"), "E2")

    def handle(self, received: Received) -> Reply:
        """Carry out one request, or refuse it as BTCC does."""
        if self.clock() < self._blocked_until_ms:
            self.early_requests += 1
            return self._blocked()
        name = received.path.removeprefix(f"{PREFIX}/")
        found = ENDPOINTS.get((received.method, name))
        if not received.path.startswith(f"{PREFIX}/") or found is None or name in self.missing:
            return Reply(404, b"<html>404 Not Found</html>", {"content-type": "text/html"})
        try:
            fields = _fields(received)
            account = NOBODY if not found.right else self._authenticate(received, fields, found.right)
            ignored = set() if self.takes_client_id else {"client_id"}
            _check_kinds(found, fields, in_body=received.method == "POST", ignored=ignored)
            result = found.handler(Call(self, account, name, fields))
        except Refused as refused:
            return self._refused(refused.code, refused.text, found.envelope)
        if found.envelope == "E1":
            return _json({"code": 0, "data": result, "message": "OK"})
        # The list of markets answers a success with an error object.
        error = {"code": 0, "message": ""} if name.startswith("market/list") else None
        extra = {"ttl": 400} if name in ("market/last", "market/ticker", "market/depth") else {}
        return _json({"error": error, "result": result, "id": 0, **extra})

    def _refused(self, code: str, text: str, envelope: str) -> Reply:
        if envelope == "E1" or (self.codes_in == "code" and int(code) > 200):
            return _json({"code": int(code), "data": None, "message": text})
        return _json({"error": {"code": int(code), "message": text}, "result": None, "id": 0})

    def _blocked(self) -> Reply:
        body = {"block_until": self._blocked_until_ms // 1000, "error": "Too many requests, you are blocked."}
        return _json(body, status=429)

    def _authenticate(self, received: Received, fields: Mapping[str, Any], right: str) -> BTCCAccount:
        account = self.accounts.get(str(fields.get("access_id", "")))
        if account is None or (account.ips and self.caller_ip not in account.ips):
            refuse("205")
        expected = signature(fields, account.secret_key)
        if not hmac.compare_digest(received.headers.get("authorization", "").encode("latin-1"), expected.encode()):
            refuse("204")
        stamp = str(fields.get("tm", ""))
        if not stamp.isdecimal() or abs(self.clock() // 1000 - int(stamp)) > self.window_seconds:
            refuse("204")
        if right not in account.rights:
            refuse("6")
        return account


NOBODY = BTCCAccount(access_id="", secret_key="", rights=set())


class Number(str):
    """An integer of a JSON body, as it was written."""


def _fields(received: Received) -> dict[str, Any]:
    """Return the parameters with each value as the text that was sent."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            refuse("202", "a parameter came twice")
        return dict(pairs)

    if received.method == "GET":
        parts = (part.partition("=") for part in received.query.split("&") if part)
        return members([(name, unquote_to_bytes(value).decode("utf-8", "replace")) for name, _, value in parts])
    if received.query or not received.headers.get("content-type", "").startswith("application/json"):
        refuse("202")
    try:
        fields = json.loads(
            received.body, object_pairs_hook=members, parse_int=Number, parse_float=_float, parse_constant=_float
        )
    except ValueError:
        refuse("202", "the body is not JSON")
    if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()):
        refuse("202")
    return fields


def _float(text: str) -> NoReturn:
    refuse("202", "amounts and prices are strings")


def _check_kinds(found: Endpoint, fields: Mapping[str, Any], *, in_body: bool, ignored: set[str]) -> None:
    kinds = {name: kind for name, kind in found.fields.items() if name not in ignored}
    if found.right:
        kinds |= {"access_id": "text!", "tm": "integer!"}
    for name, kind in kinds.items():
        if kind.endswith("!") and not fields.get(name):
            refuse("202", f"{name} is missing")
    for name, value in fields.items():
        wants_number = kinds.get(name, "").startswith("integer")
        is_number = isinstance(value, Number) if in_body else wants_number
        if name not in kinds or is_number != wants_number or (is_number and not value.isdecimal()):
            refuse("202", f"{name} is not a parameter or of the wrong type")


def signature(fields: Mapping[str, Any], secret: str) -> str:
    """Return what the header `authorization` must be, computed as the document's sample does.

    It joins the pairs first and tears the text apart at each `&` before sorting, so a value with `&` is not verified.
    """
    joined = "&".join([*(f"{name}={value}" for name, value in fields.items()), f"secret_key={secret}"])
    return hashlib.md5("&".join(sorted(joined.split("&"))).encode(), usedforsecurity=False).hexdigest()


def _json(content: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(content, separators=(",", ":")).encode())
