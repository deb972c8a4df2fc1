"""The classic API, v2. Market data is public, and unified accounts read it too."""

from __future__ import annotations

from typing import Literal, cast

from bot.testing.bitget import orders
from bot.testing.bitget.call import BitgetAccount, Call, endpoint
from bot.testing.candles import candles_of
from bot.testing.ledger import ZERO, Level, Order, Plan, plain

# Market data


@endpoint("GET /api/v2/public/time", "public", 20)
def _time(call: Call) -> object:
    return {"serverTime": str(call.exchange.clock())}


@endpoint("GET /api/v2/spot/public/symbols", "public", 20, "symbol")
def _symbols(call: Call) -> object:
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


@endpoint("GET /api/v2/spot/market/tickers", "public", 20, "symbol")
def _tickers(call: Call) -> object:
    rows = []
    for pair in call.pairs():
        (bid, bid_size), (ask, ask_size) = best(pair.bids), best(pair.asks)
        prices = dict.fromkeys(("lastPr", "open", "high24h", "low24h", "openUtc"), plain(pair.last))
        volumes = dict.fromkeys(("baseVolume", "quoteVolume", "usdtVolume", "change24h", "changeUtc24h"), "0")
        quotes = {"bidPr": bid, "askPr": ask, "bidSz": bid_size, "askSz": ask_size}
        rows.append({"symbol": pair.symbol, **prices, **quotes, **volumes, "ts": str(call.exchange.clock())})
    return rows


def best(levels: list[Level]) -> tuple[str, str]:
    return (plain(levels[0][0]), plain(levels[0][1])) if levels else ("", "")


_STEPS_MS = {"1min": 1, "5min": 5, "15min": 15, "30min": 30, "1h": 60, "4h": 240, "1Dutc": 1440}


@endpoint("GET /api/v2/spot/market/candles", "public", 20, "symbol! granularity! startTime endTime limit")
def _candles(call: Call) -> object:
    step, limit = _STEPS_MS.get(call.get("granularity")), call.integer("limit", 100)
    if step is None or not 0 < limit <= 1000:
        raise call.refused("parameter", "Parameter granularity error")
    now = call.exchange.clock()
    start, end = call.integer("startTime", now - limit * step * 60_000), call.integer("endTime", now)
    rows = candles_of(call.pair(), step * 60_000, start, end)
    return [[str(at), *map(plain, prices), "1.5", "90000", "90000"] for at, *prices in rows][-limit:]


@endpoint("GET /api/v2/spot/market/orderbook", "public", 20, "symbol! type limit")
def _book(call: Call) -> object:
    pair, limit = call.pair(), call.integer("limit", 150)
    bids, asks = ([[plain(number) for number in level] for level in side[:limit]] for side in (pair.bids, pair.asks))
    return {"asks": asks, "bids": bids, "ts": str(call.exchange.clock())}


# Accounts and orders


@endpoint("GET /api/v2/spot/account/info", "any", 1)
def _info(call: Call) -> object:
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


@endpoint("GET /api/v2/spot/account/assets", "read", 10, "coin assetType")
def _assets(call: Call) -> object:
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


@endpoint("GET /api/v2/common/trade-rate", "read", 10, "businessType! symbol!")
def _fee(call: Call) -> object:
    call.choice("businessType", "spot")
    return {"makerFeeRate": plain(call.pair().maker_fee), "takerFeeRate": plain(call.pair().taker_fee)}


@endpoint(
    "POST /api/v2/spot/trade/place-order",
    "trade",
    10,
    "symbol! side! orderType! size! force price clientOid stpMode tpslType",
)
def _place(call: Call) -> object:
    call.choice("tpslType", "normal", default="normal")
    return orders.place(call, size_field="size", force_field="force")


@endpoint("POST /api/v2/spot/trade/cancel-order", "trade", 10, "symbol! orderId clientOid tpslType")
def _cancel(call: Call) -> object:
    return orders.cancel(call)


@endpoint("POST /api/v2/spot/trade/cancel-symbol-order", "trade", 5, "symbol!")
def _cancel_all(call: Call) -> object:
    orders.cancel_all(call)
    return {"symbol": call.pair().symbol}


@endpoint("GET /api/v2/spot/trade/orderInfo", "read", 20, "orderId clientOid")
def _order_info(call: Call) -> object:
    order = call.order()
    if order is None and call.exchange.unknown_order == "43001":
        raise call.refused("missing")
    return [] if order is None else [_order(order)]


@endpoint(
    "GET /api/v2/spot/trade/unfilled-orders",
    "read",
    20,
    "symbol startTime endTime idLessThan limit orderId tpslType",
)
def _unfilled(call: Call) -> object:
    call.choice("tpslType", "normal", default="normal")
    rows = [row for row in call.visible() if not orders.is_done(row) and call.get("orderId", row.id) == row.id]
    presets = dict.fromkeys(
        ("presetTakeProfitPrice", "executeTakeProfitPrice", "presetStopLossPrice", "executeStopLossPrice"), ""
    )
    return [
        {
            **_common(order),
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
        for order in call.page(rows)
    ]


@endpoint(
    "GET /api/v2/spot/trade/history-orders",
    "read",
    20,
    "symbol startTime endTime idLessThan limit orderId tpslType",
)
def _history(call: Call) -> object:
    call.choice("tpslType", "normal", default="normal")
    rows = [row for row in call.visible() if orders.is_done(row) and call.get("orderId", row.id) == row.id]
    extra = {"triggerPrice": None, "tpslType": "normal"}
    return [_order(order) | extra for order in call.page(rows, days=90, span=90)]


@endpoint("GET /api/v2/spot/trade/fills", "read", 10, "symbol orderId startTime endTime limit idLessThan")
def _fills(call: Call) -> object:
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
        for row in call.page(orders.executions(call), days=90, span=90)
    ]


def _common(order: Order) -> dict[str, object]:
    return {
        "userId": cast(BitgetAccount, order.account).user_id,
        "symbol": order.pair.symbol,
        **orders.ids(order),
        "orderType": order.kind,
        "side": order.side,
        "status": orders.status(order),
        "enterPointSource": "API",
        "orderSource": "market" if order.kind == "market" else "normal",
        "cTime": str(order.created_ms),
        "uTime": str(order.updated_ms),
    }


def _order(order: Order) -> dict[str, object]:
    return {
        **_common(order),
        "price": plain(order.price),
        "size": f"{order.budget or order.quantity:.16f}",
        "priceAvg": f"{order.average_price:.16f}",
        "baseVolume": f"{order.filled:.16f}",
        "quoteVolume": f"{order.value:.16f}",
        "cancelReason": "normal_cancel" if order.status == "canceled" else "",
        "feeDetail": _fee_text(order),
    }


def _fee_text(order: Order) -> str:
    if not order.filled:
        return ""
    fee = plain(-order.fee)  # JSON within JSON, and its numbers are numbers
    new = f'{{"c":0,"d":0,"deduction":false,"r":{fee},"t":{fee},"totalDeductionFee":0}}'
    old = f'{{"deduction":false,"feeCoinCode":"{order.gets}","totalDeductionFee":0,"totalFee":{fee}}}'
    return f'{{"newFees":{new},"{order.gets}":{old}}}'


# Plan orders. `force` is not documented for them; ccxt sends it.


@endpoint(
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
    orders.check_client_id(call, call.get("clientOid"))
    trigger = call.number("triggerPrice", pair.price_places, scale_cause="price scale")
    price = call.number("executePrice", pair.price_places, scale_cause="price scale") if kind == "limit" else ZERO
    size = call.number("size", min(pair.quote_places, pair.price_places) if in_quote else pair.quantity_places)
    if (size if in_quote else size * (price or trigger)) < pair.min_value:
        raise call.refused("value", f"less than the minimum amount {plain(pair.min_value)} USDT")
    return orders.ids(
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


@endpoint("POST /api/v2/spot/trade/cancel-plan-order", "trade", 20, "orderId clientOid")
def _cancel_plan(call: Call) -> object:
    order_id, client_id = call.get("orderId"), call.get("clientOid")
    for plan in _plans(call):
        if plan.status == "open" and (plan.id == order_id if order_id else plan.client_id == client_id):
            call.exchange.ledger.cancel_plan(plan)
            return {"result": "success"}
    raise call.refused("no plan")


@endpoint("POST /api/v2/spot/trade/batch-cancel-plan-order", "trade", 5, "symbolList[]")
def _cancel_plans(call: Call) -> object:
    symbols = call.texts("symbolList")  # none means every market
    pairs = [call.pair(symbol) for symbol in symbols] or call.pairs()
    chosen = [plan for plan in _plans(call) if plan.status == "open" and plan.pair in pairs]
    for plan in chosen:
        call.exchange.ledger.cancel_plan(plan)
    return {"successList": [orders.ids(plan) for plan in chosen], "failureList": []}


@endpoint("GET /api/v2/spot/trade/current-plan-order", "read", 20, "symbol limit idLessThan startTime endTime")
def _current_plans(call: Call) -> object:
    return _plan_page(call, [plan for plan in _plans(call) if plan.status == "open"])


@endpoint("GET /api/v2/spot/trade/history-plan-order", "read", 20, "symbol! startTime! endTime! limit idLessThan")
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
                **orders.ids(plan),
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


@endpoint("GET /api/v2/spot/trade/plan-sub-order", "read", 20, "planOrderId!")
def _plan_sub_order(call: Call) -> object:
    return [
        {"orderId": plan.order.id, "price": plain(plan.order.price), "type": plan.kind, "status": "success"}
        for plan in _plans(call)
        if plan.id == call.get("planOrderId") and plan.order is not None
    ]
