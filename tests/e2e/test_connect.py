"""Connecting a key in chat, and what is shown of it afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import ANN, KEY, Desk, neighbours

pytestmark = pytest.mark.network


async def test_connect_deletes_each_secret_and_tests_the_key(tmp_path: Path) -> None:
    """The wizard asks for three fields, deletes each message, tests step by step, and the account then trades."""
    async with neighbours(tmp_path) as desk:
        await desk.start()
        desk.say("/connect bitget")
        await desk.see("Bitget · main", "API key", "Withdraw")
        for name in ("key", "secret", "passphrase"):
            desk.say(KEY[name])
            if name != "passphrase":
                await desk.see("Deleted your message")
        card = await desk.see("Connected Bitget·main")
        assert "cannot withdraw" in card
        shown = [each for each in desk.telegram.messages(ANN) if not each.is_deleted]
        assert not any(secret in each.text for each in shown for secret in KEY.values())
        desk.say("/balance")
        await desk.see("USDT", "1,000.00")
        desk.say("/keys")
        await desk.see("🔒 cannot withdraw")
        await desk.end()


async def test_connect_wrong_secret_stores_nothing(tmp_path: Path) -> None:
    """A refused key is not kept, and the answer says which part is wrong."""
    async with neighbours(tmp_path) as desk:
        await desk.start()
        desk.say("/connect bitget main")
        await desk.see("API key")
        desk.say(f"{KEY['key']}\nwrong-secret-000000\n{KEY['passphrase']}")
        await desk.see("Not connected", "Nothing was stored")
        assert desk.instance is not None
        rows = desk.instance.store.transact(lambda db: db.execute("SELECT count(*) FROM credentials").fetchone()[0])
        assert rows == 0
        await desk.end()


async def test_connect_key_that_can_withdraw_is_refused(tmp_path: Path) -> None:
    """A key proved able to withdraw is refused and not kept."""
    async with neighbours(tmp_path) as desk:
        fields = {**KEY, "key": "bg_withdrawkey000000"}
        desk.exchange.add_account(**fields, balances={"USDT": 10}, authorities=["stow", "wwow"])  # type: ignore[arg-type]
        await desk.start()
        desk.say("/connect bitget risky")
        await desk.see("API key")
        desk.say("\n".join(fields[name] for name in ("key", "secret", "passphrase")))
        await desk.see("Not connected", "withdraw")
        await desk.end()


async def test_connect_undeletable_message_is_admitted(tmp_path: Path) -> None:
    """When Telegram does not delete the message, the bot says so and advises a new key."""
    async with neighbours(tmp_path) as desk:
        await desk.start()
        desk.say("/connect bitget")
        await desk.see("API key")
        desk.telegram.fail_next("deleteMessage", 400)
        desk.say("\n".join(KEY[name] for name in ("key", "secret", "passphrase")))
        await desk.see("could not delete", "make a new key")
        await desk.end()


async def test_lookups_show_orders_history_and_status(desk: Desk) -> None:
    """/orders, /order, /history, /status, /accounts, /settings and /help answer with what was done."""
    desk.say("/buy BTC/USDT $60")
    await desk.see("BUY BTC/USDT")
    desk.press("Confirm")
    await desk.see("✅ Filled")
    desk.say("/buy BTC/USDT 0.001 @ 50000")
    await desk.see("50,000.00")
    desk.press("Confirm")
    await desk.see("Accepted")
    for text, parts in {
        "/orders": ("Open orders", "#2 BUY BTC/USDT 0.001 @ 50,000.00"),
        "/order 1": ("#1 BUY BTC/USDT", "proposed", "confirmed", "sending", "filled"),
        "/history": ("Fills", "BUY", "BTC/USDT", "fee"),
        "/history btcusdt 5": ("Fills", "60,000.10"),
        "/status": ("Bitget·main", "clock", "1 of your orders open"),
        "/accounts": ("● Bitget·main",),
        "/settings": ("Default account: main",),
        "/help": ("/buy", "/sell", "/connect"),
        "/help buy": ("/buy PAIR SIZE", "Example"),
        "/price btcusdt": ("BTC/USDT", "Bid / ask"),
    }.items():
        desk.say(text)
        await desk.see(*parts)
    desk.say("/cancel all")
    await desk.see("Cancel this order?")
    desk.press("Yes, cancel")
    await desk.see("✖ Canceled", "#2")


async def test_paper_trades_at_real_prices_without_the_exchange(desk: Desk) -> None:
    """With paper trading on, an order fills at the real book and the exchange receives no order."""
    desk.say("/paper on")
    await desk.see("trades on paper")
    desk.say("/buy BTC/USDT $60")
    await desk.see("BUY BTC/USDT", "Bitget paper·main")
    desk.press("Confirm")
    await desk.see("✅ Filled", "60,000.10")
    assert desk.exchange.placing_requests == 0
    desk.say("/paper off")
    await desk.see("real money again")


async def test_command_in_the_middle_of_connecting_is_announced_and_later_secrets_are_deleted(desk: Desk) -> None:
    """Another command ends the wizard and says so; what is pasted afterwards is deleted all the same."""
    desk.say("/connect bitget second")
    await desk.see("Bitget · second")
    desk.say(KEY["key"])
    await desk.see("Deleted your message")
    desk.say("/price BTC/USDT")
    await desk.see("Connecting was stopped; nothing was stored")
    pasted = desk.telegram.say(ANN, ANN, KEY["secret"], date=1_700_000_000)
    await desk.see("may be part of a key", "I deleted it")
    assert desk.telegram.find(ANN, pasted.id) is None or pasted.is_deleted


async def test_wrong_answer_to_a_question_is_asked_again(desk: Desk) -> None:
    """A slip does not end the question: the next message is its answer too."""
    desk.say("/buy BTC/USDT")
    await desk.see("How much?")
    desk.say("$abc")
    await desk.see("$abc")
    desk.say("$60")
    await desk.see("BUY BTC/USDT", "60.00 USDT")
