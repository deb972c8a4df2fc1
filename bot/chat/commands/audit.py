"""/audit: who did what, for administrators. /diag: an order's support form, for its owner."""

from __future__ import annotations

import asyncio
import contextlib
import re
from datetime import UTC, datetime
from pathlib import Path

from bot.accounts import people
from bot.chat.registry import Call, Command
from bot.chat.reply import Document, Reply
from bot.chat.text import Text
from bot.contract.errors import UserError
from bot.store.check import connect_to_read
from bot.store.database import Connection
from bot.trading import audit as log
from bot.trading import queries, support
from bot.trading.audit import Chain, Event
from bot.trading.support import Case

_USUAL = 15
_NUMBER = re.compile(r"#?([0-9]{1,15})")


async def audit(call: Call) -> Reply:
    """Show the newest events, and whether the log is whole."""
    user_id, most = _wanted(call.args)
    found, chain = await asyncio.to_thread(_read, call.services.store.path, user_id, most)
    text = Text().bold("Events" if user_id is None else f"Events of {user_id}").line(" · times are UTC")
    for event in found:
        who = "" if event.user_id is None else f" · {event.user_id}"
        text.line(f"{event.id} · {_clock(event.at_ms)}{who} · {event.in_words}")
    if not found:
        text.line("None.")
    if chain.broken is not None:
        text.line().bold("⚠ The log was changed.").plain(f" Event {chain.broken} is not as it was written, or missing.")
        text.plain(" Stop the bot and look: tradewire audit verify. Your last backup has the log as it was.")
    else:
        text.line().plain(f"The log is whole: {chain.length} events, each bound to the one before.")
    return Reply(text)


def _wanted(args: str) -> tuple[int | None, int]:
    """Read `[USER] [HOW MANY]`. A single number is a person, unless it is too small for one's id."""
    words = args.split()
    if len(words) > 2 or not all(re.fullmatch("[0-9]{1,15}", word) for word in words):
        raise UserError("Write a person's id, how many events, or both: /audit 123456789 20. /users shows the ids.")
    numbers = [int(word) for word in words]
    if len(numbers) == 1 and numbers[0] <= log.MOST:
        numbers = [0, *numbers]
    user_id, most = (*numbers, *(0, _USUAL)[len(numbers) :])
    return user_id or None, min(max(most, 1), log.MOST)


def _read(path: Path, user_id: int | None, most: int) -> tuple[list[Event], Chain]:
    # Beside what goes on: looking at every event takes a while, and no order may wait for it.
    with contextlib.closing(connect_to_read(path)) as db:
        return log.recent(db, most, user_id=user_id), log.chain(db)


async def diag(call: Call) -> None:
    """Send an order's support form as a file."""
    number = _NUMBER.fullmatch(call.args.strip())
    if number is None:
        raise UserError("Which order? Write its number, such as /diag 42. /orders lists the open ones.")
    services, who, order_id = call.services, call.who, int(number[1])

    def look(db: Connection) -> tuple[Case, people.AccountRow]:
        found = support.case(db, order_id, who.user_id)
        return found, queries.account_of(db, found.row)

    found, account = await call.read(look)
    registered = services.gateway.named(found.row.exchange).registered
    request = support.request_of(registered, people.to_contract(account), found.row)
    section = services.settings.exchanges.get(registered.info.id)
    text = support.form(found, registered.info, request, origin=section.base_url if section else None)
    caption = f"For the support of {registered.info.title}. Read it before you send it on. It holds no key."
    file = Document(f"order-{order_id}-{registered.info.id}.txt", text, caption)
    await services.sender.document(file, chat_id=who.chat_id, user_id=who.user_id)


def _clock(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%d %b %H:%M:%S")


COMMANDS = (
    Command(
        "audit",
        audit,
        "Who did what, and whether the log is whole",
        "Bot",
        "[USER] [HOW MANY]",
        "/audit 123456789 20",
        details="Of orders it tells that something happened, not what was traded. At most 50 events.",
        looks=True,
    ),
    Command(
        "diag",
        diag,
        "An order's form for the exchange's support",
        "Look",
        "NUMBER",
        "/diag 42",
        details="A text file with what support asks for, and without any secret.",
        looks=True,
    ),
)
