"""From an alert of TradingView to one confirmed order: the card in a group's topic, and each member's own size."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest

from bot.accounts import people, second_factor
from bot.config import HookSettings, Web
from bot.local import groups
from bot.local.models import Message
from bot.local.telegram import LocalTelegram
from bot.trading import groups as trading_groups
from tests.e2e import test_second_factor as codes
from tests.e2e.conftest import ANN, Desk, neighbours

pytestmark = pytest.mark.network

GROUP = -1_000_000_000_777
SIGNAL = "/signal BUY BTC/USDT 59,000-60,500 TP 61,800 63,000 SL 58,000 valid 2h"


class Club:
    """A running bot with hooks, in a group whose signals have a topic."""

    def __init__(self, desk: Desk, topic: int, origin: str) -> None:
        self.desk, self.topic, self.origin = desk, topic, origin

    async def seen(self, text: str, chat_id: int = GROUP) -> Message:
        """Wait until the bot said it; return the newest of these messages."""

        def look(telegram: LocalTelegram) -> Any:
            found = [each for each in telegram.messages(chat_id) if each.sender.is_bot and text in each.text]
            return found[-1] if found else None

        try:
            found: Message = await self.desk.telegram.wait(look, 10)
        except TimeoutError:
            raise AssertionError([each.text for each in self.desk.telegram.messages(chat_id)]) from None
        return found

    def cards(self) -> list[Message]:
        """The signals in the group."""
        return [each for each in self.desk.telegram.messages(GROUP) if "📣" in each.text]

    async def address(self) -> str:
        """Make a hook in the group, and return the address that Ann was shown in private."""
        self.desk.telegram.say(ANN, GROUP, "/hook new tv")
        shown = await self.seen("Hook tv · notify", ANN)
        copies = [key["copy_text"]["text"] for row in shown.keyboard for key in row]
        assert all(each.text.find(copies[0]) < 0 for each in self.desk.telegram.messages(GROUP))
        return str(copies[0])

    def link(self, card: Message) -> str:
        """What Trade this sends in the private chat that Telegram opens."""
        [url] = [key["url"] for row in card.keyboard for key in row if "url" in key]
        match = re.fullmatch(r"https://t\.me/tradewire_bot\?start=(sig_[A-Za-z0-9_-]{16})", url)
        assert match is not None
        return f"/start {match[1]}"


@pytest.fixture
async def club(tmp_path: Path) -> AsyncIterator[Club]:
    """A bot that listens for alerts on a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with neighbours(tmp_path) as desk:
        news = {"web": Web(port=port), "hooks": HookSettings(enabled=True)}
        desk.settings = desk.settings.model_copy(update=news)
        desk.telegram.add_group(GROUP, "Traders", [ANN], admins=[ANN])
        found = Club(desk, groups.add_topic(desk.telegram, GROUP, "Signals"), f"http://127.0.0.1:{port}")
        await desk.start()
        await desk.connect()
        desk.telegram.say(ANN, GROUP, "/group allow")
        await found.seen("Traders")
        desk.telegram.say(ANN, GROUP, "/route signals here", thread_id=found.topic)
        await found.seen("Signals are posted here")
        yield found
        await desk.end()


def body(**fields: str) -> str:
    """What TradingView sends, filled in from the strategy template."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps({"id": f"{now} Long", "time": now, "ticker": "BINANCE:BTCUSDT", "side": "buy", **fields})


async def test_alert_becomes_a_card_and_by_trade_this_one_order(club: Club) -> None:
    """Four deliveries make one card in the topic; Trade this leads to a preview, and Confirm to one order."""
    desk, address = club.desk, await club.address()
    text = body()
    began = time.monotonic()
    async with httpx.AsyncClient(trust_env=False) as client:
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        replies = [await client.post(address, content=text, headers=headers) for _ in range(4)]
    assert time.monotonic() - began < 4
    assert [(each.status_code, each.text) for each in replies] == [(200, "taken"), *[(200, "repeated")] * 3]
    card = await club.seen("BTC/USDT  BUY at market")
    assert card.thread_id == club.topic

    desk.say("/signals $60")
    await desk.see("your size is 60 $")
    desk.say(club.link(card))
    await desk.see("Signal #1 · by hook tv")
    await desk.see("BUY BTC/USDT", "60.00 USDT")
    assert desk.exchange.placing_requests == 0
    desk.press("Confirm")
    await desk.see("✅ Filled")
    assert desk.exchange.placing_requests == 1
    await club.seen("followed 1")
    assert [each.id for each in club.cards()] == [card.id]


async def test_signal_is_posted_followed_changed_and_canceled_on_one_card(club: Club) -> None:
    """Without a size of one's own it is asked; a canceled signal loses its button, and its link leads nowhere."""
    desk = club.desk
    desk.telegram.say(ANN, GROUP, SIGNAL)
    card = await club.seen("BTC/USDT  BUY 59,000–60,500")
    assert card.thread_id == club.topic
    assert "TP 61,800 · 63,000   SL 58,000" in card.text
    link = club.link(card)
    desk.say(link)
    await desk.see("Its targets and its stop are not placed for you.")
    await desk.see("How much?")
    desk.press("50 USDT")
    await desk.see("BUY BTC/USDT", "60,500.00")
    desk.say("/signal change 1 BUY BTCUSDT 59000-60000 TP 62000 SL 58500")
    await club.seen("BUY 59,000–60,000")
    desk.press("Cancel signal")
    await club.seen("✖ Canceled")
    shown = desk.telegram.find(GROUP, card.id)
    assert shown is not None
    assert "✖ Canceled" in shown.text
    assert shown.keyboard == []
    desk.say(link)
    await desk.see("This signal is over. Nothing was prepared.")
    assert desk.exchange.placing_requests == 0


async def test_signal_with_unknown_words_is_approved_in_private_first(club: Club) -> None:
    """What was not understood is shown to its author; the group sees it after Post it, and once."""
    desk = club.desk
    desk.telegram.say(
        ANN, GROUP, "/signal #BTCUSDT LONG to the moon\nEntry: 59000\nTargets: 61800\nSL: 58000\nLev: 10x"
    )
    shown = await club.seen("Post this signal?", ANN)
    assert '"the", "moon", "leverage 10x"' in shown.text
    assert club.cards() == []
    desk.press("Post it")
    await club.seen("BUY 59,000")
    assert len(club.cards()) == 1


async def test_hook_that_asks_previews_to_its_owner_and_test_does_nothing(club: Club) -> None:
    """/hook test tells what an alert would do; the alert itself becomes a preview, and one Confirm one order."""
    desk, address = club.desk, await club.address()
    desk.say("/hook mode tv ask $60 BTC/USDT")
    await desk.see("Hook tv: an alert becomes a preview that waits for your Confirm · $60 each · BTC/USDT.")
    desk.say(f"/hook test tv {body()}")
    await desk.see("Nothing was done. It would be taken.", "An order of $60 at market would be previewed")
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.post(address, content=body())).text == "taken"
    await desk.see("BUY BTC/USDT", "60.00 USDT", "From hook tv.")
    desk.press("Confirm")
    await desk.see("✅ Filled")
    assert desk.exchange.placing_requests == 1
    assert club.cards() == []


async def test_hook_without_a_second_factor_places_nothing_without_asking(club: Club) -> None:
    """Orders by a rule take a code first; the hook stays as it was."""
    await club.address()
    club.desk.say("/hook mode tv auto $60 day $200 BTC/USDT")
    await club.desk.see("take a second factor")
    club.desk.say("/hook list")
    await club.desk.see("tv · notify")


async def test_hook_under_attack_over_http_takes_the_right_one_alone(club: Club) -> None:
    """Real connections: wrong secrets, replays, ten megabytes, depth, and a sender that never ends its body."""
    address = await club.address()
    right = body()
    wrong = address[:-8] + "A" * 8
    reader, writer = await asyncio.open_connection("127.0.0.1", int(address.split(":")[2].split("/")[0]))
    writer.write(f"POST /{address.split('/', 3)[3]} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{{".encode())
    async with httpx.AsyncClient(trust_env=False) as client:
        first = await client.post(address, content=right)
        found = Counter(
            [
                (await client.post(where, content=what)).status_code
                for where, what in (
                    (wrong, right),
                    (address, right),
                    (address, b"x" * 10_485_760),
                    (address, b'{"a":' + b"[" * 10_000),
                    (club.origin + "/", right),
                )
                for _ in range(10)
            ]
        )
    assert (first.text, found) == ("taken", Counter({404: 20, 200: 10, 413: 10, 400: 10}))
    writer.close()
    assert await reader.read(1) == b""
    await club.seen("BTC/USDT  BUY at market")
    assert len(club.cards()) == 1


async def test_hook_with_a_code_places_one_order_without_asking(club: Club, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong code changes nothing; after a right one, one alert delivered four times is one order."""
    monkeypatch.setattr(pyotp, "random_base32", lambda: codes.SEED)
    monkeypatch.setattr(second_factor, "_STEP_MS", codes.STEP_MS)
    desk, address = club.desk, await club.address()
    await codes.turn_on(desk)
    desk.say("/hook mode tv auto $60 day $200 BTC/USDT")
    await desk.see("Send the six digits", "place orders without asking")
    desk.say(codes.wrong_code())
    await desk.see("That code is wrong")
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.post(address, content=body(id="early"))).text == "taken"
        await club.seen("BTC/USDT  BUY at market")
        assert desk.exchange.placing_requests == 0
        desk.say(codes.code())
        await desk.see("an order, without asking · $60 each · at most $200 a day · BTC/USDT.", "must say when")
        text = body()
        assert [(await client.post(address, content=text)).text for _ in range(4)] == ["taken", *["repeated"] * 3]
    await desk.see("✅ Filled")
    assert desk.exchange.placing_requests == 1
    desk.say("/hook rotate tv")
    await desk.see("to make another address for orders without asking")
    desk.say(codes.code(1))
    await desk.see("Hook tv · auto")
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.post(address, content=body(id="after"))).status_code == 404


async def test_group_for_administrators_takes_signals_of_nobody_else(club: Club) -> None:
    """A trader who does not administrate the group posts neither a signal nor a hook there, nor does a viewer."""
    desk = club.desk
    assert desk.instance is not None
    bob, carl, store = 1002, 1003, desk.instance.store

    def prepare(db: Any) -> None:
        people.ensure_user(db, bob, "trader", now_ms=1)
        people.ensure_user(db, carl, "viewer", now_ms=1)
        trading_groups.set_posters(db, GROUP, "administrators", by=ANN, now_ms=1)

    for person, name in ((bob, "Bob"), (carl, "Carl")):
        desk.telegram.add_person(person, name, name.lower())
        desk.telegram.chats[GROUP].members.append(desk.telegram.people[person])
    store.transact(prepare)
    for text in (SIGNAL, "/hook new bobs"):
        desk.telegram.say(bob, GROUP, text)
        await club.seen("only its administrators may have something posted")
        desk.telegram.messages(GROUP)[-1].is_deleted = True
    desk.telegram.say(carl, GROUP, SIGNAL)
    await club.seen("You may not do that")
    assert club.cards() == []
    assert store.transact(lambda db: db.execute("SELECT count(*) FROM hooks").fetchone()[0]) == 0
