"""The start and the turns of the reconciler, each figure on both sides of its edge."""

from __future__ import annotations

import itertools

import pytest

from bot import OutcomeUnknown
from bot.accounts import people
from tests.trading.conftest import Room


async def test_begin_asks_nothing_of_an_account_that_was_removed(room: Room) -> None:
    """It has no keys any more, and a gate that waited for it would never open."""
    room.store.transact(lambda db: people.remove_account(db, room.account.id, room.clock.now_ms()))
    await room.reconciler.begin()
    assert not room.reconciler.is_checking(room.account.id, "acme")
    await room.live(3)
    assert room.exchange.asked == []


@pytest.mark.parametrize("is_confirmed", [False, True])
@pytest.mark.parametrize(("seconds", "is_over"), [(4.9, False), (5, True)])
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
