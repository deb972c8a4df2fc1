"""Connecting a key: store it sealed, ask the exchange what it may do, take it back when it proves unfit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.accounts.vault import Vault
from bot.clock import Clock
from bot.contract.errors import UserError
from bot.contract.models import ExchangeInfo
from bot.store.database import Connection, Store
from bot.trading import events, membership
from bot.trading.gateway import Gateway
from bot.trading.selftest import MAY_WITHDRAW, Step, check_key

FIELD_TITLES = {"key": "API key", "secret": "API secret", "passphrase": "Passphrase", "email": "E-mail of the account"}
"""Credential field to what people call it."""

_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"  # pasted along with text from a web page


@dataclass(frozen=True, slots=True)
class Connected:
    """A key that is stored, what is known of it, and whether its owner was a stranger before."""

    account: AccountRow
    steps: tuple[Step, ...]
    let_in: bool = False

    @property
    def is_verified(self) -> bool:
        """Whether every step found what it looked for."""
        return not any(step.mark in ("failed", "unknown") for step in self.steps)


class KeyRefused(UserError):
    """The exchange proved the key unfit, or hints at it and nobody looked yet; nothing is stored.

    Args:
        message: As for `UserError`.
        code: As for `UserError`.
        steps: What was checked.
    """

    def __init__(self, message: str, *, code: str, steps: tuple[Step, ...]) -> None:
        super().__init__(message, code=code)
        self.steps = steps


OnStep: TypeAlias = Callable[[Step], None]


async def connect(
    gateway: Gateway,
    store: Store,
    vault: Vault,
    clock: Clock,
    *,
    user_id: int,
    exchange_id: str,
    label: str | None,
    fields: Mapping[str, str],
    options: Mapping[str, str] | None = None,
    owner: int | None = None,
    has_looked: bool = False,
    on_step: OnStep = lambda _: None,
) -> Connected:
    """Store a key and check it. A key that proves wrong, or able to withdraw, does not stay.

    Nor does one that might be able to withdraw, before its owner says that they looked at the exchange's site.

    Args:
        gateway: The way to the exchanges.
        store: Where the account is added. A stranger becomes a trader with their first key that is kept.
        vault: Seals the fields.
        clock: Ours.
        user_id: Whose key it is.
        exchange_id: Such as `bitget`.
        label: The person's name for the account; `None` takes the next free one.
        fields: The exchange's credential fields, as they were pasted.
        options: `{"demo": "1"}` for the exchange's demo mode, and what `ExchangeInfo.options` names.
        owner: The bot's owner, whom the configuration alone gives their role.
        has_looked: Whether the owner saw at the exchange that the right to withdraw is off.
        on_step: Told each step as soon as it is known.

    Raises:
        KeyRefused: `KEY_REFUSED`, `CAN_WITHDRAW` or, unless `has_looked`, `MAY_WITHDRAW`. Nothing is stored.
        UserError: `NO_EXCHANGE`, `FIELDS`, `NO_DEMO`, `LABEL_INVALID` or `LABEL_TAKEN`. Nothing was stored or asked.
    """
    info = _info(gateway, exchange_id)
    clean = _clean(info, fields)
    if unknown := sorted(set(options or ()) - {"demo", *info.options}):
        known = ", ".join(info.options) or "none"
        raise UserError(f"{info.title} has no option {unknown[0]}. It has: {known}.", code="FIELDS")
    if options and "demo" in options and not info.capabilities.sandbox:
        raise UserError(f"{info.title} has no demo mode. Leave it out.", code="NO_DEMO")
    now_ms = clock.now_ms()

    def add(db: Connection) -> tuple[AccountRow, bool]:
        is_new = people.get_user(db, user_id) is None
        people.ensure_user(db, user_id, "blocked", now_ms=now_ms)  # a key that is taken back lets nobody in
        name = label or people.next_label(db, user_id)
        account = people.add_account(db, user_id, exchange_id, name, now_ms, options=options)
        vault.seal(db, account, clean)
        return account, is_new

    account, is_new_person = await store.run(add)
    lets_in = is_new_person and user_id != owner

    def take_back(db: Connection) -> None:
        people.remove_account(db, account.id, now_ms)
        # The bot may be running and may have seen the account or the person meanwhile: then their rows must stay.
        db.execute(
            "DELETE FROM accounts WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM orders WHERE account_id = ?1)"
            " AND NOT EXISTS (SELECT 1 FROM paper WHERE account_id = ?1)",
            (account.id,),
        )
        if is_new_person:
            db.execute(
                "DELETE FROM users WHERE id = ?1 AND role = 'blocked'"
                " AND NOT EXISTS (SELECT 1 FROM accounts WHERE user_id = ?1)",
                (user_id,),
            )

    try:
        steps = await check_key(gateway, store, account, on_step)
        accepted = {"", MAY_WITHDRAW} if has_looked else {""}
        unfit = next((step for step in steps if step.refusal not in accepted), None)
        if unfit is not None:
            raise KeyRefused(f"{unfit.text} Nothing was stored.", code=unfit.refusal, steps=steps)
    except BaseException:
        await store.run(take_back)
        raise

    def note_it(db: Connection) -> AccountRow | None:
        looked = any(step.refusal == MAY_WITHDRAW for step in steps)
        detail = {"account": account.id, "exchange": exchange_id, **({"looked": True} if looked else {})}
        if lets_in:
            membership.let_in(db, user_id, "trader", owner=owner, now_ms=now_ms)
        events.record(db, kind="key added", detail=detail, now_ms=now_ms, user_id=user_id)
        return people.get_account(db, account.id)

    stored = await store.run(note_it)
    return Connected(stored or account, steps, lets_in)


def remove_key(db: Connection, account: AccountRow, now_ms: int) -> None:
    """Erase an account's keys and close it, in the caller's transaction. Its orders keep it."""
    people.remove_account(db, account.id, now_ms)
    detail = {"account": account.id, "exchange": account.exchange}
    events.record(db, kind="key removed", detail=detail, now_ms=now_ms, user_id=account.user_id)


def with_keys(db: Connection) -> list[AccountRow]:
    """Return every account that has keys, person by person, oldest first."""
    rows = db.execute(
        "SELECT DISTINCT a.user_id, a.id FROM accounts a JOIN credentials c ON c.account_id = a.id"
        " WHERE a.removed_ms IS NULL ORDER BY a.user_id, a.id"
    ).fetchall()
    accounts = (people.get_account(db, row["id"]) for row in rows)
    return [account for account in accounts if account is not None]


def _info(gateway: Gateway, exchange_id: str) -> ExchangeInfo:
    if exchange_id.endswith(":paper"):
        raise UserError("A paper account has no keys. Connect the exchange itself.", code="NO_EXCHANGE")
    return gateway.named(exchange_id).info


def _clean(info: ExchangeInfo, fields: Mapping[str, str]) -> dict[str, str]:
    wanted = ", ".join(info.credential_fields)
    if unknown := sorted(set(fields) - set(info.credential_fields)):
        text = f"{info.title} has no field {', '.join(unknown)}. Its fields are {wanted}."
        raise UserError(text, code="FIELDS")
    clean = {name: fields.get(name, "").strip().strip(_INVISIBLE).strip() for name in info.credential_fields}
    if missing := [name for name, value in clean.items() if not value]:
        raise UserError(f"{', '.join(missing)} is missing. {info.title} needs {wanted}.", code="FIELDS")
    for name, value in clean.items():
        if not (value.isascii() and value.isprintable()):
            text = f"The {name} has a character that no key has, such as a line break. Copy it again."
            raise UserError(text, code="FIELDS")
    return clean
