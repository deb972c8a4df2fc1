"""Turning a second factor on and off, with the event in the log and the word to its person, in one commit."""

from __future__ import annotations

from bot.accounts import second_factor
from bot.accounts.vault import Vault
from bot.store.database import Connection
from bot.trading import events, notices


def turn_on(db: Connection, *, user_id: int, code: str, now_ms: int, vault: Vault) -> None:
    """Turn the factor on that was begun, with a first code.

    Raises:
        UserError: As `second_factor.confirm`.
    """
    second_factor.confirm(db, user_id, code, now_ms, vault=vault)
    _told(db, user_id, "second factor on", "The second factor is on now. Was that not you? Tell the owner.", now_ms)


def turn_off(db: Connection, user_id: int, *, by: int | None, now_ms: int) -> bool:
    """Turn a person's factor off; say whether there was one. In chat `verify` comes first.

    Args:
        db: The transaction.
        user_id: Whose.
        by: Who did it, or `None` for the server's command line.
        now_ms: Our time.
    """
    if not second_factor.turn_off(db, user_id):
        return False
    where = "the server" if by is None else "you"
    text = f"The second factor was turned off by {where}. Was that not you? Tell the owner."
    _told(db, user_id, "second factor off", text, now_ms)
    return True


def _told(db: Connection, user_id: int, kind: str, text: str, now_ms: int) -> None:
    events.record(db, kind=kind, detail={}, now_ms=now_ms, user_id=user_id)
    notices.tell(db, chat_id=user_id, kind="note", payload={"text": text}, now_ms=now_ms)
