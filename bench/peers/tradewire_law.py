"""The bot's own way with its whole law: from the press of Confirm to the stored answer of the exchange."""

from __future__ import annotations

import asyncio
import hashlib
import sys
import tempfile
import time
from collections import deque
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

import tradewire_bitget

from bench.clients import serve
from bench.peers.tradewire_order import MARKET
from bot import Balance, Limit, Request, Response, Ticker
from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.accounts.vault import MasterKey, Vault
from bot.cli.memory import collect_seldom
from bot.clock import SystemClock
from bot.exchanges import registry
from bot.exchanges.http import HttpWire
from bot.exchanges.registry import Plugin
from bot.exchanges.transport import Transport
from bot.redact import redactor
from bot.store.database import Connection, Store
from bot.trading import allowance, confirm, journal
from bot.trading.confirm import Button
from bot.trading.desk import Desk
from bot.trading.draft import draft
from bot.trading.gateway import Exchange, Gateway
from bot.trading.intent import Amount, Fixed, Intent
from bot.trading.limits import NONE, Limits
from bot.trading.reconcile import Reconciler

_DAY_MS = 86_400_000


class TimedWire(HttpWire):
    """Notes when a request is about to be written."""

    reached = 0.0

    async def send(self, request: Request, *, timeout_seconds: float) -> Response:
        self.reached = time.perf_counter()
        return await super().send(request, timeout_seconds=timeout_seconds)


class Bot:
    """Everything between a button and the wire; nobody reads the outbox, and nothing asks after the orders."""

    def __init__(self, origin: str, directory: Path, ceiling: Limits = NONE) -> None:
        self.clock = SystemClock()
        self.store = Store(directory / "tradewire.db")
        self.vault = Vault(self.store, MasterKey(bytes(range(32))), redactor.register)
        self.store.transact(journal.install_law)
        registered = registry.register(Plugin("bitget", tradewire_bitget))
        info = replace(registered.info, limits={name: (Limit(10**9, 1),) for name in registered.info.limits})
        self.wire = TimedWire(info.title, dict.fromkeys(info.hosts, origin))
        self.transport = Transport(info, registered.hook, self.wire, self.clock)

        async def clock_is_right() -> None:
            return None

        self.transport.measure_clock = clock_is_right  # type: ignore[method-assign]
        self.transport.clock.is_stale = lambda: False  # type: ignore[method-assign]
        exchanges = {"bitget": Exchange(replace(registered, info=info), self.transport)}
        self.gateway = Gateway(self.store, self.vault, self.clock, exchanges)
        self.reconciler = Reconciler(self.store, self.gateway, self.clock, lambda: None)
        self._answers: dict[int, asyncio.Future[None]] = {}
        self.reconciler.watch = lambda order_id: self._answered(order_id).set_result(None)  # type: ignore[method-assign]
        self.desk = Desk(self.store, self.gateway, self.reconciler, self.clock, lambda: None, ceiling=ceiling)
        self.intent = Intent(
            side="buy", pair="BTC/USDT", size=Amount(Decimal("0.001"), "BTC"), price=Fixed(Decimal("25000.5"))
        )
        ticker = Ticker(exchange_symbol="BTCUSDT", last=Decimal(25000), bid=Decimal(25000), ask=Decimal(25001))
        self.draft = draft(
            self.intent,
            MARKET,
            info.capabilities,
            ticker=ticker,
            book=None,
            balances=MappingProxyType({"USDT": Balance("USDT", Decimal(10**9), Decimal(0))}),
            title=info.title,
        )
        self.facts = allowance.facts(self.draft, ticker, Decimal(1))
        self.accounts: list[AccountRow] = []
        self.ready: dict[int, list[tuple[str, int]]] = {}
        self.free: deque[int] = deque()
        self.first = 1
        """Orders before this number were there before, and stay as they are."""
        self.orders = 0

    def add_users(self, count: int) -> None:
        """Give each of `count` users an account with keys of their own."""

        def work(db: Connection) -> None:
            for user_id in range(len(self.accounts) + 1, count + 1):
                people.ensure_user(db, user_id, now_ms=self.clock.now_ms())
                facts = {"mode": "classic"}
                row = people.add_account(db, user_id, "bitget", "main", self.clock.now_ms(), facts=facts)
                secret = hashlib.sha256(b"%d" % user_id).hexdigest()  # as long as Bitget's
                self.vault.seal(db, row, {"key": f"bg_{secret[::2]}", "secret": secret, "passphrase": secret[:12]})
                self.accounts.append(row)

        self.store.transact(work)

    def prepare(self, orders: int, at_once: int) -> None:
        """Propose `orders`, each with a button to press, and let those of before be of another day, told and done."""
        self.add_users(at_once)

        def done(db: Connection) -> None:
            db.execute("DELETE FROM outbox")
            earlier = "UPDATE orders SET state='filled', sent_ms=sent_ms-? WHERE state='open' AND id>=?"
            db.execute(earlier, (2 * _DAY_MS, self.first))
            for number in range(orders):
                self.propose(db, self.accounts[number % at_once])

        self.ready = {row.user_id: [] for row in self.accounts[:at_once]}
        self.free = deque(self.ready)
        self.store.transact(done)

    def propose(self, db: Connection, account: AccountRow) -> None:
        """Propose one order, with a button to press."""
        now_ms = self.clock.now_ms()
        self.orders += 1
        row = journal.propose(
            db,
            account_id=account.id,
            user_id=account.user_id,
            exchange="bitget",
            market=MARKET,
            draft=self.draft,
            intent=self.intent.to_json(),
            chat_id=account.user_id,
            message_id=self.orders,
            facts=self.facts,
            now_ms=now_ms,
        )
        db.execute("UPDATE orders SET expires_ms=expires_ms+3600000 WHERE id=?", (row.id,))
        button = Button("Confirm", "confirm", order_id=row.id, params_hash=row.params_hash, seconds=3600)
        [data] = confirm.mint(
            db, [button], user_id=account.user_id, chat_id=account.user_id, message_id=self.orders, now_ms=now_ms
        )
        self.ready[account.user_id].append((data, self.orders))

    async def place(self) -> None:
        """Let the user whose turn it is press a button, and see the order through to its stored answer."""
        user_id = self.free.popleft()
        await self.place_of(user_id)
        if self.ready[user_id]:
            self.free.append(user_id)

    async def place_of(self, user_id: int) -> None:
        """Let a user press a button, and see the order through to its stored answer."""
        data, message_id = self.ready[user_id].pop()
        where = {"user_id": user_id, "chat_id": user_id, "message_id": message_id}
        pressed = await self.desk.press(data, **where, may_send=True)
        assert isinstance(pressed, tuple), pressed
        assert pressed[1] is not None, pressed
        assert pressed[1].state == "sending", pressed
        await self._answered(pressed[1].id)
        del self._answers[pressed[1].id]

    async def press(self) -> float:
        """Do as `place`, and return the seconds from the press until the request was about to be written."""
        began = time.perf_counter()
        await self.place()
        return self.wire.reached - began

    def _answered(self, order_id: int) -> asyncio.Future[None]:
        """Return what ends with the order's answer stored."""
        return self._answers.setdefault(order_id, asyncio.get_running_loop().create_future())

    async def close(self) -> None:
        """Let go of everything."""
        await self.gateway.close()
        self.store.close()


if __name__ == "__main__":
    collect_seldom()  # as `tradewire run`
    with tempfile.TemporaryDirectory() as name:
        bot = Bot(sys.argv[1], Path(name))
        serve(bot.press if "--press" in sys.argv else bot.place, bot.close, bot.prepare)
