"""What the self-test of a key looks at. Each exchange's own words are in `tests/e2e`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot import ExchangeInfo, Flow, Market, OrderReport, OutcomeUnknown, Ticker, hookimpl
from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.accounts.vault import MasterKey, Vault
from bot.contract.wire import Request
from bot.exchanges import registry
from bot.exchanges.registry import Plugin
from bot.exchanges.transport import Transport
from bot.store.database import Store
from bot.trading import journal
from bot.trading.gateway import Exchange, Gateway
from bot.trading.selftest import Step, self_test
from tests.trading.test_connect import FIELDS, NOW_MS, Acme, FakeClock, FakeWire

CENT = Decimal("0.01")


class Open(Acme):
    """Acme with markets, prices and open orders."""

    @hookimpl
    def markets(self) -> Flow[list[Market]]:
        rows = (yield Request.get("/markets", auth="none")).json()
        return [
            Market(
                symbol=f"{base}/USDT", exchange_symbol=base, base=base, quote="USDT", price_step=CENT,
                quantity_step=CENT, quote_step=CENT, min_quantity=CENT, status=status,
            )
            for base, status in rows.items()
        ]  # fmt: skip

    @hookimpl
    def ticker(self, market: Market) -> Flow[Ticker]:
        last = (yield Request.get(f"/price-{market.base}", auth="none")).json()
        return Ticker(exchange_symbol="", last=Decimal(last))

    @hookimpl
    def open_orders(self, markets: list[Market]) -> Flow[list[OrderReport]]:
        return [None for _ in (yield Request.get("/orders", {"of": markets[0].base})).json()]  # type: ignore[misc]


class Untimed:
    """An exchange that tells neither time, rights nor open orders: the hooks every plugin has, and no more."""

    exchange_info, sign, map_error = Acme.exchange_info, Acme.sign, Acme.map_error
    balances, place_order, markets, ticker = Acme.balances, Acme.place_order, Open.markets, Open.ticker


class Unproved(Open):
    """As `Open`, experimental."""

    assumptions: tuple[str, ...] = ("side 1 buys", "time is in seconds")

    @hookimpl
    def exchange_info(self) -> ExchangeInfo:
        info = Acme.exchange_info(self)
        return ExchangeInfo(
            id=info.id,
            title=info.title,
            hosts=info.hosts,
            paths=info.paths,
            experimental="Acme support is experimental.",
            assumptions=self.assumptions,
        )


@pytest.fixture
def wire() -> FakeWire:
    wire = FakeWire()
    wire.answers |= {"/markets": {"ETH": "online", "BTC": "online"}, "/price-BTC": 60000.5, "/price-ETH": 3000}
    wire.answers["/orders"] = [1, 2]
    return wire


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "tradewire.db")
    store.transact(journal.install_law)
    yield store
    store.close()


class Bench:
    """Runs the self-test of one account."""

    def __init__(self, store: Store, wire: FakeWire) -> None:
        self.store, self.wire = store, wire
        self.vault = Vault(store, MasterKey(bytes(range(32))), lambda _: None)
        self.account = store.transact(self._account)

    def _account(self, db: Any) -> AccountRow:
        people.ensure_user(db, 7, now_ms=NOW_MS)
        account = people.add_account(db, 7, "acme", "main", NOW_MS)
        self.vault.seal(db, account, FIELDS)
        return account

    def steps(self, plugin: object, account: AccountRow | None = None) -> AsyncIterator[Step]:
        clock, acme = FakeClock(), registry.register(Plugin("acme", plugin))
        exchange = Exchange(acme, Transport(acme.info, acme.hook, self.wire, clock))
        gateway = Gateway(self.store, self.vault, clock, {"acme": exchange})
        return self_test(gateway, self.store, account or self.account)

    async def run(self, plugin: object) -> list[Step]:
        return [step async for step in self.steps(plugin)]

    def trade(self, symbol: str) -> None:
        """Leave an order in the journal, as the newest."""
        row = (self.account.id, 7, "acme", symbol, "buy", "filled", "{}", b"", "{}", 7, 0, 0, 0)
        names = "account_id,user_id,exchange,symbol,side,state,params,params_hash,intent,chat_id,expires_ms,created_ms,"
        marks = ",".join("?" * len(row))
        self.store.transact(lambda db: db.execute(f"INSERT INTO orders({names}updated_ms) VALUES({marks})", row))


@pytest.fixture
def bench(store: Store, wire: FakeWire) -> Bench:
    return Bench(store, wire)


WELL = [
    Step("connection", "ok", "Acme answers"),
    Step("clock", "ok", "+38 ms"),
    Step("markets", "ok", "2 open, BTC/USDT among them"),
    Step("price", "ok", "BTC/USDT at 60,000.5 USDT"),
    Step("signature", "ok", "accepted"),
    Step("read", "ok", "2 assets"),
    Step("orders", "ok", "can be listed; open now: 2"),
    Step("trade", "ok", "allowed; no order was sent to try it"),
    Step("withdraw", "ok", "verified: the key cannot withdraw"),
    Step("IP", "ok", "bound to addresses"),
]


async def test_self_test_of_a_good_key_takes_every_step_and_only_reads(bench: Bench, wire: FakeWire) -> None:
    """The steps come in the order of what needs what; not one request could change anything."""
    assert await bench.run(Open()) == WELL
    assert {request.method for request in wire.sent} == {"GET"}


async def test_self_test_of_the_bare_hooks_takes_the_steps_there_are(bench: Bench) -> None:
    """An exchange that tells neither its time nor its orders is tested by the rest."""
    assert await bench.run(Untimed()) == [
        *WELL[2:6],
        Step("trade", "unknown", "Acme does not tell; the first order will show"),
        Step("withdraw", "unknown", "cannot be verified here: see on Acme's site that the right is off"),
    ]


LATER = "Test the key again in a few minutes."
REACH = "Check this server's network. The exchange may have moved, or bar this server's address or country."
REFUSED = "Acme refuses the key: the signature is wrong. Copy the key again."
CAN_WITHDRAW = "This Acme key may withdraw money, which the bot never needs. Make a key without that right."


@pytest.mark.parametrize(
    ("path", "answer", "done", "step"),
    [
        ("/time", OutcomeUnknown("No answer"), 0, Step("connection", "failed", f"No answer. {REACH}")),
        ("/time", OutcomeUnknown("No answer", remedy="Wait."), 0, Step("connection", "failed", "No answer. Wait.")),
        ("/markets", OutcomeUnknown("No answer"), 2, Step("markets", "failed", f"No answer. {LATER}")),
        ("/markets", {"X": "halted"}, 2, Step("markets", "failed", "Acme has no open market. Try again later.")),
        ("/price-BTC", OutcomeUnknown("No price"), 3, Step("price", "failed", f"No price. {LATER}")),
        ("/mode", 401, 4, Step("signature", "failed", REFUSED, "KEY_REFUSED")),
        ("/balances", 401, 4, Step("signature", "failed", REFUSED, "KEY_REFUSED")),
        (
            "/balances",
            OutcomeUnknown("No answer"),
            4,
            Step("signature", "failed", f"cannot be checked now: No answer. {LATER}"),
        ),
        ("/orders", 401, 6, Step("orders", "failed", "the signature is wrong. Copy the key again.")),
    ],
)
async def test_self_test_stops_at_the_first_failure_with_cause_and_remedy(
    bench: Bench, wire: FakeWire, path: str, answer: Any, done: int, step: Step
) -> None:
    """What failed is the last step; whatever needs it is not asked for."""
    wire.answers[path] = answer
    assert await bench.run(Open()) == [*WELL[:done], step]


async def test_self_test_of_a_key_that_can_withdraw_fails(bench: Bench, wire: FakeWire) -> None:
    """What is known of the rights is told to the end, and kept."""
    wire.answers["/rights"] = {"can_trade": "yes", "can_withdraw": "yes"}
    found = await bench.run(Open())
    assert found[8:] == [Step("withdraw", "failed", CAN_WITHDRAW, "CAN_WITHDRAW")]
    kept = bench.store.transact(lambda db: people.get_account(db, bench.account.id))
    assert kept is not None
    assert kept.rights["can_withdraw"] == "yes"


@pytest.mark.parametrize(
    ("traded", "markets", "steps"),
    [
        (
            ["BTC/USDT", "ETH/USDT"],
            {"ETH": "online", "BTC": "online"},
            [Step("markets", "ok", "2 open, ETH/USDT among them"), Step("price", "ok", "ETH/USDT at 3,000 USDT")],
        ),
        (
            ["ETH/USDT"],
            {"ETH": "halted", "BTC": "online"},
            [
                Step("markets", "warning", "1 open, but ETH/USDT takes no orders now"),
                Step("price", "ok", "ETH/USDT at 3,000 USDT"),
            ],
        ),
        (
            [],
            {"ETH": "online"},
            [Step("markets", "ok", "1 open, ETH/USDT among them"), Step("price", "ok", "ETH/USDT at 3,000 USDT")],
        ),
    ],
)
async def test_self_test_looks_at_the_pair_traded_last(
    bench: Bench, wire: FakeWire, traded: list[str], markets: dict[str, str], steps: list[Step]
) -> None:
    """Without one it is BTC/USDT, and where that is not traded, any open pair."""
    for symbol in traded:
        bench.trade(symbol)
    wire.answers["/markets"] = markets
    assert (await bench.run(Open()))[2:4] == steps


async def test_self_test_of_an_experimental_exchange_ends_with_its_assumptions(bench: Bench) -> None:
    """How many and which, and the smallest order to begin with."""
    text = (
        "these 2 assumptions are not verified:\n  • side 1 buys\n  • time is in seconds\n"
        "  Begin with the smallest order: 0.01 BTC."
    )
    assert await bench.run(Unproved()) == [*WELL, Step("experimental", "warning", text)]


async def test_self_test_tells_each_step_before_the_next_is_asked_for(bench: Bench, wire: FakeWire) -> None:
    """Whoever shows the steps can show them as they come."""
    steps = bench.steps(Open())
    asked = []
    for _ in range(4):
        await anext(steps)
        asked.append(wire.sent[-1].path)
    assert asked == ["/time", "/time", "/markets", "/price-BTC"]
    await steps.aclose()  # type: ignore[attr-defined]
