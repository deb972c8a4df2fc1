"""Write what the code knows into the docs: `python docs/generate.py`. A test compares the files with it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from bot.accounts.roles import RANK
from bot.chat import commands as chat
from bot.chat import rules
from bot.chat.gate import Rule
from bot.chat.reasons import REASONS
from bot.chat.registry import Command, Topic
from bot.contract import hookspecs
from bot.contract.models import ErrorRow
from bot.exchanges import registry

DOCS = Path(__file__).parent
BEGIN = "<!-- hooks: written by generate.py from bot/contract/hookspecs.py -->"
END = "<!-- end of hooks -->"
ROLES_BEGIN = "<!-- roles: written by generate.py from bot/chat/rules.py -->"
ROLES_END = "<!-- end of roles -->"

_ROLES = {"viewer": "everybody who was let in", "trader": "traders", "admin": "administrators", "owner": "the owner"}
_PLACES = {"private": "private chat", "anywhere": "private chat and groups", "group": "groups"}


def commands() -> str:
    """Return docs/commands.md: every command by topic, from the registry."""
    known = chat.registry().commands.values()
    parts = [
        "# Commands",
        "What you can write to the bot. Words in capitals are yours to fill in, `[...]` may be left out and `|` means\n"
        "or. A command that waited for more than 30 seconds, because the bot was away, is not run. An order is\n"
        "offered again at today's price.",
    ]
    for topic in get_args(Topic):
        parts += [f"## {topic}", *(_command(each) for each in known if each.topic == topic)]
    return "\n\n".join(parts) + "\n"


def _command(command: Command) -> str:
    lines = [f"### /{command.name}", "", f"{command.summary}.", ""]
    lines += [f"- Usage: `/{command.name} {command.usage}`"] if command.usage else []
    lines += [f"- Example: `{command.example}`"] if command.example else []
    lines += [f"- For {_who(command.rule)}"]
    if command.details:
        lines += ["", f"```text\n{command.details}\n```" if "\n" in command.details else command.details]
    return "\n".join(lines)


def _who(rule: Rule) -> str:
    return f"{_ROLES[rule.role]}, in {_PLACES[rule.where]}"


def hooks() -> str:
    """Return the reference part of docs/plugins.md: every hook with its arguments and what it must do."""
    found = [each for each in vars(hookspecs).values() if hasattr(each, f"{hookspecs.PROJECT}_spec")]
    parts = [
        f"A plugin implements at least {_listed(hookspecs.REQUIRED)}. What it leaves out, the bot does without, "
        "and says so where somebody asks for it."
    ]
    for required in (True, False):
        parts.append("### Required hooks" if required else "### Optional hooks")
        parts += [_hook(each) for each in found if (each.__name__ in hookspecs.REQUIRED) == required]
    return "\n\n".join(parts) + "\n"


def _hook(function: object) -> str:
    assert inspect.isfunction(function)
    result = str(inspect.signature(function).return_annotation)
    kind = "flow: yields requests, returns its result" if result.startswith("Flow[") else "plain function, without I/O"
    source = re.sub(r"^@.*\n", "", inspect.getsource(function))
    signature = re.sub(r'\s*""".*', "", source, flags=re.DOTALL).removesuffix(":")
    text = _described(inspect.getdoc(function) or "")
    return f"#### {function.__name__}\n\n```python\n{signature}\n```\n\nA {kind}.\n\n{text}"


def _described(docstring: str) -> str:
    """Return a Google-style docstring as Markdown."""
    lines: list[str] = []
    section = ""
    for line in docstring.splitlines():
        if found := re.fullmatch(r"(Args|Returns|Raises|Yields):", line):
            section = found[1]
            lines += [f"{'Arguments' if section == 'Args' else section}:", ""]
        elif section and (entry := re.fullmatch(r"    (\w+): (.*)", line)):
            lines.append(f"- `{entry[1]}`: {entry[2]}")
        elif section and line.startswith("    "):
            lines.append(f"{'  ' if lines[-1].startswith(('-', '  ')) else ''}{line.strip()}")
        else:
            lines.append(line)
    return "\n".join(lines)


def errors() -> str:
    """Return docs/errors.md: each installed exchange's codes, then the bot's own."""
    parts = [
        "# Codes",
        "What the codes mean that the bot shows. `/why` and a code tells the same in chat.\n\n"
        "`Rejected` kinds are proofs: the exchange did not carry out the request. After `OutcomeUnknown` an order may\n"
        "exist; the bot looks for it and never sends it again.",
        "## The bot's own codes",
        _table(("Code", "Meaning"), [(f"`{code}`", text) for code, text in sorted(REASONS.items())]),
    ]
    for found in sorted(registry.catalog(registry.discover()).exchanges.values(), key=lambda each: each.info.title):
        parts += [f"## {found.info.title}", _error_table(found.info.errors)]
    return "\n\n".join(parts) + "\n"


def _error_table(rows: Mapping[str, ErrorRow]) -> str:
    groups: dict[ErrorRow, list[str]] = {}
    for code, row in rows.items():
        groups.setdefault(row, []).append(f"`{code}`")
    lines: list[tuple[str, ...]] = [
        (" ".join(codes), row.kind.__name__, row.cause, row.remedy) for row, codes in groups.items()
    ]
    return _table(("Codes", "Class", "Cause", "What to do"), lines)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _listed(names: tuple[str, ...]) -> str:
    *first, last = (f"`{name}`" for name in names)
    return f"{', '.join(first)} and {last}"


def rights() -> str:
    """Return the table of docs/security.md: who may use which command, and where."""
    standings = ("viewer", "trader", "admin", "owner")
    groups: dict[Rule, list[str]] = {}
    for name, rule in rules.COMMANDS.items():
        groups.setdefault(rule, []).append(f"`/{name}`")
    rows = []
    for rule, names in groups.items():
        may = ("yes" if RANK[each] >= RANK[rule.role] else "no" for each in standings)
        where = _PLACES[rule.where] + (" (there for their administrators)" if rule.administers else "")
        where += ", not while halted" if rule.places else ""
        rows.append((" ".join(sorted(names)), *may, where))
    return _table(("Commands", *standings, "Where"), rows) + "\n"


def with_rights(text: str) -> str:
    """Return the text of docs/security.md with its table replaced."""
    return _between(text, ROLES_BEGIN, ROLES_END, rights())


def with_hooks(text: str) -> str:
    """Return the text of docs/plugins.md with the reference between its two marks replaced."""
    return _between(text, BEGIN, END, hooks())


def _between(text: str, begin: str, end: str, made: str) -> str:
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    assert found, f"the page lacks the marks {begin} and {end}"
    return f"{before}{begin}\n\n{made}\n{end}{after}"


def main() -> None:
    """Write the files."""
    plugins = DOCS / "plugins.md"
    plugins.write_text(with_hooks(plugins.read_text(encoding="utf-8")), encoding="utf-8")
    security = DOCS / "security.md"
    security.write_text(with_rights(security.read_text(encoding="utf-8")), encoding="utf-8")
    (DOCS / "commands.md").write_text(commands(), encoding="utf-8")
    (DOCS / "errors.md").write_text(errors(), encoding="utf-8")


if __name__ == "__main__":
    main()
