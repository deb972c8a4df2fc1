"""The listener: bodies, heads and peers are kept in bounds, whatever a route does."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.contract.errors import ConfigError
from bot.web import listener as listening
from bot.web.listener import Bounded, Listener

MOST = 100


async def length(request: Request) -> Response:
    """Tell how long the body was, and who sent it."""
    body = await request.body()
    return PlainTextResponse(f"{len(body)} from {request.client.host if request.client else ''}")


ROUTES = [Route("/length", length, methods=["POST"])]


def bounded(**limits: Any) -> httpx.AsyncClient:
    app = Starlette(routes=ROUTES, middleware=[Middleware(Bounded, **limits)])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bot")


async def parts(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * 10


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        (b"x" * MOST, {}, 200),
        (b"x" * (MOST + 1), {}, 413),
        (b"x", {"Content-Length": "9" * 30}, 413),
        (b"x", {"Content-Length": "-1"}, 413),
        (10, {}, 200),
        (11, {}, 413),
    ],
)
async def test_body_above_the_bound_is_refused(content: bytes | int, headers: dict[str, str], expected: int) -> None:
    """Announced or not: in pieces, it is counted as it comes."""
    body = content if isinstance(content, bytes) else parts(content)
    async with bounded(most_bytes=MOST) as door:
        assert (await door.post("/length", content=body, headers=headers)).status_code == expected


async def test_body_that_does_not_come_is_given_up() -> None:
    """A sender who stops in the middle holds nothing up."""

    async def never() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    async with bounded(seconds=0.01) as door:
        assert (await door.post("/length", content=never())).status_code == 408


@pytest.mark.network
@pytest.mark.parametrize("head", [b"", b"POST /length HTTP/1.1\r\nHost: bot\r\n"])
async def test_head_that_does_not_come_ends_the_connection(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open and silent, or one line at a time: the place is free again."""
    monkeypatch.setattr(listening, "HEAD_SECONDS", 0.02)
    async with Listener(ROUTES) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(head)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


@pytest.mark.network
async def test_head_of_a_second_request_is_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that was used well once gets no more patience than a new one."""

    async def hurry(_: Request) -> Response:
        monkeypatch.setattr(listening, "HEAD_SECONDS", 0.02)
        return Response()

    async with Listener([Route("/hurry", hurry)]) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"GET /hurry HTTP/1.1\r\nHost: bot\r\n\r\nGET /hurry HTTP")
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
    assert answer.count(b"HTTP/1.1 200 OK") == 1


@pytest.mark.network
async def test_peer_is_who_connected_whatever_a_header_says() -> None:
    """`X-Forwarded-For` of a stranger changes nothing, not even from loopback."""
    async with (
        Listener(ROUTES) as listener,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.port}", trust_env=False) as door,
    ):
        headers = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
        answer = await door.post("/length", content=b"abc", headers=headers)
    assert answer.text == "3 from 127.0.0.1"
    assert "server" not in answer.headers


@pytest.mark.network
async def test_address_in_use_is_said_with_the_remedy() -> None:
    """A second listener on the port names the key of the configuration."""
    async with Listener([]) as first:
        with pytest.raises(ConfigError) as caught:
            await Listener([], port=first.port).__aenter__()
    assert str(caught.value) == (
        f"[web] host and port: cannot listen on 127.0.0.1 port {first.port} (Address already in use). "
        "Stop the other program there, or choose another port."
    )


@pytest.mark.network
async def test_port_is_free_after_the_end() -> None:
    """Also when the task that serves was canceled with everything else."""
    async with Listener([]) as ended:
        pass
    with contextlib.suppress(asyncio.CancelledError):
        async with Listener([], port=ended.port) as canceled:
            canceled._task.cancel()
    async with Listener([], port=ended.port) as again:
        assert again.port == ended.port


def test_listener_socket_names_its_protocol() -> None:
    """Else asyncio leaves Nagle's algorithm on, and answers wait up to 40 ms for an acknowledgement."""
    with listening._bind("127.0.0.1", 0) as bound:
        assert bound.proto == socket.IPPROTO_TCP
