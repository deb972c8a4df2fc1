from __future__ import annotations

from dataclasses import asdict

import pytest
from msgspec.structs import replace

from bot import Account, KeyPermissions, UserError
from bot.accounts import people
from bot.accounts.people import AccountRow, User
from bot.accounts.vault import Vault
from bot.store.database import Connection, Store

ALICE, BOB = 1, 2


@pytest.fixture
def db(store: Store) -> Connection:
    """The connection; Alice and Bob exist. `transact` hands out the same one to every transaction."""
    db = store.transact(lambda db: db)
    people.ensure_user(db, ALICE, name="Alice", now_ms=5)
    people.ensure_user(db, BOB, "viewer", now_ms=5)
    return db


def test_ensure_user_new_has_the_role_and_name_given(db: Connection) -> None:
    """A new person is stored as asked, a trader unless told otherwise."""
    assert [people.get_user(db, ALICE), people.get_user(db, BOB)] == [
        User(ALICE, "trader", "Alice", None),
        User(BOB, "viewer", "", None),
    ]


def test_ensure_user_known_keeps_role_and_takes_new_name(db: Connection) -> None:
    """Seeing a person again never changes what they may do, and an empty name does not erase theirs."""
    assert people.ensure_user(db, BOB, "admin", "Bob", now_ms=9) == User(BOB, "viewer", "Bob", None)
    assert people.ensure_user(db, BOB, "admin", now_ms=9) == User(BOB, "viewer", "Bob", None)


def test_get_user_stranger_is_none(db: Connection) -> None:
    """A person never seen is not made by asking."""
    assert people.get_user(db, 3) is None


def test_add_account_returns_what_is_stored(db: Connection) -> None:
    """The row returned and the row read are the same, with the label in lower case."""
    added = people.add_account(db, ALICE, "bitget", "Fast-1", 7, paper=True, facts={"mode": "uta"}, options={"a": "é"})
    assert added == AccountRow(
        id=added.id,
        user_id=ALICE,
        exchange="bitget",
        label="fast-1",
        paper=True,
        facts={"mode": "uta"},
        options={"a": "é"},
        rights={},
        created_ms=7,
    )
    assert added.paper is True  # the database knows 0 and 1
    assert people.get_account(db, added.id) == added


@pytest.mark.parametrize("label", ["", "x" * 21, "a b", "a.b", "naïve", "\u212a", "main\n", "١"])
def test_add_account_bad_label_is_refused(db: Connection, label: str) -> None:
    """Only 1 to 20 ASCII letters, digits, _ and - make a name, also where lower-casing would make ASCII of it."""
    with pytest.raises(UserError) as caught:
        people.add_account(db, ALICE, "bitget", label, 7)
    assert (caught.value.code, people.accounts_of(db, ALICE)) == ("LABEL_INVALID", [])


def test_add_account_taken_label_is_refused_in_any_case(db: Connection) -> None:
    """One person's labels are unique; the refusal proposes a free one."""
    people.add_account(db, ALICE, "bitget", "main", 7)
    with pytest.raises(UserError, match="such as main2") as caught:
        people.add_account(db, ALICE, "bitrue", "MAIN", 7)
    assert caught.value.code == "LABEL_TAKEN"


def test_add_account_label_of_another_person_is_free(db: Connection) -> None:
    """Labels of two people do not meet, and nobody learns of the other's."""
    people.add_account(db, ALICE, "bitget", "main", 7)
    assert people.add_account(db, BOB, "bitget", "main", 7).label == "main"


def test_next_label_fills_the_first_gap(db: Connection) -> None:
    """Proposed names are main, main2, main3; a removed account's name is free again."""
    proposed = []
    for _ in range(3):
        proposed.append(people.next_label(db, ALICE))
        people.add_account(db, ALICE, "bitget", proposed[-1], 7)
    people.remove_account(db, people.accounts_of(db, ALICE)[1].id, 8)
    assert [*proposed, people.next_label(db, ALICE)] == ["main", "main2", "main3", "main2"]


def test_get_account_of_another_person_is_as_absent(db: Connection) -> None:
    """With a user id, nobody can tell another's account from none."""
    mine = people.add_account(db, ALICE, "bitget", "main", 7)
    asked = [
        people.get_account(db, mine.id, ALICE),
        people.get_account(db, mine.id, BOB),
        people.get_account(db, 99, BOB),
    ]
    assert asked == [mine, None, None]


def test_find_account_looks_among_own_labels_in_any_case(db: Connection) -> None:
    """A label finds the asker's account only."""
    mine = people.add_account(db, ALICE, "bitget", "main", 7)
    assert [people.find_account(db, user, "Main") for user in (ALICE, BOB)] == [mine, None]


def test_default_account_is_the_chosen_one_else_the_oldest(db: Connection) -> None:
    """The explicit default wins; without it, or after its removal, the oldest account serves."""
    assert people.default_account(db, ALICE) is None
    people.add_account(db, BOB, "bitget", "main", 7)
    first = people.add_account(db, ALICE, "bitget", "main", 7)
    second = people.add_account(db, ALICE, "bitrue", "other", 7)
    before = people.default_account(db, ALICE)
    people.set_default(db, ALICE, second.id)
    chosen = people.default_account(db, ALICE)
    people.remove_account(db, second.id, 8)
    assert [before, chosen, people.default_account(db, ALICE)] == [first, second, first]


def test_set_default_to_another_persons_account_is_refused(db: Connection) -> None:
    """Nobody can make another's account their default; the text is the same as for no account."""
    theirs = people.add_account(db, ALICE, "bitget", "main", 7)
    texts = set()
    for account_id in (theirs.id, 99):
        with pytest.raises(UserError) as caught:
            people.set_default(db, BOB, account_id)
        texts.add(str(caught.value))
    assert (len(texts), people.default_account(db, BOB)) == (1, None)


def test_setters_change_one_account(db: Connection) -> None:
    """Facts, rights and paper mode are kept for the account named and for no other."""
    account = people.add_account(db, ALICE, "bitget", "main", 7)
    other = people.add_account(db, ALICE, "bitget", "other", 7)
    rights = KeyPermissions(can_trade="yes", can_withdraw="no", expires_ms=9)
    people.set_facts(db, account.id, {"mode": "classic"})
    people.set_rights(db, account.id, rights)
    people.set_paper(db, account.id, on=True)
    expected = replace(account, paper=True, facts={"mode": "classic"}, rights=asdict(rights))
    assert people.accounts_of(db, ALICE) == [expected, other]


def test_remove_account_erases_keys_and_keeps_the_row(db: Connection, vault: Vault) -> None:
    """A removed account is found by nobody, no longer anyone's default, has no keys, and its row stays."""
    account = people.add_account(db, ALICE, "bitget", "main", 7)
    other = people.add_account(db, ALICE, "bitget", "other", 7)
    for each in (account, other):
        vault.seal(db, each, {"key": "api-key"})
    people.set_default(db, ALICE, account.id)
    people.remove_account(db, account.id, 8)
    assert [tuple(row) for row in db.execute("SELECT label, removed_ms FROM accounts ORDER BY id")] == [
        ("main", 8),
        ("other", None),
    ]
    assert [row["account_id"] for row in db.execute("SELECT account_id FROM credentials")] == [other.id]
    assert people.get_user(db, ALICE) == User(ALICE, "trader", "Alice", None)
    assert people.get_account(db, account.id) is None
    assert people.accounts_of(db, ALICE) == [other]


def test_remove_account_last_one_destroys_the_data_key(db: Connection, vault: Vault) -> None:
    """When nothing is sealed with a person's data key it goes too; another person's stays."""
    mine, theirs = (people.add_account(db, user, "bitget", "main", 7) for user in (ALICE, BOB))
    for account in (mine, theirs):
        vault.seal(db, account, {"key": "api-key"})
    people.remove_account(db, mine.id, 8)
    assert [row["user_id"] for row in db.execute("SELECT user_id FROM data_keys")] == [BOB]


def test_to_contract_shows_a_plugin_no_owner(db: Connection) -> None:
    """A plugin sees number, label, facts and options."""
    row = people.add_account(db, ALICE, "bitget", "main", 7, facts={"mode": "uta"}, options={"demo": "yes"})
    assert people.to_contract(row) == Account(row.id, "main", {"mode": "uta"}, {"demo": "yes"})
