"""A Bot API that answers at once and takes the time: from an update's leaving to its reply. Prints its port and runs.

`/bot<token>/<method>` is the Bot API; each token is a bot of its own. `/measure/<token>/<kind>/<number>` writes to that
bot and answers with one figure.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import statistics
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

_CHAT = re.compile(rb'chat_id(?:=|"\s*:\s*"?|"\r\n(?:[^\r]+\r\n)*\r\n)(-?\d+)')
_TIMEOUT = re.compile(rb'timeout(?:=|"\s*:\s*"?|"\r\n(?:[^\r]+\r\n)*\r\n)(\d+)')
_PAGE = 100
_ANN, _OTHER = 1, 2
_TAIL_SECONDS = 1.5
_BREATH_SECONDS = 0.005
"""Between a reply and the next message. Nobody writes faster; what a bot does after its reply is not measured here."""
_UNDER_WAY = 40
"""Alerts sent before somebody writes: more than any limiter lets through at once."""


def _reply(result: object) -> bytes:
    body = json.dumps({"ok": True, "result": result}, separators=(",", ":")).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _message(number: int, chat_id: int, text: str) -> dict[str, object]:
    person = {"id": chat_id, "is_bot": False, "first_name": "Ann"}
    chat = {"id": chat_id, "first_name": "Ann", "type": "private"}
    return {"message_id": number, "from": person, "chat": chat, "date": int(time.time()), "text": text}


ME = _reply({"id": 1, "is_bot": True, "first_name": "Bench", "username": "bench_bot"})
DONE = _reply(True)  # noqa: FBT003
SENT = _reply(_message(1, 1, "hello"))


class Bot:
    """What one bot is told, and what it says."""

    def __init__(self) -> None:
        self._numbers = 0
        self._waiting: deque[dict[str, object]] = deque()
        self._poll: asyncio.Transport | None = None
        self._polls = asyncio.Event()
        self._expected: dict[int, asyncio.Future[float]] = {}
        self._sent_at: list[float] = []
        self._sent = asyncio.Event()

    def call(self, transport: asyncio.Transport, method: bytes, body: bytes) -> None:
        """Answer one call of the bot."""
        if method == b"getUpdates":
            self._poll = transport
            self._polls.set()
            found = _TIMEOUT.search(body)
            loop = asyncio.get_running_loop()
            alarm = loop.call_later(int(found[1]) if found else 0, self._give_up, transport)
            self._end_alarm = alarm.cancel
            self._deliver()
        elif method == b"sendMessage":
            now = time.perf_counter()
            self._sent_at.append(now)
            self._sent.set()
            found = _CHAT.search(body)
            assert found, body
            expected = self._expected.pop(int(found[1]), None)
            if expected is not None:
                expected.set_result(now)
            transport.write(SENT)
        else:
            transport.write(ME if method == b"getMe" else DONE)

    async def alone(self, number: int) -> float:
        """Return the median time to a reply, in seconds, for updates that come one after another."""
        times = []
        for _ in range(number):
            await asyncio.sleep(_BREATH_SECONDS)
            await self._polls.wait()
            began, (reply,) = time.perf_counter(), self._say([_ANN], "/id")
            times.append(await reply - began)
        return statistics.median(times)

    async def burst(self, number: int) -> float:
        """Return the replies in a second to updates from so many chats at once."""
        await self._polls.wait()
        began = time.perf_counter()
        ended = await asyncio.gather(*self._say(range(1, number + 1), "/id"))
        return number / (max(ended) - began)

    async def alerts(self, number: int) -> float:
        """Return the time to a reply, in seconds, while so many alerts wait to be sent."""
        self._sent_at.clear()
        await self._polls.wait()
        self._write([_OTHER], f"/alerts {number}")
        while len(self._sent_at) < min(_UNDER_WAY, number // 2):
            self._sent.clear()
            await self._sent.wait()
        await self._polls.wait()
        began, (reply,) = time.perf_counter(), self._say([_ANN], "/id")
        took = await reply - began
        if number > _PAGE:
            await asyncio.sleep(_TAIL_SECONDS)
        self._write([_OTHER], "/quiet")
        if number > _PAGE:
            await asyncio.sleep(_TAIL_SECONDS)  # a limiter forgets a second after its last message
        return took

    async def worst(self, _: int) -> float:
        """Return the most messages of the last `alerts` within any second."""
        times = self._sent_at
        return max(sum(start <= each < start + 1 for each in times) for start in times)

    def _say(self, chats: Iterable[int], text: str) -> list[asyncio.Future[float]]:
        """Write from every chat, and return when each will have been answered."""
        replies = [self._expected.setdefault(chat, asyncio.get_running_loop().create_future()) for chat in chats]
        self._write(chats, text)
        return replies

    def _write(self, chats: Iterable[int], text: str) -> None:
        for chat in chats:
            self._numbers += 1
            self._waiting.append({"update_id": self._numbers, "message": _message(self._numbers, chat, text)})
        self._deliver()

    def _deliver(self) -> None:
        if self._poll is not None and self._waiting:
            page = [self._waiting.popleft() for _ in range(min(_PAGE, len(self._waiting)))]
            self._answer_poll(_reply(page))

    def _give_up(self, transport: asyncio.Transport) -> None:
        if self._poll is transport:
            self._answer_poll(_reply([]))

    def _answer_poll(self, reply: bytes) -> None:
        assert self._poll is not None
        self._end_alarm()
        transport, self._poll = self._poll, None
        self._polls.clear()
        transport.write(reply)


class Server(asyncio.Protocol):
    """One connection of a bot, or of who measures."""

    bots: dict[bytes, Bot] = {}  # noqa: RUF012  # shared by all connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.waiting = b""

    def data_received(self, data: bytes) -> None:
        self.waiting += data
        while True:
            head, end, rest = self.waiting.partition(b"\r\n\r\n")
            if not end:
                return
            found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            length = int(found[1]) if found else 0
            if len(rest) < length:
                return
            body, self.waiting = rest[:length], rest[length:]
            self.called(head.split(b" ")[1].split(b"/"), body)

    def called(self, path: list[bytes], body: bytes) -> None:
        if path[1] == b"measure":
            _, _, token, kind, number = path
            measure: Callable[[int], Awaitable[float]] = getattr(self.bot(token), kind.decode())
            self.task = asyncio.create_task(self.measured(measure, int(number)))
        else:
            method, _, query = path[2].partition(b"?")
            self.bot(path[1].removeprefix(b"bot")).call(self.transport, method, body or query)

    def bot(self, token: bytes) -> Bot:
        return self.bots.setdefault(token, Bot())

    async def measured(self, measure: Callable[[int], Awaitable[float]], number: int) -> None:
        self.transport.write(json.dumps(await measure(number)).encode() + b"\n")


async def _main() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    os.sched_setaffinity(0, {0})
    asyncio.run(_main())
