"""What BTCC's refusals become."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradewire_btcc import exchange_info, map_error
from tradewire_btcc.errors import ERRORS, TRANSIENT

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
    Response,
)
from bot.testing.drive import load_reply, reply

TESTDATA = Path(__file__).parent / "testdata"
API = "/btcc_api_trade/"
LIMIT = Request.post(f"{API}order/limit", {}, places=True)
MARKET = Request.post(f"{API}order/market", {}, places=True)
CANCEL = Request.post(f"{API}order/cancel", {})
BALANCES = Request.get(f"{API}asset/query")
DETAIL = Request.get(f"{API}order/pending_detail")

# Signature and clock share a code, so its kind is both.
EXPECTED: dict[str, type[ExchangeError]] = {
    "201": OutcomeUnknown,
    "202": InvalidOrder,
    "203": OutcomeUnknown,
    "204": AuthFailed,
    "205": AuthFailed,
    "206": InvalidOrder,
    "207": InvalidOrder,
    "429": RateLimited,
    "1": InvalidOrder,
    "2": OutcomeUnknown,
    "3": OutcomeUnknown,
    "4": InvalidOrder,
    "5": OutcomeUnknown,
    "6": AuthFailed,
    "10": OutcomeUnknown,
    "11": OutcomeUnknown,
    "12": OutcomeUnknown,
    "api-signature-not-valid": AuthFailed,
}


def e1(code: object, text: object = "their words") -> Any:
    return {"code": code, "data": None, "message": text}


def e2(code: object, text: object = "their words") -> Any:
    return {"error": {"code": code, "message": text}, "result": None, "id": 0}


def mapped(request: Request, content: Any, status: int = 200) -> ExchangeError:
    error = map_error(request, reply(content, status))
    assert error is not None
    return error


def test_table_has_every_documented_code_and_no_other() -> None:
    """Each code is in the table, in its class; what is doubtful is no refusal."""
    assert ERRORS.keys() == EXPECTED.keys()
    assert [code for code, row in ERRORS.items() if not issubclass(row.kind, EXPECTED[code])] == []


def test_table_tells_cause_and_remedy_for_every_code() -> None:
    """Every row explains itself in words and says what to do."""
    assert [code for code, row in ERRORS.items() if not row.cause or row.cause.endswith(".") or not row.remedy] == []


def test_exchange_info_publishes_the_table() -> None:
    """The documentation and `/why` read the same table."""
    assert exchange_info().errors == ERRORS


@pytest.mark.parametrize("envelope", [e1, e2])
@pytest.mark.parametrize("code", sorted(code for code in EXPECTED if code.isdecimal()))
def test_map_error_code_becomes_its_class_in_either_envelope(envelope: Any, code: str) -> None:
    """No document tells which envelope carries which codes, so both are read everywhere."""
    error = mapped(LIMIT, envelope(int(code)))
    row = ERRORS[code]
    assert (type(error), error.code, error.remedy, error.detail, error.transient) == (
        row.kind,
        code,
        row.remedy,
        "their words",
        code in TRANSIENT,
    )
    assert error.message.startswith(row.cause)


@pytest.mark.parametrize(
    ("request_", "code", "text", "kind"),
    [
        (LIMIT, 10, "balance not enough", InsufficientFunds),
        (MARKET, 10, "Balance not enough", InsufficientFunds),
        (CANCEL, 10, "order not found", OrderNotFound),
        (DETAIL, 10, "order not found", OrderNotFound),
        (LIMIT, 10, "order not found", OutcomeUnknown),
        (CANCEL, 10, "balance not enough", OutcomeUnknown),
        (LIMIT, 10, "余额不足", OutcomeUnknown),
        (LIMIT, 11, "amount too small", InvalidOrder),
        (CANCEL, 11, "user not match", OrderNotFound),
        (MARKET, 12, "no enough trader", InvalidOrder),
        (LIMIT, 12, "no enough trader", OutcomeUnknown),
        (LIMIT, 201, "user balance not enough", InsufficientFunds),
        (LIMIT, 201, "insufficient balance", InsufficientFunds),
        (LIMIT, 201, "amount too small", InvalidOrder),
        (LIMIT, 201, "less than min_amount", InvalidOrder),
        (CANCEL, 201, "order not found", OrderNotFound),
        (LIMIT, 201, "order not found", OutcomeUnknown),
        (LIMIT, 201, "sign error", AuthFailed),
        (LIMIT, 201, "no permission", AuthFailed),
        (LIMIT, 201, "ip not allowed", AuthFailed),
        (LIMIT, 201, "too many requests", RateLimited),
        (LIMIT, 201, "market closed", InvalidOrder),
        (LIMIT, 201, "put limit order timeout", OutcomeUnknown),
        (LIMIT, 201, "balance not enough: service timed out", OutcomeUnknown),
        (LIMIT, 201, "assigned administrator tip", OutcomeUnknown),
        (LIMIT, 206, "request too frequent", RateLimited),
        (LIMIT, 206, "too many orders", InvalidOrder),
        (LIMIT, 5, "balance not enough", OutcomeUnknown),
        (LIMIT, 2, "amount too small", OutcomeUnknown),
        (LIMIT, 1, "invalid argument", InvalidOrder),
        (LIMIT, 1, "auth failed", AuthFailed),
    ],
)
def test_map_error_shared_code_needs_path_and_words(
    request_: Request, code: int, text: str, kind: type[ExchangeError]
) -> None:
    """One number means different things by path; without the known words nothing is held to be refused."""
    error = mapped(request_, e2(code, text))
    assert isinstance(error, kind), error
    assert isinstance(error, Rejected) == issubclass(kind, Rejected)


def test_map_error_signature_doubts_key_and_clock() -> None:
    """One code stands for a wrong secret and for a wrong time: a connect must refuse, a read must measure and retry."""
    error = mapped(BALANCES, e2(204))
    assert (isinstance(error, AuthFailed), isinstance(error, ClockSkew)) == (True, True)


@pytest.mark.parametrize("code", [205, 6])
def test_map_error_refused_key_names_the_futures_trap(code: int) -> None:
    """A key made for futures fails on spot; the text says so."""
    assert "made for Futures instead of Spot" in mapped(BALANCES, e2(code)).remedy


def test_map_error_blocked_address_tells_until_when() -> None:
    """The recorded answer to too many requests names the second from which to ask again."""
    error = map_error(BALANCES, load_reply(TESTDATA / "error_blocked.json", 429))
    assert isinstance(error, RateLimited)
    assert (error.until_ms, error.detail) == (1724911030000, "Too many requests, you are blocked.")


@pytest.mark.parametrize(
    "body",
    [b"", b"slow down", b'{"block_until":"soon","error":"x"}', b'{"block_until":true}', b'{"block_until":-5}', b"[]"],
)
def test_map_error_blocked_without_readable_time_is_still_a_pause(body: bytes) -> None:
    """HTTP 429 alone is documented as refused before execution."""
    error = map_error(LIMIT, Response(429, {}, body))
    assert isinstance(error, RateLimited)
    assert error.until_ms is None


def test_map_error_help_page_shape_is_an_auth_failure() -> None:
    """The sample of the help page is copied from another exchange, and read all the same."""
    error = map_error(BALANCES, load_reply(TESTDATA / "error_help_page.json"))
    assert isinstance(error, AuthFailed)


@pytest.mark.parametrize(
    ("request_", "content", "status", "kind", "transient"),
    [
        (LIMIT, b"", 200, OutcomeUnknown, False),
        (LIMIT, b"", 204, OutcomeUnknown, False),
        (LIMIT, b"", 205, OutcomeUnknown, False),
        (LIMIT, e1(0), 201, OutcomeUnknown, False),
        (LIMIT, {"error": None, "result": {"id": 1}}, 202, OutcomeUnknown, False),
        (LIMIT, {"error": None, "result": {"id": 1}}, 500, OutcomeUnknown, True),
        (LIMIT, b"<html>502</html>", 502, OutcomeUnknown, True),
        (LIMIT, b"<html>404</html>", 404, OutcomeUnknown, False),
        (BALANCES, b"<html>404</html>", 404, InvalidOrder, False),
        (BALANCES, {"message": "no route"}, 404, InvalidOrder, False),
        (LIMIT, b"<html>Denied</html>", 403, OutcomeUnknown, False),
        (LIMIT, {"error": "blocked"}, 200, OutcomeUnknown, False),
        (LIMIT, {"status": "error", "err-code": "order-limit", "err-msg": "x"}, 200, OutcomeUnknown, False),
        (LIMIT, {"status": "error", "err-code": "204"}, 200, OutcomeUnknown, False),
        (LIMIT, {"id": 0}, 200, OutcomeUnknown, False),
        (LIMIT, {"error": []}, 200, OutcomeUnknown, False),
        (LIMIT, e1(code=False), 200, OutcomeUnknown, False),
        (LIMIT, e1("204"), 200, OutcomeUnknown, False),
        (LIMIT, e1("api-signature-not-valid"), 200, OutcomeUnknown, False),
        (LIMIT, e2(None), 200, OutcomeUnknown, False),
        (LIMIT, e2(999), 200, OutcomeUnknown, False),
        (LIMIT, {"code": 0, "error": {"code": 5}}, 200, OutcomeUnknown, True),
        (LIMIT, [1], 200, OutcomeUnknown, False),
    ],
)
def test_map_error_unclear_reply_proves_nothing(
    request_: Request, content: Any, status: int, kind: type[ExchangeError], transient: bool
) -> None:
    """HTTP statuses prove nothing, 201 to 207 least of all; a read of an unknown path executed nothing."""
    error = mapped(request_, content, status)
    assert (type(error), error.transient) == (kind, transient)


@pytest.mark.parametrize(
    "content",
    [e1(0), e2(0), {"error": None, "result": None}, {"error": {"code": 0, "message": ""}, "result": []}, {"result": 1}],
)
def test_map_error_success_is_no_error(content: Any) -> None:
    """A null, and an error object of code 0, are successes."""
    assert map_error(LIMIT, reply(content)) is None


def test_map_error_unknown_words_reach_the_person() -> None:
    """What the table cannot explain is passed on as it came."""
    assert mapped(LIMIT, e1(201, "交易对不存在")).message == 'BTCC refused without a code of its own: "交易对不存在"'
    assert "code 999" in mapped(LIMIT, e2(999, "new")).message


CODES = st.one_of(st.sampled_from(sorted(EXPECTED)).filter(str.isdecimal).map(int), st.integers())
TEXTS = st.one_of(st.text(), st.sampled_from(["balance not enough", "too small", "order not found", "timeout", "sign"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=4
)
BODIES = st.one_of(
    st.binary(max_size=60),
    VALUES.map(lambda value: json.dumps(value).encode()),
    st.builds(e1, CODES | VALUES, TEXTS | VALUES).map(lambda value: json.dumps(value).encode()),
    st.builds(e2, CODES | VALUES, TEXTS | VALUES).map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries({}, optional=dict.fromkeys(["code", "error", "result", "status", "err-code"], VALUES)).map(
        lambda value: json.dumps(value).encode()
    ),
)
SURE = {1, 4, 6, 202, 204, 205, 206, 207, 429}
BY_WORDS = {10, 11, 12, 201}


@given(request_=st.sampled_from([LIMIT, MARKET, CANCEL]), status=st.integers(100, 599), body=BODIES)
def test_map_error_any_reply_is_a_rejection_only_where_listed(request_: Request, status: int, body: bytes) -> None:
    """Whatever comes back, it counts as refused only by a listed code, by words with their code, or by HTTP 429."""
    error = map_error(request_, Response(status, {}, body))
    if error is None:
        assert status == 200
        return
    if isinstance(error, Rejected) and status != 429:
        assert error.code.isdecimal()
        assert int(error.code) in SURE or (int(error.code) in BY_WORDS and error.detail)
