"""What the strict Bitrue answers, endpoint by endpoint."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any, Literal

from bot.testing.bitrue.call import BitruePair, Call, endpoint, refuse
from bot.testing.bitrue.exchange import LISTEN_KEY, LISTEN_MS, ListenKey, StrictBitrue
from bot.testing.candles import candles_of
from bot.testing.ledger import ZERO, Execution, InsufficientBalance, Level, Order, plain

SIDES: dict[str, Literal["buy", "sell"]] = {"BUY": "buy", "SELL": "sell"}
KINDS: dict[str, Literal["limit", "market"]] = {"LIMIT": "limit", "MARKET": "market"}

# Market data


@endpoint("GET /api/v1/time", "")
def _time(call: Call) -> Any:
    return {"serverTime": call.exchange.clock()}


@endpoint("GET /api/v1/exchangeInfo", "")
def _info(call: Call) -> Any:
    symbols = [_symbol(pair) for pair in call.exchange.ledger.pairs.values() if isinstance(pair, BitruePair)]
    symbols += call.exchange.odd_rows["exchangeInfo"]
    return {"timezone": "UTC", "rateLimits": [], "exchangeFilters": [], "symbols": symbols, "coins": []}


def _symbol(pair: BitruePair) -> dict[str, Any]:
    lot = {"minQty": plain(pair.min_quantity), "minVal": plain(pair.min_value), "maxQty": "999999999999999"}
    return {
        "symbol": pair.symbol,
        "status": "TRADING" if pair.status == "online" else "HALT",
        "baseAsset": pair.base.lower(),
        "quoteAsset": pair.quote.lower(),
        "orderTypes": ["MARKET", "LIMIT"],
        "filters": [
            {"filterType": "LOT_SIZE", **lot, "volumeScale": pair.quantity_places},
            {"filterType": "PRICE_FILTER", "priceScale": pair.price_places},
        ],
    }


@endpoint("GET /api/v1/ticker/24hr", "", "symbol!")
def _ticker(call: Call) -> Any:
    pair = call.pair()
    bid, ask = (plain(side[0][0]) if side else None for side in (pair.bids, pair.asks))
    row = {"symbol": pair.symbol, "lastPrice": plain(pair.last), "bidPrice": bid, "askPrice": ask}
    return [{**row, "openPrice": None, "highPrice": "0", "lowPrice": "0", "volume": "0", "closeTime": "0"}]


@endpoint("GET /api/v1/depth", "", "symbol! limit")
def _depth(call: Call) -> Any:
    pair, limit = call.pair(), call.limit(most=1000)
    if limit not in (5, 10, 20, 50, 100, 500, 1000):
        refuse("-1102")
    sides = {"bids": pair.bids, "asks": pair.asks}
    rows = {name: [[plain(price), plain(size), []] for price, size in side[:limit]] for name, side in sides.items()}
    return {"lastUpdateId": call.exchange.clock(), **rows}


_SCALES = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1H": 60, "4H": 240, "1D": 1440}


@endpoint("GET /api/v1/market/kline", "", "symbol! scale! limit fromIdx")
def _kline(call: Call) -> Any:
    pair, step, limit = call.pair(), call.one_of("scale", _SCALES) * 60_000, call.limit(most=1440)
    now = call.exchange.clock()
    rows = [
        {"i": str(at // 1000), "is": str(at), "o": plain(first), "h": plain(high), "l": plain(low), "c": plain(last),
         "v": "1.5", "a": "90000"}
        for at, first, high, low, last in candles_of(pair, step, now - limit * step, now)
    ]  # fmt: skip
    return {"symbol": pair.symbol, "scale": f"KLINE_{call.text('scale')}", "data": rows[-limit:]}


# Account


@endpoint("GET /api/v1/account", "read", weight=5)
def _account(call: Call) -> Any:
    account = call.account
    assets = sorted({*account.free, *account.locked, "LTC", "SBR"})
    return {
        "makerCommission": 0,
        "canTrade": account.flags[0],
        "canWithdraw": account.flags[1],
        "canDeposit": True,
        "updateTime": None,
        "balances": [
            {"asset": asset.lower(), "free": f"{account.free[asset]:.8f}", "locked": f"{account.locked[asset]:.8f}"}
            for asset in assets
        ],
    }


# Orders


@endpoint("POST /api/v1/order", "trade", "symbol! side! type! quantity! price timeInForce newClientOrderId")
def _place(call: Call) -> Any:
    exchange, pair, client_id = call.exchange, call.pair(), call.text("newClientOrderId")
    side, kind = call.one_of("side", SIDES), call.one_of("type", KINDS)
    if (
        len(client_id) > 32
        or call.text("timeInForce") not in ("", "GTC")
        or (kind == "limit") != bool(call.text("price"))
    ):
        refuse("-1102")
    quantity = call.amount("quantity", pair.quantity_places)
    price = call.amount("price", pair.price_places) if kind == "limit" else ZERO
    if quantity < pair.min_quantity:
        refuse("-1111", "quantity less then minQty.")
    if quantity * pair.last < pair.min_value:
        refuse("-1013", "Filter failure: LOT_SIZE")
    if price and abs(price - pair.last) > pair.last * pair.band:
        refuse("-1013")
    if pair.status != "online":
        refuse("-2010", "Market is closed.")
    if client_id and exchange.refuses_repeats and exchange.orders(client_id=client_id):
        refuse("-2010", "Duplicate order sent.")
    is_market_buy = kind == "market" and side == "buy"
    budget = _cost(pair.asks, quantity) if is_market_buy else ZERO
    if is_market_buy and not budget:
        refuse("-2010", "There are no orders on the book.")
    try:
        order = exchange.ledger.place(
            call.account,
            pair,
            side,
            kind,
            price=price,
            quantity=ZERO if is_market_buy else quantity,
            budget=budget,
            client_id=client_id,
        )
    except InsufficientBalance:
        refuse("-2010", "Account has insufficient balance for requested action.")
    exchange.quantities[order.id] = quantity
    shown = {"orderId": int(order.id), "orderIdStr": order.id, "clientOrderId": _client_id(exchange, order)}
    return {"symbol": pair.symbol, **shown, "transactTime": order.created_ms}


def _cost(levels: list[Level], quantity: Decimal) -> Decimal:
    """Return what so much costs: the quantity of a market buy is in base, and the ledger takes it in quote."""
    cost = ZERO
    for price, depth in levels:
        cost += price * min(depth, quantity)
        quantity -= min(depth, quantity)
    return cost


@endpoint("GET /api/v1/order", "read", "symbol! orderId origClientOrderId")
def _status(call: Call) -> Any:
    order, is_by_ours = call.order(), not call.text("orderId")
    if order is None or (is_by_ours and not call.exchange.knows_client_ids):
        return refuse("-2013")
    row = _order(call.exchange, order)
    # By the caller's id there is a copy from when it was placed.
    return {**row, "status": "NEW", "executedQty": "0", "cummulativeQuoteQty": "0"} if is_by_ours else row


@endpoint("GET /api/v1/openOrders", "read", "symbol!")
def _open(call: Call) -> Any:
    found = [_order(call.exchange, order) for order in call.orders() if order.status == "open"]
    return found + call.exchange.odd_rows["openOrders"]


@endpoint("GET /api/v1/allOrders", "read", "symbol! fromId startTime endTime limit", weight=5)
def _all(call: Call) -> Any:
    limit, first = call.limit(most=1000), call.whole("fromId", 0)
    begin, end = call.whole("startTime", 0), call.whole("endTime", 10**15)
    orders = [each for each in call.orders() if int(each.id) >= first and begin <= each.created_ms <= end]
    # From an id onwards the oldest come first; otherwise the newest are told.
    shown = orders[::-1][:limit] if first else orders[:limit]
    return [_order(call.exchange, order) for order in shown] + call.exchange.odd_rows["allOrders"]


@endpoint("DELETE /api/v1/order", "trade", "symbol! orderId origClientOrderId newClientOrderId")
def _cancel(call: Call) -> Any:
    order = call.order()
    if order is None:
        return refuse("-2013")
    if order.status != "open":
        return refuse(call.exchange.cancel_code, "Unknown order sent." if call.exchange.cancel_code == "-2010" else "")
    call.exchange.ledger.cancel(order)
    return {"symbol": order.pair.symbol, "origClientOrderId": "", "orderId": int(order.id), "clientOrderId": ""}


def _order(exchange: StrictBitrue, order: Order) -> dict[str, Any]:
    return {
        "symbol": order.pair.symbol,
        "orderId": order.id,
        "clientOrderId": _client_id(exchange, order),
        "price": f"{order.price:.16f}",
        "origQty": f"{exchange.quantities.get(order.id, order.quantity):.16f}",
        "executedQty": f"{order.filled:.16f}",
        "cummulativeQuoteQty": f"{order.value:.16f}",
        "status": _state(exchange, order),
        "timeInForce": "",
        "type": order.kind.upper(),
        "side": order.side.upper(),
        "stopPrice": "",
        "icebergQty": "",
        "time": order.created_ms,
        "updateTime": order.updated_ms,
        "isWorking": False,
    }


def _client_id(exchange: StrictBitrue, order: Order) -> str:
    return order.client_id if exchange.tells_client_ids else ""


def _state(exchange: StrictBitrue, order: Order) -> str:
    if order.status == "open":
        return "PARTIALLY_FILLED" if order.filled else "NEW"
    is_whole = order.filled == exchange.quantities.get(order.id, order.quantity)
    return "FILLED" if order.status == "filled" and is_whole else "CANCELED"


@endpoint("GET /api/v2/myTrades", "read", "symbol! startTime endTime fromId limit", weight=5)
def _trades(call: Call) -> Any:
    pair = call.pair()
    rows = [
        row
        for row in reversed(call.exchange.ledger.executions)
        if row.order.account is call.account and row.pair is pair and not row.order.hidden
    ]
    return [_trade(row) for row in rows[: call.limit(most=1000)]] + call.exchange.odd_rows["myTrades"]


def _trade(row: Execution) -> dict[str, Any]:
    return {
        "symbol": row.pair.symbol,
        "id": int(row.id) % 100_000_000,
        "tradeId": int(row.id),
        "orderId": row.order.id,
        "clientOrderId": "",
        "price": f"{row.price:.16f}",
        "qty": f"{row.quantity:.16f}",
        "commission": f"{row.fee:.16f}",
        "commissionAssert": row.order.gets.lower(),
        "time": row.created_ms,
        "isBuyer": row.order.side == "buy",
        "isMaker": row.is_maker,
        "isBestMatch": True,
    }


# The stream's listen key


@endpoint(f"POST {LISTEN_KEY}", "key")
def _create(call: Call) -> Any:
    exchange, account = call.exchange, call.account
    # While one is valid, the same comes back and lives longer.
    key = next((key for key, each in exchange.listen_keys.items() if each.account is account), "")
    if not key or exchange.listen_keys[key].until_ms < exchange.clock():
        key = hashlib.sha256(f"{account.api_key} {len(exchange.listen_keys)}".encode()).hexdigest()
    exchange.listen_keys[key] = ListenKey(account, exchange.clock() + LISTEN_MS)
    return {"msg": "succ", "code": 200, "data": {"listenKey": key}}


@endpoint(f"PUT {LISTEN_KEY}/*", "key")
def _renew(call: Call) -> Any:
    found = call.exchange.listen_keys.get(call.tail)
    if found is None or found.account is not call.account or found.until_ms < call.exchange.clock():
        return refuse("-1150")
    found.until_ms = call.exchange.clock() + LISTEN_MS
    return {"msg": "succ", "code": "200"}
