"""What the command line asks Telegram: whether the token is good, and who wrote /start."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

import telegram
from telegram.error import Conflict, InvalidToken, TelegramError

from bot.chat.telegram_request import make_request
from bot.config import Telegram

_POLL_SECONDS = 20
_PAGE = 100
"""Telegram shows this many updates that nobody confirmed, oldest first."""


def make_bot(settings: Telegram) -> telegram.Bot:
    """Return a client for the bot's token. No network traffic."""
    return telegram.Bot(
        settings.token.get_secret_value(),
        base_url=settings.base_url,
        base_file_url=settings.base_file_url,
        request=make_request(settings, at_once=1),
        get_updates_request=make_request(settings, at_once=1),
    )


async def username(bot: telegram.Bot) -> str:
    """Return the bot's name, without @.

    Raises:
        TelegramError: The token is wrong or Telegram cannot be reached. Its text may hold the token: use `why`.
    """
    async with bot:
        return bot.username


async def starter(
    bot: telegram.Bot,
    passed_over: Collection[int] = (),
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> telegram.User:
    """Wait until somebody writes /start to the bot in private, and return who.

    Confirms no update while Telegram still has room to show new ones: the bot gets them all when it runs.

    Args:
        bot: The client.
        passed_over: Ids of people who are not the one.
        sleep: Lets seconds pass.

    Raises:
        TelegramError: As for `username`.
    """
    offset = None
    async with bot:
        while True:
            updates = await bot.get_updates(offset=offset, timeout=_POLL_SECONDS)
            for update in updates:
                sender = _starting(update)
                if sender is not None and sender.id not in passed_over:
                    return sender
            if len(updates) >= _PAGE:
                offset = updates[-1].update_id + 1
            elif updates:
                await sleep(2)  # with something to show, Telegram answers at once


def why(error: TelegramError) -> str:
    """Return what went wrong and what to do, without the token that the error's own text may hold."""
    if isinstance(error, InvalidToken):
        return "Telegram does not know this token. Copy it again from @BotFather."
    if isinstance(error, Conflict):
        return "Another program reads this bot's messages. Stop it first."
    return f"Telegram could not be asked ({type(error).__name__}). Check the network and [telegram] base_url."


def _starting(update: telegram.Update) -> telegram.User | None:
    message = update.message
    if message is None or message.chat.type != "private" or (message.text or "").split()[:1] != ["/start"]:
        return None
    return message.from_user
