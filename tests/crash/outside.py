"""What outlives the bot: an exchange, Telegram, a person, and the time. They are in the parent of the bot's process."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from bot.config import Settings
from bot.local.api import METHODS
from bot.local.models import ApiError
from bot.local.params import Params
from bot.store.backup import back_up
from bot.trading.upkeep import events_are_whole
from tests.crash import frames
from tests.crash.blows import die_writing, prepare_to_die
from tests.crash.exchange import Exchange, read_request, registered, write_response
from tests.crash.failpoints import ANY_COMMIT, ENDED_BY_CANCEL, LIVELY, STRIKES, UPGRADE_STATEMENTS, Blow
from tests.crash.inside import ANN, Life, live, warm_up
from tests.crash.judge import judged, unsettled
from tests.crash.person import Person, Plot, Telegram
from tests.simulation.timeline import Timeline
from tests.simulation.venue import WINDOWS, Memory

_LONGEST_SECONDS = 1200.0
_MOST_LIVES = 8
_THREADED = 5
"""One seed in so many writes the database in a thread of its own, as the bot does; the others do without the handing
over, which costs more than what is written."""
_SILENT_SECONDS = 30.0
_TWICE = 0.25
_SHORT_AWAY_SECONDS, _LONG_AWAY_SECONDS = (0.2, 10.0), (35.0, 90.0)
_LONG_AWAY = 0.05


@dataclass(frozen=True)
class Case:
    """One world: a failpoint, what the exchange does with client ids, and a seed for everything else."""

    failpoint: str
    memory: Memory
    seed: int

    def __str__(self) -> str:
        return f"{self.failpoint} / {self.memory} / {self.seed}"


@dataclass
class Outcome:
    """What became of a world.

    Attributes:
        struck: The moments at which the bot was killed, in order.
        lives: How often it was started.
        seconds: How long it took, virtually.
        states: How the orders ended.
        broken: What ought never to happen, in words; empty when all is well.
    """

    struck: list[str] = field(default_factory=list)
    lives: int = 0
    seconds: float = 0.0
    states: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Plan:
    """One life: what ends it, which time, whether it must, and whether it is of the version with a second migration."""

    blow: Blow | None = None
    nth: int = 1
    is_sure: bool = True
    is_upgraded: bool = False


class World:
    """Everything outside of the bot.

    Args:
        case: Which one.
        settings: The bot's configuration; its directory is this world's own.
    """

    def __init__(self, case: Case, settings: Settings) -> None:
        self.case = case
        self.settings = settings
        self.rng = Random(str(case))
        self.timeline = Timeline()
        window = self.rng.choice(WINDOWS)
        self.registered = registered(case.memory, window)
        self.exchange = Exchange(case.memory, window, self.timeline, self.rng)
        self.telegram = Telegram(clock=lambda: self.timeline.now_ms / 1000)
        self.telegram.add_person(ANN, "Ann", "ann")
        is_lively = case.failpoint.startswith(LIVELY)
        plot = Plot(
            cancels=case.failpoint in ENDED_BY_CANCEL or self.rng.random() < 0.5,
            is_patient=is_lively or self.rng.random() < 0.5,
            at_market=not is_lively and self.rng.random() < 0.2,
        )
        self.exchange.is_left_open = plot.cancels
        self.person = Person(self.telegram, self.exchange, self.rng, plot)
        self.outcome = Outcome()
        self.is_over = False
        self.plan = self._plan()
        self._plot = self.plan[0]
        self._next_glance_us = 0

    @property
    def database(self) -> Path:
        return self.settings.storage.directory / "tradewire.db"

    @property
    def backup(self) -> Path:
        """Where the copy goes in the making of which its process dies."""
        return self.settings.storage.directory / "backups" / "copy.db"

    def run(self) -> Outcome:
        """Let the bot live until all is done, and say what became of it."""
        outcome, rng = self.outcome, self.rng
        self._glance()
        self._check()
        plans = iter(self.plan)
        last = self.plan[-1]
        while not self.is_over and not outcome.broken:
            self._plot = plot = next(plans, _Plan(is_upgraded=last.is_upgraded))
            outcome.lives += 1
            before = len(outcome.struck)
            self._live(plot)
            if plot.blow is not None and plot.is_sure and len(outcome.struck) == before:
                outcome.broken.append(f"life {outcome.lives}: never came to: {plot.blow.moment}, {plot.nth} times")
            if outcome.lives == _MOST_LIVES:
                outcome.broken.append("it was started too often")
            away = _LONG_AWAY_SECONDS if rng.random() < _LONG_AWAY else _SHORT_AWAY_SECONDS
            if not self.is_over:
                self.timeline.pass_by(rng.uniform(*away))
        outcome.seconds = self.timeline.now_us / 1e6
        if not outcome.broken:
            outcome.broken += judged(self.database, self.exchange, self.telegram, self.person.quantity, outcome.lives)
        return outcome

    def _plan(self) -> list[_Plan]:
        rng = self.rng
        blow = STRIKES[self.case.failpoint]
        nth = rng.randint(1, blow.most)
        if self.case.failpoint == "migration step":
            if self.case.seed % 2:
                return [_Plan(blow, nth)]
            nth = rng.randint(1, UPGRADE_STATEMENTS)
            return [_Plan(ANY_COMMIT, rng.randint(1, ANY_COMMIT.most)), _Plan(blow, nth, is_upgraded=True)]
        again = [_Plan(blow, 1, is_sure=False)] if rng.random() < _TWICE else []
        return [_Plan(blow, nth), *again]

    # One life

    def _live(self, plot: _Plan) -> None:
        ours, theirs, listener = _sockets()
        life = self._life(plot, listener)
        child = os.fork()
        if child == 0:
            ours.close()
            listener.close()
            live(life, theirs)
        theirs.close()
        try:
            _Exchanges(self, listener, ours).serve()
        except TimeoutError:
            self.outcome.broken.append("the bot fell silent")
            os.kill(child, signal.SIGKILL)
        finally:
            ours.close()
            listener.close()
            _, status = os.waitpid(child, 0)
        is_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGXFSZ)
        if not is_killed and not self.is_over and not self.outcome.broken:
            self.outcome.broken.append(f"the bot ended by itself, with status {status}")

    def _life(self, plot: _Plan, listener: socket.socket) -> Life:
        return Life(
            settings=self.settings,
            registered=self.registered,
            address=listener.getsockname(),
            now_us=self.timeline.now_us,
            blow=plot.blow,
            nth=plot.nth,
            seed=f"{self.case} / {self.outcome.lives}",
            is_upgraded=plot.is_upgraded,
            is_threaded=self.case.seed % _THREADED == 0,
        )

    def warm_up(self) -> None:
        """Let the bot live once in this process, undisturbed, and the world in a child."""
        ours, theirs, listener = _sockets()
        life = self._life(_Plan(), listener)
        child = os.fork()
        if child == 0:
            theirs.close()
            self._glance()
            self._check()
            _Exchanges(self, listener, ours).serve()
            os._exit(0 if self.is_over and not self.outcome.broken else 70)
        ours.close()
        listener.close()
        warm_up(life, theirs)
        theirs.close()
        _, status = os.waitpid(child, 0)
        if status:
            raise RuntimeError("the bot cannot live here even undisturbed")

    def heard(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Take what the bot's process said, and return the answer, if it wants one."""
        if "struck" in message:
            self.outcome.struck.append(message["struck"])
            return None
        if "broken" in message:
            self.outcome.broken.append(f"life {self.outcome.lives}: {message['broken']}")
            return None
        if "backup" in message:
            self._break_backup(message["backup"])
            return {"is_over": False}
        self.pass_to(message["now_us"])
        body = self._telegram(message["call"], message["values"])
        status = body.get("error_code", 200)
        return {"status": status, "body": body, "next_us": self._next_glance_us, "is_over": self.is_over}

    def requested(self, now_us: int, message: bytes, answer: Any) -> None:
        """Take a whole request to the exchange."""
        self.pass_to(now_us)
        request = read_request(message)
        if request.path != "/place":
            answer(write_response(self.exchange.look(request)))
            return
        self.exchange.placing.append((request.json["client_id"], request.headers["key"]))
        self.exchange.receive(request, self._fate(), lambda found: found and answer(write_response(found)))

    def pass_to(self, now_us: int) -> None:
        """Let happen what happens until then."""
        self.timeline.pass_by(max(0, now_us - self.timeline.now_us) / 1e6)

    def _fate(self) -> str:
        """An order that left when the bot died at once may have far to go; it is not waited for."""
        dies_at_once = self._plot.is_sure and self._plot.blow == STRIKES["written"]
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
            prepare_to_die()
            self.backup.parent.mkdir()
            die_writing(1 + int(share * pages), 512)
            back_up(self.database, self.backup, events_are_whole)
            os._exit(70)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            self.outcome.struck.append(STRIKES["backup page"].moment)

    # What happens by itself

    def _glance(self) -> None:
        self.person.glance(self.timeline.now_us / 1e6)
        seconds = self.rng.uniform(0.6, 1.4)
        self._next_glance_us = self.timeline.now_us + int(seconds * 1e6)
        self.timeline.after(seconds, self._glance)

    def _check(self) -> None:
        """End the world once nothing is left to happen."""
        if self.timeline.now_us > _LONGEST_SECONDS * 1e6:
            self.is_over = True
        elif self.person.is_done and not self.exchange.under_way:
            self.is_over = not unsettled(self.database, self.exchange)
        self.timeline.after(2.0, self._check)


def _sockets() -> tuple[socket.socket, socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.settimeout(_SILENT_SECONDS)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("")  # the kernel finds a name in the abstract space
    listener.listen()
    return ours, theirs, listener


class _Exchanges:
    """Serves one life's sockets until it is over: what was sent whole is not lost, and half a request is nothing."""

    def __init__(self, world: World, listener: socket.socket, control: socket.socket) -> None:
        self._world = world
        self._listener = listener
        self._control = control
        self._selector = selectors.DefaultSelector()
        self._buffers: dict[socket.socket, bytearray] = {}

    def serve(self) -> None:
        """Answer until the other side is gone, and then take what it left behind."""
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._control, selectors.EVENT_READ)
        self._listener.setblocking(False)  # noqa: FBT003  # the socket's own signature
        try:
            while self._serve_once():
                pass
            self._accept()
            for each in tuple(self._buffers):
                while self._receive(each):
                    pass
        finally:
            for each in self._buffers:
                each.close()
            self._selector.close()

    def _serve_once(self) -> bool:
        ready = self._selector.select(_SILENT_SECONDS)
        if not ready:
            raise TimeoutError
        for key, _ in ready:
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is not self._control:
                self._receive(key.fileobj)  # type: ignore[arg-type]
        if not any(key.fileobj is self._control for key, _ in ready):
            return True
        message = frames.receive(self._control)
        if message is None:
            return False
        answer = self._world.heard(message)
        if answer is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                frames.send(self._control, answer)
        return True

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = self._listener.accept()
                connection.setblocking(False)  # noqa: FBT003  # the socket's own signature
                self._buffers[connection] = bytearray()
                self._selector.register(connection, selectors.EVENT_READ)

    def _receive(self, connection: socket.socket) -> bool:
        """Take what came, and say whether there may be more."""
        buffer = self._buffers[connection]
        try:
            data = connection.recv(65536)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            data = b""
        if not data:
            if connection in {key.fileobj for key in self._selector.get_map().values()}:
                self._selector.unregister(connection)
            return False
        buffer += data

        def answer(message: bytes) -> None:
            with contextlib.suppress(OSError):  # nobody is there any more
                connection.sendall(frames.reply(message))

        while (found := frames.take_request(buffer)) is not None:
            self._world.requested(*found, answer)
        return True
