"""Whether an order is within its owner's limits: by what it is, and by what its owner sent before.

Asked for the preview, and again in the transaction that lets the order leave, with the facts frozen in its row. So of
two orders that are confirmed at once, the second sees the first.

An order is worth its notional, in USDT by the exchange's own ticker when the preview was made. Where there is no such
ticker the worth is unknown, and with any limit in money set the order is refused.

The day is that of UTC. Its notional is what was sent in it, whole, but for orders that the exchange refused or never
had; of a canceled one, what was filled. Its loss stops buying, never selling: nobody is locked into what they hold.
Paper trading has the same limits, counted apart from real money.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_UP, Decimal, localcontext

import msgspec

from bot.contract.errors import UserError
from bot.contract.models import Ticker
from bot.store.database import Connection
from bot.trading import profit, queries
from bot.trading.amounts import EXACT, format_amount, format_money, format_percent
from bot.trading.draft import Draft
from bot.trading.law import DOUBTFUL
from bot.trading.limits import Limits
from bot.trading.orders import OrderRow, as_text, row_of

SAME_ORDER_MS = 60_000
_BURST_MS = 10_000
_MINUTE_MS = 60_000
_LARGE_FACTOR = 10
_LARGE_SAMPLE = 50
_LARGE_LEAST = 5
_FINE = Decimal("1e-8")


class LimitReached(UserError):
    """A limit forbids an order.

    Args:
        text: What a person is told.
        code: Which limit.
        most: The worth in USDT that it would let through, where a smaller order would help.
    """

    def __init__(self, text: str, *, code: str, most: Decimal | None = None) -> None:
        self.most = most
        super().__init__(text, code=code)


class Facts(msgspec.Struct, frozen=True):
    """What limits look at in one order; frozen with it.

    Attributes:
        worth: In USDT, `None` where nobody can tell.
        through: How far the limit price goes through the market, as a fraction; 0 when it rests, `None` unless it is a
            limit order whose market is known.
        slippage: How much worse than the best price a market order is expected to be, as a fraction.
    """

    worth: Decimal | None
    through: Decimal | None
    slippage: Decimal | None

    def to_params(self) -> dict[str, str | None]:
        """Return plain values, to be frozen in the order's row."""
        return {name: as_text(getattr(self, name)) for name in ("worth", "through", "slippage")}


UNKNOWN = Facts(None, None, None)


def facts_of(row: OrderRow) -> Facts:
    """Return the facts that were frozen with an order. One that was found at the exchange may have none."""
    found: Mapping[str, str | None] = row.params.get("limits") or {}
    through, slippage = found.get("through"), found.get("slippage")
    return Facts(
        worth=profit.worth_of(row),
        through=None if through is None else Decimal(through),
        slippage=None if slippage is None else Decimal(slippage),
    )


def facts(draft: Draft, ticker: Ticker | None, rate: Decimal | None) -> Facts:
    """Return what limits look at in a draft.

    Args:
        draft: The order as it would be sent.
        ticker: The market's price, if known.
        rate: USDT for one of the quote asset, if known.
    """
    with localcontext(EXACT):
        worth = None if rate is None else (draft.notional_estimate * rate).quantize(_FINE, ROUND_UP)
        return Facts(worth, _through(draft, ticker), draft.slippage)


def _through(draft: Draft, ticker: Ticker | None) -> Decimal | None:
    if draft.price is None:
        return None
    is_buy = draft.side == "buy"
    market = draft.stop_price or (ticker and ((ticker.ask if is_buy else ticker.bid) or ticker.last))
    if not market:
        return None
    distance = draft.price / market - 1
    return max(distance if is_buy else -distance, Decimal(0)).quantize(_FINE, ROUND_UP)


def check(db: Connection, limits: Limits, order: Order, now_ms: int) -> None:
    """Refuse an order that a limit forbids, by its own facts and by what its owner sent before.

    Raises:
        UserError: `LIMIT_PAIR`, `LIMIT_ORDER`, `LIMIT_DAY`, `LIMIT_LOSS`, `LIMIT_OPEN`, `LIMIT_RATE`, `LIMIT_COLLAR`,
            `LIMIT_SLIPPAGE` or `NO_WORTH`; the text says what the limit is, and the code leads to what helps.
    """
    _check_itself(limits, order)
    if limits.day is None and limits.open is None and limits.minute is None and limits.loss is None:
        return
    if limits.day is not None:
        _check_day(limits.day, order, _sent_since(db, order, profit.midnight(now_ms)))
    if limits.open is not None and _open_orders(db, order, limits.open) == limits.open:
        text = f"You have as many orders open or in doubt as your limit allows: {limits.open}."
        raise LimitReached(text, code="LIMIT_OPEN")
    if limits.minute is not None:
        _check_rate(limits.minute, _sent_since(db, order, now_ms - _MINUTE_MS + 1), now_ms)
    if limits.loss is not None and order.side == "buy":
        lost = -profit.of_day(db, order.user_id, is_paper=order.is_paper, now_ms=now_ms)
        if lost >= limits.loss:
            text = f"You lost {format_money(lost)} USDT today, and your limit is {format_amount(limits.loss)} USDT."
            raise LimitReached(f"{text} Buying opens again at 00:00 UTC; selling stays possible.", code="LIMIT_LOSS")


class Order(msgspec.Struct, frozen=True):
    """What `check` looks at: an order that is previewed, or one that is about to leave."""

    user_id: int
    exchange: str
    symbol: str
    side: str
    facts: Facts
    is_limit: bool = False
    id: int | None = None

    @property
    def is_paper(self) -> bool:
        """Whether no real money moves."""
        return self.exchange.endswith(":paper")


def order_of(row: OrderRow) -> Order:
    """Return what `check` looks at in a stored order."""
    is_limit = row.params["price"] is not None
    return Order(row.user_id, row.exchange, row.symbol, row.side, facts_of(row), is_limit, row.id)


def _check_itself(limits: Limits, order: Order) -> None:
    found = order.facts
    if limits.pairs is not None and order.symbol not in limits.pairs:
        allowed = ", ".join(sorted(limits.pairs)) or "none"
        raise LimitReached(f"{order.symbol} is not among the pairs that you may trade: {allowed}.", code="LIMIT_PAIR")
    if found.worth is None and limits.counts_money:
        quote = order.symbol.partition("/")[2]
        text = f"Nobody can tell just now what {quote} is worth in USDT there, and your limits count in USDT."
        raise UserError(f"{text} Try again, or trade a pair in USDT.", code="NO_WORTH")
    if limits.order is not None and found.worth is not None and found.worth > limits.order:
        text = f"The order is worth {_dear(found.worth)} USDT, and your limit for one order is"
        raise LimitReached(f"{text} {format_amount(limits.order)} USDT.", code="LIMIT_ORDER", most=limits.order)
    if limits.collar is not None and found.through is not None and found.through * 100 > limits.collar:
        text = f"The price is {format_percent(found.through)} through the market, and your limit is"
        raise LimitReached(
            f"{text} {format_amount(limits.collar)}%. Check it for a slip of the finger.", code="LIMIT_COLLAR"
        )
    if limits.collar is not None and order.is_limit and found.through is None:
        text = f"The exchange shows no price for {order.symbol} just now, so nobody can tell whether yours is a slip"
        raise UserError(f"{text} of the finger. Try again.", code="NO_PRICE")
    if limits.slippage is not None and found.slippage is not None and found.slippage * 100 > limits.slippage:
        text = f"The book is thin: on average the price is {format_percent(found.slippage)} worse than the best,"
        raise LimitReached(
            f"{text} and your limit is {format_amount(limits.slippage)}%. Give a price (@).", code="LIMIT_SLIPPAGE"
        )


def _check_day(most: Decimal, order: Order, today: list[OrderRow]) -> None:
    used, worth = sum(map(_used, today), Decimal(0)), order.facts.worth or Decimal(0)
    if used + worth > most:
        left = max(most - used, Decimal(0))
        text = f"The order is worth {_dear(worth)} USDT, and {format_money(left)} of {format_amount(most)} USDT"
        raise LimitReached(f"{text} are left for today. The day ends at 00:00 UTC.", code="LIMIT_DAY", most=left)


def _check_rate(most: int, sent: list[OrderRow], now_ms: int) -> None:
    for span_ms, allowed in ((_BURST_MS, -(-most // 2)), (_MINUTE_MS, most)):
        # One from the future counts as well: the clock was set back since.
        recent = sorted(row.sent_ms for row in sent if row.sent_ms and row.sent_ms > now_ms - span_ms)
        if len(recent) >= allowed:
            wait = max(1, -(-(recent[-allowed] + span_ms - now_ms) // 1000))
            text = f"That is more than {allowed} orders within {span_ms // 1000} seconds, your limit."
            raise LimitReached(f"{text} Try again in {wait} seconds.", code="LIMIT_RATE")


def needs_code(limits: Limits, found: Facts) -> bool:
    """Say whether an order needs a code of the second factor."""
    return limits.code is not None and (found.worth is None or found.worth > limits.code)


def needs_approval(limits: Limits, found: Facts) -> bool:
    """Say whether an order needs the approval of somebody else."""
    return limits.approval is not None and (found.worth is None or found.worth > limits.approval)


def warnings(db: Connection, order: Order, draft: Draft, now_ms: int) -> tuple[str, ...]:
    """Return what is to be said loudly of an order that may be a slip of the finger; none of it blocks."""
    query = "SELECT * FROM orders WHERE user_id=? AND sent_ms IS NOT NULL ORDER BY id DESC LIMIT ?"
    rows = map(row_of, db.execute(query, (order.user_id, _LARGE_SAMPLE)).fetchall())
    sent = [row for row in rows if _is_alike(row, order)]
    found = []
    worths = sorted(worth for row in sent if (worth := facts_of(row).worth))
    if order.facts.worth is not None and len(worths) >= _LARGE_LEAST:
        usual = worths[len(worths) // 2]
        if order.facts.worth >= usual * _LARGE_FACTOR:
            times = int(order.facts.worth / usual)
            found.append(f"This order is {times} times as large as your usual one of {format_money(usual)} USDT.")
    # What came to nothing does not count, and of a doubt its own warning tells.
    counts = [row for row in sent if row.state not in ("rejected", "not_placed", *DOUBTFUL)]
    same = [row for row in counts if _is_same(row, order, draft) and (row.sent_ms or 0) > now_ms - SAME_ORDER_MS]
    if same:
        seconds = max(0, now_ms - (same[0].sent_ms or 0)) // 1000
        found.append(f"You sent the same order {seconds} seconds ago: #{same[0].id}. This one comes on top of it.")
    return tuple(found)


def _is_same(row: OrderRow, order: Order, draft: Draft) -> bool:
    was = row.order
    key = (row.exchange, row.symbol, row.side, was.type, was.size, was.price, was.stop_price)
    return key == (order.exchange, order.symbol, draft.side, draft.type, draft.size, draft.price, draft.stop_price)


def _sent_since(db: Connection, order: Order, since_ms: int) -> list[OrderRow]:
    """Return what the person sent since, on paper or not as `order`, but for `order` itself."""
    query = "SELECT * FROM orders WHERE user_id=? AND sent_ms>=?"
    found = map(row_of, db.execute(query, (order.user_id, since_ms)).fetchall())
    return [row for row in found if row.id != order.id and _is_alike(row, order)]


def _open_orders(db: Connection, order: Order, most: int) -> int:
    """Count what the person has open or in doubt, but no further than `most`."""
    query = (
        "SELECT count(*) AS n FROM (SELECT 1 FROM orders WHERE id IS NOT ? AND exchange LIKE '%:paper' = ?"  # noqa: S608  # our words
        f" AND {queries.UNSETTLED_OF_USER} LIMIT ?)"
    )
    return int(db.execute(query, (order.id, order.is_paper, order.user_id, most)).fetchone()["n"])


def _is_alike(row: OrderRow, order: Order) -> bool:
    return row.exchange.endswith(":paper") == order.is_paper


def _used(row: OrderRow) -> Decimal:
    worth = facts_of(row).worth or Decimal(0)
    if row.state in ("rejected", "not_placed"):
        return Decimal(0)
    if row.state != "canceled":
        return worth
    share = row.filled / row.quantity if row.quantity else Decimal(0)
    return worth * min(share, Decimal(1))


def _dear(worth: Decimal) -> str:
    """Write a worth so that it never reads as the limit that it is above."""
    return format_amount(worth.normalize())
