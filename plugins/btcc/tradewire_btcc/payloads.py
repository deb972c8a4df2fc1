"""Between BTCC's fields and the models, and the one table of what is assumed about BTCC.

Sources: BTCC's "Spot Trading API" (April 2025), which is shown to logged-in users only and was read in developers'
transcriptions; the help page "BTCC API Trading"; public programs that trade there. Nothing was tried with a live key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Generic, Literal, TypeVar

import msgspec

from bot import (
    Balance,
    Fill,
    Flow,
    Market,
    Order,
    OrderBook,
    OrderReport,
    OutcomeUnknown,
    Quote,
    Rejected,
    ReportState,
    Request,
    Response,
    Side,
    UserError,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """Everything about BTCC that may prove wrong or change, by name."""

    rest_host: str
    path_prefix: str
    ws_host: str
    ws_path: str
    auth_header: str
    last_price_paths: tuple[str, str]
    order_deals_paths: tuple[str, str]
    ws_order_methods: tuple[str, str]
    label_length: int
    sends_client_id: bool
    market_buy_unit: Literal["quote"]
    side_codes: Mapping[Side, Literal[1, 2]]
    force_codes: Mapping[str, int]
    fee_rate: Decimal
    requests_per_second: int
    orders_per_second: int
    second_look_seconds: int
    ping_seconds: int


ASSUMED = Assumptions(
    # D: BTCC's document says so. C: public programs do so. I: inferred.
    rest_host="https://spotapi2.btcccdn.com",  # D, C. Has changed before: `base_url` in the configuration replaces it
    path_prefix="/btcc_api_trade",  # D, C
    ws_host="wss://spotprice2.btcccdn.com",  # D, C. `stream_url` replaces it
    ws_path="/ws",  # D, C
    auth_header="authorization",  # D, C
    last_price_paths=("market/last", "market/ticker"),  # Unverified: C has the first, D the second
    order_deals_paths=("order/deals", "order/deal"),  # Unverified: C has the first, D the second
    ws_order_methods=("order.subscribe", "orders.subscribe"),  # Unverified: C has the first, D the second
    label_length=30,  # D for `source`; Unverified for `client_id`
    sends_client_id=True,  # Unverified: C sends it, D lists it in answers only. Account option `send_client_id`
    market_buy_unit="quote",  # D by the arithmetic of a sample, C
    side_codes={"buy": 1, "sell": 2},  # D, C. The reverse of the open-source engine that BTCC's descends from
    force_codes={"GTC": 0, "IOC": 8, "FOK": 16},  # D, C
    fee_rate=Decimal("0.003"),  # Unverified: D in samples of one test account
    requests_per_second=5,  # I: no number is published, and an excess blocks the whole address
    orders_per_second=1,  # I
    second_look_seconds=2,  # I: an order is in neither list while it moves from the open to the finished ones
    ping_seconds=30,  # I
)

API, WS = "api", "ws"
UNKNOWN_COMMAND = "4"
ALL, ORDERS, SECOND_LOOK = "all", "orders", "second look"
PAGE = 100
_SIDES: Mapping[int, Side] = {code: side for side, code in ASSUMED.side_codes.items()}


# Requests


def path_of(name: str) -> str:
    """Return the path of an endpoint such as `order/limit`."""
    return f"{ASSUMED.path_prefix}/{name}"


def public(name: str, **query: str | int) -> Request:
    """Describe a request for market data."""
    return Request.get(path_of(name), query, host=API, auth="none", costs={ALL: 1})


def private(name: str, *, bucket: str = "", **query: str | int) -> Request:
    """Describe a signed GET. `bucket` is a limit to count against besides the overall one."""
    return Request.get(path_of(name), query, host=API, costs=_costs(bucket))


def action(name: str, body: Mapping[str, str | int], *, places: bool = False) -> Request:
    """Describe a signed POST."""
    return Request.post(path_of(name), body, host=API, places=places, costs=_costs(ORDERS if places else ""))


def _costs(bucket: str) -> dict[str, int]:
    return {ALL: 1, bucket: 1} if bucket else {ALL: 1}


def either(requests: Iterable[Request]) -> Flow[Response]:
    """Ask by the first of an endpoint's names that BTCC knows."""
    *known, last = requests
    for request in known:
        try:
            return (yield request)
        except Rejected as error:
            if error.code != UNKNOWN_COMMAND:
                raise
    return (yield last)


def sized(order: Order) -> dict[str, str | int]:
    """Return what a limit and a market order have in common.

    Raises:
        UserError: The size is in another unit than BTCC reads there.
    """
    market = order.market
    in_quote = order.side == "buy" and order.type == "market"
    if isinstance(order.size, Quote) != in_quote:
        unit, other = (market.quote, market.base) if in_quote else (market.base, market.quote)
        what = "a market buy" if in_quote else "this order"
        raise UserError(f"BTCC takes the size of {what} in {unit}, not in {other}. Give it in {unit}.", code="UNIT")
    return {
        "market": market.exchange_symbol,
        "side": ASSUMED.side_codes[order.side],
        "amount": format(order.size.amount, "f"),
    }


# Replies


class Checked(msgspec.Struct):
    """A row whose numbers are numbers: `NaN` would read as a valid one."""

    def __post_init__(self) -> None:
        for number in _numbers(msgspec.structs.astuple(self)):
            if not number.is_finite():
                raise ValueError("a number is not finite")


def _numbers(value: object) -> Iterator[Decimal]:
    if isinstance(value, Decimal):
        yield value
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _numbers(each)


class Reply(msgspec.Struct, Generic[T]):
    """The payload of either envelope: `data` beside `code`, `result` beside `error`."""

    data: T | msgspec.UnsetType = msgspec.UNSET
    result: T | msgspec.UnsetType = msgspec.UNSET

    @property
    def payload(self) -> T:
        """What was asked for."""
        found = self.data if self.result is msgspec.UNSET else self.result
        if found is msgspec.UNSET:
            raise OutcomeUnknown("BTCC sent a reply of an unexpected shape: it has no content")
        return found


class Page(msgspec.Struct, Generic[T]):
    """One page of a list. Only the list of open orders is documented to tell the total."""

    records: list[T]
    total: int | None = None


def pages(request: Request, shape: type[Reply[Page[T]]], *, most: int, whole: bool = False) -> Flow[list[T]]:
    """Ask for page after page until all is read.

    Args:
        request: Without its place in the list.
        shape: Of one page.
        most: Stop after this many pages.
        whole: Whether a list that is longer than that is an error, not merely cut.
    """
    rows: list[T] = []
    for _ in range(most):
        place = (("offset", len(rows)), ("limit", PAGE))
        page = (yield request.with_query((*request.query, *place))).decode(shape).payload
        rows += page.records
        is_last = len(page.records) < PAGE if page.total is None else len(rows) >= page.total
        if is_last or not page.records:
            return rows
    if whole:
        raise OutcomeUnknown(f"BTCC lists more than {len(rows)} orders, too many to read at once")
    return rows


def milliseconds(seconds: Decimal) -> int:
    """Return a time of BTCC's, which has a fraction, in milliseconds."""
    return int(seconds * 1000)


# Market data


class MarketRow(Checked):
    """A market and its rules; `stock` is the base asset and `money` the quote asset."""

    name: str
    stock: str
    money: str
    stock_prec: int | None = None
    money_prec: int | None = None
    min_amount: Decimal = Decimal(0)
    is_open: bool = msgspec.field(name="switch", default=False)

    def market(self) -> Market | None:
        """Return the market, or `None` where its decimals are not told: then it cannot be traded."""
        if self.stock_prec is None or self.money_prec is None:
            return None
        base, quote, step = self.stock.upper(), self.money.upper(), Decimal(1).scaleb(-self.stock_prec)
        return Market(
            symbol=f"{base}/{quote}",
            exchange_symbol=self.name,
            base=base,
            quote=quote,
            price_step=Decimal(1).scaleb(-self.money_prec),
            quantity_step=step,
            # Unverified: the engine reads the amount of a market buy, which is money, with the base asset's decimals.
            quote_step=step,
            min_quantity=self.min_amount,
            maker_fee=ASSUMED.fee_rate,
            taker_fee=ASSUMED.fee_rate,
            status="online" if self.is_open else "halted",
        )


class Depth(Checked):
    """The order book, best levels first. `time` is in milliseconds, unlike all others."""

    asks: list[tuple[Decimal, Decimal]]
    bids: list[tuple[Decimal, Decimal]]
    last: Decimal | None = None
    time: int = 0

    def book(self) -> OrderBook:
        """Return the book."""
        return OrderBook(bids=tuple(self.bids), asks=tuple(self.asks))


# Balances


class Funds(Checked):
    """What there is of one asset."""

    available: Decimal
    frozen: Decimal


def holdings(funds: Mapping[str, Funds]) -> list[Balance]:
    """Return the assets that are not zero."""
    found = (Balance(asset.upper(), each.available, each.frozen) for asset, each in funds.items())
    return [balance for balance in found if balance.free or balance.locked]


# Orders and fills


class Placed(msgspec.Struct):
    """What placing answers, as far as it is needed."""

    id: int = 0


class OrderRow(Checked, kw_only=True):
    """An order. No field tells its state: that follows from the list it was found in and from what was filled."""

    id: int
    type: Literal[1, 2]
    side: Literal[1, 2]
    market: str
    amount: Decimal
    deal_stock: Decimal
    deal_money: Decimal
    deal_fee: Decimal = Decimal(0)
    asset_fee: Decimal | None = None
    fee_asset: str | None = None
    left: Decimal | None = None
    price: Decimal = Decimal(0)
    ctime: Decimal = Decimal(0)
    source: str | None = None
    client_id: str | None = None

    @property
    def is_market(self) -> bool:
        """Whether it is a market order."""
        return self.type == 2

    @property
    def side_word(self) -> Side:
        """The side, as we call it."""
        return _SIDES[self.side]

    @property
    def labels(self) -> tuple[str, str]:
        """Where our id comes back: BTCC may not keep the first, and surely keeps the second."""
        return self.client_id or "", self.source or ""

    def state(self, *, is_open: bool) -> ReportState:
        """Return the state that follows from the list and the fills."""
        if is_open:
            return "partially_filled" if self.deal_stock else "open"
        if self.is_market:  # money that bought less than one lot is left over, and that is normal
            return "filled" if self.deal_stock else "canceled"
        return "filled" if self.deal_stock >= self.amount or self.left == 0 else "canceled"

    def report(self, market: Market, *, is_open: bool) -> OrderReport:
        """Return what the row says."""
        side = self.side_word
        fee, fee_asset = self.deal_fee, market.base if side == "buy" else market.quote
        if self.asset_fee and self.fee_asset:
            fee, fee_asset = self.asset_fee, self.fee_asset.upper()
        return OrderReport(
            exchange_order_id=str(self.id),
            client_order_id=self.labels[0] or self.labels[1],
            exchange_symbol=self.market,
            side=side,
            type="market" if self.is_market else "limit",
            state=self.state(is_open=is_open),
            filled=self.deal_stock,
            average_price=self.deal_money / self.deal_stock if self.deal_stock else None,
            quantity=None if self.is_market and side == "buy" else self.amount,
            price=None if self.is_market else self.price,
            fee=fee,
            fee_asset=fee_asset,
            created_ms=milliseconds(self.ctime),
        )


def vanished(order: Order, exchange_order_id: str) -> OrderReport:
    """Return what it means that an order which BTCC took is neither open nor finished.

    Unverified: of orders canceled before any fill, the engine that BTCC's descends from keeps no record.
    """
    return OrderReport(
        exchange_order_id=exchange_order_id,
        client_order_id=order.client_order_id,
        exchange_symbol=order.market.exchange_symbol,
        side=order.side,
        type=order.type,
        state="canceled",
        filled=Decimal(0),
        quantity=None if isinstance(order.size, Quote) else order.size.amount,
        price=order.price,
        reason="Not confirmed: BTCC shows it neither as open nor as finished, which is how it treats orders"
        " canceled before any fill",
    )


class Trade(Checked, kw_only=True):
    """A fill. Its side is not documented to be told."""

    id: int
    time: Decimal
    role: int
    price: Decimal
    amount: Decimal
    fee: Decimal = Decimal(0)
    fee_asset: str | None = None
    order_id: int | None = None

    def fill(self, market: Market, side: Side, order_id: int | None = None) -> Fill:
        """Return what the row says."""
        return Fill(
            trade_id=str(self.id),
            exchange_order_id=str(order_id or self.order_id or ""),
            exchange_symbol=market.exchange_symbol,
            side=side,
            price=self.price,
            quantity=self.amount,
            fee=self.fee,
            fee_asset=(self.fee_asset or (market.base if side == "buy" else market.quote)).upper(),
            is_maker=self.role == 1,
            at_ms=milliseconds(self.time),
        )
