"""The second factor: six digits of an authenticator app (TOTP, RFC 6238), asked for before risk grows.

It holds against a stolen Telegram session, not against a stolen server. The seed lies sealed in the vault. A code
counts once; it is taken one step of 30 seconds early or late. Five wrong codes lock the factor for 15 minutes.
"""

from __future__ import annotations

import hmac
import re

import pyotp

from bot.accounts.vault import Vault
from bot.contract.errors import UserError
from bot.contract.wire import Secret
from bot.store.database import Connection, Row

TRIES = 5
LOCK_MS = 15 * 60_000

_STEP_MS = 30_000
_SKEW_STEPS = 1
_PURPOSE = "totp"
_ISSUER = "tradewire"


def is_on(db: Connection, user_id: int) -> bool:
    """Say whether a person has set up a second factor, so that a code must be asked for."""
    row = _row(db, user_id)
    return row is not None and row["confirmed_ms"] is not None


def verify(db: Connection, user_id: int, code: str, now_ms: int, *, vault: Vault) -> None:
    """Take a person's code, once. Call it first in a transaction, and let its errors end the transaction.

    A wrong code must be counted although the transaction ends with an error. So what the transaction did before is
    undone here, and the count is committed alone.

    Args:
        db: The transaction that does what the code allows.
        user_id: Whose code it is.
        code: As it was typed; spaces within it do not matter.
        now_ms: Our time.
        vault: Opens the seed.

    Raises:
        UserError: `NO_SECOND_FACTOR`, `CODE_FORM`, `CODE_WRONG`, `CODE_USED` or `CODE_LOCKED`. Nothing was done.
    """
    row = _row(db, user_id)
    if row is None or row["confirmed_ms"] is None:
        raise UserError("You have no second factor yet. Set it up with /2fa on.", code="NO_SECOND_FACTOR")
    _spend(db, row, code, now_ms, vault)


def begin(db: Connection, user_id: int, *, vault: Vault) -> Secret:
    """Make a new seed for a known person, and return it. Nothing is asked for until `confirm` took a code of it.

    Raises:
        UserError: `SECOND_FACTOR_ON`.
    """
    _refuse_when_on(_row(db, user_id))
    seed = Secret(pyotp.random_base32())
    # Counts and locks are kept: beginning anew must not free somebody who was locked out.
    keep_seed(db, user_id, seed, vault=vault)
    return seed


def confirm(db: Connection, user_id: int, code: str, now_ms: int, *, vault: Vault) -> None:
    """Turn the factor on with a first code, which shows that the app has the seed. As `verify` in all else.

    Raises:
        UserError: As `verify`; `SECOND_FACTOR_ON` when it is on already.
    """
    row = _row(db, user_id)
    _refuse_when_on(row)
    if row is None:
        raise UserError("Nothing was begun. Begin with /2fa on.", code="NO_SECOND_FACTOR")
    _spend(db, row, code, now_ms, vault)
    db.execute("UPDATE second_factor SET confirmed_ms = ? WHERE user_id = ?", (now_ms, user_id))


def turn_off(db: Connection, user_id: int) -> bool:
    """Erase a person's factor; say whether there was one. In chat, `verify` comes first."""
    found = db.execute("DELETE FROM second_factor WHERE user_id = ?", (user_id,)).rowcount > 0
    db.execute(
        "DELETE FROM data_keys WHERE user_id = ? AND id NOT IN (SELECT data_key_id FROM credentials)", (user_id,)
    )
    return found


def seed_of(db: Connection, user_id: int, *, vault: Vault) -> Secret | None:
    """Return a person's seed, or `None`. For sealing it anew; `verify` is what asks for codes."""
    row = _row(db, user_id)
    return None if row is None else vault.open_for(db, user_id, _PURPOSE, row["data_key_id"], row["sealed"])


def keep_seed(db: Connection, user_id: int, seed: Secret, *, vault: Vault) -> None:
    """Seal a person's seed with their newest data key. Counts and locks stay as they are."""
    key_id, sealed = vault.seal_for(db, user_id, _PURPOSE, seed)
    db.execute(
        "INSERT INTO second_factor(user_id, data_key_id, sealed) VALUES (?, ?, ?)"
        " ON CONFLICT(user_id) DO UPDATE SET data_key_id = excluded.data_key_id, sealed = excluded.sealed",
        (user_id, key_id, sealed),
    )


def link(seed: Secret, name: str) -> Secret:
    """Return the `otpauth://` link from which an authenticator app takes a seed. It is as secret as the seed."""
    return Secret(pyotp.TOTP(seed.reveal()).provisioning_uri(name=name, issuer_name=_ISSUER))


def _row(db: Connection, user_id: int) -> Row | None:
    found: Row | None = db.execute("SELECT * FROM second_factor WHERE user_id = ?", (user_id,)).fetchone()
    return found


def _refuse_when_on(row: Row | None) -> None:
    if row is not None and row["confirmed_ms"] is not None:
        raise UserError("Your second factor is on already. Turn it off first: /2fa off.", code="SECOND_FACTOR_ON")


def _spend(db: Connection, row: Row, code: str, now_ms: int, vault: Vault) -> None:
    _refuse_when_locked(row, now_ms)
    digits = "".join(code.split())
    if not re.fullmatch("[0-9]{6}", digits):
        raise UserError("A code has six digits, as your authenticator app shows them.", code="CODE_FORM")
    seed = vault.open_for(db, row["user_id"], _PURPOSE, row["data_key_id"], row["sealed"])
    step = _matching_step(seed, digits, now_ms)
    if step is None:
        _count_wrong(db, row["user_id"], now_ms)
    elif step <= row["last_step"]:
        raise UserError("That code was used already. Wait for the next one in your app.", code="CODE_USED")
    else:
        db.execute("UPDATE second_factor SET last_step = ?, wrong = 0 WHERE user_id = ?", (step, row["user_id"]))


def _matching_step(seed: Secret, digits: str, now_ms: int) -> int | None:
    """Return the newest step near `now_ms` whose code this is. Looks at all of them, whichever it is."""
    # By the step and not by a date: PyOTP takes dates for local time, which has an hour twice in autumn.
    codes = pyotp.HOTP(seed.reveal())
    now = now_ms // _STEP_MS
    steps = range(now - _SKEW_STEPS, now + _SKEW_STEPS + 1)
    return max((step for step in steps if hmac.compare_digest(codes.at(step), digits)), default=None)


def _count_wrong(db: Connection, user_id: int, now_ms: int) -> None:
    if db.in_transaction:
        db.execute("ROLLBACK")
    db.execute("BEGIN IMMEDIATE")
    row = db.execute(
        "UPDATE second_factor SET wrong = (wrong + 1) % ?1, locked_until_ms ="
        " CASE wrong + 1 WHEN ?1 THEN ?2 ELSE locked_until_ms END WHERE user_id = ?3 RETURNING *",
        (TRIES, now_ms + LOCK_MS, user_id),
    ).fetchone()
    db.execute("COMMIT")
    if row is not None:
        _refuse_when_locked(row, now_ms)
        left = TRIES - row["wrong"]
        text = f"That code is wrong. {left} more tries, then I lock for 15 minutes. Check your phone's clock."
        raise UserError(text if left > 1 else text.replace("tries", "try"), code="CODE_WRONG")
    raise UserError("You have no second factor yet. Set it up with /2fa on.", code="NO_SECOND_FACTOR")


def _refuse_when_locked(row: Row, now_ms: int) -> None:
    if row["locked_until_ms"] > now_ms:
        minutes = -(-(row["locked_until_ms"] - now_ms) // 60_000)
        raise UserError(
            f"Too many wrong codes: none is taken for another {minutes} min. If that was not you, end other sessions "
            "in Telegram's settings (Devices).",
            code="CODE_LOCKED",
        )
