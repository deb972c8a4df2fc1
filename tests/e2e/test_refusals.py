"""Bad input gets a sentence, and nothing is sent, lost or half done."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.conftest import ANN, Desk, neighbours

pytestmark = pytest.mark.network

SENTENCES = [
    ("/buy BTX/USDT 1 @ 5", "Did you mean BTC/USDT"),
    ("/buy BTC/USDT $0.5", "Bitget needs at least 1 USDT for BTC/USDT; yours is 0.50."),
    ("/buy BTC/USDT 0.0000001 @ 60000", "0.000001"),
    ("/buy BTC/USDT $5000", "You have 1,000 USDT free on Bitget; this order needs 5,000 USDT."),
    ("/sell BTC/USDT 3", "You have 0.5 BTC free on Bitget; this order needs 3 BTC."),
    ("/buy BTC/USDT 0,001", 'Does "0,001" mean 0.001 or 1?'),
    ("/buy BTC/USDT NaN", "NaN"),
    ("/buy BTC/USDT -1", '"-1" is below zero.'),
    ("/buy BTC/USDT 0.001 @ 50000 sl 40000", "not available yet"),
    ("/buy BTC/USDT 0.001 on nowhere", "You have no account named nowhere"),
    ("/order 77", "There is no order #77 of yours."),
    ("/nonsense", "There is no command /nonsense"),
    ("/sel BTC/USDT 1", "There is no command /sel. Did you mean /sell?"),
    ("/help sel", "There is no command /sel. Did you mean /sell?"),
    ("/limits nonsense 5", 'There is no limit named "nonsense".'),
    ("/limits order", "What shall the limit order be?"),
    ("hello", "Commands begin with a slash"),
    ("/why NO_FUNDS", "Less is free than the order needs"),
    ("/why 43012", "Bitget 43012"),
]


async def test_wrong_words_get_a_sentence(desk: Desk) -> None:
    """Each kind of wrong input is answered with what was wrong and what would work; nothing reaches the exchange."""
    for text, expected in SENTENCES:
        desk.say(text)
        await desk.see(expected)
    assert desk.exchange.placing_requests == 0
    assert not any("Traceback" in text for text in desk.texts())


async def test_stale_command_is_not_run(desk: Desk) -> None:
    """A command that waited for more than 30 seconds is answered, and not run."""
    desk.telegram.say(ANN, ANN, "/buy BTC/USDT 0.001 @ 50000", date=int(time.time()) - 720)
    await desk.see("I was away. You asked 12 min ago: /buy BTC/USDT 0.001 @ 50000", "It was not run.")
    assert not any("BUY BTC/USDT" in text for text in desk.texts())


async def test_edited_and_forwarded_commands_are_ignored(desk: Desk) -> None:
    """An edit or a forward of a command does nothing at all."""
    desk.telegram.say(ANN, ANN, "/buy BTC/USDT 0.001 @ 50000", is_forwarded=True)
    message = desk.telegram.say(ANN, ANN, "/id")
    await desk.see("You: 1001")
    desk.telegram.edit(ANN, ANN, message.id, "/buy BTC/USDT 0.001 @ 50000")
    desk.say("/price BTC/USDT")
    await desk.see("Bid / ask")
    assert not any("BUY BTC/USDT" in text for text in desk.texts())


async def test_stranger_gets_one_polite_line(desk: Desk) -> None:
    """A stranger learns the own id once, and nothing else, however often they write."""
    desk.telegram.add_person(666, "Eve", "eve")
    for text in ("/start", "/buy BTC/USDT 1", "/balance"):
        desk.telegram.say(666, 666, text)
    desk.say("/id")
    await desk.see("You: 1001")
    answers = [each.text for each in desk.telegram.messages(666) if each.sender.id != 666]
    assert answers == ["This is a private bot. Your Telegram id is 666; its operator can let you in."]
    assert desk.exchange.placing_requests == 0


async def test_group_member_cannot_press_anothers_button_or_trade(desk: Desk) -> None:
    """Orders are refused in groups, for the owner too."""
    desk.telegram.add_person(2002, "Bob", "bob")
    desk.telegram.add_group(-500, "Traders", [ANN, 2002])
    desk.telegram.say(ANN, -500, "/buy BTC/USDT 0.001 @ 50000")
    await desk.telegram.wait(lambda telegram: any("private chat" in each.text for each in telegram.messages(-500)))
    desk.telegram.say(2002, -500, "/buy BTC/USDT 0.001 @ 50000")
    desk.telegram.say(ANN, -500, "/price BTC/USDT")
    await desk.telegram.wait(lambda telegram: any("Bid / ask" in each.text for each in telegram.messages(-500)))
    assert desk.exchange.placing_requests == 0


async def test_exchange_down_says_so(tmp_path: Path) -> None:
    """When the exchange cannot be reached, the answer says that nothing was sent."""
    async with neighbours(tmp_path) as desk:
        await desk.start()
        await desk.connect()
        for path in ("assets", "symbols", "tickers"):
            desk.exchange.misbehave("drop_before", path, times=9)
        desk.say("/buy BTC/USDT 0.001 @ 50000")
        await desk.see("Bitget did not answer")
        desk.say("/balance")
        await desk.see("Bitget did not answer")
        await desk.end()


async def test_no_key_tells_what_to_do(tmp_path: Path) -> None:
    """Without an account, commands say how to connect one."""
    async with neighbours(tmp_path) as desk:
        await desk.start()
        desk.say("/buy BTC/USDT $50")
        await desk.see("/connect adds your key")
        desk.say("/balance")
        await desk.see("/connect adds your key")
        await desk.end()


@pytest.mark.parametrize(
    ("code", "words"), [("43012", "balance"), ("45110", "minimum"), ("40808", "decimals"), ("41113", "")]
)
async def test_refusal_by_the_exchange_is_told_in_plain_words(desk: Desk, code: str, words: str) -> None:
    """A documented refusal ends the order as refused, with a cause and no bare code."""
    desk.exchange.misbehave(f"refuse:{code}", "place-order")
    await desk.preview("/buy BTC/USDT 0.001 @ 50000")
    desk.press("Confirm")
    card = await desk.see("✖ Refused", words)
    assert "New preview" in str(desk.telegram.messages(ANN)[-1].buttons)
    assert "Traceback" not in card
