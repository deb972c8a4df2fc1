"""How orders of a paper account fill. Pure, and exact: nothing is rounded, nothing gets lost.

A taking order walks the book that is shown to it. A resting order fills at its own price once the book reaches it, by
at most the quantity of the best level opposite, shared among the account's orders: the queue in front of us is
unknown, and a simulator that fills everything at a touch promises too much. A book that has not changed fills nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TypeAlias

from bot.contract.models import Fill, Market, OrderBook, ReportState
from bot.exchanges.paper.state import PaperOrder, PaperState, Refusal, exact

Level: TypeAlias = tuple[Decimal, Decimal]
Levels: TypeAlias = Sequence[Level]

_ZERO = Decimal(0)


def place(state: PaperState, order: PaperOrder, book: OrderBook, market: Market, now_ms: int) -> None:
    """Take `order` into the account and fill what fills at once. `order` is changed.

    Raises:
        Refusal: Nothing was changed.
    """
    with exact():
        _check(state, order, book, market)
        spends, needed = _needed(order, book, market)
        free = state.free.get(spends, _ZERO)
        if needed > free:
            raise Refusal("INSUFFICIENT_FUNDS", f"this needs {needed:f} {spends}, and {free:f} {spends} is free")
        order.id, state.next_id = state.next_id, state.next_id + 1
        order.spends, order.fee_asset = spends, market.base if order.side == "buy" else market.quote
        order.created_ms = now_ms
        _hold(state, order, needed)
        state.orders.append(order)
        state.seen[order.symbol] = _top(book)
        if order.stop_price is None:
            _take(state, order, book, market, now_ms)
            return
        seen = order.reference_price or middle(book)
        order.waiting = True
        order.rises = order.side == "buy" if seen is None else order.stop_price > seen
        if _is_triggered(order, book):
            _trigger(state, order, book, market, now_ms)


def settle(state: PaperState, symbol: str, book: OrderBook, market: Market, now_ms: int) -> None:
    """Let the book act on the account's resting and waiting orders of `symbol`."""
    if market.status != "online" or state.seen.get(symbol) == _top(book):
        return
    with exact():
        state.seen[symbol] = _top(book)
        mine = [order for order in state.orders if order.symbol == symbol and order.is_open]
        triggered = [order for order in mine if order.waiting and _is_triggered(order, book)]
        for side in ("buy", "sell"):
            resting = [order for order in mine if order.side == side and not order.waiting]
            _rest(state, resting, _opposite(side, book), market, now_ms)
        for order in triggered:
            _trigger(state, order, book, market, now_ms)


def cancel(state: PaperState, order_id: str) -> None:
    """Cancel one order and release what it holds.

    Raises:
        Refusal: There is no such order, or it is done.
    """
    order = find(state, order_id)
    if not order.is_open:
        raise Refusal("ORDER_NOT_FOUND", f"order {order_id} is already {order.state}")
    _end(state, order, "canceled")


def cancel_all(state: PaperState, symbol: str, reason: str = "") -> None:
    """Cancel every open order of `symbol`."""
    for order in state.orders:
        if order.symbol == symbol and order.is_open:
            _end(state, order, "canceled", reason)


def find(state: PaperState, order_id: str) -> PaperOrder:
    """Return one order.

    Raises:
        Refusal: There is no such order.
    """
    for order in state.orders:
        if str(order.id) == order_id:
            return order
    raise Refusal("ORDER_NOT_FOUND", f"there is no order {order_id}")


def middle(book: OrderBook) -> Decimal | None:
    """Return the price that triggers stops and that a ticker shows; `None` for an empty book."""
    best = [levels[0][0] for levels in (book.bids, book.asks) if levels]
    return sum(best, _ZERO) / len(best) if best else None


def _check(state: PaperState, order: PaperOrder, book: OrderBook, market: Market) -> None:
    """Refuse what a real exchange would refuse, except for the balance."""
    if market.status != "online":
        raise Refusal("MARKET_HALTED", f"{market.symbol} is halted")
    if any(each.is_open and each.client_order_id == order.client_order_id for each in state.orders):
        raise Refusal("DUPLICATE_CLIENT_ID", f"an open order has the client order id {order.client_order_id}")
    for name, price in (("price", order.price), ("stop price", order.stop_price)):
        if price is not None and (price <= 0 or price % market.price_step):
            raise Refusal("OFF_STEP", f"the {name} {price:f} is not a multiple of {market.price_step:f} {market.quote}")
    levels = _opposite(order.side, book)
    if order.type == "market" and not levels:
        raise Refusal("NO_LIQUIDITY", f"nobody is on the other side of {market.symbol} now")
    if order.post_only and order.stop_price is None and _reach(levels[:1], order):
        raise Refusal("POST_ONLY", f"a {order.side} at {order.price:f} would take from the book at {levels[0][0]:f}")
    price = order.price or order.stop_price or (levels[0][0] if levels else _ZERO)
    if order.quantity is None:
        _check_funds(order, price, market)
    else:
        _check_quantity(order.quantity, price, market)


def _check_funds(order: PaperOrder, price: Decimal, market: Market) -> None:
    if order.funds is None or order.side == "sell" or order.price is not None:
        raise Refusal("BAD_SIZE", "only a market buy may be sized in quote asset")
    least = max(market.min_notional, market.min_market_buy_quote)
    if order.funds <= 0 or order.funds % market.quote_step:
        raise Refusal("OFF_STEP", f"{order.funds:f} {market.quote} is not a multiple of {market.quote_step:f}")
    if order.funds < least:
        raise Refusal("MIN_NOTIONAL", f"{order.funds:f} {market.quote} is below the minimum of {least:f}")
    if order.funds < price * market.quantity_step:
        step = f"{market.quantity_step:f} {market.base}"
        raise Refusal("MIN_QUANTITY", f"{order.funds:f} {market.quote} buys less than {step}")


def _check_quantity(quantity: Decimal, price: Decimal, market: Market) -> None:
    if quantity <= 0 or quantity % market.quantity_step:
        raise Refusal("OFF_STEP", f"{quantity:f} {market.base} is not a multiple of {market.quantity_step:f}")
    if quantity < market.min_quantity:
        least = f"{market.min_quantity:f} {market.base}"
        raise Refusal("MIN_QUANTITY", f"{quantity:f} {market.base} is below the minimum of {least}")
    if market.max_quantity is not None and quantity > market.max_quantity:
        most = f"{market.max_quantity:f} {market.base}"
        raise Refusal("MAX_QUANTITY", f"{quantity:f} {market.base} is above the maximum of {most}")
    if quantity * price < market.min_notional:
        worth, least = f"{quantity * price:f} {market.quote}", f"{market.min_notional:f} {market.quote}"
        raise Refusal("MIN_NOTIONAL", f"the order is worth {worth}, below the minimum of {least}")


def _needed(order: PaperOrder, book: OrderBook, market: Market) -> tuple[str, Decimal]:
    """Return the asset that the order pays with, and how much is held for it."""
    if order.side == "sell":
        return market.base, order.remaining
    if order.funds is not None:
        return market.quote, order.funds
    price = order.price or (order.stop_price if not order.id else None)
    if price is not None:
        return market.quote, price * order.remaining
    takes, _ = _sweep(order, book.asks, market)
    return market.quote, sum((price * quantity for price, quantity in takes), _ZERO)


def _sweep(order: PaperOrder, levels: Levels, market: Market) -> tuple[list[Level], bool]:
    """Return what the order would take from `levels`, and whether that is all of it."""
    takes: list[Level] = []
    remaining, funds = order.remaining, order.funds
    for price, available in _reach(levels, order):
        wanted = remaining if funds is None else funds // (price * market.quantity_step) * market.quantity_step
        if wanted <= 0:
            return takes, bool(takes)
        quantity = min(available, wanted)
        takes.append((price, quantity))
        if funds is None:
            remaining -= quantity
        else:
            funds -= price * quantity
        if quantity == wanted:
            return takes, True
    return takes, False


def _take(state: PaperState, order: PaperOrder, book: OrderBook, market: Market, now_ms: int) -> None:
    takes, is_all = _sweep(order, _opposite(order.side, book), market)
    if order.time_in_force == "FOK" and not is_all:
        _end(state, order, "canceled", "the book could not fill all of it at once")
        return
    for level in takes:
        _fill(state, order, market, level, now_ms, is_maker=False)
    if is_all:
        _end(state, order, "filled")
    elif order.price is None or order.time_in_force != "GTC":
        _end(state, order, "canceled", "the book held no more at this price")


def _rest(state: PaperState, resting: list[PaperOrder], levels: Levels, market: Market, now_ms: int) -> None:
    if not levels:
        return
    available = levels[0][1]
    best_first = -1 if resting and resting[0].side == "buy" else 1
    for order in sorted(resting, key=lambda each: (best_first * (each.price or _ZERO), each.id)):
        if not available or not _reach(levels[:1], order):
            break
        quantity = min(order.remaining, available)
        available -= quantity
        _fill(state, order, market, (order.price or _ZERO, quantity), now_ms, is_maker=True)
        if not order.remaining:
            _end(state, order, "filled")


def _trigger(state: PaperState, order: PaperOrder, book: OrderBook, market: Market, now_ms: int) -> None:
    order.waiting = False
    _, needed = _needed(order, book, market)
    if needed > order.locked + state.free.get(order.spends, _ZERO):
        _end(state, order, "canceled", f"the stop was reached, but {needed:f} {order.spends} was not free")
        return
    _hold(state, order, needed)
    _take(state, order, book, market, now_ms)


def _fill(
    state: PaperState,
    order: PaperOrder,
    market: Market,
    level: Level,
    now_ms: int,
    *,
    is_maker: bool,
) -> None:
    price, quantity = level
    worth = price * quantity
    spent, received = (worth, quantity) if order.side == "buy" else (quantity, worth)
    fee = received * (market.maker_fee if is_maker else market.taker_fee)
    order.filled += quantity
    order.notional += worth
    order.fee += fee
    order.state = "partially_filled"
    order.locked -= spent
    if order.side == "buy" and order.price is not None:
        _hold(state, order, order.price * order.remaining)  # filled below its limit: the difference is free again
    state.free[order.fee_asset] = state.free.get(order.fee_asset, _ZERO) + received - fee
    state.fills.append(
        Fill(
            trade_id=str(state.next_id),
            exchange_order_id=str(order.id),
            exchange_symbol=order.symbol,
            side=order.side,
            price=price,
            quantity=quantity,
            fee=fee,
            fee_asset=order.fee_asset,
            is_maker=is_maker,
            at_ms=now_ms,
        )
    )
    state.next_id += 1


def _hold(state: PaperState, order: PaperOrder, amount: Decimal) -> None:
    """Hold exactly `amount` for the order."""
    state.free[order.spends] = state.free.get(order.spends, _ZERO) + order.locked - amount
    order.locked = amount


def _end(state: PaperState, order: PaperOrder, outcome: ReportState, reason: str = "") -> None:
    with exact():
        order.state, order.reason, order.waiting = outcome, reason, False
        _hold(state, order, _ZERO)


def _opposite(side: str, book: OrderBook) -> Levels:
    return book.asks if side == "buy" else book.bids


def _reach(levels: Levels, order: PaperOrder) -> list[Level]:
    """Return the levels at or better than the order's limit."""
    limit = order.price
    if limit is None:
        return list(levels)
    return [level for level in levels if (level[0] <= limit if order.side == "buy" else level[0] >= limit)]


def _is_triggered(order: PaperOrder, book: OrderBook) -> bool:
    now = middle(book)
    if now is None or order.stop_price is None:
        return False
    return now >= order.stop_price if order.rises else now <= order.stop_price


def _top(book: OrderBook) -> str:
    """Return the best level of each side as text."""
    return " / ".join(f"{levels[0][0]:f} {levels[0][1]:f}" if levels else "-" for levels in (book.bids, book.asks))
