"""Halting: nothing leaves after the commit of a halt, whatever the order in which things happen."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot import UserError
from bot.accounts import people
from bot.chat.brake import Brake
from bot.contract.models import ClientId
from bot.store.database import Store
from bot.trading import halt, journal, queries
from bot.trading.draft import Draft
from bot.trading.halt import EVERYBODY
from tests.trading.conftest import ANN, BOB, MARKET, START_MS, Room
from tests.trading.test_limits import drafted

DEFAULT_SCHEDULES, NIGHTLY_SCHEDULES = 500, 100_000
REASON = "Trading has been halted since 14:13 UTC on 21 Sep by Bob. Write /resume to trade again."


def halted(room: Room, who: int = ANN, by: str = "Bob") -> halt.Halt:
    return room.store.transact(lambda db: halt.engage(db, who, by=by, now_ms=room.clock.now_ms()))


async def test_halt_preview_is_refused_with_since_and_by_whom(room: Room) -> None:
    """A halted person gets no preview, and learns since when, by whom, and how it ends."""
    halted(room)
    with pytest.raises(UserError) as refused:
        await room.propose()
    assert (str(refused.value), refused.value.code) == (REASON, "HALTED")


async def test_halt_that_comes_while_the_price_is_asked_refuses_the_preview(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction that stores a preview looks again."""
    facts = room.desk._facts

    async def meanwhile(*asked: Any) -> Any:
        halted(room)
        return await facts(*asked)

    monkeypatch.setattr(room.desk, "_facts", meanwhile)
    with pytest.raises(UserError) as refused:
        await room.propose()
    assert (refused.value.code, len(room.sql("SELECT 1 FROM orders"))) == ("HALTED", 0)


@pytest.mark.parametrize("pair", ["BTC/USDT", "NONE/SUCH"])
async def test_halt_is_told_before_anything_else_is_wrong(room: Room, pair: str) -> None:
    """Neither an order that cannot be nor a pair that there is not is told first, and the exchange is not asked."""
    halted(room)
    with pytest.raises(UserError) as refused:
        await room.propose(pair=pair, price=None)
    assert (refused.value.code, room.exchange.asked) == ("HALTED", [])


async def test_halt_confirm_is_refused_and_the_button_stays_unspent(room: Room) -> None:
    """Confirm does nothing while halted; once trading goes on, the same button works."""
    row = await room.propose()
    button = room.show(row)[0]
    halted(room)
    with pytest.raises(UserError, match="Trading has been halted"):
        await room.press(row, button)
    room.store.transact(lambda db: halt.lift(db, ANN, by="Ann", delay_ms=0, now_ms=room.clock.now_ms()))
    assert (await room.press(row, button))[1].state == "confirmed"


async def test_halt_between_confirm_and_send_sends_nothing(room: Room) -> None:
    """An order that was confirmed already does not leave, and its card says why."""
    row = await room.confirmed()
    halted(room)
    room.desk.send(row)
    await room.desk.drain()
    assert (room.row(row).state, room.row(row).reason, room.exchange.placing) == ("not_placed", REASON, [])


async def test_halt_of_everybody_holds_back_each_of_them(room: Room) -> None:
    """One row is enough for all, and says who can end it."""
    halted(room, EVERYBODY)
    with pytest.raises(
        UserError, match=r"for everybody\. The owner or an administrator writes /resume all to end that\."
    ):
        await room.propose()


async def test_halt_of_another_person_does_not_matter(room: Room) -> None:
    """Who is halted is halted alone."""
    halted(room, BOB)
    assert (await room.placed()).state == "open"


async def test_halt_cancel_works_while_halted(room: Room) -> None:
    """Taking risk away is always possible."""
    row = await room.placed()
    halted(room)
    await room.desk.cancel(row.id, ANN)
    await room.desk.drain()
    await room.live(3)
    assert room.row(row).state == "canceled"


async def test_halt_survives_a_restart(room: Room) -> None:
    """A halt is a row, so a bot that comes up again is halted."""
    halted(room)
    again = room.restart()
    with pytest.raises(UserError, match="Trading has been halted"):
        await again.propose()
    await again.close()


async def test_halt_lifted_holds_until_the_delay_is_over(room: Room) -> None:
    """In chat a halt ends ten minutes after it was lifted, not a moment earlier."""
    halted(room)
    room.store.transact(lambda db: halt.lift(db, ANN, by="Ann", delay_ms=600_000, now_ms=room.clock.now_ms()))
    room.clock.advance(599.999)
    with pytest.raises(UserError, match=r"It goes on at 14:23 UTC on 21 Sep; /panic keeps it halted\."):
        await room.propose()
    room.clock.advance(0.001)
    assert (await room.propose()).state == "proposed"


async def test_halt_called_again_takes_the_end_back(room: Room) -> None:
    """Whoever sees a lift they did not ask for stops it by /panic."""
    halted(room)
    room.store.transact(lambda db: halt.lift(db, ANN, by="thief", delay_ms=600_000, now_ms=room.clock.now_ms()))
    halted(room)
    room.clock.advance(601)
    with pytest.raises(UserError, match="Trading has been halted"):
        await room.propose()


async def test_halt_file_stops_an_order_that_is_about_to_leave(room: Room) -> None:
    """The file counts at once, though nothing watches it here."""
    row = await room.confirmed()
    (room.path.parent / "halt").touch()
    room.desk.send(row)
    await room.desk.drain()
    assert (room.row(row).state, room.exchange.placing) == ("not_placed", [])


async def test_halt_file_is_kept_as_a_row_and_told_once(room: Room) -> None:
    """The watch makes a row of the file, which holds when the file is gone; administrators are told once."""
    room.sql("UPDATE users SET role='admin' WHERE id=?", BOB)
    file = room.path.parent / "halt"
    file.touch()
    brake, told = Brake(room.store, room.clock, lambda: told.append(1)), []  # type: ignore[var-annotated]
    watch = asyncio.create_task(brake.watch_file())
    for _ in range(200):
        await asyncio.sleep(0.001)
        if len(room.sql("SELECT 1 FROM halts")) and room.clock.seconds > 2:
            break
    watch.cancel()
    file.unlink()
    with pytest.raises(UserError, match="by the file halt on the server"):
        await room.propose()
    assert (len(told), len(room.sql("SELECT 1 FROM outbox WHERE kind='note'"))) == (1, 1)


async def test_halt_signal_that_cannot_be_stored_leaves_the_file(room: Room) -> None:
    """When the disk is full the signal halts all the same."""
    room.sql("CREATE TRIGGER full BEFORE INSERT ON halts BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    brake = Brake(room.store, room.clock, lambda: None)
    brake.pull()
    await asyncio.gather(*brake._work)
    assert (room.path.parent / "halt").exists()


def test_halt_and_end_are_events_of_the_one_chain(schedules: Store) -> None:
    """Who halted, who let it go on, and when, is in the log that shows every change."""
    schedules.transact(lambda db: halt.engage(db, ANN, by="Bob", by_id=BOB, now_ms=1))
    schedules.transact(lambda db: halt.lift(db, ANN, by="Ann", by_id=ANN, delay_ms=0, now_ms=2))
    rows = schedules.transact(
        lambda db: db.execute("SELECT user_id, kind, detail FROM events WHERE kind IN ('halted', 'resumed')").fetchall()
    )
    assert [tuple(row) for row in rows] == [
        (BOB, "halted", '{"by":"Bob","who":1001}'),
        (ANN, "resumed", '{"at_ms":2,"by":"Ann","who":1001}'),
    ]


# Schedules: confirm, halt, lift and send of three orders, in any order.


@pytest.fixture
def schedules(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "tradewire.db")
    store.transact(journal.install_law)

    def prepare(db: Any) -> None:
        for user in (ANN, BOB):
            people.ensure_user(db, user, now_ms=1)
            people.add_account(db, user, "acme", "main", 1)

    store.transact(prepare)
    store.transact(lambda db: db.execute("SELECT 1"))
    store._connection.execute("PRAGMA synchronous=OFF")  # thousands of commits, and no power cut in sight
    yield store
    store.close()


def run_schedule(store: Store, seed: int, draft: Draft) -> list[tuple[int, int]]:
    """Run one schedule; return the (order, its event's number) that were sent although their owner was halted."""
    rng = random.Random(seed)
    now = START_MS + seed * 100_000
    orders: list[tuple[int, int]] = []
    for index in range(3):
        user = (ANN, BOB)[rng.randrange(2)]
        made = store.transact(
            lambda db, user=user, index=index: journal.propose(
                db,
                account_id=1 if user == ANN else 2,
                user_id=user,
                exchange="acme",
                market=MARKET,
                draft=draft,
                intent="{}",
                chat_id=1,
                message_id=None,
                now_ms=now,
            )
        )
        orders.append((made.id, user))
    rule = ClientId()

    def step(db: Any, what: str, order_id: int, user: int) -> None:
        if what == "confirm":
            journal.confirm(db, order_id, user_id=user, rule=rule, now_ms=now)
        elif what == "send":
            journal.begin_sending(db, order_id, request_hash="x", window_ends_ms=None, now_ms=now)
        elif what == "halt":
            halt.engage(db, rng.choice((user, EVERYBODY)), by="x", now_ms=now)
        else:
            halt.lift(db, rng.choice((user, EVERYBODY)), by="x", delay_ms=0, now_ms=now)

    steps = [("confirm", *order) for order in orders] + [("send", *order) for order in orders] * 2
    steps += [("halt", *rng.choice(orders)), ("halt", *rng.choice(orders)), ("lift", *rng.choice(orders))]
    rng.shuffle(steps)
    first = store.transact(lambda db: db.execute("SELECT max(id) AS id FROM events").fetchone()["id"])
    for what, order_id, user in steps:
        try:
            store.transact(lambda db, each=(what, order_id, user): step(db, *each))
        except UserError:
            continue
    wrong = store.transact(lambda db: _sent_while_halted(db, first))

    def tidy(db: Any) -> None:
        db.execute("DELETE FROM halts")
        for row in queries.in_states(db, ("sending",)):
            journal.end(db, row.id, "rejected", "x", now)
        for row in queries.in_states(db, ("proposed", "confirmed")):
            journal.end(db, row.id, "expired", "x", now)

    store.transact(tidy)
    return wrong


def _sent_while_halted(db: sqlite3.Connection, after: int) -> list[tuple[int, int]]:
    """Replay the chain of events, which is the order of the commits."""
    import json

    under: set[int] = set()
    wrong = []
    for row in db.execute("SELECT * FROM events WHERE id>? ORDER BY id", (after,)):
        if row["kind"] == "halted":
            under.add(json.loads(row["detail"])["who"])
        elif row["kind"] == "resumed":
            under.discard(json.loads(row["detail"])["who"])
        elif row["kind"] == "sending" and under & {EVERYBODY, row["user_id"]}:
            wrong.append((row["order_id"], row["id"]))
    return wrong


def sweep(store: Store, count: int, seed: int = 0) -> tuple[int, int]:
    """Run `count` schedules; return how many orders were sent while halted, and how many at all."""
    draft, wrong = drafted(), 0
    for number in range(seed, seed + count):
        wrong += len(run_schedule(store, number, draft))
        if number % 20 == 19:  # a short log keeps each schedule quick
            store.transact(_forget)
    sent = store.transact(lambda db: db.execute("SELECT count(*) FROM orders").fetchone()[0])
    return wrong, sent


def _forget(db: Any) -> None:
    db.execute("DELETE FROM outbox")
    db.execute("DELETE FROM events WHERE id < (SELECT max(id) FROM events)")
    db.execute("DELETE FROM orders WHERE id NOT IN (SELECT order_id FROM events WHERE order_id IS NOT NULL)")


@pytest.mark.parametrize("count", [DEFAULT_SCHEDULES, pytest.param(NIGHTLY_SCHEDULES, marks=pytest.mark.nightly)])
def test_halt_any_schedule_nothing_is_sent_after_its_commit(schedules: Store, count: int) -> None:
    """Whatever the order of confirm, halt, lift and send: no `sending` is committed while a halt holds."""
    assert sweep(schedules, count)[0] == 0


def test_halt_checked_outside_of_the_transaction_lets_orders_through(
    schedules: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a check in a transaction of its own, before the others, misses what was halted in between."""
    seen: dict[int, bool] = {}
    real = halt.refuse

    def early(db: Any, user_id: int, now_ms: int) -> None:
        if not seen.setdefault(now_ms, False):  # looked once, at the preview, and never again
            real(db, user_id, now_ms)
            seen[now_ms] = True

    monkeypatch.setattr(halt, "refuse", early)
    assert sweep(schedules, 50)[0] > 0
