"""BTCC, spot, experimental: its "Spot Trading API" of April 2025, which only logged-in users can read.

Prices, orders and balances come from one API; what is assumed about it stands in `payloads.ASSUMED`. The futures API
is another one: it wants the account's password and refuses ordinary keys, and is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from bot import (
    Account,
    Balance,
    Capabilities,
    ClientId,
    Credentials,
    Event,
    ExchangeError,
    ExchangeInfo,
    Fill,
    Flow,
    KeyPermissions,
    Limit,
    Market,
    Order,
    OrderAck,
    OrderBook,
    OrderNotFound,
    OrderReport,
    OutcomeUnknown,
    Request,
    Response,
    Stream,
    Ticker,
    UserError,
    hookimpl,
)
from tradewire_btcc import errors, payloads, signing, streams
from tradewire_btcc.payloads import (
    ASSUMED,
    Depth,
    Funds,
    MarketRow,
    OrderRow,
    Page,
    Reply,
    Trade,
    action,
    private,
    public,
)

_READS = (
    "time market/list market/depth asset/query order/pending order/finished order/pending_detail order/finish_detail"
    " order/deal_history"
)
_ACTIONS = "order/limit order/market order/cancel order/cancel_all"
_MOST_MARKETS = 15
"""BTCC lists orders of one market at a time, and the core allows 20 requests in one call."""


@hookimpl
def exchange_info() -> ExchangeInfo:
    reads = (*_READS.split(), *ASSUMED.last_price_paths, *ASSUMED.order_deals_paths)
    return ExchangeInfo(
        id="btcc",
        title="BTCC",
        hosts={payloads.API: ASSUMED.rest_host, payloads.WS: ASSUMED.ws_host},
        paths=(
            *(f"GET {payloads.path_of(name)}" for name in reads),
            *(f"POST {payloads.path_of(name)}" for name in _ACTIONS.split()),
            f"POST {ASSUMED.ws_path}",  # the socket's login
        ),
        options={"send_client_id": "0 leaves the client_id out of orders, should BTCC refuse it"},
        limits={
            payloads.ALL: (Limit(ASSUMED.requests_per_second, 1),),
            payloads.ORDERS: (Limit(ASSUMED.orders_per_second, 1, "account"),),
            payloads.SECOND_LOOK: (Limit(1, ASSUMED.second_look_seconds, "account"),),
        },
        client_id=ClientId("text", ASSUMED.label_length, repeats="accepted"),
        capabilities=Capabilities(
            order_types=frozenset({"limit", "market"}),  # stop orders exist, but how they trigger is not documented
            times_in_force=frozenset({"GTC", "IOC", "FOK"}),
            market_buy_in=frozenset({ASSUMED.market_buy_unit}),
            cancel_all=True,
            find_by_client_id=False,
            absence_seconds=None,  # no document says for how long a signed request is taken
        ),
        errors=errors.ERRORS,
        timestamp_unit="s",
        docs_url="https://www.btcc.com",
        key_help=(
            "On btcc.com log in, open API management in the user centre, and create a key.",
            "Tick Spot: Read and Spot: Trade. A key for Futures or Futures Pro does not work here.",
            "Enter this server's IP address; BTCC takes up to five.",
            "Copy both parts at once: the secret key is shown only while the key is created.",
        ),
        experimental="BTCC support is experimental: it was built from BTCC's document and never tried with a live key,"
        " so begin with the smallest order that the pair allows.",
    )


@hookimpl
def sign(request: Request, credentials: Credentials, timestamp: int) -> Request:
    return signing.sign(request, credentials, timestamp)


@hookimpl
def map_error(request: Request, response: Response) -> ExchangeError | None:
    return errors.map_error(request, response)


@hookimpl
def server_time() -> Flow[int]:
    # Whole seconds, so up to a second behind: a signature of the past is safer than one of the future.
    return (yield public("time")).decode(Reply[int]).payload * 1000


@hookimpl
def markets() -> Flow[list[Market]]:
    rows = (yield public("market/list")).decode(Reply[list[MarketRow]]).payload
    return [market for market in (row.market() for row in rows) if market is not None]


@hookimpl
def ticker(market: Market) -> Flow[Ticker]:
    symbol = market.exchange_symbol
    depth = (yield public("market/depth", market=symbol, limit=5, merge="0")).decode(Reply[Depth]).payload
    last = depth.last
    if not last:
        asked = [public(name, market=symbol) for name in ASSUMED.last_price_paths]
        last = (yield from payloads.either(asked)).decode(Reply[Decimal]).payload
    if not last.is_finite() or not last:
        raise OutcomeUnknown(f"BTCC has no price for {market.symbol} at the moment")
    return Ticker(
        exchange_symbol=symbol,
        last=last,
        bid=depth.bids[0][0] if depth.bids else None,
        ask=depth.asks[0][0] if depth.asks else None,
        at_ms=depth.time,
    )


@hookimpl
def order_book(market: Market) -> Flow[OrderBook]:
    response = yield public("market/depth", market=market.exchange_symbol, limit=50, merge="0")
    return response.decode(Reply[Depth]).payload.book()


@hookimpl
def balances(account: Account) -> Flow[list[Balance]]:
    return payloads.holdings((yield private("asset/query")).decode(Reply[dict[str, Funds]]).payload)


@hookimpl
def key_permissions(account: Account) -> Flow[KeyPermissions]:
    yield private("asset/query")
    return KeyPermissions(
        can_read="yes",
        can_withdraw="no",
        note="BTCC gives no API key the right to withdraw, says its document. It does not tell whether this key may"
        " trade; the first order will.",
    )


@hookimpl
def place_order(account: Account, order: Order) -> Flow[OrderAck]:
    if order.post_only:
        raise UserError("BTCC has no post-only orders. Leave that out. Nothing was placed.", code="UNSUPPORTED")
    body: dict[str, str | int] = {**payloads.sized(order), "source": order.client_order_id}
    if ASSUMED.sends_client_id and account.options.get("send_client_id") != "0":
        body["client_id"] = order.client_order_id
    if order.type == "limit" and order.price is not None:
        body |= {"price": format(order.price, "f"), "option": ASSUMED.force_codes[order.time_in_force]}
        response = yield action("order/limit", body, places=True)
    elif order.type == "market":
        response = yield action("order/market", body, places=True)
    else:
        raise UserError("BTCC takes limit orders with a price, and market orders. Nothing was placed.")
    placed = response.decode(Reply[payloads.Placed]).payload
    if placed.id <= 0:
        raise OutcomeUnknown("BTCC answered without the order's id")
    return OrderAck(str(placed.id), order.client_order_id)


@hookimpl
def find_order(account: Account, order: Order) -> Flow[OrderReport | None]:
    """BTCC has no look-up by our id: the market's lists are read, open ones first, for orders move that way."""
    market = order.market
    for name, most in (("order/pending", 8), ("order/finished", 3)):
        is_open = name == "order/pending"
        for row in (yield from _rows(name, market, most=most, whole=is_open)):
            if order.client_order_id in row.labels:
                return row.report(market, is_open=is_open)
    return None


@hookimpl
def order_status(account: Account, order: Order, exchange_order_id: str) -> Flow[OrderReport]:
    if not exchange_order_id:
        found = yield from find_order(account, order)
        if found is None:
            raise _no_such_order()
        return found
    id_, market = int(exchange_order_id), order.market
    # While an order moves from the open to the finished ones, neither shows it. The bucket keeps the last two looks
    # apart; without that pause, an order just filled could pass for a canceled one.
    for bucket in ("", payloads.SECOND_LOOK, payloads.SECOND_LOOK):
        ask = private("order/pending_detail", bucket=bucket, market=market.exchange_symbol, order_id=id_)
        row = yield from _detail(ask)
        if row is not None:
            return row.report(market, is_open=True)
        row = yield from _detail(private("order/finish_detail", order_id=id_))
        if row is not None:
            return row.report(market, is_open=False)
    if order.type == "market":  # it never rests, so it has fills, and those have a history
        raise _no_such_order()
    return payloads.vanished(order, exchange_order_id)


def _detail(request: Request) -> Flow[OrderRow | None]:
    try:
        return (yield request).decode(Reply[OrderRow | None]).payload
    except OrderNotFound:
        return None


def _no_such_order() -> OrderNotFound:
    return OrderNotFound("BTCC shows no such order", remedy="Look at your orders on BTCC.")


def _rows(name: str, market: Market, *, most: int, whole: bool = False) -> Flow[list[OrderRow]]:
    request = private(name, market=market.exchange_symbol, side=0)
    return payloads.pages(request, Reply[Page[OrderRow]], most=most, whole=whole)


@hookimpl
def open_orders(account: Account, markets: Sequence[Market]) -> Flow[list[OrderReport]]:
    if len(markets) > _MOST_MARKETS:
        text = f"BTCC lists orders one market at a time; {len(markets)} markets are too many at once. Name a pair."
        raise UserError(text, code="UNSUPPORTED")
    found = []
    for market in markets:
        rows = yield from _rows("order/pending", market, most=8, whole=True)
        found += [row.report(market, is_open=True) for row in rows]
    return found


@hookimpl
def order_history(account: Account, markets: Sequence[Market]) -> Flow[list[OrderReport]]:
    found = []
    for market in markets[:_MOST_MARKETS]:
        rows = yield from _rows("order/finished", market, most=1)
        found += [row.report(market, is_open=False) for row in rows]
    return sorted(found, key=lambda report: report.created_ms, reverse=True)


@hookimpl
def fills(account: Account, markets: Sequence[Market], exchange_order_id: str) -> Flow[list[Fill]]:
    found: list[Fill] = []
    if exchange_order_id:
        found = yield from _fills_of(int(exchange_order_id), markets)
    else:
        # A fill is not documented to tell its side; asked for one side, all of them have it.
        for market in markets[: _MOST_MARKETS // 2]:
            for side, code in ASSUMED.side_codes.items():
                ask = private("order/deal_history", market=market.exchange_symbol, side=code)
                rows = yield from payloads.pages(ask, Reply[Page[Trade]], most=1)
                found += [row.fill(market, side) for row in rows]
    return sorted(found, key=lambda fill: fill.at_ms, reverse=True)


def _fills_of(id_: int, markets: Sequence[Market]) -> Flow[list[Fill]]:
    row = yield from _detail(private("order/finish_detail", order_id=id_))
    for market in markets[:_MOST_MARKETS]:
        if row is None:
            ask = private("order/pending_detail", market=market.exchange_symbol, order_id=id_)
            row = yield from _detail(ask)
        if row is not None and row.market == market.exchange_symbol:
            asked = (
                private(name, market=row.market, order_id=id_, offset=0, limit=payloads.PAGE)
                for name in ASSUMED.order_deals_paths
            )
            trades = (yield from payloads.either(asked)).decode(Reply[Page[Trade]]).payload.records
            return [trade.fill(market, row.side_word, id_) for trade in trades]
    return []


@hookimpl
def cancel_order(account: Account, order: Order, exchange_order_id: str) -> Flow[None]:
    if not exchange_order_id:
        exchange_order_id = (yield from order_status(account, order, "")).exchange_order_id
    yield action("order/cancel", {"market": order.market.exchange_symbol, "id": int(exchange_order_id)})


@hookimpl
def cancel_all(account: Account, market: Market) -> Flow[None]:
    yield action("order/cancel_all", {"market": market.exchange_symbol, "side": 0})


@hookimpl
def public_stream(markets: Sequence[Market]) -> Flow[Sequence[Stream]]:
    yield from ()
    return streams.public(markets)


@hookimpl
def private_stream(account: Account) -> Flow[Sequence[Stream]]:
    yield from ()
    return streams.private()


@hookimpl
def read_frame(data: str | bytes) -> Sequence[Event]:
    return streams.read_frame(data)
