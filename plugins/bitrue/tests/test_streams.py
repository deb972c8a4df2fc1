"""The sockets that are asked for, and what their frames mean."""

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradewire_bitrue import private_stream, public_stream, read_frame

from bot import Answer, Market, OrderChanged, OutcomeUnknown, PriceSeen, Request, Stream, StreamRefused
from bot.testing.drive import drive, load_reply, reply

TESTDATA = Path(__file__).parent / "testdata"
CREATE = Request(method="POST", path="/poseidon/api/v1/listenKey", host="user", auth="key", costs={"general": 1})


def text(name: str) -> str:
    return (TESTDATA / name).read_text()


def zipped(content: Any) -> bytes:
    return gzip.compress(json.dumps(content).encode())


def test_public_stream_subscribes_in_lower_case(ltc: Market) -> None:
    """One socket for all; names of pairs are in lower case there."""
    found = drive(public_stream([ltc])).result
    frame = '{"event":"sub","params":{"cb_id":"ltcbtc","channel":"market_ltcbtc_simple_depth_step0"}}'
    assert found == [Stream(host="ws", path="/market/ws", subscribe=(frame,))]


def test_public_stream_without_markets_opens_nothing() -> None:
    """Nothing to hear, no socket."""
    assert drive(public_stream([])).result == []


def test_private_stream_asks_for_a_key_and_keeps_it_alive() -> None:
    """The key is in the address; it is renewed well within its hour, and silence is no fault."""
    driven = drive(private_stream(), load_reply(TESTDATA / "post_listen_key.json"))
    keep = Request(
        method="PUT", path="/poseidon/api/v1/listenKey/ac3a0b1c2d3e4f", host="user", auth="key", costs={"general": 1}
    )
    assert driven.requests == [CREATE]
    assert driven.result == [
        Stream(
            host="user ws",
            path="/stream?listenKey=ac3a0b1c2d3e4f",
            subscribe=('{"event":"sub","params":{"channel":"user_order_update"}}',),
            ping='{"event":"pong","ts":"TIMESTAMP"}',
            ping_seconds=300,
            renew=keep,
            renew_seconds=1800,
            silent_seconds=3600,
        )
    ]


@pytest.mark.parametrize("key", ["", "../../order", "a b", "a?b"])
def test_private_stream_key_that_would_change_the_path_is_refused(key: str) -> None:
    """A listen key becomes a part of an address, so it must look like one."""
    with pytest.raises(OutcomeUnknown, match="listen key"):
        drive(private_stream(), reply({"code": 200, "data": {"listenKey": key}}))


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        ({"ping": "1663815268584"}, '{"pong":"1663815268584"}'),
        ({"ping": 1663815268584}, '{"pong":1663815268584}'),
        ({"event": "ping", "ts": 1663815268584}, '{"event":"pong","ts":"1663815268584"}'),
        ({"event": "ping", "ts": "1663815268584"}, '{"event":"pong","ts":"1663815268584"}'),
    ],
)
def test_read_frame_ping_is_answered_in_kind(frame: Any, answer: str) -> None:
    """Each socket has its own heartbeat; zipped or not, the answer is text with the same number."""
    assert read_frame(zipped(frame)) == read_frame(json.dumps(frame)) == [Answer(answer)]


def test_read_frame_book_tells_the_best_prices() -> None:
    """Buyers are called `buys` there, and the frame is gzip."""
    frame = gzip.compress(text("push_depth.json").encode())
    expected = PriceSeen(
        exchange_symbol="BTCUSDT", bid=Decimal("18619.40"), ask=Decimal("18620.32"), at_ms=1663815268584
    )
    assert read_frame(frame) == [expected]


def test_read_frame_book_with_an_empty_side() -> None:
    """What is not there is not told."""
    tick = {"buys": [], "asks": [["1", "2"]]}
    frame = {"ts": 5, "channel": "market_btcusdt_simple_depth_step0", "tick": tick}
    assert read_frame(zipped(frame)) == [PriceSeen(exchange_symbol="BTCUSDT", bid=None, ask=Decimal("1"), at_ms=5)]


def test_read_frame_order_takes_the_id_from_text() -> None:
    """`i` has 18 digits and may have lost some on its way; `iStr` has not. `C` is our id."""
    expected = OrderChanged(exchange_order_id="512187109456805888", client_order_id="my-client-id")
    assert read_frame(text("push_order.json")) == [expected]
    assert read_frame(text("push_order.json").replace('"i":512187109456805888', '"i":512187109456805900')) == [expected]


@pytest.mark.parametrize("kind", ["ORDER", "executionReport"])
def test_read_frame_order_with_few_fields(kind: str) -> None:
    """It is sent under one name and documented under another, and our id may be missing."""
    assert read_frame(json.dumps({"e": kind, "i": 512187109456805888})) == [
        OrderChanged(exchange_order_id="512187109456805888", client_order_id="")
    ]


def test_read_frame_subscription_refused() -> None:
    """A refusal names what was refused, in our words."""
    frame = {"channel": "user_order_update", "event_rep": "subed", "status": "error"}
    assert read_frame(json.dumps(frame)) == [StreamRefused("Bitrue refused news of orders")]


@pytest.mark.parametrize(
    "frame",
    [
        text("push_balance.json"),
        '{"channel":"user_order_update","event_rep":"subed","status":"ok","ts":1623381851178}',
        "",
        "nonsense",
        "[]",
        b"\x1f\x8b broken",
        b"\xff",
        "[" * 100_000,
        '{"ts":"x","channel":"market_btcusdt_simple_depth_step0","tick":{"buys":[],"asks":[]}}',
        '{"channel":"market_btcusdt_simple_depth_step0","tick":{"buys":[[]],"asks":[["NaN","1"]]}}',
    ],
)
def test_read_frame_that_says_nothing_is_silent(frame: str | bytes) -> None:
    """Balances, confirmations and rubbish are nothing."""
    assert read_frame(frame) == []


def test_read_frame_zipped_bomb_is_nothing() -> None:
    """A small frame that unpacks to very much is cut off, and nothing is read of it."""
    assert read_frame(gzip.compress(b" " * 50_000_000 + b'{"ping":1}')) == []


@given(st.one_of(st.text(), st.binary(), st.binary().map(gzip.compress)))
def test_read_frame_never_raises(frame: str | bytes) -> None:
    """Whatever comes."""
    read_frame(frame)
