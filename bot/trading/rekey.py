"""A new key for an account that is connected already, and the daily look at what the keys may do."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, Literal, TypeAlias

from msgspec.structs import replace

from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.accounts.vault import Vault
from bot.clock import Clock
from bot.contract.errors import AuthFailed, BotError, ExchangeError, OrderNotFound, UserError
from bot.contract.models import KeyPermissions
from bot.store.database import Connection, Store
from bot.store.errors import StoreError
from bot.trading import events, notices, queries
from bot.trading.connect import Connected, OnStep, connect, with_keys
from bot.trading.gateway import Gateway
from bot.trading.law import DOUBTFUL, LIVE
from bot.trading.orders import OrderRow
from bot.trading.selftest import Step

log = logging.getLogger(__name__)

Kin: TypeAlias = Literal["same", "other", "unknown"]

_LABEL_SIZE = 20
_PROOFS = 5
_FIRST_LOOK_SECONDS = 600
_DAY_SECONDS = 86_400


async def replace_key(
    gateway: Gateway,
    store: Store,
    vault: Vault,
    clock: Clock,
    *,
    account: AccountRow,
    given: Mapping[str, str],
    has_looked: bool = False,
    on_step: OnStep = lambda _: None,
) -> Connected:
    """Check a new key, and give it to the account in the commit that erases the old one. Its orders stay its own.

    Args:
        gateway: The way to the exchanges.
        store: The database.
        vault: Seals the fields.
        clock: Ours.
        account: Whose key is replaced.
        given: The exchange's credential fields, as they were pasted.
        has_looked: As for `connect`.
        on_step: Told each step as soon as it is known.

    Raises:
        KeyRefused: As `connect`. The old key stays.
        UserError: As `connect`; `OTHER_ACCOUNT`: the key is of another account at the exchange; `ORDERS_IN_DOUBT`:
            that cannot be told, and an order in doubt must not be looked for in the wrong account. The old key stays.
    """
    label = await store.run(lambda db: _trial_label(db, account))
    tried = await connect(
        gateway,
        store,
        vault,
        clock,
        user_id=account.user_id,
        exchange_id=account.exchange,
        label=label,
        fields=given,
        options=account.options,
        has_looked=has_looked,
        on_step=on_step,
    )
    trial = tried.account
    try:
        kin = await _kinship(gateway, store, account, trial)
        now_ms = clock.now_ms()
        kept = await store.run(lambda db: _hand_over(db, vault, account, trial, kin=kin, now_ms=now_ms))
    except BaseException:
        await store.run(lambda db: _discard(db, trial))
        raise
    step = {
        "same": Step("account", "ok", "the same account at the exchange"),
        "unknown": Step("account", "unknown", "no order shows that it is the same account; see that it is"),
    }[kin]
    on_step(step)
    return Connected(kept, (*tried.steps, step))


async def _kinship(gateway: Gateway, store: Store, account: AccountRow, trial: AccountRow) -> Kin:
    """Find out with the new key whether it shows orders of the old one. An open order that it does not show decides."""
    asked = replace(trial, paper=False)
    for row in await store.run(lambda db: _proofs(db, account)):
        try:
            await gateway.order_status(asked, row.order, row.exchange_order_id, priority="usual")
        except OrderNotFound:
            if row.state in LIVE and not row.is_missing:
                return "other"
        except ExchangeError as error:
            log.info("order %s does not tell whose key it is: %s", row.client_order_id, type(error).__name__)
        else:
            return "same"
    return "unknown"


def _proofs(db: Connection, account: AccountRow) -> list[OrderRow]:
    """Return the orders that the exchange surely had, live ones first, then the newest."""
    query = (
        "SELECT id FROM orders WHERE account_id=? AND exchange=? AND exchange_order_id<>'' ORDER BY id DESC LIMIT 50"
    )
    found = [queries.get(db, row["id"]) for row in db.execute(query, (account.id, account.exchange)).fetchall()]
    return sorted(found, key=lambda row: row.state not in LIVE)[:_PROOFS]


def _hand_over(
    db: Connection, vault: Vault, account: AccountRow, trial: AccountRow, *, kin: Kin, now_ms: int
) -> AccountRow:
    if people.get_account(db, account.id, account.user_id) is None:
        raise UserError(f"{account.label} was removed meanwhile. Nothing was stored.", code="NO_ACCOUNT")
    if kin == "other":
        raise UserError(
            f"This key is of another account at the exchange: it does not show an open order of {account.label}. "
            "The old key stays. Connect the other account under a name of its own.",
            code="OTHER_ACCOUNT",
        )
    doubtful = queries.in_states(db, DOUBTFUL, account.id)
    if kin == "unknown" and doubtful:
        raise UserError(
            f"Order #{doubtful[0].id} of {account.label} is in doubt, and nothing shows that this key is of the same "
            "account. The old key stays; replace it once the order is settled.",
            code="ORDERS_IN_DOUBT",
        )
    keys = vault.open_in(db, trial.id)
    vault.seal(db, account, {field.name: getattr(keys, field.name).reveal() for field in fields(keys)})
    db.execute(
        "UPDATE accounts SET (facts, rights) = (SELECT facts, rights FROM accounts WHERE id = ?2), created_ms = ?3"
        " WHERE id = ?1",
        (account.id, trial.id, now_ms),
    )
    _discard(db, trial)
    events.record(db, kind="key replaced", detail={"account": account.id}, now_ms=now_ms, user_id=account.user_id)
    return people.known_account(db, account.id)


def _discard(db: Connection, trial: AccountRow) -> None:
    db.execute("DELETE FROM credentials WHERE account_id = ?", (trial.id,))
    db.execute(
        "UPDATE accounts SET removed_ms = created_ms WHERE id = ?1 AND removed_ms IS NULL"
        " AND EXISTS (SELECT 1 FROM orders WHERE account_id = ?1)",
        (trial.id,),
    )
    db.execute("DELETE FROM accounts WHERE id = ?1 AND removed_ms IS NULL", (trial.id,))


def _trial_label(db: Connection, account: AccountRow) -> str:
    for number in itertools.count(1):
        ending = "-new" if number == 1 else f"-new{number}"
        label = account.label[: _LABEL_SIZE - len(ending)] + ending
        if people.find_account(db, account.user_id, label) is None:
            return label
    raise AssertionError


async def look_at_keys_daily(gateway: Gateway, store: Store, clock: Clock, told: Callable[[], None]) -> None:
    """Ask the exchanges once a day what the keys may do, and tell their owners what changed.

    Args:
        gateway: The way to the exchanges.
        store: Where accounts are.
        clock: Ours.
        told: Called when something waits in the outbox.
    """
    await clock.sleep(_FIRST_LOOK_SECONDS)
    while True:
        for account in await store.run(with_keys):
            try:
                if await look_at_key(gateway, store, clock, account):
                    told()
            except asyncio.CancelledError:
                raise
            except (BotError, StoreError) as error:
                log.info("the rights of account %s were not told: %s", account.id, type(error).__name__)
            except Exception:
                log.exception("the rights of account %s could not be looked at", account.id)
        await clock.sleep(_DAY_SECONDS)


async def look_at_key(gateway: Gateway, store: Store, clock: Clock, account: AccountRow) -> bool:
    """Ask what a key may do, and commit what changed together with the news of it.

    Returns:
        Whether there is news.

    Raises:
        BotError: The exchange did not tell; nothing changed.
    """
    title = gateway.named(account.exchange).info.title
    name = f"{title}·{account.label}"
    try:
        rights = await gateway.key_permissions(replace(account, paper=False))
    except AuthFailed as error:
        text = f"⚠ {title} refuses the key of {name}: {error} {error.remedy} /keys replaces it.".replace("  ", " ")
        return await store.run(lambda db: _tell(db, account, None, text, clock.now_ms()))
    before = KeyPermissions(**{**asdict(KeyPermissions()), **_known(account.rights)})
    lines = changes(before, rights)
    text = "\n".join([f"⚠ The rights of the key {name} changed.", *lines])
    return await store.run(lambda db: _tell(db, account, rights, text if lines else "", clock.now_ms()))


def changes(before: KeyPermissions, after: KeyPermissions) -> list[str]:
    """Return what changed, a sentence each; empty when nothing did that matters."""
    told = []
    if before.can_withdraw != after.can_withdraw:
        told.append(
            {
                "yes": "It may WITHDRAW MONEY now. Did you not do that? Delete the key at the exchange at once. "
                "Else take the right away: the bot never needs it.",
                "no": "It cannot withdraw money any more.",
                "unknown": "Whether it can withdraw cannot be verified any more; look at the exchange.",
            }[after.can_withdraw]
        )
    elif after.withdraw_hint and not before.withdraw_hint:
        told.append(after.withdraw_hint)
    if before.can_trade != after.can_trade:
        told.append(
            {
                "yes": "It may trade now.",
                "no": "It may not trade any more: orders will be refused.",
                "unknown": "Whether it may trade is not told any more.",
            }[after.can_trade]
        )
    if before.is_ip_bound != after.is_ip_bound:
        told.append(
            {
                "yes": "It works from named addresses only now.",
                "no": "It works from any address now. Bind it to this server's, at the exchange.",
                "unknown": "Whether it is bound to addresses is not told any more.",
            }[after.is_ip_bound]
        )
    return told


def _known(rights: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(KeyPermissions)}
    return {name: value for name, value in rights.items() if name in names}


def _tell(db: Connection, account: AccountRow, rights: KeyPermissions | None, text: str, now_ms: int) -> bool:
    if people.get_account(db, account.id) is None:
        return False  # removed while the exchange was asked
    if rights is not None:
        people.set_rights(db, account.id, rights)
    if not text:
        return False
    kind = "key refused" if rights is None else "rights changed"
    events.record(db, kind=kind, detail={"account": account.id}, now_ms=now_ms, user_id=account.user_id)
    notices.tell(
        db, chat_id=account.user_id, kind="note", payload={"text": text}, merge_key=f"key:{account.id}", now_ms=now_ms
    )
    return True
