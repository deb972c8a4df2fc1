"""Looking after the database: whether the log of events is whole, at the start and once a day."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable

from bot.clock import Clock
from bot.store.database import Connection, Store
from bot.store.errors import StoreDamaged, StoreError
from bot.trading import events

log = logging.getLogger(__name__)
DAY_SECONDS = 86_400


def events_are_whole(db: Connection) -> str | None:
    """Return what is wrong with the log of events, or `None`. A `bot.store.check.Proof`."""
    number = events.verify_chain(db)
    return None if number is None else f"event {number} of its log was changed or is missing"


async def look_daily(store: Store, clock: Clock, tell: Callable[[str], Awaitable[object]]) -> None:
    """Look at the database once a day, beside what goes on. When it is damaged, say so once and end.

    Args:
        store: Does nothing more once the damage is seen.
        clock: Ours.
        tell: Reaches the owner.
    """
    while True:
        await clock.sleep(DAY_SECONDS)
        try:
            await asyncio.to_thread(store.check, events_are_whole)
        except StoreDamaged as error:
            log.critical("%s", error)
            try:
                await tell(str(error))
            except Exception as failure:
                log.error("the owner could not be told: %s", type(failure).__name__)
            return
        except (sqlite3.Error, StoreError) as error:
            log.warning("the daily look at the database failed: %s", error)
