"""What the tests of BTCC's flows share."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from bot import Account, Base, InvalidOrder, Market, Order, OrderReport, Quote, Request, Response
from bot.testing.drive import load_reply, reply

D = Decimal
TESTDATA = Path(__file__).parent / "testdata"
API = "/btcc_api_trade/"
ACCOUNT = Account(1, "main")
BTC = Market(
    symbol="BTC/USDT",
    exchange_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    price_step=D("0.01"),
    quantity_step=D("0.00001"),
    quote_step=D("0.00001"),
)
ETH = replace(BTC, symbol="ETH/USDT", exchange_symbol="ETHUSDT", base="ETH")
OUR_ID = "tg-5f0c2a9b1d3e"
LIMIT = Order(client_order_id=OUR_ID, market=BTC, side="buy", type="limit", size=Base(D("0.02")), price=D("59369.11"))
MARKET_BUY = Order(client_order_id=OUR_ID, market=BTC, side="buy", type="market", size=Quote(D("61.1")))
UNKNOWN_PATH = InvalidOrder("BTCC does not know this request", code="4")

OPEN = OrderReport(
    exchange_order_id="6996187031",
    client_order_id=OUR_ID,
    exchange_symbol="BTCUSDT",
    side="buy",
    type="limit",
    state="open",
    filled=D(0),
    quantity=D("0.02"),
    price=D("59369.11"),
    fee=D(0),
    fee_asset="BTC",
    created_ms=1724999193410,
)


def recorded(name: str) -> Response:
    return load_reply(TESTDATA / f"{name}.json")


def result(value: Any) -> Response:
    return reply({"error": None, "result": value, "id": 0})


PLACED = recorded("post_order_limit")
ROW = PLACED.json()["result"] | {"ctime": 1724999193.41, "mtime": 1724999193.41}
NULL = result(None)
NONE = result({"records": []})


def get(path: str, bucket: str = "", **query: Any) -> Request:
    return Request.get(API + path, query, costs={"all": 1, **({bucket: 1} if bucket else {})})


def post(path: str, json: dict[str, Any]) -> Request:
    return Request.post(API + path, json, costs={"all": 1})


def listing(path: str, *, side: int = 0, market: str = "BTCUSDT") -> Request:
    return get(path, market=market, side=side, offset=0, limit=100)


PENDING = get("order/pending_detail", market="BTCUSDT", order_id=6996187031)
FINISHED = get("order/finish_detail", order_id=6996187031)
