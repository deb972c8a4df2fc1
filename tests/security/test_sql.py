"""No statement is built from what anybody wrote: every one is a constant, but for a few pieces that are named here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text() for path in (ROOT / "bot").rglob("*.py")
}
EXECUTE = {"execute", "executemany", "executescript"}
MARKS = re.compile(r"'[?, ]+'\.join\('\?' \* len\(\w+\)\)")
"""As many question marks as there are values."""
PIECES = {
    "bot.alerts.rows": {"names"},  # our columns
    "bot.chat.health": {"query"},  # constants, given to a function of its own
    "bot.store.database": {"name", "value"},  # of the table of pragmas
    "bot.trading.adoption": {"names", "marks"},  # our columns, and question marks
    "bot.trading.allowance": {"queries.UNSETTLED_OF_USER"},  # a constant
    "bot.trading.ends": {"_ASKING", "_LOST", "either"},  # constants
    "bot.trading.feeds": {"indexed"},  # made of constants
    "bot.trading.journal": {"names"},  # keyword names of our own calls
    "bot.trading.profit": {"live"},  # made of a constant
    "bot.trading.queries": {"DOUBTFUL", "others", "own", "query"},  # constants, and constant statements
}
"""Module to the pieces that are put into a statement and are no constants; each was looked at."""


def pieces(source: str) -> Iterator[str]:
    """Yield every piece of a statement that is neither a constant nor made of constants."""
    tree = ast.parse(source)
    values: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    values.setdefault(target.id, []).append(node.value)
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign)) and isinstance(node.target, ast.Name) and node.value:
            values.setdefault(node.target.id, []).append(node.value)
        elif isinstance(node, (ast.For, ast.comprehension)) and isinstance(node.target, ast.Name):
            values.setdefault(node.target.id, []).append(node.iter)

    def built(node: ast.expr, seen: frozenset[str]) -> Iterator[str]:
        match node:
            case ast.Constant():
                return
            case ast.JoinedStr():
                for each in node.values:
                    yield from built(each.value if isinstance(each, ast.FormattedValue) else each, seen)
            case ast.BinOp(op=ast.Add()):
                yield from built(node.left, seen)
                yield from built(node.right, seen)
            case ast.IfExp():
                yield from built(node.body, seen)
                yield from built(node.orelse, seen)
            case ast.Tuple() | ast.List():
                for each in node.elts:
                    yield from built(each, seen)
            case ast.Name() if node.id in values and node.id not in seen:
                for each in values[node.id]:
                    if list(built(each, seen | {node.id})):
                        yield node.id
                        return
            case _ if not MARKS.fullmatch(ast.unparse(node)):
                yield ast.unparse(node)

    def statement(node: ast.expr) -> Iterator[str]:
        """Name the pieces of a statement itself, and of those it is put together from by name."""
        if isinstance(node, ast.Name) and node.id in values:
            for each in values[node.id]:
                yield from statement(each)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            yield from statement(node.left)
            yield from statement(node.right)
        else:
            yield from built(node, frozenset())

    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in EXECUTE:
            yield from statement(node.args[0])


def test_statements_are_constants_but_for_pieces_that_were_looked_at() -> None:
    """All SQL of the bot; a new piece has to be looked at, and one that went is struck from the list."""
    found = {module: set(pieces(source)) for module, source in SOURCES.items()}
    assert {module: made for module, made in found.items() if made} == PIECES


def test_bot_has_statements() -> None:
    """The rule above is about something."""
    assert sum(source.count(".execute(") for source in SOURCES.values()) > 100


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("db.execute(f\"SELECT * FROM users WHERE name='{name}'\")", {"name"}),
        ('db.execute("SELECT " + column)', {"column"}),
        ('db.execute("SELECT %s" % column)', {"'SELECT %s' % column"}),
        ('db.execute("SELECT {}".format(column))', {"'SELECT {}'.format(column)"}),
        ('query = "SELECT 1"\nif x:\n    query += f" AND {text}"\ndb.execute(query)', {"text"}),
        ("def f(query):\n    db.execute(query)", {"query"}),
        ("db.executescript(text)", {"text"}),
        ('rows = ", ".join(x)\ndb.execute(f"SELECT {rows}")', {"rows"}),
        ('db.execute("SELECT ?", (name,))', set()),
        ('A = ("x", f"y {B}")\nB = "z"\nfor each in A:\n    db.execute(each)', set()),
    ],
)
def test_statement_check_notices_a_built_statement(source: str, found: set[str]) -> None:
    """Control: every way to put text into a statement is seen."""
    assert set(pieces(source)) == found
