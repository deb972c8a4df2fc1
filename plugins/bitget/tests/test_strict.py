"""The plugin against the strict local Bitget: signed requests in, replies and refusals out, nothing recorded."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
import tradewire_bitget as bitget

from bot import Account, Base, Credentials, Flow, Market, Order, Quote, Request, Response, Secret
from bot.testing.bitget import Mode, StrictBitget
from bot.testing.strict import Received

D = Decimal
NOW = 1_700_000_000_123
CREDENTIALS = Credentials(Secret("bg_key"), Secret("secret"), Secret("passphrase"))


class Wire:
    """Does what the core does with a flow, straight into an exchange with one account."""

    def __init__(self, mode: Mode) -> None:
        self.exchange = StrictBitget(clock=lambda: NOW, mode=mode)
        self.exchange.add_account("bg_key", "secret", "passphrase", balances={"USDT": "1000", "BTC": "1", "ETH": "1"})
        self.used: set[str] = set()

    def run(self, flow: Flow[Any]) -> Any:
        request = next(flow)
        while True:
            response = self.send(request)
            error = bitget.map_error(response)
            try:
                request = flow.throw(error) if error else flow.send(response)
            except StopIteration as stop:
                return stop.value

    def send(self, request: Request) -> Response:
        self.used.add(f"{request.method} {request.path}")
        if request.auth != "none":
            request = bitget.sign(request.stamped(NOW), CREDENTIALS, NOW)
        headers = {name.lower(): value for name, value in request.headers.items()}
        reply = self.exchange.handle(Received(request.method, request.target, headers, request.body))
        return Response(reply.status, reply.headers, reply.body)


def market(base: str) -> Market:
    steps: dict[str, Any] = {"price_step": D("0.01"), "quantity_step": D("0.0001"), "quote_step": D("0.01")}
    return Market(symbol=f"{base}/USDT", exchange_symbol=f"{base}USDT", base=base, quote="USDT", **steps)


def orders(base: str, price: str) -> list[Order]:
    """Return a limit buy that rests, and a stop sell that waits."""
    common: dict[str, Any] = {"market": market(base), "size": Base(D("0.01"))}
    return [
        Order(client_order_id=f"{base}-limit", side="buy", type="limit", price=D(price), **common),
        Order(client_order_id=f"{base}-stop", side="sell", type="stop_market", stop_price=D(price), **common),
    ]


@pytest.mark.parametrize(("mode", "left"), [("classic", {"ETH-limit", "ETH-stop"}), ("unified", {"ETH-limit"})])
def test_cancel_all_cancels_orders_and_stops_of_one_market(mode: Mode, left: set[str]) -> None:
    """Both kinds of the market's orders go, another market's stay; with nothing left it still succeeds."""
    wire, account = Wire(mode), Account(1, "main", facts={"mode": mode})
    for order in [*orders("BTC", "50000"), *orders("ETH", "2500")]:
        if mode == "classic" or order.type == "limit":  # unified accounts have no stop orders
            wire.run(bitget.place_order(account, order))
    for _ in range(2):
        wire.run(bitget.cancel_all(account, market("BTC")))
        assert {report.client_order_id for report in wire.run(bitget.open_orders(account))} == left


def trade(mode: Mode) -> set[str]:
    """Use every hook and return the endpoints it took."""
    wire = Wire(mode)
    account = Account(1, "main", facts=wire.run(bitget.detect(Account(1, "main"))))
    limit, stop = orders("BTC", "50000")
    bought = Order(client_order_id="bought", market=market("ETH"), side="buy", type="market", size=Quote(D(50)))
    for order in (limit, bought):
        wire.run(bitget.place_order(account, order))
    if mode == "classic":
        wire.run(bitget.place_order(account, stop))
        wire.run(bitget.cancel_order(account, stop, ""))
        fired = replace(stop, client_order_id="fired")
        wire.run(bitget.place_order(account, fired))
        wire.exchange.set_price("BTCUSDT", "49999.50", "50001.00")
        assert wire.run(bitget.find_order(account, fired)).state == "filled"
    assert wire.run(bitget.find_order(account, replace(limit, client_order_id="absent"))) is None
    assert wire.run(bitget.order_status(account, bought, "")).state == "filled"
    wire.run(bitget.cancel_order(account, limit, ""))
    wire.run(bitget.cancel_all(account, limit.market))
    for flow in (
        bitget.markets(),
        bitget.ticker(limit.market),
        bitget.order_book(limit.market),
        bitget.candles(limit.market, "1h", NOW - 7_200_000, NOW),
        bitget.server_time(),
        bitget.key_permissions(account),
        bitget.balances(account),
        bitget.open_orders(account),
        bitget.order_history(account, []),
        bitget.fills(account, ""),
    ):
        wire.run(flow)
    return wire.used


def test_hooks_use_exactly_the_declared_endpoints() -> None:
    """The core refuses an endpoint that is not declared; one that is declared and not used allows too much."""
    login = "GET /user/verify"  # of sockets; signed, and never requested
    assert {*trade("classic"), *trade("unified"), login} == set(bitget.exchange_info().paths)
