"""What Bitrue's refusals mean.

Sources: https://github.com/Bitrue-exchange/Spot-official-api-docs (of 2023-07-14) and its document of the user stream;
a published guide for users; the texts and codes that clients in wide use know. What only these clients, or Bitrue's
document for futures, say is not documented for spot, and proves nothing about an order: those rows are unknown
outcomes, with a cause in plain words all the same.
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


class SignatureRefused(AuthFailed, ClockSkew):
    """One code for a wrong secret, a wrong time and a missing right: the clock is measured anew, the key is doubted."""


_LOOK_UP = "If it was an order, it may exist all the same and is being looked for."
_REPORT = "Please report this: tradewire should not have sent it."
_KEY = (
    "It may be mistyped, deleted or bound to another IP address, or lack Read or Trade. A new key needs a minute or"
    " two; if this key worked before, wait a little."
)
_TOP_UP = "Use a smaller size; fees and open orders count too."
_BAN = "Wait: a ban lasts from two minutes up to three days, and each further request makes it longer."

_PARAMETER = ErrorRow(OutcomeUnknown, "Bitrue refused a part of the request", _REPORT)
_NO_FUNDS = ErrorRow(OutcomeUnknown, "the balance is too small", _TOP_UP)
_MALFORMED_KEY = "the API key is malformed"
_NO_LISTEN_KEY = ErrorRow(OutcomeUnknown, "the stream's listen key has expired", "A new one is asked for.")

ERRORS: dict[str, ErrorRow] = {
    # By HTTP status
    "418": ErrorRow(RateLimited, "Bitrue has banned this server's address for a while", _BAN),
    "429": ErrorRow(RateLimited, "too many requests", "Wait a moment: going on leads to a ban."),
    "500": ErrorRow(OutcomeUnknown, "Bitrue had an internal error", _LOOK_UP),
    "503": ErrorRow(OutcomeUnknown, "Bitrue is not available", _LOOK_UP),
    "504": ErrorRow(OutcomeUnknown, "Bitrue timed out", _LOOK_UP),
    # By code, documented for spot
    "-1003": ErrorRow(RateLimited, "too many requests", "Wait a moment: going on leads to a ban."),
    "-1013": ErrorRow(
        InvalidOrder, "the price or amount breaks a rule of the market, or the market is closed", "Use another size."
    ),
    "-1016": ErrorRow(OutcomeUnknown, "Bitrue's service is not available", _LOOK_UP),
    "-1020": ErrorRow(InvalidOrder, "Bitrue does not know this request", _REPORT),
    "-1021": ErrorRow(
        ClockSkew,
        "the request's time was too far from Bitrue's clock",
        "The clock is measured again; if this goes on, set the clock of the server.",
    ),
    "-1022": ErrorRow(
        SignatureRefused,
        "Bitrue refused the signature, the time or the rights of the key; it does not tell which",
        "The clock is measured again. If this goes on, copy the secret key once more, and check that Read and Trade"
        " are ticked and that this server's IP address is trusted; a new key needs a minute or two.",
    ),
    "-1102": ErrorRow(InvalidOrder, "a part of the request is missing or wrong", _REPORT),
    "-1111": ErrorRow(
        InvalidOrder, "the price or amount is too small or has too many decimals", "Use a larger or rounder number."
    ),
    "-1121": ErrorRow(InvalidOrder, "Bitrue has no such pair", "Check the spelling of the pair."),
    "-2010": ErrorRow(InvalidOrder, "Bitrue refused the order", "Change it as Bitrue says."),
    "-2013": ErrorRow(
        OrderNotFound, "Bitrue knows no such order", "It may be filled or canceled long ago; look at the history."
    ),
    "-2014": ErrorRow(AuthFailed, _MALFORMED_KEY, "Copy it again, without blanks."),
    "-2015": ErrorRow(AuthFailed, "Bitrue does not accept this API key here", _KEY),
    # For one thing in spot, and for another in futures.
    "-2017": ErrorRow(OutcomeUnknown, "the balance is too small, or Bitrue has no net value for this symbol", _TOP_UP),
    # By code, not documented for spot
    "-1000": ErrorRow(OutcomeUnknown, "Bitrue had an unknown error", _LOOK_UP),
    "-1001": ErrorRow(OutcomeUnknown, "Bitrue had an internal error", _LOOK_UP),
    "-1002": ErrorRow(OutcomeUnknown, "Bitrue got no API key, or one without the right for this", _KEY),
    "-1006": ErrorRow(OutcomeUnknown, "Bitrue's engine gave an odd answer", _LOOK_UP),
    "-1007": ErrorRow(OutcomeUnknown, "Bitrue's engine timed out", _LOOK_UP),
    "-1015": ErrorRow(OutcomeUnknown, "too many new orders", "Slow down."),
    "-1023": ErrorRow(OutcomeUnknown, "Bitrue missed the request's time", _REPORT),
    "-1024": ErrorRow(OutcomeUnknown, "Bitrue missed the request's signature", _REPORT),
    "-1025": ErrorRow(OutcomeUnknown, "futures are not activated", _REPORT),
    **dict.fromkeys(["-1100", "-1101", "-1103", "-1104", "-1105", "-1106", "-1128", "-1130"], _PARAMETER),
    "-1112": ErrorRow(OutcomeUnknown, "there are no orders on the book", "Use a limit order."),
    **dict.fromkeys(["-1114", "-1115", "-1116", "-1117", "-1118", "-1119", "-1120", "-1131", "-2100"], _PARAMETER),
    "-1125": _NO_LISTEN_KEY,
    "-1150": _NO_LISTEN_KEY,
    "-2008": ErrorRow(OutcomeUnknown, _MALFORMED_KEY, "Copy it again, without blanks."),
    "-2011": ErrorRow(OutcomeUnknown, "Bitrue refused to cancel: the order is no longer open", "Its state is read."),
    "-2016": ErrorRow(OutcomeUnknown, "trading is frozen for this account", "Ask Bitrue's support."),
    **dict.fromkeys(["-2019", "-3005", "-3020", "-3041", "-4051", "-5013", "-11008"], _NO_FUNDS),
    **dict.fromkeys(
        ("-2101", "-2102"),
        ErrorRow(OutcomeUnknown, "Bitrue does not serve the country of this server's address", "Run it elsewhere."),
    ),
    "-3022": ErrorRow(OutcomeUnknown, "trading is banned for this account", "Ask Bitrue's support."),
    "1": ErrorRow(OutcomeUnknown, "Bitrue is under maintenance", "Try again later."),
}
"""Every code, and the HTTP statuses that mean something by themselves."""

TRANSIENT = frozenset({"500", "503", "504", "-1000", "-1001", "-1006", "-1007", "-1016", "1"})
"""Unknown outcomes after which the same read may succeed."""


class Text(NamedTuple):
    """Words that say more than their code. `codes` are those it counts with; none for any."""

    pattern: str
    codes: frozenset[str]
    row: ErrorRow


_ORDER = frozenset({"-2010", "-1013"})
_FUNDS = ErrorRow(InsufficientFunds, "the balance is too small", _TOP_UP)
_PRICE = ErrorRow(InvalidOrder, "the order would trade or trigger at once at this price", "Use another price.")

TEXTS = (
    # Unverified: how Bitrue words it. The id was ours and used once, so the order that has it is this one.
    Text(
        "duplicate|already exist",
        frozenset({"-2010", "-1013", "-1102", "-1111"}),
        ErrorRow(OutcomeUnknown, "Bitrue already has an order with this id", _LOOK_UP),
    ),
    Text("timestamp", frozenset({"-1102"}), ERRORS["-1021"]),
    Text(
        "minqty",
        frozenset({"-1111", "-1013"}),
        ErrorRow(InvalidOrder, "the amount is below the market's minimum", "Use a larger size; minimums change."),
    ),
    Text("insufficient", _ORDER | {"-2017"}, _FUNDS),
    Text(
        "net value",
        frozenset({"-2017"}),
        ErrorRow(InvalidOrder, "Bitrue has no net value for this symbol", "Check the spelling of the pair."),
    ),
    Text(
        "rest api trading is not enabled",
        _ORDER,
        ErrorRow(AuthFailed, "trading by API is switched off for this account", "Switch it on at Bitrue."),
    ),
    Text("market is closed", _ORDER, ErrorRow(InvalidOrder, "the market is closed", "Try again later.")),
    Text("would trigger immediately|would immediately match", _ORDER, _PRICE),
    Text("max_position", _ORDER, ErrorRow(InvalidOrder, "Bitrue's limit for this coin is reached", "Sell some first.")),
    Text(
        r"lot_size|price_filter|price \* qty is zero or less",
        _ORDER,
        ErrorRow(InvalidOrder, "the price or amount breaks a rule of the market", "Use another size or price."),
    ),
    # Known to clients in wide use, without a code to rely on: they prove nothing.
    Text(
        "not authorized to execute|don't have permission|no operation privilege",
        frozenset(),
        ErrorRow(OutcomeUnknown, "the key lacks the right for this", _KEY),
    ),
    Text("api key does not exist", frozenset(), ErrorRow(OutcomeUnknown, "Bitrue does not know this API key", _KEY)),
    Text("too many requests", frozenset(), ErrorRow(OutcomeUnknown, "too many requests", "Wait a moment.")),
    Text("insufficient (account )?balance", frozenset(), _NO_FUNDS),
    Text("under maintenance", frozenset(), ERRORS["1"]),
)
"""The first that fits counts, letter case aside. Those without codes count where the code is unknown."""

_VAGUE = frozenset({"-1013", "-1102", "-1111", "-2010"})
"""Codes that say so little that Bitrue's own words are shown with them."""


class _Body(msgspec.Struct):
    code: Any = None
    msg: Any = None
    success: Any = None


@hookimpl
def map_error(request: Request, response: Response) -> ExchangeError | None:
    """Return what a reply means. Success is HTTP 200 without a code, or with code 200 or 0."""
    status = response.status
    code, words, is_readable, is_failure = _read(response)
    if status in (418, 429):
        return _limited(str(status), words, status)
    if status == 200 and is_readable and not is_failure:
        return None
    if status >= 500:  # whatever the body says: nobody can tell what became of it
        cause = ERRORS[str(status)].cause if str(status) in ERRORS else "Bitrue is in trouble"
        row = ErrorRow(OutcomeUnknown, cause, _LOOK_UP)
        return _error(row, code or str(status), words, status, transient=True)
    if status == 200 or 400 <= status < 500:
        known = _row(request, code, words)
        if known is not None:
            if known.kind is RateLimited:
                return _limited(code, words, status)
            return _error(known, code, words, status, transient=code in TRANSIENT)
    text = "Bitrue gave an answer that is not documented" if is_readable else "Bitrue sent an unreadable reply"
    row = ErrorRow(OutcomeUnknown, f"{text} (HTTP {status}{f', code {code}' if code else ''})", "")
    return _error(row, code, words, status, transient=False)


def _read(response: Response) -> tuple[str, str, bool, bool]:
    """Return code and words, whether the body is JSON, and whether it tells a failure."""
    try:
        content = msgspec.json.decode(response.body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return "", "", False, True
    if isinstance(content, list):
        return "", "", True, False
    if not isinstance(content, dict):
        return "", "", False, True
    body = _Body(content.get("code"), content.get("msg"), content.get("success"))
    is_code = type(body.code) in (int, str) and re.fullmatch(r"-?[0-9]{1,6}", str(body.code))
    code = str(body.code) if is_code else ""
    words = " ".join(body.msg.split())[:200] if isinstance(body.msg, str) else ""
    is_failure = body.success is False or (body.code is not None and code not in ("0", "200"))
    return code, words, True, is_failure


def _row(request: Request, code: str, words: str) -> ErrorRow | None:
    known = None if code in ("418", "429", "500", "503", "504") else ERRORS.get(code)
    for text in TEXTS:
        if (code in text.codes or (not text.codes and known is None)) and re.search(text.pattern, words, re.IGNORECASE):
            return text.row
    if known is None:
        return ERRORS["503"] if code == "503" else None
    if request.method == "DELETE" and code == "-2010":
        return ErrorRow(OrderNotFound, "the order is no longer open", "Its state is being read.")
    if request.places and known.kind is OrderNotFound:
        return ErrorRow(OutcomeUnknown, known.cause, _LOOK_UP)
    return _worded(known, code, words)


def _worded(row: ErrorRow, code: str, words: str) -> ErrorRow:
    """Add Bitrue's own words where the code alone says too little."""
    if not words or code not in _VAGUE:
        return row
    return ErrorRow(row.kind, f'{row.cause}: "{words}"', row.remedy)


def _limited(code: str, words: str, status: int) -> RateLimited:
    row = ERRORS[code]
    # Unverified: that a ban tells its end. Programs of the same family of exchanges read it from these words.
    found = re.search(r"until (\d{13})\b", words)
    until_ms = int(found[1]) if found else None
    return RateLimited(row.cause, until_ms=until_ms, code=code, status=status, remedy=row.remedy, detail=words)


def _error(row: ErrorRow, code: str, words: str, status: int, *, transient: bool) -> ExchangeError:
    error = row.kind(row.cause, code=code, status=status, remedy=row.remedy, detail=words)
    error.transient = transient
    return error
