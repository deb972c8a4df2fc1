"""The strict Bitrue accepts what the document asks for, and refuses the rest in Bitrue's own form."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from bot.testing.bitrue import BitrueSockets, StrictBitrue, signature
from bot.testing.ledger import plain
from bot.testing.sockets import SocketServer
from bot.testing.strict import Received

KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
NOW = 1700667180381
STAMP = f"timestamp={NOW}&recvWindow=5000"
ORDER = "/api/v1/order"

# Of Bitrue's document, and as a client in wide use sends them. Last: time of the exchange, and code of the answer.
VECTORS = [
    (
        "POST",
        f"{ORDER}?symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000"
        "&timestamp=1499827319559",
        "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
        1499827319559,
        -1121,
    ),
    ("GET", f"/api/v1/account?{STAMP}", "de9596d56c275ac80703f3ecf12b2e57656e1e55acf096235a4f01d4482a0acc", NOW, None),
    (
        "POST",
        f"{ORDER}?{STAMP}&side=BUY&type=LIMIT&price=50&symbol=LTCUSDT&quantity=0.2&newClientOrderId=tg-000001",
        "fa47f78a8d987c85d2d44034098b358ecea9bcd16dca042555d049c2d5bc6ec0",
        NOW,
        -1121,
    ),
    (
        "POST",
        f"{ORDER}?{STAMP}&side=SELL&type=MARKET&symbol=LTCUSDT&quantity=0.2",
        "f6fa54f918f256d5ea4b6d6b5f4b48e303dd8f62e46eec488e01092bf0479245",
        NOW,
        -1121,
    ),
    (
        "DELETE",
        f"{ORDER}?{STAMP}&orderId=482075019769610240&symbol=LTCUSDT",
        "ab29c0f91b2da07097265619f2c2717dafb926e0f6b267f86013485eb5b1eead",
        NOW,
        -1121,
    ),
    (
        "GET",
        f"/api/v1/openOrders?{STAMP}&symbol=LTCUSDT",
        "cd7971eb75ca42914e9d5ddb613aadd5f7a814b8b1491240c36039260f5fbbbd",
        NOW,
        -1121,
    ),
]


class Desk:
    """A signed client of one account, straight into the exchange, with a recipe of its own for the signature."""

    def __init__(self) -> None:
        self.now_ms = NOW
        self.exchange = StrictBitrue(clock=lambda: self.now_ms)
        self.account = self.exchange.add_account(KEY, SECRET, balances={"USDT": "10000", "BTC": "1"})

    def raw(self, method: str, target: str, *, key: str = KEY, body: bytes = b"") -> tuple[int, Any]:
        reply = self.exchange.handle(Received(method, target, {"x-mbx-apikey": key}, body))
        return reply.status, json.loads(reply.body)

    def ask(self, method: str, path: str, **fields: Any) -> tuple[int, Any]:
        fields = {"recvWindow": 5000, "timestamp": self.now_ms} | fields
        text = "&".join(f"{name}={value}" for name, value in fields.items())
        digest = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
        return self.raw(method, f"{path}?{text}&signature={digest}")

    def code(self, method: str, path: str, **fields: Any) -> tuple[int, int]:
        status, content = self.ask(method, path, **fields)
        return status, content["code"]

    def limit(self, **changes: Any) -> dict[str, Any]:
        fields = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.01", "price": "50000"}
        return fields | {"newClientOrderId": f"t{len(self.exchange.orders())}"} | changes

    def place(self, **changes: Any) -> str:
        status, content = self.ask("POST", ORDER, **self.limit(**changes))
        assert status == 200, content
        return str(content["orderIdStr"])

    def usdt(self) -> tuple[str, str]:
        return plain(self.account.free["USDT"]), plain(self.account.locked["USDT"])

    def market(self, side: str, quantity: str) -> dict[str, Any]:
        order_id = self.ask("POST", ORDER, symbol="BTCUSDT", side=side, type="MARKET", quantity=quantity)[1]["orderId"]
        found: dict[str, Any] = self.ask("GET", ORDER, symbol="BTCUSDT", orderId=order_id)[1]
        return found


@pytest.fixture
def desk() -> Desk:
    """An account with 10,000 USDT and 1 BTC."""
    return Desk()


# Checks of every request


@pytest.mark.parametrize(("method", "target", "expected", "now_ms", "code"), VECTORS)
def test_known_request_passes_the_signature_and_any_change_does_not(
    desk: Desk, method: str, target: str, expected: str, now_ms: int, code: int | None
) -> None:
    """Published requests get past the signature, to what is wrong with them otherwise; changed ones do not."""
    desk.now_ms = now_ms
    assert signature(SECRET, target.partition("?")[2].encode()) == expected
    assert desk.raw(method, f"{target}&signature={expected}")[1].get("code") == code
    path, _, query = target.partition("?")
    first, _, rest = query.partition("&")
    for changed in (f"{path}?{rest}&{first}&signature={expected}", f"{path}?signature={expected}&{query}"):
        status, content = desk.raw(method, changed)
        assert (status, content["code"]) == (401, -1022)


@pytest.mark.parametrize(
    ("offset", "is_taken"), [(999, True), (1000, False), (0, True), (-5000, True), (-5001, False), (-60_000, False)]
)
def test_time_window(desk: Desk, offset: int, is_taken: bool) -> None:
    """Less than one second ahead, and at most five behind."""
    status, content = desk.ask("GET", "/api/v1/account", timestamp=NOW + offset)
    assert (status, content.get("code")) == ((200, None) if is_taken else (401, -1022))


@pytest.mark.parametrize(("code", "status"), [("-1021", 400), ("-1022", 401), ("-1102", 412)])
def test_time_refused_under_the_code_chosen(desk: Desk, code: Any, status: int) -> None:
    """Three codes have been seen for it."""
    desk.exchange.clock_code = code
    found, content = desk.ask("GET", "/api/v1/account", timestamp=NOW - 60_000)
    assert (found, content["code"], content["data"]) == (status, int(code), None)
    assert "imestamp" in content["msg"] or code == "-1022"


def test_key_unknown_right_missing_or_address_wrong(desk: Desk) -> None:
    """An unknown key has a code of its own; a missing right shares that of the signature."""
    assert desk.raw("GET", f"/api/v1/account?{STAMP}&signature=0", key="other")[0] == 401
    desk.account.rights = {"read"}
    assert desk.code("POST", ORDER, **desk.limit()) == (401, -1022)
    desk.account.rights, desk.account.ips = {"read", "trade"}, ("192.0.2.1",)
    assert desk.code("GET", "/api/v1/account") == (401, -1022)
    desk.exchange.caller_ip = "192.0.2.1"
    assert desk.ask("GET", "/api/v1/account")[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [
        ("GET", "/api/v1/openOrders", {}),
        ("GET", "/api/v1/allOrders", {}),
        ("GET", "/api/v2/myTrades", {}),
        ("GET", "/api/v1/allOrders", {"symbol": "BTCUSDT", "limit": 1001}),
        ("GET", ORDER, {"symbol": "BTCUSDT"}),
        ("GET", "/api/v1/account", {"extra": 1}),
        ("GET", "/api/v1/account", {"recvWindow": 60_001}),
        ("POST", ORDER, {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "1"}),
        ("POST", ORDER, {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1", "price": "1"}),
        ("POST", ORDER, {"symbol": "BTCUSDT", "side": "buy", "type": "MARKET", "quantity": "1"}),
        ("POST", ORDER, {"symbol": "BTCUSDT", "side": "BUY", "type": "STOP_LOSS", "quantity": "1"}),
        ("POST", ORDER, {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1e-3"}),
    ],
)
def test_parameter_missing_or_wrong(desk: Desk, method: str, path: str, fields: dict[str, Any]) -> None:
    """A symbol is mandatory in every list, amounts have no exponent, and nothing superfluous is taken."""
    assert desk.code(method, path, **fields) == (412, -1102)
    assert desk.exchange.orders() == []


def test_unknown_symbol_path_and_method(desk: Desk) -> None:
    """Symbols are in upper case; there is no way to cancel all."""
    assert desk.code("GET", "/api/v1/openOrders", symbol="btcusdt") == (412, -1121)
    assert desk.code("DELETE", "/api/v1/openOrders", symbol="BTCUSDT") == (405, -1020)
    assert desk.exchange.handle(Received("GET", "/api/v1/nowhere")).status == 404
    assert desk.raw("POST", f"{ORDER}?symbol=BTCUSDT", body=b"{}")[1]["code"] == -1102


# Shapes


def test_public_shapes_have_their_traps(desk: Desk) -> None:
    """A ticker in a list, empty lists behind levels, assets in lower case, filters without steps."""
    status, [ticker] = desk.raw("GET", "/api/v1/ticker/24hr?symbol=BTCUSDT")
    assert (status, ticker["lastPrice"], ticker["bidPrice"], ticker["openPrice"]) == (200, "60000", "60000", None)
    book = desk.raw("GET", "/api/v1/depth?symbol=BTCUSDT&limit=5")[1]
    assert book["asks"] == [["60000.1", "1000000", []]]
    info = desk.raw("GET", "/api/v1/exchangeInfo")[1]["symbols"][0]
    assert (info["symbol"], info["baseAsset"], info["status"]) == ("BTCUSDT", "btc", "TRADING")
    assert info["filters"][0]["minVal"] == "10"
    assert desk.raw("GET", "/api/v1/time")[1] == {"serverTime": NOW}


def test_account_lists_all_coins_in_lower_case(desk: Desk) -> None:
    """Most are zero."""
    content = desk.ask("GET", "/api/v1/account")[1]
    assert {row["asset"]: float(row["free"]) for row in content["balances"]} == {
        "btc": 1,
        "ltc": 0,
        "sbr": 0,
        "usdt": 10_000,
    }
    assert (content["canTrade"], content["canWithdraw"]) == (True, True)


# Orders


def test_limit_order_rests_locks_and_leaves_the_client_id_empty(desk: Desk) -> None:
    """Its id is above 2^53, a number when placed and text when read."""
    status, content = desk.ask("POST", ORDER, **desk.limit(newClientOrderId="mine"))
    assert (status, content["orderId"] > 2**53, str(content["orderId"]), content["clientOrderId"]) == (
        200,
        True,
        content["orderIdStr"],
        "",
    )
    assert desk.usdt() == ("9500", "500")
    [row] = desk.ask("GET", "/api/v1/openOrders", symbol="BTCUSDT")[1]
    assert (row["orderId"], row["clientOrderId"], row["status"], row["time"]) == (
        content["orderIdStr"],
        "",
        "NEW",
        NOW,
    )
    desk.exchange.tells_client_ids = True
    assert desk.ask("GET", "/api/v1/openOrders", symbol="BTCUSDT")[1][0]["clientOrderId"] == "mine"


def test_market_buy_takes_its_quantity_in_base(desk: Desk) -> None:
    """0.01 BTC cost about 600 USDT, and the fee."""
    row = desk.market("BUY", "0.01")
    assert (row["status"], Decimal(row["origQty"]), Decimal(row["executedQty"])) == (
        "FILLED",
        Decimal("0.01"),
        Decimal("0.01"),
    )
    assert Decimal(row["cummulativeQuoteQty"]) == Decimal("600.001")
    assert desk.account.free["USDT"] == Decimal("9399.999")
    [trade] = desk.ask("GET", "/api/v2/myTrades", symbol="BTCUSDT")[1]
    assert (trade["commissionAssert"], Decimal(trade["commission"])) == ("btc", Decimal("0.0000098"))
    assert "commissionAsset" not in trade


def test_market_buy_across_levels_takes_exactly_its_quantity(desk: Desk) -> None:
    """Each level at its price; more than the book has ends as canceled."""
    desk.exchange.ledger.set_book("BTCUSDT", [("60000", "1")], [("60001", "0.003"), ("60007", "0.05")])
    row = desk.market("BUY", "0.01")
    assert (row["status"], Decimal(row["executedQty"])) == ("FILLED", Decimal("0.01"))
    assert Decimal(row["cummulativeQuoteQty"]) == Decimal("600.052")
    row = desk.market("BUY", "0.1")
    assert (row["status"], Decimal(row["executedQty"])) == ("CANCELED", Decimal("0.043"))


def test_market_sell(desk: Desk) -> None:
    """A sell fills at the bid."""
    row = desk.market("SELL", "0.5")
    assert (row["status"], Decimal(row["cummulativeQuoteQty"])) == ("FILLED", Decimal(30_000))


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"quantity": "0.000101"}, (412, -1111), "Invalid volume"),
        ({"price": "50000.001"}, (412, -1111), "Invalid volume"),
        ({"quantity": "0.00009"}, (412, -1111), "less then minQty"),
        ({"quantity": "0.00015"}, (400, -1013), "LOT_SIZE"),
        ({"price": "41000"}, (400, -1013), "PRICE_FILTER"),
        ({"quantity": "1"}, (406, -2010), "insufficient balance"),
        ({"symbol": "SHAUSDT", "quantity": "388.88", "price": "0.05"}, (412, -1111), "less then minQty"),
        ({"newClientOrderId": "x" * 33}, (412, -1102), "malformed"),
        ({"timeInForce": "IOC"}, (412, -1102), "malformed"),
    ],
)
def test_order_refused(desk: Desk, changes: dict[str, Any], code: tuple[int, int], words: str) -> None:
    """Sizes, prices, funds: nothing is changed."""
    status, content = desk.ask("POST", ORDER, **desk.limit(**changes))
    assert ((status, content["code"]), words in content["msg"]) == (code, True)
    assert (len(desk.exchange.orders()), desk.usdt()) == (0, ("10000", "0"))


def test_order_in_a_halted_market_or_with_a_repeated_id_is_refused(desk: Desk) -> None:
    """The second is not documented, and can be switched off."""
    desk.place(newClientOrderId="mine")
    assert desk.ask("POST", ORDER, **desk.limit(newClientOrderId="mine"))[1]["msg"] == "Duplicate order sent."
    desk.exchange.refuses_repeats = False
    desk.place(newClientOrderId="mine")
    desk.exchange.ledger.pairs["BTCUSDT"].status = "halted"
    assert desk.ask("POST", ORDER, **desk.limit())[1]["msg"] == "Market is closed."


def test_status_by_client_id_is_a_stale_copy(desk: Desk) -> None:
    """By Bitrue's id the order is as it is, by the caller's as it was."""
    order_id = desk.place(newClientOrderId="mine")
    desk.exchange.ledger.fill(desk.exchange.orders()[0], "0.004")
    by_ours = desk.ask("GET", ORDER, symbol="BTCUSDT", origClientOrderId="mine")[1]
    by_theirs = desk.ask("GET", ORDER, symbol="BTCUSDT", orderId=order_id)[1]
    assert (by_ours["orderId"], by_ours["status"], Decimal(by_ours["executedQty"])) == (order_id, "NEW", Decimal(0))
    assert (by_theirs["status"], Decimal(by_theirs["executedQty"])) == ("PARTIALLY_FILLED", Decimal("0.004"))
    desk.exchange.knows_client_ids = False
    assert desk.code("GET", ORDER, symbol="BTCUSDT", origClientOrderId="mine") == (200, -2013)


@pytest.mark.parametrize(("code", "status"), [("-2010", 406), ("-2013", 200)])
def test_cancel_frees_funds_and_a_second_one_is_refused(desk: Desk, code: Any, status: int) -> None:
    """An unknown order is an error within HTTP 200; a finished one has either of two codes."""
    desk.exchange.cancel_code = code
    order_id = desk.place()
    assert desk.ask("DELETE", ORDER, symbol="BTCUSDT", orderId=order_id)[0] == 200
    assert desk.usdt() == ("10000", "0")
    assert desk.code("DELETE", ORDER, symbol="BTCUSDT", orderId=order_id) == (status, int(code))
    assert desk.code("DELETE", ORDER, symbol="BTCUSDT", orderId="5") == (200, -2013)
    assert desk.code("GET", ORDER, symbol="BTCUSDT", orderId="5") == (200, -2013)
    [row] = desk.ask("GET", "/api/v1/allOrders", symbol="BTCUSDT")[1]
    assert (row["orderId"], row["status"]) == (order_id, "CANCELED")
    assert desk.ask("GET", "/api/v1/openOrders", symbol="BTCUSDT")[1] == []


def test_limit_on_orders_counts_what_trades_warns_and_then_bans(desk: Desk) -> None:
    """One 429 beyond a hundred a minute; going on is a ban of two minutes, for everything."""
    desk.exchange.is_limiting = True
    for _ in range(100):
        assert desk.code("DELETE", ORDER, symbol="BTCUSDT", orderId="5") == (200, -2013)
    assert desk.ask("GET", "/api/v1/openOrders", symbol="BTCUSDT")[0] == 200
    assert desk.code("DELETE", ORDER, symbol="BTCUSDT", orderId="5") == (429, -1003)
    assert desk.raw("GET", "/api/v1/time")[0] == 200
    assert desk.code("DELETE", ORDER, symbol="BTCUSDT", orderId="5") == (418, -1003)
    assert desk.raw("GET", "/api/v1/time")[0] == 418
    desk.now_ms += 120_000
    assert desk.code("DELETE", ORDER, symbol="BTCUSDT", orderId="5") == (200, -2013)


def test_general_limit_counts_every_request_by_its_weight(desk: Desk) -> None:
    """Lists of all orders weigh five, a time one; the limit is of the address, whoever asks."""
    desk.exchange.is_limiting = True
    desk.exchange.limits["general"] = 12
    for _ in range(2):
        assert desk.ask("GET", "/api/v1/allOrders", symbol="BTCUSDT")[0] == 200
    assert [desk.raw("GET", "/api/v1/time")[0] for _ in range(3)] == [200, 200, 429]
    desk.now_ms += 60_001
    assert desk.raw("GET", "/api/v1/time")[0] == 200


def test_all_orders_newest_first_and_onwards_from_an_id_or_within_times(desk: Desk) -> None:
    """Without an id the newest are told, at most as many as asked for; from an id on the oldest."""
    ids = []
    for _ in range(4):
        desk.now_ms += 1000
        ids.append(desk.place(quantity="0.001"))

    def told(**fields: Any) -> list[int]:
        rows = desk.ask("GET", "/api/v1/allOrders", symbol="BTCUSDT", **fields)[1]
        return [ids.index(row["orderId"]) for row in rows]

    assert told() == [3, 2, 1, 0]
    assert told(limit=2) == [3, 2]
    assert told(limit=2, endTime=NOW + 3000) == [2, 1]
    assert told(startTime=NOW + 3000) == [3, 2]
    assert told(fromId=ids[1], limit=2) == [1, 2]


def test_odd_rows_are_told_as_they_are(desk: Desk) -> None:
    """A test can spoil any list."""
    for path in ("openOrders", "allOrders"):
        desk.exchange.odd_rows[path].append({"odd": 1})
        assert desk.ask("GET", f"/api/v1/{path}", symbol="BTCUSDT")[1] == [{"odd": 1}]
    desk.exchange.odd_rows["myTrades"].append(None)
    assert desk.ask("GET", "/api/v2/myTrades", symbol="BTCUSDT")[1] == [None]
    desk.exchange.odd_rows["exchangeInfo"].append("odd")
    assert desk.raw("GET", "/api/v1/exchangeInfo")[1]["symbols"][-1] == "odd"


def test_look_up_by_client_id_alone_can_be_refused(desk: Desk) -> None:
    """The document has Bitrue's own id as mandatory; with it the caller's may come along."""
    order_id = desk.place(newClientOrderId="mine")
    desk.exchange.takes_client_ids = False
    assert desk.code("GET", ORDER, symbol="BTCUSDT", origClientOrderId="mine") == (412, -1102)
    assert desk.ask("GET", ORDER, symbol="BTCUSDT", orderId=order_id, origClientOrderId="mine")[0] == 200


@pytest.mark.parametrize(("code", "status"), [("rate_limited", 429), ("banned", 418), ("-2013", 200), ("-2010", 406)])
def test_refusal_on_demand(desk: Desk, code: str, status: int) -> None:
    """Faults refuse in Bitrue's own form."""
    reply = desk.exchange.refusal(code)
    assert reply.status == status
    assert json.loads(reply.body)["code"] < 0


# Sockets


def _listen(desk: Desk) -> str:
    return str(desk.raw("POST", "/poseidon/api/v1/listenKey")[1]["data"]["listenKey"])


def test_listen_key_lives_an_hour_and_is_renewed(desk: Desk) -> None:
    """The same key comes back while it is valid; afterwards it cannot be renewed."""
    key = _listen(desk)
    assert _listen(desk) == key
    desk.now_ms += 3_599_000
    assert desk.raw("PUT", f"/poseidon/api/v1/listenKey/{key}") == (200, {"msg": "succ", "code": "200"})
    desk.now_ms += 3_601_000
    assert desk.raw("PUT", f"/poseidon/api/v1/listenKey/{key}")[1]["code"] == -1150
    assert _listen(desk) != key


@pytest.mark.network
async def test_sockets_tell_orders_by_listen_key_only(desk: Desk) -> None:
    """Without a valid key there is no socket; what is told has the id as text, and a number that lost digits."""
    async with SocketServer(BitrueSockets(desk.exchange)) as server:
        with pytest.raises(InvalidStatus):
            async with connect(f"{server.url}/stream?listenKey=wrong"):
                pass
        async with connect(f"{server.url}/stream?listenKey={_listen(desk)}") as socket:
            assert json.loads(await socket.recv()) == {"event": "ping", "ts": NOW}
            await socket.send('{"event":"sub","params":{"channel":"user_order_update"}}')
            assert json.loads(await socket.recv())["status"] == "ok"
            order_id = desk.place(newClientOrderId="mine")
            told = json.loads(await socket.recv())
    assert (told["e"], told["iStr"], told["C"], told["s"]) == ("ORDER", order_id, "mine", "btcusdt")
    assert str(told["i"]) != order_id


@pytest.mark.network
async def test_sockets_tell_books_zipped(desk: Desk) -> None:
    """Frames come gzipped, buyers as `buys`; an unknown channel is refused."""
    async with SocketServer(BitrueSockets(desk.exchange)) as server, connect(f"{server.url}/market/ws") as socket:
        assert json.loads(gzip.decompress(await _binary(socket))) == {"ping": str(NOW)}
        await socket.send('{"event":"sub","params":{"channel":"market_BTCUSDT_simple_depth_step0"}}')
        assert json.loads(gzip.decompress(await _binary(socket)))["status"] == "error"
        channel = "market_btcusdt_simple_depth_step0"
        await socket.send(json.dumps({"event": "sub", "params": {"cb_id": "btcusdt", "channel": channel}}))
        assert json.loads(gzip.decompress(await _binary(socket)))["status"] == "ok"
        told = json.loads(gzip.decompress(await _binary(socket)))
    assert told["tick"] == {"buys": [["60000", "1000000"]], "asks": [["60000.1", "1000000"]]}


async def _binary(socket: Any) -> bytes:
    frame = await socket.recv()
    assert isinstance(frame, bytes)
    return frame
