"""The strict BitoPro itself: accounts, and the checks that every request passes before its handler."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from email.utils import formatdate
from typing import Any, Literal, cast
from urllib.parse import parse_qsl

from bot.testing.bitopro.call import TEXTS, BitoProAccount, BitoProPair, Call, Handler, Right, Shown, refused, wire_id
from bot.testing.bitopro.orders import PER_SECOND, ROUTES
from bot.testing.ledger import Money
from bot.testing.strict import Received, Refused, Reply, StrictExchange

WINDOW_MS = 5_000
"""How far a nonce may be off. The real figure is not documented."""


class StrictBitoPro(StrictExchange):
    """BitoPro's spot API for tests, with btc_twd, eth_twd and btc_usdt.

    Args:
        clock: Returns the exchange's time in UTC milliseconds; the machine's by default.

    Attributes:
        caller_ip: Where requests seem to come from, for keys bound to addresses.
        is_limiting: Whether documented rate limits are enforced.
        checks_identity: Whether the e-mail must be right, of which the real one is not known.
        tells_prefix: Whether placing a stop order answers with its `SL-`, which is not documented.
        unknown_order: How an unknown order is told: by HTTP 404 or by a row with an empty id.
    """

    def __init__(self, *, clock: Callable[[], int] | None = None) -> None:
        pairs = [
            BitoProPair("btc_twd", "BTC", "TWD", 0, 8, 0),
            BitoProPair("eth_twd", "ETH", "TWD", 1, 4, 1),
            BitoProPair("btc_usdt", "BTC", "USDT", 2, 6, 2, min_market_buy=Decimal(5)),
        ]
        for pair in pairs:
            pair.maker_fee, pair.taker_fee = Decimal("0.001"), Decimal("0.002")
        super().__init__(pairs, clock=clock, first_id=8_777_138_788)
        self.accounts: dict[str, BitoProAccount] = {}
        self.caller_ip = "127.0.0.1"
        self.is_limiting = False
        self.checks_identity = True
        self.tells_prefix = False
        self.unknown_order: Literal["404", "empty"] = "404"
        self._calls: defaultdict[tuple[str, str], deque[int]] = defaultdict(deque)
        self.set_price("btc_twd", "1500000", "1500010")
        self.set_price("eth_twd", "80000.0", "80000.5")
        self.set_price("btc_usdt", "50000.00", "50000.10")

    @property
    def placing_requests(self) -> int:
        """How many requests to place an order arrived."""
        return sum(each.method == "POST" and each.path.startswith("/v3/orders/") for each in self.received)

    def add_account(
        self,
        key: str,
        secret: str,
        email: str,
        *,
        balances: Mapping[str, Money] | None = None,
        permissions: Iterable[str] = ("read", "order"),
        ips: Iterable[str] = (),
    ) -> BitoProAccount:
        """Open an account with one key and these free balances."""
        account = BitoProAccount(key=key, secret=secret, email=email, permissions=set(permissions), ips=set(ips))
        for asset, amount in (balances or {}).items():
            account.free[asset] = Decimal(amount)
        self.accounts[key] = account
        return account

    def refusal(self, code: str) -> Reply:
        """Return the refusal with this HTTP status, or with this text under HTTP 400."""
        if code in ("rate_limited", "banned"):  # no ban is documented
            code = "429"
        return (
            self._reply(int(code), {"error": TEXTS[int(code)]}) if code.isdigit() else self._reply(400, {"error": code})
        )

    def handle(self, received: Received) -> Reply:
        """Carry out one request, or refuse it as BitoPro does."""
        try:
            right, handler, named = self._route(received)
            account, body = (NOBODY, {}) if right == "public" else self.authenticate(received, right)
            if self.is_limiting:
                self._limit(handler, account)
            pair = self.ledger.pairs.get(named.get("pair", "").lower())
            query = dict(parse_qsl(received.query, keep_blank_values=True))
            call = Call(account, cast(BitoProPair | None, pair), named.get("id", ""), query, body)
            return self._reply(200, handler(self, call))
        except Refused as refusal:
            return self._reply(refusal.status, {"error": refusal.text})

    def _route(self, received: Received) -> tuple[Right, Handler, dict[str, str]]:
        for method, pattern, right, handler in ROUTES:
            found = re.fullmatch("/v3" + pattern, received.path)
            if found and method == received.method:
                return right, handler, found.groupdict()
        raise refused(404)

    def _reply(self, status: int, content: object) -> Reply:
        date = formatdate(self.clock() // 1000, usegmt=True)
        headers = {"content-type": "application/json", "date": date}
        return Reply(status, json.dumps(content, separators=(",", ":")).encode(), headers)

    def authenticate(self, received: Received, right: Right) -> tuple[BitoProAccount, dict[str, Any]]:
        """Return who asks, and the body; refuse a wrong key, signature, time, right or address."""
        headers = received.headers
        account = self.accounts.get(headers.get("x-bitopro-apikey", ""))
        payload = headers.get("x-bitopro-payload", "").encode("latin-1")
        if account is None or not payload:
            raise refused(401)
        theirs = headers.get("x-bitopro-signature", "").encode("latin-1")
        if not hmac.compare_digest(theirs, signature(account.secret, payload).encode()) or set(payload) & set(b"+/-_"):
            raise refused(401, "Invalid Signature")
        text = base64.b64decode(payload)
        has_body = received.method in ("POST", "PUT")
        if has_body and (text != received.body or headers.get("content-type") != "application/json"):
            raise refused(401, "Invalid Signature")
        if not has_body and received.body:
            raise refused(400)
        try:
            fields = json.loads(text)
            nonce = fields["timestamp" if has_body else "nonce"]
        except (ValueError, KeyError, TypeError):
            raise refused(400) from None
        if self.checks_identity and not has_body and fields.get("identity") != account.email:
            raise refused(401)
        self._check_nonce(account, nonce, fields.get("nonce", nonce))
        if right not in account.permissions or (account.ips and self.caller_ip not in account.ips):
            raise refused(403)
        return account, fields if has_body else {}

    def _check_nonce(self, account: BitoProAccount, nonce: object, twin: object) -> None:
        if not isinstance(nonce, int) or nonce != twin:
            raise refused(400)
        if abs(self.clock() - nonce) > WINDOW_MS or nonce <= account.last_nonce:
            raise refused(409)
        account.last_nonce = nonce

    def _limit(self, handler: Handler, account: BitoProAccount) -> None:
        most = [("ip", "", 600, 60_000), ("account", account.key, 600, 60_000)]
        if handler in PER_SECOND:
            most.append((handler.__name__, account.key, PER_SECOND[handler], 1000))
        now = self.clock()
        for name, whose, count, span_ms in most:
            calls = self._calls[name, whose]
            while calls and calls[0] <= now - span_ms:
                calls.popleft()
            if len(calls) >= count:
                raise refused(429)
            calls.append(now)

    def shown(self, account: BitoProAccount) -> list[Shown]:
        """Return what reads show of an account, newest first; a stop order that fired shows as the order it made."""
        rows: list[Shown] = [*self.ledger.orders, *(plan for plan in self.ledger.plans if plan.order is None)]
        mine = [row for row in rows if row.account is account and not row.hidden]
        return sorted(mine, key=lambda row: (row.created_ms, int(row.id)), reverse=True)

    def find(self, call: Call) -> Shown | None:
        """Return the order that the path names."""
        for row in self.shown(call.account):
            if wire_id(row) == call.order_id and row.pair is call.pair:
                return row
        return None

    def client_id(self, row: Shown) -> str:
        """Return the label that was given, or nothing."""
        plan = next((plan for plan in self.ledger.plans if plan.order is row), row)
        return "" if plan.client_id == plan.id else plan.client_id


NOBODY = BitoProAccount(key="", secret="", email="", permissions=set(), ips=set())


def signature(secret: str, payload: bytes) -> str:
    """Return what `X-BITOPRO-SIGNATURE` must be."""
    return hmac.digest(secret.encode(), payload, hashlib.sha384).hex()
