"""Bitrue through chat: a whole bot between a local Telegram and a strict local Bitrue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
import tradewire_bitrue

from bot import Limit
from bot.accounts.vault import create_master_key
from bot.chat.pacer import Pacer
from bot.cli.instance import open_instance
from bot.config import Settings
from bot.exchanges import registry
from bot.exchanges.registry import Plugin
from bot.local.server import LocalServer
from bot.local.telegram import LocalTelegram
from bot.testing.bitrue import BitrueSockets, StrictBitrue
from bot.testing.sockets import SocketServer
from bot.testing.strict import StrictServer
from bot.trading.connect import KeyRefused, connect
from bot.trading.reconcile import Reconciler
from tests.e2e.clock import QuickClock
from tests.e2e.conftest import ANN, TOKEN, Desk

pytestmark = pytest.mark.network
MINUTE = 300
"""What a minute may weigh where limits are tried: less than Bitrue's 1,200, to be soon used up."""
KEY = {
    "key": "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
    "secret": "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j",
}


class BitrueDesk(Desk):
    """A desk at Bitrue."""

    exchange: StrictBitrue  # type: ignore[assignment]

    async def start(self) -> None:
        """Start the bot with this plugin alone, whether or not it is installed."""
        self.instance = open_instance(
            self.settings, catalog=registry.catalog([Plugin("bitrue", tradewire_bitrue)]), clock=self.clock
        )
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(self._run(self.instance))

    async def connect(self, label: str = "main", **changes: str) -> None:
        """Give Ann a key, as `tradewire keys add` does."""
        it = self.instance
        assert it is not None
        fields = KEY | changes
        await connect(
            it.gateway,
            it.store,
            it.vault,
            it.clock,
            user_id=ANN,
            exchange_id="bitrue",
            label=label,
            fields=fields,
            has_looked=True,
        )

    async def confirm(self, text: str, *parts: str) -> str:
        """Type an order, confirm it, wait for its card, and return its preview."""
        preview = await self.preview(text)
        self.press("Confirm")
        await self.see(*parts)
        return preview


@asynccontextmanager
async def neighbours(
    tmp_path: Path, *, ahead_ms: int = 0, has_streams: bool = False
) -> AsyncIterator[tuple[BitrueDesk, SocketServer]]:
    """Start the local Telegram, the strict Bitrue, whose clock is `ahead_ms` before ours, and the bot between them."""
    clock = QuickClock()
    telegram = LocalTelegram(clock=lambda: clock.now_ms() / 1000)
    telegram.add_person(ANN, "Ann", "ann")
    exchange = StrictBitrue(clock=lambda: clock.now_ms() + ahead_ms)
    exchange.add_account(**KEY, balances={"USDT": Decimal(1000), "BTC": Decimal("0.5")})
    key_file = tmp_path / "keys" / "master.key"
    key_file.parent.mkdir()
    create_master_key(key_file)
    sockets = BitrueSockets(exchange)
    async with (
        clock.passing(),
        StrictServer(exchange) as strict,
        SocketServer(sockets) as pushes,
        LocalServer(telegram, TOKEN) as local,
    ):
        settings = Settings.model_validate(
            {
                "telegram": {"token": TOKEN, "base_url": local.base_url, "base_file_url": local.base_file_url},
                "access": {"owner": ANN},
                "storage": {"directory": tmp_path / "data"},
                "vault": {"key_file": key_file},
                "limits": {"orders_a_minute": 600},
                "exchanges": {
                    "bitrue": {"base_url": strict.url, "stream_url": pushes.url if has_streams else None},
                },
            }
        )
        desk = BitrueDesk(telegram, exchange, settings, clock)  # type: ignore[arg-type]
        desk.neighbours = set(asyncio.all_tasks())
        await desk.start()
        yield desk, pushes
        await desk.end()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[BitrueDesk]:
    """A running bot with Ann's key connected."""
    async with neighbours(tmp_path) as (found, _):
        await found.connect()
        yield found


async def test_connect_in_chat_stores_nothing_before_somebody_looked(tmp_path: Path) -> None:
    """The report may be of the account and not of the key: nothing is stored before its owner says they looked."""
    async with neighbours(tmp_path) as (desk, _):
        desk.say("/connect bitrue")
        await desk.see("Leave Withdraw OFF", "API key")
        desk.say("\n".join(KEY.values()))
        await desk.see("Look at the exchange first", "may mean your account and not this key", "Nothing was stored")
        assert desk.instance is not None
        count = "SELECT count(*) FROM credentials"
        assert desk.instance.store.transact(lambda db: db.execute(count).fetchone()[0]) == 0
        desk.say("yes")
        await desk.see("Press the button")
        desk.press("I looked")
        await desk.see("Connected Bitrue·main", "may mean your account and not this key")
        desk.say("/keys")
        await desk.see("⚠ withdraw right not verified")
        await desk.see("You looked at the exchange's site")


async def test_balance_and_price(desk: BitrueDesk) -> None:
    """Assets come in lower case and mostly zero; what is shown is neither."""
    desk.say("/balance")
    text = await desk.see("USDT", "1,000.00", "BTC", "0.5")
    assert "LTC" not in text.upper()
    desk.say("/price btcusdt")
    await desk.see("BTC/USDT", "60,000.00 / 60,000.10")


async def test_limit_buy_and_sell_rest(desk: BitrueDesk) -> None:
    """Both are accepted and listed as ours, although Bitrue leaves our ids empty."""
    await desk.confirm("/buy BTC/USDT 0.001 @ 50000", "Accepted", "BUY BTC/USDT", "Order id")
    await desk.confirm("/sell BTC/USDT 0.002 @ 70000", "Accepted", "SELL BTC/USDT")
    orders = desk.exchange.orders(only_open=True)
    assert [(each.side, str(each.quantity)) for each in orders] == [("buy", "0.00100"), ("sell", "0.00200")]
    assert all(20 < len(each.client_id) <= 32 for each in orders)
    desk.say("/orders")
    text = await desk.see("Open orders", "#1 BUY", "#2 SELL")
    assert "elsewhere" not in text


async def test_market_buy_in_quote_is_turned_into_base(desk: BitrueDesk) -> None:
    """Bitrue takes a quantity only: 60 USDT are priced by the book first, and the preview shows the quantity."""
    preview = await desk.confirm("/buy BTC/USDT $60", "✅ Filled", "60,000.10")
    assert "0.00099 BTC" in preview
    [order] = desk.exchange.orders()
    assert desk.exchange.quantities[order.id] == Decimal("0.00099")
    assert order.value <= 60
    desk.say("/history BTC/USDT")
    await desk.see("Fills", "BUY", "60,000.10", "fee")


async def test_market_buy_and_sell_in_base(desk: BitrueDesk) -> None:
    """A quantity goes out as it is."""
    await desk.confirm("/buy BTC/USDT 0.001", "✅ Filled", "BUY", "0.001 BTC")
    await desk.confirm("/sell BTC/USDT 0.1", "✅ Filled", "SELL", "0.1 BTC")
    assert [desk.exchange.quantities[each.id] for each in desk.exchange.orders()] == [Decimal("0.001"), Decimal("0.1")]


async def test_cancel_after_partial_fill(desk: BitrueDesk) -> None:
    """What was filled stays filled."""
    await desk.confirm("/buy BTC/USDT 0.001 @ 50000", "Accepted", "Order id")
    desk.exchange.ledger.fill(desk.exchange.orders()[0], "0.0004")
    await desk.see("Partly filled", "40%")
    desk.press("Cancel order")
    await desk.see("✖ Canceled", "0.0004 BTC")
    assert [each.status for each in desk.exchange.orders()] == ["canceled"]


@pytest.mark.parametrize("fault", ["drop_after", "error_after", "garbage"])
async def test_unanswered_order_is_found_and_not_sent_again(desk: BitrueDesk, fault: str) -> None:
    """A lost answer is settled by our id."""
    desk.exchange.misbehave(fault, "/api/v1/order")
    await desk.confirm("/buy BTC/USDT 0.001 @ 50000", "Accepted", "Order id")
    assert (desk.exchange.placing_requests, len(desk.exchange.orders())) == (1, 1)


async def test_unanswered_order_is_found_by_its_likeness(desk: BitrueDesk) -> None:
    """Where our id is neither shown nor known, the only order that is alike is ours."""
    desk.exchange.knows_client_ids = False
    desk.exchange.misbehave("drop_after", "/api/v1/order")
    await desk.confirm("/buy BTC/USDT 0.001 @ 50000", "Accepted", "Order id")
    assert desk.exchange.placing_requests == 1


async def test_unanswered_order_is_found_though_the_look_up_by_our_id_is_refused(desk: BitrueDesk) -> None:
    """Where Bitrue insists on its own id, the lists tell; the doubt does not stay open."""
    desk.exchange.takes_client_ids = False
    desk.exchange.misbehave("drop_after", "/api/v1/order")
    await desk.confirm("/buy BTC/USDT 0.001 @ 50000", "Accepted", "Order id")
    assert desk.exchange.placing_requests == 1


async def test_unanswered_order_is_found_behind_a_thousand_newer_ones(desk: BitrueDesk) -> None:
    """Bitrue lists a thousand at a time: an order on an older page is not taken for absent."""
    exchange = desk.exchange
    exchange.knows_client_ids = False

    def bury(changed: object) -> None:
        """Let other programs place 1,200 orders, a moment after this one."""
        exchange.ledger.watchers.remove(bury)
        [ours] = exchange.orders()
        for later_ms in range(10_000, 1_210_000, 1000):
            other = exchange.ledger.place(
                ours.account, ours.pair, "sell", "limit", price=Decimal(70000), quantity=Decimal("0.0001")
            )
            other.created_ms = ours.created_ms + later_ms

    exchange.ledger.watchers.append(bury)
    exchange.misbehave("drop_after", "/api/v1/order")
    await desk.confirm("/buy BTC/USDT 0.001", "✅ Filled", "0.001 BTC")
    assert (exchange.placing_requests, len(exchange.orders())) == (1, 1201)
    pages = [each for each in exchange.received if each.path == "/api/v1/allOrders"]
    assert ["endTime" in each.query for each in pages] == [False, True]


async def test_market_that_cannot_be_read_costs_no_other(tmp_path: Path) -> None:
    """One odd row in the list of markets, and the others are traded as ever."""
    async with neighbours(tmp_path) as (desk, _):
        odd = {"symbol": "ODDUSDT", "baseAsset": "ODD", "quoteAsset": "USDT", "filters": "none"}
        desk.exchange.odd_rows["exchangeInfo"] += [odd, {"symbol": None}, "odd"]
        await desk.connect()
        await desk.confirm("/buy BTC/USDT 0.001 @ 50000", "Accepted", "Order id")
        desk.say("/price ODD/USDT")
        await desk.see('There is no pair "ODD/USDT" here')


async def test_order_that_cannot_be_read_is_not_left_out_of_the_list(desk: BitrueDesk) -> None:
    """A list with a hole would hide an order: the person is told that Bitrue's could not be read, and what is known."""
    await desk.confirm("/buy BTC/USDT 0.001 @ 50000", "Accepted", "Order id")
    desk.exchange.odd_rows["openOrders"].append({"symbol": "BTCUSDT", "orderId": "5"})
    desk.say("/orders BTC/USDT")
    await desk.see("#1 BUY BTC/USDT", "sent a reply of an unexpected shape", "`side`")


async def test_unanswered_order_that_two_could_be_stays_in_doubt(desk: BitrueDesk) -> None:
    """A look-alike placed elsewhere is never taken for ours."""
    desk.exchange.knows_client_ids = False
    account, pair = desk.exchange.accounts[KEY["key"]], desk.exchange.ledger.pairs["BTCUSDT"]
    size = {"price": Decimal(50000), "quantity": Decimal("0.001")}
    desk.exchange.ledger.place(account, pair, "buy", "limit", **size)  # type: ignore[arg-type]
    looks = [desk.exchange.misbehave("slow", "/api/v1/allOrders") for _ in range(3)]
    for look in looks:
        look.release()
    desk.exchange.misbehave("drop_after", "/api/v1/order")
    await desk.confirm("/buy BTC/USDT 0.001 @ 50000", "Not sure yet")
    await asyncio.wait_for(looks[-1].reached.wait(), 20)
    assert not any("Accepted" in text or "not placed" in text.lower() for text in desk.texts())
    assert desk.exchange.placing_requests == 1


async def test_wrong_key_and_wrong_secret_are_refused(tmp_path: Path) -> None:
    """Each is told in plain words, and nothing is stored."""
    async with neighbours(tmp_path) as (desk, _):
        with pytest.raises(KeyRefused, match="does not accept this API key here"):
            await desk.connect(key="x" * 64)
        with pytest.raises(KeyRefused, match="refused the signature, the time or the rights of the key"):
            await desk.connect(secret="x" * 64)
        desk.say("/balance")
        await desk.see("/connect adds your key")


async def test_key_without_the_right_to_trade_is_told_by_the_first_order(desk: BitrueDesk) -> None:
    """Bitrue has one code for three causes, so all three are named."""
    desk.exchange.accounts[KEY["key"]].rights.remove("trade")
    await desk.confirm("/buy BTC/USDT 0.001 @ 50000", "✖ Refused", "the rights of the key")


@pytest.mark.parametrize("ahead_ms", [60_000, -60_000])
async def test_clock_off_by_a_minute_is_measured_and_allowed_for(tmp_path: Path, ahead_ms: int) -> None:
    """Bitrue takes one second ahead and five behind; the bot signs by Bitrue's clock."""
    async with neighbours(tmp_path, ahead_ms=ahead_ms) as (desk, _):
        await desk.connect()
        await desk.confirm("/buy BTC/USDT 0.001 @ 50000", "Accepted")


@pytest.mark.parametrize("code", ["-1021", "-1022", "-1102"])
async def test_clock_moving_later_is_measured_again(desk: BitrueDesk, code: str) -> None:
    """Under whichever code the time is refused, the bot asks for it and reads once more."""
    desk.exchange.clock_code = code  # type: ignore[assignment]
    desk.exchange.clock = lambda: desk.clock.now_ms() + 60_000
    desk.say("/balance")
    await desk.see("1,000.00")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/buy BTC/USDT 0.00009 @ 50000", ("Bitrue needs at least 0.0001 BTC", "yours, rounded down, is 0.00009")),
        ("/buy BTC/USDT 0.0001 @ 50000", ("Bitrue needs at least 10 USDT",)),
        ("/buy BTC/USDT $5", ("Bitrue needs at least",)),
        ("/buy BTC/USDT $5000", ("You have 1,000 USDT free on Bitrue",)),
        ("/sell BTC/USDT 3", ("You have 0.5 BTC free on Bitrue", "needs 3 BTC")),
        ("/sell BTC/USDT 0.001 stop 55000", ("Bitrue takes no stop-market orders", "limit, market")),
        ("/buy BTC/USDT 0.001 @ 50000 post", ("Bitrue takes no post-only orders",)),
        ("/buy BTC/USDT 0.001 @ 50000 ioc", ("Bitrue takes no IOC orders", "GTC")),
        ("/buy SHA/USDT 300 @ 0.05", ("Bitrue needs at least 388.89 SHA",)),
    ],
)
async def test_impossible_orders_get_a_sentence(desk: BitrueDesk, text: str, words: tuple[str, ...]) -> None:
    """What Bitrue cannot do is told before anything is sent."""
    desk.say(text)
    await desk.see(*words)
    assert desk.exchange.placing_requests == 0


async def test_money_gone_meanwhile_is_refused_in_plain_words(desk: BitrueDesk) -> None:
    """What was free at the preview may be gone at the press."""
    await desk.preview("/buy BTC/USDT 0.001 @ 50000")
    desk.exchange.accounts[KEY["key"]].free["USDT"] = Decimal(1)
    desk.press("Confirm")
    await desk.see("✖ Refused", "the balance is too small")


@pytest.mark.parametrize(("fault", "words"), [("rate_limited", "too many requests"), ("banned", "has banned this")])
async def test_rate_limit_and_ban_are_told_and_the_pause_is_kept(desk: BitrueDesk, fault: str, words: str) -> None:
    """After HTTP 429 or 418 nothing is sent while the pause lasts."""
    desk.exchange.misbehave(fault, "/api/v1/account", headers={"Retry-After": "60"})
    desk.say("/balance")
    await desk.see(words)
    sent = len(desk.exchange.received)
    desk.say("/price BTC/USDT")
    await desk.see("Bitrue allows no more requests for")
    assert len(desk.exchange.received) == sent


async def test_polling_of_resting_orders_leaves_room_for_a_new_order_and_a_cancel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five orders, asked after without pause, spend half of the limit; people have more, and cancels all of it."""
    limits = {"general": (Limit(MINUTE, 60),), "orders": (Limit(100, 60),)}
    monkeypatch.setattr(tradewire_bitrue.payloads, "LIMITS", limits)
    turns = 0

    def without_pause(*_: object) -> float:
        nonlocal turns
        turns += 1
        return 0.0

    monkeypatch.setattr(Reconciler, "_interval", without_pause)

    async def at_once(*_: object, **__: object) -> None:
        """Let a message go: Telegram's pace is not what is tried here."""

    monkeypatch.setattr(Pacer, "turn", at_once)
    async with neighbours(tmp_path) as (desk, _):
        desk.exchange.is_limiting, desk.exchange.limits["general"] = True, MINUTE
        changed = asyncio.Event()
        desk.exchange.ledger.watchers.append(lambda _: changed.set())
        await desk.connect()
        assert desk.instance is not None
        limiter = desk.instance.gateway.named("bitrue").transport.limiter

        async def buy(price: int) -> None:
            await desk.preview(f"/buy BTC/USDT 0.001 @ {price}")
            changed.clear()
            desk.press("Confirm")
            await asyncio.wait_for(changed.wait(), 10)

        for price in range(50_001, 50_006):
            await buy(price)
        async with asyncio.timeout(20):
            while turns < MINUTE:  # noqa: ASYNC110  # nothing tells when they have all been asked after
                await asyncio.sleep(0)
        await buy(50_006)
        desk.say("/cancel 1")
        await desk.see("✖ Canceled", "#1")

        while limiter.remaining_percent() > 20:  # people go on asking, until all that is for them is used
            await limiter.acquire({"general": 1}, 0)
        changed.clear()
        desk.say("/cancel 2")
        await asyncio.wait_for(changed.wait(), 10)
        assert [each.status for each in desk.exchange.orders()] == ["canceled"] * 2 + ["open"] * 4
        polls = [each for each in desk.exchange.received if (each.method, each.path) == ("GET", "/api/v1/order")]
        assert MINUTE // 4 < len(polls) <= MINUTE // 2
        assert not any("requests" in text for text in desk.texts())


async def test_fill_told_by_the_socket_shows_without_polling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listen key is fetched, the heartbeat answered, and fills are on the card at once."""
    monkeypatch.setattr(Reconciler, "_interval", lambda *_: 3600.0)
    async with neighbours(tmp_path, has_streams=True) as (desk, pushes):
        await desk.connect()
        await desk.confirm("/buy BTC/USDT 0.001 @ 50000", "Accepted", "Order id")
        sockets = pushes.sockets
        assert isinstance(sockets, BitrueSockets)
        await pushes.until(lambda: any(peer.facts.get("user_order_update") for peer in sockets.peers))
        assert sockets.pongs
        desk.exchange.ledger.fill(desk.exchange.orders()[0], "0.0004")
        await desk.see("Partly filled", "40%")  # perhaps only because the stream opened
        desk.exchange.ledger.fill(desk.exchange.orders()[0], "0.0006")
        await desk.see("✅ Filled", "0.001 BTC")
