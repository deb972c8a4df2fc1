"""Connecting a key: store it sealed, ask the exchange what it may do, take it back when it proves unfit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.accounts.vault import Vault
from bot.clock import Clock
from bot.contract.errors import AuthFailed, BotError, ExchangeError, PluginError, UserError
from bot.contract.models import ExchangeInfo, KeyPermissions
from bot.store.database import Connection, Store
from bot.trading.gateway import Exchange, Gateway

Mark: TypeAlias = Literal["ok", "warning", "failed", "unknown"]

FIELD_TITLES = {"key": "API key", "secret": "API secret", "passphrase": "Passphrase", "email": "E-mail of the account"}
"""Credential field to what people call it."""

_CODES = {"signature": "KEY_REFUSED", "withdraw": "CAN_WITHDRAW"}
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"  # pasted along with text from a web page
_OFF_MS = 1_000


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was checked. `unknown` means that nobody could tell, which refuses nothing."""

    name: str
    mark: Mark
    text: str


@dataclass(frozen=True, slots=True)
class Connected:
    """A key that is stored, and what is known of it."""

    account: AccountRow
    steps: tuple[Step, ...]


class KeyRefused(UserError):
    """The exchange proved the key unfit; nothing is stored.

    Args:
        message: As for `UserError`.
        code: As for `UserError`.
        steps: What was checked; the last one failed.
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
    on_step: OnStep | None = None,
) -> Connected:
    """Store a key and check it. A key that proves wrong, or able to withdraw, does not stay.

    Args:
        gateway: The way to the exchanges.
        store: Where the account is added; the person too, when unknown.
        vault: Seals the fields.
        clock: Ours.
        user_id: Whose key it is.
        exchange_id: Such as `bitget`.
        label: The person's name for the account; `None` takes the next free one.
        fields: The exchange's credential fields, as they were pasted.
        options: `{"demo": "1"}` for the exchange's demo mode, and what `ExchangeInfo.options` names.
        on_step: Told each step as soon as it is known.

    Raises:
        KeyRefused: `KEY_REFUSED` or `CAN_WITHDRAW`. Nothing is stored.
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
        people.ensure_user(db, user_id, now_ms=now_ms)
        name = label or people.next_label(db, user_id)
        account = people.add_account(db, user_id, exchange_id, name, now_ms, options=options)
        vault.seal(db, account, clean)
        return account, is_new

    account, is_new_person = await store.run(add)

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
                "DELETE FROM users WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM accounts WHERE user_id = ?1)",
                (user_id,),
            )

    try:
        steps = await check_key(gateway, store, account, on_step)
        failed = next((step for step in steps if step.mark == "failed"), None)
        if failed is not None:
            raise KeyRefused(f"{failed.text} Nothing was stored.", code=_CODES[failed.name], steps=steps)
    except BaseException:
        await store.run(take_back)
        raise
    stored = await store.run(lambda db: people.get_account(db, account.id))
    return Connected(stored or account, steps)


async def check_key(
    gateway: Gateway, store: Store, account: AccountRow, on_step: OnStep | None = None
) -> tuple[Step, ...]:
    """Ask the exchange about a stored key, without placing anything, and keep the rights it reports.

    Always asks the real exchange, also while the account trades on paper.

    Raises:
        UserError: The exchange is not in use here.
        VaultError: The key cannot be opened.
    """
    account = replace(account, paper=False)
    exchange = gateway.exchange(account)
    title = exchange.info.title
    steps: list[Step] = []

    def found(*more: Step) -> None:
        for step in more:
            steps.append(step)
            if on_step is not None:
                on_step(step)

    clock = await clock_step(exchange)
    if clock is not None:
        found(clock)
    try:
        account = await gateway.detect(account)
        balances = await gateway.balances(account)
    except AuthFailed as error:
        found(Step("signature", "failed", f"{title} refuses the key: {_cause(error)}"))
        return tuple(steps)
    except (ExchangeError, PluginError) as error:
        found(
            Step("signature", "unknown", f"cannot be checked now: {_cause(error)}"),
            Step("withdraw", "unknown", "cannot be checked now; test the key again later."),
        )
        return tuple(steps)
    found(Step("signature", "ok", "accepted"), Step("read", "ok", f"{len(balances)} assets"))
    try:
        rights = await gateway.key_permissions(account)
    except (ExchangeError, PluginError) as error:
        reason = f"cannot be verified, as {title} did not tell the key's rights: {_cause(error)}"
        found(Step("trade", "unknown", reason), Step("withdraw", "unknown", reason))
        return tuple(steps)
    await store.run(lambda db: people.set_rights(db, account.id, rights))
    found(*_rights_steps(title, rights))
    return tuple(steps)


async def clock_step(exchange: Exchange) -> Step | None:
    """Measure how far the exchange's clock is from ours; `None` where it does not tell its time."""
    if "server_time" not in exchange.registered.hooks:
        return None
    await exchange.transport.measure_clock()
    offset = exchange.transport.clock.offset_ms
    if offset is None:
        return Step("clock", "unknown", f"{exchange.info.title} did not tell its time")
    if abs(offset) > _OFF_MS:
        return Step("clock", "warning", f"{offset:+d} ms, which is allowed for. Set this machine's clock right.")
    return Step("clock", "ok", f"{offset:+d} ms")


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


def _rights_steps(title: str, rights: KeyPermissions) -> list[Step]:
    steps = [
        {
            "yes": Step("trade", "ok", "allowed; no order was sent to try it"),
            "no": Step("trade", "warning", f"not allowed: {title} will refuse orders. Allow spot trade for the key."),
            "unknown": Step("trade", "unknown", f"{title} does not tell; the first order will show"),
        }[rights.can_trade],
        {
            "yes": Step(
                "withdraw",
                "failed",
                f"This {title} key may withdraw money, which the bot never needs. Make a key without that right.",
            ),
            "no": Step("withdraw", "ok", "verified: the key cannot withdraw"),
            "unknown": Step(
                "withdraw", "unknown", f"cannot be verified here: see on {title}'s site that the right is off"
            ),
        }[rights.can_withdraw],
    ]
    if rights.is_ip_bound != "unknown":
        bound = rights.is_ip_bound == "yes"
        text = "bound to addresses" if bound else "works from any address. Bind it to this server's, on the exchange."
        steps.append(Step("IP", "ok" if bound else "warning", text))
    if rights.note:
        steps.append(Step("note", "warning", rights.note))
    return steps


def _cause(error: BotError) -> str:
    """Return what happened and what to do, as sentences."""
    remedy = error.remedy if isinstance(error, ExchangeError) else ""
    text = (str(error) or "it gave no reason").rstrip(".") + "."
    return f"{text} {remedy}".strip()
