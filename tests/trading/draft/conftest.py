"""A market, its prices and its balances, and the way to a draft."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bot.contract.errors import UserError
from bot.contract.models import Balance, Capabilities, Market, OrderBook, Ticker
from bot.trading.draft import Draft, draft
from bot.trading.intent import Amount, Fixed, Intent

D = Decimal
BTC = Market(
    symbol="BTC/USDT",
    exchange_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    price_step=D("0.01"),
    quantity_step=D("0.000001"),
    quote_step=D("0.01"),
    min_quantity=D("0.0001"),
    max_quantity=D(100),
    min_notional=D(5),
    min_market_buy_quote=D(10),
    maker_fee=D("0.0008"),
    taker_fee=D("0.001"),
)
TICKER = Ticker(exchange_symbol="BTCUSDT", last=D(60000), bid=D(59990), ask=D(60010))
BOOK = OrderBook(
    bids=((D(59990), D("0.1")), (D(59900), D("0.4")), (D(50000), D(1))),
    asks=((D(60010), D("0.1")), (D(60100), D("0.4")), (D(70000), D(1))),
)
ALL = Capabilities(
    order_types=frozenset({"limit", "market", "stop_limit", "stop_market"}),
    times_in_force=frozenset({"GTC", "IOC", "FOK"}),
    post_only=True,
    market_buy_in=frozenset({"base", "quote"}),
)
QUOTE_ONLY = replace(ALL, market_buy_in=frozenset({"quote"}))
BASE_ONLY = replace(ALL, market_buy_in=frozenset({"base"}))
BALANCES = {"BTC": Balance("BTC", D("0.5"), D(0)), "USDT": Balance("USDT", D(12000), D(0))}
RICH = {"USDT": Balance("USDT", D(10**6), D(0)), "BTC": Balance("BTC", D(100), D(0))}
XRP = replace(
    BTC,
    symbol="XRP/USDT",
    base="XRP",
    min_notional=D(10),
    min_quantity=D(0),
    min_market_buy_quote=D(0),
    max_quantity=None,
)


def amount(value: str, asset: str | None = None) -> Amount:
    return Amount(D(value), asset)


def fixed(value: str) -> Fixed:
    return Fixed(D(value))


def drafted(intent: Intent, market: Market = BTC, can: Capabilities = ALL, **given: Any) -> Draft:
    facts: dict[str, Any] = {"ticker": TICKER, "book": BOOK, "balances": BALANCES, "title": "Bitget"} | given
    return draft(intent, market, can, **facts)


def refused(intent: Intent, market: Market = BTC, can: Capabilities = ALL, **given: Any) -> tuple[str, str]:
    with pytest.raises(UserError) as caught:
        drafted(intent, market, can, **given)
    return caught.value.code, str(caught.value)
