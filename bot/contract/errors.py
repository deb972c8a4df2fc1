"""Every exception that tradewire raises on purpose.

BotError
├── ConfigError             the configuration file or the environment is wrong
├── UserError               the person's request cannot be carried out; its text is shown to them
├── PluginError             a plugin broke the contract; its exchange is disabled or the call ends
├── VaultError              a key cannot be opened or must not be opened
└── ExchangeError           what an exchange, or the way to it, answered
    ├── Rejected            proved: the exchange did not execute the request
    │   ├── AuthFailed      key, signature, passphrase, permission, IP list
    │   ├── ClockSkew       our timestamp was refused
    │   ├── InsufficientFunds
    │   ├── InvalidOrder    size, price, symbol or parameter refused
    │   ├── MaintenanceError
    │   ├── OrderNotFound   the order named does not exist (or no longer)
    │   ├── RateLimited     refused before execution; carries `until_ms`
    │   └── WrongAccountMode  the account is of another kind than the plugin believed
    ├── NotSent             proved: the request never left this machine
    └── OutcomeUnknown      everything else. For an order: it may exist. For a read: it failed
"""

from __future__ import annotations


class BotError(Exception):
    """Base of every error raised on purpose."""


class ConfigError(BotError):
    """The configuration is wrong; the text names file, key and accepted values."""


class UserError(BotError):
    """A person's request cannot be carried out. The text is shown to that person.

    Args:
        message: What was wrong and what to do, in one or two sentences.
        code: Stable upper-case name of the cause, such as `MIN_NOTIONAL`.
    """

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class PluginError(BotError):
    """A plugin broke the contract. The text names the plugin, the hook and the remedy."""


class VaultError(BotError):
    """A secret could not be opened: wrong master key, or a row that was changed."""


class ExchangeError(BotError):
    """An exchange refused, failed or did not answer.

    Args:
        message: The cause in plain words, from the plugin's table where it has one.
        code: The exchange's own code, as text.
        status: HTTP status, or `None` when there was no reply.
        remedy: What the person can do about it; may be empty.
        detail: The exchange's own words, for the log and for `/why`.
        transient: Whether the same read may succeed a moment later.
    """

    def __init__(
        self,
        message: str = "",
        *,
        code: str = "",
        status: int | None = None,
        remedy: str = "",
        detail: str = "",
        transient: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.remedy = remedy
        self.detail = detail
        self.transient = transient


class Rejected(ExchangeError):
    """Proved by a documented answer: the request was not executed."""


class AuthFailed(Rejected):
    """The key, its passphrase, its signature, its rights or this server's address were refused."""


class ClockSkew(Rejected):
    """The timestamp was refused; the core measures the clock offset again before the next request."""


class InsufficientFunds(Rejected):
    """The balance is too small."""


class InvalidOrder(Rejected):
    """A size, price, symbol or parameter was refused."""


class MaintenanceError(Rejected):
    """The exchange is closed for maintenance."""


class OrderNotFound(Rejected):
    """The order named in the request does not exist, or is already done."""


class RateLimited(Rejected):
    """Too many requests; refused before execution.

    Args:
        message: As for `ExchangeError`.
        until_ms: Exchange time in UTC milliseconds before which nothing may be sent, or `None` when not told.
        **details: As for `ExchangeError`.
    """

    def __init__(
        self,
        message: str = "",
        *,
        until_ms: int | None = None,
        code: str = "",
        status: int | None = None,
        remedy: str = "",
        detail: str = "",
    ) -> None:
        super().__init__(message, code=code, status=status, remedy=remedy, detail=detail)
        self.until_ms = until_ms


class WrongAccountMode(Rejected):
    """The account is of another kind than its stored facts say; the core asks `detect` again."""


class NotSent(ExchangeError):
    """Proved by the transport: the request never left this machine."""


class OutcomeUnknown(ExchangeError):
    """Nobody can tell. An order may exist and is looked for; a read simply failed."""
