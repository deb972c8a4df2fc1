"""Keeping a plugin's sockets open: login, pings, silence, reconnection.

Nothing here logs a frame, a header or an address: logins and listen keys are in them.
"""

from __future__ import annotations

import asyncio
import logging
import random as randomness
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from bot.clock import Clock
from bot.contract.errors import BotError
from bot.contract.streams import Answer, Event, LoggedIn, OrderChanged, PriceSeen, Stream, StreamRefused
from bot.contract.wire import Flow, Request
from bot.exchanges.transport import OpenCredentials, Transport

if TYPE_CHECKING:
    from bot.exchanges.websocket import ClientConnection, Connect

log = logging.getLogger(__name__)

News: TypeAlias = PriceSeen | OrderChanged

_LOGIN_SECONDS = 10.0
_PACE_SECONDS = 0.15  # between two subscriptions: the strictest exchange takes ten messages a second
_LONGEST_PAUSE_SECONDS = 60.0
_STEADY_SECONDS = 60.0
_LARGEST_FRAME = 4 * 1024 * 1024

_MUTE = logging.Logger("websockets")  # at DEBUG the library writes frames and headers
_MUTE.disabled = True


class _Lost(Exception):
    """The socket is of no use any more; the text says why."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """Where an exchange's sockets are, and from where they are opened.

    Attributes:
        origins: Host name to origin, such as `{"ws": "wss://ws.acme.example"}`.
        local_address: Source address, or `None` for the system's choice.
        proxy: Proxy URL, or `None`.
    """

    origins: Mapping[str, str]
    local_address: str | None = None
    proxy: str | None = None

    def connect(self, stream: Stream, headers: Mapping[str, str]) -> Connect:
        """Return the way in, to be entered with `async with`."""
        from bot.exchanges.websocket import Connect  # no start waits for the library

        extra: dict[str, Any] = {"local_addr": (self.local_address, 0)} if self.local_address else {}
        return Connect(
            self.origins[stream.host] + stream.path,
            additional_headers=dict(headers),
            user_agent_header="tradewire",
            proxy=self.proxy,
            ping_interval=None,  # pings are sent here, where the clock is ours
            close_timeout=1,
            max_size=_LARGEST_FRAME,
            logger=_MUTE,
            **extra,
        )


@dataclass(frozen=True, slots=True)
class StreamState:
    """How a runner's sockets are.

    Attributes:
        is_open: All are connected, logged in and subscribed.
        heard_seconds: Age of the last sign of life, or `None` before the first.
        problem: Why they are not open, in plain words; empty while they are.
    """

    is_open: bool
    heard_seconds: int | None
    problem: str


class StreamRunner:
    """Keeps the sockets that a plugin described open, all of them or none.

    Args:
        transport: Signs logins and sends what keeps a listen key alive.
        hook: The exchange's pluggy hooks.
        sockets: Where they are.
        describe: Asks the plugin which sockets to open; called anew for each attempt.
        on_news: Awaited for each price and each changed order.
        on_change: Awaited with `True` when all are open, and with `False` when that is over. Both times something may
            have been missed.
        clock: Ours.
        credentials: Opens the account's keys for one signature; `None` for public sockets.
        account_id: Whose limits to count against.
        random: Returns a number from 0 to 1, for the jitter.
    """

    def __init__(
        self,
        transport: Transport,
        hook: Any,
        sockets: Sockets,
        clock: Clock,
        *,
        describe: Callable[[], Awaitable[Sequence[Stream]]],
        on_news: Callable[[News], Awaitable[None]],
        on_change: Callable[[bool], Awaitable[None]],
        credentials: OpenCredentials | None = None,
        account_id: int = 0,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        self.transport = transport
        self.hook = hook
        self.sockets = sockets
        self.clock = clock
        self.on_news = on_news
        self.credentials = credentials
        self.account_id = account_id
        self.heard: float | None = None
        self._describe = describe
        self._on_change = on_change
        self._random = random
        self._problem = "not connected yet"
        self._opened: float | None = None

    def state(self) -> StreamState:
        """Return how the sockets are now."""
        heard = None if self.heard is None else int(self.clock.monotonic() - self.heard)
        return StreamState(self._opened is not None, heard, self._problem)

    async def run(self) -> None:
        """Keep the sockets open until cancelled."""
        failures = 0
        while True:
            problem = "ended"
            try:
                await self._follow(await self._describe())
            except Exception as error:
                problem = self._in_words(error)
            opened, self._opened = self._opened, None
            if opened is not None and self.clock.monotonic() - opened >= _STEADY_SECONDS:
                failures = 0
            pause = min(2.0 ** min(failures, 10), _LONGEST_PAUSE_SECONDS) * (0.5 + self._random() / 2)
            failures += 1
            if opened is not None or problem != self._problem:
                log.warning("%s: stream lost (%s); next try in %.1f s", self.transport.info.id, problem, pause)
            self._problem = problem
            if opened is not None:
                await self._tell(is_open=False)
            await self.clock.sleep(pause)

    async def _follow(self, streams: Sequence[Stream]) -> None:
        lines = [_Line(self, stream) for stream in streams]
        if not lines:
            raise _Lost("the plugin names none")
        await _until_one_ends(self._announce(lines), *(line.run() for line in lines))

    async def _announce(self, lines: Sequence[_Line]) -> None:
        for line in lines:
            await line.ready.wait()
        self._opened, self._problem = self.clock.monotonic(), ""
        log.info("%s: stream open", self.transport.info.id)
        await self._on_change(True)  # noqa: FBT003
        await asyncio.Event().wait()

    async def _tell(self, *, is_open: bool) -> None:
        try:
            await self._on_change(is_open)
        except Exception:
            log.exception("%s: a lost stream could not be told", self.transport.info.id)

    def _in_words(self, error: Exception) -> str:
        """Return what may be shown of a failure."""
        from bot.exchanges import websocket

        if isinstance(error, _Lost | BotError):
            return str(error)
        if words := websocket.in_words(error):
            return words
        log.error("%s: the stream failed", self.transport.info.id, exc_info=error)
        return f"failed ({type(error).__name__}); see the log"


class _Line:
    """One socket of a runner, from connecting to its end.

    Attributes:
        ready: Set at the first sign of life after subscribing: the exchange has read the subscriptions.
    """

    def __init__(self, runner: StreamRunner, stream: Stream) -> None:
        self.ready = asyncio.Event()
        self._runner = runner
        self._stream = stream
        self._clock = runner.clock
        self._logged_in = asyncio.Event()
        self._is_asked = False
        self._has_crashed = False
        self._heard = 0.0

    async def run(self) -> None:
        """Connect, and raise what ends it."""
        headers = (await self._login()).headers if self._logs_in("headers") else {}
        async with self._runner.sockets.connect(self._stream, headers) as socket:
            self._hear()
            await _until_one_ends(self._read(socket), self._speak(socket), self._watch(), self._renew())
        raise _Lost("the exchange closed it")

    def _logs_in(self, how: str) -> bool:
        return self._stream.login is not None and self._stream.login_as == how

    async def _login(self) -> Request:
        assert self._stream.login is not None
        if self._runner.credentials is None:
            raise _Lost("the plugin asked for a login where there is no account")
        return await self._runner.transport.signed(
            self._stream.login, account_id=self._runner.account_id, credentials=self._runner.credentials
        )

    def _hear(self) -> None:
        self._heard = self._runner.heard = self._clock.monotonic()
        if self._is_asked:
            self.ready.set()

    def _hear_pong(self, pong: asyncio.Future[Any]) -> None:
        if not pong.cancelled() and pong.exception() is None:
            self._hear()

    async def _speak(self, socket: ClientConnection) -> None:
        if self._logs_in("frame"):
            await socket.send((await self._login()).body.decode())
            await _until_one_ends(self._logged_in.wait(), self._give_up_login())
        for index, frame in enumerate(self._stream.subscribe):
            if index:
                await self._clock.sleep(_PACE_SECONDS)
            await socket.send(frame)
        self._is_asked = True
        while True:
            if self._stream.ping:
                await socket.send(self._stream.ping.replace("TIMESTAMP", str(self._clock.now_ms())))
            else:
                pong: asyncio.Future[Any] = asyncio.ensure_future(await socket.ping())
                pong.add_done_callback(self._hear_pong)
            await self._clock.sleep(self._stream.ping_seconds)

    async def _give_up_login(self) -> None:
        await self._clock.sleep(_LOGIN_SECONDS)
        raise _Lost("no answer to the login")

    async def _read(self, socket: ClientConnection) -> None:
        async for data in socket:
            self._hear()
            for event in self._events(data):
                match event:
                    case LoggedIn():
                        self._logged_in.set()
                    case StreamRefused():
                        raise _Lost(f"refused: {event.message[:200]}")
                    case Answer():
                        await socket.send(event.frame)
                    case PriceSeen() | OrderChanged():
                        await self._runner.on_news(event)

    def _events(self, data: str | bytes) -> list[Event]:
        try:
            return list(self._runner.hook.read_frame(data=data) or ())
        except BaseException as crash:
            if not self._has_crashed:  # once a socket: what comes may come a hundred times a second
                log.error(
                    "%s: the plugin could not read a frame (%s)", self._runner.transport.info.id, type(crash).__name__
                )
            self._has_crashed = True
            return []

    async def _watch(self) -> None:
        while (left := self._heard + self._stream.silent_seconds - self._clock.monotonic()) > 0:
            await self._clock.sleep(left)
        raise _Lost(f"silent for {self._stream.silent_seconds} s")

    async def _renew(self) -> None:
        request = self._stream.renew
        if request is None or self._stream.renew_seconds <= 0:
            await asyncio.Event().wait()
        assert request is not None
        while True:
            await self._clock.sleep(self._stream.renew_seconds)
            await self._runner.transport.run(
                _sent(request), account_id=self._runner.account_id, credentials=self._runner.credentials
            )


def _sent(request: Request) -> Flow[None]:
    yield request


async def _until_one_ends(*works: Coroutine[Any, Any, Any]) -> None:
    """Run all, end all as soon as one ends, and raise what it raised."""
    tasks = [asyncio.get_running_loop().create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
