"""Driving a plugin's flows: limit, stamp, sign, send, map. The only importer of httpx in the core."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, TypeVar

import httpx
import stamina

from bot.clock import Clock
from bot.contract.errors import (
    BotError,
    ClockSkew,
    ExchangeError,
    NotSent,
    OutcomeUnknown,
    PluginError,
    RateLimited,
)
from bot.contract.models import ExchangeInfo
from bot.contract.wire import Credentials, Flow, Request, Response
from bot.exchanges.clock import ExchangeClock
from bot.exchanges.limits import Limiter

T = TypeVar("T")
log = logging.getLogger(__name__)

_MOST_REQUESTS = 20
_LARGEST_BODY = 64 * 1024
_READ_SECONDS = 10.0
_PLACE_SECONDS = 15.0
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


@dataclass(frozen=True, slots=True)
class Departure:
    """A placing request about to leave.

    Attributes:
        request_hash: SHA-256 of method, target and body, hex.
        window_ends_ms: Exchange time after which it can no longer be accepted, or `None` when not documented.
    """

    request_hash: str
    window_ends_ms: int | None


BeforeSend = Callable[[Departure], Awaitable[None]]
OpenCredentials = Callable[[], Awaitable[Credentials]]


class Wire(Protocol):
    """Carries one signed request to the exchange and brings the reply."""

    async def send(self, request: Request, *, timeout_seconds: float) -> Response:
        """Send exactly `request.target` and `request.body`, once.

        Raises:
            NotSent: It surely never left.
            OutcomeUnknown: It may have arrived.
        """
        ...

    async def close(self) -> None:
        """Let go of every connection."""
        ...


class HttpWire:
    """HTTP/1.1 through httpx: no redirects, no retries, no cookies, no proxies from the environment.

    Orders travel on connections of their own that are never reused: a kept connection may die exactly while an order
    is being written, and then nobody can tell whether it arrived.

    Args:
        title: The exchange, for error texts.
        origins: Host name to origin, such as `{"api": "https://api.acme.example"}`.
        local_address: Source address, or `None` for the system's choice.
        proxy: Proxy URL, or `None`.
        transport: Replaces the network in tests.
    """

    def __init__(
        self,
        title: str,
        origins: Mapping[str, str],
        *,
        local_address: str | None = None,
        proxy: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._title = title
        self._origins = {name: httpx.URL(origin) for name, origin in origins.items()}
        context = httpx.create_ssl_context()

        def client(keepalive: int) -> httpx.AsyncClient:
            limits = httpx.Limits(max_connections=20, max_keepalive_connections=keepalive)
            own = transport or httpx.AsyncHTTPTransport(
                verify=context, limits=limits, local_address=local_address, proxy=proxy
            )
            return httpx.AsyncClient(transport=own, trust_env=False, follow_redirects=False)

        self._reads, self._orders = client(keepalive=10), client(keepalive=0)

    async def send(self, request: Request, *, timeout_seconds: float) -> Response:
        """Send it, once. See `Wire`."""
        client = self._orders if request.places else self._reads
        message = httpx.Request(
            request.method,
            self._origins[request.host].copy_with(raw_path=request.target.encode("ascii")),
            headers={"accept": "application/json", "user-agent": "tradewire", **request.headers},
            content=request.body,
            extensions={"timeout": httpx.Timeout(timeout_seconds).as_dict()},
        )
        try:
            reply = await client.send(message)
        except _NEVER_LEFT as error:
            raise NotSent(
                f"{self._title} cannot be reached",
                code="UNREACHABLE",
                remedy="Nothing was sent. Try again in a moment.",
                detail=type(error).__name__,
                transient=True,
            ) from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            text = f"{self._title} did not answer"
            raise OutcomeUnknown(text, code="NO_ANSWER", detail=type(error).__name__, transient=True) from error
        return Response(
            reply.status_code, {name.lower(): value for name, value in reply.headers.items()}, reply.content
        )

    async def close(self) -> None:
        """Let go of every connection."""
        await self._reads.aclose()
        await self._orders.aclose()


class Transport:
    """One exchange through one egress address.

    Args:
        info: The plugin's constants.
        hook: The exchange's pluggy hooks.
        wire: Carries the bytes.
        clock: Ours.
    """

    def __init__(self, info: ExchangeInfo, hook: Any, wire: Wire, clock: Clock) -> None:
        self.info = info
        self.clock = ExchangeClock(clock)
        self.limiter = Limiter(info.title, info.limits, clock)
        self.last_error = ""
        self._hook = hook
        self._wire = wire
        self._own_clock = clock
        self._paths = re.compile("|".join(re.escape(path).replace(r"\*", "[^/]+") for path in info.paths))

    async def run(
        self,
        flow: Flow[T],
        *,
        account_id: int = 0,
        credentials: OpenCredentials | None = None,
        before_send: BeforeSend | None = None,
        urgent: bool = False,
    ) -> T:
        """Drive `flow` to its result, sending every request it yields.

        Args:
            flow: A flow that a hook returned.
            account_id: Whose limits to count against.
            credentials: Opens the account's keys for one signature; `None` for public flows.
            before_send: Awaited when a placing request is signed and before its first byte leaves. Only with it may
                a flow place. An error it raises ends the flow with nothing sent.
            urgent: Whether the request may use the reserve of each limit.

        Raises:
            ExchangeError: As `map_error` classed the reply, or the wire the failure.
            PluginError: The plugin broke the contract, and nothing was placed.
        """
        placed = accepted = False
        value: Response | None = None
        error: ExchangeError | None = None
        try:
            for _ in range(_MOST_REQUESTS + 1):
                try:
                    request = flow.send(value) if error is None else flow.throw(error)  # type: ignore[arg-type]
                except StopIteration as stop:
                    result: T = stop.value
                    return result
                value = error = None
                self._check(request, placed=placed, may_place=before_send is not None)
                placed = placed or request.places
                try:
                    value = await self._send(request, account_id, credentials, before_send, urgent=urgent)
                    accepted = accepted or request.places
                except OutcomeUnknown as doubt:
                    if request.places:
                        raise  # a flow has no say in this: the order may exist
                    error = doubt
                except ExchangeError as refusal:
                    error = refusal
            raise PluginError(
                f"The {self.info.title} plugin asked for more than {_MOST_REQUESTS} requests in one call."
            )
        except BotError as failure:
            self.last_error = str(failure)
            if accepted and not isinstance(failure, OutcomeUnknown):
                raise OutcomeUnknown(f"{self.info.title} took the order, then: {failure}") from failure
            raise
        except (Exception, SystemExit) as crash:
            self._blame(crash, placed=placed)
        finally:
            flow.close()

    async def measure_clock(self) -> None:
        """Ask the exchange for its time, where it tells. A failure leaves the offset as it was."""
        flow = self._hook.server_time()
        if flow is not None:
            began = self._own_clock.now_ms()
            try:
                server_ms = await self.run(flow)
                self.clock.learn(server_ms, began_ms=began, ended_ms=self._own_clock.now_ms())
            except BotError as error:
                log.warning("%s: clock not measured: %s", self.info.id, error)
        self.clock.rest()

    async def close(self) -> None:
        """Let go of every connection."""
        await self._wire.close()

    def _check(self, request: Request, *, placed: bool, may_place: bool) -> None:
        named = f"{request.method} {request.path}"
        if not isinstance(request, Request):
            raise PluginError(f"The {self.info.title} plugin yielded something that is not a Request.")
        if request.host not in self.info.hosts:
            raise PluginError(f"The {self.info.title} plugin named a host it did not declare: {request.host}.")
        if not self._paths.fullmatch(named):
            raise PluginError(f"The {self.info.title} plugin asked for {named}, which is not on its list of paths.")
        if len(request.stamped(0).body) > _LARGEST_BODY:
            raise PluginError(f"The {self.info.title} plugin made a body above {_LARGEST_BODY} bytes.")
        if request.places and (placed or not may_place):
            raise PluginError(f"The {self.info.title} plugin tried to place an order where it may not: {named}.")

    def _blame(self, crash: BaseException, *, placed: bool) -> NoReturn:
        log.error("%s: the plugin failed", self.info.id, exc_info=crash)
        self.last_error = f"plugin failed: {type(crash).__name__}"
        if placed:
            raise OutcomeUnknown(f"{self.info.title}'s reply could not be understood", code="PLUGIN") from crash
        raise PluginError(
            f"The {self.info.title} plugin failed ({type(crash).__name__}). Nothing was placed; see the log."
        ) from crash

    async def _send(
        self,
        request: Request,
        account_id: int,
        credentials: OpenCredentials | None,
        before_send: BeforeSend | None,
        *,
        urgent: bool,
    ) -> Response:
        if request.places:
            return await self._attempt(request, account_id, credentials, before_send, urgent=urgent)
        async for attempt in stamina.retry_context(on=_may_repeat, attempts=3, wait_initial=0.2, wait_max=2.0):
            with attempt:
                return await self._attempt(request, account_id, credentials, None, urgent=urgent)
        raise AssertionError("unreachable: the last attempt raises")

    async def _attempt(
        self,
        request: Request,
        account_id: int,
        credentials: OpenCredentials | None,
        before_send: BeforeSend | None,
        *,
        urgent: bool,
    ) -> Response:
        if request.auth != "none" and self.clock.is_stale():
            await self.measure_clock()
        await self.limiter.acquire(request.costs, account_id, urgent=urgent)
        timestamp = self.clock.timestamp()
        request = request.stamped(timestamp if self.info.timestamp_unit == "ms" else timestamp // 1000)
        if request.auth != "none":
            request = await self._signed(request, credentials, timestamp)
        if before_send is not None and request.places:
            await before_send(self._departure(request, timestamp))
        timeout = _PLACE_SECONDS if request.places else _READ_SECONDS
        response = await self._wire.send(request, timeout_seconds=timeout)
        error = self._mapped(request, response)
        if error is None:
            self.limiter.accepted()
            return response
        if isinstance(error, RateLimited) or response.status in (418, 429):
            self.limiter.pause(self._pause_seconds(error, response))
        if isinstance(error, ClockSkew):
            self.clock.distrust()
        raise error

    async def _signed(self, request: Request, credentials: OpenCredentials | None, timestamp: int) -> Request:
        if credentials is None:
            raise PluginError(f"The {self.info.title} plugin asked for a signature in a call that has no account.")
        stamp = timestamp if self.info.timestamp_unit == "ms" else timestamp // 1000
        signed = self._hook.sign(request=request, credentials=await credentials(), timestamp=stamp)
        if (signed.method, signed.path, signed.host, signed.places) != (
            request.method,
            request.path,
            request.host,
            request.places,
        ):
            raise PluginError(f"The {self.info.title} plugin changed the address of a request while signing it.")
        return signed  # type: ignore[no-any-return]

    def _departure(self, request: Request, timestamp: int) -> Departure:
        digest = hashlib.sha256(f"{request.method} {request.target}\n".encode() + request.body).hexdigest()
        seconds = self.info.capabilities.absence_seconds
        return Departure(digest, None if seconds is None else timestamp + seconds * 1000)

    def _mapped(self, request: Request, response: Response) -> ExchangeError | None:
        try:
            error = self._hook.map_error(request=request, response=response)
        except (Exception, SystemExit) as crash:
            log.error("%s: map_error failed", self.info.id, exc_info=crash)
            return OutcomeUnknown(f"{self.info.title}'s reply could not be understood", status=response.status)
        if error is None or isinstance(error, ExchangeError):
            return error
        return OutcomeUnknown(f"{self.info.title}'s reply could not be understood", status=response.status)

    def _pause_seconds(self, error: ExchangeError, response: Response) -> float | None:
        if isinstance(error, RateLimited) and error.until_ms is not None:
            return max(0.0, (error.until_ms - self.clock.now_ms()) / 1000)
        told = response.headers.get("retry-after", "")
        return float(told) if told.isdigit() else None


def _may_repeat(error: Exception) -> bool:
    """Say whether a read may be sent again: the failure was of the moment, or the clock was wrong."""
    return isinstance(error, ClockSkew) or (isinstance(error, ExchangeError) and error.transient)
