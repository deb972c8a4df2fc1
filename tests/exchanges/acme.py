"""Acme, an exchange that tests bend to their needs, and a wire that answers from a list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeVar

from bot import (
    Account,
    Balance,
    Base,
    Capabilities,
    ClockSkew,
    Credentials,
    ExchangeError,
    ExchangeInfo,
    Flow,
    InsufficientFunds,
    Limit,
    Market,
    Order,
    OrderAck,
    OutcomeUnknown,
    RateLimited,
    Request,
    Response,
    Secret,
    Ticker,
    hookimpl,
)
from bot.exchanges import registry
from bot.exchanges.registry import Plugin
from bot.exchanges.transport import BeforeSend, Departure, Transport
from tests.fakes import FakeClock

T = TypeVar("T")
CANARY = "canary-of-the-secret"
ACCOUNT = Account(7, "main")
MARKET = Market(
    symbol="BTC/USDT",
    exchange_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    price_step=Decimal("0.01"),
    quantity_step=Decimal("0.0001"),
    quote_step=Decimal("0.01"),
)
ORDER = Order(
    client_order_id="t1", market=MARKET, side="buy", type="limit", size=Base(Decimal("0.1")), price=Decimal(60_000)
)
INFO = ExchangeInfo(
    id="acme",
    title="Acme",
    hosts={"api": "https://api.acme.example", "data": "https://data.acme.example"},
    paths=("GET /v1/time", "GET /v1/balances", "GET /v1/orders/*", "POST /v1/orders", "GET /v1/ticker"),
    limits={"all": (Limit(1000, 1),)},
    capabilities=Capabilities(absence_seconds=35),
)
REFUSALS: dict[tuple[int, str], type[ExchangeError]] = {
    (400, "1001"): InsufficientFunds,
    (400, "1021"): ClockSkew,
    (429, "1429"): RateLimited,
}
BALANCES = Request.get("/v1/balances")


class Acme:
    """The plugin. A test that needs another hook makes a subclass."""

    def __init__(self, **changes: Any) -> None:
        self.info = replace(INFO, **changes)
        self.signed: list[tuple[str, bytes, int]] = []

    @hookimpl
    def exchange_info(self) -> ExchangeInfo:
        return self.info

    @hookimpl
    def sign(self, request: Request, credentials: Credentials, timestamp: int) -> Request:
        self.signed.append((request.target, request.body, timestamp))
        return request.with_headers({"acme-key": credentials.key.reveal(), "acme-time": str(timestamp)})

    @hookimpl
    def map_error(self, request: Request, response: Response) -> ExchangeError | None:
        code = str(response.json()["code"])
        if response.status == 200 and code == "0":
            return None
        return REFUSALS.get((response.status, code), OutcomeUnknown)(code=code, status=response.status)

    @hookimpl
    def place_order(self, order: Order) -> Flow[OrderAck]:
        reply = yield place(order.client_order_id)
        return OrderAck(reply.json()["id"], order.client_order_id)

    @hookimpl
    def balances(self, account: Account) -> Flow[list[Balance]]:
        yield BALANCES
        return []

    @hookimpl
    def markets(self) -> Flow[list[Market]]:
        raise NotImplementedError

    @hookimpl
    def ticker(self, market: Market) -> Flow[Ticker]:
        raise NotImplementedError


class ClockedAcme(Acme):
    """Acme that also tells its time."""

    @hookimpl
    def server_time(self) -> Flow[int]:
        reply = yield Request.get("/v1/time", auth="none")
        return int(reply.json()["time"])


def place(client_order_id: str = "t1") -> Request:
    """Return the request that places an order."""
    return Request.post("/v1/orders", {"clientId": client_order_id}, places=True, costs={"all": 1})


def reply(body: str = '{"code":0,"id":"42"}', status: int = 200, **headers: str) -> Response:
    """Return a reply; as it is, an accepted order."""
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body.encode())


Answer = Callable[[Request], Response | BaseException]


@dataclass
class ListedWire:
    """Remembers what was sent and answers with the next of `answers`, the last of them for ever."""

    answers: list[Response | BaseException | Answer]
    sent: list[Request] = field(default_factory=list)

    async def send(self, request: Request, *, timeout_seconds: float) -> Response:
        self.sent.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def close(self) -> None:
        """Nothing to let go of."""


@dataclass
class Rig:
    """A transport over a wire of the test's, with everything that happened on it."""

    transport: Transport
    hook: Any
    clock: FakeClock
    wire: Any
    departures: list[Departure] = field(default_factory=list)
    opened: int = 0

    async def credentials(self) -> Credentials:
        self.opened += 1
        return Credentials(key=Secret(CANARY), secret=Secret(CANARY))

    async def before_send(self, departure: Departure) -> None:
        self.departures.append(departure)

    async def read(self, flow: Flow[T]) -> T:
        """Run a flow that may not place."""
        return await self.transport.run(flow, account_id=7, credentials=self.credentials)

    async def place(
        self, flow: Flow[T] | None = None, before_send: BeforeSend | None = None, *, may_wait: bool = True
    ) -> T:
        """Run a flow that may place; the plugin's `place_order` unless another is given."""
        return await self.transport.run(
            flow or self.hook.place_order(account=ACCOUNT, order=ORDER),
            account_id=7,
            credentials=self.credentials,
            before_send=before_send or self.before_send,
            may_wait=may_wait,
        )


def rig(*answers: Response | BaseException | Answer, plugin: Any = None, guards: Iterable[Any] = ()) -> Rig:
    """Return a transport for `plugin`, Acme unless given, whose wire answers with `answers`."""
    return rig_on(ListedWire(list(answers) or [reply()]), plugin, guards)


def rig_on(wire: Any, plugin: Any = None, guards: Iterable[Any] = ()) -> Rig:
    """Return a transport on a wire of the test's own."""
    clock = FakeClock()
    around = [Plugin(f"guard{number}", guard) for number, guard in enumerate(guards)]
    registered = registry.register(Plugin("acme", plugin or Acme()), around)
    return Rig(Transport(registered.info, registered.hook, wire, clock), registered.hook, clock, wire)
