"""Telling what the journal committed: each order's card is drawn anew until Telegram took its latest state."""

from __future__ import annotations

import asyncio
import logging

from telegram.error import BadRequest, Forbidden, RetryAfter, TelegramError

from bot.chat.render import card
from bot.chat.reply import Sender
from bot.clock import Clock
from bot.store.database import Connection, Store
from bot.trading import journal
from bot.trading.gateway import Gateway
from bot.trading.orders import OrderRow

log = logging.getLogger(__name__)
_BACKOFF_SECONDS = (1.0, 2.0, 5.0, 15.0, 30.0)
_AT_ONCE = 16


class Outbox:
    """Draws cards. Several changes of one order make one edit; a failed one is tried again until it works.

    Args:
        store: Where the outbox is.
        sender: The way to Telegram.
        gateway: Knows the exchanges' titles.
        clock: Ours.
    """

    def __init__(self, store: Store, sender: Sender, gateway: Gateway, clock: Clock) -> None:
        self._store = store
        self._sender = sender
        self._gateway = gateway
        self._clock = clock
        self._wake = asyncio.Event()
        self._locks = [asyncio.Lock() for _ in range(64)]  # by chat: two orders may share a card, one after the other
        self._not_before: dict[int, float] = {}
        self._failures: dict[int, int] = {}

    def told(self) -> None:
        """Look for something to tell."""
        self._wake.set()

    async def run(self) -> None:
        """Draw cards until cancelled."""
        while True:
            self._wake.clear()
            try:
                left = await self.step()
            except Exception:
                log.exception("the outbox failed")
                left = True
            if left:
                await self._clock.sleep(0.5)
            else:
                await self._wake.wait()

    async def step(self) -> bool:
        """Draw every card that is due; say whether some are left for later."""
        waiting = await self._store.run(
            lambda db: [row["order_id"] for row in db.execute("SELECT DISTINCT order_id FROM outbox").fetchall()]
        )
        for gone in self._failures.keys() - set(waiting):  # its owner blocked the bot, or another order has its card
            del self._failures[gone]
            self._not_before.pop(gone, None)
        now = self._clock.monotonic()
        due = [order_id for order_id in waiting if self._not_before.get(order_id, 0.0) <= now]
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(order_id: int) -> None:
            async with gate:
                try:
                    await self.draw(order_id)
                except Exception:
                    log.exception("order #%s: its card could not be drawn", order_id)
                    self._postpone(order_id)

        await asyncio.gather(*(one(order_id) for order_id in due))
        return len(due) < len(waiting) or bool(self._failures)

    async def draw(self, order_id: int) -> None:
        """Bring an order's card up to date, if there is news of it. A failure is kept for later."""
        chat_id = await self._store.run(lambda db: journal.get(db, order_id).chat_id)
        async with self._locks[chat_id % len(self._locks)]:
            try:
                await self._draw(order_id)
            except RetryAfter as error:
                wait = error.retry_after
                self._postpone(order_id, wait if isinstance(wait, int) else wait.total_seconds())
            except Forbidden:
                log.warning("order #%s: its owner blocked the bot; the card is not drawn", order_id)
                await self._store.run(lambda db: db.execute("DELETE FROM outbox WHERE order_id=?", (order_id,)))
            except TelegramError as error:
                self._postpone(order_id)
                level = logging.ERROR if isinstance(error, BadRequest) else logging.WARNING
                log.log(level, "order #%s: its card could not be drawn: %s", order_id, type(error).__name__)
            else:
                self._not_before.pop(order_id, None)
                self._failures.pop(order_id, None)

    def _postpone(self, order_id: int, seconds: float | None = None) -> None:
        tries = self._failures[order_id] = self._failures.get(order_id, 0) + 1
        if seconds is None:
            seconds = _BACKOFF_SECONDS[min(tries, len(_BACKOFF_SECONDS)) - 1]
        self._not_before[order_id] = self._clock.monotonic() + seconds
        self._wake.set()

    async def _draw(self, order_id: int) -> None:
        def read(db: Connection) -> tuple[int, OrderRow, str] | None:
            newest = db.execute("SELECT max(id) AS id FROM outbox WHERE order_id=?", (order_id,)).fetchone()["id"]
            if newest is None:
                return None
            row = journal.get(db, order_id)
            label = db.execute("SELECT label FROM accounts WHERE id=?", (row.account_id,)).fetchone()["label"]
            return newest, row, label

        found = await self._store.run(read)
        if found is None:
            return
        newest, row, label = found
        exchange = self._gateway.exchanges.get(row.exchange)
        title = exchange.info.title if exchange else row.exchange
        message_id = await self._sender.send(
            card(row, account=label, exchange=title),
            chat_id=row.chat_id,
            user_id=row.user_id,
            message_id=row.message_id,
        )

        def done(db: Connection) -> None:
            if message_id != row.message_id:
                db.execute("UPDATE orders SET message_id=? WHERE id=?", (message_id, order_id))
            db.execute("DELETE FROM outbox WHERE order_id=? AND id<=?", (order_id, newest))

        await self._store.run(done)
