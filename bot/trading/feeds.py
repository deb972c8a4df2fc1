"""What exchanges tell by themselves: that an order changed, and what the price is.

A stream only wakes the reconciler. What became of an order is read over REST, so nothing is counted twice, and a
frame that was lost costs a turn of polling and never the truth.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random as randomness
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import msgspec

from bot.accounts import people
from bot.clock import Clock
from bot.contract.errors import BotError
from bot.contract.models import Market
from bot.contract.streams import OrderChanged, PriceSeen, Stream
from bot.exchanges.streams import News, StreamRunner, StreamState
from bot.store.database import Connection, Store
from bot.trading import queries
from bot.trading.gateway import Gateway
from bot.trading.law import LIVE
from bot.trading.reconcile import Reconciler

log = logging.getLogger(__name__)

_LINGER_SECONDS = 180.0
_FRESH_SECONDS = 10.0

_Key: TypeAlias = tuple[int, str]
"""An account and the exchange its orders were drafted for: real or paper, whatever was switched since."""


class _Line:
    """A runner at work."""

    def __init__(self, runner: StreamRunner) -> None:
        self.runner = runner
        self._task = asyncio.get_running_loop().create_task(runner.run())

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class Feeds:
    """Keeps one private stream for each account that has orders to look after, and the prices people look at.

    Args:
        store: The database.
        gateway: The way to the exchanges.
        reconciler: Is woken.
        clock: Ours.
        random: Returns a number from 0 to 1, for the pauses before reconnecting.

    Attributes:
        prices: The newest prices.
    """

    def __init__(
        self,
        store: Store,
        gateway: Gateway,
        reconciler: Reconciler,
        clock: Clock,
        *,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        self.prices = Prices(gateway, clock, random=random)
        self._store = store
        self._gateway = gateway
        self._reconciler = reconciler
        self._clock = clock
        self._random = random
        self._lines: dict[_Key, _Line] = {}
        self._needed_until: dict[_Key, float] = {}

    def state(self, account_id: int, exchange_id: str) -> StreamState | None:
        """Return how the account's private stream is, or `None` while none is wanted."""
        line = self._lines.get((account_id, exchange_id))
        return None if line is None else line.runner.state()

    async def run(self) -> None:
        """Open and close streams as they are needed, until cancelled."""
        try:
            while True:
                try:
                    await self.step()
                except Exception:
                    log.exception("looking after streams failed")
                await self._clock.sleep(1.0)
        finally:
            await asyncio.gather(self.prices.close(), *(self._close(each) for each in tuple(self._lines)))

    async def step(self) -> None:
        """Open what is needed now, and close what was not needed for some minutes or belongs to a removed account."""
        now = self._clock.monotonic()
        wanted = {*self._lines, *self._reconciler.busy}
        removed = self._store.look(lambda db: _removed(db, {account_id for account_id, _ in wanted}))
        for key in [key for key in self._reconciler.busy if key[0] not in removed]:
            self._needed_until[key] = now + _LINGER_SECONDS
            if key not in self._lines:
                self._open(*key)
        idle = [key for key in self._lines if key[0] in removed or self._needed_until[key] <= now]
        await asyncio.gather(*(self._close(key) for key in idle))
        self.prices.step()

    def _open(self, account_id: int, exchange_id: str) -> None:
        exchange = self._gateway.exchanges.get(exchange_id)
        if exchange is None or exchange.sockets is None or "private_stream" not in exchange.registered.hooks:
            return

        async def describe() -> Sequence[Stream]:
            account = await self._store.run(lambda db: people.known_account(db, account_id))
            as_sent = msgspec.structs.replace(account, paper=exchange_id.endswith(":paper"))
            return await self._gateway.private_stream(as_sent)

        async def on_news(news: News) -> None:
            if isinstance(news, OrderChanged):
                ids = news.exchange_order_id, news.client_order_id
                self._watch(self._store.look(lambda db: queries.ids_of(db, account_id, exchange_id, *ids)))

        async def on_change(is_open: bool) -> None:
            change = self._reconciler.streamed.add if is_open else self._reconciler.streamed.discard
            change((account_id, exchange_id))
            self._watch(self._store.look(lambda db: _live(db, account_id, exchange_id)))

        self._lines[account_id, exchange_id] = _Line(
            StreamRunner(
                exchange.transport,
                exchange.registered.hook,
                exchange.sockets,
                self._clock,
                describe=describe,
                on_news=on_news,
                on_change=on_change,
                credentials=self._gateway.credentials(account_id),
                account_id=account_id,
                random=self._random,
            )
        )

    def _watch(self, order_ids: Sequence[int]) -> None:
        for order_id in order_ids:
            self._reconciler.watch(order_id)

    async def _close(self, key: _Key) -> None:
        await self._lines.pop(key).stop()
        self._reconciler.streamed.discard(key)


def _removed(db: Connection, account_ids: Collection[int]) -> set[int]:
    query = "SELECT id FROM accounts WHERE id IN (SELECT value FROM json_each(?)) AND removed_ms IS NOT NULL"
    return {row["id"] for row in db.execute(query, (json.dumps(list(account_ids)),)).fetchall()}


def _live(db: Connection, account_id: int, exchange_id: str) -> list[int]:
    indexed = f"state IN {LIVE} AND state IN {queries.UNFINISHED}"
    query = f"SELECT id FROM orders WHERE account_id=? AND exchange=? AND {indexed}"  # noqa: S608  # our words
    return [row["id"] for row in db.execute(query, (account_id, exchange_id)).fetchall()]


@dataclass(slots=True)
class _Board:
    """The prices of one exchange that somebody follows, by the exchange's spelling of the market."""

    markets: dict[str, tuple[Market, float]] = field(default_factory=dict)  # with the time until when it is followed
    seen: dict[str, tuple[PriceSeen, float]] = field(default_factory=dict)  # with the time it was told
    line: _Line | None = None
    asking: asyncio.Task[None] | None = None


class Prices:
    """The newest prices of the markets that somebody asked about lately.

    One socket tells those of an exchange; what it did not tell for ten seconds is asked for.

    Args:
        gateway: The way to the exchanges.
        clock: Ours.
        random: Returns a number from 0 to 1, for the pauses before reconnecting.

    Attributes:
        listeners: Each is called with the exchange's id and every price as it becomes known. They must not wait.
    """

    def __init__(self, gateway: Gateway, clock: Clock, *, random: Callable[[], float] = randomness.random) -> None:
        self._gateway = gateway
        self._clock = clock
        self._random = random
        self.listeners: list[Callable[[str, PriceSeen], None]] = []
        self._boards: dict[str, _Board] = {}

    def latest(self, exchange_id: str, market: Market) -> PriceSeen | None:
        """Return the price of a market that is followed, or `None` where none is fresh."""
        board = self._boards.get(exchange_id)
        found = None if board is None else board.seen.get(market.exchange_symbol)
        is_fresh = found is not None and self._clock.monotonic() - found[1] < _FRESH_SECONDS
        return found[0] if found is not None and is_fresh else None

    async def follow(self, exchange_id: str, market: Market) -> PriceSeen:
        """Return the price, and keep it coming for some minutes from now.

        Raises:
            ExchangeError: It is not known, and the exchange did not tell it.
            UserError: The exchange is not in use here.
        """
        self._gateway.named(exchange_id)
        board = self._boards.setdefault(exchange_id, _Board())
        is_new = market.exchange_symbol not in board.markets
        board.markets[market.exchange_symbol] = (market, self._clock.monotonic() + _LINGER_SECONDS)
        if is_new:
            await self._subscribe(exchange_id, board)
        found = self.latest(exchange_id, market)
        return found or await self._ask(exchange_id, board, market)

    async def keep(self, exchange_id: str, markets: Sequence[Market]) -> None:
        """Keep the prices of many markets coming for some minutes from now, over one socket that all of them share.

        Raises:
            UserError: The exchange is not in use here.
        """
        self._gateway.named(exchange_id)
        board = self._boards.setdefault(exchange_id, _Board())
        until = self._clock.monotonic() + _LINGER_SECONDS
        is_new = any(market.exchange_symbol not in board.markets for market in markets)
        board.markets |= {market.exchange_symbol: (market, until) for market in markets}
        if is_new:
            await self._subscribe(exchange_id, board)

    def step(self) -> None:
        """Forget what nobody follows any more, and ask for what the streams do not tell."""
        now = self._clock.monotonic()
        for exchange_id, board in self._boards.items():
            for symbol in [each for each, (_, until) in board.markets.items() if until <= now]:
                del board.markets[symbol]
                board.seen.pop(symbol, None)
            if board.asking is None or board.asking.done():
                board.asking = asyncio.get_running_loop().create_task(self._keep(exchange_id, board))

    async def close(self) -> None:
        """End all streams."""
        boards, self._boards = self._boards, {}
        for board in boards.values():
            if board.asking is not None:
                board.asking.cancel()
                await asyncio.gather(board.asking, return_exceptions=True)
            if board.line is not None:
                await board.line.stop()

    async def _keep(self, exchange_id: str, board: _Board) -> None:
        line = board.line
        if line is not None and not board.markets:
            board.line = None
            await line.stop()
        for market, _ in tuple(board.markets.values()):
            if self.latest(exchange_id, market) is None:
                try:
                    await self._ask(exchange_id, board, market)
                except BotError as error:
                    log.info("%s: no price of %s: %s", exchange_id, market.symbol, error)

    async def _ask(self, exchange_id: str, board: _Board, market: Market) -> PriceSeen:
        ticker = await self._gateway.ticker(exchange_id, market)
        price = PriceSeen(
            exchange_symbol=market.exchange_symbol, last=ticker.last, bid=ticker.bid, ask=ticker.ask, at_ms=ticker.at_ms
        )
        self._seen(exchange_id, board, price)
        return price

    def _seen(self, exchange_id: str, board: _Board, price: PriceSeen) -> None:
        board.seen[price.exchange_symbol] = (price, self._clock.monotonic())
        for listener in self.listeners:
            listener(exchange_id, price)

    async def _subscribe(self, exchange_id: str, board: _Board) -> None:
        """Open the board's socket anew, with all its markets."""
        exchange = self._gateway.named(exchange_id)
        if exchange.sockets is None or "public_stream" not in exchange.registered.hooks:
            return

        async def describe() -> Sequence[Stream]:
            return await self._gateway.public_stream(exchange_id, [market for market, _ in board.markets.values()])

        async def on_news(news: News) -> None:
            if isinstance(news, PriceSeen) and news.exchange_symbol in board.markets:
                known, _ = board.seen.get(news.exchange_symbol, (news, 0.0))
                told = {name: getattr(news, name) for name in ("last", "bid", "ask") if getattr(news, name) is not None}
                self._seen(exchange_id, board, replace(known, at_ms=news.at_ms, **told))

        async def on_change(_: bool) -> None:
            """What a gap hides grows old and is asked for."""

        runner = StreamRunner(
            exchange.transport,
            exchange.registered.hook,
            exchange.sockets,
            self._clock,
            describe=describe,
            on_news=on_news,
            on_change=on_change,
            random=self._random,
        )
        before, board.line = board.line, _Line(runner)
        if before is not None:
            await before.stop()
