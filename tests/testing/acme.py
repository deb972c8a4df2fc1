"""Acme, a sound plugin; its strict exchange, which answers every request; and its contract."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from bot import (
    Account,
    Balance,
    Base,
    Capabilities,
    Credentials,
    ErrorRow,
    Event,
    ExchangeError,
    ExchangeInfo,
    Flow,
    InsufficientFunds,
    Limit,
    Market,
    Order,
    OrderAck,
    OutcomeUnknown,
    Request,
    Response,
    Secret,
    Stream,
    Ticker,
    UserError,
    hookimpl,
)
from bot.testing import ledger
from bot.testing.contract import NOW_MS, ExchangeContract
from bot.testing.strict import Received, Reply, StrictExchange

SECRET = "not-a-real-secret"
ERRORS = {"1001": ErrorRow(InsufficientFunds, "the balance is too small", "Make the order smaller.")}
INFO = ExchangeInfo(
    id="acme",
    title="Acme",
    hosts={"api": "https://api.acme.example", "ws": "wss://ws.acme.example"},
    paths=("GET /markets", "GET /ticker", "GET /balances", "POST /orders"),
    limits={"orders": (Limit(10, seconds=1, per="account"),)},
    capabilities=Capabilities(market_buy_in=frozenset({"base"}), find_by_client_id=False),
    errors=ERRORS,
)


class Row(msgspec.Struct):
    name: str
    base: str
    quote: str


class Last(msgspec.Struct):
    last: str


class Funds(msgspec.Struct):
    free: Decimal


class Placed(msgspec.Struct):
    id: str


class Code(msgspec.Struct):
    code: str


class Acme:
    """A sound plugin; the hooks of an object register as those of a module do."""

    @hookimpl
    def exchange_info(self) -> ExchangeInfo:
        return INFO

    @hookimpl
    def sign(self, request: Request, credentials: Credentials, timestamp: int) -> Request:
        message = f"{timestamp}{request.method}{request.target}".encode() + request.body
        secret = credentials.secret.reveal().encode(errors="replace")
        return request.with_headers({"Acme-Sign": hmac.new(secret, message, hashlib.sha256).hexdigest()})

    @hookimpl
    def map_error(self, request: Request, response: Response) -> ExchangeError | None:
        if response.status == 200:
            response.json()
            return None
        try:
            code = msgspec.json.decode(response.body, type=Code).code
        except msgspec.DecodeError:
            return OutcomeUnknown("Acme sent an unreadable reply", status=response.status)
        row = ERRORS.get(code, ErrorRow(OutcomeUnknown, "an unknown code"))
        return row.kind(row.cause, code=code)

    @hookimpl
    def markets(self) -> Flow[list[Market]]:
        rows = (yield Request.get("/markets", auth="none")).decode(list[Row])
        step = Decimal("0.01")
        return [
            Market(
                symbol=f"{row.base}/{row.quote}",
                exchange_symbol=row.name,
                base=row.base,
                quote=row.quote,
                price_step=step,
                quantity_step=step,
                quote_step=step,
            )
            for row in rows
        ]

    @hookimpl
    def ticker(self, market: Market) -> Flow[Ticker]:
        text = (yield Request.get("/ticker", auth="none")).decode(Last).last
        if not re.fullmatch(r"\d+(\.\d+)?", text):
            raise OutcomeUnknown("Acme has no price")
        return Ticker(exchange_symbol=market.exchange_symbol, last=Decimal(text))

    @hookimpl
    def balances(self) -> Flow[list[Balance]]:
        funds = (yield Request.get("/balances")).decode(dict[str, Funds])
        if not funds or not all(each.free.is_finite() for each in funds.values()):
            raise OutcomeUnknown("Acme sent no balances")
        return [Balance(asset, each.free, Decimal(0)) for asset, each in funds.items()]

    @hookimpl
    def place_order(self, order: Order) -> Flow[OrderAck]:
        if order.type not in ("limit", "market") or order.time_in_force != "GTC" or order.post_only:
            raise UserError("Acme has no such order. Nothing was placed.")
        if not isinstance(order.size, Base):
            raise UserError("Acme takes sizes in base. Nothing was placed.")
        return (yield from self.placing(order, self.body(order)))

    def placing(self, order: Order, body: dict[str, Any]) -> Flow[OrderAck]:
        reply = yield Request.post("/orders", body, places=True, costs={"orders": 1})
        return OrderAck(reply.decode(Placed).id, order.client_order_id)

    def body(self, order: Order) -> dict[str, Any]:
        body = {"ours": order.client_order_id, "side": order.side, "size": format(order.size.amount, "f")}
        return body if order.price is None else {**body, "price": format(order.price, "f")}

    @hookimpl
    def public_stream(self, markets: Sequence[Market]) -> Flow[Sequence[Stream]]:
        yield from ()
        return [Stream(host="ws", path="/prices")]

    @hookimpl
    def read_frame(self, data: str | bytes) -> Sequence[Event]:
        return ()


class StrictAcme(StrictExchange):
    """Answers every request; places each order that has a size."""

    def __init__(self) -> None:
        super().__init__([ledger.Pair("BTCUSDT", "BTC", "USDT", 2, 2)], clock=lambda: NOW_MS)

    def handle(self, received: Received) -> Reply:
        answers: dict[str, Any] = {
            "/markets": [{"name": "BTCUSDT", "base": "BTC", "quote": "USDT"}],
            "/ticker": {"last": "60000"},
            "/balances": {"BTC": {"free": 1}, "USDT": {"free": 1}},
            "/orders": {"id": "1"},
        }
        return Reply(200, json.dumps(answers[received.path]).encode())


class Contract(ExchangeContract):
    plugin = Acme()
    credentials = Credentials(Secret("a-key"), Secret(SECRET))

    def exchange(self, account: Account) -> StrictExchange | None:
        return StrictAcme()
