"""The first round after a start, orders that only the exchange knows, and a great many doubts at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from bot import ClientId, Limit, Response, UserError
from bot.accounts import people
from bot.accounts.vault import MasterKey, Vault
from bot.exchanges.limits import Limiter
from bot.trading.adoption import is_our_kind
from bot.trading.errors import InDoubt
from bot.trading.intent import Intent
from tests.trading.conftest import ANN, CHAT, Placed, Room, new_room

OURS = "t" + "a2" * 12 + "b"


def _foreign(client_id: str, symbol: str = "BTCUSDT", order_id: str = "x77") -> Placed:
    return Placed(order_id, client_id, symbol, "buy", "limit", "0.25", "50000", 0)


# The gate.


async def test_start_account_trades_only_after_its_own_first_round(room: Room) -> None:
    """Until then the card says so, Confirm is refused with that sentence, and the button is not spent."""
    await room.reconciler.begin()
    row = await room.propose()
    (data,) = room.show(row)
    sentence = (
        "The bot has just started and is still asking Acme about the orders of main. Confirm works once that has ended."
    )
    assert row.params["warnings"] == [sentence]
    with pytest.raises(UserError) as caught:
        await room.press(row, data)
    assert (str(caught.value), caught.value.code) == (sentence, "CHECKING")
    await room.live(1)
    assert (await room.press(row, data))[1].state == "confirmed"


@pytest.mark.parametrize("path", ["/open", "/find", "/order"])
async def test_start_gate_waits_for_every_answer(room: Room, path: str) -> None:
    """A list or an order that was not told yet keeps the gate shut, for as long as it takes, and not longer."""
    await room.placed()
    await room.placed("drop after", pair="ETH/USDT")
    again = room.restart()
    await again.reconciler.begin()
    again.exchange.broken[path] = "error"
    await again.live(200)
    during = again.reconciler.is_checking(again.account.id, "acme")
    del again.exchange.broken[path]
    await again.live(61)
    assert (during, again.reconciler.is_checking(again.account.id, "acme")) == (True, False)
    await again.close()


async def test_start_dead_exchange_blocks_only_itself(room: Room) -> None:
    """An account of an exchange that answers trades, whatever another does not say."""
    other = room.store.transact(lambda db: people.add_account(db, ANN, "acme", "play", room.clock.now_ms()))
    vault = Vault(room.store, MasterKey(bytes(range(32))), lambda _: None)
    room.store.transact(lambda db: vault.seal(db, other, {"key": "k", "secret": "s"}))
    room.store.transact(lambda db: people.set_paper(db, other.id, on=True))
    room.exchange.broken["/open"] = "error"
    await room.reconciler.begin()
    await room.live(5)
    checking = room.reconciler.is_checking
    assert (checking(room.account.id, "acme"), checking(other.id, "acme:paper")) == (True, False)
    row = await room.propose(account=msgspec.structs.replace(other, paper=True))
    assert (row.params["warnings"], (await room.confirmed(row)).state) == ([], "confirmed")


async def test_start_failure_that_is_no_answer_is_tried_again(room: Room) -> None:
    """A list that broke the code, and not only the wire, leaves the gate shut and is asked for again."""
    await room.reconciler.begin()

    async def broken(*_: object) -> None:
        raise ValueError("odd row")

    whole, room.gateway.open_orders = room.gateway.open_orders, broken  # type: ignore[method-assign,assignment]
    await room.live(3)
    assert room.reconciler.is_checking(room.account.id, "acme")
    room.gateway.open_orders = whole  # type: ignore[method-assign]
    await room.live(10)
    assert not room.reconciler.is_checking(room.account.id, "acme")


# Clocks.


@pytest.mark.parametrize(("seconds", "alive"), [(59, True), (60, False)])
async def test_preview_ends_by_the_monotonic_clock_when_the_wall_clock_goes_back(
    room: Room, seconds: float, alive: bool
) -> None:
    """A time server that steps the clock back by an hour makes no preview an hour long, and its card says so."""
    row = await room.propose()
    (data,) = room.show(row)
    room.clock.wall_ms -= 3_600_000
    room.clock.advance(seconds)
    found = await room.press(row, data)
    assert (found == "expired") is not alive
    await room.live(1)
    assert room.row(row).state == ("confirmed" if alive else "expired")


async def test_preview_ends_by_the_wall_clock_when_that_goes_forward(room: Room) -> None:
    """The earlier of the two clocks counts."""
    row = await room.propose()
    (data,) = room.show(row)
    room.clock.wall_ms += 60_000
    assert await room.press(row, data) == "expired"


async def test_preview_of_before_a_restart_ends_a_minute_after_it_at_the_latest(room: Room) -> None:
    """What the monotonic clock had counted is lost with the process; it counts anew, and not for longer."""
    row = await room.propose()
    (data,) = room.show(row)
    room.clock.wall_ms -= 3_600_000
    again = room.restart()
    await again.reconciler.begin()
    await again.live(60)
    assert (await again.press(row, data), again.row(row).state) == ("expired", "expired")
    await again.close()


async def test_confirmed_order_leaves_within_15_seconds_of_the_monotonic_clock(room: Room) -> None:
    """A wall clock stepped back between Confirm and sending does not let an old order out."""
    row = await room.confirmed()
    room.clock.wall_ms -= 3_600_000
    room.clock.advance(15)
    room.desk.send(row)
    await room.desk.drain()
    assert (room.row(row).state, room.exchange.placing) == ("not_placed", [])


# Adopted.


async def test_adopted_order_of_ours_without_a_row_is_external_and_only_its_owner_cancels_it(room: Room) -> None:
    """After an older backup: the order is shown, told in the private chat, left alone, and canceled on request."""
    room.exchange.orders.append(_foreign(OURS))
    await room.reconciler.begin()
    await room.live(1200, turn=30)
    row = room.row(1)
    kept = (row.state, row.external, row.client_order_id, row.exchange_order_id, row.user_id, row.chat_id)
    assert kept == ("open", True, OURS, "x77", ANN, ANN)
    assert (row.symbol, row.quantity, row.notional, row.order.price) == (
        "BTC/USDT",
        Decimal("0.25"),
        Decimal("12500.00"),
        Decimal(50000),
    )
    assert (room.history(row), room.exchange.asked.count("/cancel")) == (["adopted"], 0)
    assert room.sql("SELECT chat_id FROM outbox WHERE order_id=1")[0]["chat_id"] == ANN
    await room.desk.cancel(1, ANN)
    await room.desk.drain()
    await room.live(1)
    assert room.row(1).state == "canceled"


@pytest.mark.parametrize("client_id", ["", "web-1", "T" + OURS[1:], OURS + "a", OURS[:-1], OURS[:-1] + "1"])
async def test_adopted_is_no_order_of_somebody_else(room: Room, client_id: str) -> None:
    """What was placed elsewhere gets no row: it is listed, never touched."""
    room.exchange.orders.append(_foreign(client_id))
    await room.reconciler.begin()
    await room.live(2)
    assert room.sql("SELECT 1 FROM orders") == []


async def test_adopted_is_no_order_of_a_market_that_is_not_listed(room: Room) -> None:
    """Without the market's steps no row can be made; the gate opens all the same."""
    room.exchange.orders.append(_foreign(OURS, "XXXYYY"))
    await room.reconciler.begin()
    await room.live(2)
    assert (room.sql("SELECT 1 FROM orders"), room.reconciler.is_checking(room.account.id, "acme")) == ([], False)


@pytest.mark.parametrize(("text", "ours"), [("1", True), ("2147483646", True), ("2147483647", False), ("0", False)])
def test_adopted_counter_is_a_number_that_we_could_have_minted(text: str, ours: bool) -> None:
    """The exchange's own programs label every order with the largest number."""
    assert is_our_kind(ClientId(kind="counter"), text) is ours


async def test_adopted_are_not_orders_that_have_a_row(room: Room) -> None:
    """An order in doubt, one held to be absent and an open one are asked after, not adopted a second time."""
    doubt = await room.placed("drop after")
    await room.placed(pair="ETH/USDT")
    absent = await room.placed("drop before", side="sell")
    await room.settle()
    assert room.row(absent).state == "not_placed"
    late = {"client_id": absent.client_order_id, "symbol": "BTCUSDT", "side": "sell", "type": "limit"}
    room.exchange._take({**late, "quantity": "0.5", "price": "58000"}, 0)
    room.reconciler.sweep(room.account.id, "acme")
    await room.live(2)
    assert room.sql("SELECT count(*) AS n FROM orders")[0]["n"] == 3
    assert [room.row(row).state for row in (doubt, absent)] == ["open", "open"]
    assert room.sql("SELECT 1 FROM outbox WHERE order_id=? AND kind='order_news'", absent.id)


async def test_sweep_lists_open_orders_every_five_minutes_and_after_a_doubt(room: Room) -> None:
    """While orders live the list is compared now and then, after an unknown outcome at once, afterwards never."""
    await room.placed()
    await room.live(299)
    assert room.exchange.asked.count("/open") == 0
    await room.live(302)
    assert room.exchange.asked.count("/open") == 2
    await room.placed("drop after", pair="ETH/USDT")
    await room.live(1)
    assert room.exchange.asked.count("/open") == 3
    for order in room.exchange.orders:
        order.state = "canceled"
    await room.live(600)
    assert room.exchange.asked.count("/open") == 3


# A great many.


@pytest.mark.parametrize("doubts", [200, pytest.param(1_000, marks=pytest.mark.nightly)])
async def test_start_many_doubts_are_settled_in_bounded_time_within_the_limits(tmp_path: Path, doubts: int) -> None:
    """At most eight questions at a time, no second above the published limit, and all settled within two minutes."""
    room = new_room(tmp_path)
    row = await room.placed("drop after")
    template = dict(room.sql("SELECT * FROM orders WHERE id=?", row.id)[0])
    placed = room.exchange.orders[0]

    def copies(db: object) -> None:
        for number in range(2, doubts + 1):
            name = f"c{number}"
            values = {**template, "id": number, "client_order_id": name}
            marks = ",".join("?" * len(values))
            db.execute(f"INSERT INTO orders({','.join(values)}) VALUES ({marks})", tuple(values.values()))  # type: ignore[attr-defined]
            room.exchange.orders.append(replace(placed, id=f"y{number}", client_id=name))

    room.store.transact(copies)
    again = room.restart()
    await again.reconciler.begin()
    limiter = Limiter("Acme", {"orders": (Limit(20, 1),)}, again.clock)
    again.gateway.named("acme").transport.limiter = limiter
    seconds: Counter[int] = Counter()
    busy = [0, 0]
    send = again.exchange.send

    async def counted(request: object, *, timeout_seconds: float) -> Response:
        busy[0] += 1
        busy[1] = max(busy)
        seconds[int(again.clock.monotonic())] += request.path == "/find"  # type: ignore[attr-defined]
        try:
            return await send(request, timeout_seconds=timeout_seconds)  # type: ignore[arg-type]
        finally:
            busy[0] -= 1

    again.exchange.send = counted  # type: ignore[method-assign]
    began = again.clock.monotonic()
    while again.sql("SELECT 1 FROM orders WHERE state='unknown' LIMIT 1"):
        await again.reconciler.step()
        again.clock.advance(1)
    assert again.clock.monotonic() - began <= 120
    assert max(seconds.values()) <= 20 + 8  # eight are between limiter and wire when this clock is advanced
    assert (busy[1] <= 8, again.sql("SELECT count(*) AS n FROM orders WHERE state='open'")[0]["n"]) == (True, doubts)
    await again.close()


# In spite of a doubt.


async def test_doubt_blocks_until_its_owner_names_it(room: Room) -> None:
    """The refusal names the order; with it named, the preview warns of it and its Confirm sends it."""
    doubt = await room.placed("drop before")
    with pytest.raises(InDoubt, match=rf"Order #{doubt.id} \(buy BTC/USDT\) is still in doubt") as caught:
        await room.propose()
    assert (caught.value.order_ids, caught.value.code) == ((doubt.id,), "IN_DOUBT")
    row = await room.desk.propose(room.account, Intent.from_json(doubt.intent), chat_id=CHAT, despite=[doubt.id])
    assert row.params["warnings"] == [f"Order #{doubt.id} may exist as well: then this one comes on top of it."]
    row = await room.confirmed(row)
    room.desk.send(row)
    await room.desk.drain()
    assert (room.row(row).state, row.despite) == ("open", frozenset({doubt.id}))


async def test_doubt_that_arose_later_blocks_though_another_was_named(room: Room) -> None:
    """What its owner did not name is not accepted: two doubts are two."""
    first = await room.placed("drop before")
    intent = Intent.from_json(first.intent)
    second = await room.desk.propose(room.account, intent, chat_id=CHAT, despite=[first.id])
    third = await room.desk.propose(room.account, intent, chat_id=CHAT, despite=[first.id])
    second = await room.confirmed(second)
    room.exchange.faults.append("drop before")
    room.desk.send(second)
    await room.desk.drain()
    with pytest.raises(InDoubt, match=f"#{second.id}"):
        await room.confirmed(third)
    with pytest.raises(InDoubt, match="are still in doubt: they may exist"):
        await room.propose()
