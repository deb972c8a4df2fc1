"""Putting one instance together from its configuration; `run`, `demo`, `keys` and `doctor` all start here."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from bot.accounts.vault import Vault, load_master_key
from bot.clock import Clock, SystemClock
from bot.config import ExchangeSettings, Settings
from bot.contract.models import Market, OrderBook
from bot.exchanges import registry, trust
from bot.exchanges.http import HttpWire
from bot.exchanges.lock import Lock
from bot.exchanges.paper.plugin import PaperPlugin
from bot.exchanges.paper.wire import PaperWire
from bot.exchanges.registry import Catalog, Plugin, Registered
from bot.exchanges.streams import Sockets
from bot.exchanges.transport import Transport
from bot.redact import redactor
from bot.store.database import Store
from bot.trading import journal
from bot.trading.gateway import Exchange, Gateway
from bot.trading.upkeep import events_are_whole

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Instance:
    """One bot's storage and its ways to the exchanges. Nothing runs yet."""

    settings: Settings
    clock: Clock
    store: Store
    vault: Vault
    catalog: Catalog
    gateway: Gateway

    async def close(self) -> None:
        """Close connections and the database."""
        await self.gateway.close()
        self.store.close()


def open_instance(
    settings: Settings,
    catalog: Catalog | None = None,
    exchanges: dict[str, Exchange] | None = None,
    *,
    thorough: bool = False,
    clock: Clock | None = None,
) -> Instance:
    """Open the database and the vault, and make the exchanges usable. No network traffic.

    Args:
        settings: The configuration.
        catalog: The plugins; those installed by default.
        exchanges: Filled with the exchanges in use; more may be added to it.
        thorough: Check all of the database first: the last bot on it did not end in order.
        clock: The machine's by default.

    Raises:
        VaultError: The master key is missing or does not belong to this database; nothing was written.
        StoreError: The database cannot be used.
    """
    clock = clock or SystemClock()
    redactor.register(settings.telegram.token.get_secret_value())
    redactor.register(settings.telegram.webhook_secret.get_secret_value())
    master = load_master_key(settings.vault.key_file)
    store = Store(settings.storage.directory / "tradewire.db", thorough=thorough)
    try:
        if thorough:
            log.warning("the bot did not end in order last time; the database was checked and is being compared")
            store.check(events_are_whole)
        vault = Vault(store, master, redactor.register)
        store.transact(journal.install_law)
    except BaseException:
        store.close()
        raise
    catalog = catalog or registry.catalog(_plugins(settings), settings.plugins.options, settings.plugins.needed)
    exchanges = {} if exchanges is None else exchanges
    wanted = (name for name, section in settings.exchanges.items() if section.enabled)
    unserved = [name for name in wanted if name not in catalog.exchanges and name not in catalog.broken]
    for name in unserved:
        log.warning("[exchanges.%s]: no plugin serves it; `tradewire plugins` lists what is installed", name)
    missing = dict.fromkeys(unserved, "no plugin serves it; check the name in the configuration")
    gateway = Gateway(store, vault, clock, exchanges, {**catalog.broken, **missing})
    for registered in catalog.exchanges.values():
        section = settings.exchanges.get(registered.info.id, ExchangeSettings())
        if section.enabled:
            exchanges[registered.info.id] = _exchange(registered, section, clock)
            add_paper(gateway, exchanges, registered, store, clock)
    return Instance(settings, clock, store, vault, catalog, gateway)


def _plugins(settings: Settings) -> list[Plugin]:
    """Import the installed plugins, but for those of tradewire's own whose exchange is switched off."""
    off = {name for name, section in settings.exchanges.items() if not section.enabled} - set(settings.plugins.needed)

    def is_off(point: metadata.EntryPoint) -> bool:
        return point.name in off and trust.name_of(point) in trust.BUNDLED

    def load(point: metadata.EntryPoint, lock: Lock) -> Any:
        return None if is_off(point) else trust.load(point, lock)

    found = registry.discover(settings.storage.directory, load)
    return [plugin for plugin in found if plugin.problem or plugin.module is not None]


def add_paper(gateway: Gateway, exchanges: dict[str, Exchange], real: Registered, store: Store, clock: Clock) -> None:
    """Add the paper twin of an exchange: the same markets and the same public order book, and no real money."""

    async def markets() -> list[Market]:
        return list(await gateway.symbols(real.info.id))

    async def book(market: Market) -> OrderBook:
        found = await gateway.order_book(real.info.id, market)
        return found or OrderBook((), ())

    exchange_id = f"{real.info.id}:paper"
    wire = PaperWire(store, markets=markets, book=book, now_ms=clock.now_ms)
    plugin = PaperPlugin(exchange_id, f"{real.info.title} paper", real.info.capabilities, real.info.client_id)
    registered = registry.register(Plugin(f"{real.plugin.name}-paper", plugin))
    exchanges[exchange_id] = Exchange(registered, Transport(registered.info, registered.hook, wire, clock))


def _exchange(registered: Registered, section: ExchangeSettings, clock: Clock) -> Exchange:
    origins = {
        name: (section.stream_url if origin.startswith("ws") else section.base_url) or origin
        for name, origin in registered.info.hosts.items()
    }
    wire = HttpWire(registered.info.title, origins, local_address=section.local_address, proxy=section.proxy)
    # Whoever gives the exchange another address means none of what is said to reach the real one.
    is_streamed = section.stream_url is not None or section.base_url is None
    sockets = Sockets(origins, local_address=section.local_address, proxy=section.proxy) if is_streamed else None
    return Exchange(registered, Transport(registered.info, registered.hook, wire, clock), sockets)
