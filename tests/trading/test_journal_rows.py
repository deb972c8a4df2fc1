"""What each step leaves in the row, in the log of events and in the outbox: whole, so that nothing is lost unseen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from bot import UserError
from bot.contract.errors import BotError
from bot.redact import MARK, redactor
from bot.trading import allowance, journal, reports
from bot.trading.errors import ApprovalNeeded, IllegalTransition, InDoubt
from bot.trading.intent import Intent
from bot.trading.law import State
from bot.trading.orders import OrderRow
from tests.trading.conftest import ANN, BOB, CHAT, START_MS, Room
from tests.trading.test_journal import bring

LATER_MS = START_MS + 1_000


def event_of(room: Room, row: OrderRow) -> tuple[Any, ...]:
    """Return the last event of an order, as it is in the log."""
    query = "SELECT kind, at_ms, user_id, detail FROM events WHERE order_id=? ORDER BY id DESC LIMIT 1"
    kind, at_ms, user_id, detail = room.sql(query, row.id)[0]
    return kind, at_ms, user_id, json.loads(detail)


def is_told(room: Room, row: OrderRow) -> bool:
    """Say whether the order's card is to be drawn, and forget it."""
    found = room.sql("SELECT chat_id FROM outbox WHERE order_id=? AND kind='order'", row.id)
    room.sql("DELETE FROM outbox")
    return [each["chat_id"] for each in found] == [CHAT]


def rest(row: OrderRow, **changed: Any) -> OrderRow:
    """Return a row as it was, but for what is named."""
    return replace(row, **{"updated_ms": LATER_MS} | changed)


# From preview to request.


async def test_propose_answers_no_other_message(room: Room) -> None:
    """Neither another one of the chat, nor one with the same number elsewhere."""
    for chat_id, message_id in ((CHAT, 9), (CHAT, 10), (CHAT + 1, 9)):
        room.sql(
            "INSERT INTO inbox(chat_id, message_id, payload, connects, at_ms) VALUES (?, ?, '{}', 0, 0)",
            chat_id,
            message_id,
        )
    intent = Intent.from_json((await room.propose()).intent)
    await room.desk.propose(room.account, intent, chat_id=CHAT, asked_in=9)
    found = room.sql("SELECT chat_id, message_id FROM inbox WHERE payload IS NULL")
    assert [tuple(each) for each in found] == [(CHAT, 9)]


async def test_confirm_changes_what_it_must_and_nothing_else(room: Room) -> None:
    """State, id and end; the event has them too, and the card is drawn."""
    row = await room.propose()
    is_told(room, row)

    def confirm(db: Any) -> OrderRow | None:
        return journal.confirm(db, row.id, user_id=ANN, rule=room.plugin.info.client_id, now_ms=LATER_MS)

    now = room.store.transact(confirm)
    assert now is not None
    expires_ms = LATER_MS + 15_000
    expected = rest(row, state="confirmed", client_order_id=now.client_order_id, expires_ms=expires_ms)
    assert (now, room.row(row)) == (expected, expected)
    detail = {"client_order_id": now.client_order_id, "expires_ms": expires_ms}
    assert event_of(room, row) == ("confirmed", LATER_MS, ANN, detail)
    assert is_told(room, row)


def begin(room: Room, row: OrderRow, *, at_ms: int = LATER_MS, window_ends_ms: int | None = LATER_MS + 10_000) -> None:
    def work(db: Any) -> None:
        journal.begin_sending(db, row.id, request_hash="abc", window_ends_ms=window_ends_ms, now_ms=at_ms)

    room.store.transact(work)


async def test_sending_changes_what_it_must_and_nothing_else(room: Room) -> None:
    """The hash of the request and the end of its window are kept with it: they prove absence later."""
    row = room.row(await room.confirmed())
    is_told(room, row)
    begin(room, row)
    expected = rest(row, state="sending", request_hash="abc", sent_ms=LATER_MS, window_ends_ms=LATER_MS + 10_000)
    assert room.row(row) == expected
    detail = {"request_hash": "abc", "sent_ms": LATER_MS, "window_ends_ms": LATER_MS + 10_000}
    assert event_of(room, row) == ("sending", LATER_MS, ANN, detail)
    assert is_told(room, row)


@pytest.mark.parametrize(("after_ms", "leaves"), [(14_999, True), (15_000, False)])
async def test_sending_is_refused_from_its_fifteenth_second_on(room: Room, after_ms: int, leaves: bool) -> None:
    """The person is told that it was too late, and nothing has changed."""
    row = room.row(await room.confirmed())
    if leaves:
        begin(room, row, at_ms=START_MS + after_ms)
        assert room.row(row).state == "sending"
        return
    with pytest.raises(UserError, match="took too long") as refused:
        begin(room, row, at_ms=START_MS + after_ms)
    assert (refused.value.code, room.row(row)) == ("TOO_LATE", row)


@pytest.mark.parametrize("state", ["proposed", "sending", "unknown", "open", "expired"])
async def test_sending_is_for_confirmed_orders_only(room: Room, state: State) -> None:
    """Whatever else its row says."""
    row = await room.confirmed()
    bring(room, row, state)
    with pytest.raises(UserError, match="took too long"):
        begin(room, row)
    assert room.row(row).state == state


async def test_confirm_of_a_changed_order_is_an_error_and_no_refusal(room: Room) -> None:
    """Nobody pressed the wrong thing: the database was tampered with, and the sentence names the order."""
    row = await room.propose()
    room.sql("DROP TRIGGER IF EXISTS orders_frozen")
    room.sql("UPDATE orders SET params_hash=x'00'")
    with pytest.raises(BotError, match=f"Order #{row.id} was changed since it was shown"):
        room.store.transact(
            lambda db: journal.confirm(db, row.id, user_id=ANN, rule=room.plugin.info.client_id, now_ms=LATER_MS)
        )
    assert room.row(row).state == "proposed"


async def test_await_approval_changes_what_it_must_and_nothing_else(room: Room) -> None:
    """Five minutes from now, whatever was left of the preview."""
    row = await room.propose()
    is_told(room, row)
    now = room.store.transact(lambda db: journal.await_approval(db, row.id, "Wait.", LATER_MS))
    assert now == room.row(row) == rest(row, reason="Wait.", expires_ms=LATER_MS + 300_000)
    assert is_told(room, row)


# Answers.


async def test_accept_changes_what_it_must_and_nothing_else(room: Room) -> None:
    """The exchange's id; it is neither late nor adopted."""
    row = room.row(await room.confirmed())
    begin(room, row)
    before = room.row(row)
    now = room.store.transact(lambda db: journal.accept(db, row.id, "x9", LATER_MS))
    assert now == room.row(row) == rest(before, state="open", exchange_order_id="x9")
    assert event_of(room, row) == ("open", LATER_MS, ANN, {"exchange_order_id": "x9", "late": 0})


@pytest.mark.parametrize(
    ("state", "was_late", "late"),
    [("sending", False, False), ("not_placed", False, True), ("unknown", True, True), ("not_placed", True, True)],
)
async def test_accept_of_what_was_held_absent_marks_it_late(
    room: Room, state: State, was_late: bool, late: bool
) -> None:
    """For good: an order that was late once stays so."""
    row = await room.confirmed()
    begin(room, row)
    bring(room, row, state)
    room.sql("UPDATE orders SET late=?", was_late)
    assert room.store.transact(lambda db: journal.accept(db, row.id, "x9", LATER_MS)).late is late


@pytest.mark.parametrize(("state", "doubted"), [("unknown", 1), ("rejected", 0)])
async def test_end_in_doubt_is_remembered_in_the_row(room: Room, state: State, doubted: int) -> None:
    """Of an order that was in doubt its owner must have read how that ended, before another one like it."""
    row = await room.confirmed()
    begin(room, row)
    now = room.store.transact(lambda db: journal.end(db, row.id, state, "Nobody knows.", LATER_MS))
    assert (now.refusal, room.sql("SELECT doubted FROM orders")[0]["doubted"]) == ("", doubted)


async def test_end_for_a_reason_that_repeats_a_key_keeps_it_without(room: Room) -> None:
    """An exchange's words may repeat what it was sent: neither the row nor the event has it."""
    redactor.register("key-of-the-journal")
    row = await room.placed("drop before")
    reason = "Acme says: key-of-the-journal is wrong."
    now = room.store.transact(lambda db: journal.end(db, row.id, "needs_human", reason, LATER_MS))
    expected = reason.replace("key-of-the-journal", MARK)
    assert (now.reason, event_of(room, row)[3]) == (expected, {"reason": expected})


async def test_end_keeps_reason_refusal_and_answer(room: Room) -> None:
    """The row has why in words, and the kind for the buttons; the event has what the exchange said as well."""
    row = room.row(await room.confirmed())
    begin(room, row)
    before = room.row(row)

    def work(db: Any) -> OrderRow:
        words = {"code": "POOR"}
        return journal.end(db, row.id, "rejected", "Too little.", LATER_MS, refusal="InsufficientFunds", answer=words)

    now = room.store.transact(work)
    assert now == room.row(row) == rest(before, state="rejected", reason="Too little.", refusal="InsufficientFunds")
    detail = {"reason": "Too little.", "refusal": "InsufficientFunds", "answer": {"code": "POOR"}}
    assert event_of(room, row) == ("rejected", LATER_MS, ANN, detail)


async def test_never_left_takes_the_time_of_sending_back(room: Room) -> None:
    """So that nobody looks for it."""
    row = room.row(await room.confirmed())
    begin(room, row)
    before = room.row(row)
    now = room.store.transact(lambda db: journal.never_left(db, row.id, "No way there.", LATER_MS))
    assert now == room.row(row) == rest(before, state="not_placed", reason="No way there.", sent_ms=None)


# Cancels, misses and cards.


async def test_cancel_requested_is_a_note_and_no_state(room: Room) -> None:
    """Row, event and card."""
    row = room.row(await room.placed())
    is_told(room, row)
    now = room.store.transact(lambda db: journal.request_cancel(db, row.id, LATER_MS))
    assert now == room.row(row) == replace(row, cancel_requested_ms=LATER_MS)
    assert (event_of(room, row)[:2], is_told(room, row)) == (("cancel requested", LATER_MS), True)


async def test_cancel_refused_takes_the_request_back_with_its_reason(room: Room) -> None:
    """Row, event and card."""
    row = room.row(await room.placed())
    room.store.transact(lambda db: journal.request_cancel(db, row.id, LATER_MS))
    is_told(room, row)
    now = room.store.transact(lambda db: journal.refuse_cancel(db, row.id, "Not canceled.", LATER_MS))
    assert now == room.row(row) == replace(row, reason="Not canceled.")
    assert event_of(room, row)[::3] == ("cancel refused", {"reason": "Not canceled."})
    assert is_told(room, row)


async def test_miss_is_counted_with_its_time_and_draws_nothing(room: Room) -> None:
    """The event has the count."""
    row = room.row(await room.placed())
    is_told(room, row)
    now = room.store.transact(lambda db: reports.miss(db, row.id, LATER_MS))
    assert now == room.row(row) == replace(row, misses=1, last_miss_ms=LATER_MS)
    assert (event_of(room, row)[::3], is_told(room, row)) == (("not found", {"misses": 1}), False)


async def test_card_given_away_ends_the_preview_that_it_showed(room: Room) -> None:
    """It has no card any more, nothing is left to be drawn of it, and it says why it ended."""
    first = await room.propose()
    room.show(first)
    message_id = room.row(first).message_id
    second = await room.propose("sell", message_id=message_id)
    now = room.row(first)
    assert (now.state, now.reason, now.message_id) == ("expired", "It was replaced by another preview.", None)
    assert second.message_id == message_id
    assert room.sql("SELECT 1 FROM outbox WHERE order_id=?", first.id) == []
    assert is_told(room, second)


async def test_card_given_away_leaves_the_news_of_other_orders(room: Room) -> None:
    """What is still to be told of them is told."""
    first, other = await room.propose(), await room.placed(pair="ETH/USDT")
    room.show(first)
    await room.propose("sell", message_id=room.row(first).message_id)
    assert room.sql("SELECT 1 FROM outbox WHERE order_id=?", other.id) != []


async def test_cancel_refused_of_an_order_that_ended_changes_nothing(room: Room) -> None:
    """And returns it as it is."""
    row = await room.placed("refuse")
    is_told(room, row)
    now = room.store.transact(lambda db: journal.refuse_cancel(db, row.id, "Not canceled.", LATER_MS))
    assert (now, room.row(row), is_told(room, row)) == (row, row, False)


async def test_confirm_above_the_line_for_codes_says_what_is_missing(room: Room) -> None:
    """By a code of its own: the chat asks for one where it reads this."""
    room.sql("INSERT INTO limits(user_id, name, value) VALUES (?, 'code', '1000')", ANN)
    row = await room.propose()

    def confirm(db: Any) -> None:
        journal.confirm(db, row.id, user_id=ANN, rule=room.plugin.info.client_id, now_ms=LATER_MS)

    with pytest.raises(UserError) as refused:
        room.store.transact(confirm)
    assert refused.value.code == "NEEDS_CODE"


# The law.


@pytest.mark.parametrize("state", ["confirmed", "open", "filled"])
async def test_move_where_the_law_does_not_lead_changes_nothing(room: Room, state: State) -> None:
    """The refusal names the order and both states, and the connection stays usable."""
    row = await room.placed("refuse")
    with pytest.raises(IllegalTransition, match=f"order #{row.id} may not go from rejected to {state}"):
        room.store.transact(lambda db: journal.move(db, row, state, LATER_MS))
    assert room.row(row) == row


async def test_move_names_the_order_only(room: Room) -> None:
    """Of two orders in the same state one moves."""
    row, other = await room.propose(), await room.propose("sell")
    room.store.transact(lambda db: journal.move(db, row, "expired", LATER_MS))
    assert [room.row(each).state for each in (row, other)] == ["expired", "proposed"]


async def test_in_doubt_names_every_order_in_words(room: Room) -> None:
    """One or several, and what to do."""
    row = await room.placed("drop before")
    one, two = (InDoubt(rows) for rows in ([row], [row, replace(row, id=9, side="sell")]))
    tail = "Wait until that is settled, so that nothing is bought or sold twice."
    assert str(one) == f"Order #{row.id} (buy BTC/USDT) is still in doubt: it may exist. {tail}"
    assert (
        str(two) == f"Order #{row.id} (buy BTC/USDT) and #9 (sell BTC/USDT) are still in doubt: they may exist. {tail}"
    )
    assert (one.order_ids, two.order_ids, one.code) == ((row.id,), (row.id, 9), "IN_DOUBT")


async def test_approval_by_its_own_requester_is_none(room: Room) -> None:
    """A second person is somebody else; nobody is not a person either."""
    room.sql("INSERT INTO limits(user_id, name, value) VALUES (?, 'approval', '1000')", ANN)
    row = await room.propose()
    assert allowance.facts_of(row).worth is not None

    def confirm(approver: int | None) -> State | None:
        def work(db: Any) -> OrderRow | None:
            rule = room.plugin.info.client_id
            return journal.confirm(db, row.id, user_id=ANN, rule=rule, approver=approver, now_ms=LATER_MS)

        found = room.store.transact(work)
        return None if found is None else found.state

    for approver in (None, ANN):
        with pytest.raises(ApprovalNeeded, match="needs the approval of a second person") as needed:
            confirm(approver)
        assert needed.value.code == "APPROVAL"
    assert confirm(BOB) == "confirmed"
