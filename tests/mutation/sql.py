"""What can be broken in a statement of SQL: a condition that no longer holds back, a limit that is off by one.

A condition is made true rather than left out, so that as many values are bound as before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_VERBS = re.compile(r"^\s*(SELECT|UPDATE|DELETE|INSERT)\b|\bWHERE\b")
_BEGINS = re.compile(r"\b(?:WHERE|AND|ON)\s+")
_ENDS = re.compile(r"\s+(?:AND|ORDER BY|LIMIT|GROUP BY|WHERE|RETURNING|BEGIN)\b")
_COMPARISON = re.compile(r"(?<![<>=!])(<=|>=|<(?!>)|>)(?!=)")
_OTHER = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}


def is_sql(text: str) -> bool:
    """Say whether a text is a statement, or the end of one."""
    return _VERBS.search(text) is not None


def variants(text: str) -> Iterator[str]:
    """Return the statement with one condition after the other made true, and each comparison off by one."""
    for begin in _BEGINS.finditer(text):
        start = begin.end()
        end = _end_of(text, start)
        if end > start:
            yield f"{text[:start]}({text[start:end]} OR 1){text[end:]}"
    for found in _COMPARISON.finditer(text):
        yield text[: found.start()] + _OTHER[found[0]] + text[found.end() :]


def _end_of(text: str, start: int) -> int:
    depth, at = 0, start
    while at < len(text):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth < 0 or (depth == 0 and _ENDS.match(text, at)):
            return at
        at += 1
    return at
