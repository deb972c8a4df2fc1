from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.accounts.vault import MasterKey, Vault
from bot.store.database import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "data" / "tradewire.db")
    yield store
    store.close()


@pytest.fixture
def master() -> MasterKey:
    return MasterKey(bytes(range(32)))


@pytest.fixture
def registered() -> list[str]:
    return []


@pytest.fixture
def vault(store: Store, master: MasterKey, registered: list[str]) -> Vault:
    return Vault(store, master, registered.append)


@pytest.fixture
def account(store: Store) -> AccountRow:
    """The account `main` of user 1 at bitget."""
    store.transact(lambda db: people.ensure_user(db, 1, now_ms=0))
    return store.transact(lambda db: people.add_account(db, 1, "bitget", "main", 0))
