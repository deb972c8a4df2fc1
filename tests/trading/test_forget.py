from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.accounts import people, second_factor
from bot.accounts.vault import MasterKey, Vault
from bot.contract.errors import UserError, VaultError
from bot.store.database import Connection, Store
from bot.trading import events, forget, notices

NOW = 1_760_000_000_000
ANN, BOB = 1, 2


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("SQLITE_TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    store = Store(tmp_path / "data" / "tradewire.db")
    yield store
    store.close()


@pytest.fixture
def vault(store: Store) -> Vault:
    return Vault(store, MasterKey(bytes(range(32))), lambda _: None)


@pytest.fixture
def records(store: Store, vault: Vault) -> dict[int, list[bytes]]:
    """Every sealed record and wrapped key of Ann and Bob, each with two accounts and a second factor."""

    def fill(db: Connection) -> None:
        for user in (ANN, BOB):
            people.ensure_user(db, user, name=f"canary-name-{user}", now_ms=0)
            for label in ("one", "two"):
                account = people.add_account(db, user, "bitget", f"canary{user}{label}", 0)
                vault.seal(db, account, {"key": f"key-{user}", "secret": f"secret-{user}"})
            second_factor.begin(db, user, vault=vault)
            notices.tell(db, chat_id=user, kind="reply", payload={"reply": f"canary-note-{user}"}, now_ms=0)

    def of(db: Connection, user: int) -> list[bytes]:
        query = (
            "SELECT wrapped FROM data_keys WHERE user_id = ?1 UNION ALL SELECT sealed FROM second_factor WHERE"
            " user_id = ?1 UNION ALL SELECT sealed FROM credentials JOIN accounts a ON a.id = account_id"
            " WHERE a.user_id = ?1"
        )
        # A record longer than a page is cut into pieces by SQLite; its head, with salt and commitment, is not.
        return [row[0] for row in db.execute(query, (user,))]

    store.transact(fill)
    return store.transact(lambda db: {user: of(db, user) for user in (ANN, BOB)})


def order(db: Connection, account_id: int, state: str, user: int = ANN) -> None:
    db.execute(
        "INSERT INTO orders(account_id, user_id, exchange, symbol, side, state, params, params_hash, intent, chat_id,"
        " expires_ms, created_ms, updated_ms) VALUES (?, ?, 'bitget', 'BTC/USDT', 'buy', ?, '{}', x'', '{}', ?, 0, 0,"
        " 0)",
        (account_id, user, state, user),
    )


def copies(store: Store, wanted: list[bytes]) -> int:
    """Count the files, the log and what is temporary included, that hold one of `wanted`, whole or its longest part."""
    found = 0
    for path in store.path.parents[1].rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        found += sum(each in data for each in wanted)
    return found


def words(user: int) -> list[bytes]:
    return [f"canary-name-{user}".encode(), f"canary{user}one".encode(), f"canary-note-{user}".encode()]


def test_forget_leaves_no_copy_and_all_of_the_others(
    store: Store, vault: Vault, records: dict[int, list[bytes]]
) -> None:
    """S19: 0 copies of Ann's records, wrapped key and words in database, log and temporary files; Bob's all open."""
    assert len(records[ANN]) == 6
    assert copies(store, records[ANN] + words(ANN)) >= 9
    assert forget.forget(store, ANN, NOW)
    assert copies(store, records[ANN] + words(ANN)) == 0
    bobs = store.transact(lambda db: people.accounts_of(db, BOB))
    assert [vault.open(account.id).key.reveal() for account in bobs] == ["key-2", "key-2"]
    assert copies(store, records[BOB] + words(BOB)) >= 9
    assert store.transact(lambda db: (people.get_user(db, ANN), people.accounts_of(db, ANN))) == (None, [])


@pytest.mark.parametrize(("secure_delete", "finds"), [(0, True), (1, False)])
def test_forgotten_records_without_secure_delete_stay_in_the_file(
    store: Store, records: dict[int, list[bytes]], secure_delete: int, finds: bool
) -> None:
    """Control: deleted alone, with the log emptied but the file not written anew, the records stay in free pages."""
    store.transact(lambda db: db).execute(f"PRAGMA secure_delete={secure_delete}")
    store.transact(lambda db: forget.erase(db, ANN, NOW))
    store.transact(lambda db: db).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert (copies(store, records[ANN]) > 0) is finds


def test_forgotten_records_without_compacting_stay_in_the_log(store: Store, records: dict[int, list[bytes]]) -> None:
    """Control: what was committed before is still in the log until it is emptied."""
    store.transact(lambda db: forget.erase(db, ANN, NOW))
    assert copies(store, records[ANN]) >= len(records[ANN])


@pytest.mark.parametrize("state", ["confirmed", "sending", "unknown", "needs_human", "open", "partially_filled"])
def test_forget_while_an_order_is_not_finished_is_refused(
    store: Store, vault: Vault, records: dict[int, list[bytes]], state: str
) -> None:
    """Without the keys the order would be lost sight of: nothing is deleted."""
    account = store.transact(lambda db: people.accounts_of(db, ANN))[1]
    store.transact(lambda db: order(db, account.id, state))
    with pytest.raises(UserError, match="Order #1") as refused:
        forget.forget(store, ANN, NOW)
    assert (refused.value.code, vault.open(account.id).key.reveal()) == ("ORDERS_LIVE", "key-1")


def test_forget_keeps_the_record_of_money_without_a_name(
    store: Store, vault: Vault, records: dict[int, list[bytes]]
) -> None:
    """The order and its account's number stay; label, name, facts and keys do not; the log is whole and says it."""
    account = store.transact(lambda db: people.accounts_of(db, ANN))[0]
    store.transact(lambda db: order(db, account.id, "filled"))
    store.transact(lambda db: events.record(db, kind="filled", detail={}, now_ms=0, user_id=ANN, order_id=1))
    forget.forget(store, ANN, NOW)

    def left(db: Connection) -> tuple[object, ...]:
        kept = db.execute("SELECT user_id, account_id, state FROM orders").fetchone()
        row = people.known_account(db, account.id)
        user = people.get_user(db, ANN)
        kinds = [each["kind"] for each in db.execute("SELECT kind FROM events ORDER BY id")]
        return tuple(kept), row.label, user and (user.name, user.role), kinds, events.verify_chain(db)

    assert store.transact(left) == (
        (ANN, account.id, "filled"),
        "forgotten",
        ("", "blocked"),
        ["filled", "forgotten"],
        None,
    )
    with pytest.raises(VaultError, match="no keys"):
        vault.open(account.id)
    assert copies(store, records[ANN] + words(ANN)) == 0


def test_forget_of_a_stranger_is_refused(store: Store) -> None:
    with pytest.raises(UserError, match="Nobody with the id 5"):
        forget.forget(store, 5, NOW)


def test_forget_decides_about_every_table(store: Store) -> None:
    """Whatever names a person or a chat is erased, or is on the list of what stays."""
    stays = {"orders", "fills", "events", "users", "accounts", "groups", "routes"}  # the last two are a group's

    def named(db: Connection) -> set[str]:
        tables = [row["name"] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]

        def columns(table: str) -> set[str]:
            return {row["name"] for row in db.execute("SELECT name FROM pragma_table_info(?)", (table,))}

        personal = {"user_id", "chat_id", "account_id", "order_id", "redeemed_by", "made_by"}
        return {table for table in tables if columns(table) & personal}

    erased = {statement.split()[2] for statement in forget._ERASE if statement.startswith("DELETE")}
    assert store.transact(named) - stays - erased == set()
