"""/pnl in chat: figures of one's own trades, and what is not known of them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.chat.conftest import Chat
from tests.trading.conftest import BOB, START_MS


async def bought(chat: Chat, quantity: str = "0.5") -> None:
    """Let Ann buy at 60,000 for a fee of 30 USDT."""
    row = await chat.room.placed()
    chat.room.sql(
        "UPDATE orders SET state='filled', filled=?, average_price='60000', fee='30', fee_asset='USDT', updated_ms=?"
        " WHERE id=?",
        quantity,
        START_MS,
        row.id,
    )


async def test_pnl_of_an_open_position_tells_what_it_would_bring(real: Chat) -> None:
    """Half a bitcoin bought at 60,000 is worth 500 more at 61,000, less the fee of the buy."""
    await bought(real)
    real.room.exchange.last = "61000"
    (text,) = await real.say("/pnl")
    assert "BTC/USDT  0.00 USDT  open +470.00 on 0.5" in text
    assert [line.split() for line in text.splitlines()[1:4]] == [
        ["Today", "0.00", "USDT", "fees", "30.00", "USDT"],
        ["7", "days", "0.00", "USDT", "fees", "30.00", "USDT"],
        ["30", "days", "0.00", "USDT", "fees", "30.00", "USDT"],
    ]
    assert "Deposits, withdrawals and trades that the exchange lists no more are not known." in text


async def test_pnl_without_a_price_says_which_pair(real: Chat) -> None:
    """An exchange that is silent takes the unrealised part away, and no more."""
    await bought(real)
    real.room.exchange.broken["/ticker"] = "unreachable"
    (text,) = await real.say("/pnl today")
    assert "No price just now: BTC/USDT." in text


async def test_pnl_yesterday_is_no_gain_of_today(real: Chat) -> None:
    """A day later the fee is one of the last 7 days, and none of today."""
    await bought(real)
    real.room.clock.advance(86_400)
    (text,) = await real.say("/pnl")
    assert [line.split()[-2] for line in text.splitlines()[1:4]] == ["0.00", "30.00", "30.00"]


async def test_pnl_of_nobody_elses_trades(real: Chat) -> None:
    """Somebody without an account is told so; Ann's trades stay hers."""
    await bought(real)
    (text,) = await real.say("/pnl", user_id=BOB)
    assert "No exchange is connected yet" in text


@pytest.mark.parametrize(("args", "answer"), [("today 7d", "Name one period"), ("ETH/USDT", "No trades of yours")])
async def test_pnl_of_what_cannot_be_shown_says_why(real: Chat, args: str, answer: str) -> None:
    """Two periods, or a pair that was never traded."""
    await bought(real, str(Decimal("0.1")))
    assert answer in (await real.say(f"/pnl {args}"))[0]
