"""`tradewire demo`: the whole bot on this machine alone, with a chat page instead of Telegram and paper money."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from bot import redact
from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.accounts.vault import create_master_key
from bot.chat import app
from bot.chat.pacer import LOCAL
from bot.cli.authored import Authored, find, local_exchange
from bot.cli.instance import Instance, open_instance
from bot.clock import SystemClock
from bot.config import ExchangeSettings, Settings, load
from bot.contract.errors import UserError
from bot.contract.models import Capabilities, ClientId
from bot.exchanges import registry
from bot.exchanges.paper.plugin import WithCandles
from bot.exchanges.paper.seeded import SeededMarket
from bot.exchanges.paper.wire import PaperWire
from bot.exchanges.registry import Catalog, Plugin
from bot.exchanges.transport import Transport
from bot.local.server import LocalServer
from bot.local.telegram import LocalTelegram
from bot.store.database import Connection
from bot.testing.strict import StrictServer
from bot.trading.gateway import Exchange

ANN, BOB, GROUP = 1001, 1002, -1001
SUGGESTIONS = {
    "private": ("/buy BTC/USDT $50", "/balance", "/price BTC/USDT", "/trade", "/orders", "/help"),
    "group": ("/price BTC/USDT", "/help"),
}
CAPABILITIES = Capabilities(
    order_types=frozenset({"limit", "market", "stop_limit", "stop_market"}),
    times_in_force=frozenset({"GTC", "IOC", "FOK"}),
    post_only=True,
    market_buy_in=frozenset({"base", "quote"}),
)


@dataclass(frozen=True)
class Demo:
    """A running demo."""

    telegram: LocalTelegram
    page_url: str


@click.command()
@click.option("--port", default=0, type=click.IntRange(0, 65_535), help="Port of the chat page; 0 takes any free one.")
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep the data in this directory.")
@click.option("--exchange", "name", help="Trade on the local exchange of this plugin: its name or its directory.")
@click.option("--tour", "is_tour", is_flag=True, help="Play the story in the terminal and end.")
@click.option("--verbose", is_flag=True, help="Show the log.")
def demo(port: int, keep: Path | None, name: str | None, *, is_tour: bool, verbose: bool) -> None:
    """Try the bot in a browser, without Telegram and without money."""
    redact.install("INFO" if verbose else "ERROR", sys.stderr)
    authored = None if name is None else find(name, load().storage.directory)
    with contextlib.ExitStack() as stack:
        directory = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tradewire-demo-")))
        asyncio.run(_tour(directory, port, authored) if is_tour else _serve(directory, port, authored))


async def _serve(directory: Path, port: int, authored: Authored | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(directory, port, authored) as demo:
        click.echo(f"The demo is ready: open {demo.page_url}")
        where = f"The local exchange that {authored.name} brings" if authored else "Paper money"
        click.echo(f"{where}: nothing here is real. Ctrl-C ends it.")
        sys.stdout.flush()
        await stop.wait()


@asynccontextmanager
async def running(directory: Path, port: int = 0, authored: Authored | None = None) -> AsyncIterator[Demo]:
    """Run the unmodified bot against a local Telegram and a paper exchange while the context is open.

    Args:
        directory: Where its data is.
        port: Of the chat page.
        authored: A plugin to trade with, on the strict local exchange that it brings and over HTTP, instead of paper.

    Raises:
        UserError: The plugin brings no local exchange, or the core does not take it.
    """
    telegram = LocalTelegram()
    telegram.add_person(ANN, "Ann", "ann", note="trader")
    telegram.add_person(BOB, "Bob", "bob", note="admin")
    telegram.add_group(GROUP, "Traders", [ANN, BOB], admins=[BOB])
    token = f"{secrets.randbelow(10**9)}:{secrets.token_urlsafe(26)}"
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(LocalServer(telegram, token, port, suggestions=SUGGESTIONS))
        settings = _settings(directory, token, server)
        if authored is None:
            instance = _on_paper(settings)
        else:
            local = await stack.enter_async_context(StrictServer(local_exchange(authored, SystemClock().now_ms)))
            instance = _on_local(settings, authored, local.url)
        stop = asyncio.Event()
        bot = asyncio.create_task(
            app.run(
                instance.settings,
                instance.clock,
                instance.store,
                instance.vault,
                instance.gateway,
                stop=stop,
                pace=LOCAL,
            )
        )
        try:
            await _until_polling(telegram, bot)
            yield Demo(telegram, server.page_url)
        finally:
            stop.set()
            await bot
            await instance.close()


def _settings(directory: Path, token: str, server: LocalServer) -> Settings:
    key_file = directory / "demo-master.key"
    if not key_file.exists():
        directory.mkdir(parents=True, exist_ok=True)
        create_master_key(key_file)
    return Settings.model_validate(
        {
            "telegram": {"token": token, "base_url": server.base_url, "base_file_url": server.base_file_url},
            "access": {"owner": BOB},
            "storage": {"directory": directory / "data"},
            "vault": {"key_file": key_file},
        }
    )


def _on_paper(settings: Settings) -> Instance:
    exchanges: dict[str, Exchange] = {}
    instance = open_instance(settings, catalog=Catalog(), exchanges=exchanges)
    clock = SystemClock()
    market = SeededMarket(7, clock.now_ms)
    wire = PaperWire(instance.store, markets=market.markets, book=market.book, now_ms=clock.now_ms, price=market.price)
    registered = registry.register(Plugin("paper", WithCandles("paper", "Paper", CAPABILITIES, ClientId())))
    exchanges["paper"] = Exchange(registered, Transport(registered.info, registered.hook, wire, clock))
    instance.store.transact(lambda db: _people(db, "paper", clock.now_ms()))
    return instance


def _on_local(settings: Settings, authored: Authored, url: str) -> Instance:
    """Put the plugin to work as `tradewire run` would, with its own address for the exchange and invented keys."""
    catalog = registry.catalog([authored.plugin])
    for problem in catalog.broken.values():
        raise UserError(f"{authored.name} cannot be used: {problem} See: tradewire plugin check {authored.source}")
    [exchange_id] = catalog.exchanges
    section = ExchangeSettings(base_url=url)
    instance = open_instance(settings.model_copy(update={"exchanges": {exchange_id: section}}), catalog=catalog)
    keys = {
        name: getattr(authored.contract.credentials, name)
        for name in catalog.exchanges[exchange_id].info.credential_fields
    }

    def work(db: Connection) -> None:
        for account in _people(db, exchange_id, instance.clock.now_ms()):
            instance.vault.seal(db, account, {name: secret.reveal() for name, secret in keys.items()})

    instance.store.transact(work)
    return instance


def _people(db: Connection, exchange_id: str, now_ms: int) -> list[AccountRow]:
    """Let Ann and Bob in, each with an account at the exchange, and return the accounts that are new."""
    for table in ("inbox", "buttons"):  # of chats that ended with an earlier demo: their message ids begin anew
        db.execute(f"DELETE FROM {table}")  # noqa: S608  # two constants
    db.execute("UPDATE orders SET message_id=NULL")
    people.ensure_user(db, ANN, "trader", "Ann", now_ms=now_ms)
    people.ensure_user(db, BOB, "admin", "Bob", now_ms=now_ms)
    return [
        people.add_account(db, person, exchange_id, people.next_label(db, person), now_ms)
        for person in (ANN, BOB)
        if all(account.exchange != exchange_id for account in people.accounts_of(db, person))
    ]


async def _until_polling(telegram: LocalTelegram, bot: asyncio.Task[None]) -> None:
    seen = telegram.wait(lambda each: any(name == "getUpdates" for name, _ in each.calls), 30)
    polling = asyncio.ensure_future(seen)
    await asyncio.wait({polling, bot}, return_when=asyncio.FIRST_COMPLETED)
    if bot.done():
        polling.cancel()
        bot.result()
    await polling


TOUR: tuple[tuple[str, str, str], ...] = (
    ("say", "/start", "Trade from this chat"),
    ("say", "/price BTC/USDT", "Bid / ask"),
    ("say", "/balance", "USDT"),
    ("say", "/buy BTC/USDT $250", "Then free"),
    ("press", "Confirm", "✅ Filled"),
    ("say", "/buy BTC/USDT 0.01 @ -5%", "Then free"),
    ("press", "Confirm", "✅ Accepted"),
    ("say", "/orders", "Open orders"),
    ("say", "/cancel 2", "Asked the exchange"),
    ("say", "/buy BTC/USDT 0,1", "Please write it without the comma"),
    ("say", "/balance", "BTC"),
)
"""What Ann does in `--tour`: say or press, what, and what the bot's answer must contain."""


async def _tour(directory: Path, port: int, authored: Authored | None) -> None:
    async with running(directory, port, authored) as demo:
        click.echo(
            f"tradewire demo: Ann trades {f'on the local {authored.name}' if authored else 'with paper money'}.\n"
        )
        for kind, what, expected in TOUR:
            click.echo(f"Ann  {'presses [' + what + ']' if kind == 'press' else what}")
            click.echo(_indented(await step(demo.telegram, kind, what, expected)) + "\n")
        click.echo("That was the tour. Without --tour you can try it yourself, in the browser.")


async def step(telegram: LocalTelegram, kind: str, what: str, expected: str) -> str:
    """Let Ann say or press something, and return the bot's answer once it contains `expected`."""
    if kind == "say":
        asked = telegram.say(ANN, ANN, what).id
    else:
        asked = telegram.last(ANN).id - 1
        telegram.press(ANN, ANN, telegram.last(ANN).id, what)

    def answered(each: LocalTelegram) -> str:
        texts = [message.text for message in each.messages(ANN) if message.id > asked and message.sender.is_bot]
        return next((text for text in texts if expected in text), "")

    return await telegram.wait(answered, 30)


def _indented(text: str) -> str:
    return "\n".join(f"     {line}" for line in text.splitlines())
