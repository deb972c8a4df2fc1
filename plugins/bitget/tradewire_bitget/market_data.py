"""Market data, which is public and comes from v2 for every account.

Source: https://www.bitget.com/api-doc/spot/market (read 2025-12).
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from bot import (
    Candle,
    Flow,
    Interval,
    Market,
    Number,
    OrderBook,
    OutcomeUnknown,
    Row,
    Ticker,
    book_of,
    candles_of,
    hookimpl,
    step_of,
)
from tradewire_bitget.payloads import ZERO, Reply, milliseconds, public

_USUAL_FEE = Decimal("0.001")


class _Symbol(Row, rename="camel"):
    symbol: str
    base_coin: str
    quote_coin: str
    price_precision: Number = None
    quantity_precision: Number = None
    quote_precision: Number = None
    min_trade_usdt: Number = msgspec.field(name="minTradeUSDT", default=None)
    maker_fee_rate: Number = None
    taker_fee_rate: Number = None
    status: str = ""


@hookimpl
def markets() -> Flow[list[Market]]:
    """A market without precisions cannot be traded and is left out."""
    rows = (yield public("/api/v2/spot/public/symbols")).decode(Reply[list[_Symbol]]).data
    return [market for market in map(_market, rows) if market is not None]


def _market(row: _Symbol) -> Market | None:
    if row.price_precision is None or row.quantity_precision is None:
        return None
    # Unverified: which of the two Bitget checks on a market buy. The coarser one satisfies both.
    quote_digits = row.price_precision if row.quote_precision is None else min(row.price_precision, row.quote_precision)
    base, quote = row.base_coin.upper(), row.quote_coin.upper()
    return Market(
        symbol=f"{base}/{quote}",
        exchange_symbol=row.symbol.upper(),
        base=base,
        quote=quote,
        price_step=step_of(row.price_precision),
        quantity_step=step_of(row.quantity_precision),
        quote_step=step_of(quote_digits),
        # The minimum is told in USDT whatever the quote asset; for others but dollars it cannot be converted here.
        min_notional=(row.min_trade_usdt or ZERO) if quote in ("USDT", "USDC") else ZERO,
        maker_fee=_USUAL_FEE if row.maker_fee_rate is None else row.maker_fee_rate,
        taker_fee=_USUAL_FEE if row.taker_fee_rate is None else row.taker_fee_rate,
        status="online" if row.status == "online" else "halted",
    )


class _Ticker(Row, rename="camel"):
    symbol: str
    last_pr: Number
    bid_pr: Number = None
    ask_pr: Number = None
    high24h: Number = None
    low24h: Number = None
    open: Number = None
    base_volume: Number = None
    ts: Number = None


@hookimpl
def ticker(market: Market) -> Flow[Ticker]:
    response = yield public("/api/v2/spot/market/tickers", symbol=market.exchange_symbol)
    for row in response.decode(Reply[list[_Ticker]]).data:
        if row.symbol.upper() == market.exchange_symbol and row.last_pr:
            return Ticker(
                exchange_symbol=market.exchange_symbol,
                last=row.last_pr,
                bid=row.bid_pr or None,
                ask=row.ask_pr or None,
                high_24h=row.high24h or None,
                low_24h=row.low24h or None,
                open_24h=row.open or None,
                base_volume_24h=row.base_volume,
                at_ms=milliseconds(row.ts),
            )
    raise OutcomeUnknown(f"Bitget has no price for {market.symbol} at the moment")


class _Book(msgspec.Struct):
    bids: list[tuple[Decimal, Decimal]]
    asks: list[tuple[Decimal, Decimal]]


@hookimpl
def order_book(market: Market) -> Flow[OrderBook]:
    response = yield public("/api/v2/spot/market/orderbook", symbol=market.exchange_symbol, limit="50")
    book = response.decode(Reply[_Book]).data
    return book_of(book.bids, book.asks)


_GRANULARITY = {"1m": "1min", "5m": "5min", "15m": "15min", "30m": "30min", "1h": "1h", "4h": "4h", "1d": "1Dutc"}


@hookimpl
def candles(market: Market, interval: Interval, start_ms: int, end_ms: int) -> Flow[list[Candle]]:
    response = yield public(
        "/api/v2/spot/market/candles",
        symbol=market.exchange_symbol,
        granularity=_GRANULARITY[interval],
        startTime=str(start_ms),
        endTime=str(end_ms),
        limit="200",
    )
    return candles_of(response.decode(Reply[list[list[msgspec.Raw]]]).data, start_ms, end_ms)


class _Time(Row, rename="camel"):
    server_time: Number


@hookimpl
def server_time() -> Flow[int]:
    response = yield public("/api/v2/public/time")
    return milliseconds(response.decode(Reply[_Time]).data.server_time)
