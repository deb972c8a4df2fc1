"""What Bitrue's refusals become."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradewire_bitrue import exchange_info, map_error
from tradewire_bitrue.errors import ERRORS, TRANSIENT

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
from bot.testing.drive import reply

PLACE = Request(method="POST", path="/api/v1/order", places=True)
CANCEL = Request.delete("/api/v1/order")
STATUS = Request.get("/api/v1/order")
BALANCES = Request.get("/api/v1/account")
LISTEN = Request(method="POST", path="/poseidon/api/v1/listenKey", host="user", auth="key")
ROUTES = [PLACE, CANCEL, STATUS, BALANCES, LISTEN]

REFUSALS: dict[str, type[ExchangeError]] = {
    "-1003": RateLimited,
    "-1013": InvalidOrder,
    "-1020": InvalidOrder,
    "-1021": ClockSkew,
    "-1022": AuthFailed,
    "-1102": InvalidOrder,
    "-1111": InvalidOrder,
    "-1121": InvalidOrder,
    "-2010": InvalidOrder,
    "-2013": OrderNotFound,
    "-2014": AuthFailed,
    "-2015": AuthFailed,
}
_UNPROVED = """
    -1000 -1001 -1002 -1006 -1007 -1015 -1016 -1023 -1024 -1025 -1100 -1101 -1103 -1104 -1105 -1106 -1112 -1114 -1115
    -1116 -1117 -1118 -1119 -1120 -1125 -1128 -1130 -1131 -1150 -2008 -2011 -2016 -2017 -2019 -2100 -2101 -2102 -3005
    -3020 -3022 -3041 -4051 -5013 -11008 1
"""
UNPROVED = _UNPROVED.split()
STATUSES = ["418", "429", "500", "503", "504"]


def body(code: object, msg: str = "their words") -> Any:
    return {"code": code, "msg": msg, "data": None}


def mapped(request: Request, content: Any, status: int = 400) -> ExchangeError:
    error = map_error(request, reply(content, status))
    assert error is not None
    return error


def test_errors_table_is_complete_and_declared() -> None:
    """Every code of the documents has a row, and each row has words without a full stop."""
    assert set(ERRORS) == {*REFUSALS, *UNPROVED, *STATUSES}
    assert exchange_info().errors is ERRORS
    assert not [code for code, row in ERRORS.items() if not row.cause or row.cause.endswith(".")]


@pytest.mark.parametrize("code", sorted(REFUSALS))
@pytest.mark.parametrize("status", [200, 400, 406])
def test_map_error_documented_refusal_is_a_rejection(code: str, status: int) -> None:
    """What the spot documents list as refused is refused, whichever status it comes with, and as text or number."""
    for written in (int(code), code):
        error = mapped(STATUS, body(written), status)
        assert (isinstance(error, REFUSALS[code]), error.code, error.status, error.detail) == (
            True,
            code,
            status,
            "their words",
        )
        assert error.message.startswith(ERRORS[code].cause)
        assert error.remedy == ERRORS[code].remedy


@pytest.mark.parametrize("code", UNPROVED)
def test_map_error_code_not_documented_for_spot_proves_nothing(code: str) -> None:
    """Such a code has a cause in words, but an order it answers may exist."""
    error = mapped(PLACE, body(int(code)))
    assert (type(error), error.message, error.transient) == (OutcomeUnknown, ERRORS[code].cause, code in TRANSIENT)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("content", [b"<html>", body(-1016), body(503), body(-1121), body(-2010, "insufficient")])
def test_map_error_server_trouble_is_unknown_and_passes(status: int, content: Any) -> None:
    """Nobody can tell what became of an order, whatever the body says; a read may be repeated."""
    error = mapped(PLACE, content, status)
    assert (type(error), error.transient) == (OutcomeUnknown, True)


@pytest.mark.parametrize(
    ("status", "words", "until_ms"),
    [
        (429, "Too many requests.", None),
        (418, "Way too many requests; IP banned until 1700667180381.", 1700667180381),
        (418, "banned", None),
    ],
)
@pytest.mark.parametrize("request_", ROUTES)
def test_map_error_rate_limit_and_ban(request_: Request, status: int, words: str, until_ms: int | None) -> None:
    """Both refuse before execution; where a ban tells its end, it is taken over."""
    error = mapped(request_, body(-1003, words), status)
    assert isinstance(error, RateLimited)
    assert (error.until_ms, error.code) == (until_ms, str(status))


@pytest.mark.parametrize("status", [418, 429])
def test_map_error_rate_limit_without_json_is_one_all_the_same(status: int) -> None:
    """The status alone says it."""
    assert isinstance(mapped(PLACE, b"<html>", status), RateLimited)


@pytest.mark.parametrize("code", [-2013, "-2013"])
def test_map_error_order_not_found_within_http_200(code: object) -> None:
    """An unknown order is told under HTTP 200; a text or a number, it is an error."""
    error = mapped(STATUS, body(code, "Could not find order information for given order ID."), 200)
    assert type(error) is OrderNotFound


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Account has insufficient balance for requested action.", InsufficientFunds),
        ("No net value for this symbol", InvalidOrder),
        ("something else", OutcomeUnknown),
    ],
)
def test_map_error_2017_within_http_200_is_decided_by_its_text(words: str, kind: type[ExchangeError]) -> None:
    """The same code means a missing net value in spot and missing money in futures."""
    assert type(mapped(PLACE, body(-2017, words), 200)) is kind


@pytest.mark.parametrize(
    ("code", "words", "kind", "cause"),
    [
        (
            -2010,
            "Account has insufficient balance for requested action.",
            InsufficientFunds,
            "the balance is too small",
        ),
        (-2010, "Rest API trading is not enabled.", AuthFailed, "trading by API is switched off for this account"),
        (-2010, "Market is closed.", InvalidOrder, "the market is closed"),
        (-1013, "Market is closed.", InvalidOrder, "the market is closed"),
        (-2010, "Order would trigger immediately.", InvalidOrder, "the order would trade or trigger at once"),
        (-2010, "Order would immediately match and take.", InvalidOrder, "the order would trade or trigger at once"),
        (-2010, "Filter failure: MAX_POSITION", InvalidOrder, "Bitrue's limit for this coin is reached"),
        (-1013, "Filter failure: LOT_SIZE", InvalidOrder, "the price or amount breaks a rule of the market"),
        (-1013, "Price * QTY is zero or less.", InvalidOrder, "the price or amount breaks a rule of the market"),
        (-1111, "quantity less then minQty.", InvalidOrder, "the amount is below the market's minimum"),
        (-1102, "timestamp IllegalArgumentException.", ClockSkew, "the request's time was too far"),
        (-1102, "symbol is missing", InvalidOrder, 'a part of the request is missing or wrong: "symbol is missing"'),
        (-2010, "A new reason", InvalidOrder, 'Bitrue refused the order: "A new reason"'),
    ],
)
def test_map_error_words_say_more_than_the_code(code: int, words: str, kind: type[ExchangeError], cause: str) -> None:
    """Known words decide; unknown ones are shown."""
    error = mapped(PLACE, body(code, words), 406)
    assert type(error) is kind
    assert error.message.startswith(cause)


@pytest.mark.parametrize("words", ["Duplicate order sent.", "clientOrderId already exists"])
@pytest.mark.parametrize("code", [-2010, -1013, -1102, -1111])
def test_map_error_repeated_client_id_is_unknown(code: int, words: str) -> None:
    """Our id is used once, so the order that has it is the one in question: it exists."""
    assert type(mapped(PLACE, body(code, words), 406)) is OutcomeUnknown


def test_map_error_1022_doubts_the_clock_and_the_key() -> None:
    """Signature, time and rights share a code: the clock is measured again and the person hears of all three."""
    error = mapped(BALANCES, body(-1022, "Signature for this request is not valid."), 401)
    assert isinstance(error, AuthFailed)
    assert isinstance(error, ClockSkew)
    assert error.message == "Bitrue refused the signature, the time or the rights of the key; it does not tell which"
    assert "Read and Trade" in error.remedy
    assert "IP address" in error.remedy


@pytest.mark.parametrize(("code", "status"), [(-2010, 406), (-2013, 200)])
def test_map_error_cancel_of_a_finished_order(code: int, status: int) -> None:
    """The document gives two codes for it."""
    assert type(mapped(CANCEL, body(code, "Unknown order sent."), status)) is OrderNotFound


def test_map_error_placing_that_finds_no_order_is_unknown() -> None:
    """That answer to a placing is not documented, so it proves nothing."""
    assert type(mapped(PLACE, body(-2013), 200)) is OutcomeUnknown


@pytest.mark.parametrize(
    "words",
    [
        "You are not authorized to execute this request.",
        "You don't have permission.",
        "User has no operation privilege",
        "API key does not exist",
        "Too many requests. Please try again later.",
        "Insufficient account balance",
        "System is under maintenance.",
    ],
)
def test_map_error_words_without_a_code_prove_nothing(words: str) -> None:
    """They are put into plain words, and no order is taken for refused on their account."""
    error = mapped(PLACE, {"msg": words, "success": False}, 403)
    assert type(error) is OutcomeUnknown
    assert "not documented" not in error.message


@pytest.mark.parametrize("content", [{}, [], {"code": 200, "data": {}}, {"code": "200"}, {"code": 0}, {"orderId": 1}])
def test_map_error_success(content: Any) -> None:
    """No code, 200 or 0, as number or text."""
    assert map_error(STATUS, reply(content)) is None


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"7", {"success": False}, {"code": True}, {"code": {}}, {"code": "x"}, {"code": -9999}]
)
def test_map_error_http_200_that_is_no_success(content: Any) -> None:
    """What cannot be read, or tells a failure nobody knows, is unknown."""
    assert type(mapped(PLACE, content, 200)) is OutcomeUnknown


def test_map_error_code_that_equals_a_status_is_none_of_ours() -> None:
    """Only real statuses limit; a body's code 429 is not documented."""
    assert type(mapped(PLACE, body(429), 400)) is OutcomeUnknown


CODES = st.one_of(st.sampled_from([*REFUSALS, *UNPROVED, *STATUSES]).map(int), st.integers(), st.text(), st.none())
WORDS = st.one_of(
    st.text(), st.sampled_from(["insufficient balance", "duplicate", "timestamp", "net value"]), st.none()
)
BODIES = st.one_of(
    st.binary(),
    st.fixed_dictionaries({}, optional={"code": CODES, "msg": WORDS, "success": st.booleans()}).map(
        lambda content: json.dumps(content).encode()
    ),
)


@given(status=st.integers(100, 599), content=BODIES, request=st.sampled_from(ROUTES))
def test_map_error_any_reply_is_a_rejection_only_where_listed(status: int, content: bytes, request: Request) -> None:
    """Whatever comes back, a refusal needs a limiting status, or a listed code under HTTP 200 or 4xx."""
    error = map_error(request, reply(content, status))
    try:
        parsed = json.loads(content)
    except ValueError:
        parsed = None
    code = parsed.get("code") if isinstance(parsed, dict) else None
    if isinstance(error, Rejected):
        is_listed = str(code) in {*REFUSALS, "-2017"} and (status == 200 or 400 <= status < 500)
        assert status in (418, 429) or is_listed
    if error is None:
        assert status == 200
        assert isinstance(parsed, (dict, list))
