"""Killing the process that this runs in, at one chosen moment."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sqlite3
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from tests.crash import frames
from tests.crash.failpoints import ANY_COMMIT, Blow

_PAGE = 4096


class Line:
    """The process's line to the world outside; used by its loop and by the thread that writes to the database.

    Args:
        control: The socket.
        over: Called when the world says that it is over.
    """

    def __init__(self, control: socket.socket, over: Callable[[], None]) -> None:
        self._control = control
        self._over = over
        self._lock = threading.Lock()

    def tell(self, **message: Any) -> None:
        """Say something that wants no answer."""
        with self._lock:
            frames.send(self._control, message)

    def ask(self, **message: Any) -> dict[str, Any]:
        """Say something and wait for the answer."""
        with self._lock:
            frames.send(self._control, message)
            answer = frames.receive(self._control)
        if answer is None:
            os._exit(0)
        if answer["is_over"]:
            self._over()
        return answer


class Striker:
    """Waits for a moment, and strikes when it has come often enough.

    Args:
        blow: The moment, or `None` to let the process live.
        nth: Which time it strikes.
        line: Told of the blow just before it falls.
        rng: Chance.
    """

    def __init__(self, blow: Blow | None, nth: int, line: Line, rng: Random) -> None:
        self.moment = blow.moment if blow else ""
        self.rng = rng
        self._left = nth
        self._line = line

    @property
    def names_commits(self) -> bool:
        """Whether it must be known what a transaction changes."""
        return self.moment.startswith(("before commit: ", "after commit: ")) and self.moment != ANY_COMMIT.moment

    def wait_for(self, moment: str, nth: int, seed: str) -> None:
        """Wait for another moment from now on, with another chance."""
        self.moment, self._left = moment, nth
        self.rng.seed(seed)

    def falls(self, moment: str) -> bool:
        """Say whether the blow falls the next time this moment is reached."""
        return moment == self.moment and self._left == 1

    def reached(self, moment: str) -> None:
        """Note a moment, and die if it is the one."""
        if moment == self.moment:
            self._left -= 1
            if self._left == 0:
                self._line.tell(struck=moment)
                os.kill(os.getpid(), signal.SIGKILL)

    def committed(self, connection: sqlite3.Connection) -> None:
        """Note that the database was changed, for the two blows that fall on files."""
        self.reached(ANY_COMMIT.moment)
        if self.moment not in ("checkpoint: page", "backup: page"):
            return
        self._left -= 1
        if self._left:
            return
        if self.moment == "backup: page":
            self._line.ask(backup=self.rng.random())
            return
        path = Path(connection.execute("PRAGMA database_list").fetchone()[2])
        self._line.tell(struck=self.moment)
        die_writing(self.rng.choice(_pages_in_log(path)), self.rng.choice((0, 512, 2048)))
        connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
        self._line.tell(broken="the checkpoint ended, though it was to die on a page that it writes")


def die_writing(page: int, offset: int) -> None:
    """Let the kernel end this process once it writes further into any file than so many bytes into page `page`.

    SQLite writes pages from within C, where no test can strike. A write over the limit is cut short at the limit, so
    the page is torn, and the next one ends the process as `kill -9` does: nothing of it runs on.
    """
    limit = (page - 1) * _PAGE + offset
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def prepare_to_die() -> None:
    """Undo what Python does about files that grow too large. Call in the main thread."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)


def _pages_in_log(database: Path) -> list[int]:
    """Return the pages that a checkpoint will write: https://www.sqlite.org/fileformat2.html#walformat ."""
    log = database.with_name(f"{database.name}-wal").read_bytes()
    salt = log[16:24]
    starts = range(32, len(log) - 23, 24 + _PAGE)
    return sorted({struct.unpack_from(">I", log, at)[0] for at in starts if log[at + 8 : at + 16] == salt})
