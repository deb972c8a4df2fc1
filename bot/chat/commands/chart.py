"""/chart: how a price went, as a picture; in private with one's own fills, orders and alerts."""

from __future__ import annotations

from decimal import Decimal
from typing import cast, get_args

from bot.chat.commands.prices import exchanges_of
from bot.chat.numbers import format_price
from bot.chat.parse import parse_pair
from bot.chat.pictures import Chart, Mark, Pictures
from bot.chat.registry import Call, Command
from bot.chat.reply import Photo
from bot.contract.errors import UserError
from bot.contract.models import INTERVALS, Interval, Market
from bot.store.database import Connection
from bot.trading import queries
from bot.trading.law import LIVE
from bot.trading.pnl import of_journal

_MOST = 96
_USUAL: Interval = "1h"
_PICTURES = Pictures()


async def chart(call: Call) -> None:
    """Send the picture of a pair's price."""
    pair, interval = _asked(call.args)
    services, end_ms = call.services, call.services.clock.now_ms()
    exchange = (await exchanges_of(call))[0]
    market = (await services.gateway.symbols(exchange.info.id)).resolve(pair)
    begin_ms = end_ms - _MOST * INTERVALS[interval]
    candles = await services.gateway.candles(exchange.info.id, market, interval, begin_ms, end_ms)
    if candles is None:
        raise UserError(f"{exchange.info.title} shows no candles here. /price {market.symbol} tells its price.")
    if not candles:
        raise UserError(f"{exchange.info.title} has no candles of {market.symbol}. Try another length, such as 1d.")
    marks = await call.read(lambda db: _marks(db, call, market)) if call.who.is_private else ()
    title = f"{market.symbol} · {interval} · {exchange.info.title}"
    picture = await _PICTURES.of(Chart(title, interval, tuple(candles[-_MOST:]), marks))
    last = format_price(candles[-1].close, market.price_step)
    caption = f"{market.symbol} {last} · {exchange.info.title}{exchange.info.mark}. Times are UTC."
    await services.sender.photo(
        Photo(picture, caption), chat_id=call.who.chat_id, user_id=call.who.user_id, thread_id=call.who.thread_id
    )


def _asked(args: str) -> tuple[str, Interval]:
    known = get_args(Interval)
    words = args.split()
    last = words[-1].lower() if len(words) > 1 else ""
    if last in known:
        return parse_pair(" ".join(words[:-1])), cast(Interval, last)
    if last[:1].isdigit():
        raise UserError(f"Candles can be {', '.join(known)} long. Write it such as /chart BTC/USDT 1h.")
    return parse_pair(args), _USUAL


def _marks(db: Connection, call: Call, market: Market) -> tuple[Mark, ...]:
    user_id, found = call.who.user_id, []
    for row in db.execute("SELECT id, exchange, paper FROM accounts WHERE user_id=?", (user_id,)).fetchall():
        trades, _ = of_journal(db, user_id, row["id"], row["exchange"] + (":paper" if row["paper"] else ""))
        found += [Mark(each.side, each.price, each.at_ms) for each in trades if each.symbol == market.symbol]
    for order in queries.in_states(db, LIVE):
        if order.user_id == user_id and order.symbol == market.symbol:
            if price := order.params.get("price"):
                found.append(Mark("order", Decimal(price), label=f"{order.side} #{order.id}"))
            if price := order.params.get("stop_price"):
                found.append(Mark("stop", Decimal(price), label=f"stop {order.side} #{order.id}"))
    query = "SELECT id, at FROM alerts WHERE user_id=? AND symbol=? AND ended='' AND kind IN ('above', 'below')"
    waiting = db.execute(query, (user_id, market.symbol)).fetchall()
    return (*found, *(Mark("alert", Decimal(row["at"]), label=f"alert #{row['id']}") for row in waiting))


COMMANDS = (
    Command(
        "chart",
        chart,
        "A picture of the price",
        "Look",
        "PAIR [1m | 5m | 15m | 30m | 1h | 4h | 1d]",
        "/chart BTC/USDT 1h",
        details="In your private chat it shows your own fills, open orders, stops and alerts, too.",
        looks=True,
    ),
)
