"""The commands, one file a topic. Adding a file here is all it takes to add its commands everywhere."""

from bot.chat.commands import accounts, connect, orders, prices, settings, start, status, trade
from bot.chat.registry import Registry, collect


def registry() -> Registry:
    """Return every command and button action."""
    return collect((start, trade, orders, prices, accounts, connect, settings, status))
