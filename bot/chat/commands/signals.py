"""/signal, /signals: ideas posted in a group, and following them in one's own size."""

from __future__ import annotations

import json
import re
from dataclasses import asdict

from bot.accounts.roles import RANK
from bot.chat import rules
from bot.chat.commands.groups import check_may_post
from bot.chat.commands.trade import preview
from bot.chat.parse import parse_order
from bot.chat.registry import Action, Call, Command
from bot.chat.reply import Reply, say
from bot.chat.signal_cards import described
from bot.chat.text import Text
from bot.contract.errors import UserError
from bot.signals import board, words
from bot.signals.idea import Idea, intent_of
from bot.signals.words import Reading
from bot.store.database import Connection
from bot.trading.confirm import Button
from bot.trading.intent import Intent, Size

_OVER = "This signal is over. Nothing was prepared."
_USAGE = "For example: /signal BUY BTC/USDT 59500-60200 TP 61800 63000 SL 58000 valid 2h"
_NUMBERED = re.compile(r"(cancel|change)\s+#?(\d{1,9})(?:\s+(.+))?", re.IGNORECASE | re.DOTALL)
_APPROVE_SECONDS = 3600


async def signal(call: Call) -> Reply | None:
    """Post a signal here, or change or cancel one."""
    if match := _NUMBERED.fullmatch(call.args):
        number = int(match[2])
        return await (_cancel(call, number) if match[1].lower() == "cancel" else _change(call, number, match[3] or ""))
    if call.who.is_private:
        raise UserError(f"Write it in the group that shall see it. {_USAGE}", code="SIGNAL")
    await check_may_post(call, call.who.chat_id)
    if not call.args:
        raise UserError(_USAGE, code="SIGNAL")
    reading = words.read(call.args)
    if not reading.left_out:
        await _post(call, call.who.chat_id, reading.idea, reading.valid_ms)
        return None
    payload = {"idea": reading.idea.to_json(), "valid_ms": reading.valid_ms, "chat": call.who.chat_id}
    keys = (
        Button("Post it", "signal_post", payload, seconds=_APPROVE_SECONDS, style="success"),
        Button("Drop it", "not_wanted"),
    )
    own = call.who.user_id
    await call.services.sender.send(Reply(_reading(reading), (keys,)), chat_id=own, user_id=own)
    return say("I left words of it out, so I show it to you in our private chat first.")


async def approved(call: Call) -> Reply | None:
    """Post a signal that its author looked at."""
    await check_may_post(call, call.payload["chat"])
    idea = Idea.from_json(call.payload["idea"])
    await _post(call, call.payload["chat"], idea, call.payload["valid_ms"])
    return say("Posted.")


async def canceled(call: Call) -> Reply:
    """Cancel a signal by its button."""
    return await _cancel(call, call.payload["signal"])


async def _post(call: Call, chat_id: int, idea: Idea, valid_ms: int) -> None:
    services, who = call.services, call.who
    now_ms = services.clock.now_ms()
    made = await call.commit(
        lambda db: board.post(
            db,
            idea,
            author=who.user_id,
            source=who.name,
            chat_id=chat_id,
            valid_ms=valid_ms,
            now_ms=now_ms,
        )
    )
    services.sender.kept()
    end = Button("Cancel signal", "signal_cancel", {"signal": made.id}, seconds=valid_ms // 1000, style="danger")
    text = f"Signal #{made.id} is posted. /signal change {made.id} and its new text change it."
    await services.sender.send(say(text, (end,)), chat_id=who.user_id, user_id=who.user_id)


async def _cancel(call: Call, number: int) -> Reply:
    services, now_ms = call.services, call.services.clock.now_ms()
    await call.commit(lambda db: board.cancel(db, number, by=call.who.user_id, now_ms=now_ms))
    services.sender.kept()
    return say(f"Signal #{number} is canceled; its card says so. Orders that followed it stay as they are.")


async def _change(call: Call, number: int, text: str) -> Reply:
    reading = words.read(text)
    if reading.left_out:
        raise UserError(f"I do not understand {_quoted(reading)} there. {_USAGE}", code="SIGNAL")
    services, now_ms = call.services, call.services.clock.now_ms()
    valid_ms = reading.valid_ms if "valid" in text.lower() else None
    await call.commit(
        lambda db: board.change(db, number, reading.idea, by=call.who.user_id, valid_ms=valid_ms, now_ms=now_ms)
    )
    services.sender.kept()
    return say(f"Signal #{number} is changed; its card says so. Orders that followed it stay as they are.")


def _reading(reading: Reading) -> Text:
    text = Text().bold("Post this signal?").line().add(described(reading.idea))
    return text.line(f"Valid for {reading.valid_ms // 60_000} minutes.").plain(f"Left out: {_quoted(reading)}")


def _quoted(reading: Reading) -> str:
    return ", ".join(f'"{each}"' for each in reading.left_out[:8])


# Following


async def followed(call: Call, token: str) -> Reply | None:
    """Lead whoever pressed a card's button to a preview in their own size."""
    services, who = call.services, call.who
    if not who.is_private or RANK[who.role] < RANK[rules.ACTIONS["ask"].role]:
        raise UserError("You may not trade here. Ask the operator if you should.")
    now_ms = services.clock.now_ms()

    def look(db: Connection) -> tuple[board.Signal | None, bool, Size | None]:
        found = board.by_token(db, token)
        if found is not None and found.state == "open" and found.until_ms > now_ms:
            board.follow(db, found, who.user_id, now_ms)
        return found, *_wishes(db, who.user_id)

    found, is_on, size = await call.prepare(look)
    if found is None or found.state != "open" or found.until_ms <= now_ms:
        return say(_OVER)
    if not is_on:
        raise UserError("You have switched signals off. /signals on switches them on again.", code="SIGNALS_OFF")
    text = Text().bold(f"Signal #{found.id} · by {found.source}").line().add(described(found.idea))
    if found.idea.stop is not None or found.idea.targets:
        text.plain("Its targets and its stop are not placed for you.")
    await services.sender.send(Reply(text), chat_id=who.chat_id, user_id=who.user_id)
    return await preview(call, intent_of(found.idea, size, found.id))


async def wishes(call: Call) -> Reply:
    """Show or set how one follows signals."""
    word, user_id = call.args.strip().lower(), call.who.user_id
    if word in ("on", "off"):
        await _wish(call, is_on=word == "on")
    elif word == "ask":
        await _wish(call, size="")
    elif word:
        size = parse_order("buy", word).size
        if size is None:
            raise UserError("Write /signals $50, /signals 5%, /signals ask, /signals on or /signals off.")
        await _wish(call, size=json.dumps({"kind": type(size).__name__, **asdict(size)}, default=str))
    is_on, size = await call.read(lambda db: _wishes(db, user_id))
    shown = "I ask for the size each time" if size is None else f"your size is {_size_words(size)}"
    if not is_on:
        return say("Signals are off: Trade this does nothing for you. /signals on switches them on.")
    return say(f"Signals are on: with Trade this, {shown}. /signals $50 sets a size, /signals ask has me ask.")


def _size_words(size: Size) -> str:
    fields = asdict(size)
    if not fields:
        return "all that is free"
    value = format(fields["value"], "f")
    return f"{value} {fields['asset'] or 'of the base asset'}" if "asset" in fields else f"{value} % of what is free"


async def _wish(call: Call, *, is_on: bool | None = None, size: str | None = None) -> None:
    def work(db: Connection) -> None:
        db.execute("INSERT OR IGNORE INTO signal_wishes(user_id) VALUES (?)", (call.who.user_id,))
        change = "UPDATE signal_wishes SET is_on=coalesce(?, is_on), size=coalesce(?, size) WHERE user_id=?"
        db.execute(change, (is_on, size, call.who.user_id))

    await call.commit(work)


def _wishes(db: Connection, user_id: int) -> tuple[bool, Size | None]:
    row = db.execute("SELECT * FROM signal_wishes WHERE user_id=?", (user_id,)).fetchone()
    if row is None:
        return True, None
    stored = Intent("buy").to_json()
    fields = json.loads(stored) | {"size": json.loads(row["size"]) if row["size"] else None}
    return bool(row["is_on"]), Intent.from_json(json.dumps(fields)).size


COMMANDS = (
    Command(
        "signal",
        signal,
        "Post a signal with Trade this",
        "Groups",
        "TEXT | change N TEXT | cancel N",
        "/signal BUY BTC/USDT 59500-60200 TP 61800 63000 SL 58000 valid 2h",
        details=(
            "Channel formats are read as well, such as lines with Entry, Targets and Stop. What was not understood is "
            "shown to you first. Valid for a day unless it says otherwise, for a week at most."
        ),
        lost="Its card in the group shows it as it is now.",
    ),
    Command(
        "signals",
        wishes,
        "Your size for signals you follow",
        "Trade",
        "[SIZE | ask | on | off]",
        "/signals $50",
        lost="/signals shows what you chose.",
    ),
)
ACTIONS = (Action("signal_post", approved), Action("signal_cancel", canceled))
