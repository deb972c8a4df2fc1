"""BitoPro through chat: a whole bot between a local Telegram and a strict local BitoPro."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
import tradewire_bitopro

from bot.accounts.vault import create_master_key
from bot.cli.instance import open_instance
from bot.config import Settings
from bot.exchanges import registry
from bot.exchanges.registry import Plugin
from bot.local.server import LocalServer
from bot.local.telegram import LocalTelegram
from bot.testing.bitopro import StrictBitoPro
from bot.testing.bitopro.sockets import BitoProSockets
from bot.testing.ledger import ZERO
from bot.testing.sockets import SocketServer
from bot.testing.strict import StrictServer
from bot.trading.connect import connect
from bot.trading.reconcile import Reconciler
from tests.e2e.clock import QuickClock
from tests.e2e.conftest import ANN, TOKEN, Desk

pytestmark = pytest.mark.network

KEY = {"key": "bp_canarykey0123456789", "secret": "canarySecret0123456789abcdef", "email": "canary.ann@example.com"}


@dataclass
class BitoProDesk(Desk):
    """A running bot that has BitoPro as its only exchange."""

    exchange: StrictBitoPro  # type: ignore[assignment]

    async def start(self) -> None:
        """Start the bot with this plugin, installed or not."""
        catalog = registry.catalog([Plugin("bitopro", tradewire_bitopro)])
        self.instance = open_instance(self.settings, catalog=catalog, clock=self.clock)
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(self._run(self.instance))

    async def connect(self, label: str = "main", fields: Mapping[str, str] = KEY) -> None:
        """Give Ann a key, as `tradewire keys add` does."""
        assert self.instance is not None
        it = self.instance
        await connect(
            it.gateway, it.store, it.vault, it.clock, user_id=ANN, exchange_id="bitopro", label=label, fields=fields
        )

    async def confirm(self, text: str, *parts: str) -> str:
        """Type an order, press Confirm, and return the card once it shows all `parts`."""
        await self.preview(text)
        self.press("Confirm")
        return await self.see(*parts)

    async def say_until(self, text: str, part: str) -> None:
        """Type `text` until the answer shows `part`."""
        for _ in range(10):
            self.say(text)
            with suppress(AssertionError):
                await self.see(part, within=1)
                return
        raise AssertionError(f"never saw {part} in {self.texts()}")

    async def cancel(self, number: str) -> None:
        """Press the card's button until it counts: one that is drawn anew at that moment does not."""
        for _ in range(5):
            try:
                self.press("Cancel order")
                await self.see("Canceled", number, within=2)
            except AssertionError:
                continue
            return
        raise AssertionError(f"{number} was never canceled: {self.texts()}")


@asynccontextmanager
async def neighbours(tmp_path: Path, *, ahead_ms: int = 0, streams: bool = False) -> AsyncIterator[BitoProDesk]:
    """Start the local Telegram and a strict BitoPro, whose clock is `ahead_ms` ahead of ours, and the bot."""
    clock = QuickClock()
    telegram = LocalTelegram(clock=lambda: clock.now_ms() / 1000)
    telegram.add_person(ANN, "Ann", "ann")
    exchange = StrictBitoPro(clock=lambda: clock.now_ms() + ahead_ms)
    exchange.add_account(**KEY, balances={"TWD": Decimal(100_000), "BTC": Decimal("0.5")})
    key_file = tmp_path / "keys" / "master.key"
    key_file.parent.mkdir()
    create_master_key(key_file)
    sockets = SocketServer(BitoProSockets(exchange))
    async with clock.passing(), StrictServer(exchange) as strict, sockets, LocalServer(telegram, TOKEN) as local:
        settings = Settings.model_validate(
            {
                "telegram": {"token": TOKEN, "base_url": local.base_url, "base_file_url": local.base_file_url},
                "access": {"owner": ANN},
                "storage": {"directory": tmp_path / "data"},
                "vault": {"key_file": key_file},
                "exchanges": {
                    "bitopro": {"base_url": strict.url, **({"stream_url": sockets.url} if streams else {})},
                },
            }
        )
        desk = BitoProDesk(telegram, exchange, settings, clock)
        desk.neighbours = set(asyncio.all_tasks())
        await desk.start()
        yield desk
        await desk.end()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[BitoProDesk]:
    """A running bot with Ann's key connected."""
    async with neighbours(tmp_path) as found:
        await found.connect()
        yield found


async def test_connect_asks_for_the_email_and_admits_what_cannot_be_verified(tmp_path: Path) -> None:
    """The wizard asks for three fields and deletes each; BitoPro tells no rights, and the card says so."""
    async with neighbours(tmp_path) as desk:
        desk.say("/connect bitopro main")
        await desk.see("BitoPro · main", "Withdraw OFF", "API key")
        desk.say(KEY["key"])
        await desk.see("secret key")
        desk.say(KEY["secret"])
        await desk.see("e-mail address")
        desk.say(KEY["email"])
        card = await desk.see("Connected BitoPro·main", "cannot be verified")
        assert "does not tell" in card
        shown = [each.text for each in desk.telegram.messages(ANN) if not each.is_deleted]
        assert not any(value in text for text in shown for value in KEY.values())


async def test_connect_wrong_secret_stores_nothing(tmp_path: Path) -> None:
    """A refused key is told with its remedy and is not kept."""
    async with neighbours(tmp_path) as desk:
        desk.say("/connect bitopro main")
        await desk.see("API key")
        desk.say(f"{KEY['key']}\nwrong-secret-000000\n{KEY['email']}")
        await desk.see("Not connected", "refused the signature", "e-mail", "Nothing was stored")
        assert desk.instance is not None
        rows = desk.instance.store.transact(lambda db: db.execute("SELECT count(*) FROM credentials").fetchone()[0])
        assert rows == 0


async def test_balance_and_price_are_shown(desk: BitoProDesk) -> None:
    """Assets without zeros; the price with bid and ask, which come from the order book."""
    desk.exchange.accounts[KEY["key"]].staked["BTC"] = Decimal(2)
    desk.say("/balance")
    shown = await desk.see("TWD", "BTC")
    assert "ETH" not in shown
    desk.say("/price btc/twd")
    await desk.see("BTC/TWD", "1,500,000", "Bid / ask", "1,500,010")


async def test_limit_buy_and_sell_rest_and_are_listed(desk: BitoProDesk) -> None:
    """Both rest at the exchange with counted ids, and /orders lists them together with a stop order."""
    await desk.confirm("/buy BTC/TWD 0.01 @ 1400000", "Accepted", "Order id")
    await desk.confirm("/sell BTC/TWD 0.1 @ 1600000", "SELL", "Accepted", "Order id")
    await desk.confirm("/sell BTC/TWD 0.1 stop 1450000 @ 1440000", "Accepted", "1,450,000", "Order id")
    [buy, sell] = desk.exchange.orders()
    assert [(each.side, each.price, each.quantity) for each in (buy, sell)] == [
        ("buy", Decimal(1400000), Decimal("0.01")),
        ("sell", Decimal(1600000), Decimal("0.1")),
    ]
    assert int(sell.client_id) == int(buy.client_id) + 1
    [plan] = desk.exchange.ledger.plans
    assert (plan.is_rising, plan.order) == (False, None)
    desk.say("/orders")
    await desk.see("Open orders", "#1 BUY BTC/TWD 0.01", "#2 SELL BTC/TWD 0.1", "#3 SELL")


@pytest.mark.parametrize("size", ["15000twd", "0.01"])
async def test_market_buy_sized_in_quote_and_in_base_spends_quote(desk: BitoProDesk, size: str) -> None:
    """BitoPro takes a market buy in TWD only; a size in BTC is turned into TWD and never sent as it is."""
    await desk.confirm(f"/buy BTC/TWD {size}", "✅ Filled", "1,500,010", "Fee")
    [order] = desk.exchange.orders()
    assert (order.quantity, order.budget) == (ZERO, Decimal(15000))
    desk.say("/history")
    await desk.see("Fills", "BUY", "BTC/TWD", "1,500,010", "BTC")


async def test_market_sell_in_base_fills(desk: BitoProDesk) -> None:
    """A share of what is free is sold in base."""
    await desk.confirm("/sell BTC/TWD 10%", "✅ Filled", "0.05 BTC", "TWD")


async def test_cancel_shows_what_the_exchange_says(desk: BitoProDesk) -> None:
    """The card says canceled once the exchange does; a stop order too, whatever id placing told."""
    await desk.confirm("/buy BTC/TWD 0.01 @ 1400000", "Accepted", "Order id")
    await desk.cancel("#1")
    await desk.confirm("/sell BTC/TWD 0.1 stop 1450000 @ 1440000", "Accepted", "#2", "Order id")
    await desk.cancel("#2")
    [order], [plan] = desk.exchange.orders(), desk.exchange.ledger.plans
    assert (order.status, plan.status) == ("canceled", "canceled")


async def test_stop_order_that_fires_is_followed_to_its_end(desk: BitoProDesk) -> None:
    """The order made by the trigger has another id, and the card still tells its fill."""
    await desk.confirm("/sell BTC/TWD 0.1 stop 1450000 @ 1440000", "Accepted", "Order id")
    desk.exchange.set_price("btc_twd", "1445000", "1445010")
    await desk.see("✅ Filled", "1,445,000")


async def test_post_only_that_would_take_ends_as_refused(desk: BitoProDesk) -> None:
    """Placing it succeeds; its state tells that it did not stay."""
    await desk.confirm("/buy BTC/TWD 0.01 @ 1510000 post", "Refused", "would have traded at once")


@pytest.mark.parametrize("ahead_ms", [60_000, -60_000])
async def test_clock_off_by_a_minute_is_measured_and_corrected(tmp_path: Path, ahead_ms: int) -> None:
    """BitoPro has no time endpoint: its date header is enough for orders to be taken."""
    async with neighbours(tmp_path, ahead_ms=ahead_ms) as desk:
        await desk.connect()
        await desk.confirm("/buy BTC/TWD 0.01 @ 1400000", "Accepted", "Order id")
        desk.say("/status")
        shown = await desk.see("BitoPro·main", "clock")
        offset = int(shown.partition("clock ")[2].split()[0])
        assert abs(offset - ahead_ms) < 2_000


async def test_clock_that_jumps_is_measured_again(desk: BitoProDesk) -> None:
    """After a refused time the next request carries the right one."""
    desk.exchange.clock = lambda: desk.clock.now_ms() + 60_000
    desk.say("/balance")
    await desk.see("TWD", "100,000", "0.5")


SENTENCES = [
    ("/buy BTC/TWD 50twd", "BitoPro needs at least 100 TWD for BTC/TWD; yours is 50"),
    ("/buy BTC/TWD 0.00001 @ 1400000", "BitoPro needs at least 0.0001 BTC for BTC/TWD"),
    ("/buy BTC/TWD 200000twd", "You have 100,000 TWD free on BitoPro; this order needs 200,000 TWD."),
    ("/sell BTC/TWD 3", "You have 0.5 BTC free on BitoPro; this order needs 3 BTC."),
    ("/buy BTC/TWD 0.01 @ 1400000 ioc", "BitoPro takes no IOC orders; what works: GTC."),
    ("/sell BTC/TWD 0.1 stop 1450000", "BitoPro takes no stop-market orders; what works: limit, market, stop-limit."),
    ("/why 403", "list"),
]


async def test_wrong_words_get_a_sentence(desk: BitoProDesk) -> None:
    """Too small, too much and impossible orders are refused before anything is sent."""
    for text, expected in SENTENCES:
        desk.say(text)
        await desk.see(expected)
    assert desk.exchange.placing_requests == 0


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("Balance for twd not enough, only has 1, but ordered 14000.", "1 TWD is free and the order needs 14000"),
        ("Invalid amount 0.01", "below the minimum"),
        ("403", "lacks the order permission"),
        ("Pair is suspended.", "Pair is suspended"),
    ],
)
async def test_refusal_by_the_exchange_is_told_in_plain_words(desk: BitoProDesk, code: str, words: str) -> None:
    """A documented refusal ends the order as refused, with its cause."""
    desk.exchange.misbehave(f"refuse:{code}", "/orders/btc_twd")
    await desk.confirm("/buy BTC/TWD 0.01 @ 1400000", "✖ Refused", words)
    assert desk.exchange.orders() == []


async def test_rate_limit_is_told_and_the_pause_is_kept(desk: BitoProDesk) -> None:
    """After HTTP 429 nothing is sent while the pause lasts."""
    desk.exchange.misbehave("rate_limited", "/accounts/balance", headers={"Retry-After": "60"})
    desk.say("/balance")
    await desk.see("too many requests", "Wait a moment")
    sent = len(desk.exchange.received)
    desk.say("/price BTC/TWD")
    await desk.see("BitoPro allows no more requests for")
    assert len(desk.exchange.received) == sent


@pytest.mark.parametrize("fault", ["drop_after", "error_after", "garbage", "accept:409"])
async def test_order_placed_but_unanswered_is_found_and_not_sent_again(desk: BitoProDesk, fault: str) -> None:
    """When the answer is lost, or is a 409 that may mean "twice", the order is looked up by its counted id."""
    desk.exchange.misbehave(fault, "/orders/btc_twd")
    await desk.confirm("/buy BTC/TWD 0.01 @ 1400000", "Accepted", "Order id")
    assert desk.exchange.placing_requests == 1
    assert len(desk.exchange.orders()) == 1


async def test_another_order_with_our_id_is_not_taken_for_ours(desk: BitoProDesk) -> None:
    """BitoPro lets ids repeat: an order of another program under the same number is not what was asked for."""
    await desk.confirm("/buy BTC/TWD 0.01 @ 1400000", "Accepted", "Order id")
    [mine] = desk.exchange.orders()
    account, pair = desk.exchange.accounts[KEY["key"]], desk.exchange.ledger.pairs["btc_twd"]
    foreign = str(int(mine.client_id) + 1)
    desk.exchange.ledger.place(
        account, pair, "buy", "limit", price=Decimal(1300000), quantity=Decimal("0.01"), client_id=foreign
    )
    desk.exchange.misbehave("drop_before", "/orders/btc_twd")
    await desk.confirm("/buy BTC/TWD 0.01 @ 1350000", "#2", "Not sure yet")
    desk.say("/order 2")
    assert "1,300,000" not in await desk.see("#2", "Our id", foreign)


async def test_fill_told_by_the_socket_shows_without_polling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sockets log in by their headers; nobody asks by the clock, yet each fill is on the card at once."""
    monkeypatch.setattr(Reconciler, "_interval", lambda *_: 3600.0)
    async with neighbours(tmp_path, streams=True) as desk:
        await desk.connect()
        await desk.confirm("/buy BTC/TWD 0.01 @ 1400000", "Accepted", "Order id")
        await desk.say_until("/status", "stream ✓ heard")
        [order] = desk.exchange.orders()
        desk.exchange.ledger.fill(order, "0.004")
        await desk.see("Partly filled", "40%")
        desk.exchange.ledger.fill(order, "0.006")
        await desk.see("✅ Filled", "0.01 BTC")
