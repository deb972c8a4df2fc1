"""Looking after what was placed: doubts are settled by asking for the order, never by sending again.

An order is proved absent when its signed request can no longer be accepted (its validity window is over by the
exchange's time, and five seconds more) and three clean looks, five seconds apart, did not show it. A look that
failed is no look. Where the exchange documents no window a machine cannot know: then a person decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from bot.accounts.people import AccountRow
from bot.clock import Clock
from bot.contract.errors import BotError, ExchangeError, OrderNotFound
from bot.contract.models import OrderReport
from bot.store.database import Connection, Store
from bot.trading import journal
from bot.trading.gateway import Gateway
from bot.trading.law import LIVE
from bot.trading.orders import OrderRow

log = logging.getLogger(__name__)

_MARGIN_MS = 5_000
_MISSES = 3
_HUMAN_AFTER_MS = 120_000
_DOUBT_SECONDS = (1, 2, 4, 8, 15, 30, 60)
_LIVE_SECONDS = ((10, 0.5), (60, 2.0), (600, 5.0), (3600, 15.0))  # (age up to, ask every)
_STREAMED_SECONDS = 15.0
_LATE_SECONDS = 600.0
_AT_ONCE = 8
_PATIENCE_SECONDS = 0.5
_NO_ANSWER_EVER = {
    "UNSUPPORTED": "The exchange cannot be asked for it.",
    "AMBIGUOUS": "The exchange shows several orders like it, and does not tell which it is.",
}
_SAME_TIME_MS = 60_000


class Reconciler:
    """Asks after every order that is open or in doubt, and commits what it learns.

    Args:
        store: The database.
        gateway: The way to the exchanges.
        clock: Ours.
        told: Called after each commit that leaves something to tell.

    Attributes:
        streamed: Accounts, each with its exchange, that are told by themselves when an order changes; their live
            orders are asked after less often once they are ten seconds old.
    """

    def __init__(self, store: Store, gateway: Gateway, clock: Clock, told: Callable[[], None]) -> None:
        self._store = store
        self._gateway = gateway
        self.streamed: set[tuple[int, str]] = set()
        self._clock = clock
        self._told = told
        self._due: dict[int, float] = {}
        self._tries: dict[int, int] = {}
        self._looking: dict[int, asyncio.Future[None]] = {}
        self._gates: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(_AT_ONCE))
        self._wake = asyncio.Event()

    def watch(self, order_id: int) -> None:
        """Ask after this order at once."""
        self._due[order_id] = 0.0
        self._tries.pop(order_id, None)
        self._wake.set()

    async def run(self) -> None:
        """Look after orders until cancelled."""
        try:
            await self._run()
        finally:
            for look in list(self._looking.values()):
                look.cancel()

    async def _run(self) -> None:
        while True:
            try:
                pause = await self.step()
            except BotError as error:
                log.error("looking after orders failed: %s", error)
                pause = 1.0
            except Exception:
                log.exception("looking after orders failed")
                pause = 1.0
            self._wake.clear()
            timer = asyncio.ensure_future(self._clock.sleep(pause))
            waker = asyncio.ensure_future(self._wake.wait())
            try:
                await asyncio.wait((timer, waker), return_when=asyncio.FIRST_COMPLETED)
            finally:
                timer.cancel()
                waker.cancel()

    async def step(self) -> float:
        """Expire what is due, ask after every order whose turn it is, and return the seconds until the next turn.

        Waits for the answers for half a second at most; later ones are committed when they come.
        """
        now_ms = self._clock.now_ms()
        expired, rows = await self._store.run(lambda db: (journal.expire_old(db, now_ms), journal.watched(db, now_ms)))
        if expired:
            self._told()
        for gone in self._due.keys() - {row.id for row in rows}:
            del self._due[gone]
            self._tries.pop(gone, None)
        now = self._clock.monotonic()
        for row in rows:
            if self._due.get(row.id, 0.0) <= now and row.id not in self._looking and row.state != "sending":
                self._due[row.id] = now + self._interval(row)
                self._looking[row.id] = asyncio.ensure_future(self._look(row))
        if self._looking:  # one slow exchange must not delay the others
            await asyncio.wait(self._looking.values(), timeout=_PATIENCE_SECONDS)
        wait = min((self._due[row.id] for row in rows if row.id in self._due), default=now + 1.0) - now
        return min(max(wait, 0.05), 1.0)

    async def _look(self, row: OrderRow) -> None:
        try:
            async with self._gates[row.exchange]:
                await self.check(row)
        except Exception:
            log.exception("order #%s: looking after it failed", row.id)
        finally:
            del self._looking[row.id]
            if self._due.get(row.id) == 0.0:  # news came while it was being asked for
                self._wake.set()

    async def check(self, row: OrderRow) -> None:
        """Ask the exchange about one order and commit the answer. A failed question changes nothing."""
        try:
            account = await self._store.run(lambda db: journal.account_of(db, row))
            exchange_clock = self._gateway.named(row.exchange).transport.clock
            asked_ms, exchange_ms = self._clock.now_ms(), exchange_clock.now_ms()
            if row.state in ("open", "partially_filled"):
                report: OrderReport | None = await self._gateway.order_status(account, row.order, row.exchange_order_id)
            else:
                report = await self._gateway.find_order(account, row.order)
        except OrderNotFound:
            return  # a live order unknown to this replica: ask again
        except BotError as error:
            log.info("order #%s: no answer when asked: %s", row.id, error)
            if isinstance(error, ExchangeError) and error.code in _NO_ANSWER_EVER:
                reason = _NO_ANSWER_EVER[error.code]
                await self._store.run(lambda db: self._hand_over(db, row.id, reason))
            return
        if report is not None and not _is_same(row, report, offset_ms=exchange_ms - asked_ms):
            log.error("order #%s: the exchange's report is of another order (%s)", row.id, report.exchange_order_id)
            reason = "The exchange shows another order under this order's id."
            await self._store.run(lambda db: self._hand_over(db, row.id, reason))
            return
        if report is not None and report.fee is None and report.filled > row.filled:
            report = await self._with_fee(account, row, report)
        # A miss counts from when the question was put: the answer may have been slow, and the offset may be new.
        exchange_ms = min(exchange_ms, exchange_clock.now_ms())
        await self._store.run(lambda db: self._commit(db, row.id, report, asked_ms, exchange_ms))
        self._told()

    async def _with_fee(self, account: AccountRow, row: OrderRow, report: OrderReport) -> OrderReport:
        """Return a report with the fee of its fills, for exchanges that tell it only there."""
        try:
            fills = await self._gateway.fills(account, [row.market], report.exchange_order_id)
        except BotError:
            return report
        mine = [fill for fill in fills if fill.exchange_order_id == report.exchange_order_id]
        assets = {fill.fee_asset for fill in mine}
        if len(assets) != 1 or sum(fill.quantity for fill in mine) != report.filled:
            return report
        return replace(report, fee=sum((fill.fee for fill in mine), Decimal(0)), fee_asset=assets.pop())

    def _commit(
        self, db: Connection, order_id: int, report: OrderReport | None, asked_ms: int, exchange_ms: int
    ) -> None:
        now_ms = self._clock.now_ms()
        if report is not None and journal.is_anothers(db, journal.get(db, order_id), report.exchange_order_id):
            self._hand_over(db, order_id, "The exchange shows an order like it, but that is another one of yours.")
            return
        if report is not None:
            journal.apply_report(db, order_id, report, now_ms)
            return
        row = journal.get(db, order_id)
        if row.state not in ("unknown", "needs_human"):
            return
        if row.window_ends_ms is not None and exchange_ms <= row.window_ends_ms + _MARGIN_MS:
            return
        if row.last_miss_ms is not None and asked_ms - row.last_miss_ms < _MARGIN_MS:
            return
        row = journal.count_miss(db, order_id, now_ms)
        if row.misses < _MISSES or row.state == "needs_human":
            return
        if row.window_ends_ms is not None:
            reason = "The exchange does not have it, and it can no longer arrive there."
            journal.end(db, order_id, "not_placed", reason, now_ms)
        else:
            reason = "The exchange does not show it, but does not say for how long it may still turn up."
            self._hand_over(db, order_id, reason)

    def _hand_over(self, db: Connection, order_id: int, reason: str) -> None:
        """Leave a doubt that no machine can settle to its owner, once it is two minutes old."""
        row, now_ms = journal.get(db, order_id), self._clock.now_ms()
        if row.state == "unknown" and now_ms - (row.sent_ms or row.created_ms) >= _HUMAN_AFTER_MS:
            journal.end(db, order_id, "needs_human", reason, now_ms)
            self._told()

    def _interval(self, row: OrderRow) -> float:
        if row.state in ("open", "partially_filled"):
            age = (self._clock.now_ms() - (row.cancel_requested_ms or row.sent_ms or row.created_ms)) / 1000
            usual = next((every for limit, every in _LIVE_SECONDS if age < limit), 30.0)
            is_settled = (row.account_id, row.exchange) in self.streamed and age >= _LIVE_SECONDS[0][0]
            return max(usual, _STREAMED_SECONDS) if is_settled else usual
        if row.state == "not_placed":
            return _LATE_SECONDS
        if 0 < row.misses < _MISSES:
            return _MARGIN_MS / 1000 + 1
        tries = self._tries[row.id] = self._tries.get(row.id, 0) + 1
        return float(_DOUBT_SECONDS[min(tries, len(_DOUBT_SECONDS)) - 1])


def _is_same(row: OrderRow, report: OrderReport, *, offset_ms: int) -> bool:
    """Say whether a report can be of this order: an id that is only a label may name another, such as an older one."""
    order = row.order
    if row.state not in LIVE:
        is_older = 0 < report.created_ms < (row.sent_ms or 0) + offset_ms - _SAME_TIME_MS
        if is_older or report.client_order_id not in ("", row.client_order_id):
            return False
    if (report.side, report.exchange_symbol) != (order.side, order.market.exchange_symbol):
        return False
    same_price = order.price is None or report.price in (None, Decimal(0), order.price)
    is_base = row.params["size_in"] == "base"
    same_size = not is_base or report.quantity in (None, Decimal(0), order.size.amount)
    return same_price and same_size
