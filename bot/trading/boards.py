"""Watch boards as they are stored: one pinned message per chat, the pairs it shows, and who put it up.

Every function works inside the caller's transaction.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.store.database import Connection


@dataclass(frozen=True, slots=True)
class Board:
    """A board.

    Attributes:
        chat_id: Where.
        thread_id: The topic there, or `None`.
        message_id: The message that is edited; `None` before it is sent.
        user_id: Who put it up; without a role any more, it ends.
        exchange: Whose prices.
        symbols: The pairs, in the order they are shown.
    """

    chat_id: int
    thread_id: int | None
    message_id: int | None
    user_id: int
    exchange: str
    symbols: tuple[str, ...]


def put(db: Connection, board: Board) -> Board:
    """Store a board. One that is in the chat already stays where it is and shows the new pairs.

    Returns:
        The board as it is now, with the message of the one before it.
    """
    db.execute(
        "INSERT INTO boards(chat_id, thread_id, user_id, exchange, symbols) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT(chat_id) DO UPDATE SET user_id=excluded.user_id, exchange=excluded.exchange,"
        " symbols=excluded.symbols",
        (board.chat_id, board.thread_id, board.user_id, board.exchange, " ".join(board.symbols)),
    )
    [stored] = [each for each in every(db) if each.chat_id == board.chat_id]
    return stored


def every(db: Connection) -> list[Board]:
    """Return all boards."""
    return [
        Board(
            row["chat_id"],
            row["thread_id"],
            row["message_id"],
            row["user_id"],
            row["exchange"],
            tuple(row["symbols"].split()),
        )
        for row in db.execute("SELECT * FROM boards ORDER BY chat_id").fetchall()
    ]


def sent(db: Connection, chat_id: int, message_id: int) -> bool:
    """Note which message a board became; say whether somebody still wants it."""
    query = "UPDATE boards SET message_id=? WHERE chat_id=? AND message_id IS NULL"
    return db.execute(query, (message_id, chat_id)).rowcount == 1


def end(db: Connection, chat_id: int) -> int | None:
    """Forget a board and return its message, if it had one."""
    row = db.execute("DELETE FROM boards WHERE chat_id=? RETURNING message_id", (chat_id,)).fetchone()
    return None if row is None else row["message_id"]


def lost(db: Connection, chat_id: int, message_id: int) -> None:
    """Forget a board whose message is gone, unless it has another by now."""
    db.execute("DELETE FROM boards WHERE chat_id=? AND message_id=?", (chat_id, message_id))
