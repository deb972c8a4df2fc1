"""/limits: what a person may trade at most. Tighter at once; looser with a code, after ten minutes, and announced."""

from __future__ import annotations

import re
from functools import partial

from bot.accounts import second_factor
from bot.chat.codes import Verify, has_factor, with_code
from bot.chat.numbers import format_amount, parse_number
from bot.chat.parse import parse_pair
from bot.chat.registry import Action, Call, Command
from bot.chat.reply import Reply, say
from bot.chat.text import Text
from bot.contract.errors import UserError
from bot.store.database import Connection
from bot.trading import events, halt, limits, notices
from bot.trading.approval import name_of
from bot.trading.limits import Value

_TITLES = {
    "order": ("One order", "USDT"),
    "day": ("A day's orders", "USDT"),
    "loss": ("A day's loss", "USDT"),
    "open": ("Open orders", ""),
    "minute": ("Orders a minute", ""),
    "pairs": ("Pairs", ""),
    "collar": ("Through the market", "%"),
    "slippage": ("Slippage", "%"),
    "code": ("Code above", "USDT"),
    "approval": ("Approval above", "USDT"),
}
_LONGEST_SHOWN = 30
_WHOLE = frozenset({"open", "minute"})
_USAGE = "Write for example /limits order 500, /limits pairs BTC/USDT ETH/USDT or /limits day off."


async def show(call: Call) -> Reply | None:
    """Show the limits, or change one."""
    name, *words = call.args.split()[:40] or [""]
    if not name:
        return await _table(call)
    if name.lower() not in _TITLES:
        raise UserError(f'There is no limit named "{name[:_LONGEST_SHOWN]}". Names: {", ".join(_TITLES)}. {_USAGE}')
    if not words:
        raise UserError(f"What shall the limit {name.lower()} be? {_USAGE} Nothing was changed.")
    return await _change(call, name.lower(), words)


async def _table(call: Call) -> Reply:
    services, me, now_ms = call.services, call.who.user_id, call.services.clock.now_ms()
    ceiling = services.desk.ceiling

    def work(db: Connection) -> tuple[limits.Limits, dict[str, tuple[Value, int]]]:
        return limits.read(db, me, ceiling, now_ms), limits.waiting(db, me, now_ms)

    found, waiting = await call.read(work)
    lines: list[tuple[str, ...]] = []
    for name, (title, _) in _TITLES.items():
        line = _written(name, getattr(found, name))
        if name in waiting:
            value, at_ms = waiting[name]
            line += f" → {_written(name, value)} at {halt.clock(at_ms)}"
        lines.append((name, title, line))
    text = Text().bold("Your limits").line().table(lines)
    return Reply(text.plain("Lower one: /limits order 500, at once. A higher one holds after ten minutes."))


async def _change(call: Call, name: str, words: list[str]) -> Reply | None:
    is_coded = len(words) > 1 and re.fullmatch("[0-9]{6}", words[-1]) is not None
    code = words.pop() if is_coded else ""
    value = _parsed(name, words)
    services, me, now_ms = call.services, call.who.user_id, call.services.clock.now_ms()
    before, ceiling = await call.read(lambda db: limits.own(db, me, now_ms)), services.desk.ceiling
    top = getattr(ceiling, name)
    if top is not None and value is not None and limits.is_looser(name, top, value):
        text = f"The configuration of this bot allows at most {_written(name, top)}, for everybody."
        raise UserError(text, code="LIMIT_CEILING")
    if name == "code" and value is not None and not await has_factor(call):
        raise UserError("A line for codes needs a second factor. Set it up first: /2fa on", code="NO_SECOND_FACTOR")
    is_looser = limits.is_looser(name, getattr(before, name), value)
    if is_looser and await has_factor(call):
        return await with_code(call, code, partial(_store, call, name, value))
    return await _store(call, name, value, None)


async def _store(call: Call, name: str, value: Value, verify: Verify | None) -> Reply:
    services, me = call.services, call.who.user_id

    def work(db: Connection) -> int | None:
        if verify is not None:
            verify(db)
        now_ms = services.clock.now_ms()
        before = getattr(limits.own(db, me, now_ms), name)
        at_ms = limits.change(db, me, name, value, now_ms=now_ms)
        if at_ms is not None and verify is None and second_factor.is_on(db, me):  # it was looked at before
            raise UserError("Your limits changed meanwhile. Send that again.", code="SYNTAX")
        detail = {"name": name, "before": limits.text_of(before), "after": limits.text_of(value), "at_ms": at_ms}
        events.record(db, kind="limit changed", detail=detail, now_ms=now_ms, user_id=me)
        owner = services.settings.access.owner
        if at_ms is not None and owner and owner != me:
            text = f"{name_of(db, me)} raises a limit. {_TITLES[name][0]}: {_written(name, value)} "
            text += f"from {halt.clock(at_ms)}, now {_written(name, before)}."
            notices.tell(db, chat_id=owner, kind="note", payload={"text": text}, now_ms=now_ms)
        return at_ms

    at_ms = await call.commit(work)
    services.sender.kept()
    told = f"{_TITLES[name][0]}: {_written(name, value)}"
    if at_ms is None:
        return say(f"{told}. It holds from now on.")
    advice = "" if verify is not None else " Anybody at your Telegram could do that; a second factor helps: /2fa"
    return say(f"{told}. It holds from {halt.clock(at_ms)}; until then the old one does.{advice}")


def _parsed(name: str, words: list[str]) -> Value:
    if [word.lower() for word in words] in (["off"], ["all"]):
        return None
    if name == "pairs":
        pairs = [parse_pair(word) for word in words]
        if not all("/" in pair for pair in pairs):
            raise UserError("Write whole pairs, such as BTC/USDT.")
        return frozenset(pairs)
    if len(words) != 1:
        raise UserError(_USAGE)
    number = parse_number(words[0].removesuffix("%").lstrip("$"))
    if number <= 0:
        raise UserError("A limit is above zero. To stop trading altogether: /panic")
    if name in _WHOLE:
        if number != int(number):
            raise UserError("Write a whole number.")
        return int(number)
    return number


def _written(name: str, value: Value) -> str:
    if value is None:
        return "all" if name == "pairs" else "none"
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "none"
    unit = _TITLES[name][1]
    number = str(value) if isinstance(value, int) else format_amount(value)
    return f"{number}%" if unit == "%" else f"{number} {unit}".rstrip()


COMMANDS = (
    Command(
        "limits",
        show,
        "What you may trade at most",
        "Accounts",
        "[NAME VALUE]",
        "/limits order 500",
        details="Names: " + ", ".join(_TITLES) + ".\n"
        "A tighter limit holds at once. A looser one takes a code of the second factor, if you have one, and ten\n"
        "minutes, and the owner is told. `off` takes one away; the configuration's own limits hold all the same.",
        lost="/limits shows what holds, and what will.",
    ),
)
ACTIONS = (Action("limits", show),)
