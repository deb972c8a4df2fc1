"""Keeping sockets open, against a real socket server and with a clock that the test turns."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from bot import (
    Answer,
    Credentials,
    Event,
    ExchangeInfo,
    LoggedIn,
    OrderChanged,
    PriceSeen,
    Request,
    Response,
    Secret,
    Stream,
    StreamRefused,
)
from bot.exchanges.streams import News, Sockets, StreamRunner, StreamState
from bot.exchanges.transport import Transport
from bot.testing.sockets import Peer, SocketServer, StrictSockets

pytestmark = pytest.mark.network

LOGIN = Request.get("/login", json={"op": "login"})
CANARY = "canarySecret0123456789"


class TurnedClock:
    """Time that passes when told. Whoever sleeps can be waited for."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._sleepers: list[tuple[float, float, asyncio.Event]] = []
        self._asleep = asyncio.Event()

    def now_ms(self) -> int:
        return 1_790_000_000_000 + round(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        sleeper = (seconds, self.seconds + seconds, asyncio.Event())
        self._sleepers.append(sleeper)
        self._asleep.set()
        try:
            await sleeper[2].wait()
        finally:
            self._sleepers.remove(sleeper)

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
        for _, due, woken in self._sleepers:
            if due <= self.seconds + 1e-9:
                woken.set()

    async def asleep(self, seconds: float) -> None:
        """Wait until somebody sleeps for exactly so long."""
        async with asyncio.timeout(10):
            while not any(each[0] == pytest.approx(seconds) and not each[2].is_set() for each in self._sleepers):
                self._asleep.clear()
                await self._asleep.wait()

    async def over(self, seconds: float) -> None:
        """Wait until somebody sleeps for exactly so long, and let that time pass."""
        await self.asleep(seconds)
        self.advance(seconds)


class Acme:
    """The hooks of an exchange whose frames are single words."""

    def sign(self, request: Request, credentials: Credentials, timestamp: int) -> Request:
        signed = request.with_headers({"acme-sign": f"{timestamp} {credentials.secret.reveal()}"})
        return signed.with_json({**(signed.json or {}), "secret": credentials.secret.reveal()})

    def server_time(self) -> None:
        return None

    def map_error(self, request: Request, response: Response) -> None:
        return None

    def read_frame(self, data: str | bytes) -> Sequence[Event]:
        word, _, rest = (data.decode() if isinstance(data, bytes) else data).partition(":")
        match word:
            case "in":
                return [LoggedIn()]
            case "no":
                return [StreamRefused(rest)]
            case "ask":
                return [Answer(f"answer:{rest}")]
            case "order":
                return [OrderChanged(exchange_order_id=rest)]
            case "price":
                return [PriceSeen(exchange_symbol="BTCUSDT", last=Decimal(rest))]
            case "crash":
                raise ValueError(rest)
        return []


class Words(StrictSockets):
    """Lets everybody in, notes what was said, and answers each word as told."""

    def __init__(self) -> None:
        super().__init__()
        self.replies: dict[str, str] = {"sub": "ok"}
        self.said: list[str | bytes] = []
        self.handshakes: list[tuple[str, Mapping[str, str]]] = []

    def admit(self, path: str, headers: Mapping[str, str]) -> int:
        self.handshakes.append((path, headers))
        return 404 if path == "/nowhere" else 101

    def receive(self, peer: Peer, frame: str | bytes) -> None:
        self.said.append(frame)
        for word, reply in self.replies.items():
            if isinstance(frame, str) and word in frame:
                peer.send(reply)


@dataclass
class NoWire:
    """A wire on which requests end."""

    sent: list[Request] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, request: Request, *, timeout_seconds: float) -> Response:
        self.sent.append(request)
        self.arrived.set()
        return Response(200, {}, b"{}")

    async def close(self) -> None:
        pass


@dataclass
class Table:
    """A runner at work, its exchange, and what it told."""

    clock: TurnedClock
    words: Words
    server: SocketServer
    wire: NoWire
    runner: StreamRunner
    news: list[News]
    changes: list[bool]
    moved: asyncio.Event

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until the runner told what is expected."""
        async with asyncio.timeout(10):
            while not condition():
                self.moved.clear()
                await self.moved.wait()

    async def opened(self, times: int = 1) -> None:
        await self.until(lambda: self.changes.count(True) == times)

    async def until_heard(self) -> None:
        """Wait for a sign of life at this very time."""
        async with asyncio.timeout(10):
            while self.runner.heard != self.clock.seconds:  # noqa: ASYNC110  # a pong leaves no other trace
                await asyncio.sleep(0)

    def push(self, frame: str | bytes) -> None:
        for peer in self.words.peers:
            peer.send(frame)


def stream(**changes: Any) -> Stream:
    return Stream(**{"host": "ws", "path": "/ws", "subscribe": ("sub",), **changes})


@asynccontextmanager
async def following(*streams: Stream, random: float = 1.0, **replies: str) -> AsyncIterator[Table]:
    """Run a runner over these sockets while the block lasts."""
    clock, words, wire, moved = TurnedClock(), Words(), NoWire(), asyncio.Event()
    words.replies.update(replies)
    news: list[News] = []
    changes: list[bool] = []
    info = ExchangeInfo(
        id="acme",
        title="Acme",
        hosts={"api": "https://api.acme.example", "ws": "wss://ws.acme.example"},
        paths=("GET /login", "PUT /key"),
    )

    async def described() -> Sequence[Stream]:
        return streams

    async def on_news(seen: News) -> None:
        news.append(seen)
        moved.set()

    async def on_change(is_open: bool) -> None:
        changes.append(is_open)
        moved.set()

    async def credentials() -> Credentials:
        return Credentials(secret=Secret(CANARY))

    async with SocketServer(words) as server:
        runner = StreamRunner(
            Transport(info, Acme(), wire, clock),
            Acme(),
            Sockets({"ws": server.url}),
            clock,
            describe=described,
            on_news=on_news,
            on_change=on_change,
            credentials=credentials,
            random=lambda: random,
        )
        task = asyncio.create_task(runner.run())
        yield Table(clock, words, server, wire, runner, news, changes, moved)
        assert not task.done(), "a runner ends only when it is cancelled"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_runner_open_stream_tells_prices_and_orders() -> None:
    """Once subscribed, what the plugin reads out of frames, text or binary, is handed on in order."""
    async with following(stream()) as table:
        await table.opened()
        for frame in ("noise", "price:60000", b"order:7"):
            table.push(frame)
        await table.until(lambda: len(table.news) == 2)
        assert table.news == [
            PriceSeen(exchange_symbol="BTCUSDT", last=Decimal(60000)),
            OrderChanged(exchange_order_id="7"),
        ]
        assert (table.changes, table.runner.state()) == ([True], StreamState(is_open=True, heard_seconds=0, problem=""))


async def test_runner_frame_login_subscribes_only_once_logged_in() -> None:
    """The signed body is the first frame, and nothing is subscribed to before the exchange took it."""
    async with following(stream(login=LOGIN)) as table:
        await table.server.until(lambda: table.words.said)
        table.push("noise")
        table.push("ask:1")
        await table.server.until(lambda: "answer:1" in table.words.said)
        assert table.words.said == [f'{{"op":"login","secret":"{CANARY}"}}', "answer:1"]
        assert not table.runner.state().is_open
        table.push("in")
        await table.opened()
        assert table.words.said[2] == "sub"


async def test_runner_header_login_is_in_the_handshake() -> None:
    """The signed headers go with the handshake, and no frame holds a login."""
    async with following(stream(login=LOGIN, login_as="headers", path="/ws?pairs=a,b")) as table:
        await table.opened()
        path, headers = table.words.handshakes[0]
        assert (path, headers["acme-sign"]) == ("/ws?pairs=a,b", f"{table.clock.now_ms()} {CANARY}")
        assert table.words.said == ["sub"]


async def test_runner_refused_login_backs_off_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """A refused login is a problem to show, waits before the next try, and leaves no trace of the secret in the log."""
    caplog.set_level(logging.DEBUG)
    async with following(stream(login=LOGIN), login="no:wrong signature") as table:
        await table.clock.over(1.0)
        await table.clock.asleep(2.0)
        assert table.server.handshakes == 2
        assert table.runner.state() == StreamState(is_open=False, heard_seconds=0, problem="refused: wrong signature")
        assert table.changes == []
    assert "wrong signature" in caplog.text
    assert CANARY not in caplog.text
    assert "/ws" not in caplog.text


async def test_runner_unanswered_login_is_given_up_after_ten_seconds() -> None:
    """An exchange that never answers the login is left, and tried again."""
    async with following(stream(login=LOGIN)) as table:
        await table.clock.over(10.0)
        await table.clock.over(1.0)
        await table.server.until(lambda: table.server.handshakes == 2)
        assert table.runner.state().problem == "no answer to the login"


async def test_runner_refused_handshake_waits_longer_each_time_up_to_a_minute() -> None:
    """The pauses double and end at sixty seconds."""
    async with following(stream(path="/nowhere")) as table:
        for pause in (1, 2, 4, 8, 16, 32, 60, 60):
            await table.clock.over(pause)
        await table.clock.asleep(60)
        assert table.server.handshakes == 9
        assert table.runner.state() == StreamState(is_open=False, heard_seconds=None, problem="refused with HTTP 404")


async def test_runner_jitter_shortens_the_pause_by_up_to_half() -> None:
    """With the smallest random number a pause is half as long as with the largest."""
    async with following(stream(path="/nowhere"), random=0.0) as table:
        await table.clock.over(0.5)
        await table.clock.asleep(1.0)


async def test_runner_cut_line_is_opened_anew_and_tells_the_gap() -> None:
    """After a cut the core hears of the loss and of the new beginning: both times something may have been missed."""
    async with following(stream()) as table:
        await table.opened()
        table.server.drop()
        await table.clock.over(1.0)
        await table.opened(2)
        assert table.changes == [True, False, True]


async def test_runner_steady_minute_forgets_earlier_failures() -> None:
    """A socket that stood for a minute begins again with the shortest pause; one that fell at once does not."""
    async with following(stream(ping="ping", ping_seconds=61, silent_seconds=200)) as table:
        for times, stood, pause in ((1, 0, 1.0), (2, 0, 2.0), (3, 61, 1.0)):
            await table.opened(times)
            await table.clock.asleep(61)
            table.clock.advance(stood)
            table.server.drop()
            await table.clock.over(pause)


async def test_runner_application_ping_carries_the_time() -> None:
    """The plugin's ping goes out when subscribed and every `ping_seconds`, with the time where it asks for it."""
    async with following(stream(ping='{"pong":TIMESTAMP}', ping_seconds=20)) as table:
        await table.opened()
        await table.clock.over(20)
        await table.server.until(lambda: len(table.words.said) == 3)
        assert table.words.said == ["sub", '{"pong":1790000000000}', '{"pong":1790000020000}']


async def test_runner_without_application_ping_pongs_keep_an_idle_socket() -> None:
    """A socket that says nothing but answers the protocol's pings is alive, also before its first frame."""
    async with following(stream(subscribe=(), silent_seconds=50)) as table:
        await table.opened()
        for _ in range(6):
            await table.clock.over(20)
            await table.until_heard()
        assert (table.server.handshakes, table.changes) == (1, [True])


async def test_runner_silent_socket_is_opened_anew() -> None:
    """Without a sign of life for `silent_seconds` the socket is taken for dead, however open it looks."""
    async with following(stream(silent_seconds=50)) as table:
        await table.opened()
        await table.clock.asleep(20)
        table.words.peers[0].fall_silent()
        await table.clock.over(50)
        await table.clock.over(1.0)
        await table.opened(2)
        assert table.changes == [True, False, True]


async def test_runner_answers_what_the_plugin_answers() -> None:
    """A ping inside a frame gets the plugin's reply."""
    async with following(stream()) as table:
        await table.opened()
        table.push("ask:1663815268584")
        await table.server.until(lambda: "answer:1663815268584" in table.words.said)


async def test_runner_renews_through_the_transport() -> None:
    """What keeps a listen key alive is sent as often as the plugin says."""
    renew = Request(method="PUT", path="/key")
    async with following(stream(renew=renew, renew_seconds=1800, silent_seconds=4000)) as table:
        await table.opened()
        await table.clock.asleep(1800)
        assert table.wire.sent == []
        table.clock.advance(1800)
        await asyncio.wait_for(table.wire.arrived.wait(), 10)
        assert [(each.method, each.path) for each in table.wire.sent] == [("PUT", "/key")]


async def test_runner_frame_that_crashes_the_plugin_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """A plugin's crash costs that one frame; the frame is not in the log, and the log has one line for a flood."""
    async with following(stream()) as table:
        await table.opened()
        for _ in range(50):
            table.push("crash:inside-of-a-frame")
        table.push("order:7")
        await table.until(lambda: table.news)
        assert (table.news, table.changes) == ([OrderChanged(exchange_order_id="7")], [True])
    assert caplog.text.count("could not read a frame (ValueError)") == 1
    assert "inside-of-a-frame" not in caplog.text


async def test_runner_redirect_is_not_followed() -> None:
    """A signed handshake never goes to an address that the first one names."""
    async with following(stream(login=LOGIN, login_as="headers")) as table:
        await table.opened()
        table.server.refuses = 302
        table.server.location = f"{table.server.url}/elsewhere"
        table.server.drop()
        await table.clock.over(1.0)
        await table.clock.asleep(2.0)
        assert table.server.handshakes == 2
        assert table.runner.state().problem == "refused with HTTP 302"


async def test_runner_two_sockets_are_open_together_and_fall_together() -> None:
    """Both must be ready before anything counts as open, and one that falls takes the other with it."""
    async with following(stream(), stream(login=LOGIN)) as table:
        await table.server.until(lambda: len(table.words.said) == 2)
        assert not table.runner.state().is_open
        table.push("in")
        await table.opened()
        table.words.peers[0].drop()
        await table.clock.over(1.0)
        await table.server.until(lambda: table.server.handshakes == 4 and len(table.words.peers) == 2)
        assert table.changes == [True, False]


async def test_runner_subscriptions_are_paced() -> None:
    """Many subscriptions leave one by one: exchanges cut off whoever sends too fast."""
    async with following(stream(subscribe=("sub 1", "sub 2", "sub 3"))) as table:
        await table.server.until(lambda: table.words.said == ["sub 1"])
        await table.clock.over(0.15)
        await table.server.until(lambda: table.words.said == ["sub 1", "sub 2"])
        await table.clock.over(0.15)
        await table.server.until(lambda: table.words.said == ["sub 1", "sub 2", "sub 3"])


async def test_runner_login_off_the_list_of_paths_is_not_signed() -> None:
    """A plugin cannot have anything signed that it did not declare."""
    async with following(stream(login=Request.get("/withdraw"))) as table:
        await table.clock.asleep(1.0)
        assert "not on its list of paths" in table.runner.state().problem
        assert table.words.said == []


async def test_runner_closed_by_the_exchange_says_the_code() -> None:
    """A proper close is a loss like any other, with its code to show and not its text."""
    async with following(stream()) as table:
        await table.opened()
        table.words.peers[0].close(1012)
        await table.clock.asleep(1.0)
        assert table.runner.state() == StreamState(is_open=False, heard_seconds=0, problem="closed with code 1012")
