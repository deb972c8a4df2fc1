"""Looking after what was placed: doubts are settled by asking for the order, never by sending again.

An order is proved absent when its signed request can no longer be accepted (its validity window is over by the
exchange's time, and five seconds more) and three clean looks, five seconds apart, did not show it. A look that
failed is no look. Where the exchange documents no window a machine cannot know: then a person decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from decimal import Decimal

from bot.accounts import people
from bot.clock import Clock
from bot.contract.errors import BotError, ExchangeError, OrderNotFound
from bot.contract.models import OrderReport
from bot.store.database import Connection, Store
from bot.trading import journal
from bot.trading.gateway import Gateway
from bot.trading.journal import OrderRow

log = logging.getLogger(__name__)

_MARGIN_MS = 5_000
_MISSES = 3
_HUMAN_AFTER_MS = 120_000
_DOUBT_SECONDS = (1, 2, 4, 8, 15, 30, 60)
_LIVE_SECONDS = ((10, 0.5), (60, 2.0), (600, 5.0), (3600, 15.0))  # (age up to, ask every)
_LATE_SECONDS = 600.0
_AT_ONCE = 8


class Reconciler:
    """Asks after every order that is open or in doubt, and commits what it learns.

    Args:
        store: The database.
        gateway: The way to the exchanges.
        clock: Ours.
        told: Called after each commit that leaves something to tell.
    """

    def __init__(self, store: Store, gateway: Gateway, clock: Clock, told: Callable[[], None]) -> None:
        self._store = store
        self._gateway = gateway
        self._clock = clock
        self._told = told
        self._due: dict[int, float] = {}
        self._tries: dict[int, int] = {}
        self._wake = asyncio.Event()

    def watch(self, order_id: int) -> None:
        """Ask after this order at once."""
        self._due[order_id] = 0.0
        self._tries.pop(order_id, None)
        self._wake.set()

    async def run(self) -> None:
        """Look after orders until cancelled."""
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
        """Expire what is due, ask after every order whose turn it is, and return the seconds until the next turn."""
        now_ms = self._clock.now_ms()
        expired, rows = await self._store.run(lambda db: (journal.expire_old(db, now_ms), journal.watched(db, now_ms)))
        if expired:
            self._told()
        for gone in self._due.keys() - {row.id for row in rows}:
            del self._due[gone]
            self._tries.pop(gone, None)
        now = self._clock.monotonic()
        due = [row for row in rows if self._due.get(row.id, 0.0) <= now and row.state != "sending"]
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(row: OrderRow) -> None:
            async with gate:
                self._due[row.id] = self._clock.monotonic() + self._interval(row)
                await self.check(row)

        await asyncio.gather(*(one(row) for row in due))
        wait = min((self._due[row.id] for row in rows if row.id in self._due), default=now + 1.0) - now
        return min(max(wait, 0.05), 1.0)

    async def check(self, row: OrderRow) -> None:
        """Ask the exchange about one order and commit the answer. A failed question changes nothing."""
        try:
            account = await self._store.run(lambda db: people.known_account(db, row.account_id))
            if row.state in ("open", "partially_filled"):
                report: OrderReport | None = await self._gateway.order_status(account, row.order, row.exchange_order_id)
            else:
                report = await self._gateway.find_order(account, row.order)
        except OrderNotFound:
            return  # a live order unknown to this replica: ask again
        except (ExchangeError, BotError) as error:
            log.info("order #%s: no answer when asked: %s", row.id, error)
            return
        if report is not None and not _is_same(row, report):
            log.error("order #%s: the exchange's report is of another order (%s)", row.id, report.exchange_order_id)
            return
        exchange_ms = self._gateway.named(row.exchange).transport.clock.now_ms()
        await self._store.run(lambda db: self._commit(db, row.id, report, exchange_ms))
        self._told()

    def _commit(self, db: Connection, order_id: int, report: OrderReport | None, exchange_ms: int) -> None:
        now_ms = self._clock.now_ms()
        if report is not None:
            journal.apply_report(db, order_id, report, now_ms)
            return
        row = journal.get(db, order_id)
        if row.state not in ("unknown", "needs_human"):
            return
        if row.window_ends_ms is not None and exchange_ms <= row.window_ends_ms + _MARGIN_MS:
            return
        if row.last_miss_ms is not None and now_ms - row.last_miss_ms < _MARGIN_MS:
            return
        row = journal.count_miss(db, order_id, now_ms)
        if row.misses < _MISSES or row.state == "needs_human":
            return
        if row.window_ends_ms is not None:
            reason = "The exchange does not have it, and it can no longer arrive there."
            journal.end(db, order_id, "not_placed", reason, now_ms)
        elif now_ms - (row.sent_ms or row.created_ms) >= _HUMAN_AFTER_MS:
            reason = "The exchange does not show it, but does not say for how long it may still turn up."
            journal.end(db, order_id, "needs_human", reason, now_ms)

    def _interval(self, row: OrderRow) -> float:
        if row.state in ("open", "partially_filled"):
            age = (self._clock.now_ms() - (row.cancel_requested_ms or row.sent_ms or row.created_ms)) / 1000
            return next((every for limit, every in _LIVE_SECONDS if age < limit), 30.0)
        if row.state == "not_placed":
            return _LATE_SECONDS
        if 0 < row.misses < _MISSES:
            return _MARGIN_MS / 1000 + 1
        tries = self._tries[row.id] = self._tries.get(row.id, 0) + 1
        return float(_DOUBT_SECONDS[min(tries, len(_DOUBT_SECONDS)) - 1])


def _is_same(row: OrderRow, report: OrderReport) -> bool:
    """Say whether a report can be of this order: an id that is only a label may name another."""
    order = row.order
    if (report.side, report.exchange_symbol) != (order.side, order.market.exchange_symbol):
        return False
    same_price = order.price is None or report.price in (None, Decimal(0), order.price)
    is_base = row.params["size_in"] == "base"
    same_size = not is_base or report.quantity in (None, Decimal(0), order.size.amount)
    return same_price and same_size
