"""An exchange that answers at once, so that what is left is the client's own time. Prints its port and runs."""

from __future__ import annotations

import asyncio
import json
import os

ORDER = json.dumps(
    {"code": "00000", "msg": "success", "requestTime": 1, "data": {"orderId": "1", "clientOid": "t1"}},
    separators=(",", ":"),
).encode()


def framed(body: bytes) -> bytes:
    """Return a reply with a body of JSON."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class Exchange(asyncio.BufferedProtocol):
    """Answers every request with the acknowledgement of an order; reads into memory that it keeps, which is quicker."""

    reply = framed(ORDER)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.waiting = b""
        self.room = memoryview(bytearray(16384))

    def get_buffer(self, _: int) -> memoryview:
        return self.room

    def buffer_updated(self, size: int) -> None:
        self.waiting += self.room[:size]
        while True:
            head, end, rest = self.waiting.partition(b"\r\n\r\n")
            if not end:
                return
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
            )
            if len(rest) < length:
                return
            self.waiting = rest[length:]
            self.transport.write(self.answer(head))

    def answer(self, _: bytes) -> bytes:
        return self.reply


async def _main() -> None:
    server = await asyncio.get_running_loop().create_server(Exchange, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    os.sched_setaffinity(0, {0})
    asyncio.run(_main())
