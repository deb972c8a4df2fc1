"""The strict BitoPro accepts what the documentation asks for, and refuses the rest in BitoPro's own form."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from bot.testing.bitopro import StrictBitoPro
from bot.testing.bitopro.exchange import WINDOW_MS, signature
from bot.testing.ledger import Order
from bot.testing.strict import Received, StrictServer

D = Decimal
KEY, SECRET, EMAIL = "api-key", "bitopro", "user@example.com"
NOW = 1700000000123
USER = (
    "eyJpZGVudGl0eSI6InVzZXJAZXhhbXBsZS5jb20iLCJub25jZSI6MTcwMDAwMDAwMDEyM30=",
    "3c77fd3bbf100d297a36ccd190bbe72a1d8a14da8e933b60dffb958e0505190840209a9348d4692afa08e9178daa4d81",
)
CCXT_GET = (
    "eyJub25jZSI6MTcwMDAwMDAwMDEyM30=",
    "d0a364af608bea7a1cf28ffa2786ff99e84635e21baa7f7c8258a1395e6cbef036f5244b23325410db68cafe9cdb64aa",
)
# Body, signature, HTTP status. The third and fourth were made by ccxt 4.5.90, the others by the documented recipe.
BODIES = [
    (
        '{"type":"LIMIT","action":"BUY","amount":"0.0001","price":"1500000","timestamp":1700000000123,'
        '"nonce":1700000000123,"timeInForce":"GTC","clientId":1234567}',
        "a213b2709f5020d356926368b1dcfaeb005dbb922bb32af1ac89b11359eadd70213a44a791f9a911e9fa5312f8abea06",
        200,
    ),
    (
        '{"type":"MARKET","action":"BUY","amount":"500","timestamp":1700000000123,"nonce":1700000000123}',
        "42a0eda9b24df023c561206867ddb1285cdeaf481382e161f346a34eb1e4907f05be4872f658ad76493772a97ee3633b",
        200,
    ),
    (
        '{"pair":"btc_twd","type":"LIMIT","action":"BUY","amount":"0.0001","timestamp":1700000000123,"price":"1500000"}',
        "ab582094f8b44f54bb8ad9eec7e71974f072d5d354c493253dd227fcdb520ff3428961ce5a9cdb8b151b5f66f5528c2e",
        200,
    ),
    (
        '{"pair":"btc_twd","type":"STOP_LIMIT","action":"SELL","amount":"0.0001","timestamp":1700000000123,'
        '"price":"1400000","stopPrice":"1410000","condition":"<="}',
        "792de123694b1d3223b553ed454d8ba5cc7424bd069191bdaf22241863b8aba965ea7089dff161e76866d803820a1d98",
        200,
    ),
    # Signed rightly, but its base64 has a `+`, which some clients would have sent as `-`.
    (
        '{"type":"STOP_LIMIT","action":"BUY","amount":"0.0001","price":"1600000","stopPrice":"1590000",'
        '"condition":">=","timestamp":1700000000123}',
        "5723cd2ac4316a71b7452c19310199990ab869c059c36c68ef6fa29df4081165fa327c7aaed5cb3998d2309b7467c3c1",
        401,
    ),
]


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


class Desk:
    """A signed client of one account, straight into the exchange, without a network between."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.exchange = StrictBitoPro(clock=self.clock)
        balances: dict[str, Decimal | str] = {"TWD": "1000000", "BTC": "1"}
        self.account = self.exchange.add_account(KEY, SECRET, EMAIL, balances=balances)
        self.headers: dict[str, str] = {}

    def send(self, method: str, target: str, text: str, body: str = "") -> tuple[int, Any]:
        payload = base64.b64encode(text.encode())
        headers = {
            "x-bitopro-apikey": KEY,
            "x-bitopro-payload": payload.decode(),
            "x-bitopro-signature": hmac.digest(SECRET.encode(), payload, hashlib.sha384).hex(),
            **({"content-type": "application/json"} if body else {}),
            **self.headers,
        }
        reply = self.exchange.handle(Received(method, "/v3" + target, headers, body.encode()))
        return reply.status, json.loads(reply.body)

    def tick(self) -> int:
        self.clock.now += 1
        return self.clock.now

    def ask(self, path: str, method: str = "GET", **query: str) -> Any:
        """Return the reply, or its status when refused."""
        target = path + ("?" + urlencode(query) if query else "")
        status, reply = self.send(method, target, json.dumps({"identity": EMAIL, "nonce": self.tick()}))
        return reply if status == 200 else status

    def data(self, path: str, **query: str) -> Any:
        return self.ask(path, **query)["data"]

    def post(self, path: str = "/orders/btc_twd", **fields: Any) -> Any:
        """Return the reply, or its error when refused."""
        now = self.tick()
        body = json.dumps({**fields, "timestamp": now, "nonce": now})
        status, reply = self.send("POST", path, body, body)
        return reply if status == 200 else (status, reply["error"])

    def buy(self, price: str = "1400000", amount: str = "0.01", **more: Any) -> Any:
        """Place a limit buy; below 1500010 it rests."""
        return self.post(**{"type": "LIMIT", "action": "BUY", "amount": amount, "price": price, **more})

    def stop(self, **more: Any) -> Any:
        terms = {"price": "1400000", "stopPrice": "1410000", "condition": "<="}
        return self.post(**{"type": "STOP_LIMIT", "action": "SELL", "amount": "0.01", **terms, **more})


@pytest.fixture
def desk() -> Desk:
    return Desk()


# Signature and keys


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (
            "eyJpZGVudGl0eSI6ImhjbWxpbmpAZ21haWwuY29tIiwibm9uY2UiOjE1NTQzODA5MDkxMzF9",
            "01a85a9083db47c20da7196380598f3feacd3c76a9077aaf7ffaf08ce0091abf65b61778792607b010921adfe1c2941a",
        ),
        USER,
        CCXT_GET,
    ],
)
def test_signature_known_payload_gives_known_answer(payload: str, expected: str) -> None:
    """The official answer comes out."""
    assert signature(SECRET, payload.encode()) == expected


async def over_http(method: str, target: str, payload: str, sign: str, body: str = "") -> httpx.Response:
    exchange = StrictBitoPro(clock=lambda: NOW)
    exchange.checks_identity = False
    exchange.add_account(KEY, SECRET, EMAIL, balances={"TWD": "1000000", "BTC": "1"})
    headers = {"X-BITOPRO-APIKEY": KEY, "X-BITOPRO-PAYLOAD": payload, "X-BITOPRO-SIGNATURE": sign}
    if body:
        headers["Content-Type"] = "application/json"
    async with StrictServer(exchange) as server, httpx.AsyncClient() as client:
        return await client.request(method, server.url + "/v3" + target, content=body, headers=headers)


@pytest.mark.network
@pytest.mark.parametrize(("payload", "sign"), [USER, CCXT_GET])
@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/accounts/balance", 200),
        ("GET", "/orders/open?pair=btc_twd", 200),
        ("DELETE", "/orders/btc_twd/1", 404),
    ],
)
async def test_known_vector_passes_whatever_the_path(
    method: str, target: str, status: int, payload: str, sign: str
) -> None:
    """Neither path nor query is signed; a wrong digit is refused all the same."""
    assert (await over_http(method, target, payload, sign)).status_code == status
    refused = await over_http(method, target, payload, sign[:-1] + ("0" if sign[-1] != "0" else "1"))
    assert (refused.status_code, refused.json()) == (401, {"error": "Invalid Signature"})


@pytest.mark.network
@pytest.mark.parametrize(("body", "sign", "status"), BODIES)
async def test_known_order_passes_and_a_changed_body_does_not(body: str, sign: str, status: int) -> None:
    """The payload must be the very body that was sent."""
    payload = base64.b64encode(body.encode()).decode()
    assert (await over_http("POST", "/orders/btc_twd", payload, sign, body)).status_code == status
    other = body.replace('"0.0001"', '"0.0002"').replace('"500"', '"600"')
    refused = await over_http("POST", "/orders/btc_twd", payload, sign, other)
    assert (refused.status_code, refused.json()) == (401, {"error": "Invalid Signature"})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-bitopro-apikey": "other"}, 401),
        ({"x-bitopro-apikey": ""}, 401),
        ({"x-bitopro-payload": ""}, 401),
        ({"x-bitopro-signature": ""}, 401),
        ({}, 200),
    ],
)
def test_missing_or_unknown_part_of_the_key_is_refused(desk: Desk, headers: dict[str, str], status: int) -> None:
    """All three headers are needed, for a DELETE too."""
    desk.headers = headers
    assert desk.send("GET", "/accounts/balance", json.dumps({"identity": EMAIL, "nonce": NOW}))[0] == status
    deleted = desk.send("DELETE", "/orders/btc_twd", json.dumps({"identity": EMAIL, "nonce": NOW + 1}))
    assert deleted[0] == status


def test_identity_of_another_account_is_refused(desk: Desk) -> None:
    """Real servers may not look; this one does, so that a plugin which forgets the e-mail is found out."""
    assert desk.send("GET", "/accounts/balance", json.dumps({"identity": "x@y.z", "nonce": NOW}))[0] == 401
    assert desk.send("GET", "/accounts/balance", json.dumps({"nonce": NOW}))[0] == 401


@pytest.mark.parametrize(
    ("off_ms", "status"), [(0, 200), (WINDOW_MS, 200), (-WINDOW_MS, 200), (WINDOW_MS + 1, 409), (-60_000, 409)]
)
def test_nonce_off_the_clock_is_a_conflict(desk: Desk, off_ms: int, status: int) -> None:
    """HTTP 409 tells of a wrong clock."""
    assert desk.send("GET", "/accounts/balance", json.dumps({"identity": EMAIL, "nonce": NOW + off_ms}))[0] == status


def test_nonce_that_does_not_grow_is_a_conflict(desk: Desk) -> None:
    """The same request twice, or two in one millisecond, is refused; orders share the counter."""
    text = json.dumps({"identity": EMAIL, "nonce": NOW})
    assert [desk.send("GET", "/accounts/balance", text)[0] for _ in range(2)] == [200, 409]
    body = json.dumps({"type": "MARKET", "action": "BUY", "amount": "500", "timestamp": NOW, "nonce": NOW})
    assert desk.send("POST", "/orders/btc_twd", body, body)[0] == 409


def test_nonce_unlike_timestamp_is_refused(desk: Desk) -> None:
    """Which of the two is checked is not documented: they must be the same."""
    body = json.dumps({"type": "MARKET", "action": "BUY", "amount": "500", "timestamp": NOW, "nonce": NOW + 1})
    assert desk.send("POST", "/orders/btc_twd", body, body)[0] == 400


def test_key_without_order_permission_or_from_elsewhere_is_forbidden(desk: Desk) -> None:
    """Reading works without the order permission; another address may do nothing."""
    desk.account.permissions = {"read"}
    assert (desk.ask("/accounts/balance") != 403, desk.buy()) == (True, (403, "Forbidden"))
    desk.account.ips = {"192.0.2.1"}
    assert desk.ask("/accounts/balance") == 403


def test_rate_limits_are_those_documented(desk: Desk) -> None:
    """Open orders five a second, cancel-all one a second, anything 600 a minute."""
    desk.exchange.is_limiting = True
    assert [desk.ask("/orders/open") == 429 for _ in range(6)] == [False] * 5 + [True]
    assert [desk.ask("/orders/btc_twd", "DELETE") == 429 for _ in range(2)] == [False, True]
    spent = [desk.ask("/accounts/balance") == 429 for _ in range(600)]
    assert spent == [False] * 592 + [True] * 8


def test_unknown_route_is_not_found(desk: Desk) -> None:
    """There is no time endpoint, no v2 and no wallet."""
    assert [desk.ask(path) for path in ("/time", "/wallet/withdraw/btc", "/orders/history")] == [404] * 3


def test_every_reply_has_a_date(desk: Desk) -> None:
    """The date, in whole seconds, is all that tells the exchange's time."""
    for path in ("/v3/tickers/btc_twd", "/v3/nothing"):
        assert desk.exchange.handle(Received("GET", path)).headers["date"] == "Tue, 14 Nov 2023 22:13:20 GMT"


# Market data


def public(desk: Desk, target: str) -> Any:
    return json.loads(desk.exchange.handle(Received("GET", "/v3" + target)).body)


def test_market_data_has_the_documented_shapes(desk: Desk) -> None:
    """Numbers are text, one ticker is an object, and the book is not wrapped."""
    pair = public(desk, "/provisioning/trading-pairs")["data"][0]
    assert pair == {
        "pair": "btc_twd",
        "base": "btc",
        "quote": "twd",
        "basePrecision": "8",
        "quotePrecision": "0",
        "minLimitBaseAmount": "0.0001",
        "maxLimitBaseAmount": "1000",
        "minMarketBuyQuoteAmount": "100",
        "orderOpenLimit": "200",
        "maintain": False,
        "orderBookQuotePrecision": "0",
        "orderBookQuoteScaleLevel": "5",
        "amountPrecision": "8",
    }
    assert public(desk, "/tickers/BTC_TWD")["data"]["lastPrice"] == "1500000.00000000"
    assert public(desk, "/order-book/btc_twd?limit=1") == {
        "asks": [{"price": "1500010", "amount": "1000000", "count": 1, "total": "1000000"}],
        "bids": [{"price": "1500000", "amount": "1000000", "count": 1, "total": "1000000"}],
    }
    assert public(desk, "/order-book/btc_twd?limit=7") == {"error": "Wrong parameter: limit"}


# Orders


def test_balances_list_every_asset_and_count_stake_in_the_total(desk: Desk) -> None:
    """Zeros are listed; an open order and a stake are not available."""
    desk.account.staked["BTC"] = D(2)
    desk.buy()
    rows = {row["currency"]: row for row in desk.data("/accounts/balance")}
    assert rows == {
        "btc": {"currency": "btc", "amount": "3", "available": "1", "stake": "2", "tradable": True},
        "eth": {"currency": "eth", "amount": "0", "available": "0", "stake": "0", "tradable": True},
        "twd": {"currency": "twd", "amount": "1000000", "available": "986000", "stake": "0", "tradable": True},
        "usdt": {"currency": "usdt", "amount": "0", "available": "0", "stake": "0", "tradable": True},
    }


def test_place_market_buy_spends_quote(desk: Desk) -> None:
    """The amount of a market buy is money to spend; following the base amount of other clients would buy too little."""
    placed = desk.post(type="MARKET", action="BUY", amount="150001", clientId=7)
    [order] = desk.exchange.ledger.orders
    assert (order.value, order.filled) == (D(150001), D("0.1"))
    [row] = desk.data("/orders/all/btc_twd", clientId="7")
    assert (row["id"], row["status"], row["executedAmount"], row["fee"], row["feeSymbol"]) == (
        placed["orderId"],
        2,
        "0.1",
        "0.0002",
        "btc",
    )


@pytest.mark.parametrize(
    ("fields", "status", "text"),
    [
        ({"amount": "0.00001"}, 400, "Invalid amount 0.00001"),
        ({"amount": "1001"}, 400, "Invalid amount 1001"),
        ({"amount": "0.123456789"}, 400, "Invalid amount 0.123456789, decimal limit is 8."),
        ({"amount": 0.01}, 400, "Invalid amount"),
        ({"amount": "1e-3"}, 400, "Invalid amount"),
        ({"amount": "-1"}, 400, "Invalid amount"),
        ({"price": "0"}, 400, "Invalid price"),
        ({"price": "1400000.5"}, 400, "Invalid price 1400000.5, decimal limit is 0."),
        ({"type": "MARKET", "amount": "500"}, 400, "Wrong parameter: price"),
        ({"type": "STOP_MARKET"}, 400, "Unsupported order type"),
        ({"action": "HOLD"}, 400, "Wrong parameter: action"),
        ({"timeInForce": "IOC"}, 400, "Wrong parameter: timeInForce"),
        ({"clientId": "7"}, 400, "Wrong parameter: clientId"),
        ({"clientId": 0}, 400, "Wrong parameter: clientId"),
        ({"clientId": 2**31}, 400, "Wrong parameter: clientId"),
        ({"percentage": 100}, 400, "Wrong parameter: percentage"),
        (
            {"price": "1400000", "amount": "1"},
            400,
            "Balance for twd not enough, only has 1000000, but ordered 1400000.",
        ),
        ({"action": "SELL", "amount": "1.5"}, 400, "Balance for btc not enough, only has 1, but ordered 1.5."),
    ],
)
def test_place_wrong_order_is_refused_in_free_text(desk: Desk, fields: dict[str, Any], status: int, text: str) -> None:
    """Each refusal is an HTTP status with a text, and nothing was placed."""
    if fields.get("amount") == "1.5":
        fields = {**fields, "price": "1600000"}
    assert desk.buy(**fields) == (status, text)
    assert desk.exchange.ledger.orders == []


def test_place_market_buy_below_the_minimum_is_refused(desk: Desk) -> None:
    """A market buy has a minimum of its own, in quote."""
    assert desk.post(type="MARKET", action="BUY", amount="99") == (400, "Invalid amount 99")


def test_place_on_a_suspended_unknown_or_full_pair_is_refused(desk: Desk) -> None:
    """Suspended and full pairs have no documented text."""
    pair: Any = desk.exchange.ledger.pairs["btc_twd"]
    pair.max_open = 1
    desk.buy()
    assert desk.buy()[0] == 400
    pair.maintain = True
    assert desk.buy()[0] == 422
    assert desk.post("/orders/doge_twd", type="MARKET", action="BUY", amount="500") == (404, "Not Found")


def test_place_same_client_id_twice_makes_two_orders(desk: Desk) -> None:
    """The id is a label: it guards against nothing."""
    first, second = desk.buy(clientId=7), desk.buy(clientId=7)
    assert first["orderId"] != second["orderId"]
    assert len(desk.data("/orders/all/btc_twd", clientId="7", statusKind="ALL")) == 2


def test_place_post_only_that_would_take_succeeds_and_ends_as_six(desk: Desk) -> None:
    """Only the status tells that it did not stay."""
    placed = desk.buy(price="1600000", amount="0.01", timeInForce="POST_ONLY")
    assert desk.ask(f"/orders/btc_twd/{placed['orderId']}")["status"] == 6


def test_order_row_has_the_documented_fields(desk: Desk) -> None:
    """A resting order with a label, as lists and single look-ups show it."""
    placed = desk.buy(clientId=7)
    row = desk.ask(f"/orders/BTC_TWD/{placed['orderId']}")
    assert row == {
        "id": "8777138788",
        "pair": "btc_twd",
        "price": "1400000",
        "avgExecutionPrice": "0",
        "action": "BUY",
        "type": "LIMIT",
        "timestamp": NOW + 1,
        "status": 0,
        "originalAmount": "0.01",
        "remainingAmount": "0.01",
        "executedAmount": "0",
        "fee": "0",
        "feeSymbol": "btc",
        "bitoFee": "0",
        "total": "0",
        "seq": "BTCTWD8777138788",
        "timeInForce": "GTC",
        "createdTimestamp": NOW + 1,
        "updatedTimestamp": NOW + 1,
        "clientId": 7,
    }
    assert desk.data("/orders/open", pair="btc_twd") == [row]


def test_order_without_label_shows_none(desk: Desk) -> None:
    """`clientId` is present only if it was given."""
    desk.buy()
    assert "clientId" not in desk.data("/orders/open")[0]


def test_order_states_follow_the_table(desk: Desk) -> None:
    """Partly filled is 1, partly filled and canceled 3, canceled 4; DONE leaves out 4."""
    first, second = desk.buy()["orderId"], desk.buy()["orderId"]
    order = desk.exchange.orders()[0]
    desk.exchange.ledger.fill(order, "0.004")
    assert desk.ask(f"/orders/btc_twd/{first}")["status"] == 1
    for order_id in (first, second):
        desk.ask(f"/orders/btc_twd/{order_id}", "DELETE")

    def told(kind: str) -> list[int]:
        return [row["status"] for row in desk.data("/orders/all/btc_twd", statusKind=kind)]

    assert (told("OPEN"), told("DONE"), told("ALL")) == ([], [3], [4, 3])


@pytest.mark.parametrize(("kind", "expected"), [("404", 404), ("empty", {"id": ""})])
def test_unknown_order_is_told_in_either_way(desk: Desk, kind: Any, expected: object) -> None:
    """One client of BitoPro's handles a row without id, the newer documents say 404."""
    desk.exchange.unknown_order = kind
    assert desk.ask("/orders/btc_twd/1") == expected


def test_order_of_another_account_is_unknown(desk: Desk) -> None:
    """A key sees its own account only."""
    placed = desk.buy()
    desk.exchange.add_account("other", SECRET, EMAIL)
    desk.headers = {"x-bitopro-apikey": "other"}
    assert desk.ask(f"/orders/btc_twd/{placed['orderId']}") == 404
    assert desk.data("/orders/open") == []


def test_cancel_twice_is_unprocessable(desk: Desk) -> None:
    """The first answer repeats the order's terms; the second says that it is closed; an unknown one is 404."""
    order_id = desk.buy()["orderId"]
    assert desk.ask(f"/orders/btc_twd/{order_id}", "DELETE") == {
        "orderId": order_id,
        "action": "BUY",
        "amount": "0.01",
        "price": "1400000",
        "timestamp": NOW + 2,
    }
    assert desk.ask(f"/orders/btc_twd/{order_id}", "DELETE") == 422
    assert desk.ask("/orders/btc_twd/5", "DELETE") == 404
    assert desk.account.free["TWD"] == D(1000000)


@pytest.mark.parametrize(("path", "left"), [("/orders/btc_twd", ["eth_twd"]), ("/orders/all", [])])
def test_cancel_all_of_a_pair_spares_the_others(desk: Desk, path: str, left: list[str]) -> None:
    """`all` in the place of a pair ends everything, stop orders too."""
    btc = desk.buy()["orderId"]
    stop = desk.stop()["orderId"]
    desk.post("/orders/eth_twd", type="LIMIT", action="BUY", amount="0.1", price="70000")
    ended = desk.ask(path, "DELETE")["data"]
    assert sorted(ended["BTC_TWD"]) == sorted([btc, f"SL-{stop}"])
    assert [row["pair"] for row in desk.data("/orders/open")] == left


def test_trades_repeat_the_row_of_the_cursor(desk: Desk) -> None:
    """The next page begins with the row it was asked for; a trade does not tell its pair."""
    for _ in range(3):
        desk.post(type="MARKET", action="SELL", amount="0.1")
    first = desk.data("/orders/trades/btc_twd", limit="2")
    second = desk.data("/orders/trades/btc_twd", limit="2", tradeId=first[-1]["tradeId"])
    assert second[0] == first[-1]
    assert len({row["tradeId"] for row in first + second}) == 3
    assert first[0] == {
        "tradeId": first[0]["tradeId"],
        "orderId": first[0]["orderId"],
        "price": "1500000",
        "action": "SELL",
        "baseAmount": "0.1",
        "quoteAmount": "150000",
        "fee": "300",
        "feeSymbol": "TWD",
        "isTaker": True,
        "timestamp": NOW + 3,
        "createdTimestamp": NOW + 3,
    }


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 3),
        ({"limit": "2"}, 2),
        ({"status": "4"}, 1),
        ({"clientId": "2"}, 1),
        ({"clientId": "9"}, 0),
        ({"endTimestamp": str(NOW)}, 0),
        ({"orderId": "8777138789"}, 2),
    ],
)
def test_history_is_selected_as_documented(desk: Desk, query: dict[str, str], count: int) -> None:
    """The cursor includes the order that it names."""
    placed = [desk.buy(clientId=number)["orderId"] for number in (1, 2, 3)]
    desk.ask(f"/orders/btc_twd/{placed[-1]}", "DELETE")
    assert len(desk.data("/orders/all/btc_twd", **query)) == count


def test_history_forgets_after_ninety_days(desk: Desk) -> None:
    """Older orders are not told, and a longer span is refused."""
    desk.buy()
    desk.clock.now += 91 * 86_400_000
    assert desk.data("/orders/all/btc_twd") == []
    assert desk.ask("/orders/all/btc_twd", startTimestamp="1") == 400
    assert desk.ask("/orders/all/btc_twd", limit="1001") == 400


# Stop orders


def test_stop_waits_under_a_prefixed_id(desk: Desk) -> None:
    """Lists show `SL-`; whether placing tells it too is not documented, so both can be had."""
    bare = desk.stop(clientId=7)["orderId"]
    desk.exchange.tells_prefix = True
    full = desk.stop(clientId=8)["orderId"]
    assert [row["id"] for row in desk.data("/orders/open")] == [full, f"SL-{bare}"]
    row = desk.ask(f"/orders/btc_twd/{full}")
    assert (row["status"], row["type"], row["stopPrice"], row["condition"]) == (-1, "STOP_LIMIT", "1410000", "<=")
    assert desk.ask(f"/orders/btc_twd/{bare}") == 404


def test_stop_that_fires_becomes_another_order_with_the_same_label(desk: Desk) -> None:
    """The prefixed id is gone; the label stays."""
    desk.exchange.tells_prefix = True
    waiting = desk.stop(clientId=7)["orderId"]
    desk.exchange.set_price("btc_twd", "1405000", "1405010")
    assert desk.ask(f"/orders/btc_twd/{waiting}") == 404
    [row] = desk.data("/orders/all/btc_twd", clientId="7")
    assert (row["status"], row["avgExecutionPrice"], row["id"].startswith("SL-")) == (2, "1405000", False)


@pytest.mark.parametrize(("condition", "fires"), [("<=", False), (">=", True)])
def test_stop_obeys_its_condition_and_not_its_side(desk: Desk, condition: str, fires: bool) -> None:
    """A condition that holds already fires at once: a wrong one would trade where it should wait."""
    desk.stop(condition=condition)
    assert [isinstance(row, Order) for row in desk.exchange.shown(desk.account)] == [fires]


def test_stop_without_condition_or_trigger_is_refused(desk: Desk) -> None:
    """Both are required."""
    assert desk.stop(condition="") == (400, "Wrong parameter: condition")
    assert desk.stop(stopPrice="") == (400, "Invalid price")


# Faults


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("rate_limited", 429, "Too Many Requests"),
        ("banned", 429, "Too Many Requests"),
        ("refuse:422", 422, "Unprocessable Entity"),
        ("refuse:Unsupported order type", 400, "Unsupported order type"),
    ],
)
async def test_fault_refuses_in_bitopros_form(desk: Desk, kind: str, status: int, error: str) -> None:
    """A status or a text can be asked for; nothing is carried out."""
    desk.exchange.misbehave(kind, "/orders/btc_twd")
    reply = await desk.exchange.answer(Received("POST", "/v3/orders/btc_twd", {}, b"{}"))
    assert reply is not None
    assert (reply.status, json.loads(reply.body)) == (status, {"error": error})
    assert desk.exchange.placing_requests == 1
