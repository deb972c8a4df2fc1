"""The paper exchange's hooks. They speak to `PaperWire` as any plugin speaks to its exchange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from bot.contract.errors import ExchangeError, InsufficientFunds, InvalidOrder, OrderNotFound, OutcomeUnknown
from bot.contract.hookspecs import hookimpl
from bot.contract.models import (
    INTERVALS,
    Account,
    Balance,
    Candle,
    Capabilities,
    ClientId,
    ErrorRow,
    ExchangeInfo,
    Fill,
    Interval,
    Market,
    Order,
    OrderAck,
    OrderBook,
    OrderReport,
    Quote,
    Ticker,
)
from bot.contract.wire import Credentials, Flow, Request, Response

PATHS = (
    *("GET /v1/markets", "GET /v1/ticker", "GET /v1/book", "GET /v1/balances", "GET /v1/fills"),
    *("GET /v1/open-orders", "GET /v1/order-history", "GET /v1/order-by-client-id"),
    *("POST /v1/orders", "DELETE /v1/orders", "GET /v1/orders/*", "DELETE /v1/orders/*"),
)
_ABSENCE_SECONDS = 20  # above the time a placing request may take

ERRORS = {
    "INSUFFICIENT_FUNDS": ErrorRow(
        InsufficientFunds, "the balance is too small", "Make the order smaller, or cancel open orders."
    ),
    "MIN_QUANTITY": ErrorRow(InvalidOrder, "the quantity is below the market's minimum", "Make the order larger."),
    "MAX_QUANTITY": ErrorRow(InvalidOrder, "the quantity is above the market's maximum", "Make the order smaller."),
    "MIN_NOTIONAL": ErrorRow(
        InvalidOrder, "the order is worth less than the market's minimum", "Make the order larger."
    ),
    "OFF_STEP": ErrorRow(
        InvalidOrder, "the price or the quantity is not a multiple of the market's step", "Round it to the step."
    ),
    "BAD_SIZE": ErrorRow(InvalidOrder, "the size is in the wrong unit", "Give the size in base asset."),
    "MARKET_HALTED": ErrorRow(InvalidOrder, "the market is halted", "Wait until it is online again."),
    "UNKNOWN_MARKET": ErrorRow(InvalidOrder, "there is no such market", "Check the spelling of the pair."),
    "NO_LIQUIDITY": ErrorRow(InvalidOrder, "the book is empty", "Try again later, or place a limit order."),
    "POST_ONLY": ErrorRow(
        InvalidOrder, "the post-only order would take from the book", "Move the price away from the market."
    ),
    "ORDER_NOT_FOUND": ErrorRow(OrderNotFound, "the order does not exist or is already done"),
    "DUPLICATE_CLIENT_ID": ErrorRow(OutcomeUnknown, "an open order has this client order id"),
}


class PaperPlugin:
    """A plugin whose exchange is in this process.

    Args:
        id: Of the paper exchange, such as `bitget:paper`.
        title: As people read it.
        capabilities: Those of the exchange it stands for.
        client_id: The client order id rule of the exchange it stands for.
    """

    def __init__(self, id: str, title: str, capabilities: Capabilities, client_id: ClientId) -> None:  # noqa: A002
        self._info = ExchangeInfo(
            id=id,
            title=title,
            hosts={"api": f"paper://{id}"},
            paths=PATHS,
            credential_fields=(),
            client_id=replace(client_id, repeats="refused_while_open"),
            capabilities=replace(
                capabilities,
                cancel_all=True,
                key_report=False,
                sandbox=False,
                find_by_client_id=True,
                absence_seconds=_ABSENCE_SECONDS,
            ),
            errors=ERRORS,
        )

    @hookimpl
    def exchange_info(self) -> ExchangeInfo:
        return self._info

    @hookimpl
    def sign(self, request: Request, credentials: Credentials, timestamp: int) -> Request:
        return request

    @hookimpl
    def map_error(self, request: Request, response: Response) -> ExchangeError | None:
        if response.status == 200:
            return None
        try:
            reply = response.json()
            code, message = str(reply["error"]), str(reply["message"])
            row = ERRORS[code]
        except (OutcomeUnknown, KeyError, TypeError):
            return OutcomeUnknown("the paper exchange sent an unexpected reply", status=response.status)
        return row.kind(message, code=code, status=response.status, remedy=row.remedy, detail=message)

    @hookimpl
    def place_order(self, account: Account, order: Order) -> Flow[OrderAck]:
        reply = yield Request.post("/v1/orders", auth="none", places=True, json=_order_fields(account, order))
        return OrderAck(str(reply.json()["exchange_order_id"]), order.client_order_id)

    @hookimpl
    def find_order(self, account: Account, order: Order) -> Flow[OrderReport | None]:
        query = {"account": account.id, "client_order_id": order.client_order_id}
        reply = yield Request.get("/v1/order-by-client-id", query, auth="none")
        found = reply.decode(list[OrderReport])
        return found[0] if found else None

    @hookimpl
    def order_status(self, account: Account, order: Order, exchange_order_id: str) -> Flow[OrderReport]:
        reply = yield Request.get(f"/v1/orders/{exchange_order_id}", {"account": account.id}, auth="none")
        return reply.decode(OrderReport)

    @hookimpl
    def open_orders(self, account: Account, markets: Sequence[Market]) -> Flow[list[OrderReport]]:
        reply = yield Request.get("/v1/open-orders", {"account": account.id}, auth="none")
        return reply.decode(list[OrderReport])

    @hookimpl
    def order_history(self, account: Account, markets: Sequence[Market]) -> Flow[list[OrderReport]]:
        reply = yield Request.get("/v1/order-history", {"account": account.id}, auth="none")
        return reply.decode(list[OrderReport])

    @hookimpl
    def fills(self, account: Account, markets: Sequence[Market], exchange_order_id: str) -> Flow[list[Fill]]:
        query = {"account": account.id, "exchange_order_id": exchange_order_id}
        reply = yield Request.get("/v1/fills", query, auth="none")
        return reply.decode(list[Fill])

    @hookimpl
    def cancel_order(self, account: Account, order: Order, exchange_order_id: str) -> Flow[None]:
        yield Request.delete(f"/v1/orders/{exchange_order_id}", {"account": account.id}, auth="none")

    @hookimpl
    def cancel_all(self, account: Account, market: Market) -> Flow[None]:
        query = {"account": account.id, "symbol": market.exchange_symbol}
        yield Request.delete("/v1/orders", query, auth="none")

    @hookimpl
    def balances(self, account: Account) -> Flow[list[Balance]]:
        reply = yield Request.get("/v1/balances", {"account": account.id}, auth="none")
        return reply.decode(list[Balance])

    @hookimpl
    def markets(self) -> Flow[list[Market]]:
        reply = yield Request.get("/v1/markets", auth="none")
        return reply.decode(list[Market])

    @hookimpl
    def ticker(self, market: Market) -> Flow[Ticker]:
        reply = yield Request.get("/v1/ticker", {"symbol": market.exchange_symbol}, auth="none")
        return reply.decode(Ticker)

    @hookimpl
    def order_book(self, market: Market) -> Flow[OrderBook]:
        reply = yield Request.get("/v1/book", {"symbol": market.exchange_symbol}, auth="none")
        return reply.decode(OrderBook)


class WithCandles(PaperPlugin):
    """A paper exchange that stands for no real one, whose wire tells how prices went."""

    @hookimpl
    def exchange_info(self) -> ExchangeInfo:
        return replace(self._info, paths=(*PATHS, "GET /v1/candles"))

    @hookimpl
    def candles(self, market: Market, interval: Interval, start_ms: int, end_ms: int) -> Flow[list[Candle]]:
        query = {"symbol": market.exchange_symbol, "step_ms": INTERVALS[interval]}
        reply = yield Request.get("/v1/candles", {**query, "start_ms": start_ms, "end_ms": end_ms}, auth="none")
        return reply.decode(list[Candle])


def _order_fields(account: Account, order: Order) -> dict[str, Any]:
    size = "funds" if isinstance(order.size, Quote) else "quantity"
    amounts: dict[str, Decimal | None] = {
        size: order.size.amount,
        "price": order.price,
        "stop_price": order.stop_price,
        "reference_price": order.reference_price,
    }
    return {
        "account": account.id,
        "client_order_id": order.client_order_id,
        "symbol": order.market.exchange_symbol,
        "side": order.side,
        "type": order.type,
        "time_in_force": order.time_in_force,
        "post_only": order.post_only,
        **{name: format(amount, "f") for name, amount in amounts.items() if amount is not None},
    }
