import asyncio
import signal
import socket

import httpx
import pytest
from telegram import Bot
from telegram.error import NetworkError

from bot.local.server import LocalServer
from bot.local.telegram import LocalTelegram

pytestmark = pytest.mark.network


async def test_server_stops_at_once_with_a_poll_and_a_stream_open(telegram: LocalTelegram) -> None:
    """Neither a bot that waits for updates nor an open page keeps the server from stopping."""
    loop = asyncio.get_running_loop()
    async with httpx.AsyncClient() as browser, LocalServer(telegram, "1:t") as server:
        telegram.say(11, 11, "first")
        async with (
            Bot("1:t", base_url=server.base_url) as bot,
            browser.stream("GET", f"{server.page_url}events?as=11&since=0") as stream,
        ):
            received = stream.aiter_lines()
            assert await anext(received) == "id: 1"
            offset = (await bot.get_updates())[-1].update_id + 1
            poll = asyncio.create_task(bot.get_updates(offset=offset, timeout=60))
            await telegram.wait(lambda t: ("getUpdates", {"offset": offset, "timeout": 60}) in t.calls)
            started = loop.time()
            await server.__aexit__(None, None, None)
            assert (await poll, loop.time() - started < 1.5) == ((), True)
            with pytest.raises(NetworkError):
                await bot.get_me()


async def test_server_leaves_signals_to_the_program(telegram: LocalTelegram) -> None:
    """Ctrl-C belongs to whoever started the server."""
    watched = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(each) for each in watched]
    async with LocalServer(telegram, "1:t"):
        assert [signal.getsignal(each) for each in watched] == before


async def test_server_started_again_serves_the_same_state(telegram: LocalTelegram) -> None:
    """The state outlives a server: what was said is still unconfirmed at the next one, under another secret."""
    async with LocalServer(telegram, "1:t") as first:
        telegram.say(11, 11, "/start")
    async with LocalServer(telegram, "1:t") as second, Bot("1:t", base_url=second.base_url) as bot:
        poll = await bot.get_updates(timeout=1)
    assert ([update.message.text for update in poll], first.page_url == second.page_url) == (["/start"], False)


async def test_stream_resumed_sends_only_what_was_missed(server: LocalServer, telegram: LocalTelegram) -> None:
    """A browser that reconnects says what it saw last and gets the rest, several lines in one event."""
    telegram.say(11, 11, "before")
    telegram.say(11, 11, "after\nand more")
    headers = {"Last-Event-ID": "1"}
    async with (
        httpx.AsyncClient() as browser,
        browser.stream("GET", f"{server.page_url}events?as=11&since=0", headers=headers) as stream,
    ):
        event = []
        async for line in stream.aiter_lines():
            if not line:
                break
            event.append(line)
    assert event[:2] == ["id: 2", "event: post"]
    assert (any("after" in line for line in event), any("before" in line for line in event)) == (True, False)


async def test_server_sends_each_answer_at_once(telegram: LocalTelegram, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer waits for the other side to acknowledge the one before, which takes it up to 40 ms."""
    accepted: list[socket.socket] = []
    accept = socket.socket.accept

    def noted(self: socket.socket) -> tuple[socket.socket, object]:
        found, address = accept(self)
        accepted.append(found)
        return found, address

    monkeypatch.setattr(socket.socket, "accept", noted)
    async with LocalServer(telegram, "1:t") as server, Bot("1:t", base_url=server.base_url):
        assert [each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0 for each in accepted] == [True]
