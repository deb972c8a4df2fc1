"""A plugin that does something else with an order, or says something else of it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bot import (
    Account,
    BotError,
    ExchangeError,
    Flow,
    InsufficientFunds,
    Order,
    OrderAck,
    OrderReport,
    OutcomeUnknown,
    UserError,
    hookimpl,
)
from bot.contract.errors import PluginError
from bot.trading.evidence import is_same
from tests.exchanges.acme import ACCOUNT, ORDER, Acme, ListedWire, place, reply, rig, rig_on
from tests.exchanges.hostile.conftest import Check, asks, proof, refuses
from tests.trading import conftest as trading

CONTAINED: dict[str, Check] = {}
contained = partial(proof, CONTAINED)


@contained("calls a timeout a refusal")
async def _(directory: Path) -> None:
    def lies() -> Flow[OrderAck]:
        try:
            yield place()
        except ExchangeError as error:
            raise InsufficientFunds from error
        raise AssertionError

    with pytest.raises(OutcomeUnknown, match="no answer"):
        await rig(OutcomeUnknown("no answer")).place(lies())


@contained("calls a timeout a success")
async def _(directory: Path) -> None:
    def lies() -> Flow[OrderAck]:
        with suppress(BotError):
            yield place()
        return OrderAck("42", "t1")

    with pytest.raises(OutcomeUnknown, match="no answer"):
        await rig(OutcomeUnknown("no answer")).place(lies())


@contained("places twice")
async def _(directory: Path) -> None:
    on = rig(reply())
    with pytest.raises(OutcomeUnknown, match="tried to place an order where it may not"):
        await on.place(asks(place(), place("t2")))
    assert len(on.wire.sent) == 1


@contained("places while it is asked to read")
async def _(directory: Path) -> None:
    await refuses(place(), "tried to place an order where it may not")


@contained("changes the order that it is given")
async def _(directory: Path) -> None:
    class Changes(Acme):
        @hookimpl
        def place_order(self, order: Order) -> Flow[OrderAck]:
            order.price = Decimal(1)  # type: ignore[misc]
            yield place()
            raise AssertionError

    on = rig(plugin=Changes())
    with pytest.raises(PluginError, match="FrozenInstanceError"):
        await on.place()
    assert (ORDER.price, on.wire.sent) == (Decimal(60_000), [])


@contained("acknowledges another order than the one it was given")
async def _(directory: Path) -> None:
    for number, ack in enumerate((OrderAck("x9", "another"), OrderAck("", "ours"), None, "x9")):

        class Mistaken(trading.Acme):
            @hookimpl
            def place_order(self, order: Order, ack: Any = ack) -> Flow[OrderAck]:
                yield from super().place_order(order)
                ours = isinstance(ack, OrderAck) and ack.client_order_id == "ours"
                return replace(ack, client_order_id=order.client_order_id) if ours else ack

        (directory / str(number)).mkdir()
        room = trading.new_room(directory / str(number), kind=Mistaken)
        try:
            row = await room.placed()
            assert (row.state, row.exchange_order_id) == ("unknown", "")
            assert "acknowledged another order" in row.reason
        finally:
            await room.close()


@contained("reports another order as ours: symbol, side, size, price or id")
async def _(directory: Path) -> None:
    room = trading.new_room(directory)
    try:
        row = await room.placed()
        order = row.order
        honest = OrderReport(
            exchange_order_id="x1",
            client_order_id=order.client_order_id,
            exchange_symbol=order.market.exchange_symbol,
            side=order.side,
            type=order.type,
            state="filled",
            filled=order.size.amount,
            quantity=order.size.amount,
            price=order.price,
        )
        doubtful = msgspec.structs.replace(row, exchange_order_id="")
        changes: list[dict[str, Any]] = [
            {"client_order_id": "another"},
            {"exchange_symbol": "ETHUSDT"},
            {"side": "sell"},
            {"quantity": order.size.amount * 2},
            {"price": Decimal(1)},
        ]
        found = [is_same(doubtful, replace(honest, **each), offset_ms=0) for each in ({}, *changes)]
        assert found == [True, *[False] * len(changes)]
    finally:
        await room.close()


@contained("keeps a guard's veto from holding")
async def _(directory: Path) -> None:
    class Guard:
        @hookimpl(wrapper=True)
        def place_order(self, account: Account, order: Order) -> Generator[None, Flow[OrderAck], Flow[OrderAck]]:
            raise UserError("not here")
            return (yield)

    class First(Acme):
        @hookimpl(tryfirst=True)
        def place_order(self, order: Order) -> Flow[OrderAck]:
            raise AssertionError("was asked")

    on = rig_on(ListedWire([reply()]), First(), [Guard()])
    with pytest.raises(UserError, match="not here"):
        on.transport.flow("place_order", account=ACCOUNT, order=ORDER)


@pytest.mark.parametrize("behaviour", CONTAINED)
async def test_hostile_plugin_is_contained(behaviour: str, tmp_path: Path) -> None:
    """What the plugin tries has no effect outside its own exchange, and ends in a sentence."""
    await CONTAINED[behaviour](tmp_path)
