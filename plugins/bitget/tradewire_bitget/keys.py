"""Which of Bitget's two worlds a key lives in, and what it may do.

Sources: https://www.bitget.com/api-doc/spot/account/Get-Account-Info and
https://www.bitget.com/api-doc/uta/intro (read 2025-12).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from bot import (
    Account,
    AuthFailed,
    ClockSkew,
    ExchangeError,
    Flow,
    KeyPermissions,
    MaintenanceError,
    OutcomeUnknown,
    RateLimited,
    UserError,
    WrongAccountMode,
    hookimpl,
)
from tradewire_bitget.payloads import Reply, private

_SETTINGS = "/api/v3/account/settings"
_INFO_V2 = "/api/v2/spot/account/info"
_CLASSIC_ONLY = (_INFO_V2, "/api/v2/spot/account/assets")
"""Any of them answering proves a classic account; the second needs no right beyond the bot's own."""
_INFO_V3 = "/api/v3/account/info"


def is_unified(account: Account) -> bool:
    """Return what `detect` found out; without it the older world is asked, and says so when that is wrong."""
    return account.facts.get("mode") == "unified"


class _Settings(msgspec.Struct, rename="camel"):
    account_mode: str


@hookimpl
def detect(account: Account) -> Flow[Mapping[str, str]]:
    """Only an answer that proves one of the two worlds counts."""
    doubt: ExchangeError = OutcomeUnknown("Bitget did not say of which kind the account is")
    try:
        mode = (yield private(account, _SETTINGS)).decode(Reply[_Settings]).data.account_mode.lower()
        if mode in ("unified", "hybrid"):
            return {"mode": "unified"}
        if mode in ("upgrading", "switching"):
            text = "Bitget is moving this account to another mode just now. Try again in a few minutes."
            raise UserError(text, code="ACCOUNT_MIGRATING")
    except WrongAccountMode:
        return {"mode": "classic"}
    except (ClockSkew, RateLimited, MaintenanceError):
        raise
    except ExchangeError as error:
        if isinstance(error, AuthFailed) and error.code not in ("40014", "25620"):  # these two: no right to read it
            raise
        doubt = error
    for path in _CLASSIC_ONLY:
        try:
            yield private(account, path)
        except WrongAccountMode as error:
            if error.code == "40731":  # also told to copy traders of classic accounts
                raise doubt from None
            return {"mode": "unified"}
        except ExchangeError:
            continue
        return {"mode": "classic"}
    raise doubt


class _Rights(msgspec.Struct, rename="camel"):
    authorities: list[str] | None = None  # v2: short codes such as `stow`, "spot trade, write", and older words
    permissions: list[str] | None = None  # v3, with the next
    perm_type: str | None = None
    ips: str | None = None


@hookimpl
def key_permissions(account: Account) -> Flow[KeyPermissions]:
    rights = (yield private(account, _INFO_V3 if is_unified(account) else _INFO_V2)).decode(Reply[_Rights]).data
    if is_unified(account):
        words = {word.lower() for word in rights.permissions or ()}
        kind = (rights.perm_type or "").lower().replace("_", "-")  # the spelling differs between endpoints
        reads, trades = "uta_mgt" in words, "uta_trade" in words and kind in ("read-and-write", "read-write")
    else:
        words = {word.lower() for word in rights.authorities or ()}
        reads, trades = bool(words & {"stor", "stow", "readonly", "trade"}), bool(words & {"stow", "trade"})
    if not words:
        return KeyPermissions(is_ip_bound=_verdict(rights.ips))
    moves = any(word == "wtow" or "transfer" in word for word in words)
    return KeyPermissions(
        can_read=_verdict(reads),
        can_trade=_verdict(trades),
        can_withdraw=_verdict(any(word == "wwow" or "withdraw" in word for word in words)),
        is_ip_bound=_verdict(rights.ips),
        note="The key may move funds between accounts; the bot does not need that." if moves else "",
    )


def _verdict(fact: object) -> Literal["yes", "no"]:
    return "yes" if fact else "no"
