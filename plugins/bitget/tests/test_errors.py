"""What Bitget's codes become."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradewire_bitget import exchange_info, map_error
from tradewire_bitget.errors import ERRORS

from bot import (
    AuthFailed,
    ClockSkew,
    ExchangeError,
    InsufficientFunds,
    InvalidOrder,
    MaintenanceError,
    OrderNotFound,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    WrongAccountMode,
)
from bot.testing.drive import load_reply, reply

TESTDATA = Path(__file__).parent / "testdata"

EXPECTED: dict[type[ExchangeError], str] = {
    AuthFailed: """
        40001 40002 40003 40011 40006 40037 40041 40009 40012 40036 40014 40025 40040 25620 40301 40018 40038 49003
        22010 40099 40016 40035 40101 40111 40027 40100 40000 40103 40104 40013 40021 40022 40023 40024 40026 40031
        40710 40752 40760 50012 50019 50023 50064 70227 45107 40199""",
    ClockSkew: "40005 40008 40004 40911 40078",
    WrongAccountMode: "40084 25245 40085 40731",
    InsufficientFunds: "43012 40754 45002 50020 43132 25202 25203 40762 45120",
    InvalidOrder: """
        45110 43010 43027 43042 45114 22034
        43006 43037 45111 25207 25611 13008
        43007 43038 43041 45112 45113 25208
        40808 41103 41101 25610 01002 43125
        43028 45035 45115 25244 22038
        40706 43008 43009 43039 43040 40815 40816 40748 41117 25205 25206 22006 22007 22008 22009
        43011 40017 400172 40019 40020 40034 40053 40064 40402 40409 40724 40811 40812 40813 40913 40924 41002 41100
        43111 43123 00171 00172 25200 40007 40404 40079 40304 40305
        00001 40408 40704 40705 40707 20001 42072 43130
        40102 42016 50024 25100 22004 25013
        41113 43119 43120 50025 50026 50028 25101 25104
        41114 43115 45043 50027 50030 25102 25103 25106
        40081 40105 40110 22030
        43034 43035
        40723 40761 43005 43128 45118 50048 70223 25211 43071
        43002 43003 45023 70229
        12002 12003 43122 70221 70222 70224 70225 25213 25214 25215 25216""",
    OrderNotFound: """
        43001 40109 40768 40819 45057 25204 22001 43004 24056 43025
        45031 45055 45056 50062 43026""",
    RateLimited: "429 25004 70228 1001 22035 45129",
    MaintenanceError: "40200",
    OutcomeUnknown: """
        40010 40910 25001
        40015 40725 45001 43059 40908 25000 25003 49040 50031 80002
        45024
        43118 45034 50060 25212 40786""",
}
TIMED_OUT, TROUBLE, *_ = (line.split() for line in EXPECTED[OutcomeUnknown].strip().splitlines())
TRANSIENT = {*TIMED_OUT, *TROUBLE}


def test_table_covers_every_documented_code_and_no_other() -> None:
    """The table has exactly the documented codes, each in its class."""
    expected = {code: kind for kind, codes in EXPECTED.items() for code in codes.split()}
    assert {code: row.kind for code, row in ERRORS.items()} == expected


def test_table_lists_no_code_twice() -> None:
    """A code in two groups would silently take the later one's words."""
    from tradewire_bitget.errors import _GROUPS

    codes = [code for group in _GROUPS for code in group[0].split()]
    assert sorted(codes) == sorted(set(codes))


def test_table_tells_a_cause_for_every_code() -> None:
    """Every row explains itself in words, without a full stop."""
    assert [code for code, row in ERRORS.items() if not row.cause or row.cause.endswith(".")] == []


def test_exchange_info_publishes_the_table() -> None:
    """The documentation and `/why` read the same table."""
    assert exchange_info().errors == ERRORS


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("code", sorted(ERRORS))
def test_map_error_table_code_becomes_its_class_whatever_the_status(code: str, status: int) -> None:
    """Bitget refuses with HTTP 400 and with HTTP 200; the code alone counts."""
    error = map_error(reply({"code": code, "msg": "their words", "data": None}, status))
    assert error is not None
    row = ERRORS[code]
    assert (type(error), error.message, error.remedy, error.code, error.status, error.detail, error.transient) == (
        row.kind,
        row.cause,
        row.remedy,
        code,
        status,
        "their words",
        code in TRANSIENT,
    )


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("error_signature", AuthFailed),
        ("error_unified_account", WrongAccountMode),
        ("error_environment", AuthFailed),
        ("error_decimals", InvalidOrder),
        ("error_balance", InsufficientFunds),
        ("error_minimum", InvalidOrder),
    ],
)
def test_map_error_recorded_refusal_is_read_in_spite_of_http_400(file: str, kind: type[ExchangeError]) -> None:
    """The body of a refused request tells the cause; the status does not."""
    recorded = load_reply(TESTDATA / f"{file}.json", 400)
    error = map_error(recorded)
    assert (type(error), getattr(error, "detail", None)) == (kind, recorded.json()["msg"])


def test_map_error_success_is_no_error() -> None:
    """Success is the text `00000`."""
    assert map_error(load_reply(TESTDATA / "post_v2_place_order.json")) is None


@pytest.mark.parametrize(
    ("content", "status", "kind", "transient"),
    [
        (b"", 200, OutcomeUnknown, False),
        (b"<html>Bad gateway</html>", 502, OutcomeUnknown, True),
        (b"<html>Not found</html>", 404, OutcomeUnknown, False),
        (b"", 401, OutcomeUnknown, False),
        (b"", 403, OutcomeUnknown, False),
        (b"", 405, OutcomeUnknown, False),
        (b"", 415, OutcomeUnknown, False),
        (b"slow down", 429, RateLimited, False),
        ({"message": "failure to get a peer from the ring-balancer"}, 503, OutcomeUnknown, True),
        ({"data": {}}, 200, OutcomeUnknown, False),
        ({"code": 0, "data": {}}, 200, OutcomeUnknown, False),
        ({"code": 40009, "msg": "a number is no code"}, 400, OutcomeUnknown, False),
        ({"code": "99999", "msg": "new"}, 400, OutcomeUnknown, False),
        ({"code": "99999", "msg": "new"}, 500, OutcomeUnknown, True),
        ({"code": "99999", "msg": "new"}, 429, RateLimited, False),
        ([1, 2], 200, OutcomeUnknown, False),
        ("00000", 200, OutcomeUnknown, False),
    ],
)
def test_map_error_reply_without_known_code_proves_nothing_but_429(
    content: object, status: int, kind: type[ExchangeError], transient: bool
) -> None:
    """Only a documented code or HTTP 429 proves that a request was not executed."""
    error = map_error(reply(content, status))
    assert error is not None
    assert (type(error), error.transient, error.status) == (kind, transient, status)


def test_map_error_message_field_is_read_where_msg_is_missing() -> None:
    """A few replies spell `msg` as `message`."""
    error = map_error(reply({"code": "43012", "message": "Insufficient balance"}, 400))
    assert error is not None
    assert error.detail == "Insufficient balance"


def test_map_error_chinese_text_changes_nothing() -> None:
    """The class follows the code, never the text."""
    error = map_error(reply({"code": "43012", "msg": "余额不足"}, 400))
    assert (type(error), getattr(error, "detail", "")) == (InsufficientFunds, "余额不足")


CODES = st.one_of(st.sampled_from(sorted(ERRORS)), st.text("0123456789", max_size=6), st.integers(), st.none())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=4
)
BODIES = st.one_of(
    st.binary(max_size=60),
    VALUES.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries({"code": CODES | VALUES}, optional={"msg": VALUES, "data": VALUES}).map(
        lambda value: json.dumps(value).encode()
    ),
)


@given(status=st.integers(100, 599), body=BODIES)
def test_map_error_any_reply_is_a_rejection_only_by_a_known_code_or_429(status: int, body: bytes) -> None:
    """Whatever comes back, it never counts as refused unless the table or HTTP 429 says so."""
    error = map_error(reply(body, status))
    try:
        found = json.loads(body)["code"]
    except (ValueError, KeyError, TypeError):
        found = None
    if found == "00000":
        assert error is None
        return
    assert error is not None
    if isinstance(error, Rejected):
        assert status == 429 or (isinstance(found, str) and issubclass(ERRORS[found].kind, Rejected))
