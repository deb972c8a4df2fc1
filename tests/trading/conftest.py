"""A whole trading room over an exchange in memory: real journal, desk, reconciler, gateway, transport and database."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest

from bot import (
    Account,
    Balance,
    Base,
    Capabilities,
    ClientId,
    Credentials,
    ExchangeError,
    ExchangeInfo,
    Fill,
    Flow,
    Limit,
    Market,
    NotSent,
    Order,
    OrderAck,
    OrderBook,
    OrderReport,
    OutcomeUnknown,
    Request,
    Response,
    Ticker,
    WrongAccountMode,
    hookimpl,
)
from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.accounts.vault import MasterKey, Vault
from bot.exchanges import registry
from bot.exchanges.registry import Plugin
from bot.exchanges.transport import Transport
from bot.store.database import Store
from bot.trading import confirm, ends, events, journal, queries
from bot.trading.confirm import Button
from bot.trading.desk import Desk
from bot.trading.gateway import Exchange, Gateway
from bot.trading.intent import Amount, Fixed, Intent
from bot.trading.law import DOUBTFUL
from bot.trading.orders import OrderRow
from bot.trading.reconcile import Reconciler
from tests.simulation.plugin import MARKETS
from tests.simulation.plugin import REFUSALS as USUAL_REFUSALS

ANN, BOB = 1001, 1002
CHAT = 77
START_MS = 1_790_000_000_000
MARKET, OTHER_MARKET = MARKETS
REFUSALS = {**USUAL_REFUSALS, "MODE": WrongAccountMode}

Fault: TypeAlias = Literal[
    "accept",
    "refuse",
    "busy",
    "mode",
    "unlisted",
    "unlisted but placed",
    "server error",
    "unreadable",
    "no id",
    "drop before",
    "drop after",
    "late",
    "unreachable",
    "hang",
]
"""What becomes of one placing request."""


class FakeClock:
    """Time that passes only when told, or when somebody sleeps."""

    def __init__(self) -> None:
        self.wall_ms = START_MS
        self.seconds = 0.0

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        self.wall_ms += round(seconds * 1000)
        self.seconds += seconds


@dataclass
class Placed:
    """An order as the exchange has it. `from_ms` is when it begins to exist."""

    id: str
    client_id: str
    symbol: str
    side: str
    type: str
    quantity: str
    price: str | None
    from_ms: int
    state: str = "open"
    filled: str = "0"
    created_ms: int = 0


@dataclass
class FakeExchange:
    """The far end of the wire: keeps orders, and misbehaves as scripted.

    Attributes:
        faults: What happens to the next placing requests; `accept` when empty.
        reads: What happens to the next questions after an order: `error`, `unreadable`, a refusal's code, or `fine`.
        broken: Path to what happens to each request for it, as in `reads`.
        cancels: What happens to the next cancels, as in `reads`.
        asked: The paths of all other requests.
        placing: Every placing request that reached the wire.
        arriving: Called as each placing request reaches the wire.
        answering: Called before each answer to a read.
    """

    clock: FakeClock
    orders: list[Placed] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    cancels: list[str] = field(default_factory=list)
    placing: list[Request] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    arriving: Callable[[Request], object] = lambda _: None
    answering: Callable[[], object] = lambda: None
    trades: list[dict[str, str]] = field(default_factory=list)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    last: str = "60000"
    bid: str = "59990"
    ask: str = "60010"
    late_seconds: float = 8.0

    async def send(self, request: Request, *, timeout_seconds: float) -> Response:
        await asyncio.sleep(0)
        if request.places:
            return await self._place(request)
        self.asked.append(request.path)
        if request.path == "/cancel":
            return self._cancel(request.json["id"])
        how = self.broken.get(request.path, "fine")
        if request.path in ("/find", "/order") and self.reads:
            how = self.reads.pop(0)
        if how != "fine":
            return _misbehave(how)
        self.answering()
        return _reply(self._answer(request))

    async def close(self) -> None:
        pass

    def fill(self, quantity: str = "0.5") -> None:
        """Let the newest order trade so much in all."""
        order = self.orders[-1]
        order.filled = quantity
        order.state = "filled" if Decimal(quantity) == Decimal(order.quantity) else "partially_filled"

    def named(self, client_id: str) -> list[Placed]:
        return [each for each in self.orders if each.client_id == client_id and each.from_ms <= self.clock.now_ms()]

    async def _place(self, request: Request) -> Response:
        self.placing.append(request)
        self.arriving(request)
        fault = self.faults.pop(0) if self.faults else "accept"
        if fault == "unreachable":
            raise NotSent("Acme cannot be reached")
        if fault == "hang":
            self.hanging.set()
            await asyncio.Event().wait()
        if fault in ("refuse", "busy", "mode", "unlisted"):
            codes = {"refuse": "POOR", "busy": "BUSY", "mode": "MODE", "unlisted": "WHAT"}
            return _reply(None, code=codes[fault], status=400)
        if fault != "drop before":
            self._take(request.json, self.late_seconds if fault == "late" else 0.0)
        if fault in ("drop before", "drop after", "late"):
            raise OutcomeUnknown("Acme did not answer")
        if fault in ("server error", "unlisted but placed"):
            return _reply(None, code="WHAT", status=503 if fault == "server error" else 400)
        if fault == "unreadable":
            return Response(200, {}, b"<html>")
        return _reply({} if fault == "no id" else {"id": self.orders[-1].id})

    def _take(self, body: dict[str, Any], delay_seconds: float) -> None:
        names = ("client_id", "symbol", "side", "type", "quantity", "price")
        begins = self.clock.now_ms() + round(delay_seconds * 1000)
        fields = {name: body[name] for name in names}
        self.orders.append(Placed(id=f"x{len(self.orders) + 1}", from_ms=begins, **fields))

    def _cancel(self, order_id: str) -> Response:
        outcome = self.cancels.pop(0) if self.cancels else "accept"
        if outcome != "accept":
            return _misbehave(outcome)
        next(each for each in self.orders if each.id == order_id).state = "canceled"
        return _reply({})

    def _answer(self, request: Request) -> Any:
        query = dict(request.query)
        if request.path == "/ticker":
            return {"last": self.last, "bid": self.bid, "ask": self.ask}
        if request.path == "/book":
            return {"bids": [[self.bid, "100"]], "asks": [[self.ask, "100"]]}
        if request.path == "/find":
            return [vars(each) for each in self.named(query["client_id"])]
        if request.path == "/order":
            return next(vars(each) for each in self.orders if each.id == query["id"])
        if request.path == "/open":
            return [vars(each) for each in self.orders if each.state in ("open", "partially_filled")]
        if request.path == "/fills":
            return [each for each in self.trades if each["order"] == query["id"]]
        if request.path == "/mode":
            return {"mode": "new"}
        return {}


def _reply(data: Any, *, code: str = "0", status: int = 200) -> Response:
    return Response(status, {}, json.dumps({"code": code, "data": data}).encode())


def _misbehave(how: str) -> Response:
    if how == "error":
        raise OutcomeUnknown("Acme did not answer")
    if how == "unreachable":
        raise NotSent("Acme cannot be reached")
    return Response(200, {}, b"<html>") if how == "unreadable" else _reply(None, code=how, status=400)


class Acme:
    """The plugin of the exchange in memory."""

    def __init__(
        self,
        *,
        absence_seconds: int | None,
        client_id: ClientId,
        exchange_id: str = "acme",
    ) -> None:
        self.info = ExchangeInfo(
            id=exchange_id,
            title="Acme",
            hosts={"api": "https://api.acme.example"},
            paths=("POST /place", "POST /cancel", "GET /*"),
            limits={"orders": (Limit(100_000, 1),)},
            client_id=client_id,
            capabilities=Capabilities(market_buy_in=frozenset({"base"}), absence_seconds=absence_seconds),
        )

    @hookimpl
    def exchange_info(self) -> ExchangeInfo:
        return self.info

    @hookimpl
    def sign(self, request: Request, credentials: Credentials) -> Request:
        return request.with_headers({"key": credentials.key.reveal()})

    @hookimpl
    def map_error(self, response: Response) -> ExchangeError | None:
        try:
            code = json.loads(response.body)["code"]
        except ValueError:
            return OutcomeUnknown("unreadable reply", status=response.status)
        if response.status == 200 and code == "0":
            return None
        return REFUSALS.get(code, OutcomeUnknown)(f"Acme says {code}", code=code, status=response.status)

    @hookimpl
    def place_order(self, order: Order) -> Flow[OrderAck]:
        assert isinstance(order.size, Base)
        price = None if order.price is None else format(order.price, "f")
        body = {
            "client_id": order.client_order_id,
            "symbol": order.market.exchange_symbol,
            "side": order.side,
            "type": order.type,
            "quantity": format(order.size.amount, "f"),
            "price": price,
        }
        reply = yield Request.post("/place", body, places=True, costs={"orders": 1})
        return OrderAck(reply.json()["data"]["id"], order.client_order_id)

    @hookimpl
    def find_order(self, order: Order) -> Flow[OrderReport | None]:
        reply = yield Request.get("/find", {"client_id": order.client_order_id}, costs={"orders": 1})
        rows = reply.json()["data"]
        return _report(rows[0]) if rows else None

    @hookimpl
    def order_status(self, exchange_order_id: str) -> Flow[OrderReport]:
        reply = yield Request.get("/order", {"id": exchange_order_id})
        return _report(reply.json()["data"])

    @hookimpl
    def open_orders(self) -> Flow[list[OrderReport]]:
        return [_report(each) for each in (yield Request.get("/open")).json()["data"]]

    @hookimpl
    def fills(self, exchange_order_id: str) -> Flow[list[Fill]]:
        rows = (yield Request.get("/fills", {"id": exchange_order_id})).json()["data"]
        return [_fill(each) for each in rows]

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
        return [MARKET, OTHER_MARKET]

    @hookimpl
    def ticker(self, market: Market) -> Flow[Ticker]:
        data = (yield Request.get("/ticker", auth="none")).json()["data"]
        last, bid, ask = (Decimal(data[name]) for name in ("last", "bid", "ask"))
        return Ticker(exchange_symbol=market.exchange_symbol, last=last, bid=bid, ask=ask)

    @hookimpl
    def order_book(self) -> Flow[OrderBook]:
        data = (yield Request.get("/book", auth="none")).json()["data"]
        sides = (tuple((Decimal(p), Decimal(q)) for p, q in data[name]) for name in ("bids", "asks"))
        return OrderBook(*sides)

    @hookimpl
    def detect(self, account: Account) -> Flow[dict[str, str]]:
        reply = yield Request.get("/mode")
        mode: dict[str, str] = reply.json()["data"]
        return mode


class Blind(Acme):
    """A plugin that cannot look for an order."""

    find_order = None  # type: ignore[assignment]


def _fill(row: dict[str, str]) -> Fill:
    return Fill(
        trade_id=row["trade"],
        exchange_order_id=row["order"],
        exchange_symbol="BTCUSDT",
        side="buy",
        price=Decimal(row["price"]),
        quantity=Decimal(row["quantity"]),
        fee=Decimal(row["fee"]),
        fee_asset=row["asset"],
        is_maker=True,
        at_ms=0,
    )


def _report(row: dict[str, Any]) -> OrderReport:
    return OrderReport(
        exchange_order_id=row["id"],
        client_order_id=row["client_id"],
        exchange_symbol=row["symbol"],
        side=row["side"],
        type=row["type"],
        state=row["state"],
        filled=Decimal(row["filled"]),
        average_price=Decimal(60000) if Decimal(row["filled"]) else None,
        quantity=Decimal(row["quantity"]),
        price=None if row["price"] is None else Decimal(row["price"]),
        created_ms=row["created_ms"],
    )


@dataclass
class Room:
    """The parts that trade, put together as `tradewire run` does, with the exchange at hand."""

    path: Path
    clock: FakeClock
    exchange: FakeExchange
    paper: FakeExchange
    plugin: Acme
    store: Store
    gateway: Gateway
    reconciler: Reconciler
    desk: Desk
    account: AccountRow
    messages: Iterator[int]

    async def propose(
        self,
        side: Literal["buy", "sell"] = "buy",
        pair: str = "BTC/USDT",
        price: str | None = "58000",
        *,
        account: AccountRow | None = None,
        message_id: int | None = None,
    ) -> OrderRow:
        wanted = None if price is None else Fixed(Decimal(price))
        intent = Intent(side, pair, Amount(Decimal("0.5"), None), wanted)
        return await self.desk.propose(account or self.account, intent, chat_id=CHAT, message_id=message_id)

    def show(self, row: OrderRow, *actions: str) -> tuple[str, ...]:
        """Draw the card with these buttons (just Confirm when none are named), as the outbox does."""
        buttons = [Button(each, each, {}, row.id, row.params_hash, 60) for each in actions or ("confirm",)]
        row = self.row(row)
        message_id = row.message_id or next(self.messages)

        def work(db: Any) -> list[str]:
            made = confirm.mint(
                db,
                buttons,
                user_id=row.user_id,
                chat_id=CHAT,
                message_id=row.message_id,
                now_ms=self.clock.now_ms(),
            )
            confirm.attach(db, made, message_id)
            db.execute("UPDATE orders SET message_id=? WHERE id=?", (message_id, row.id))
            return made

        return tuple(self.store.transact(work))

    async def press(self, row: OrderRow, data: str, user_id: int = ANN, *, may_send: bool = False) -> Any:
        message_id = self.row(row).message_id
        assert message_id is not None
        return await self.desk.press(data, user_id=user_id, chat_id=CHAT, message_id=message_id, may_send=may_send)

    async def confirmed(self, row: OrderRow | None = None, **options: Any) -> OrderRow:
        """Propose (unless given), show and confirm an order."""
        row = row or await self.propose(**options)
        _, confirmed = await self.press(row, self.show(row)[0])
        assert isinstance(confirmed, OrderRow)
        return confirmed

    async def placed(self, fault: Fault = "accept", **options: Any) -> OrderRow:
        """Take an order all the way to the exchange, where `fault` happens to it."""
        row = await self.propose(**options)
        self.exchange.faults.append(fault)
        _, confirmed = await self.press(row, self.show(row)[0], may_send=True)
        if confirmed.state == "confirmed":
            self.desk.send(confirmed)
        await self.desk.drain()
        return self.row(row)

    def row(self, row: OrderRow | int) -> OrderRow:
        order_id = row if isinstance(row, int) else row.id
        return self.store.transact(lambda db: queries.get(db, order_id))

    def history(self, row: OrderRow) -> list[str]:
        return [kind for _, kind, _ in self.store.transact(lambda db: events.timeline(db, row.id))]

    def sql(self, statement: str, *values: Any) -> list[Any]:
        return self.store.transact(lambda db: db.execute(statement, values).fetchall())

    async def live(self, seconds: float, turn: float = 1.0) -> None:
        """Let the reconciler work for so long."""
        for _ in range(round(seconds / turn)):
            await self.reconciler.step()
            self.clock.advance(turn)
        await self.reconciler.step()

    async def settle(self) -> None:
        """Let the reconciler work until nothing is in doubt."""
        for _ in range(400):
            await self.reconciler.step()
            if not self.store.transact(lambda db: queries.in_states(db, ("proposed", "confirmed", *DOUBTFUL))):
                break
            self.clock.advance(1)

    def restart(self) -> Room:
        """Return the room as it is after the process died and came up again."""
        self.store.close()
        room = build(self.path, self.clock, self.exchange, self.paper, self.plugin, self.messages)
        room.store.transact(lambda db: ends.recover(db, self.clock.now_ms()))
        room.store.transact(lambda db: ends.expire_old(db, self.clock.now_ms()))
        return room

    async def close(self) -> None:
        for task in tuple(self.desk._sender._tasks):
            task.cancel()
        await asyncio.gather(*self.desk._sender._tasks, return_exceptions=True)
        self.store.close()


def build(
    path: Path,
    clock: FakeClock,
    exchange: FakeExchange,
    paper: FakeExchange,
    plugin: Acme,
    messages: Iterator[int],
) -> Room:
    """Put a room together over the database at `path`."""
    store = Store(path)
    vault = Vault(store, MasterKey(bytes(range(32))), lambda _: None)
    store.transact(journal.install_law)
    twin = Acme(absence_seconds=10, client_id=plugin.info.client_id, exchange_id="acme:paper")
    exchanges = {}
    for module, wire in ((plugin, exchange), (twin, paper)):
        registered = registry.register(Plugin(module.info.id, module))
        exchanges[module.info.id] = Exchange(registered, Transport(registered.info, registered.hook, wire, clock))
    gateway = Gateway(store, vault, clock, exchanges)
    reconciler = Reconciler(store, gateway, clock, lambda: None)
    desk = Desk(store, gateway, reconciler, clock, lambda: None)

    def account(db: Any) -> AccountRow:
        known = people.find_account(db, ANN, "main")
        if known is None:
            people.ensure_user(db, ANN, now_ms=clock.now_ms())
            people.ensure_user(db, BOB, now_ms=clock.now_ms())
            known = people.add_account(db, ANN, "acme", "main", clock.now_ms(), facts={"mode": "old"})
            vault.seal(db, known, {"key": "the-key", "secret": "the-secret"})
        return known

    row = store.transact(account)
    return Room(path, clock, exchange, paper, plugin, store, gateway, reconciler, desk, row, messages)


def new_room(
    directory: Path,
    *,
    absence_seconds: int | None = 10,
    client_id: ClientId | None = None,
    kind: type[Acme] = Acme,
) -> Room:
    """Return a room with an empty database."""
    clock = FakeClock()
    plugin = kind(absence_seconds=absence_seconds, client_id=client_id or ClientId())
    path = directory / "tradewire.db"
    return build(path, clock, FakeExchange(clock), FakeExchange(clock), plugin, itertools.count(500))


@pytest.fixture
async def room(tmp_path: Path) -> Any:
    """A room whose exchange proves an order absent after ten seconds."""
    room = new_room(tmp_path)
    yield room
    await room.close()


@pytest.fixture
async def vague(tmp_path: Path) -> Any:
    """A room whose exchange never proves anything: no window is documented."""
    room = new_room(tmp_path, absence_seconds=None)
    yield room
    await room.close()
