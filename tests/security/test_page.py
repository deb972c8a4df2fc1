"""docs/security.md: its table is the gate's, and what it tells people to type exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from bot.chat import rules
from bot.cli import COMMANDS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "security.md").read_text(encoding="utf-8")


def test_table_is_what_the_gate_reads() -> None:
    """Who may do what is written by docs/generate.py from the one table; run it when this fails."""
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert generate.with_rights(PAGE) == PAGE


def test_commands_that_the_page_names_exist() -> None:
    """No word of advice leads nowhere."""
    typed = set(re.findall(r"`tradewire ([a-z]+)", PAGE))
    assert typed <= COMMANDS.keys()
    assert typed >= {"audit", "keys", "panic"}
    assert set(re.findall(r"`/([a-z0-9]+)", PAGE)) - {"revoke"} <= rules.COMMANDS.keys()
