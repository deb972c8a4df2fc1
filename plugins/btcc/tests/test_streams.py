"""BTCC's socket: what is asked for and what its frames mean."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradewire_btcc import private_stream, public_stream, read_frame

from bot import Account, Answer, LoggedIn, Market, OrderChanged, PriceSeen, Request, Stream, StreamRefused
from bot.testing.drive import drive

D = Decimal
TESTDATA = Path(__file__).parent / "testdata"
PING = '{"id":5,"method":"server.ping","params":[]}'
BTC = Market(
    symbol="BTC/USDT",
    exchange_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    price_step=D("0.01"),
    quantity_step=D("0.00001"),
    quote_step=D("0.00001"),
)


def test_public_stream_asks_for_each_market_on_its_own_socket() -> None:
    """The book's frames tell last, bid and ask; nothing says that one socket takes several books."""
    assert drive(public_stream([BTC])).result == [
        Stream(
            host="ws",
            path="/ws",
            subscribe=('{"id":4,"method":"depth.subscribe","params":["BTCUSDT",5,"0"]}',),
            ping=PING,
            ping_seconds=30,
        )
    ]


def test_private_stream_logs_in_and_asks_for_all_orders() -> None:
    """The login is a request that `sign` completes; an empty list asks for the orders of every market."""
    login = {"id": 1, "method": "server.accessid_auth", "params": []}
    assert drive(private_stream(Account(1, "main"))).result == [
        Stream(
            host="ws",
            path="/ws",
            login=Request.post("/ws", login, host="ws"),
            subscribe=('{"id":2,"method":"order.subscribe","params":[]}',),
            ping=PING,
            ping_seconds=30,
        )
    ]


@pytest.mark.parametrize("result", ["success", {"status": "success"}])
@pytest.mark.parametrize("error", [None, {"code": 0, "message": ""}])
def test_read_frame_login_success_in_either_shape(result: object, error: object) -> None:
    """Two shapes of success are known."""
    assert read_frame(json.dumps({"error": error, "id": 1, "result": result})) == [LoggedIn()]


def test_read_frame_login_refused_never_repeats_what_was_sent() -> None:
    """The refusal is told in our words: the hash of the secret must not come back through an error text."""
    frame = {"error": {"code": 1, "message": "auth failed 5f760611813a"}, "id": 1, "result": None}
    assert read_frame(json.dumps(frame)) == [StreamRefused("BTCC refused the login: auth failed (code 1)")]


def test_read_frame_login_without_success_is_refused() -> None:
    """Silence about the login is no login."""
    assert read_frame('{"error":null,"id":1,"result":null}') == [
        StreamRefused("BTCC did not say that it took the login")
    ]


def test_read_frame_unknown_order_method_is_asked_by_its_other_name() -> None:
    """The document and programs name the subscription differently; each is tried once."""
    unknown = {"error": {"code": 4, "message": "unknown command"}, "id": 2, "result": None}
    assert read_frame(json.dumps(unknown)) == [Answer('{"id":3,"method":"orders.subscribe","params":[]}')]
    [refused] = read_frame(json.dumps({**unknown, "id": 3}))
    assert isinstance(refused, StreamRefused)


@pytest.mark.parametrize(("id_", "words"), [(2, "news of orders: BTCC does not accept"), (4, "prices: BTCC does not")])
def test_read_frame_refused_subscription_is_told(id_: int, words: str) -> None:
    """Code 6 is "require auth"."""
    [refused] = read_frame(json.dumps({"error": {"code": 6, "message": "require auth"}, "id": id_, "result": None}))
    assert isinstance(refused, StreamRefused)
    assert words in refused.message


def test_read_frame_order_update_with_and_without_event() -> None:
    """The document shows `[order]`, programs see `[event, order]`; the ids are the same."""
    text = (TESTDATA / "push_order_update.json").read_text()
    order = json.loads(text)["params"][0]
    expected = [OrderChanged(exchange_order_id="6297762817", client_order_id="btcusdt_market_1")]
    assert read_frame(text) == expected
    assert read_frame(json.dumps({"id": None, "method": "order.update", "params": [3, order]})) == expected
    named = {"id": None, "method": "orders.update", "params": [1, {**order, "client_id": "t1"}]}
    assert read_frame(json.dumps(named)) == [OrderChanged(exchange_order_id="6297762817", client_order_id="t1")]


def test_read_frame_changed_depth_tells_only_the_last_price() -> None:
    """A frame of changes has no best prices: its first level may be one that just went away."""
    assert read_frame((TESTDATA / "push_depth_update.json").read_bytes()) == [
        PriceSeen(exchange_symbol="BTCUSDT", last=D("60848.00"), at_ms=1724392426713)
    ]


def test_read_frame_full_depth_tells_bid_and_ask() -> None:
    """A full book, of which one side may be empty."""
    book = {"asks": [["60849.27", "0.05"]], "bids": [], "last": "60848", "time": 1724392426713}
    frame = {"id": None, "method": "depth.update", "params": [True, book, "BTCUSDT"]}
    assert read_frame(json.dumps(frame)) == [
        PriceSeen(exchange_symbol="BTCUSDT", last=D(60848), ask=D("60849.27"), at_ms=1724392426713)
    ]


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "pong",
        b"\xff\xfe",
        "[]",
        "7",
        '{"error":null,"id":2,"result":"success"}',
        '{"error":null,"id":5,"result":"success"}',
        '{"error":{"code":6},"id":5,"result":null}',
        '{"error":null,"id":99,"result":"success"}',
        '{"error":null,"id":true,"result":"success"}',
        '{"id":null,"method":"order.update","params":[]}',
        '{"id":null,"method":"order.update","params":[1]}',
        '{"id":null,"method":"order.update","params":[{"id":"x"}]}',
        '{"id":null,"method":"depth.update","params":[true,{"asks":[["NaN","1"]],"bids":[]},"BTCUSDT"]}',
        '{"id":null,"method":"news.update","params":[1]}',
        "[" * 5000,
        '{"id":' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
)
def test_read_frame_of_no_interest_is_nothing(frame: str | bytes) -> None:
    """Heartbeats, confirmations and frames of unknown kind mean nothing, and never raise."""
    assert read_frame(frame) == []


def test_read_frame_asset_update_is_nothing() -> None:
    """Balances are read over REST."""
    assert read_frame((TESTDATA / "push_asset_update.json").read_text()) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FRAMES = st.fixed_dictionaries(
    {"method": st.sampled_from(["order.update", "depth.update", None]) | JSON},
    optional={"id": st.sampled_from([1, 2, 3, 4, 5]) | JSON, "params": JSON, "error": JSON, "result": JSON},
)


@given(st.binary() | st.text() | JSON.map(json.dumps) | FRAMES.map(json.dumps))
def test_read_frame_never_raises(frame: str | bytes) -> None:
    """Whatever an exchange sends, the socket lives."""
    assert isinstance(read_frame(frame), list)
