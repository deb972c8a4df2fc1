from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot import AuthFailed, KeyPermissions
from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.accounts.vault import MasterKey, Vault
from bot.contract.errors import UserError
from bot.store.database import Connection, Store
from bot.trading import journal, notices, rekey

NOW_MS = 1_760_000_000_000
SAFE = KeyPermissions(can_read="yes", can_trade="yes", can_withdraw="no", is_ip_bound="yes")


class Clock:
    def now_ms(self) -> int:
        return NOW_MS


class Info:
    title = "Acme"


class Named:
    info = Info()


class Gateway:
    """An exchange that answers one thing."""

    answer: Any = SAFE

    def named(self, _: str) -> Named:
        return Named()

    async def key_permissions(self, account: AccountRow) -> KeyPermissions:
        assert not account.paper
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]


@pytest.fixture
def store(tmp_path: Any) -> Any:
    store = Store(tmp_path / "tradewire.db")
    store.transact(journal.install_law)
    yield store
    store.close()


@pytest.fixture
def vault(store: Store) -> Vault:
    return Vault(store, MasterKey(bytes(range(32))), lambda _: None)


@pytest.fixture
def account(store: Store, vault: Vault) -> AccountRow:
    """The paper account `main` of user 7, whose key was safe when it was last looked at."""

    def add(db: Connection) -> None:
        people.ensure_user(db, 7, now_ms=0)
        row = people.add_account(db, 7, "acme", "main", 0, paper=True)
        vault.seal(db, row, {"key": "old-key", "secret": "old-secret"})
        people.set_rights(db, row.id, SAFE)

    store.transact(add)
    return store.transact(lambda db: people.known_account(db, 1))


def told(store: Store) -> list[str]:
    def work(db: Connection) -> list[str]:
        notice = notices.following(db, 7, "result")
        return [] if notice is None else str(notice.payload["text"]).splitlines()

    return store.transact(work)


async def look(store: Store, answer: Any) -> bool:
    gateway = Gateway()
    gateway.answer = answer
    row = store.transact(lambda db: people.known_account(db, 1))
    return await rekey.look_at_key(gateway, store, Clock(), row)  # type: ignore[arg-type]


async def test_look_at_key_that_did_not_change_says_nothing(store: Store, account: AccountRow) -> None:
    assert (await look(store, SAFE), told(store)) == (False, [])


async def test_look_at_key_that_may_withdraw_now_alerts_and_keeps_it(store: Store, account: AccountRow) -> None:
    """News, event and new rights are one commit; the next day says nothing more."""
    news = await look(store, replace(SAFE, can_withdraw="yes", is_ip_bound="no"))
    row = store.transact(lambda db: people.known_account(db, 1))
    events = store.transact(lambda db: [event["kind"] for event in db.execute("SELECT kind FROM events")])
    assert (news, row.rights["can_withdraw"], events) == (True, "yes", ["rights changed"])
    assert told(store) == [
        "⚠ The rights of the key Acme·main changed.",
        "It may WITHDRAW MONEY now. Did you not do that? Delete the key at the exchange at once. Else take the right "
        "away: the bot never needs it.",
        "It works from any address now. Bind it to this server's, at the exchange.",
    ]
    assert not await look(store, replace(SAFE, can_withdraw="yes", is_ip_bound="no"))


async def test_look_at_key_that_is_refused_alerts_and_keeps_what_was_known(store: Store, account: AccountRow) -> None:
    assert await look(store, AuthFailed("the key was deleted.", remedy="Make a new one."))
    assert told(store) == [
        "⚠ Acme refuses the key of Acme·main: the key was deleted. Make a new one. /keys replaces it."
    ]
    assert store.transact(lambda db: people.known_account(db, 1)).rights["can_withdraw"] == "no"


async def test_look_at_key_removed_meanwhile_says_nothing(store: Store, account: AccountRow) -> None:
    store.transact(lambda db: people.remove_account(db, 1, NOW_MS))
    assert (await look(store, replace(SAFE, can_withdraw="yes")), told(store)) == (False, [])


@pytest.mark.parametrize(
    ("after", "parts"),
    [
        ({"can_withdraw": "unknown"}, ["cannot be verified any more"]),
        ({"withdraw_hint": "It may withdraw."}, ["It may withdraw."]),
        ({"can_trade": "no"}, ["orders will be refused"]),
        ({"can_trade": "unknown"}, ["not told any more"]),
        ({"is_ip_bound": "unknown"}, ["not told any more"]),
        ({"note": "new", "can_read": "unknown"}, []),
    ],
)
def test_changes_are_told_as_sentences(after: Any, parts: list[str]) -> None:
    lines = rekey.changes(SAFE, replace(SAFE, **after))
    assert [part in line for part, line in zip(parts, lines, strict=True)] == [True] * len(parts)


def trial(store: Store, vault: Vault) -> AccountRow:
    """A new key that was tried as an account of its own."""

    def add(db: Connection) -> AccountRow:
        row = people.add_account(db, 7, "acme", "main-new", NOW_MS)
        vault.seal(db, row, {"key": "new-key"})
        return row

    return store.transact(add)


def hand_over(store: Store, vault: Vault, account: AccountRow, kin: Any) -> str:
    tried = trial(store, vault)
    try:
        store.transact(lambda db: rekey._hand_over(db, vault, account, tried, kin=kin, now_ms=NOW_MS))
    except UserError as error:
        return error.code
    return ""


def order(store: Store, state: str) -> None:
    store.transact(
        lambda db: db.execute(
            "INSERT INTO orders(account_id, user_id, exchange, symbol, side, state, params, params_hash, intent,"
            " chat_id, expires_ms, created_ms, updated_ms) VALUES (1, 7, 'acme', 'BTC/USDT', 'buy', ?, '{}', x'',"
            " '{}', 7, 0, 0, 0)",
            (state,),
        )
    )


def test_hand_over_erases_the_old_key_in_the_same_commit(store: Store, vault: Vault, account: AccountRow) -> None:
    """No field of the old key is left, the trial account is gone, and the key's age begins anew."""
    assert hand_over(store, vault, account, "same") == ""
    keys = vault.open(1)
    rows = store.transact(lambda db: db.execute("SELECT count(*) FROM accounts").fetchone()[0])
    age = store.transact(lambda db: people.known_account(db, 1)).created_ms
    assert (keys.key.reveal(), keys.secret.reveal(), rows, age) == ("new-key", "", 1, NOW_MS)


def test_hand_over_of_another_accounts_key_is_refused(store: Store, vault: Vault, account: AccountRow) -> None:
    assert (hand_over(store, vault, account, "other"), vault.open(1).key.reveal()) == ("OTHER_ACCOUNT", "old-key")


@pytest.mark.parametrize("state", ["sending", "unknown", "needs_human"])
def test_hand_over_of_a_key_that_nothing_ties_while_an_order_is_in_doubt_is_refused(
    store: Store, vault: Vault, account: AccountRow, state: str
) -> None:
    """In the wrong account the order would be proved absent; a key that is proved to be of the same one may come."""
    order(store, state)
    refused = hand_over(store, vault, account, "unknown"), vault.open(1).key.reveal()
    store.transact(lambda db: rekey._discard(db, people.known_account(db, 2)))
    assert (refused, hand_over(store, vault, account, "same")) == (("ORDERS_IN_DOUBT", "old-key"), "")


def test_trial_label_is_free_and_short(store: Store, account: AccountRow) -> None:
    def work(db: Connection) -> list[str]:
        long = people.add_account(db, 7, "acme", "a" * 20, 0)
        first = rekey._trial_label(db, long)
        people.add_account(db, 7, "acme", first, 0)
        return [first, rekey._trial_label(db, long)]

    assert store.transact(work) == ["a" * 16 + "-new", "a" * 15 + "-new2"]
