"""Sending: takes confirmed orders, and cancels, to their exchange, and gives each order the state its answer proves."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TypeAlias, TypeVar

from bot.accounts.people import AccountRow
from bot.clock import Clock
from bot.contract.errors import BotError, ExchangeError, NotSent, OrderNotFound, OutcomeUnknown, Rejected, UserError
from bot.contract.models import OrderAck
from bot.exchanges.transport import Departure
from bot.store.database import Connection, Store
from bot.trading import journal, notices, queries
from bot.trading.amounts import format_price
from bot.trading.gateway import Gateway
from bot.trading.orders import OrderRow
from bot.trading.reconcile import Reconciler
from bot.trading.support import answer_of

T = TypeVar("T")
Leave: TypeAlias = Callable[[Connection, Departure], T]
log = logging.getLogger(__name__)
DRIFT_TOLERANCE = Decimal("0.01")
_OLD_CARD_MS = 300_000


class Sender:
    """Works in the background; the cards tell how it went.

    Args:
        store: The database.
        gateway: The way to the exchanges.
        reconciler: Looks after what was placed.
        clock: Ours.
        told: Called after each commit that leaves something to tell.
        let_leave: Notes in the running transaction that a request of an order is about to leave, or refuses it.
        offer_anew: Drafts an order again that was not sent, for the reason that it is given.
    """

    def __init__(
        self,
        store: Store,
        gateway: Gateway,
        reconciler: Reconciler,
        clock: Clock,
        told: Callable[[], None],
        *,
        let_leave: Callable[[Connection, int, Departure], None],
        offer_anew: Callable[[AccountRow, OrderRow, str], Awaitable[None]],
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._reconciler = reconciler
        self._clock = clock
        self._told = told
        self._let_leave = let_leave
        self._offer_anew = offer_anew
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving: set[int] = set()

    def place(self, row: OrderRow) -> None:
        """Place a confirmed order, once."""
        self._start(self._place(row))

    async def place_at_once(self, account: AccountRow, row: OrderRow, leave: Leave[T]) -> T | None:
        """Place an order that is not confirmed yet, if it can be on its way without waiting for anything.

        Its request is signed first; then `leave` confirms it in the very commit that lets it leave.

        Args:
            account: Whose it is.
            row: The proposal, with the client order id that it will get.
            leave: Confirms it in the running transaction. Raises where that cannot be, and undoes it all.

        Returns:
            What `leave` returned, once that is committed; the rest goes on in the background. `None` when the order
            could not leave: nothing was changed and nothing sent, and the usual way will tell why.
        """
        if row.id in self._leaving or _best_price(row) or not self._gateway.knows(account):
            return None
        self._leaving.add(row.id)
        left: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._start(self._place_at_once(account, row, leave, left))
        return await left

    def cancel(self, row: OrderRow) -> None:
        """Ask the exchange to cancel an order."""
        self._start(self._cancel(row))

    async def drain(self, seconds: float | None = None) -> None:
        """Wait until what is being sent is settled or in doubt.

        Args:
            seconds: After them, what still waits for an answer is left as it is stored: the next start looks for it.
        """
        try:
            async with asyncio.timeout(seconds):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        except TimeoutError:
            log.warning("%d requests were not answered in time; the next start asks about them", len(self._tasks))
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: asyncio._CoroutineLike[None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("the outcome of a request could not be stored; the order is looked for", exc_info=error)

    async def _place(self, row: OrderRow) -> None:
        began = self._clock.monotonic()
        is_sending = False

        async def before_send(departure: Departure) -> None:
            nonlocal is_sending
            if self._reconciler.deadlines.is_over(row.id):
                raise UserError(journal.TOO_LATE, code="TOO_LATE")
            try:
                await self._store.run(lambda db: self._let_leave(db, row.id, departure))
            except sqlite3.Error as error:
                raise NotSent("The order could not be stored, so it was not sent") from error
            is_sending = True
            self._has_left(row.id)

        try:
            account = self._store.look(lambda db: queries.account_of(db, row))
            if await self._has_drifted(account, row):
                return
            after = await self._accepted(row.id, await self._gateway.place(account, row.order, before_send))
        except Exception as error:
            after = await self._conclude(row, error, is_sending=is_sending)
        finally:
            self._told()
            self._reconciler.watch(row.id)
        self._log(row, after, began)

    async def _place_at_once(
        self, account: AccountRow, row: OrderRow, leave: Leave[T], left: asyncio.Future[T | None]
    ) -> None:
        began = self._clock.monotonic()
        is_sending = False

        async def before_send(departure: Departure) -> None:
            nonlocal is_sending
            made = await self._store.run(lambda db: leave(db, departure))
            is_sending = True
            self._has_left(row.id)
            _tell(left, made)

        try:
            ack = await self._gateway.place(account, row.order, before_send, may_wait=False)
            after = await self._accepted(row.id, ack)
        except Exception as error:
            if not is_sending:
                log.debug("order #%s cannot leave at once: %s", row.id, error)
                return
            after = await self._conclude(row, error, is_sending=True)
        finally:
            self._leaving.discard(row.id)
            if is_sending:
                self._told()
                self._reconciler.watch(row.id)
            else:
                _tell(left, None)
        self._log(row, after, began)

    def _has_left(self, order_id: int) -> None:
        self._reconciler.deadlines.forget(frozenset({order_id}))
        self._told()

    async def _accepted(self, order_id: int, ack: OrderAck) -> OrderRow:
        return await self._store.run_until_stored(
            lambda db: journal.accept(db, order_id, ack.exchange_order_id, self._clock.now_ms()), self._clock.sleep
        )

    def _log(self, row: OrderRow, after: OrderRow, began: float) -> None:
        duration_ms = (self._clock.monotonic() - began) * 1000
        names = (after.client_order_id, after.exchange, row.state, after.state)
        log.info("order %s %s %s -> %s in %.0f ms", *names, duration_ms)

    async def _has_drifted(self, account: AccountRow, row: OrderRow) -> bool:
        order = row.order
        shown = _best_price(row)
        if not shown:
            return False
        ticker = await self._gateway.ticker(row.exchange, order.market)
        price = (ticker.ask if order.side == "buy" else ticker.bid) or ticker.last
        if abs(price / shown - 1) <= DRIFT_TOLERANCE:
            return False
        step = order.market.price_step
        reason = f"The price moved from {format_price(shown, step)} to {format_price(price, step)}. Nothing was sent."
        await self._store.run(lambda db: journal.end(db, row.id, "not_placed", reason, self._clock.now_ms()))
        await self._offer_anew(account, row, reason)
        return True

    async def _conclude(self, row: OrderRow, error: Exception, *, is_sending: bool) -> OrderRow:
        """Give an order whose placing failed its state, and return it: what the failure proves, and not more.

        Without `is_sending` this attempt never reached the wire; it says nothing about an order that did.
        """
        if not isinstance(error, BotError):
            log.error("order #%s: placing failed", row.id, exc_info=error)
        text, answer = in_words(error), answer_of(error)

        def work(db: Connection) -> OrderRow:
            current = queries.get(db, row.id)
            now_ms = self._clock.now_ms()
            if current.state == "confirmed":  # `sending` was never committed, so not one byte left
                return journal.never_left(db, row.id, text, now_ms)
            if current.state != "sending" or not is_sending:
                return current
            if isinstance(error, NotSent):
                return journal.never_left(db, row.id, text, now_ms)
            if isinstance(error, Rejected):
                return journal.end(db, row.id, "rejected", text, now_ms, refusal=type(error).__name__, answer=answer)
            return journal.end(db, row.id, "unknown", text, now_ms, answer=answer)

        after = await self._store.run_until_stored(work, self._clock.sleep)
        if is_sending and not isinstance(error, (NotSent, Rejected)):
            self._reconciler.sweep(row.account_id, row.exchange)
        return after

    async def _cancel(self, row: OrderRow) -> None:
        try:
            account = self._store.look(lambda db: queries.account_of(db, row))
            await self._gateway.cancel_order(account, row.order, row.exchange_order_id)
        except (OrderNotFound, OutcomeUnknown):
            pass  # the exchange's report of the order will tell
        except Exception as error:
            if not isinstance(error, BotError):
                log.error("order #%s: canceling failed", row.id, exc_info=error)
            reason = f"Not canceled. {in_words(error)}"
            await self._store.run(lambda db: self._refuse_cancel(db, row.id, reason))
        finally:
            self._told()
            self._reconciler.watch(row.id)

    def _refuse_cancel(self, db: Connection, order_id: int, reason: str) -> None:
        """Tell on the card that a cancel failed, and in a message of its own where the card is far up the chat."""
        now_ms = self._clock.now_ms()
        row = journal.refuse_cancel(db, order_id, reason, now_ms)
        if not row.is_done and now_ms - row.created_ms >= _OLD_CARD_MS:
            notices.tell(db, chat_id=row.chat_id, kind="order_news", order_id=row.id, now_ms=now_ms)


def _tell(waiting: asyncio.Future[T], result: T) -> None:
    """Hand a result to whoever pressed, who may be gone."""
    if not waiting.done():
        waiting.set_result(result)


def _best_price(row: OrderRow) -> Decimal:
    """Return the price that a market order was to meet at best, or 0 where none was promised."""
    return Decimal(row.params.get("best_price") or 0)


def in_words(error: Exception) -> str:
    """Return what a person is told of a failure; never the text of an error that was not made for people."""
    if isinstance(error, ExchangeError):
        sentences = [part.rstrip(".") + "." for part in (error.message, error.remedy) if part]
        return " ".join(sentences) or "The exchange refused without giving a reason."
    if isinstance(error, BotError):
        return str(error)
    return "Something went wrong inside the bot; the log has the details."
