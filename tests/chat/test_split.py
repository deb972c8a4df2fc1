"""Pictures below /balance and /pnl: what is drawn, for whom, and what is said where there is nothing to draw."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bot import Balance
from bot.chat.commands import accounts, pnl
from bot.chat.commands.accounts import split
from bot.chat.commands.pnl import by_day
from bot.chat.pictures import Bars, Pictures, draw
from bot.trading.confirm import Button
from bot.trading.pnl import Gain, Ledger, Trade
from bot.trading.profit import DAY_MS
from tests.chat.conftest import Chat
from tests.chat.test_pnl import bought
from tests.trading.conftest import ANN

RATES = {"USDT": Decimal(1), "TWD": Decimal("0.5")}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was drawn."""
    found: list[Any] = []
    for command in (accounts, pnl):
        monkeypatch.setattr(command, "_PICTURES", Pictures(lambda picture: found.append(picture) or b"png"))
    return found


async def press(chat: Chat, label: str, user_id: int = ANN) -> list[str]:
    """Press a button of the newest message; return what was said then."""
    card = max(chat.telegram.shown)
    [data] = [key["callback_data"] for row in chat.telegram.shown[card][1] for key in row if key["text"] == label]
    before = len(chat.telegram.texts())
    await chat.press(data, card, user_id=user_id)
    return chat.telegram.texts()[before:]


async def test_balance_picture_shows_the_split(real: Chat, drawn: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest first, in USDT, sent to the person who pressed."""
    held = {"USDT": Balance("USDT", Decimal(400), Decimal(100)), "BTC": Balance("BTC", Decimal(1), Decimal(0))}

    async def balances(*_: Any) -> dict[str, Balance]:
        return held

    monkeypatch.setattr(real.services.gateway, "balances", balances)
    await real.say("/balance")
    assert await press(real, "🖼 Picture") == []
    [picture] = drawn
    assert picture.rows == (("BTC", Decimal(60000)), ("USDT", Decimal(500)))
    assert [each["chat_id"] for each in real.telegram.named("sendPhoto")] == [ANN]
    held.clear()
    await real.say("/balance")
    [told] = await press(real, "🖼 Picture")
    assert "There is nothing to draw" in told


@pytest.mark.parametrize(
    ("worth", "parts"),
    [
        ({}, ()),
        ({"A": "2", "B": "3"}, (("B", "3"), ("A", "2"))),
        ({"A": "2", "B": "0.9", "C": "0.2"}, (("A", "2"), ("others", "1.1"))),
        ({"A": "2", "B": "0.9"}, (("A", "2"),)),
        ({f"{n:02}": "10" for n in range(13)}, (*((f"{n:02}", "10") for n in range(11)), ("others", "20"))),
    ],
)
def test_split_joins_what_is_small_and_what_is_many(worth: dict[str, str], parts: Any) -> None:
    """Twelve bars at most; nothing of the whole is lost but dust."""
    found = split({asset: Decimal(value) for asset, value in worth.items()})
    assert found == tuple((name, Decimal(value)) for name, value in parts)


def gain(realised: str, day: int, quote: str = "USDT") -> Gain:
    one = Decimal(1)
    trade = Trade(
        account_id=1, symbol=f"BTC/{quote}", base="BTC", quote=quote, order_id="1", trade_id=str(day), side="sell",
        price=one, quantity=one, fee=Decimal(0), fee_asset=quote, at_ms=day * DAY_MS + 5,
    )  # fmt: skip
    return Gain(trade, Decimal(realised), Decimal(0))


def test_by_day_adds_up_each_day_in_one_unit() -> None:
    """What is older, brought nothing or has no rate is left out; fifteen days at most."""
    gains = (gain("9", 0), gain("1", 1), gain("-3", 1), gain("4", 2, "TWD"), gain("0", 3), gain("5", 4, "XYZ"))
    assert by_day(Ledger(gains, {}), RATES, DAY_MS) == (("02 Jan", Decimal(-2)), ("03 Jan", Decimal(2)))
    assert len(by_day(Ledger(tuple(gain("1", day) for day in range(40)), {}), RATES, 0)) == 15


async def test_pnl_picture_without_a_sale_says_so(real: Chat, drawn: list[Any]) -> None:
    """A buy alone brought nothing yet."""
    await bought(real)
    await real.say("/pnl")
    [told] = await press(real, "🖼 Picture")
    assert "no sale is known here" in told
    assert drawn == []


async def test_pnl_picture_is_of_the_period_that_was_asked(
    real: Chat, drawn: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The button keeps the arguments, and somebody else's press draws nothing."""
    await bought(real)
    monkeypatch.setattr(pnl, "by_day", lambda _, __, since_ms: (("day", Decimal(since_ms)),))
    message_id, [data] = await real.show(Button("x", "pnl_picture", {"args": "today btc"}))
    await real.press(data, message_id, user_id=ANN + 1)
    assert drawn == []
    await real.press(data, message_id)
    [picture] = drawn
    assert picture.title.startswith("Gains a day, in USDT · BTC · ")
    assert picture.rows == (("day", Decimal(real.room.clock.now_ms() // DAY_MS * DAY_MS)),)


def test_bars_are_drawn_as_png() -> None:
    """Gains, losses, nothing, and a name that no font has."""
    bars = Bars("Gains $x^", (("☂", Decimal(5)), ("a$_b$", Decimal(-3)), ("0", Decimal(0))))
    assert draw(bars).startswith(b"\x89PNG")
