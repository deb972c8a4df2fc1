"""The limits of an exchange: never above what it publishes, and a reserve for what cannot wait."""

from __future__ import annotations

import asyncio
from itertools import accumulate
from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot import Limit, NotSent
from bot.contract.errors import PluginError
from bot.exchanges import limits as module
from bot.exchanges.limits import Limiter, MustWait, Priority
from tests.fakes import FakeClock

Spent = list[tuple[int, int, int]]  # microsecond, weight, account


def limiter(*limits: Limit) -> tuple[Limiter, FakeClock]:
    clock = FakeClock()
    return Limiter("Acme", {"orders": limits}, clock), clock


def worst(spent: Spent, limit: Limit) -> int:
    """Return the greatest weight that any window of `limit.seconds` holds; one account's, where that is counted."""
    most = 0
    for account in {account if limit.per == "account" else 0 for _, _, account in spent}:
        own = [(at, weight) for at, weight, whose in spent if limit.per == "ip" or whose == account]
        for end, _ in own:
            most = max(most, sum(weight for at, weight in own if end - limit.seconds * 1_000_000 < at <= end))
    return most


LIMITS = st.lists(
    st.builds(Limit, st.integers(1, 12), st.integers(1, 6), st.sampled_from(["ip", "account"])), min_size=1, max_size=3
)
PRIORITIES = st.sampled_from(get_args(Priority))
STEPS = st.lists(
    st.tuples(st.integers(0, 3_000), st.integers(0, 12), st.integers(1, 2), PRIORITIES), min_size=1, max_size=25
)


async def spend(limits: list[Limit], steps: list[tuple[int, int, int, Priority]]) -> Spent:
    """Start one acquiring task per step, as late as the step says; return what was let through."""
    gate, clock = limiter(*limits)
    spent: Spent = []

    async def one(start_ms: int, weight: int, account: int, priority: Priority) -> None:
        await clock.sleep(start_ms / 1000)
        try:
            await gate.acquire({"orders": weight}, account, priority)
        except (NotSent, PluginError):
            return
        spent.append((round(clock.monotonic() * 1_000_000), weight, account))

    starts = accumulate(step[0] for step in steps)
    await asyncio.gather(*(one(start, *step[1:]) for start, step in zip(starts, steps, strict=True)))
    return spent


@settings(deadline=None)
@given(LIMITS, STEPS)
@example([Limit(2, 1)], [(0, 1, 1, "urgent")] * 5)
def test_limiter_never_lets_more_through_than_any_window_allows(
    limits: list[Limit], steps: list[tuple[int, int, int, Priority]]
) -> None:
    """Whatever is asked, whenever, by whomever: no window of any limit holds more than its amount."""
    spent = asyncio.run(spend(limits, steps))
    assert [worst(spent, limit) <= limit.amount for limit in limits] == [True] * len(limits)


def test_limiter_property_notices_a_weight_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: a limiter that forgets early lets too much through, and the measure above sees it."""
    monkeypatch.setattr(module._Window, "spent", lambda self, now: 0)
    limit = Limit(2, 1)
    assert worst(asyncio.run(spend([limit], [(0, 1, 1, "urgent")] * 5)), limit) == 5


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 5), PRIORITIES)
def test_limiter_lets_all_through_that_a_window_allows(amount: int, seconds: int, priority: Priority) -> None:
    """No more is held back than the reserve: the limiter costs no time while there is room."""
    allowed = max(1, {"urgent": amount, "usual": amount * 4 // 5, "routine": amount // 2}[priority])
    spent = asyncio.run(spend([Limit(amount, seconds)], [(0, 1, 1, priority)] * (allowed + 1)))
    assert [at for at, _, _ in spent] == pytest.approx([1] * allowed + [seconds * 1_000_000], abs=5)


async def test_limiter_keeps_a_part_for_people_and_a_part_for_what_is_urgent() -> None:
    """Five of ten may go to routine, eight to what people ask; the last two to cancels and orders in doubt."""
    gate, clock = limiter(Limit(10, 60))
    each: Priority
    for each, allowed in (("routine", 5), ("usual", 3), ("urgent", 2)):
        for _ in range(allowed):
            await gate.acquire({"orders": 1}, 1, each)
        with pytest.raises(NotSent):
            await gate.acquire({"orders": 1}, 1, each)
    assert (clock.monotonic(), gate.remaining_percent()) == (0, 0)


async def test_limiter_routine_waits_while_more_than_half_is_used_and_then_goes_on() -> None:
    """What cannot be had now is waited for, not taken from what is kept: it passes when the window has room."""
    gate, clock = limiter(Limit(10, 10))
    await gate.acquire({"orders": 3}, 1)
    clock.advance(4)
    await gate.acquire({"orders": 5}, 1)
    await gate.acquire({"orders": 1}, 1, "routine")
    assert clock.monotonic() == 14


@pytest.mark.parametrize(("per", "is_shared"), [("ip", True), ("account", False)])
async def test_limit_is_shared_by_the_accounts_of_one_address(per: str, is_shared: bool) -> None:
    """A limit per address is everybody's; one per account is each account's own."""
    gate, _ = limiter(Limit(1, 60, per))  # type: ignore[arg-type]
    await gate.acquire({"orders": 1}, 1)
    try:
        await gate.acquire({"orders": 1}, 2)
        refused = False
    except NotSent:
        refused = True
    assert refused is is_shared
    with pytest.raises(NotSent):
        await gate.acquire({"orders": 1}, 1)


async def test_limiter_waits_up_to_ten_seconds() -> None:
    """A short wait is waited; the request leaves as soon as the window has room."""
    gate, clock = limiter(Limit(1, 10))
    waited = [await gate.acquire({"orders": 1}, 1) for _ in range(2)]
    assert (waited, clock.monotonic()) == ([0, 10], 10)


async def test_limiter_keeps_the_limits_of_accounts_that_it_met_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which windows a request is counted in is looked up once and one day forgotten; what was spent in them is not."""
    monkeypatch.setattr(module, "_MOST_PLANS", 2)
    gate, _ = limiter(Limit(1, 60, "account"))
    for account in range(9):
        await gate.acquire({"orders": 1}, account)
    assert len(gate._plans) <= 2
    for account in range(9):
        with pytest.raises(NotSent):
            await gate.acquire({"orders": 1}, account)


@pytest.mark.parametrize("is_paused", [False, True])
async def test_limiter_for_one_who_may_not_wait_says_so_and_spends_nothing(is_paused: bool) -> None:
    """Neither time nor weight: what may wait gets its turn as if nobody had asked."""
    gate, clock = limiter(Limit(2, 4))
    await gate.acquire({"orders": 1}, 1, "urgent", may_wait=False)
    if is_paused:
        gate.pause(4)
    else:
        await gate.acquire({"orders": 1}, 1, "urgent", may_wait=False)
    for _ in range(3):
        with pytest.raises(MustWait):
            await gate.acquire({"orders": 1}, 1, "urgent", may_wait=False)
    assert clock.monotonic() == 0
    clock.advance(4)
    for _ in range(2):
        await gate.acquire({"orders": 1}, 1, "urgent", may_wait=False)
    assert clock.monotonic() == 4


async def test_limiter_weighs_each_request_by_its_own_weight_and_priority() -> None:
    """Which windows count is looked up once for each name, weight and priority: none stands for another."""
    gate, clock = limiter(Limit(10, 60))
    await gate.acquire({"orders": 1}, 1)
    await gate.acquire({"orders": 7}, 1)
    with pytest.raises(MustWait):
        await gate.acquire({"orders": 1}, 1, may_wait=False)
    await gate.acquire({"orders": 1}, 1, "urgent")
    assert (clock.monotonic(), gate.remaining_percent()) == (0, 10)


async def test_limiter_refuses_a_wait_above_ten_seconds_at_once() -> None:
    """Nobody is kept waiting for what will not happen; the text says how long it would take."""
    gate, clock = limiter(Limit(1, 11))
    await gate.acquire({"orders": 1}, 1)
    with pytest.raises(NotSent) as raised:
        await gate.acquire({"orders": 1}, 1)
    found = raised.value
    assert (str(found), found.code, found.remedy, found.transient) == (
        "Acme allows no more requests for 11 seconds",
        "RATE_LIMIT",
        "Wait a little and try again.",
        False,
    )
    assert clock.monotonic() == 0


async def test_limiter_refused_request_costs_nothing() -> None:
    """What was not let through is not counted, in none of its limits."""
    clock = FakeClock()
    gate = Limiter("Acme", {"a": (Limit(5, 60),), "b": (Limit(1, 60),)}, clock)
    await gate.acquire({"b": 1}, 1, "urgent")
    for _ in range(9):
        with pytest.raises(NotSent):
            await gate.acquire({"a": 1, "b": 1}, 1, "urgent")
    await gate.acquire({"a": 5}, 1, "urgent")


@pytest.mark.parametrize("priority", get_args(Priority))
async def test_limiter_refuses_what_weighs_more_than_the_whole_limit(priority: Priority) -> None:
    """No wait would help: the plugin's weights are wrong, and sending it would be a ban."""
    gate, _ = limiter(Limit(5, 1))
    with pytest.raises(PluginError) as raised:
        await gate.acquire({"orders": 6}, 1, priority)
    assert str(raised.value) == "The Acme plugin made a request that weighs more than orders allows."
    await gate.acquire({"orders": 5}, 1, priority)


async def test_limiter_obeys_every_limit_of_a_name() -> None:
    """Ten a second and twelve a minute are both kept."""
    gate, clock = limiter(Limit(10, 1), Limit(12, 5))
    for _ in range(14):
        await gate.acquire({"orders": 1}, 1, "urgent")
    assert clock.monotonic() == 5


@pytest.mark.parametrize("costs", [{}, {"orders": 1}])
async def test_pause_holds_back_everything(costs: dict[str, int]) -> None:
    """Also what costs nothing; a pause that began during a wait is waited for as well."""
    gate, clock = limiter(Limit(1, 1))
    gate.pause(4)
    await gate.acquire(costs, 1, "urgent")
    assert clock.monotonic() == 4

    async def ban() -> None:
        await clock.sleep(0.5)
        gate.pause(3)

    await asyncio.gather(ban(), gate.acquire({"orders": 1}, 1, "urgent"))
    assert clock.monotonic() == (7.5 if costs else 4.5)


async def test_pause_is_never_shortened_by_a_later_one() -> None:
    """Two refusals may tell different times: the later end holds."""
    gate, clock = limiter(Limit(1, 1))
    gate.pause(9)
    gate.pause(2)
    await gate.acquire({}, 1, "urgent")
    assert clock.monotonic() == 9


async def test_remaining_percent_is_that_of_the_tightest_limit() -> None:
    """What is shown to the operator is how near the next wait is."""
    gate, clock = limiter(Limit(10, 1), Limit(20, 60))
    assert gate.remaining_percent() == 100
    await gate.acquire({"orders": 4}, 1)
    assert gate.remaining_percent() == 60
    clock.advance(1)
    assert gate.remaining_percent() == 80
