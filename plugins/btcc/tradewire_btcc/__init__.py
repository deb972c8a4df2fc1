"""BTCC, spot, experimental: its "Spot Trading API" of April 2025, which only logged-in users can read.

Prices, orders and balances come from one API; what is assumed about it stands in `payloads.ASSUMED`. The futures API
is another one: it wants the account's password and refuses ordinary keys, and is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from bot import (
    INTERVALS,
    Account,
    Balance,
    Candle,
    Capabilities,
    ClientId,
    ExchangeInfo,
    Fill,
    Flow,
    Interval,
    KeyPermissions,
    Limit,
    Market,
    Order,
    OrderAck,
    OrderBook,
    OrderReport,
    OutcomeUnknown,
    Request,
    Ticker,
    UserError,
    hookimpl,
    if_known,
    known,
    plain,
    refuse_undeclared,
)
from tradewire_btcc import errors, payloads, signing, streams
from tradewire_btcc.payloads import ASSUMED, OrderRow, Page, Reply, action, ask, listed, private, public

sign = signing.sign
map_error = errors.map_error
public_stream, private_stream, read_frame = streams.public_stream, streams.private_stream, streams.read_frame

_READS = (
    "time market/list market/depth market/kline asset/query order/pending order/finished"
    " order/pending_detail order/finish_detail order/deal_history order/pending_stop"
)
_ACTIONS = "order/limit order/market order/cancel order/cancel_all order/cancle_stop order/cancle_stop_all"  # so spelt
_MOST_MARKETS = 9
"""BTCC has two lists to a market, and the core allows 20 requests in one call."""

_CAN = Capabilities(
    # No stop orders: on which side of the price they trigger is not documented, and a wrong guess trades at once.
    order_types=frozenset({"limit", "market"}),
    times_in_force=frozenset({"GTC", "IOC", "FOK"}),
    market_buy_in=frozenset({ASSUMED.market_buy_unit}),
    cancel_all=True,
    find_by_client_id=False,
    absence_seconds=None,  # no document says for how long a signed request is taken
)


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
        capabilities=_CAN,
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
        assumptions=ASSUMED.told(),
    )


@hookimpl
def server_time() -> Flow[int]:
    # Whole seconds, so up to a second behind: a signature of the past is safer than one of the future.
    return (yield public("time")).decode(Reply[int]).payload * 1000


@hookimpl
def markets() -> Flow[list[Market]]:
    rows = (yield public("market/list")).decode(Reply[list[payloads.MarketRow]]).payload
    return [market for market in (row.market() for row in rows) if market is not None]


@hookimpl
def ticker(market: Market) -> Flow[Ticker]:
    symbol = market.exchange_symbol
    depth = (yield public("market/depth", market=symbol, limit=5, merge="0")).decode(Reply[payloads.Depth]).payload
    last, (bid, ask) = depth.last, depth.best
    if not last:
        asked = (public(name, market=symbol) for name in ASSUMED.last_price_paths)
        last = (yield from payloads.either(asked)).decode(Reply[Decimal]).payload
    if not last.is_finite() or not last:
        raise OutcomeUnknown(f"BTCC has no price for {market.symbol} at the moment")
    return Ticker(exchange_symbol=symbol, last=last, bid=bid, ask=ask, at_ms=depth.time)


@hookimpl
def order_book(market: Market) -> Flow[OrderBook]:
    response = yield public("market/depth", market=market.exchange_symbol, limit=50, merge="0")
    return response.decode(Reply[payloads.Depth]).payload.book()


@hookimpl
def candles(market: Market, interval: Interval, start_ms: int, end_ms: int) -> Flow[list[Candle]]:
    """Times are in seconds. The document wraps the rows once more than its other lists."""
    query: dict[str, str | int] = {"start_time": start_ms // 1000, "end_time": end_ms // 1000}
    query["interval"] = INTERVALS[interval] // 1000
    response = yield public("market/kline", market=market.exchange_symbol, **query)
    return payloads.candles(response, start_ms, end_ms)


@hookimpl
def balances(account: Account) -> Flow[list[Balance]]:
    return payloads.holdings((yield private("asset/query")).decode(Reply[dict[str, payloads.Funds]]).payload)


@hookimpl
def key_permissions(account: Account) -> Flow[KeyPermissions]:
    yield private("asset/query")
    note = "BTCC gives no API key the right to withdraw, says its document. It does not tell whether this key may trade"
    return KeyPermissions(can_read="yes", can_withdraw="no", note=f"{note}; the first order will.")


@hookimpl
def place_order(account: Account, order: Order) -> Flow[OrderAck]:
    refuse_undeclared(order, "BTCC", _CAN)
    body: dict[str, str | int] = {
        "market": order.market.exchange_symbol,
        "side": ASSUMED.side_codes[order.side],
        "amount": plain(order.size.amount),  # money in a market buy, else a quantity
        "source": order.client_order_id,
    }
    if ASSUMED.sends_client_id and account.options.get("send_client_id") != "0":
        body["client_id"] = order.client_order_id
    if order.type == "limit":
        body |= {"price": plain(order.price), "option": ASSUMED.force_codes[order.time_in_force]}
    placed = (yield action(f"order/{order.type}", body, places=True)).decode(Reply[payloads.Placed]).payload
    if placed.id <= 0:
        raise OutcomeUnknown("BTCC answered without the order's id")
    return OrderAck(str(placed.id), order.client_order_id)


@hookimpl
def find_order(account: Account, order: Order) -> Flow[OrderReport | None]:
    """BTCC has no look-up by our id: the market's lists are read, open ones first, for orders move that way."""
    market = order.market.exchange_symbol
    finished = listed(private("order/finished", market=market, side=0), Reply[Page[OrderRow]], most=3)
    for is_open, rows in ((True, _open(order.market)), (False, finished)):
        for row in (yield from rows):
            if order.client_order_id in row.labels:
                return row.report(order.market, is_open=is_open)
    return None


@hookimpl
def order_status(account: Account, order: Order, exchange_order_id: str) -> Flow[OrderReport]:
    market = order.market
    if exchange_order_id.startswith(payloads.STOP):
        waiting = {plan.exchange_order_id: plan for plan in (yield from _plans(market))}
        return known(waiting.get(exchange_order_id), "BTCC")
    if not exchange_order_id:
        return known((yield from find_order(account, order)), "BTCC")
    id_ = int(exchange_order_id)
    # While an order moves from the open to the finished ones, neither shows it. The bucket keeps the last two looks
    # apart; without that pause, an order just filled could pass for a canceled one.
    for bucket in (payloads.ALL, payloads.SECOND_LOOK, payloads.SECOND_LOOK):
        if row := (yield from _open_one(market, id_, bucket)):
            return row.report(market, is_open=True)
        if row := (yield from _finished_one(id_)):
            return row.report(market, is_open=False)
    if order.type == "market":  # it never rests, so it has fills, and those have a history
        return known(None, "BTCC")
    return payloads.vanished(order, exchange_order_id)


def _open_one(market: Market, id_: int, bucket: str = payloads.ALL) -> Flow[OrderRow | None]:
    return _one(private("order/pending_detail", bucket=bucket, market=market.exchange_symbol, order_id=id_))


def _finished_one(id_: int) -> Flow[OrderRow | None]:
    return _one(private("order/finish_detail", order_id=id_))


def _one(request: Request) -> Flow[OrderRow | None]:
    response = yield from if_known(ask(request))
    return None if response is None else response.decode(Reply[OrderRow | None]).payload


def _open(market: Market) -> Flow[list[OrderRow]]:
    request = private("order/pending", market=market.exchange_symbol, side=0)
    return listed(request, Reply[Page[OrderRow]], most=8, whole=True)


def _plans(market: Market) -> Flow[list[OrderReport]]:
    request = private("order/pending_stop", market=market.exchange_symbol, side=0)
    rows = yield from payloads.if_offered(listed(request, Reply[Page[payloads.PlanRow]], most=1, whole=True))
    return [row.report() for row in rows or ()]


@hookimpl
def open_orders(account: Account, markets: Sequence[Market]) -> Flow[list[OrderReport]]:
    if len(markets) > _MOST_MARKETS:
        text = f"BTCC lists orders one market at a time; {len(markets)} markets are too many at once. Name a pair."
        raise UserError(text, code="UNSUPPORTED")
    found = []
    for market in markets:
        found += [row.report(market, is_open=True) for row in (yield from _open(market))]
        found += yield from _plans(market)
    return found


@hookimpl
def fills(account: Account, markets: Sequence[Market], exchange_order_id: str) -> Flow[list[Fill]]:
    found: list[Fill] = []
    if exchange_order_id.startswith(payloads.STOP):
        return found  # it waits
    if exchange_order_id:
        found = yield from _fills_of(int(exchange_order_id), markets)
    else:
        # A fill is not documented to tell its side; asked for one side, all of them have it.
        for market in markets[:_MOST_MARKETS]:
            for side, code in ASSUMED.side_codes.items():
                request = private("order/deal_history", market=market.exchange_symbol, side=code)
                rows = yield from listed(request, Reply[Page[payloads.Trade]], most=1)
                found += [row.fill(market, side) for row in rows]
    return sorted(found, key=lambda fill: fill.at_ms, reverse=True)


def _fills_of(id_: int, markets: Sequence[Market]) -> Flow[list[Fill]]:
    row = yield from _finished_one(id_)
    for market in markets[: 2 * _MOST_MARKETS - 1]:
        if row is None:
            row = yield from _open_one(market, id_)
        if row is not None and row.market == market.exchange_symbol:
            asked = (
                private(name, market=row.market, order_id=id_, offset=0, limit=payloads.PAGE)
                for name in ASSUMED.order_deals_paths
            )
            trades = (yield from payloads.either(asked)).decode(Reply[Page[payloads.Trade]]).payload.records
            return [trade.fill(market, row.side_word, id_) for trade in trades]
    return []


@hookimpl
def cancel_order(account: Account, order: Order, exchange_order_id: str) -> Flow[None]:
    market = order.market.exchange_symbol
    if exchange_order_id.startswith(payloads.STOP):
        number = int(exchange_order_id.removeprefix(payloads.STOP))
        yield action("order/cancle_stop", {"market": market, "order_id": number})
        return
    if not exchange_order_id:
        exchange_order_id = (yield from order_status(account, order, "")).exchange_order_id
    yield action("order/cancel", {"market": market, "id": int(exchange_order_id)})


@hookimpl
def cancel_all(account: Account, market: Market) -> Flow[None]:
    body: dict[str, str | int] = {"market": market.exchange_symbol, "side": 0}
    yield action("order/cancel_all", body)
    yield from payloads.if_offered(ask(action("order/cancle_stop_all", body)))
