"""Looking after what was placed: doubts are settled by asking for the order, never by sending again.

Two rounds go on: each order is asked after by itself, and now and then an account's open orders are listed and
compared with ours. After a start no account takes a new order before its own first round has ended. What an answer
proves is decided in `bot.trading.evidence`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.clock import Clock
from bot.contract.errors import BotError, ExchangeError, OrderNotFound
from bot.contract.models import Fill, OrderReport
from bot.store.database import Connection, Store
from bot.trading import adoption, ends, evidence, journal, queries
from bot.trading.deadlines import Deadlines
from bot.trading.gateway import Gateway
from bot.trading.law import DOUBTFUL, LIVE
from bot.trading.orders import MISSES, OrderRow

log = logging.getLogger(__name__)

_DOUBT_SECONDS = (1, 2, 4, 8, 15, 30, 60)
_LIVE_SECONDS = ((10, 0.5), (60, 2.0), (600, 5.0), (3600, 15.0))  # (age up to, ask every)
_STREAMED_SECONDS = 15.0
_ENDED_SECONDS = 15.0
_LATE_SECONDS = 600.0
_SWEEP_SECONDS = 300.0
_AT_ONCE = 8
_PATIENCE_SECONDS = 0.5
_NO_ANSWER_EVER = {
    "UNSUPPORTED": "The exchange cannot be asked for it.",
    "AMBIGUOUS": "The exchange shows several orders like it, and does not tell which it is.",
}

Key: TypeAlias = tuple[int, str]
"""An account and the exchange its orders were drafted for: real or paper, whatever was switched since."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What an exchange said of an order: a report, or, with `None`, that it does not have it. And the order's fills."""

    report: OrderReport | None
    fills: list[Fill]


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
        deadlines: When previews and confirmed orders end by the monotonic clock.
    """

    def __init__(self, store: Store, gateway: Gateway, clock: Clock, told: Callable[[], None]) -> None:
        self._store = store
        self._gateway = gateway
        self.streamed: set[Key] = set()
        self.deadlines = Deadlines(clock)
        self._clock = clock
        self._told = told
        self._due: dict[int, float] = {}
        self._tries: dict[int, int] = {}
        self._looking: dict[int, asyncio.Future[None]] = {}
        self._sweep_due: dict[Key, float] = {}
        self._sweep_tries: dict[Key, int] = {}
        self._sweeping: dict[Key, asyncio.Future[None]] = {}
        self._unlisted: set[Key] = set()
        self._unanswered: dict[Key, set[int]] = {}
        self._gates: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(_AT_ONCE))
        self._wake = asyncio.Event()

    async def begin(self) -> None:
        """Shut the gate of every account until its first round has ended. Call once, before anything is pressed."""

        def read(db: Connection) -> tuple[list[Key], list[OrderRow], list[OrderRow]]:
            found = db.execute("SELECT id, exchange, paper FROM accounts WHERE removed_ms IS NULL").fetchall()
            keys = [(row["id"], row["exchange"] + (":paper" if row["paper"] else "")) for row in found]
            return keys, queries.in_states(db, (*LIVE, *DOUBTFUL)), queries.in_states(db, ("proposed", "confirmed"))

        keys, rows, waiting = await self._store.run(read)
        for key in {*keys, *((row.account_id, row.exchange) for row in rows)}:
            self._unlisted.add(key)
            self._unanswered[key] = {row.id for row in rows if (row.account_id, row.exchange) == key}
            self._sweep_due[key] = 0.0
        for row in waiting:
            left_ms = min(row.expires_ms - self._clock.now_ms(), journal.PROPOSAL_SECONDS * 1000)
            self.deadlines.set(row.id, left_ms / 1000)

    def is_checking(self, account_id: int, exchange_id: str) -> bool:
        """Say whether the account's first round after the start is still under way: it may not trade yet."""
        key = account_id, exchange_id
        return key in self._unlisted or bool(self._unanswered.get(key))

    def watch(self, order_id: int) -> None:
        """Ask after this order at once."""
        self._due[order_id] = 0.0
        self._tries.pop(order_id, None)
        self._wake.set()

    def sweep(self, account_id: int, exchange_id: str) -> None:
        """List the account's open orders at once and compare them with ours."""
        self._sweep_due[account_id, exchange_id] = 0.0
        self._wake.set()

    async def run(self) -> None:
        """Look after orders until cancelled."""
        try:
            await self._run()
        finally:
            for look in [*self._looking.values(), *self._sweeping.values()]:
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
        now_ms, overdue = self._clock.now_ms(), self.deadlines.over()

        def work(db: Connection) -> tuple[bool, list[OrderRow]]:
            changed = [*ends.expire_old(db, now_ms, overdue), *ends.ask_again(db, now_ms)]
            return bool(changed), queries.watched(db, now_ms)

        has_news, rows = await self._store.run(work)
        self.deadlines.forget(overdue)
        if has_news:
            self._told()
        watched = {row.id for row in rows}
        for gone in self._due.keys() - watched:
            del self._due[gone]
            self._tries.pop(gone, None)
        for unanswered in self._unanswered.values():
            unanswered.intersection_update(watched)
        now = self._clock.monotonic()
        for row in rows:
            if self._due.get(row.id, 0.0) <= now and row.id not in self._looking and row.state != "sending":
                self._due[row.id] = now + self._interval(row)
                self._looking[row.id] = asyncio.ensure_future(self._look(row))
        self._begin_sweeps(rows, now)
        if at_work := [*self._looking.values(), *self._sweeping.values()]:  # one slow exchange must not delay others
            await asyncio.wait(at_work, timeout=_PATIENCE_SECONDS)
        wait = min((self._due[row.id] for row in rows if row.id in self._due), default=now + 1.0) - now
        return min(max(wait, 0.05), 1.0)

    def _begin_sweeps(self, rows: list[OrderRow], now: float) -> None:
        needed = {(row.account_id, row.exchange) for row in rows if row.state in (*LIVE, *DOUBTFUL)}
        for key in needed - self._sweep_due.keys():
            self._sweep_due[key] = now + _SWEEP_SECONDS
        for key, due in tuple(self._sweep_due.items()):
            if due == 0.0 or (due <= now and (key in needed or key in self._unlisted)):
                if key not in self._sweeping:
                    self._sweep_due[key] = now + _SWEEP_SECONDS
                    self._sweeping[key] = asyncio.ensure_future(self._sweep(key))
            elif key not in needed and key not in self._unlisted:
                del self._sweep_due[key]

    async def _sweep(self, key: Key) -> None:
        account_id, exchange_id = key
        try:
            async with self._gates[exchange_id]:
                ask = await self._compare(account_id, exchange_id)
            self._unlisted.discard(key)
            self._sweep_tries.pop(key, None)
            self._told()
            for order_id in ask:
                self.watch(order_id)
        except Exception as error:
            if not isinstance(error, BotError):
                log.exception("account %s: its open orders could not be compared", account_id)
            tries = self._sweep_tries[key] = self._sweep_tries.get(key, 0) + 1
            self._sweep_due[key] = self._clock.monotonic() + _DOUBT_SECONDS[min(tries, len(_DOUBT_SECONDS)) - 1]
            log.info("account %s: its open orders were not listed (%s)", account_id, type(error).__name__)
        finally:
            del self._sweeping[key]

    async def _compare(self, account_id: int, exchange_id: str) -> list[int]:
        account, traded = await self._store.run(
            lambda db: (people.known_account(db, account_id), adoption.markets_of(db, account_id, exchange_id))
        )
        account = replace(account, paper=exchange_id.endswith(":paper"))
        reports = await self._gateway.open_orders(account, traded)
        known = await self._gateway.symbols(exchange_id) if reports else ()
        return await self._store.run(
            lambda db: adoption.compare(
                db,
                account_id=account_id,
                exchange_id=exchange_id,
                reports=reports,
                markets={market.exchange_symbol: market for market in known},
                rule=self._gateway.named(exchange_id).info.client_id,
                now_ms=self._clock.now_ms(),
            )
        )

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
            account = await self._store.run(lambda db: queries.account_of(db, row))
            exchange_clock = self._gateway.named(row.exchange).transport.clock
            asked_ms, exchange_ms = self._clock.now_ms(), exchange_clock.now_ms()
            answer = await self._ask(account, row)
        except BotError as error:
            log.info("order #%s: no answer when asked: %s", row.id, error)
            if isinstance(error, ExchangeError) and error.code in _NO_ANSWER_EVER:
                await self._ask_owner(row, _NO_ANSWER_EVER[error.code])
                self._answered(row)
            return
        report, fills = answer.report, answer.fills
        if report is not None and not evidence.is_same(row, report, offset_ms=exchange_ms - asked_ms):
            log.error("order #%s: the exchange's report is of another order (%s)", row.id, report.exchange_order_id)
            await self._ask_owner(row, "The exchange shows another order under this order's id.")
            self._answered(row)
            return
        # A miss counts from when the question was put: the answer may have been slow, and the offset may be new.
        exchange_ms = min(exchange_ms, exchange_clock.now_ms())

        def commit(db: Connection) -> None:
            now_ms = self._clock.now_ms()
            if report is not None and evidence.may_be_a_later_one(db, row, report, offset_ms=exchange_ms - asked_ms):
                reason = "The exchange shows an order like it, but that may be a later one of yours."
                evidence.ask_owner(db, queries.get(db, row.id), reason, now_ms)
            elif report is not None:
                evidence.found(db, row.id, report, fills, asked_ms=asked_ms, now_ms=now_ms)
            else:
                evidence.missed(db, row.id, fills, asked_ms=asked_ms, exchange_ms=exchange_ms, now_ms=now_ms)

        await self._store.run(commit)
        self._answered(row)
        self._told()

    async def _ask(self, account: AccountRow, row: OrderRow) -> _Answer:
        """Ask for an order in every way there is; `None` means that none of them shows it, and that none failed."""
        if not row.exchange_order_id or row.state in DOUBTFUL:
            report = await self._gateway.find_order(account, row.order)
        else:
            try:
                is_canceling = row.cancel_requested_ms is not None and not row.is_done
                report = await self._gateway.order_status(
                    account, row.order, row.exchange_order_id, priority="usual" if is_canceling else "routine"
                )
            except OrderNotFound:
                report = await self._gateway.find_order(account, row.order)
                if report is None:
                    return _Answer(None, await self._gateway.fills(account, [row.market], row.exchange_order_id))
        if report is None or report.filled == 0 or (report.filled <= row.filled and not row.is_done):
            return _Answer(report, [])
        try:
            return _Answer(report, await self._gateway.fills(account, [row.market], report.exchange_order_id))
        except BotError as error:
            log.info("order #%s: its fills were not told: %s", row.id, error)
            return _Answer(report, [])

    async def _ask_owner(self, row: OrderRow, reason: str) -> None:
        def work(db: Connection) -> None:
            evidence.ask_owner(db, queries.get(db, row.id), reason, self._clock.now_ms())

        await self._store.run(work)
        self._told()

    def _answered(self, row: OrderRow) -> None:
        self._unanswered.get((row.account_id, row.exchange), set()).discard(row.id)

    def _interval(self, row: OrderRow) -> float:
        if 0 < row.misses < MISSES and not row.is_done:
            return evidence.MARGIN_MS / 1000 + 1
        if row.state in LIVE:
            age = (self._clock.now_ms() - (row.cancel_requested_ms or row.sent_ms or row.created_ms)) / 1000
            usual = next((every for limit, every in _LIVE_SECONDS if age < limit), 30.0)
            is_settled = (row.account_id, row.exchange) in self.streamed and age >= _LIVE_SECONDS[0][0]
            return max(usual, _STREAMED_SECONDS) if is_settled else usual
        if row.is_done:
            return _LATE_SECONDS if row.state == "not_placed" else _ENDED_SECONDS
        tries = self._tries[row.id] = self._tries.get(row.id, 0) + 1
        return float(_DOUBT_SECONDS[min(tries, len(_DOUBT_SECONDS)) - 1])
