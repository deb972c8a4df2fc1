"""BitoPro's markets and prices, all public: https://github.com/bitoex/bitopro-offical-api-docs (read 2025-12)."""

from __future__ import annotations

from decimal import Decimal
from email.utils import parsedate_to_datetime

import msgspec

from bot import (
    Candle,
    Flow,
    Interval,
    Market,
    OrderBook,
    OutcomeUnknown,
    Request,
    Row,
    Ticker,
    book_of,
    candles_of,
    hookimpl,
    step_of,
)
from tradewire_bitopro.payloads import Listed, pair_of


def _ask(path: str, **query: int | str) -> Request:
    return Request.get(path, query, auth="none", costs={"address": 1})


@hookimpl
def server_time() -> Flow[int]:
    """There is no endpoint for it: read the `Date` header of a small public reply.

    It names whole seconds; the middle of that second is the best guess.
    """
    reply = yield _ask("/v3/tickers/btc_twd")
    text = reply.headers.get("date", "")
    try:
        return int(parsedate_to_datetime(text).timestamp()) * 1000 + 500
    except (TypeError, ValueError, OverflowError):
        raise OutcomeUnknown(f"BitoPro's reply has no date: {text[:40]!r}", status=reply.status) from None


class _Pair(Row, rename="camel"):
    pair: str
    base: str
    quote: str
    base_precision: int | str
    quote_precision: int | str
    amount_precision: int | str | None = None
    min_limit_base_amount: Decimal = Decimal(0)
    max_limit_base_amount: Decimal | None = None
    min_market_buy_quote_amount: Decimal = Decimal(0)
    maintain: bool = False


@hookimpl
def markets() -> Flow[list[Market]]:
    reply = yield _ask("/v3/provisioning/trading-pairs")
    return [_market(row) for row in reply.decode(Listed[list[_Pair]]).data]


def _market(row: _Pair) -> Market:
    base, quote = row.base.upper(), row.quote.upper()
    step, quantity_step = step_of(row.quote_precision), step_of(row.amount_precision or row.base_precision)
    # Unverified: whether such a pair exists. A sample has decimals that would round its own minimum to zero.
    if row.min_limit_base_amount and quantity_step > row.min_limit_base_amount:
        quantity_step = step_of(row.base_precision)
    return Market(
        symbol=f"{base}/{quote}",
        exchange_symbol=row.pair.lower(),
        base=base,
        quote=quote,
        price_step=step,
        quantity_step=quantity_step,
        # Unverified: how many decimals a market buy may have. Those of the price are surely not too many.
        quote_step=step,
        min_quantity=row.min_limit_base_amount,
        max_quantity=row.max_limit_base_amount or None,
        min_market_buy_quote=row.min_market_buy_quote_amount,
        # Everybody's fees; those of the account's rank, and of paying in BITO, are lower and are not told.
        maker_fee=Decimal("0.001"),
        taker_fee=Decimal("0.002"),
        status="halted" if row.maintain else "online",
    )


class _Ticker(Row, rename="camel"):
    pair: str
    last_price: Decimal
    high24hr: Decimal | None = None
    low24hr: Decimal | None = None
    volume24hr: Decimal | None = None


@hookimpl
def ticker(market: Market) -> Flow[Ticker]:
    """The ticker tells neither bid nor ask; the order book does."""
    reply = yield _ask(f"/v3/tickers/{pair_of(market)}")
    book = yield from _book(market, 1)
    found = reply.decode(Listed[_Ticker | list[_Ticker]]).data  # documented as a list, sent as an object
    for row in found if isinstance(found, list) else [found]:
        if row.pair.lower() == market.exchange_symbol and row.last_price:
            return Ticker(
                exchange_symbol=market.exchange_symbol,
                last=row.last_price,
                bid=book.bids[0][0] if book.bids else None,
                ask=book.asks[0][0] if book.asks else None,
                high_24h=row.high24hr or None,
                low_24h=row.low24hr or None,
                base_volume_24h=row.volume24hr,
            )
    raise OutcomeUnknown(f"BitoPro has no price for {market.symbol} at the moment")


@hookimpl
def order_book(market: Market) -> Flow[OrderBook]:
    return _book(market, 50)


class _Candle(Row):
    timestamp: Decimal
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@hookimpl
def candles(market: Market, interval: Interval, start_ms: int, end_ms: int) -> Flow[list[Candle]]:
    """The question is in seconds, the answer in milliseconds. Intervals without trades are left out."""
    path = f"/v3/trading-history/{pair_of(market)}"
    query: dict[str, int | str] = {"resolution": interval, "from": start_ms // 1000, "to": end_ms // 1000}
    rows = (yield _ask(path, **query)).decode(Listed[list[_Candle] | None]).data or []
    numbers = ((row.timestamp, row.open, row.high, row.low, row.close, row.volume) for row in rows)
    return candles_of(numbers, start_ms, end_ms)


class _Level(Row):
    price: Decimal
    amount: Decimal


class _Levels(msgspec.Struct):
    bids: list[_Level]
    asks: list[_Level]


def _book(market: Market, most: int) -> Flow[OrderBook]:
    book = (yield _ask(f"/v3/order-book/{pair_of(market)}", limit=most)).decode(_Levels)
    bids, asks = ([(level.price, level.amount) for level in side] for side in (book.bids, book.asks))
    return book_of(bids, asks)
