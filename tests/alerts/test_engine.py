"""The engine against a scan of every alert: what fires, when, and what is remembered are the same on any ticks."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.alerts import rules
from bot.alerts.book import BUCKETS
from bot.alerts.engine import AWAY_MS, Engine, Fired, Key
from bot.alerts.rules import ARMED, Level, Move, Rule, State

KEY: Key = ("acme", "BTCUSDT", "price")
OTHER: Key = ("acme", "ETHUSDT", "price")
START = 1_790_000_000_000
HOUR_MS = 3_600_000
FAR = START + 10**12
ROUNDS = 150
MANY_ROUNDS = 5000


@dataclass
class Scan:
    """The definition: every alert is judged on every tick, and windows are lists of all values."""

    alerts: dict[int, tuple[Rule, State, int]]
    values: list[tuple[int, int]] = field(default_factory=list)

    def tick(self, value: int, now_ms: int) -> list[Fired]:
        self.values.append((now_ms, value))
        before_ms = self.values[-2][0] if len(self.values) > 1 else now_ms
        away_since_ms = before_ms if now_ms - before_ms >= AWAY_MS else 0
        fired = []
        for alert_id, (rule, before, expires_ms) in tuple(self.alerts.items()):
            if expires_ms <= now_ms:
                del self.alerts[alert_id]
                continue
            if isinstance(rule, Level):
                fires, state = rules.after_value(rule, before, value, now_ms)
            else:
                part = rule.window_ms
                now_part = now_ms * BUCKETS // part
                seen = [each for at, each in self.values if at * BUCKETS // part >= now_part - BUCKETS]
                fires, state = rules.after_move(rule, before, value, min(seen), max(seen), now_ms)
            self.alerts[alert_id] = (rule, state, expires_ms)
            if fires:
                kept = None if rule.every_ms is None else state
                fired.append(Fired(alert_id, value, now_ms, kept, away_since_ms))
                if kept is None:
                    del self.alerts[alert_id]
        return fired


def above(at: int, back: int, every_ms: int | None = None) -> Level:
    return Level(above=True, at=at, back=back, every_ms=every_ms)


def below(at: int, back: int, every_ms: int | None = None) -> Level:
    return Level(above=False, at=at, back=back, every_ms=every_ms)


every = st.sampled_from([None, 0, 0, 1000, 5000, 60_000])
placed = (st.integers(97, 103), st.integers(1, 5), every)
ups = st.builds(lambda at, away, every_ms: above(at, at - away, every_ms), *placed)
downs = st.builds(lambda at, away, every_ms: below(at, at + away, every_ms), *placed)
levels = ups | downs
moves = st.builds(
    Move, st.sampled_from([1, 3, 5, 10]).map(lambda p: p * rules.PERCENT), st.sampled_from([6000, 60_000]), every
)
states = st.builds(State, st.booleans(), st.sampled_from([0, 0, START + 2000, START + 30_000]))
ends = st.sampled_from([FAR, FAR, START + 10_000, START + 60_000])
alerts = st.lists(st.tuples(levels | moves, states, ends), min_size=1, max_size=12)
ticks = st.lists(
    st.tuples(st.integers(94, 106), st.sampled_from([0, 1, 100, 1000, 1001, 5000, AWAY_MS - 1, AWAY_MS])), max_size=60
)


def both_agree(wanted: list[tuple[Rule, State, int]], told: list[tuple[int, int]]) -> None:
    engine, now_ms = Engine(), START
    scan = Scan(dict(enumerate(wanted)))
    for alert_id, (rule, state, expires_ms) in enumerate(wanted):
        engine.put(alert_id, KEY, rule, state, expires_ms, now_ms)
    for value, pause_ms in told:
        now_ms += pause_ms
        engine.advance(now_ms)
        found = engine.tick(KEY, value, now_ms) or []
        assert sorted(found, key=lambda each: each.alert_id) == scan.tick(value, now_ms)
    engine.advance(now_ms)
    assert len(engine) == sum(expires_ms > now_ms for _, _, expires_ms in scan.alerts.values())


@settings(max_examples=ROUNDS, deadline=None)
@given(alerts, ticks)
@example([(above(100, 98, 5000), ARMED, FAR)], [(99, 0), (100, 1), (97, 1), (100, 4998), (100, 1)])
@example([(Move(5 * rules.PERCENT, 6000, 1000), ARMED, FAR)], [(100, 0), (105, 0), (105, 6099), (100, 1), (106, 1)])
def test_engine_on_any_ticks_equals_the_scan(
    wanted: list[tuple[Rule, State, int]], told: list[tuple[int, int]]
) -> None:
    """Which alerts fire, at which value, after which gap, and what they remember."""
    both_agree(wanted, told)


@pytest.mark.nightly
@settings(max_examples=MANY_ROUNDS, deadline=None)
@given(alerts, ticks)
def test_engine_on_many_ticks_equals_the_scan(
    wanted: list[tuple[Rule, State, int]], told: list[tuple[int, int]]
) -> None:
    """The same, longer."""
    both_agree(wanted, told)


def watching(rule: Rule, state: State = ARMED, expires_ms: int = FAR) -> Engine:
    engine = Engine()
    engine.put(7, KEY, rule, state, expires_ms, START)
    return engine


def told(engine: Engine, *ticks: tuple[int, int]) -> list[tuple[int, int]]:
    """Give the engine (milliseconds, value); return those that fired."""
    fired = []
    for at_ms, value in ticks:
        engine.advance(START + at_ms)
        fired += [(at_ms, value) for _ in engine.tick(KEY, value, START + at_ms) or []]
    return fired


def test_level_reached_exactly_fires_once() -> None:
    """One below does not fire, the level itself does, and it is done then."""
    engine = watching(above(100, 99))
    assert told(engine, (0, 99), (1, 100), (2, 99), (3, 100)) == [(1, 100)]
    assert (len(engine), KEY in engine) == (0, False)


def test_hysteresis_at_its_edge_rearms_at_back_and_not_before() -> None:
    """One above `back` is not back; `back` itself is."""
    rule = above(100, 95, every_ms=0)
    assert told(watching(rule), (0, 100), (1, 96), (2, 100), (3, 95), (4, 100)) == [(0, 100), (4, 100)]
    falling = below(100, 105, every_ms=0)
    assert told(watching(falling), (0, 100), (1, 104), (2, 100), (3, 105), (4, 100)) == [(0, 100), (4, 100)]


def test_cooldown_at_its_edge_fires_when_it_is_over_and_not_before() -> None:
    """A crossing within the cooldown waits for its end, if the value still stands there."""
    rule = above(100, 99, every_ms=1000)
    assert told(watching(rule), (0, 100), (1, 99), (999, 100), (1000, 100)) == [(0, 100), (1000, 100)]
    assert told(watching(rule), (0, 100), (1, 99), (999, 100), (1000, 99)) == [(0, 100)]


def test_snooze_at_its_edge_fires_when_it_is_over_and_not_before() -> None:
    """Nothing fires in the last millisecond of a snooze."""
    state = State(quiet_until_ms=START + 1000)
    assert told(watching(above(100, 99), state), (0, 101), (999, 101), (1000, 101)) == [(1000, 101)]


def test_expiry_at_its_edge_ends_the_alert() -> None:
    """It may fire in the last millisecond before its end, and never at its end."""
    assert told(watching(above(100, 99), expires_ms=START + 1000), (999, 100)) == [(999, 100)]
    engine = watching(above(100, 99), expires_ms=START + 1000)
    assert engine.advance(START + 999) == []
    assert engine.advance(START + 1000) == [7]
    assert (len(engine), engine.tick(KEY, 100, START + 1000)) == (0, None)


def test_move_within_its_window_fires_and_beyond_it_does_not() -> None:
    """Five per cent in 6 s; a value more than a window and a sixtieth old no longer counts."""
    rule = Move(5 * rules.PERCENT, 6000)
    assert told(watching(rule), (0, 1000), (6000, 1050)) == [(6000, 1050)]
    assert told(watching(rule), (0, 1000), (6000, 1049)) == []
    assert told(watching(rule), (0, 1000), (6101, 1050)) == []
    assert told(watching(rule), (0, 1000), (10, 950)) == [(10, 950)]


def test_clock_set_back_loses_no_alert() -> None:
    """What was woken by the time stays awake; it fires as soon as the clock is where it was."""
    engine = watching(above(100, 99), State(quiet_until_ms=START + 1000))
    engine.advance(START + 1000)
    assert told(engine, (-HOUR_MS, 100)) == [(-HOUR_MS, 100)]


def test_move_that_fired_rests_for_its_window() -> None:
    """What it saw would otherwise fire it on every tick."""
    rule = Move(5 * rules.PERCENT, 60_000, every_ms=1000)
    assert told(watching(rule), (0, 1000), (1, 1050), (1001, 1050), (60_000, 1050), (60_001, 1050)) == [
        (1, 1050),
        (60_001, 1050),
    ]


def test_gap_fires_once_and_says_since_when() -> None:
    """The first value after a minute without any names the one before it; a shorter pause does not."""
    engine = watching(above(100, 99, every_ms=0))
    engine.tick(KEY, 90, START)
    late = START + AWAY_MS
    assert engine.tick(KEY, 101, late) == [Fired(7, 101, late, State(is_armed=False, quiet_until_ms=late), START)]
    assert engine.tick(KEY, 102, late + 1) is None
    engine = watching(above(100, 99))
    engine.tick(KEY, 90, START)
    assert engine.tick(KEY, 101, late - 1) == [Fired(7, 101, late - 1, None)]


def test_restart_takes_up_where_the_last_run_stopped() -> None:
    """What was seen before counts for windows and gaps, and fires nothing by itself."""
    engine = watching(Move(5 * rules.PERCENT, 600_000))
    engine.saw(KEY, 1000, START - AWAY_MS)
    engine.advance(START)
    assert engine.tick(KEY, 1050, START) == [Fired(7, 1050, START, None, START - AWAY_MS)]


def test_alert_that_changed_waits_for_what_it_says_now() -> None:
    """An edit takes its old level's place; a removed alert fires no more; other pairs are left alone."""
    engine = watching(above(100, 99))
    engine.put(7, KEY, above(200, 199), ARMED, FAR, START)
    engine.put(8, KEY, above(150, 149), ARMED, FAR, START)
    engine.remove(8, START)
    assert told(engine, (0, 100), (1, 150), (2, 200)) == [(2, 200)]
    engine.put(7, KEY, above(100, 99), ARMED, FAR, START)
    engine.put(7, OTHER, above(100, 99), ARMED, FAR, START)
    assert told(engine, (3, 100)) == []
    assert list(engine) == [OTHER]


def test_alert_edited_a_thousand_times_leaves_nothing_behind() -> None:
    """Old places in heaps and timers are swept, and the newest still counts."""
    engine = watching(above(100, 99))
    engine.put(8, KEY, above(90, 89), ARMED, FAR, START)  # the nearest: nothing behind it is looked at
    for number in range(1000):
        snoozed = State(quiet_until_ms=START + number) if number % 2 else ARMED
        engine.put(7, KEY, above(1100 - number, 99), snoozed, FAR, START)
    book = engine._books[KEY]
    assert max(len(engine._timers), len(book._up)) <= 2 * BUCKETS + 10
    engine.remove(8, START)
    assert told(engine, (0, 1099), (998, 1099), (999, 1099)) == [(999, 1099)]


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("60000", 60_000 * 10**18),
        ("1e-18", 1),
        ("0.0000000000000000019", 1),
        ("9e17", 9 * 10**35),
        ("123456789012345678.123456789012345678", 123456789012345678123456789012345678),
    ],
)
def test_value_scaled_keeps_eighteen_digits(text: str, whole: int) -> None:
    """No context rounds it."""
    assert rules.scaled(Decimal(text)) == whole
    assert rules.scaled(rules.unscaled(whole)) == whole


@pytest.mark.parametrize(
    ("rule", "is_armed", "value", "after"),
    [
        (above(100, 95), True, 99, (False, True)),
        (above(100, 95), True, 100, (True, False)),
        (above(100, 95), False, 100, (False, False)),
        (above(100, 95), False, 96, (False, False)),
        (above(100, 95), False, 95, (False, True)),
        (below(100, 105), True, 101, (False, True)),
        (below(100, 105), True, 100, (True, False)),
        (below(100, 105), False, 104, (False, False)),
        (below(100, 105), False, 105, (False, True)),
    ],
)
def test_level_judged_alone_follows_its_rule(rule: Level, is_armed: bool, value: int, after: tuple[bool, bool]) -> None:
    """Fires only when armed and there; is armed again only when it went all the way back."""
    fires, state = rules.after_value(rule, State(is_armed=is_armed), value, START)
    assert (fires, state.is_armed) == after
    assert rules.after_value(rule, State(is_armed=is_armed, quiet_until_ms=START + 1), value, START)[0] is False


def test_level_back_is_at_least_one_unit_away() -> None:
    """A level whose hysteresis rounds to nothing would fire on every tick."""
    tiny = rules.level(Decimal("1e-18"), above=True, back_percent=Decimal("0.1"), every_ms=None)
    whole = rules.level(Decimal(100), above=False, back_percent=Decimal("0.5"), every_ms=9)
    assert (tiny, whole) == (above(1, 0), below(100 * 10**18, 1005 * 10**17, 9))
