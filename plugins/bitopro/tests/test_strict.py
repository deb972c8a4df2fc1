"""The plugin against the strict local BitoPro: signed requests in, replies and refusals out, nothing recorded."""

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
import tradewire_bitopro as bitopro
from tradewire_bitopro import streams

from bot import (
    AuthFailed,
    Base,
    Credentials,
    Flow,
    InsufficientFunds,
    InvalidOrder,
    Market,
    Order,
    OrderNotFound,
    Quote,
    Request,
    Response,
    Secret,
)
from bot.testing.bitopro import StrictBitoPro
from bot.testing.strict import Received

D = Decimal
PATHS = bitopro.exchange_info().paths
EMAIL = "ann~?>@example.com"
CREDENTIALS = Credentials(key=Secret("api-key"), secret=Secret("secret"), email=Secret(EMAIL))


class Wire:
    """Does what the core does with a flow, straight into an exchange with one account."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_123
        self.exchange = StrictBitoPro(clock=lambda: self.now)
        balances: dict[str, Decimal | str] = {"TWD": "1000000", "BTC": "1", "ETH": "10"}
        self.account = self.exchange.add_account("api-key", "secret", EMAIL, balances=balances)
        self.used: set[str] = set()

    def run(self, flow: Flow[Any]) -> Any:
        request = next(flow)
        while True:
            response = self.send(request)
            error = bitopro.map_error(request, response)
            try:
                request = flow.throw(error) if error else flow.send(response)
            except StopIteration as stop:
                return stop.value

    def send(self, request: Request) -> Response:
        self.now += 1
        named = f"{request.method} {request.path}"
        self.used.add(next(path for path in PATHS if re.fullmatch(path.replace("*", "[^/]+"), named)))
        if request.auth != "none":
            request = bitopro.sign(request.stamped(self.now), CREDENTIALS, self.now)
        headers = {name.lower(): value for name, value in request.headers.items()}
        reply = self.exchange.handle(Received(request.method, request.target, headers, request.body))
        return Response(reply.status, reply.headers, reply.body)


@pytest.fixture
def wire() -> Wire:
    return Wire()


def market(pair: str = "btc_twd") -> Market:
    base, quote = pair.upper().split("_")
    steps: dict[str, Any] = {"price_step": D(1), "quantity_step": D("0.0001"), "quote_step": D(1)}
    return Market(symbol=f"{base}/{quote}", exchange_symbol=pair, base=base, quote=quote, **steps)


LIMIT = Order(client_order_id="1", market=market(), side="buy", type="limit", size=Base(D("0.01")), price=D(1400000))
SPEND = Order(client_order_id="2", market=market(), side="buy", type="market", size=Quote(D(15000)))
STOP = Order(
    client_order_id="3",
    market=market(),
    side="sell",
    type="stop_limit",
    size=Base(D("0.01")),
    price=D(1400000),
    stop_price=D(1410000),
    reference_price=D(1500000),
)
RISE = replace(STOP, client_order_id="4", side="buy", price=D(1610000), stop_price=D(1600000))


def test_hooks_use_exactly_the_declared_endpoints(wire: Wire) -> None:
    """The core refuses an endpoint that is not declared; one that is declared and not used allows too much."""
    for order in (LIMIT, SPEND, STOP):
        wire.run(bitopro.place_order(order))
    assert wire.run(bitopro.find_order(replace(LIMIT, client_order_id="9"))) is None
    report = wire.run(bitopro.find_order(LIMIT))
    assert wire.run(bitopro.order_status(LIMIT, report.exchange_order_id)) == report
    for flow in (
        bitopro.cancel_order(LIMIT, report.exchange_order_id),
        bitopro.cancel_all(market()),
        bitopro.markets(),
        bitopro.ticker(market()),
        bitopro.order_book(market()),
        bitopro.candles(market(), "1h", 1_700_000_000_000, 1_700_007_200_000),
        bitopro.server_time(),
        bitopro.balances(),
        bitopro.open_orders(),
        bitopro.order_history([market()]),
        bitopro.fills([market()], ""),
    ):
        wire.run(flow)
    assert wire.used | set(streams.PATHS) == set(PATHS)


def test_market_buy_spends_quote_and_reports_what_it_bought(wire: Wire) -> None:
    """15000 TWD buy 15000 TWD worth, not 15000 BTC."""
    ack = wire.run(bitopro.place_order(SPEND))
    report = wire.run(bitopro.order_status(SPEND, ack.exchange_order_id))
    assert (report.state, report.filled, report.average_price, report.fee_asset) == (
        "filled",
        D("0.00999993"),
        D(1500010),
        "BTC",
    )
    [fill] = wire.run(bitopro.fills([market()], ack.exchange_order_id))
    assert (fill.quantity, fill.fee, fill.fee_asset, fill.is_maker) == (
        report.filled,
        report.fee,
        "BTC",
        False,
    )


@pytest.mark.parametrize("tells_prefix", [False, True])
@pytest.mark.parametrize("unknown_order", ["404", "empty"])
def test_stop_order_is_followed_whatever_id_placing_told(wire: Wire, tells_prefix: bool, unknown_order: Any) -> None:
    """Placed, seen waiting, canceled; placed again, fired, seen filled: by the id of the acknowledgement alone."""
    wire.exchange.tells_prefix, wire.exchange.unknown_order = tells_prefix, unknown_order
    ack = wire.run(bitopro.place_order(STOP))
    assert wire.run(bitopro.order_status(STOP, ack.exchange_order_id)).state == "open"
    wire.run(bitopro.cancel_order(STOP, ack.exchange_order_id))
    assert wire.run(bitopro.order_status(STOP, ack.exchange_order_id)).state == "canceled"
    ack = wire.run(bitopro.place_order(RISE))
    assert wire.run(bitopro.order_status(RISE, ack.exchange_order_id)).state == "open"
    wire.exchange.set_price("btc_twd", "1605000", "1605010")
    assert wire.run(bitopro.order_status(RISE, ack.exchange_order_id)).state == "filled"


def test_find_order_same_id_on_another_order_is_not_ours(wire: Wire) -> None:
    """BitoPro took two orders with one id; each is told apart by its terms."""
    other = replace(LIMIT, price=D(1300000))
    placed = [wire.run(bitopro.place_order(order)).exchange_order_id for order in (LIMIT, other)]
    found = [wire.run(bitopro.find_order(order)).exchange_order_id for order in (LIMIT, other)]
    assert found == placed
    assert wire.run(bitopro.find_order(replace(LIMIT, price=D(1200000)))) is None


def test_post_only_that_would_take_is_told_as_rejected(wire: Wire) -> None:
    """Placing succeeds; the order's state tells."""
    order = replace(LIMIT, price=D(1600000), size=Base(D("0.01")), post_only=True)
    ack = wire.run(bitopro.place_order(order))
    assert wire.run(bitopro.order_status(order, ack.exchange_order_id)).state == "rejected"


def test_cancel_all_ends_one_pair_only(wire: Wire) -> None:
    """Another pair's orders stay, and with nothing left it still succeeds."""
    eth = replace(LIMIT, client_order_id="9", market=market("eth_twd"), price=D(70000))
    for order in (LIMIT, STOP, eth):
        wire.run(bitopro.place_order(order))
    for _ in range(2):
        wire.run(bitopro.cancel_all(market()))
        assert {each.client_order_id for each in wire.run(bitopro.open_orders())} == {"9"}


def test_cancel_order_that_is_done_is_not_found(wire: Wire) -> None:
    """HTTP 422 on a cancelation: the order is read again instead."""
    ack = wire.run(bitopro.place_order(SPEND))
    with pytest.raises(OrderNotFound):
        wire.run(bitopro.cancel_order(SPEND, ack.exchange_order_id))


@pytest.mark.parametrize(
    ("order", "kind"),
    [
        (replace(LIMIT, size=Base(D(1))), InsufficientFunds),
        (replace(LIMIT, size=Base(D("0.00001"))), InvalidOrder),
        (replace(LIMIT, price=D("1400000.5")), InvalidOrder),
        (replace(SPEND, size=Quote(D(99))), InvalidOrder),
        (replace(LIMIT, market=market("doge_twd")), InvalidOrder),
    ],
)
def test_place_order_refusal_is_understood(wire: Wire, order: Order, kind: type[Exception]) -> None:
    """What the exchange refuses is known not to exist."""
    with pytest.raises(kind):
        wire.run(bitopro.place_order(order))
    assert wire.exchange.ledger.orders == []


def test_place_order_without_permission_says_what_the_key_lacks(wire: Wire) -> None:
    """No endpoint tells the rights of a key: the first order does."""
    wire.account.permissions = {"read"}
    with pytest.raises(AuthFailed, match="order permission"):
        wire.run(bitopro.place_order(LIMIT))


def test_server_time_is_right_to_half_a_second(wire: Wire) -> None:
    """The date has whole seconds."""
    assert abs(wire.run(bitopro.server_time()) - wire.now) <= 500
