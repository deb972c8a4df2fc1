"""Previews, and the wishes of owners: what the desk asks for, refuses, stores and tells."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from bot import ExchangeError, UserError
from bot.trading import journal
from bot.trading.desk import Desk
from bot.trading.intent import Amount, Fixed, Intent
from bot.trading.law import State
from bot.trading.limits import Limits
from tests.trading.conftest import ANN, BOB, CHAT, START_MS, Room
from tests.trading.test_desk_presses import code
from tests.trading.test_journal import bring

# A preview.


@pytest.mark.parametrize("path", ["/ticker", "/book"])
async def test_propose_market_order_without_what_its_price_needs_stores_nothing(room: Room, path: str) -> None:
    """A market order is drawn from the book and the last price; without them there is no preview."""
    room.exchange.broken[path] = "error"
    with pytest.raises(ExchangeError):
        await room.propose(price=None)
    assert room.sql("SELECT 1 FROM orders") == []


async def test_propose_limit_order_reads_no_book(room: Room) -> None:
    """Its price was typed: what cannot matter is not asked for."""
    await room.propose()
    assert "/book" not in room.exchange.asked


async def test_propose_warnings_begin_with_the_notice_and_the_doubts_in_order(room: Room) -> None:
    """Why there is another preview comes first, then what the order comes on top of, lowest number first."""
    first = await room.placed("drop before")
    intent = Intent.from_json(first.intent)
    second = await room.desk.propose(room.account, intent, chat_id=CHAT, despite=[first.id])
    bring(room, second, "unknown")
    row = await room.desk.propose(
        room.account, intent, chat_id=CHAT, despite=[second.id, first.id], notice="The price moved."
    )
    expected = [
        "The price moved.",
        f"Order #{first.id} may exist as well: then this one comes on top of it.",
        f"Order #{second.id} may exist as well: then this one comes on top of it.",
    ]
    assert (row.params["warnings"], row.despite) == (expected, frozenset({first.id, second.id}))


async def test_propose_keeps_who_asked_where_and_for_what(room: Room) -> None:
    """The row that a preview leaves, whole but for its numbers."""
    intent = Intent("sell", "BTC/USDT", Amount(Decimal("0.5"), None), Fixed(Decimal(61_000)))
    row = await room.desk.propose(room.account, intent, chat_id=CHAT, message_id=321)
    expected = replace(
        row,
        account_id=room.account.id,
        user_id=ANN,
        exchange="acme",
        symbol="BTC/USDT",
        side="sell",
        state="proposed",
        reason="",
        intent=intent.to_json(),
        client_order_id="",
        exchange_order_id="",
        chat_id=CHAT,
        message_id=321,
        expires_ms=START_MS + 60_000,
        created_ms=START_MS,
        updated_ms=START_MS,
        sent_ms=None,
        window_ends_ms=None,
    )
    assert (row, room.row(row)) == (expected, expected)
    events = [tuple(each) for each in room.sql("SELECT order_id, user_id, kind, at_ms FROM events")]
    assert events == [(row.id, ANN, "proposed", START_MS)]


async def test_propose_on_a_card_under_way_is_refused_whatever_the_chat_says(room: Room) -> None:
    """The card of another chat with the same number is another card."""
    row = await room.placed()
    message_id = room.row(row).message_id
    with pytest.raises(UserError, match=f"#{row.id} is under way"):
        await room.propose("sell", message_id=message_id)
    intent = Intent.from_json(row.intent)
    elsewhere = await room.desk.propose(room.account, intent, chat_id=CHAT + 1, message_id=message_id)
    assert (elsewhere.state, room.row(row).message_id) == ("proposed", message_id)


async def test_approval_wait_is_for_proposals_only(room: Room) -> None:
    """An order that is confirmed already is not made to wait."""
    row = await room.confirmed()
    before = room.row(row)
    after = room.store.transact(lambda db: journal.await_approval(db, row.id, "Why.", START_MS))
    assert after == before


async def test_propose_stop_order_needs_the_last_price_and_no_book(room: Room) -> None:
    """Which side its trigger lies on is told by the last price, though its own was typed; a book says nothing of it."""
    typed = Fixed(Decimal(58_000))
    for price in (typed, None):
        intent = Intent("buy", "BTC/USDT", Amount(Decimal("0.5"), None), price, stop=typed)
        room.exchange.broken["/ticker"] = "error"
        with pytest.raises(ExchangeError):
            await room.desk.propose(room.account, intent, chat_id=CHAT)
        del room.exchange.broken["/ticker"]
        with pytest.raises(UserError, match="stop"):
            await room.desk.propose(room.account, intent, chat_id=CHAT)
    assert "/book" not in room.exchange.asked


async def test_propose_above_the_ceiling_of_the_configuration_stores_nothing(room: Room) -> None:
    """Control: at the ceiling it is previewed, and there is nothing to warn of."""
    room.desk.ceiling = Limits(order=Decimal("28999.99"))
    with pytest.raises(UserError, match="your limit for one order"):
        await room.propose()
    assert room.sql("SELECT 1 FROM orders") == []
    room.desk.ceiling = Limits(order=Decimal(29_000))
    assert (await room.propose()).params["warnings"] == []


# What belongs to somebody else.


async def test_cancel_drop_and_settle_are_for_the_owner_only(vague: Room) -> None:
    """Another person's number is no order of theirs, whatever its state."""
    row, preview = await vague.placed(), await vague.propose("sell")
    doubt = await vague.placed("drop before", pair="ETH/USDT")
    bring(vague, doubt, "needs_human")
    before = [vague.row(each) for each in (row, preview, doubt)]
    for act, order in ((vague.desk.cancel, row), (vague.desk.drop, preview), (vague.desk.settle_by_hand, doubt)):
        with pytest.raises(UserError, match=f"no order #{order.id} of yours"):
            await act(order.id, BOB)
    assert [vague.row(each) for each in (row, preview, doubt)] == before


async def test_settle_by_hand_ends_each_question_as_what_it_was(vague: Room) -> None:
    """Never shown: not placed. Had and no longer shown: canceled. In both the owner's word is the reason."""
    never, had = await vague.placed("drop before"), await vague.placed(pair="ETH/USDT")
    bring(vague, never, "needs_human")
    vague.sql("UPDATE orders SET misses=3 WHERE id=?", had.id)
    for each in (never, had):
        await vague.desk.settle_by_hand(each.id, ANN)
    reason = "You looked at the exchange and it was not there."
    assert [(vague.row(each).state, vague.row(each).reason) for each in (never, had)] == [
        ("not_placed", reason),
        ("canceled", reason),
    ]


async def test_drop_says_that_it_was_the_owners_wish(room: Room) -> None:
    """And that nothing was sent."""
    row = await room.propose()
    await room.desk.drop(row.id, ANN)
    assert (room.row(row).state, room.row(row).reason) == ("expired", "You canceled it. Nothing was sent.")


@pytest.mark.parametrize("state", ["unknown", "needs_human", "not_placed", "sending"])
async def test_cancel_of_what_is_not_open_names_its_state(room: Room, state: State) -> None:
    """In words, not as the code has it."""
    row = await room.placed("drop before")
    bring(room, row, state)
    with pytest.raises(UserError) as refused:
        await room.desk.cancel(row.id, ANN)
    words = state.replace("_", " ")
    assert str(refused.value) == f"Order #{row.id} is {words}; there is nothing to cancel."


async def test_desk_tells_after_each_wish_of_an_owner(vague: Room) -> None:
    """Whoever draws the cards is woken after the commit for a code, a drop, a cancel and an answer by hand."""
    told: list[list[str]] = []

    def states() -> list[str]:
        return [each["state"] for each in vague.sql("SELECT state FROM orders ORDER BY id")]

    desk = Desk(vague.store, vague.gateway, vague.reconciler, vague.clock, lambda: told.append(states()))
    rows = [await vague.propose(pair=pair) for pair in ("BTC/USDT", "ETH/USDT")]
    doubt = await vague.placed("drop before", side="sell")
    bring(vague, doubt, "needs_human")
    vague.desk = desk
    await code(vague, rows[0])
    await desk.drop(rows[1].id, ANN)
    await desk.settle_by_hand(doubt.id, ANN)
    assert told == [
        ["confirmed", "proposed", "needs_human"],
        ["confirmed", "expired", "needs_human"],
        ["confirmed", "expired", "not_placed"],
    ]
