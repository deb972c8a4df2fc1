from __future__ import annotations

import os
import random
import traceback
from collections.abc import Callable

import pyotp
import pytest
from cryptography.exceptions import InvalidTag

from bot.accounts import people, second_factor
from bot.accounts import vault as vault_module
from bot.accounts.people import AccountRow
from bot.accounts.second_factor import LOCK_MS, TRIES
from bot.accounts.vault import MasterKey, Vault
from bot.contract.errors import UserError, VaultError
from bot.contract.wire import Secret
from bot.store.database import Connection, Store

NOW = 1_760_000_000_000
STEP = 30_000


@pytest.fixture
def seed(store: Store, vault: Vault, account: AccountRow) -> str:
    """The seed of user 1, whose factor is on; the code of NOW was used for that."""
    seed = store.transact(lambda db: second_factor.begin(db, 1, vault=vault)).reveal()
    store.transact(lambda db: second_factor.confirm(db, 1, code(seed, NOW), NOW, vault=vault))
    return seed


Verify = Callable[..., str]


@pytest.fixture
def verify(store: Store, vault: Vault) -> Verify:
    """Return the cause of a refusal, or an empty text."""

    def run(typed: str, now_ms: int, user_id: int = 1) -> str:
        try:
            store.transact(lambda db: second_factor.verify(db, user_id, typed, now_ms, vault=vault))
        except UserError as error:
            return error.code
        return ""

    return run


def code(seed: str, now_ms: int) -> str:
    return pyotp.HOTP(seed).at(now_ms // STEP)


def wrong_code(seed: str, now_ms: int) -> str:
    taken = {code(seed, now_ms + skew * STEP) for skew in range(-2, 3)}
    return next(each for each in ("000000", "000001", "000002", "000003", "000004", "000005") if each not in taken)


def test_code_of_the_rfc_is_taken() -> None:
    """RFC 6238, appendix B: the last six digits of the SHA-1 values for 59 s and 1111111109 s."""
    seed = Secret("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
    found = [
        second_factor._matching_step(seed, digits, now_ms)
        for digits, now_ms in (("287082", 59_000), ("081804", 1_111_111_109_000))
    ]
    assert found == [1, 37037036]


def test_second_factor_is_on_only_after_a_first_code(store: Store, vault: Vault, account: AccountRow) -> None:
    def is_on() -> bool:
        return store.transact(lambda db: second_factor.is_on(db, 1))

    before = is_on()
    seed = store.transact(lambda db: second_factor.begin(db, 1, vault=vault)).reveal()
    begun = is_on()
    store.transact(lambda db: second_factor.confirm(db, 1, code(seed, NOW), NOW, vault=vault))
    assert (before, begun, is_on()) == (False, False, True)


def test_verify_without_a_factor_is_refused(store: Store, vault: Vault, account: AccountRow, verify: Verify) -> None:
    store.transact(lambda db: second_factor.begin(db, 1, vault=vault))
    assert (verify("123456", NOW), verify("123456", NOW, 2)) == ("NO_SECOND_FACTOR", "NO_SECOND_FACTOR")


@pytest.mark.parametrize(("skew", "expected"), [(-2, "CODE_WRONG"), (-1, ""), (0, ""), (1, ""), (2, "CODE_WRONG")])
def test_code_is_taken_one_step_early_or_late(seed: str, verify: Verify, skew: int, expected: str) -> None:
    later = NOW + 10 * STEP
    assert verify(code(seed, later + skew * STEP), later) == expected


def test_code_used_once_is_refused_and_so_is_an_older_one(seed: str, verify: Verify) -> None:
    later = NOW + 10 * STEP
    typed = code(seed, later)
    first = verify(f"{typed[:3]} {typed[3:]}", later)
    assert (first, verify(typed, later), verify(code(seed, later - STEP), later)) == ("", "CODE_USED", "CODE_USED")


def test_code_that_turned_the_factor_on_is_used(seed: str, verify: Verify) -> None:
    assert verify(code(seed, NOW), NOW) == "CODE_USED"


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "12345a", "１２３４５６", "١٢٣٤٥٦", "-12345"])
def test_text_that_is_no_code_is_refused_and_not_counted(store: Store, seed: str, verify: Verify, typed: str) -> None:
    refused = [verify(typed, NOW) for _ in range(TRIES + 1)]
    wrong = store.transact(lambda db: db.execute("SELECT wrong FROM second_factor").fetchone()["wrong"])
    assert (set(refused), wrong) == ({"CODE_FORM"}, 0)


def test_fifth_wrong_code_locks_for_fifteen_minutes(seed: str, verify: Verify) -> None:
    later = NOW + 10 * STEP
    tries = [verify(wrong_code(seed, later), later) for _ in range(TRIES)]
    end = later + LOCK_MS
    assert tries == ["CODE_WRONG"] * (TRIES - 1) + ["CODE_LOCKED"]
    assert verify(code(seed, end - 1), end - 1) == "CODE_LOCKED"
    assert verify(code(seed, end), end) == ""


def test_right_code_forgets_the_wrong_ones(seed: str, verify: Verify) -> None:
    later = NOW + 10 * STEP
    for _ in range(TRIES - 1):
        verify(wrong_code(seed, later), later)
    assert (verify(code(seed, later), later), verify(wrong_code(seed, later), later)) == ("", "CODE_WRONG")


def test_lock_survives_a_restart(store: Store, master: MasterKey, seed: str, verify: Verify) -> None:
    for _ in range(TRIES):
        verify(wrong_code(seed, NOW), NOW)
    store.close()
    again = Store(store.path)
    vault = Vault(again, master, lambda _: None)
    later = NOW + 2 * STEP
    with pytest.raises(UserError, match="another 14 min") as refused:
        again.transact(lambda db: second_factor.verify(db, 1, code(seed, later), later, vault=vault))
    again.close()
    assert refused.value.code == "CODE_LOCKED"


def test_wrong_code_undoes_what_came_before_and_is_counted(store: Store, vault: Vault, seed: str) -> None:
    def work(db: Connection) -> None:
        people.set_paper(db, 1, on=True)
        second_factor.verify(db, 1, wrong_code(seed, NOW), NOW, vault=vault)

    with pytest.raises(UserError, match="4 more tries"):
        store.transact(work)
    query = "SELECT paper, wrong FROM accounts, second_factor"
    assert tuple(store.transact(lambda db: db.execute(query).fetchone())) == (0, 1)


def test_begin_anew_keeps_the_lock(store: Store, vault: Vault, account: AccountRow) -> None:
    """Somebody who guesses at a factor that is not on yet gains nothing by beginning anew."""
    for _ in range(TRIES):
        seed = store.transact(lambda db: second_factor.begin(db, 1, vault=vault)).reveal()
        typed = wrong_code(seed, NOW)
        with pytest.raises(UserError):
            store.transact(lambda db, typed=typed: second_factor.confirm(db, 1, typed, NOW, vault=vault))
    seed = store.transact(lambda db: second_factor.begin(db, 1, vault=vault)).reveal()
    with pytest.raises(UserError) as refused:
        store.transact(lambda db: second_factor.confirm(db, 1, code(seed, NOW), NOW, vault=vault))
    assert refused.value.code == "CODE_LOCKED"


def test_begin_while_the_factor_is_on_is_refused(store: Store, vault: Vault, seed: str, verify: Verify) -> None:
    with pytest.raises(UserError) as refused:
        store.transact(lambda db: second_factor.begin(db, 1, vault=vault))
    assert (refused.value.code, verify(code(seed, NOW + STEP), NOW + STEP)) == ("SECOND_FACTOR_ON", "")


def test_turn_off_erases_the_seed_and_keeps_the_keys_of_accounts(
    store: Store, vault: Vault, account: AccountRow, seed: str
) -> None:
    store.transact(lambda db: vault.seal(db, account, {"key": "abc"}))
    off = [store.transact(lambda db: second_factor.turn_off(db, 1)) for _ in range(2)]
    left = store.transact(lambda db: db.execute("SELECT count(*) FROM second_factor").fetchone()[0])
    assert (off, left, vault.open(account.id).key.reveal()) == ([True, False], 0, "abc")


def test_removing_the_last_account_keeps_the_seed(store: Store, account: AccountRow, seed: str, verify: Verify) -> None:
    store.transact(lambda db: people.remove_account(db, account.id, NOW))
    assert verify(code(seed, NOW + STEP), NOW + STEP) == ""


def test_seed_copied_to_another_person_does_not_open(store: Store, vault: Vault, seed: str) -> None:
    store.transact(lambda db: people.ensure_user(db, 2, now_ms=0))
    store.transact(lambda db: second_factor.begin(db, 2, vault=vault))
    copy = (
        "UPDATE second_factor SET (data_key_id, sealed, confirmed_ms) ="
        " (SELECT data_key_id, sealed, confirmed_ms FROM second_factor WHERE user_id = 1) WHERE user_id = 2"
    )
    store.transact(lambda db: db.execute(copy))
    with pytest.raises(VaultError, match="user 2"):
        store.transact(lambda db: second_factor.verify(db, 2, code(seed, NOW + STEP), NOW + STEP, vault=vault))


@pytest.mark.parametrize("changed", ["purpose", "data key"])
def test_seed_opened_in_another_place_is_refused(store: Store, vault: Vault, seed: str, changed: str) -> None:
    """Purpose and data key are authenticated: the same key of the same person does not open it elsewhere."""

    def work(db: Connection) -> None:
        row = db.execute("SELECT data_key_id, sealed FROM second_factor").fetchone()
        key_id, purpose = row["data_key_id"], "totp"
        assert vault.open_for(db, 1, purpose, key_id, row["sealed"]).reveal() == seed
        if changed == "purpose":
            purpose = "hook"
        else:
            vault.renew_data_key(db, 1)
            key_id = db.execute("SELECT max(id) FROM data_keys").fetchone()[0]
        vault.open_for(db, 1, purpose, key_id, row["sealed"])

    with pytest.raises(VaultError):
        store.transact(work)


@pytest.mark.parametrize("part", ["person", "instance", "data key"])
def test_seed_bound_to_its_place_by_authenticated_data(vault: Vault, part: str) -> None:
    """Even under one key, a record for one person, instance or data key does not open for another."""
    places = {"person": (2, 7), "instance": (1, 7), "data key": (1, 8)}
    sealed = vault_module._seal(bytes(32), b"seed", vault._purpose_place("totp", 1, 7))
    if part == "instance":
        vault.instance_id = "another"
    with pytest.raises(InvalidTag):
        vault_module._open(bytes(32), sealed, vault._purpose_place("totp", *places[part]))


def _with_locals(error: BaseException) -> str:
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def test_traceback_with_locals_shows_neither_seed_nor_key(
    store: Store, vault: Vault, account: AccountRow, registered: list[str]
) -> None:
    """S16: what is raised for a wrong code or a changed row holds no secret in any frame."""
    secret = store.transact(lambda db: second_factor.begin(db, 1, vault=vault)).reveal()
    store.transact(lambda db: second_factor.confirm(db, 1, code(secret, NOW), NOW, vault=vault))
    typed = wrong_code(secret, NOW)
    with pytest.raises(UserError) as wrong:
        store.transact(lambda db: second_factor.verify(db, 1, typed, NOW, vault=vault))
    store.transact(lambda db: db.execute("UPDATE second_factor SET sealed = substr(sealed, 1, 100)"))
    with pytest.raises(VaultError) as changed:
        store.transact(lambda db: second_factor.verify(db, 1, typed, NOW, vault=vault))
    keys = [bytes.fromhex(value) for value in set(registered) - {secret}]
    forms = {secret, *(value.hex() for value in keys), *(repr(value)[2:-1] for value in keys)}
    # The frames of this test hold the secret; only what was called counts.
    shown = [_with_locals(each.value.with_traceback(each.tb.tb_next)) for each in (wrong, changed)]
    assert [form for text in shown for form in forms if form in text] == []
    assert (len(keys), "row" in shown[0]) == (2, True)


def test_link_names_the_person_and_the_bot() -> None:
    assert second_factor.link(Secret("A" * 32), "Ann").reveal() == (
        f"otpauth://totp/tradewire:Ann?secret={'A' * 32}&issuer=tradewire"
    )


def _tries(store: Store, vault: Vault, seed: str, number: int, random_seed: int) -> tuple[list[int], int]:
    """Return the steps whose codes were taken, and the wrong codes that were looked at between two locks at most."""
    chance = random.Random(random_seed)
    now, taken, looked, most = NOW, [], 0, 0
    for _ in range(number):
        now += chance.choice((0, 0, 1_000, STEP, 7 * STEP))
        step = now // STEP + chance.randint(-3, 3)
        typed = pyotp.HOTP(seed).at(step) if chance.random() < 0.5 else f"{chance.randrange(10**6):06d}"
        try:
            store.transact(lambda db, typed=typed, now=now: second_factor.verify(db, 1, typed, now, vault=vault))
        except UserError as error:
            if error.code in ("CODE_WRONG", "CODE_LOCKED"):
                looked += error.code == "CODE_WRONG"
            if error.code == "CODE_LOCKED":
                most, looked = max(most, looked), 0
        else:
            taken.append(step)
            looked = 0
    return taken, most


@pytest.mark.parametrize(
    "number", [pytest.param(2_000, id="default"), pytest.param(10_000, id="nightly", marks=pytest.mark.nightly)]
)
def test_codes_tried_at_random_are_never_taken_twice(store: Store, vault: Vault, seed: str, number: int) -> None:
    """S14: whatever comes in whatever order, a step is taken once, and none before one that was taken."""
    taken, most = _tries(store, vault, seed, number, int(os.environ.get("TRADEWIRE_SEED", "1")))
    assert taken == sorted(set(taken))
    assert most <= TRIES - 1
    assert len(taken) > number // 50
