"""The mutants that are known to survive, each with the reason why that is accepted."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeAlias

from tests.mutation.mutants import Mutant

FILE = Path(__file__).with_name("survivors.toml")
Key: TypeAlias = tuple[str, str, str, str]


def accepted(path: Path) -> dict[Key, str]:
    """Return the reason for each mutant that is listed in a file.

    Raises:
        ValueError: One is listed twice, or has no reason.
    """
    found: dict[Key, str] = {}
    for entry in tomllib.loads(path.read_text()).get("survivor", []):
        key = entry["module"], entry["function"], entry["before"], entry["after"]
        if key in found or not entry.get("why"):
            raise ValueError(f"{path.name}: {' '.join(key)} is listed twice, or without a reason")
        found[key] = entry["why"]
    return found


def outdated(known: Mapping[Key, str], judged: Collection[Mutant], survived: Collection[Mutant]) -> list[Key]:
    """Return what is listed of the judged modules and does not survive any more, or does not exist."""
    modules = {each.module for each in judged}
    alive = {each.key for each in survived}
    return [key for key in known if key[0] in modules and key not in alive]


def entry(mutant: Mutant) -> str:
    """Return what is to be written into the file for a survivor, but for the reason."""
    texts = "\n".join(f"{name} = {_quoted(text)}" for name, text in zip(_NAMES, mutant.key, strict=True))
    return f'[[survivor]]\n{texts}\nwhy = ""\n'


_NAMES = ("module", "function", "before", "after")


def _quoted(text: str) -> str:
    return f"'{text}'" if "'" not in text else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
