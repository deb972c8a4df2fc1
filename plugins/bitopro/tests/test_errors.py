"""What BitoPro's statuses and texts become."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradewire_bitopro import exchange_info, map_error
from tradewire_bitopro.errors import ERRORS

from bot import (
    AuthFailed,
    ClockSkew,
    ExchangeError,
    InsufficientFunds,
    InvalidOrder,
    OrderNotFound,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Request,
)
from bot.testing.drive import load_reply, reply

TESTDATA = Path(__file__).parent / "testdata"
PLACE = Request.post("/v3/orders/btc_twd", {"type": "LIMIT"}, places=True)
CANCEL = Request.delete("/v3/orders/btc_twd/123")
CANCEL_ALL = Request.delete("/v3/orders/btc_twd")
ORDER = Request.get("/v3/orders/btc_twd/SL-123")
OPEN = Request.get("/v3/orders/open")
ALL = Request.get("/v3/orders/all/btc_twd")
TRADES = Request.get("/v3/orders/trades/btc_twd")
BALANCE = Request.get("/v3/accounts/balance")
TICKER = Request.get("/v3/tickers/btc_twd", auth="none")
BOOK = Request.get("/v3/order-book/btc_twd", auth="none")
ROUTES = (PLACE, CANCEL, CANCEL_ALL, ORDER, OPEN, ALL, TRADES, BALANCE, TICKER, BOOK)
ANYWHERE = ROUTES

# status: which requests, code, kind, transient
STATUSES: list[tuple[int, tuple[Request, ...], str, type[ExchangeError], bool]] = [
    (400, ANYWHERE, "400", InvalidOrder, False),
    (401, ANYWHERE, "401", AuthFailed, False),
    (403, (PLACE, CANCEL, CANCEL_ALL), "403 order", AuthFailed, False),
    (403, (ORDER, OPEN, ALL, TRADES, BALANCE, TICKER, BOOK), "403", AuthFailed, False),
    (404, (ORDER, CANCEL, CANCEL_ALL), "404 order", OrderNotFound, False),
    (404, (PLACE, OPEN, ALL, TRADES, TICKER, BOOK), "404 pair", InvalidOrder, False),
    (404, (BALANCE,), "404", OutcomeUnknown, False),
    (408, ANYWHERE, "408", OutcomeUnknown, True),
    (409, (PLACE,), "409 order", OutcomeUnknown, False),
    (409, (CANCEL, CANCEL_ALL, ORDER, OPEN, ALL, TRADES, BALANCE), "409", ClockSkew, False),
    (422, (CANCEL, CANCEL_ALL), "422 order", OrderNotFound, False),
    (422, (PLACE, ORDER, OPEN, ALL, TRADES, BALANCE, TICKER, BOOK), "422", InvalidOrder, False),
    (429, ANYWHERE, "429", RateLimited, False),
    (500, ANYWHERE, "500", OutcomeUnknown, True),
    (502, ANYWHERE, "502", OutcomeUnknown, True),
    (503, ANYWHERE, "503", OutcomeUnknown, True),
    (520, ANYWHERE, "520", OutcomeUnknown, True),
]
TEXTS: list[tuple[str, str, type[ExchangeError], str]] = [
    ("Invalid Signature", "Invalid Signature", AuthFailed, "BitoPro refused the signature"),
    (
        "Balance for eth not enough, only has 0, but ordered 0.01.",
        "Balance not enough",
        InsufficientFunds,
        "the balance is too small: 0 ETH is free and the order needs 0.01",
    ),
    ("Balance for eth not enough", "Balance", InsufficientFunds, "the balance is too small"),
    (
        "Invalid amount 0.123456789, decimal limit is 8.",
        "Invalid amount decimals",
        InvalidOrder,
        "the amount has too many decimals: 0.123456789 has more than 8",
    ),
    (
        "Invalid amount 0.00001",
        "Invalid amount",
        InvalidOrder,
        "BitoPro refused the amount; most likely it is below the minimum",
    ),
    ("Invalid price 0", "Invalid price", InvalidOrder, "BitoPro refused the price"),
    ("Invalid body", "Invalid body", InvalidOrder, "BitoPro could not read the request"),
    (
        "Unsupported order type",
        "Unsupported order type",
        InvalidOrder,
        "BitoPro does not take this type of order here",
    ),
    ("Unsupported currency.", "Unsupported currency", InvalidOrder, "BitoPro has no such coin or pair"),
    ("Wrong parameter: limit", "Wrong parameter", InvalidOrder, "BitoPro refused a part of the request"),
    (
        "Address not in whitelist.",
        "Address not in whitelist",
        AuthFailed,
        "the address is not on the account's list for withdrawals",
    ),
]
REFUSALS = (400, 401, 403, 404, 422)


def test_table_has_exactly_the_documented_statuses_and_texts() -> None:
    """Every documented status and known text has a row, and there is none besides."""
    expected = {code: kind for _, _, code, kind, _ in STATUSES} | {code: kind for _, code, kind, _ in TEXTS}
    assert {code: row.kind for code, row in ERRORS.items()} == expected


def test_table_tells_a_cause_for_every_row() -> None:
    """Every row explains itself in words, without a full stop and without a place to be filled."""
    assert [code for code, row in ERRORS.items() if not row.cause or row.cause.endswith(".") or "{" in row.cause] == []


def test_exchange_info_publishes_the_table() -> None:
    """The documentation and `/why` read the same table."""
    assert exchange_info().errors == ERRORS


@pytest.mark.parametrize(("status", "requests", "code", "kind", "transient"), STATUSES)
def test_map_error_status_means_what_its_path_says(
    status: int, requests: tuple[Request, ...], code: str, kind: type[ExchangeError], transient: bool
) -> None:
    """One status means different things by method and path, whatever its free text is."""
    for request in requests:
        error = map_error(request, reply({"error": "words that nobody knows."}, status))
        assert error is not None
        found = (type(error), error.code, error.status, error.detail, error.transient)
        assert found == (kind, code, status, "words that nobody knows", transient), request.path


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize(("text", "code", "kind", "message"), TEXTS)
def test_map_error_known_text_counts_before_the_status(
    text: str, code: str, kind: type[ExchangeError], message: str, status: int
) -> None:
    """A known beginning, in any letter case, tells more than the status of a refusal."""
    for words in (text, text.upper()):
        error = map_error(PLACE, reply({"error": words, "code": 123}, status))
        assert error is not None
        assert (type(error), error.code, error.message.lower()) == (kind, code, message.lower())


def test_map_error_recorded_refusal_tells_both_amounts() -> None:
    """The person reads what is free and what the order needs."""
    error = map_error(PLACE, load_reply(TESTDATA / "error_balance.json", 400))
    assert error is not None
    assert (type(error), error.message) == (
        InsufficientFunds,
        "the balance is too small: 0 ETH is free and the order needs 0.01",
    )


def test_map_error_unknown_text_of_a_bad_request_is_shown() -> None:
    """What BitoPro refuses for a reason that is in no list is told in its own words."""
    error = map_error(PLACE, reply({"error": "Pair is\nsuspended."}, 400))
    assert error is not None
    assert error.message == "BitoPro refused a part of the request: Pair is suspended"


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 520, 599])
def test_map_error_known_text_under_another_status_proves_nothing(status: int) -> None:
    """A refusal's text under a failing server's status leaves an order in doubt."""
    error = map_error(PLACE, reply({"error": "Invalid amount 1"}, status))
    assert type(error) is OutcomeUnknown


@pytest.mark.parametrize("request_", ROUTES)
def test_map_error_success_is_no_error(request_: Request) -> None:
    """HTTP 200 with an object is a success, an empty one too."""
    assert map_error(request_, reply({"data": []})) is None


@pytest.mark.parametrize(
    ("content", "status", "kind", "transient"),
    [
        (b"", 200, OutcomeUnknown, False),
        (b"<html>Please wait</html>", 200, OutcomeUnknown, False),
        ({"error": "Invalid amount 1"}, 200, OutcomeUnknown, False),
        ({"error": 17}, 200, OutcomeUnknown, False),
        ([1], 200, OutcomeUnknown, False),
        ({}, 201, OutcomeUnknown, False),
        (b"<html>Forbidden</html>", 403, OutcomeUnknown, False),
        (b"<html>Not found</html>", 404, OutcomeUnknown, False),
        (b"", 400, OutcomeUnknown, False),
        (b"", 401, OutcomeUnknown, False),
        ({"message": "no error field"}, 422, OutcomeUnknown, False),
        (b"<html>Bad gateway</html>", 502, OutcomeUnknown, True),
        ({"error": "new"}, 418, OutcomeUnknown, False),
        ({"error": "new"}, 504, OutcomeUnknown, True),
        (b"slow down", 429, RateLimited, False),
    ],
)
def test_map_error_undocumented_reply_proves_nothing_but_429(
    content: object, status: int, kind: type[ExchangeError], transient: bool
) -> None:
    """A page of a gateway, or an error under HTTP 200, never counts as refused."""
    error = map_error(PLACE, reply(content, status))
    assert error is not None
    assert (type(error), error.transient, error.status) == (kind, transient, status)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=4
)
WORDS = st.sampled_from([text for text, *_ in TEXTS]) | st.text()
BODIES = st.one_of(
    st.binary(max_size=60),
    VALUES.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries({"error": WORDS | VALUES}, optional={"code": VALUES}).map(
        lambda value: json.dumps(value).encode()
    ),
)
STATUS = st.integers(100, 599) | st.sampled_from([status for status, *_ in STATUSES])


@given(status=STATUS, body=BODIES, request=st.sampled_from(ROUTES))
def test_map_error_any_reply_is_a_rejection_only_where_listed(status: int, body: bytes, request: Request) -> None:
    """Whatever comes back, it is a refusal only under a listed status in the documented form, or under 429 or 409."""
    error = map_error(request, reply(body, status))
    try:
        is_documented = isinstance(json.loads(body)["error"], str)
    except (ValueError, KeyError, TypeError):
        is_documented = False
    if isinstance(error, Rejected):
        assert status == 429 or (status == 409 and request is not PLACE) or (status in REFUSALS and is_documented)
    if error is None:
        assert status == 200
        assert not is_documented
