"""Which sockets are opened, and what their frames mean."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradewire_bitopro import exchange_info, private_stream, public_stream, read_frame

from bot import Market, OrderChanged, PriceSeen, Request, Stream, StreamRefused
from bot.testing.drive import drive

D = Decimal
TESTDATA = Path(__file__).parent / "testdata"


def frame(name: str, **changes: Any) -> str:
    return json.dumps({**json.loads((TESTDATA / f"frame_{name}.json").read_text()), **changes})


def market(pair: str) -> Market:
    base, quote = pair.upper().split("_")
    steps: dict[str, Any] = {"price_step": D(1), "quantity_step": D("0.01"), "quote_step": D(1)}
    return Market(symbol=f"{base}/{quote}", exchange_symbol=pair, base=base, quote=quote, **steps)


def test_public_stream_is_one_socket_for_all_pairs_in_capitals() -> None:
    """The address names the pairs, and nothing is asked before."""
    streams = drive(public_stream([market("btc_twd"), market("eth_twd")])).result
    assert streams == [Stream(host="ws", path="/ws/v1/pub/tickers?pairs=BTC_TWD,ETH_TWD")]


def test_public_stream_without_markets_opens_none() -> None:
    """An address without pairs would not be a documented one."""
    assert drive(public_stream([])).result == []


def test_private_stream_logs_in_by_header_to_open_and_to_ended_orders() -> None:
    """An order that ends leaves the first stream and appears in the second, so both are needed."""
    paths = ("/ws/v1/pub/auth/orders", "/ws/v1/pub/auth/orders/histories")
    expected = [Stream(host="ws", path=path, login=Request.get(path, host="ws"), login_as="headers") for path in paths]
    assert drive(private_stream()).result == expected
    assert {f"GET {path}" for path in paths} <= set(exchange_info().paths)


@pytest.mark.parametrize("as_bytes", [False, True])
def test_read_frame_ticker_tells_the_last_price(as_bytes: bool) -> None:
    """The pair is told in capitals and kept as REST spells it; the time is the frame's own in milliseconds."""
    text = frame("ticker", lastPriceUSD="39000")
    expected = [PriceSeen(exchange_symbol="btc_twd", last=D(1182449), at_ms=1136185445000)]
    assert read_frame(text.encode() if as_bytes else text) == expected


def test_read_frame_ticker_without_pair_is_ignored() -> None:
    """Such frames have been seen and can be assigned to nothing."""
    text = json.loads(frame("ticker"))
    del text["pair"]
    assert read_frame(json.dumps(text)) == []


@pytest.mark.parametrize("event", ["ACTIVE_ORDERS", "RECENT_HISTORY_ORDERS"])
def test_read_frame_orders_wake_by_both_ids(event: str) -> None:
    """Sockets spell our id `clientID`, where REST says `clientId`."""
    expected = [OrderChanged(exchange_order_id="8917255503", client_order_id="123")]
    assert read_frame(frame("active_orders", event=event)) == expected


def test_read_frame_orders_of_several_pairs_and_without_our_id() -> None:
    """All pairs come in one frame; orders placed by hand have no id of ours."""
    data = {"btc_twd": [{"id": 1, "clientID": 0}], "eth_twd": [{"id": "SL-2"}], "sol_twd": []}
    assert read_frame(frame("active_orders", data=data)) == [
        OrderChanged(exchange_order_id="1"),
        OrderChanged(exchange_order_id="SL-2"),
    ]


@pytest.mark.parametrize("name", ["account_balance", "user_trade"])
def test_read_frame_of_another_stream_tells_nothing(name: str) -> None:
    """Balances are asked for, and fills too, whose fee is scaled here in a way that is not documented."""
    assert read_frame(frame(name)) == []


def test_read_frame_error_is_a_refusal() -> None:
    """A frame in the form of a REST error ends the socket."""
    assert read_frame('{"error":"Invalid Signature"}') == [StreamRefused("Invalid Signature")]


@pytest.mark.parametrize(
    "data",
    [
        "",
        "pong",
        b"\xff\xfe",
        "[" * 100_000,
        '{"event":"TICKER","pair":"BTC_TWD","lastPrice":"NaN"}',
        '{"event":"TICKER","pair":1,"lastPrice":"1"}',
        '{"event":"ACTIVE_ORDERS","data":[]}',
        '{"event":"ACTIVE_ORDERS"}',
        '{"event":7}',
        "\ud800",
    ],
)
def test_read_frame_unreadable_tells_nothing(data: str | bytes) -> None:
    """What cannot be read is skipped, and never raises."""
    assert read_frame(data) == []


@given(st.one_of(st.binary(), st.text(), st.text().map(lambda text: json.dumps({"event": "TICKER", "pair": text}))))
def test_read_frame_never_raises(data: str | bytes) -> None:
    """An exchange adds kinds of frames without notice."""
    read_frame(data)
