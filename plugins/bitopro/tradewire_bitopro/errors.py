"""What BitoPro's refusals mean. It has no codes: an HTTP status, and under it `{"error": "free text"}`.

Sources: https://github.com/bitoex/bitopro-offical-api-docs and https://github.com/bitoex/bitopro-skills-hub (read
2026-04); the texts are those that clients in wide use know. Texts may change: then the status alone counts.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from bot import (
    AuthFailed,
    ClockSkew,
    ErrorRow,
    ExchangeError,
    InsufficientFunds,
    InvalidOrder,
    OrderNotFound,
    OutcomeUnknown,
    RateLimited,
    Request,
    Response,
    hookimpl,
)

_REPORT = "Please report this: tradewire should not have sent it."
_LOOK_UP = "It may exist all the same and is being looked for."
_KEY = "Connect again with key, secret and the account's e-mail; the key may have been deleted on BitoPro."


class Rule(NamedTuple):
    """One line of a table; the first that fits counts.

    Attributes:
        code: Our name for it, since BitoPro has none.
        pattern: For the texts: how the text begins. For the statuses: `METHOD /path`.
        kind: As in `ErrorRow`.
        cause: As in `ErrorRow`; fields of the text may be filled in.
        remedy: As in `ErrorRow`.
    """

    code: str
    pattern: str
    kind: type[ExchangeError]
    cause: str
    remedy: str = ""


TEXTS = (
    Rule("Invalid Signature", "invalid signature", AuthFailed, "BitoPro refused the signature", _KEY),
    Rule(
        "Balance not enough",
        r"balance for (?P<coin>\w+) not enough, only has (?P<has>[\d.]*\d), but ordered (?P<ordered>[\d.]*\d)",
        InsufficientFunds,
        "the balance is too small: {has} {coin} is free and the order needs {ordered}",
        "Fees count too, and what is staked or in open orders cannot be spent.",
    ),
    Rule(
        "Balance",
        "balance for .* not enough",
        InsufficientFunds,
        "the balance is too small",
        "Fees count too, and what is staked or in open orders cannot be spent.",
    ),
    Rule(
        "Invalid amount decimals",
        r"invalid amount (?P<amount>[\d.]+), decimal limit is (?P<limit>\d+)",
        InvalidOrder,
        "the amount has too many decimals: {amount} has more than {limit}",
        "Round it.",
    ),
    Rule(
        "Invalid amount",
        "invalid amount",
        InvalidOrder,
        "BitoPro refused the amount; most likely it is below the minimum",
        "Use a larger size.",
    ),
    Rule(
        "Invalid price",
        "invalid price",
        InvalidOrder,
        "BitoPro refused the price",
        "It must be above zero and a multiple of the market's price step.",
    ),
    Rule("Invalid body", "invalid body", InvalidOrder, "BitoPro could not read the request", _REPORT),
    Rule(
        "Unsupported order type",
        "unsupported order type",
        InvalidOrder,
        "BitoPro does not take this type of order here",
        "Limit and market orders work everywhere.",
    ),
    Rule(
        "Unsupported currency",
        "unsupported currency",
        InvalidOrder,
        "BitoPro has no such coin or pair",
        "Check the spelling of the pair.",
    ),
    Rule("Wrong parameter", "wrong parameter", InvalidOrder, "BitoPro refused a part of the request", _REPORT),
    Rule(
        "Address not in whitelist",
        "address not in whitelist",
        AuthFailed,
        "the address is not on the account's list for withdrawals",
        _REPORT,
    ),
)
"""Known texts, letter case aside. They count under the statuses of a refusal only."""

_ANY = ".*"
_ORDER = r"(GET|DELETE) /v3/orders/(?!all/|trades/)[^/]+/[^/]+|DELETE /v3/orders/[^/]+"

REFUSALS = (
    Rule("400", _ANY, InvalidOrder, "BitoPro refused a part of the request"),
    Rule("401", _ANY, AuthFailed, "BitoPro does not accept this key", _KEY),
    Rule(
        "403 order",
        r"(POST|DELETE) /v3/orders/.*",
        AuthFailed,
        "the key lacks the order permission",
        "BitoPro keys cannot be changed: create one with the order permission, and check its list of IP addresses.",
    ),
    Rule(
        # Unverified: that a refused IP address shows as 403.
        "403",
        _ANY,
        AuthFailed,
        "the key lacks a permission, or this server's IP address is not on its list",
        "BitoPro keys cannot be changed: create one with the right permissions and addresses.",
    ),
    Rule("404 order", _ORDER, OrderNotFound, "BitoPro knows no such order", "It may be older than 90 days."),
    Rule(
        "404 pair",
        r"(GET|POST) /v3/(orders|tickers|order-book)/.*",
        InvalidOrder,
        "BitoPro has no such pair",
        "Check the spelling of the pair.",
    ),
    Rule("404", _ANY, OutcomeUnknown, "BitoPro has no such address", _REPORT),
    Rule(
        "422 order",
        r"DELETE /v3/orders/.*",
        OrderNotFound,
        "the order can no longer be canceled",
        "It is probably filled or canceled already; its state is being read.",
    ),
    Rule("422", _ANY, InvalidOrder, "BitoPro could not process the request"),
)
"""Statuses that refuse, when the body is in the documented form: a gateway may send any of them with a page."""

FAILURES = (
    Rule("408", _ANY, OutcomeUnknown, "BitoPro timed out", _LOOK_UP),
    Rule(
        # Means a wrong clock, and also that the same request came twice: then an order may exist.
        "409 order",
        r"POST .*",
        OutcomeUnknown,
        "BitoPro refused the request's time, or had it twice",
        _LOOK_UP,
    ),
    Rule(
        "409",
        _ANY,
        ClockSkew,
        "the request's time was too far from BitoPro's clock, or not later than the one before",
        "The clock is measured again. Use one key for one bot only; if this goes on, set the clock of the server.",
    ),
    Rule("429", _ANY, RateLimited, "too many requests", "Wait a moment."),
    Rule("500", _ANY, OutcomeUnknown, "BitoPro had an internal error", _LOOK_UP),
    Rule("502", _ANY, OutcomeUnknown, "BitoPro cannot be reached behind its gateway", _LOOK_UP),
    Rule("503", _ANY, OutcomeUnknown, "BitoPro is not available; it may be under maintenance", _LOOK_UP),
    Rule("520", _ANY, OutcomeUnknown, "BitoPro's gateway got no answer", _LOOK_UP),
)
"""Statuses that count whatever the body is."""

TRANSIENT = frozenset({"408", "500", "502", "503", "520"})
"""Unknown outcomes after which the same read may succeed."""

ERRORS: dict[str, ErrorRow] = {
    rule.code: ErrorRow(rule.kind, rule.cause.partition(": {")[0], rule.remedy)
    for rule in (*REFUSALS, *FAILURES, *TEXTS)
}
"""Every documented status and every known text."""


class _Body(msgspec.Struct):
    error: Any = None


@hookimpl
def map_error(request: Request, response: Response) -> ExchangeError | None:
    """Return what a reply means. Success is HTTP 200 with a body that names no error."""
    status, route = response.status, f"{request.method} {request.path}"
    try:
        named, is_readable = response.decode(_Body).error, True
    except OutcomeUnknown:
        named, is_readable = None, False
    if status == 200 and is_readable and named is None:
        return None
    text = named if isinstance(named, str) else None
    for rule in FAILURES:
        if _fits(rule, status, route):
            return _error(rule, status, text or "")
    if text is not None:
        if found := _by_text(status, text):
            return found
        for rule in REFUSALS:
            if _fits(rule, status, route):
                error = _error(rule, status, text)
                if not rule.remedy:  # nothing better is known than BitoPro's own words
                    error.message = f"{rule.cause}: {_shortened(text)}"
                return error
    cause = "gave an answer that is not documented" if is_readable else "sent an unreadable reply"
    return OutcomeUnknown(
        f"BitoPro {cause} (HTTP {status})", status=status, detail=_shortened(text or ""), transient=status >= 500
    )


def _fits(rule: Rule, status: int, route: str) -> bool:
    return rule.code.partition(" ")[0] == str(status) and re.fullmatch(rule.pattern, route) is not None


def _by_text(status: int, text: str) -> ExchangeError | None:
    if str(status) not in {rule.code for rule in REFUSALS}:
        return None
    for rule in TEXTS:
        if found := re.match(rule.pattern, text, re.IGNORECASE):
            named = {name: value.upper() for name, value in found.groupdict().items()}
            return _error(rule._replace(cause=rule.cause.format(**named)), status, text)
    return None


def _error(rule: Rule, status: int, text: str) -> ExchangeError:
    detail = _shortened(text)
    error = rule.kind(rule.cause, code=rule.code, status=status, remedy=rule.remedy, detail=detail)
    error.transient = rule.code in TRANSIENT
    return error


def _shortened(text: str) -> str:
    return " ".join(text.split())[:200].rstrip(".")
