"""Driving a plugin's flows: limit, stamp, sign, send, map."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn, Protocol, TypeVar

import msgspec
import stamina

from bot.clock import Clock
from bot.contract.errors import (
    BotError,
    ClockSkew,
    ExchangeError,
    OutcomeUnknown,
    PluginError,
    RateLimited,
    Rejected,
)
from bot.contract.models import ExchangeInfo
from bot.contract.wire import Credentials, Flow, Request, Response
from bot.exchanges.clock import ExchangeClock
from bot.exchanges.hooks import direct
from bot.exchanges.limits import Limiter, MustWait, Priority
from bot.exchanges.rules import Rules

T = TypeVar("T")
log = logging.getLogger(__name__)

_BANNED = 418  # for going on after 429; without a figure the shortest ban that an exchange documents is kept
_BAN_SECONDS = 120.0
_READ_SECONDS = 10.0
_PLACE_SECONDS = 15.0
_LONGEST_FLOW_SECONDS = 30.0


class Departure(msgspec.Struct, frozen=True):
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


class _Call(msgspec.Struct):
    """What one run gives to each of its requests, and what became of them."""

    account_id: int
    credentials: OpenCredentials | None
    before_send: BeforeSend | None
    priority: Priority
    may_wait: bool = True  # once it departed, whatever else is asked may
    departed: bool = False  # the first byte of a placing request may have left
    accepted: bool = False
    span_ms: tuple[int, int] = (0, 0)  # our clock before and after the newest request
    waited_seconds: float = 0.0  # for limits, which is not the plugin's doing


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
        self.clock = ExchangeClock(clock, info.nonce)
        self.limiter = Limiter(info.title, info.limits, clock)
        self.last_error = ""
        self._hook = hook
        self._asked: dict[str, Callable[..., Any]] = {}
        self._sign, self._map_error = direct(hook.sign), direct(hook.map_error)
        self._wire = wire
        self._own_clock = clock
        self._measuring = asyncio.Lock()
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._rules = Rules(info)

    def flow(self, hook: str, **arguments: Any) -> Any:
        """Ask the plugin for a flow; `None` where it has no such hook. Whatever guards refuse passes through.

        Raises:
            PluginError: The plugin, or a guard around it, failed. Nothing was sent.
        """
        try:
            found = self._asked.get(hook)
            if found is None:
                found = self._asked[hook] = direct(getattr(self._hook, hook))
            return found(**arguments)
        except BotError:
            raise
        except BaseException as crash:
            self._blame(crash, placed=False)

    def run(
        self,
        flow: Flow[T],
        *,
        account_id: int = 0,
        credentials: OpenCredentials | None = None,
        before_send: BeforeSend | None = None,
        priority: Priority = "usual",
        may_wait: bool = True,
    ) -> Coroutine[Any, Any, T]:
        """Drive `flow` to its result, sending every request it yields.

        Args:
            flow: A flow that a hook returned.
            account_id: Whose limits to count against.
            credentials: Opens the account's keys for one signature; `None` for public flows.
            before_send: Awaited when a placing request is signed and before its first byte leaves. Only with it may
                a flow place. An error it raises ends the flow with nothing sent.
            priority: How much of each limit the requests may use; see `Limiter`.
            may_wait: Whether anything may be waited for before the placing request leaves.

        Raises:
            MustWait: It may not wait: anything but the placing request was asked for, or that would have to wait for
                a limit, for the clock or for another request of the account. Nothing was sent.
            ExchangeError: As `map_error` classed the reply, or the wire the failure.
            PluginError: The plugin broke the contract, and nothing was placed.
        """
        return self._drive(flow, _Call(account_id, credentials, before_send, priority, may_wait))

    async def signed(self, request: Request, *, account_id: int, credentials: OpenCredentials) -> Request:
        """Return the login of a socket, checked, stamped and signed as if it were to be sent.

        Raises:
            PluginError: The plugin broke the contract.
            NotSent: The exchange ordered a pause.
        """
        call = _Call(account_id, credentials, None, "urgent")
        self._rules.check(request, sent=1, has_account=True, may_place=False)
        if self._goes_at_once(request):
            return (await self._prepare(request, call))[1]
        async with self._turns[call.account_id]:
            return (await self._prepare(request, call))[1]

    async def measure_clock(self) -> None:
        """Ask the exchange for its time, where it tells. A failure leaves the offset as it was."""
        call = _Call(0, None, None, "urgent")
        try:
            flow = self.flow("server_time")
            if flow is None:
                self.clock.take_ours()
            else:
                server_ms = await self._drive(flow, call)
                self.clock.learn(server_ms, began_ms=call.span_ms[0], ended_ms=call.span_ms[1])
        except Exception as error:
            log.warning("%s: clock not measured: %s", self.info.id, error)
            self.clock.rest()

    async def close(self) -> None:
        """Let go of every connection."""
        await self._wire.close()

    async def _drive(self, flow: Flow[T], call: _Call) -> T:
        value: Response | None = None
        error: ExchangeError | None = None
        sent, placed, began = 0, False, self._own_clock.monotonic()
        try:
            while True:
                try:
                    request = flow.send(value) if error is None else flow.throw(error)  # type: ignore[arg-type]
                    sent += 1
                    self._check(request, call, sent=sent, placed=placed, began=began)
                except StopIteration as stop:
                    result: T = stop.value
                    return result
                except BotError:
                    raise
                except BaseException as crash:  # no await in the block: even a cancellation here is the plugin's own
                    self._blame(crash, placed=call.departed)
                value = error = None
                if not (request.places or call.may_wait):
                    raise MustWait
                placed = placed or request.places
                try:
                    if request.places:
                        value = await self._attempt(request, call)
                        call.accepted = True
                    else:
                        value = await self._read(request, call)
                except ExchangeError as failure:
                    if request.places and not isinstance(failure, Rejected):
                        with suppress(BaseException):
                            flow.throw(failure)  # guards see how it ended, and nobody has a say in it
                        raise
                    error = failure
        except BaseException as failure:
            with suppress(BaseException):
                flow.close()
            if isinstance(failure, BotError):
                self.last_error = str(failure)
                if call.accepted and not isinstance(failure, OutcomeUnknown):
                    raise OutcomeUnknown(f"{self.info.title} took the order, then: {failure}") from failure
            raise

    def _check(self, request: Request, call: _Call, *, sent: int, placed: bool, began: float) -> None:
        may_place = call.before_send is not None and not placed
        self._rules.check(request, sent=sent, has_account=call.credentials is not None, may_place=may_place)
        if self._own_clock.monotonic() - began - call.waited_seconds > _LONGEST_FLOW_SECONDS:
            raise PluginError(
                f"The {self.info.title} plugin asked on after {_LONGEST_FLOW_SECONDS:.0f} seconds in one call."
            )

    def _blame(self, crash: BaseException, *, placed: bool) -> NoReturn:
        log.error("%s: the plugin failed", self.info.id, exc_info=crash)
        if placed:
            raise OutcomeUnknown(f"{self.info.title}'s reply could not be understood", code="PLUGIN") from crash
        raise PluginError(
            f"The {self.info.title} plugin failed ({type(crash).__name__}). Nothing was placed; see the log."
        ) from crash

    async def _read(self, request: Request, call: _Call) -> Response:
        try:
            return await self._attempt(request, call)
        except ExchangeError as error:
            first: ExchangeError | None = error
        # Its answer stands for that of stamina's first attempt, which is dear to set up for reads that mostly succeed.
        async for attempt in stamina.retry_context(on=_may_repeat, attempts=3, wait_initial=0.2, wait_max=2.0):
            with attempt:
                if first is not None:
                    failed, first = first, None
                    raise failed
                return await self._attempt(request, call)
        raise AssertionError("unreachable: the last attempt raises")

    def _attempt(self, request: Request, call: _Call) -> Coroutine[Any, Any, Response]:
        return self._exchange(request, call) if self._goes_at_once(request) else self._exchange_in_turn(request, call)

    def _goes_at_once(self, request: Request) -> bool:
        """Say whether `request` may overtake others of its account; where timestamps must rise, signed ones may not."""
        return self.info.nonce == "window" or request.auth == "none"

    async def _exchange_in_turn(self, request: Request, call: _Call) -> Response:
        turn = self._turns[call.account_id]
        if turn.locked() and not call.may_wait:
            raise MustWait
        async with turn:
            return await self._exchange(request, call)

    async def _exchange(self, request: Request, call: _Call) -> Response:
        request, signed, timestamp = await self._prepare(request, call)
        if call.before_send is not None and request.places:
            await call.before_send(self._departure(signed, timestamp))
        self.limiter.check_pause()
        if request.places:
            call.departed = call.may_wait = True
        began_ms = self._own_clock.now_ms()
        timeout = _PLACE_SECONDS if request.places else _READ_SECONDS
        response = await self._wire.send(signed, timeout_seconds=timeout)
        call.span_ms = began_ms, self._own_clock.now_ms()
        error = self._mapped(request, response)  # as the plugin yielded it: what `sign` added is nobody's to see
        if error is None:
            self.limiter.accepted()
            return response
        if isinstance(error, RateLimited) or response.status in (418, 429):
            self.limiter.pause(self._pause_seconds(error, response))
        if isinstance(error, ClockSkew):
            self.clock.distrust()
        raise error

    async def _prepare(self, request: Request, call: _Call) -> tuple[Request, Request, int]:
        """Once the limits let it through, return the request stamped, and signed, and the time in its signature."""
        is_signed = request.auth != "none"
        if is_signed and self.clock.is_stale():
            if not call.may_wait:
                raise MustWait
            async with self._measuring:  # one measurement serves all who wait for it
                if self.clock.is_stale():
                    await self.measure_clock()
        waited = await self.limiter.acquire(request.costs, call.account_id, call.priority, may_wait=call.may_wait)
        if waited:
            call.waited_seconds += waited
            if is_signed and self.clock.has_jumped():
                await self.measure_clock()
        timestamp = self.clock.timestamp()
        stamp = timestamp if self.info.timestamp_unit == "ms" else timestamp // 1000
        request = self._stamped(request, stamp, call)
        keys = await call.credentials() if is_signed and call.credentials is not None else None
        return request, request if keys is None else self._signed(request, keys, stamp), timestamp

    def _stamped(self, request: Request, stamp: int, call: _Call) -> Request:
        try:
            request = request.stamped(stamp)
            self._rules.check_size(request)
        except PluginError:
            raise
        except BaseException as crash:  # it cannot be encoded
            self._blame(crash, placed=call.departed)
        return request

    def _signed(self, request: Request, keys: Credentials, stamp: int) -> Request:
        try:
            signed: Request = self._sign(request=request, credentials=keys, timestamp=stamp)
            is_same = (
                signed.method == request.method
                and signed.path == request.path
                and signed.host == request.host
                and signed.places == request.places
            )
            self._rules.check_size(signed)
            self._rules.check_headers(signed)
        except PluginError:
            raise
        except BaseException as crash:
            self._blame(crash, placed=False)
        if not is_same:
            raise PluginError(f"The {self.info.title} plugin changed the address of a request while signing it.")
        return signed

    def _departure(self, request: Request, timestamp: int) -> Departure:
        digest = hashlib.sha256(f"{request.method} {request.target}\n".encode() + request.body).hexdigest()
        seconds = self.info.capabilities.absence_seconds
        return Departure(digest, None if seconds is None else timestamp + seconds * 1000)

    def _mapped(self, request: Request, response: Response) -> ExchangeError | None:
        try:
            error = self._map_error(request=request, response=response)
        except OutcomeUnknown as doubt:  # `Response.json` raises it, and says better what is wrong
            return doubt
        except BaseException as crash:
            log.error("%s: map_error failed", self.info.id, exc_info=crash)
            return OutcomeUnknown(f"{self.info.title}'s reply could not be understood", status=response.status)
        if error is None or isinstance(error, (Rejected, OutcomeUnknown)):
            return error
        return OutcomeUnknown(f"{self.info.title}'s reply could not be understood", status=response.status)

    def _pause_seconds(self, error: ExchangeError, response: Response) -> float | None:
        told = response.headers.get("retry-after", "")
        seconds = 0.0
        if isinstance(error, RateLimited) and error.until_ms is not None:
            seconds = (error.until_ms - self.clock.now_ms()) / 1000
        elif told.isascii() and told.isdigit():
            seconds = float(told)
        elif told:
            with suppress(ValueError):
                seconds = parsedate_to_datetime(told).timestamp() - self.clock.now_ms() / 1000
        if seconds <= 0 and response.status == _BANNED:
            return _BAN_SECONDS
        return seconds if seconds > 0 else None


def _may_repeat(error: Exception) -> bool:
    """Say whether a read may be sent again: the failure was of the moment, or the clock was wrong."""
    return isinstance(error, ClockSkew) or (isinstance(error, ExchangeError) and error.transient)
