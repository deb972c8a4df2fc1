"""/price."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from bot.chat.numbers import format_money, format_percent, format_price
from bot.chat.parse import parse_pair
from bot.chat.registry import Call, Command
from bot.chat.reply import Reply
from bot.chat.text import Text
from bot.contract.errors import BotError, UserError
from bot.contract.models import Market, Ticker
from bot.trading.gateway import Exchange
from bot.trading.sending import in_words


async def price(call: Call) -> Reply:
    """Show a pair's price on each exchange in use."""
    wanted = parse_pair(call.args)
    exchanges = await exchanges_of(call)
    found = await asyncio.gather(*(_ticker(call, exchange, wanted) for exchange in exchanges), return_exceptions=True)
    answers = [each for each in found if not isinstance(each, BaseException)]
    failures = [each for each in found if isinstance(each, BotError)]
    for each in found:
        if isinstance(each, BaseException) and not isinstance(each, BotError):
            raise each
    if not answers:
        raise failures[0]
    text = Text().bold(answers[0][1].symbol).line()
    for exchange, market, ticker in answers:
        text.table(_rows(exchange, market, ticker))
    for failure in failures:
        if not isinstance(failure, UserError):
            text.line(f"⚠ {in_words(failure)}")
    return Reply(text)


async def exchanges_of(call: Call) -> list[Exchange]:
    """Return the exchanges of the person's accounts, or all where there are none."""
    gateway = call.services.gateway
    own = {account.exchange for account in await call.accounts()}
    named = [found for name, found in gateway.exchanges.items() if name in own]
    real = named or [found for name, found in gateway.exchanges.items() if not name.endswith(":paper")]
    if not real:
        raise UserError("No exchange is in use here. Tell the operator: tradewire plugins lists what is installed.")
    return real


async def _ticker(call: Call, exchange: Exchange, wanted: str) -> tuple[Exchange, Market, Ticker]:
    market = (await call.services.gateway.symbols(exchange.info.id)).resolve(wanted)
    return exchange, market, await call.services.gateway.ticker(exchange.info.id, market)


def _rows(exchange: Exchange, market: Market, ticker: Ticker) -> list[tuple[str, ...]]:
    def shown(value: Decimal) -> str:
        return format_price(value, market.price_step)

    change = f"  {format_percent(ticker.last / ticker.open_24h - 1)} 24h" if ticker.open_24h else ""
    rows: list[tuple[str, ...]] = [(exchange.info.title, shown(ticker.last) + change + exchange.info.mark)]
    if ticker.bid and ticker.ask:
        spread = format_percent((ticker.ask - ticker.bid) / ticker.last)
        rows.append(("Bid / ask", f"{shown(ticker.bid)} / {shown(ticker.ask)}  {spread}"))
    if ticker.low_24h and ticker.high_24h:
        rows.append(("24h range", f"{shown(ticker.low_24h)} – {shown(ticker.high_24h)}"))
    if ticker.base_volume_24h:
        rows.append(("24h volume", f"{format_money(ticker.base_volume_24h)} {market.base}"))
    return rows


COMMANDS = (Command("price", price, "Price, spread and day range", "Look", "PAIR", "/price BTC/USDT", looks=True),)
