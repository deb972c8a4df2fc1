"""Branches that no whole story takes: failures of the loop, rows that are not there, answers that tell little."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from bot import BotError, ExchangeError, UserError
from bot.trading import journal, queries, reports
from bot.trading.errors import IllegalTransition
from bot.trading.intent import Intent
from tests.trading.conftest import ANN, Room


async def test_press_of_a_button_without_confirm_is_only_spent(room: Room) -> None:
    """Any other button comes back as what it is, and confirms nothing."""
    row = await room.placed()
    (data,) = room.show(row, "refresh")
    press, confirmed = await room.press(row, data)
    assert (press.action, press.order_id, confirmed) == ("refresh", row.id, None)


async def test_propose_market_order_needs_a_price(room: Room) -> None:
    """What nobody typed has to come from the exchange."""
    room.exchange.broken["/ticker"] = "error"
    with pytest.raises(ExchangeError):
        await room.propose(price=None)


async def test_cancel_that_breaks_the_code_is_told_without_its_text(room: Room) -> None:
    """The owner learns that nothing was canceled; the log has the rest."""
    row = await room.placed()

    async def broken(*_: object) -> None:
        raise ValueError("secret-value")

    room.gateway.cancel_order = broken  # type: ignore[method-assign,assignment]
    await room.desk.cancel(row.id, ANN)
    await room.desk.drain()
    now = room.row(row)
    assert (now.cancel_requested_ms, now.reason) == (
        None,
        "Not canceled. Something went wrong inside the bot; the log has the details.",
    )


async def test_propose_answers_the_message_that_asked(room: Room) -> None:
    """The preview and the end of its request are one commit."""
    room.sql("INSERT INTO inbox(chat_id, message_id, payload, connects, at_ms) VALUES (77, 9, '{}', 0, 0)")
    intent = Intent.from_json((await room.propose()).intent)
    await room.desk.propose(room.account, intent, chat_id=77, asked_in=9)
    assert [row["payload"] for row in room.sql("SELECT payload FROM inbox")] == [None]


async def test_journal_unknown_number_is_no_order(room: Room) -> None:
    """Whoever asks for what is not there is told so."""
    with pytest.raises(UserError, match="There is no order #99 of yours"):
        room.row(99)


async def test_journal_stale_row_moves_nothing(room: Room) -> None:
    """Control of the compare-and-set: a row that moved meanwhile is not moved again from where it was."""
    row = await room.placed()
    with pytest.raises(IllegalTransition, match="no longer proposed"):
        room.store.transact(lambda db: journal.move(db, msgspec.structs.replace(row, state="proposed"), "expired", 0))
    assert room.row(row) == row


async def test_journal_recent_lists_confirmed_orders_newest_first(room: Room) -> None:
    """Previews that nobody confirmed are no orders yet."""
    first = await room.placed()
    second = await room.placed(pair="ETH/USDT")
    await room.propose("sell")
    rows = room.store.transact(lambda db: queries.recent(db, ANN, 5))
    assert [row.id for row in rows] == [second.id, first.id]


async def test_journal_endless_misses_fill_no_log(vague: Room) -> None:
    """After ten a look that found nothing is counted, and no more written down."""
    row = await vague.placed("drop before")
    for _ in range(12):
        vague.store.transact(lambda db: reports.miss(db, row.id, 0))
    assert (vague.row(row).misses, vague.history(row).count("not found")) == (12, 10)


async def test_journal_late_fill_without_average_keeps_the_average(room: Room) -> None:
    """What an answer leaves out is not erased."""
    row = await room.placed()
    room.exchange.fill("0.1")
    await room.live(1)
    room.exchange.orders[0].state = "canceled"
    await room.live(1)
    told = await room.gateway.order_status(room.account, row.order, "x1")
    told = replace(told, filled=Decimal("0.2"), average_price=None)
    now = room.store.transact(lambda db: reports.apply(db, row.id, told, 0))
    assert (now.filled, now.average_price) == (Decimal("0.2"), Decimal(60000))


@pytest.mark.parametrize("error", [BotError("full"), ValueError("odd")])
async def test_run_goes_on_after_a_turn_that_failed(room: Room, error: Exception) -> None:
    """A failing turn is logged and followed by the next."""
    turn, turns = room.reconciler._turn, 0
    done = asyncio.Event()

    async def failing() -> bool:
        nonlocal turns
        turns += 1
        if turns == 1:
            raise error
        done.set()
        return await turn()

    room.reconciler._turn = failing  # type: ignore[method-assign]
    task = asyncio.ensure_future(room.reconciler.run())
    await asyncio.wait_for(done.wait(), 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert turns >= 2


async def test_run_cancelled_lets_go_of_its_questions(room: Room) -> None:
    """Questions under way end with the loop, and a list that hangs is not asked for twice."""
    await room.placed()
    forever = asyncio.Event()
    asked = 0

    async def hanging(*_: object) -> None:
        nonlocal asked
        asked += 1
        await forever.wait()

    room.gateway.open_orders = hanging  # type: ignore[method-assign,assignment]
    room.reconciler.sweep(room.account.id, "acme")
    await room.reconciler.step()
    room.reconciler.sweep(room.account.id, "acme")
    await room.reconciler.step()
    task = asyncio.ensure_future(room.reconciler.run())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)
    assert (asked, room.reconciler._at_work) == (1, {"acme": set()})
