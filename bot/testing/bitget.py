"""A strict local Bitget: the spot REST API, classic (v2) and unified (v3), with its checks, codes, shapes and traps.

It is stricter than the real one where that finds mistakes early: unknown parameters and numbers that are not plain
decimal text are refused, and the signature must cover the very bytes sent.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar, Literal, TypeAlias, TypeVar, cast
from urllib.parse import parse_qsl

from bot.testing.strict import (
    ZERO,
    Account,
    Execution,
    InsufficientBalance,
    Money,
    Order,
    Pair,
    Plan,
    Received,
    Reply,
    StrictExchange,
)

Mode: TypeAlias = Literal["classic", "unified"]
Row = TypeVar("Row", Order, Plan, Execution)
DAY_MS = 86_400_000
NUMBER = re.compile(r"\d+(\.\d+)?")
CLIENT_IDS = re.compile(r"[A-Za-z0-9_+#-]{1,49}"), re.compile(r"[.A-Z:/a-z0-9_-]{1,32}")
READING = {"stor", "stow", "readonly", "trade"}

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


class Refused(Exception):
    """Bitget refuses the request."""

    def __init__(self, code: str, text: str, *, status: int = 400) -> None:
        super().__init__(code, text)
        self.code, self.text, self.status = code, text, status


@dataclass(slots=True)
class Call:
    """One accepted request, for its handler."""

    exchange: StrictBitget
    account: BitgetAccount
    fields: Mapping[str, str]
    is_v3: bool

    def get(self, name: str, default: str = "") -> str:
        """Return a parameter."""
        return self.fields.get(name, default)

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

    def pair(self) -> Pair:
        """Return the market that `symbol` names."""
        pair = self.exchange.ledger.pairs.get(self.get("symbol"))
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
    """One row of the API."""

    handler: Handler
    right: Right
    per_second: int
    required: frozenset[str]
    accepted: frozenset[str]


ENDPOINTS: dict[tuple[str, str], Endpoint] = {}


def _endpoint(target: str, right: Right, per_second: int, fields: str = "") -> Callable[[Handler], Handler]:
    """Register a handler. `fields` are its parameters; those with `!` are required."""
    method, path = target.split()
    names = {name.strip("!") for name in fields.split()}
    if path.startswith("/api/v2") and right != "public":
        names |= {"requestTime", "receiveWindow"}
    required = frozenset(name.strip("!") for name in fields.split() if name.endswith("!"))

    def register(handler: Handler) -> Handler:
        ENDPOINTS[method, path] = Endpoint(handler, right, per_second, required, frozenset(names))
        return handler

    return register


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

    def _fields(self, received: Received, endpoint: Endpoint) -> dict[str, str]:
        wrong = Refused("400172", "Parameter verification failed")
        try:
            pairs = parse_qsl(received.query, keep_blank_values=True, strict_parsing=bool(received.query))
            if received.method == "POST":
                if pairs:
                    raise wrong
                pairs = json.loads(received.body, object_pairs_hook=list)
            fields = dict(pairs)
        except (ValueError, TypeError):
            raise wrong from None
        if len(fields) < len(pairs) or not all(isinstance(value, str) for value in fields.values()):
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


def plain(amount: Decimal) -> str:
    """Write a number without exponent and without zeros at the end."""
    return format(amount.normalize(), "f") if amount else "0"


# Orders


def _place(call: Call, *, size_field: str, force_field: str) -> dict[str, str]:
    pair, ledger = call.pair(), call.exchange.ledger
    if pair.status != "online":
        raise call.refused("offline" if pair.status == "offline" else "maintenance")
    side = cast(Literal["buy", "sell"], call.choice("side", "buy", "sell"))
    kind = cast(Literal["limit", "market"], call.choice("orderType", "limit", "market"))
    force = "gtc" if kind == "market" else _force(call, force_field)
    client_id = call.get("clientOid")
    _check_client_id(call, client_id)
    price, quantity, budget = ZERO, ZERO, ZERO
    if kind == "market" and side == "buy":
        # Which of the two the real one checks is not documented; the smaller satisfies both.
        value = budget = call.number(size_field, min(pair.quote_places, pair.price_places))
    else:
        quantity = call.number(size_field, pair.quantity_places)
        value = quantity * pair.last
    if kind == "limit":
        price = call.number("price", pair.price_places, scale_cause="price scale")
        value = quantity * price
        if side == "buy" and price > pair.last * (1 + pair.band):
            raise call.refused("too high")
        if side == "sell" and price < pair.last * (1 - pair.band):
            raise call.refused("too low")
    if value < pair.min_value:
        raise call.refused("value", f"less than the minimum amount {plain(pair.min_value)} USDT")
    is_open = [order for order in ledger.orders if order.account is call.account and order.status == "open"]
    if sum(order.pair is pair for order in is_open) >= pair.max_open:
        raise call.refused("crowd")
    try:
        order = ledger.place(
            call.account,
            pair,
            side,
            kind,
            price=price,
            quantity=quantity,
            budget=budget,
            time_in_force="gtc" if force == "post_only" else force,
            post_only=force == "post_only",
            client_id=client_id,
        )
    except InsufficientBalance:
        raise call.refused("funds") from None
    return _ids(order)


def _force(call: Call, name: str) -> str:
    accepted = ("gtc", "post_only", "fok", "ioc")
    if call.is_v3:
        return call.choice(name, *accepted, default="gtc")
    # Documented in lower case and as required; ccxt sends capitals, and they work.
    return call.choice(name, *accepted, *map(str.upper, accepted)).lower()


def _check_client_id(call: Call, client_id: str) -> None:
    if not client_id:
        return
    if len(client_id) > 50 and not call.is_v3:
        raise Refused("40304" if len(client_id) <= 64 else "40305", "client_oid is too long")
    if not CLIENT_IDS[call.is_v3].fullmatch(client_id):
        raise call.refused("client id")
    rows: list[Order | Plan] = [*call.exchange.ledger.orders, *call.exchange.ledger.plans]
    for row in rows:
        is_same = row.account is call.account and row.client_id == client_id
        # Unified accounts may use an id again once its order is done; for classic ones no such rule is documented.
        if is_same and (row.status == "open" or not call.is_v3):
            raise call.refused("duplicate")


def _cancel(call: Call) -> dict[str, str]:
    order = call.order()
    if order is None or (call.get("symbol") and order.pair is not call.pair()):
        raise call.refused("missing")
    now, before = call.exchange.clock(), call.exchange.cancels.get(order.id)
    call.exchange.cancels[order.id] = now
    if before is not None and now - before < 1000:
        raise call.refused("repeated")
    if order.status != "open":
        raise call.refused("final")
    call.exchange.ledger.cancel(order)
    return _ids(order)


def _cancel_all(call: Call) -> list[Order]:
    pairs = call.pairs()
    orders = [order for order in call.visible() if order.status == "open" and order.pair in pairs]
    chosen = orders[: max(0, len(orders) - call.exchange.leaves_behind)]
    for order in chosen:
        call.exchange.ledger.cancel(order)
    return chosen


def _ids(row: Order | Plan) -> dict[str, str]:
    return {"orderId": row.id, "clientOid": row.client_id}


def _status(order: Order) -> str:
    if order.status == "open":
        return "partially_filled" if order.filled else "live"
    return "filled" if order.status == "filled" else "cancelled"


def _is_done(order: Order) -> bool:
    return order.status != "open"


def _executions(call: Call) -> list[Execution]:
    shown = set(map(id, call.visible()))
    wanted = call.get("orderId")
    return [row for row in call.exchange.ledger.executions if id(row.order) in shown and wanted in ("", row.order.id)]


# Classic, public


@_endpoint("GET /api/v2/public/time", "public", 20)
def _v2_time(call: Call) -> object:
    return {"serverTime": str(call.exchange.clock())}


@_endpoint("GET /api/v2/spot/public/symbols", "public", 20, "symbol")
def _v2_symbols(call: Call) -> object:
    return [
        {
            "symbol": pair.symbol,
            "baseCoin": pair.base,
            "quoteCoin": pair.quote,
            "minTradeAmount": "0",
            "maxTradeAmount": "900000000000000000000",
            "takerFeeRate": plain(pair.taker_fee),
            "makerFeeRate": plain(pair.maker_fee),
            "pricePrecision": str(pair.price_places),
            "quantityPrecision": str(pair.quantity_places),
            "quotePrecision": str(pair.quote_places),
            "status": pair.status,
            "minTradeUSDT": plain(pair.min_value),
            "buyLimitPriceRatio": plain(pair.band),
            "sellLimitPriceRatio": plain(pair.band),
            "areaSymbol": "no",
            "orderQuantity": str(pair.max_open),
            "openTime": "1532454360000",
            "offTime": "",
        }
        for pair in call.pairs()
    ]


@_endpoint("GET /api/v2/spot/market/tickers", "public", 20, "symbol")
def _v2_tickers(call: Call) -> object:
    rows = []
    for pair in call.pairs():
        (bid, bid_size), (ask, ask_size) = _best(pair.bids), _best(pair.asks)
        prices = dict.fromkeys(("lastPr", "open", "high24h", "low24h", "openUtc"), plain(pair.last))
        volumes = dict.fromkeys(("baseVolume", "quoteVolume", "usdtVolume", "change24h", "changeUtc24h"), "0")
        quotes = {"bidPr": bid, "askPr": ask, "bidSz": bid_size, "askSz": ask_size}
        rows.append({"symbol": pair.symbol, **prices, **quotes, **volumes, "ts": str(call.exchange.clock())})
    return rows


def _best(levels: list[tuple[Decimal, Decimal]]) -> tuple[str, str]:
    return (plain(levels[0][0]), plain(levels[0][1])) if levels else ("", "")


@_endpoint("GET /api/v2/spot/market/orderbook", "public", 20, "symbol! type limit")
def _v2_book(call: Call) -> object:
    pair, limit = call.pair(), call.integer("limit", 150)
    bids, asks = ([[plain(number) for number in level] for level in side[:limit]] for side in (pair.bids, pair.asks))
    return {"asks": asks, "bids": bids, "ts": str(call.exchange.clock())}


# Classic, private


@_endpoint("GET /api/v2/spot/account/info", "any", 1)
def _v2_info(call: Call) -> object:
    return {
        "userId": call.account.user_id,
        "inviterId": "0",
        "ips": call.account.ips,
        "authorities": call.account.authorities,
        "parentId": 1,
        "traderType": "not_trader",
        "channelCode": "",
        "channel": "",
        "regisTime": "1246566789345",
    }


@_endpoint("GET /api/v2/spot/account/assets", "read", 10, "coin assetType")
def _v2_assets(call: Call) -> object:
    account, is_all = call.account, call.choice("assetType", "hold_only", "all", default="hold_only") == "all"
    coins = {coin for pair in call.exchange.ledger.pairs.values() for coin in (pair.base, pair.quote)}
    return [
        {
            "coin": coin,
            "available": plain(account.free[coin]),
            "frozen": plain(account.locked[coin]),
            "locked": "0",
            "limitAvailable": "0",
            "uTime": str(call.exchange.clock()),
        }
        for coin in sorted({*account.free, *coins})
        if call.get("coin", coin) == coin and (is_all or account.free[coin] or account.locked[coin])
    ]


@_endpoint("GET /api/v2/common/trade-rate", "read", 10, "businessType! symbol!")
def _v2_fee(call: Call) -> object:
    call.choice("businessType", "spot")
    return {"makerFeeRate": plain(call.pair().maker_fee), "takerFeeRate": plain(call.pair().taker_fee)}


@_endpoint(
    "POST /api/v2/spot/trade/place-order",
    "trade",
    10,
    "symbol! side! orderType! size! force price clientOid stpMode tpslType",
)
def _v2_place(call: Call) -> object:
    call.choice("tpslType", "normal", default="normal")
    return _place(call, size_field="size", force_field="force")


@_endpoint("POST /api/v2/spot/trade/cancel-order", "trade", 10, "symbol! orderId clientOid tpslType")
def _v2_cancel(call: Call) -> object:
    return _cancel(call)


@_endpoint("POST /api/v2/spot/trade/cancel-symbol-order", "trade", 5, "symbol!")
def _v2_cancel_all(call: Call) -> object:
    _cancel_all(call)
    return {"symbol": call.pair().symbol}


@_endpoint("GET /api/v2/spot/trade/orderInfo", "read", 20, "orderId clientOid")
def _v2_order_info(call: Call) -> object:
    order = call.order()
    if order is None and call.exchange.unknown_order == "43001":
        raise call.refused("missing")
    return [] if order is None else [_v2_order(order)]


@_endpoint(
    "GET /api/v2/spot/trade/unfilled-orders",
    "read",
    20,
    "symbol startTime endTime idLessThan limit orderId tpslType",
)
def _v2_unfilled(call: Call) -> object:
    call.choice("tpslType", "normal", default="normal")
    orders = [order for order in call.visible() if not _is_done(order) and call.get("orderId", order.id) == order.id]
    presets = dict.fromkeys(
        ("presetTakeProfitPrice", "executeTakeProfitPrice", "presetStopLossPrice", "executeStopLossPrice"), ""
    )
    return [
        {
            **_v2_common(order),
            # Here, and only here, `priceAvg` is the price ordered and `basePrice` the average paid.
            "priceAvg": plain(order.price),
            "size": plain(order.quantity),
            "basePrice": plain(order.average_price),
            "baseVolume": plain(order.filled),
            "quoteVolume": plain(order.value),
            **presets,
            "triggerPrice": None,
            "tpslType": "normal",
        }
        for order in call.page(orders)
    ]


@_endpoint(
    "GET /api/v2/spot/trade/history-orders",
    "read",
    20,
    "symbol startTime endTime idLessThan limit orderId tpslType",
)
def _v2_history(call: Call) -> object:
    call.choice("tpslType", "normal", default="normal")
    orders = [order for order in call.visible() if _is_done(order) and call.get("orderId", order.id) == order.id]
    extra = {"triggerPrice": None, "tpslType": "normal"}
    return [_v2_order(order) | extra for order in call.page(orders, days=90, span=90)]


@_endpoint("GET /api/v2/spot/trade/fills", "read", 10, "symbol orderId startTime endTime limit idLessThan")
def _v2_fills(call: Call) -> object:
    return [
        {
            "userId": call.account.user_id,
            "symbol": row.pair.symbol,
            "orderId": row.order.id,
            "tradeId": row.id,
            "orderType": row.order.kind,
            "side": row.order.side,
            "priceAvg": plain(row.price),
            "size": plain(row.quantity),
            "amount": plain(row.quantity * row.price),
            "feeDetail": {
                "deduction": "no",
                "feeCoin": row.order.gets,
                "totalDeductionFee": "",
                "totalFee": plain(-row.fee),
            },
            "tradeScope": "maker" if row.is_maker else "taker",
            "cTime": str(row.created_ms),
            "uTime": str(row.created_ms),
        }
        for row in call.page(_executions(call), days=90, span=90)
    ]


def _v2_common(order: Order) -> dict[str, object]:
    return {
        "userId": cast(BitgetAccount, order.account).user_id,
        "symbol": order.pair.symbol,
        **_ids(order),
        "orderType": order.kind,
        "side": order.side,
        "status": _status(order),
        "enterPointSource": "API",
        "orderSource": "market" if order.kind == "market" else "normal",
        "cTime": str(order.created_ms),
        "uTime": str(order.updated_ms),
    }


def _v2_order(order: Order) -> dict[str, object]:
    return {
        **_v2_common(order),
        "price": plain(order.price),
        "size": f"{order.budget or order.quantity:.16f}",
        "priceAvg": f"{order.average_price:.16f}",
        "baseVolume": f"{order.filled:.16f}",
        "quoteVolume": f"{order.value:.16f}",
        "cancelReason": "normal_cancel" if order.status == "canceled" else "",
        "feeDetail": _v2_fee_text(order),
    }


def _v2_fee_text(order: Order) -> str:
    if not order.filled:
        return ""
    fee = plain(-order.fee)  # JSON within JSON, and its numbers are numbers
    new = f'{{"c":0,"d":0,"deduction":false,"r":{fee},"t":{fee},"totalDeductionFee":0}}'
    old = f'{{"deduction":false,"feeCoinCode":"{order.gets}","totalDeductionFee":0,"totalFee":{fee}}}'
    return f'{{"newFees":{new},"{order.gets}":{old}}}'


# Classic, plan orders. `force` is not documented for them; ccxt sends it.


@_endpoint(
    "POST /api/v2/spot/trade/place-plan-order",
    "trade",
    20,
    "symbol! side! triggerPrice! orderType! size! triggerType! executePrice planType clientOid stpMode force",
)
def _place_plan(call: Call) -> object:
    pair = call.pair()
    if pair.status != "online":
        raise call.refused("offline" if pair.status == "offline" else "maintenance")
    call.choice("triggerType", "fill_price", "mark_price")
    side = cast(Literal["buy", "sell"], call.choice("side", "buy", "sell"))
    kind = cast(Literal["limit", "market"], call.choice("orderType", "limit", "market"))
    in_quote = call.choice("planType", "amount", "total", default="amount") == "total"
    _check_client_id(call, call.get("clientOid"))
    trigger = call.number("triggerPrice", pair.price_places, scale_cause="price scale")
    price = call.number("executePrice", pair.price_places, scale_cause="price scale") if kind == "limit" else ZERO
    size = call.number("size", min(pair.quote_places, pair.price_places) if in_quote else pair.quantity_places)
    if (size if in_quote else size * (price or trigger)) < pair.min_value:
        raise call.refused("value", f"less than the minimum amount {plain(pair.min_value)} USDT")
    return _ids(
        call.exchange.ledger.place_plan(
            call.account,
            pair,
            side,
            kind,
            trigger=trigger,
            size=size,
            price=price,
            is_size_in_quote=in_quote,
            client_id=call.get("clientOid"),
        )
    )


def _plans(call: Call) -> list[Plan]:
    return [plan for plan in call.exchange.ledger.plans if plan.account is call.account and not plan.hidden]


@_endpoint("POST /api/v2/spot/trade/cancel-plan-order", "trade", 20, "orderId clientOid")
def _cancel_plan(call: Call) -> object:
    order_id, client_id = call.get("orderId"), call.get("clientOid")
    for plan in _plans(call):
        if plan.status == "open" and (plan.id == order_id if order_id else plan.client_id == client_id):
            plan.status, plan.updated_ms = "canceled", call.exchange.clock()
            return {"result": "success"}
    raise call.refused("no plan")


@_endpoint("GET /api/v2/spot/trade/current-plan-order", "read", 20, "symbol limit idLessThan startTime endTime")
def _current_plans(call: Call) -> object:
    return _plan_page(call, [plan for plan in _plans(call) if plan.status == "open"])


@_endpoint("GET /api/v2/spot/trade/history-plan-order", "read", 20, "symbol! startTime! endTime! limit idLessThan")
def _plan_history(call: Call) -> object:
    return _plan_page(call, [plan for plan in _plans(call) if plan.status != "open"])


def _plan_page(call: Call, plans: list[Plan]) -> object:
    page = call.page(plans, limit=20, span=90)
    states = {"open": "live", "triggered": "executed", "failed": "fail_execute", "canceled": "cancelled"}
    return {
        "nextFlag": any(plan.pair in call.pairs() and int(plan.id) < int(page[-1].id) for plan in plans if page),
        "idLessThan": page[-1].id if page else "",
        "orderList": [
            {
                **_ids(plan),
                "symbol": plan.pair.symbol,
                "size": plain(plan.size),
                "executePrice": plain(plan.price),
                "triggerPrice": plain(plan.trigger),
                "status": states[plan.status],
                "orderType": plan.kind,
                "side": plan.side,
                "planType": "total" if plan.is_size_in_quote else "amount",
                "triggerType": "fill_price",
                "enterPointSource": "API",
                "uTime": str(plan.updated_ms),
                "cTime": str(plan.created_ms),
            }
            for plan in page
        ],
    }


@_endpoint("GET /api/v2/spot/trade/plan-sub-order", "read", 20, "planOrderId!")
def _plan_sub_order(call: Call) -> object:
    return [
        {"orderId": plan.order.id, "price": plain(plan.order.price), "type": plan.kind, "status": "success"}
        for plan in _plans(call)
        if plan.id == call.get("planOrderId") and plan.order is not None
    ]


# Unified, public


@_endpoint("GET /api/v3/market/instruments", "public", 20, "category! symbol")
def _v3_instruments(call: Call) -> object:
    call.choice("category", "SPOT")
    return [
        {
            "symbol": pair.symbol,
            "category": "SPOT",
            "baseCoin": pair.base,
            "quoteCoin": pair.quote,
            "buyLimitPriceRatio": plain(pair.band),
            "sellLimitPriceRatio": plain(pair.band),
            "minOrderQty": "0.000001",
            "maxOrderQty": "0",
            "pricePrecision": str(pair.price_places),
            "quantityPrecision": str(pair.quantity_places),
            "quotePrecision": str(pair.quote_places),
            "minOrderAmount": plain(pair.min_value),
            "maxSymbolOrderNum": str(pair.max_open),
            "maxProductOrderNum": "400",
            "status": pair.status,
            "offTime": "",
            "limitOpenTime": "",
            "maintainTime": "",
            "areaSymbol": "no",
        }
        for pair in call.pairs()
    ]


@_endpoint("GET /api/v3/market/tickers", "public", 20, "category! symbol")
def _v3_tickers(call: Call) -> object:
    call.choice("category", "SPOT")
    rows = []
    for pair in call.pairs():
        (bid, bid_size), (ask, ask_size) = _best(pair.bids), _best(pair.asks)
        prices = dict.fromkeys(("lastPrice", "openPrice24h", "highPrice24h", "lowPrice24h"), plain(pair.last))
        quotes = {"bid1Price": bid, "bid1Size": bid_size, "ask1Price": ask, "ask1Size": ask_size}
        volumes = {"price24hPcnt": "0", "volume24h": "0", "turnover24h": "0", "ts": str(call.exchange.clock())}
        rows.append({"category": "SPOT", "symbol": pair.symbol, **prices, **quotes, **volumes})
    return rows


@_endpoint("GET /api/v3/market/orderbook", "public", 20, "category! symbol! limit")
def _v3_book(call: Call) -> object:
    call.choice("category", "SPOT")
    pair, limit = call.pair(), call.integer("limit", 5)
    # The documented sample holds numbers here, where everything else is text.
    bids, asks = ([[float(number) for number in level] for level in side[:limit]] for side in (pair.bids, pair.asks))
    return {"a": asks, "b": bids, "ts": str(call.exchange.clock())}


# Unified, private


@_endpoint("GET /api/v3/account/info", "any", 1)
def _v3_info(call: Call) -> object:
    return {
        "userId": call.account.user_id,
        "inviterId": "",
        "parentId": "",
        "channelCode": "",
        "channel": "",
        "ips": call.account.ips,
        "permType": call.account.perm_type,
        "permissions": call.account.permissions,
        "regisTime": "1704067200000",
    }


@_endpoint("GET /api/v3/account/settings", "manage", 20)
def _v3_settings(call: Call) -> object:
    return {
        "uid": call.account.user_id,
        "accountMode": call.account.account_mode,
        "accountLevel": "advanced",
        "assetMode": "multi_assets",
        "holdMode": "one_way_mode",
        "stpMode": "none",
        "symbolConfigList": [],
        "coinConfigList": [],
    }


@_endpoint("GET /api/v3/account/assets", "manage", 20)
def _v3_assets(call: Call) -> object:
    account, pairs, rows, equity = call.account, call.exchange.ledger.pairs, [], ZERO
    for coin in sorted(account.free):
        total = account.free[coin] + account.locked[coin]
        usd = total * (pairs[f"{coin}USDT"].last if f"{coin}USDT" in pairs else Decimal(1))
        equity += usd
        amounts = dict.fromkeys(("equity", "balance"), plain(total)) | {"usdValue": plain(usd), "debt": "0"}
        if total:
            free, locked = plain(account.free[coin]), plain(account.locked[coin])
            rows.append({"coin": coin, **amounts, "available": free, "locked": locked})
    sums = dict.fromkeys(("accountEquity", "usdtEquity", "effEquity"), plain(equity))
    zeros = dict.fromkeys(("btcEquity", "unrealisedPnl", "mmr", "imr", "mgnRatio"), "0")
    return {**sums, **zeros, "assets": rows}


@_endpoint("GET /api/v3/account/funding-assets", "manage", 20, "coin")
def _v3_funding(call: Call) -> object:
    return [
        {"coin": coin, "available": plain(amount), "frozen": "0", "balance": plain(amount)}
        for coin, amount in sorted(call.account.funding.items())
        if call.get("coin", coin) == coin
    ]


@_endpoint("GET /api/v3/account/fee-rate", "manage", 3, "category! symbol!")
def _v3_fee(call: Call) -> object:
    call.choice("category", "SPOT")
    return {"makerFeeRate": plain(call.pair().maker_fee), "takerFeeRate": plain(call.pair().taker_fee)}


@_endpoint(
    "POST /api/v3/trade/place-order",
    "trade",
    10,
    "category! symbol! side! orderType! qty! price timeInForce clientOid stpMode",
)
def _v3_place(call: Call) -> object:
    call.choice("category", "SPOT")
    return _place(call, size_field="qty", force_field="timeInForce")


@_endpoint("POST /api/v3/trade/cancel-order", "trade", 10, "orderId clientOid category symbol")
def _v3_cancel(call: Call) -> object:
    call.choice("category", "SPOT", default="SPOT")
    return _cancel(call)


@_endpoint("POST /api/v3/trade/cancel-symbol-order", "trade", 5, "category! symbol")
def _v3_cancel_all(call: Call) -> object:
    call.choice("category", "SPOT")
    return {"list": [{**_ids(order), "code": "00000", "msg": "success"} for order in _cancel_all(call)]}


@_endpoint("GET /api/v3/trade/order-info", "read", 20, "orderId clientOid")
def _v3_order_info(call: Call) -> object:
    order = call.order()
    if order is None:
        raise call.refused("missing")
    return _v3_order(order)


@_endpoint("GET /api/v3/trade/unfilled-orders", "read", 20, "category symbol startTime endTime limit cursor")
def _v3_unfilled(call: Call) -> object:
    call.choice("category", "SPOT", default="SPOT")
    page = call.page([order for order in call.visible() if not _is_done(order)])
    return {"list": [_v3_order(order) for order in page], "cursor": page[-1].id if page else ""}


@_endpoint("GET /api/v3/trade/history-orders", "read", 20, "category! symbol startTime endTime limit cursor")
def _v3_history(call: Call) -> object:
    call.choice("category", "SPOT")
    page = call.page([order for order in call.visible() if _is_done(order)], days=90, span=30)
    return {"list": [_v3_order(order) for order in page], "cursor": page[-1].id if page else ""}


@_endpoint("GET /api/v3/trade/fills", "read", 20, "category orderId symbol startTime endTime limit cursor")
def _v3_fills(call: Call) -> object:
    call.choice("category", "SPOT", default="SPOT")
    page = call.page(_executions(call), days=90, span=30)
    rows = [
        {
            "execId": row.id,
            "execLinkId": row.id,
            **_ids(row.order),
            "category": "SPOT",
            "symbol": row.pair.symbol,
            "orderType": row.order.kind,
            "side": row.order.side,
            "execPrice": plain(row.price),
            "execQty": plain(row.quantity),
            "execValue": plain(row.quantity * row.price),
            "tradeScope": "maker" if row.is_maker else "taker",
            "feeDetail": [{"feeCoin": row.order.gets, "fee": plain(row.fee)}],
            "createdTime": str(row.created_ms),
            "updatedTime": str(row.created_ms),
        }
        for row in page
    ]
    return {"list": rows, "cursor": page[-1].id if page else ""}


def _v3_order(order: Order) -> dict[str, object]:
    reasons = {"user": "normal_cancel", "depth": "slippage_cancel", "post_only": "post_only_fill_cancel"}
    fee: dict[str, str | None] = {"feeCoin": order.gets, "fee": plain(order.fee)}
    if not order.filled:  # samples show both kinds of nothing
        fee = dict.fromkeys(fee, "" if order.status == "open" else None)
    return {
        **_ids(order),
        "category": "SPOT",
        "symbol": order.pair.symbol,
        "orderType": order.kind,
        "side": order.side,
        "price": plain(order.price),
        "qty": plain(order.quantity),
        "amount": plain(order.budget),
        "cumExecQty": plain(order.filled),
        "cumExecValue": plain(order.value),
        "avgPrice": plain(order.average_price),
        "timeInForce": "post_only" if order.post_only else order.time_in_force,
        "orderStatus": _status(order),
        "posSide": "",
        "holdMode": "",
        "tradeSide": "open",
        "reduceOnly": "NO",
        "feeDetail": [fee],
        "cancelReason": reasons.get(order.reason, f"{order.reason}_not_full_cancel") if order.reason else "",
        "execType": "",
        "createdTime": str(order.created_ms),
        "updatedTime": str(order.updated_ms),
    }
