"""An order from chat to exchange and back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bot.chat.inbox import Inbox
from tests.e2e.conftest import ANN, Desk, neighbours

pytestmark = pytest.mark.network


@pytest.mark.parametrize("mode", ["classic", "unified"])
async def test_buy_limit_confirmed_places_one_order(tmp_path: Path, mode: str) -> None:
    """A preview, one press, one order, and the same message shows the exchange's order id; in both account worlds."""
    async with neighbours(tmp_path, mode) as desk:
        await desk.start()
        await desk.connect()
        desk.say("/buy BTC/USDT 0.001 @ 50000")
        preview = await desk.see("BUY BTC/USDT", "50,000.00")
        desk.press("Confirm")
        card = await desk.see("Accepted", "Order id")
        orders = desk.exchange.orders()
        assert [(each.side, str(each.price)) for each in orders] == [("buy", "50000.00")]
        assert orders[0].id in card
        assert preview not in desk.texts()
        assert len(desk.texts()) == 2
        await desk.end()


async def test_buy_market_shows_average_and_fee(desk: Desk) -> None:
    """A market buy sized in quote ends as filled, with the average price and the fee that the exchange reported."""
    desk.say("/buy btcusdt $60")
    preview = await desk.see("BUY BTC/USDT", "market")
    assert "60,000.10" in preview
    desk.press("Confirm")
    card = await desk.see("Filled", "Average", "Fee", "Order id")
    assert "60,000.10" in card
    assert "BTC" in card
    assert desk.exchange.placing_requests == 1


async def test_sell_market_in_base_fills(desk: Desk) -> None:
    """A market sell sized as a share of what is free sells base."""
    desk.say("/sell BTC/USDT 10%")
    await desk.see("SELL BTC/USDT", "0.05 BTC")
    desk.press("Confirm")
    await desk.see("Filled", "0.05 BTC", "USDT")


async def test_confirm_hundred_presses_place_one_order(desk: Desk) -> None:
    """However often and however fast Confirm is pressed, the exchange gets one placing request."""
    await desk.preview("/buy BTC/USDT 0.001 @ 50000")
    message = desk.telegram.messages(ANN)[-1]
    button = next(each for row in message.buttons for each in row if "Confirm" in each)
    for _ in range(100):
        desk.telegram.press(ANN, ANN, message.id, button, stale=True)
    await desk.see("Accepted")
    await desk.telegram.wait(lambda telegram: len(telegram.answers) >= 100, 20)
    assert desk.exchange.placing_requests == 1
    assert len(desk.exchange.orders()) == 1


async def test_cancel_button_sends_nothing(desk: Desk) -> None:
    """Cancel on a preview ends it; Confirm on it is dead from then on."""
    await desk.preview("/buy BTC/USDT 0.001 @ 50000")
    desk.press("Cancel")
    await desk.see("Not sent", "You canceled it")
    assert desk.exchange.placing_requests == 0


async def test_cancel_order_from_card_cancels_at_exchange(desk: Desk) -> None:
    """The card's button cancels at the exchange, and the card says so only when the exchange does."""
    await desk.preview("/buy BTC/USDT 0.001 @ 50000")
    desk.press("Confirm")
    await desk.see("Accepted")
    desk.press("Cancel order")
    await desk.see("Canceled", "#1")
    assert [each.status for each in desk.exchange.orders()] == ["canceled"]


async def test_partial_fill_edits_the_card(desk: Desk) -> None:
    """A resting order that fills in part shows how much, and then that it is done, in one message."""
    await desk.preview("/buy BTC/USDT 0.001 @ 50000")
    desk.press("Confirm")
    await desk.see("Accepted")
    order = desk.exchange.orders()[0]
    desk.exchange.ledger.fill(order, "0.0004")
    await desk.see("Partly filled", "40%")
    desk.exchange.ledger.fill(order, "0.0006")
    await desk.see("✅ Filled", "0.001 BTC")
    assert len(desk.texts()) == 2


async def test_double_and_half_replace_the_preview(desk: Desk) -> None:
    """The size buttons offer another order on the same card; only what is shown last can be confirmed."""
    desk.say("/buy BTC/USDT 0.002 @ 50000")
    await desk.see("0.002 BTC")
    desk.press("×2")
    await desk.see("0.004 BTC")
    desk.press("½")
    await desk.see("0.002 BTC")
    desk.press("Confirm")
    await desk.see("Accepted")
    assert [str(each.quantity) for each in desk.exchange.orders()] == [
        "0.002000"
    ] or desk.exchange.placing_requests == 1
    assert len(desk.texts()) == 2


async def test_trade_by_buttons_reaches_a_preview(desk: Desk) -> None:
    """Without typing a pair or a size, buttons lead to the same preview, in one message."""
    desk.say("/trade")
    await desk.see("Buy or sell?")
    desk.press("Buy")
    await desk.see("Which pair?")
    desk.press("BTC/USDT")
    await desk.see("How much?")
    desk.press("50 USDT")
    await desk.see("BUY BTC/USDT", "50.00 USDT")
    assert len(desk.texts()) == 2


async def test_buy_without_size_takes_a_typed_answer(desk: Desk) -> None:
    """The question for a size can be answered by typing, price included."""
    desk.say("/buy BTC/USDT")
    await desk.see("How much?")
    desk.say("0.001 @ 50k")
    await desk.see("BUY BTC/USDT", "50,000.00")


async def test_stop_order_waits_for_its_trigger(desk: Desk) -> None:
    """A stop order is accepted by the exchange as a plan order, and its trigger is on the card."""
    desk.say("/sell BTC/USDT 0.001 stop 55000 @ 54900")
    await desk.see("SELL BTC/USDT", "Trigger", "55,000.00")
    desk.press("Confirm")
    await desk.see("Accepted", "55,000.00")
    assert len(desk.exchange.ledger.plans) == 1


async def test_drifted_market_order_is_offered_anew(desk: Desk) -> None:
    """A price that moved by more than one per cent between preview and Confirm sends nothing, and is shown."""
    desk.say("/buy BTC/USDT $60")
    await desk.see("60,000.10")
    desk.exchange.set_price("BTCUSDT", "62000.00", "62000.10")
    desk.press("Confirm")
    await desk.see("BUY BTC/USDT", "The price moved from 60,000.10 to 62,000.10. Nothing was sent.", "Then free")
    assert desk.exchange.placing_requests == 0
    desk.press("Confirm")
    await desk.see("✅ Filled")
    assert desk.exchange.placing_requests == 1
    assert len(desk.texts()) == 2


async def test_order_placed_but_unanswered_is_found(desk: Desk) -> None:
    """When the answer is lost, nothing is sent again: the order is looked up by its id, and the card tells."""
    desk.exchange.misbehave("drop_after", "place-order")
    await desk.preview("/buy BTC/USDT 0.001 @ 50000")
    desk.press("Confirm")
    await desk.see("Accepted", "Order id")
    assert desk.exchange.placing_requests == 1
    assert len(desk.exchange.orders()) == 1


async def test_order_in_doubt_blocks_the_same_order_again(desk: Desk) -> None:
    """While nobody knows, the card says so and the same account, pair and side takes no new order."""
    desk.exchange.misbehave("late", "place-order")
    await desk.preview("/buy BTC/USDT 0.001 @ 50000")
    desk.press("Confirm")
    await desk.see("Not sure yet", "Nothing will be sent again")
    desk.say("/buy BTC/USDT 0.001 @ 50000")
    await desk.see("in doubt", "IN_DOUBT")
    assert desk.exchange.placing_requests == 1
    desk.press("Order all the same")
    await desk.see("#1 may exist", "Go on?")
    desk.press("Yes, although #1 may exist")
    await desk.see("Order #1 may exist as well", "50,000.00")
    assert desk.exchange.placing_requests == 1


async def test_kill_after_sending_leaves_one_order_and_a_true_card(tmp_path: Path) -> None:
    """A bot killed straight after the order left finds it at the next start, and its card tells the truth."""
    async with neighbours(tmp_path) as desk:
        await desk.start()
        await desk.connect()
        await desk.preview("/buy BTC/USDT 0.001 @ 50000")
        fault = desk.exchange.misbehave("slow", "place-order")
        desk.press("Confirm")
        await asyncio.wait_for(fault.reached.wait(), 10)
        await desk.kill()
        fault.release()
        await desk.start()
        await desk.see("Accepted", "Order id")
        assert desk.exchange.placing_requests == 1
        assert len(desk.exchange.orders()) == 1
        await desk.end()


async def test_kill_before_the_answer_was_noted_leaves_one_proposal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command whose preview was committed is not run again after a crash: one command, one proposal."""

    async def never(*_: object) -> None:
        """The process dies before it notes that the message was handled."""

    async with neighbours(tmp_path) as desk:
        with monkeypatch.context() as dying:
            dying.setattr(Inbox, "handled", never)
            await desk.start()
            await desk.connect()
            await desk.preview("/buy BTC/USDT 0.001 @ 50000")
            await desk.kill()
        await desk.start()
        desk.say("/id")
        await desk.see("You: 1001")
        assert desk.instance is not None
        assert desk.instance.store.transact(lambda db: db.execute("SELECT count(*) FROM orders").fetchone()[0]) == 1
        await desk.end()
