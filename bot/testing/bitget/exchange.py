"""The strict Bitget itself: accounts, and the checks that every request passes before its handler."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import ClassVar, Literal
from urllib.parse import parse_qsl

from bot.testing.bitget.call import CODES, ENDPOINTS, BitgetAccount, Call, Endpoint, Mode, Right
from bot.testing.ledger import Money, Pair
from bot.testing.strict import Received, Refused, Reply, StrictExchange

READING = {"stor", "stow", "readonly", "trade"}


class StrictBitget(StrictExchange):
    """Bitget's spot API for tests, with BTCUSDT, ETHUSDT, XRPUSDT and BTCUSDC.

    Args:
        clock: Returns the exchange's time in UTC milliseconds; the machine's by default.
        mode: What kind of account `add_account` makes.
        demo: Whether `add_account` makes demo keys, which need the header `paptrading: 1`.

    Attributes:
        caller_ip: Where requests seem to come from, for keys bound to addresses.
        error_status: HTTP status of refusals, which Bitget has sent as 400 and as 200.
        unknown_order: How `orderInfo` answers for an unknown order, which the documentation leaves open.
        leaves_behind: How many orders `cancel-symbol-order` silently leaves open.
        is_limiting: Whether documented rate limits are enforced.
    """

    placing_paths: ClassVar[frozenset[str]] = frozenset(
        {
            "/api/v2/spot/trade/place-order",
            "/api/v2/spot/trade/place-plan-order",
            "/api/v3/trade/place-order",
        }
    )

    def __init__(self, *, clock: Callable[[], int] | None = None, mode: Mode = "classic", demo: bool = False) -> None:
        pairs = [
            Pair("BTCUSDT", "BTC", "USDT", 2, 6),
            Pair("ETHUSDT", "ETH", "USDT", 2, 4),
            Pair("XRPUSDT", "XRP", "USDT", 4, 4),
            Pair("BTCUSDC", "BTC", "USDC", 2, 6),
        ]
        super().__init__(pairs, clock=clock, first_id=1186617283289227267)
        self.mode: Mode = mode
        self.demo = demo
        self.accounts: dict[str, BitgetAccount] = {}
        self.caller_ip = "127.0.0.1"
        self.error_status = 400
        self.unknown_order: Literal["empty", "43001"] = "empty"
        self.leaves_behind = 0
        self.is_limiting = False
        self.cancels: dict[str, int] = {}
        self._calls: defaultdict[tuple[str, str], deque[int]] = defaultdict(deque)
        for symbol, bid, ask in (
            ("BTCUSDT", "60000.00", "60000.10"),
            ("ETHUSDT", "3000.00", "3000.10"),
            ("XRPUSDT", "0.5000", "0.5001"),
            ("BTCUSDC", "60000.00", "60000.10"),
        ):
            self.set_price(symbol, bid, ask)

    def add_account(
        self,
        key: str,
        secret: str,
        passphrase: str,
        *,
        balances: Mapping[str, Money] | None = None,
        authorities: Iterable[str] = ("stow",),
        permissions: Iterable[str] = ("uta_mgt", "uta_trade"),
        ips: str = "",
    ) -> BitgetAccount:
        """Open an account with one key and these free balances."""
        account = BitgetAccount(
            key=key,
            secret=secret,
            passphrase=passphrase,
            user_id=str(1234567890 + len(self.accounts)),
            mode=self.mode,
            is_demo=self.demo,
            authorities=list(authorities),
            permissions=list(permissions),
            ips=ips,
        )
        for asset, amount in (balances or {}).items():
            account.free[asset] = Decimal(amount)
        self.accounts[key] = account
        return account

    def refusal(self, code: str) -> Reply:
        """Return the refusal with this code, or for `rate_limited` and `banned` HTTP 429 and 418."""
        status = {"rate_limited": 429, "banned": 418, "429": 429}.get(code)
        text = next((text for v2, v3, text in CODES.values() if code in (v2, v3)), "refused")
        return self._reply(status or self.error_status, "429" if status else code, text, None)

    def handle(self, received: Received) -> Reply:
        """Carry out one request, or refuse it as Bitget does."""
        try:
            endpoint = ENDPOINTS.get((received.method, received.path))
            if endpoint is None:
                raise Refused("40404", "Request URL NOT FOUND", status=404)
            account = NOBODY if endpoint.right == "public" else self._authenticate(received, endpoint.right)
            if self.is_limiting:
                self._limit(received.path, endpoint, account)
            call = Call(self, account, self._fields(received, endpoint), received.path.startswith("/api/v3"))
            self._check_window(call)
            data = endpoint.handler(call)
        except Refused as refused:
            status = self.error_status if refused.status == 400 else refused.status
            return self._reply(status, refused.code, refused.text, None)
        # One of the documented samples that spell it differently.
        text_key = "message" if received.path == "/api/v2/spot/account/assets" else "msg"
        return self._reply(200, "00000", "success", data, text_key=text_key)

    def _reply(self, status: int, code: str, text: str, data: object, *, text_key: str = "msg") -> Reply:
        envelope = {"code": code, text_key: text, "requestTime": self.clock(), "data": data}
        return Reply(status, json.dumps(envelope, separators=(",", ":")).encode())

    def _authenticate(self, received: Received, right: Right) -> BitgetAccount:
        headers = received.headers
        for name, code in (
            ("access-key", "40001"),
            ("access-sign", "40003"),
            ("access-timestamp", "40005"),
            ("access-passphrase", "40011"),
        ):
            if not headers.get(name):
                raise Refused(code, f"{name.upper()} cannot be empty")
        if received.method == "POST" and not headers.get("content-type", "").startswith("application/json"):
            raise Refused("40007", "Invalid Content_Type")
        timestamp = headers["access-timestamp"]
        if not timestamp.isascii() or not timestamp.isdigit():
            raise Refused("40005", "Invalid ACCESS_TIMESTAMP")
        if abs(self.clock() - int(timestamp)) > 30_000:
            raise Refused("40008", "Request timestamp expired")
        account = self.accounts.get(headers["access-key"])
        if account is None:
            raise Refused("40037", "Apikey does not exist")
        if account.is_demo != (headers.get("paptrading") == "1"):
            raise Refused("40099", "exchange environment is incorrect")
        if headers["access-passphrase"] != account.passphrase:
            raise Refused("40012", "apikey/password is incorrect")
        message = f"{timestamp}{received.method}{received.target}".encode("latin-1") + received.body
        if not hmac.compare_digest(headers["access-sign"].encode("latin-1"), signature(account.secret, message)):
            raise Refused("40009", "sign signature error")
        if account.ips and self.caller_ip not in account.ips.split(","):
            raise Refused("40018", "Invalid IP")
        self._authorize(account, right, received.path)
        return account

    def _authorize(self, account: BitgetAccount, right: Right, path: str) -> None:
        if path.startswith("/api/v3"):
            if account.mode == "classic":
                raise Refused("40084", "You are in Classic Account mode, and the Unified Account API is not supported")
            if right == "manage" and "uta_mgt" not in account.permissions:
                raise Refused("25620", "The API key lacks the right: unified account management read")
            is_trader = "uta_trade" in account.permissions
            may = is_trader and (right == "read" or account.perm_type == "read-and-write")
        else:
            if account.mode == "unified":
                raise Refused(
                    "40085",
                    "You are in Unified Account mode, and the Classic Account API is not supported at this time",
                )
            may = not {"stow", "trade"}.isdisjoint(account.authorities)
            may = may or (right == "read" and not READING.isdisjoint(account.authorities))
        if right in ("read", "trade") and not may:
            raise Refused("40014", "Incorrect permissions, need spot trade permissions")

    def _limit(self, path: str, endpoint: Endpoint, account: BitgetAccount) -> None:
        calls, now = self._calls[path, account.user_id], self.clock()
        while calls and calls[0] <= now - 1000:
            calls.popleft()
        if len(calls) >= endpoint.per_second:
            raise Refused("429", "Too Many Requests", status=429)
        calls.append(now)

    def _fields(self, received: Received, endpoint: Endpoint) -> dict[str, object]:
        wrong = Refused("400172", "Parameter verification failed")
        try:
            pairs = parse_qsl(received.query, keep_blank_values=True, strict_parsing=bool(received.query))
            if received.method == "POST":
                if pairs:
                    raise wrong
                pairs = json.loads(received.body, object_pairs_hook=list)
            fields: dict[str, object] = dict(pairs)
        except (ValueError, TypeError):
            raise wrong from None
        if len(fields) < len(pairs):
            raise wrong
        for name, value in fields.items():
            texts = value if name in endpoint.lists else [value]
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise wrong
        for name in sorted(endpoint.required):
            if not fields.get(name):
                raise Refused("40019", f"Parameter {name} cannot be empty")
        for name in sorted(set(fields) - endpoint.accepted):
            raise Refused("400172", f"Parameter verification failed: {name} is not a documented parameter")
        return fields

    def _check_window(self, call: Call) -> None:
        window = call.integer("receiveWindow", 0)
        if window > 60_000:
            raise Refused("40079", "The receiveWindow cannot exceed 60 seconds")
        if window and call.integer("requestTime", 0) + window < self.clock():
            raise Refused("40078", "The request time exceeds the receiveWindow")


NOBODY = BitgetAccount(
    key="", secret="", passphrase="", user_id="", mode="classic", is_demo=False, authorities=[], permissions=[]
)


def signature(secret: str, message: bytes) -> bytes:
    """Return what `ACCESS-SIGN` must be."""
    return base64.b64encode(hmac.digest(secret.encode(), message, hashlib.sha256))
