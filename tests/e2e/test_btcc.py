"""BTCC through chat: a whole bot between a local Telegram and a strict local BTCC."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
import tradewire_btcc

from bot.accounts.vault import create_master_key
from bot.cli.instance import open_instance
from bot.config import Settings
from bot.exchanges import registry
from bot.exchanges.registry import Plugin
from bot.local.server import LocalServer
from bot.local.telegram import LocalTelegram
from bot.testing.btcc import StrictBTCC
from bot.testing.ledger import Order
from bot.testing.sockets import Peer, SocketServer, StrictSockets
from bot.testing.strict import StrictServer
from bot.trading.connect import KeyRefused, connect
from bot.trading.reconcile import Reconciler
from tests.e2e.conftest import ANN, TOKEN, Desk

pytestmark = pytest.mark.network
KEY = {"key": "a31b51a3-92ec-4ebe-935e-2a9aeadfc268", "secret": "473740ab-c249-4f5e-803b-f6db21ec97e0"}


class BtccDesk(Desk):
    """A desk at BTCC."""

    exchange: StrictBTCC  # type: ignore[assignment]

    async def start(self) -> None:
        """Start the bot with this plugin alone, whether or not it is installed."""
        self.instance = open_instance(self.settings, catalog=registry.catalog([Plugin("btcc", tradewire_btcc)]))
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(self._run(self.instance))

    async def connect(self, label: str = "main", **changes: str) -> None:
        """Give Ann a key, as `tradewire keys add` does."""
        it = self.instance
        assert it is not None
        fields = KEY | changes
        await connect(
            it.gateway, it.store, it.vault, it.clock, user_id=ANN, exchange_id="btcc", label=label, fields=fields
        )


@asynccontextmanager
async def neighbours(tmp_path: Path, *, ahead_ms: int = 0, stream_url: str | None = None) -> AsyncIterator[BtccDesk]:
    """Start the local Telegram and the strict BTCC, whose clock is `ahead_ms` before ours, and the bot between them."""
    telegram = LocalTelegram()
    telegram.add_person(ANN, "Ann", "ann")
    exchange = StrictBTCC(clock=lambda: time.time_ns() // 1_000_000 + ahead_ms)
    exchange.add_account(**KEY, balances={"USDT": Decimal(1000), "BTC": Decimal("0.5")})
    key_file = tmp_path / "keys" / "master.key"
    key_file.parent.mkdir()
    create_master_key(key_file)
    async with StrictServer(exchange) as strict, LocalServer(telegram, TOKEN) as local:
        settings = Settings.model_validate(
            {
                "telegram": {"token": TOKEN, "base_url": local.base_url, "base_file_url": local.base_file_url},
                "access": {"owner": ANN},
                "storage": {"directory": tmp_path / "data"},
                "vault": {"key_file": key_file},
                "exchanges": {"btcc": {"base_url": strict.url, "stream_url": stream_url}},
            }
        )
        desk = BtccDesk(telegram, exchange, settings)  # type: ignore[arg-type]
        desk.neighbours = set(asyncio.all_tasks())
        await desk.start()
        yield desk
        await desk.end()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[BtccDesk]:
    """A running bot with Ann's key connected."""
    async with neighbours(tmp_path) as found:
        await found.connect()
        yield found


class BtccSockets(StrictSockets):
    """BTCC's socket as far as orders go; it knows the subscription by its second name only.

    Attributes:
        methods: What was asked for, with its success.
    """

    def __init__(self) -> None:
        super().__init__()
        self.methods: list[tuple[str, bool]] = []

    def admit(self, path: str, headers: Mapping[str, str]) -> int:
        """Take handshakes at the documented path."""
        return 101 if path == "/ws" else 404

    def receive(self, peer: Peer, frame: str | bytes) -> None:
        """Answer one call; news of orders only after the login."""
        call = json.loads(frame)
        method, params, code = call["method"], call["params"], 0
        if method == "server.accessid_auth":
            peer.facts["known"] = params == [KEY["key"], hashlib.sha256(KEY["secret"].encode()).hexdigest()]
            code = 0 if peer.facts["known"] else 1
        elif method == "orders.subscribe":
            code = 0 if peer.facts.get("known") else 6
        elif method != "server.ping":
            code = 4
        self.methods.append((method, not code))
        error = {"code": code, "message": "refused"} if code else None
        peer.send(json.dumps({"error": error, "id": call["id"], "result": None if code else {"status": "success"}}))

    def tell(self, changed: object) -> None:
        """Push what became of an order."""
        if isinstance(changed, Order):
            for peer in self.peers:
                peer.send(json.dumps({"id": None, "method": "order.update", "params": [2, {"id": int(changed.id)}]}))


async def confirm(desk: BtccDesk, text: str) -> str:
    """Type an order, confirm it, and return its preview."""
    preview = await desk.preview(text)
    desk.press("Confirm")
    return preview


async def test_connect_in_chat_warns_that_it_is_experimental(tmp_path: Path) -> None:
    """The wizard says what nobody tried, which rights to tick, and that the first order will show the rest."""
    async with neighbours(tmp_path) as desk:
        desk.say("/connect btcc")
        await desk.see("BTCC support is experimental", "Spot: Trade", "API key")
        desk.say("\n".join(KEY.values()))
        await desk.see("Connected BTCC·main", "the first order will")


async def test_balance_and_price(desk: BtccDesk) -> None:
    """Balances and prices are shown in words and figures."""
    desk.say("/balance")
    await desk.see("USDT", "1,000.00", "BTC", "0.5")
    desk.say("/price btcusdt")
    await desk.see("BTC/USDT", "60,000.00 / 60,000.10")


async def test_limit_buy_and_sell_rest_with_our_id_in_both_fields(desk: BtccDesk) -> None:
    """Both are accepted, listed and known as ours by `source` and by `client_id`."""
    await confirm(desk, "/buy BTC/USDT 0.001 @ 50000")
    await desk.see("Accepted", "BUY BTC/USDT", "Order id")
    await confirm(desk, "/sell BTC/USDT 0.002 @ 70000")
    await desk.see("Accepted", "SELL BTC/USDT")
    orders = desk.exchange.orders(only_open=True)
    assert [(each.side, str(each.quantity)) for each in orders] == [("buy", "0.00100"), ("sell", "0.00200")]
    labels = list(desk.exchange.labels.values())
    assert [client_id for client_id, _ in labels] == [source for _, source in labels]
    assert all(20 < len(source) <= 30 for _, source in labels)
    desk.say("/orders")
    text = await desk.see("Open orders", "#1 BUY", "#2 SELL")
    assert "elsewhere" not in text


async def test_market_buy_in_quote_spends_no_more(desk: BtccDesk) -> None:
    """A buy for 60 USDT fills at the ask, for at most 60 USDT, and pays its fee in what it bought."""
    await confirm(desk, "/buy BTC/USDT $60")
    await desk.see("✅ Filled", "60,000.10", "Fee", "BTC")
    [order] = desk.exchange.orders()
    assert (order.kind, order.budget <= 60, order.value <= 60) == ("market", True, True)
    desk.say("/history BTC/USDT")
    await desk.see("Fills", "BUY", "60,000.10")


async def test_market_buy_in_base_is_turned_into_quote(desk: BtccDesk) -> None:
    """BTCC reads a market buy's amount as money, so a quantity is priced by the book first, and the preview says so."""
    preview = await confirm(desk, "/buy BTC/USDT 0.001")
    assert "BTCC takes this order in USDT" in preview
    await desk.see("✅ Filled")
    [order] = desk.exchange.orders()
    assert order.budget == Decimal("60.0001")


async def test_market_sell_in_base(desk: BtccDesk) -> None:
    """A sell's amount is a quantity."""
    await confirm(desk, "/sell BTC/USDT 0.1")
    await desk.see("✅ Filled", "0.1 BTC", "USDT")


async def test_cancel_without_fill_is_told_as_unconfirmed(desk: BtccDesk) -> None:
    """BTCC forgets orders canceled before any fill; the card says canceled, and that nobody confirmed it."""
    await confirm(desk, "/buy BTC/USDT 0.001 @ 50000")
    await desk.see("Accepted")
    desk.press("Cancel order")
    await desk.see("✖ Canceled", "Not confirmed", within=30)
    assert [each.status for each in desk.exchange.orders()] == ["canceled"]


async def test_cancel_after_partial_fill_is_confirmed(desk: BtccDesk) -> None:
    """What was filled stays filled, and the history proves the cancel."""
    await confirm(desk, "/buy BTC/USDT 0.001 @ 50000")
    await desk.see("Accepted")
    desk.exchange.ledger.fill(desk.exchange.orders()[0], "0.0004")
    await desk.see("Partly filled", "40%")
    desk.press("Cancel order")
    card = await desk.see("✖ Canceled", "0.0004 BTC")
    assert "Not confirmed" not in card


async def test_order_moving_between_stores_is_not_called_canceled(desk: BtccDesk) -> None:
    """An order that neither list shows at two looks is filled when the third finds it, and never canceled before."""
    hidden = desk.exchange.misbehave("stale", "order/limit")
    desk.exchange.misbehave("slow", "order/finish_detail").release()
    second_look = desk.exchange.misbehave("slow", "order/finish_detail")
    await confirm(desk, "/buy BTC/USDT 0.001 @ 60001")
    await asyncio.wait_for(second_look.reached.wait(), 10)
    hidden.release()
    second_look.release()
    await desk.see("✅ Filled")


async def test_unanswered_order_is_found_by_scanning(desk: BtccDesk) -> None:
    """Nothing is sent again: the market's lists are read until our id is in one."""
    desk.exchange.misbehave("drop_after", "order/limit")
    await confirm(desk, "/buy BTC/USDT 0.001 @ 50000")
    await desk.see("Accepted", "Order id")
    assert (desk.exchange.placing_requests, len(desk.exchange.orders())) == (1, 1)


async def test_wrong_key_and_wrong_secret_are_refused(tmp_path: Path) -> None:
    """Each is told in plain words, and nothing is stored."""
    async with neighbours(tmp_path) as desk:
        with pytest.raises(KeyRefused, match=r"does not accept this API key here.*Futures instead of Spot"):
            await desk.connect(key="00000000-0000-0000-0000-000000000000")
        with pytest.raises(KeyRefused, match="signature was refused"):
            await desk.connect(secret="00000000-0000-0000-0000-000000000000")
        desk.say("/balance")
        await desk.see("/connect adds your key")


@pytest.mark.parametrize("ahead_ms", [60_000, -60_000])
async def test_clock_off_by_a_minute_is_measured_and_allowed_for(tmp_path: Path, ahead_ms: int) -> None:
    """BTCC takes seconds within a window; the bot signs by BTCC's clock."""
    async with neighbours(tmp_path, ahead_ms=ahead_ms) as desk:
        await desk.connect()
        await confirm(desk, "/buy BTC/USDT 0.001 @ 50000")
        await desk.see("Accepted")


async def test_clock_moving_later_is_measured_again(desk: BtccDesk) -> None:
    """A refused signature makes the bot ask for the time and read once more."""
    desk.exchange.clock = lambda: time.time_ns() // 1_000_000 + 60_000
    desk.say("/balance")
    await desk.see("1,000.00")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/buy BTC/USDT 0.0002 @ 50000", ("BTCC needs at least 0.0003 BTC", "yours, rounded down, is 0.0002")),
        ("/buy BTC/USDT $5000", ("You have 1000 USDT free on BTCC", "needs 5000 USDT")),
        ("/sell BTC/USDT 3", ("You have 0.5 BTC free on BTCC", "needs 3 BTC")),
        ("/sell BTC/USDT 0.001 stop 55000", ("BTCC takes no stop-market orders", "limit, market")),
        ("/buy BTC/USDT 0.001 @ 50000 post", ("BTCC takes no post-only orders",)),
    ],
)
async def test_impossible_orders_get_a_sentence(desk: BtccDesk, text: str, words: tuple[str, ...]) -> None:
    """What BTCC cannot do is told before anything is sent."""
    desk.say(text)
    await desk.see(*words)
    assert desk.exchange.placing_requests == 0


async def test_market_buy_below_the_minimum_is_refused_before_sending(desk: BtccDesk) -> None:
    """The minimum of a market buy is a quantity: what the money buys at the best ask is compared with it."""
    desk.say("/buy BTC/USDT $10")
    await desk.see("BTCC needs at least 0.0003 BTC")
    assert desk.exchange.placing_requests == 0


async def test_money_gone_meanwhile_is_refused_in_plain_words(desk: BtccDesk) -> None:
    """What was free at the preview may be gone at the press."""
    await desk.preview("/buy BTC/USDT 0.001 @ 50000")
    desk.exchange.accounts[KEY["key"]].free["USDT"] = Decimal(1)
    desk.press("Confirm")
    await desk.see("✖ Refused", "the balance is too small")


async def test_blocked_address_waits_and_asks_nothing(desk: BtccDesk) -> None:
    """After a 429 no request leaves before the time that BTCC told, and the person is told in plain words."""
    desk.exchange.block(60)
    desk.say("/balance")
    await desk.see("too many requests")
    sent = len(desk.exchange.received)
    desk.say("/price BTC/USDT")
    await desk.see("BTCC allows no more requests for")
    assert (len(desk.exchange.received), desk.exchange.early_requests) == (sent, 1)


async def test_fill_told_by_the_socket_shows_without_polling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The login is taken, the subscription found by its other name, and a fill is on the card at once."""
    monkeypatch.setattr(Reconciler, "_interval", lambda *_: 3600.0)
    sockets = BtccSockets()
    async with SocketServer(sockets) as server, neighbours(tmp_path, stream_url=server.url) as desk:
        await desk.connect()
        desk.exchange.ledger.watchers.append(sockets.tell)
        await confirm(desk, "/buy BTC/USDT 0.001 @ 50000")
        await desk.see("Accepted")
        await server.until(lambda: ("orders.subscribe", True) in sockets.methods)
        desk.exchange.ledger.fill(desk.exchange.orders()[0], "0.0004")
        await desk.see("Partly filled", "40%")  # perhaps only because the stream opened
        desk.exchange.ledger.fill(desk.exchange.orders()[0], "0.0006")
        await desk.see("✅ Filled", "0.001 BTC")
    assert [call for call in sockets.methods if call[0] != "server.ping"] == [
        ("server.accessid_auth", True),
        ("order.subscribe", False),
        ("orders.subscribe", True),
    ]
