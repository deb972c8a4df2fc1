from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bot.cli import instance
from bot.config import Settings
from bot.exchanges import trust

BUNDLED = {name for points in trust.BUNDLED.values() for name in points}


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the plugins that were imported; what is imported is empty."""
    names: list[str] = []

    def load(point: Any, _: object) -> ModuleType:
        names.append(point.name)
        return ModuleType(point.name)

    monkeypatch.setattr(trust, "load", load)
    return names


def _settings(directory: Path, **sections: object) -> Settings:
    return Settings.model_validate({"storage": {"directory": directory}, **sections})


def test_plugins_of_exchange_switched_off_is_not_imported(tmp_path: Path, imported: list[str]) -> None:
    """What nobody can use takes no time and no memory at the start, and counts neither as usable nor as broken."""
    found = instance._plugins(_settings(tmp_path, exchanges={"btcc": {"enabled": False}, "bitget": {}}))
    assert {each.name for each in found} & BUNDLED == set(imported) & BUNDLED == BUNDLED - {"btcc"}


def test_plugins_switched_off_but_required_is_imported(tmp_path: Path, imported: list[str]) -> None:
    """The bot does not start without a plugin that is required, so it has to be looked at."""
    settings = _settings(tmp_path, exchanges={"btcc": {"enabled": False}}, plugins={"required": ["btcc"]})
    assert "btcc" in {each.name for each in instance._plugins(settings)} & set(imported)
