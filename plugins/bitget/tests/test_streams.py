"""Which sockets are opened for whom, and what their frames mean.

The frames are the samples of Bitget's documentation (read 2025-12); the order of classic accounts is a live one,
published in ccxt #22828.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from tradewire_bitget import exchange_info, private_stream, public_stream, read_frame, sign

from bot import (
    Account,
    Credentials,
    LoggedIn,
    Market,
    OrderChanged,
    PriceSeen,
    Request,
    Secret,
    Stream,
    StreamRefused,
)
from bot.testing.drive import drive

CREDENTIALS = Credentials(
    Secret("bg_testkey0123456789abcdef"), Secret("testSecret0123456789abcdefABCDEF"), Secret("TestPass2024")
)
LOGIN = Request.get("/user/verify", costs={"GET /user/verify": 1})


def market(symbol: str) -> Market:
    return Market(
        symbol=symbol,
        exchange_symbol=symbol,
        base=symbol,
        quote="USDT",
        price_step=Decimal(1),
        quantity_step=Decimal(1),
        quote_step=Decimal(1),
    )


def private(**subscription: Any) -> Stream:
    return Stream(
        login=LOGIN, ping="ping", ping_seconds=25, silent_seconds=70, **{"host": "ws_private", **subscription}
    )


V2 = (
    '{"op":"subscribe","args":[{"instType":"SPOT","channel":"orders","instId":"default"},'
    '{"instType":"SPOT","channel":"fill","instId":"default"},'
    '{"instType":"SPOT","channel":"orders-algo","instId":"default"}]}'
)
V3 = '{"op":"subscribe","args":[{"instType":"UTA","topic":"order"},{"instType":"UTA","topic":"fill"}]}'


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        (Account(1, "main", facts={"mode": "classic"}), private(path="/v2/ws/private", subscribe=(V2,))),
        (Account(1, "main", facts={"mode": "unified"}), private(path="/v3/ws/private", subscribe=(V3,))),
        (
            Account(1, "main", facts={"mode": "classic"}, options={"demo": "1"}),
            private(path="/v2/ws/private", subscribe=(V2,), host="ws_private_demo"),
        ),
    ],
)
def test_private_stream_each_world_has_its_own_socket(account: Account, expected: Stream) -> None:
    """Classic accounts hear of orders, fills and stop orders on v2, unified ones on v3; demo has a host of its own."""
    assert drive(private_stream(account)).result == [expected]


def test_private_stream_login_is_on_the_list_of_paths() -> None:
    """The core signs the login only because its path is declared; the hosts of every stream are declared too."""
    info = exchange_info()
    assert "GET /user/verify" in info.paths
    assert {name: info.hosts[name] for name in ("ws_public", "ws_private", "ws_private_demo")} == {
        "ws_public": "wss://ws.bitget.com",
        "ws_private": "wss://ws.bitget.com",
        "ws_private_demo": "wss://wspap.bitget.com",
    }


def test_public_stream_subscribes_the_ticker_of_each_market() -> None:
    """One socket tells the prices of a few markets."""
    (stream,) = drive(public_stream([market("BTCUSDT"), market("ETHUSDT")])).result
    assert stream == Stream(
        host="ws_public",
        path="/v2/ws/public",
        subscribe=(
            '{"op":"subscribe","args":[{"instType":"SPOT","channel":"ticker","instId":"BTCUSDT"},'
            '{"instType":"SPOT","channel":"ticker","instId":"ETHUSDT"}]}',
        ),
        ping="ping",
        ping_seconds=25,
        silent_seconds=70,
    )


def test_public_stream_many_markets_are_spread_over_sockets() -> None:
    """No socket has 50 channels or more, no subscription more than 4096 bytes, and no market is forgotten."""
    symbols = [f"LONGNAME{number:03}USDT" for number in range(130)]
    streams = drive(public_stream([market(symbol) for symbol in symbols])).result
    subscriptions = [frame for stream in streams for frame in stream.subscribe]
    args = [json.loads(frame)["args"] for frame in subscriptions]
    assert max(map(len, subscriptions)) <= 4096
    assert max(map(len, args)) < 50
    assert [arg["instId"] for each in args for arg in each] == symbols


def test_sign_login_is_a_frame_with_the_time_in_seconds() -> None:
    """The login is signed over seconds, GET and /user/verify; the answer was computed apart from this code."""
    assert sign(LOGIN, CREDENTIALS, 1700000000123).body.decode() == (
        '{"op":"login","args":[{"apiKey":"bg_testkey0123456789abcdef","passphrase":"TestPass2024",'
        '"timestamp":"1700000000","sign":"8nTK6vVwYSj73k1E76naAf/9z4ZtTJNmnGbPtDxHR1k="}]}'
    )


ORDER_V2 = """{"action":"snapshot","arg":{"instType":"SPOT","channel":"orders","instId":"XRPUSDT"},"data":[{
 "instId":"XRPUSDT","orderId":"1186617283289227267","clientOid":"f3f2206b-d41c-4cc8-b067-d0b7a659ee12",
 "size":"10.0000","newSize":"10.0000","notional":"10.000000","orderType":"market","force":"gtc","side":"buy",
 "fillPrice":"0.51769","tradeId":"1186617283557400578","baseVolume":"19.3165","fillTime":"1718637527360",
 "fillFee":"-0.0193165","fillFeeCoin":"XRP","tradeScope":"T","accBaseVolume":"19.3165","priceAvg":"0.51769",
 "status":"partially_filled","cTime":"1718637527296","uTime":"1718637527412",
 "feeDetail":[{"feeCoin":"XRP","fee":"-0.0193165"}],"enterPointSource":"API"}],"ts":1718637527418}"""
TICKER_V2 = """{"action":"snapshot","arg":{"instType":"SPOT","channel":"ticker","instId":"ETHUSDT"},"data":[{
 "instId":"ETHUSDT","lastPr":"2200.10","open24h":"0.00","high24h":"0.00","low24h":"0.00","change24h":"0.00",
 "bidPr":"1792","askPr":"2200.1","bidSz":"0.0084","askSz":"19740.8811","baseVolume":"0.0000","quoteVolume":"0.0000",
 "openUtc":"0.00","changeUtc24h":"0","ts":"1695702438018"}],"ts":1695702438029}"""
PRICE = PriceSeen(
    exchange_symbol="ETHUSDT",
    last=Decimal("2200.10"),
    bid=Decimal(1792),
    ask=Decimal("2200.1"),
    at_ms=1695702438018,
)


def pushed(arg: dict[str, str], *rows: dict[str, Any]) -> str:
    return json.dumps({"action": "snapshot", "arg": arg, "data": rows})


@pytest.mark.parametrize(
    ("frame", "events"),
    [
        pytest.param('{"event":"login","code":"0","msg":""}', [LoggedIn()], id="login"),
        pytest.param('{"event":"login","code":0,"msg":""}', [LoggedIn()], id="login with a number"),
        pytest.param(
            '{"event":"error","code":30005,"msg":"error"}', [StreamRefused("Bitget says 30005: error")], id="error"
        ),
        pytest.param(
            '{"event":"login","code":"30015","msg":"Invalid sign"}',
            [StreamRefused("Bitget says 30015: Invalid sign")],
            id="refused login",
        ),
        pytest.param(
            '{"event":"subscribe","arg":{"instType":"SPOT","channel":"orders","instId":"default"}}', [], id="subscribed"
        ),
        pytest.param(TICKER_V2, [PRICE], id="v2 ticker"),
        pytest.param(TICKER_V2.encode(), [PRICE], id="bytes"),
        pytest.param(
            ORDER_V2,
            [
                OrderChanged(
                    exchange_order_id="1186617283289227267",
                    client_order_id="f3f2206b-d41c-4cc8-b067-d0b7a659ee12",
                )
            ],
            id="v2 order",
        ),
        pytest.param(
            pushed({"instType": "SPOT", "channel": "fill", "instId": "default"}, {"orderId": "11", "tradeId": "12"}),
            [OrderChanged(exchange_order_id="11")],
            id="v2 fill",
        ),
        pytest.param(
            pushed(
                {"instType": "SPOT", "channel": "orders-algo", "instId": "default"}, {"orderId": "13", "clientOid": "t"}
            ),
            [OrderChanged(exchange_order_id="13", client_order_id="t")],
            id="v2 stop order",
        ),
        pytest.param(
            pushed(
                {"instType": "UTA", "topic": "order"},
                {"category": "SPOT", "orderId": "14", "clientOid": "a"},
                {"category": "usdt-futures", "orderId": "15", "clientOid": "b"},
                {"category": "spot", "orderId": "16", "clientOid": None},
            ),
            [OrderChanged(exchange_order_id="14", client_order_id="a"), OrderChanged(exchange_order_id="16")],
            id="v3 orders of all products",
        ),
        pytest.param(
            pushed({"instType": "UTA", "topic": "fill"}, {"category": "spot", "execId": "17", "orderId": "18"}),
            [OrderChanged(exchange_order_id="18")],
            id="v3 fill",
        ),
        pytest.param(
            pushed(
                {"instType": "spot", "topic": "ticker", "symbol": "BTCUSDT"},
                {"lastPrice": "60000", "bid1Price": "", "ask1Price": "60000.1"},
            ),
            [PriceSeen(exchange_symbol="BTCUSDT", last=Decimal(60000), ask=Decimal("60000.1"))],
            id="v3 ticker",
        ),
    ],
)
def test_read_frame_known_frames_become_events(frame: str | bytes, events: list[Any]) -> None:
    """Every documented frame that matters is read, of both worlds."""
    assert list(read_frame(frame)) == events


@pytest.mark.parametrize(
    "frame",
    [
        "pong",
        "",
        b"\xff\xfe",
        "[]",
        "null",
        "{}",
        '{"event":{}}',
        '{"arg":{"channel":"orders"},"data":{}}',
        '{"arg":{"channel":"orders"}}',
        '{"arg":{"channel":"ticker","instId":"BTCUSDT"},"data":[{"lastPr":"soon"}]}',
        '{"arg":{"channel":"account","coin":"default"},"data":[{"coin":"USDT"}]}',
        '{"arg":{"channel":"orders"},"data":[{"status":"live"}]}',
    ],
)
def test_read_frame_unknown_frames_mean_nothing(frame: str | bytes) -> None:
    """What is no JSON, of another shape or of another channel is passed over, and never raises."""
    assert list(read_frame(frame)) == []
