from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from bot.testing.btcc import StrictBTCC, signature
from bot.testing.strict import Received, StrictServer

KEY = "a31b51a3-92ec-4ebe-935e-2a9aeadfc268"
SECRET = "473740ab-c249-4f5e-803b-f6db21ec97e0"
TM = 1724999193
API = "/btcc_api_trade/"
STAMP = f"access_id={KEY}&tm={TM}"
HEAD = f'{{"access_id":"{KEY}","tm":{TM},'

# The requests of BTCC's document, byte by byte; hashes by its own sample code. Last: code of the answer.
VECTORS = [
    ("GET", f"asset/query?{STAMP}", "", "fdafaa99b5e7560acc7c43cbd01da861", 0),
    (
        "POST",
        "order/limit",
        f'{HEAD}"market":"BTCUSDT","side":1,"amount":"0.02","price":"59369.11","source":"android"}}',
        "d350ebfeff35ddd413ff3cfa22f10309",
        0,
    ),
    (
        "POST",
        "order/limit",
        f'{HEAD}"market":"BTCUSDT","side":2,"amount":"0.02","price":"69369.11","source":"tgbot","option":8,'
        '"client_id":"tg-000001"}',
        "7c2f63e3f6b81d374560a3f6ce63c772",
        0,
    ),
    (
        "POST",
        "order/market",
        f'{HEAD}"market":"BTCUSDT","side":1,"amount":"55.90","source":"python example","option":0}}',
        "c682d642e506244e2beff6147ae08275",
        0,
    ),
    ("POST", "order/cancel", f'{HEAD}"market":"BTCUSDT","id":6996187031}}', "ad9e167075d63f317c577062366253dc", 10),
    (
        "GET",
        f"order/pending?{STAMP}&market=BTCUSDT&side=0&offset=0&limit=50",
        "",
        "a4b4026aa3d31870b1428702bb6d8523",
        0,
    ),
    ("POST", "order/cancel_all", f'{HEAD}"market":"BTCUSDT","side":0}}', "25402a70b42268a65a53465dc20dcf24", 0),
    (
        "GET",
        f"order/pending_detail?{STAMP}&market=BTCUSDT&order_id=6996187031",
        "",
        "5aa31c4cf368bbaad5a5b4f3959f8203",
        0,
    ),
    ("GET", f"order/finish_detail?{STAMP}&order_id=6996187031", "", "f6c3e18ee1c29c3cb4d8f96c2d0b06f3", 0),
]


class Desk:
    """A signed client of one account, straight into the exchange, with a recipe of its own for the signature."""

    def __init__(self) -> None:
        self.now_ms = TM * 1000
        self.exchange = StrictBTCC(clock=lambda: self.now_ms)
        self.account = self.exchange.add_account(KEY, SECRET, balances={"USDT": "10000", "BTC": "1", "MINA": "100"})
        self.key, self.secret, self.tm_offset = KEY, SECRET, 0

    def send(self, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, Any]:
        reply = self.exchange.handle(Received(method, API + target, headers, body))
        return reply.status, json.loads(reply.body) if reply.body.startswith(b"{") else reply.body

    def call(self, method: str, name: str, **fields: Any) -> Any:
        fields = {"access_id": self.key, "tm": self.now_ms // 1000 + self.tm_offset} | fields
        named = sorted([*fields.items(), ("secret_key", self.secret)])
        digest = hashlib.md5("&".join(f"{name}={value}" for name, value in named).encode()).hexdigest()
        headers = {"authorization": digest, "content-type": "application/json"}
        if method == "POST":
            return self.send("POST", name, headers, json.dumps(fields).encode())[1]
        query = "&".join(f"{name}={quote(str(value))}" for name, value in fields.items())
        return self.send("GET", f"{name}?{query}", headers)[1]

    def get(self, name: str, **fields: Any) -> Any:
        return outcome(self.call("GET", name, **fields))

    def post(self, name: str, **fields: Any) -> Any:
        return outcome(self.call("POST", name, **fields))

    def public(self, target: str) -> Any:
        return self.send("GET", target, {})[1]

    def buy(self, price: str = "50000", amount: str = "0.02", **more: Any) -> Any:
        """Place a limit buy; below 60000.10 it rests."""
        terms = {"market": "BTCUSDT", "side": 1, "price": price, "amount": amount, "source": "t1"} | more
        return self.post("order/limit", **{name: value for name, value in terms.items() if value is not None})

    def market(self, side: int, amount: str, market: str = "BTCUSDT") -> Any:
        return self.post("order/market", market=market, side=side, amount=amount, source="t1")

    def pending(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.get("order/pending", market="BTCUSDT", offset=0, limit=100)["records"]
        return rows


def outcome(reply: Any) -> Any:
    """Return the result, or the code of a refusal."""
    error = reply.get("error") or {}
    code = reply.get("code") or error.get("code", 0)
    return code or reply.get("result")


@pytest.fixture
def desk() -> Desk:
    return Desk()


# Signature, keys, time


async def send_vector(method: str, target: str, body: str, digest: str) -> Any:
    exchange = StrictBTCC(clock=lambda: TM * 1000)
    exchange.add_account(KEY, SECRET, balances={"USDT": "10000", "BTC": "1"})
    headers = {"authorization": digest, "content-type": "application/json"}
    async with StrictServer(exchange) as server, httpx.AsyncClient() as client:
        reply = await client.request(method, server.url + API + target, content=body, headers=headers)
    error = reply.json()["error"]
    return 0 if error is None else error["code"]


@pytest.mark.network
@pytest.mark.parametrize(("method", "target", "body", "digest", "code"), VECTORS)
async def test_signature_of_known_vector_is_accepted(
    method: str, target: str, body: str, digest: str, code: int
) -> None:
    """The documented requests pass, each at its endpoint, over real HTTP."""
    assert await send_vector(method, target, body, digest) == code


@pytest.mark.network
@pytest.mark.parametrize(("method", "target", "body", "digest", "code"), VECTORS)
async def test_signature_with_one_byte_flipped_is_refused(
    method: str, target: str, body: str, digest: str, code: int
) -> None:
    """One changed byte of the hash or of what it covers refuses the request with 204."""
    flipped = ("a" if digest[0] != "a" else "b") + digest[1:]
    assert await send_vector(method, target, body, flipped) == 204
    other = body.replace("BTCUSDT", "ETHUSDT") if body else ""
    assert await send_vector(method, target if body else f"{target}0", other, digest) == 204


@pytest.mark.parametrize(
    ("fields", "secret", "expected"),
    [
        (
            {"market": "BTCUSDT", "order_ids": "6996187031|6996187032", "access_id": KEY, "tm": TM},
            SECRET,
            "9fc1caec4e5aaff503ed5ead8dbeff84",
        ),
        (
            {"cc": 46, "aa": "mm", "bb": 56, "tm": 1698400838},
            "4b2211c547dc29f777e9804873abc412",
            "7c4c8b2a6616f4753a5c5e3a7fd32744",
        ),
    ],
)
def test_signature_of_documented_values_is_known(fields: dict[str, Any], secret: str, expected: str) -> None:
    """The recipe gives the known answers for the requests that have no endpoint here."""
    assert signature(fields, secret) == expected


def test_signature_of_a_value_with_ampersand_is_not_verified(desk: Desk) -> None:
    """The document's code tears the joined text apart at `&`, so such a value sorts differently there."""
    assert desk.buy(source="z&a") == 204


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"secret": "wrong"}, 204),
        ({"key": "unknown"}, 205),
        ({"tm_offset": -31}, 204),
        ({"tm_offset": 31}, 204),
        ({"tm_offset": -30}, None),
        ({"tm_offset": TM * 999}, 204),
    ],
)
def test_key_and_time_are_checked(desk: Desk, changes: dict[str, Any], code: int | None) -> None:
    """A wrong secret and a wrong time have one code, milliseconds included; an unknown key has another."""
    for name, value in changes.items():
        setattr(desk, name, value)
    found = desk.get("asset/query")
    assert found == code if code else "USDT" in found


def test_rights_and_addresses_are_checked(desk: Desk) -> None:
    """A key without Trade reads and does not trade; a key bound elsewhere does neither."""
    desk.account.rights.remove("trade")
    assert (desk.buy(), "USDT" in desk.get("asset/query")) == (6, True)
    desk.account.ips = ("203.0.113.7",)
    assert desk.get("asset/query") == 205
    desk.exchange.caller_ip = "203.0.113.7"
    assert "USDT" in desk.get("asset/query")


# Parameters


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"source": None}, 202),
        ({"source": "x" * 31}, 202),
        ({"amount": 0.02}, 202),
        ({"amount": 2}, 202),
        ({"side": "1"}, 202),
        ({"side": True}, 202),
        ({"option": None}, 6996187031),
        ({"colour": "red"}, 202),
        ({"side": 3}, 1),
        ({"option": 1}, 1),
        ({"market": "BTCEUR"}, 1),
        ({"amount": "1e-2"}, 1),
        ({"amount": "1,000"}, 1),
        ({"price": "0"}, 1),
    ],
)
def test_parameters_must_have_their_documented_types(desk: Desk, changes: dict[str, Any], code: int) -> None:
    """Amounts are strings, codes integers, `source` is required, and nothing unknown is taken."""
    body = {name: value for name, value in changes.items() if value is not None or name == "source"}
    found = desk.buy(**body)
    assert (found["id"] if isinstance(found, dict) else found) == code


def test_member_sent_twice_is_refused(desk: Desk) -> None:
    """Which of the two is signed would be anybody's guess."""
    body = f'{HEAD}"market":"BTCUSDT","side":1,"side":1}}'.encode()
    headers = {"authorization": "0" * 32, "content-type": "application/json"}
    assert outcome(desk.send("POST", "order/cancel_all", headers, body)[1]) == 202


def test_client_id_may_be_unknown_to_the_exchange(desk: Desk) -> None:
    """The document lists it in answers only, so it may be refused."""
    assert desk.buy(client_id="t1")["client_id"] == "t1"
    desk.exchange.takes_client_id = False
    assert (desk.buy(client_id="t1"), desk.buy()["client_id"]) == (202, "")


@pytest.mark.parametrize("where", ["code", "error"])
def test_service_codes_come_in_either_envelope(desk: Desk, where: Any) -> None:
    """Where the numbers from 201 on are carried is not documented; both are HTTP 200."""
    desk.exchange.codes_in = where
    desk.secret = "wrong"
    reply = desk.call("GET", "asset/query")
    assert (reply if where == "code" else reply["error"])["code"] == 204


# Market data


def test_market_data_has_the_documented_shapes(desk: Desk) -> None:
    """Success with an error object, a bare price, a book in milliseconds, a time in seconds."""
    listed = desk.public("market/list")
    assert (listed["error"], listed["result"][0]) == (
        {"code": 0, "message": ""},
        {
            "money": "USDT",
            "stock": "BTC",
            "name": "BTCUSDT",
            "fee_prec": 4,
            "money_prec": 2,
            "stock_prec": 5,
            "min_amount": "0.0003",
            "switch": True,
        },
    )
    assert desk.public("market/last?market=BTCUSDT") == {"error": None, "result": "60000", "id": 0, "ttl": 400}
    book = desk.public("market/depth?market=BTCUSDT&limit=5&merge=0")["result"]
    assert (book["asks"], book["last"], book["time"]) == ([["60000.1", "1000000"]], "60000", TM * 1000)
    assert desk.public("time") == {"code": 0, "data": TM, "message": "OK"}


def test_market_data_refuses_what_is_not_documented(desk: Desk) -> None:
    """Other depths, missing parameters and unknown paths."""
    assert outcome(desk.public("market/depth?market=BTCUSDT&limit=7&merge=0")) == 1
    assert outcome(desk.public("market/depth?market=BTCUSDT&limit=5")) == 202
    assert desk.send("GET", "market/ticker?market=BTCUSDT", {})[0] == 404
    assert desk.send("POST", "order/place_order", {}, b"{}")[0] == 404


def test_closed_market_tells_when_it_opens_and_takes_no_order(desk: Desk) -> None:
    """`open_time` comes with a market that is switched off, and orders for it end with 207."""
    desk.exchange.ledger.pairs["BTCUSDT"].status = "offline"
    row = desk.public("market/list")["result"][0]
    assert (row["switch"], row["open_time"], desk.buy()) == (False, TM + 3600, 207)


# Orders


def test_side_one_buys_and_side_two_sells(desk: Desk) -> None:
    """The numbers of the document, not those of the engine family."""
    desk.buy(side=1)
    desk.buy(side=2, price="70000")
    assert [order.side for order in desk.exchange.orders()] == ["buy", "sell"]


def test_limit_order_answers_with_the_order(desk: Desk) -> None:
    """The whole order object, its id an integer, its figures text."""
    placed = desk.buy(client_id="t1")
    assert {name: placed[name] for name in ("id", "type", "side", "amount", "left", "deal_stock", "ctime")} == {
        "id": 6996187031,
        "type": 1,
        "side": 1,
        "amount": "0.02",
        "left": "0.02",
        "deal_stock": "0",
        "ctime": TM,
    }
    assert desk.pending()[0] == placed


def test_market_buy_amount_is_money(desk: Desk) -> None:
    """61.1 is spent as far as whole lots go; the rest is left over, and the fee is taken from what is bought."""
    bought = desk.market(1, "61.10000")
    names = ("amount", "deal_stock", "deal_money", "left", "deal_fee")
    assert [bought[name] for name in names] == ["61.1", "0.00101", "60.600101", "0.499899", "0.00000303"]
    assert desk.account.free["USDT"] == 10000 - desk.exchange.orders()[0].value


def test_market_sell_amount_is_a_quantity(desk: Desk) -> None:
    """The same field is base there."""
    assert desk.market(2, "0.1")["deal_money"] == "6000"


def test_surplus_decimals_are_cut_without_a_word(desk: Desk) -> None:
    """MINA has one decimal, for the money of a market buy too."""
    assert desk.market(1, "30.99", "MINAUSDT")["amount"] == "30.9"
    assert desk.buy(amount="0.0200099")["amount"] == "0.02"


def test_refusals_of_the_engine_share_their_numbers(desk: Desk) -> None:
    """10 is no money when placing and no order when canceling."""
    assert (desk.buy(amount="1"), desk.post("order/cancel", market="BTCUSDT", id=1)) == (10, 10)
    assert (desk.buy(amount="0.0002"), desk.market(1, "18"), desk.market(2, "0.0002")) == (11, 11, 11)
    desk.exchange.ledger.set_book("BTCUSDT", [("60000", "1")], [])
    assert desk.market(1, "50") == 12


@pytest.mark.parametrize(("option", "filled"), [(8, "0.01"), (16, "0")])
def test_time_in_force_numbers(desk: Desk, option: int, filled: str) -> None:
    """8 fills what it can at once, 16 all or nothing; neither rests."""
    desk.exchange.set_price("BTCUSDT", "60000", "60000.1", depth="0.01")
    assert desk.buy(price="60001", option=option)["deal_stock"] == filled
    assert desk.pending() == []


def test_order_moves_from_pending_to_finished(desk: Desk) -> None:
    """Each detail path shows an order only in its own state, and else answers null with success."""
    id_ = desk.buy()["id"]
    paths = ("order/pending_detail", {"market": "BTCUSDT", "order_id": id_}), ("order/finish_detail", {"order_id": id_})
    assert [desk.get(path, **query) is None for path, query in paths] == [False, True]
    desk.exchange.ledger.fill(desk.exchange.orders()[0], "0.02")
    assert [desk.get(path, **query) is None for path, query in paths] == [True, False]


def test_order_canceled_without_fill_leaves_no_trace(desk: Desk) -> None:
    """The history holds only orders with a fill; a partly filled one stays in it."""
    first, second = desk.buy()["id"], desk.buy()["id"]
    desk.exchange.ledger.fill(desk.exchange.orders()[1], "0.01")
    assert [desk.post("order/cancel", market="BTCUSDT", id=each)["deal_stock"] for each in (first, second)] == [
        "0",
        "0.01",
    ]
    listed = desk.get("order/finished", market="BTCUSDT", offset=0, limit=100)
    assert ([row["id"] for row in listed["records"]], "total" in listed) == ([second], False)
    assert desk.get("order/finish_detail", order_id=first) is None


def test_cancel_all_keeps_the_other_side_and_market(desk: Desk) -> None:
    """Side 1 cancels buys only; the market is required."""
    desk.buy()
    desk.buy(side=2, price="70000")
    assert desk.post("order/cancel_all", market="BTCUSDT", side=1) is None
    assert [row["side"] for row in desk.pending()] == [2]
    assert desk.post("order/cancel_all") == 202


def test_stop_orders_wait_apart_from_orders(desk: Desk) -> None:
    """They have a list and cancels of their own, spelt as documented, and are in no list of orders."""
    ledger, pair = desk.exchange.ledger, desk.exchange.ledger.pairs["BTCUSDT"]
    first, _, third = (
        ledger.place_plan(
            desk.account, pair, side, "limit", trigger=Decimal(55000), price=Decimal(54900), size=Decimal("0.1")
        )
        for side in ("sell", "buy", "sell")
    )

    def waiting() -> list[int]:
        return [row["id"] for row in desk.get("order/pending_stop", market="BTCUSDT", offset=0, limit=9)["records"]]

    assert (len(waiting()), desk.pending()) == (3, [])
    assert desk.post("order/cancle_stop", market="BTCUSDT", order_id=int(first.id))["stop_price"] == "55000"
    assert desk.post("order/cancle_stop", market="BTCUSDT", order_id=int(first.id)) == 10
    assert desk.post("order/cancle_stop_all", market="BTCUSDT", side=1) is None
    assert waiting() == [int(third.id)]


def test_listing_pages_and_counts(desk: Desk) -> None:
    """The total is of all pages; offset and limit are required and at most 100 rows come."""
    ids = [desk.buy(amount="0.0003")["id"] for _ in range(3)]
    page = desk.get("order/pending", market="BTCUSDT", side=1, offset=1, limit=1)
    assert (page["total"], [row["id"] for row in page["records"]]) == (3, [ids[1]])
    assert desk.get("order/pending", market="BTCUSDT") == 202
    assert desk.get("order/pending", market="BTCUSDT", offset=0, limit=101) == 1


def test_trades_by_market_and_by_order(desk: Desk) -> None:
    """The history tells the order id and no side; it can be asked for one side; maker is 1 and taker 2."""
    bought = desk.market(1, "61.1")["id"]
    desk.market(2, "0.1")
    rows = desk.get("order/deal_history", market="BTCUSDT", side=1, offset=0, limit=100)["records"]
    assert [(row["order_id"], row["role"], "side" in row) for row in rows] == [(bought, 2, False)]
    of_order = desk.get("order/deals", order_id=bought, offset=0, limit=100)["records"]
    assert [(row["amount"], row["fee_asset"]) for row in of_order] == [("0.00101", "BTC")]


def test_frozen_money_is_told(desk: Desk) -> None:
    """An open buy locks its price times its amount."""
    desk.buy()
    assert desk.get("asset/query")["USDT"] == {"available": "9000.00000000", "frozen": "1000.00000000"}


# Trouble


def test_blocked_address_is_told_until_when_and_counted(desk: Desk) -> None:
    """Too many requests end with 429, a time in seconds and no request at all before it."""
    desk.exchange.block(30)
    status, body = desk.send("GET", "time", {})
    assert (status, body) == (429, {"block_until": TM + 30, "error": "Too many requests, you are blocked."})
    desk.now_ms += 30_000
    assert (desk.public("time")["code"], desk.exchange.early_requests) == (0, 1)


async def test_faults_answer_in_btccs_form(desk: Desk) -> None:
    """A refusal on demand carries the code and text of BTCC; a rate limit blocks the address."""
    desk.exchange.misbehave("refuse:5", "time")
    desk.exchange.misbehave("rate_limited", "time")
    first, second = [await desk.exchange.answer(Received("GET", f"{API}time")) for _ in range(2)]
    assert first is not None
    assert json.loads(first.body)["error"] == {"code": 5, "message": "service timeout"}
    assert second is not None
    assert (second.status, json.loads(second.body)["block_until"]) == (429, TM + 2)


async def test_order_hidden_by_a_fault_is_in_no_list_before_its_release(desk: Desk) -> None:
    """BTCC may take an order and show it only later."""
    fault = desk.exchange.misbehave("stale", "order/limit")
    fields = {"access_id": KEY, "tm": TM, "market": "BTCUSDT", "side": 1, "amount": "0.02", "price": "50000"}
    fields["source"] = "t1"
    headers = {"authorization": signature(fields, SECRET), "content-type": "application/json"}
    await desk.exchange.answer(Received("POST", f"{API}order/limit", headers, json.dumps(fields).encode()))
    hidden = desk.pending()
    fault.release()
    assert (hidden, len(desk.pending())) == ([], 1)
