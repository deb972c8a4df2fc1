"""Watch boards: one pinned message per chat, edited rarely, kept over restarts, ended when nobody can see it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.accounts import people
from bot.chat.boards import EVERY_SECONDS, Boards, change
from bot.contract.models import Market, Ticker
from bot.trading import boards, notices
from bot.trading.boards import Board
from tests.chat.conftest import OWNER, Chat, new_chat
from tests.chat.test_gate import GROUP
from tests.trading.conftest import ANN, BOB

PAIRS = ("BTC/USDT", "ETH/USDT")


class Wall:
    """A chat with boards at work."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self.restart()

    def restart(self) -> None:
        """Forget what is only in memory."""
        services = self.chat.services
        self.boards = Boards(
            services.store, services.gateway, services.feeds.prices, services.sender, services.clock, owner=OWNER
        )

    async def later(self, seconds: float = EVERY_SECONDS) -> list[str]:
        """Let time pass a second at a time; return what was sent or edited."""
        before = len(self.chat.telegram.texts())
        for _ in range(int(seconds)):
            self.chat.room.clock.advance(1)
            await self.boards.step()
        return self.chat.telegram.texts()[before:]

    def calls(self, method: str) -> list[dict[str, Any]]:
        return self.chat.telegram.named(method)

    def stored(self) -> list[Board]:
        return self.chat.room.store.transact(boards.every)


@pytest.fixture
async def wall(tmp_path: Path) -> Any:
    chat = await new_chat(tmp_path)
    yield Wall(chat)
    await chat.services.feeds.prices.close()
    await chat.room.close()


def price(wall: Wall, last: str) -> None:
    """Let a price be another from now on."""
    wall.chat.room.exchange.last = last


async def put_up(wall: Wall, **fields: Any) -> int:
    """Put up a board; return its message."""
    assert await wall.chat.say("/watch btcusdt, eth-usdt btcusdt", **fields) == []
    await wall.later(1)
    [board] = wall.stored()
    assert board.symbols == PAIRS
    assert board.message_id is not None
    return board.message_id


async def test_board_put_up_is_sent_without_sound_and_pinned(wall: Wall) -> None:
    """One message with both pairs and the time, stored before it is shown anywhere else."""
    message_id = await put_up(wall)
    [sent] = wall.calls("sendMessage")
    lines = sent["text"].splitlines()
    assert [line.split()[0] for line in lines[1:3]] == list(PAIRS)
    assert (lines[0], lines[1:3]) == ("👁 Watch board · Acme", [f"{pair}  60,000.00" for pair in PAIRS])
    assert re.fullmatch(r"[0-9]{2}:[0-9]{2} UTC", lines[3])  # this exchange tells no change in 24 hours
    assert (sent["chat_id"], sent["disable_notification"]) == (ANN, True)
    assert [(each["chat_id"], each["message_id"]) for each in wall.calls("pinChatMessage")] == [(ANN, message_id)]


async def test_board_shows_the_change_where_the_exchange_tells_one(wall: Wall, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column and its heading, which are left out where no pair has a figure."""
    gateway = wall.chat.services.gateway
    known = gateway.ticker

    async def told(exchange: str, market: Market) -> Ticker:
        return replace(await known(exchange, market), open_24h=Decimal(50_000) if market.base == "BTC" else None)

    monkeypatch.setattr(gateway, "ticker", told)
    await put_up(wall)
    lines = wall.calls("sendMessage")[0]["text"].splitlines()
    assert lines[1:3] == ["BTC/USDT  60,000.00  +20%", "ETH/USDT  60,000.00"]
    assert re.fullmatch(r"24 h change · [0-9]{2}:[0-9]{2} UTC", lines[3])


async def test_board_is_edited_every_15_seconds_at_most_and_only_when_it_changed(wall: Wall) -> None:
    """A price that moves all the time makes four edits a minute; one that stands still, one for the clock."""
    await put_up(wall)
    edits = []
    for number in range(60):
        price(wall, str(61000 + number))
        wall.boards._tickers.clear()
        edits += await wall.later(1)
    assert len(edits) == 4
    assert len(await wall.later(60)) <= 2


async def test_board_survives_a_restart(wall: Wall) -> None:
    """The same message goes on; none is sent or pinned anew."""
    message_id = await put_up(wall)
    wall.restart()
    price(wall, "62000")
    [text] = await wall.later(1)
    assert "62,000.00" in text
    assert [each["message_id"] for each in wall.calls("editMessageText")] == [message_id]
    assert (len(wall.calls("sendMessage")), len(wall.calls("pinChatMessage"))) == (1, 1)


async def test_board_held_by_telegram_goes_on_afterwards(wall: Wall, monkeypatch: pytest.MonkeyPatch) -> None:
    """During the pause nothing is tried; then the edit is made up for."""
    monkeypatch.setenv("PTB_TIMEDELTA", "true")  # as the application sets it
    await put_up(wall)
    wall.restart()
    wall.chat.telegram.fail("editMessageText", 429, retry_after=30)
    assert len(await wall.later(29)) == 1
    assert len(await wall.later(3)) == 1
    assert len(wall.stored()) == 1


@pytest.mark.parametrize(
    ("status", "answer"),
    [(400, "Bad Request: message to edit not found"), (403, "Forbidden: bot was kicked from the group chat")],
)
async def test_board_whose_message_is_gone_is_ended(wall: Wall, status: int, answer: str) -> None:
    """Whoever deletes it wants it no more: it is not sent anew."""
    await put_up(wall)
    wall.restart()
    wall.chat.telegram.fail("editMessageText", status, answer)
    await wall.later(1)
    assert wall.stored() == []
    assert await wall.later() == []


async def test_board_that_was_not_taken_by_the_network_is_tried_again_later(wall: Wall) -> None:
    """Not each second: a message whose answer was lost may be in the chat."""
    await wall.chat.say("/watch btcusdt")
    wall.chat.telegram.fail("sendMessage", 502)
    assert len(await wall.later(EVERY_SECONDS)) == 1
    assert len(await wall.later(1)) == 1
    assert len(wall.stored()) == 1


async def test_watch_off_unpins_and_ends(wall: Wall) -> None:
    """The message stays as it was; a second time there is nothing to end."""
    message_id = await put_up(wall)
    [told] = await wall.chat.say("/watch off")
    assert told == "The board is ended, unpinned, and changes no more."
    assert [(each["chat_id"], each["message_id"]) for each in wall.calls("unpinChatMessage")] == [(ANN, message_id)]
    assert await wall.later() == []
    assert "There is no board" in (await wall.chat.say("/watch off"))[0]


async def test_watch_again_changes_the_pairs_of_the_same_message(wall: Wall) -> None:
    """There is never a second board in a chat."""
    message_id = await put_up(wall)
    [told] = await wall.chat.say("/watch eth")
    assert told == "The board of this chat shows these pairs within 15 seconds."
    [text] = await wall.later()
    assert "BTC" not in text
    assert [(each.message_id, each.symbols) for each in wall.stored()] == [(message_id, ("ETH/USDT",))]


async def test_board_that_may_not_be_pinned_says_so(wall: Wall) -> None:
    """It works all the same."""
    wall.chat.telegram.fail("pinChatMessage", 400, "Bad Request: not enough rights to manage pinned messages")
    await put_up(wall)
    [row] = wall.chat.room.sql("SELECT chat_id, payload FROM outbox")
    assert (row["chat_id"], "I may not pin" in json.loads(row["payload"])["text"]) == (ANN, True)


async def test_board_in_a_group_takes_an_administrator(wall: Wall) -> None:
    """Others are told; in private everybody has a board of their own."""
    group: dict[str, Any] = {"chat_id": GROUP, "kind": "supergroup"}
    await wall.chat.say("/watch btcusdt", user_id=BOB, **group)
    assert wall.stored() == []
    wall.chat.telegram.administrators.add((GROUP, ANN))
    await put_up(wall, **group)
    await wall.chat.say("/watch off", user_id=BOB, **group)
    assert [each.chat_id for each in wall.stored()] == [GROUP]


async def test_board_of_a_group_that_moved_is_sent_and_pinned_there(wall: Wall) -> None:
    """The old group's message can be edited no more."""
    group: dict[str, Any] = {"chat_id": GROUP, "kind": "group"}
    wall.chat.telegram.administrators.add((GROUP, ANN))
    await put_up(wall, **group)
    wall.chat.room.store.transact(lambda db: notices.migrate(db, GROUP, GROUP - 1))
    await wall.later(1)
    assert [each["chat_id"] for each in wall.calls("pinChatMessage")] == [GROUP, GROUP - 1]


async def test_board_of_somebody_blocked_ends(wall: Wall) -> None:
    """Who may not use the bot any more is shown nothing by it."""
    await put_up(wall)
    wall.chat.room.store.transact(lambda db: people.ensure_user(db, ANN, "blocked", now_ms=0))
    wall.chat.room.sql("UPDATE users SET role='blocked' WHERE id=?", ANN)
    wall.restart()
    assert await wall.later() == []
    assert wall.stored() == []


async def test_board_ended_while_it_was_sent_is_not_pinned(wall: Wall, monkeypatch: pytest.MonkeyPatch) -> None:
    """/watch off overtakes the first message."""
    await wall.chat.say("/watch btcusdt")
    monkeypatch.setattr(boards, "sent", lambda db, chat_id, message_id: boards.end(db, chat_id) is not None)
    await wall.later(1)
    assert wall.calls("pinChatMessage") == []


@pytest.mark.parametrize(
    ("args", "answer"),
    [("", "Which pairs?"), (" nothing/here", "NOTHING"), (" btcusdt >", "Which pair?")],
)
async def test_watch_of_what_cannot_be_shown_says_why(wall: Wall, args: str, answer: str) -> None:
    """Nothing is stored then."""
    [told] = await wall.chat.say(f"/watch{args}")
    assert answer in told
    assert wall.stored() == []


async def test_watch_of_more_than_there_is_room_for_is_refused(wall: Wall, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound counts different pairs."""
    monkeypatch.setattr("bot.chat.commands.watch.MOST_PAIRS", 1)
    [told] = await wall.chat.say("/watch btcusdt ethusdt")
    assert told.endswith("A board has room for 1 pairs. Name fewer.")
    assert wall.stored() == []


TICKER = Ticker(exchange_symbol="BTCUSDT", last=Decimal(1), open_24h=Decimal(100))


@pytest.mark.parametrize(
    ("last", "ticker", "text"),
    [
        ("103", TICKER, "+3%"),
        ("97", TICKER, "-3%"),
        ("100", replace(TICKER, open_24h=None), ""),
        ("100", None, ""),
    ],
)
def test_change_is_that_of_24_hours(last: str, ticker: Ticker | None, text: str) -> None:
    """Signed; nothing where the exchange does not tell."""
    assert change(Decimal(last), ticker) == text
