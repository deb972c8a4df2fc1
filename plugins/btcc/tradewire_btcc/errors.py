"""What BTCC's refusals mean.

Sources: the error tables of BTCC's "Spot Trading API" (April 2025) and of its help page "BTCC API Trading"; for the
codes of the matching engine, the open-source engine it visibly descends from. There the same number means different
things by path, so those rows need path, number and words together.
"""

from __future__ import annotations

import re
from typing import Any

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
from tradewire_btcc.payloads import UNKNOWN_COMMAND, path_of


class SignatureRefused(AuthFailed, ClockSkew):
    """BTCC has one code for a wrong secret and for a wrong time: the clock is measured anew, the key is doubted."""


_LOOK_UP = "An order may exist all the same; it is being looked for and nothing is sent again."
_KEY_REMEDY = (
    "It may be mistyped or deleted, made for Futures instead of Spot, lack Read or Trade, or be bound to another IP"
    " address. On BTCC create a key with Spot Read and Spot Trade, bound to this server's address."
)
_SIGNATURE = ErrorRow(
    SignatureRefused,
    "the signature was refused",
    "Connect again and copy the secret key whole; if it is right, the clock of this server may be wrong.",
)
_KEY = ErrorRow(AuthFailed, "BTCC does not accept this API key here", _KEY_REMEDY)
_FUNDS = ErrorRow(InsufficientFunds, "the balance is too small", "Use a smaller size; fees count too.")
_SMALL = ErrorRow(
    InvalidOrder,
    "the size is below the market's minimum",
    "Use a larger size. A market buy must be worth the minimum quantity at the best ask.",
)
_PACE = ErrorRow(
    RateLimited,
    "too many requests",
    "BTCC blocks the whole server's address for a while. Wait; the bot asks nothing until then.",
)
_CLOSED = ErrorRow(InvalidOrder, "the market is closed", "Wait until BTCC opens it.")
_GONE = ErrorRow(OrderNotFound, "BTCC knows no such open order", "It may be filled or canceled already.")
_THIN = ErrorRow(InvalidOrder, "nobody offers anything on the other side of the book", "Use a limit order.")
_TROUBLE = ErrorRow(OutcomeUnknown, "BTCC had an internal error", _LOOK_UP)
_UNREAD = ErrorRow(OutcomeUnknown, "BTCC refused in words that are not known", _LOOK_UP)

ERRORS: dict[str, ErrorRow] = {
    # Unverified: where the numbers from 201 to 207 are carried; they are read in `code` and in `error.code`.
    "201": ErrorRow(OutcomeUnknown, "BTCC refused without a code of its own", _LOOK_UP),
    "202": ErrorRow(
        InvalidOrder,
        "a parameter was missing or malformed",
        "Check pair and amounts. If every order ends so, add the key again with --option send_client_id=0.",
    ),
    "203": ErrorRow(OutcomeUnknown, "BTCC's database is in trouble", _LOOK_UP),
    "204": _SIGNATURE,
    "205": _KEY,
    "206": ErrorRow(
        InvalidOrder, "a limit of BTCC's was hit, such as an amount or a number of orders", "Use a smaller size."
    ),
    "207": _CLOSED,
    "429": _PACE,
    "1": ErrorRow(InvalidOrder, "the market or a parameter was refused", "Check the pair and the amounts."),
    "2": _TROUBLE,
    "3": ErrorRow(OutcomeUnknown, "BTCC's engine is down or under maintenance", _LOOK_UP),
    UNKNOWN_COMMAND: ErrorRow(
        InvalidOrder, "BTCC does not know this request", "Its API may have changed; look for a newer tradewire."
    ),
    "5": ErrorRow(OutcomeUnknown, "BTCC's engine answered too late", _LOOK_UP),
    "6": _KEY,
    "10": ErrorRow(OutcomeUnknown, "the balance was too small, or the order to cancel was not open", _LOOK_UP),
    "11": ErrorRow(OutcomeUnknown, "the amount was too small, or the order is another user's", _LOOK_UP),
    "12": ErrorRow(OutcomeUnknown, "nobody offered anything on the other side of the book", _LOOK_UP),
    "api-signature-not-valid": _SIGNATURE,
}
"""Every documented code. Those that BTCC uses for several things are told apart by `_WORDED` first."""

TRANSIENT = frozenset({"2", "3", "5", "203"})
"""Unknown outcomes after which the same read may succeed."""

_LIMIT, _MARKET, _CANCEL = (path_of(f"order/{name}") for name in ("limit", "market", "cancel"))
_PLACING = frozenset({_LIMIT, _MARKET})
_LOOKING = frozenset({_CANCEL, path_of("order/pending_detail"), path_of("order/finish_detail")})
_ANYWHERE: frozenset[str] = frozenset()

_WORDED: tuple[tuple[str, frozenset[str], str, ErrorRow], ...] = (
    ("1", _ANYWHERE, r"\bauth failed\b", _KEY),
    ("10", _PLACING, r"\bbalance\b.*\b(not enough|insufficient)\b", _FUNDS),
    ("11", _PLACING, r"\btoo small\b", _SMALL),
    ("12", frozenset({_MARKET}), r"\bno enough trader\b", _THIN),
    ("10", _LOOKING, r"\border not found\b", _GONE),
    ("11", frozenset({_CANCEL}), r"\buser not match\b", _GONE),
    ("201", _ANYWHERE, r"time(d )?out", _UNREAD),
    ("201", _ANYWHERE, r"\bbalance\b.*\b(not enough|insufficient)\b|\binsufficient\b.*\bbalance\b", _FUNDS),
    ("201", _ANYWHERE, r"\btoo small\b|\bmin(imum|_amount)?\b", _SMALL),
    ("201", _LOOKING, r"\bnot found\b", _GONE),
    ("201", _ANYWHERE, r"\bsign(ature)?\b", _SIGNATURE),
    ("201", _ANYWHERE, r"\b(access|auth|permission|ip)\b", _KEY),
    ("201", _ANYWHERE, r"\btoo many requests\b|\bfrequen", _PACE),
    ("201", _ANYWHERE, r"\b(closed?|suspended|maintenance)\b", _CLOSED),
    ("206", _ANYWHERE, r"\btoo many requests\b|\bfrequen", _PACE),
)
_VAGUE = frozenset({"201", "206"})


class _Envelope(msgspec.Struct):
    """What tells success from failure in any of BTCC's shapes."""

    code: Any = msgspec.UNSET
    message: Any = None
    error: Any = msgspec.UNSET
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    status: Any = None
    err_code: Any = msgspec.field(name="err-code", default=None)
    err_msg: Any = msgspec.field(name="err-msg", default=None)
    block_until: Any = None


@hookimpl
def map_error(request: Request, response: Response) -> ExchangeError | None:
    """Return what a reply means. The body decides: BTCC numbers its errors 201 to 207, like successes of HTTP."""
    status = response.status
    try:
        envelope = response.decode(_Envelope)
    except OutcomeUnknown:
        return _without_body(request, status)
    if status == 429:
        return _refusal("429", _PACE, _words(envelope.error, envelope.message), envelope, status)
    found = _failure(envelope)
    if found is None:
        if status == 200:
            return None
        text = f"BTCC's reply contradicts itself (HTTP {status})"
        return OutcomeUnknown(text, status=status, transient=status >= 500)
    code, words = found
    row = next(
        (row for number, paths, pattern, row in _WORDED if number == code and _fits(request, paths, pattern, words)),
        ERRORS.get(code),
    )
    if row is not None:
        return _refusal(code, row, words, envelope, status)
    if status == 404:
        return _without_body(request, status)
    text = f"BTCC answered with code {code}, which is not documented" if code else "BTCC sent an unreadable reply"
    return OutcomeUnknown(
        f'{text}: "{words}"' if words else text,
        code=code,
        status=status,
        remedy=_LOOK_UP if request.places else "",
        detail=words,
        transient=status >= 500,
    )


def _fits(request: Request, paths: frozenset[str], pattern: str, words: str) -> bool:
    return (not paths or request.path in paths) and re.search(pattern, words, re.IGNORECASE) is not None


def _failure(envelope: _Envelope) -> tuple[str, str] | None:
    """Return code and words of a failure, the code empty where there is none; `None` for a success."""
    if isinstance(envelope.error, str):
        return "", _words(envelope.error)
    if envelope.status == "error":
        code = _words(envelope.err_code)
        return "" if code.isdecimal() else code, _words(envelope.err_msg)
    if envelope.code is envelope.error is envelope.result is msgspec.UNSET:
        return "", ""
    parts: list[tuple[object, object]] = []
    if envelope.code is not msgspec.UNSET:
        parts.append((envelope.code, envelope.message))
    if isinstance(envelope.error, dict):
        parts.append((envelope.error.get("code"), envelope.error.get("message")))
    elif envelope.error not in (None, msgspec.UNSET):
        return "", ""
    # The list of markets comes with an error object of code 0, which is a success.
    return next(((_number(code), _words(text)) for code, text in parts if _number(code) != "0"), None)


def _number(code: object) -> str:
    """Return a code as text; one of a type that no document shows is none."""
    return str(code) if type(code) is int else ""


def _words(*texts: object) -> str:
    return next((text[:200] for text in texts if isinstance(text, str)), "")


def _refusal(code: str, row: ErrorRow, words: str, envelope: _Envelope, status: int) -> ExchangeError:
    if row.kind is RateLimited:
        until = envelope.block_until
        until_ms = until * 1000 if type(until) is int and until > 0 else None
        return RateLimited(row.cause, until_ms=until_ms, code=code, status=status, remedy=row.remedy, detail=words)
    cause = f'{row.cause}: "{words}"' if words and row is ERRORS.get(code) and code in _VAGUE else row.cause
    error = row.kind(cause, code=code, status=status, remedy=row.remedy, detail=words)
    error.transient = code in TRANSIENT
    return error


def _without_body(request: Request, status: int) -> ExchangeError:
    if status == 429:
        return RateLimited(_PACE.cause, code="429", status=status, remedy=_PACE.remedy)
    if status == 404 and request.method == "GET":  # a read executes nothing, so this cannot hide an order
        row = ERRORS[UNKNOWN_COMMAND]
        return row.kind(row.cause, code=UNKNOWN_COMMAND, status=status, remedy=row.remedy)
    if status in (401, 403, 451):
        text = f"BTCC's network refused this server (HTTP {status})"
        return OutcomeUnknown(text, status=status, remedy="The server's country or address may be barred by BTCC.")
    if status >= 500:
        return OutcomeUnknown(f"BTCC is in trouble (HTTP {status})", status=status, transient=True)
    return OutcomeUnknown(f"BTCC sent an unreadable reply (HTTP {status})", status=status)
