"""The commands, one file a topic. Adding a file here is all it takes to add its commands everywhere."""

from bot.chat.commands import (
    accounts,
    alerts,
    audit,
    chart,
    connect,
    export,
    forget,
    groups,
    hooks,
    keys,
    limits,
    orders,
    panic,
    people,
    plugins,
    pnl,
    prices,
    settings,
    signals,
    start,
    status,
    trade,
    twofactor,
    watch,
)
from bot.chat.registry import Registry, collect


def registry() -> Registry:
    """Return every command and button action."""
    return collect(
        (
            start,
            trade,
            orders,
            prices,
            chart,
            watch,
            pnl,
            alerts,
            accounts,
            keys,
            connect,
            limits,
            groups,
            signals,
            hooks,
            panic,
            twofactor,
            forget,
            export,
            settings,
            people,
            status,
            plugins,
            audit,
        )
    )
