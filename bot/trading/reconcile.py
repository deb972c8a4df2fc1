"""Looking after what was placed: doubts are settled by asking for the order, never by sending again.

Two rounds go on: each order is asked after by itself, and now and then an account's open orders are listed and
compared with ours. After a start no account takes a new order before its own first round has ended. What an answer
proves is decided in `bot.trading.evidence`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeAlias

from msgspec.structs import replace

from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.clock import Clock, wait_at_most
from bot.contract.errors import BotError, ExchangeError, NotSent, OrderNotFound
from bot.contract.models import Fill, OrderReport
from bot.store.database import Connection, Store
from bot.trading import adoption, ends, evidence, journal, queries
from bot.trading.deadlines import Deadlines
from bot.trading.gateway import Gateway
from bot.trading.law import DOUBTFUL, LIVE
from bot.trading.orders import MISSES, OrderRow
from bot.trading.queries import Watched
from bot.trading.watchlist import SWEEP_SECONDS, Key, Subject, Taken, Watchlist

log = logging.getLogger(__name__)

_DOUBT_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
_LIVE_SECONDS = ((10, 0.5), (60, 2.0), (600, 5.0), (3600, 15.0))  # (age up to, ask every)
_STREAMED_SECONDS = 15.0
_ENDED_SECONDS = 15.0
_LATE_SECONDS = 600.0
_AT_ONCE = 8
"""Questions to one exchange at a time, those of lists included."""
_ENDED_AT_ONCE = 200
_FIRST_LIST_SECONDS = 1.0
"""Not at once: after a start there are many, and whoever is let in already has orders to be asked after first."""
_PATIENCE_SECONDS = 0.5
_SHORTEST_PAUSE = 0.05
_HELD_SECONDS = 0.2
"""For how long nothing is asked where the limits let no more through: each question would only be refused."""
_NO_ANSWER_EVER = {
    "UNSUPPORTED": "The exchange cannot be asked for it.",
    "AMBIGUOUS": "The exchange shows several orders like it, and does not tell which it is.",
}

Turn: TypeAlias = tuple[float, float]
"""When to ask again, by the monotonic clock, and the interval that led to it."""


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
        self._watched = Watchlist(store, clock)
        self._next_turn = 0.0
        self._tries: dict[Subject, int] = {}
        self._unlisted: set[Key] = set()
        self._unanswered: dict[Key, set[Subject]] = {}
        self._held_until: defaultdict[str, float] = defaultdict(float)
        self._at_work: defaultdict[str, set[asyncio.Task[None]]] = defaultdict(set)
        self._wake = asyncio.Event()

    @property
    def busy(self) -> Collection[Key]:
        """The accounts that have orders which are live or in doubt."""
        return self._watched.busy.keys()

    async def begin(self) -> None:
        """Shut the gate of every account until its first round has ended. Call once, before anything is pressed."""
        now_ms = self._clock.now_ms()

        def read(db: Connection) -> tuple[list[Key], list[tuple[int, int]], list[Watched]]:
            found = db.execute("SELECT id, exchange, paper FROM accounts WHERE removed_ms IS NULL").fetchall()
            keys = [(row["id"], row["exchange"] + (":paper" if row["paper"] else "")) for row in found]
            waiting = "SELECT id, expires_ms FROM orders WHERE state IN ('proposed', 'confirmed')"
            expiries = [(row["id"], row["expires_ms"]) for row in db.execute(waiting).fetchall()]
            return keys, expiries, queries.all_watched(db, now_ms)

        keys, expiries, watched = await self._store.run(read)
        self._watched.learn(watched)
        self._unanswered = {key: set(order_ids) for key, order_ids in self._watched.busy.items()}
        self._unlisted = {*keys, *self.busy}
        for key in self._unlisted:
            self._watched.list_account(key, every=_FIRST_LIST_SECONDS)
        for order_id, expires_ms in expiries:
            left_ms = min(expires_ms - now_ms, journal.PROPOSAL_SECONDS * 1000)
            self.deadlines.set(order_id, left_ms / 1000)

    def is_checking(self, account_id: int, exchange_id: str) -> bool:
        """Say whether the account's first round after the start is still under way: it may not trade yet."""
        key = account_id, exchange_id
        return key in self._unlisted or key in self._unanswered

    def watch(self, order_id: int) -> None:
        """Ask after this order at once."""
        self._tries.pop(order_id, None)
        self._watched.call(order_id)
        self._wake.set()

    def sweep(self, account_id: int, exchange_id: str) -> None:
        """List the account's open orders at once and compare them with ours."""
        self._watched.list_account((account_id, exchange_id))
        self._wake.set()

    async def run(self) -> None:
        """Look after orders until cancelled."""
        try:
            while True:
                self._wake.clear()
                try:
                    pause = self._pause(has_more=await self._turn())
                except BotError as error:
                    log.error("looking after orders failed: %s", error)
                    pause = 1.0
                except Exception:
                    log.exception("looking after orders failed")
                    pause = 1.0
                await wait_at_most(self._clock, pause, self._wake)
        finally:
            for worker in [each for workers in self._at_work.values() for each in workers]:
                worker.cancel()

    async def step(self) -> float:
        """Do once what `run` does again and again, and return the seconds until there is more to do.

        Waits for the answers for half a second at most; later ones are committed when they come.
        """
        has_more = await self._turn()
        if at_work := [each for workers in self._at_work.values() for each in workers]:
            await asyncio.wait(at_work, timeout=_PATIENCE_SECONDS)
        return self._pause(has_more=has_more)

    async def _turn(self) -> bool:
        """Expire what is due, and begin to ask after what is due; return whether there is more to do at once."""
        has_more = await self._end_what_is_over()
        self._watched.compare()
        has_more |= self._watched.read_called()
        for exchange_id in self._watched.exchanges:
            self._set_to_work(exchange_id)
        return has_more

    def _pause(self, *, has_more: bool) -> float:
        now = self._clock.monotonic()
        free = [each for each in self._watched.exchanges if len(self._at_work[each]) < _AT_ONCE]
        wait = 0.0 if has_more else min(map(self._next_due, free), default=math.inf) - now
        pause = min(max(wait, _SHORTEST_PAUSE), 1.0)
        self._next_turn = now + pause
        return pause

    def _next_due(self, exchange_id: str) -> float:
        return max(self._watched.next_due(exchange_id), self._held_until[exchange_id])

    def _is_held(self, exchange_id: str) -> bool:
        return self._held_until[exchange_id] > self._clock.monotonic()

    async def _end_what_is_over(self) -> bool:
        """Return whether there may be more."""
        now_ms, overdue = self._clock.now_ms(), sorted(self.deadlines.over())[:_ENDED_AT_ONCE]
        if not overdue and not self._store.look(lambda db: ends.is_due(db, now_ms)):
            return False
        ended, asked = await self._store.run(
            lambda db: (
                ends.expire_old(db, now_ms, overdue, most=_ENDED_AT_ONCE),
                ends.ask_again(db, now_ms, most=_ENDED_AT_ONCE),
            )
        )
        self.deadlines.forget(overdue)
        for row in ended:
            if row.state == "unknown":
                self.watch(row.id)
        if ended or asked:
            self._told()
        return bool(ended or asked)

    def _set_to_work(self, exchange_id: str) -> None:
        """Begin to ask an exchange what is due, as many questions at a time as it may have, and not more."""
        workers = self._at_work[exchange_id]
        while len(workers) < _AT_ONCE and not self._is_held(exchange_id):
            subject = self._watched.take(exchange_id)
            if subject is None:
                return
            worker = asyncio.get_running_loop().create_task(self._work(subject, exchange_id))
            workers.add(worker)
            worker.add_done_callback(workers.discard)

    async def _work(self, taken: Taken, exchange_id: str) -> None:
        """Ask one question, and then one after another as long as any is due there."""
        following: Taken | None = taken
        while following is not None:
            subject, every = following
            turn: Turn | None = (self._clock.monotonic() + 1.0, 1.0)
            try:
                turn = await (self._sweep(subject, every) if isinstance(subject, tuple) else self._look(subject))
            except Exception:
                log.exception("order #%s could not be read", subject)
                return
            finally:
                self._give_back(subject, turn)
            await asyncio.sleep(0)  # a question that is refused here waits for nothing, and others want to live
            following = None if self._is_held(exchange_id) else self._watched.take(exchange_id)
        if self._next_due(exchange_id) < self._next_turn:
            self._wake.set()

    def _give_back(self, subject: Subject, turn: Turn | None) -> None:
        if turn is not None:
            self._watched.put_back(subject, *turn)
            return
        self._watched.drop(subject)
        self._tries.pop(subject, None)
        for key in [key for key, order_ids in self._unanswered.items() if subject in order_ids]:
            self._answered(key, subject)
        self._wake.set()

    async def _sweep(self, key: Key, every: float) -> Turn | None:
        if every and key not in self.busy and key not in self._unlisted:
            return None
        due = self._clock.monotonic() + SWEEP_SECONDS
        try:
            ask = await self._compare(*key)
        except Exception as error:
            if not isinstance(error, BotError):
                log.exception("account %s: its open orders could not be compared", key[0])
            log.info("account %s: its open orders were not listed (%s)", key[0], type(error).__name__)
            pause = self._back_off(key)
            return self._clock.monotonic() + pause, pause
        self._unlisted.discard(key)
        self._tries.pop(key, None)
        self._told()
        for order_id in ask:
            self.watch(order_id)
        return due, SWEEP_SECONDS

    async def _look(self, order_id: int) -> Turn | None:
        now_ms = self._clock.now_ms()
        rows = self._store.look(lambda db: queries.watched(db, now_ms, [order_id]))
        if not rows:
            return None
        row = rows[0]
        self._watched.note(row)
        if row.state == "sending":  # its outcome comes by itself, or it is put in doubt
            return self._clock.monotonic() + 1.0, 1.0
        every = self._interval(row)
        due = self._clock.monotonic() + every
        try:
            await self.check(row)
        except Exception:
            log.exception("order #%s: looking after it failed", row.id)
        return due, every

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

    async def check(self, row: OrderRow) -> None:
        """Ask the exchange about one order and commit the answer. A failed question changes nothing."""
        try:
            account = self._store.look(lambda db: queries.account_of(db, row))
            exchange_clock = self._gateway.named(row.exchange).transport.clock
            asked_ms, asked_at = self._clock.now_ms(), self._clock.monotonic()
            answer = await self._ask(account, row)
        except BotError as error:
            log.info("order #%s: no answer when asked: %s", row.id, error)
            if isinstance(error, NotSent) and error.code == "RATE_LIMIT":
                self._held_until[row.exchange] = self._clock.monotonic() + _HELD_SECONDS
            if isinstance(error, ExchangeError) and error.code in _NO_ANSWER_EVER:
                await self._ask_owner(row, _NO_ANSWER_EVER[error.code])
                self._answered((row.account_id, row.exchange), row.id)
            return
        report, fills, offset_ms = answer.report, answer.fills, exchange_clock.offset_ms or 0
        if report is not None and not evidence.is_same(row, report, offset_ms=offset_ms):
            log.error("order #%s: the exchange's report is of another order (%s)", row.id, report.exchange_order_id)
            await self._ask_owner(row, "The exchange shows another order under this order's id.")
            self._answered((row.account_id, row.exchange), row.id)
            return
        # A miss counts from when the question was put: the answer may have been slow.
        exchange_ms = exchange_clock.at_least_ms(asked_at)

        def commit(db: Connection) -> OrderRow:
            now_ms = self._clock.now_ms()
            if report is not None and evidence.may_be_a_later_one(db, row, report, offset_ms=offset_ms):
                reason = "The exchange shows an order like it, but that may be a later one of yours."
                return evidence.ask_owner(db, queries.get(db, row.id), reason, now_ms)
            if report is not None:
                return evidence.found(db, row.id, report, fills, asked_ms=asked_ms, now_ms=now_ms)
            return evidence.missed(db, row.id, fills, asked_ms=asked_ms, exchange_ms=exchange_ms, now_ms=now_ms)

        after = await self._store.run(commit)
        if row.id in self._watched:
            self._watched.note(after)
        self._answered((row.account_id, row.exchange), row.id)
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

    def _answered(self, key: Key, order_id: Subject) -> None:
        if key in self._unanswered:
            self._unanswered[key].discard(order_id)
            if not self._unanswered[key]:
                del self._unanswered[key]

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
        return self._back_off(row.id)

    def _back_off(self, subject: Subject) -> float:
        tries = self._tries[subject] = self._tries.get(subject, 0) + 1
        return _DOUBT_SECONDS[min(tries, len(_DOUBT_SECONDS)) - 1]
