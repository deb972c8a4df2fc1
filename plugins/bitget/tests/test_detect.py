"""In which of Bitget's two worlds a key lives."""

from collections.abc import Mapping

import pytest
from tradewire_bitget import detect

from bot import (
    Account,
    AuthFailed,
    ClockSkew,
    ExchangeError,
    Flow,
    MaintenanceError,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Response,
    UserError,
    WrongAccountMode,
)
from bot.testing.drive import drive, reply

ACCOUNT = Account(1, "main")
SETTINGS = "/api/v3/account/settings"
INFO = "/api/v2/spot/account/info"
CLASSIC_INFO = reply({"code": "00000", "msg": "success", "data": {"authorities": ["stow"], "ips": ""}})


def settings(mode: object) -> Response:
    return reply({"code": "00000", "msg": "success", "data": {"uid": "1", "accountMode": mode, "holdMode": "one_way"}})


def outcome(*replies: Response | ExchangeError) -> tuple[Mapping[str, str], list[str]]:
    flow: Flow[Mapping[str, str]] = detect(ACCOUNT)
    driven = drive(flow, *replies)
    return driven.result, [request.path for request in driven.requests]


@pytest.mark.parametrize("mode", ["unified", "hybrid"])
def test_detect_unified_settings_prove_unified(mode: str) -> None:
    """Both modes are served by v3."""
    assert outcome(settings(mode)) == ({"mode": "unified"}, [SETTINGS])


@pytest.mark.parametrize("code", ["40084", "25245"])
def test_detect_classic_refusal_proves_classic(code: str) -> None:
    """v3 refuses a classic account by a code of its own."""
    assert outcome(WrongAccountMode(code=code)) == ({"mode": "classic"}, [SETTINGS])


@pytest.mark.parametrize("mode", ["upgrading", "switching"])
def test_detect_migrating_account_asks_to_retry(mode: str) -> None:
    """While Bitget moves an account, neither world may be assumed."""
    with pytest.raises(UserError, match="Try again in a few minutes") as caught:
        drive(detect(ACCOUNT), settings(mode))
    assert caught.value.code == "ACCOUNT_MIGRATING"


DOUBTS = [
    AuthFailed("no right", code="40014"),
    AuthFailed("no right", code="25620"),
    OutcomeUnknown("HTTP 404", status=404),
    OutcomeUnknown("HTTP 502", status=502, transient=True),
    OutcomeUnknown("no answer"),
    NotSent("no route"),
]


@pytest.mark.parametrize("doubt", [*DOUBTS, settings("brand new"), reply({"code": "00000", "data": None})])
def test_detect_doubtful_settings_are_settled_by_v2(doubt: Response | ExchangeError) -> None:
    """When settings prove nothing, the classic account endpoint proves the one or the other."""
    assert [
        outcome(doubt, CLASSIC_INFO),
        outcome(doubt, WrongAccountMode(code="40085")),
    ] == [({"mode": "classic"}, [SETTINGS, INFO]), ({"mode": "unified"}, [SETTINGS, INFO])]


@pytest.mark.parametrize("doubt", DOUBTS)
@pytest.mark.parametrize(
    "second", [OutcomeUnknown("HTTP 502"), AuthFailed(code="40014"), WrongAccountMode(code="40731")]
)
def test_detect_only_doubts_raise_the_first(doubt: ExchangeError, second: ExchangeError) -> None:
    """What proves nothing leads to no assumption, and the first error is the one to tell."""
    others = [second] if second.code == "40731" else [second, OutcomeUnknown("HTTP 502")]
    with pytest.raises(ExchangeError) as caught:
        drive(detect(ACCOUNT), doubt, *others)
    assert caught.value is doubt


def test_detect_balances_prove_a_classic_account_last() -> None:
    """Where neither settings nor rights can be read, the balances that every key may read tell the world."""
    doubt = OutcomeUnknown("HTTP 502")
    assert outcome(doubt, doubt, CLASSIC_INFO)[0] == {"mode": "classic"}
    assert outcome(doubt, doubt, WrongAccountMode(code="40085"))[0] == {"mode": "unified"}


@pytest.mark.parametrize(
    "error",
    [
        *[AuthFailed(code=code) for code in ("40009", "40012", "40037", "40006", "40018", "40099")],
        ClockSkew(code="40008"),
        RateLimited(code="429"),
        MaintenanceError(code="40200"),
    ],
)
def test_detect_known_refusal_is_raised_and_v2_not_asked(error: ExchangeError) -> None:
    """A bad key is told as a bad key, not hidden behind a guess."""
    with pytest.raises(ExchangeError) as caught:
        drive(detect(ACCOUNT), error)
    assert caught.value is error


def test_detect_demo_account_sends_the_demo_header_in_both_requests() -> None:
    """A demo key without the header would be refused."""
    driven = drive(detect(Account(1, "demo", options={"demo": "1"})), OutcomeUnknown("no answer"), CLASSIC_INFO)
    assert [dict(request.headers) for request in driven.requests] == [{"paptrading": "1"}] * 2
