from __future__ import annotations

import asyncio
import logging
from decimal import Decimal
from typing import Literal

import pytest
from msgspec.structs import replace

from bot import UserError
from bot.accounts import people
from bot.accounts.people import AccountRow
from bot.contract.errors import ExchangeError
from bot.trading import journal
from bot.trading.desk import Desk
from bot.trading.law import State
from bot.trading.sending import in_words
from tests.trading.conftest import ANN, Fault, Room

OUTCOMES: dict[Fault, tuple[State, State, int]] = {
    "accept": ("open", "open", 1),
    "refuse": ("rejected", "rejected", 0),
    "busy": ("rejected", "rejected", 0),
    "mode": ("rejected", "rejected", 0),
    "unlisted": ("unknown", "not_placed", 0),
    "unlisted but placed": ("unknown", "open", 1),
    "server error": ("unknown", "open", 1),
    "unreadable": ("unknown", "open", 1),
    "no id": ("unknown", "open", 1),
    "drop before": ("unknown", "not_placed", 0),
    "drop after": ("unknown", "open", 1),
    "late": ("unknown", "open", 1),
    "unreachable": ("not_placed", "not_placed", 0),
}


@pytest.mark.parametrize("fault", OUTCOMES)
async def test_place_each_outcome_has_its_state(room: Room, fault: Fault) -> None:
    """Only proof refuses an order; every doubt is settled by asking, and ends as the exchange has it."""
    row = await room.placed(fault)
    at_once = row.state
    await room.settle()
    assert (at_once, room.row(row).state, len(room.exchange.orders)) == OUTCOMES[fault]
    assert len(room.exchange.placing) == 1


@pytest.mark.parametrize("kind", ["limit", "market"])
async def test_place_market_and_limit_leave_as_confirmed(room: Room, kind: Literal["limit", "market"]) -> None:
    """Both kinds of order go the same way."""
    row = await room.placed(price="58000" if kind == "limit" else None)
    assert (row.state, row.exchange_order_id, room.exchange.orders[0].type) == ("open", "x1", kind)


# The price moved between preview and Confirm.


@pytest.mark.parametrize(
    ("side", "ask", "bid", "sent"),
    [
        ("buy", "60610.1", "59990", True),  # 60010 and exactly 1 %
        ("buy", "60610.2", "59990", False),
        ("buy", "59409.9", "59390", True),
        ("buy", "59409.8", "59390", False),
        ("buy", "60010", "50000", True),  # the other side of the book does not matter
        ("sell", "60010", "59390.1", True),
        ("sell", "60010", "59390", False),
        ("sell", "70000", "59990", True),
    ],
)
async def test_place_market_order_price_moved_above_one_percent_is_not_sent(
    room: Room, side: Literal["buy", "sell"], ask: str, bid: str, sent: bool
) -> None:
    """A market order is sent only while the price it would meet is within 1 % of the one in its preview."""
    row = await room.confirmed(side=side, price=None)
    room.exchange.ask, room.exchange.bid = ask, bid
    room.desk.send(row)
    await room.desk.drain()
    assert (room.row(row).state, len(room.exchange.placing)) == (("open", 1) if sent else ("not_placed", 0))


async def test_place_market_order_price_moved_is_proposed_anew_on_its_card(room: Room) -> None:
    """The person gets a fresh preview in the same place, and its own Confirm sends it."""
    row = await room.confirmed(price=None)
    room.exchange.ask = "66000"
    room.desk.send(row)
    await room.desk.drain()
    old, new = room.row(row), room.row(row.id + 1)
    assert old.reason == "The price moved from 60,010.00 to 66,000.00. Nothing was sent."
    assert (old.message_id, new.message_id, new.state) == (None, row.message_id, "proposed")
    assert new.params["average_price"] == "66000"
    room.desk.send(await room.confirmed(new))
    await room.desk.drain()
    assert (room.row(new).state, len(room.exchange.placing)) == ("open", 1)


async def test_place_market_order_wide_spread_is_no_movement(room: Room) -> None:
    """Where the best offer is always far from the last price, a market order can be placed all the same."""
    room.exchange.ask, room.exchange.bid = "61500", "58500"
    assert (await room.placed(price=None)).state == "open"


async def test_place_limit_order_price_moved_is_sent(room: Room) -> None:
    """A limit order has its own price; a movement does not hold it back."""
    row = await room.confirmed()
    room.exchange.ask = room.exchange.last = "90000"
    room.desk.send(row)
    await room.desk.drain()
    assert room.row(row).state == "open"


async def test_place_market_order_price_moved_and_no_new_preview_keeps_the_card(room: Room) -> None:
    """When the fresh preview cannot be made, the old card tells that nothing was sent."""
    row = await room.confirmed(price=None)
    room.exchange.ask = "66000"
    room.exchange.broken["/balances"] = "error"
    room.desk.send(row)
    await room.desk.drain()
    now = room.row(row)
    assert (now.state, now.message_id, room.exchange.placing) == ("not_placed", row.message_id, [])
    assert room.sql("SELECT 1 FROM outbox WHERE order_id=?", row.id)


# Failures before the first byte.


def _pause(room: Room) -> None:
    room.gateway.named("acme").transport.limiter.pause(60)


def _no_ticker(room: Room) -> None:
    room.exchange.broken["/ticker"] = "error"


def _no_keys(room: Room) -> None:
    room.sql("DELETE FROM credentials")


def _no_disk(room: Room) -> None:
    room.sql(
        "CREATE TRIGGER full BEFORE UPDATE OF state ON orders WHEN NEW.state='sending'"
        " BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    )


def _too_late(room: Room) -> None:
    room.clock.advance(15)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (_pause, "allows no more requests"),
        (_no_ticker, "Acme did not answer"),
        (_no_keys, "has no keys"),
        (_no_disk, "could not be stored, so it was not sent"),
        (_too_late, "took too long"),
    ],
)
async def test_place_failure_before_sending_is_not_placed(room: Room, prepare: object, words: str) -> None:
    """What fails before the row says `sending` sends nothing, is no doubt, and says what it was."""
    row = await room.confirmed(price=None)
    assert callable(prepare)
    prepare(room)
    room.desk.send(row)
    await room.desk.drain()
    now = room.row(row)
    assert (now.state, room.exchange.placing) == ("not_placed", [])
    assert words in now.reason
    assert (await room.propose("sell")).state == "proposed" if prepare not in (_pause, _no_ticker, _no_keys) else True


@pytest.mark.parametrize("fault", ["accept", "refuse", "drop before", "unreachable"])
async def test_place_outcome_that_cannot_be_stored_is_found_again(
    room: Room, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk full in the moment of the answer leaves the order to be looked for, without a restart."""
    row = await room.confirmed()
    room.sql(
        "CREATE TRIGGER full BEFORE UPDATE OF state ON orders WHEN OLD.state='sending'"
        " BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    )
    room.exchange.faults.append(fault)
    with caplog.at_level(logging.CRITICAL, "asyncio"):
        room.desk.send(row)
        await room.desk.drain()
    assert room.row(row).state == "sending"
    await room.live(50)
    room.sql("DROP TRIGGER full")
    await room.settle()
    assert room.row(row).state == ("open" if fault == "accept" else "not_placed")
    assert len(room.exchange.placing) == 1


async def test_place_removed_account_sends_nothing(room: Room) -> None:
    """A key erased between Confirm and sending signs nothing."""
    row = await room.confirmed()
    room.store.transact(lambda db: people.remove_account(db, room.account.id, room.clock.now_ms()))
    room.desk.send(row)
    await room.desk.drain()
    assert (room.row(row).state, room.exchange.placing) == ("not_placed", [])


# Real money and paper.


def _switch(room: Room, *, paper: bool) -> AccountRow:
    room.store.transact(lambda db: people.set_paper(db, room.account.id, paper))
    return replace(room.account, paper=paper)


@pytest.mark.parametrize("paper", [True, False])
async def test_place_preview_stays_where_it_was_made_when_paper_is_switched(room: Room, paper: bool) -> None:
    """A preview on paper never becomes a real order, nor a real one a simulation, whatever is switched."""
    row = await room.propose(account=_switch(room, paper=paper))
    _switch(room, paper=not paper)
    row = await room.confirmed(row)
    room.desk.send(row)
    await room.desk.drain()
    assert row.exchange == ("acme:paper" if paper else "acme")
    assert (len(room.paper.placing), len(room.exchange.placing)) == ((1, 0) if paper else (0, 1))


async def test_doubt_is_settled_where_it_arose_when_paper_is_switched(room: Room) -> None:
    """The paper exchange is not asked after a real order: its clean `no` would prove a live order absent."""
    row = await room.placed("drop after")
    _switch(room, paper=True)
    await room.settle()
    assert (room.row(row).state, room.paper.asked) == ("open", [])


async def test_cancel_goes_where_the_order_is_when_paper_is_switched(room: Room) -> None:
    """A real order is canceled at the real exchange."""
    row = await room.placed()
    _switch(room, paper=True)
    await room.desk.cancel(row.id, ANN)
    await room.desk.drain()
    assert (room.exchange.orders[0].state, room.paper.asked) == ("canceled", [])


# Cancel.


async def test_cancel_is_believed_only_when_reported(room: Room) -> None:
    """After the exchange took the cancel the order is still open here, until its report says otherwise."""
    row = await room.placed()
    asked = await room.desk.cancel(row.id, ANN)
    await room.desk.drain()
    before = room.row(row)
    await room.live(1)
    assert (asked.state, before.state, room.row(row).state) == ("open", "open", "canceled")
    assert asked.cancel_requested_ms == room.clock.now_ms() - 1000


@pytest.mark.parametrize(
    ("outcome", "reason", "pending"),
    [
        ("POOR", "Not canceled. Acme says POOR.", False),
        ("unreachable", "Not canceled. Acme cannot be reached.", False),
        ("error", "", True),
        ("unreadable", "", True),
        ("GONE", "", True),
    ],
)
async def test_cancel_that_did_not_work_leaves_the_order_open(
    room: Room, outcome: str, reason: str, pending: bool
) -> None:
    """A refused cancel is told; an unclear one stays a request. The order goes on, and can be asked again."""
    row = await room.placed()
    room.exchange.cancels.append(outcome)
    await room.desk.cancel(row.id, ANN)
    await room.desk.drain()
    now = room.row(row)
    assert (now.state, now.reason, now.cancel_requested_ms is not None) == ("open", reason, pending)
    await room.desk.cancel(row.id, ANN)
    await room.desk.drain()
    await room.live(1)
    assert room.row(row).state == "canceled"


async def test_cancel_of_an_order_filled_meanwhile_ends_filled(room: Room) -> None:
    """The exchange knows the order no more: its report says that it was filled, and that is what counts."""
    row = await room.placed()
    room.exchange.fill()
    room.exchange.cancels.append("GONE")
    await room.desk.cancel(row.id, ANN)
    await room.desk.drain()
    await room.live(1)
    now = room.row(row)
    assert (now.state, now.filled, now.reason) == ("filled", Decimal("0.5"), "")


async def test_cancel_refused_after_the_order_ended_is_not_told_on_its_card(room: Room) -> None:
    """A card that says filled does not go on to say that something was not canceled."""
    row = await room.placed()
    room.exchange.fill()
    await room.live(1)
    filled = room.row(row)
    room.store.transact(lambda db: journal.refuse_cancel(db, row.id, "Not canceled.", room.clock.now_ms()))
    assert room.row(row) == filled


async def test_cancel_partly_filled_keeps_what_was_filled(room: Room) -> None:
    """What traded before the cancel is kept to the last digit."""
    row = await room.placed()
    room.exchange.fill("0.123456789012345678")
    await room.live(1)
    await room.desk.cancel(row.id, ANN)
    await room.desk.drain()
    await room.live(1)
    assert (room.row(row).state, room.row(row).filled) == ("canceled", Decimal("0.123456789012345678"))


@pytest.mark.parametrize("fault", ["refuse", "drop before", "unreachable"])
async def test_cancel_of_what_is_not_open_is_refused(room: Room, fault: Fault) -> None:
    """There is nothing to cancel in an order that is over or in doubt; the exchange is not asked."""
    row = await room.placed(fault)
    with pytest.raises(UserError, match="there is nothing to cancel"):
        await room.desk.cancel(row.id, ANN)
    assert "/cancel" not in room.exchange.asked


# The rest of the desk.


async def test_press_while_exchange_is_switched_off_leaves_the_button(room: Room) -> None:
    """A press that cannot be carried out now is not spent: it works once the reason is gone."""
    row = await room.propose()
    (data,) = room.show(row)
    off, room.gateway.exchanges = room.gateway.exchanges, {}
    with pytest.raises(UserError, match="acme cannot be used"):
        await room.press(row, data)
    room.gateway.exchanges = off
    assert (await room.press(row, data))[1].state == "confirmed"


async def test_drop_ends_a_proposal_and_nothing_else(room: Room) -> None:
    """Cancel on a preview ends it; on an order that was confirmed in the same moment it does nothing."""
    row = await room.propose()
    (data,) = room.show(row)
    confirmed = await room.confirmed(pair="ETH/USDT")
    for each in (row, confirmed):
        await room.desk.drop(each.id, ANN)
    assert [room.row(each).state for each in (row, confirmed)] == ["expired", "confirmed"]
    assert await room.press(row, data) == "expired"


@pytest.mark.parametrize("fault", ["accept", "drop before"])
async def test_settle_by_hand_is_for_orders_that_need_a_human(room: Room, fault: Fault) -> None:
    """Nobody can declare an open order, or one that the bot still looks for, not placed."""
    row = await room.placed(fault)
    await room.desk.settle_by_hand(row.id, ANN)
    assert room.row(row) == row


async def test_propose_exchange_silent_stores_nothing(room: Room) -> None:
    """Without balances there is no preview and no row."""
    room.exchange.broken["/balances"] = "error"
    with pytest.raises(ExchangeError):
        await room.propose()
    assert room.sql("SELECT 1 FROM orders") == []


async def test_propose_limit_order_needs_no_last_price(room: Room) -> None:
    """The price was typed; a ticker that does not answer is no reason to refuse."""
    room.exchange.broken["/ticker"] = "error"
    assert (await room.propose()).state == "proposed"


async def test_drain_waits_for_what_is_being_sent(room: Room) -> None:
    """Stopping the bot waits until the request has its outcome."""
    row = await room.confirmed()
    room.desk.send(row)
    assert room.row(row).state == "confirmed"
    await room.desk.drain()
    assert room.row(row).state == "open"


async def test_desk_tells_after_each_commit(room: Room) -> None:
    """Whoever draws the cards is woken for the preview, the press, the sending and the outcome."""
    told: list[State] = []
    desk = Desk(room.store, room.gateway, room.reconciler, room.clock, lambda: told.append(state()))

    def state() -> State:
        return room.row(1).state

    room.desk = desk
    await room.placed(price=None)
    assert told == ["proposed", "confirmed", "sending", "open"]


async def test_in_words_never_shows_an_unexpected_error() -> None:
    """The text of an error that was not made for people stays in the log."""
    assert in_words(ValueError("secret-value")) == "Something went wrong inside the bot; the log has the details."
    assert in_words(ExchangeError("Too small", remedy="Order more.")) == "Too small. Order more."
    assert in_words(ExchangeError()) == "The exchange refused without giving a reason."
    assert in_words(UserError("No.")) == "No."


async def test_control_two_confirmed_orders_are_two_requests(room: Room) -> None:
    """Control: each confirmed order does make its own request, so the counts above count something."""
    rows = [await room.confirmed(pair=pair) for pair in ("BTC/USDT", "ETH/USDT")]
    for row in rows:
        room.desk.send(row)
    await asyncio.wait_for(room.desk.drain(), 5)
    assert [request.json["client_id"] for request in room.exchange.placing] == [row.client_order_id for row in rows]
