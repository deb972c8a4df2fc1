"""The words plugins and core share. Quantities are base asset, notionals quote asset, all `Decimal`; times UTC ms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias

from bot.contract.errors import ExchangeError

CONTRACT_VERSION = 1
"""Raised when a plugin written for an older contract can no longer work."""

Side: TypeAlias = Literal["buy", "sell"]
OrderType: TypeAlias = Literal["limit", "market", "stop_limit", "stop_market"]
TimeInForce: TypeAlias = Literal["GTC", "IOC", "FOK"]
ReportState: TypeAlias = Literal["open", "partially_filled", "filled", "canceled", "rejected"]
Verdict: TypeAlias = Literal["yes", "no", "unknown"]
MarketStatus: TypeAlias = Literal["online", "halted"]
Interval: TypeAlias = Literal["1m", "5m", "15m", "30m", "1h", "4h", "1d"]
INTERVALS: Mapping[Interval, int] = {
    "1m": 60_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "4h": 14_400_000,
    "1d": 86_400_000,
}
"""How long a candle is, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Base:
    """A size in base asset."""

    amount: Decimal


@dataclass(frozen=True, slots=True)
class Quote:
    """A size in quote asset: what a market buy spends."""

    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One pair and its rules.

    Attributes:
        symbol: `BTC/USDT`.
        exchange_symbol: The exchange's spelling.
        base: Base asset, upper case.
        quote: Quote asset, upper case.
        price_step: Tick size, in quote per base.
        quantity_step: Lot size, in base.
        quote_step: Step of a size given in quote.
        min_quantity: In base; zero when there is no minimum.
        max_quantity: In base; `None` when there is no maximum.
        min_notional: In quote; zero when there is no minimum.
        min_market_buy_quote: Least quote amount of a market buy; zero when `min_notional` rules it.
        maker_fee: Fraction of the notional: `Decimal("0.001")` is 0.1 %.
        taker_fee: As `maker_fee`.
        status: Only `online` markets take orders.
    """

    symbol: str
    exchange_symbol: str
    base: str
    quote: str
    price_step: Decimal
    quantity_step: Decimal
    quote_step: Decimal
    min_quantity: Decimal = Decimal(0)
    max_quantity: Decimal | None = None
    min_notional: Decimal = Decimal(0)
    min_market_buy_quote: Decimal = Decimal(0)
    maker_fee: Decimal = Decimal("0.001")
    taker_fee: Decimal = Decimal("0.001")
    status: MarketStatus = "online"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a plugin is asked to place: already rounded, in a unit the exchange takes. Never changed.

    Attributes:
        client_order_id: Ours, minted by the plugin's `ClientId` rule; must be sent.
        market: The pair.
        side: `buy` or `sell`.
        type: `limit` has `price`; `stop_market` has `stop_price`; `stop_limit` has both; `market` has neither.
        size: `Base`, or `Quote` for a market buy where the plugin's capabilities say so.
        price: Quote per one base.
        stop_price: The price that triggers a stop order.
        time_in_force: How long a limit order rests.
        post_only: A limit order that must not take.
        reference_price: The price the person saw in the preview; a plugin may use it to check a trigger's side.
    """

    client_order_id: str
    market: Market
    side: Side
    type: OrderType
    size: Base | Quote
    price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = "GTC"
    post_only: bool = False
    reference_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class OrderAck:
    """The exchange took the order. Not a fill."""

    exchange_order_id: str
    client_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """What the exchange says of one order now.

    Attributes:
        exchange_order_id: Theirs.
        client_order_id: Ours, or empty where the exchange does not tell.
        exchange_symbol: The exchange's spelling of the pair.
        side: `buy` or `sell`.
        type: As far as the exchange tells.
        state: A stop order that waits for its trigger is `open`.
        filled: Base asset executed so far.
        average_price: Quote per base over the executed part; `None` before the first fill.
        quantity: Base asset ordered; `None` for a size in quote.
        price: Limit price, if any.
        stop_price: Trigger price, if any.
        fee: Paid so far, positive, in `fee_asset`; `None` when the exchange does not tell here.
        fee_asset: Asset the fee was taken in.
        reason: Why it was canceled or rejected, in plain words; may be empty.
        created_ms: When the exchange took it.
    """

    exchange_order_id: str
    client_order_id: str
    exchange_symbol: str
    side: Side
    type: OrderType
    state: ReportState
    filled: Decimal
    average_price: Decimal | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    fee: Decimal | None = None
    fee_asset: str = ""
    reason: str = ""
    created_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution. `fee` is positive and in `fee_asset`; a rebate is negative."""

    trade_id: str
    exchange_order_id: str
    exchange_symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    is_maker: bool
    at_ms: int


@dataclass(frozen=True, slots=True)
class Balance:
    """One asset of an account. Total is `free` + `locked`."""

    asset: str
    free: Decimal
    locked: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticker:
    """The price of one market. `bid` or `ask` is `None` when that side of the book is empty."""

    exchange_symbol: str
    last: Decimal
    bid: Decimal | None = None
    ask: Decimal | None = None
    high_24h: Decimal | None = None
    low_24h: Decimal | None = None
    open_24h: Decimal | None = None
    base_volume_24h: Decimal | None = None
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class OrderBook:
    """Levels of (price, quantity), best first: bids fall, asks rise."""

    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]


@dataclass(frozen=True, slots=True)
class Candle:
    """What a price did in one interval that began at `at_ms`. Prices in quote per base, `volume` in base."""

    at_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPermissions:
    """What a key may do, as far as the exchange reports it.

    `unknown` means that the exchange does not tell. A key proved able to withdraw (`yes`) is refused by the core.

    Attributes:
        can_read: Balances and orders.
        can_trade: Spot orders.
        can_withdraw: Whether money can leave with this key.
        is_ip_bound: Whether it works from named addresses only.
        expires_ms: When the key ends, or `None`.
        note: What else is worth knowing, as sentences.
        withdraw_hint: What speaks for a right to withdraw and proves nothing, as sentences. The person must say that
            they looked before such a key is kept.
    """

    can_read: Verdict = "unknown"
    can_trade: Verdict = "unknown"
    can_withdraw: Verdict = "unknown"
    is_ip_bound: Verdict = "unknown"
    expires_ms: int | None = None
    note: str = ""
    withdraw_hint: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """Whose request it is. Never holds a secret.

    Attributes:
        id: The core's number of the account.
        label: The user's name for it.
        facts: What the plugin's `detect` found, kept by the core.
        options: What the user chose, such as demo trading.
    """

    id: int
    label: str
    facts: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `amount` of weight in any `seconds`, counted per IP address or per account."""

    amount: int
    seconds: int
    per: Literal["ip", "account"] = "ip"


@dataclass(frozen=True, slots=True)
class ClientId:
    """How the exchange wants our client order ids.

    Attributes:
        kind: `text` for letters and digits, `counter` for a rising integer per account.
        max_length: Longest text accepted.
        repeats: What the exchange does with an id it has seen.
        max_value: Largest integer of a counter.
    """

    kind: Literal["text", "counter"] = "text"
    max_length: int = 32
    repeats: Literal["refused", "refused_while_open", "accepted"] = "refused_while_open"
    max_value: int = 2_147_483_646


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One row of a plugin's error table.

    Attributes:
        kind: A `Rejected` kind only where the code is documented as "not executed"; else `OutcomeUnknown`.
        cause: What happened, in plain words, without a full stop.
        remedy: What the person can do; may be empty.
    """

    kind: type[ExchangeError]
    cause: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the exchange can do, per order type. The core refuses the rest before sending and names what would work.

    Attributes:
        order_types: Types that can be placed.
        times_in_force: Accepted for limit orders.
        post_only: Whether a limit order may be post-only.
        market_buy_in: Units that a market buy's size may have.
        cancel_all: Whether there is one request that cancels all orders of a market.
        key_report: Whether the exchange reports a key's rights.
        sandbox: Whether the exchange has a demo mode (account option `demo`).
        find_by_client_id: Whether an order can be looked up by our id.
        absence_seconds: After how many seconds a request can surely no longer be accepted, or `None` when the
            exchange documents no such window; then only a person can settle a doubt. Counted by `server_time`.
    """

    order_types: frozenset[OrderType] = frozenset({"limit", "market"})
    times_in_force: frozenset[TimeInForce] = frozenset({"GTC"})
    post_only: bool = False
    market_buy_in: frozenset[Literal["base", "quote"]] = frozenset({"quote"})
    cancel_all: bool = False
    key_report: bool = False
    sandbox: bool = False
    find_by_client_id: bool = True
    absence_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeInfo:
    """Everything constant about an exchange.

    Attributes:
        id: Lower case, as in the configuration: `[exchanges.acme]`.
        title: As people write it.
        hosts: Name to origin, `{"api": "https://api.acme.example", "ws": "wss://ws.acme.example"}`. Requests and
            streams name a host, never an address.
        paths: Allow-list of `METHOD /path` with `*` for one segment. The core refuses every other request.
        credential_fields: Names out of `key`, `secret`, `passphrase`, `email`, in the order they are asked for.
        options: What may be chosen for an account besides its keys: name to what it does. `demo` comes with the
            capability `sandbox`.
        limits: Name to limits that are all kept; `Request.costs` refers to the names.
        client_id: Rule for client order ids.
        capabilities: What can be done.
        errors: The error table, for the documentation and `/why`.
        timestamp_unit: What `TIMESTAMP` and the third argument of `sign` count.
        nonce: `rising` where a signed request must not arrive after one of the same account with a later timestamp:
            the core then sends them one at a time.
        docs_url: The exchange's API documentation.
        key_help: Steps to create a key, shown by `/connect`.
        experimental: A sentence that says what nobody has proved yet, or empty; shown before a key is given. While
            there is one, `mark` stands wherever a person meets the exchange.
        assumptions: What the plugin takes for granted, a few words each; told at the end of a key's self-test.
        contract_version: The contract the plugin was written for.
    """

    id: str
    title: str
    hosts: Mapping[str, str]
    paths: tuple[str, ...]
    credential_fields: tuple[str, ...] = ("key", "secret")
    options: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict)
    client_id: ClientId = field(default_factory=ClientId)
    capabilities: Capabilities = field(default_factory=Capabilities)
    errors: Mapping[str, ErrorRow] = field(default_factory=dict)
    timestamp_unit: Literal["ms", "s"] = "ms"
    nonce: Literal["window", "rising"] = "window"
    docs_url: str = ""
    key_help: tuple[str, ...] = ()
    experimental: str = ""
    assumptions: tuple[str, ...] = ()
    contract_version: int = CONTRACT_VERSION

    @property
    def mark(self) -> str:
        """What stands behind the exchange's name wherever a person reads it; empty unless experimental."""
        return " · ⚠ experimental" if self.experimental else ""
