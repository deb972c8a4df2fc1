"""The whole bot, as `tradewire run` runs it, for a thousand people who were let in. Only Telegram's limits are off."""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.bots import serve
from bot.accounts import people
from bot.accounts.vault import MasterKey, Vault
from bot.chat import app
from bot.chat.pacer import LANES, Pace
from bot.clock import SystemClock
from bot.config import Settings
from bot.redact import redactor
from bot.store.database import Store
from bot.trading import journal
from bot.trading.gateway import Gateway

PEOPLE = 1000
ANY_PACE = Pace(*[dict.fromkeys(LANES, 10**6)] * 3)

origin, token = sys.argv[1:]


async def run():
    clock = SystemClock()
    with TemporaryDirectory() as directory:
        telegram = {"token": token, "base_url": f"{origin}/bot"}
        storage = {"directory": directory}
        settings = Settings.model_validate({"telegram": telegram, "access": {"owner": 1}, "storage": storage})
        store = Store(Path(directory) / "tradewire.db")
        vault = Vault(store, MasterKey(bytes(range(32))), redactor.register)

        def begin(db):
            for person in range(2, PEOPLE + 1):
                people.ensure_user(db, person, now_ms=clock.now_ms())

        store.transact(journal.install_law)
        store.transact(begin)
        await app.run(
            settings, clock, store, vault, Gateway(store, vault, clock, {}), stop=asyncio.Event(), pace=ANY_PACE
        )


serve(origin, token, run)
