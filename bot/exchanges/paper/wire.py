"""The paper exchange itself: takes a request where others have a socket, and answers it."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from bot.contract.errors import BotError, NotSent, OutcomeUnknown
from bot.contract.models import Candle, Market, OrderBook, Ticker
from bot.contract.wire import Request, Response
from bot.exchanges.paper import matching
from bot.exchanges.paper.state import PaperOrder, PaperState, Refusal
from bot.store.database import Connection, Store

STARTING: Mapping[str, Decimal] = {"USDT": Decimal(10_000), "BTC": Decimal("0.1"), "TWD": Decimal(300_000)}
"""What a new account holds, of the assets that the markets know."""

_STATUS = {"ORDER_NOT_FOUND": 404, "DUPLICATE_CLIENT_ID": 409}
_PARTS = 12  # how often a candle looks at the price
_EMPTY = OrderBook((), ())


class PaperWire:
    """Answers the requests of `PaperPlugin`. Everything it knows is in the database, so a restart changes nothing.

    An account's open orders meet the current books whenever anything is asked about the account.

    Args:
        store: Where the accounts' states are.
        markets: The markets of the exchange it stands for. Asked often: bring a cached answer.
        book: The current book of a market.
        now_ms: The time, UTC milliseconds.
        price: The price of a market at a time, where that can be told; candles are made of it.
        starting: What a new account holds.
    """

    def __init__(
        self,
        store: Store,
        *,
        markets: Callable[[], Awaitable[Sequence[Market]]],
        book: Callable[[Market], Awaitable[OrderBook]],
        now_ms: Callable[[], int],
        price: Callable[[Market, int], Decimal] | None = None,
        starting: Mapping[str, Decimal] = STARTING,
    ) -> None:
        self._store = store
        self._markets = markets
        self._book = book
        self._now_ms = now_ms
        self._price = price
        self._starting = starting
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def send(self, request: Request, *, timeout_seconds: float) -> Response:
        """Answer `request`.

        Raises:
            NotSent: An order, and the real book could not be read: it was not taken.
            OutcomeUnknown: A read or a cancellation, and the real book could not be read.
        """
        fields = json.loads(request.body) if request.body else dict(request.query)
        try:
            if "account" in fields:
                async with self._locks[int(fields["account"])]:
                    return _reply(await self._private(request, fields, timeout_seconds))
            async with _reading(request, timeout_seconds):
                return _reply(await self._public(request.path, fields))
        except Refusal as refusal:
            return _reply({"error": refusal.code, "message": str(refusal)}, _STATUS.get(refusal.code, 400))

    async def close(self) -> None:
        """Nothing to let go of."""

    async def _public(self, path: str, fields: Mapping[str, Any]) -> Any:
        markets = await self._markets()
        if path == "/v1/markets":
            return [asdict(market) for market in markets]
        market = _named({market.exchange_symbol: market for market in markets}, fields["symbol"])
        if path == "/v1/candles":
            return self._candles(market, *(int(fields[name]) for name in ("step_ms", "start_ms", "end_ms")))
        book = await self._book(market)
        if path == "/v1/book":
            return asdict(book)
        middle = matching.middle(book)
        if middle is None:
            raise Refusal("NO_LIQUIDITY", f"the book of {market.symbol} is empty, so it has no price")
        bid, ask = (levels[0][0] if levels else None for levels in (book.bids, book.asks))
        last = middle // market.price_step * market.price_step
        return asdict(Ticker(exchange_symbol=market.exchange_symbol, last=last, bid=bid, ask=ask, at_ms=self._now_ms()))

    def _candles(self, market: Market, step_ms: int, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
        if self._price is None:
            raise Refusal("UNKNOWN_MARKET", f"no history of {market.symbol} is kept on paper")
        found = []
        for at_ms in range(-(-start_ms // step_ms) * step_ms, end_ms + 1, step_ms):
            until = min(at_ms + step_ms, end_ms)
            seen = [self._price(market, at_ms + (until - at_ms) * part // _PARTS) for part in range(_PARTS + 1)]
            found.append(asdict(Candle(at_ms, seen[0], max(seen), min(seen), seen[-1], Decimal(1))))
        return found

    async def _private(self, request: Request, fields: Mapping[str, Any], timeout_seconds: float) -> Any:
        account = int(fields["account"])
        async with _reading(request, timeout_seconds):
            markets = {market.exchange_symbol: market for market in await self._markets()}
            before = await self._store.run(lambda db: _load(db, account))
            state = PaperState.from_json(before) if before else self._opened(list(markets.values()))
            symbols = state.open_symbols()
            if request.places:
                symbols.add(_named(markets, fields["symbol"]).exchange_symbol)
            listed = [markets[symbol] for symbol in symbols if symbol in markets]
            books = dict(zip(listed, await asyncio.gather(*map(self._read, listed)), strict=True))
        for market, book in books.items():
            matching.settle(state, market.exchange_symbol, book, market, self._now_ms())
        for symbol in symbols - markets.keys():
            matching.cancel_all(state, symbol, "the market is no longer listed")
        answer: Any
        try:
            if request.places:
                market = markets[fields["symbol"]]
                answer = self._place(state, fields, books[market], market)
            else:
                answer = _answer(state, request, fields)
        except Refusal as refusal:
            answer = refusal
        after = state.to_json()
        if after != before:
            await self._store.run(lambda db: _save(db, account, after))
        if isinstance(answer, Refusal):
            raise answer
        return answer

    async def _read(self, market: Market) -> OrderBook:
        return await self._book(market) if market.status == "online" else _EMPTY

    def _opened(self, markets: Sequence[Market]) -> PaperState:
        known = {asset for market in markets for asset in (market.base, market.quote)}
        return PaperState(free={asset: amount for asset, amount in self._starting.items() if asset in known})

    def _place(self, state: PaperState, fields: Mapping[str, Any], book: OrderBook, market: Market) -> Any:
        amounts: dict[str, Any] = {
            name: Decimal(fields[name])
            for name in ("quantity", "funds", "price", "stop_price", "reference_price")
            if name in fields
        }
        order = PaperOrder(
            client_order_id=fields["client_order_id"],
            symbol=market.exchange_symbol,
            side=fields["side"],
            type=fields["type"],
            time_in_force=fields["time_in_force"],
            post_only=fields["post_only"],
            **amounts,
        )
        matching.place(state, order, book, market, self._now_ms())
        return {"exchange_order_id": str(order.id)}


@asynccontextmanager
async def _reading(request: Request, timeout_seconds: float) -> AsyncIterator[None]:
    """Turn a failure to read the real market into what it means for `request`: nothing of it was done."""
    try:
        async with asyncio.timeout(timeout_seconds):
            yield
    except (BotError, TimeoutError) as error:
        text = f"the real market cannot be read ({str(error) or 'no answer in time'})"
        if request.places:
            remedy = "Nothing was placed. Try again in a moment."
            raise NotSent(f"{text}, so no paper order can be taken", code="NO_BOOK", remedy=remedy) from error
        raise OutcomeUnknown(text, code="NO_BOOK") from error


def _answer(state: PaperState, request: Request, fields: Mapping[str, Any]) -> Any:
    """Answer what is not an order, from a state that is up to date."""
    match request.method, request.path.removeprefix("/v1/").split("/"):
        case "GET", ["balances"]:
            return [asdict(balance) for balance in state.balances()]
        case "GET", ["open-orders"]:
            return [asdict(order.report()) for order in state.orders if order.is_open]
        case "GET", ["order-history"]:
            return [asdict(order.report()) for order in reversed(state.orders) if not order.is_open]
        case "GET", ["order-by-client-id"]:
            wanted = fields["client_order_id"]
            return [asdict(order.report()) for order in reversed(state.orders) if order.client_order_id == wanted]
        case "GET", ["orders", order_id]:
            return asdict(matching.find(state, order_id).report())
        case "GET", ["fills"]:
            wanted = fields["exchange_order_id"]
            return [asdict(fill) for fill in reversed(state.fills) if wanted in ("", fill.exchange_order_id)]
        case "DELETE", ["orders", order_id]:
            matching.cancel(state, order_id)
            return {}
        case "DELETE", ["orders"]:
            matching.cancel_all(state, fields["symbol"])
            return {}
        case _:
            raise Refusal("UNKNOWN_PATH", f"the paper exchange has no {request.method} {request.path}")


def _named(markets: Mapping[str, Market], symbol: str) -> Market:
    if symbol not in markets:
        raise Refusal("UNKNOWN_MARKET", f"there is no market {symbol}")
    return markets[symbol]


def _load(db: Connection, account: int) -> str:
    row = db.execute("SELECT state FROM paper WHERE account_id=?", (account,)).fetchone()
    return "" if row is None else str(row["state"])


def _save(db: Connection, account: int, state: str) -> None:
    db.execute(
        "INSERT INTO paper VALUES (?, ?) ON CONFLICT(account_id) DO UPDATE SET state=excluded.state", (account, state)
    )


def _reply(content: Any, status: int = 200) -> Response:
    body = json.dumps(content, default=lambda amount: format(amount, "f"), separators=(",", ":"))
    return Response(status, {}, body.encode())
