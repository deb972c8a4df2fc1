"""The exchange's time and the exchange's pauses, as the driver keeps them."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from typing import Any

import pytest

from bot import ClockSkew, ExchangeError, Flow, Limit, NotSent, OutcomeUnknown, RateLimited, Request, Response, hookimpl
from bot.contract.errors import PluginError
from tests.exchanges.acme import BALANCES, Acme, ClockedAcme, Rig, place, reply, rig, rig_on
from tests.fakes import START_MS

AHEAD_MS = 90_000


def ask(*requests: Request) -> Flow[list[Response]]:
    """A flow of reads."""
    replies = []
    for request in requests:
        replies.append((yield request))
    return replies


class TimedWire:
    """An exchange whose clock is `ahead_ms` of ours, and that is as slow as the test says."""

    def __init__(self, *answers: Response) -> None:
        self.ahead_ms = AHEAD_MS
        self.seconds_there = self.seconds_back = 0.0
        self.answers = list(answers)
        self.paths: list[str] = []
        self.stamps: list[int] = []
        self.rig: Rig

    async def send(self, request: Request, *, timeout_seconds: float) -> Response:
        self.paths.append(request.path)
        if request.path == "/v1/time":
            self.rig.clock.advance(self.seconds_there)
            answer = reply(f'{{"code":0,"time":{self.rig.clock.now_ms() + self.ahead_ms}}}')
            self.rig.clock.advance(self.seconds_back)
            await asyncio.sleep(0)
            return answer
        self.stamps.append(int(request.headers["acme-time"]))
        return self.answers.pop(0) if self.answers else reply()

    async def close(self) -> None:
        """Nothing to let go of."""


def timed(*answers: Response, plugin: Any = None) -> tuple[Rig, TimedWire]:
    wire = TimedWire(*answers)
    wire.rig = rig_on(wire, plugin or ClockedAcme())
    return wire.rig, wire


async def test_first_signature_uses_the_exchanges_time() -> None:
    """The clock is asked for before anything is signed, and once."""
    on, wire = timed()
    await on.read(ask(BALANCES, BALANCES))
    assert wire.paths == ["/v1/time", "/v1/balances", "/v1/balances"]
    assert wire.stamps == [START_MS + AHEAD_MS, START_MS + AHEAD_MS + 1]


async def test_public_request_does_not_ask_the_time() -> None:
    """Nothing is signed, so no clock is needed."""
    on = rig(plugin=ClockedAcme())
    await on.read(ask(Request.get("/v1/ticker", auth="none")))
    assert [sent.path for sent in on.wire.sent] == ["/v1/ticker"]


async def test_refused_timestamp_is_measured_again_before_the_next_signature() -> None:
    """A read refused for its time is repeated with the exchange's new time."""
    on, wire = timed(reply(), reply('{"code":1021}', 400))
    await on.read(ask(BALANCES))
    wire.ahead_ms = -AHEAD_MS
    await on.read(ask(BALANCES))
    assert wire.paths == ["/v1/time", "/v1/balances", "/v1/balances", "/v1/time", "/v1/balances"]
    assert wire.stamps[-1] == START_MS - AHEAD_MS


async def test_order_refused_for_its_time_is_measured_before_the_next_request_and_not_repeated() -> None:
    """The order ends refused; what is asked next is signed with the right time."""
    on, wire = timed(reply('{"code":1021}', 400))
    with pytest.raises(ClockSkew):
        await on.place()
    await on.read(ask(BALANCES))
    assert wire.paths == ["/v1/time", "/v1/orders", "/v1/time", "/v1/balances"]


@pytest.mark.parametrize(("wall_ms", "asks"), [(1_900, 1), (2_100, 2), (-2_100, 2), (-3_600_000, 2), (3_600_000, 2)])
async def test_stepped_wall_clock_is_measured_before_the_next_signature(wall_ms: int, asks: int) -> None:
    """A jump above two seconds changes no signed time: it is the exchange's, whatever ours does."""
    on, wire = timed()
    await on.read(ask(BALANCES))
    true_ms = on.clock.now_ms() + AHEAD_MS
    on.clock.set_wall(wall_ms)
    wire.ahead_ms = AHEAD_MS - wall_ms
    await on.read(ask(BALANCES))
    assert wire.paths.count("/v1/time") == asks
    assert abs(wire.stamps[-1] - true_ms) <= (1 if asks == 2 else 1_900)


async def test_wall_clock_set_back_without_a_server_time_is_followed() -> None:
    """An exchange that does not tell its time is signed for with ours, also after ours was put right."""
    on, wire = timed(plugin=Acme())
    on.clock.set_wall(3_600_000)
    await on.read(ask(BALANCES))
    on.clock.set_wall(-3_600_000)
    await on.read(ask(BALANCES))
    assert wire.stamps == [START_MS + 3_600_000, START_MS]


async def test_offset_is_taken_at_the_midpoint_of_the_call() -> None:
    """Half of a round trip is the error's bound, and a symmetric one has none."""
    on, wire = timed()
    wire.seconds_there = wire.seconds_back = 0.4
    await on.transport.measure_clock()
    assert on.transport.clock.offset_ms == AHEAD_MS


async def test_offset_leaves_out_the_wait_for_a_limit() -> None:
    """Waiting before the call is no part of the call."""

    class Limited(ClockedAcme):
        @hookimpl
        def server_time(self) -> Flow[int]:
            found = yield Request.get("/v1/time", auth="none", costs={"all": 1})
            return int(found.json()["time"])

    on, _ = timed(plugin=Limited(limits={"all": (Limit(1, 8),)}))
    await on.transport.measure_clock()
    await on.transport.measure_clock()
    assert (on.clock.monotonic(), on.transport.clock.offset_ms) == (8, AHEAD_MS)


async def test_many_waiting_for_the_time_ask_once() -> None:
    """A hundred requests at the start make one measurement."""
    on, wire = timed()
    await asyncio.gather(*(on.read(ask(BALANCES)) for _ in range(100)))
    assert wire.paths.count("/v1/time") == 1
    assert wire.stamps == sorted(set(wire.stamps))


async def test_exchange_that_does_not_tell_its_time_is_not_asked_before_every_signature() -> None:
    """A failed question is asked again after ten minutes, not each time: it would slow every order down."""
    on = rig(lambda request: OutcomeUnknown() if request.path == "/v1/time" else reply(), plugin=ClockedAcme())
    await on.read(ask(BALANCES, BALANCES))
    on.clock.advance(601)
    await on.read(ask(BALANCES))
    paths = [sent.path.removeprefix("/v1/") for sent in on.wire.sent]
    assert paths == ["time", "balances", "balances", "time", "balances"]


async def test_server_time_that_wants_a_signature_is_refused() -> None:
    """The time is public: a signed question for it would need the time."""

    class Circular(Acme):
        @hookimpl
        def server_time(self) -> Flow[int]:
            yield Request.get("/v1/time")
            return 0

    on, wire = timed(plugin=Circular())
    await on.read(ask(BALANCES))
    assert wire.paths == ["/v1/balances"]


UNTIL = START_MS + 120_000
PAUSES: list[tuple[Any, float]] = [
    (reply("<html>", 429), 1),
    (reply("<html>", 418), 120),
    (reply("<html>", 429, retry_after="90"), 90),
    (reply("<html>", 418, retry_after="259200"), 259_200),
    (reply('{"code":1429}', 429, retry_after="7"), 7),
    (reply("<html>", 429, retry_after="0"), 1),
    (reply("<html>", 429, retry_after="soon"), 1),
    (reply("<html>", 429, retry_after="²"), 1),
    (reply("<html>", 429, retry_after="-5"), 1),
    (reply("<html>", 429, retry_after=formatdate(START_MS / 1000 + 30, usegmt=True)), 30),
    (reply("<html>", 429, retry_after=formatdate(START_MS / 1000 - 30, usegmt=True)), 1),
    (reply("until", 400), 120),
    (reply("until", 200, retry_after="3"), 120),
    (reply("past", 400), 1),
]


class Banning(Acme):
    """Acme that says until when."""

    @hookimpl(tryfirst=True)
    def map_error(self, request: Request, response: Response) -> ExchangeError | None:
        if response.body in (b"until", b"past"):
            return RateLimited(until_ms=UNTIL if response.body == b"until" else START_MS - 1)
        return super().map_error(request, response)


@pytest.mark.parametrize(("answer", "seconds"), PAUSES)
async def test_ban_holds_back_every_user_for_as_long_as_was_said(answer: Response, seconds: float) -> None:
    """Nothing leaves for this exchange before the time is over, whoever asks, urgent or not; then it does."""
    on = rig(answer, reply(), plugin=Banning())
    with pytest.raises(ExchangeError):
        await on.read(ask(BALANCES))
    began, others = on.clock.monotonic(), [1, 8, 9]
    on.clock.advance(max(0, seconds - 11))
    for account in others:
        if seconds > 11:
            with pytest.raises(NotSent, match="Acme allows no more requests for 11 seconds"):
                await on.transport.run(ask(BALANCES), account_id=account, credentials=on.credentials, priority="urgent")
    assert len(on.wire.sent) == 1
    on.clock.advance(max(0, seconds - 0.5 - (on.clock.monotonic() - began)))
    for account in others:
        await on.transport.run(ask(BALANCES), account_id=account, credentials=on.credentials)
    assert on.clock.monotonic() - began == pytest.approx(seconds)
    assert len(on.wire.sent) == 4


async def test_bans_in_a_row_without_a_figure_double() -> None:
    """1, 2, 4 seconds and on to five minutes; one success starts again at one. Any number of them is survived."""
    on = rig(reply("<html>", 429))
    waits = []
    for _ in range(12):
        with pytest.raises(ExchangeError):
            await on.read(ask(BALANCES))
        waits.append(on.transport.limiter._closed_until - on.clock.monotonic())
        on.clock.advance(waits[-1])
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    on.wire.answers = [reply(), reply("<html>", 429)]
    await on.read(ask(BALANCES))
    with pytest.raises(ExchangeError):
        await on.read(ask(BALANCES))
    assert on.transport.limiter._closed_until - on.clock.monotonic() == 1
    on.transport.limiter._refusals = 5_000
    on.transport.limiter.pause(None)


async def test_one_ban_that_meets_many_requests_counts_once() -> None:
    """A hundred requests under way when a ban begins do not make it five minutes long."""
    together = asyncio.Barrier(100)

    class Crowded:
        async def send(self, request: Request, *, timeout_seconds: float) -> Response:
            await together.wait()
            return reply("<html>", 429)

    on = rig_on(Crowded())
    await asyncio.gather(*(on.read(ask(BALANCES)) for _ in range(100)), return_exceptions=True)
    with pytest.raises(NotSent):
        on.transport.limiter.check_pause()
    on.clock.advance(1)
    on.transport.limiter.check_pause()


async def test_hundred_users_under_a_ban_send_nothing_in_the_forbidden_time() -> None:
    """All share the address: the first ban is everybody's, and no one tries whether it still holds."""
    on = rig(reply("<html>", 429, retry_after="60"), reply())
    with pytest.raises(ExchangeError):
        await on.read(ask(BALANCES))

    async def user(account: int) -> list[str]:
        classes = []
        for flow in (ask(BALANCES), ask(place())):
            try:
                await on.transport.run(
                    flow, account_id=account, credentials=on.credentials, before_send=on.before_send, priority="urgent"
                )
            except (NotSent, PluginError) as error:
                classes.append(type(error).__name__)
        return classes

    found = await asyncio.gather(*(user(account) for account in range(100)))
    assert found == [["NotSent", "NotSent"]] * 100
    assert (len(on.wire.sent), on.departures) == (1, [])


class _Overtaking:
    """A wire on which the first request is slow: a second one overtakes it wherever the core lets it."""

    def __init__(self) -> None:
        self.arrived: list[int] = []
        self._is_first = True

    async def send(self, request: Request, *, timeout_seconds: float) -> Response:
        if self._is_first:
            self._is_first = False
            for _ in range(20):
                await asyncio.sleep(0)
        self.arrived.append(int(request.headers["acme-time"]))
        return reply()

    async def close(self) -> None:
        """Nothing to release."""


@pytest.mark.parametrize(("nonce", "in_order"), [("rising", True), ("window", False)])
async def test_rising_nonces_arrive_in_the_order_they_were_signed(nonce: str, in_order: bool) -> None:
    """Where timestamps must rise, an account's requests go one at a time; elsewhere they may overtake."""
    wire = _Overtaking()
    on = rig_on(wire, Acme(nonce=nonce))
    await asyncio.gather(on.read(ask(BALANCES)), on.read(ask(BALANCES)))
    assert (wire.arrived == sorted(wire.arrived)) is in_order


async def test_clock_that_jumps_while_a_request_waits_for_the_limits_is_measured_before_the_signature() -> None:
    """The wait may be ten seconds long, and a machine may be resumed within it."""
    on, wire = timed()
    await on.read(ask(BALANCES))
    acquire = on.transport.limiter.acquire

    async def slow(*arguments: Any, **how: Any) -> float:
        waited = await acquire(*arguments, **how)
        on.clock.set_wall(3_600_000)
        wire.ahead_ms -= 3_600_000
        on.transport.limiter.acquire = acquire  # type: ignore[method-assign]
        return waited + 10

    on.transport.limiter.acquire = slow  # type: ignore[method-assign]
    await on.read(ask(BALANCES))
    assert wire.paths == ["/v1/time", "/v1/balances", "/v1/time", "/v1/balances"]
    assert wire.stamps[-1] == START_MS + AHEAD_MS
