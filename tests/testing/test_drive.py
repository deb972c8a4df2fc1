"""The runner for plugin authors."""

from decimal import Decimal
from pathlib import Path

import pytest

from bot import Flow, InsufficientFunds, OrderNotFound, Request, Response
from bot.testing.drive import Driven, drive, load_reply, reply

FIRST = Request.get("/first")
SECOND = Request.get("/second")


def two_steps() -> Flow[list[int]]:
    first = yield FIRST
    second = yield SECOND
    return [first.json(), second.json()]


def forgiving() -> Flow[str]:
    try:
        yield FIRST
    except OrderNotFound as error:
        return error.message
    return "found"


def no_steps() -> Flow[int]:
    return 7
    yield FIRST


def test_drive_matching_replies_returns_result_and_requests() -> None:
    """Each reply answers one request, in order."""
    assert drive(two_steps(), reply(1), reply(2)) == Driven([1, 2], [FIRST, SECOND])


def test_drive_flow_without_requests_needs_no_reply() -> None:
    """A flow may return at once."""
    assert drive(no_steps()) == Driven(7, [])


def test_drive_exception_reply_is_thrown_into_the_flow() -> None:
    """The flow can catch the error given in place of a reply."""
    assert drive(forgiving(), OrderNotFound("gone")).result == "gone"


def test_drive_exception_not_caught_by_the_flow_passes_through() -> None:
    """What a flow lets pass reaches the test unchanged."""
    error = InsufficientFunds("too little")
    with pytest.raises(InsufficientFunds) as caught:
        drive(forgiving(), error)
    assert caught.value is error


def test_drive_too_few_replies_fails_and_names_the_requests() -> None:
    """A request without a reply is a mistake of the test, told with the requests made so far."""
    with pytest.raises(AssertionError, match=r"too few replies: 1 given.*2 requests \(GET /first, GET /second\)"):
        drive(two_steps(), reply(1))


def test_drive_too_many_replies_fails_and_counts_the_unused() -> None:
    """A reply that nothing asked for is a mistake of the test."""
    with pytest.raises(AssertionError, match=r"too many replies: .*2 requests.*; 2 of 4 unused"):
        drive(two_steps(), reply(1), reply(2), reply(3), reply(4))


def test_drive_no_requests_with_a_reply_fails() -> None:
    """Also a flow that asks nothing must not be given a reply."""
    with pytest.raises(AssertionError, match="1 of 1 unused"):
        drive(no_steps(), reply(1))


def test_reply_json_is_encoded_and_bytes_are_kept() -> None:
    """A reply's body is JSON unless it is given as bytes."""
    assert [reply({"a": "1"}, 400, {"x-left": "3"}), reply(b"<html>", 502)] == [
        Response(400, {"x-left": "3"}, b'{"a": "1"}'),
        Response(502, {}, b"<html>"),
    ]


def test_load_reply_returns_the_bytes_of_the_file(tmp_path: Path) -> None:
    """A recorded body is replayed byte for byte."""
    path = tmp_path / "get_price.json"
    path.write_bytes(b'{"price": 0.10}\n')
    loaded = load_reply(path, 201)
    assert (loaded, loaded.json()) == (Response(201, {}, b'{"price": 0.10}\n'), {"price": Decimal("0.10")})
