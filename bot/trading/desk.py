"""The desk: turns what a person asks into a preview, and a confirmed preview into one order."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from bot.accounts.people import AccountRow
from bot.clock import Clock
from bot.contract.errors import BotError, ExchangeError, NotSent, OrderNotFound, OutcomeUnknown, Rejected, UserError
from bot.contract.models import Balance, Market, OrderBook, Ticker
from bot.exchanges.transport import Departure
from bot.store.database import Connection, Store
from bot.trading import confirm, journal
from bot.trading.amounts import format_price
from bot.trading.confirm import Press, Refusal
from bot.trading.draft import draft
from bot.trading.gateway import Gateway
from bot.trading.intent import Fixed, Intent
from bot.trading.law import LIVE, State
from bot.trading.orders import OrderRow
from bot.trading.reconcile import Reconciler

log = logging.getLogger(__name__)
DRIFT_TOLERANCE = Decimal("0.01")


class Desk:
    """Proposes, confirms, places and cancels.

    Args:
        store: The database.
        gateway: The way to the exchanges.
        reconciler: Looks after what was placed.
        clock: Ours.
        told: Called after each commit that leaves something to tell.
    """

    def __init__(
        self, store: Store, gateway: Gateway, reconciler: Reconciler, clock: Clock, told: Callable[[], None]
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._reconciler = reconciler
        self._clock = clock
        self._told = told
        self._tasks: set[asyncio.Task[None]] = set()

    async def propose(
        self,
        account: AccountRow,
        intent: Intent,
        *,
        chat_id: int,
        message_id: int | None = None,
        asked_in: int | None = None,
        notice: str = "",
    ) -> OrderRow:
        """Draft an order and store it as a proposal, with the card that shows it.

        Args:
            account: Who trades.
            intent: What was asked; pair and size are known.
            chat_id: Where the card goes.
            message_id: The card to take over, or `None` for a new message.
            asked_in: The message that asked for it.
            notice: Why there is another preview, to be shown on it.

        Raises:
            UserError: The order cannot be placed as asked; the text says what is wrong and what would work.
            ExchangeError: The exchange did not tell what a preview needs. Nothing was stored.
        """
        exchange = self._gateway.exchange(account)
        market = (await self._gateway.symbols(exchange.info.id)).resolve(intent.pair or "")
        ticker, book, balances = await self._facts(account, market, intent)
        made = draft(
            intent,
            market,
            exchange.info.capabilities,
            ticker=ticker,
            book=book,
            balances=balances,
            title=exchange.info.title,
        )
        if notice:
            made = replace(made, warnings=(notice, *made.warnings))
        row = await self._store.run(
            lambda db: journal.propose(
                db,
                account_id=account.id,
                user_id=account.user_id,
                exchange=exchange.info.id,
                market=market,
                draft=made,
                intent=intent.to_json(),
                chat_id=chat_id,
                message_id=message_id,
                asked_in=asked_in,
                now_ms=self._clock.now_ms(),
            )
        )
        self._told()
        return row

    async def press(
        self, data: str, *, user_id: int, chat_id: int, message_id: int
    ) -> tuple[Press, OrderRow | None] | Refusal:
        """Spend a button; a Confirm confirms its order in the same transaction.

        Returns:
            The press with the order it confirmed, if it did; or why the button does nothing.

        Raises:
            UserError: The order may not be confirmed now; the button stays unspent.
        """

        def work(db: Connection) -> tuple[Press, OrderRow | None] | Refusal:
            now_ms = self._clock.now_ms()
            found = confirm.redeem(db, data, user_id=user_id, chat_id=chat_id, message_id=message_id, now_ms=now_ms)
            if not isinstance(found, Press):
                return found
            if found.action != "confirm" or found.order_id is None:
                return found, None
            if journal.get(db, found.order_id).params_hash != found.params_hash:
                raise BotError(f"Order #{found.order_id} is not the one this button was made for. Nothing was sent.")
            exchange = self._gateway.named(journal.get(db, found.order_id).exchange)
            row = journal.confirm(db, found.order_id, user_id=user_id, rule=exchange.info.client_id, now_ms=now_ms)
            return "expired" if row is None else (found, row)

        result = await self._store.run(work)
        self._told()
        return result

    def send(self, row: OrderRow) -> None:
        """Place a confirmed order in the background; its card tells how it went."""
        self._start(self._place(row))

    async def drop(self, order_id: int, user_id: int) -> None:
        """End a proposal that its owner does not want."""

        def work(db: Connection) -> None:
            if journal.get_own(db, order_id, user_id).state == "proposed":
                reason = "You canceled it. Nothing was sent."
                journal.end(db, order_id, "expired", reason, self._clock.now_ms())

        await self._store.run(work)
        self._told()

    async def cancel(self, order_id: int, user_id: int) -> OrderRow:
        """Ask the exchange to cancel an order; the card tells what became of it.

        Raises:
            UserError: The order is not this user's, or not open.
        """

        def work(db: Connection) -> OrderRow:
            row = journal.get_own(db, order_id, user_id)
            if row.state not in LIVE:
                raise UserError(f"Order #{order_id} is {row.state.replace('_', ' ')}; there is nothing to cancel.")
            return journal.request_cancel(db, order_id, self._clock.now_ms())

        row = await self._store.run(work)
        self._told()
        self._start(self._cancel(row))
        return row

    async def settle_by_hand(self, order_id: int, user_id: int) -> None:
        """Close a doubt that only a person can settle: the owner looked, and the order is not there."""

        def work(db: Connection) -> None:
            row = journal.get_own(db, order_id, user_id)
            if row.state == "needs_human":
                reason = "You looked at the exchange and it was not there."
                journal.end(db, order_id, "not_placed", reason, self._clock.now_ms())

        await self._store.run(work)
        self._told()

    async def drain(self) -> None:
        """Wait until what is being sent is settled or in doubt."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _start(self, work: asyncio._CoroutineLike[None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("the outcome of a request could not be stored; the order is looked for", exc_info=error)

    async def _facts(
        self, account: AccountRow, market: Market, intent: Intent
    ) -> tuple[Ticker | None, OrderBook | None, dict[str, Balance]]:
        exchange_id = self._gateway.exchange(account).info.id

        async def ticker() -> Ticker | None:
            try:
                return await self._gateway.ticker(exchange_id, market)
            except ExchangeError:
                if isinstance(intent.price, Fixed) and intent.stop is None:
                    return None  # the price was typed; the last one is for information
                raise

        async def book() -> OrderBook | None:
            if intent.price is not None or intent.stop is not None:
                return None
            return await self._gateway.order_book(exchange_id, market)

        return await asyncio.gather(ticker(), book(), self._gateway.balances(account))

    async def _place(self, row: OrderRow) -> None:
        began = self._clock.monotonic()
        is_sending = False

        async def before_send(departure: Departure) -> None:
            nonlocal is_sending
            try:
                await self._store.run(
                    lambda db: journal.begin_sending(
                        db,
                        row.id,
                        request_hash=departure.request_hash,
                        window_ends_ms=departure.window_ends_ms,
                        now_ms=self._clock.now_ms(),
                    )
                )
            except sqlite3.Error as error:
                raise NotSent("The order could not be stored, so it was not sent") from error
            is_sending = True
            self._told()

        try:
            account = await self._store.run(lambda db: journal.account_of(db, row))
            if await self._has_drifted(account, row):
                return
            ack = await self._gateway.place(account, row.order, before_send)
            await self._store.run(lambda db: journal.accept(db, row.id, ack.exchange_order_id, self._clock.now_ms()))
        except Exception as error:
            await self._conclude(row, error, is_sending=is_sending)
        finally:
            self._told()
            self._reconciler.watch(row.id)
        after = await self._store.run(lambda db: journal.get(db, row.id))
        log.info(
            "order %s %s %s -> %s in %.0f ms",
            after.client_order_id,
            after.exchange,
            row.state,
            after.state,
            (self._clock.monotonic() - began) * 1000,
        )

    async def _has_drifted(self, account: AccountRow, row: OrderRow) -> bool:
        order = row.order
        shown = Decimal(row.params.get("best_price") or 0)
        if not shown:
            return False
        ticker = await self._gateway.ticker(row.exchange, order.market)
        price = (ticker.ask if order.side == "buy" else ticker.bid) or ticker.last
        if abs(price / shown - 1) <= DRIFT_TOLERANCE:
            return False
        step = order.market.price_step
        reason = f"The price moved from {format_price(shown, step)} to {format_price(price, step)}. Nothing was sent."
        await self._store.run(lambda db: journal.end(db, row.id, "not_placed", reason, self._clock.now_ms()))
        intent = Intent.from_json(row.intent)
        await self.propose(account, intent, chat_id=row.chat_id, message_id=row.message_id, notice=reason)
        return True

    async def _conclude(self, row: OrderRow, error: Exception, *, is_sending: bool) -> None:
        """Give an order whose placing failed its state: what the failure proves, and not more.

        Without `is_sending` this attempt never reached the wire; it says nothing about an order that did.
        """
        if not isinstance(error, BotError):
            log.error("order #%s: placing failed", row.id, exc_info=error)
        text = in_words(error)

        def work(db: Connection) -> None:
            current = journal.get(db, row.id)
            now_ms = self._clock.now_ms()
            state: State
            if current.state == "confirmed":
                state = "not_placed"  # `sending` was never committed, so not one byte left
            elif current.state != "sending" or not is_sending:
                return
            elif isinstance(error, NotSent):
                state = "not_placed"
            elif isinstance(error, Rejected):
                state = "rejected"
            else:
                state = "unknown"
            journal.end(db, row.id, state, text, now_ms)

        await self._store.run(work)

    async def _cancel(self, row: OrderRow) -> None:
        try:
            account = await self._store.run(lambda db: journal.account_of(db, row))
            await self._gateway.cancel_order(account, row.order, row.exchange_order_id)
        except (OrderNotFound, OutcomeUnknown):
            pass  # the exchange's report of the order will tell
        except Exception as error:
            if not isinstance(error, BotError):
                log.error("order #%s: canceling failed", row.id, exc_info=error)
            reason = f"Not canceled. {in_words(error)}"
            await self._store.run(lambda db: journal.refuse_cancel(db, row.id, reason, self._clock.now_ms()))
        finally:
            self._told()
            self._reconciler.watch(row.id)


def in_words(error: Exception) -> str:
    """Return what a person is told of a failure; never the text of an error that was not made for people."""
    if isinstance(error, ExchangeError):
        sentences = [part.rstrip(".") + "." for part in (error.message, error.remedy) if part]
        return " ".join(sentences) or "The exchange refused without giving a reason."
    if isinstance(error, BotError):
        return str(error)
    return "Something went wrong inside the bot; the log has the details."
