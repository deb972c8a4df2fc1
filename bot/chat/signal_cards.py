"""What a signal looks like: one card, drawn from its row in every state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from bot.chat.notes import Drawn, Renderer
from bot.chat.reply import Key, Link, Reply
from bot.chat.text import Text
from bot.signals import board
from bot.signals.board import Signal
from bot.signals.idea import Idea
from bot.store.database import Connection
from bot.trading import groups
from bot.trading.notices import Notice

_DAY_MS = 86_400_000
_HEADS = {"open": "📣 ", "canceled": "✖ Canceled · ", "ended": "⌛ Over · "}


def renderers(username: Callable[[], str]) -> Mapping[str, Renderer]:
    """Return how the notices of signals are drawn.

    Args:
        username: Returns the bot's username, to which the card's button leads.
    """

    def signal(db: Connection, notice: Notice) -> Drawn:
        found = board.get(db, notice.payload["signal"])

        def sent(db: Connection, message_id: int) -> None:
            board.drawn(db, found.id, message_id)

        silent = groups.is_silent(db, found.chat_id, "signals", notice.created_ms)
        return Drawn(card(found, username()), message_id=found.message_id, sent=sent, is_silent=silent)

    return {board.KIND: signal, board.WORDS: _words}


def card(signal: Signal, username: str) -> Reply:
    """Return a signal's card. Its button leads to the private chat of whoever presses it.

    Args:
        signal: What to show.
        username: The bot's.
    """
    text = Text().bold(_HEADS[signal.state]).add(described(signal.idea))
    if signal.remark:
        text.line(f"⚠ {signal.remark}")
    parts = [f"by {signal.source}" if signal.source else "", f"{_clock(signal.created_ms)} UTC"]
    if signal.changed_ms is not None:
        parts.append(f"changed {_clock(signal.changed_ms)}")
    if signal.state == "open":
        parts.append(f"valid until {_until(signal)}")
    if signal.followed:
        parts.append(f"followed {signal.followed}")
    text.plain(" · ".join(filter(None, parts)))
    link = Link("Trade this", f"https://t.me/{username}?start={board.PREFIX}{signal.token}")
    rows: tuple[tuple[Key, ...], ...] = ((link,),) if signal.state == "open" and username else ()
    return Reply(text, rows)


def described(idea: Idea) -> Text:
    """Return what an idea says, in two or three lines."""
    entry = "–".join(map(_price, idea.entry)) or "at market"
    text = Text().bold(f"{idea.pair}  {idea.side.upper()} {entry}").line()
    ends = []
    if idea.targets:
        ends.append("TP " + " · ".join(map(_price, idea.targets)))
    if idea.stop is not None:
        ends.append(f"SL {_price(idea.stop)}")
    return text.line("   ".join(ends)) if ends else text


def _words(db: Connection, notice: Notice) -> Drawn:
    """Show words that came from outside: as code, in which Telegram makes no links and no mentions."""
    payload = notice.payload
    text = Text().bold(f"🔔 {payload['source']}").line().code(payload["text"]).line()
    if payload["remark"]:
        text.line(f"⚠ {payload['remark']}")
    silent = groups.is_silent(db, notice.chat_id, "signals", notice.created_ms)
    return Drawn(Reply(text), is_silent=silent)


def _price(value: Decimal) -> str:
    return format(value, ",f")


def _clock(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%H:%M")


def _until(signal: Signal) -> str:
    day = "%H:%M" if signal.until_ms - signal.created_ms < _DAY_MS else "%d %b %H:%M"
    return datetime.fromtimestamp(signal.until_ms // 1000, UTC).strftime(day)
