"""/alert, /alerts: told when a price, a move, a spread or a volume is reached; with an order prepared, if wanted."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

from bot.accounts.roles import RANK
from bot.alerts import rows
from bot.alerts.rows import Alert, Wish
from bot.chat import alert_cards
from bot.chat.alert_words import EXAMPLES, LASTS_MS, Asked, parse_alert, written
from bot.chat.alerts import figure, spread
from bot.chat.numbers import format_amount, format_price, format_typed
from bot.chat.registry import Action, Call, Command
from bot.chat.reply import Reply, say
from bot.contract.errors import UserError
from bot.contract.models import Market, Ticker
from bot.store.database import Connection
from bot.trading.amounts import EXACT
from bot.trading.gateway import Exchange

_NUMBER = re.compile(r"#([0-9]{1,15})(?:\s|$)")


async def alert(call: Call) -> Reply:
    """Set an alert, or with its number change one."""
    await _check_place(call)
    if not call.args:
        raise UserError(f"What shall I watch? For example:\n{EXAMPLES}", code="SYNTAX")
    number = _NUMBER.match(call.args)
    asked = parse_alert(call.args[number.end() :] if number else call.args)
    if asked.intent is not None and RANK[call.who.role] < RANK["trader"]:
        raise UserError('Orders are for traders. Send the alert without "do".', code="ROLE")
    before = await _found(call, int(number[1])) if number else None
    exchange = await _exchange(call, asked.exchange or (before.wish.exchange if before else ""))
    wish, now = await _wish(call, asked, exchange)
    settings, now_ms = call.services.settings.alerts, call.services.clock.now_ms()
    me = call.who.user_id

    def work(db: Connection) -> Alert:
        alert_id = before.id if before else 0
        if before is None:
            alert_id = rows.add(
                db,
                wish,
                user_id=me,
                chat_id=call.who.chat_id,
                thread_id=call.who.thread_id,
                most_per_user=settings.per_user,
                most=settings.total,
                now_ms=now_ms,
            )
        else:
            rows.change(
                db,
                alert_id,
                wish,
                user_id=before.user_id,
                most_per_user=settings.per_user,
                most=settings.total,
                now_ms=now_ms,
            )
        return _get(db, call, alert_id)

    stored = await call.commit(work)
    call.services.alert_changed(stored.id)
    reply = alert_cards.card(stored, exchange.info.title + exchange.info.mark, now_ms)
    return replace(reply, text=reply.text.line(f"Now {now}."))


async def alerts(call: Call) -> Reply:
    """List what waits in this chat."""
    await _check_place(call)
    page = int(call.payload.get("page", 0))
    found = await call.read(lambda db: rows.in_chat(db, call.who.chat_id))
    return alert_cards.listed(found, page, call.services.clock.now_ms())


async def show(call: Call) -> Reply:
    """Show one."""
    await _check_place(call)
    return _card(call, await _found(call, call.payload["id"]))


async def snooze(call: Call) -> Reply:
    """Keep one quiet for a while, or wake it."""
    await _check_place(call)
    found = await _found(call, call.payload["id"])
    if found.ended:
        return _card(call, found)
    now_ms = call.services.clock.now_ms()

    def work(db: Connection) -> Alert:
        rows.snooze(db, found.id, now_ms + call.payload["ms"], now_ms)
        return _get(db, call, found.id)

    return await _changed(call, await call.commit(work))


async def edit(call: Call) -> Reply:
    """Give the line that changes one."""
    await _check_place(call)
    found = await _found(call, call.payload["id"])
    return alert_cards.edit(found, f"/alert #{found.id} {_as_typed(found.wish)}")


async def delete(call: Call) -> Reply:
    """Forget one."""
    await _check_place(call)
    found = await _found(call, call.payload["id"])
    await call.commit(lambda db: rows.delete(db, found.id))
    call.services.alert_changed(found.id)
    return say(f"Alert #{found.id} is deleted: {found.wish.title}.")


async def again(call: Call) -> Reply:
    """Let one that ended wait anew; a level that stands passed has to go back first."""
    await _check_place(call)
    found = await _found(call, call.payload["id"])
    settings, now_ms = call.services.settings.alerts, call.services.clock.now_ms()
    wish = replace(found.wish, expires_ms=max(found.wish.expires_ms, now_ms + LASTS_MS))

    def work(db: Connection) -> Alert:
        rows.change(
            db,
            found.id,
            wish,
            user_id=found.user_id,
            most_per_user=settings.per_user,
            most=settings.total,
            is_armed=wish.kind == "move",
            now_ms=now_ms,
        )
        return _get(db, call, found.id)

    return await _changed(call, await call.commit(work))


async def _changed(call: Call, found: Alert) -> Reply:
    call.services.alert_changed(found.id)
    return _card(call, found)


def _card(call: Call, found: Alert) -> Reply:
    exchange = call.services.gateway.exchanges.get(found.wish.exchange)
    title = exchange.info.title + exchange.info.mark if exchange else found.wish.exchange
    return alert_cards.card(found, title, call.services.clock.now_ms())


async def _check_place(call: Call) -> None:
    """Refuse, in a group, whoever is not one of its administrators. Telegram is asked.

    Raises:
        UserError: `GROUP_ADMIN`, or Telegram did not tell.
    """
    if call.who.is_private:
        return
    services = call.services
    found = await services.members.get(
        services.sender.bot, call.who.chat_id, call.who.user_id, services.clock.monotonic()
    )
    if not found.is_administrator:
        text = "In a group, alerts are for its administrators. Set yours in our private chat."
        raise UserError(text, code="GROUP_ADMIN")


async def _found(call: Call, alert_id: int) -> Alert:
    return await call.read(lambda db: _get(db, call, alert_id))


def _get(db: Connection, call: Call, alert_id: int) -> Alert:
    """Return an alert of this chat; in a private chat those are its person's own."""
    found = rows.get(db, alert_id)
    if found is None or found.chat_id != call.who.chat_id:
        raise UserError(f"There is no alert #{alert_id} in this chat. /alerts lists them.", code="NO_ALERT")
    return found


async def _exchange(call: Call, named: str) -> Exchange:
    """Return the exchange that was named, else that of the person's account, else the first."""
    gateway = call.services.gateway
    if named:
        return gateway.named(named)
    own = await call.accounts()
    default = await call.account() if own else None
    names = ([default.exchange, f"{default.exchange}:paper"] if default else []) + sorted(
        gateway.exchanges, key=lambda name: name.endswith(":paper")
    )
    found = next((gateway.exchanges[name] for name in names if name in gateway.exchanges), None)
    if found is None:
        raise UserError("No exchange is in use here. Tell the operator: tradewire plugins lists what is installed.")
    return found


async def _wish(call: Call, asked: Asked, exchange: Exchange) -> tuple[Wish, str]:
    """Return what is to be stored, and what the figure is now.

    Raises:
        UserError: The pair is unknown, or what it waits for is so already.
    """
    gateway, exchange_id = call.services.gateway, exchange.info.id
    market = (await gateway.symbols(exchange_id)).resolve(asked.pair)
    ticker = await gateway.ticker(exchange_id, market)
    now = _now(asked, market, ticker, exchange.info.title)
    at = EXACT.multiply(now, asked.at) if asked.kind == "volume" else asked.at
    _check_not_reached(asked, at, now, market)
    intent = "" if asked.intent is None else replace(asked.intent, pair=market.symbol).to_json()
    wish = Wish(
        exchange=exchange_id,
        symbol=market.symbol,
        exchange_symbol=market.exchange_symbol,
        kind=asked.kind,
        at=at,
        title=_title(asked, at, market),
        back_percent=asked.back_percent,
        window_ms=asked.window_ms,
        every_ms=asked.every_ms,
        intent=intent,
        expires_ms=call.services.clock.now_ms() + asked.lasts_ms,
    )
    return wish, figure(asked.kind, now, market)


def _now(asked: Asked, market: Market, ticker: Ticker, exchange: str) -> Decimal:
    if asked.kind == "spread":
        if not ticker.bid or not ticker.ask:
            raise UserError(f"{exchange} shows no bid and ask for {market.symbol} now, so there is no spread to watch.")
        return spread(ticker.bid, ticker.ask)
    if asked.kind == "volume":
        if not ticker.base_volume_24h:
            raise UserError(f"{exchange} does not tell the volume of {market.symbol}, so it cannot be watched.")
        return ticker.base_volume_24h
    return ticker.last


def _check_not_reached(asked: Asked, at: Decimal, now: Decimal, market: Market) -> None:
    is_reached = now <= at if asked.kind == "below" else now >= at
    if asked.kind == "move" or not is_reached:
        return
    shown, level = figure(asked.kind, now, market), _level(asked, at, market)
    where = "below" if asked.kind == "below" else "above"
    others = {
        "above": f" To be told when it falls to {level}, write < instead of >.",
        "below": f" To be told when it rises to {level}, write > instead of <.",
    }
    stands = "at" if now == at else where
    raise UserError(
        f"{market.symbol} is {shown} now, {stands} {level} already. No alert was set.{others.get(asked.kind, '')}",
        code="ALERT_REACHED",
    )


def _level(asked: Asked, at: Decimal, market: Market) -> str:
    if asked.kind == "spread":
        return f"{format_amount(at)}%"
    return figure("volume", at, market) if asked.kind == "volume" else format_price(at, market.price_step)


def _title(asked: Asked, at: Decimal, market: Market) -> str:
    level = _level(asked, at, market) if asked.kind != "move" else ""
    match asked.kind:
        case "above" | "below":
            return f"{market.symbol} {'>' if asked.kind == 'above' else '<'} {level}"
        case "move":
            return f"{market.symbol} moves {format_amount(asked.at)}% within {written(asked.window_ms)}"
        case "spread":
            return f"{market.symbol} spread > {level}"
        case "volume":
            return f"{market.symbol} volume > {level}, {format_amount(asked.at)} times that of now"


def _as_typed(wish: Wish) -> str:
    """Return the words that ask for the same alert. A volume is asked for anew, from what it is then."""
    at = format_typed(wish.at)
    condition = {
        "above": f"{wish.symbol} > {at}",
        "below": f"{wish.symbol} < {at}",
        "move": f"{wish.symbol} {at}% {written(wish.window_ms)}",
        "spread": f"spread {wish.symbol} {at}%",
        "volume": f"vol {wish.symbol} 3x",
    }[wish.kind]
    return condition + (f" every {written(wish.every_ms)}" if wish.every_ms else "")


_DETAILS = (
    "PAIR > PRICE or < PRICE: when the price gets there. PAIR 5% 1h: when it moved so far within 1m, 5m, 15m, 30m, 1h, "
    "4h, 12h or 1d. vol PAIR 3x: when the volume of 24 hours is three times that of now; asked for once a minute. "
    "spread PAIR 0.5%: when bid and ask are so far apart.\n"
    "every 1h: fire again and again, once an hour at most. back 0.5%: only after the price went back so far (0.2% when "
    "left out). for 7d: how long it waits (30d when left out). on EXCHANGE: whose prices.\n"
    "do buy $50: when it fires, a button in the private chat leads to the preview of that order. It is never sent "
    "without Confirm.\n"
    "In a group: for its administrators who may use this bot. A level that was passed while I was away fires once at "
    "the first price, if it still stands passed, and says so."
)

COMMANDS = (
    Command(
        "alert",
        alert,
        "Tell me when a price is reached",
        "Look",
        "PAIR > PRICE [every 1h] [do buy SIZE]",
        "/alert BTC/USDT > 60k",
        details=_DETAILS,
        lost="/alerts lists what waits here.",
    ),
    Command("alerts", alerts, "Alerts: list, snooze, edit, delete", "Look", looks=True),
)
ACTIONS = (
    Action("alert_list", alerts),
    Action("alert_show", show),
    Action("alert_snooze", snooze),
    Action("alert_edit", edit),
    Action("alert_delete", delete, toast="Deleted"),
    Action("alert_again", again),
)
