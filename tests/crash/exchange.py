"""The exchange of the crash tests: that of the simulation, with fills, a list of open orders, and a plot."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import lru_cache
from random import Random
from typing import Any, get_args
from urllib.parse import parse_qsl, urlsplit

from bot import Fill, Flow, OrderReport, Request, Response, hookimpl
from bot.exchanges import registry
from bot.exchanges.registry import Plugin, Registered
from tests.simulation.plugin import VenuePlugin, _report
from tests.simulation.timeline import Timeline
from tests.simulation.venue import USUAL, Memory, Placed, Venue, reply

NAME = "acme"
OWNER = "acme-key-0123456789"
MEMORIES: tuple[Memory, ...] = get_args(Memory)


class Exchange(Venue):
    """Fills a third of an order, then all of it unless the person cancels."""

    def __init__(self, memory: Memory, window_seconds: int | None, timeline: Timeline, rng: Random) -> None:
        super().__init__(NAME, memory, window_seconds, timeline, rng, lambda _: False, USUAL)
        self.is_left_open = False
        self.arrivals: list[str] = []

    def _trade(self, placed: Placed) -> None:
        if placed.type == "market":
            self._become(placed, "filled", placed.quantity)
            return
        first = self.rng.uniform(0.3, 1.5)
        self._soon(first, placed, "partially_filled", round(placed.quantity / 3, 6))
        if not self.is_left_open:
            self._soon(first + self.rng.uniform(1, 2.5), placed, "filled", placed.quantity)

    def look(self, request: Request) -> Response:
        """Answer everything but a placing request."""
        owner, query = request.headers.get("key", ""), dict(request.query)
        if request.path == "/find":
            return reply(self.find(owner, query))
        if request.path == "/order":
            found = self.get(owner, query["id"])
            return reply(None, code="GONE", status=400) if found is None else reply(found)
        if request.path == "/cancel":
            return reply({}) if self.cancel(owner, request.json["id"]) else reply(None, code="GONE", status=400)
        if request.path == "/open":
            seen = [self._seen(each) for each in self.orders]
            return reply([row for row in seen if row and row["state"] in ("open", "partially_filled")])
        if request.path == "/fills":
            return reply([row for each in self.orders if each.id == query["id"] for row in _fills(each)])
        return reply({"/price": str(self.price), "/time": str(self.now_ms)}.get(request.path))


def _fills(placed: Placed) -> list[dict[str, Any]]:
    rows, before = [], Decimal(0)
    for number, (_, _, filled) in enumerate(placed.history):
        if filled > before:
            rows.append({"trade": f"{placed.id}-{number}", "symbol": placed.symbol, "side": placed.side,
                         "quantity": str(filled - before), "id": placed.id})  # fmt: skip
            before = filled
    return rows


class ExchangePlugin(VenuePlugin):
    """The simulation's plugin, and what an order's fills and the open orders are."""

    @hookimpl
    def open_orders(self) -> Flow[list[OrderReport]]:
        return [_report(row) for row in (yield Request.get("/open")).json()["data"]]

    @hookimpl
    def fills(self, exchange_order_id: str) -> Flow[list[Fill]]:
        rows = (yield Request.get("/fills", {"id": exchange_order_id})).json()["data"]
        return [
            Fill(
                trade_id=row["trade"],
                exchange_order_id=row["id"],
                exchange_symbol=row["symbol"],
                side=row["side"],
                price=Decimal(60_000),
                quantity=Decimal(row["quantity"]),
                fee=Decimal(0),
                fee_asset="USDT",
                is_maker=True,
                at_ms=0,
            )
            for row in rows
        ]


@lru_cache
def registered(memory: Memory, window_seconds: int | None) -> Registered:
    """Return the exchange's hooks. They keep nothing."""
    return registry.register(Plugin(NAME, ExchangePlugin(NAME, memory, window_seconds)))


def read_request(message: bytes) -> Request:
    """Return a request as it came over the wire."""
    head, _, body = message.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    method, target, _ = first.split(" ")
    url = urlsplit(target)
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    query = tuple(parse_qsl(url.query, keep_blank_values=True))
    content = json.loads(body) if body else None
    return Request(method=method, path=url.path, query=query, json=content, headers=headers)


def write_response(response: Response) -> bytes:
    """Return a response as it goes over the wire."""
    head = f"HTTP/1.1 {response.status} Said\r\nContent-Length: {len(response.body)}\r\n\r\n"
    return head.encode() + response.body
