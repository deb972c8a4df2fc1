from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sqlite3
from collections.abc import Coroutine, Generator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot import ClientId, OrderReport, Request, UserError
from bot.contract.errors import BotError
from bot.store.database import Connection
from bot.trading import client_ids, ends, events, journal, orders, queries, reports
from bot.trading.errors import IllegalTransition
from bot.trading.events import verify_chain
from bot.trading.law import ENDS, LIVE, State
from bot.trading.orders import OrderRow
from tests.trading.conftest import ANN, BOB, CHAT, START_MS, Fault, Room, new_room

Death: TypeAlias = Literal["unseen", "seen", "undone"]


def report(row: OrderRow, state: Any = "open", filled: str = "0", **other: Any) -> OrderReport:
    return OrderReport(
        exchange_order_id="x1",
        client_order_id=row.client_order_id,
        exchange_symbol="BTCUSDT",
        side=row.side,
        type="limit",
        state=state,
        filled=Decimal(filled),
        average_price=Decimal(58000) if Decimal(filled) else None,
        **other,
    )


def apply(room: Room, row: OrderRow, state: Any = "open", filled: str = "0", **other: Any) -> OrderRow:
    told = report(row, state, filled, **other)
    return room.store.transact(lambda db: reports.apply(db, row.id, told, START_MS))


def bring(room: Room, row: OrderRow, state: State) -> None:
    """Put an order into a state, past the law."""
    trigger = room.sql("SELECT sql FROM sqlite_schema WHERE name='orders_law'")[0]["sql"]
    room.sql("DROP TRIGGER orders_law")
    room.sql("UPDATE orders SET client_order_id='x'||id WHERE id=? AND client_order_id IS NULL", row.id)
    room.sql("UPDATE orders SET state=? WHERE id=?", state, row.id)
    room.sql(trigger)


# One confirmed order makes at most one placing request.


async def test_sending_is_committed_before_the_first_byte(room: Room) -> None:
    """When the request reaches the wire, another reader of the file already sees `sending`, its hash and its window."""
    seen: list[Any] = []

    def look(request: Request) -> None:
        with contextlib.closing(sqlite3.connect(f"file:{room.path}?mode=ro", uri=True)) as other:
            seen.extend(
                other.execute("SELECT state, client_order_id, length(request_hash), window_ends_ms FROM orders")
            )

    room.exchange.arriving = look
    row = await room.placed()
    (state, client_id, length, window_ends_ms) = seen[0]
    assert (len(seen), state, client_id, length) == (1, "sending", row.client_order_id, 64)
    assert 10_000 <= window_ends_ms - START_MS < 10_100
    assert room.history(row) == ["proposed", "sending", "open"]


async def test_confirm_200_presses_at_once_place_once(room: Room) -> None:
    """Of any number of presses in the same moment one confirms, and one request leaves."""
    row = await room.propose()
    (data,) = room.show(row)
    results = await asyncio.gather(*(room.press(row, data) for _ in range(200)))
    confirmed = [result for result in results if not isinstance(result, str)]
    for _, each in confirmed:
        room.desk.send(each)
    await room.desk.drain()
    assert [result for result in results if isinstance(result, str)] == ["used"] * 199
    assert (len(room.exchange.placing), room.row(row).state) == (1, "open")


async def test_confirm_two_live_buttons_of_one_order_place_once(room: Room) -> None:
    """Two Confirm buttons of the same order, each unspent, confirm it once: the order's own state decides."""
    row = await room.propose()
    first, second = room.show(row, "confirm", "confirm")
    one, two = await room.press(row, first), await room.press(row, second)
    assert (one[1].state, two) == ("confirmed", "expired")


async def test_journal_confirm_again_returns_nothing(room: Room) -> None:
    """The second call changes nothing: the client order id stays."""
    row = await room.propose()

    def twice(db: Connection) -> list[OrderRow | None]:
        return [journal.confirm(db, row.id, user_id=ANN, rule=ClientId(), now_ms=START_MS) for _ in range(2)]

    first, second = room.store.transact(twice)
    assert (first, second) == (room.row(row), None)


async def test_send_twice_places_once(room: Room) -> None:
    """Even when the same confirmed order is handed over twice, one request leaves and its outcome stands."""
    row = await room.confirmed()
    room.desk.send(row)
    room.desk.send(row)
    await room.desk.drain()
    assert (len(room.exchange.placing), room.row(row).state) == (1, "open")


async def test_send_again_while_under_way_does_not_decide_for_the_first(room: Room) -> None:
    """A second attempt that fails before sending says nothing about the request that is on its way."""
    row = await room.confirmed()
    room.exchange.faults.append("hang")
    room.desk.send(row)
    await room.exchange.hanging.wait()
    room.gateway.named("acme").transport.limiter.pause(60)
    await room.desk._sender._place(row)
    assert (len(room.exchange.placing), room.row(row).state) == (1, "sending")


async def test_confirm_by_another_person_returns_nothing(room: Room) -> None:
    """An order can be confirmed by its owner only, whoever holds the button."""
    row = await room.propose()
    confirm = journal.confirm
    other = room.store.transact(lambda db: confirm(db, row.id, user_id=BOB, rule=ClientId(), now_ms=START_MS))
    assert (other, room.row(row)) == (None, row)


@pytest.mark.parametrize(("seconds", "confirmed"), [(59.999, True), (60, False), (61, False)])
async def test_confirm_after_60_seconds_sends_nothing(room: Room, seconds: float, confirmed: bool) -> None:
    """A preview can be confirmed for 60 seconds, not a millisecond longer, whether or not it was swept."""
    row = await room.propose()
    (data,) = room.show(row)
    room.clock.advance(seconds)
    result = await room.press(row, data)
    assert (result == "expired", room.row(row).state) == (not confirmed, "confirmed" if confirmed else "proposed")


async def test_confirm_after_60_seconds_is_refused_by_the_order_itself(room: Room) -> None:
    """A button that lives longer than its preview does not make the preview live longer."""
    row = await room.propose()
    room.clock.advance(60)
    now_ms = room.clock.now_ms()
    found = room.store.transact(lambda db: journal.confirm(db, row.id, user_id=ANN, rule=ClientId(), now_ms=now_ms))
    assert (found, room.row(row).state) == (None, "proposed")


async def test_confirmed_order_that_waits_15_seconds_is_never_sent(room: Room) -> None:
    """A confirmation is good for 15 seconds: what hangs before the wire longer than that stays here."""
    row = await room.confirmed(price=None)
    room.clock.advance(15)
    room.desk.send(row)
    await room.desk.drain()
    assert (room.exchange.placing, room.row(row).state) == ([], "not_placed")


async def test_confirmed_order_in_its_last_millisecond_is_sent(room: Room) -> None:
    """Up to 15 seconds after the confirmation it may leave."""
    row = await room.confirmed()
    room.clock.advance(14.999)
    room.desk.send(row)
    await room.desk.drain()
    assert (len(room.exchange.placing), room.row(row).state) == (1, "open")


async def test_expire_tells_apart_what_was_not_confirmed_and_what_did_not_leave(room: Room) -> None:
    """A person who did press Confirm is not told that nobody did."""
    shown, pressed = await room.propose(), await room.confirmed(pair="ETH/USDT")
    room.clock.advance(61)
    room.store.transact(lambda db: ends.expire_old(db, room.clock.now_ms()))
    reasons = [(room.row(row).state, room.row(row).reason) for row in (shown, pressed)]
    assert reasons == [
        ("expired", "Nobody pressed Confirm in time."),
        ("expired", "It did not get out in time after it was confirmed. Nothing was sent."),
    ]


# Restart and crash.


async def _reach(room: Room, state: State) -> OrderRow:
    simple: dict[State, Fault] = {
        "open": "accept",
        "unknown": "drop before",
        "rejected": "refuse",
        "not_placed": "unreachable",
    }
    if state in simple:
        return await room.placed(simple[state])
    if state == "proposed":
        return await room.propose()
    if state == "partially_filled":
        row = await room.placed()
        return apply(room, row, "partially_filled", "0")
    row = await room.confirmed() if state in ("confirmed", "sending") else await room.placed("drop before")
    if state == "sending":
        room.exchange.faults.append("hang")
        room.desk.send(row)
        await room.exchange.hanging.wait()
    elif state != "confirmed":
        bring(room, row, state)
    return room.row(row)


@pytest.mark.parametrize(
    ("state", "after", "requests"),
    [
        ("proposed", "proposed", 0),
        ("confirmed", "not_placed", 0),
        ("sending", "unknown", 1),
        ("unknown", "unknown", 1),
        ("needs_human", "needs_human", 1),
        ("open", "open", 1),
        ("partially_filled", "partially_filled", 1),
        ("filled", "filled", 1),
        ("canceled", "canceled", 1),
        ("rejected", "rejected", 1),
        ("not_placed", "not_placed", 1),
        ("expired", "expired", 1),
    ],
)
async def test_restart_in_every_state_sends_nothing(tmp_path: Path, state: State, after: State, requests: int) -> None:
    """A restart settles by asking: an order that may be on its way is in doubt, one that had not left never leaves."""
    before = new_room(tmp_path)
    row = await _reach(before, state)
    tasks = tuple(before.desk._sender._tasks)
    room = before.restart()
    assert room.row(row).state == after
    await room.live(5)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(room.exchange.placing) == requests
    await room.close()


class _Life:
    """Runs a coroutine until its `number`-th wait, and lets it die there."""

    def __init__(self, work: Coroutine[Any, Any, Any], number: int, death: Death) -> None:
        self.work, self.number, self.death = work, number, death

    def __await__(self) -> Generator[Any, None, bool]:
        steps = self.work.__await__()
        error: BaseException | None = None
        for number in range(1, 1000):
            try:
                waited_for = steps.send(None) if error is None else steps.throw(error)
            except StopIteration:
                return False
            if number == self.number and self.death == "unseen":
                break
            try:
                error = None
                yield waited_for
            except Exception as raised:
                error = raised
            if number == self.number:
                break
        self.work.close()
        return True


class _Dead(BaseException):
    """The process is gone."""


async def _whole_life(room: Room, row: OrderRow, data: str) -> None:
    found = await room.press(row, data)
    await room.desk._sender._place(found[1])
    await room.reconciler.check(room.row(row))


async def _die(room: Room, row: OrderRow, data: str, number: int, death: Death) -> bool:
    """Live until the `number`-th wait (`undone`: the `number`-th transaction), and say whether it came to that."""
    if death != "undone":
        return await _Life(_whole_life(room, row, data), number, death)
    run, left = room.store.run, number

    async def dies(work: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            raise _Dead
        return await run(work)

    room.store.run = dies  # type: ignore[method-assign]
    try:
        await _whole_life(room, row, data)
    except _Dead:
        return True
    return False


@pytest.mark.parametrize("death", ["unseen", "seen", "undone"])
@pytest.mark.parametrize(
    "fault", ["accept", "refuse", "drop before", "drop after", "late", "unreadable", "unreachable", "no id"]
)
async def test_crash_at_every_wait_places_at_most_once_and_loses_nothing(
    tmp_path: Path, fault: Fault, death: Death
) -> None:
    """Wherever the process dies, one request at most ever leaves, and the journal ends up agreeing with the exchange.

    The person presses Confirm again after the restart, as people do.
    """
    for number in range(1, 100):
        before = new_room(tmp_path / str(number))
        row = await before.propose(price=None)
        (data,) = before.show(row)
        before.exchange.faults.append(fault)
        died = await _die(before, row, data, number, death)
        room = before.restart()
        again = await room.press(row, data)
        if not isinstance(again, str):
            room.desk.send(again[1])
            await room.desk.drain()
        await room.settle()
        await room.live(30)
        last = room.row(row)
        exists = bool(room.exchange.orders)
        where = f"{fault}, {death} at {number}: {room.history(row)}"
        assert len(room.exchange.placing) <= 1, where
        assert (last.state in LIVE) == exists, where
        assert exists or last.state in ENDS, where
        if exists:
            assert last.client_order_id == room.exchange.orders[0].client_id, where
        assert room.store.transact(verify_chain) is None, where
        assert room.sql("SELECT 1 FROM outbox WHERE order_id=?", row.id), where
        await room.close()
        if not died:
            assert number > 4
            return
    raise AssertionError("the order's life has no end")


async def test_recover_control_order_in_sending_is_not_forgotten_without_it(tmp_path: Path) -> None:
    """Control: it is `recover` that puts an order in doubt after a crash, nothing else does it at once."""
    room = new_room(tmp_path)
    row = await _reach(room, "sending")
    await room.live(3)
    assert room.row(row).state == "sending"
    room.store.transact(lambda db: ends.recover(db, START_MS))
    assert room.row(row).state == "unknown"
    await room.close()


# What was shown is what is sent.


async def _tamper(room: Room, row: OrderRow, *, also_hash: bool) -> None:
    room.sql("DROP TRIGGER orders_frozen")
    params = row.params | {"size": "50"}
    room.sql("UPDATE orders SET params=? WHERE id=?", json.dumps(params), row.id)
    if also_hash:
        changed = orders.params_hash(row.account_id, params)
        room.sql("UPDATE orders SET params_hash=? WHERE id=?", changed, row.id)


@pytest.mark.parametrize(
    ("also_hash", "refusal"), [(False, "was changed since it was shown"), (True, "not the one this button")]
)
async def test_confirm_parameters_changed_underneath_sends_nothing(room: Room, also_hash: bool, refusal: str) -> None:
    """Whoever edits the frozen order past the database's guard cannot get it confirmed by the card's button."""
    row = await room.propose()
    (data,) = room.show(row)
    await _tamper(room, row, also_hash=also_hash)
    with pytest.raises(BotError, match=refusal):
        await room.press(row, data)
    assert (room.row(row).state, room.exchange.placing) == ("proposed", [])


async def test_control_unchanged_order_is_confirmed_by_the_same_button(room: Room) -> None:
    """Control: without tampering the same steps confirm."""
    row = await room.propose()
    (data,) = room.show(row)
    room.sql("DROP TRIGGER orders_frozen")
    assert (await room.press(row, data))[1].state == "confirmed"


async def test_params_hash_binds_account_and_every_parameter(room: Room) -> None:
    """Another account, or any other value of any parameter, has another hash."""
    row = await room.propose()
    variants = [row.params | {name: "other"} for name in row.params]
    hashes = {orders.params_hash(row.account_id, params) for params in (row.params, *variants)}
    hashes.add(orders.params_hash(row.account_id + 1, row.params))
    assert len(hashes) == len(row.params) + 2


async def test_order_sent_is_the_order_shown(room: Room) -> None:
    """What reaches the exchange has the size, price and pair of the frozen parameters, to the last digit."""
    row = await room.placed()
    body = room.exchange.placing[0].json
    assert body == {
        "client_id": row.client_order_id,
        "symbol": "BTCUSDT",
        "side": "buy",
        "type": "limit",
        "quantity": row.params["size"],
        "price": row.params["price"],
    }


# Client order ids.


def mint(room: Room, row: OrderRow, rule: ClientId) -> str:
    return room.store.transact(lambda db: client_ids.mint(db, row, rule))


@pytest.mark.parametrize("longest", [26, 30, 32, 64])
async def test_client_id_text_has_26_plain_characters(room: Room, longest: int) -> None:
    """A text id begins with a letter, keeps to small letters and digits, and is the same whenever it is derived."""
    row = await room.propose()
    made = mint(room, row, ClientId("text", longest))
    assert re.fullmatch(r"t[a-z0-9]{25}", made)
    assert made == mint(room, row, ClientId("text", longest))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sets(st.integers(1, 2**40), min_size=50, max_size=50))
async def test_client_id_text_is_unique_among_orders(room: Room, numbers: set[int]) -> None:
    """Other orders have other ids, also when they are cut to 20 characters."""
    row = await room.propose()
    made = {mint(room, msgspec.structs.replace(row, id=number), ClientId("text", 20)) for number in numbers}
    assert len(made) == 50


async def test_client_id_text_differs_between_instances(tmp_path: Path) -> None:
    """Two bots on the same account do not take each other's orders for theirs."""
    made = []
    for name in ("one", "two"):
        room = new_room(tmp_path / name)
        made.append((await room.confirmed()).client_order_id)
        await room.close()
    assert made[0] != made[1]


async def test_client_id_text_is_not_repeated_after_a_restored_backup(tmp_path: Path) -> None:
    """An old backup gives order numbers a second time; their client ids must not name the orders placed before."""
    room = new_room(tmp_path)
    backup = tmp_path / "backup.db"
    await room.store.run(lambda db: None)
    room.store._connection.execute("VACUUM INTO ?", (str(backup),))
    lost = await room.placed()
    room.store.close()
    room.path = backup
    room.clock.advance(60)
    restored = room.restart()
    again = await restored.placed(side="buy")
    assert again.id == lost.id
    assert again.client_order_id != lost.client_order_id
    await restored.close()


async def test_client_id_counter_rises_per_account(tmp_path: Path) -> None:
    """A counter starts at random below a thousand million and rises by one."""
    room = new_room(tmp_path, client_id=ClientId("counter"))
    made = [int((await room.placed(pair=pair)).client_order_id) for pair in ("BTC/USDT", "ETH/USDT", "BTC/USDT")]
    assert made == [made[0], made[0] + 1, made[0] + 2]
    assert 1 <= made[0] <= 1_000_000_000
    await room.close()


async def test_client_id_counter_compares_as_a_number(tmp_path: Path) -> None:
    """10 follows 9: read as text, 9 would be the highest for ever and 10 be given twice."""
    room = new_room(tmp_path, client_id=ClientId("counter"))
    row, other = await room.confirmed(), await room.confirmed(pair="ETH/USDT")
    room.sql("DROP TRIGGER orders_named")
    room.sql("UPDATE orders SET client_order_id='9' WHERE id=?", row.id)
    room.sql("UPDATE orders SET client_order_id='10' WHERE id=?", other.id)
    assert mint(room, row, ClientId("counter")) == "11"
    await room.close()


@pytest.mark.parametrize("most", [1, 2, 50, 2_147_483_646])
async def test_client_id_counter_never_passes_its_highest_value(room: Room, most: int) -> None:
    """The first number leaves room, and after the highest one nothing is confirmed any more."""
    row = await room.confirmed()
    room.sql("DROP TRIGGER orders_named")
    room.sql("UPDATE orders SET client_order_id=NULL")
    assert 1 <= int(mint(room, row, ClientId("counter", max_value=most))) <= most
    room.sql("UPDATE orders SET client_order_id=?", str(most))
    with pytest.raises(UserError, match="used up its order numbers"):
        mint(room, row, ClientId("counter", max_value=most))


async def test_client_id_repeated_is_refused_by_the_database(room: Room) -> None:
    """Two orders of one account can never have the same client order id."""
    first, second = await room.confirmed(), await room.propose(pair="ETH/USDT")
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        room.sql("UPDATE orders SET client_order_id=? WHERE id=?", first.client_order_id, second.id)


# The chain of events.


async def test_chain_of_a_day_verifies(room: Room) -> None:
    """Every step of every order is in one chain, across restarts."""
    await room.placed()
    await room.placed("drop before", pair="ETH/USDT")
    again = room.restart()
    await again.settle()
    assert again.store.transact(verify_chain) is None
    assert len(again.sql("SELECT 1 FROM events")) > 8
    await again.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET detail='{}' WHERE id=3",
        "UPDATE events SET kind='filled' WHERE id=3",
        "UPDATE events SET at_ms=at_ms+1 WHERE id=3",
        "UPDATE events SET user_id=1002 WHERE id=3",
        "UPDATE events SET order_id=NULL WHERE id=3",
        "UPDATE events SET hash=x'00' WHERE id=3",
        "DELETE FROM events WHERE id=2",
        "DELETE FROM events WHERE id=1",
        "DELETE FROM events WHERE id=(SELECT max(id) FROM events)",
        "UPDATE events SET id=id+100 WHERE id=2",
    ],
)
async def test_chain_changed_or_deleted_row_is_found(room: Room, statement: str) -> None:
    """No event can be changed, moved or taken out, the last one included, without the chain telling."""
    await room.placed()
    assert room.store.transact(verify_chain) is None
    room.sql(statement)
    assert room.store.transact(verify_chain) is not None


async def test_chain_event_rewritten_with_a_fitting_hash_breaks_the_next(room: Room) -> None:
    """Whoever changes an event and gives it the right hash has to rewrite every event after it, too."""
    await room.placed()
    first, second = room.sql("SELECT * FROM events ORDER BY id LIMIT 2")
    values = (second["at_ms"], second["user_id"], second["order_id"], "filled", second["detail"])
    room.sql("UPDATE events SET kind='filled', hash=? WHERE id=2", events._link(first["hash"], *values))
    assert room.store.transact(verify_chain) == 3


async def test_event_and_change_of_state_are_one_commit(room: Room) -> None:
    """When the event cannot be written, the state does not change either."""
    row = await room.propose()
    room.sql("CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    with pytest.raises(sqlite3.IntegrityError, match="disk full"):
        await room.desk.drop(row.id, ANN)
    assert room.row(row) == row


# Reports.


async def test_report_filled_never_shrinks(room: Room) -> None:
    """An answer from a stale replica takes nothing back."""
    row = await room.placed()
    for state, filled in (("partially_filled", "0.3"), ("open", "0"), ("partially_filled", "0.2"), ("canceled", "0.1")):
        apply(room, row, state, filled)
    now = room.row(row)
    assert (now.state, now.filled) == ("partially_filled", Decimal("0.3"))


async def test_report_open_after_a_fill_does_not_go_back(room: Room) -> None:
    """`open` from the list after a fill leaves the order partly filled."""
    row = await room.placed()
    apply(room, row, "partially_filled", "0.3")
    assert apply(room, row, "open", "0.3").state == "partially_filled"


async def test_report_unchanged_tells_nothing(room: Room) -> None:
    """The same answer again makes no event and no message."""
    row = await room.placed()
    apply(room, row, "partially_filled", "0.3", fee=Decimal("0.1"), fee_asset="USDT")
    room.sql("DELETE FROM outbox")
    apply(room, row, "partially_filled", "0.30", fee=Decimal("0.10"), fee_asset="USDT")
    assert (room.history(row)[-1], room.history(row).count("partially_filled")) == ("partially_filled", 1)
    assert room.sql("SELECT 1 FROM outbox") == []


async def test_report_keeps_what_an_answer_leaves_out(room: Room) -> None:
    """An answer without fee or average price does not erase what is known."""
    row = await room.placed()
    apply(room, row, "partially_filled", "0.3", fee=Decimal("0.1"), fee_asset="USDT")
    last = replace(report(row, "canceled", "0.3"), average_price=None)
    now = room.store.transact(lambda db: reports.apply(db, row.id, last, START_MS))
    assert (now.state, now.fee, now.fee_asset) == ("canceled", Decimal("0.1"), "USDT")
    assert now.average_price == Decimal(58000)


@pytest.mark.parametrize("end", ["filled", "canceled", "rejected", "expired"])
@pytest.mark.parametrize("state", ["open", "partially_filled", "filled", "canceled", "rejected"])
async def test_report_of_an_end_changes_nothing(room: Room, end: State, state: str) -> None:
    """What is over stays over; of what was filled, a fill told late is kept all the same."""
    row = await room.placed()
    bring(room, row, end)
    before = room.row(row)
    now = apply(room, row, state, "0.5")
    late = msgspec.structs.replace(
        before, filled=Decimal("0.5"), average_price=now.average_price, updated_ms=now.updated_ms
    )
    assert now == room.row(row) == (late if end in ("filled", "canceled") else before)


@pytest.mark.parametrize(
    ("told", "state", "late"),
    [
        ("open", "open", True),
        ("partially_filled", "partially_filled", True),
        ("filled", "filled", True),
        ("canceled", "canceled", True),
        ("rejected", "not_placed", False),
    ],
)
async def test_report_of_an_order_held_absent_adopts_it_late(room: Room, told: str, state: State, late: bool) -> None:
    """An order that turned up after all is taken over and marked; a refused one was indeed never placed."""
    row = await room.placed("drop before")
    bring(room, row, "not_placed")
    now = apply(room, row, told)
    assert (now.state, now.late) == (state, late)


@pytest.mark.parametrize("state", ["proposed", "confirmed"])
async def test_report_of_an_order_that_never_left_is_refused(room: Room, state: State) -> None:
    """No answer of an exchange makes an order out of a preview."""
    row = await room.confirmed()
    bring(room, row, state)
    with pytest.raises(IllegalTransition):
        apply(room, row, "filled", "0.5")
    assert room.row(row).state == state


async def test_accept_after_the_order_was_held_absent_marks_it_late(room: Room) -> None:
    """An acknowledgement that comes after everybody gave up adopts the order as late, too."""
    row = await room.placed("drop before")
    bring(room, row, "not_placed")
    now = room.store.transact(lambda db: journal.accept(db, row.id, "x9", START_MS))
    assert (now.state, now.late, now.exchange_order_id) == ("open", True, "x9")


_FACTS = st.tuples(
    st.sampled_from(["open", "partially_filled", "filled", "canceled", "rejected"]),
    st.sampled_from(["0", "0.1", "0.3", "0.5"]),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(_FACTS, max_size=12))
async def test_report_any_history_keeps_the_law(room: Room, history: list[tuple[str, str]]) -> None:
    """Reports in any order, repeated or contradictory, never shrink a fill, reopen an end or break the law."""
    room.sql("UPDATE orders SET state='canceled' WHERE state IN ('open', 'partially_filled')")
    row = await room.placed()
    before = room.row(row)
    for state, filled in history:
        now = apply(room, row, state, filled)
        assert now.filled >= before.filled
        if before.state in ENDS:
            assert now.state == before.state
        before = now


# Cards and doubts.


async def test_card_given_to_another_preview_leaves_the_first(room: Room) -> None:
    """A preview scaled on its card replaces the old one, which can be confirmed no more and draws there no more."""
    first = await room.propose()
    (data,) = room.show(first)
    card = room.row(first).message_id
    second = await room.propose(price="57000", message_id=card)
    old = room.row(first)
    assert (old.state, old.message_id, room.row(second).message_id) == ("expired", None, card)
    assert [row["order_id"] for row in room.sql("SELECT order_id FROM outbox")] == [second.id]
    pressed = await room.desk.press(data, user_id=ANN, chat_id=CHAT, message_id=card or 0)
    assert (pressed, room.exchange.placing) == ("expired", [])


@pytest.mark.parametrize("state", ["confirmed", "sending", "unknown", "needs_human", "open", "partially_filled"])
async def test_card_of_an_order_under_way_is_not_given_away(room: Room, state: State) -> None:
    """The card of an order whose fate is open stays with it."""
    row = await room.confirmed()
    bring(room, row, state)
    with pytest.raises(UserError):
        await room.propose("sell", message_id=room.row(row).message_id)
    assert room.row(row).message_id is not None


@pytest.mark.parametrize("state", ["sending", "unknown", "needs_human"])
async def test_doubt_blocks_the_same_account_pair_and_side_only(room: Room, state: State) -> None:
    """While an order may exist, the same order is not taken again; another pair or side is."""
    row = await room.confirmed()
    bring(room, row, state)
    with pytest.raises(UserError, match=rf"#{row.id} \(buy BTC/USDT\) is still in doubt") as caught:
        await room.propose()
    assert caught.value.code == "IN_DOUBT"
    assert [(await room.propose("sell")).state, (await room.propose(pair="ETH/USDT")).state] == ["proposed"] * 2


async def test_doubt_that_came_after_the_preview_blocks_its_confirmation(room: Room) -> None:
    """A second preview made while the first order was not sent yet cannot be confirmed into its doubt."""
    second = await room.propose()
    (data,) = room.show(second)
    await room.placed("drop before")
    with pytest.raises(UserError, match="still in doubt"):
        await room.press(second, data)
    assert (room.row(second).state, len(room.exchange.placing)) == ("proposed", 1)


async def test_doubt_that_came_after_the_confirmation_blocks_its_sending(room: Room) -> None:
    """Two orders confirmed in one moment: when the first falls into doubt, the second does not leave."""
    first, second = await room.confirmed(), await room.confirmed()
    room.exchange.faults.append("drop before")
    room.desk.send(first)
    await room.desk.drain()
    room.desk.send(second)
    await room.desk.drain()
    assert [room.row(row).state for row in (first, second)] == ["unknown", "not_placed"]
    assert len(room.exchange.placing) == 1


async def test_doubt_settled_frees_the_pair(room: Room) -> None:
    """As soon as it is settled, and its card says so, the same order may be placed again."""
    await room.placed("drop before")
    await room.settle()
    room.sql("DELETE FROM outbox")  # Telegram took the card
    assert (await room.placed()).state == "open"


@pytest.mark.parametrize("state", ["not_placed", "open", "filled"])
async def test_doubt_settled_blocks_the_confirmation_until_its_card_is_drawn(room: Room, state: State) -> None:
    """Who presses while the card still says "Not sure yet" does not know what became of the first order."""
    second = await room.propose()
    (data,) = room.show(second)
    first = await room.placed("drop before")
    room.store.transact(lambda db: journal.end(db, first.id, state, "", room.clock.now_ms()))
    now = state.replace("_", " ")
    with pytest.raises(UserError, match=rf"#{first.id} \(buy BTC/USDT\) was in doubt and is now {now}") as caught:
        await room.press(second, data)
    assert (caught.value.code, room.row(second).state) == ("NEWS", "proposed")
    room.sql("DELETE FROM outbox WHERE order_id=?", first.id)
    _, confirmed = await room.press(second, data)
    assert confirmed.state == "confirmed"


async def test_doubt_settled_with_its_card_waiting_blocks_the_same_pair_and_side_only(room: Room) -> None:
    """The other side, and orders that were never in doubt, are not held up by news that wait."""
    await room.placed("drop after")
    await room.settle()
    await room.placed(side="sell")
    assert [(await room.confirmed(side="sell")).state, (await room.confirmed(pair="ETH/USDT")).state] == [
        "confirmed"
    ] * 2


async def test_get_own_order_of_another_person_does_not_exist(room: Room) -> None:
    """Nobody learns of, or acts on, another person's order."""
    row = await room.placed()
    with pytest.raises(UserError, match="no order #1 of yours"):
        room.store.transact(lambda db: queries.get_own(db, row.id, BOB))
    for act in (room.desk.cancel, room.desk.drop, room.desk.settle_by_hand):
        with pytest.raises(UserError):
            await act(row.id, BOB)
