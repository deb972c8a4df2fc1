"""A plain socket and bytes that were signed beforehand: what no client can beat."""

import asyncio
import json
import sys

from bench.clients import serve

port = int(sys.argv[1].rpartition(":")[2])
ORDER = {"symbol": "BTCUSDT", "side": "buy", "orderType": "limit", "force": "gtc", "price": "25000.5", "size": "0.001"}
BODY = json.dumps({**ORDER, "clientOid": "t1"}, separators=(",", ":")).encode()
MESSAGE = b"POST /api/v2/spot/trade/place-order HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
idle: list["Raw"] = []


class Raw(asyncio.BufferedProtocol):
    """One connection; an answer comes in one piece here."""

    def connection_made(self, transport):
        self.transport = transport
        self.room = bytearray(4096)

    def get_buffer(self, _):
        return self.room

    def buffer_updated(self, size):
        self.answer.set_result(bytes(self.room[:size]))

    async def ask(self):
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(MESSAGE)
        return await self.answer


async def place():
    if idle:
        raw = idle.pop()
    else:
        _, raw = await asyncio.get_running_loop().create_connection(Raw, "127.0.0.1", port)
    await raw.ask()
    idle.append(raw)


serve(place)
