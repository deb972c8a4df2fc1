"""/export: one's own orders and fills as a file."""

from __future__ import annotations

from datetime import UTC, datetime

from bot.chat.registry import Call, Command
from bot.chat.reply import Document, Reply, say
from bot.trading.export import as_csv, period


async def export(call: Call) -> Reply | None:
    """Send the person's orders and fills as a CSV document."""
    from_ms, to_ms = period(call.args)
    text, count = await call.read(lambda db: as_csv(db, call.who.user_id, from_ms, to_ms))
    if not count:
        return say("There are no orders of yours in that time.")
    day = datetime.fromtimestamp(call.services.clock.now_ms() / 1000, UTC).date()
    caption = f"{count} of your orders with their fills. All times are UTC."
    file = Document(f"tradewire-{day}.csv", f"\ufeff{text}", caption)  # with the mark by which spreadsheets know UTF-8
    await call.services.sender.document(file, chat_id=call.who.chat_id, user_id=call.who.user_id)
    return None


COMMANDS = (
    Command(
        "export",
        export,
        "Your orders and fills as a CSV file",
        "Look",
        "[FROM] [TO]",
        "/export 2026-01-01 2026-03-31",
        details="Days are UTC; TO is included. Without them, all orders that the bot knows.",
        looks=True,
    ),
)
