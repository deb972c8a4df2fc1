"""BitoPro's endpoints."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, cast

from bot.testing.bitopro.call import DAY_MS, BitoProPair, Call, Handler, Right, Shown, refused, status, wire_id
from bot.testing.candles import candles_of
from bot.testing.ledger import ZERO, InsufficientBalance, Order, Plan, plain

if TYPE_CHECKING:
    from bot.testing.bitopro.exchange import StrictBitoPro

BODY_FIELDS = {"pair", "type", "condition", "action", "amount", "price", "stopPrice", "timeInForce", "clientId"}
STATUS_KINDS = {"OPEN": {-1, 0, 1}, "DONE": {2, 3}, "ALL": set(range(-1, 7))}

# Market data


def _pairs(exchange: StrictBitoPro, call: Call) -> object:
    return {
        "data": [
            {
                "pair": pair.symbol,
                "base": pair.base.lower(),
                "quote": pair.quote.lower(),
                "basePrecision": str(pair.base_places),
                "quotePrecision": str(pair.price_places),
                "minLimitBaseAmount": plain(pair.min_base),
                "maxLimitBaseAmount": plain(pair.max_base),
                "minMarketBuyQuoteAmount": plain(pair.min_market_buy),
                "orderOpenLimit": str(pair.max_open),
                "maintain": pair.maintain,
                "orderBookQuotePrecision": str(pair.price_places),
                "orderBookQuoteScaleLevel": "5",
                "amountPrecision": str(pair.quantity_places),
            }
            for pair in cast(Iterable[BitoProPair], exchange.ledger.pairs.values())
        ]
    }


def _ticker(exchange: StrictBitoPro, call: Call) -> object:
    last = format(call.market().last, ".8f")
    numbers = {"lastPrice": last, "high24hr": last, "low24hr": last, "volume24hr": "9.13089740"}
    # Documented as a list; this is what is really sent.
    return {"data": {"pair": call.market().symbol, "isBuyer": False, "priceChange24hr": "-1.99", **numbers}}


_STEPS_MS = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "3h": 180, "4h": 240, "6h": 360, "12h": 720, "1d": 1440}


def _candles(exchange: StrictBitoPro, call: Call) -> object:
    step = _STEPS_MS.get(call.query.get("resolution", ""))
    if step is None or not {"from", "to"} <= call.query.keys():
        raise refused(400, "Wrong parameter: resolution")
    rows = candles_of(call.market(), step * 60_000, call.integer("from", 0) * 1000, call.integer("to", 0) * 1000)
    names = ("open", "high", "low", "close")
    return {
        "data": [
            {"timestamp": at, **dict(zip(names, map(plain, prices), strict=True)), "volume": "1.5"}
            for at, *prices in rows
        ]
    }


def _book(exchange: StrictBitoPro, call: Call) -> object:
    limit = call.integer("limit", 5)
    if limit not in (1, 5, 10, 20, 30, 50):
        raise refused(400, "Wrong parameter: limit")
    return {name: _levels(getattr(call.market(), name)[:limit]) for name in ("asks", "bids")}


def _levels(levels: Iterable[tuple[Decimal, Decimal]]) -> list[dict[str, object]]:
    rows, total = [], ZERO
    for price, amount in levels:
        total += amount
        rows.append({"price": plain(price), "amount": plain(amount), "count": 1, "total": plain(total)})
    return rows


# Account and orders


def _balances(exchange: StrictBitoPro, call: Call) -> object:
    account, rows = call.account, []
    assets = {asset for pair in exchange.ledger.pairs.values() for asset in (pair.base, pair.quote)} | set(account.free)
    for asset in sorted(assets):
        total = account.free[asset] + account.locked[asset] + account.staked[asset]
        amounts = {"amount": plain(total), "available": plain(account.free[asset])}
        rows.append({"currency": asset.lower(), **amounts, "stake": plain(account.staked[asset]), "tradable": True})
    return {"data": rows}


def _place(exchange: StrictBitoPro, call: Call) -> object:
    pair, body, ledger = call.market(), call.body, exchange.ledger
    for name in sorted(set(body) - BODY_FIELDS - {"timestamp", "nonce"}):
        raise refused(400, f"Wrong parameter: {name}")
    client_id = body.get("clientId", 1)
    if not isinstance(client_id, int) or not 1 <= client_id <= 2_147_483_647:
        raise refused(400, "Wrong parameter: clientId")
    kind = str(body.get("type", "")).upper()
    if kind not in ("LIMIT", "MARKET", "STOP_LIMIT"):
        raise refused(400, "Unsupported order type")
    side = cast(Literal["buy", "sell"], call.choice("action", "BUY", "SELL").lower())
    terms = call.choice("timeInForce", *(("GTC", "POST_ONLY") if kind == "LIMIT" else ("GTC",)), default="GTC")
    if pair.maintain:
        raise refused(422, "Trading pair is under maintenance")
    label = str(body.get("clientId", ""))
    price, quantity, budget = ZERO, ZERO, ZERO
    if kind == "MARKET" and side == "buy":
        budget = call.number("amount", pair.quote_places, "amount")
        if budget < pair.min_market_buy:
            raise refused(400, f"Invalid amount {body['amount']}")
    else:
        quantity = call.number("amount", pair.quantity_places, "amount")
        if not pair.min_base <= quantity <= pair.max_base:
            raise refused(400, f"Invalid amount {body['amount']}")
    if kind == "MARKET" and ("price" in body or "stopPrice" in body):
        raise refused(400, "Wrong parameter: price")
    if kind != "MARKET":
        price = call.number("price", pair.price_places, "price")
    if sum(status(row) in (-1, 0, 1) and row.pair is pair for row in exchange.shown(call.account)) >= pair.max_open:
        raise refused(400, "Too many open orders")
    row: Shown
    if kind == "STOP_LIMIT":
        trigger = call.number("stopPrice", pair.price_places, "price")
        rising = call.choice("condition", ">=", "<=") == ">="
        row = ledger.place_plan(
            call.account, pair, side, "limit", trigger=trigger, size=quantity, price=price, client_id=label
        )
        row.is_rising = rising  # told, and not guessed from where the price is
        ledger.set_book(pair.symbol, pair.bids, pair.asks, last=pair.last)  # it may fire at once
    else:
        try:
            row = ledger.place(
                call.account,
                pair,
                side,
                "limit" if kind == "LIMIT" else "market",
                price=price,
                quantity=quantity,
                budget=budget,
                post_only=terms == "POST_ONLY",
                client_id=label,
            )
        except InsufficientBalance:
            coin, need = (pair.quote, budget or quantity * price) if side == "buy" else (pair.base, quantity)
            free = plain(call.account.free[coin])
            text = f"Balance for {coin.lower()} not enough, only has {free}, but ordered {plain(need)}."
            raise refused(400, text) from None
    answer = {"action": body["action"], "amount": body["amount"], "price": plain(price), "timeInForce": terms}
    labelled = {"clientId": client_id} if label else {}
    ours = wire_id(row) if exchange.tells_prefix else row.id
    return {"orderId": ours, **answer, "timestamp": row.created_ms, **labelled}


def _cancel(exchange: StrictBitoPro, call: Call) -> object:
    row = exchange.find(call)
    if row is None:
        raise refused(404)
    if status(row) not in (-1, 0, 1):
        raise refused(422)
    _end(exchange, row)
    size = plain(row.size if isinstance(row, Plan) else row.quantity)
    return {
        "orderId": wire_id(row),
        "action": row.side.upper(),
        "amount": size,
        "price": plain(row.price),
        "timestamp": row.updated_ms,
    }


def _end(exchange: StrictBitoPro, row: Shown) -> None:
    if isinstance(row, Plan):
        exchange.ledger.cancel_plan(row)
    else:
        exchange.ledger.cancel(row)


def _cancel_all(exchange: StrictBitoPro, call: Call) -> object:
    ended: dict[str, list[str]] = {}
    for row in exchange.shown(call.account):
        if status(row) in (-1, 0, 1) and row.pair is (call.pair or row.pair):
            _end(exchange, row)
            ended.setdefault(row.pair.symbol.upper(), []).append(wire_id(row))
    return {"data": ended}


def _open_orders(exchange: StrictBitoPro, call: Call) -> object:
    pair = call.query.get("pair", "").lower()
    if pair and pair not in exchange.ledger.pairs:
        raise refused(404)
    rows = [row for row in exchange.shown(call.account) if status(row) in (-1, 0, 1)]
    rows.sort(key=lambda row: row.updated_ms, reverse=True)
    return {"data": [order_row(exchange, row) for row in rows if pair in ("", row.pair.symbol)]}


def _one_order(exchange: StrictBitoPro, call: Call) -> object:
    row = exchange.find(call)
    if row is None and exchange.unknown_order == "404":
        raise refused(404)
    return {"id": ""} if row is None else order_row(exchange, row)


def _history(exchange: StrictBitoPro, call: Call) -> object:
    kind = call.query.get("statusKind", "ALL")
    if kind not in STATUS_KINDS:
        raise refused(400, "Wrong parameter: statusKind")
    wanted = {call.integer("status", 0)} if "status" in call.query else STATUS_KINDS[kind]
    label = str(call.integer("clientId", 0)) if "clientId" in call.query else ""
    rows = [row for row in exchange.shown(call.account) if row.pair is call.market() and status(row) in wanted]
    rows = [row for row in rows if label in ("", exchange.client_id(row))]
    first = call.integer("orderId", 10**20)
    rows = [row for row in rows if int(row.id) <= first and _is_within(exchange, call, row.created_ms)]
    return {"data": [order_row(exchange, row) for row in rows[: _count(call)]]}


def _trades(exchange: StrictBitoPro, call: Call) -> object:
    first, order_id = call.integer("tradeId", 10**20), call.query.get("orderId", "")
    rows = [
        {
            "tradeId": each.id,
            "orderId": each.order.id,
            "price": plain(each.price),
            "action": each.order.side.upper(),
            "baseAmount": plain(each.quantity),
            "quoteAmount": plain(each.quantity * each.price),
            "fee": plain(each.fee),
            "feeSymbol": each.order.gets,
            "isTaker": not each.is_maker,
            "timestamp": each.created_ms,
            "createdTimestamp": each.created_ms,
        }
        for each in reversed(exchange.ledger.executions)
        if each.order.account is call.account
        and each.pair is call.market()
        and not each.order.hidden
        and order_id in ("", each.order.id)
        and int(each.id) <= first  # the row at the border comes again
        and _is_within(exchange, call, each.created_ms)
    ]
    return {"data": rows[: _count(call)]}


def _count(call: Call) -> int:
    limit = call.integer("limit", 100)
    if not 1 <= limit <= 1000:
        raise refused(400, "Wrong parameter: limit")
    return limit


def _is_within(exchange: StrictBitoPro, call: Call, at_ms: int) -> bool:
    now = exchange.clock()
    end = call.integer("endTimestamp", now)
    start = call.integer("startTimestamp", end - 90 * DAY_MS)
    if end - start > 90 * DAY_MS:
        raise refused(400, "Wrong parameter: startTimestamp")
    return max(start, now - 90 * DAY_MS) <= at_ms <= end


def order_row(exchange: StrictBitoPro, row: Shown) -> dict[str, object]:
    """Return an order as every list shows it."""
    if isinstance(row, Plan):
        amounts = (row.size, row.size, ZERO, ZERO, ZERO, ZERO)
        rising = ">=" if row.is_rising else "<="
        kind, stop = "STOP_LIMIT", {"stopPrice": plain(row.trigger), "condition": rising}
    else:
        amount = row.quantity or row.budget
        left = amount - (row.filled if row.quantity else row.value)
        amounts = (amount, left, row.filled, row.average_price, row.fee, row.value)
        kind, stop = row.kind.upper(), {}
    original, remaining, executed, average, fee, total = map(plain, amounts)
    label = exchange.client_id(row)
    return {
        "id": wire_id(row),
        "pair": row.pair.symbol,
        "price": plain(row.price),
        "avgExecutionPrice": average,
        "action": row.side.upper(),
        "type": kind,
        "timestamp": row.updated_ms,
        "status": status(row),
        "originalAmount": original,
        "remainingAmount": remaining,
        "executedAmount": executed,
        "fee": fee,
        "feeSymbol": (row.pair.base if row.side == "buy" else row.pair.quote).lower(),
        "bitoFee": "0",
        "total": total,
        "seq": f"{row.pair.base}{row.pair.quote}{row.id}",
        "timeInForce": "POST_ONLY" if isinstance(row, Order) and row.post_only else "GTC",
        "createdTimestamp": row.created_ms,
        "updatedTimestamp": row.updated_ms,
        **stop,
        **({"clientId": int(label)} if label else {}),
    }


PAIR, ID = r"(?P<pair>\w+_\w+)", r"(?P<id>[\w-]+)"
ROUTES: tuple[tuple[str, str, Right, Handler], ...] = (
    ("GET", "/provisioning/trading-pairs", "public", _pairs),
    ("GET", f"/tickers/{PAIR}", "public", _ticker),
    ("GET", f"/order-book/{PAIR}", "public", _book),
    ("GET", f"/trading-history/{PAIR}", "public", _candles),
    ("GET", "/accounts/balance", "read", _balances),
    ("POST", f"/orders/{PAIR}", "order", _place),
    ("DELETE", "/orders/all", "order", _cancel_all),
    ("DELETE", f"/orders/{PAIR}", "order", _cancel_all),
    ("DELETE", f"/orders/{PAIR}/{ID}", "order", _cancel),
    ("GET", "/orders/open", "read", _open_orders),
    ("GET", f"/orders/all/{PAIR}", "read", _history),
    ("GET", f"/orders/trades/{PAIR}", "read", _trades),
    ("GET", f"/orders/{PAIR}/{ID}", "read", _one_order),
)
PER_SECOND: dict[Handler, int] = {_open_orders: 5, _cancel_all: 1}
