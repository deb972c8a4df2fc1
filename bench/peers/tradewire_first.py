"""The bot just after its start: an order from its preview to its stored answer, by the real clock and markets."""

import sys
import tempfile
from pathlib import Path

from bench.clients import serve
from bench.peers.tradewire_law import Bot
from bot.trading import confirm
from bot.trading.confirm import Button


class Fresh(Bot):
    """Knows nothing of its exchange yet, and asks for its time as it would."""

    def __init__(self, origin: str, directory: Path) -> None:
        super().__init__(origin, directory)
        del self.transport.measure_clock  # type: ignore[method-assign]
        del self.transport.clock.is_stale  # type: ignore[method-assign]
        self.add_users(1)

    async def place(self) -> None:
        [account] = self.accounts
        self.orders += 1
        row = await self.desk.propose(account, self.intent, chat_id=account.user_id, message_id=self.orders)
        button = Button("Confirm", "confirm", order_id=row.id, params_hash=row.params_hash)
        place = {"user_id": account.user_id, "chat_id": account.user_id, "message_id": self.orders}
        [data] = await self.store.run(lambda db: confirm.mint(db, [button], now_ms=self.clock.now_ms(), **place))
        self.ready[account.user_id] = [(data, self.orders)]
        await self.place_of(account.user_id)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        bot = Fresh(sys.argv[1], Path(name))
        serve(bot.place, bot.close)
