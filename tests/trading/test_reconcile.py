from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from bot import Fill, OutcomeUnknown, Request, Response
from bot.trading import queries
from bot.trading.orders import OrderRow
from tests.trading.conftest import ANN, Blind, Room, new_room

DAY_SECONDS = 86_400


async def ask(room: Room, row: OrderRow, *, at_ms: int | None = None) -> OrderRow:
    """Let the reconciler ask once, at that time, and return the order afterwards."""
    if at_ms is not None:
        room.clock.advance((at_ms - room.clock.now_ms()) / 1000)
    await room.reconciler.check(room.row(row))
    return room.row(row)


async def doubtful(room: Room) -> tuple[OrderRow, int]:
    """Return an order that never arrived, and the first moment at which a miss may count."""
    row = await room.placed("drop before")
    assert row.window_ends_ms is not None
    return row, row.window_ends_ms + 5_001


# Where no machine can know.


async def test_no_window_never_ends_by_itself(vague: Room) -> None:
    """Without a documented window a day of clean misses proves nothing: a person has to look."""
    row = await vague.placed("drop before")
    await vague.live(DAY_SECONDS, turn=60)
    assert vague.row(row).state == "needs_human"


async def test_no_window_asks_a_person_after_120_seconds_and_three_misses(vague: Room) -> None:
    """Three misses are not enough before two minutes, nor are two minutes without three misses."""
    row = await vague.placed("drop before")
    assert row.sent_ms is not None
    states = []
    for seconds in (10, 20, 30, 119.999, 125):
        now = await ask(vague, row, at_ms=row.sent_ms + round(seconds * 1000))
        states.append((now.misses, now.state))
    assert states == [(1, "unknown"), (2, "unknown"), (3, "unknown"), (4, "unknown"), (5, "needs_human")]


async def test_no_window_two_misses_after_120_seconds_still_wait(vague: Room) -> None:
    """An exchange that was down for two minutes gets its three clean questions first."""
    row = await vague.placed("drop before")
    assert row.sent_ms is not None
    vague.exchange.reads = ["error"] * 3
    states = []
    for seconds in (50, 100, 150, 200, 206, 212):
        now = await ask(vague, row, at_ms=row.sent_ms + seconds * 1000)
        states.append((now.misses, now.state))
    assert states == [(0, "unknown")] * 3 + [(1, "unknown"), (2, "unknown"), (3, "needs_human")]


async def test_needs_human_order_that_turns_up_is_open(vague: Room) -> None:
    """The machine keeps looking while it waits for a person."""
    row = await vague.placed("drop before")
    await vague.live(200)
    assert vague.row(row).state == "needs_human"
    vague.exchange._take(body_of(row), 0)
    await vague.live(61)
    assert vague.row(row).state == "open"


async def test_needs_human_closed_by_hand_is_watched_on(vague: Room) -> None:
    """A person may be wrong: what they closed is adopted if it turns up after all."""
    row = await vague.placed("drop before")
    await vague.live(200)
    await vague.desk.settle_by_hand(row.id, ANN)
    closed = vague.row(row).state
    vague.exchange._take(body_of(row), 0)
    await vague.live(601)
    assert (closed, vague.row(row).state, vague.row(row).late) == ("not_placed", "open", True)


async def test_order_closed_by_hand_without_a_clean_look_is_watched_on(room: Room) -> None:
    """Also one of which the exchange could not tell whether it was there: no look counted as a miss."""
    row = await room.placed("drop before")
    find = room.gateway.find_order

    async def unsure(*_: object) -> None:
        raise OutcomeUnknown("2 orders like this one", code="AMBIGUOUS")

    room.gateway.find_order = unsure  # type: ignore[method-assign,assignment]
    await room.live(130)
    await room.desk.settle_by_hand(row.id, ANN)
    closed = room.row(row)
    room.gateway.find_order = find  # type: ignore[method-assign]
    room.exchange._take(body_of(row), 0)
    await room.live(601)
    assert (closed.state, closed.misses) == ("not_placed", 0)
    assert (room.row(row).state, room.row(row).late) == ("open", True)


@pytest.mark.parametrize(("code", "state"), [("AMBIGUOUS", "needs_human"), ("WHAT", "unknown")])
async def test_exchange_that_cannot_tell_which_leaves_it_to_a_person(room: Room, code: str, state: str) -> None:
    """Several orders that could be it: no later look will tell; after two minutes the owner decides."""
    row = await room.placed("drop before")

    async def unsure(*_: object) -> None:
        raise OutcomeUnknown("2 orders like this one", code=code)

    room.gateway.find_order = unsure  # type: ignore[method-assign,assignment]
    await room.live(130)
    assert room.row(row).state == state


@pytest.mark.parametrize(("told", "fee"), [(2, Decimal(30)), (1, None)])
async def test_fee_told_only_by_the_fills_is_on_the_card(room: Room, told: int, fee: Decimal | None) -> None:
    """A report without a fee gets that of its fills, if they add up to what the report says was filled."""
    row = await room.placed()
    fill = Fill(
        trade_id="0",
        exchange_order_id="x1",
        exchange_symbol="BTCUSDT",
        side="buy",
        price=Decimal(60_000),
        quantity=Decimal("0.25"),
        fee=Decimal(15),
        fee_asset="USDT",
        is_maker=True,
        at_ms=0,
    )

    async def fills(*_: object) -> list[Fill]:
        mine = [replace(fill, trade_id=str(each)) for each in range(told)]
        return [*mine, *mine, replace(fill, exchange_order_id="x9")]

    room.gateway.fills = fills  # type: ignore[method-assign,assignment]
    room.exchange.fill("0.5")
    now = await ask(room, row)
    assert (now.filled, now.fee) == (Decimal("0.5"), fee)


async def test_exchange_that_cannot_be_asked_leaves_it_to_a_person(tmp_path: Path) -> None:
    """A plugin without `find_order` cannot settle a doubt; after two minutes the owner may."""
    room = new_room(tmp_path, kind=Blind)
    row = await room.placed("drop after")
    await room.live(119)
    early = room.row(row).state
    await room.live(61)
    assert (early, room.row(row).state, room.row(row).misses) == ("unknown", "needs_human", 0)
    await room.close()


# Found late.


@pytest.mark.parametrize(
    ("hours", "state", "late"), [(1, "open", True), (23.8, "open", True), (24.2, "not_placed", False)]
)
async def test_late_order_is_adopted_within_a_day(room: Room, hours: float, state: str, late: bool) -> None:
    """An order proved absent is watched for 24 hours, and taken over if it turns up after all."""
    row = await room.placed("drop before")
    await room.settle()
    assert room.row(row).state == "not_placed"
    room.clock.advance(hours * 3600 - 60)
    room.exchange._take(body_of(row), 0)
    await room.live(1200, turn=60)
    now = room.row(row)
    assert (now.state, now.late) == (state, late)


async def test_late_watch_is_for_what_may_have_arrived_only(room: Room) -> None:
    """An order that surely never left is not asked after."""
    await room.placed("unreachable")
    await room.live(700)
    assert "/find" not in room.exchange.asked


async def test_late_order_is_followed_to_its_end(room: Room) -> None:
    """After its adoption it is an order like any other."""
    row = await room.placed("drop before")
    await room.settle()
    room.exchange._take(body_of(row), 0)
    await room.live(601)
    room.exchange.fill()
    await room.live(30)
    assert (room.row(row).state, room.row(row).filled) == ("filled", Decimal("0.5"))


# Another order under our name.


def body_of(row: OrderRow, **other: str) -> dict[str, str]:
    names = ("side", "type", "price")
    body = {"client_id": row.client_order_id, "symbol": "BTCUSDT", "quantity": row.params["size"]}
    return body | {name: row.params[name] for name in names} | other


@pytest.mark.parametrize("other", [{"side": "sell"}, {"price": "58000.01"}, {"quantity": "0.6"}, {"symbol": "ETHUSDT"}])
async def test_report_of_another_order_is_not_adopted(room: Room, other: dict[str, str]) -> None:
    """An id that is only a label may name somebody else's order: it is neither taken over, nor is it a miss."""
    row = await room.placed("drop before")
    room.exchange._take(body_of(row, **other), 0)
    await room.live(60)
    now = room.row(row)
    assert (now.state, now.misses, now.exchange_order_id) == ("unknown", 0, "")


@pytest.mark.parametrize(("age_ms", "state"), [(0, "open"), (60_000, "open"), (60_001, "unknown")])
async def test_report_of_an_older_order_is_not_adopted(room: Room, age_ms: int, state: str) -> None:
    """An id that may repeat can name an order of long ago; one minute is left for clocks that differ."""
    row = await room.placed("drop before")
    room.exchange._take(body_of(row), 0)
    assert row.sent_ms is not None
    room.exchange.orders[-1].created_ms = row.sent_ms - age_ms
    await room.live(10)
    assert room.row(row).state == state


async def test_report_of_another_order_is_left_to_a_person_in_the_end(room: Room) -> None:
    """What a machine cannot tell apart does not block the pair for ever."""
    row = await room.placed("drop before")
    room.exchange._take(body_of(row, side="sell"), 0)
    await room.live(200)
    assert room.row(row).state == "needs_human"


async def test_report_of_another_own_order_is_not_adopted(room: Room) -> None:
    """Where the exchange tells no ids of ours, an earlier order with the same terms may be shown for the one sought."""
    first = await room.placed()
    second = await room.placed("drop before")
    find = room.exchange.named
    first_name = room.row(first).client_order_id
    room.exchange.named = lambda _: [replace(each, client_id="") for each in find(first_name)]  # type: ignore[assignment,method-assign]
    await room.live(60)
    during = room.row(second).state
    await room.live(130)
    assert (during, room.row(second).state, room.row(first).state) == ("unknown", "needs_human", "open")


async def test_report_that_may_be_a_later_own_order_is_not_adopted(room: Room) -> None:
    """Where the exchange tells no ids, the watch over an absent order does not take a later one that is in doubt."""
    first = await room.placed("drop before")
    await room.settle()
    room.sql("DELETE FROM outbox")
    second = await room.placed("drop after")
    find = room.exchange.named
    second_name = room.row(second).client_order_id
    room.exchange.named = lambda _: [replace(each, client_id="") for each in find(second_name)]  # type: ignore[assignment,method-assign]
    await room.reconciler.check(room.row(first))
    during = room.row(first)
    await room.reconciler.check(room.row(second))
    await room.reconciler.check(room.row(first))
    assert (during.state, during.exchange_order_id) == ("not_placed", "")
    assert [room.row(each).state for each in (first, second)] == ["not_placed", "open"]


async def test_report_of_a_late_order_is_adopted_once_the_later_one_has_its_id(room: Room) -> None:
    """A later order that is accounted for does not hide one that turns up after all."""
    first = await room.placed("drop before")
    await room.settle()
    room.sql("DELETE FROM outbox")
    await room.placed()
    room.exchange._take(body_of(first), 0)
    late = room.exchange.orders[-1]
    room.exchange.named = lambda _: [replace(late, client_id="")]  # type: ignore[assignment,method-assign]
    await room.reconciler.check(room.row(first))
    assert (room.row(first).state, room.row(first).late) == ("open", True)


async def test_report_under_another_client_id_is_not_adopted(room: Room) -> None:
    """An answer that names another client order id is not of our order, though all figures agree."""
    row = await room.placed("drop before")
    room.exchange._take(body_of(row), 0)
    find = room.exchange.named
    room.exchange.named = lambda name: [replace(each, client_id="other") for each in find(name)]  # type: ignore[assignment,method-assign]
    await room.live(60)
    assert room.row(row).state == "unknown"


@pytest.mark.parametrize("price", ["58000", "58000.00", "0"])
async def test_report_of_our_order_spelt_otherwise_is_adopted(room: Room, price: str) -> None:
    """Trailing zeros, or a price that the exchange does not tell, do not make it another order."""
    row = await room.placed("drop before")
    room.exchange._take(body_of(row, price=price, quantity="0.500000"), 0)
    await room.live(3)
    assert room.row(row).state == "open"


# The exchange is down.


async def test_exchange_down_keeps_the_doubt(room: Room) -> None:
    """Hours without an answer change nothing; the first answers settle it."""
    row = await room.placed("drop after")
    room.exchange.broken["/find"] = "error"
    await room.live(7200, turn=30)
    during = room.row(row)
    del room.exchange.broken["/find"]
    await room.live(61)
    assert (during.state, during.misses, room.row(row).state) == ("unknown", 0, "open")


async def test_live_order_unknown_to_a_replica_stays_open(room: Room) -> None:
    """`order not found` about an order that was accepted is no news of it."""
    row = await room.placed()
    room.exchange.broken["/order"] = "GONE"
    await room.live(60)
    assert room.row(row).state == "open"


async def test_one_order_that_fails_does_not_hold_up_another(room: Room) -> None:
    """An order whose row cannot be written is tried again; the others are looked after meanwhile."""
    bad = await room.placed("drop after")
    good = await room.placed("drop after", pair="ETH/USDT")
    room.sql(
        f"CREATE TRIGGER bad BEFORE UPDATE ON orders WHEN OLD.id={bad.id} BEGIN SELECT RAISE(ABORT, 'bad row'); END"
    )
    await room.live(3)
    assert [room.row(row).state for row in (bad, good)] == ["unknown", "open"]
    room.sql("DROP TRIGGER bad")
    await room.live(60)
    assert room.row(bad).state == "open"


async def test_one_exchange_that_hangs_does_not_hold_up_another_order(room: Room) -> None:
    """A question without an answer waits alone; the next turn asks after all other orders."""
    slow = await room.placed("drop after")
    other = await room.placed("drop after", pair="ETH/USDT")
    send, forever = room.exchange.send, asyncio.Event()

    async def hanging(request: Request, *, timeout_seconds: float) -> Response:
        if dict(request.query).get("client_id") == slow.client_order_id:
            await forever.wait()
        return await send(request, timeout_seconds=timeout_seconds)

    room.exchange.send = hanging  # type: ignore[method-assign]
    await room.reconciler.step()
    assert [room.row(row).state for row in (slow, other)] == ["unknown", "open"]
    room.exchange.fill()
    room.reconciler.watch(other.id)
    await room.reconciler.step()
    assert room.row(other).filled == Decimal("0.5")
    forever.set()
    await room.live(5)
    assert room.row(slow).state == "open"


# When it asks.


async def _asks(room: Room, path: str, seconds: float) -> list[float]:
    """Step as the loop does, and return the seconds at which the exchange was asked."""
    began, times = room.clock.monotonic(), []
    while room.clock.monotonic() - began < seconds:
        before = room.exchange.asked.count(path)
        at = round(room.clock.monotonic() - began, 2)
        pause = await room.reconciler.step()
        assert 0.05 <= pause <= 1.0
        times += [at] * (room.exchange.asked.count(path) - before)
        room.clock.advance(pause)
    return times


async def test_step_asks_after_a_doubt_at_growing_intervals(room: Room) -> None:
    """1, 2, 4, 8, 15, 30 seconds, then every minute; at once again when somebody asks for it."""
    row = await room.placed("drop after")
    room.exchange.broken |= {"/find": "error", "/open": "error"}  # a list that shows it would be a reason to ask
    times = await _asks(room, "/find", 190)
    assert [round(b - a) for a, b in pairwise(times)] == [1, 2, 4, 8, 15, 30, 60, 60]
    room.reconciler.watch(row.id)
    assert (await _asks(room, "/find", 4))[:3] == [0, 1, 3]


@pytest.mark.parametrize(
    ("age", "every"), [(0, 0.5), (9, 0.5), (11, 2), (59, 2), (61, 5), (599, 5), (601, 15), (3599, 15), (3601, 30)]
)
async def test_step_asks_after_a_live_order_less_often_as_it_ages(room: Room, age: float, every: float) -> None:
    """A young order is asked after twice a second, an old one twice a minute."""
    await room.placed()
    room.clock.advance(age)
    times = await _asks(room, "/order", every + 0.9)
    assert times[:2] == [0, every]


async def test_step_asks_often_again_after_a_cancel(room: Room) -> None:
    """The age of a cancel counts, not that of the order."""
    row = await room.placed()
    room.clock.advance(7200)
    await room.desk.cancel(row.id, ANN)
    room.exchange.orders[0].state = "open"
    await room.desk.drain()
    room.exchange.orders[0].state = "open"
    assert (await _asks(room, "/order", 1.4))[:3] == [0, 0.5, 1]


async def test_step_leaves_an_order_alone_while_it_is_being_sent(room: Room) -> None:
    """Asking about a request in flight could only confuse; its outcome comes by itself."""
    row = await room.confirmed()
    room.exchange.faults.append("hang")
    room.desk.send(row)
    await room.exchange.hanging.wait()
    await room.live(30)
    assert (room.row(row).state, "/find" in room.exchange.asked) == ("sending", False)


async def test_step_sweeps_previews_that_nobody_confirmed(room: Room) -> None:
    """A preview ends after 60 seconds, and its card is drawn once more to say so."""
    row = await room.propose()
    room.sql("DELETE FROM outbox")
    await room.live(61)
    assert room.row(row).state == "expired"
    assert room.sql("SELECT 1 FROM outbox WHERE order_id=?", row.id)


async def test_step_forgets_orders_that_are_over(room: Room) -> None:
    """Nothing is kept of an order that needs no looking after: a minute after it ended no fill comes late."""
    await room.placed()
    room.exchange.fill()
    await room.live(76)
    assert (len(room.reconciler._watched), room.reconciler._tries, room.reconciler.busy) == (0, {}, set())


async def test_run_settles_a_doubt_and_ends_when_cancelled(room: Room) -> None:
    """The loop does by itself what its steps do, survives a failing database, and stops when told."""
    row = await room.placed("late")
    room.sql("ALTER TABLE accounts RENAME TO gone")
    found = asyncio.Event()
    room.reconciler._told = lambda: found.set() if room.row(row).state == "open" else None
    task = asyncio.ensure_future(room.reconciler.run())
    for _ in range(3):
        await room.store.run(lambda db: None)
        await asyncio.sleep(0)
    room.sql("ALTER TABLE gone RENAME TO accounts")
    await asyncio.wait_for(found.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_watched_is_live_doubtful_and_lately_absent(room: Room) -> None:
    """Exactly those are looked after."""
    live = await room.placed()
    await room.placed("refuse", pair="ETH/USDT")
    doubt = await room.placed("drop before", side="sell")
    await room.propose("sell", "ETH/USDT")
    watched = room.store.transact(lambda db: queries.all_watched(db, room.clock.now_ms()))
    assert watched == [(live.id, 1, "acme", "open"), (doubt.id, 1, "acme", "unknown")]
