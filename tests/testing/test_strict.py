from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import httpx
import pytest

from bot.testing.ledger import Account, Pair
from bot.testing.strict import Received, Reply, StrictExchange, StrictServer

D = Decimal


class Shop(StrictExchange):
    """Sells one lot per POST, and tells of it as strictly as it must for these tests."""

    placing_paths = frozenset({"/buy"})

    def __init__(self) -> None:
        super().__init__([Pair("BTCUSDT", "BTC", "USDT", 2, 6)], clock=lambda: 1_700_000_000_000)
        self.set_price("BTCUSDT", "99", "100")
        self.account = Account()
        self.account.free["USDT"] = D(1000)

    def handle(self, received: Received) -> Reply:
        if received.path == "/bug":
            raise ZeroDivisionError("the shop is broken")
        if received.path == "/buy":
            pair = self.ledger.pairs["BTCUSDT"]
            self.ledger.place(self.account, pair, "buy", "limit", price=D(90), quantity=D(1))
        shown = sum(not order.hidden for order in self.ledger.orders)
        return Reply(200, json.dumps({"orders": shown}).encode())

    def refusal(self, code: str) -> Reply:
        return Reply({"rate_limited": 429, "banned": 418}.get(code, 400), json.dumps({"code": code}).encode())


async def ask(server: StrictServer, method: str, path: str) -> tuple[int, str] | str:
    async with httpx.AsyncClient() as client:
        try:
            reply = await client.request(method, server.url + path)
        except httpx.TransportError as error:
            return type(error).__name__
        return reply.status_code, reply.text


@pytest.mark.network
@pytest.mark.parametrize(
    ("kind", "answer", "existing", "shown"),
    [
        ("drop_before", "RemoteProtocolError", 0, 0),
        ("drop_after", "RemoteProtocolError", 1, 1),
        ("error_before", (504, "<html>504 Gateway Time-out</html>"), 0, 0),
        ("error_after", (504, "<html>504 Gateway Time-out</html>"), 1, 1),
        ("garbage", (200, "<html>Please wait</html>"), 1, 1),
        ("rate_limited", (429, '{"code": "rate_limited"}'), 0, 0),
        ("banned", (418, '{"code": "banned"}'), 0, 0),
        ("refuse:77", (400, '{"code": "77"}'), 0, 0),
        ("accept:77", (400, '{"code": "77"}'), 1, 1),
        ("stale", (200, '{"orders": 1}'), 1, 0),
        ("late", "RemoteProtocolError", 1, 0),
    ],
)
async def test_server_fault_spoils_one_placing_request(kind: str, answer: object, existing: int, shown: int) -> None:
    """Each fault loses the order or its answer as documented, once, and only on the path it was set for."""
    shop = Shop()
    async with StrictServer(shop) as server:
        fault = shop.misbehave(kind, "buy")
        assert await ask(server, "GET", "/orders") == (200, '{"orders": 0}')
        assert await ask(server, "POST", "/buy") == answer
        assert (len(shop.orders()), shop.placing_requests) == (existing, 1)
        assert await ask(server, "GET", "/orders") == (200, f'{{"orders": {shown}}}')
        fault.release()
        assert await ask(server, "GET", "/orders") == (200, f'{{"orders": {existing}}}')


@pytest.mark.network
async def test_server_slow_reply_waits_for_release() -> None:
    """A slow request is carried out at once and others are served meanwhile; its reply comes when released."""
    shop = Shop()
    async with StrictServer(shop) as server:
        fault = shop.misbehave("slow", "buy")
        waiting = asyncio.create_task(ask(server, "POST", "/buy"))
        await fault.reached.wait()
        assert await ask(server, "GET", "/orders") == (200, '{"orders": 1}')
        assert not waiting.done()
        fault.release()
        assert await waiting == (200, '{"orders": 1}')


@pytest.mark.network
async def test_server_closing_ends_open_requests() -> None:
    """Leaving the block does not wait for replies that are held back, and later calls are refused."""
    shop = Shop()
    async with StrictServer(shop) as server:
        fault = shop.misbehave("slow")
        waiting = asyncio.create_task(ask(server, "GET", "/orders"))
        await fault.reached.wait()
    assert await waiting in ("ReadError", "RemoteProtocolError")
    assert await ask(server, "GET", "/orders") == "ConnectError"
    async with StrictServer(shop, port=server.port) as again:
        assert await ask(again, "GET", "/orders") == (200, '{"orders": 0}')


@pytest.mark.network
async def test_server_records_raw_bytes() -> None:
    """The target is kept as sent, percent signs and order included, and the body to the byte; connections are kept."""
    shop = Shop()
    async with StrictServer(shop) as server, httpx.AsyncClient() as client:
        await client.post(f"{server.url}/a%2Fb?z=%23&a=1", content=b'{"b": 1 }', headers={"X-Mark": "m"})
        await client.get(f"{server.url}/c")
    first, second = shop.received
    assert (first.method, first.target, first.body, first.headers["x-mark"]) == (
        "POST",
        "/a%2Fb?z=%23&a=1",
        b'{"b": 1 }',
        "m",
    )
    assert (first.path, first.query, second.target, second.body) == ("/a%2Fb", "z=%23&a=1", "/c", b"")


@pytest.mark.network
async def test_server_broken_handler_fails_the_test() -> None:
    """An error inside the imitation is never taken for the exchange's own trouble: leaving the block raises it."""
    with pytest.raises(ZeroDivisionError, match="the shop is broken"):
        async with StrictServer(Shop()) as server:
            assert await ask(server, "GET", "/bug") == (500, "ZeroDivisionError('the shop is broken')")


@pytest.mark.network
async def test_server_not_http_is_disconnected() -> None:
    """Bytes that are no HTTP end the connection and nothing else."""
    shop = Shop()
    async with StrictServer(shop) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"\x16\x03\x01\r\n\r\n")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        assert await ask(server, "GET", "/orders") == (200, '{"orders": 0}')


def test_misbehave_unknown_fault_names_the_known() -> None:
    """A misspelt fault is refused at once, with the list of what there is."""
    with pytest.raises(ValueError, match=r"no fault 'drop': use one of banned, drop_after, .*refuse:<code>"):
        Shop().misbehave("drop")


async def test_misbehave_times_and_headers_apply() -> None:
    """A fault spoils as many requests as told, with the headers it was given, and faults take turns."""
    shop = Shop()
    shop.misbehave("rate_limited", times=2, headers={"Retry-After": "120"})
    shop.misbehave("banned")
    replies = [await shop.answer(Received("GET", "/orders")) for _ in range(4)]
    assert [reply and reply.status for reply in replies] == [429, 429, 418, 200]
    expected_headers = {"content-type": "application/json", "Retry-After": "120"}
    assert replies[1] == Reply(429, b'{"code": "rate_limited"}', expected_headers)
