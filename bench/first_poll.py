"""The Bot API of `bench.bot_api`, which also tells when a bot first asked for updates. Prints its port and runs."""

from __future__ import annotations

import asyncio
import os
import time
from typing import ClassVar

from bench import bot_api


class Bot(bot_api.Bot):
    """Notes when it was first polled."""

    def __init__(self) -> None:
        super().__init__()
        self._first: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def call(self, transport: asyncio.Transport, method: bytes, body: bytes) -> None:
        if method == b"getUpdates" and not self._first.done():
            self._first.set_result(time.monotonic())
        super().call(transport, method, body)

    async def first_poll(self, _: int) -> float:
        """Return when that was, by the machine's monotonic clock, in seconds; waits for it."""
        return await self._first


class Server(bot_api.Server):
    """One connection of a bot, or of who measures."""

    polled: ClassVar[dict[bytes, Bot]] = {}

    def bot(self, token: bytes) -> Bot:
        found = self.polled.get(token)
        if found is None:
            found = self.polled[token] = Bot()
        return found


async def _main() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    os.sched_setaffinity(0, {0})
    asyncio.run(_main())
