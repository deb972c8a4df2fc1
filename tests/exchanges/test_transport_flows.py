"""What a plugin may do about its own order: interpret a proved refusal, and nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from bot import (
    ExchangeError,
    Flow,
    InsufficientFunds,
    NotSent,
    OrderAck,
    OutcomeUnknown,
    Rejected,
    Request,
    Response,
    UserError,
    hookimpl,
)
from bot.contract.errors import BotError, PluginError
from tests.exchanges.acme import BALANCES, Acme, place, reply, rig

ACK = OrderAck("42", "t1")
REFUSED = reply('{"code":1001}', 400)


@pytest.mark.parametrize("first", [reply(), REFUSED], ids=["accepted", "refused"])
async def test_placing_twice_in_one_flow_is_refused(first: Response) -> None:
    """One confirmed order makes one placing request, even where the first was surely refused."""

    def flow() -> Flow[OrderAck]:
        with suppress(InsufficientFunds):
            yield place()
        yield place()
        return ACK

    on = rig(first, reply())
    with pytest.raises(OutcomeUnknown if first.status == 200 else PluginError) as raised:
        await on.place(flow())
    assert "tried to place an order where it may not: POST /v1/orders" in str(raised.value)
    assert len(on.wire.sent) == 1


def _returns() -> Flow[OrderAck]:
    with suppress(BotError):
        yield place()
    return ACK


def _asks_on() -> Flow[OrderAck]:
    try:
        yield place()
    except BotError:
        yield BALANCES
    return ACK


def _claims_rejected() -> Flow[OrderAck]:
    try:
        yield place()
    except BotError as error:
        raise InsufficientFunds from error
    return ACK


def _will_not_close() -> Flow[OrderAck]:
    while True:
        with suppress(BaseException):
            yield place()


def _fails_to_close() -> Flow[OrderAck]:
    try:
        yield place()
    finally:
        raise KeyError("late")


STUBBORN = [_returns, _asks_on, _claims_rejected, _will_not_close, _fails_to_close]


@pytest.mark.parametrize("flow", STUBBORN)
@pytest.mark.parametrize("failure", [OutcomeUnknown("silence"), NotSent("down")])
async def test_flow_cannot_catch_a_doubt_about_its_order(
    flow: Callable[[], Flow[OrderAck]], failure: ExchangeError
) -> None:
    """Whatever a flow does about it, the caller hears what the wire said, and nothing more is sent."""
    on = rig(failure)
    with pytest.raises(type(failure)) as raised:
        await on.place(flow())
    assert raised.value is failure
    assert len(on.wire.sent) == 1
    assert on.transport.last_error == str(failure)


@pytest.mark.parametrize("failure", [OutcomeUnknown("silence"), KeyError("a defect of the core")])
async def test_flow_that_cannot_go_on_is_closed(failure: Exception) -> None:
    """Whoever holds on to it: its own `finally` is not left for later."""
    flow = _asks_on()
    with pytest.raises(type(failure)):
        await rig(failure).place(flow)
    assert inspect.getgeneratorstate(flow) == inspect.GEN_CLOSED


async def test_flow_may_catch_a_refusal_of_its_order() -> None:
    """A proved refusal is the plugin's to interpret."""

    def flow() -> Flow[str]:
        try:
            yield place()
        except Rejected as refusal:
            yield BALANCES
            return refusal.code
        return ""

    on = rig(REFUSED, reply())
    assert await on.place(flow()) == "1001"


@pytest.mark.parametrize("answer", [reply(), REFUSED, OutcomeUnknown("silence"), NotSent("down")])
async def test_guard_sees_how_an_order_ended(answer: Any) -> None:
    """Also where the flow has no say: a guard that watches the run is shown the doubt."""
    seen: list[str] = []

    class Audit:
        @hookimpl(wrapper=True)
        def place_order(self) -> Any:
            return self.watched((yield))

        def watched(self, flow: Flow[OrderAck]) -> Flow[OrderAck]:
            try:
                ack = yield from flow
            except ExchangeError as error:
                seen.append(type(error).__name__)
                raise
            seen.append(ack.exchange_order_id)
            return ack

    on = rig(answer, guards=[Audit()])
    ended = "42"
    try:
        await on.place()
    except ExchangeError as error:
        ended = type(error).__name__
    assert seen == [ended]


@pytest.mark.parametrize(
    "failure", [UserError("no"), InsufficientFunds("no"), NotSent("no"), KeyError("no"), SystemExit()], ids=repr
)
async def test_failure_after_the_order_was_taken_is_a_doubt(failure: BaseException) -> None:
    """Once the exchange took the order, nothing that follows may call it refused."""

    def flow() -> Flow[OrderAck]:
        yield place()
        raise failure

    on = rig()
    with pytest.raises(OutcomeUnknown):
        await on.place(flow())
    assert len(on.wire.sent) == 1


@pytest.mark.parametrize("answer", [REFUSED, NotSent("down"), OutcomeUnknown("silence"), reply("<html>")])
async def test_read_failing_after_the_order_was_taken_is_a_doubt(answer: Any) -> None:
    """A refused read says nothing about the order before it."""

    def flow() -> Flow[OrderAck]:
        yield place()
        yield BALANCES
        return ACK

    with pytest.raises(OutcomeUnknown):
        await rig(reply(), answer).place(flow())


async def test_flow_asking_on_for_ever_after_its_order_was_taken_is_a_doubt() -> None:
    """The limit of requests ends the flow, and does not say that nothing was placed."""

    def flow() -> Flow[OrderAck]:
        yield place()
        while True:
            yield BALANCES

    on = rig()
    with pytest.raises(OutcomeUnknown, match="Acme took the order, then: The Acme plugin asked for more than 20"):
        await on.place(flow())
    assert len(on.wire.sent) == 20


@pytest.mark.parametrize("crash", [KeyError("id"), SystemExit()], ids=repr)
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
async def test_plugin_crashing_around_its_order_is_classed_by_what_was_sent(crash: BaseException, before: bool) -> None:
    """Before the order left nothing was placed; after it nobody can tell."""

    def flow() -> Flow[OrderAck]:
        yield BALANCES
        if not before:
            yield place()
        raise crash

    with pytest.raises(PluginError if before else OutcomeUnknown) as raised:
        await rig().place(flow())
    assert ("Nothing was placed" in str(raised.value)) is before or not before


async def test_plugin_crashing_over_a_refusal_of_its_order_is_a_doubt() -> None:
    """Its order left, and a plugin that crashed is no witness."""

    def flow() -> Flow[OrderAck]:
        try:
            yield place()
        except InsufficientFunds:
            raise KeyError("x") from None
        return ACK

    with pytest.raises(OutcomeUnknown, match="Acme's reply could not be understood"):
        await rig(REFUSED).place(flow())


@pytest.mark.parametrize("crash", [KeyError, SystemExit])
async def test_map_error_crashing_over_an_order_is_a_doubt(crash: type[BaseException]) -> None:
    """A reply that the plugin cannot read proves nothing, whatever its status."""

    class Broken(Acme):
        @hookimpl
        def map_error(self, request: Request, response: Response) -> ExchangeError | None:
            raise crash

    on = rig(reply(status=400), plugin=Broken())
    with pytest.raises(OutcomeUnknown):
        await on.place()
    assert len(on.wire.sent) == 1


@pytest.mark.parametrize("verdict", [NotSent("I say so"), ExchangeError("hm"), UserError("no")])
async def test_map_error_cannot_say_that_an_order_never_left(verdict: Exception) -> None:
    """A reply came, so it did leave: only a documented refusal counts."""

    class Bold(Acme):
        @hookimpl
        def map_error(self, request: Request, response: Response) -> Any:
            return verdict

    with pytest.raises(OutcomeUnknown):
        await rig(plugin=Bold()).place()
