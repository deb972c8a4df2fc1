"""Bitget's limits through chat: its clock, its pace, its units, its two worlds of accounts and its demo."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from bot.testing.strict import Received
from tests.e2e.conftest import ANN, KEY, Desk, neighbours

pytestmark = pytest.mark.network

CLASSIC, UNIFIED = "/api/v2/spot/trade/place-order", "/api/v3/trade/place-order"


@asynccontextmanager
async def running(tmp_path: Path, mode: str = "classic", *, ahead_ms: int = 0) -> AsyncIterator[Desk]:
    """A running bot without a key, and a Bitget whose clock is `ahead_ms` ahead of ours."""
    async with neighbours(tmp_path, mode) as desk:
        desk.exchange.clock = lambda: desk.clock.now_ms() + ahead_ms
        await desk.start()
        yield desk
        await desk.end()


async def confirm(desk: Desk, text: str, *parts: str) -> str:
    """Type an order, press Confirm, and return the card once it shows all `parts`."""
    await desk.preview(text)
    desk.press("Confirm")
    return await desk.see(*parts)


def placed(desk: Desk) -> list[Received]:
    """Return the requests that placed an order."""
    return [each for each in desk.exchange.received if each.path in (CLASSIC, UNIFIED)]


# The clock


@pytest.mark.parametrize("mode", ["classic", "unified"])
@pytest.mark.parametrize("ahead_ms", [60_000, -60_000])
async def test_clock_off_by_a_minute_is_measured_and_corrected(tmp_path: Path, ahead_ms: int, mode: str) -> None:
    """Bitget takes a time within 30 seconds of its own: the bot signs by Bitget's clock, and /status tells it."""
    async with running(tmp_path, mode, ahead_ms=ahead_ms) as desk:
        await desk.connect()
        await confirm(desk, "/buy BTC/USDT 0.001 @ 50000", "Accepted", "Order id")
        desk.say("/status")
        shown = await desk.see("Bitget·main", "clock")
        offset = int(shown.partition("clock ")[2].split()[0])
        assert abs(offset - ahead_ms) < 2_000
        assert len(placed(desk)) == 1


async def test_clock_that_jumps_is_measured_again_for_a_read(desk: Desk) -> None:
    """A read that was refused for its time is signed anew by the right one."""
    desk.exchange.clock = lambda: desk.clock.now_ms() + 60_000
    desk.say("/balance")
    await desk.see("USDT", "1,000.00")


async def test_clock_that_jumps_under_an_order_refuses_it_and_the_next_works(desk: Desk) -> None:
    """An order is never sent twice: it ends as refused, and Again offers it anew with the clock corrected."""
    await desk.preview("/buy BTC/USDT 0.001 @ 50000")
    desk.exchange.clock = lambda: desk.clock.now_ms() + 60_000
    desk.press("Confirm")
    await desk.see("✖ Refused", "too far from Bitget's clock")
    assert (len(placed(desk)), desk.exchange.orders()) == (1, [])
    await again(desk, "BUY BTC/USDT")
    desk.press("Confirm")
    await desk.see("Accepted", "#2")
    assert len(placed(desk)) == 2


async def again(desk: Desk, *parts: str) -> str:
    """Press Again and return the new preview, once it can be confirmed."""
    seen = desk.telegram.messages(ANN)[-1].id
    desk.press("New preview")

    def shown(_: object) -> str | None:
        last = desk.telegram.messages(ANN)[-1]
        is_ready = last.id > seen and "Confirm" in str(last.buttons) and all(part in last.text for part in parts)
        return last.text if is_ready else None

    return await desk.telegram.wait(shown, 10)  # type: ignore[arg-type]


# The pace


async def test_rate_limit_is_told_and_nothing_is_sent_while_the_pause_lasts(desk: Desk) -> None:
    """After HTTP 429 neither reads nor previews reach Bitget, and each is answered in plain words."""
    desk.exchange.misbehave("rate_limited", "assets", headers={"Retry-After": "60"})
    desk.say("/balance")
    await desk.see("too many requests", "Wait a moment")
    sent = len(desk.exchange.received)
    desk.say("/price BTC/USDT")
    await desk.see("Bitget allows no more requests for", "seconds")
    desk.say("/buy BTC/USDT 0.001 @ 50000")
    await desk.telegram.wait(lambda _: sum("allows no more requests" in text for text in desk.texts()) == 2)
    assert len(desk.exchange.received) == sent


async def test_rate_limit_on_an_order_refuses_it_and_the_pause_is_kept(desk: Desk) -> None:
    """429 proves that nothing was executed: the order ends as refused, is not repeated, and the next one waits."""
    await desk.preview("/buy BTC/USDT 0.001 @ 50000")
    desk.exchange.misbehave("rate_limited", "place-order", headers={"Retry-After": "60"})
    desk.press("Confirm")
    await desk.see("✖ Refused", "too many requests")
    sent = len(desk.exchange.received)
    desk.press("New preview")
    await desk.see("Bitget allows no more requests for")
    assert (len(desk.exchange.received), len(placed(desk)), desk.exchange.orders()) == (sent, 1, [])


# Sizes


@pytest.mark.parametrize("mode", ["classic", "unified"])
@pytest.mark.parametrize(("size", "budget"), [("$60", "60"), ("60usdt", "60"), ("0.001", "60")])
async def test_market_buy_in_quote_and_in_base_spends_quote(tmp_path: Path, size: str, budget: str, mode: str) -> None:
    """Bitget reads a market buy's size as money: a quantity is priced by the book first, never sent as it is."""
    async with running(tmp_path, mode) as desk:
        await desk.connect()
        await confirm(desk, f"/buy BTC/USDT {size}", "✅ Filled", "60,000.10", "Fee")
        [order] = desk.exchange.orders()
        assert (order.kind, order.budget, order.quantity) == ("market", Decimal(budget), Decimal(0))


@pytest.mark.parametrize("mode", ["classic", "unified"])
async def test_limit_sell_in_base_rests_and_is_canceled(tmp_path: Path, mode: str) -> None:
    """A sell's size is a quantity at the price that was typed; the card cancels it in either world."""
    async with running(tmp_path, mode) as desk:
        await desk.connect()
        await confirm(desk, "/sell BTC/USDT 0.1 @ 70000", "Accepted", "SELL BTC/USDT", "Order id")
        [order] = desk.exchange.orders(only_open=True)
        assert (order.side, order.price, order.quantity) == ("sell", Decimal(70000), Decimal("0.1"))
        desk.say("/orders")
        await desk.see("Open orders", "#1 SELL BTC/USDT 0.1 @ 70,000.00")
        desk.say("/cancel 1")
        await desk.see("✖ Canceled", "#1")
        assert order.status == "canceled"


# The key


@pytest.mark.parametrize("mode", ["classic", "unified"])
async def test_wrong_passphrase_is_told_as_such_and_stores_nothing(tmp_path: Path, mode: str) -> None:
    """Key and secret are right: the answer names the passphrase, and says that it is not the login password."""
    async with running(tmp_path, mode) as desk:
        desk.say("/connect bitget main")
        await desk.see("API key")
        desk.say(f"{KEY['key']}\n{KEY['secret']}\nnot-the-passphrase")
        await desk.see("Not connected", "the key and the passphrase do not belong together", "not the login password")
        desk.say("/accounts")
        await desk.see("/connect adds your key")


# Two worlds


def migrate(desk: Desk) -> None:
    """Bitget turns the account into a unified one while the bot runs."""
    desk.exchange.accounts[KEY["key"]].mode = "unified"


async def test_migrated_account_is_detected_again_by_a_read(desk: Desk) -> None:
    """40085 on a read is no answer to the person: the account is looked at again, and the balance shown."""
    migrate(desk)
    desk.say("/balance")
    await desk.see("USDT", "1,000.00", "BTC")
    await confirm(desk, "/buy BTC/USDT 0.001 @ 50000", "Accepted", "Order id")
    assert [each.path for each in placed(desk)] == [UNIFIED]


async def test_migrated_account_refuses_an_order_once_and_again_places_it(desk: Desk) -> None:
    """40085 on an order proves that it was not placed; it is not sent by itself to the other world, Again offers it."""
    await desk.preview("/buy BTC/USDT 0.001 @ 50000")
    migrate(desk)
    desk.press("Confirm")
    await desk.see("✖ Refused", "this is a unified account", "try once more")
    assert [each.path for each in placed(desk)] == [CLASSIC]
    preview = await again(desk, "BUY BTC/USDT", "50,000.00")
    assert "#1" not in preview
    assert len(placed(desk)) == 1
    desk.press("Confirm")
    await desk.see("Accepted", "#2", "Order id")
    assert [each.path for each in placed(desk)] == [CLASSIC, UNIFIED]
    assert [(each.side, each.price) for each in desk.exchange.orders()] == [("buy", Decimal(50000))]


# Demo trading


async def test_demo_account_trades_with_the_header(tmp_path: Path) -> None:
    """`demo` in /connect marks every private request; the strict Bitget takes a demo key in no other way."""
    async with running(tmp_path) as desk:
        desk.exchange.demo = True
        desk.exchange.add_account(**KEY, balances={"USDT": Decimal(1000)})
        desk.say("/connect bitget test demo")
        await desk.see("Bitget · test", "API key")
        desk.say("\n".join(KEY.values()))
        await desk.see("Connected Bitget·test")
        await confirm(desk, "/buy BTC/USDT $60", "✅ Filled", "60,000.10")
        signed = [each for each in desk.exchange.received if "access-key" in each.headers]
        assert {each.headers.get("paptrading") for each in signed} == {"1"}
        assert len(desk.exchange.orders()) == 1


async def test_demo_key_without_the_word_is_refused_with_the_remedy(tmp_path: Path) -> None:
    """Without `demo` the same key does nothing, and the answer says why."""
    async with running(tmp_path) as desk:
        desk.exchange.demo = True
        desk.exchange.add_account(**KEY, balances={"USDT": Decimal(1000)})
        desk.say("/connect bitget test")
        await desk.see("API key")
        desk.say("\n".join(KEY.values()))
        await desk.see("Not connected", "a demo key was used for live trading", "Nothing was stored")
        assert all("paptrading" not in each.headers for each in desk.exchange.received)


# The server's address


async def test_ip_shows_the_address_and_where_to_read_the_public_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A public address can be copied; of a private one the answer says what exchanges see instead."""
    monkeypatch.setattr("bot.exchanges.address.outgoing_address", lambda: "93.184.216.34")
    desk.say("/ip")
    await desk.see("This server sends from 93.184.216.34.")
    assert "Copy 93.184.216.34" in str(desk.telegram.messages(ANN)[-1].buttons)
    monkeypatch.setattr("bot.exchanges.address.outgoing_address", lambda: "192.168.1.5")
    desk.say("/ip")
    await desk.see("192.168.1.5 is a private address", "the provider's panel")
    assert "Copy" not in str(desk.telegram.messages(ANN)[-1].buttons)


async def test_connect_tells_the_address_without_ending_the_wizard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the key wants this server's address, a button tells it, and the key pasted next is still deleted."""
    monkeypatch.setattr("bot.exchanges.address.outgoing_address", lambda: "93.184.216.34")
    async with running(tmp_path) as desk:
        desk.say("/connect bitget main")
        await desk.see("Enter this server's IP address", "API key")
        desk.press("This server's IP address")
        await desk.see("This server sends from 93.184.216.34.")
        desk.say("\n".join(KEY.values()))
        await desk.see("Connected Bitget·main")
        shown = [each.text for each in desk.telegram.messages(ANN) if not each.is_deleted]
        assert not any(value in text for text in shown for value in KEY.values())
