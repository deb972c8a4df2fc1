"""Stray secrets: a part of a key that nobody asked for, or that came too late. Deleted, and its sender is told."""

from __future__ import annotations

import re

from telegram.error import TelegramError

from bot.chat.dialogs import Dialogs
from bot.chat.reply import Sender, say

_SECRET = re.compile(r"[A-Za-z0-9+/=_-]{16,}")
_LEFT = "That may be part of a key, and nothing asked for one, so {told}. /connect begins anew."
_LATE = "What you wrote may be part of a key and came too late, so {told}. Send it only if I asked for it."


class Strays:
    """Finds and removes them.

    Args:
        sender: Deletes and tells.
        dialogs: Know where a secret was asked for.
    """

    def __init__(self, sender: Sender, dialogs: Dialogs) -> None:
        self._sender = sender
        self._dialogs = dialogs

    def may_be_secret(self, chat_id: int, user_id: int, text: str, *, came_late: bool = False) -> bool:
        """Say whether a message that is no command may be a key: by its looks, or because one was asked for lately."""
        was_asked = self._dialogs.is_wary(chat_id, user_id) or (came_late and self._dialogs.is_open(chat_id, user_id))
        return was_asked or _looks_secret(text)

    async def delete(self, chat_id: int, message_id: int) -> bool:
        """Delete a message; say whether Telegram did."""
        try:
            return await self._sender.bot.delete_message(chat_id, message_id)
        except TelegramError:
            return False

    async def remove(self, chat_id: int, user_id: int, message_id: int) -> None:
        """Delete a message that nothing asked for, and tell its sender."""
        told = _LEFT.format(told=_told(await self.delete(chat_id, message_id)))
        await self._sender.send(say(told), chat_id=chat_id, user_id=user_id)


def late(deleted: list[bool]) -> str:
    """Return what is told of messages that came too late and may have been parts of a key."""
    return _LATE.format(told=_told(all(deleted)))


def _looks_secret(text: str) -> bool:
    """Say whether a message can be a pasted key: long words of letters and digits that no command or pair has."""
    return any(
        _SECRET.fullmatch(word) and any(map(str.isdigit, word)) and any(map(str.isalpha, word)) for word in text.split()
    )


def _told(deleted: bool) -> str:
    return "I deleted it" if deleted else "I could NOT delete it; please do, and make a new key"
