"""The desk: turns what a person asks into a preview, and a confirmed preview into one order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace

import msgspec

from bot.accounts.people import AccountRow
from bot.clock import Clock
from bot.contract.errors import BotError, ExchangeError, UserError
from bot.contract.models import Balance, Market, OrderBook, Ticker
from bot.exchanges.transport import Departure
from bot.store.database import Connection, Store
from bot.trading import allowance, approval, client_ids, confirm, halt, journal, queries, valuation
from bot.trading.confirm import Press, Refusal
from bot.trading.draft import draft
from bot.trading.errors import ApprovalNeeded, Stays
from bot.trading.gateway import Gateway
from bot.trading.intent import Fixed, Intent
from bot.trading.law import LIVE
from bot.trading.limits import NONE, Limits
from bot.trading.orders import OrderRow
from bot.trading.reconcile import Reconciler
from bot.trading.sending import Sender


class Desk:
    """Proposes, confirms, places and cancels.

    Args:
        store: The database.
        gateway: The way to the exchanges.
        reconciler: Looks after what was placed.
        clock: Ours.
        told: Called after each commit that leaves something to tell.
        ceiling: The limits of the configuration, under which each person sets their own.
        owner: The owner's id, who may approve the orders of others.
    """

    def __init__(
        self,
        store: Store,
        gateway: Gateway,
        reconciler: Reconciler,
        clock: Clock,
        told: Callable[[], None],
        *,
        ceiling: Limits = NONE,
        owner: int | None = None,
    ) -> None:
        self.ceiling = ceiling
        self._owner = owner
        self._halt_file = store.path.with_name(halt.FILE)
        self._store = store
        self._gateway = gateway
        self._reconciler = reconciler
        self._clock = clock
        self._told = told
        self._sender = Sender(
            store, gateway, reconciler, clock, told, let_leave=self._let_leave, offer_anew=self._offer_anew
        )

    async def propose(
        self,
        account: AccountRow,
        intent: Intent,
        *,
        chat_id: int,
        message_id: int | None = None,
        asked_in: int | None = None,
        notice: str = "",
        despite: Collection[int] = (),
    ) -> OrderRow:
        """Draft an order and store it as a proposal, with the card that shows it.

        Args:
            account: Who trades.
            intent: What was asked; pair and size are known.
            chat_id: Where the card goes.
            message_id: The card to take over, or `None` for a new message.
            asked_in: The message that asked for it.
            notice: Why there is another preview, to be shown on it.
            despite: Orders in doubt of which the person said that this one is wanted all the same.

        Raises:
            UserError: The order cannot be placed as asked; the text says what is wrong and what would work.
            ExchangeError: The exchange did not tell what a preview needs. Nothing was stored.
        """
        exchange = self._gateway.exchange(account)
        # Whoever is halted learns that before what else is wrong; the transaction below looks again, and decides.
        self._store.look(lambda db: halt.refuse(db, account.user_id, self._clock.now_ms()))
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
        rate = await valuation.rate(self._gateway, exchange.info.id, market.quote)
        facts = allowance.facts(made, ticker, rate)
        above = [notice, self._checking(account, exchange.info.id), *map(_may_exist, sorted(despite))]
        made = replace(made, warnings=(*filter(None, above), *made.warnings))
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
                despite=despite,
                facts=facts,
                ceiling=self.ceiling,
                now_ms=self._opened(db),
            )
        )
        self._reconciler.deadlines.set(row.id, journal.PROPOSAL_SECONDS)
        self._told()
        return row

    async def press(
        self, data: str, *, user_id: int, chat_id: int, message_id: int, may_send: bool = False
    ) -> tuple[Press, OrderRow | None] | Refusal:
        """Spend a button; a Confirm confirms its order in the same transaction, and so does an Approve.

        Args:
            data: What the button carries.
            user_id: Who presses it.
            chat_id: Where.
            message_id: On which message.
            may_send: Whether an order that nothing has to be waited for may be on its way when this returns.

        Returns:
            The press with the order it confirmed, if it did: `confirmed`, to be sent, or `sending` already. Or why the
            button does nothing.

        Raises:
            UserError: The order may not be confirmed now; the button stays unspent.
        """
        if may_send:
            sent = await self._press_and_send(data, user_id=user_id, chat_id=chat_id, message_id=message_id)
            if sent is not None:
                return sent

        def work(db: Connection) -> tuple[Press, OrderRow | None] | Refusal:
            now_ms = self._opened(db)
            found = confirm.redeem(db, data, user_id=user_id, chat_id=chat_id, message_id=message_id, now_ms=now_ms)
            if not isinstance(found, Press):
                return found
            if found.action not in ("confirm", "approve") or found.order_id is None:
                return found, None
            shown = queries.get(db, found.order_id)
            if shown.params_hash != found.params_hash:
                raise BotError(f"Order #{found.order_id} is not the one this button was made for. Nothing was sent.")
            if self._reconciler.deadlines.is_over(shown.id):
                return "expired"
            exchange = self._gateway.named(shown.exchange)
            if wait := self._checking(queries.account_of(db, shown), shown.exchange):
                raise UserError(wait, code="CHECKING")
            rule = exchange.info.client_id
            if found.action == "approve":
                given = approval.give(
                    db,
                    shown.id,
                    approver=user_id,
                    owner=self._owner,
                    rule=rule,
                    ceiling=self.ceiling,
                    now_ms=now_ms,
                )
                return "expired" if given is None else (found, given)
            row = self._confirmed(db, shown.id, user_id, now_ms)
            return "expired" if row is None else (found, row)

        result = await self._store.run(work)
        self._told()
        if not isinstance(result, tuple) or result[1] is None:
            return result
        row = result[1]
        self._set_deadline(row)
        return result[0], row if row.state == "confirmed" else None

    async def _press_and_send(
        self, data: str, *, user_id: int, chat_id: int, message_id: int
    ) -> tuple[Press, OrderRow] | None:
        """Spend a Confirm, confirm its order and let it leave, in one commit; `None` where that cannot be.

        Then nothing has happened, whatever the reason: the usual way finds it, and tells.
        """
        thumb = {"user_id": user_id, "chat_id": chat_id, "message_id": message_id}

        def look(db: Connection) -> tuple[AccountRow, OrderRow] | None:
            seen = confirm.look_at(db, data, **thumb, now_ms=self._clock.now_ms())
            if seen is None or seen.action != "confirm" or seen.order_id is None:
                return None
            shown = queries.get(db, seen.order_id)
            client_order_id = client_ids.mint(db, shown, self._gateway.named(shown.exchange).info.client_id)
            return queries.account_of(db, shown), msgspec.structs.replace(shown, client_order_id=client_order_id)

        def leave(db: Connection, departure: Departure) -> tuple[Press, OrderRow]:
            now_ms = self._opened(db)
            found = confirm.redeem(db, data, **thumb, now_ms=now_ms)
            if not isinstance(found, Press) or found.params_hash != row.params_hash:
                raise Stays
            if self._reconciler.deadlines.is_over(row.id) or self._checking(account, row.exchange):
                raise Stays
            made = journal.confirm_and_send(
                db,
                row.id,
                user_id=user_id,
                rule=self._gateway.named(row.exchange).info.client_id,
                client_order_id=row.client_order_id,
                request_hash=departure.request_hash,
                window_ends_ms=departure.window_ends_ms,
                ceiling=self.ceiling,
                now_ms=now_ms,
            )
            return found, made

        try:
            found = self._store.look(look)
        except BotError:
            return None
        if found is None:
            return None
        account, row = found
        return await self._sender.place_at_once(account, row, leave)

    async def confirm_with_code(self, order_id: int, user_id: int, verify: Callable[[Connection], None]) -> OrderRow:
        """Confirm an order that is above its owner's line for codes.

        Args:
            order_id: Which.
            user_id: Whose.
            verify: Takes the code. It is called first in the transaction, and its errors end it.

        Returns:
            The order, `confirmed` to be sent, or `proposed` while it waits for a second person.

        Raises:
            UserError: The code is wrong, it is too late, or the order may not be confirmed now.
        """

        def work(db: Connection) -> OrderRow:
            verify(db)
            now_ms = self._opened(db)
            shown = queries.get_own(db, order_id, user_id)
            if wait := self._checking(queries.account_of(db, shown), shown.exchange):
                raise UserError(wait, code="CHECKING")
            is_over = self._reconciler.deadlines.is_over(order_id)
            row = None if is_over else self._confirmed(db, order_id, user_id, now_ms, has_code=True)
            if row is None:
                raise UserError("The preview has expired. Nothing was sent. Ask for a new one.", code="TOO_LATE")
            return row

        row = await self._store.run(work)
        self._set_deadline(row)
        self._told()
        return row

    def _confirmed(
        self, db: Connection, order_id: int, user_id: int, now_ms: int, *, has_code: bool = False
    ) -> OrderRow | None:
        """Confirm an order; where that takes a second person, ask for one instead and leave it `proposed`."""
        rule = self._gateway.named(queries.get(db, order_id).exchange).info.client_id
        try:
            return journal.confirm(
                db, order_id, user_id=user_id, rule=rule, ceiling=self.ceiling, has_code=has_code, now_ms=now_ms
            )
        except ApprovalNeeded:
            return approval.ask(db, order_id, owner=self._owner, has_code=has_code, now_ms=now_ms)

    def _set_deadline(self, row: OrderRow) -> None:
        seconds = journal.SEND_SECONDS if row.state == "confirmed" else journal.APPROVAL_SECONDS
        self._reconciler.deadlines.set(row.id, seconds)

    def _opened(self, db: Connection) -> int:
        """Return the time, once the file that halts is taken over: the rest of the transaction sees it as a row."""
        now_ms = self._clock.now_ms()
        halt.take_file(db, self._halt_file, now_ms)
        return now_ms

    def send(self, row: OrderRow) -> None:
        """Place a confirmed order in the background; its card tells how it went."""
        self._sender.place(row)

    async def drop(self, order_id: int, user_id: int) -> None:
        """End a proposal that its owner does not want."""

        def work(db: Connection) -> None:
            if queries.get_own(db, order_id, user_id).state == "proposed":
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
            row = queries.get_own(db, order_id, user_id)
            if row.state not in LIVE:
                raise UserError(f"Order #{order_id} is {row.state.replace('_', ' ')}; there is nothing to cancel.")
            return journal.request_cancel(db, order_id, self._clock.now_ms())

        row = await self._store.run(work)
        self._told()
        self._sender.cancel(row)
        return row

    async def settle_by_hand(self, order_id: int, user_id: int) -> None:
        """Close a doubt that only a person can settle: the owner looked, and the order is not there.

        One that the exchange never showed was not placed; one that it had, and shows no more, has ended.
        """

        def work(db: Connection) -> None:
            row = queries.get_own(db, order_id, user_id)
            reason = "You looked at the exchange and it was not there."
            if row.state == "needs_human":
                journal.end(db, order_id, "not_placed", reason, self._clock.now_ms())
            elif row.is_missing:
                journal.end(db, order_id, "canceled", reason, self._clock.now_ms())

        await self._store.run(work)
        self._told()

    async def drain(self, seconds: float | None = None) -> None:
        """Wait until what is being sent is settled or in doubt; after `seconds`, leave the rest to the next start."""
        await self._sender.drain(seconds)

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

    def _checking(self, account: AccountRow, exchange_id: str) -> str:
        """Return why an account may not trade yet after a start, or nothing."""
        if not self._reconciler.is_checking(account.id, exchange_id):
            return ""
        title = self._gateway.named(exchange_id).info.title
        return (
            f"The bot has just started and is still asking {title} about the orders of {account.label}. "
            "Confirm works once that has ended."
        )

    def _let_leave(self, db: Connection, order_id: int, departure: Departure) -> None:
        journal.begin_sending(
            db,
            order_id,
            request_hash=departure.request_hash,
            window_ends_ms=departure.window_ends_ms,
            ceiling=self.ceiling,
            now_ms=self._opened(db),
        )

    async def _offer_anew(self, account: AccountRow, row: OrderRow, reason: str) -> None:
        await self.propose(
            account,
            Intent.from_json(row.intent),
            chat_id=row.chat_id,
            message_id=row.message_id,
            notice=reason,
            despite=row.despite,
        )


def _may_exist(order_id: int) -> str:
    return f"Order #{order_id} may exist as well: then this one comes on top of it."
