"""What is looked after: nothing is forgotten, each is asked in its time, and many cost no more than few."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from bot import Request, Response
from bot.trading import queries, reconcile, watchlist
from bot.trading.law import DOUBTFUL, LAW, LIVE, State
from bot.trading.orders import OrderRow
from bot.trading.watchlist import Watchlist
from tests.trading.conftest import Placed, Room

OURS = "t" + "a2" * 12 + "b"


def copied(room: Room, row: OrderRow, count: int, **columns: Any) -> list[int]:
    """Store copies of an order, at the exchange too, as no part of the bot ever would: nobody is told of them."""
    template = dict(room.sql("SELECT * FROM orders WHERE id=?", row.id)[0])
    placed = next(each for each in room.exchange.orders if each.client_id == row.client_order_id)
    first = max(each["id"] for each in room.sql("SELECT id FROM orders")) + 1
    numbers = list(range(first, first + count))
    for number in numbers:
        name = f"c{number}"
        values = {**template, "client_order_id": name, "exchange_order_id": f"y{number}", **columns, "id": number}
        marks = ",".join("?" * len(values))
        room.sql(f"INSERT INTO orders({','.join(values)}) VALUES ({marks})", *values.values())
        room.exchange.orders.append(replace(placed, id=f"y{number}", client_id=name))
    return numbers


async def rested(room: Room) -> OrderRow:
    """Return an order two hours old that lies at the exchange and was asked after just now."""
    row = await room.placed()
    await room.reconciler.step()
    room.clock.advance(7200)
    await room.reconciler.step()
    return row


def asked_about(room: Room, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """Return a list that grows by the order and the second whenever the exchange is asked about an order."""
    asked: list[tuple[int, float]] = []
    ask = room.reconciler._ask

    async def noted(account: Any, row: OrderRow) -> Any:
        asked.append((row.id, round(room.clock.monotonic(), 2)))
        return await ask(account, row)

    monkeypatch.setattr(room.reconciler, "_ask", noted)
    return asked


async def run_for(room: Room, seconds: float) -> None:
    """Step as the loop does."""
    end = room.clock.monotonic() + seconds
    while room.clock.monotonic() < end:
        room.clock.advance(await room.reconciler.step())


# Each in its time.


@pytest.mark.parametrize("way", ["placed", "start", "no start", "comparison", "adopted"])
async def test_watched_order_is_asked_within_its_interval_however_it_came(
    room: Room, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice a second while it is young, every two seconds in its first minute, every five after; forever."""
    if way == "adopted":
        room.exchange.orders.append(Placed("x77", OURS, "BTCUSDT", "buy", "limit", "0.25", "50000", 0))
        await room.reconciler.step()
        room.reconciler.sweep(room.account.id, "acme")
        await room.reconciler.step()
        row = room.row(1)
    elif way == "comparison":
        old = await rested(room)
        now_ms = room.clock.now_ms()
        row = room.row(copied(room, old, 1, sent_ms=now_ms, created_ms=now_ms)[0])
    else:
        row = await room.placed()
    asked_at = room.clock.monotonic()
    if way in ("start", "no start"):
        room = room.restart()
    asked = asked_about(room, monkeypatch)
    if way == "start":
        await room.reconciler.begin()
    await run_for(room, 90)
    times = [at - asked_at for order_id, at in asked if order_id == row.id]
    latest = {"comparison": 31.0}.get(way, 0.0)
    assert times[0] <= latest
    for before, after in pairwise(times):
        usual = next(every for age, every in ((10, 0.5), (60, 2), (600, 5)) if before < age)
        assert after - before <= usual + 0.05, (before, after)
    assert times[-1] >= 84
    if way in ("start", "no start"):
        await room.close()


async def test_watch_while_it_is_being_asked_after_asks_once_more(room: Room) -> None:
    """What a stream told during the question may not be in its answer."""
    row = await rested(room)
    send, arrived, held = room.exchange.send, asyncio.Event(), asyncio.Event()

    async def slow(request: Request, *, timeout_seconds: float) -> Response:
        answer = await send(request, timeout_seconds=timeout_seconds)
        arrived.set()
        await held.wait()
        return answer

    room.exchange.send = slow  # type: ignore[method-assign]
    room.reconciler.watch(row.id)
    await room.reconciler._turn()
    await arrived.wait()
    before = room.exchange.asked.count("/order")
    room.exchange.fill()
    room.reconciler.watch(row.id)
    held.set()
    await room.reconciler.step()
    assert (room.exchange.asked.count("/order") - before, room.row(row).state) == (1, "filled")


async def test_answer_that_brings_the_next_question_near_wakes_the_loop(room: Room) -> None:
    """The pause was counted while the order was out; its next question is due before that pause would end."""
    row = await room.placed()
    await room.reconciler._turn()
    pause = room.reconciler._pause(has_more=False)
    room.reconciler._wake.clear()
    await asyncio.wait(room.reconciler._at_work["acme"])
    assert (pause, room.reconciler._wake.is_set(), room.row(row).state) == (1.0, True, "open")


# Nothing is forgotten.


@pytest.mark.parametrize("state", ["open", "partially_filled", "unknown", "needs_human", "sending", "not_placed"])
async def test_order_that_nobody_called_for_is_found_by_the_comparison(room: Room, state: State) -> None:
    """A forgotten call, or a row from elsewhere, costs half a minute and not the order."""
    row = await rested(room)
    ids = {"exchange_order_id": None} if state in ("unknown", "needs_human", "sending", "not_placed") else {}
    sent_ms = room.clock.now_ms() - 61_000
    (order_id,) = copied(room, row, 1, state=state, sent_ms=sent_ms, created_ms=sent_ms, **ids)
    room.exchange.orders[-1].filled, room.exchange.orders[-1].state = "0.5", "filled"
    await room.live(29)
    during = room.row(order_id).state
    await room.live(3)
    expected = "filled" if state == "sending" else state  # what is lost while sending is put in doubt at once
    assert (during, room.row(order_id).state) == (expected, "filled")


async def test_order_that_ended_unseen_is_found_by_the_comparison(room: Room) -> None:
    """A fee that was told after the end is asked for, too."""
    row = await rested(room)
    now_ms = room.clock.now_ms()
    (order_id,) = copied(room, row, 1, state="canceled", updated_ms=now_ms)
    await room.live(31)
    assert order_id in room.reconciler._watched


async def test_comparison_goes_through_all_numbers_some_at_a_time(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """No turn reads more than its share, and the shares are all."""
    monkeypatch.setattr(watchlist, "_SLICE", 2)
    monkeypatch.setattr(reconcile, "_AT_ONCE", 0)  # nothing is asked: only who is known counts
    row = await rested(room)
    numbers = copied(room, row, 5)
    room.clock.advance(31)
    sizes = []
    for _ in range(4):
        await room.reconciler.step()
        sizes.append(sum(number in room.reconciler._watched for number in numbers))
    assert sizes == [1, 3, 5, 5]  # the first number is that of the order which is known


async def test_called_for_by_the_thousand_are_read_some_at_a_time(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next turn follows at once, and then they are all known."""
    monkeypatch.setattr(watchlist, "_NAMED_AT_ONCE", 3)
    monkeypatch.setattr(reconcile, "_AT_ONCE", 0)
    row = await rested(room)
    numbers = copied(room, row, 5)
    for number in [*numbers, 99_999]:
        room.reconciler.watch(number)
    pauses = [await room.reconciler.step() for _ in range(2)]
    known = [number in room.reconciler._watched for number in [*numbers, 99_999]]
    assert (pauses[0], known, room.reconciler._watched._called) == (0.05, [True] * 5 + [False], {})


@pytest.mark.parametrize("state", list(LAW))
async def test_rows_and_lists_agree_on_what_is_watched(room: Room, state: State) -> None:
    """The rule is told twice: for a row at hand, and as questions that an index can answer."""
    row = await room.placed()
    now_ms = room.clock.now_ms() + 10 * 86_400_000
    for age_ms in (0, 59_999, 60_000, 86_399_999, 86_400_000):
        for columns in ({}, {"exchange_order_id": ""}, {"exchange_order_id": None}, {"fee": "1"}, {"sent_ms": None}):
            at_ms = now_ms - age_ms
            copied(room, row, 1, **{"state": state, "sent_ms": at_ms, "updated_ms": at_ms, **columns})
    rows = [room.row(each["id"]) for each in room.sql("SELECT id FROM orders")]

    def read(db: Any) -> tuple[set[int], set[int]]:
        listed = {each[0] for each in queries.all_watched(db, now_ms)}
        places = [queries.places_in_state(db, state, after=(0, 0), most=99) for state in (*LIVE, *DOUBTFUL)]
        walked = {order_id for found in places for _, order_id in found}
        return listed, walked | set(queries.ids_of_late(db, now_ms))

    expected = {each.id for each in rows if queries.is_watched(each, now_ms)}
    assert room.store.transact(read) == (expected, expected)
    assert {each.id for each in room.store.transact(lambda db: queries.watched(db, now_ms, range(99)))} == expected


# Many cost no more than few.


async def test_turn_at_which_nothing_is_due_asks_the_database_the_same_whatever_is_open(room: Room) -> None:
    """A hundred open orders more are not one question more, and no row of them is read."""
    row = await rested(room)
    statements: list[str] = []
    reading = room.store._reading
    assert reading is not None
    reading.set_trace_callback(statements.append)
    await room.reconciler.step()
    few = len(statements)
    for number in copied(room, row, 100):
        room.reconciler.watch(number)
    commits = room.store.commits
    await room.live(2, turn=0.1)
    statements.clear()
    await room.reconciler.step()
    assert (few, len(statements)) == (3, 3)  # a transaction, and whether anything is over
    assert (room.store.commits - commits, len(room.reconciler._watched)) == (0, 101)


async def test_many_due_at_once_are_asked_eight_at_a_time_and_the_longest_overdue_first(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No task waits for each of them; the others wait as a number in a list."""
    row = await rested(room)
    numbers = copied(room, row, 60)
    for number in reversed(numbers):
        room.reconciler.watch(number)
        await room.reconciler.step()
        room.clock.advance(0.01)
    room.clock.advance(100)
    room.exchange.asked.clear()
    asked = asked_about(room, monkeypatch)
    hold, most, at_work = asyncio.Event(), 0, 0
    status = room.gateway.order_status

    async def held(*question: Any, **options: Any) -> Any:
        nonlocal most, at_work
        at_work += 1
        most = max(most, at_work)
        await hold.wait()
        at_work -= 1
        return await status(*question, **options)

    monkeypatch.setattr(room.gateway, "order_status", held)
    before = len(asyncio.all_tasks())
    await room.reconciler._turn()
    tasks = len(asyncio.all_tasks()) - before
    for _ in range(20):
        await asyncio.sleep(0)
    hold.set()
    await room.reconciler.step()
    assert (tasks, most) == (8, 8)
    assert [order_id for order_id, _ in asked] == [row.id, *reversed(numbers)]


async def test_account_is_busy_as_long_as_it_has_an_order_that_may_be_open(room: Room) -> None:
    """Streams are kept by it: it ends with the answer that ends the order, not at the next question."""
    assert not room.reconciler.busy
    await room.placed()
    await room.reconciler.step()
    during = set(room.reconciler.busy)
    room.exchange.fill()
    room.clock.advance(0.5)
    await room.reconciler.step()
    assert (during, set(room.reconciler.busy)) == ({(room.account.id, "acme")}, set())


@pytest.mark.parametrize("clock", ["wall", "monotonic"])
async def test_previews_that_end_together_are_ended_some_at_a_time(
    room: Room, clock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand of them hold nobody else up; all are ended, by whichever clock."""
    monkeypatch.setattr(reconcile, "_ENDED_AT_ONCE", 2)
    rows = [await room.propose() for _ in range(5)]
    room.clock.wall_ms += 60_000
    if clock == "monotonic":
        room.clock.wall_ms -= 3_600_000
        room.clock.advance(60)
    counts = []
    for _ in range(4):
        pause = await room.reconciler.step()
        counts.append((sum(room.row(row).state == "expired" for row in rows), pause))
    assert counts == [(2, 0.05), (4, 0.05), (5, 0.05), (5, 1.0)]


# What is called for while it is out.


@pytest.mark.parametrize("is_dropped", [False, True])
@pytest.mark.parametrize("is_called", [False, True])
async def test_account_that_is_called_for_while_it_is_listed_is_listed_again(
    room: Room, is_dropped: bool, is_called: bool
) -> None:
    """Ahead of all and at once; else after its interval, or never when it was let go."""
    watched, key = Watchlist(room.store, room.clock), (room.account.id, "acme")
    watched.list_account(key, every=30.0)
    first = watched.take("acme")
    if is_called:
        watched.list_account(key)
    during = watched.take("acme")
    if is_dropped:
        watched.drop(key)
    else:
        watched.put_back(key, 5.0, 30.0)
    at_once = watched.take("acme")
    room.clock.advance(5)
    expected = ((key, 0.0), None) if is_called else (None, None if is_dropped else (key, 30.0))
    assert (first, during, (at_once, watched.take("acme"))) == ((key, 30.0), None, expected)


@pytest.mark.parametrize("is_called", [False, True])
async def test_order_that_is_let_go_is_read_again_when_it_was_called_for(room: Room, is_called: bool) -> None:
    """What changed meanwhile may be that it needs to be looked after."""
    row = await room.placed()
    watched = Watchlist(room.store, room.clock)
    watched.call(row.id)
    watched.read_called()
    first = watched.take("acme")
    if is_called:
        watched.call(row.id)
    watched.drop(row.id)
    gone = (row.id in watched, len(watched), dict(watched.busy))
    watched.read_called()
    assert (first, gone) == ((row.id, 0.0), (False, 0, {}))
    assert (row.id in watched, watched.take("acme")) == (is_called, (row.id, 0.0) if is_called else None)


async def test_order_that_is_known_keeps_its_turn_when_it_is_learned_again(room: Room) -> None:
    """Else what was called for would wait behind all others after a start."""
    row = await room.placed()
    watched = Watchlist(room.store, room.clock)
    watched.call(row.id)
    watched.read_called()
    watched.learn([(row.id, row.account_id, "acme", "open")])
    assert [watched.take("acme"), watched.take("acme")] == [(row.id, 0.0), None]


async def test_order_that_is_let_go_has_no_turn_left_though_it_came_twice(room: Room) -> None:
    """Called for before the start had read it, it is read a second time; one end is the end of both."""
    row = await room.placed()
    watched = Watchlist(room.store, room.clock)
    watched.call(row.id)
    watched.learn([(row.id, row.account_id, "acme", "open")])
    first = watched.take("acme")
    watched.read_called()
    watched.drop(row.id)
    assert (first, row.id in watched, watched.take("acme")) == ((row.id, 30.0), False, None)


async def test_order_that_is_called_for_comes_before_what_has_an_interval(room: Room) -> None:
    """However it was known before."""
    watched = Watchlist(room.store, room.clock)
    watched.learn([(5, 1, "acme", "open"), (6, 1, "acme", "unknown")])
    watched.call(5)
    assert [watched.take("acme"), watched.take("acme")] == [(5, 0.0), (6, 1.0)]


@pytest.mark.parametrize(("state", "is_busy"), [("open", True), ("unknown", True), ("not_placed", False)])
async def test_account_is_busy_by_the_state_of_its_order(room: Room, state: State, is_busy: bool) -> None:
    """In doubt as well as live: either may be at the exchange."""
    watched = Watchlist(room.store, room.clock)
    watched.learn([(5, 1, "acme", state)])
    assert (dict(watched.busy), (1, "acme") in watched) == ({(1, "acme"): {5}} if is_busy else {}, is_busy)


async def test_comparison_comes_at_once_and_half_a_minute_after_all_was_read(room: Room) -> None:
    """What was read just now needs no comparing."""
    row = await room.placed()
    fresh, learned = Watchlist(room.store, room.clock), Watchlist(room.store, room.clock)
    fresh.compare()
    learned.learn([])
    seen = []
    for seconds in (0, 29.9, 0.1):
        room.clock.advance(seconds)
        learned.compare()
        seen.append(dict(learned._called))
    assert (fresh._called, seen) == ({row.id: None}, [{}, {}, {row.id: None}])


async def test_comparison_reads_no_number_twice(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next share begins after the last number of the one before."""
    monkeypatch.setattr(watchlist, "_SLICE", 3)
    copied(room, await room.placed(), 6)
    watched = Watchlist(room.store, room.clock)
    sizes = []
    for _ in range(3):
        watched.compare()
        sizes.append(len(watched._called))
    assert sizes == [3, 6, 7]


@pytest.mark.parametrize(
    ("state", "every"),
    [("not_placed", 600), ("filled", 15), ("canceled", 15), ("unknown", 1), ("open", 30), ("needs_human", 30)],
)
async def test_order_that_is_learned_waits_behind_what_is_asked_after_more_often(
    room: Room, state: State, every: float
) -> None:
    """After a start all are due: in this order it goes until each was asked after once."""
    watched = Watchlist(room.store, room.clock)
    watched.learn([(5, 1, "acme", state)])
    assert watched.take("acme") == (5, every)
