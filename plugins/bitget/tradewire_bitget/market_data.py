"""Market data, which is public and comes from v2 for every account.

Source: https://www.bitget.com/api-doc/spot/market (read 2025-12).
"""

from __future__ import annotations

from decimal import Decimal
from typing import TypeAlias

import msgspec

from bot import Flow, Market, OrderBook, OutcomeUnknown, Ticker, hookimpl
from tradewire_bitget.payloads import NO_NUMBER, Number, Reply, amount, decimal, milliseconds, positive, public


class _Symbol(msgspec.Struct, rename="camel"):
    symbol: str
    base_coin: str
    quote_coin: str
    price_precision: Number = NO_NUMBER
    quantity_precision: Number = NO_NUMBER
    quote_precision: Number = NO_NUMBER
    min_trade_usdt: Number = msgspec.field(name="minTradeUSDT", default=NO_NUMBER)
    maker_fee_rate: Number = NO_NUMBER
    taker_fee_rate: Number = NO_NUMBER
    status: str = ""


@hookimpl
def markets() -> Flow[list[Market]]:
    """A market without precisions cannot be traded and is left out."""
    rows = (yield public("/api/v2/spot/public/symbols")).decode(Reply[list[_Symbol]]).data
    return [market for market in map(_market, rows) if market is not None]


def _market(row: _Symbol) -> Market | None:
    price_digits, quantity_digits = decimal(row.price_precision), decimal(row.quantity_precision)
    if price_digits is None or quantity_digits is None:
        return None
    quote_digits = decimal(row.quote_precision)
    base, quote = row.base_coin.upper(), row.quote_coin.upper()
    maker, taker = decimal(row.maker_fee_rate), decimal(row.taker_fee_rate)
    default_fee = Decimal("0.001")
    return Market(
        symbol=f"{base}/{quote}",
        exchange_symbol=row.symbol.upper(),
        base=base,
        quote=quote,
        price_step=_step(price_digits),
        quantity_step=_step(quantity_digits),
        # Unverified: which of the two Bitget checks on a market buy. The coarser one satisfies both.
        quote_step=_step(price_digits if quote_digits is None else min(price_digits, quote_digits)),
        # The minimum is told in USDT whatever the quote asset; for others but dollars it cannot be converted here.
        min_notional=amount(row.min_trade_usdt) if quote in ("USDT", "USDC") else Decimal(0),
        maker_fee=default_fee if maker is None else maker,
        taker_fee=default_fee if taker is None else taker,
        status="online" if row.status == "online" else "halted",
    )


def _step(digits: Decimal) -> Decimal:
    if not 0 <= digits <= 30:
        raise OutcomeUnknown(f"Bitget sent {digits} where a number of decimals belongs")
    return Decimal(1).scaleb(-int(digits))


class _Ticker(msgspec.Struct, rename="camel"):
    symbol: str
    last_pr: Number
    bid_pr: Number = NO_NUMBER
    ask_pr: Number = NO_NUMBER
    high24h: Number = NO_NUMBER
    low24h: Number = NO_NUMBER
    open: Number = NO_NUMBER
    base_volume: Number = NO_NUMBER
    ts: Number = NO_NUMBER


@hookimpl
def ticker(market: Market) -> Flow[Ticker]:
    response = yield public("/api/v2/spot/market/tickers", symbol=market.exchange_symbol)
    for row in response.decode(Reply[list[_Ticker]]).data:
        last = positive(row.last_pr)
        if row.symbol.upper() == market.exchange_symbol and last is not None:
            return Ticker(
                exchange_symbol=market.exchange_symbol,
                last=last,
                bid=positive(row.bid_pr),
                ask=positive(row.ask_pr),
                high_24h=positive(row.high24h),
                low_24h=positive(row.low24h),
                open_24h=positive(row.open),
                base_volume_24h=decimal(row.base_volume),
                at_ms=milliseconds(row.ts),
            )
    raise OutcomeUnknown(f"Bitget has no price for {market.symbol} at the moment")


Levels: TypeAlias = list[tuple[Number, Number]]


class _Book(msgspec.Struct):
    bids: Levels
    asks: Levels


@hookimpl
def order_book(market: Market) -> Flow[OrderBook]:
    response = yield public("/api/v2/spot/market/orderbook", symbol=market.exchange_symbol, limit="50")
    book = response.decode(Reply[_Book]).data
    return OrderBook(bids=_levels(book.bids), asks=_levels(book.asks))


def _levels(rows: Levels) -> tuple[tuple[Decimal, Decimal], ...]:
    return tuple((amount(price), amount(quantity)) for price, quantity in rows)


class _Time(msgspec.Struct, rename="camel"):
    server_time: Number


@hookimpl
def server_time() -> Flow[int]:
    response = yield public("/api/v2/public/time")
    return milliseconds(response.decode(Reply[_Time]).data.server_time)
