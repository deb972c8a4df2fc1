"""Pace: what Telegram is sent stays within its limits, results pass before alerts, and "retry after" is obeyed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Iterable
from typing import Any

import pytest

from bot.chat.pacer import TELEGRAM, Pacer
from bot.trading.notices import Lane
from tests.simulation.timeline import Timeline, VirtualClock, VirtualLoop

ANN, GROUP = 11, -1001


def in_virtual_time(work: Coroutine[Any, Any, Any], timeline: Timeline) -> Any:
    """Run `work` on an event loop whose waiting takes no time."""
    loop = VirtualLoop(timeline)
    try:
        return loop.run_until_complete(work)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def over_limits(log: Iterable[tuple[int, int]]) -> list[str]:
    """Return where a log of (microsecond, chat) breaks Telegram's rules, written down here once more."""
    everyone: list[int] = []
    chats: dict[int, list[int]] = defaultdict(list)
    for at_us, chat_id in log:
        everyone.append(at_us)
        chats[chat_id].append(at_us)
    broken = [
        f"{at} us: the 31st in a second"
        for first, at in zip(everyone, everyone[30:], strict=False)
        if at - first < 999_990
    ]
    for chat_id, times in chats.items():
        most = {6: 1, 10: 5, 65: 60}  # five at once, then one a second
        broken += [
            f"{at} us: number {count} in chat {chat_id}"
            for count, seconds in most.items()
            for first, at in zip(times, times[count - 1 :], strict=False)
            if at - first < seconds * 1_000_000 - 10
        ]
        if chat_id < 0:
            broken += [
                f"{at} us: the 21st in {chat_id}"
                for a, at in zip(times, times[20:], strict=False)
                if at - a < 59_999_990
            ]
    return broken


class Log:
    """A pacer in virtual time, and every turn it gave."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.clock = VirtualClock(self.timeline)
        self.pacer = Pacer(self.clock)
        self.turns: list[tuple[int, int, Lane]] = []

    async def turn(self, chat_id: int, lane: Lane = "result") -> float:
        """Take one turn; return the seconds it took."""
        began = self.clock.monotonic()
        await self.pacer.turn(chat_id, lane)
        self.turns.append((self.timeline.now_us, chat_id, lane))
        return self.clock.monotonic() - began

    async def turns_of(self, *chats: int, lane: Lane = "result") -> list[float]:
        return list(await asyncio.gather(*(self.turn(chat_id, lane) for chat_id in chats)))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        result = in_virtual_time(work, self.timeline)
        assert over_limits((at, chat) for at, chat, _ in self.turns) == []
        return result


@pytest.fixture
def log() -> Log:
    return Log()


def test_turn_of_one_chat_allows_a_burst_then_one_a_second(log: Log) -> None:
    """Five messages go at once, the next after a second each."""
    waits = log.run(log.turns_of(*[ANN] * 8))
    assert [round(each, 3) for each in waits] == [0, 0, 0, 0, 0, 1, 2, 3]


def test_turn_of_a_group_allows_twenty_a_minute(log: Log) -> None:
    """The twenty-first message of a minute waits until the first is a minute old."""
    waits = log.run(log.turns_of(*[GROUP] * 21))
    assert [round(each) for each in waits[-2:]] == [15, 60]


def test_turn_of_many_chats_allows_thirty_a_second(log: Log) -> None:
    """A hundred chats are told within three seconds and not sooner."""
    waits = log.run(log.turns_of(*range(1, 101)))
    assert [round(waits[number], 3) for number in (29, 30, 59, 60, 99)] == [0, 1, 1, 2, 3]


def test_turn_result_passes_four_hundred_waiting_alerts(log: Log) -> None:
    """A reply is sent at once, to a chat with alerts and to another, whenever it comes."""

    async def work() -> list[float]:
        alerts = asyncio.ensure_future(log.turns_of(*range(1, 201), *range(1, 201), lane="alert"))
        waits = []
        for chat_id in (1, 5000, 150, 5001):
            await log.clock.sleep(0.37)
            waits.append(await log.turn(chat_id))
        await alerts
        return waits

    assert max(log.run(work())) <= 0.1
    assert len(log.turns) == 404


def test_turn_results_that_wait_pass_before_alerts(log: Log) -> None:
    """When both wait for the limit of all chats, every result goes first."""

    async def work() -> None:
        alerts = asyncio.ensure_future(log.turns_of(*range(1000, 1100), lane="alert"))
        await asyncio.sleep(0)
        await log.turns_of(*range(1, 201))
        await alerts

    log.run(work())
    lanes = [lane for _, _, lane in log.turns]
    assert lanes[20:220] == ["result"] * 200


def test_hold_of_a_chat_stops_that_chat_alone(log: Log) -> None:
    """ "Retry after 40" holds the chat for forty seconds; others go on."""
    log.pacer.hold(40, ANN)
    waits = log.run(log.turns_of(ANN, 12, 13))
    assert [round(each, 3) for each in waits] == [40, 0, 0]


@pytest.mark.parametrize("chats", [[None], [1, 2, 3]], ids=["a call of no chat", "three chats at once"])
def test_hold_of_everyone_stops_every_chat(log: Log, chats: list[int | None]) -> None:
    """A refusal that belongs to no chat, or comes for several, is meant for the whole bot."""
    for chat_id in chats:
        log.pacer.hold(40, chat_id)
    assert [round(each, 3) for each in log.run(log.turns_of(ANN, 12))] == [40, 40]


def test_hold_of_three_chats_an_hour_apart_stops_nobody_else(log: Log) -> None:
    """Refusals that have nothing to do with one another do not add up."""

    async def work() -> float:
        for chat_id in (1, 2, 3):
            log.pacer.hold(40, chat_id)
            await log.clock.sleep(3600)
        return await log.turn(ANN)

    assert log.run(work()) == 0


def test_hold_while_others_wait_is_obeyed_by_them(log: Log) -> None:
    """Who already stood in line when the refusal came waits as well."""

    async def work() -> list[float]:
        waiting = asyncio.ensure_future(log.turns_of(*range(1, 61)))
        await log.clock.sleep(0.5)
        log.pacer.hold(40)
        return list(await waiting)

    assert [round(each, 3) for each in log.run(work())[29:31]] == [0, 40.5]


def test_turn_given_up_costs_nobody_a_place(log: Log) -> None:
    """A cancelled waiter is passed over."""

    async def work() -> list[float]:
        await log.turns_of(*range(1, 31))
        given_up = asyncio.ensure_future(log.turn(100))
        waiting = asyncio.ensure_future(log.turns_of(*range(101, 131)))
        await asyncio.sleep(0)
        given_up.cancel()
        return list(await waiting)

    assert {round(each, 3) for each in log.run(work())} == {1}


def test_pacer_forgets_chats_that_are_quiet(log: Log) -> None:
    """What is remembered does not grow with the people ever told."""

    async def work() -> None:
        for chat_id in range(1, 2100):
            await log.turn(chat_id)

    log.run(work())
    assert len(log.pacer._chats) < 1100


@pytest.mark.parametrize("seconds", [20, pytest.param(600, marks=pytest.mark.nightly)])
def test_turns_of_a_busy_bot_never_pass_the_limits(log: Log, seconds: int) -> None:
    """Both lanes, private chats and groups, with pauses and refusals: no limit is ever passed."""

    async def work() -> None:
        wants = []
        for number in range(seconds * 40):
            chat_id = number * 7919 % 97 - 20
            wants.append(asyncio.ensure_future(log.turn(chat_id or 1, "alert" if number % 3 else "result")))
            await log.clock.sleep(number % 11 / 200)
            if number % 500 == 499:
                log.pacer.hold(3, chat_id or 1)
        await asyncio.gather(*wants)

    log.run(work())
    assert len(log.turns) == seconds * 40


def test_limits_check_notices_each_broken_rule() -> None:
    """Control: a log that breaks one rule is seen, for each rule."""
    at_once = [(0, chat_id) for chat_id in range(1, 32)]
    burst = [(0, ANN)] * 6
    group = [(number * 2_000_000, GROUP) for number in range(21)]
    assert [bool(over_limits(each)) for each in (at_once, burst, group)] == [True, True, True]
    assert over_limits(at_once[:30]) == over_limits(burst[:5]) == over_limits(group[:20]) == []


def test_pace_of_telegram_leaves_room_for_results() -> None:
    """Alerts alone never use up a limit."""
    limits = (TELEGRAM.everyone, TELEGRAM.burst, TELEGRAM.group)
    assert [(each["result"], each["result"] - each["alert"]) for each in limits] == [(30, 10), (5, 3), (20, 5)]
