"""Breaks the modules that move money, one thing at a time, and lists what no test notices.

    python -m tests.mutation                      all modules: hours
    python -m tests.mutation fills evidence       these
    python -m tests.mutation --sample 20 journal  twenty mutants of it, always the same ones
    python -m tests.mutation --again result.json  what survived the last time

It works on a copy of the tree. The status is 1 when a mutant survives that `survivors.toml` does not explain.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TextIO

from tests.mutation import rehearsal, survivors
from tests.mutation.mutants import Mutant, mutants_of, mutated, optional_names
from tests.mutation.rehearsal import Map, Stage, Verdict

MODULES = ("journal", "desk", "sending", "confirm", "reconcile", "ends", "evidence", "adoption", "fills", "deadlines")
MODULES += ("client_ids", "watchlist", "turns", "reports")
PACKAGE = "bot.trading"
TESTS = ("tests/trading",)
SEED = 7
LONGEST_TEST_SECONDS = 4.0
"""Tests that take longer, great samples of histories and schedules, are not asked."""
_OWN_AT_ONCE = 4
"""Of the files named after the module this many tests are asked while one is asked of each other file."""
_COPIED = ("bot", "tests", "plugins", "docs", "deploy", "pyproject.toml", "config.example.toml")
_ROOT = Path(__file__).parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the mutants that the command line names, and return the exit status."""
    options = _options(arguments)
    if options.tree is None:
        with tempfile.TemporaryDirectory(prefix="mutation-") as directory:
            return _in_copy(Path(directory), sys.argv[1:] if arguments is None else list(arguments))
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    tree = options.tree.resolve()
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    names = [name if Path(f"{name}.py").exists() else f"{PACKAGE}.{name}" for name in options.modules or MODULES]
    sources = {name: tree / f"{name.replace('.', '/')}.py" for name in names}
    chosen = _chosen(tree, sources, options)
    verdicts = _judge(tree, sources, chosen, options)
    return _report(chosen, verdicts, options)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {PACKAGE}; default: all that moves money")
    parser.add_argument("--sample", type=int, metavar="N", help="judge N mutants of each module")
    parser.add_argument("--again", type=Path, metavar="FILE", help="judge only what survived in this result")
    parser.add_argument("--only", metavar="TEXT", help="judge only mutants whose description holds this")
    parser.add_argument("--result", type=Path, metavar="FILE", help="write what became of each mutant as JSON")
    parser.add_argument("--tests", nargs="+", default=list(TESTS), metavar="PATH", help="the tests that are asked")
    parser.add_argument("--accepted", type=Path, default=survivors.FILE, metavar="FILE", help="known survivors")
    parser.add_argument(
        "--budget", type=float, metavar="SECONDS", help="ask no more tests of a mutant than take so long"
    )
    parser.add_argument("--list", action="store_true", help="list the mutants and judge none")
    parser.add_argument("--tree", type=Path, help="work right here, not on a copy; nothing is written to it")
    options = parser.parse_args(arguments)
    for name in ("again", "result", "accepted"):
        path = getattr(options, name)
        setattr(options, name, path and path.absolute())
    return options


def _in_copy(directory: Path, arguments: list[str]) -> int:
    for name in _COPIED:
        source = _ROOT / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, directory / name)
    paths = [directory, *(each for each in sorted((directory / "plugins").iterdir()) if each.is_dir())]
    command = [sys.executable, "-m", "tests.mutation", *_absolute(arguments), "--tree", "."]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    return subprocess.run(command, cwd=directory, env=environment, check=False).returncode


def _absolute(arguments: list[str]) -> list[str]:
    files = {"--again", "--result", "--accepted"}
    return [
        str(Path(each).absolute()) if before in files else each
        for before, each in zip(["", *arguments], arguments, strict=False)
    ]


def _chosen(tree: Path, sources: dict[str, Path], options: argparse.Namespace) -> list[Mutant]:
    optional = optional_names(
        [path.read_text() for path in sorted((tree / PACKAGE.split(".", maxsplit=1)[0]).rglob("*.py"))]
    )
    again = None
    if options.again:
        again = {tuple(each["key"]) for each in json.loads(options.again.read_text()) if each["outcome"] in _ALIVE}
    chosen: list[Mutant] = []
    for name, path in sources.items():
        made = [each for each in mutants_of(name, path.read_text(), optional) if again is None or each.key in again]
        made = [each for each in made if options.only is None or options.only in str(each)]
        if options.sample is not None and options.sample < len(made):
            numbers = sorted(random.Random(SEED).sample(range(len(made)), options.sample))
            made = [made[number] for number in numbers]
        chosen += made
    return chosen


_ALIVE = ("survived", "untested")


def _judge(
    tree: Path, sources: dict[str, Path], chosen: list[Mutant], options: argparse.Namespace
) -> dict[int, Verdict]:
    """Judge changes of functions in forks of a warm process, then those of constants in forks of this one."""
    if options.list:
        return {}
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(read)
            with os.fdopen(write, "w") as pipe:
                rehearsal.stage(lambda stage: _warm(stage, tree, sources, chosen, options, pipe), options.tests)
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as pipe:
        told = [json.loads(line) for line in pipe]
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0 or not told:
        raise SystemExit("The tests could not be run; see above.")
    verdicts = {number: Verdict(**verdict) for number, verdict in told[1:]}
    known = Map(told[0]["seconds"], {m: {int(n): t for n, t in v.items()} for m, v in told[0]["tests"].items()})
    order = _Order(known, options.budget)
    left = [number for number in range(len(chosen)) if number not in verdicts]
    if tested := [chosen[number] for number in left if order.of(chosen[number])]:
        rehearsal.preload(told[0]["packages"])
        _control(sources[tested[0].module], tested[0], order, known)
    for number in left:
        mutant = chosen[number]
        tests = order.of(mutant)
        changed = mutated(sources[mutant.module].read_text(), mutant)
        verdicts[number] = rehearsal.fresh(mutant.module, changed, tests, known) if tests else Verdict("untested")
        order.learn(mutant, verdicts[number])
        _show(number, len(chosen), mutant, verdicts[number])
    return verdicts


def _control(path: Path, mutant: Mutant, order: _Order, known: Map) -> None:
    """Make sure that tests pass in a process that imports a module which is not changed."""
    verdict = rehearsal.fresh(mutant.module, ast.parse(path.read_text()), order.of(mutant)[:3], known)
    if verdict.outcome != "survived":
        raise SystemExit(f"{mutant.module} cannot be tested afresh: {verdict.by} fails though nothing was changed.")


def _warm(
    stage: Stage,
    tree: Path,
    sources: dict[str, Path],
    chosen: list[Mutant],
    options: argparse.Namespace,
    pipe: TextIO,
) -> None:
    known = stage.record({name: str(path) for name, path in sources.items()})
    packages = rehearsal.imported_from_outside(tree)
    print(json.dumps({"seconds": known.seconds, "tests": known.tests, "packages": packages}), file=pipe)
    order = _Order(known, options.budget)
    for number, mutant in enumerate(chosen):
        if mutant.function == "<module>":
            continue
        tests = order.of(mutant)
        changed = mutated(sources[mutant.module].read_text(), mutant)
        verdict = stage.judge(mutant.module, changed, mutant.function, tests, known) if tests else Verdict("untested")
        if verdict is None:
            continue
        order.learn(mutant, verdict)
        told = {"outcome": verdict.outcome, "by": verdict.by, "seconds": verdict.seconds}
        print(json.dumps([number, told]), file=pipe)
        _show(number, len(chosen), mutant, verdict)


class _Order:
    """Which tests are asked first: those that noticed a change nearby, then of each file the quickest, and so on."""

    def __init__(self, known: Map, budget_seconds: float | None) -> None:
        self._known = known
        self._budget = math.inf if budget_seconds is None else budget_seconds
        self._noticed: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)

    def of(self, mutant: Mutant) -> list[str]:
        """Return the tests that can see a mutant, the most promising first."""
        tests = self._known.of(mutant.module, mutant.seen_at)
        noticed, seconds = self._noticed[mutant.module, mutant.function], self._known.seconds
        quick = sorted(
            (each for each in tests if seconds[each] <= LONGEST_TEST_SECONDS), key=lambda each: seconds[each]
        )
        named = f"/test_{mutant.module.rpartition('.')[2]}"
        ranks: dict[str, int] = {}
        files: Counter[str] = Counter()
        for test in quick:
            file = test.partition("::")[0]
            ranks[test] = files[file] // (_OWN_AT_ONCE if named in file else 1)
            files[file] += 1
        ordered = sorted(quick, key=lambda test: (-noticed[test], ranks[test]))
        spent = accumulate(seconds[test] for test in ordered)
        return [test for test, total in zip(ordered, spent, strict=True) if total <= self._budget]

    def learn(self, mutant: Mutant, verdict: Verdict) -> None:
        """Remember which test noticed."""
        if verdict.by:
            self._noticed[mutant.module, mutant.function][verdict.by] += 1


def _show(number: int, count: int, mutant: Mutant, verdict: Verdict) -> None:
    if verdict.outcome != "killed":
        print(
            f"[{number + 1}/{count}] {verdict.outcome} ({verdict.seconds:.1f} s) {mutant}", file=sys.stderr, flush=True
        )


def _report(chosen: list[Mutant], verdicts: dict[int, Verdict], options: argparse.Namespace) -> int:
    if options.list:
        print("\n".join(map(str, chosen)))
        return 0
    if options.result:
        rows = [{"key": each.key, "line": each.line, **_plain(verdicts[n])} for n, each in enumerate(chosen)]
        options.result.write_text(json.dumps(rows, indent=1))
    reasons = survivors.accepted(options.accepted) if options.accepted.exists() else {}
    alive = [each for number, each in enumerate(chosen) if verdicts[number].outcome in _ALIVE]
    unexplained = [each for each in alive if each.key not in reasons]
    print(f"{'module':28}{'mutants':>9}{'killed':>9}{'timeout':>9}{'survived':>10}{'explained':>11}")
    modules = list(dict.fromkeys(each.module for each in chosen))
    for name in [*modules, "all"]:
        own = [number for number, each in enumerate(chosen) if name in (each.module, "all")]
        count = Counter(verdicts[number].outcome for number in own)
        explained = sum(each.key in reasons for each in alive if name in (each.module, "all"))
        lived = sum(count[outcome] for outcome in _ALIVE)
        print(f"{name:28}{len(own):>9}{count['killed']:>9}{count['timeout']:>9}{lived:>10}{explained:>11}")
    for each in unexplained:
        print(f"\n# line {each.line}\n{survivors.entry(each)}", end="")
    whole = options.sample is None and options.again is None and options.only is None
    gone = survivors.outdated(reasons, chosen, alive) if whole else []
    for key in gone:
        print(f"listed, but it does not survive: {' '.join(key)}")
    return 1 if unexplained or gone else 0


def _plain(verdict: Verdict) -> dict[str, object]:
    return {"outcome": verdict.outcome, "by": verdict.by, "seconds": round(verdict.seconds, 2)}


if __name__ == "__main__":
    raise SystemExit(main())
