"""What a stream leads to: orders asked after at once, polling that steps back, and prices kept fresh."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from bot import OrderChanged, PriceSeen
from bot.accounts import people
from bot.exchanges.streams import Sockets, StreamState
from bot.trading import feeds as module
from bot.trading.feeds import Feeds
from bot.trading.orders import OrderRow
from tests.trading.conftest import MARKET, OTHER_MARKET, Room


@dataclass
class Runner:
    """Stands in for the sockets: tells what the test wants told."""

    describe: Any
    on_news: Any
    on_change: Any
    account_id: int
    is_running: bool = False

    async def run(self) -> None:
        self.is_running = True
        try:
            await asyncio.Event().wait()
        finally:
            self.is_running = False

    def state(self) -> StreamState:
        return StreamState(is_open=True, heard_seconds=0, problem="")


@dataclass
class Hall:
    """A trading room whose exchange has streams."""

    room: Room
    feeds: Feeds
    runners: list[Runner] = field(default_factory=list)

    async def turn(self) -> list[bool]:
        """Let the feeds look once, and return which runners, oldest first, are at work."""
        await self.feeds.step()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return [runner.is_running for runner in self.runners]

    async def live(self, **options: Any) -> OrderRow:
        """Place an order that rests, and let everybody take notice of it."""
        row = await self.room.placed(**options)
        await self.room.reconciler.step()
        await self.turn()
        return row

    async def asked(self) -> int:
        """Let the reconciler look, and return how often the exchange was asked about an order meanwhile."""
        before = len(self.room.exchange.asked)
        await self.room.reconciler.step()
        return sum(path == "/order" for path in self.room.exchange.asked[before:])


@pytest.fixture
async def hall(room: Room, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hall]:
    """A room with an empty market, and streams that stay under the test's hand."""
    exchanges: Any = room.gateway.exchanges
    for name in ("acme", "acme:paper"):
        registered = exchanges[name].registered
        hooks = (*registered.hooks, *(() if name == "acme:paper" else ("private_stream", "public_stream")))
        exchanges[name] = replace(
            exchanges[name], registered=replace(registered, hooks=hooks), sockets=Sockets({"ws": "wss://acme.example"})
        )
    hall = Hall(room, Feeds(room.store, room.gateway, room.reconciler, room.clock))

    def runner(*_: Any, account_id: int = 0, **told: Any) -> Runner:
        wanted = {name: told[name] for name in ("describe", "on_news", "on_change")}
        hall.runners.append(Runner(account_id=account_id, **wanted))
        return hall.runners[-1]

    monkeypatch.setattr(module, "StreamRunner", runner)
    yield hall
    await asyncio.gather(hall.feeds.prices.close(), *map(hall.feeds._close, tuple(hall.feeds._lines)))


async def test_feeds_account_with_live_orders_has_one_stream(hall: Hall) -> None:
    """No order, no stream; the first order opens one, and the second shares it."""
    assert await hall.turn() == []
    await hall.live()
    await hall.live(pair="ETH/USDT")
    assert await hall.turn() == [True]
    assert hall.runners[0].account_id == hall.room.account.id
    assert hall.feeds.state(hall.room.account.id, "acme") == StreamState(is_open=True, heard_seconds=0, problem="")


async def test_feeds_order_in_doubt_opens_a_stream(hall: Hall) -> None:
    """An order that may exist is a reason to listen."""
    await hall.live(fault="late")
    assert await hall.turn() == [True]


async def test_feeds_stream_closes_minutes_after_the_last_order_ended(hall: Hall) -> None:
    """Three quiet minutes, and the socket goes; a new order brings another."""
    await hall.live()
    hall.room.exchange.orders[0].state = "canceled"
    await hall.room.live(1)
    hall.room.clock.advance(178)
    assert await hall.turn() == [True]
    hall.room.clock.advance(3)
    assert await hall.turn() == [False]
    assert hall.feeds.state(hall.room.account.id, "acme") is None
    await hall.live()
    assert await hall.turn() == [False, True]


async def test_feeds_removed_account_is_logged_out_at_once(hall: Hall) -> None:
    """Whoever takes a key away does not leave a session behind, live orders or not."""
    await hall.live()
    hall.room.store.transact(lambda db: people.remove_account(db, hall.room.account.id, hall.room.clock.now_ms()))
    assert await hall.turn() == [False]
    assert await hall.turn() == [False]


@pytest.mark.parametrize("lacks", ["hook", "sockets"])
async def test_feeds_exchange_without_streams_opens_none(hall: Hall, lacks: str) -> None:
    """A plugin without the hook and an exchange at another address are polled and nothing else."""
    exchanges: Any = hall.room.gateway.exchanges
    whole = exchanges["acme"]
    without = {"hook": {"registered": replace(whole.registered, hooks=())}, "sockets": {"sockets": None}}
    exchanges["acme"] = replace(whole, **without[lacks])
    await hall.live()
    assert await hall.turn() == []


async def test_feeds_paper_order_opens_none(hall: Hall) -> None:
    """Simulated orders are nobody's to tell."""
    row = await hall.live(account=msgspec.structs.replace(hall.room.account, paper=True))
    assert (row.exchange, row.state) == ("acme:paper", "open")
    assert await hall.turn() == []


async def test_feeds_account_switched_to_paper_keeps_listening_for_its_real_orders(hall: Hall) -> None:
    """What an order was drafted for counts, not what the account is now."""
    row = await hall.live()
    hall.room.sql("UPDATE accounts SET paper=1")
    assert await hall.turn() == [True]
    await hall.runners[0].on_news(OrderChanged(exchange_order_id=row.exchange_order_id))
    assert await hall.asked() == 1


@pytest.mark.parametrize("by", ["exchange id", "client id", "both"])
async def test_feeds_told_change_asks_after_that_order_at_once(hall: Hall, by: str) -> None:
    """Either id is enough; what the order is, the exchange is asked, and only about this one."""
    row = await hall.live()
    await hall.live(pair="ETH/USDT")
    exchange_id = row.exchange_order_id if by != "client id" else ""
    client_id = row.client_order_id if by != "exchange id" else ""
    assert await hall.asked() == 0
    hall.room.exchange.orders[0].filled, hall.room.exchange.orders[0].state = "0.2", "partially_filled"
    await hall.runners[0].on_news(OrderChanged(exchange_order_id=exchange_id, client_order_id=client_id))
    assert await hall.asked() == 1
    assert (hall.room.row(row).state, hall.room.row(row).filled) == ("partially_filled", Decimal("0.2"))


@pytest.mark.parametrize("news", [OrderChanged(), OrderChanged(exchange_order_id="999", client_order_id="of-a-person")])
async def test_feeds_strange_order_asks_nothing(hall: Hall, news: OrderChanged) -> None:
    """Orders that were placed elsewhere, and frames without an id, concern nobody here."""
    await hall.live()
    await hall.runners[0].on_news(news)
    assert await hall.asked() == 0


@pytest.mark.parametrize("is_open", [True, False])
async def test_feeds_opened_or_lost_stream_asks_after_all_live_orders(hall: Hall, is_open: bool) -> None:
    """Something may have been missed before the one, and may be missed after the other."""
    await hall.live()
    await hall.live(pair="ETH/USDT")
    assert await hall.asked() == 0
    await hall.runners[0].on_change(is_open)
    assert await hall.asked() == 2


async def test_reconciler_streamed_account_is_polled_less(hall: Hall) -> None:
    """Beside an open stream an order of some age is asked after every 15 s, and every 2 s once that is lost."""
    await hall.live()
    await hall.runners[0].on_change(True)  # noqa: FBT003
    hall.room.clock.advance(11)
    assert await hall.asked() == 1
    hall.room.clock.advance(14)
    assert await hall.asked() == 0
    hall.room.clock.advance(1)
    assert await hall.asked() == 1
    await hall.runners[0].on_change(False)  # noqa: FBT003
    assert await hall.asked() == 1
    hall.room.clock.advance(2)
    assert await hall.asked() == 1


async def test_reconciler_streamed_account_is_polled_as_ever_in_the_first_seconds(hall: Hall) -> None:
    """Right after the order was placed nothing relies on the stream."""
    await hall.live()
    await hall.runners[0].on_change(True)  # noqa: FBT003
    assert await hall.asked() == 1
    hall.room.clock.advance(0.5)
    assert await hall.asked() == 1


ASKED = PriceSeen(exchange_symbol="BTCUSDT", last=Decimal(60000), bid=Decimal(59990), ask=Decimal(60010))


def told(**price: Any) -> PriceSeen:
    return PriceSeen(exchange_symbol="BTCUSDT", **price)


async def test_prices_followed_market_is_asked_for_and_then_told(hall: Hall) -> None:
    """The first price is asked for; from then on the stream's counts, and what it leaves out stays."""
    prices = hall.feeds.prices
    assert prices.latest("acme", MARKET) is None
    assert await prices.follow("acme", MARKET) == ASKED
    await hall.runners[0].on_news(told(last=Decimal(60005), at_ms=7))
    assert prices.latest("acme", MARKET) == replace(ASKED, last=Decimal(60005), at_ms=7)
    assert hall.room.exchange.asked.count("/ticker") == 1


async def test_prices_silent_stream_is_replaced_by_asking(hall: Hall) -> None:
    """A price older than ten seconds is none; the next turn asks for it."""
    prices = hall.feeds.prices
    await prices.follow("acme", MARKET)
    hall.room.clock.advance(9)
    await hall.turn()
    assert hall.room.exchange.asked.count("/ticker") == 1
    hall.room.clock.advance(1)
    assert prices.latest("acme", MARKET) is None
    hall.room.exchange.last = "61000"
    await hall.turn()
    board = prices._boards["acme"]
    assert board.asking is not None
    await board.asking
    assert prices.latest("acme", MARKET) == replace(ASKED, last=Decimal(61000))


async def test_prices_many_followers_share_one_stream(hall: Hall) -> None:
    """One market is subscribed to once; another market opens the stream anew, with both."""
    prices = hall.feeds.prices
    await asyncio.gather(*(prices.follow("acme", MARKET) for _ in range(5)))
    assert await hall.turn() == [True]
    await prices.follow("acme", OTHER_MARKET)
    assert await hall.turn() == [False, True]
    assert list(prices._boards["acme"].markets) == ["BTCUSDT", "ETHUSDT"]


async def test_prices_nobody_follows_are_forgotten(hall: Hall) -> None:
    """Three minutes after the last interest the stream is closed, and nothing is asked any more."""
    prices = hall.feeds.prices
    await prices.follow("acme", MARKET)
    hall.room.clock.advance(181)
    await hall.turn()
    board = prices._boards["acme"]
    assert board.asking is not None
    await board.asking
    assert (await hall.turn(), prices.latest("acme", MARKET)) == ([False], None)
    assert hall.room.exchange.asked.count("/ticker") == 1


async def test_prices_exchange_without_streams_is_asked(hall: Hall) -> None:
    """Paper trading has prices too."""
    assert await hall.feeds.prices.follow("acme:paper", MARKET) == ASKED
    assert hall.runners == []
