"""/accounts, /balance, /paper."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal

from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.chat.numbers import format_amount, format_money
from bot.chat.pictures import Bars, Pictures
from bot.chat.registry import Action, Call, Command
from bot.chat.reply import Key, Photo, Reply, say
from bot.chat.text import Text
from bot.contract.errors import BotError, UserError
from bot.contract.models import Balance
from bot.store.database import Connection
from bot.trading import events, journal, queries
from bot.trading.confirm import Button
from bot.trading.law import DOUBTFUL, LIVE
from bot.trading.sending import in_words

_DOLLARS = ("USDT", "USDC", "USD")
_DUST = Decimal(1)
_MOST_BARS = 12
_PICTURES = Pictures()


async def balance(call: Call) -> Reply:
    """Show what the accounts hold."""
    found = await asyncio.gather(*(_holdings(call, account) for account in await _asked(call)))
    text = Text()
    for part in found:
        text.add(part)
    return Reply(text, ((_refresh(call), Button("🖼 Picture", "balance_picture", {"args": call.args})),))


def _refresh(call: Call) -> Button:
    return Button("↻ Refresh", "balance", {"args": call.args})


async def _asked(call: Call) -> list[AccountRow]:
    if call.args.lower() not in ("", "all"):
        return [await call.account(call.args)]
    return await call.accounts() or [await call.account()]


async def balance_again(call: Call) -> Reply:
    """Show the holdings anew in the same message."""
    return await balance(call.with_args(call.payload["args"]))


async def balance_picture(call: Call) -> None:
    """Send how the holdings split, as a picture."""
    asked = call.with_args(call.payload["args"])
    accounts = await _asked(asked)
    worth: dict[str, Decimal] = {}
    for account in accounts:
        for asset, row in (await call.services.gateway.balances(account)).items():
            worth[asset] = worth.get(asset, Decimal(0)) + (await _worth(call, account, row) or 0)
    bars = split(worth)
    if not bars:
        raise UserError("There is nothing to draw: nothing is held, or nothing of it has a price in USDT now.")
    titles = ", ".join(title_of(call, account) for account in accounts)
    png = await _PICTURES.of(Bars(f"Holdings, in USDT · {titles}", bars))
    total = format_money(sum((value for _, value in bars), Decimal(0)))
    await call.services.sender.photo(
        Photo(png, f"≈ {total} USDT · {titles}. What has no price in USDT is left out."[:1000]),
        chat_id=call.who.chat_id,
        user_id=call.who.user_id,
    )


def split(worth: Mapping[str, Decimal]) -> tuple[tuple[str, Decimal], ...]:
    """Return the parts of a whole, the largest first; the small ones and those beyond the twelfth are one."""
    parts = sorted(worth.items(), key=lambda part: -part[1])
    large = [part for part in parts if part[1] >= _DUST][: _MOST_BARS - 1]
    rest = sum((value for _, value in parts[len(large) :]), Decimal(0))
    return (*large, ("others", rest)) if rest >= _DUST else tuple(large)


async def _holdings(call: Call, account: AccountRow) -> Text:
    text = Text().bold(title_of(call, account)).line()
    try:
        held = await call.services.gateway.balances(account)
        worth = {asset: await _worth(call, account, row) for asset, row in held.items()}
    except BotError as error:
        return text.line(f"⚠ {in_words(error)}")
    if not held:
        return text.line("Nothing here. Money in another wallet of the exchange (funding, futures) is not shown.")
    rows: list[tuple[str, ...]] = []
    dust = 0
    for asset, row in sorted(held.items(), key=lambda item: -(worth[item[0]] or 0)):
        value = worth[asset]
        if value is not None and value < _DUST:
            dust += 1
            continue
        locked = f"  {format_amount(_eight_decimals(row.locked))} in orders" if row.locked else ""
        shown = "" if asset in _DOLLARS or value is None else f"≈ {format_money(value)} USDT"
        total = row.free + row.locked
        held_text = format_money(total) if asset in _DOLLARS else format_amount(_eight_decimals(total))
        rows.append((asset, held_text, shown + locked))
    known = [value for value in worth.values() if value is not None]
    if known:
        rows.append(("Total", "", f"≈ {format_money(sum(known, Decimal(0)))} USDT"))
    text.table(rows)
    if dust:
        text.line(f"and {dust} small rests below 1 USDT")
    return text


async def _worth(call: Call, account: AccountRow, row: Balance) -> Decimal | None:
    """Return a holding's value in USDT, or `None` where there is no such market."""
    total = row.free + row.locked
    if row.asset in _DOLLARS:
        return total
    exchange_id = call.services.gateway.exchange(account).info.id
    symbols = await call.services.gateway.symbols(exchange_id)
    market, inverse = symbols.get(f"{row.asset}/USDT"), symbols.get(f"USDT/{row.asset}")
    try:
        if market is not None:
            return total * (await call.services.gateway.ticker(exchange_id, market)).last
        if inverse is not None:
            return total / (await call.services.gateway.ticker(exchange_id, inverse)).last
    except BotError:
        return None
    return None


async def accounts(call: Call) -> Reply:
    """List the accounts and choose the default."""
    rows = await call.accounts()
    default = await call.account()
    text = Text().bold("Accounts").line()
    for row in rows:
        text.line(f"{'●' if row.id == default.id else '○'} {title_of(call, row)}")
    keys = tuple(Button(f"Use {row.label}", "default", {"account": row.id}) for row in rows if row.id != default.id)
    return Reply(text.plain("● is used when an order names no account (on LABEL)."), _column(keys))


async def set_default(call: Call) -> Reply:
    """Choose the default account."""

    def work(db: Connection) -> None:
        people.set_default(db, call.who.user_id, call.payload["account"])

    await call.commit(work)
    return await accounts(call)


async def paper(call: Call) -> Reply:
    """Switch paper trading of an account on or off."""
    words = call.args.lower().split()
    if not words or words[0] not in ("on", "off"):
        raise UserError("Write /paper on or /paper off, and the account's name if it is not the default one.")
    on = words[0] == "on"
    label = words[1] if len(words) > 1 else None
    if on and label is None and not await call.accounts():
        return await _first_paper_account(call)
    row = await call.account(label)
    if not uses_keys(call, row):
        raise UserError(f"{row.label} always trades on paper: its exchange has no real money. Nothing was changed.")
    if not on and not await has_key(call, row):
        raise UserError(f"{row.label} has no key, so it can only trade on paper. /connect adds a real account.")
    if on and f"{row.exchange}:paper" not in call.services.gateway.exchanges:
        raise UserError(f"{row.label} cannot be switched: {row.exchange} has no paper twin here.")
    if on != row.paper:
        now_ms = call.services.clock.now_ms()
        for order_id in await call.commit(lambda db: _switch_paper(db, row, on, now_ms)):
            await call.services.draw(order_id)
    if on:
        return say(f"{row.label} now trades on paper: real prices, no real money.")
    return say(f"{row.label} trades with real money again.")


def _switch_paper(db: Connection, row: AccountRow, on: bool, now_ms: int) -> list[int]:
    """Let an account trade elsewhere from now on, and return the proposals that ended by it.

    A preview is of the exchange it was made for, and an order is looked after there.
    """
    for order in queries.in_states(db, ("confirmed", *LIVE, *DOUBTFUL), row.id):
        raise UserError(
            f"Order #{order.id} of {row.label} is not finished, and I would lose sight of it. Cancel it or wait."
        )
    proposals = [order.id for order in queries.in_states(db, ("proposed",), row.id)]
    for order_id in proposals:
        journal.end(db, order_id, "expired", "Paper trading was switched. Nothing was sent.", now_ms)
    people.set_paper(db, row.id, on)
    kind = "paper on" if on else "paper off"
    events.record(db, kind=kind, detail={"account": row.id}, now_ms=now_ms, user_id=row.user_id)
    return proposals


async def _first_paper_account(call: Call) -> Reply:
    real = [name for name in call.services.gateway.exchanges if not name.endswith(":paper")]
    if not real:
        raise UserError("No exchange is in use here, so there are no prices to trade at. Tell the operator.")

    def work(db: Connection) -> AccountRow:
        return people.add_account(db, call.who.user_id, real[0], "paper", call.services.clock.now_ms(), paper=True)

    row = await call.commit(work)
    title = call.services.gateway.named(real[0]).info.title
    return say(f"Made the account {row.label}: {title}'s prices, no real money. Try /buy BTC/USDT $50")


async def has_key(call: Call, row: AccountRow) -> bool:
    """Say whether an account has a key here."""
    query = "SELECT 1 FROM credentials WHERE account_id=? LIMIT 1"
    found = await call.read(lambda db: db.execute(query, (row.id,)).fetchone())
    return found is not None


def uses_keys(call: Call, row: AccountRow) -> bool:
    """Say whether an account is one that needs a key; where none is needed, no money is real."""
    found = call.services.gateway.exchanges.get(row.exchange)
    return found is None or bool(found.info.credential_fields)


def _eight_decimals(value: Decimal) -> Decimal:
    return value.quantize(Decimal("1e-8"), ROUND_DOWN)


def title_of(call: Call, row: AccountRow) -> str:
    """Return an account as people read it: exchange, name and what is special."""
    found = call.services.gateway.exchanges.get(row.exchange)
    marks = " 📝 paper" if row.paper else ""
    if row.options.get("demo") == "1":
        marks += " demo"
    title, mark = (found.info.title, found.info.mark) if found else (row.exchange, "")
    return f"{title}·{row.label}{marks}{mark}"


def _column(keys: tuple[Key, ...]) -> tuple[tuple[Key, ...], ...]:
    return tuple((key,) for key in keys)


COMMANDS = (
    Command("balance", balance, "What you hold", "Look", "[ACCOUNT]", "/balance", looks=True),
    Command("accounts", accounts, "Your accounts; choose the default", "Accounts", looks=True),
    Command(
        "paper",
        paper,
        "Trade without real money",
        "Accounts",
        "on | off [ACCOUNT]",
        "/paper on",
        lost="/accounts tells which accounts trade on paper.",
    ),
)
ACTIONS = (
    Action("balance", balance_again),
    Action("balance_picture", balance_picture, toast="Drawing"),
    Action("default", set_default),
)
