"""What Bitget's error codes mean.

Sources: the classic and unified error code pages, https://www.bitget.com/api-doc/spot/error-code/restapi and
https://www.bitget.com/api-doc/uta/error_code (read 2025-12). Bitget gave many causes new codes on 2025-10-14; the
table keeps the old ones too. Codes are read, never messages: those may come in Chinese.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bot import (
    AuthFailed,
    ClockSkew,
    ErrorRow,
    ExchangeError,
    InsufficientFunds,
    InvalidOrder,
    MaintenanceError,
    OrderNotFound,
    OutcomeUnknown,
    RateLimited,
    Response,
    WrongAccountMode,
    hookimpl,
)

SUCCESS = "00000"

_REPORT = "Please report this: tradewire should not have sent it."
_SUPPORT = "Ask Bitget's support."
_LOOK_UP = "It may exist all the same and is being looked for."

_TIMED_OUT = "40010 40910 25001"
_TROUBLE = "40015 40725 45001 43059 40908 25000 25003 49040 50031 80002"

_GROUPS: tuple[tuple[str, type[ExchangeError], str, str], ...] = (
    # Key, signature, rights
    (
        "40001 40002 40003 40011",
        AuthFailed,
        "part of the key was missing from the request",
        "Connect again with key, secret and passphrase.",
    ),
    (
        "40006 40037 40041",
        AuthFailed,
        "Bitget does not know this API key",
        "It may be mistyped, deleted or a demo key. Create a new one or connect again.",
    ),
    (
        "40009",
        AuthFailed,
        "the signature was refused; most likely the secret is wrong",
        "Connect again and paste the secret key without spaces or line breaks.",
    ),
    (
        "40012 40036",
        AuthFailed,
        "the key and the passphrase do not belong together",
        "The passphrase is the one chosen when the key was created, not the login password.",
    ),
    (
        "40014 40025 40040 25620",
        AuthFailed,
        "the key lacks a right",
        "Allow spot trading (read and write); on a unified account allow trading and management (read).",
    ),
    ("40301", AuthFailed, "this function is not granted to the account", _SUPPORT),
    (
        "40018 40038 49003",
        AuthFailed,
        "this server's IP address is not on the key's list",
        "Add the server's public IP address to the key on Bitget.",
    ),
    ("22010", AuthFailed, "this needs a key that is bound to an IP address", "Bind the key to the server's address."),
    (
        "40099",
        AuthFailed,
        "a demo key was used for live trading, or a live key for demo trading",
        "Connect a demo key in demo mode, and a live key otherwise.",
    ),
    ("40016", AuthFailed, "the account has no phone number or second factor", "Bind one on Bitget's site."),
    (
        "40035 40101 40111 40027 40100",
        AuthFailed,
        "the account's identity is not verified",
        "Complete the verification on Bitget's site.",
    ),
    ("40000 40103 40104", AuthFailed, "Bitget does not serve this country or region", ""),
    (
        "40013 40021 40022 40023 40024 40026 40031 40710 40752 40760 50012 50019 50023 50064 70227",
        AuthFailed,
        "the account is restricted, frozen or barred from trading",
        _SUPPORT,
    ),
    ("45107", AuthFailed, "the account may not open positions by API", _SUPPORT),
    ("40199", AuthFailed, "copy traders may not use the API", "Use another account."),
    # Clock
    (
        "40004 40005 40008 40078 40911",
        ClockSkew,
        "the request's time was too far from Bitget's clock",
        "The clock is measured again; if this goes on, set the clock of the server.",
    ),
    # Account mode
    ("40084 25245", WrongAccountMode, "this is a classic account", "The account is looked at again; try once more."),
    ("40085", WrongAccountMode, "this is a unified account", "The account is looked at again; try once more."),
    (
        "40731",
        WrongAccountMode,
        "a copy trading or unified account's key cannot be used here",
        "Try once more, or connect a key of a normal account.",
    ),
    # Money and sizes
    (
        "43012 40754 45002 50020 43132 25202 25203",
        InsufficientFunds,
        "the balance is too small",
        "Fees count too, and money in the funding wallet cannot trade: move it to the trading account.",
    ),
    (
        "40762 45120",
        InsufficientFunds,
        "the order is larger than the balance or the account's limit allows",
        "Use a smaller size.",
    ),
    (
        "45110 43010 43027 43042 45114 22034",
        InvalidOrder,
        "the order's value is below the minimum",
        "Use a larger size.",
    ),
    (
        "43006 43037 45111 25207 25611 13008",
        InvalidOrder,
        "the quantity is below the minimum",
        "Use a larger size.",
    ),
    (
        "43007 43038 43041 45112 45113 25208",
        InvalidOrder,
        "the quantity or value is above the maximum",
        "Split the order.",
    ),
    (
        "40808 41103 41101 25610 01002 43125",
        InvalidOrder,
        "a number has too many decimals",
        "Round it to the market's steps.",
    ),
    (
        "43028 45035 45115 25244 22038",
        InvalidOrder,
        "price or size is not a multiple of the market's step",
        "Round it to the market's steps.",
    ),
    (
        "40706 43008 43009 43039 43040 40815 40816 40748 41117 25205 25206 22006 22007 22008 22009",
        InvalidOrder,
        "the price is outside the allowed band",
        "Move the price nearer to the market.",
    ),
    (
        "43034 43035",
        InvalidOrder,
        "the trigger price is on the wrong side of the market",
        "A stop sell needs a trigger below the price, a stop buy one above it.",
    ),
    (
        "40723 40761 43005 43128 45118 50048 70223 25211",
        InvalidOrder,
        "there are too many open orders",
        "Cancel some of them.",
    ),
    ("43071", InvalidOrder, "there are too many stop orders on this market", "Cancel some of them."),
    (
        "12002 12003 43122 70221 70222 70224 70225 25213 25214 25215 25216",
        InvalidOrder,
        "Bitget limits how much of this coin an account may buy or sell",
        "Use a smaller size or wait.",
    ),
    (
        "43002 43003 45023 70229",
        InvalidOrder,
        "Bitget could not place the order",
        "Check the order and try again.",
    ),
    # Parameters
    (
        "43011 40017 400172 40019 40020 40034 40053 40064 40402 40409 40724 40811 40812 40813 40913 40924 41002 41100"
        " 43111 43123 00171 00172 25200 40079 40007 40404 40304 40305",
        InvalidOrder,
        "a part of the request was refused",
        _REPORT,
    ),
    (
        "00001 40408 40704 40705 40707 20001 42072 43130",
        InvalidOrder,
        "the time range was refused",
        "Ask for a shorter range.",
    ),
    ("40102 42016 50024 25100", InvalidOrder, "Bitget has no such spot market", "Check the spelling of the pair."),
    ("22004 25013", InvalidOrder, "this market cannot be traded by API", "Choose another market."),
    (
        "41113 43119 43120 50025 50026 50028 25101 25104",
        InvalidOrder,
        "the market is not open or was delisted",
        "See Bitget's announcements.",
    ),
    (
        "41114 43115 45043 50027 50030 25102 25103 25106",
        InvalidOrder,
        "the market is under maintenance or opens soon",
        "Wait; see Bitget's announcements.",
    ),
    (
        "40081 40105 40110 22030",
        InvalidOrder,
        "this is not available in demo trading",
        "Demo accounts take spot orders and stop orders only.",
    ),
    # Orders that are gone
    (
        "43001 40109 40768 40819 45057 25204 22001 43004 24056 43025",
        OrderNotFound,
        "Bitget knows no such open order",
        "It may be filled or canceled already.",
    ),
    (
        "45031 45055 45056 50062 43026",
        OrderNotFound,
        "the order is already closed and cannot be canceled",
        "Its final state is being read.",
    ),
    # Pace and maintenance
    ("429 25004 70228 1001 22035", RateLimited, "too many requests", "Wait a moment."),
    ("45129", RateLimited, "the same order was canceled twice within a second", "Wait a second."),
    ("40200", MaintenanceError, "Bitget is being upgraded", "Try again later."),
    # Nobody can tell
    (_TIMED_OUT, OutcomeUnknown, "Bitget timed out", _LOOK_UP),
    (_TROUBLE, OutcomeUnknown, "Bitget had an internal error", _LOOK_UP),
    ("45024", OutcomeUnknown, "Bitget could not cancel the order", "Its state is being read."),
    (
        "43118 45034 50060 25212 40786",
        OutcomeUnknown,
        "Bitget already has an order with this id",
        "The first one exists and is being looked for; nothing is sent again.",
    ),
)

ERRORS: dict[str, ErrorRow] = {
    code: ErrorRow(kind, cause, remedy) for codes, kind, cause, remedy in _GROUPS for code in codes.split()
}
"""Every documented code that a spot account can meet."""

TRANSIENT = frozenset(f"{_TIMED_OUT} {_TROUBLE}".split())
"""Unknown outcomes after which the same read may succeed."""


class _Envelope(msgspec.Struct):
    code: Any = None
    msg: Any = None
    message: Any = None


@hookimpl
def map_error(response: Response) -> ExchangeError | None:
    """The body counts first: Bitget refuses with HTTP 400 and a JSON body, or with 200."""
    status = response.status
    try:
        reply = response.decode(_Envelope)
    except OutcomeUnknown:
        return _without_code(status)
    code = reply.code
    if not isinstance(code, str):
        return _without_code(status)
    if code == SUCCESS:
        return None
    detail = next((text for text in (reply.msg, reply.message) if isinstance(text, str)), "")
    row = ERRORS.get(code)
    if row is not None:
        error = row.kind(row.cause, code=code, status=status, remedy=row.remedy, detail=detail)
        error.transient = code in TRANSIENT
        return error
    if status == 429:
        return RateLimited("too many requests", code=code, status=status, remedy="Wait a moment.", detail=detail)
    text = f"Bitget answered with code {code}, which is not in its documented list"
    return OutcomeUnknown(text, code=code, status=status, detail=detail, transient=status >= 500)


def _without_code(status: int) -> ExchangeError:
    # Only 429 proves that nothing was executed; a gateway or a firewall may send any other status at any moment.
    if status == 429:
        return RateLimited("too many requests", status=status, remedy="Wait a moment.")
    if status >= 500:
        return OutcomeUnknown(f"Bitget is in trouble (HTTP {status})", status=status, transient=True)
    return OutcomeUnknown(f"Bitget sent an unreadable reply (HTTP {status})", status=status)
