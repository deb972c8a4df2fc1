"""Placing an order: one request, committed before it leaves, and classed by proof alone."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import httpx
import pytest
import stamina

from bot import (
    Capabilities,
    ClockSkew,
    Credentials,
    ExchangeError,
    Flow,
    Limit,
    NotSent,
    OrderAck,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Request,
    Response,
    UserError,
    hookimpl,
)
from bot.contract.errors import BotError
from bot.exchanges.http import HttpWire
from bot.exchanges.limits import MustWait
from bot.exchanges.transport import Departure
from tests.exchanges.acme import ACCOUNT, BALANCES, INFO, ORDER, Acme, ClockedAcme, Rig, place, reply, rig, rig_on
from tests.fakes import START_MS

ACK = OrderAck("42", "t1")
REFUSED = reply('{"code":1001}', 400)
HASH = hashlib.sha256(b'POST /v1/orders\n{"clientId":"t1"}').hexdigest()


@pytest.fixture(autouse=True)
def generous_retries() -> Any:
    """Nothing but the code itself holds a placing request to one attempt."""
    with stamina.set_testing(True, attempts=10, cap=True):
        yield


async def test_placing_is_committed_after_signing_and_before_the_first_byte() -> None:
    """What is committed names the signed bytes and the end of their validity; only then do they leave."""
    events: list[object] = []

    class Watched(Acme):
        @hookimpl
        def sign(self, request: Request, credentials: Credentials, timestamp: int) -> Request:
            events.append("signed")
            return request.with_query({"time": timestamp})

    def sent(request: Request) -> Response:
        events.append("sent")
        return reply()

    async def commit(departure: Departure) -> None:
        await asyncio.sleep(0)
        events.append(departure)

    on = rig(sent, plugin=Watched())
    assert await on.place(before_send=commit) == ACK
    signed = f'POST /v1/orders?time={START_MS}\n{{"clientId":"t1"}}'.encode()
    departure = Departure(hashlib.sha256(signed).hexdigest(), START_MS + 35_000)
    assert events == ["signed", departure, "sent"]


async def test_placing_without_a_documented_window_has_no_end() -> None:
    """An exchange that documents no validity gives no deadline to count from."""
    on = rig(plugin=Acme(capabilities=Capabilities(absence_seconds=None)))
    await on.place()
    assert on.departures == [Departure(HASH, None)]


async def test_placing_commits_for_the_placing_request_alone() -> None:
    """Reads before and after it are not committed as sent."""

    def flow() -> Flow[str]:
        yield BALANCES
        yield place()
        yield BALANCES
        return "done"

    on = rig()
    assert await on.place(flow()) == "done"
    assert (len(on.wire.sent), on.departures) == (3, [Departure(HASH, START_MS + 1 + 35_000)])


@pytest.mark.parametrize(
    "failure", [UserError("halted"), NotSent("too late"), OSError("disk full"), OutcomeUnknown("?")]
)
async def test_placing_not_committed_is_not_sent(failure: Exception) -> None:
    """What `before_send` raises ends the flow as it is, and not one byte leaves."""

    def flow() -> Flow[OrderAck]:
        try:
            yield place()
        except BotError:
            return ACK
        return ACK

    async def refuse(departure: Departure) -> None:
        raise failure

    on = rig()
    with pytest.raises(type(failure)) as raised:
        await on.place(flow(), refuse)
    assert raised.value is failure
    assert on.wire.sent == []


def httpx_errors() -> list[Exception]:
    """One of every exception that httpx exports."""
    kinds = [getattr(httpx, name) for name in httpx.__all__]
    made: list[Exception] = []
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            continue
        if kind is httpx.HTTPStatusError:
            request = httpx.Request("GET", "https://acme.example")
            made.append(kind("x", request=request, response=httpx.Response(500)))
        elif issubclass(kind, httpx.StreamError) and kind is not httpx.StreamError:
            made.append(kind())  # type: ignore[call-arg]
        else:
            made.append(kind("x"))
    return made


NEVER_LEFT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol"}
OTHERS = [OSError("x"), RuntimeError("x"), ValueError("x"), TimeoutError()]


@pytest.mark.parametrize("places", [True, False], ids=["order", "read"])
@pytest.mark.parametrize("error", [*httpx_errors(), *OTHERS], ids=lambda error: type(error).__name__)
async def test_network_failure_is_not_sent_only_where_that_is_proved(error: Exception, places: bool) -> None:
    """Every exception that httpx exports, and any other, has one class; an order is tried once, a read three times."""
    tries = 0

    def fail(request: httpx.Request) -> httpx.Response:
        nonlocal tries
        tries += 1
        raise error

    def flow() -> Flow[None]:
        yield place() if places else BALANCES

    on = rig_on(HttpWire("Acme", INFO.hosts, transport=httpx.MockTransport(fail)))
    with pytest.raises(ExchangeError) as raised:
        await on.place(flow())
    assert type(raised.value) is (NotSent if type(error).__name__ in NEVER_LEFT else OutcomeUnknown)
    assert raised.value.detail == type(error).__name__
    assert tries == (1 if places else 3)


def test_httpx_exports_the_exceptions_that_are_tested() -> None:
    """The list above is not empty, and holds those that prove that nothing left."""
    names = {type(error).__name__ for error in httpx_errors()}
    assert len(names) > 25
    assert names > NEVER_LEFT


BODIES = {"listed": '{"code":1001}', "ok": '{"code":0,"id":"42"}', "unknown": '{"code":77}', "unreadable": "<html>"}


@pytest.mark.parametrize("body", BODIES)
async def test_reply_of_any_status_is_rejected_only_where_that_is_listed(body: str) -> None:
    """Of every HTTP status, only the listed pair refuses and only the documented success accepts; one request each."""
    classes: dict[int, str] = {}
    for status in range(200, 600):
        on = rig(reply(BODIES[body], status))
        try:
            classes[status] = type(await on.place()).__name__
        except ExchangeError as error:
            classes[status] = type(error).__name__
        assert len(on.wire.sent) == 1
    expected = dict.fromkeys(range(200, 600), "OutcomeUnknown")
    expected |= {400: "InsufficientFunds"} if body == "listed" else {}
    expected |= {200: "OrderAck"} if body == "ok" else {}
    assert classes == expected


@pytest.mark.parametrize("kind", [ClockSkew, RateLimited])
async def test_placing_refused_for_the_moment_is_not_repeated(kind: type[Rejected]) -> None:
    """A read would be tried again; an order never is."""
    codes = {ClockSkew: reply('{"code":1021}', 400), RateLimited: reply('{"code":1429}', 429)}
    on = rig(codes[kind])
    with pytest.raises(kind):
        await on.place()
    assert len(on.wire.sent) == 1


async def test_order_over_the_limit_is_neither_committed_nor_sent() -> None:
    """The limiter refuses before the journal hears of it."""
    on = rig(plugin=Acme(limits={"all": (Limit(1, 60),)}))
    await on.place()
    with pytest.raises(NotSent) as raised:
        await on.place()
    assert (str(raised.value), raised.value.code) == ("Acme allows no more requests for 60 seconds", "RATE_LIMIT")
    assert (len(on.departures), len(on.wire.sent)) == (1, 1)


async def test_order_overtaken_by_a_pause_is_not_sent() -> None:
    """A ban that begins while the order is being committed holds it back."""

    async def banned_meanwhile(departure: Departure) -> None:
        on.transport.limiter.pause(30)

    on = rig()
    with pytest.raises(NotSent, match="allows no more requests for 30 seconds"):
        await on.place(before_send=banned_meanwhile)
    assert on.wire.sent == []


async def test_order_cancelled_under_way_was_sent_once_and_stays_unclassed() -> None:
    """A cancelled task is no answer: the caller hears of the cancellation and its journal still says sending."""
    under_way = asyncio.Event()

    class Silent:
        sent = 0

        async def send(self, request: Request, *, timeout_seconds: float) -> Response:
            self.sent += 1
            under_way.set()
            return await asyncio.Future()

    on = rig_on(Silent())
    task: asyncio.Task[OrderAck] = asyncio.create_task(on.place())
    await under_way.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (on.wire.sent, len(on.departures)) == (1, 1)


@pytest.mark.parametrize("answer", [NotSent("down"), OutcomeUnknown("silence", transient=True), reply("<html>", 500)])
async def test_order_goes_out_though_the_clock_cannot_be_measured(answer: Any) -> None:
    """Without the exchange's time ours has to do."""

    def by_path(request: Request) -> Any:
        return answer if request.path == "/v1/time" else reply()

    on = rig(by_path, plugin=ClockedAcme())
    assert await on.place() == ACK
    assert [departure.request_hash for departure in on.departures] == [HASH]
    assert on.transport.clock.offset_ms is None


@pytest.mark.parametrize("crash", [KeyError("x"), SystemExit(), None], ids=repr)
@pytest.mark.parametrize("at_once", [True, False])
async def test_order_goes_out_though_server_time_is_broken(crash: BaseException | None, at_once: bool) -> None:
    """Nor does a plugin that fails to tell the time, or tells nonsense, stop an order."""

    def flow() -> Flow[Any]:
        yield Request.get("/v1/time", auth="none")
        if crash:
            raise crash
        return "noon"

    class Broken(Acme):
        @hookimpl
        def server_time(self) -> Flow[int]:
            if at_once and crash:
                raise crash
            return flow()

    on = rig(plugin=Broken())
    assert (
        await on.transport.run(
            on.hook.place_order(account=ACCOUNT, order=ORDER),
            credentials=on.credentials,
            before_send=on.before_send,
        )
        == ACK
    )


async def _used_up(on: Rig) -> None:
    await on.place()


async def _paused(on: Rig) -> None:
    on.transport.limiter.pause(1)


async def _time_unknown(on: Rig) -> None:
    on.transport.clock.distrust()


async def _turn_taken(on: Rig) -> None:
    await on.transport._turns[7].acquire()


async def _nothing(on: Rig) -> None:
    """Nothing is in the way."""


def _asks_first() -> Flow[OrderAck]:
    yield BALANCES
    yield place()
    return ACK


OBSTACLES = {"limit": _used_up, "pause": _paused, "clock": _time_unknown, "turn": _turn_taken, "answer": _nothing}


@pytest.mark.parametrize("obstacle", OBSTACLES)
async def test_order_that_may_not_wait_ends_where_it_would_have_to(obstacle: str) -> None:
    """For a limit, a pause, the exchange's time, another request of the account, or an answer. No key is opened."""
    on = rig(plugin=ClockedAcme(limits={"all": (Limit(1, 5),)}, nonce="rising"))
    on.transport.clock.rest()
    await OBSTACLES[obstacle](on)
    before = [*on.wire.sent], [*on.departures], on.opened, on.clock.monotonic()
    with pytest.raises(MustWait):
        await on.place(_asks_first() if obstacle == "answer" else None, may_wait=False)
    assert (on.wire.sent, on.departures, on.opened, on.clock.monotonic()) == before


async def test_order_that_may_not_wait_leaves_where_nothing_is_in_the_way() -> None:
    """Also where its turn had to be taken."""
    on = rig(plugin=ClockedAcme(limits={"all": (Limit(1, 5),)}, nonce="rising"))
    on.transport.clock.rest()
    assert await on.place(may_wait=False) == ACK
    assert [each.path for each in on.wire.sent] == ["/v1/orders"]


async def test_order_that_left_at_once_may_wait_for_what_it_asks_then() -> None:
    """Once it has left nobody waits for it any more, and to give up would leave it in doubt."""

    def flow() -> Flow[OrderAck]:
        yield place()
        yield Request.get("/v1/balances", costs={"all": 1})
        return ACK

    on = rig(plugin=Acme(limits={"all": (Limit(1, 5),)}))
    on.transport.clock.rest()
    assert await on.place(flow(), may_wait=False) == ACK
    assert ([each.path for each in on.wire.sent], on.clock.monotonic()) == (["/v1/orders", "/v1/balances"], 5)
