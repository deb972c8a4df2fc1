"""The plugin for an exchange of the simulation."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Any

from bot import (
    Balance,
    Base,
    Capabilities,
    ClientId,
    Credentials,
    ExchangeError,
    ExchangeInfo,
    Flow,
    InsufficientFunds,
    Limit,
    Market,
    Order,
    OrderAck,
    OrderBook,
    OrderNotFound,
    OrderReport,
    OutcomeUnknown,
    RateLimited,
    Request,
    Response,
    Ticker,
    hookimpl,
)
from bot.exchanges import registry
from bot.exchanges.registry import Plugin, Registered
from tests.simulation.venue import Memory

MARKETS = tuple(
    Market(
        symbol=f"{base}/USDT",
        exchange_symbol=f"{base}USDT",
        base=base,
        quote="USDT",
        price_step=Decimal("0.01"),
        quantity_step=Decimal("0.000001"),
        quote_step=Decimal("0.01"),
    )
    for base in ("BTC", "ETH")
)
REFUSALS: dict[str, type[ExchangeError]] = {"POOR": InsufficientFunds, "BUSY": RateLimited, "GONE": OrderNotFound}


class VenuePlugin:
    """The plugin for an exchange of the simulation."""

    def __init__(self, name: str, memory: Memory, window_seconds: int | None) -> None:
        self._by_look = memory == "none"
        self.info = ExchangeInfo(
            id=name,
            title=name.capitalize(),
            hosts={"api": f"https://{name}.example"},
            paths=("POST /place", "POST /cancel", "GET /*"),
            limits={"orders": (Limit(10_000, 1),)},
            client_id=ClientId(kind="counter") if memory == "none" else ClientId(),
            capabilities=Capabilities(market_buy_in=frozenset({"base"}), absence_seconds=window_seconds),
        )

    @hookimpl
    def exchange_info(self) -> ExchangeInfo:
        return self.info

    @hookimpl
    def sign(self, request: Request, credentials: Credentials, timestamp: int) -> Request:
        return request.with_headers({"key": credentials.key.reveal(), "time": str(timestamp)})

    @hookimpl
    def map_error(self, response: Response) -> ExchangeError | None:
        if response.status >= 500:
            return OutcomeUnknown("no clear answer", status=response.status)
        code = response.json()["code"]
        if code == "0":
            return None
        return REFUSALS.get(code, OutcomeUnknown)(f"It says {code}", code=code, status=response.status)

    @hookimpl
    def place_order(self, order: Order) -> Flow[OrderAck]:
        body = {"client_id": order.client_order_id, "type": order.type, **_parameters(order)}
        answer = yield Request.post("/place", body, places=True, costs={"orders": 1})
        return OrderAck(answer.json()["data"]["id"], order.client_order_id)

    @hookimpl
    def find_order(self, order: Order) -> Flow[OrderReport | None]:
        query = _parameters(order) if self._by_look else {"client_id": order.client_order_id}
        rows = (yield Request.get("/find", query)).json()["data"]
        if len(rows) > 1:
            raise OutcomeUnknown("several orders look like it", code="AMBIGUOUS")
        return _report(rows[0]) if rows else None

    @hookimpl
    def order_status(self, exchange_order_id: str) -> Flow[OrderReport]:
        return _report((yield Request.get("/order", {"id": exchange_order_id})).json()["data"])

    @hookimpl
    def cancel_order(self, exchange_order_id: str) -> Flow[None]:
        yield Request.post("/cancel", {"id": exchange_order_id})

    @hookimpl
    def balances(self) -> Flow[list[Balance]]:
        yield Request.get("/balances")
        return [Balance(asset, Decimal(1_000_000), Decimal(0)) for asset in ("BTC", "ETH", "USDT")]

    @hookimpl
    def markets(self) -> Flow[list[Market]]:
        yield Request.get("/markets", auth="none")
        return list(MARKETS)

    @hookimpl
    def ticker(self, market: Market) -> Flow[Ticker]:
        price = Decimal((yield Request.get("/price", auth="none")).json()["data"])
        return Ticker(exchange_symbol=market.exchange_symbol, last=price, bid=price, ask=price)

    @hookimpl
    def order_book(self) -> Flow[OrderBook]:
        price = Decimal((yield Request.get("/price", auth="none")).json()["data"])
        return OrderBook(((price, Decimal(100)),), ((price, Decimal(100)),))

    @hookimpl
    def server_time(self) -> Flow[int]:
        return int((yield Request.get("/time", auth="none")).json()["data"])


def _parameters(order: Order) -> dict[str, Any]:
    assert isinstance(order.size, Base)
    return {
        "symbol": order.market.exchange_symbol,
        "side": order.side,
        "quantity": format(order.size.amount, "f"),
        "price": "" if order.price is None else format(order.price, "f"),
    }


def _report(row: dict[str, Any]) -> OrderReport:
    return OrderReport(
        exchange_order_id=row["id"],
        client_order_id=row["client_id"],
        exchange_symbol=row["symbol"],
        side=row["side"],
        type=row["type"],
        state=row["state"],
        filled=Decimal(row["filled"]),
        average_price=Decimal(60_000) if Decimal(row["filled"]) else None,
        quantity=Decimal(row["quantity"]),
        price=Decimal(row["price"]) if row["price"] else None,
        fee=Decimal(0),
        fee_asset="USDT",
        created_ms=row["created_ms"],
    )


@lru_cache
def registered(name: str, memory: Memory, window_seconds: int | None) -> Registered:
    """Return an exchange's hooks. They keep nothing, so that every world can share them."""
    return registry.register(Plugin(name, VenuePlugin(name, memory, window_seconds)))
