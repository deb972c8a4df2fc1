"""Runs tests against mutants inside one process of pytest that has everything imported and collected.

Each run is a fork of it: the mutant's function gets other code, the tests run, and the fork is gone. What is made when
a module is imported, its constants, cannot be replaced in a process that has imported it; for those a fork of a
process that has not, see `fresh`, imports the mutated module.
"""

from __future__ import annotations

import ast
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import coverage
import pytest

_PATIENCE_SECONDS = 5.0
_PATIENCE_FACTOR = 10
"""A test takes this many times its usual time, and a while more, before it counts as one that hangs."""
_IMPORT_SECONDS = 60.0
_SURVIVED, _KILLED = 0, 1
_HARNESS_FAILED = 70
_PRELOADED = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
_OPTIONS = (
    "--timeout",
    "900",
    "-q",
    "-n",
    "0",
    "-s",
    "-x",
    "--tb=no",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:terminalreporter",
)


@dataclass(slots=True)
class Map:
    """Which test runs which lines.

    Attributes:
        seconds: By test, how long it takes.
        tests: By module and line, the tests that run it.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    tests: dict[str, dict[int, list[str]]] = field(default_factory=dict)

    def of(self, module: str, lines: Collection[int]) -> set[str]:
        """Return the tests that run any of these lines of a module; if none are named, any line at all."""
        known = self.tests.get(module, {})
        return {test for line, tests in known.items() if not lines or line in lines for test in tests}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the tests made of a mutant.

    Attributes:
        outcome: `killed`, `timeout`, `survived`, or `untested` when no test runs its line.
        by: The test that noticed.
        seconds: How long that took.
    """

    outcome: str
    by: str = ""
    seconds: float = 0.0


class Stage:
    """A plugin of pytest that has a play of its own in the place of the run of all tests.

    Args:
        play: What is done with the collected tests.
    """

    def __init__(self, play: Callable[[Stage], None]) -> None:
        self._play = play
        self.items: dict[str, pytest.Item] = {}
        self.has_failed = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        gc.collect()
        gc.freeze()  # a fork then shares the pages of what is here already
        self._play(self)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.has_failed = self.has_failed or report.failed

    def run(self, test: str, following: str | None) -> bool:
        """Run one test, here and now, and say whether it passed."""
        item, next_item = self.items[test], self.items[following] if following else None
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=next_item)
        return not self.has_failed

    def record(self, modules: dict[str, str]) -> Map:
        """Run every test once, in a fork, and return which lines each runs. Those that fail are left out, and named.

        Raises:
            RuntimeError: Half of the tests or more fail though nothing was changed: the tree is broken.
        """
        read, write = os.pipe()
        pid = _fork(lambda: self._record(modules, write))
        os.close(write)
        with os.fdopen(read) as pipe:
            found = json.loads(pipe.read() or '{"failed": [], "seconds": {}}')
        os.waitpid(pid, 0)
        failed, passed = found["failed"], len(found["seconds"])
        if len(failed) >= max(passed, 1):
            raise RuntimeError(f"{len(failed)} tests fail though nothing was changed, and {passed} pass: {failed[:3]}")
        for test in failed:
            print(f"left out, it fails though nothing was changed: {test}", file=sys.stderr, flush=True)
        return Map(found["seconds"], {m: {int(n): t for n, t in v.items()} for m, v in found["tests"].items()})

    def _record(self, modules: dict[str, str], write: int) -> int:
        traced = coverage.Coverage(data_file=None, include=list(modules.values()), config_file=False)
        seconds: dict[str, float] = {}
        failed = []
        traced.start()
        for test, following in _pairs(list(self.items)):
            traced.switch_context(test)
            began = time.perf_counter()
            if self.run(test, following):
                seconds[test] = time.perf_counter() - began
            else:
                failed.append(test)
                self.has_failed = False
        traced.stop()
        data = traced.get_data()
        tests = {name: data.contexts_by_lineno(os.path.realpath(path)) for name, path in modules.items()}
        told = {m: {n: [t for t in ts if t in seconds] for n, ts in lines.items()} for m, lines in tests.items()}
        with os.fdopen(write, "w") as pipe:
            json.dump({"failed": failed, "seconds": seconds, "tests": told}, pipe)
        return 0

    def judge(self, module: str, tree: ast.Module, function: str, tests: Sequence[str], known: Map) -> Verdict | None:
        """Give a function the code it has in `tree`, in a fork, and run tests until one fails.

        Returns:
            `None` where the code does not fit into the function that there is; see `fresh`.
        """
        held, code = _pair(sys.modules[module], compile(tree, module, "exec"), function)
        if len(held.__code__.co_freevars) != len(code.co_freevars):
            return None

        def play(progress: int) -> int:
            held.__code__ = code
            for number, (test, following) in enumerate(_pairs(tests)):
                os.write(progress, f"{number}\n".encode())
                if not self.run(test, following):
                    return _KILLED
            return _SURVIVED

        return _watched(play, tests, known)


def stage(play: Callable[[Stage], None], arguments: Sequence[str]) -> None:
    """Collect tests, and let `play` do with them what it likes.

    Raises:
        RuntimeError: The tests could not be collected.
    """
    status = pytest.main([*_OPTIONS, *arguments], plugins=[Stage(play)])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise RuntimeError(f"pytest ended with {status!r}")


def fresh(module: str, tree: ast.Module, tests: Sequence[str], known: Map) -> Verdict:
    """Import a mutated module in a fork that has not imported the original, and run tests until one fails."""

    def play(progress: int) -> int:
        finder = _Mutated(module, tree)
        sys.meta_path.insert(0, finder)
        reporter = _Progress(progress, list(tests))
        status = pytest.main([*_OPTIONS, *_PRELOADED, *tests], plugins=[reporter])
        return _SURVIVED if status == pytest.ExitCode.OK else _KILLED

    return _watched(play, tests, known, extra_seconds=_IMPORT_SECONDS)


class _Progress:
    def __init__(self, write: int, tests: list[str]) -> None:
        self._write = write
        self._tests = tests

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        os.write(self._write, f"{self._tests.index(nodeid)}\n".encode())


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, module: str, tree: ast.Module) -> None:
        self._module = module
        self._tree = tree

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._module:
            return None
        original = importlib.machinery.PathFinder.find_spec(fullname, path)
        origin = original.origin if original else None
        return importlib.util.spec_from_loader(fullname, self, origin=origin)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._tree, self._module, "exec"), module.__dict__)


def _watched(play: Callable[[int], int], tests: Sequence[str], known: Map, *, extra_seconds: float = 0.0) -> Verdict:
    """Run `play` in a fork that tells the number of each test as it begins; end it when a test takes far too long."""
    read, write = os.pipe()
    began = time.monotonic()
    pid = _fork(lambda: play(write))
    os.close(write)
    current, patience, told = -1, _PATIENCE_SECONDS + extra_seconds, ""
    while True:
        ready, _, _ = select.select([read], [], [], patience)
        piece = os.read(read, 4096).decode() if ready else ""
        if not piece:
            break
        told += piece
        current = int(told.split()[-1]) if told.endswith("\n") else current
        usual = known.seconds.get(tests[current], 0.0) if current >= 0 else 0.0
        patience = _PATIENCE_SECONDS + _PATIENCE_FACTOR * usual
    os.close(read)
    if not ready:
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    by = tests[current] if current >= 0 else ""
    if status == _HARNESS_FAILED:
        raise RuntimeError("the harness itself failed; see above")
    outcome = "survived" if status == _SURVIVED else "killed" if ready else "timeout"
    return Verdict(outcome, "" if outcome == "survived" else by, time.monotonic() - began)


def _fork(play: Callable[[], int]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = _HARNESS_FAILED
    try:
        null, errors = os.open(os.devnull, os.O_WRONLY), os.dup(2)
        os.dup2(null, 1)
        os.dup2(null, 2)
        try:
            status = play()
        except BaseException as error:
            os.write(errors, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(status)


def _pair(module: ModuleType, code: CodeType, function: str) -> tuple[FunctionType, CodeType]:
    """Return the outermost function of a qualified name, wherever it is held, and the code it has in `code`."""
    holder: Any = module
    for name in function.split("."):
        code = next(each for each in code.co_consts if isinstance(each, CodeType) and each.co_name == name)
        held = vars(holder)[name]
        found = _function_of(held)
        if found is not None:
            return found, code
        holder = held
    raise TypeError(f"{function} of {module.__name__} is no function")


def _function_of(held: Any) -> FunctionType | None:
    held = getattr(held, "fget", None) or getattr(held, "__func__", held)
    held = getattr(held, "__wrapped__", held)
    return held if isinstance(held, FunctionType) else None


def _pairs(tests: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    return zip(tests, [*tests[1:], None], strict=True)


def preload(names: Sequence[str]) -> None:
    """Import what the tests need and the tree does not hold, once for all that is forked from here."""
    for name in names:
        try:
            importlib.import_module(name)
        except Exception:  # an optional part of a package; whoever needs it says so
            continue


def imported_from_outside(tree: Path) -> list[str]:
    """Return the packages that were imported from elsewhere than `tree`."""
    files = {name: getattr(module, "__file__", None) for name, module in tuple(sys.modules.items())}
    return [name for name, file in files.items() if file and not Path(file).is_relative_to(tree) and name != "__main__"]
