"""One account's way to its exchange: the right hooks, the right transport, keys opened for one signature."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from msgspec.structs import replace

from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.accounts.vault import Vault
from bot.clock import Clock
from bot.contract.errors import BotError, ExchangeError, NotSent, OutcomeUnknown, UserError, WrongAccountMode
from bot.contract.models import (
    Balance,
    Candle,
    ExchangeInfo,
    Fill,
    Interval,
    KeyPermissions,
    Market,
    Order,
    OrderAck,
    OrderBook,
    OrderReport,
    Ticker,
)
from bot.contract.streams import Stream
from bot.contract.wire import Credentials
from bot.exchanges.limits import Priority
from bot.exchanges.registry import Registered
from bot.exchanges.streams import Sockets
from bot.exchanges.transport import BeforeSend, OpenCredentials, Transport
from bot.store.database import Store
from bot.trading.symbols import Symbols

T = TypeVar("T")
log = logging.getLogger(__name__)
_MARKETS_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange in use: what it is and the way to it. Without `sockets` nothing is streamed."""

    registered: Registered
    transport: Transport
    sockets: Sockets | None = None

    @property
    def info(self) -> ExchangeInfo:
        """The plugin's constants."""
        return self.registered.info


class Gateway:
    """Asks exchanges on behalf of accounts.

    Args:
        store: Where accounts are.
        vault: Opens their keys.
        clock: Ours.
        exchanges: By id. A paper exchange has the id of the real one with `:paper` behind it.
        unusable: Exchange or plugin name to the sentence that says why it cannot be used.
    """

    def __init__(
        self,
        store: Store,
        vault: Vault,
        clock: Clock,
        exchanges: Mapping[str, Exchange],
        unusable: Mapping[str, str] | None = None,
    ) -> None:
        self.exchanges = exchanges
        self.unusable = unusable or {}
        self._store = store
        self._vault = vault
        self._clock = clock
        self._symbols: dict[str, tuple[float, Symbols]] = {}

    def exchange(self, account: AccountRow) -> Exchange:
        """Return the exchange of an account: the paper one while paper trading is on.

        Raises:
            UserError: The exchange is not in use here.
        """
        return self.named(account.exchange + (":paper" if account.paper else ""))

    def named(self, exchange_id: str) -> Exchange:
        """Return an exchange by id.

        Raises:
            UserError: It is not in use here.
        """
        found = self.exchanges.get(exchange_id)
        if found is None:
            name = exchange_id.removesuffix(":paper")
            why = self.unusable.get(name, "it is not installed or is switched off in the configuration")
            raise UserError(f"{name} cannot be used: {why}. Tell the operator.", code="NO_EXCHANGE")
        return found

    async def symbols(self, exchange_id: str) -> Symbols:
        """Return the exchange's markets; read once an hour, and an old list rather than none."""
        known = self._symbols.get(exchange_id)
        now = self._clock.monotonic()
        if known is not None and now - known[0] < _MARKETS_SECONDS:
            return known[1]
        exchange = self.named(exchange_id)
        try:
            symbols = Symbols(await exchange.transport.run(exchange.transport.flow("markets")))
        except ExchangeError:
            if known is None:
                raise
            log.warning("%s: markets not refreshed", exchange_id)
            symbols = known[1]
        self._symbols[exchange_id] = (now, symbols)
        return symbols

    async def ticker(self, exchange_id: str, market: Market) -> Ticker:
        """Return the price of a market."""
        exchange = self.named(exchange_id)
        result: Ticker = await exchange.transport.run(exchange.transport.flow("ticker", market=market))
        return result

    async def order_book(self, exchange_id: str, market: Market) -> OrderBook | None:
        """Return the order book, or `None` where the exchange shows none."""
        exchange = self.named(exchange_id)
        flow = exchange.transport.flow("order_book", market=market)
        return None if flow is None else await exchange.transport.run(flow)

    async def candles(
        self, exchange_id: str, market: Market, interval: Interval, start_ms: int, end_ms: int
    ) -> list[Candle] | None:
        """Return how a price went, or `None` where the exchange does not tell. On paper it is the real one's."""
        real = exchange_id.removesuffix(":paper")
        exchange = self.named(real if real in self.exchanges else exchange_id)
        flow = exchange.transport.flow("candles", market=market, interval=interval, start_ms=start_ms, end_ms=end_ms)
        return None if flow is None else await exchange.transport.run(flow)

    async def balances(self, account: AccountRow) -> dict[str, Balance]:
        """Return the account's assets by name."""
        rows: list[Balance] = await self._private(account, "balances")
        return {row.asset: row for row in rows}

    async def detect(self, account: AccountRow) -> AccountRow:
        """Find out what kind of account it is, keep it, and return the account with it."""
        facts: Mapping[str, str] | None = await self._ask(account, "detect")
        if facts is None:
            return account
        await self._store.run(lambda db: people.set_facts(db, account.id, facts))
        return replace(account, facts=facts)

    async def key_permissions(self, account: AccountRow) -> KeyPermissions:
        """Return what the account's key may do; all `unknown` where the exchange does not tell."""
        found: KeyPermissions | None = await self._private(account, "key_permissions")
        return found or KeyPermissions()

    def knows(self, account: AccountRow) -> bool:
        """Say whether nothing must be found out about an account before something is asked for it."""
        is_told = bool(account.facts) or account.paper
        return is_told or "detect" not in self.exchange(account).registered.hooks

    async def place(
        self, account: AccountRow, order: Order, before_send: BeforeSend, *, may_wait: bool = True
    ) -> OrderAck:
        """Place an order, once. Never repeated, whatever happens.

        Raises:
            MustWait: It may not wait, and cannot leave at once.
            NotSent: It surely never left.
            Rejected: The exchange surely did not execute it.
            OutcomeUnknown: It may exist.
        """
        if not self.knows(account):
            account = await self.detect(account)
        exchange = self.exchange(account)
        try:
            ack: object = await exchange.transport.run(
                exchange.transport.flow("place_order", account=people.to_contract(account), order=order),
                account_id=account.id,
                credentials=self.credentials(account.id),
                before_send=before_send,
                may_wait=may_wait,
            )
        except WrongAccountMode:
            with contextlib.suppress(BotError):  # the refusal is the answer, whether or not the detection works
                await self.detect(account)
            raise
        if not isinstance(ack, OrderAck) or ack.client_order_id != order.client_order_id or not ack.exchange_order_id:
            raise OutcomeUnknown(
                f"the {exchange.info.title} plugin acknowledged another order than the one it was given", code="PLUGIN"
            )
        return ack

    async def find_order(self, account: AccountRow, order: Order) -> OrderReport | None:
        """Look for an order by our id; `None` only when the exchange was read cleanly and does not have it.

        Raises:
            NotSent: The exchange has no way to look.
        """
        return await self._private(account, "find_order", priority="urgent", required=True, order=order)  # type: ignore[no-any-return]

    async def order_status(
        self, account: AccountRow, order: Order, exchange_order_id: str, *, priority: Priority = "routine"
    ) -> OrderReport:
        """Return what the exchange says of an order now. Asked often: it leaves half of each limit to people."""
        report: OrderReport = await self._private(
            account,
            "order_status",
            priority=priority,
            required=True,
            order=order,
            exchange_order_id=exchange_order_id,
        )
        return report

    async def open_orders(self, account: AccountRow, markets: Sequence[Market]) -> list[OrderReport]:
        """Return the open orders; empty where the exchange does not list them."""
        return await self._private(account, "open_orders", markets=markets) or []

    async def fills(self, account: AccountRow, markets: Sequence[Market], exchange_order_id: str = "") -> list[Fill]:
        """Return the newest fills; empty where the exchange does not list them."""
        found = await self._private(account, "fills", markets=markets, exchange_order_id=exchange_order_id)
        return found or []

    async def cancel_order(self, account: AccountRow, order: Order, exchange_order_id: str) -> None:
        """Ask for an order to be canceled."""
        await self._private(
            account,
            "cancel_order",
            priority="urgent",
            required=True,
            order=order,
            exchange_order_id=exchange_order_id,
        )

    async def public_stream(self, exchange_id: str, markets: Sequence[Market]) -> Sequence[Stream]:
        """Return the sockets that tell the prices of `markets`; empty where the exchange has none."""
        exchange = self.named(exchange_id)
        flow = exchange.transport.flow("public_stream", markets=markets)
        return [] if flow is None else await exchange.transport.run(flow)

    async def private_stream(self, account: AccountRow) -> Sequence[Stream]:
        """Return the sockets that tell of the account's orders; empty where the exchange has none."""
        return await self._private(account, "private_stream") or []

    def credentials(self, account_id: int) -> OpenCredentials:
        """Return what opens an account's keys for one signature."""

        async def opened() -> Credentials:
            return self._store.look(lambda db: self._vault.open_in(db, account_id))

        return opened

    async def close(self) -> None:
        """Let go of every connection."""
        for exchange in self.exchanges.values():
            await exchange.transport.close()

    async def _private(self, account: AccountRow, hook: str, **options: Any) -> Any:
        """Ask once what kind of account it is where that is not known, and once more where it turns out to be wrong."""
        if not self.knows(account):
            account = await self.detect(account)
        try:
            return await self._ask(account, hook, **options)
        except WrongAccountMode:
            return await self._ask(await self.detect(account), hook, **options)

    async def _ask(
        self,
        account: AccountRow,
        hook: str,
        *,
        priority: Priority = "usual",
        required: bool = False,
        **arguments: Any,
    ) -> Any:
        exchange = self.exchange(account)
        flow = exchange.transport.flow(hook, account=people.to_contract(account), **arguments)
        if flow is not None:
            credentials = self.credentials(account.id)
            return await exchange.transport.run(flow, account_id=account.id, credentials=credentials, priority=priority)
        if required:
            raise NotSent(f"{exchange.info.title} offers no way to do that", code="UNSUPPORTED")
        return None
