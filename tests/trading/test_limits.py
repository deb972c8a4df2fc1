"""Limits: each refuses what is above it and nothing else, for the preview and again for the order that leaves."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bot import Balance, UserError
from bot.config import LimitSettings
from bot.contract.models import Capabilities, ClientId
from bot.store.database import Store
from bot.trading import allowance, journal, limits, profit, queries
from bot.trading.allowance import Facts, LimitReached
from bot.trading.amounts import format_shortfall
from bot.trading.draft import Draft, draft
from bot.trading.intent import Amount, Fixed, Intent
from bot.trading.limits import Limits, Value
from tests.trading.conftest import ANN, BOB, MARKET, START_MS, Room, new_room

D = Decimal
MIDNIGHT = START_MS - START_MS % 86_400_000


def drafted(quantity: str = "0.5", price: str = "58000") -> Draft:
    return draft(
        Intent("buy", "BTC/USDT", Amount(D(quantity), None), Fixed(D(price))),
        MARKET,
        Capabilities(),
        ticker=None,
        book=None,
        balances={"USDT": Balance("USDT", D("1e9"), D(0))},
        title="Acme",
    )


def change(room: Room, name: str, value: Value, user: int = ANN) -> int | None:
    return room.store.transact(lambda db: limits.change(db, user, name, value, now_ms=room.clock.now_ms()))


# One limit after the other: just within it, and just beyond.


@pytest.mark.parametrize(
    ("name", "within", "beyond", "code"),
    [
        ("order", D(29_000), D("28999.99"), "LIMIT_ORDER"),
        ("day", D(29_000), D("28999.99"), "LIMIT_DAY"),
        ("pairs", frozenset({"BTC/USDT"}), frozenset({"ETH/USDT"}), "LIMIT_PAIR"),
    ],
)
async def test_limit_of_one_order_refuses_just_beyond_it(
    room: Room, name: str, within: Value, beyond: Value, code: str
) -> None:
    """0.5 BTC at 58000 are worth 29000: allowed by a limit of that much, refused by a cent less."""
    change(room, name, within)
    assert (await room.propose()).state == "proposed"
    room.sql("DELETE FROM limits")
    change(room, name, beyond)
    with pytest.raises(LimitReached) as refused:
        await room.propose()
    assert refused.value.code == code


@pytest.mark.parametrize(("price", "allowed"), [("63010.50", True), ("63011", False), ("40000", True)])
async def test_limit_price_through_the_market_beyond_the_collar_is_refused(
    room: Room, price: str, allowed: bool
) -> None:
    """The best ask is 60010; five per cent through it is 63010.50. A price that rests is never through it."""
    change(room, "collar", D(5))
    if allowed:
        assert (await room.propose(price=price)).state == "proposed"
    else:
        with pytest.raises(LimitReached, match="5% through the market"):
            await room.propose(price=price)


async def test_limit_price_without_a_market_to_compare_is_refused(room: Room) -> None:
    """Where the exchange shows no price, nobody can tell a slip of the finger; so the order waits."""
    room.exchange.broken["/ticker"] = "error"
    assert (await room.propose()).state == "proposed"
    change(room, "collar", D(5))
    with pytest.raises(UserError, match="shows no price"):
        await room.propose()


async def test_market_order_beyond_the_slippage_is_refused(room: Room) -> None:
    """The average of a market order may be so much worse than the best price, and no more."""
    found = Facts(D(100), None, D("0.0101"))
    asked = allowance.Order(ANN, "acme", "BTC/USDT", "buy", found)
    room.store.transact(lambda db: allowance.check(db, Limits(slippage=D("1.01")), asked, 0))
    with pytest.raises(LimitReached, match=r"1\.01% worse than the best"):
        room.store.transact(lambda db: allowance.check(db, Limits(slippage=D(1)), asked, 0))


async def test_worth_that_nobody_can_tell_is_refused_only_under_a_limit_in_money(room: Room) -> None:
    """What cannot be valued cannot be counted: it is refused where anything counts in money."""
    asked = allowance.Order(ANN, "acme", "BTC/XYZ", "buy", allowance.UNKNOWN)
    room.store.transact(lambda db: allowance.check(db, Limits(open=5), asked, 0))
    for name in ("order", "day", "loss", "code", "approval"):
        with pytest.raises(UserError, match="what XYZ is worth in USDT"):
            room.store.transact(lambda db, name=name: allowance.check(db, Limits(**{name: D(9)}), asked, 0))


async def test_open_orders_at_the_limit_let_no_more_through(room: Room) -> None:
    """Open orders and doubtful ones count; one that ended makes room."""
    change(room, "open", 1)
    row = await room.placed()
    with pytest.raises(LimitReached, match="as many orders open or in doubt as your limit allows: 1"):
        await room.propose()
    room.exchange.fill("0.5")
    room.reconciler.watch(row.id)
    await room.live(3)
    assert (await room.propose()).state == "proposed"


async def test_orders_a_minute_and_burst_are_held(room: Room) -> None:
    """Six a minute: three at once, three more ten seconds later, then no more until the first is a minute old."""
    change(room, "minute", 6)
    for _ in range(2):
        for _ in range(3):
            await room.placed()
        with pytest.raises(LimitReached, match="more than 3 orders within 10 seconds") as refused:
            await room.propose()
        assert str(refused.value).endswith("Try again in 10 seconds.")
        room.clock.advance(11)
    with pytest.raises(LimitReached, match="more than 6 orders within 60 seconds"):
        await room.propose()
    room.clock.advance(60)
    assert (await room.propose()).state == "proposed"


async def test_day_counts_what_was_sent_and_forgets_what_never_was(room: Room) -> None:
    """Refused orders cost nothing of the day; the next day begins at 00:00 UTC."""
    change(room, "day", D(40_000))
    await room.placed("refuse")
    await room.placed()
    with pytest.raises(LimitReached, match=r"29,000 USDT, and 11,000\.00 of 40,000 USDT are left for today") as refused:
        await room.propose()
    assert refused.value.most == D(11_000)
    room.clock.advance((MIDNIGHT + 86_400_000 - room.clock.now_ms()) / 1000)
    assert (await room.propose()).state == "proposed"


async def test_day_counts_of_a_canceled_order_what_was_filled(room: Room) -> None:
    """A cancel gives back what was not traded."""
    row = await room.placed()
    room.sql("UPDATE orders SET state='canceled', filled='0.1' WHERE id=?", row.id)
    change(room, "day", D(34_800))  # 5800 of it used
    assert (await room.propose()).state == "proposed"
    change(room, "day", D("34799.99"))
    with pytest.raises(LimitReached):
        await room.propose()


async def test_limit_lowered_after_confirm_stops_the_order(room: Room) -> None:
    """What was confirmed under a wider limit does not leave under a tighter one; nothing was sent."""
    row = await room.confirmed()
    change(room, "order", D(100))
    room.desk.send(row)
    await room.desk.drain()
    assert (room.row(row).state, room.exchange.placing) == ("not_placed", [])
    assert room.row(row).reason == "The order is worth 29,000 USDT, and your limit for one order is 100 USDT."


async def test_two_confirmed_orders_and_room_for_one_send_one(room: Room) -> None:
    """Both were confirmed before either left: the second to be sent sees the first."""
    change(room, "day", D(30_000))
    first, second = await room.confirmed(), await room.confirmed(pair="ETH/USDT")
    room.desk.send(first)
    room.desk.send(second)
    await room.desk.drain()
    assert sorted((room.row(first).state, room.row(second).state)) == ["not_placed", "open"]
    assert len(room.exchange.placing) == 1


async def test_paper_and_real_money_are_counted_apart(room: Room) -> None:
    """Practising does not use up the day."""
    change(room, "day", D(29_000))
    await room.placed()
    on_paper = replace(room.account, paper=True)
    row = await room.propose(account=on_paper)
    assert (row.exchange, row.state) == ("acme:paper", "proposed")


# The loss of a day.


def traded(
    room: Room, side: str, quantity: str, price: str, fee: str = "0", asset: str = "USDT", *, at: int = 0
) -> None:
    """Write an order that was filled."""
    row = room.store.transact(
        lambda db: journal.propose(
            db,
            account_id=room.account.id,
            user_id=ANN,
            exchange="acme",
            market=MARKET,
            draft=drafted(),
            intent="{}",
            chat_id=1,
            message_id=None,
            facts=Facts(D(29_000), D(0), None),
            now_ms=START_MS,
        )
    )
    room.sql("DROP TRIGGER IF EXISTS orders_frozen")
    room.sql("DROP TRIGGER IF EXISTS orders_law")
    names = "side=?, state='filled', filled=?, average_price=?, fee=?, fee_asset=?, updated_ms=?"
    room.sql(
        f"UPDATE orders SET {names} WHERE id=?",
        *(side, quantity, price, fee, asset, at or START_MS, row.id),
    )


def result(room: Room) -> Decimal:
    return room.store.transact(lambda db: profit.of_day(db, ANN, is_paper=False, now_ms=room.clock.now_ms()))


async def test_loss_is_what_sales_brought_below_average_cost(room: Room) -> None:
    """Bought 1 at 100 and 1 at 200, with a fee of 10; sold 1 at 120 with a fee of 5: cost 155, brought 115."""
    traded(room, "buy", "1", "100", "10")
    traded(room, "buy", "1", "200")
    assert result(room) == 0
    traded(room, "sell", "1", "120", "5")
    assert result(room) == D(-40)
    traded(room, "sell", "1", "175")
    assert result(room) == D(-20)


async def test_loss_counts_a_fee_in_base_as_less_bought(room: Room) -> None:
    """A fee of 0.1 of what was bought for 90 leaves 0.9 at 100 each."""
    traded(room, "buy", "1", "90", "0.1", "BTC")
    traded(room, "sell", "0.9", "80")
    assert result(room) == D(-18)


async def test_loss_leaves_out_what_the_bot_never_saw_bought_and_other_days(room: Room) -> None:
    """What has no known cost is neither gain nor loss; yesterday's sale is yesterday's."""
    traded(room, "sell", "5", "1", at=MIDNIGHT - 5)
    traded(room, "buy", "2", "100", at=MIDNIGHT - 4)
    traded(room, "sell", "1", "10", at=MIDNIGHT - 3)
    assert result(room) == 0
    traded(room, "sell", "3", "90")  # one of three has a cost
    assert result(room) == D(-10)


async def test_loss_at_the_limit_stops_buying_and_not_selling(room: Room) -> None:
    """Nobody is locked into what they hold."""
    traded(room, "buy", "1", "100")
    traded(room, "sell", "1", "50")
    change(room, "loss", D("50.01"))
    assert (await room.propose()).state == "proposed"
    change(room, "loss", D(50))
    with pytest.raises(LimitReached, match=r"You lost 50\.00 USDT today"):
        await room.propose()
    assert (await room.propose(side="sell", price="61000")).state == "proposed"


# Setting them.


async def test_change_tighter_holds_at_once_and_looser_after_ten_minutes(room: Room) -> None:
    """Whoever takes over a chat cannot trade more than before for ten minutes."""
    assert change(room, "order", D(500)) is None
    due_ms = change(room, "order", D(900))
    assert due_ms == room.clock.now_ms() + 600_000

    def now() -> Limits:
        return room.store.transact(lambda db: limits.own(db, ANN, room.clock.now_ms()))

    room.clock.advance(599.999)
    assert now() == Limits(order=D(500))
    room.clock.advance(0.001)
    assert now() == Limits(order=D(900))
    change(room, "order", None)
    assert now() == Limits(order=D(900))
    change(room, "order", D(100))  # takes the raise back as well
    room.clock.advance(700)
    assert now() == Limits(order=D(100))


@pytest.mark.parametrize(
    ("name", "before", "after", "is_looser"),
    [
        ("order", D(5), D(6), True),
        ("order", D(5), D(5), False),
        ("order", None, D(5), False),
        ("order", D(5), None, True),
        ("open", 3, 4, True),
        ("pairs", None, frozenset({"A/B"}), False),
        ("pairs", frozenset({"A/B"}), frozenset({"A/B", "C/D"}), True),
        ("pairs", frozenset({"A/B", "C/D"}), frozenset({"A/B"}), False),
        ("pairs", frozenset({"A/B"}), frozenset({"C/D"}), True),
        ("pairs", frozenset({"A/B"}), None, True),
    ],
)
def test_change_looser_is_what_lets_more_through(name: str, before: Value, after: Value, is_looser: bool) -> None:
    """Another pair is looser too, even when there are as many as before."""
    assert limits.is_looser(name, before, after) is is_looser


def test_ceiling_of_the_configuration_always_wins() -> None:
    """Of each limit the tighter counts."""
    ceiling = limits.ceiling_of(LimitSettings.model_validate({"order": 100, "pairs": ["btc/usdt", "ETH/USDT"]}))
    own = Limits(order=D(500), open=3, pairs=frozenset({"BTC/USDT", "XRP/USDT"}))
    assert limits.tightest(own, ceiling) == Limits(
        order=D(100), open=3, minute=6, pairs=frozenset({"BTC/USDT"}), collar=D(5), slippage=D(1)
    )


async def test_ceiling_holds_with_and_without_limits_of_ones_own(room: Room) -> None:
    """What is read for an order is under it, whatever the person set; another's limits do not matter."""
    ceiling = Limits(order=D(100), open=9)

    def holds() -> Limits:
        return room.store.transact(lambda db: limits.read(db, ANN, ceiling, room.clock.now_ms()))

    room.store.transact(lambda db: limits.change(db, BOB, "open", 1, now_ms=room.clock.now_ms()))
    assert holds() == ceiling
    change(room, "order", D(500))
    change(room, "open", 3)
    assert holds() == Limits(order=D(100), open=3)


async def test_ceiling_holds_in_the_transaction_that_sends(room: Room) -> None:
    """The desk hands the configuration's limits on to it."""
    row = await room.confirmed()
    room.desk.ceiling = Limits(order=D(100))
    room.desk.send(row)
    await room.desk.drain()
    assert room.row(row).state == "not_placed"


# Slips of the finger.


async def test_warning_same_order_within_a_minute_names_the_first(room: Room) -> None:
    """The same again is shown loudly, and can be confirmed."""
    row = await room.placed()
    room.clock.advance(20)
    again = await room.propose()
    warning = f"You sent the same order 20 seconds ago: #{row.id}. This one comes on top of it."
    assert (again.params["warnings"], again.state) == ([warning], "proposed")
    assert (await room.propose(price="58001")).params["warnings"] == []
    room.clock.advance(40)
    assert (await room.propose()).params["warnings"] == []


async def test_warning_leaves_out_an_order_that_came_to_nothing(room: Room) -> None:
    """Ordering again what was refused is no slip."""
    row = await room.placed("refuse")
    assert row.state == "rejected"
    assert (await room.propose()).params["warnings"] == []


async def test_warning_ten_times_the_usual_size(room: Room) -> None:
    """Once five orders tell what is usual, one ten times as large is shown loudly."""
    for _ in range(5):
        traded(room, "buy", "1", "100")
    room.sql("UPDATE orders SET sent_ms=?, params=json_set(params, '$.limits.worth', '2900')", START_MS - 100_000)
    row = await room.propose()
    assert row.params["warnings"] == ["This order is 10 times as large as your usual one of 2,900.00 USDT."]
    assert (await room.propose(price="57999")).params["warnings"] == []


# A code, and a second person.


async def test_order_above_the_line_is_not_confirmed_without_a_code(room: Room) -> None:
    """The plain button does nothing for it; with the code it is confirmed."""
    change(room, "code", D(1000))
    row = await room.propose()
    assert row.params["limits"]["asks_code"] is True
    with pytest.raises(UserError, match="above your line for codes"):
        await room.press(row, room.show(row)[0])
    assert (await room.desk.confirm_with_code(row.id, ANN, lambda db: None)).state == "confirmed"


async def test_order_with_a_wrong_code_stays_a_proposal(room: Room) -> None:
    """The code is taken first, and its error ends it."""

    def wrong(db: Any) -> None:
        raise UserError("wrong", code="CODE_WRONG")

    change(room, "code", D(1000))
    row = await room.propose()
    with pytest.raises(UserError, match="wrong"):
        await room.desk.confirm_with_code(row.id, ANN, wrong)
    assert room.row(row).state == "proposed"


async def asked(room: Room) -> Any:
    change(room, "approval", D(1000))
    room.sql("UPDATE users SET role='admin', name='Bob' WHERE id=?", BOB)
    row = await room.propose()
    _, confirmed = await room.press(row, room.show(row)[0])
    assert confirmed is None
    return room.row(row)


async def test_approval_order_waits_for_the_press_of_another_administrator(room: Room) -> None:
    """The owner's Confirm asks Bob; Bob's press confirms, and both names are in the event."""
    row = await asked(room)
    assert (row.state, row.reason) == ("proposed", "It waits for a second person to approve it: Bob (1002).")
    button = approve_button(room, row, BOB)
    _, confirmed = await room.press(row, button, user_id=BOB)
    assert confirmed.state == "confirmed"
    detail = room.sql("SELECT detail FROM events WHERE kind='approved'")[0]["detail"]
    assert detail == '{"asked_by":"1001","by":"Bob (1002)"}'


async def test_approval_by_the_requester_is_refused(room: Room) -> None:
    """Who ordered cannot be the second person, administrator or not."""
    row = await asked(room)
    room.sql("UPDATE users SET role='admin' WHERE id=?", ANN)
    with pytest.raises(UserError, match="Another administrator"):
        await room.press(row, approve_button(room, row, ANN))


async def test_approval_by_who_is_no_administrator_any_more_is_refused(room: Room) -> None:
    """The role counts at the moment of the press."""
    row = await asked(room)
    room.sql("UPDATE users SET role='trader' WHERE id=?", BOB)
    with pytest.raises(UserError, match="Another administrator"):
        await room.press(row, approve_button(room, row, BOB), user_id=BOB)


async def test_approval_that_comes_too_late_confirms_nothing(room: Room) -> None:
    """It waits for five minutes."""
    row = await asked(room)
    room.clock.advance(300)
    assert await room.press(row, approve_button(room, row, BOB), user_id=BOB) == "expired"


async def test_approval_without_a_second_administrator_says_so(room: Room) -> None:
    """With nobody to ask the order is refused, and the text says what to do."""
    change(room, "approval", D(1000))
    row = await room.propose()
    with pytest.raises(UserError, match=r"there is none\. The owner can invite one"):
        await room.press(row, room.show(row)[0])


def approve_button(room: Room, row: Any, user_id: int) -> str:
    from bot.trading import confirm
    from bot.trading.confirm import Button

    button = Button("Approve", "approve", {}, row.id, row.params_hash, 600)
    made = room.store.transact(
        lambda db: confirm.mint(
            db, [button], user_id=user_id, chat_id=77, message_id=row.message_id, now_ms=room.clock.now_ms()
        )
    )
    return made[0]


# Whatever the order of the commits, the day is never exceeded.

SIZES = st.lists(st.integers(1, 60), min_size=2, max_size=8)


def day_of(directory: Path, sizes: list[int], order: list[int], limit: int) -> Decimal:
    """Confirm orders of these sizes (in 0.01 BTC at 58000) all at once, send them in `order`; return what was sent."""
    room = new_room(directory)
    try:
        change(room, "day", D(limit))
        made = [_confirmed(room.store, size) for size in sizes]
        for index in order:
            try:
                room.store.transact(
                    lambda db, each=made[index]: journal.begin_sending(
                        db, each, request_hash="x", window_ends_ms=None, now_ms=START_MS
                    )
                )
            except (UserError, TypeError):
                continue
        rows = room.store.transact(lambda db: queries.in_states(db, ("sending",)))
        return sum((row.notional for row in rows), D(0))
    finally:
        room.store.close()


def _confirmed(store: Store, size: int) -> int | None:
    market_draft = drafted(f"{size}e-2")

    def work(db: Any) -> int:
        facts = Facts(market_draft.notional_estimate, D(0), None)
        row = journal.propose(
            db,
            account_id=1,
            user_id=ANN,
            exchange="acme",
            market=MARKET,
            draft=market_draft,
            intent="{}",
            chat_id=1,
            message_id=None,
            facts=facts,
            despite=range(1, 100),
            now_ms=START_MS,
        )
        assert journal.confirm(db, row.id, user_id=ANN, rule=ClientId(), now_ms=START_MS) is not None
        return row.id

    try:
        return store.transact(work)
    except UserError:
        return None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=SIZES, limit=st.integers(580, 60_000), data=st.data())
def test_day_notional_is_never_exceeded_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], limit: int, data: st.DataObject
) -> None:
    """However many orders were confirmed at once, and in whatever order they leave, the day holds."""
    order = data.draw(st.permutations(range(len(sizes))))
    assert day_of(tmp_path_factory.mktemp("day"), sizes, order, limit) <= limit


def test_day_notional_checked_only_when_previewed_is_exceeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without the check in the sending transaction, two orders pass where one fits."""
    monkeypatch.setattr(journal, "_check_allowed", lambda *_: (Limits(), allowance.UNKNOWN))
    assert day_of(tmp_path, [50, 50], [0, 1], 30_000) > 30_000


# Numbers that are read.


@settings(max_examples=200)
@given(have=st.decimals(0, 10**9, places=18), more=st.integers(1, 10**20))
def test_shortfall_never_reads_as_equal(have: Decimal, more: int) -> None:
    """What there is and what is needed are always written apart."""
    one, other = format_shortfall(have, have + D(more).scaleb(-18))
    assert D(one.replace(",", "")) < D(other.replace(",", ""))


@pytest.mark.parametrize(
    ("have", "need", "shown"),
    [
        ("1000", "5000", ("1,000", "5,000")),
        ("49.123456789", "49.99", ("49.12", "49.99")),
        ("0.5", "0.50000001", ("0.5", "0.50000001")),
        ("12.3400001", "12.3400002", ("12.3400001", "12.3400002")),
    ],
)
def test_shortfall_is_written_no_longer_than_needed(have: str, need: str, shown: tuple[str, str]) -> None:
    """Cents where cents tell, more digits only where the difference is smaller."""
    assert format_shortfall(D(have), D(need)) == shown


async def test_limits_of_two_people_do_not_mix(room: Room) -> None:
    """Bob's limit is Bob's."""
    change(room, "order", D(1), BOB)
    assert (await room.propose()).state == "proposed"


async def test_approval_by_the_owner_counts_whatever_role_the_database_has(room: Room) -> None:
    """The owner is named by the configuration; the database may have noted them as a trader."""
    room.desk._owner = BOB
    change(room, "approval", D(1000))
    row = await room.propose()
    await room.press(row, room.show(row)[0])
    _, confirmed = await room.press(row, approve_button(room, room.row(row), BOB), user_id=BOB)
    assert confirmed.state == "confirmed"
