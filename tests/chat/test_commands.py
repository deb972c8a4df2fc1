"""The commands of the bot, where they once did something else than they said."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bot import OrderReport
from bot.chat import commands
from tests.chat.conftest import Chat
from tests.trading.conftest import ANN


@pytest.mark.parametrize("switch", ["off", "on"])
async def test_paper_switch_ends_previews_made_before_it(real: Chat, switch: str) -> None:
    """A preview of a paper order can never become a real order, nor the other way round."""
    real.room.sql("UPDATE accounts SET paper=?", switch == "off")
    await real.say("/buy BTC/USDT 0.5 @ 58000")
    [message_id] = real.telegram.shown
    data = real.telegram.data(message_id)[0]
    await real.say(f"/paper {switch}")
    assert "Paper trading was switched. Nothing was sent." in real.telegram.shown[message_id][0]
    await real.press(data, message_id)
    await real.room.desk.drain()
    assert (real.room.exchange.placing, real.room.paper.placing) == ([], [])


async def test_paper_switch_with_an_order_under_way_is_refused(real: Chat) -> None:
    """An open order, or one in doubt, is looked after where it is; switching would lose it."""
    row = await real.room.placed("drop before")
    assert row.state == "unknown"
    [told] = await real.say("/paper on")
    assert f"Order #{row.id} of main is not finished" in told
    assert real.room.sql("SELECT paper FROM accounts")[0]["paper"] == 0


async def test_size_typed_later_keeps_the_price_typed_before(real: Chat) -> None:
    """A limit price given with the command is not lost when the size is asked for: no market order by surprise."""
    [asked] = await real.say("/buy BTC/USDT @ 58000")
    assert "How much?" in asked
    [card] = await real.say("0.5")
    assert ("limit" in card, "58,000.00" in card) == (True, True)


async def test_size_typed_later_may_bring_its_own_price(real: Chat) -> None:
    """What is typed last counts."""
    await real.say("/sell BTC/USDT @ 61000")
    [card] = await real.say("0.5 @ 62000")
    assert ("SELL" in card, "62,000.00" in card) == (True, True)


@pytest.mark.parametrize("pair", ["eth/usdt", "ETHUSDT", "eth"])
async def test_orders_of_one_pair_shows_no_other(real: Chat, pair: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order of the bot on another pair is neither listed nor taken for one that was placed elsewhere."""
    await real.room.placed(pair="BTC/USDT")
    mine = await real.room.placed(pair="ETH/USDT", price="2900")

    def report(exchange_order_id: str, symbol: str) -> OrderReport:
        return OrderReport(
            exchange_order_id=exchange_order_id, client_order_id="", exchange_symbol=symbol, side="sell",
            type="limit", state="open", filled=Decimal(0), quantity=Decimal(2), price=Decimal(70000),
        )  # fmt: skip

    async def open_orders(*_: Any) -> list[OrderReport]:
        return [report("x1", "BTCUSDT"), report("x2", "ETHUSDT"), report("y1", "BTCUSDT"), report("y2", "ETHUSDT")]

    monkeypatch.setattr(real.room.gateway, "open_orders", open_orders)
    [told] = await real.say(f"/orders {pair}")
    assert told == (
        f"Open orders\n#{mine.id} BUY ETH/USDT 0.5 @ 2,900.00 · open\nSELL ETH/USDT 2 @ 70000 · placed elsewhere · main"
    )


async def test_cancel_ends_an_open_question(real: Chat) -> None:
    """/cancel stops the key wizard, as it says it does."""
    [asked] = await real.say("/connect acme other")
    assert "/cancel stops" in asked
    assert await real.say("/cancel") == ["Forgotten. Nothing was stored."]
    assert not real.services.dialogs.is_open(ANN, ANN)


async def test_connect_paper_exchange_says_that_it_needs_no_key(real: Chat) -> None:
    """A paper twin has no credentials to ask for."""
    twin = real.room.gateway.named("acme:paper").info
    object.__setattr__(twin, "credential_fields", ())  # as a paper exchange declares; the one of this room has a key
    assert "needs no key" in (await real.say("/connect acme:paper"))[0]


@pytest.mark.parametrize("text", ["/why ²", "/order ²", "/cancel ²", "/history ²", "/orders ²", "/cancel #", "/why #"])
async def test_odd_digits_get_a_sentence(real: Chat, text: str) -> None:
    """What only looks like a number is no reason to fail."""
    [told] = await real.say(text)
    assert told.startswith("✖ Not done")


async def test_help_lists_every_command_once(real: Chat) -> None:
    """/help is made from the registry, so nothing is missing and nothing is there twice."""
    [told] = await real.say("/help")
    listed = [line.split()[0] for line in told.splitlines() if line.startswith("/") and " – " in line]
    assert sorted(listed) == sorted(f"/{name}" for name in commands.registry().commands)
