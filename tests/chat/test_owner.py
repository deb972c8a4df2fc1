"""The owner is made by the configuration alone, and leaves nothing behind when it names another."""

from __future__ import annotations

from typing import Any

import pytest

from bot.accounts import people, roles
from bot.chat.app import _prepare
from bot.config import Settings
from tests.chat.conftest import START_MS, Chat

FIRST, SECOND = 71, 72


def start(chat: Chat, owner: int) -> None:
    settings = Settings.model_validate({"access": {"owner": owner}})
    chat.room.store.transact(lambda db: _prepare(db, settings, START_MS))


def standings(chat: Chat, owner: int) -> list[Any]:
    return chat.room.store.transact(lambda db: [roles.standing(db, each, owner) for each in (FIRST, SECOND)])


async def test_owner_named_otherwise_leaves_the_former_one_without_a_role(real: Chat) -> None:
    """What the first owner could do came from the configuration, and goes with it."""
    start(real, FIRST)
    assert standings(real, FIRST) == ["owner", None]
    start(real, SECOND)
    assert standings(real, SECOND) == [None, "owner"]


@pytest.mark.parametrize("role", ["admin", "trader", "viewer"])
async def test_owner_who_had_a_role_before_has_it_again_afterwards(real: Chat, role: Any) -> None:
    """Whoever was invited keeps what the invitation gave."""
    real.room.store.transact(lambda db: people.ensure_user(db, FIRST, role, now_ms=START_MS))
    start(real, FIRST)
    assert standings(real, FIRST) == ["owner", None]
    start(real, SECOND)
    assert standings(real, SECOND) == [role, "owner"]


async def test_everybody_lists_the_owner_first(real: Chat) -> None:
    """Whatever the row of the owner says."""
    real.room.store.transact(lambda db: people.ensure_user(db, FIRST, "admin", now_ms=START_MS))
    start(real, SECOND)
    found = real.room.store.transact(lambda db: roles.everybody(db, SECOND))
    assert [each.id for each in found][:2] == [SECOND, FIRST]
