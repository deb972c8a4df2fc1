"""The command itself: what must be noticed is noticed, what nobody tests survives, what is explained is accepted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.mutation import survivors
from tests.mutation.mutants import mutants_of, optional_names
from tests.mutation.sql import variants

ROOT = Path(__file__).parents[2]
TOY = """
LIMIT = 3
UNUSED = 4


def is_few(number):
    return number < LIMIT


class Counter:
    def add(self, number):
        if number:
            self.sum = number


class Full(Exception):
    def __init__(self):
        super().__init__("full")
"""
TESTS = """
import toy


def test_few():
    assert (toy.is_few(2), toy.is_few(3)) == (True, False)


def test_add():
    counter = toy.Counter()
    counter.add(2)
    assert counter.sum == 2


def test_full():
    assert str(toy.Full()) == "full"


def test_broken():
    assert False
"""
ACCEPTED = """
[[survivor]]
module = "toy"
function = "<module>"
before = "UNUSED = 4"
after = "UNUSED = 5"
why = "Nothing uses it."
"""
EXPECTED = {
    ("<module>", "LIMIT = 3", "LIMIT = 4"): "killed",
    ("<module>", "UNUSED = 4", "UNUSED = 5"): "survived",
    ("is_few", "return number < LIMIT", "return None"): "killed",
    ("is_few", "return number < LIMIT", "return number <= LIMIT"): "killed",
    ("is_few", "return number < LIMIT", "return number >= LIMIT"): "killed",
    ("Counter.add", "if number: self.sum = number", "if not number: self.sum = number"): "killed",
    ("Counter.add", "self.sum = number", "pass"): "killed",
    ("Full.__init__", "super().__init__('full')", "pass"): "killed",
    ("Full.__init__", "super().__init__('full')", "super().__init__('full?')"): "killed",
}


def test_command_on_a_toy_kills_what_is_tested_and_lists_the_rest(tmp_path: Path) -> None:
    """Constants and functions, a survivor that is explained, and a test that fails by itself and is left out."""
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "test_toy.py").write_text(TESTS)
    (tmp_path / "accepted.toml").write_text(ACCEPTED)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    options = ["--tree", str(tmp_path), "--tests", "test_toy.py", "--result", str(tmp_path / "result.json")]
    options += ["--accepted", str(tmp_path / "accepted.toml")]
    command = [sys.executable, "-m", "tests.mutation", "toy", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert {tuple(each["key"][1:]): each["outcome"] for each in result} == EXPECTED
    assert "test_broken" in done.stderr


SOURCE = '''
def act(db, row, kind, *, now_ms=0, log=None):
    """Words."""
    log.info("nothing of this is changed: %s", 1 + 1)
    try:
        if not row.done and kind in ("a", "b"):
            raise ValueError("words that people read")
        with db.lock():
            row.state = "open"
            act(db, row, kind, now_ms=5)
    except (KeyError, ValueError):
        return -1
    return [each for each in row.parts if each]
'''


def test_mutants_of_a_function_are_of_every_kind() -> None:
    """Each operator once, so that none is lost by accident; and words and logging are left alone."""
    made = mutants_of("m", SOURCE, optional_names([SOURCE]))
    shown = {(each.before, each.after) for each in made}
    condition = "not row.done and kind in ('a', 'b')"
    assert {
        (condition, "not row.done or kind in ('a', 'b')"),
        (condition, "kind in ('a', 'b')"),
        (condition, "not row.done"),
        (condition, "row.done and kind in ('a', 'b')"),
        ("raise ValueError('words that people read')", "pass"),
        ("raise ValueError('words that people read')", "raise RuntimeError('mutated')"),
        (
            "with db.lock(): row.state = 'open' act(db, row, kind, now_ms=5)",
            "row.state = 'open'; act(db, row, kind, now_ms=5)",
        ),
        ("row.state = 'open'", "pass"),
        ("row.state = 'open'", "row.state = 'open?'"),
        ("act(db, row, kind, now_ms=5)", "pass"),
        ("act(db, row, kind, now_ms=5)", "act(db, row, kind)"),
        ("act(db, row, kind, now_ms=5)", "act(db, row, kind, now_ms=6)"),
        ("except (KeyError, ValueError): return -1", "except (ValueError,): return -1"),
        ("except (KeyError, ValueError): return -1", "except (KeyError,): return -1"),
        ("return -1", "return None"),
        ("return -1", "return 1"),
        ("[each for each in row.parts if each]", "[each for each in row.parts if not each]"),
        ("return [each for each in row.parts if each]", "return None"),
    } <= shown
    assert not [each for each in made if "nothing of this" in each.before or "people" in each.after[30:]]
    assert max(Counter(each.place for each in made).values()) <= 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "UPDATE orders SET a=? WHERE id=? AND expires_ms>? ORDER BY id",
            [
                "UPDATE orders SET a=? WHERE (id=? OR 1) AND expires_ms>? ORDER BY id",
                "UPDATE orders SET a=? WHERE id=? AND (expires_ms>? OR 1) ORDER BY id",
                "UPDATE orders SET a=? WHERE id=? AND expires_ms>=? ORDER BY id",
            ],
        ),
        (
            "SELECT 1 FROM a WHERE (x=? OR y=?) AND z<>?",
            [
                "SELECT 1 FROM a WHERE ((x=? OR y=?) OR 1) AND z<>?",
                "SELECT 1 FROM a WHERE (x=? OR y=?) AND (z<>? OR 1)",
            ],
        ),
        ("INSERT INTO a VALUES (?, ?)", []),
    ],
)
def test_sql_each_condition_is_made_true_and_each_comparison_off_by_one(text: str, expected: list[str]) -> None:
    """As many values are bound as before, so that only the condition is missing."""
    assert list(variants(text)) == expected


@pytest.mark.nightly
def test_survivors_that_are_accepted_each_have_a_reason_and_a_mutant() -> None:
    """What is listed still exists in the code: an explanation of something else explains nothing."""
    known = survivors.accepted(survivors.FILE)
    optional = optional_names([path.read_text() for path in sorted((ROOT / "bot").rglob("*.py"))])
    modules = {module for module, *_ in known}
    made = {
        each.key
        for module in modules
        for each in mutants_of(module, (ROOT / f"{module.replace('.', '/')}.py").read_text(), optional)
    }
    assert [key for key in known if key not in made] == []
