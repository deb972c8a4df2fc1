"""Calls of the Bot API as they go over the wire, and what python-telegram-bot is told when they fail."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import json
import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from telegram import Bot, Update
from telegram.error import InvalidToken, NetworkError, RetryAfter, TelegramError, TimedOut
from telegram.request import HTTPXRequest

from bot.chat.telegram_request import TelegramRequest, make_request
from bot.cli.telegram import make_bot
from bot.config import Telegram
from bot.local.server import LocalServer
from bot.local.telegram import LocalTelegram
from tests.exchanges.test_connections import Scripted, serving, until

pytestmark = pytest.mark.network
TOKEN = "123456789:canary-canary-canary-canary-canary1"
SENT = {"message_id": 7, "date": 1, "chat": {"id": 1, "type": "private"}}


def reply(result: Any = SENT, status: int = 200, **more: Any) -> bytes:
    body = json.dumps({"ok": status == 200, "result": result, **more}).encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def bot_of(server: Scripted, request: TelegramRequest | None = None) -> Bot:
    made = request or TelegramRequest()
    return Bot(TOKEN, base_url=f"{server.origin}/bot", request=made, get_updates_request=TelegramRequest(at_once=1))


async def open_bot(server: Scripted, request: TelegramRequest | None = None) -> Bot:
    """A bot that never asked who it is."""
    bot = bot_of(server, request)
    for each in bot._request:
        await each.initialize()
    return bot


async def close(bot: Bot) -> None:
    for each in bot._request:
        await each.shutdown()


class Held(Scripted):
    """Answers calls when told to, and a long poll never."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[asyncio.StreamWriter] = []
        self.bodies: list[bytes] = []
        self.arrived = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                self.bodies.append(await reader.readexactly(length))
                if b"/getUpdates " not in head:
                    self.waiting.append(writer)
                async with self.arrived:
                    self.arrived.notify_all()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self.arrived:
            await self.arrived.wait_for(condition)

    def answer(self) -> None:
        while self.waiting:
            self.waiting.pop(0).write(reply())


async def test_call_is_one_form_under_the_methods_address() -> None:
    """Byte for byte; a structure is JSON within the form, as the Bot API wants it."""
    async with serving(Scripted(reply())) as server:
        bot = await open_bot(server)
        await bot.send_message(1, "a&b ü\r\n", disable_notification=True)
        await close(bot)
    body = b"chat_id=1&text=a%26b+%C3%BC%0D%0A&disable_notification=true"
    head = (
        f"POST /bot{TOKEN}/sendMessage HTTP/1.1\r\nHost: {server.origin.removeprefix('http://')}\r\n"
        "User-Agent: tradewire\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    assert server.heard == [(0, head.encode() + body)]


async def test_call_without_parameters_has_an_empty_body() -> None:
    """A server that waits for a body would wait for ever."""
    async with serving(Scripted(reply({"id": 1, "is_bot": True, "first_name": "b"}))) as server:
        bot = await open_bot(server)
        await bot.get_me()
        await close(bot)
    assert server.heard[0][1].endswith(b"\r\nContent-Length: 0\r\n\r\n")


async def test_file_goes_up_and_comes_down_whole() -> None:
    """Through the local Bot API: a document of every byte, with its name and caption."""
    content = bytes(range(256)) * 300
    telegram = LocalTelegram()
    telegram.add_person(11, "Ann", "ann")
    async with LocalServer(telegram, TOKEN) as server:
        request = TelegramRequest()
        bot = Bot(TOKEN, base_url=server.base_url, base_file_url=server.base_file_url, request=request)
        async with bot:
            telegram.say(11, 11, "/start")
            sent = await bot.send_document(11, content, filename="orders ü.csv", caption="all")
            assert sent.document is not None
            found = await (await bot.get_file(sent.document.file_id)).download_as_bytearray()
    assert (bytes(found), sent.document.file_name, sent.caption) == (content, "orders ü.csv", "all")


async def test_answer_compressed_on_the_way_is_read() -> None:
    """Nobody asked for it, but a server in between may do so."""
    body = gzip.compress(json.dumps({"ok": True, "result": True}).encode())
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with serving(Scripted(answer)) as server:
        bot = await open_bot(server)
        assert await bot.delete_webhook() is True
        await close(bot)


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (reply(status=401, description="Unauthorized"), InvalidToken, "Unauthorized"),
        (reply(status=502, description="Bad Gateway"), NetworkError, "Bad Gateway"),
        (None, NetworkError, "Telegram did not answer (RemoteProtocolError)"),
        (b"nonsense\r\n\r\n", NetworkError, "Telegram did not answer (RemoteProtocolError)"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<a b='c'>", TelegramError, "Telegram's answer cannot be read"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", TelegramError, "Telegram's answer cannot be read"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
            NetworkError,
            "Telegram did not answer (DecodingError)",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", TimedOut, "Timed out"),
    ],
    ids=["401", "502", "closed", "no HTTP", "no JSON", "no object", "no gzip", "too slow"],
)
async def test_failure_has_its_class_and_no_log_and_no_error_has_the_token(
    answer: bytes | None, error: type[TelegramError], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor has anything in the chain of causes, or in the log of any library at its loudest while a call is made."""
    async with serving(Scripted(answer)) as server:
        bot = await open_bot(server, TelegramRequest(read_seconds=0.05))
        caplog.clear()
        caplog.set_level(logging.DEBUG)
        with pytest.raises(TelegramError) as caught:
            await bot.send_message(1, "a", write_timeout=0)
        await close(bot)
    assert (type(caught.value), caught.value.message) == (error, text)
    assert len(server.heard) == 1
    assert "canary" not in "".join(traceback.format_exception(caught.value)) + caplog.text


async def test_flood_control_reaches_the_caller_with_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pacer lives on this number."""
    monkeypatch.setenv("PTB_TIMEDELTA", "true")
    answer = reply(status=429, description="Too Many Requests", parameters={"retry_after": 3})
    async with serving(Scripted(answer)) as server:
        bot = await open_bot(server)
        with pytest.raises(RetryAfter) as caught:
            await bot.send_message(1, "a")
        await close(bot)
    assert caught.value.retry_after == dt.timedelta(seconds=3)


async def test_server_that_is_not_there_is_a_network_error_without_the_token() -> None:
    """As at every start before the network is up."""
    async with serving(Scripted()) as server:
        pass
    bot = await open_bot(server)
    with pytest.raises(NetworkError) as caught:
        await bot.send_message(1, "a")
    await close(bot)
    assert caught.value.message == "Telegram did not answer (ConnectError)"
    assert "canary" not in "".join(traceback.format_exception(caught.value))


async def test_call_that_gets_no_turn_is_timed_out_and_not_sent() -> None:
    """One connection, in use: the second call is given up before a byte of it left."""
    held = Held()
    async with serving(held) as server:
        bot = await open_bot(server, TelegramRequest(at_once=1, pool_seconds=0.01))
        first = asyncio.create_task(bot.send_message(1, "first"))
        await held.until(lambda: len(held.bodies) == 1)
        with pytest.raises(TimedOut, match="this one was not sent"):
            await bot.send_message(1, "second")
        held.answer()
        await first
        await close(bot)
    assert held.bodies == [b"chat_id=1&text=first"]


@pytest.mark.parametrize("character", ["\r\nX: y", " ", "ü"])
async def test_address_that_no_request_can_carry_is_refused_unsent(character: str) -> None:
    """A token pasted with a line break must not become a header, and is not repeated."""
    async with serving(Scripted()) as server:
        request = TelegramRequest()
        async with request:
            with pytest.raises(NetworkError) as caught:
                await request.post(f"{server.origin}/bot{TOKEN}{character}/getMe")
    assert server.heard == []
    assert caught.value.message == "the token or base_url in [telegram] has a character that no address may have"
    assert "canary" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("origin", ["ftp://localhost", "http://a:b"])
async def test_address_of_no_server_says_which_setting(origin: str) -> None:
    """Whatever httpx thinks of it, with the token it thinks aloud."""
    async with TelegramRequest() as request:
        with pytest.raises(NetworkError) as caught:
            await request.post(f"{origin}/bot{TOKEN}/getMe")
    assert caught.value.message == "base_url in [telegram] is no address of a server"
    assert "canary" not in "".join(traceback.format_exception(caught.value))


async def test_long_poll_holds_up_no_answer() -> None:
    """Polls have a connection of their own, also where only one call may be sent at a time."""
    held = Held()
    async with serving(held) as server:
        bot = await open_bot(server, TelegramRequest(at_once=1))
        poll = asyncio.create_task(bot.get_updates(timeout=25))
        await held.until(lambda: len(held.bodies) == 1)
        sending = asyncio.create_task(bot.send_message(1, "a"))
        await held.until(lambda: len(held.bodies) == 2)
        held.answer()
        sent = await sending
        poll.cancel()
        await asyncio.gather(poll, return_exceptions=True)
        await close(bot)
    assert (sent.message_id, len(held.writers)) == (7, 2)


async def test_256_calls_at_once_share_64_connections_and_are_all_answered() -> None:
    """No call is lost, sent twice or given up, and Telegram sees no crowd of connections."""
    held = Held()
    async with serving(held) as server:
        bot = await open_bot(server)
        calls = [asyncio.create_task(bot.send_message(1, str(number))) for number in range(256)]
        for waves in range(1, 5):
            await held.until(lambda waves=waves: len(held.bodies) == 64 * waves)  # type: ignore[misc]
            held.answer()
        answers = await asyncio.gather(*calls)
        await close(bot)
    assert [each.message_id for each in answers] == [7] * 256
    assert sorted(held.bodies) == sorted(f"chat_id=1&text={number}".encode() for number in range(256))
    assert len(held.writers) == 64


async def test_closed_way_refuses_calls_until_it_is_opened_again() -> None:
    """As python-telegram-bot starts, stops and starts an application; opened again, it keeps connections again."""
    async with serving(Scripted(*[reply()] * 3)) as server:
        request = TelegramRequest()
        bot = await open_bot(server, request)
        await bot.send_message(1, "a")
        await close(bot)
        with pytest.raises(NetworkError, match="is closed"):
            await bot.send_message(1, "b")
        await request.initialize()
        await bot.send_message(1, "c")
        await bot.send_message(1, "d")
        await request.shutdown()
    assert [number for number, _ in server.heard] == [0, 1, 1]


async def test_closed_way_leaves_no_connection_open() -> None:
    """Also where it was opened twice: the server sees the end of the connection."""
    async with serving(Scripted(reply())) as server:
        request = TelegramRequest()
        bot = await open_bot(server, request)
        await bot.send_message(1, "a")
        await request.initialize()
        await close(bot)
        await until(server.writers[0].is_closing)


@pytest.mark.parametrize(
    ("payload", "answer"),
    [
        (b'{"ok":true,"result":"\\ud83d"}', {"ok": True, "result": "\ud83d"}),
        (b'{"ok":true,"result":"\xff"}', {"ok": True, "result": "\ufffd"}),
        (b'{"ok":true,"result":-1001234567890123}', {"ok": True, "result": -1001234567890123}),
    ],
    ids=["half a character", "no UTF-8", "group id"],
)
def test_answer_is_read_as_the_library_reads_it(payload: bytes, answer: dict[str, Any]) -> None:
    """One odd message must not stop the poll for ever."""
    assert TelegramRequest.parse_json_payload(payload) == answer == HTTPXRequest.parse_json_payload(payload)


async def test_proxy_is_asked_in_place_of_telegram() -> None:
    """With the setting, nothing leaves but to the proxy."""
    async with serving(Scripted(reply())) as proxy, serving(Scripted()) as server:
        settings = Telegram.model_validate({"token": TOKEN, "base_url": f"{server.origin}/bot", "proxy": proxy.origin})
        async with make_request(settings) as request:
            await request.post(f"{server.origin}/bot{TOKEN}/sendMessage")
    assert server.heard == []
    assert proxy.heard[0][1].startswith(f"POST {server.origin}/bot{TOKEN}/sendMessage HTTP/1.1\r\n".encode())


async def test_password_in_the_address_is_sent_as_httpx_sends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Bot API behind a password keeps working, past a proxy in the environment; our own way knows no passwords."""
    async with serving(Scripted(reply())) as server:
        monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
        base_url = server.origin.replace("://", "://me:pass@") + "/bot"
        async with make_request(Telegram.model_validate({"token": TOKEN, "base_url": base_url})) as request:
            await request.post(f"{base_url}{TOKEN}/getMe")
    assert b"\r\nAuthorization: Basic bWU6cGFzcw==\r\n" in server.heard[0][1]


async def test_environment_changes_no_way_to_telegram(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy left in the environment sees no token, neither from the bot nor from the command line."""
    async with serving(Scripted()) as proxy, serving(Scripted(reply([]))) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.origin)
        monkeypatch.setenv("ALL_PROXY", proxy.origin)
        bot = make_bot(Telegram.model_validate({"token": TOKEN, "base_url": f"{server.origin}/bot"}))
        for each in bot._request:
            await each.initialize()
        updates: tuple[Update, ...] = await bot.get_updates()
        await close(bot)
    assert (updates, proxy.heard, len(server.heard)) == ((), [], 1)
