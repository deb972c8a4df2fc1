"""/orders, /order, /cancel, /history, and the buttons of a placed order's card."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bot.accounts.people import AccountRow
from bot.chat.numbers import format_amount, format_price
from bot.chat.parse import parse_pair
from bot.chat.registry import Action, Call, Command, Offer
from bot.chat.render import summary
from bot.chat.reply import Key, Reply, say
from bot.chat.text import Text
from bot.contract.errors import BotError, UserError
from bot.contract.models import Market, OrderReport
from bot.store.database import Connection
from bot.trading import events, journal, queries
from bot.trading.confirm import Button
from bot.trading.law import DOUBTFUL, LIVE
from bot.trading.orders import OrderRow
from bot.trading.sending import in_words

_PAGE = 10


async def orders(call: Call) -> Reply:
    """List open orders: those of the bot, and those placed elsewhere."""
    pair = parse_pair(call.args) if call.args else None
    live = await _live(call)
    mine = [row for row in live if _fits(pair, row.symbol)]
    text = Text()
    for row in mine:
        text.line(summary(row))
    for account in await call.accounts():
        try:
            foreign = await _foreign(call, account, live)
        except BotError as error:
            text.line(f"⚠ {account.label}: {in_words(error)}")
            continue
        for symbol, report in foreign:
            if not _fits(pair, symbol):
                continue
            size = "?" if report.quantity is None else format_amount(report.quantity)
            price = "market" if not report.price else f"@ {report.price:f}"
            price += "" if report.stop_price is None else f", stop {report.stop_price:f}"
            text.line(f"{report.side.upper()} {symbol} {size} {price} · placed elsewhere · {account.label}")
    if not text.text:
        return say("No open orders.")
    keys = tuple(Button(f"#{row.id}", "order", order_id=row.id) for row in mine[:8])
    rows: tuple[tuple[Key, ...], ...] = tuple(keys[start : start + 4] for start in range(0, len(keys), 4))
    return Reply(Text().bold("Open orders").line().add(text), rows)


async def _foreign(call: Call, account: AccountRow, mine: list[OrderRow]) -> list[tuple[str, OrderReport]]:
    gateway = call.services.gateway
    reports = await gateway.open_orders(account, await _markets(call, account.id))
    known = {row.exchange_order_id for row in mine} | {row.client_order_id for row in mine}
    symbols = await gateway.symbols(gateway.exchange(account).info.id)
    names = {market.exchange_symbol: market.symbol for market in symbols}
    return [
        (names.get(each.exchange_symbol, each.exchange_symbol), each)
        for each in reports
        if not {each.exchange_order_id, each.client_order_id} & known
    ]


def _fits(pair: str | None, symbol: str) -> bool:
    """Say whether a pair as typed (`BTC/USDT`, `BTCUSDT` or `BTC`) can mean `symbol`."""
    return pair is None or pair.replace("/", "") in (symbol.replace("/", ""), symbol.partition("/")[0])


async def _markets(call: Call, account_id: int) -> list[Market]:
    """Return the markets the person traded lately on an account."""
    rows = await call.read(lambda db: queries.recent(db, call.who.user_id, 100))
    return list({row.symbol: row.market for row in rows if row.account_id == account_id}.values())


async def order(call: Call) -> Reply:
    """Show an order's whole life."""
    row = await _named(call)
    life = await call.read(lambda db: events.timeline(db, row.id))
    text = Text().bold(summary(row)).line()
    lines: list[tuple[str, ...]] = []
    for at_ms, kind, detail in life:
        seen = (kind.replace("_", " "), _told(row, detail))
        if not lines or lines[-1][1:] != seen:  # an event that changed nothing of this is in the log alone
            lines.append((_clock(at_ms), *seen))
    text.line("Times are UTC.").table(lines)
    if row.client_order_id:
        text.plain("Our id: ").code(row.client_order_id).line()
    if row.exchange_order_id:
        text.plain("Exchange's id: ").code(row.exchange_order_id).line()
    keys: tuple[Key, ...] = ()
    if row.state in LIVE:
        keys = (Button("✖ Cancel order", "cancel", order_id=row.id, style="danger"),)
    return Reply(text, (keys,) if keys else ())


def _told(row: OrderRow, detail: dict[str, Any]) -> str:
    """Return what an event says besides its kind, with numbers as people write them."""
    if detail.get("reason"):
        return str(detail["reason"])
    if "misses" in detail:
        return f"look {detail['misses']} of 3"
    if Decimal(detail.get("filled", 0)):
        average, fee = detail.get("average_price"), detail.get("fee")
        at = f" at {format_price(Decimal(average), row.market.price_step)}" if average else ""
        paid = f", fee {format_amount(Decimal(fee))} {detail.get('fee_asset', '')}" if fee else ""
        return f"{format_amount(Decimal(detail['filled']))} {row.market.base}{at}{paid}"
    if detail.get("exchange_order_id"):
        return str(detail["exchange_order_id"])
    if "quantity" in detail:
        return f"{format_amount(row.quantity)} {row.market.base}"
    return ""


async def cancel(call: Call) -> Reply | None:
    """Cancel one order, or offer to cancel several."""
    forgotten = call.services.dialogs.drop(call.who.chat_id, call.who.user_id)
    if call.args.lstrip("#").isdecimal():
        row = await _named(call)
        await call.services.desk.cancel(row.id, call.who.user_id)
        return say(f"Asked the exchange to cancel #{row.id}. Its card will tell.")
    wanted = call.args.lower()
    if not wanted:
        if forgotten:
            return say("Forgotten. Nothing was stored.")
        raise UserError("What shall I cancel? /cancel 42 cancels one order, /cancel BTC/USDT or /cancel all several.")
    rows = [row for row in await _live(call) if row.state in LIVE]
    if wanted in ("buy", "sell"):
        rows = [row for row in rows if row.side == wanted]
    elif wanted != "all":
        pair = parse_pair(call.args)
        rows = [row for row in rows if _fits(pair, row.symbol)]
    if not rows:
        return say("There is no such open order.")
    text = Text().bold(f"Cancel {len(rows)} orders?" if len(rows) > 1 else "Cancel this order?").line()
    for row in rows:
        text.line(summary(row))
    yes = Button("Yes, cancel", "cancel_many", {"ids": [row.id for row in rows]}, seconds=60, style="danger")
    return Reply(text, ((yes,),))


async def offer(call: Call) -> Offer:
    """Offer a late cancel anew."""
    yes = Button("Yes, cancel", "late_cancel", {"args": call.args}, seconds=86_400, style="danger")
    return Offer("", yes if call.args else None)


async def late_cancel(call: Call) -> Reply | None:
    """Do what a late /cancel asked for."""
    return await cancel(call.with_args(call.payload["args"]))


async def cancel_many(call: Call) -> Reply:
    """Ask for several orders to be canceled."""
    text = Text()
    for order_id in call.payload["ids"]:
        try:
            await call.services.desk.cancel(order_id, call.who.user_id)
            text.line(f"#{order_id}: cancel requested")
        except UserError as error:
            text.line(f"#{order_id}: {error}")
    return Reply(text.plain("Each order's card tells what became of it."))


async def cancel_one(call: Call) -> None:
    """Cancel the order of a card."""
    assert call.order_id is not None
    await call.services.desk.cancel(call.order_id, call.who.user_id)


async def refresh(call: Call) -> None:
    """Ask the exchange now, and draw the card again."""
    assert call.order_id is not None
    order_id = call.order_id

    def work(db: Connection) -> None:
        queries.get_own(db, order_id, call.who.user_id)
        journal.tell(db, order_id, call.services.clock.now_ms())

    call.services.watch(order_id)
    await call.commit(work)
    await call.services.draw(order_id)


async def not_placed(call: Call) -> Reply:
    """Ask once more before a doubt is closed by hand."""
    assert call.order_id is not None
    text = f"You looked at the exchange, and order #{call.order_id} is neither open nor in its history?"
    sure = Button("Yes, it is not there", "surely_not_placed", order_id=call.order_id, seconds=60, style="danger")
    return say(text, (sure,))


async def surely_not_placed(call: Call) -> Reply:
    """Close a doubt by hand."""
    assert call.order_id is not None
    await call.services.desk.settle_by_hand(call.order_id, call.who.user_id)
    return say(f"#{call.order_id} is closed as not placed. I go on looking for it for a day.")


async def history(call: Call) -> Reply:
    """List fills, newest first."""
    words = call.args.split()
    most = int(words.pop()) if words and words[-1].isdecimal() else _PAGE
    account = await call.account()
    exchange_id = call.services.gateway.exchange(account).info.id
    symbols = await call.services.gateway.symbols(exchange_id)
    markets = [symbols.resolve(parse_pair(" ".join(words)))] if words else await _markets(call, account.id)
    fills = await call.services.gateway.fills(account, markets)
    if words:
        fills = [fill for fill in fills if fill.exchange_symbol == markets[0].exchange_symbol]
    if not fills:
        return say("No fills to show. Orders of today may take a moment to appear.")
    by_symbol = {market.exchange_symbol: market for market in symbols}
    text = Text().bold(f"Fills · {account.label}").line()
    lines: list[tuple[str, ...]] = []
    for fill in fills[: min(most, 50)]:
        market = by_symbol.get(fill.exchange_symbol)
        price = format_price(fill.price, market.price_step) if market else format_amount(fill.price)
        name = market.symbol if market else fill.exchange_symbol
        what = f"{fill.side.upper()} {format_amount(fill.quantity)} {name}"
        lines.append((_clock(fill.at_ms), what, f"{price} fee {format_amount(fill.fee)} {fill.fee_asset}"))
    return Reply(text.table(lines))


async def _live(call: Call) -> list[OrderRow]:
    rows = await call.read(lambda db: queries.in_states(db, (*LIVE, *DOUBTFUL)))
    return [row for row in rows if row.user_id == call.who.user_id]


async def _named(call: Call) -> OrderRow:
    number = call.args.strip().lstrip("#")
    if call.order_id is None and not (number.isdecimal() and len(number) < 16):
        raise UserError("Which order? Write its number, such as /order 42. /orders lists the open ones.")
    order_id = call.order_id if call.order_id is not None else int(number)
    return await call.read(lambda db: queries.get_own(db, order_id, call.who.user_id))


def _clock(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%d %b %H:%M:%S")


COMMANDS = (
    Command("orders", orders, "Open orders", "Look", "[PAIR]", "/orders", looks=True),
    Command("order", order, "One order's whole life", "Look", "NUMBER", "/order 42", looks=True),
    Command(
        "cancel",
        cancel,
        "Cancel orders",
        "Trade",
        "NUMBER | PAIR | buy | sell | all",
        "/cancel 42",
        offer=offer,
    ),
    Command("history", history, "Your fills", "Look", "[PAIR] [HOW MANY]", "/history BTC/USDT 20", looks=True),
)
ACTIONS = (
    Action("order", order),
    Action("cancel", cancel_one, toast="Asking the exchange…"),
    Action("late_cancel", late_cancel),
    Action("cancel_many", cancel_many, toast="Asking the exchange…"),
    Action("refresh", refresh, toast="Looking…"),
    Action("not_placed", not_placed),
    Action("surely_not_placed", surely_not_placed),
)
