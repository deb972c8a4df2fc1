"""/buy, /sell, /trade: from words or buttons to a preview, and the buttons of the card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from decimal import Decimal
from functools import partial

from bot.accounts.people import AccountRow
from bot.chat.codes import Verify, with_code
from bot.chat.parse import parse_order, parse_pair
from bot.chat.registry import Action, Call, Command, Offer
from bot.chat.remedies import refusal, remedies
from bot.chat.reply import Key, Reply, say
from bot.chat.text import Text
from bot.contract.errors import BotError
from bot.contract.models import Side
from bot.trading import queries
from bot.trading.allowance import LimitReached
from bot.trading.amounts import format_price
from bot.trading.confirm import Button
from bot.trading.errors import InDoubt
from bot.trading.intent import Amount, Fixed, Intent, Maximum, Percent, Size
from bot.trading.orders import OrderRow
from bot.trading.sizing import BelowMinimum

_POPULAR = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", "BTC/TWD", "ETH/TWD")
_SIZES: tuple[tuple[str, Size], ...] = (
    ("25%", Percent(Decimal(25))),
    ("50%", Percent(Decimal(50))),
    ("max", Maximum()),
)
_AMOUNTS = (25, 50, 100)
_NOTHING = Intent("buy")


async def buy(call: Call) -> Reply | None:
    """Preview a buy."""
    return await _order(call, parse_order("buy", call.args))


async def sell(call: Call) -> Reply | None:
    """Preview a sell."""
    return await _order(call, parse_order("sell", call.args))


async def offer(call: Call, side: Side) -> Offer:
    """Offer a late order anew: the button leads to a preview, which needs a Confirm of its own."""
    intent = parse_order(side, call.args)
    text = "Yes, show it" if isinstance(intent.price, Fixed) else "Yes, at the new price"
    yes = Button(text, "ask", {"intent": intent.to_json()}, seconds=86_400, style="primary")
    try:
        return Offer(await _moved(call, intent), yes)
    except BotError:
        return Offer("", yes)  # the preview will say what is wrong


async def _moved(call: Call, intent: Intent) -> str:
    """Tell the price now, and at the person's last order of the pair."""
    if intent.pair is None:
        return ""
    gateway = call.services.gateway
    exchange_id = gateway.exchange(await call.account(intent.account)).info.id
    market = (await gateway.symbols(exchange_id)).resolve(intent.pair)
    now = format_price((await gateway.ticker(exchange_id, market)).last, market.price_step)
    rows = await call.read(lambda db: queries.recent(db, call.who.user_id, 20))
    then = next((row.order.reference_price for row in rows if row.symbol == market.symbol), None)
    if then is None:
        return f"{market.symbol} is now {now}."
    return f"{market.symbol} was {format_price(then, market.price_step)} at your last order, now {now}."


async def not_wanted(call: Call) -> Reply:
    """Drop what was offered anew."""
    return say("Nothing was done.")


async def trade(call: Call) -> Reply | None:
    """Ask for side, pair and size by buttons."""
    await call.account()
    pair = parse_pair(call.args) if call.args else None
    sides: tuple[Side, Side] = ("buy", "sell")
    buttons = tuple(_next(side.capitalize(), Intent(side, pair)) for side in sides)
    return Reply(Text().bold(pair or "Trade").line().plain("Buy or sell?"), (buttons,))


async def _order(call: Call, intent: Intent, despite: Sequence[int] = ()) -> Reply | None:
    account = await call.account(intent.account)
    if intent.pair is None:
        return await _ask_pair(call, account, intent)
    if intent.size is None:
        return await _ask_size(call, account, intent)
    asked_in = call.who.message_id if call.edits is None else None
    try:
        row = await call.services.desk.propose(
            account, intent, chat_id=call.who.chat_id, message_id=call.edits, asked_in=asked_in, despite=despite
        )
    except (BelowMinimum, LimitReached) as error:
        return replace(refusal(str(error), error.code), rows=remedies(error, intent))
    except InDoubt as doubt:
        payload = {"intent": intent.to_json(), "despite": [*despite, *doubt.order_ids]}
        text = Text().bold("✖ Not done").plain(" · ").code(doubt.code).line().plain(str(doubt))
        return Reply(text, ((Button("Order all the same", "override", payload, style="danger"),),))
    await call.services.draw(row.id)
    return None


async def preview(call: Call, intent: Intent) -> Reply | None:
    """Lead an order that came from elsewhere to its preview; what is missing is asked for."""
    return await _order(call, intent)


async def _ask_pair(call: Call, account: AccountRow, intent: Intent) -> Reply:
    rows = await call.read(lambda db: queries.recent(db, call.who.user_id, 20))
    symbols = await call.services.gateway.symbols(call.services.gateway.exchange(account).info.id)
    known = [symbol for symbol in (*(row.symbol for row in rows), *_POPULAR) if symbols.get(symbol)]
    pairs = list(dict.fromkeys(known))[:6]
    keys = [_next(symbol, replace(intent, pair=symbol)) for symbol in pairs]
    _await_words(call, lambda text: replace(intent, pair=parse_pair(text)))
    text = Text().bold(intent.side.capitalize()).line().plain("Which pair? Choose, or type it, such as BTC/USDT.")
    return Reply(text, _in_rows(keys, 2))


async def _ask_size(call: Call, account: AccountRow, intent: Intent) -> Reply:
    symbols = await call.services.gateway.symbols(call.services.gateway.exchange(account).info.id)
    market = symbols.resolve(intent.pair or "")
    intent = replace(intent, pair=market.symbol)
    scale = 30 if market.quote == "TWD" else 1
    amounts = [
        (f"{amount * scale} {market.quote}", Amount(Decimal(amount * scale), market.quote)) for amount in _AMOUNTS
    ]
    keys = [_next(text, replace(intent, size=size)) for text, size in (*amounts, *_SIZES)]
    _await_words(call, lambda words: _completed(intent, parse_order(intent.side, f"{market.symbol} {words}")))
    spends = market.quote if intent.side == "buy" else market.base
    text = Text().bold(f"{intent.side.capitalize()} {market.symbol}").line()
    text.plain(f"How much? Choose (per cent of your free {spends}), or type it, such as 0.01 or $50.")
    return Reply(text, _in_rows(keys, 3))


def _completed(intent: Intent, typed: Intent) -> Intent:
    """Return `intent` with what was typed afterwards; what was said before stays."""
    said = {field.name: getattr(typed, field.name) for field in fields(Intent)}
    news = {name: value for name, value in said.items() if value != getattr(_NOTHING, name)}
    return replace(intent, **{**news, "side": intent.side})


def _next(text: str, intent: Intent) -> Button:
    return Button(text, "ask", {"intent": intent.to_json()})


def _in_rows(keys: list[Button], width: int) -> tuple[tuple[Key, ...], ...]:
    return tuple(tuple(keys[start : start + width]) for start in range(0, len(keys), width))


def _await_words(call: Call, read: Callable[[str], Intent]) -> None:
    """Let the person type the missing part instead of pressing a button."""
    services, who = call.services, call.who

    async def answer(text: str, message_id: int) -> None:
        reply = await _order(Call(services, who), read(text))
        if reply is not None:
            await services.sender.send(reply, chat_id=who.chat_id, user_id=who.user_id)

    services.dialogs.ask(who.chat_id, who.user_id, answer)


async def ask(call: Call) -> Reply | None:
    """Go on with an order that was begun by buttons."""
    call.services.dialogs.drop(call.who.chat_id, call.who.user_id)
    return await _order(call, Intent.from_json(call.payload["intent"]))


async def override(call: Call) -> Reply:
    """Ask once more, by name, before an order is previewed while another may exist."""
    named = " and ".join(f"#{order_id}" for order_id in call.payload["despite"])
    text = f"Order {named} may exist. If it does, another one comes on top of it, with money of its own. Go on?"
    return say(text, (Button(f"Yes, although {named} may exist", "despite", call.payload, seconds=60, style="danger"),))


async def despite_doubt(call: Call) -> Reply | None:
    """Preview an order of which its owner said twice that it is wanted in spite of a doubt."""
    return await _order(call, Intent.from_json(call.payload["intent"]), call.payload["despite"])


async def drop(call: Call) -> None:
    """End a proposal."""
    assert call.order_id is not None
    await call.services.desk.drop(call.order_id, call.who.user_id)
    await call.services.draw(call.order_id)


async def scale(call: Call) -> Reply | None:
    """Replace a proposal by half or twice the size, on the same card."""
    assert call.order_id is not None
    row = await _own(call, call.order_id)
    intent = Intent.from_json(row.intent)
    return await _order(call, replace(intent, size=_scaled(row, call.payload["by"])), sorted(row.despite))


def _scaled(row: OrderRow, by: str) -> Amount:
    unit = row.market.quote if row.params["size_in"] == "quote" else row.market.base
    return Amount(row.order.size.amount * Decimal(by), unit)


async def again(call: Call) -> Reply | None:
    """Offer the same order anew, at today's price, on a card of its own."""
    assert call.order_id is not None
    row = await _own(call, call.order_id)
    intent = Intent.from_json(row.intent)
    if by := call.payload.get("by"):
        intent = replace(intent, size=_scaled(row, by))
    return await _order(replace(call, edits=None), intent)


async def _own(call: Call, order_id: int) -> OrderRow:
    return await call.read(lambda db: queries.get_own(db, order_id, call.who.user_id))


async def second_person(call: Call) -> None:
    """Draw the card of an order that now waits for a second person; what is sent at once never comes here."""
    assert call.order_id is not None
    await call.services.draw(call.order_id)


async def confirm_code(call: Call) -> Reply | None:
    """Ask for the code that an order above its owner's line needs, and place it."""
    assert call.order_id is not None
    order_id, services = call.order_id, call.services

    async def place(verify: Verify) -> None:
        row = await services.desk.confirm_with_code(order_id, call.who.user_id, verify)
        if row.state == "confirmed":
            services.desk.send(row)
        await services.draw(order_id)

    asked = await with_code(call, "", place)
    if asked is not None:  # below the card, which goes on showing what is confirmed
        await services.sender.send(asked, chat_id=call.who.chat_id, user_id=call.who.user_id)
    return None


_GRAMMAR = (
    "Pair: any spelling, such as BTC/USDT, btcusdt or BTC.\n"
    "Size: 0.1 (base), 0.1btc, $250, 250usdt, 25%, max.\n"
    "Price: @ 60000, @ 60k, @ -2% (from the last price), @ bid, @ ask, @ mid; without one it is a market order.\n"
    "Stop: stop 59000, or stop 59000 @ 58900.\n"
    "Flags: post, ioc, fok, on LABEL for one of your accounts."
)

COMMANDS = (
    Command(
        "buy",
        buy,
        "Buy: preview, then Confirm",
        "Trade",
        "PAIR SIZE [@ PRICE] [flags]",
        "/buy BTC/USDT $50 @ 60k",
        details=_GRAMMAR,
        offer=partial(offer, side="buy"),
    ),
    Command(
        "sell",
        sell,
        "Sell: preview, then Confirm",
        "Trade",
        "PAIR SIZE [@ PRICE] [flags]",
        "/sell BTC/USDT 50%",
        details=_GRAMMAR,
        offer=partial(offer, side="sell"),
    ),
    Command("trade", trade, "Order by buttons", "Trade", "[PAIR]", "/trade BTC/USDT", runs_late=True),
)
ACTIONS = (
    Action("ask", ask),
    Action("confirm", second_person, toast="A second person must approve it"),
    Action("confirm_code", confirm_code, toast="Send the code"),
    Action("approve", second_person),
    Action("drop", drop, toast="Nothing was sent"),
    Action("scale", scale),
    Action("override", override),
    Action("despite", despite_doubt),
    Action("again", again),
    Action("not_wanted", not_wanted),
)
