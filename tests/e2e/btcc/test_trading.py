"""Balances, prices and orders at BTCC, through chat."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from tests.e2e.btcc.conftest import KEY, BtccDesk, confirm, neighbours

pytestmark = pytest.mark.network


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
