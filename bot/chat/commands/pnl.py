"""/pnl: what one's trades brought, by average cost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from bot.accounts.people import AccountRow
from bot.chat.commands.accounts import title_of
from bot.chat.numbers import format_amount, format_money
from bot.chat.parse import parse_pair
from bot.chat.pictures import Bars, Pictures
from bot.chat.registry import Action, Call, Command
from bot.chat.reply import Photo, Reply, say
from bot.chat.text import Text
from bot.contract.errors import BotError, UserError
from bot.contract.models import Market
from bot.trading import queries, valuation
from bot.trading.amounts import EXACT
from bot.trading.confirm import Button
from bot.trading.pnl import Ledger, Trade, of_exchange, of_journal, reckon
from bot.trading.profit import DAY_MS, midnight
from bot.trading.sending import in_words

_PERIODS = {"today": ("Today", 0), "7d": ("7 days", 6), "30d": ("30 days", 29)}
_MOST_PAIRS = 20
_MOST_DAYS = 15
_PICTURES = Pictures()
_MOST_MARKETS = 9  # as many as the exchange with the fewest lists at once


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is known of a person's trades: `doubts` are sentences on what is not."""

    ledger: Ledger
    exchanges: Mapping[int, str]
    markets: Mapping[tuple[int, str], Market]
    titles: tuple[str, ...] = ()
    doubts: list[str] = field(default_factory=list)


async def pnl(call: Call) -> Reply:
    """Show gains by period and pair, and what the open positions would bring."""
    days, pair = _asked(call.args)
    seen = await _seen(call)
    ledger = _of_pair(seen.ledger, pair)
    if not ledger.gains:
        return say("No trades of yours are known here. " + " ".join(seen.doubts))
    now_ms = call.services.clock.now_ms()
    rates = await _rates(call, seen, ledger)
    text = Text().bold("Gains" + (f" · {pair}" if pair else "")).plain(f" · {', '.join(seen.titles)}").line()
    text.table([_period(ledger, name, _since(now_ms, back), rates) for name, back in days])
    name, back = days[-1]
    text.line().bold(f"By pair, {name.lower()}").line()
    open_rows, unpriced = await _by_pair(call, seen, ledger, _since(now_ms, back))
    text.table(open_rows)
    _say_what_is_not_known(text, seen, ledger, unpriced)
    return Reply(text, ((Button("🖼 Picture", "pnl_picture", {"args": call.args}),),))


async def pnl_picture(call: Call) -> None:
    """Send the gains of each day as a picture."""
    days, pair = _asked(call.payload["args"])
    seen = await _seen(call)
    ledger = _of_pair(seen.ledger, pair)
    now_ms = call.services.clock.now_ms()
    name, back = days[-1]
    bars = by_day(ledger, await _rates(call, seen, ledger), _since(now_ms, back))
    if not bars:
        raise UserError(f"There is nothing to draw: no sale is known here. ({name})")
    title = "Gains a day, in USDT" + (f" · {pair}" if pair else "")
    png = await _PICTURES.of(Bars(f"{title} · {', '.join(seen.titles)}", bars))
    left_out = "Days are UTC. Days without a gain or loss, and quotes without a price in USDT, are left out."
    await call.services.sender.photo(
        Photo(png, f"{title} · {name.lower()}. {left_out}"), chat_id=call.who.chat_id, user_id=call.who.user_id
    )


def by_day(ledger: Ledger, rates: Mapping[str, Decimal], since_ms: int) -> tuple[tuple[str, Decimal], ...]:
    """Return what the newest days brought, in USDT, the oldest first."""
    found: dict[int, Decimal] = {}
    for gain in ledger.gains:
        rate, day = rates.get(gain.trade.quote), midnight(gain.trade.at_ms)
        if rate is not None and gain.realised and gain.trade.at_ms >= since_ms:
            found[day] = EXACT.add(found.get(day, Decimal(0)), EXACT.multiply(gain.realised, rate))
    shown = sorted(found.items())[-_MOST_DAYS:]
    return tuple((datetime.fromtimestamp(day // 1000, UTC).strftime("%d %b"), brought) for day, brought in shown)


def _of_pair(ledger: Ledger, pair: str | None) -> Ledger:
    if pair is None:
        return ledger
    gains = tuple(each for each in ledger.gains if _fits(pair, each.trade.symbol))
    return Ledger(gains, {key: each for key, each in ledger.positions.items() if _fits(pair, key[1])})


def _asked(args: str) -> tuple[list[tuple[str, int]], str | None]:
    words = args.lower().split()
    named = [word for word in words if word in _PERIODS]
    others = " ".join(word for word in words if word not in _PERIODS)
    if len(named) > 1:
        raise UserError("Name one period: today, 7d or 30d. Without one, all three are shown.")
    days = [_PERIODS[named[0]]] if named else list(_PERIODS.values())
    return days, parse_pair(others) if others else None


def _fits(pair: str, symbol: str) -> bool:
    return pair.replace("/", "") in (symbol.replace("/", ""), symbol.partition("/")[0])


def _since(now_ms: int, days_back: int) -> int:
    return midnight(now_ms) - days_back * DAY_MS


async def _seen(call: Call) -> _Seen:
    accounts = await call.accounts() or [await call.account()]
    found = await asyncio.gather(*(_of_account(call, account) for account in accounts))
    markets = {(account.id, each.symbol): each for account, one in zip(accounts, found, strict=True) for each in one[1]}
    exchanges = {row.id: row.exchange + (":paper" if row.paper else "") for row in accounts}
    return _Seen(
        reckon(trade for one in found for trade in one[0]),
        exchanges,
        markets,
        tuple(title_of(call, row) for row in accounts),
        [one[2] for one in found if one[2]],
    )


async def _of_account(call: Call, account: AccountRow) -> tuple[list[Trade], list[Market], str]:
    """Return an account's trades, the markets they were in, and what could not be learned of them."""
    services, exchange = call.services, account.exchange + (":paper" if account.paper else "")
    trades, known = await call.read(lambda db: of_journal(db, call.who.user_id, account.id, exchange))
    rows = await call.read(lambda db: queries.recent(db, call.who.user_id, 100))
    mine = {row.symbol: row.market for row in rows if row.account_id == account.id and row.exchange == exchange}
    try:
        symbols = await services.gateway.symbols(exchange)
        by_name = {market.exchange_symbol: market for market in symbols}
        fills = await services.gateway.fills(account, list(mine.values())[:_MOST_MARKETS])
    except BotError as error:
        return trades, list(mine.values()), f"{account.label}: only the bot's own orders count. {in_words(error)}"
    trades += of_exchange(fills, account.id, by_name, known)
    used = {trade.symbol for trade in trades}
    return trades, [market for market in symbols if market.symbol in used], ""


async def _rates(call: Call, seen: _Seen, ledger: Ledger) -> dict[str, Decimal]:
    """Return what one of each quote asset is worth in USDT now, as far as that can be told."""
    wanted = {each.trade.quote: seen.exchanges[each.trade.account_id] for each in ledger.gains}
    found = {asset: await valuation.rate(call.services.gateway, exchange, asset) for asset, exchange in wanted.items()}
    return {asset: rate for asset, rate in found.items() if rate is not None}


def _period(ledger: Ledger, name: str, since_ms: int, rates: Mapping[str, Decimal]) -> tuple[str, ...]:
    total = ledger.total(since_ms)
    return (name, _in_one(total.realised, rates), f"fees {_in_one(total.fees, rates, signed=False)}")


def _in_one(sums: Mapping[str, Decimal], rates: Mapping[str, Decimal], *, signed: bool = True) -> str:
    """Write amounts of several assets as one in USDT, and beside it what has no rate."""
    worth = sum((EXACT.multiply(value, rates[asset]) for asset, value in sums.items() if asset in rates), Decimal(0))
    parts = [f"{_signed(worth) if signed else format_money(worth)} USDT"]
    parts += [f"{_signed(value) if signed else format_money(value)} {asset}" for asset, value in sums.items()
              if asset not in rates and value]  # fmt: skip
    return ", ".join(parts)


def _signed(value: Decimal) -> str:
    return ("+" if value > 0 else "") + format_money(value)


async def _by_pair(call: Call, seen: _Seen, ledger: Ledger, since_ms: int) -> tuple[list[tuple[str, ...]], list[str]]:
    """Return a row for each pair, in its quote asset, and the pairs that have no price now."""
    traded = {each.trade.symbol for each in ledger.gains if each.trade.at_ms >= since_ms}
    held = {symbol for (_, symbol), position in ledger.positions.items() if position.quantity}
    shown = sorted(traded | held)[:_MOST_PAIRS]
    rows: list[tuple[str, ...]] = []
    unpriced: list[str] = []
    prices = await asyncio.gather(*(_unrealised(call, seen, ledger, symbol) for symbol in shown))
    for symbol, (quantity, unrealised) in zip(shown, prices, strict=True):
        quote = symbol.partition("/")[2]
        realised = ledger.total(since_ms, symbol).realised.get(quote, Decimal(0))
        still = ""
        if quantity and unrealised is None:
            unpriced.append(symbol)
        elif quantity:
            still = f"open {_signed(unrealised or Decimal(0))} on {format_amount(quantity)}"
        rows.append((symbol, f"{_signed(realised)} {quote}", still))
    return rows, unpriced


async def _unrealised(call: Call, seen: _Seen, ledger: Ledger, symbol: str) -> tuple[Decimal, Decimal | None]:
    """Return how much is held of a pair, and what it would bring over its cost at the price now."""
    quantity, result = Decimal(0), Decimal(0)
    for (account_id, name), position in ledger.positions.items():
        if name != symbol or not position.quantity:
            continue
        quantity = EXACT.add(quantity, position.quantity)
        market = seen.markets.get((account_id, symbol))
        try:
            if market is None:
                return quantity, None
            last = (await call.services.gateway.ticker(seen.exchanges[account_id], market)).last
        except BotError:
            return quantity, None
        result = EXACT.add(result, position.unrealised(last))
    return quantity, result


def _say_what_is_not_known(text: Text, seen: _Seen, ledger: Ledger, unpriced: list[str]) -> None:
    total = ledger.total()
    text.line("By average cost; days are UTC. Fees are already taken off.")
    if total.other_fees:
        paid = ", ".join(f"{format_amount(fee)} {asset}" for asset, fee in sorted(total.other_fees.items()))
        text.line(f"Besides, {paid} of fees were paid, which are not taken off.")
    if total.uncovered:
        sold = ", ".join(f"{format_amount(amount)} {asset}" for asset, amount in sorted(total.uncovered.items()))
        text.line(f"{sold} were sold that I never saw bought: their cost is unknown, and they count neither way.")
    if unpriced:
        text.line(f"No price just now: {', '.join(unpriced)}.")
    for doubt in seen.doubts:
        text.line(f"⚠ {doubt}")
    text.line("Deposits, withdrawals and trades that the exchange lists no more are not known.")


COMMANDS = (
    Command(
        "pnl",
        pnl,
        "What your trades brought",
        "Look",
        "[today | 7d | 30d] [PAIR]",
        "/pnl 7d",
        details="By average cost, with fees: realised by period and pair, and what open positions would bring now.",
        looks=True,
    ),
)
ACTIONS = (Action("pnl_picture", pnl_picture, toast="Drawing"),)
