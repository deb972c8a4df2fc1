"""What becomes of alerts: cards, previews, and orders by a rule."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bot import UserError
from bot.accounts import people
from bot.signals import board, hooks
from bot.signals.idea import Idea, note_of
from bot.trading import groups, limits
from tests.signals.conftest import GROUP, TOPIC, Door
from tests.trading.conftest import ANN, BOB

AUTO = {"size": Decimal(50), "day": Decimal(120), "pairs": frozenset({"BTC/USDT"})}
SENT = "SELECT state FROM orders ORDER BY id"


async def deliver(door: Door, **fields: Any) -> None:
    """Let an alert come in and be worked off."""
    assert await door.post(door.body(**fields)) == (200, "taken")
    await door.worker.step()
    await door.room.desk.drain()


def results(door: Door) -> list[Any]:
    return [row[0] for row in door.rows("SELECT result FROM hook_events ORDER BY id")]


async def test_notify_makes_one_card_in_the_topic(door: Door) -> None:
    """The card goes to the hook's group, in the topic for signals, whatever the body says of a chat."""
    await deliver(door, chat_id=5, account="other")
    waiting = door.rows("SELECT chat_id, thread_id, lane, kind FROM outbox")
    assert waiting == [(GROUP, TOPIC, "result", board.KIND)]
    assert results(door) == ["shown"]


async def test_notify_without_an_idea_shows_the_words(door: Door) -> None:
    """An alert that nobody can trade is shown as text."""
    await deliver(door, side=None, text="BTC crossing")
    assert door.rows("SELECT chat_id, kind FROM outbox") == [(GROUP, board.WORDS)]


async def test_notify_says_how_many_alerts_were_missed(door: Door) -> None:
    """A gap in the numbers is told on the next card."""
    await deliver(door, seq=3)
    await deliver(door, seq=6, id="a2")
    assert [row[0] for row in door.rows("SELECT remark FROM signals ORDER BY id")] == [
        "",
        "2 alerts before it did not arrive: look at the chart.",
    ]


async def test_notify_in_a_group_no_longer_allowed_tells_its_owner(door: Door) -> None:
    """Nothing is posted, and the owner of the hook knows why."""
    now_ms = door.room.clock.now_ms()
    door.room.store.transact(lambda db: groups.forbid(db, GROUP, by=1, owner=1, now_ms=now_ms))
    await deliver(door)
    assert door.rows("SELECT chat_id FROM outbox") == [(ANN,)]
    assert "Not shown. Ask the bot's owner to allow this group" in door.notes()[0]


async def test_ask_makes_a_preview_that_nobody_confirmed(door: Door) -> None:
    """The preview is on the hook's account, in its owner's private chat; nothing is sent."""
    door.set_mode("ask", size=Decimal(50))
    await deliver(door)
    assert door.rows("SELECT user_id, chat_id, account_id, state FROM orders") == [
        (ANN, ANN, door.room.account.id, "proposed")
    ]
    assert door.room.exchange.placing == []


async def test_auto_places_one_order_within_its_bounds(door: Door) -> None:
    """Four deliveries, one order; a crash in between begins nothing twice."""
    door.set_mode("auto", **AUTO)
    await deliver(door)
    for _ in range(3):
        await door.post(door.body())
        await door.worker.step()
    door.room.store.transact(lambda db: hooks.recover(db, door.room.clock.now_ms()))
    await door.worker.step()
    await door.room.desk.drain()
    assert len(door.room.exchange.placing) == 1
    assert results(door) == ["order #1"]


@pytest.mark.parametrize("fields", [{"time": None, "seq": 1}, {"id": None}])
async def test_auto_alert_with_a_time_or_a_number_is_placed_once_and_never_again(
    door: Door, fields: dict[str, Any]
) -> None:
    """Played back in the same minute or after ids are forgotten, the same bytes place nothing."""
    door.set_mode("auto", **AUTO)
    text = door.body(**fields)
    assert await door.post(text) == (200, "taken")
    await door.worker.step()
    await door.room.desk.drain()
    answers = [await door.post(text)]
    door.room.clock.advance(2 * hooks.KEEP_MS / 1000)
    door.room.store.transact(lambda db: hooks.recover(db, door.room.clock.now_ms()))
    answers.append(await door.post(text))
    await door.worker.step()
    await door.room.desk.drain()
    assert all(answer in {(200, "repeated"), (200, "late"), (200, "out of order")} for answer in answers)
    assert len(door.room.exchange.placing) == 1


@pytest.mark.parametrize("text", [b"BUY BTCUSDT", b'{"id": "n", "ticker": "BTCUSDT", "side": "buy"}'])
async def test_auto_alert_without_time_and_number_is_refused_and_its_owner_told_once(door: Door, text: bytes) -> None:
    """It could be played back by whoever saw it: nothing is kept of it, in the other modes it is taken."""
    door.set_mode("auto", **AUTO)
    answers = [await door.post(text) for _ in range(3)]
    assert answers == [(400, hooks.WHY["undated"])] * 3
    assert (door.taken, door.rows("SELECT ignored, last FROM hooks")) == (0, [(3, "undated")])
    assert door.notes() == [f"Hook tv: an alert was ignored. {hooks.WHY['undated']}"]
    assert 'Add "time": "{{timenow}}" to the message' in door.notes()[0]
    door.set_mode("notify")
    assert await door.post(text) == (200, "taken")


def _other_pair(door: Door) -> dict[str, Any]:
    return {"ticker": "ETHUSDT"}


def _halted(door: Door) -> dict[str, Any]:
    door.halts.append("The clock is wrong.")
    return {}


def _blocked(door: Door) -> dict[str, Any]:
    door.room.store.transact(lambda db: db.execute("UPDATE users SET role='viewer' WHERE id=?", (ANN,)))
    return {}


def _limited(door: Door) -> dict[str, Any]:
    now_ms = door.room.clock.now_ms()
    door.room.store.transact(lambda db: limits.change(db, ANN, "order", Decimal(10), now_ms=now_ms))
    return {}


def _coded(door: Door) -> dict[str, Any]:
    now_ms = door.room.clock.now_ms()
    door.room.store.transact(lambda db: limits.change(db, ANN, "code", Decimal(10), now_ms=now_ms))
    return {}


def _removed(door: Door) -> dict[str, Any]:
    now_ms = door.room.clock.now_ms()
    door.room.store.transact(lambda db: people.remove_account(db, door.room.account.id, now_ms))
    return {}


def _no_side(door: Door) -> dict[str, Any]:
    return {"side": None}


@pytest.mark.parametrize(
    ("arrange", "says"),
    [
        (_other_pair, "ETH/USDT is not among the pairs of this hook"),
        (_halted, "The clock is wrong"),
        (_blocked, "may not trade any more"),
        (_limited, "your limit for one order is 10 USDT"),
        (_coded, "above your line for codes"),
        (_removed, "account is not there any more"),
        (_no_side, "no pair and side"),
    ],
)
async def test_auto_outside_of_its_bounds_sends_nothing_and_says_why(door: Door, arrange: Any, says: str) -> None:
    """Pairs, halts, roles, the limits of its owner, their line for codes: each holds, and each is told."""
    door.set_mode("auto", **AUTO)
    await deliver(door, **arrange(door))
    assert door.room.exchange.placing == []
    assert says in door.notes()[-1]


async def test_auto_cap_of_the_day_counts_what_was_placed(door: Door) -> None:
    """Two orders of 50 fit under 120; the third waits for a Confirm, and the next day has room again."""
    door.set_mode("auto", **AUTO)
    for number in range(3):
        door.room.clock.advance(61)
        await deliver(door, id=f"n{number}")
    assert len(door.room.exchange.placing) == 2
    assert "more than this hook may trade in a day" in door.notes()[-1]
    door.room.clock.advance(86_400)
    await deliver(door, id="tomorrow")
    assert len(door.room.exchange.placing) == 3


async def test_auto_confirms_by_the_row_as_it_is_then(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mode that changed between preview and confirm stops the order."""
    door.set_mode("auto", **AUTO)
    propose = door.room.desk.propose

    async def and_change(*args: Any, **values: Any) -> Any:
        row = await propose(*args, **values)
        door.set_mode("ask", **AUTO)
        return row

    monkeypatch.setattr(door.room.desk, "propose", and_change)
    await deliver(door)
    assert door.room.exchange.placing == []
    assert "may not place orders any more" in door.notes()[-1]


async def test_alert_that_waited_too_long_is_told_and_not_traded(door: Door) -> None:
    """After an hour of standstill a preview of then is worth nothing."""
    door.set_mode("auto", **AUTO)
    assert await door.post() == (200, "taken")
    door.room.clock.advance(3600)
    await door.worker.step()
    assert door.rows("SELECT * FROM orders") == []
    assert "waited for more than a minute" in door.notes()[-1]


async def test_alert_begun_before_a_crash_is_told_and_not_begun_again(door: Door) -> None:
    """Better no order than two."""
    door.set_mode("auto", **AUTO)
    await door.post()
    assert door.room.store.transact(lambda db: hooks.begin(db, 1)) is not None
    assert door.room.store.transact(lambda db: hooks.begin(db, 1)) is None
    door.room.store.transact(lambda db: hooks.recover(db, door.room.clock.now_ms()))
    await door.worker.step()
    assert (door.rows("SELECT * FROM orders"), results(door)) == ([], ["interrupted"])
    assert "the bot stopped while it worked on an alert" in door.notes()[0]


@pytest.mark.parametrize(
    "values", [{}, {**AUTO, "pairs": frozenset()}, {**AUTO, "day": None}, {**AUTO, "size": Decimal(500)}]
)
def test_auto_without_all_its_bounds_cannot_be_set(door: Door, values: dict[str, Any]) -> None:
    """Size, cap of the day and pairs, all of them."""
    with pytest.raises(UserError, match="Without asking, a hook needs"):
        door.set_mode("auto", **values)


# Signals


def posted(door: Door, **values: Any) -> board.Signal:
    fields = {"author": ANN, "source": "Ann", "chat_id": GROUP, "valid_ms": 3_600_000, **values}
    now_ms = door.room.clock.now_ms()
    return door.room.store.transact(lambda db: board.post(db, Idea("buy", "BTC/USDT"), **fields, now_ms=now_ms))


async def test_signal_ends_with_its_time_and_its_card_is_told(door: Door) -> None:
    """Its row ends, and one notice draws the card anew."""
    made = posted(door)
    door.room.clock.advance(3601)
    await door.worker.step()
    found = door.room.store.transact(lambda db: board.get(db, made.id))
    assert found.state == "ended"
    assert len(door.rows("SELECT * FROM outbox")) == 1


async def test_signal_counts_followers_who_sent_an_order(door: Door) -> None:
    """Looking is not following: one who sent counts once, however many orders they sent."""
    made, room = posted(door), door.room
    for user_id in (ANN, BOB):
        room.store.transact(lambda db, user_id=user_id: board.follow(db, made, user_id, room.clock.now_ms()))
    for sent in (None, 1, 2):
        row = await room.propose()
        note = '{"note": "' + note_of(made.id) + '"}'
        room.store.transact(
            lambda db, sent=sent, row=row, note=note: (
                db.execute("DROP TRIGGER IF EXISTS orders_frozen"),
                db.execute("UPDATE orders SET sent_ms=?, intent=? WHERE id=?", (sent, note, row.id)),
            )
        )
    await door.worker.step()
    assert room.store.transact(lambda db: board.get(db, made.id)).followed == 1


async def test_signal_is_its_authors_to_change_and_cancel(door: Door) -> None:
    """Nobody else's, of the same pair and side only, and never after its end."""
    made, room = posted(door), door.room
    now_ms = room.clock.now_ms()
    other = Idea("buy", "BTC/USDT", (Decimal(60000),))

    def change(idea: Idea, by: int = ANN) -> board.Signal:
        return room.store.transact(lambda db: board.change(db, made.id, idea, by=by, valid_ms=None, now_ms=now_ms))

    for idea, by in ((other, BOB), (Idea("sell", "BTC/USDT"), ANN), (Idea("buy", "ETH/USDT"), ANN)):
        with pytest.raises(UserError):
            change(idea, by)
    assert change(other).idea == other
    with pytest.raises(UserError):
        room.store.transact(lambda db: board.cancel(db, made.id, by=BOB, now_ms=now_ms))
    assert room.store.transact(lambda db: board.cancel(db, made.id, by=ANN, now_ms=now_ms)).state == "canceled"
    with pytest.raises(UserError):
        change(other)
