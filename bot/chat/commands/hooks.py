"""/hook: alerts that come in by HTTP, such as those of TradingView, and what becomes of them."""

from __future__ import annotations

import re
from decimal import Decimal

from telegram.error import TelegramError

from bot.chat.codes import after_code, has_factor
from bot.chat.commands.groups import check_may_post
from bot.chat.numbers import format_amount, parse_number
from bot.chat.registry import Call, Command
from bot.chat.reply import Copy, Reply, say
from bot.chat.signal_cards import described
from bot.chat.text import Text
from bot.contract.errors import UserError
from bot.redact import redactor
from bot.signals import alert, hooks
from bot.signals.alert import Unreadable
from bot.signals.hooks import MODES, PATH, WHY, Hook, Mode, Verdict
from bot.signals.idea import pair_of
from bot.store.database import Connection

STRATEGY = (
    '{"id":"{{timenow}} {{strategy.order.id}}","time":"{{timenow}}","ticker":"{{exchange}}:{{ticker}}",'
    '"side":"{{strategy.order.action}}"}'
)
INDICATOR = (
    '{"id":"{{timenow}} {{interval}}","time":"{{timenow}}","ticker":"{{exchange}}:{{ticker}}",'
    '"side":"buy","text":"{{close}}"}'
)
_USAGE = (
    "Write /hook new tv, /hook list, /hook test tv and a body, /hook mode tv ask $50, /hook rotate tv or /hook off tv."
)
_WHAT: dict[Mode, str] = {
    "notify": "an alert becomes a card",
    "ask": "an alert becomes a preview that waits for your Confirm",
    "auto": "an alert becomes an order, without asking",
}
_DATED = (
    " Its alerts must say when they were sent, as the templates do, or carry a sequence number that grows; others are "
    "ignored."
)
_OFF = (
    "Alerts from outside are switched off. The operator switches them on with [hooks] enabled = true in the "
    "configuration."
)
_CAP = re.compile(r"\$?([0-9][0-9.,]*[km]?)\$?", re.IGNORECASE)


async def hook(call: Call) -> Reply | None:
    """Make, list, try, change or end hooks."""
    if not call.services.settings.hooks.enabled:
        raise UserError(_OFF, code="HOOKS_OFF")
    word, _, rest = call.args.partition(" ")
    works = {"new": _new, "list": _list, "": _list, "test": _test, "mode": _mode, "rotate": _rotate, "off": _end}
    work = works.get(word.lower())
    if work is None:
        raise UserError(_USAGE, code="HOOK")
    if not call.who.is_private and work is not _new:
        raise UserError("I answer that in our private chat only. Here: /hook new NAME.", code="HOOK")
    return await work(call.with_args(rest.strip()))


async def _new(call: Call) -> Reply | None:
    """Make a hook whose cards go to the chat where this was written. Its address is told in private."""
    services, who = call.services, call.who
    match = re.fullmatch(r"(\S+)(?:\s+on\s+(\S+))?", call.args, re.IGNORECASE)
    if match is None:
        raise UserError(
            "Name it, such as /hook new tv, or /hook new tv on LABEL for one of your accounts.", code="HOOK"
        )
    if not who.is_private:
        await check_may_post(call, who.chat_id)
    account = await call.account(match[2]) if match[2] or await call.accounts() else None
    now_ms = services.clock.now_ms()
    made, token = await call.commit(
        lambda db: hooks.make(
            db,
            user_id=who.user_id,
            name=match[1],
            chat_id=who.chat_id,
            account_id=account.id if account else None,
            now_ms=now_ms,
        )
    )
    await _show_address(call, made, token)
    return None if who.is_private else say(f"Hook {made.name} shows its cards here. I sent you its address in private.")


async def _show_address(call: Call, made: Hook, token: str) -> None:
    """Tell the address of a hook, once. Not by the outbox: it is kept nowhere."""
    settings, user_id = call.services.settings, call.who.user_id
    redactor.register(token)
    host = f"[{settings.web.host}]" if ":" in settings.web.host else settings.web.host
    origin = settings.hooks.public_url or f"http://{host}:{settings.web.port}"
    text = Text().bold(f"Hook {made.name} · {made.mode}").line()
    text.line("Copy its address below: it is shown this once. Whoever has it can send alerts in your name.")
    text.line("1. In TradingView: Alert, Notifications, Webhook URL.")
    text.line("2. Copy a template into the message: for a strategy, or for an indicator (write buy or sell there).")
    text.line("3. Put no password or key into the message; none is needed.")
    if settings.hooks.public_url is None:
        text.line("TradingView cannot reach this address yet: it takes a proxy in front, see [hooks] public_url.")
    text.plain(
        f"/hook test {made.name} and a message show what it would do. /hook mode {made.name} ask $50 has me ask."
    )
    copies = (Copy("Copy the address", origin + PATH + token),)
    templates = (Copy("Strategy", STRATEGY), Copy("Indicator", INDICATOR))
    try:
        await call.services.sender.deliver(Reply(text, (copies, templates)), chat_id=user_id, user_id=user_id)
    except TelegramError as error:
        raise UserError(
            f"The address could not be shown. Open our private chat, then /hook rotate {made.name} makes another."
        ) from error


async def _list(call: Call) -> Reply:
    found = await call.read(lambda db: hooks.of_user(db, call.who.user_id))
    text = Text().bold(f"Your hooks · {len(found)}").line()
    for each in found:
        text.bold(each.name).line(f" · {each.mode}: {_WHAT[each.mode]}{_bounds(each)}")
        where = "here" if each.chat_id > 0 else "in a group"
        state = " · CLOSED, too many alerts" if each.closed_ms is not None else ""
        text.line(f"Cards {where} · {each.taken} taken, {each.ignored} ignored{state}")
        if each.last:
            text.line(f"Last: {each.last}")
    return Reply(text.plain(_USAGE))


def _bounds(found: Hook) -> str:
    parts = [f"${format_amount(found.size)} each"] if found.size is not None else []
    parts += [f"at most ${format_amount(found.day)} a day"] if found.day is not None else []
    parts += [" ".join(sorted(found.pairs))] if found.pairs else []
    return "".join(f" · {each}" for each in parts)


async def _test(call: Call) -> Reply:
    """Tell what a body would do, and do nothing."""
    services = call.services
    name, _, body = call.args.partition(" ")
    now_ms, burst = services.clock.now_ms(), services.settings.hooks.burst
    found = await call.read(lambda db: hooks.named(db, call.who.user_id, name))
    try:
        read = alert.read(body.encode("utf-8", "surrogatepass"))
    except Unreadable as error:
        return say(f"It would be refused: {error}")

    def judge(db: Connection) -> Verdict:
        return hooks.judge(db, found, read, now_ms, burst=burst)

    verdict = await call.read(judge)
    text = Text().bold("Nothing was done. ").line(WHY[verdict])
    if read.idea is not None:
        text.add(described(read.idea))
    else:
        text.line("I read no pair and side in it.")
    if verdict == "taken":
        text.plain(_outcome(found, read))
    return Reply(text)


def _outcome(found: Hook, read: alert.Alert) -> str:
    """Return what becomes of an alert that is taken, in words."""
    if read.idea is not None and not found.allows(read.idea.pair):
        return f"{read.idea.pair} is not among the pairs of {found.name}: nothing could be traded by it."
    if found.mode == "notify":
        return "It would be shown as a card" + (" with Trade this." if read.idea else ", as words.")
    if read.idea is None:
        return "You would be told that there is nothing to trade in it."
    size = f"${format_amount(found.size)}" if found.size is not None else "no size"
    kind = "at its limit price" if read.idea.entry else "at market"
    then = "and wait for your Confirm" if found.mode == "ask" else "and be confirmed by its rule, within your limits"
    return f"An order of {size} {kind} would be previewed {then}."


async def _mode(call: Call) -> Reply | None:
    """Say what becomes of the alerts of a hook; orders without asking take a code."""
    words = call.args.split()
    if len(words) < 2 or words[1].lower() not in MODES:
        raise UserError(
            "Write /hook mode tv notify, /hook mode tv ask $50, or /hook mode tv auto $50 day $200 BTC/USDT.",
            code="HOOK",
        )
    found = await call.read(lambda db: hooks.named(db, call.who.user_id, words[0]))
    mode = next(each for each in MODES if each == words[1].lower())
    size, day, pairs = _wanted(words[2:], found, mode)
    if mode == "ask" and size is None:
        raise UserError(f"How much? Write it behind: /hook mode {found.name} ask $50", code="HOOK")

    async def go_on(call: Call) -> Reply:
        now_ms = call.services.clock.now_ms()

        def change(db: Connection) -> Hook:
            current = hooks.named(db, call.who.user_id, found.name)
            return hooks.set_mode(db, current, mode, size=size, day=day, pairs=pairs, now_ms=now_ms)

        changed = await call.commit(change)
        also = _DATED if changed.mode == "auto" else ""
        return say(f"Hook {changed.name}: {_WHAT[changed.mode]}{_bounds(changed)}.{also}")

    if mode != "auto":
        return await go_on(call)
    if not await has_factor(call):
        raise UserError("Orders without asking take a second factor. Set it up with /2fa on.", code="NO_SECOND_FACTOR")
    return await after_code(call, "to let a hook place orders without asking", go_on)


def _wanted(words: list[str], found: Hook, mode: Mode) -> tuple[Decimal | None, Decimal | None, frozenset[str]]:
    """Return size, cap of the day and pairs. What is not said stays, but for `auto`, which says all of it."""
    size, day, pairs = (None, None, frozenset[str]()) if mode == "auto" else (found.size, None, found.pairs)
    said: list[str] = []
    is_day = False
    for word in words:
        if word.lower() == "day":
            is_day = True
        elif match := _CAP.fullmatch(word):
            value = parse_number(match[1])
            if value <= 0:
                raise UserError("An amount is above zero, such as $50.", code="HOOK")
            size, day = (size, value) if is_day else (value, day)
            is_day = False
        else:
            said.append(pair_of(word))
    return size, day, frozenset(said) or pairs


async def _rotate(call: Call) -> Reply | None:
    """Give a hook another address; the one before opens nothing any more. A new way to orders takes a code."""
    name = call.args
    found = await call.read(lambda db: hooks.named(db, call.who.user_id, name))

    async def go_on(call: Call) -> None:
        now_ms = call.services.clock.now_ms()

        def work(db: Connection) -> tuple[Hook, str]:
            current = hooks.named(db, call.who.user_id, name)
            if current.mode != found.mode:
                raise UserError("The hook was changed meanwhile. Send the command again.", code="HOOK")
            return current, hooks.rotate(db, current, now_ms)

        await _show_address(call, *await call.commit(work))

    if found.mode == "auto":
        return await after_code(call, "to make another address for orders without asking", go_on)
    await go_on(call)
    return None


async def _end(call: Call) -> Reply:
    now_ms = call.services.clock.now_ms()

    def work(db: Connection) -> None:
        hooks.remove(db, hooks.named(db, call.who.user_id, call.args), now_ms)

    await call.commit(work)
    return say(f"Hook {call.args.lower()} is gone; its address opens nothing any more. Orders stay as they are.")


COMMANDS = (
    Command(
        "hook",
        hook,
        "Alerts from TradingView and others",
        "Groups",
        "new | list | test | mode | rotate | off",
        "/hook new tv",
        details=(
            "new NAME [on LABEL]: an address for alerts; in a group, their cards go there.\n"
            "list: your hooks and what became of their last alerts.\n"
            "test NAME BODY: what a body would do; nothing is done.\n"
            "mode NAME notify | ask $SIZE [PAIRS] | auto $SIZE day $MOST PAIRS: a card; a preview with Confirm; an "
            'order without asking, which takes a code of your second factor. Its alerts must carry "time", such as '
            '{{timenow}} of TradingView, or a growing "sequence": nobody can send an old one again.\n'
            "rotate NAME: another address. off NAME: ends it."
        ),
        lost="In our private chat, /hook list shows your hooks. If it made an address that you did not see, "
        "/hook rotate NAME makes another and ends that one.",
    ),
)
