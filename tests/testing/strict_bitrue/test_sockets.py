"""Listen keys, and what the sockets tell."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from bot.testing.bitrue import BitrueSockets
from bot.testing.sockets import SocketServer
from tests.testing.strict_bitrue.conftest import NOW, Desk


def _listen(desk: Desk) -> str:
    return str(desk.raw("POST", "/poseidon/api/v1/listenKey")[1]["data"]["listenKey"])


def test_listen_key_lives_an_hour_and_is_renewed(desk: Desk) -> None:
    """The same key comes back while it is valid; afterwards it cannot be renewed."""
    key = _listen(desk)
    assert _listen(desk) == key
    desk.now_ms += 3_599_000
    assert desk.raw("PUT", f"/poseidon/api/v1/listenKey/{key}") == (200, {"msg": "succ", "code": "200"})
    desk.now_ms += 3_601_000
    assert desk.raw("PUT", f"/poseidon/api/v1/listenKey/{key}")[1]["code"] == -1150
    assert _listen(desk) != key


@pytest.mark.network
async def test_sockets_tell_orders_by_listen_key_only(desk: Desk) -> None:
    """Without a valid key there is no socket; what is told has the id as text, and a number that lost digits."""
    async with SocketServer(BitrueSockets(desk.exchange)) as server:
        with pytest.raises(InvalidStatus):
            async with connect(f"{server.url}/stream?listenKey=wrong"):
                pass
        async with connect(f"{server.url}/stream?listenKey={_listen(desk)}") as socket:
            assert json.loads(await socket.recv()) == {"event": "ping", "ts": NOW}
            await socket.send('{"event":"sub","params":{"channel":"user_order_update"}}')
            assert json.loads(await socket.recv())["status"] == "ok"
            order_id = desk.place(newClientOrderId="mine")
            told = json.loads(await socket.recv())
    assert (told["e"], told["iStr"], told["C"], told["s"]) == ("ORDER", order_id, "mine", "btcusdt")
    assert str(told["i"]) != order_id


@pytest.mark.network
async def test_sockets_tell_books_zipped(desk: Desk) -> None:
    """Frames come gzipped, buyers as `buys`; an unknown channel is refused."""
    async with SocketServer(BitrueSockets(desk.exchange)) as server, connect(f"{server.url}/market/ws") as socket:
        assert json.loads(gzip.decompress(await _binary(socket))) == {"ping": str(NOW)}
        await socket.send('{"event":"sub","params":{"channel":"market_BTCUSDT_simple_depth_step0"}}')
        assert json.loads(gzip.decompress(await _binary(socket)))["status"] == "error"
        channel = "market_btcusdt_simple_depth_step0"
        await socket.send(json.dumps({"event": "sub", "params": {"cb_id": "btcusdt", "channel": channel}}))
        assert json.loads(gzip.decompress(await _binary(socket)))["status"] == "ok"
        told = json.loads(gzip.decompress(await _binary(socket)))
    assert told["tick"] == {"buys": [["60000", "1000000"]], "asks": [["60000.1", "1000000"]]}


async def _binary(socket: Any) -> bytes:
    frame = await socket.recv()
    assert isinstance(frame, bytes)
    return frame
