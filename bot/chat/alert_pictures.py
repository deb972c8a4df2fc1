"""The small picture below an alert that fired: how the price came there. It may be missing, never in the way."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from telegram.error import TelegramError

from bot.alerts import rows
from bot.alerts.rows import Alert
from bot.chat.pictures import Pictures, spark
from bot.chat.reply import Photo, Sender
from bot.clock import Clock
from bot.contract.errors import BotError
from bot.contract.models import INTERVALS, Interval
from bot.store.database import Connection, Store
from bot.trading import notices
from bot.trading.gateway import Gateway
from bot.trading.notices import Notice

log = logging.getLogger(__name__)
_MOST_WAITING = 20
_CANDLES = 48
_LONG_WINDOW_MS = 4 * INTERVALS["1h"]
_OF_PRICE = ("above", "below", "move")


class AlertPictures:
    """Sends pictures one after another, each after the message of its alert.

    A picture is left out while anything else waits to be told in its chat, and when too many are asked for at once.

    Args:
        store: Where the alerts are.
        gateway: Tells the candles.
        sender: The way to Telegram.
        pictures: Draws.
        clock: Ours.
    """

    def __init__(self, store: Store, gateway: Gateway, sender: Sender, pictures: Pictures, clock: Clock) -> None:
        self._store = store
        self._gateway = gateway
        self._sender = sender
        self._pictures = pictures
        self._clock = clock
        self._waiting: deque[Notice] = deque(maxlen=_MOST_WAITING)
        self._wake = asyncio.Event()

    def sent(self, notice: Notice) -> None:
        """Note that a message was sent; of an alert, the picture follows. The oldest that waits gives way."""
        if notice.kind == "alert":
            self._waiting.append(notice)
            self._wake.set()

    async def run(self) -> None:
        """Send pictures until cancelled."""
        while True:
            await self._wake.wait()
            await self.step()

    async def step(self) -> None:
        """Send the pictures that wait."""
        self._wake.clear()
        while self._waiting:
            notice = self._waiting.popleft()
            try:
                await self._send(notice)
            except (BotError, TelegramError) as error:
                log.info("alert #%s has no picture: %s", notice.payload["id"], type(error).__name__)
            except Exception:
                log.exception("the picture of alert #%s failed", notice.payload["id"])

    async def _send(self, notice: Notice) -> None:
        alert = await self._store.run(lambda db: self._wanted(db, notice))
        if alert is None:
            return
        wish, end_ms = alert.wish, self._clock.now_ms()
        market = (await self._gateway.symbols(wish.exchange)).get(wish.symbol)
        if market is None:
            return
        interval: Interval = "1h" if wish.window_ms > _LONG_WINDOW_MS else "15m"
        begin_ms = end_ms - _CANDLES * INTERVALS[interval]
        candles = await self._gateway.candles(wish.exchange, market, interval, begin_ms, end_ms)
        if not candles:
            return
        title = f"{wish.symbol} · {interval} · {self._gateway.named(wish.exchange).info.title}"
        level = None if wish.kind == "move" else wish.at
        png = await self._pictures.of(spark(title, interval, candles[-_CANDLES:], level, f"alert #{alert.id}"))
        if await self._store.run(lambda db: self._wanted(db, notice)) is None:
            return  # something more important came meanwhile
        await self._sender.photo(
            Photo(png, f"{wish.title}. Times are UTC."),
            chat_id=notice.chat_id,
            user_id=0,
            thread_id=notice.thread_id,
            lane="alert",
            is_silent=True,
        )

    def _wanted(self, db: Connection, notice: Notice) -> Alert | None:
        """Return the alert of a picture that may be sent now: one of a price, in a chat where nothing else waits."""
        alert = rows.get(db, notice.payload["id"])
        is_busy = any(
            found.id != notice.id for queue in notices.QUEUES if (found := notices.following(db, notice.chat_id, queue))
        )
        return None if alert is None or is_busy or alert.wish.kind not in _OF_PRICE else alert
