"""Between BTCC's fields and the models, and the one table of what is assumed about BTCC.

Sources: BTCC's "Spot Trading API" (April 2025), which is shown to logged-in users only and was read in developers'
transcriptions; the help page "BTCC API Trading"; public programs that trade there. Nothing was tried with a live key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from typing import Generic, Literal, TypeVar

import msgspec

from bot import (
    Balance,
    Candle,
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
    Row,
    Side,
    book_of,
    candles_of,
    pages,
    step_of,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Everything about BTCC that may prove wrong or change. D: its document says so. C: public programs do so.

    What is neither was inferred.
    """

    rest_host: str = "https://spotapi2.btcccdn.com"  # D, C. Has changed before; `base_url` in the configuration
    path_prefix: str = "/btcc_api_trade"  # D, C
    ws_host: str = "wss://spotprice2.btcccdn.com"  # D, C. `stream_url` in the configuration
    ws_path: str = "/ws"  # D, C
    auth_header: str = "authorization"  # D, C
    last_price_paths: tuple[str, str] = ("market/last", "market/ticker")  # Unverified: C has the first, D the second
    order_deals_paths: tuple[str, str] = ("order/deals", "order/deal")  # Unverified: C has the first, D the second
    ws_order_methods: tuple[str, str] = ("order.subscribe", "orders.subscribe")  # Unverified: C the first, D the second
    label_length: int = 30  # D for `source`; Unverified for `client_id`
    sends_client_id: bool = True  # Unverified: C; D has it in answers only. Account option `send_client_id`
    market_buy_unit: Literal["quote"] = "quote"  # D by the arithmetic of a sample, C
    # D, C. The reverse of the open-source engine that BTCC's descends from.
    side_codes: Mapping[Side, Literal[1, 2]] = field(default_factory=lambda: {"buy": 1, "sell": 2})
    force_codes: Mapping[str, int] = field(default_factory=lambda: {"GTC": 0, "IOC": 8, "FOK": 16})  # D, C
    fee_rate: Decimal = Decimal("0.003")  # Unverified: D in samples of one test account
    requests_per_second: int = 5  # no number is published, and an excess blocks the whole address
    orders_per_second: int = 1
    second_look_seconds: int = 2  # an order is in neither list while it moves from the open to the finished ones
    ping_seconds: int = 30

    def told(self) -> tuple[str, ...]:
        """Return each in words, but for those that a self-test with any answer has just proved."""
        proved = ("rest_host", "path_prefix", "auth_header")
        rows = {name: value for name, value in asdict(self).items() if name not in proved}
        return tuple(f"{name.replace('_', ' ')}: {_in_words(value)}" for name, value in rows.items())


def _in_words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {code}" for name, code in value.items())
    if isinstance(value, tuple):
        return " or else ".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


ASSUMED = Assumptions()

API, WS = "api", "ws"
UNKNOWN_COMMAND = "4"
ALL, ORDERS, SECOND_LOOK = "all", "orders", "second look"
PAGE = 100
STOP = "stop-"
"""Before the id of a waiting stop order: BTCC numbers them apart from orders."""
_MARKET = 2
_SIDES: Mapping[int, Side] = {code: side for side, code in ASSUMED.side_codes.items()}


# Requests


def path_of(name: str) -> str:
    """Return the path of an endpoint such as `order/limit`."""
    return f"{ASSUMED.path_prefix}/{name}"


def public(name: str, **query: str | int) -> Request:
    """Describe a request for market data."""
    return Request.get(path_of(name), query, host=API, auth="none", costs={ALL: 1})


def private(name: str, *, bucket: str = ALL, **query: str | int) -> Request:
    """Describe a signed GET. `bucket` is a limit to count against besides the overall one."""
    return Request.get(path_of(name), query, host=API, costs={ALL: 1, bucket: 1})


def action(name: str, body: Mapping[str, str | int], *, places: bool = False) -> Request:
    """Describe a signed POST."""
    costs = {ALL: 1, ORDERS: 1} if places else {ALL: 1}
    return Request.post(path_of(name), body, host=API, places=places, costs=costs)


def ask(request: Request) -> Flow[Response]:
    """Send one request."""
    return (yield request)


def if_offered(flow: Flow[T]) -> Flow[T | None]:
    """Ask for what BTCC may not have; return `None` where it does not know the request."""
    try:
        return (yield from flow)
    except Rejected as error:
        if error.code != UNKNOWN_COMMAND:
            raise
        return None


def either(requests: Iterable[Request]) -> Flow[Response]:
    """Ask by the first of an endpoint's two names that BTCC knows."""
    first, second = requests
    response = yield from if_offered(ask(first))
    return (yield second) if response is None else response


# Replies


class Reply(msgspec.Struct, Generic[T]):
    """The payload of either envelope: `data` beside `code`, `result` beside `error`."""

    data: T | msgspec.UnsetType = msgspec.UNSET
    result: T | msgspec.UnsetType = msgspec.UNSET

    @property
    def payload(self) -> T:
        found = self.data if self.result is msgspec.UNSET else self.result
        if found is msgspec.UNSET:
            raise OutcomeUnknown("BTCC sent a reply of an unexpected shape: it has no content")
        return found


class _Kline(msgspec.Struct):
    result: list[list[msgspec.Raw]]


def candles(response: Response, start_ms: int, end_ms: int) -> list[Candle]:
    """Return the candles between two times. A row has open, close, high, low, in that order.

    Unverified: what the rows are wrapped in. The document has `data.result`, programs that read them have `result`.
    """
    found = response.decode(Reply[list[list[msgspec.Raw]] | _Kline]).payload
    rows = found.result if isinstance(found, _Kline) else found
    return candles_of((_row(each) for each in rows), start_ms, end_ms)


def _row(row: list[msgspec.Raw]) -> tuple[msgspec.Raw, ...]:
    seconds, first, last, high, low, volume = (*row, *(msgspec.Raw(b"null"),) * 6)[:6]
    return msgspec.Raw(bytes(seconds).strip(b'"') + b"000"), first, high, low, last, volume


class Page(msgspec.Struct, Generic[T]):
    """One page of a list. Only the list of open orders is documented to tell the total."""

    records: list[T]
    total: int | None = None


def listed(request: Request, shape: type[Reply[Page[T]]], *, most: int, whole: bool = False) -> Flow[list[T]]:
    """Read a list page by page; `request` is without the place in the list, the rest as for `bot.pages`."""

    def at(offset: int) -> Request:
        return request.with_query((*request.query, ("offset", offset), ("limit", PAGE)))

    def take(response: Response, rows: list[T]) -> Request | None:
        page = response.decode(shape).payload
        rows += page.records
        is_last = len(page.records) < PAGE if page.total is None else len(rows) >= page.total
        return None if is_last or not page.records else at(len(rows))

    return pages(at(0), take, most=most, whole=whole)


# Market data


class MarketRow(Row):
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
        base, quote, step = self.stock.upper(), self.money.upper(), step_of(self.stock_prec)
        return Market(
            symbol=f"{base}/{quote}",
            exchange_symbol=self.name,
            base=base,
            quote=quote,
            price_step=step_of(self.money_prec),
            quantity_step=step,
            # Unverified: the engine reads the amount of a market buy, which is money, with the base asset's decimals.
            quote_step=step,
            min_quantity=self.min_amount,
            maker_fee=ASSUMED.fee_rate,
            taker_fee=ASSUMED.fee_rate,
            status="online" if self.is_open else "halted",
        )


class Depth(Row):
    """The order book, best levels first. `time` is in milliseconds, unlike all others."""

    asks: list[tuple[Decimal, Decimal]]
    bids: list[tuple[Decimal, Decimal]]
    last: Decimal | None = None
    time: int = 0

    def book(self) -> OrderBook:
        return book_of(self.bids, self.asks)

    @property
    def best(self) -> tuple[Decimal | None, Decimal | None]:
        """Best bid and ask; `None` where a side is empty."""
        book = self.book()
        bid, ask = (side[0][0] if side else None for side in (book.bids, book.asks))
        return bid, ask


# Accounts


class Funds(Row):
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


class _Order(Row, kw_only=True):
    id: int
    side: Literal[1, 2]
    market: str
    amount: Decimal
    price: Decimal = Decimal(0)
    ctime: Decimal = Decimal(0)
    source: str | None = None
    client_id: str | None = None

    @property
    def side_word(self) -> Side:
        return _SIDES[self.side]

    @property
    def labels(self) -> tuple[str, str]:
        """Where our id comes back: BTCC may not keep the first, and surely keeps the second."""
        return self.client_id or "", self.source or ""

    def _report(self, *, is_market: bool) -> OrderReport:
        return OrderReport(
            exchange_order_id=str(self.id),
            client_order_id=self.labels[0] or self.labels[1],
            exchange_symbol=self.market,
            side=self.side_word,
            type="market" if is_market else "limit",
            state="open",
            filled=Decimal(0),
            quantity=None if is_market and self.side_word == "buy" else self.amount,  # which is money then
            price=None if is_market else self.price,
            created_ms=int(self.ctime * 1000),
        )


class OrderRow(_Order, kw_only=True):
    """An order. No field tells its state: that follows from the list it was found in and from what was filled."""

    type: Literal[1, 2]
    deal_stock: Decimal
    deal_money: Decimal
    deal_fee: Decimal = Decimal(0)
    asset_fee: Decimal | None = None
    fee_asset: str | None = None
    left: Decimal | None = None

    def state(self, *, is_open: bool) -> ReportState:
        """Return the state that follows from the list and the fills."""
        if is_open:
            return "partially_filled" if self.deal_stock else "open"
        if self.type == _MARKET:  # money that bought less than one lot is left over, and that is normal
            return "filled" if self.deal_stock else "canceled"
        return "filled" if self.deal_stock >= self.amount or self.left == 0 else "canceled"

    def report(self, market: Market, *, is_open: bool) -> OrderReport:
        """Return what the row says."""
        fee, fee_asset = self.deal_fee, market.base if self.side_word == "buy" else market.quote
        if self.asset_fee and self.fee_asset:
            fee, fee_asset = self.asset_fee, self.fee_asset.upper()
        return replace(
            self._report(is_market=self.type == _MARKET),
            state=self.state(is_open=is_open),
            filled=self.deal_stock,
            average_price=self.deal_money / self.deal_stock if self.deal_stock else None,
            fee=fee,
            fee_asset=fee_asset,
        )


class PlanRow(_Order, kw_only=True):
    """A stop order that waits, placed on BTCC's site. Its numbers for type and state are not documented."""

    stop_price: Decimal

    def report(self) -> OrderReport:
        """Return what the row says, under an id that no order can have."""
        is_market = not self.price
        return replace(
            self._report(is_market=is_market),
            exchange_order_id=f"{STOP}{self.id}",
            type="stop_market" if is_market else "stop_limit",
            stop_price=self.stop_price,
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


class Trade(Row, kw_only=True):
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
            at_ms=int(self.time * 1000),
        )
