"""The paper exchange from outside: hooks yield requests, the wire answers them, the database remembers."""

import asyncio
from decimal import Decimal

import pluggy
import pytest

from bot import (
    Account,
    Balance,
    Base,
    Capabilities,
    ClientId,
    InsufficientFunds,
    InvalidOrder,
    Market,
    NotSent,
    Order,
    OrderBook,
    OrderNotFound,
    OutcomeUnknown,
    Quote,
    Response,
    Ticker,
)
from bot.contract import hookspecs
from bot.exchanges.paper.plugin import PATHS, PaperPlugin
from bot.exchanges.paper.wire import PaperWire
from bot.store.database import Store


def market(symbol, **fields):
    base, quote = symbol.split("/")
    steps = {"price_step": "0.01", "quantity_step": "0.0001", "quote_step": "0.01", "min_quantity": "0.001"}
    rules = {name: Decimal(text) for name, text in steps.items()}
    return Market(symbol=symbol, exchange_symbol=base + quote, base=base, quote=quote, **{**rules, **fields})


def levels(*pairs):
    return tuple((Decimal(price), Decimal(quantity)) for price, quantity in pairs)


BTC, ETH = market("BTC/USDT"), market("ETH/USDT")
BOOK = OrderBook(levels(("99", "1"), ("98", "5")), levels(("101", "1"), ("102", "5")))
ME, OTHER = Account(1, "me"), Account(2, "other")
FREE = {"BTC": Balance("BTC", Decimal("0.1"), Decimal(0)), "USDT": Balance("USDT", Decimal(10_000), Decimal(0))}


class Exchange:
    """The plugin over the wire, and the real market behind, as the test wants it."""

    def __init__(self, path):
        self.books = {"BTCUSDT": BOOK, "ETHUSDT": BOOK}
        self.listed = [BTC, ETH]
        self.failure = None
        self.requests = []
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        capabilities = Capabilities(key_report=True, sandbox=True, absence_seconds=None)
        manager.register(PaperPlugin("acme:paper", "Acme (paper)", capabilities, ClientId(repeats="refused")))
        manager.check_pending()
        self.hook = manager.hook
        self.path = path
        self.store = Store(path)
        self.restart()

    def restart(self):
        """Begin again with nothing but the file."""
        self.store.close()
        self.store = Store(self.path)
        self.wire = PaperWire(self.store, markets=self.markets, book=self.book, now_ms=lambda: 1_700_000_000_000)

    async def markets(self):
        return self.listed

    async def book(self, market):
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        return self.books[market.exchange_symbol]

    async def run(self, name, timeout_seconds=5, **arguments):
        """Drive one hook's flow over the wire, errors mapped."""
        flow, value = getattr(self.hook, name)(**arguments), None
        try:
            while True:
                request = flow.send(value)
                self.requests.append(request)
                value = await self.wire.send(request, timeout_seconds=timeout_seconds)
                error = self.hook.map_error(request=request, response=value)
                if error is not None:
                    raise error
        except StopIteration as stop:
            return stop.value

    async def place(self, new, account=ME):
        return (await self.run("place_order", account=account, order=new)).exchange_order_id

    async def status(self, new, order_id, account=ME):
        return await self.run("order_status", account=account, order=new, exchange_order_id=order_id)

    async def balances(self, account=ME):
        return {row.asset: row for row in await self.run("balances", account=account)}


@pytest.fixture
def exchange(tmp_path):
    exchange = Exchange(tmp_path / "bot.db")

    def people(db):
        db.execute("INSERT INTO users(id, role, created_ms) VALUES (5, 'trader', 0)")
        for account in (ME, OTHER):
            row = (account.id, account.label)
            db.execute(
                "INSERT INTO accounts(id, user_id, exchange, label, paper, created_ms) VALUES (?, 5, 'acme', ?, 1, 0)",
                row,
            )

    exchange.store.transact(people)
    yield exchange
    exchange.store.close()


def limit(side="buy", price="90", quantity="3", client_order_id="c1", market=BTC, **fields):
    return Order(
        client_order_id=client_order_id,
        market=market,
        side=side,
        type="limit",
        size=Base(Decimal(quantity)),
        price=Decimal(price),
        **fields,
    )


def facts(report):
    return (report.state, report.filled, report.average_price, report.fee, report.fee_asset)


def test_info_mirrors_the_real_exchange_but_tells_what_paper_can_do(exchange):
    """No credentials; the truth is always at hand, so absence is proved soon; no key to report on, no second demo."""
    info = exchange.hook.exchange_info()
    assert (info.credential_fields, info.hosts) == ((), {"api": "paper://acme:paper"})
    assert info.capabilities == Capabilities(cancel_all=True, find_by_client_id=True, absence_seconds=20)
    assert info.client_id == ClientId(repeats="refused_while_open")


async def test_public_hooks_show_the_real_markets_book_and_price(exchange):
    """Markets and book come through unchanged; the price is the middle, on the price step."""
    assert await exchange.run("markets") == [BTC, ETH]
    assert await exchange.run("order_book", market=BTC) == BOOK
    assert await exchange.run("ticker", market=BTC) == Ticker(
        exchange_symbol="BTCUSDT", last=Decimal(100), bid=Decimal(99), ask=Decimal(101), at_ms=1_700_000_000_000
    )


async def test_ticker_of_an_empty_book_is_refused(exchange):
    """No price is better than an invented one."""
    exchange.books["BTCUSDT"] = OrderBook((), ())
    with pytest.raises(InvalidOrder, match="the book of BTC/USDT is empty, so it has no price"):
        await exchange.run("ticker", market=BTC)


async def test_new_account_starts_with_the_assets_that_the_markets_know(exchange):
    """TWD is there only where something trades against it."""
    assert await exchange.balances() == FREE
    exchange.listed = [BTC, market("USDT/TWD")]
    assert {row.asset: row.free for row in await exchange.run("balances", account=OTHER)} == {
        "BTC": Decimal("0.1"),
        "TWD": Decimal(300_000),
        "USDT": Decimal(10_000),
    }


async def test_order_fills_in_parts_as_the_book_comes_to_it(exchange):
    """Crossing takes 1 at once; each new book brings more; the last one fills it, and fills tell the whole story."""
    new = limit(price="101", quantity="3")
    order_id = await exchange.place(new)
    assert facts(await exchange.status(new, order_id)) == (
        "partially_filled",
        Decimal(1),
        Decimal(101),
        Decimal("0.001"),
        "BTC",
    )
    exchange.books["BTCUSDT"] = OrderBook((), levels(("100", "0.5")))
    assert (await exchange.status(new, order_id)).filled == Decimal("1.5")
    exchange.books["BTCUSDT"] = OrderBook((), levels(("101", "9")))
    assert facts(await exchange.status(new, order_id)) == (
        "filled",
        Decimal(3),
        Decimal(101),
        Decimal("0.003"),
        "BTC",
    )
    fills = await exchange.run("fills", account=ME, markets=[BTC], exchange_order_id=order_id)
    assert [(fill.quantity, fill.price, fill.is_maker) for fill in fills] == [
        (Decimal("1.5"), Decimal(101), True),
        (Decimal("0.5"), Decimal(101), True),
        (Decimal(1), Decimal(101), False),
    ]
    assert await exchange.balances() == {
        "BTC": Balance("BTC", Decimal("3.097"), Decimal(0)),
        "USDT": Balance("USDT", Decimal(9697), Decimal(0)),
    }


async def test_market_buy_in_quote_reports_no_quantity(exchange):
    """202 USDT buy 1 at 101 and 0.9901 at 102."""
    new = Order(client_order_id="c1", market=BTC, side="buy", type="market", size=Quote(Decimal(202)))
    report = await exchange.status(new, await exchange.place(new))
    assert (report.state, report.filled, report.quantity) == ("filled", Decimal("1.9901"), None)


async def test_restart_finds_the_same_orders_and_balances(exchange):
    """All of it is in the file: after a restart the order is found by our id, and it still fills."""
    new = limit()
    order_id = await exchange.place(new)
    before = (await exchange.balances(), await exchange.run("open_orders", account=ME, markets=[]))
    exchange.restart()
    assert (await exchange.balances(), await exchange.run("open_orders", account=ME, markets=[])) == before
    found = await exchange.run("find_order", account=ME, order=new)
    assert (found.exchange_order_id, found.client_order_id, found.state) == (order_id, "c1", "open")
    exchange.books["BTCUSDT"] = OrderBook((), levels(("89", "9")))
    assert (await exchange.status(new, order_id)).state == "filled"


async def test_fill_seen_by_one_request_survives_a_restart(exchange):
    """A fill that a mere read brought about is saved, so it is never told and then forgotten."""
    new = limit(quantity="1")
    order_id = await exchange.place(new)
    exchange.books["BTCUSDT"] = OrderBook((), levels(("89", "9")))
    assert (await exchange.status(new, order_id)).state == "filled"
    exchange.books["BTCUSDT"] = BOOK
    exchange.restart()
    assert (await exchange.status(new, order_id)).state == "filled"


async def test_accounts_do_not_see_each_other(exchange):
    """Each account has its own orders, ids and money."""
    new = limit()
    order_id = await exchange.place(new)
    assert await exchange.run("find_order", account=OTHER, order=new) is None
    assert await exchange.balances(OTHER) == FREE
    with pytest.raises(OrderNotFound, match=f"there is no order {order_id}"):
        await exchange.status(new, order_id, OTHER)


async def test_cancel_moves_an_order_from_open_to_history(exchange):
    """The money is free again, and a second cancellation says what became of the order."""
    new = limit()
    order_id = await exchange.place(new)
    await exchange.run("cancel_order", account=ME, order=new, exchange_order_id=order_id)
    assert await exchange.run("open_orders", account=ME, markets=[]) == []
    history = await exchange.run("order_history", account=ME, markets=[])
    assert [(report.exchange_order_id, report.state) for report in history] == [(order_id, "canceled")]
    assert await exchange.balances() == FREE
    with pytest.raises(OrderNotFound, match=f"order {order_id} is already canceled"):
        await exchange.run("cancel_order", account=ME, order=new, exchange_order_id=order_id)


async def test_cancel_all_leaves_other_markets_alone(exchange):
    """Only the named market's orders go."""
    await exchange.place(limit(client_order_id="btc"))
    await exchange.place(limit(client_order_id="eth", market=ETH))
    await exchange.run("cancel_all", account=ME, market=BTC)
    left = await exchange.run("open_orders", account=ME, markets=[])
    assert [report.client_order_id for report in left] == ["eth"]


@pytest.mark.parametrize(
    ("new", "kind", "code", "message"),
    [
        (
            limit(quantity="200"),
            InsufficientFunds,
            "INSUFFICIENT_FUNDS",
            "this needs 18000 USDT, and 10000 USDT is free",
        ),
        (limit(quantity="0.0005"), InvalidOrder, "MIN_QUANTITY", "0.0005 BTC is below the minimum of 0.001 BTC"),
        (limit(market=market("DOGE/USDT")), InvalidOrder, "UNKNOWN_MARKET", "there is no market DOGEUSDT"),
    ],
)
async def test_refused_order_is_a_proved_rejection_with_a_sentence(exchange, new, kind, code, message):
    """The error says what was wrong and what to do, and no order exists."""
    with pytest.raises(kind) as caught:
        await exchange.place(new)
    assert (caught.value.code, caught.value.message) == (code, message)
    assert caught.value.remedy
    assert await exchange.run("find_order", account=ME, order=new) is None


async def test_halted_market_refuses_orders_without_a_look_at_its_book(exchange):
    """A halted market has no book to read, which must not hide the reason."""
    exchange.listed = [market("BTC/USDT", status="halted")]
    exchange.failure = OutcomeUnknown("no book")
    with pytest.raises(InvalidOrder, match="BTC/USDT is halted"):
        await exchange.place(limit())


async def test_duplicate_of_an_open_order_is_a_doubt_not_a_rejection(exchange):
    """The order exists, so the core must look for it: two presses at once leave one order."""
    results = await asyncio.gather(exchange.place(limit()), exchange.place(limit()), return_exceptions=True)
    assert [type(result) for result in results] == [str, OutcomeUnknown]
    assert len(await exchange.run("open_orders", account=ME, markets=[])) == 1


@pytest.mark.parametrize("failure", [OutcomeUnknown("Acme did not answer"), NotSent("Acme cannot be reached")])
async def test_order_while_the_real_book_cannot_be_read_is_not_sent(exchange, failure):
    """Without a book nothing is accepted, and that is certain; reads say that they failed."""
    exchange.failure = failure
    new = limit()
    with pytest.raises(NotSent, match=rf"cannot be read \({failure}\), so no paper order can be taken"):
        await exchange.place(new)
    with pytest.raises(OutcomeUnknown, match="the real market cannot be read"):
        await exchange.run("order_book", market=BTC)
    exchange.failure = None
    assert await exchange.run("find_order", account=ME, order=new) is None


async def test_order_while_the_real_book_does_not_answer_is_not_sent(exchange, monkeypatch):
    """Time runs out before acceptance, so the order surely does not exist."""
    monkeypatch.setattr(exchange, "book", lambda market: asyncio.Event().wait())
    exchange.restart()
    with pytest.raises(NotSent, match="no answer in time"):
        await exchange.run("place_order", timeout_seconds=0, account=ME, order=limit())


async def test_order_on_a_market_that_is_no_longer_listed_is_canceled(exchange):
    """Its money is not held for ever, and the report says why."""
    new = limit()
    order_id = await exchange.place(new)
    exchange.listed = [ETH, market("BTC/USDC")]
    report = await exchange.status(new, order_id)
    assert (report.state, report.reason) == ("canceled", "the market is no longer listed")
    assert await exchange.balances() == FREE


async def test_refusal_keeps_what_the_book_did_to_other_orders(exchange):
    """A refused order still let the book act on the resting one, and that is saved."""
    await exchange.place(limit(quantity="1"))
    exchange.books["BTCUSDT"] = OrderBook((), levels(("89", "9")))
    with pytest.raises(InsufficientFunds):
        await exchange.place(limit(quantity="900", client_order_id="c2"))
    exchange.books["BTCUSDT"] = BOOK
    exchange.restart()
    history = await exchange.run("order_history", account=ME, markets=[])
    assert [report.state for report in history] == ["filled"]


async def test_every_request_is_on_the_list_of_paths_and_only_orders_place(exchange):
    """Each hook asks for a listed path without a signature, and only one request can create an order."""
    new = limit()
    order_id = await exchange.place(new)
    for name in ("balances", "open_orders", "order_history", "fills", "find_order", "cancel_order", "cancel_all"):
        arguments = {"account": ME, "order": new, "exchange_order_id": order_id, "markets": [BTC], "market": BTC}
        takes = getattr(exchange.hook, name).spec.argnames
        await exchange.run(name, **{key: value for key, value in arguments.items() if key in takes})
    await exchange.status(new, order_id)
    for name, arguments in (("markets", {}), ("ticker", {"market": BTC}), ("order_book", {"market": BTC})):
        await exchange.run(name, **arguments)
    asked = {f"{each.method} {each.path}".replace(f"/{order_id}", "/*") for each in exchange.requests}
    assert asked == set(PATHS)
    assert {each.auth for each in exchange.requests} == {"none"}
    assert [each.path for each in exchange.requests if each.places] == ["/v1/orders"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"error":"NEW","message":"x"}'])
def test_map_error_of_an_unknown_reply_is_a_doubt(exchange, body):
    """What the table does not know is never taken for a rejection."""
    error = exchange.hook.map_error(request=None, response=Response(400, {}, body))
    assert type(error) is OutcomeUnknown
