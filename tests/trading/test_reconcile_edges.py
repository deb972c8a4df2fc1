"""The start and the turns of the reconciler, each figure on both sides of its edge."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from bot import ExchangeError, NotSent, OutcomeUnknown, RateLimited
from bot.accounts import people
from bot.contract.errors import BotError
from bot.store.database import Connection
from bot.store.errors import StoreUnavailable
from bot.trading import queries, reconcile
from bot.trading.orders import OrderRow
from tests.trading.conftest import Room
from tests.trading.test_journal import bring
from tests.trading.test_watchlist import copied, rested


async def test_begin_asks_nothing_of_an_account_that_was_removed(room: Room) -> None:
    """It has no keys any more, and a gate that waited for it would never open."""
    room.store.transact(lambda db: people.remove_account(db, room.account.id, room.clock.now_ms()))
    await room.reconciler.begin()
    assert not room.reconciler.is_checking(room.account.id, "acme")
    await room.live(3)
    assert room.exchange.asked == []


@pytest.mark.parametrize("is_confirmed", [False, True])
@pytest.mark.parametrize(("seconds", "is_over"), [(4.999, False), (5, True)])
async def test_begin_leaves_what_waits_as_long_as_it_had_left(
    room: Room, is_confirmed: bool, seconds: float, is_over: bool
) -> None:
    """To the second, and from then on by the monotonic clock: a wall clock that is set back adds nothing."""
    row = await room.confirmed() if is_confirmed else await room.propose()
    room.clock.advance(10 if is_confirmed else 55)
    await room.reconciler.begin()
    room.clock.wall_ms -= 3_600_000
    room.clock.advance(seconds)
    assert room.reconciler.deadlines.is_over(row.id) is is_over


async def test_step_tells_when_something_ended_and_not_otherwise(room: Room) -> None:
    """Whoever draws the cards is not woken twice a second for nothing."""
    told: list[str] = []
    row = await room.propose()
    room.reconciler._told = lambda: told.append(room.row(row).state)
    await room.reconciler.step()
    quiet = list(told)
    room.clock.advance(60)
    await room.reconciler.step()
    assert (quiet, told) == ([], ["expired"])


async def test_sweep_that_failed_is_tried_again_at_growing_intervals(room: Room) -> None:
    """After 1, 2, 4, 8 and 15 seconds: an exchange that is down is not asked without a pause."""
    room.exchange.broken["/open"] = "error"
    await room.reconciler.begin()
    times: list[float] = []
    for _ in range(320):
        before = room.exchange.asked.count("/open")
        at = room.clock.monotonic()
        await room.reconciler.step()
        if room.exchange.asked.count("/open") > before:
            times.append(at)
        room.clock.advance(0.1)
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert [round(each) for each in pauses] == [1, 2, 4, 8, 15]


async def test_start_gate_opens_though_an_exchange_cannot_tell_which_order_it_is(room: Room) -> None:
    """No later look will tell either; the owner is asked, and meanwhile may trade the other pairs."""
    await room.placed("drop before")
    again = room.restart()

    async def unsure(*_: object) -> None:
        raise OutcomeUnknown("2 orders like this one", code="AMBIGUOUS")

    again.gateway.find_order = unsure  # type: ignore[method-assign,assignment]
    await again.reconciler.begin()
    before = again.reconciler.is_checking(again.account.id, "acme")
    await again.live(3)
    assert (before, again.reconciler.is_checking(again.account.id, "acme")) == (True, False)
    await again.close()


async def test_begin_shuts_the_gate_of_what_is_traded_on_paper_only(room: Room) -> None:
    """Paper and real orders of an account are looked after apart."""
    room.store.transact(lambda db: people.set_paper(db, room.account.id, on=True))
    await room.reconciler.begin()
    checking = [room.reconciler.is_checking(room.account.id, each) for each in ("acme", "acme:paper")]
    assert checking == [False, True]


async def test_begin_sets_no_end_to_an_order_that_has_left(room: Room) -> None:
    """Only what waits to be confirmed or to leave ends by the clock."""
    await room.placed()
    waiting = await room.propose("sell")
    await room.reconciler.begin()
    room.clock.advance(3600)
    assert room.reconciler.deadlines.over() == {waiting.id}


async def test_begin_lists_accounts_after_the_orders_that_are_called_for(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is let in already is not kept waiting by the first lists of all others."""
    monkeypatch.setattr(reconcile, "_AT_ONCE", 1)
    row = await room.placed()
    await room.reconciler.step()
    await room.reconciler.begin()
    room.reconciler.watch(row.id)
    room.exchange.asked.clear()
    await room.reconciler.step()
    assert room.exchange.asked == ["/order", "/open"]


@pytest.mark.parametrize(("broken", "is_shut"), [("/open", True), ("/order", True), ("/ticker", False)])
async def test_gate_is_shut_until_the_list_and_each_order_were_answered(room: Room, broken: str, is_shut: bool) -> None:
    """Either alone leaves something unknown."""
    row = await room.placed()
    room.exchange.broken[broken] = "error"
    await room.reconciler.begin()
    await room.live(1)
    assert (room.row(row).state, room.reconciler.is_checking(room.account.id, "acme")) == ("open", is_shut)


async def test_gate_opens_though_an_order_needs_no_looking_after_any_more(room: Room) -> None:
    """It ended before it was asked after again: there is nothing left to wait for, nor to keep of it."""
    row = await room.placed("drop after")
    room.exchange.broken |= {"/find": "error", "/open": "error"}
    await room.reconciler.begin()
    await room.reconciler.step()
    during = (set(room.reconciler._tries), room.reconciler.is_checking(room.account.id, "acme"))
    del room.exchange.broken["/open"]
    room.exchange.orders.clear()  # a list that shows it would be a reason to ask
    room.sql("UPDATE orders SET state='filled', updated_ms=0 WHERE id=?", row.id)
    room.clock.advance(1)
    room.reconciler._wake.clear()
    await room.reconciler.step()
    assert during == ({row.id, (room.account.id, "acme")}, True)
    assert (room.reconciler._tries, room.reconciler.is_checking(room.account.id, "acme")) == ({}, False)
    assert room.reconciler._wake.is_set()


async def test_start_ends_all_previews_that_are_over_however_many(room: Room) -> None:
    """Nobody presses anything yet whom it could hold up."""
    rows = [await room.propose() for _ in range(3)]
    room.clock.advance(60)
    again = room.restart()
    assert [again.row(row).state for row in rows] == ["expired"] * 3
    await again.close()


# The loop.


@pytest.mark.parametrize("what", ["order", "account"])
async def test_what_is_called_for_wakes_the_loop(room: Room, what: str) -> None:
    """A person who waits does not wait for the end of a pause."""
    before = room.reconciler._wake.is_set()
    if what == "order":
        room.reconciler.watch(1)
    else:
        room.reconciler.sweep(room.account.id, "acme")
    assert (before, room.reconciler._wake.is_set()) == (False, True)


@pytest.mark.parametrize(("error", "has_trace"), [(BotError("disk full"), False), (ValueError("odd"), True)])
async def test_run_waits_a_second_after_a_turn_that_failed(
    room: Room, error: Exception, has_trace: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure that stays is logged once a second; only a defect of ours with its trace."""
    pauses: list[float] = []

    async def failing() -> bool:
        raise error

    async def ended(_: object, pause: float, __: object) -> None:
        pauses.append(pause)
        raise asyncio.CancelledError

    monkeypatch.setattr(room.reconciler, "_turn", failing)
    monkeypatch.setattr(reconcile, "wait_at_most", ended)
    with pytest.raises(asyncio.CancelledError):
        await room.reconciler.run()
    logged = [(each.levelname, each.exc_info is not None) for each in caplog.records]
    assert (pauses, logged) == ([1.0], [("ERROR", has_trace)])


async def test_first_questions_of_all_end_well_and_wake_nobody(room: Room) -> None:
    """The first pause has not been counted yet, so no question can be due before its end."""
    await room.placed()
    await room.reconciler._turn()
    room.reconciler._wake.clear()
    (question,) = room.reconciler._at_work["acme"]
    await asyncio.wait([question])
    assert (question.exception(), room.reconciler._wake.is_set()) == (None, False)


async def test_order_that_cannot_be_read_is_tried_again_each_second_and_holds_up_no_other(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its turn comes back as soon as the row is whole again."""
    bad, good = await room.placed(), await room.placed(pair="ETH/USDT")
    await room.reconciler.step()
    room.clock.advance(30)
    read, tried = queries.watched, []

    def failing(db: Connection, now_ms: int, order_ids: list[int]) -> list[OrderRow]:
        if bad.id in order_ids:
            tried.append(room.clock.monotonic())
            raise ValueError("no JSON")
        return read(db, now_ms, order_ids)

    monkeypatch.setattr(queries, "watched", failing)
    room.exchange.fill()
    await room.live(2, turn=0.1)
    during = [room.row(each).state for each in (bad, good)]
    monkeypatch.setattr(queries, "watched", read)
    room.exchange.orders[0].state, room.exchange.orders[0].filled = "filled", "0.5"
    await room.live(1)
    assert ([round(at, 1) for at in tried], during) == ([30.0, 31.0, 32.0], ["open", "filled"])
    assert (room.row(bad).state, caplog.messages) == ("filled", [f"order #{bad.id} could not be read"] * 3)


# Refused here.


@pytest.mark.parametrize(
    ("error", "is_held"),
    [
        (NotSent("too many", code="RATE_LIMIT"), True),
        (RateLimited("too many", code="RATE_LIMIT"), False),
        (NotSent("Acme cannot be reached"), False),
    ],
)
async def test_refusal_by_our_own_limits_lets_nothing_be_asked_for_a_moment(
    room: Room, monkeypatch: pytest.MonkeyPatch, error: ExchangeError, is_held: bool
) -> None:
    """Each question would only be refused in its turn; those of the exchange itself have no such meaning."""
    row = await rested(room)
    copied(room, row, 11)
    room.clock.advance(31)
    asked = 0

    async def refused(*_: object, **__: object) -> None:
        nonlocal asked
        asked += 1
        raise error

    monkeypatch.setattr(room.gateway, "order_status", refused)
    await room.reconciler.step()  # finds the copies
    room.clock.advance(31)
    asked, counts, pauses = 0, [], []
    for seconds in (0.0, 0.19, 0.02):
        room.clock.advance(seconds)
        pauses.append(round(await room.reconciler.step(), 2))
        counts.append(asked)
    assert (counts, pauses[:2]) == (([8, 8, 12], [0.2, 0.05]) if is_held else ([12, 12, 12], [1.0, 1.0]))


async def test_refusal_by_the_limits_of_one_exchange_holds_up_no_other(room: Room) -> None:
    """Each has limits of its own."""
    row = await room.placed()

    async def refused(*_: object, **__: object) -> None:
        raise NotSent("too many", code="RATE_LIMIT")

    room.gateway.order_status = refused  # type: ignore[method-assign,assignment]
    room.store.transact(lambda db: people.set_paper(db, room.account.id, on=True))
    room.reconciler.sweep(room.account.id, "acme:paper")
    await room.reconciler.step()
    room.reconciler.watch(row.id)
    await room.reconciler.step()
    room.exchange.asked.clear()
    room.paper.asked.clear()
    room.reconciler.sweep(room.account.id, "acme")
    room.reconciler.sweep(room.account.id, "acme:paper")
    await room.reconciler.step()
    assert ("/open" in room.exchange.asked, room.paper.asked) == (False, ["/open"])


async def test_questions_that_are_refused_at_once_let_others_live_between(room: Room) -> None:
    """A worker waits for nothing then: with many orders due it would hold up the whole bot until the last."""
    row = await rested(room)
    copied(room, row, 39)
    asked = 0

    async def refused(*_: object, **__: object) -> None:
        nonlocal asked
        asked += 1
        raise NotSent("Acme cannot be reached")

    room.gateway.order_status = refused  # type: ignore[method-assign,assignment]
    room.clock.advance(31)
    await room.reconciler.step()  # finds the copies
    room.clock.advance(31)
    asked, counts = 0, []
    await room.reconciler._turn()
    for _ in range(6):
        await asyncio.sleep(0)
        counts.append(asked)
    assert counts == [8, 16, 24, 32, 40, 40]


async def test_questions_to_owners_are_put_anew_after_a_day_some_at_a_time(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else is due or not: their buttons have ended, and the orders are in doubt still."""
    monkeypatch.setattr(reconcile, "_ENDED_AT_ONCE", 2)
    monkeypatch.setattr(reconcile, "_AT_ONCE", 0)
    row = await room.placed("drop after")
    bring(room, row, "needs_human")
    room.sql("UPDATE orders SET updated_ms=?", room.clock.now_ms())
    copied(room, room.row(row), 4, exchange_order_id=None)
    await room.reconciler.begin()
    room.sql("DELETE FROM outbox")
    told: list[None] = []
    room.reconciler._told = lambda: told.append(None)
    seen = []
    for seconds in (86_399, 1, 0, 0, 0):
        room.clock.advance(seconds)
        pause = await room.reconciler.step()
        seen.append((len(room.sql("SELECT 1 FROM outbox WHERE kind='order'")), len(told), pause))
    assert seen == [(0, 0, 1.0), (2, 1, 0.05), (4, 2, 0.05), (5, 3, 0.05), (5, 3, 1.0)]


async def test_step_ends_what_is_over_by_either_clock_and_else_commits_nothing(room: Room) -> None:
    """A turn at which nothing is over costs no write."""
    by_wall, by_monotonic = await room.propose(), await room.propose("sell")
    commits = room.store.commits
    await room.reconciler.step()
    quiet = room.store.commits - commits
    room.sql("UPDATE orders SET expires_ms=? WHERE id=?", room.clock.now_ms(), by_wall.id)
    await room.reconciler.step()
    first = [room.row(each).state for each in (by_wall, by_monotonic)]
    room.clock.wall_ms -= 3_600_000
    room.clock.advance(60)
    await room.reconciler.step()
    assert (quiet, first, room.row(by_monotonic).state) == (0, ["expired", "proposed"], "expired")


async def test_pause_ends_with_the_first_exchange_that_is_due_and_has_a_worker_free(room: Room) -> None:
    """One whose questions are all under way has nothing to begin; its answers wake the loop."""
    watched, hold = room.reconciler._watched, asyncio.Event()
    watched._turns.put((1, "acme"), "acme", 0.6, 30)
    watched._turns.put((1, "other"), "other", 0.3, 30)
    free = room.reconciler._pause(has_more=False)
    tasks = [asyncio.ensure_future(hold.wait()) for _ in range(reconcile._AT_ONCE)]
    room.reconciler._at_work["other"] |= set(tasks)  # type: ignore[arg-type]
    full = room.reconciler._pause(has_more=False)
    room.reconciler._at_work["other"].pop()
    one_left = room.reconciler._pause(has_more=False)
    hold.set()
    await asyncio.gather(*tasks)
    assert (free, full, one_left, room.reconciler._next_turn) == (0.3, 0.6, 0.3, 0.3)


async def test_answer_wakes_the_loop_only_when_something_is_due_before_its_pause_ends(room: Room) -> None:
    """Else each answer would cost a turn."""
    row = await room.placed()
    await room.reconciler.step()
    for next_turn, expected in ((0.9, True), (0.5, False), (0.2, False)):
        room.reconciler.watch(row.id)
        await room.reconciler._turn()
        room.reconciler._next_turn = room.clock.monotonic() + next_turn
        room.reconciler._wake.clear()
        await asyncio.wait(room.reconciler._at_work["acme"])
        assert room.reconciler._wake.is_set() is expected


async def test_order_called_for_that_cannot_be_read_holds_up_no_other(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Orders that were just placed are read together; the whole ones among them are asked after all the same."""
    read = queries.watched
    bad, good = await room.placed(), await room.placed(pair="ETH/USDT")

    def failing(db: Connection, now_ms: int, order_ids: list[int]) -> list[OrderRow]:
        if bad.id in order_ids:
            raise ValueError("no JSON")
        return read(db, now_ms, order_ids)

    monkeypatch.setattr(queries, "watched", failing)
    room.exchange.fill()
    await room.live(2)
    assert (room.row(good).state, set(caplog.messages)) == ("filled", {f"order #{bad.id} could not be read"})


async def test_database_that_cannot_be_read_loses_no_order_that_was_called_for(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not the order's fault: all of them are read once the database can be."""
    row = await room.placed()

    def failing(*_: object) -> None:
        raise StoreUnavailable("locked")

    with monkeypatch.context() as locked:
        locked.setattr(queries, "watched", failing)
        with pytest.raises(StoreUnavailable):
            room.reconciler._watched.read_called()
    room.exchange.fill()
    await room.live(2)
    assert room.row(row).state == "filled"
