"""BTCC through chat: a whole bot between a local Telegram and a strict local BTCC."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
import tradewire_btcc
from click.testing import CliRunner, Result
from tradewire_btcc.payloads import ASSUMED

from bot.accounts.vault import create_master_key
from bot.chat.pacer import Pacer
from bot.cli import main
from bot.cli.instance import open_instance
from bot.config import Settings
from bot.exchanges import registry
from bot.exchanges.limits import Limiter
from bot.exchanges.registry import Plugin
from bot.local.server import LocalServer
from bot.local.telegram import LocalTelegram
from bot.testing.btcc import StrictBTCC
from bot.testing.ledger import Order
from bot.testing.sockets import Peer, SocketServer, StrictSockets
from bot.testing.strict import StrictServer
from bot.trading.connect import KeyRefused, connect
from bot.trading.reconcile import Reconciler
from tests.e2e.clock import QuickClock
from tests.e2e.conftest import ANN, TOKEN, Desk

pytestmark = pytest.mark.network
KEY = {"key": "a31b51a3-92ec-4ebe-935e-2a9aeadfc268", "secret": "473740ab-c249-4f5e-803b-f6db21ec97e0"}


class BtccDesk(Desk):
    """A desk at BTCC."""

    exchange: StrictBTCC  # type: ignore[assignment]

    async def start(self) -> None:
        """Start the bot with this plugin alone, whether or not it is installed."""
        self.instance = open_instance(
            self.settings, catalog=registry.catalog([Plugin("btcc", tradewire_btcc)]), clock=self.clock
        )
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
    clock = QuickClock()
    telegram = LocalTelegram(clock=lambda: clock.now_ms() / 1000)
    telegram.add_person(ANN, "Ann", "ann")
    exchange = StrictBTCC(clock=lambda: clock.now_ms() + ahead_ms)
    exchange.add_account(**KEY, balances={"USDT": Decimal(1000), "BTC": Decimal("0.5")})
    key_file = tmp_path / "keys" / "master.key"
    key_file.parent.mkdir()
    create_master_key(key_file)
    async with clock.passing(), StrictServer(exchange) as strict, LocalServer(telegram, TOKEN) as local:
        settings = Settings.model_validate(
            {
                "telegram": {"token": TOKEN, "base_url": local.base_url, "base_file_url": local.base_file_url},
                "access": {"owner": ANN},
                "storage": {"directory": tmp_path / "data"},
                "vault": {"key_file": key_file},
                "exchanges": {"btcc": {"base_url": strict.url, "stream_url": stream_url}},
            }
        )
        desk = BtccDesk(telegram, exchange, settings, clock)  # type: ignore[arg-type]
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


# The self-test of a key

WELL = [
    "✓ connection: BTCC answers",
    "✓ clock: OFFSET ms",
    "✓ markets: 3 open, BTC/USDT among them",
    "✓ price: BTC/USDT at 60,000 USDT",
    "✓ signature: accepted",
    "✓ read: 2 assets",
    "✓ orders: can be listed; open now: 0",
    "? trade: BTCC does not tell; the first order will show",
    "✓ withdraw: verified: the key cannot withdraw",
    "⚠ note: BTCC gives no API key the right to withdraw, says its document. It does not tell whether this key may"
    " trade; the first order will.",
    f"⚠ experimental: these {len(ASSUMED.told())} assumptions are not verified:",
    *(f"  • {each}" for each in ASSUMED.told()),
    "  Begin with the smallest order: 0.0003 BTC.",
]
KEY_REMEDY = (
    "BTCC refuses the key: BTCC does not accept this API key here. It may be mistyped or deleted, made for Futures"
    " instead of Spot, lack Read or Trade, or be bound to another IP address. On BTCC create a key with Spot Read and"
    " Spot Trade, bound to this server's address."
)
FAILURES = {
    "unreachable": "✗ connection: BTCC sent an unreadable reply (HTTP 200). Check this server's network. The exchange"
    " may have moved, or bar this server's address or country.",
    "all halted": "✗ markets: BTCC has no open market. Try again later.",
    "no price": "✗ price: BTCC does not know this request. Its API may have changed; look for a newer tradewire.",
    "wrong secret": "✗ signature: BTCC refuses the key: the signature was refused. Connect again and copy the secret"
    " key whole; if it is right, the clock of this server may be wrong.",
    "wrong key": f"✗ signature: {KEY_REMEDY}",
    "other address": f"✗ signature: {KEY_REMEDY}",
    "no right to read": f"✗ signature: {KEY_REMEDY}",
    "no orders": "✗ orders: BTCC sent an unreadable reply (HTTP 200). Test the key again in a few minutes.",
}


@contextmanager
def spoiled(exchange: StrictBTCC, how: str) -> Iterator[None]:
    """Make the strict BTCC fail in one way, and mend it again."""
    account, pairs = exchange.accounts[KEY["key"]], list(exchange.ledger.pairs.values())
    if how == "unreachable":
        exchange.misbehave("garbage", "/time")
    elif how == "all halted":
        for pair in pairs:
            pair.status = "offline"
    elif how == "no price":
        exchange.has_last, exchange.missing = False, exchange.missing | {"market/last"}
    elif how == "wrong secret":
        account.secret_key = "another"
    elif how == "wrong key":
        exchange.accounts.clear()
    elif how == "other address":
        account.ips = ("192.0.2.1",)
    elif how == "no right to read":
        account.rights.clear()
    elif how == "no orders":
        exchange.misbehave("garbage", "order/pending")
    yield
    exchange.accounts[KEY["key"]], account.ips, account.secret_key = account, (), KEY["secret"]
    account.rights |= {"read", "trade"}
    exchange.has_last, exchange.missing = True, exchange.missing - {"market/last"}
    for pair in pairs:
        pair.status = "online"


@pytest.fixture
def no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let requests and messages leave at once: BTCC's limits and Telegram's would make these tests wait."""

    async def at_once(*_: object, **__: object) -> None:
        pass

    monkeypatch.setattr(Limiter, "acquire", at_once)
    monkeypatch.setattr(Pacer, "turn", at_once)


def without_offset(lines: list[str]) -> list[str]:
    """Return the lines with the measured milliseconds, which differ, taken out."""
    return [re.sub(r"clock: [+-]\d+ ms", "clock: OFFSET ms", line) for line in lines]


async def key_test(desk: BtccDesk) -> list[str]:
    """Type `/keys test` and return the lines of the answer, once it has ended."""
    desk.say("/keys test")
    asked = desk.telegram.messages(ANN)[-1].id

    def ended(telegram: LocalTelegram) -> list[str] | None:
        last = telegram.messages(ANN)[-1]
        lines = last.text.splitlines()
        is_done = last.id > asked and ("✗" in last.text or "smallest order" in lines[-1])
        return lines if is_done else None

    return await desk.telegram.wait(ended, 10)  # type: ignore[arg-type,return-value]


@pytest.mark.usefixtures("no_limits")
async def test_keys_test_in_chat_tells_every_step_and_stops_at_the_first_failure(desk: BtccDesk) -> None:
    """Each step has its result in words; whatever fails is the last line, with cause and remedy; nothing is placed."""
    posts = len([each for each in desk.exchange.received if each.method == "POST"])
    head, *lines = await key_test(desk)
    assert head == "Testing BTCC·main · ⚠ experimental"
    assert without_offset(lines) == [line.replace("?", "–", 1) if line[0] == "?" else line for line in WELL]
    told = {}
    for how in FAILURES:
        with spoiled(desk.exchange, how):
            told[how] = (await key_test(desk))[-1]
    assert told == FAILURES
    assert len([each for each in desk.exchange.received if each.method == "POST"]) == posts


@pytest.mark.usefixtures("no_limits")
async def test_keys_test_in_chat_ticks_off_the_steps_as_they_are_done(desk: BtccDesk) -> None:
    """While one step waits, those before it are on the screen, and the same message goes on."""
    slow = desk.exchange.misbehave("slow", "market/list")
    desk.say("/keys")
    await desk.see("Keys", "experimental")
    desk.press("Test main")
    await slow.reached.wait()
    text = await desk.see("Testing BTCC·main", "✓ connection")
    assert "markets" not in text
    count = len(desk.telegram.messages(ANN))
    slow.release()
    await desk.see("Testing BTCC·main", "smallest order")
    assert len(desk.telegram.messages(ANN)) == count


@pytest.mark.usefixtures("no_limits")
async def test_keys_test_on_the_server_tells_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tradewire keys test` prints the same steps, ends at the same failures, and its exit code says so."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # the command sets its own
    monkeypatch.setattr(registry, "discover", lambda *_: [Plugin("btcc", tradewire_btcc)])
    exchange = StrictBTCC()
    exchange.add_account(**KEY, balances={"USDT": Decimal(1000), "BTC": Decimal("0.5")})
    create_master_key(tmp_path / "master.key")
    async with StrictServer(exchange) as server:
        config = tmp_path / "config.toml"
        config.write_text(
            f'[access]\nowner = {ANN}\n[storage]\ndirectory = "{tmp_path}/data"\n'
            f'[vault]\nkey_file = "{tmp_path}/master.key"\n[exchanges.btcc]\nbase_url = "{server.url}"\n'
        )

        async def run(*words: str, stdin: str = "") -> Result:
            return await asyncio.to_thread(CliRunner().invoke, main, [*words, "--config", str(config)], stdin)

        added = await run("keys", "add", "--exchange", "btcc", "--stdin", stdin=json.dumps(KEY))
        assert added.output.splitlines()[-1] == (
            f"BTCC·main · ⚠ experimental of user {ANN} is stored, not verified in full."
        )
        assert (await run("keys", "list")).output.endswith("withdraw: no, experimental\n")
        assert "enabled · ⚠ experimental" in (await run("plugins")).output
        done = await run("keys", "test")
        assert (done.exit_code, without_offset(done.output.splitlines())) == (
            0,
            [f"btcc·main · ⚠ experimental of user {ANN}", *WELL],
        )
        told = {}
        for how in FAILURES:
            with spoiled(exchange, how):
                result = await run("keys", "test")
            told[how] = result.output.splitlines()[-1]
            assert result.exit_code == 1
        assert told == FAILURES
    assert [each.path for each in exchange.received if each.method == "POST"] == []


# Experimental


@pytest.mark.usefixtures("no_limits")
async def test_every_place_a_person_meets_btcc_says_experimental(tmp_path: Path) -> None:
    """The wizard, what it ends with, accounts, keys, balances, prices, status, previews and placed orders."""
    async with neighbours(tmp_path) as desk:
        desk.say("/connect btcc")
        await desk.see("BTCC · main · ⚠ experimental", "BTCC support is experimental")
        desk.say("\n".join(KEY.values()))
        await desk.see("Connected BTCC·main · ⚠ experimental")
        for command, words in {
            "/accounts": "● BTCC·main · ⚠ experimental",
            "/keys": "BTCC·main · ⚠ experimental · 🔒",
            "/balance": "BTCC·main · ⚠ experimental",
            "/status": "BTCC·main · ⚠ experimental",
            "/price BTC/USDT": "⚠ experimental",
        }.items():
            desk.say(command)
            await desk.see(words)
        assert "limit · BTCC·main · ⚠ experimental" in await confirm(desk, "/buy BTC/USDT 0.001 @ 50000")
        await desk.see("Accepted", "limit · BTCC·main · ⚠ experimental")


# Trading


async def test_stop_order_of_the_site_is_listed_apart(desk: BtccDesk) -> None:
    """A stop order that waits on BTCC is shown with its trigger, as placed elsewhere."""
    await confirm(desk, "/buy BTC/USDT 0.001 @ 50000")
    await desk.see("Accepted")
    account, pair = desk.exchange.accounts[KEY["key"]], desk.exchange.ledger.pairs["BTCUSDT"]
    desk.exchange.ledger.place_plan(account, pair, "sell", "market", trigger=Decimal(55000), size=Decimal("0.1"))
    desk.say("/orders")
    await desk.see("#1 BUY", "SELL BTC/USDT 0.1 market, stop 55000 · placed elsewhere · main")


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
    desk.exchange.clock = lambda: desk.clock.now_ms() + 60_000
    desk.say("/balance")
    await desk.see("1,000.00")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/buy BTC/USDT 0.0002 @ 50000", ("BTCC needs at least 0.0003 BTC", "yours, rounded down, is 0.0002")),
        ("/buy BTC/USDT $5000", ("You have 1,000 USDT free on BTCC", "needs 5,000 USDT")),
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
