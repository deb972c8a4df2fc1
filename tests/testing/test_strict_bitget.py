from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from decimal import Decimal
from urllib.parse import urlencode

import httpx
import pytest

from bot.testing.bitget import Mode, StrictBitget
from bot.testing.bitget.call import ENDPOINTS
from bot.testing.bitget.exchange import signature
from bot.testing.strict import Received, StrictServer

KEY = "bg_testkey0123456789abcdef"
SECRET = "testSecret0123456789abcdefABCDEF"
PASSPHRASE = "TestPass2024"
NOW = 1700000000123
D = Decimal

# Made with ccxt 4.5.90's own `sign()`, clock frozen at NOW: method, target, body, ACCESS-SIGN, HTTP status, code.
VECTORS = [
    ("GET", "/api/v2/spot/account/info", "", "fD8IJgZoHFNRKgweLFhAXLS5hv05v2fsjc7wcmfT8dY=", 200, "00000"),
    (
        "GET",
        "/api/v2/spot/trade/orderInfo?clientOid=bot-0001&orderId=1001",
        "",
        "BPUG7UC3nE+/ASsULDVFY127qoOyRAHXj6kZBJ5YBEg=",
        200,
        "00000",
    ),
    (
        "GET",
        "/api/v2/spot/trade/unfilled-orders?limit=100&symbol=BTCUSDT",
        "",
        "WMVvfxEGhmqpbM3ezk0we3ZSfF2bUYZq3hdiGXwUHPA=",
        200,
        "00000",
    ),
    (
        "POST",
        "/api/v2/spot/trade/place-order",
        '{"symbol":"BTCUSDT","side":"buy","orderType":"limit","force":"gtc","price":"25000.5","size":"0.001",'
        '"clientOid":"bot-0001"}',
        "mCPJuHX+UU6Es/8qbKaPO1BfPaGdSXjNsVnoUZSuTP8=",
        200,
        "00000",
    ),
    (
        "POST",
        "/api/v2/spot/trade/cancel-order",
        '{"symbol":"BTCUSDT","orderId":"1001"}',
        "YaUrBBVyu4iK2VxEP+elgqM2UiIlw033ujKCjRPfMIU=",
        400,
        "43001",
    ),
    ("GET", "/api/v3/account/settings", "", "wzewvYXYpa3rcdewquommHSbn9PWaWQ/zYmbGjnSSII=", 200, "00000"),
    (
        "POST",
        "/api/v3/trade/place-order",
        '{"category":"SPOT","symbol":"BTCUSDT","side":"buy","orderType":"limit","timeInForce":"gtc",'
        '"price":"25000.5","qty":"0.001","clientOid":"bot-0001"}',
        "e/6ndQAum1M3bW0tg2LmOvfcCQTGSOBh0nwFzV8usiw=",
        200,
        "00000",
    ),
]


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


class Desk:
    """A signed client of one account, straight into the exchange, without a network between."""

    def __init__(self, mode: Mode = "classic", *, demo: bool = False) -> None:
        self.clock = Clock()
        self.exchange = StrictBitget(clock=self.clock, mode=mode, demo=demo)
        self.account = self.exchange.add_account(KEY, SECRET, PASSPHRASE, balances={"USDT": "1000", "BTC": "1"})
        self.headers: dict[str, str] = {}

    def send(self, method: str, target: str, body: str = "") -> tuple[int, dict[str, object]]:
        timestamp = str(self.clock.now)
        message = f"{timestamp}{method}{target}{body}".encode()
        headers = {
            "access-key": KEY,
            "access-sign": base64.b64encode(hmac.digest(SECRET.encode(), message, hashlib.sha256)).decode(),
            "access-timestamp": timestamp,
            "access-passphrase": PASSPHRASE,
            "content-type": "application/json",
            **self.headers,
        }
        reply = self.exchange.handle(Received(method, target, headers, body.encode()))
        return reply.status, json.loads(reply.body)

    def get(self, path: str, **query: str) -> object:
        reply = self.send("GET", path + ("?" + urlencode(query) if query else ""))[1]
        return reply["data"] if reply["code"] == "00000" else reply["code"]

    def post(self, path: str, **body: object) -> object:
        reply = self.send("POST", path, json.dumps(body))[1]
        return reply["data"] if reply["code"] == "00000" else reply["code"]

    def buy(self, price: str = "50000", size: str = "0.001", **more: str) -> object:
        """Place a limit buy; below 60000.10 it rests."""
        terms = {"symbol": "BTCUSDT", "side": "buy", "orderType": "limit", "price": price} | more
        if self.exchange.mode == "unified":
            return self.post("/api/v3/trade/place-order", **{"category": "SPOT", "qty": size} | terms)
        return self.post("/api/v2/spot/trade/place-order", **{"force": "gtc", "size": size} | terms)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def unified() -> Desk:
    return Desk("unified")


def only(rows: object) -> dict[str, object]:
    assert isinstance(rows, list)
    assert len(rows) == 1
    row = rows[0]
    assert isinstance(row, dict)
    return row


def ids(rows: object) -> list[object]:
    assert isinstance(rows, list)
    return [row["clientOid"] for row in rows]


# Signature and keys


async def send_vector(target: str, body: str, method: str, sign: str) -> tuple[int, str]:
    exchange = StrictBitget(clock=lambda: NOW, mode="unified" if "/v3/" in target else "classic")
    exchange.add_account(KEY, SECRET, PASSPHRASE, balances={"USDT": "1000"})
    headers = {
        "ACCESS-KEY": KEY,
        "ACCESS-SIGN": sign,
        "ACCESS-TIMESTAMP": str(NOW),
        "ACCESS-PASSPHRASE": PASSPHRASE,
        "Content-Type": "application/json",
    }
    async with StrictServer(exchange) as server, httpx.AsyncClient() as client:
        reply = await client.request(method, server.url + target, content=body, headers=headers)
    return reply.status_code, reply.json()["code"]


@pytest.mark.network
@pytest.mark.parametrize(("method", "target", "body", "sign", "status", "code"), VECTORS)
async def test_signature_of_known_vector_is_accepted(
    method: str, target: str, body: str, sign: str, status: int, code: str
) -> None:
    """Requests signed by another implementation pass, and each goes to its endpoint over real HTTP."""
    assert await send_vector(target, body, method, sign) == (status, code)


@pytest.mark.network
@pytest.mark.parametrize(("method", "target", "body", "sign", "status", "code"), VECTORS)
async def test_signature_with_one_byte_flipped_is_refused(
    method: str, target: str, body: str, sign: str, status: int, code: str
) -> None:
    """One changed byte of signature or body refuses the request with 40009."""
    flipped = ("A" if sign[0] != "A" else "B") + sign[1:]
    assert await send_vector(target, body, method, flipped) == (400, "40009")
    other = body.replace("BTCUSDT", "BTCUSDC") if body else "x"
    assert await send_vector(target, other, method, sign) == (400, "40009")


@pytest.mark.parametrize(
    ("prehash", "expected"),
    [
        (
            "16273667805456GET/api/mix/v2/market/depth?limit=20&symbol=BTCUSDT",
            "djrH4gToDkVf7R2uDR9+gL0u3K6fBRYjmwb41uoLtRQ=",
        ),
        (
            '16273667805456POST/api/v2/mix/order/place-order{"productType":"usdt-futures","symbol":"BTCUSDT","size":"8"'
            ',"marginMode":"crossed","side":"buy","orderType":"limit","clientOid":"channel#123456"}',
            "Cxfqw2USbqptn5NId/sCGboRisoCB39jbTUrmhjuMHw=",
        ),
        ("1700000000GET/user/verify", "8nTK6vVwYSj73k1E76naAf/9z4ZtTJNmnGbPtDxHR1k="),
    ],
)
def test_signature_of_documented_prehash_is_known(prehash: str, expected: str) -> None:
    """The recipe gives the known answers for the texts printed in Bitget's documentation."""
    assert signature(SECRET, prehash.encode()) == expected.encode()


def test_signature_over_decoded_query_is_refused(desk: Desk) -> None:
    """Signing `a#b 1` and sending `a%23b%201` is refused: the signature must cover the bytes that were sent."""
    desk.headers["access-sign"] = "iCW1q+7CEKh6qGkIljzgA9whi6D/Bm9iSgKyzQ5jdrc="
    assert desk.get("/api/v2/spot/trade/orderInfo", clientOid="a#b 1") == "40009"


@pytest.mark.parametrize(
    ("header", "value", "code"),
    [
        ("access-key", "", "40001"),
        ("access-sign", "", "40003"),
        ("access-timestamp", "", "40005"),
        ("access-timestamp", "17e11", "40005"),
        ("access-timestamp", str(NOW - 30_001), "40008"),
        ("access-timestamp", str(NOW + 30_001), "40008"),
        ("access-timestamp", str(NOW - 30_000), "40009"),
        ("access-passphrase", "", "40011"),
        ("access-passphrase", PASSPHRASE + " ", "40012"),
        ("access-key", "bg_other", "40037"),
        ("access-sign", "é", "40009"),
        ("paptrading", "1", "40099"),
    ],
)
def test_headers_wrong_are_refused_with_their_code(desk: Desk, header: str, value: str, code: str) -> None:
    """Every mistake in the headers has its own documented code, under HTTP 400, in the envelope."""
    desk.headers[header] = value
    status, reply = desk.send("GET", "/api/v2/spot/account/assets")
    assert (status, reply["code"], reply["requestTime"], reply["data"]) == (400, code, NOW, None)


def test_content_type_of_post_is_checked(desk: Desk) -> None:
    """A POST that is not declared as JSON is refused; a GET may say what it likes."""
    desk.headers["content-type"] = "text/plain"
    assert desk.buy() == "40007"
    assert isinstance(desk.get("/api/v2/spot/account/assets"), list)


def test_demo_key_needs_the_demo_header() -> None:
    """A demo key works with `paptrading: 1` only."""
    desk = Desk(demo=True)
    assert desk.get("/api/v2/spot/account/assets") == "40099"
    desk.headers["paptrading"] = "1"
    assert isinstance(desk.get("/api/v2/spot/account/assets"), list)


def test_account_mode_decides_which_api_answers(desk: Desk, unified: Desk) -> None:
    """Private v3 refuses classic accounts, private v2 unified ones, also after a migration; public v2 serves all."""
    assert desk.get("/api/v3/account/settings") == "40084"
    assert unified.get("/api/v2/spot/account/info") == "40085"
    assert unified.get("/api/v2/public/time") == {"serverTime": str(NOW)}
    desk.account.mode = "unified"
    assert (desk.get("/api/v2/spot/account/info"), desk.buy()) == ("40085", "40085")
    settings = desk.get("/api/v3/account/settings")
    assert isinstance(settings, dict)
    assert settings["accountMode"] == "unified"


@pytest.mark.parametrize(
    ("authorities", "reads", "places"),
    [(["stow"], True, True), (["trade"], True, True), (["stor"], True, False), (["wwow"], False, False)],
)
def test_classic_key_does_only_what_it_may(authorities: list[str], reads: bool, places: bool) -> None:
    """Reading needs a spot right, placing the write right; the info endpoint tells which, withdrawing included."""
    desk = Desk()
    desk.account.authorities = authorities
    assert (desk.get("/api/v2/spot/account/assets") != "40014") == reads
    assert (desk.buy() != "40014") == places
    info = desk.get("/api/v2/spot/account/info")
    assert isinstance(info, dict)
    assert (info["authorities"], info["ips"]) == (authorities, "")


def test_unified_key_does_only_what_it_may(unified: Desk) -> None:
    """Balances need management, orders the trade right and a key that is not read-only."""
    unified.account.permissions = ["uta_trade"]
    assert unified.get("/api/v3/account/assets") == "25620"
    unified.account.perm_type = "read-only"
    assert (unified.buy(), unified.get("/api/v3/trade/unfilled-orders")) == ("40014", {"list": [], "cursor": ""})
    unified.account.permissions = ["uta_mgt", "withdraw"]
    assert unified.get("/api/v3/trade/unfilled-orders") == "40014"
    info = unified.get("/api/v3/account/info")
    assert isinstance(info, dict)
    assert (info["permissions"], info["permType"]) == (["uta_mgt", "withdraw"], "read-only")


def test_ip_list_refuses_other_callers(desk: Desk) -> None:
    """A key bound to addresses works from these alone."""
    desk.account.ips = "10.0.0.1,10.0.0.2"
    assert desk.get("/api/v2/spot/account/info") == "40018"
    desk.exchange.caller_ip = "10.0.0.2"
    assert desk.get("/api/v2/spot/account/info") != "40018"


# Requests in general


def test_unknown_path_is_not_found(desk: Desk) -> None:
    """A wrong path or method gives HTTP 404 with a JSON code, before any key is looked at."""
    assert desk.send("GET", "/api/spot/v1/account/assets")[0] == 404
    status, reply = desk.send("GET", "/api/v2/spot/trade/place-order")
    assert (status, reply["code"]) == (404, "40404")


def test_endpoints_cover_the_documented_map() -> None:
    """Every call a spot plugin needs exists in both worlds."""
    assert {path.removeprefix("/api/v2/spot/") for _, path in ENDPOINTS if "/v2/spot/" in path} == {
        "account/assets",
        "account/info",
        "market/candles",
        "market/orderbook",
        "market/tickers",
        "public/symbols",
        "trade/batch-cancel-plan-order",
        "trade/cancel-order",
        "trade/cancel-plan-order",
        "trade/cancel-symbol-order",
        "trade/current-plan-order",
        "trade/fills",
        "trade/history-orders",
        "trade/history-plan-order",
        "trade/orderInfo",
        "trade/place-order",
        "trade/place-plan-order",
        "trade/plan-sub-order",
        "trade/unfilled-orders",
    }
    assert {path.removeprefix("/api/v3/") for _, path in ENDPOINTS if "/v3/" in path} == {
        "account/assets",
        "account/fee-rate",
        "account/funding-assets",
        "account/info",
        "account/settings",
        "market/instruments",
        "market/orderbook",
        "market/tickers",
        "trade/cancel-order",
        "trade/cancel-symbol-order",
        "trade/fills",
        "trade/history-orders",
        "trade/order-info",
        "trade/place-order",
        "trade/unfilled-orders",
    }


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "400172"),
        ("[]", "40019"),
        ('"text"', "400172"),
        ('{"symbol":"BTCUSDT","symbol":"ETHUSDT"}', "400172"),
        ('{"symbol":"BTCUSDT","side":"buy","orderType":"market","size":50}', "400172"),
        ('{"symbol":"BTCUSDT","side":"buy","orderType":"market"}', "40019"),
        ('{"symbol":"BTCUSDT","side":"buy","orderType":"market","size":"50","clientOrderId":"a"}', "400172"),
        ('{"symbol":"BTCUSDT","side":"BUY","orderType":"market","size":"50"}', "400172"),
        ('{"symbol":"BTCUSDT","side":"buy","orderType":"market","size":"5e1"}', "400172"),
        ('{"symbol":"BTCUSDT","side":"buy","orderType":"market","size":"-50"}', "400172"),
        ('{"symbol":"BTCUSDT","side":"buy","orderType":"market","size":"0"}', "400172"),
        ('{"symbol":"BTCUSDT","side":"buy","orderType":"limit","size":"0.01","price":"50000"}', "400172"),
    ],
)
def test_body_wrong_is_refused(desk: Desk, body: str, code: str) -> None:
    """Bodies must be one JSON object of documented names and plain decimal texts; a limit order needs `force`."""
    status, reply = desk.send("POST", "/api/v2/spot/trade/place-order", body)
    assert (status, reply["code"], desk.exchange.orders()) == (400, code, [])


def test_error_status_can_be_200(desk: Desk) -> None:
    """The same refusal can be sent under HTTP 200, as it has been seen."""
    desk.exchange.error_status = 200
    status, reply = desk.send("GET", "/api/v2/spot/market/tickers?symbol=NOPE")
    assert (status, reply["code"]) == (200, "40102")


def test_receive_window_refuses_late_requests(desk: Desk) -> None:
    """A request with a window is not carried out after it; a window above a minute is refused."""
    assert desk.buy(requestTime=str(NOW - 5001), receiveWindow="5000") == "40078"
    assert desk.buy(requestTime=str(NOW), receiveWindow="60001") == "40079"
    assert isinstance(desk.buy(requestTime=str(NOW - 5000), receiveWindow="5000"), dict)


def test_rate_limit_is_counted_per_endpoint_and_second(desk: Desk) -> None:
    """When switched on, one call too many within a second is refused with HTTP 429 and not carried out."""
    desk.exchange.is_limiting = True
    statuses = [desk.send("GET", "/api/v2/spot/account/info")[0] for _ in range(2)]
    assert statuses == [200, 429]
    assert desk.send("GET", "/api/v2/spot/account/assets")[0] == 200
    desk.clock.now += 1000
    assert desk.send("GET", "/api/v2/spot/account/info")[0] == 200


# Placing


@pytest.mark.parametrize(
    ("change", "classic", "unified"),
    [
        ({"symbol": "btcusdt"}, "40102", "25100"),
        ({"symbol": "XRPUSDT", "price": "0.5", "size": "10"}, "41113", "25101"),
        ({"symbol": "ETHUSDT", "price": "3000", "size": "1"}, "41114", "25102"),
        ({"price": "50000.001"}, "41103", "25610"),
        ({"size": "0.0010000"}, "40808", "25610"),
        ({"price": "63000.01"}, "40815", "25205"),
        ({"side": "sell", "price": "56999.99"}, "40816", "25206"),
        ({"size": "0.000019"}, "45110", "45110"),
        ({"size": "0.020001"}, "43012", "25202"),
        ({"side": "sell", "price": "70000", "size": "1.000001"}, "43012", "25202"),
        ({"clientOid": "a b"}, "40305", "40305"),
        ({"clientOid": "a" * 51}, "40304", "40305"),
        ({"orderType": "market", "size": "50.001"}, "40808", "25610"),
        ({"orderType": "market", "size": "0.99"}, "45110", "45110"),
        ({"orderType": "market", "size": "1000.01"}, "43012", "25202"),
    ],
)
def test_place_invalid_order_is_refused_with_its_code(change: Mapping[str, str], classic: str, unified: str) -> None:
    """Each rule of a market refuses with the code of its API, and a refusal leaves no order and locks nothing."""
    for desk, code in ((Desk("classic"), classic), (Desk("unified"), unified)):
        desk.exchange.ledger.pairs["XRPUSDT"].status = "offline"
        desk.exchange.ledger.pairs["ETHUSDT"].status = "halt"
        assert desk.buy(**change) == code
        assert desk.exchange.orders() == []
        assert desk.account.locked["USDT"] == 0


def test_place_too_many_decimals_names_the_scale(desk: Desk) -> None:
    """The refusal tells how many decimals the size may have."""
    body = {"symbol": "BTCUSDT", "side": "sell", "orderType": "market", "force": "gtc", "size": "0.1234567"}
    assert desk.send("POST", "/api/v2/spot/trade/place-order", json.dumps(body))[1]["msg"] == (
        "Parameter verification exception size checkBDScale error value=0.1234567 checkScale=6"
    )


def test_place_too_many_open_orders_is_refused(desk: Desk) -> None:
    """A market takes no more open orders than it says."""
    desk.exchange.ledger.pairs["BTCUSDT"].max_open = 2
    answers = [desk.buy(clientOid=f"bot-{number}") for number in range(3)]
    assert answers[2] == "43005"
    assert len(desk.exchange.orders(only_open=True)) == 2


def test_place_market_buy_size_is_quote(desk: Desk) -> None:
    """`size` of a market buy is what it spends; the fee comes out of the coin bought."""
    reply = desk.post(
        "/api/v2/spot/trade/place-order",
        symbol="BTCUSDT",
        side="buy",
        orderType="market",
        force="gtc",
        size="60.00",
        clientOid="bot-1",
    )
    assert reply == {"orderId": "1186617283289227267", "clientOid": "bot-1"}
    assets = {"coin": "USDT", "frozen": "0", "locked": "0", "limitAvailable": "0", "uTime": str(NOW)}
    assert desk.get("/api/v2/spot/account/assets") == [
        assets | {"coin": "BTC", "available": "1.000998001"},
        assets | {"available": "940.0599001"},
    ]
    row = only(desk.get("/api/v2/spot/trade/orderInfo", orderId="1186617283289227267"))
    fee_text = row.pop("feeDetail")
    assert row == {
        "userId": "1234567890",
        "symbol": "BTCUSDT",
        "orderId": "1186617283289227267",
        "clientOid": "bot-1",
        "price": "0",
        "size": "60.0000000000000000",
        "orderType": "market",
        "side": "buy",
        "status": "filled",
        "priceAvg": "60000.1000000000000000",
        "baseVolume": "0.0009990000000000",
        "quoteVolume": "59.9400999000000000",
        "enterPointSource": "API",
        "orderSource": "market",
        "cancelReason": "",
        "cTime": str(NOW),
        "uTime": str(NOW),
    }
    assert isinstance(fee_text, str)
    assert json.loads(fee_text, parse_float=Decimal)["newFees"]["t"] == D("-0.000000999")
    fill = only(desk.get("/api/v2/spot/trade/fills", orderId="1186617283289227267"))
    assert (fill["size"], fill["amount"], fill["tradeScope"]) == ("0.000999", "59.9400999", "taker")
    assert fill["feeDetail"] == {
        "deduction": "no",
        "feeCoin": "BTC",
        "totalDeductionFee": "",
        "totalFee": "-0.000000999",
    }


def test_place_unified_market_buy_reports_its_budget(unified: Desk) -> None:
    """In v3 one object answers, `qty` of a market buy is zero, `amount` its budget, and fees are positive."""
    reply = unified.buy(orderType="market", size="60.00", clientOid="bot-1")
    assert reply == {"orderId": "1186617283289227267", "clientOid": "bot-1"}
    assert unified.get("/api/v3/trade/order-info", clientOid="bot-1") == {
        "orderId": "1186617283289227267",
        "clientOid": "bot-1",
        "category": "SPOT",
        "symbol": "BTCUSDT",
        "orderType": "market",
        "side": "buy",
        "price": "0",
        "qty": "0",
        "amount": "60",
        "cumExecQty": "0.000999",
        "cumExecValue": "59.9400999",
        "avgPrice": "60000.1",
        "timeInForce": "gtc",
        "orderStatus": "filled",
        "posSide": "",
        "holdMode": "",
        "tradeSide": "open",
        "reduceOnly": "NO",
        "feeDetail": [{"feeCoin": "BTC", "fee": "0.000000999"}],
        "cancelReason": "",
        "execType": "",
        "createdTime": str(NOW),
        "updatedTime": str(NOW),
    }
    fills = unified.get("/api/v3/trade/fills", category="SPOT")
    assert isinstance(fills, dict)
    assert only(fills["list"])["execValue"] == "59.9400999"


@pytest.mark.parametrize(
    ("force", "price", "status", "reason"),
    [
        ("gtc", "50000", "live", ""),
        ("gtc", "60000.1", "filled", ""),
        ("post_only", "50000", "live", ""),
        ("post_only", "60000.1", "cancelled", "post_only_fill_cancel"),
        ("ioc", "50000", "cancelled", "ioc_not_full_cancel"),
        ("fok", "50000", "cancelled", "fok_not_full_cancel"),
    ],
)
def test_place_force_decides_what_becomes_of_the_order(force: str, price: str, status: str, reason: str) -> None:
    """Post-only, IOC and FOK orders that cannot be are accepted first and then read as cancelled; v3 tells why."""
    classic, unified = Desk(), Desk("unified")
    assert isinstance(classic.buy(price, force=force, clientOid="bot-1"), dict)
    row = only(classic.get("/api/v2/spot/trade/orderInfo", clientOid="bot-1"))
    assert (row["status"], row["cancelReason"]) == (status, "normal_cancel" if status == "cancelled" else "")
    assert isinstance(unified.buy(price, timeInForce=force, clientOid="bot-1"), dict)
    order = unified.get("/api/v3/trade/order-info", clientOid="bot-1")
    assert isinstance(order, dict)
    assert (order["orderStatus"], order["cancelReason"]) == (status, reason)
    fees = {"live": ("", ""), "cancelled": (None, None), "filled": ("BTC", "0.000001")}
    assert order["feeDetail"] == [dict(zip(("feeCoin", "fee"), fees[status], strict=True))]


def test_place_duplicate_client_id_is_refused(desk: Desk, unified: Desk) -> None:
    """A classic account never takes an id twice; a unified one does once the first order is done."""
    desk.buy(clientOid="bot-1")
    assert desk.buy(clientOid="bot-1") == "43118"
    desk.exchange.ledger.cancel(desk.exchange.orders()[0])
    assert desk.buy(clientOid="bot-1") == "43118"
    unified.buy(clientOid="bot-1")
    assert unified.buy(clientOid="bot-1") == "25212"
    unified.exchange.ledger.cancel(unified.exchange.orders()[0])
    assert isinstance(unified.buy(clientOid="bot-1"), dict)
    assert len(unified.exchange.orders(client_id="bot-1")) == 2


# Reading


def test_unfilled_orders_swap_their_prices(desk: Desk) -> None:
    """In this list `priceAvg` is the price ordered, `basePrice` the average paid, and there is no `price`."""
    desk.buy("50000", "0.004", clientOid="bot-1")
    desk.exchange.ledger.fill(desk.exchange.orders()[0], "0.001", "49000")
    row = only(desk.get("/api/v2/spot/trade/unfilled-orders", symbol="BTCUSDT"))
    assert "price" not in row
    assert {name: row[name] for name in ("priceAvg", "basePrice", "size", "baseVolume", "quoteVolume", "status")} == {
        "priceAvg": "50000",
        "basePrice": "49000",
        "size": "0.004",
        "baseVolume": "0.001",
        "quoteVolume": "49",
        "status": "partially_filled",
    }
    usdt = only(desk.get("/api/v2/spot/account/assets", coin="USDT"))
    assert (usdt["available"], usdt["frozen"]) == ("801", "150")


@pytest.mark.parametrize("mode", ["classic", "unified"])
def test_lists_are_paged_newest_first(mode: Mode) -> None:
    """Open orders and history come newest first; the cursor goes on below the last row seen."""
    desk = Desk(mode)
    for number in range(5):
        desk.buy(clientOid=f"bot-{number}")
        desk.clock.now += 1
    for order in desk.exchange.orders()[:2]:
        desk.exchange.ledger.cancel(order)
    if mode == "classic":
        first = desk.get("/api/v2/spot/trade/unfilled-orders", limit="2")
        assert isinstance(first, list)
        second = desk.get("/api/v2/spot/trade/unfilled-orders", limit="2", idLessThan=first[-1]["orderId"])
        done = desk.get("/api/v2/spot/trade/history-orders", startTime=str(NOW + 1))
    else:
        page = desk.get("/api/v3/trade/unfilled-orders", limit="2")
        assert isinstance(page, dict)
        first = page["list"]
        page = desk.get("/api/v3/trade/unfilled-orders", limit="2", cursor=page["cursor"])
        assert isinstance(page, dict)
        second = page["list"]
        page = desk.get("/api/v3/trade/history-orders", category="SPOT", startTime=str(NOW + 1))
        assert isinstance(page, dict)
        done = page["list"]
    assert (ids(first), ids(second), ids(done)) == (["bot-4", "bot-3"], ["bot-2"], ["bot-1"])


def test_list_parameters_out_of_range_are_refused(desk: Desk, unified: Desk) -> None:
    """A page holds at most 100 rows, and a span at most 90 days in v2 and 30 in v3."""
    assert desk.get("/api/v2/spot/trade/unfilled-orders", limit="101") == "400172"
    day = 86_400_000
    assert desk.get("/api/v2/spot/trade/fills", startTime=str(NOW - 91 * day)) == "40705"
    assert unified.get("/api/v3/trade/fills", startTime=str(NOW - 31 * day)) == "40705"
    assert unified.get("/api/v3/trade/history-orders") == "40019"


def test_order_info_by_client_id_ends_after_two_hours(desk: Desk) -> None:
    """A classic look-up by `clientOid` finds orders of the last two hours; by `orderId` it goes on."""
    desk.buy(clientOid="bot-1")
    desk.clock.now += 2 * 3_600_000
    assert only(desk.get("/api/v2/spot/trade/orderInfo", clientOid="bot-1"))["status"] == "live"
    desk.clock.now += 1
    assert desk.get("/api/v2/spot/trade/orderInfo", clientOid="bot-1") == []
    order_id = desk.exchange.orders()[0].id
    assert only(desk.get("/api/v2/spot/trade/orderInfo", orderId=order_id))["status"] == "live"


def test_order_info_of_unknown_order_is_empty_or_refused(desk: Desk, unified: Desk) -> None:
    """Classic answers an empty list or 43001, as set; unified answers 25204; neither without any id."""
    assert desk.get("/api/v2/spot/trade/orderInfo", orderId="1") == []
    desk.exchange.unknown_order = "43001"
    assert desk.get("/api/v2/spot/trade/orderInfo", orderId="1") == "43001"
    assert desk.get("/api/v2/spot/trade/orderInfo") == "400172"
    assert unified.get("/api/v3/trade/order-info", orderId="1") == "25204"


def test_other_accounts_see_nothing(desk: Desk) -> None:
    """Orders and balances belong to the key's account."""
    desk.buy(clientOid="bot-1")
    desk.exchange.add_account(KEY, SECRET, PASSPHRASE)
    assert desk.get("/api/v2/spot/trade/unfilled-orders") == []
    assert desk.get("/api/v2/spot/account/assets") == []


async def test_stale_order_is_in_no_read_until_released(desk: Desk) -> None:
    """A hidden order is found by no read and cannot be canceled, yet its id is taken."""
    fault = desk.exchange.misbehave("stale")
    target = "/api/v2/spot/trade/place-order"
    body = '{"symbol":"BTCUSDT","side":"buy","orderType":"limit","force":"gtc","price":"60000.1","size":"0.001"}'
    message = f"{NOW}POST{target}{body}".encode()
    sign = base64.b64encode(hmac.digest(SECRET.encode(), message, hashlib.sha256)).decode()
    headers = {"access-key": KEY, "access-sign": sign, "access-timestamp": str(NOW), "access-passphrase": PASSPHRASE}
    headers["content-type"] = "application/json"
    reply = await desk.exchange.answer(Received("POST", target, headers, body.encode()))
    assert reply is not None
    order_id = json.loads(reply.body)["data"]["orderId"]

    def reads() -> list[int]:
        lists = [
            desk.get("/api/v2/spot/trade/orderInfo", orderId=order_id),
            desk.get("/api/v2/spot/trade/history-orders"),
            desk.get("/api/v2/spot/trade/fills"),
        ]
        return [len(rows) for rows in lists if isinstance(rows, list)]

    assert reads() == [0, 0, 0]
    assert desk.post("/api/v2/spot/trade/cancel-order", symbol="BTCUSDT", orderId=order_id) == "43001"
    assert desk.buy(clientOid=order_id) == "43118"
    fault.release()
    assert reads() == [1, 1, 1]


# Canceling


def test_cancel_frees_the_funds_once(desk: Desk) -> None:
    """A cancel frees the lock; again within a second is 45129, later 45031; unknown or of another symbol 43001."""
    ack = desk.buy(clientOid="bot-1")
    path = "/api/v2/spot/trade/cancel-order"
    assert desk.post(path, symbol="ETHUSDT", clientOid="bot-1") == "43001"
    assert desk.post(path, symbol="BTCUSDT", clientOid="bot-1") == ack
    assert (desk.account.free["USDT"], desk.account.locked["USDT"]) == (D(1000), D(0))
    desk.clock.now += 999
    assert desk.post(path, symbol="BTCUSDT", clientOid="bot-1") == "45129"
    desk.clock.now += 1000
    assert desk.post(path, symbol="BTCUSDT", clientOid="bot-1") == "45031"
    assert desk.post(path, symbol="BTCUSDT", clientOid="bot-2") == "43001"
    assert desk.post(path, clientOid="bot-1") == "40019"


def test_cancel_unified_order_needs_no_symbol(unified: Desk) -> None:
    """In v3 the id alone is enough, and `orderId` wins over `clientOid`."""
    ack = unified.buy(clientOid="bot-1")
    unified.buy(clientOid="bot-2")
    assert isinstance(ack, dict)
    assert unified.post("/api/v3/trade/cancel-order", orderId=ack["orderId"], clientOid="bot-2") == ack
    assert [order.client_id for order in unified.exchange.orders(only_open=True)] == ["bot-2"]
    assert unified.post("/api/v3/trade/cancel-order", orderId="1") == "25204"


def test_cancel_all_of_a_symbol_may_leave_orders_behind(desk: Desk) -> None:
    """The reply only repeats the symbol, whatever was canceled."""
    for number in range(3):
        desk.buy(clientOid=f"bot-{number}")
    desk.exchange.leaves_behind = 1
    assert desk.post("/api/v2/spot/trade/cancel-symbol-order", symbol="BTCUSDT") == {"symbol": "BTCUSDT"}
    assert [order.client_id for order in desk.exchange.orders(only_open=True)] == ["bot-2"]


def test_cancel_all_unified_lists_what_it_canceled(unified: Desk) -> None:
    """Without a symbol v3 cancels every spot order, and answers for each."""
    first = unified.buy(clientOid="bot-1")
    second = unified.buy(symbol="BTCUSDC", side="sell", price="70000", clientOid="bot-2")
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    done = {"code": "00000", "msg": "success"}
    assert unified.post("/api/v3/trade/cancel-symbol-order", category="SPOT") == {"list": [first | done, second | done]}
    assert unified.exchange.orders(only_open=True) == []


# Plan orders


def place_stop(desk: Desk, **more: str) -> object:
    terms = {"symbol": "BTCUSDT", "side": "sell", "orderType": "market", "size": "0.1", "triggerPrice": "55000"}
    return desk.post("/api/v2/spot/trade/place-plan-order", **terms | {"triggerType": "fill_price"} | more)


def test_plan_order_waits_fires_and_names_its_order(desk: Desk) -> None:
    """A plan is pending and locks nothing; at its trigger it becomes an order, which `plan-sub-order` names."""
    ack = place_stop(desk, clientOid="stop-1")
    assert isinstance(ack, dict)
    pending = desk.get("/api/v2/spot/trade/current-plan-order", symbol="BTCUSDT")
    assert pending == {
        "nextFlag": False,
        "idLessThan": ack["orderId"],
        "orderList": [
            {
                **ack,
                "symbol": "BTCUSDT",
                "size": "0.1",
                "executePrice": "0",
                "triggerPrice": "55000",
                "status": "live",
                "orderType": "market",
                "side": "sell",
                "planType": "amount",
                "triggerType": "fill_price",
                "enterPointSource": "API",
                "uTime": str(NOW),
                "cTime": str(NOW),
            }
        ],
    }
    assert desk.account.locked["BTC"] == 0
    assert desk.get("/api/v2/spot/trade/unfilled-orders") == []
    desk.exchange.set_price("BTCUSDT", "54999.00", "55001.00")
    row = only(desk.get("/api/v2/spot/trade/plan-sub-order", planOrderId=ack["orderId"]))
    order = only(desk.get("/api/v2/spot/trade/orderInfo", orderId=str(row["orderId"])))
    assert (order["status"], order["priceAvg"]) == ("filled", "54999.0000000000000000")
    history = desk.get(
        "/api/v2/spot/trade/history-plan-order", symbol="BTCUSDT", startTime=str(NOW - 1), endTime=str(NOW)
    )
    assert isinstance(history, dict)
    assert only(history["orderList"])["status"] == "executed"


def test_plan_order_without_funds_fails_to_execute(desk: Desk) -> None:
    """Funds are asked for when the plan fires: then it reads as `fail_execute`."""
    place_stop(desk, size="5")
    desk.exchange.set_price("BTCUSDT", "54999.00", "55001.00")
    history = desk.get(
        "/api/v2/spot/trade/history-plan-order", symbol="BTCUSDT", startTime=str(NOW - 1), endTime=str(NOW)
    )
    assert isinstance(history, dict)
    assert only(history["orderList"])["status"] == "fail_execute"
    assert desk.exchange.orders() == []


def test_plan_order_market_buy_in_quote_spends_its_size(desk: Desk) -> None:
    """`planType` `total` gives the size in quote."""
    place_stop(desk, side="buy", triggerPrice="65000", size="100", planType="total")
    desk.exchange.set_price("BTCUSDT", "65000.00", "65000.00")
    order = desk.exchange.orders()[0]
    assert (order.status, order.budget, order.value) == ("filled", D("100"), D("99.97"))


def test_plan_order_is_canceled_once(desk: Desk) -> None:
    """Canceling a plan by its own endpoint works once; the endpoint for orders does not know it."""
    ack = place_stop(desk, clientOid="stop-1")
    assert isinstance(ack, dict)
    assert desk.post("/api/v2/spot/trade/cancel-order", symbol="BTCUSDT", orderId=ack["orderId"]) == "43001"
    answers = [desk.post("/api/v2/spot/trade/cancel-plan-order", clientOid="stop-1") for _ in range(2)]
    assert answers == [{"result": "success"}, "43025"]
    desk.exchange.set_price("BTCUSDT", "54999.00", "55001.00")
    assert desk.exchange.orders() == []


@pytest.mark.parametrize(
    ("body", "canceled"),
    [
        ({"symbolList": ["BTCUSDT"]}, ["stop-1", "stop-2"]),
        ({"symbolList": ["ETHUSDT", "XRPUSDT"]}, ["stop-3"]),
        ({"symbolList": []}, ["stop-1", "stop-2", "stop-3"]),
        ({}, ["stop-1", "stop-2", "stop-3"]),
    ],
)
def test_plan_orders_of_listed_markets_are_canceled(desk: Desk, body: dict[str, object], canceled: list[str]) -> None:
    """One request cancels every plan of the markets it lists, of all markets when it lists none, and no order."""
    placed = [
        place_stop(desk, clientOid="stop-1"),
        place_stop(desk, clientOid="stop-2"),
        place_stop(desk, clientOid="stop-3", symbol="ETHUSDT", triggerPrice="2500"),
    ]
    desk.buy()
    expected = [ack for ack in placed if isinstance(ack, dict) and ack["clientOid"] in canceled]
    path = "/api/v2/spot/trade/batch-cancel-plan-order"
    assert desk.post(path, **body) == {"successList": expected, "failureList": []}
    assert desk.post(path, **body) == {"successList": [], "failureList": []}
    waiting = [plan.client_id for plan in desk.exchange.ledger.plans if plan.status == "open"]
    assert sorted(waiting + canceled) == ["stop-1", "stop-2", "stop-3"]
    assert [order.status for order in desk.exchange.orders()] == ["open"]


@pytest.mark.parametrize(
    ("symbols", "code"),
    [
        ("BTCUSDT", "400172"),
        ([["BTCUSDT"]], "400172"),
        ([{"symbol": "BTCUSDT"}], "400172"),
        (["BTCUSDT", 1], "400172"),
        (["BTCUSD"], "40102"),
        ([""], "40102"),
    ],
)
def test_plan_orders_of_a_wrong_list_stay(desk: Desk, symbols: object, code: str) -> None:
    """The list must be one of texts that each name a market; otherwise nothing is canceled."""
    place_stop(desk)
    assert desk.post("/api/v2/spot/trade/batch-cancel-plan-order", symbolList=symbols) == code
    assert [plan.status for plan in desk.exchange.ledger.plans] == ["open"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"triggerPrice": "55000.001"}, "41103"),
        ({"orderType": "limit"}, "400172"),
        ({"size": "0.0000001"}, "40808"),
        ({"size": "0.00001"}, "45110"),
        ({"triggerType": "market_price"}, "400172"),
        ({"clientOid": "bot-1"}, "43118"),
    ],
)
def test_plan_order_invalid_is_refused(desk: Desk, change: Mapping[str, str], code: str) -> None:
    """Plans keep to the market's rules, and share client ids with orders."""
    desk.buy(clientOid="bot-1")
    assert place_stop(desk, **change) == code
    assert desk.exchange.ledger.plans == []


# Public and balances


def test_markets_and_tickers_have_documented_shapes(desk: Desk) -> None:
    """Numbers are text, an empty side is an empty text, and v3's book holds bare numbers."""
    desk.exchange.ledger.set_book("BTCUSDT", [("59999.5", "2")], [], last="60000")
    symbol = only(desk.get("/api/v2/spot/public/symbols", symbol="BTCUSDT"))
    assert (symbol["pricePrecision"], symbol["quantityPrecision"], symbol["minTradeUSDT"]) == ("2", "6", "1")
    ticker = only(desk.get("/api/v2/spot/market/tickers", symbol="BTCUSDT"))
    assert {name: ticker[name] for name in ("lastPr", "bidPr", "bidSz", "askPr", "askSz", "ts")} == {
        "lastPr": "60000",
        "bidPr": "59999.5",
        "bidSz": "2",
        "askPr": "",
        "askSz": "",
        "ts": str(NOW),
    }
    v3_ticker = only(desk.get("/api/v3/market/tickers", category="SPOT", symbol="BTCUSDT"))
    assert (v3_ticker["lastPrice"], v3_ticker["bid1Price"], v3_ticker["ask1Price"]) == ("60000", "59999.5", "")
    book = {"asks": [], "bids": [["59999.5", "2"]], "ts": str(NOW)}
    assert desk.get("/api/v2/spot/market/orderbook", symbol="BTCUSDT", limit="5") == book
    v3_book = {"a": [], "b": [[59999.5, 2.0]], "ts": str(NOW)}
    assert desk.get("/api/v3/market/orderbook", category="SPOT", symbol="BTCUSDT") == v3_book
    instruments = desk.get("/api/v3/market/instruments", category="SPOT")
    assert isinstance(instruments, list)
    assert [row["symbol"] for row in instruments] == ["BTCUSDT", "ETHUSDT", "XRPUSDT", "BTCUSDC"]
    fees = {"makerFeeRate": "0.001", "takerFeeRate": "0.001"}
    assert desk.get("/api/v2/common/trade-rate", businessType="spot", symbol="BTCUSDT") == fees


def test_unified_balances_leave_the_funding_wallet_apart(unified: Desk) -> None:
    """v3 lists what is not zero, with what orders lock; the funding wallet is another list."""
    unified.account.funding["USDT"] = D("7.5")
    unified.buy("50000", "0.01")
    assets = unified.get("/api/v3/account/assets")
    assert isinstance(assets, dict)
    assert assets["assets"][1] == {
        "coin": "USDT",
        "equity": "1000",
        "usdValue": "1000",
        "balance": "1000",
        "available": "500",
        "debt": "0",
        "locked": "500",
    }
    assert unified.get("/api/v3/account/funding-assets", coin="USDT") == [
        {"coin": "USDT", "available": "7.5", "frozen": "0", "balance": "7.5"}
    ]
    assert unified.get("/api/v3/account/fee-rate", category="SPOT", symbol="BTCUSDT") == {
        "makerFeeRate": "0.001",
        "takerFeeRate": "0.001",
    }


# Faults in Bitget's form


@pytest.mark.parametrize(
    ("kind", "status", "code", "existing"),
    [
        ("rate_limited", 429, "429", 0),
        ("banned", 418, "429", 0),
        ("refuse:43012", 400, "43012", 0),
        ("accept:40010", 400, "40010", 1),
    ],
)
async def test_fault_speaks_bitget(desk: Desk, kind: str, status: int, code: str, existing: int) -> None:
    """Refusals on demand come in Bitget's envelope, with or without the order having been placed."""
    desk.exchange.misbehave(kind, "place-order")
    method, target, body, sign = VECTORS[3][:4]
    headers = {"access-key": KEY, "access-sign": sign, "access-timestamp": str(NOW), "access-passphrase": PASSPHRASE}
    headers["content-type"] = "application/json"
    reply = await desk.exchange.answer(Received(method, target, headers, body.encode()))
    assert reply is not None
    envelope = json.loads(reply.body)
    assert (reply.status, envelope["code"], envelope["data"]) == (status, code, None)
    assert (len(desk.exchange.orders(client_id="bot-0001")), desk.exchange.placing_requests) == (existing, 1)
