"""HTTP itself: what httpx is kept from doing on its own."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec
import pytest

from bot import NotSent, OutcomeUnknown, Request
from bot.exchanges.http import HttpWire
from tests.exchanges.acme import BALANCES, place


@asynccontextmanager
async def loopback() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that answers every request with an empty 200, and the first line of each, per connection."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            number = len({line.split(b"|")[0] for line in heard})
            while head := await reader.readuntil(b"\r\n\r\n"):
                heard.append(b"%d|%s" % (number, head.split(b"\r\n")[0]))
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                await reader.readexactly(int(length[0].split(b":")[1]) if length else 0)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Odd: 1\r\n\r\n{}")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heard


@pytest.mark.network
async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's `HTTP_PROXY` sees an order; httpx left to itself would use it, which is the control."""
    async with loopback() as (proxy, asked_proxy), loopback() as (origin, heard):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        wire = HttpWire("Acme", {"api": origin})
        await wire.send(place(), timeout_seconds=5)
        await wire.close()
        assert (len(heard), len(asked_proxy)) == (1, 0)
        async with httpx.AsyncClient() as careless:
            await careless.get(origin)
        assert (len(heard), len(asked_proxy)) == (1, 1)


@pytest.mark.network
async def test_exchange_that_refuses_the_connection_was_sent_nothing() -> None:
    """A closed port is proof."""
    async with loopback() as (origin, _):
        pass
    wire = HttpWire("Acme", {"api": origin})
    with pytest.raises(NotSent) as raised:
        await wire.send(place(), timeout_seconds=5)
    await wire.close()
    found = raised.value
    assert (str(found), found.code, found.transient) == ("Acme cannot be reached", "UNREACHABLE", True)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("request_", [BALANCES, place()], ids=["read", "order"])
async def test_redirect_is_a_reply_and_not_followed(status: int, request_: Request) -> None:
    """A signed request goes where it was signed for, and nowhere else."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.url}{request.extensions['target'].decode()}")
        return httpx.Response(status, headers={"Location": "https://evil.example/", "Set-Cookie": "a=b"})

    wire = HttpWire("Acme", {"api": "https://api.acme.example"}, transport=httpx.MockTransport(answer))
    found = await wire.send(request_, timeout_seconds=1)
    assert found.status == status
    assert asked == [f"https://api.acme.example{request_.path}"]


async def test_cookies_are_not_sent_back() -> None:
    """Requests of several accounts share a connection; an exchange's cookie must not tie them together."""
    cookies: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        cookies.append(request.headers.get("cookie"))
        return httpx.Response(200, headers={"Set-Cookie": "session=1"})

    wire = HttpWire("Acme", {"api": "https://api.acme.example"}, transport=httpx.MockTransport(answer))
    for _ in range(2):
        await wire.send(BALANCES, timeout_seconds=1)
    assert cookies == [None, None]


async def test_timeout_is_given_to_each_step_of_httpx() -> None:
    """Connecting, writing, reading and waiting for a connection each end in time."""
    told: list[object] = []

    def answer(request: httpx.Request) -> httpx.Response:
        told.append(request.extensions["timeout"])
        return httpx.Response(200)

    wire = HttpWire("Acme", {"api": "https://api.acme.example"}, transport=httpx.MockTransport(answer))
    await wire.send(BALANCES, timeout_seconds=7)
    assert told == [{"connect": 7, "read": 7, "write": 7, "pool": 7}]


async def test_reply_that_never_ends_is_a_doubt_in_time() -> None:
    """A byte now and then resets every timeout of httpx; the whole has an end too."""

    async def drip() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            yield b" "

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=drip())

    wire = HttpWire("Acme", {"api": "https://api.acme.example"}, transport=httpx.MockTransport(answer))
    with pytest.raises(OutcomeUnknown) as raised:
        await wire.send(place(), timeout_seconds=0.01)
    assert (str(raised.value), raised.value.detail) == ("Acme did not answer", "TimeoutError")


@pytest.mark.parametrize(
    "request_",
    [
        Request.get("/v1/orders/.."),
        Request.get("/v1/./orders"),
        Request.get('/v1/orders/"'),
        Request.get("/v1/orders/ü"),
        Request.get("/v1/orders/\n"),
        Request.get("/v1/orders#x"),
        BALANCES.with_headers({"acme-key": "ü"}),
    ],
    ids=lambda request: ascii(request.path),
)
async def test_request_that_httpx_would_change_is_not_sent(request_: Request) -> None:
    """A path that would be tidied up on its way would no longer be what was signed and what was allowed."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200)

    wire = HttpWire("Acme", {"api": "https://api.acme.example"}, transport=httpx.MockTransport(answer))
    with pytest.raises(NotSent) as raised:
        await wire.send(request_, timeout_seconds=1)
    text = "the Acme plugin made a request that cannot be sent as it was signed"
    assert (str(raised.value), raised.value.code, asked) == (text, "UNSENDABLE", [])


@pytest.mark.network
async def test_request_over_the_network_is_written_byte_for_byte() -> None:
    """What the server reads is what was described, with the bot's own headers in front."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length: "))
        heard.append(head + await reader.readexactly(length))
        body = gzip.compress(b"{}")
        head = b"HTTP/1.1 201 Made\r\nX-Odd: \xe9\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
        writer.write(head + body)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        wire = HttpWire("Acme", {"api": f"http://127.0.0.1:{port}"})
        request = Request.post("/v1/orders", {"a": "ü"}, query={"b": "/"}, headers={"acme-key": "k"})
        found = await wire.send(request, timeout_seconds=5)
        await wire.close()
    assert heard == [
        b"POST /v1/orders?b=%%2F HTTP/1.1\r\nHost: 127.0.0.1:%d\r\naccept: application/json\r\n"
        b"user-agent: tradewire\r\n"
        b"acme-key: k\r\nContent-Length: 10\r\n\r\n" % port + '{"a":"ü"}'.encode()
    ]
    assert (found.status, found.body) == (201, b"{}")
    length = str(len(gzip.compress(b"{}")))
    assert found.headers == {"x-odd": "é", "content-encoding": "gzip", "content-length": length}
    assert repr(found.headers) == repr(dict(found.headers))
    assert [found.headers.get(name) for name in ("x-odd", "retry-after", "X-Odd", "日")] == ["é", None, None, None]


@pytest.mark.parametrize("name", ["x y", "x:", "x\n", "ü"])
async def test_header_that_would_break_the_request_is_not_sent(name: str) -> None:
    """A header is one line with one name."""
    wire = HttpWire("Acme", {"api": "https://api.acme.example"})
    with pytest.raises(NotSent) as raised:
        await wire.send(BALANCES.with_headers({name: "1"}), timeout_seconds=1)
    assert raised.value.code == "UNSENDABLE"


@pytest.mark.network
async def test_header_that_the_plugin_sets_itself_is_sent_once() -> None:
    """What the bot would have said by itself gives way to the plugin's word."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        wire = HttpWire("Acme", {"api": f"http://{host}"})
        await wire.send(BALANCES.with_headers({"accept": "text/plain", "n": 7}), timeout_seconds=5)  # type: ignore[dict-item]
        await wire.close()
    lines = f"GET /v1/balances HTTP/1.1|Host: {host}|user-agent: tradewire|accept: text/plain|n: 7||"
    assert heads == [lines.replace("|", "\r\n").encode()]


async def test_header_is_looked_at_each_time() -> None:
    """That a name was good before says nothing of the next value, and a bad one stays bad."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200)

    wire = HttpWire("Acme", {"api": "https://api.acme.example"}, transport=httpx.MockTransport(answer))
    outcomes: list[object] = []
    bad = [{"k": "1\r\nhost: evil"}, {"k": "\x7f"}, {"k": "\t"}, {"k:": "1"}]
    for headers in ({"k": "1"}, *bad, {"k": "1"}, *bad):
        try:
            outcomes.append((await wire.send(BALANCES.with_headers(headers), timeout_seconds=1)).status)
        except NotSent as error:
            outcomes.append(error.code)
    assert outcomes == [200, *["UNSENDABLE"] * 4] * 2


@pytest.mark.parametrize("query", [{"a": "\n"}, {"é b": "?#/../"}, [("a", "&b=1"), ("", "")]])
async def test_query_of_any_kind_is_encoded_and_sent(query: object) -> None:
    """Only the path can be unsendable: a query is encoded, whatever is in it."""
    targets: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        targets.append(request.extensions["target"])
        return httpx.Response(200)

    wire = HttpWire("Acme", {"api": "https://api.acme.example"}, transport=httpx.MockTransport(answer))
    request = Request.get("/v1/balances", query)  # type: ignore[arg-type]
    await wire.send(request, timeout_seconds=1)
    assert targets == [request.target.encode()]


async def test_query_that_was_tampered_with_is_not_sent() -> None:
    """The wire looks at the text that it sends, whoever wrote it."""
    wire = HttpWire("Acme", {"api": "https://api.acme.example"}, transport=httpx.MockTransport(httpx.Response))  # type: ignore[arg-type]
    request = Request.get("/v1/balances", {"a": "1"})
    sent = request.query, "a=1 HTTP/1.1\r\nHost: evil.example"
    msgspec.structs.force_setattr(request, "_query_sent", sent)
    with pytest.raises(NotSent) as raised:
        await wire.send(request, timeout_seconds=1)
    assert raised.value.code == "UNSENDABLE"
