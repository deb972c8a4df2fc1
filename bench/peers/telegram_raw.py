"""Plain sockets and the two fields that are needed: what no library can beat."""

import asyncio
import json
import sys

from bench.bots import serve

origin, token = sys.argv[1:]
port = int(origin.rpartition(":")[2])
idle: list["Raw"] = []
working = set()


class Raw(asyncio.Protocol):
    """One connection; answers follow questions."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.waiting += data
        head, end, body = self.waiting.partition(b"\r\n\r\n")
        if end and len(body) == int(head.rpartition(b" ")[2]):
            self.answer.set_result(body)

    async def ask(self, method, body):
        self.answer, self.waiting = asyncio.get_running_loop().create_future(), b""
        head = f"POST /bot{token}/{method} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)
        return await self.answer


async def connected():
    _, raw = await asyncio.get_running_loop().create_connection(Raw, "127.0.0.1", port)
    return raw


async def hello(chat_id):
    raw = idle.pop() if idle else await connected()
    await raw.ask("sendMessage", b"chat_id=%d&text=hello" % chat_id)
    idle.append(raw)


async def run():
    poll = await connected()
    while True:
        for update in json.loads(await poll.ask("getUpdates", b"timeout=10"))["result"]:
            task = asyncio.create_task(hello(update["message"]["chat"]["id"]))
            working.add(task)
            task.add_done_callback(working.discard)


serve(origin, token, run)
