"""Watch boards at work: one pinned message per chat that shows prices, edited behind everything that matters more."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from telegram.error import BadRequest, ChatMigrated, Forbidden, RetryAfter, TelegramError

from bot.accounts import roles
from bot.chat.numbers import format_percent, format_price
from bot.chat.reply import Reply, Sender
from bot.chat.text import Text
from bot.clock import Clock, wait_at_most
from bot.contract.errors import BotError
from bot.contract.models import Market, Ticker
from bot.store.database import Connection, Store
from bot.trading import boards, notices
from bot.trading.boards import Board
from bot.trading.feeds import Prices
from bot.trading.gateway import Gateway

log = logging.getLogger(__name__)
EVERY_SECONDS = 15
_TURN_SECONDS = 1
_KEEP_SECONDS = 60
_TICKER_SECONDS = 60
_NO_PIN = "I may not pin messages here, so the board is not pinned. Pin it yourself, or let me, and send /watch again."


class Boards:
    """Keeps every board of the instance up to date.

    Args:
        store: Where they are.
        gateway: Knows pairs, and is asked what a price was a day ago.
        prices: Everybody's prices.
        sender: The way to Telegram.
        clock: Ours.
        owner: The owner's id.
    """

    def __init__(
        self, store: Store, gateway: Gateway, prices: Prices, sender: Sender, clock: Clock, *, owner: int | None
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._prices = prices
        self._sender = sender
        self._clock = clock
        self._owner = owner
        self._wake = asyncio.Event()
        self._kept: dict[str, tuple[float, frozenset[str]]] = {}
        self._tickers: dict[tuple[str, str], tuple[float, Ticker | None]] = {}
        self._due: dict[int, float] = {}
        self._shown: dict[int, tuple[int, str]] = {}

    def changed(self) -> None:
        """Look at the boards now: one was put up or changed."""
        self._wake.set()

    async def run(self) -> None:
        """Keep them up to date until cancelled."""
        while True:
            try:
                await self.step()
            except Exception:
                log.exception("looking after boards failed")
            await wait_at_most(self._clock, _TURN_SECONDS, self._wake)

    async def step(self) -> None:
        """Bring up to date what is due."""
        self._wake.clear()
        found = await self._store.run(self._allowed)
        here = {each.chat_id for each in found}
        self._due = {chat_id: at for chat_id, at in self._due.items() if chat_id in here}
        self._shown = {chat_id: seen for chat_id, seen in self._shown.items() if chat_id in here}
        due = [each for each in found if self._is_due(each)]
        if not due:
            return
        markets = await self._keep(found)
        for board in due:
            await self._refresh(board, markets.get(board.exchange, {}))

    def _allowed(self, db: Connection) -> list[Board]:
        """Return the boards of people who may still use the bot; the others end."""
        found = boards.every(db)
        for each in found:
            if roles.standing(db, each.user_id, self._owner) is None:
                boards.end(db, each.chat_id)
        return boards.every(db)

    def _is_due(self, board: Board) -> bool:
        """Say whether a board may be shown now: not too often, and not while Telegram holds its chat."""
        now = self._clock.monotonic()
        is_free = self._sender.pacer.ready_at(board.chat_id, "alert") <= now
        return is_free and now >= self._due.get(board.chat_id, 0)

    # The figures

    async def _keep(self, found: list[Board]) -> Mapping[str, Mapping[str, Market]]:
        """Keep the prices coming, and return the markets of each exchange by pair."""
        wanted: dict[str, set[str]] = defaultdict(set)
        for board in found:
            wanted[board.exchange] |= set(board.symbols)
        markets: dict[str, Mapping[str, Market]] = {}
        for exchange, symbols in wanted.items():
            try:
                known = await self._gateway.symbols(exchange)
                markets[exchange] = {each: market for each in symbols if (market := known.get(each)) is not None}
                at, kept = self._kept.get(exchange, (0.0, frozenset()))
                if self._clock.monotonic() >= at or not symbols <= kept:
                    await self._prices.keep(exchange, list(markets[exchange].values()))
                    self._kept[exchange] = self._clock.monotonic() + _KEEP_SECONDS, frozenset(symbols)
            except BotError as error:
                log.warning("%s: no prices for boards: %s", exchange, error)
        return markets

    async def _ticker(self, exchange: str, market: Market) -> Ticker | None:
        """Return the figures of the last minute, or `None` where the exchange did not tell them."""
        now, key = self._clock.monotonic(), (exchange, market.symbol)
        at, found = self._tickers.get(key, (0.0, None))
        if now < at:
            return found
        try:
            found = await self._gateway.ticker(exchange, market)
        except BotError as error:
            log.info("%s: no figures of %s: %s", exchange, market.symbol, error)
            found = None
        self._tickers = {each: kept for each, kept in self._tickers.items() if now < kept[0]}
        self._tickers[key] = now + _TICKER_SECONDS, found
        return found

    async def _row(self, exchange: str, symbol: str, market: Market | None) -> tuple[str, str, str]:
        ticker = None if market is None else await self._ticker(exchange, market)
        price = None if market is None else self._prices.latest(exchange, market)
        last = price.last if price is not None and price.last is not None else ticker.last if ticker else None
        if market is None or last is None:
            return (symbol, "no price", "")
        return (symbol, format_price(last, market.price_step), change(last, ticker))

    async def _drawn(self, board: Board, markets: Mapping[str, Market]) -> Text:
        rows = await asyncio.gather(*(self._row(board.exchange, each, markets.get(each)) for each in board.symbols))
        exchange = self._gateway.exchanges.get(board.exchange)
        title = exchange.info.title + exchange.info.mark if exchange else board.exchange
        at = datetime.fromtimestamp(self._clock.now_ms() // 1000, UTC).strftime("%H:%M")
        text = Text().bold("👁 Watch board").line(f" · {title}")
        if not any(change for _, _, change in rows):  # the exchange does not tell, as where money is paper
            return text.table([each[:2] for each in rows]).plain(f"{at} UTC")
        return text.table(list(rows)).plain(f"24 h change · {at} UTC")

    # The message

    async def _refresh(self, board: Board, markets: Mapping[str, Market]) -> None:
        text = await self._drawn(board, markets)
        chat_id, now = board.chat_id, self._clock.monotonic()
        self._due[chat_id] = now + EVERY_SECONDS
        try:
            if board.message_id is None:
                await self._send(board, text)
            elif self._shown.get(chat_id) != (board.message_id, text.text):
                if await self._sender.redraw(text, chat_id=chat_id, message_id=board.message_id):
                    self._shown[chat_id] = board.message_id, text.text
                else:
                    await self._store.run(lambda db: boards.lost(db, chat_id, board.message_id or 0))
        except RetryAfter:
            self._due.pop(chat_id)  # the pacer holds the chat
        except ChatMigrated as error:
            new_chat_id = error.new_chat_id
            await self._store.run(lambda db: notices.migrate(db, chat_id, new_chat_id))
            self._sender.moved(new_chat_id)
        except TelegramError as error:
            is_refused = isinstance(error, BadRequest) and board.message_id is None
            if is_refused or isinstance(error, Forbidden) or "chat not found" in error.message.lower():
                await self._store.run(lambda db: boards.end(db, chat_id))
            log.warning("the board of chat %s was not shown: %s", chat_id, type(error).__name__)

    async def _send(self, board: Board, text: Text) -> None:
        chat_id = board.chat_id
        message_id = await self._sender.deliver(
            Reply(text), chat_id=chat_id, user_id=0, lane="alert", thread_id=board.thread_id, is_silent=True
        )
        if not await self._store.run(lambda db: boards.sent(db, chat_id, message_id)):
            return
        self._shown[chat_id] = message_id, text.text
        try:
            await self._sender.bot.pin_chat_message(chat_id, message_id, disable_notification=True)
        except (BadRequest, Forbidden):
            await self._store.run(lambda db: self._tell_not_pinned(db, board))
            self._sender.kept()

    def _tell_not_pinned(self, db: Connection, board: Board) -> None:
        payload, now_ms = {"text": _NO_PIN}, self._clock.now_ms()
        notices.tell(db, chat_id=board.chat_id, thread_id=board.thread_id, kind="note", payload=payload, now_ms=now_ms)


def change(last: Decimal, ticker: Ticker | None) -> str:
    """Write how far a price is from that of 24 hours ago; nothing where that is not known."""
    if ticker is None or not ticker.open_24h:
        return ""
    moved = last / ticker.open_24h - 1
    return ("+" if moved > 0 else "") + format_percent(moved)
