"""What a person's sales of a day brought, by the average cost of what was sold, as far as the bot saw it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, localcontext

from bot.store.database import Connection
from bot.trading import queries
from bot.trading.amounts import EXACT
from bot.trading.orders import OrderRow, row_of
from bot.trading.pnl import Trade, of_order, reckon

DAY_MS = 86_400_000


def of_day(db: Connection, user_id: int, *, is_paper: bool, now_ms: int) -> Decimal:
    """Return what a person's sales of this UTC day brought above the average cost of what was sold, in USDT.

    Average cost is that of `bot.trading.pnl`. What was sold beyond what the bot saw bought has no known cost and counts
    neither as gain nor as loss; fees in a third asset are not counted. Each order's own worth turns quote into USDT.
    """
    trades: list[Trade] = []
    rates: dict[tuple[int, str, str], Decimal] = {}
    with localcontext(EXACT):
        for row in _of_pairs_sold(db, user_id, midnight(now_ms)):
            worth = worth_of(row)
            if row.exchange.endswith(":paper") == is_paper and worth is not None and row.notional:
                made = list(of_order(db, row))
                trades += made
                rates |= {_order(each): worth / row.notional for each in made}
        gains = (each for each in reckon(trades).gains if each.trade.at_ms >= midnight(now_ms))
        result = sum((each.realised * rates[_order(each.trade)] for each in gains), start=Decimal(0))
        return result.quantize(Decimal("1e-8"))


def _of_pairs_sold(db: Connection, user_id: int, since_ms: int) -> Iterator[OrderRow]:
    """Yield all that filled of what the person sold something of since; nothing else can have brought anything."""
    # A plus keeps SQLite from an index by which it would read years.
    sold = "SELECT DISTINCT account_id, symbol FROM orders WHERE side='sell' AND +filled<>'0' AND updated_ms>=?"
    live = f"{sold} AND {queries.UNSETTLED_OF_USER}"
    ended = f"{sold} AND +user_id=? AND state IN ('filled', 'canceled')"
    pairs = {tuple(row) for query in (live, ended) for row in db.execute(query, (since_ms, user_id)).fetchall()}
    query = "SELECT * FROM orders WHERE user_id=? AND account_id=? AND symbol=? AND filled<>'0'"
    for pair in sorted(pairs):
        yield from map(row_of, db.execute(query, (user_id, *pair)).fetchall())


def _order(trade: Trade) -> tuple[int, str, str]:
    return trade.account_id, trade.symbol, trade.order_id


def worth_of(row: OrderRow) -> Decimal | None:
    """Return what an order is worth in USDT, as it was frozen. One that was found at the exchange may tell nothing."""
    frozen = (row.params.get("limits") or {}).get("worth")
    if frozen is not None:
        return Decimal(frozen)
    return row.notional if row.market.quote == "USDT" else None


def midnight(now_ms: int) -> int:
    """Return when the UTC day began, in UTC ms."""
    return now_ms - now_ms % DAY_MS
