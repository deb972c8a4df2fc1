"""The unified API, v3."""

from __future__ import annotations

from decimal import Decimal

from bot.testing.bitget import orders
from bot.testing.bitget.call import Call, endpoint
from bot.testing.bitget.classic import best
from bot.testing.ledger import ZERO, Order, plain

# Market data


@endpoint("GET /api/v3/market/instruments", "public", 20, "category! symbol")
def _instruments(call: Call) -> object:
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


@endpoint("GET /api/v3/market/tickers", "public", 20, "category! symbol")
def _tickers(call: Call) -> object:
    call.choice("category", "SPOT")
    rows = []
    for pair in call.pairs():
        (bid, bid_size), (ask, ask_size) = best(pair.bids), best(pair.asks)
        prices = dict.fromkeys(("lastPrice", "openPrice24h", "highPrice24h", "lowPrice24h"), plain(pair.last))
        quotes = {"bid1Price": bid, "bid1Size": bid_size, "ask1Price": ask, "ask1Size": ask_size}
        volumes = {"price24hPcnt": "0", "volume24h": "0", "turnover24h": "0", "ts": str(call.exchange.clock())}
        rows.append({"category": "SPOT", "symbol": pair.symbol, **prices, **quotes, **volumes})
    return rows


@endpoint("GET /api/v3/market/orderbook", "public", 20, "category! symbol! limit")
def _book(call: Call) -> object:
    call.choice("category", "SPOT")
    pair, limit = call.pair(), call.integer("limit", 5)
    # The documented sample holds numbers here, where everything else is text.
    bids, asks = ([[float(number) for number in level] for level in side[:limit]] for side in (pair.bids, pair.asks))
    return {"a": asks, "b": bids, "ts": str(call.exchange.clock())}


# Accounts and orders


@endpoint("GET /api/v3/account/info", "any", 1)
def _info(call: Call) -> object:
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


@endpoint("GET /api/v3/account/settings", "manage", 20)
def _settings(call: Call) -> object:
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


@endpoint("GET /api/v3/account/assets", "manage", 20)
def _assets(call: Call) -> object:
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


@endpoint("GET /api/v3/account/funding-assets", "manage", 20, "coin")
def _funding(call: Call) -> object:
    return [
        {"coin": coin, "available": plain(amount), "frozen": "0", "balance": plain(amount)}
        for coin, amount in sorted(call.account.funding.items())
        if call.get("coin", coin) == coin
    ]


@endpoint("GET /api/v3/account/fee-rate", "manage", 3, "category! symbol!")
def _fee(call: Call) -> object:
    call.choice("category", "SPOT")
    return {"makerFeeRate": plain(call.pair().maker_fee), "takerFeeRate": plain(call.pair().taker_fee)}


@endpoint(
    "POST /api/v3/trade/place-order",
    "trade",
    10,
    "category! symbol! side! orderType! qty! price timeInForce clientOid stpMode",
)
def _place(call: Call) -> object:
    call.choice("category", "SPOT")
    return orders.place(call, size_field="qty", force_field="timeInForce")


@endpoint("POST /api/v3/trade/cancel-order", "trade", 10, "orderId clientOid category symbol")
def _cancel(call: Call) -> object:
    call.choice("category", "SPOT", default="SPOT")
    return orders.cancel(call)


@endpoint("POST /api/v3/trade/cancel-symbol-order", "trade", 5, "category! symbol")
def _cancel_all(call: Call) -> object:
    call.choice("category", "SPOT")
    return {"list": [{**orders.ids(order), "code": "00000", "msg": "success"} for order in orders.cancel_all(call)]}


@endpoint("GET /api/v3/trade/order-info", "read", 20, "orderId clientOid")
def _order_info(call: Call) -> object:
    order = call.order()
    if order is None:
        raise call.refused("missing")
    return _order(order)


@endpoint("GET /api/v3/trade/unfilled-orders", "read", 20, "category symbol startTime endTime limit cursor")
def _unfilled(call: Call) -> object:
    call.choice("category", "SPOT", default="SPOT")
    page = call.page([order for order in call.visible() if not orders.is_done(order)])
    return {"list": [_order(order) for order in page], "cursor": page[-1].id if page else ""}


@endpoint("GET /api/v3/trade/history-orders", "read", 20, "category! symbol startTime endTime limit cursor")
def _history(call: Call) -> object:
    call.choice("category", "SPOT")
    page = call.page([order for order in call.visible() if orders.is_done(order)], days=90, span=30)
    return {"list": [_order(order) for order in page], "cursor": page[-1].id if page else ""}


@endpoint("GET /api/v3/trade/fills", "read", 20, "category orderId symbol startTime endTime limit cursor")
def _fills(call: Call) -> object:
    call.choice("category", "SPOT", default="SPOT")
    page = call.page(orders.executions(call), days=90, span=30)
    rows = [
        {
            "execId": row.id,
            "execLinkId": row.id,
            **orders.ids(row.order),
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


def _order(order: Order) -> dict[str, object]:
    reasons = {"user": "normal_cancel", "depth": "slippage_cancel", "post_only": "post_only_fill_cancel"}
    fee: dict[str, str | None] = {"feeCoin": order.gets, "fee": plain(order.fee)}
    if not order.filled:  # samples show both kinds of nothing
        fee = dict.fromkeys(fee, "" if order.status == "open" else None)
    return {
        **orders.ids(order),
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
        "orderStatus": orders.status(order),
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
