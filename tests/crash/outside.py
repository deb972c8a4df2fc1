"""What outlives the bot: an exchange, Telegram, a person, and the time. They are apart from the bot's process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from bot import Response
from bot.local.api import METHODS
from bot.local.models import ApiError
from bot.local.params import Params
from bot.store.backup import back_up
from bot.trading.upkeep import events_are_whole
from tests.crash.blows import die_writing, prepare_to_die
from tests.crash.exchange import Exchange, read_request, write_response
from tests.crash.failpoints import ANY_COMMIT, ENDED_BY_CANCEL, LIVELY, STRIKES, UPGRADE_STATEMENTS, Blow
from tests.crash.inside import ANN, Life
from tests.crash.judge import judged, unsettled
from tests.crash.person import Person, Plot, Telegram
from tests.crash.serving import Serving, sockets
from tests.crash.zygote import Zygote
from tests.simulation.timeline import Timeline
from tests.simulation.venue import WINDOWS, Memory

_LONGEST_SECONDS = 1200.0
_MOST_KILLS = 8
_THREADED = 5
"""One seed in so many writes the database in a thread of its own, as the bot does; the others do without the handing
over, which costs more than what is written."""
_WISHES = 5
_TWICE = 0.25
_SHORT_AWAY_SECONDS, _LONG_AWAY_SECONDS = (0.2, 10.0), (35.0, 90.0)
_LONG_AWAY = 0.05


@dataclass(frozen=True)
class Case:
    """One world: a failpoint, what the exchange does with client ids, and the seeds of everything else.

    Each seed is a wish of the person over which the bot is killed. When that has come to rest and was judged, the next
    wish comes: the process that recovered from one kill is the one that meets the next.
    """

    failpoint: str
    memory: Memory
    seed: int
    wishes: int = 1

    def __str__(self) -> str:
        return f'"{self.failpoint}" "{self.memory}" {self.seed} {self.wishes}'


def worlds(failpoint: str, memory: Memory, seeds: range) -> Iterator[Case]:
    """Return the worlds with these seeds: a few in each, but only one where the database must be new."""
    most = 1 if failpoint == "migration step" else _WISHES
    for first in seeds[::most]:
        yield Case(failpoint, memory, first, min(most, seeds.stop - first))


@dataclass
class Outcome:
    """What became of a world.

    Attributes:
        struck: The moments at which the bot was killed, in order.
        lives: How often it was started.
        seconds: How long it took, virtually.
        broken: What ought never to happen, in words; empty when all is well.
    """

    struck: list[str] = field(default_factory=list)
    lives: int = 0
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Plan:
    """How the bot is killed: at what, which time, whether surely; and whether it has a second migration."""

    blow: Blow | None = None
    nth: int = 1
    is_sure: bool = True
    is_upgraded: bool = False


@dataclass
class _Wish:
    """What the person wants, and how the bot is to be killed over it.

    Attributes:
        chance: The seed of all that happens.
        person: Who wants it.
        plans: How the bot is still to be killed.
        begins_us: When it begins.
        is_threaded: Whether a bot that is started meanwhile writes its database in a thread.
        kills: How often the bot was killed.
    """

    chance: str
    person: Person
    plans: list[_Plan]
    begins_us: int
    is_threaded: bool
    kills: int = 0


class World:
    """Everything outside of the bot.

    Args:
        case: Which one.
        directory: The bot's; no other world has it.
        key_file: Where the bot's master key is.
        zygote: What the bot's lives are forked from.
        defect: What of the simulation's defects is built into the bot; none if empty.
        is_peaceful: Whether nobody kills the bot.
    """

    def __init__(
        self,
        case: Case,
        directory: Path,
        key_file: Path,
        zygote: Zygote,
        *,
        defect: str = "",
        is_peaceful: bool = False,
    ) -> None:
        self.case = case
        self.directory = directory
        self._key_file = key_file
        self.rng = Random(str(case))
        self.timeline = Timeline()
        self.exchange = Exchange(case.memory, self.rng.choice(WINDOWS), self.timeline, self.rng)
        self.telegram = Telegram(clock=lambda: self.timeline.now_ms / 1000)
        self.telegram.add_person(ANN, "Ann", "ann")
        self.outcome = Outcome()
        self.is_over = False
        self._zygote = zygote
        self._defect = defect
        self._is_peaceful = is_peaceful
        self._seeds = iter(range(case.seed, case.seed + case.wishes))
        self._wanted: list[Decimal] = []
        self._wish = self._next_wish(next(self._seeds))
        self._plan = _Plan()
        self._due: _Plan | None = None
        self._is_struck = False
        self._is_alive = False
        self._deaths = 0
        self._next_glance_us = 0

    @property
    def database(self) -> Path:
        return self.directory / "tradewire.db"

    @property
    def backup(self) -> Path:
        """Where the copy of this wish goes, in the making of which its process dies."""
        return self.directory / "backups" / f"{len(self._wanted)}.db"

    def run(self) -> Outcome:
        """Let the bot live until all is done, and say what became of it."""
        outcome, rng = self.outcome, self.rng
        self._glance()
        self._check()
        while not self.is_over:
            self._live()
            self._wish.kills += 1
            if self._wish.kills == _MOST_KILLS:
                self._break("it was started too often")
            away = _LONG_AWAY_SECONDS if rng.random() < _LONG_AWAY else _SHORT_AWAY_SECONDS
            if not self.is_over:
                self.timeline.pass_by(rng.uniform(*away))
        strikes = sum(moment != STRIKES["backup page"].moment for moment in outcome.struck)
        if self._deaths != strikes and not outcome.broken:
            self._break(f"it was struck {strikes} times, and died of it {self._deaths} times")
        outcome.seconds = self.timeline.now_us / 1e6
        return outcome

    # One wish

    def _next_wish(self, seed: int) -> _Wish:
        rng, failpoint = self.rng, self.case.failpoint
        chance = f"{failpoint} / {self.case.memory} / {seed}"
        rng.seed(chance)
        is_lively = failpoint.startswith(LIVELY)
        plot = Plot(
            cancels=failpoint in ENDED_BY_CANCEL or rng.random() < 0.5,
            is_patient=is_lively or rng.random() < 0.5,
            at_market=not is_lively and rng.random() < 0.2,
        )
        self.exchange.is_left_open = plot.cancels
        person = Person(self.telegram, self.exchange, rng, plot, len(self._wanted))
        self._wanted.append(person.quantity)
        plans = [] if self._is_peaceful else self._plans(seed)
        return _Wish(chance, person, plans, self.timeline.now_us, is_threaded=seed % _THREADED == 0)

    def _plans(self, seed: int) -> list[_Plan]:
        rng = self.rng
        blow = STRIKES[self.case.failpoint]
        nth = rng.randint(1, blow.most)
        if self.case.failpoint == "migration step":
            if seed % 2:
                return [_Plan(blow, nth)]
            nth = rng.randint(1, UPGRADE_STATEMENTS)
            return [_Plan(ANY_COMMIT, rng.randint(1, ANY_COMMIT.most)), _Plan(blow, nth, is_upgraded=True)]
        again = [_Plan(blow, 1, is_sure=False)] if rng.random() < _TWICE else []
        return [_Plan(blow, nth), *again]

    def _next_plan(self) -> _Plan:
        return self._wish.plans.pop(0) if self._wish.plans else _Plan(is_upgraded=self._plan.is_upgraded)

    def _begin_plan(self, plan: _Plan) -> None:
        self._plan, self._due, self._is_struck = plan, None, False

    def _end_wish(self) -> None:
        """Judge what came of a wish, and let the person have the next one."""
        wish, plan = self._wish, self._plan
        if plan.blow and plan.is_sure and not self._is_struck:
            self._break(f"never came to: {plan.blow.moment}, {plan.nth} times")
            return
        since = wish.person.since
        for each in judged(self.database, self.exchange, self.telegram, self._wanted, since, wish.kills):
            self._break(each)
        seed = next(self._seeds, None)
        if seed is None:
            self.is_over = True
        elif not self.is_over:
            self._wish = self._next_wish(seed)
            self._due = self._next_plan()

    def _break(self, what: str) -> None:
        """Note what ought never to happen. It ends the world."""
        self.outcome.broken.append(f"{self._wish.chance}, life {self.outcome.lives}: {what}")
        self.is_over = True

    # One life

    def _live(self) -> None:
        self._begin_plan(self._due or self._next_plan())
        self.outcome.lives += 1
        ours, theirs, listener = sockets()
        self._zygote.begin(self._life(listener), theirs)
        self._is_alive = True
        try:
            Serving(self, listener, ours).serve()
        except TimeoutError:
            self._break("the bot fell silent")
            self._zygote.kill()
        except BaseException:
            self._zygote.kill()
            raise
        finally:
            ours.close()
            listener.close()
            status = self._zygote.end()
            self._is_alive = False
        is_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGXFSZ)
        self._deaths += is_killed
        if not is_killed and not self.is_over:
            self._break(f"the bot ended by itself, with status {status}")

    def _life(self, listener: socket.socket) -> Life:
        return Life(
            directory=self.directory,
            key_file=self._key_file,
            memory=self.case.memory,
            window_seconds=self.exchange.window_seconds,
            address=listener.getsockname(),
            now_us=self.timeline.now_us,
            blow=self._plan.blow,
            nth=self._plan.nth,
            seed=f"{self._wish.chance} / {self._wish.kills}",
            is_upgraded=self._plan.is_upgraded,
            is_threaded=self._wish.is_threaded,
            defect=self._defect,
        )

    def heard(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Take what the bot's process said, and return the answer, if it wants one."""
        if "struck" in message:
            self._strike(message["struck"])
            return None
        if "broken" in message:
            self._break(message["broken"])
            return None
        if "backup" in message:
            self._break_backup(message["backup"])
            return {"is_over": False}
        self.pass_to(message["now_us"])
        body = self._telegram(message["call"], message["values"])
        return {
            "status": body.get("error_code", 200),
            "body": body,
            "next_us": self._next_glance_us,
            "is_over": self.is_over,
            "blow": self._blow_to_tell(),
        }

    def _strike(self, moment: str) -> None:
        self.outcome.struck.append(moment)
        self._is_struck = True

    def _blow_to_tell(self) -> dict[str, Any] | None:
        """Return what a bot that outlived the last wish is to die of next, once."""
        if self._due is None:
            return None
        self._begin_plan(self._due)
        blow = self._plan.blow
        seed = f"{self._wish.chance} / {self._wish.kills}"
        return {"moment": blow.moment if blow else "", "nth": self._plan.nth, "seed": seed}

    def requested(self, now_us: int, message: bytes, answer: Callable[[bytes], None]) -> None:
        """Take a whole request to the exchange."""
        self.pass_to(now_us)
        request = read_request(message)
        if request.path != "/place":
            answer(write_response(self.exchange.look(request)))
            return
        self.exchange.placing.append((request.json["client_id"], request.headers["key"]))

        def deliver(response: Response | None) -> None:
            if response is not None:
                answer(write_response(response))

        self.exchange.receive(request, self._fate(), deliver)

    def pass_to(self, now_us: int) -> None:
        """Let happen what happens until then."""
        self.timeline.pass_by(max(0, now_us - self.timeline.now_us) / 1e6)

    def _fate(self) -> str:
        """An order that left when the bot died at once may have far to go; it is not waited for."""
        dies_at_once = self._plan.is_sure and self._plan.blow == STRIKES["written"]
        return self.rng.choice(("accepted", "late")) if dies_at_once else "accepted"

    def _telegram(self, name: str, values: dict[str, str]) -> dict[str, Any]:
        params = Params(values, {})
        if name == "getUpdates":
            return {"ok": True, "result": self.telegram.take(params.number("offset", 0))}
        try:
            return {"ok": True, "result": METHODS[name.lower()](self.telegram, params)}
        except ApiError as refusal:
            return refusal.body

    def _break_backup(self, share: float) -> None:
        """Let another process copy the database, as `tradewire backup` does, and die on a page of the copy."""
        with contextlib.closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
        child = os.fork()
        if child == 0:
            try:
                prepare_to_die()
                self.backup.parent.mkdir(exist_ok=True)
                die_writing(1 + int(share * pages), 512)
                back_up(self.database, self.backup, events_are_whole)
            finally:
                os._exit(70)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            self._strike(STRIKES["backup page"].moment)

    # What happens by itself

    def _glance(self) -> None:
        if not (self._is_alive and self._due):  # a bot that does not know yet of what to die must not be asked for more
            self._wish.person.glance(self.timeline.now_us / 1e6)
        seconds = self.rng.uniform(0.6, 1.4)
        self._next_glance_us = self.timeline.now_us + int(seconds * 1e6)
        self.timeline.after(seconds, self._glance)

    def _check(self) -> None:
        """End the wish once nothing is left to happen."""
        wish = self._wish
        is_at_rest = wish.person.is_done and not self.exchange.under_way and not self.is_over
        is_late = self.timeline.now_us > wish.begins_us + _LONGEST_SECONDS * 1e6
        if is_late or (is_at_rest and not unsettled(self.database, self.exchange)):
            self._end_wish()
        self.timeline.after(2.0, self._check)
