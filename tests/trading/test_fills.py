"""Quantities from trade ids, orders that the exchange lists no more, and cancels that came to nothing."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from bot import Fill, OrderReport
from bot.trading import evidence, fills, queries
from bot.trading.orders import OrderRow
from tests.trading.conftest import ANN, Room

HISTORIES = 2_000
HISTORIES_NIGHTLY = 10_000


def _trade(number: int, quantity: str, order_id: str = "x1") -> dict[str, str]:
    return {"trade": f"t{number}", "order": order_id, "price": "57999.99", "quantity": quantity} | {
        "fee": str(Decimal(quantity) / 1000),
        "asset": "BTC",
    }


def _history(row: OrderRow, dice: random.Random) -> tuple[list[Fill], list[tuple[OrderReport, list[Fill]]]]:
    """Return what really was executed, and what was told of it: lagging, shuffled, repeated, and complete at last."""
    left, executed = Decimal("0.5"), []
    for number in range(dice.randint(1, 6)):
        part = left if number == 5 else (left * dice.randint(1, 999) / 1000).quantize(Decimal("1e-18"))
        left -= part
        names = {"exchange_order_id": "x1", "exchange_symbol": "BTCUSDT", "side": row.side, "fee_asset": "BTC"}
        times: dict[str, Any] = {"is_maker": dice.random() < 0.5, "at_ms": 7}  # all in one millisecond
        price = Decimal(58_000) - dice.randint(0, 3)
        executed.append(
            Fill(trade_id=f"t{number}", price=price, quantity=part, fee=part / 1000, **names, **times)  # type: ignore[arg-type]
        )
    canceled = left > 0 and dice.random() < 0.5

    def told(known: int, *, over: bool) -> OrderReport:
        filled = sum((each.quantity for each in executed[:known]), Decimal(0))
        state = "filled" if filled == Decimal("0.5") else "canceled" if canceled and over else "partially_filled"
        return OrderReport(
            exchange_order_id="x1",
            client_order_id=row.client_order_id,
            exchange_symbol="BTCUSDT",
            side=row.side,
            type="limit",
            state="open" if not filled and state == "partially_filled" else state,  # type: ignore[arg-type]
            filled=filled,
            average_price=Decimal(58_000) if filled else None,
        )

    looks = []
    for _ in range(dice.randint(0, 8)):
        known = dice.randint(0, len(executed))
        shown = [dice.choice(executed) for _ in range(dice.randint(0, 4))]
        looks.append((told(known, over=dice.random() < 0.3), shown))
    again = [*executed, *executed]
    dice.shuffle(again)
    return executed, [*looks, (told(len(executed), over=True), again)]


def _run(room: Room, row: OrderRow, count: int, seed: int) -> None:
    dice = random.Random(seed)

    def work(db: Any) -> None:
        for number in range(count):
            db.execute("SAVEPOINT history")
            executed, looks = _history(row, dice)
            before = row
            for report, shown in looks:
                now = evidence.found(db, row.id, report, shown, asked_ms=0, now_ms=1)
                assert before.filled <= now.filled <= sum(each.quantity for each in executed), number
                before = now
            total = sum((each.quantity for each in executed), Decimal(0))
            fee = sum((each.fee for each in executed), Decimal(0))
            assert (before.filled, before.fee, before.fee_asset) == (total, fee, "BTC"), number
            assert fills.totals(db, row.id).quantity == total, number
            db.execute("ROLLBACK TO history")

    room.store.transact(work)


async def test_fills_any_history_ends_at_the_exchanges_figure_to_the_last_digit(room: Room) -> None:
    """Lagging, doubled, disordered or replayed, with a cancel in between and the fee in base: the sums are exact."""
    _run(room, await room.placed(), HISTORIES, seed=1)


@pytest.mark.nightly
async def test_fills_many_histories_end_at_the_exchanges_figure(room: Room) -> None:
    """The same, more often."""
    _run(room, await room.placed(), HISTORIES_NIGHTLY, seed=2)


async def test_fill_told_after_the_cancel_counts(room: Room) -> None:
    """What traded while the cancel was under way is added, though the order had ended here."""
    row = await room.placed()
    room.exchange.fill("0.1")
    room.exchange.trades.append(_trade(1, "0.1"))
    await room.live(1)
    await room.desk.cancel(row.id, ANN)
    await room.desk.drain()
    await room.live(1)
    ended = room.row(row)
    room.exchange.orders[0].filled = "0.3"
    room.exchange.trades.append(_trade(2, "0.2"))
    await room.live(20)
    now = room.row(row)
    assert (ended.state, ended.filled, now.state, now.filled) == (
        "canceled",
        Decimal("0.1"),
        "canceled",
        Decimal("0.3"),
    )
    assert (now.fee, now.fee_asset) == (Decimal("0.0003"), "BTC")


async def test_fills_that_exceed_the_order_are_not_believed(room: Room) -> None:
    """A list with more than was ordered holds another's fills; then the report alone counts."""
    row = await room.placed()
    room.exchange.fill("0.1")
    room.exchange.trades += [_trade(1, "0.4"), _trade(2, "0.4")]
    await room.live(1)
    assert (room.row(row).filled, room.row(row).fee) == (Decimal("0.1"), None)


async def test_fills_that_are_not_told_do_not_hold_up_the_report(room: Room) -> None:
    """The quantity is told at once, the fee when its list answers again."""
    row = await room.placed()
    room.exchange.fill()
    room.exchange.trades.append(_trade(1, "0.5"))
    room.exchange.broken["/fills"] = "error"
    await room.live(1)
    early = room.row(row)
    del room.exchange.broken["/fills"]
    await room.live(31)
    assert (early.state, early.fee, room.row(row).fee) == ("filled", None, Decimal("0.0005"))


# Listed no more.


async def _forgotten(room: Room, filled: str) -> OrderRow:
    row = await room.placed()
    if Decimal(filled):
        room.exchange.trades.append(_trade(1, filled))
    room.exchange.orders.clear()
    room.exchange.broken["/order"] = "GONE"
    return row


@pytest.mark.parametrize(
    ("filled", "state", "reason"),
    [
        ("0", "canceled", "The exchange no longer lists it."),
        ("0.2", "canceled", "The exchange no longer lists it."),
        ("0.5", "filled", ""),
    ],
)
async def test_gone_order_ends_with_what_was_filled_where_absence_is_provable(
    room: Room, filled: str, state: str, reason: str
) -> None:
    """Three clean looks over order and fills, after the window: it ended, and its fills tell how."""
    row = await _forgotten(room, filled)
    await room.live(10)
    early = room.row(row).state
    await room.live(30)
    now = room.row(row)
    assert (early, now.state, now.filled, now.reason) == ("open", state, Decimal(filled), reason)


@pytest.mark.parametrize("path", ["/find", "/fills"])
async def test_gone_order_look_that_failed_in_part_is_no_look(room: Room, path: str) -> None:
    """Order and fills must both have been read cleanly."""
    row = await _forgotten(room, "0")
    room.exchange.broken[path] = "error"
    await room.live(120)
    assert (room.row(row).state, room.row(row).misses) == ("open", 0)


async def test_gone_order_seen_again_counts_from_nothing(room: Room) -> None:
    """Misses of long ago prove nothing of today."""
    row = await room.placed()
    room.exchange.broken["/order"] = "GONE"
    kept, room.exchange.orders = room.exchange.orders, []
    await room.live(23)
    before = room.row(row).misses
    del room.exchange.broken["/order"]
    room.exchange.orders = kept
    await room.live(10)
    assert (before > 0, room.row(row).misses, room.row(row).state) == (True, 0, "open")


async def test_gone_order_is_its_owners_question_where_absence_proves_nothing(vague: Room) -> None:
    """The card asks, its buttons are drawn anew after a day, and the owner's word ends it as canceled."""
    row = await _forgotten(vague, "0")
    await vague.desk.settle_by_hand(row.id, ANN)
    await vague.live(60)
    asking = vague.row(row)
    vague.sql("DELETE FROM outbox")
    vague.clock.advance(86_400)
    await vague.live(1)
    redrawn = vague.sql("SELECT count(*) AS n FROM outbox WHERE order_id=?", row.id)[0]["n"]
    await vague.desk.settle_by_hand(row.id, ANN)
    now = vague.row(row)
    assert (asking.state, asking.is_missing, redrawn) == ("open", True, 1)
    assert (now.state, now.reason) == ("canceled", "You looked at the exchange and it was not there.")


async def test_needs_human_card_is_drawn_anew_after_a_day(vague: Room) -> None:
    """Its buttons end after 24 hours, the question does not."""
    row = await vague.placed("drop before")
    await vague.live(200)
    vague.sql("DELETE FROM outbox")
    seen = []
    for _ in range(3):
        vague.clock.advance(43_000)
        await vague.live(1)
        seen.append(len(vague.sql("SELECT 1 FROM outbox WHERE order_id=?", row.id)))
        vague.sql("DELETE FROM outbox")
    assert seen == [0, 0, 1]


# Cancels.


async def test_cancel_that_got_lost_is_told_after_half_a_minute(room: Room) -> None:
    """An order that is still open 30 seconds later was not canceled: its owner may ask again."""
    row = await room.placed()
    room.exchange.cancels.append("error")
    await room.desk.cancel(row.id, ANN)
    await room.desk.drain()
    await room.live(28)
    during = room.row(row).cancel_requested_ms
    await room.live(4)
    now = room.row(row)
    assert (during is not None, now.cancel_requested_ms, now.state) == (True, None, "open")
    assert now.reason == "Not canceled: the exchange still has the order 30 seconds after it was asked. Cancel again."


@pytest.mark.parametrize(("minutes", "messages"), [(4, 0), (6, 1)])
async def test_cancel_that_failed_is_a_message_too_when_the_card_is_old(
    room: Room, minutes: int, messages: int
) -> None:
    """An edit of a card far up the chat is seen by nobody."""
    row = await room.placed()
    room.clock.advance(60 * minutes)
    room.exchange.cancels.append("POOR")
    await room.desk.cancel(row.id, ANN)
    await room.desk.drain()
    assert len(room.sql("SELECT 1 FROM outbox WHERE order_id=? AND kind='order_news'", row.id)) == messages


async def test_refusal_of_the_exchange_keeps_its_kind(room: Room) -> None:
    """The card offers what mends it."""
    row = await room.placed("refuse")
    assert (row.state, row.refusal) == ("rejected", "InsufficientFunds")
    assert room.store.transact(lambda db: queries.get(db, row.id)).refusal == "InsufficientFunds"


# Decided without an exchange.


def _report(filled: str, state: str = "open", **other: Any) -> OrderReport:
    facts: dict[str, Any] = {
        "exchange_order_id": "x1",
        "client_order_id": "",
        "exchange_symbol": "BTCUSDT",
        "side": "buy",
        "type": "limit",
        "state": state,
        "filled": Decimal(filled),
        "average_price": Decimal(60_000) if Decimal(filled) else None,
    }
    return OrderReport(**facts | other)


def _known(quantity: str, price: str = "58000", **fees: str) -> fills.Totals:
    amount = Decimal(quantity)
    return fills.Totals(amount, amount * Decimal(price), {asset: Decimal(fee) for asset, fee in fees.items()})


@pytest.mark.parametrize(
    ("report", "known", "expected"),
    [
        # The fills know more: their quantity and price count.
        (_report("0"), _known("0.2"), _report("0.2", "partially_filled", average_price=Decimal(58_000))),
        (_report("0.1"), _known("0.5"), _report("0.5", "partially_filled", average_price=Decimal(58_000))),
        (_report("0.1", "canceled"), _known("0.2"), _report("0.2", "canceled", average_price=Decimal(58_000))),
        (_report("0.1", "filled"), _known("0.5"), _report("0.5", "filled", average_price=Decimal(58_000))),
        # A fee of less than was filled is no fee of it all; that of the fills is.
        (
            _report("0.1", "canceled", fee=Decimal(9), fee_asset="USDT"),
            _known("0.2", BTC="0.1"),
            _report("0.2", "canceled", average_price=Decimal(58_000), fee=Decimal("0.1"), fee_asset="BTC"),
        ),
        # As much or less: the report counts.
        (_report("0.2", "canceled"), _known("0.2"), _report("0.2", "canceled")),
        (_report("0.3", "canceled"), _known("0.2", BTC="1"), _report("0.3", "canceled")),
        # More than was ordered: another's are among them.
        (_report("0.1"), _known("0.500001"), _report("0.1")),
        # A fee that the report leaves out is that of the fills, if they are all and in one asset.
        (_report("0.2"), _known("0.2", BTC="0.1"), _report("0.2", fee=Decimal("0.1"), fee_asset="BTC")),
        (_report("0.2"), _known("0.2", BTC="0.1", BNB="0.2"), _report("0.2")),
        (
            _report("0.2", fee=Decimal(3), fee_asset="USDT"),
            _known("0.2", BTC="0.1"),
            _report("0.2", fee=Decimal(3), fee_asset="USDT"),
        ),
    ],
)
async def test_completed_report_has_the_better_of_both(
    room: Room, report: OrderReport, known: fills.Totals, expected: OrderReport
) -> None:
    """Quantity, price, fee and state, of a report and of the fills, for an order of 0.5."""
    assert fills.completed(await room.confirmed(), report, known) == expected


async def test_completed_report_of_an_order_in_quote_has_no_limit_in_base(room: Room) -> None:
    """How much base a sum in quote buys is only an estimate."""
    row = await room.confirmed()
    row = replace(row, params={**row.params, "size_in": "quote"})
    assert fills.completed(row, _report("0"), _known("0.6")).filled == Decimal("0.6")


async def test_completed_average_has_eighteen_digits(room: Room) -> None:
    """Thirds are cut where no exchange counts any more, and zeros at the end are left out."""
    row = await room.confirmed()
    known = fills.Totals(Decimal("0.3"), Decimal("0.1"), {})
    made = fills.completed(row, _report("0"), known).average_price
    whole = fills.completed(row, _report("0"), _known("0.3", "58000.10")).average_price
    large = fills.completed(row, _report("0"), _known("0.3", "123456789012.3")).average_price
    assert (str(made), str(whole), str(large)) == ("0.333333333333333333", "58000.1", "123456789012.3")


@pytest.mark.parametrize(
    ("size_in", "quantity", "state", "reason"),
    [("base", "0.5", "filled", ""), ("base", "0.499999", "canceled", "Gone."), ("quote", "0.5", "canceled", "Gone.")],
)
async def test_ended_report_is_filled_if_all_of_a_size_in_base_was(
    room: Room, size_in: str, quantity: str, state: str, reason: str
) -> None:
    """An order sized in quote may be full with any quantity; then the exchange's word for its end stands."""
    row = await room.confirmed()
    row = replace(row, params={**row.params, "size_in": size_in})
    made = fills.ended(row, _report("0", "canceled", reason="Gone."), _known(quantity))
    assert (made.state, made.reason, made.filled) == (state, reason, Decimal(quantity))


async def test_totals_are_of_one_order_by_asset_to_the_last_digit(room: Room) -> None:
    """Quantity, worth and each fee; the fills of another order do not count, a known trade id not twice."""
    row, other = await room.placed(), await room.placed(pair="ETH/USDT")
    names: dict[str, Any] = {"exchange_symbol": "BTCUSDT", "side": "buy", "is_maker": True, "at_ms": 5}

    def fill(trade_id: str, quantity: str, asset: str, order_id: str = "x1") -> Fill:
        amount = Decimal(quantity)
        facts: dict[str, Any] = {"trade_id": trade_id, "exchange_order_id": order_id, "fee_asset": asset}
        return Fill(price=Decimal("58000.000000000000000001"), quantity=amount, fee=amount / 8, **facts, **names)

    mine = [
        fill("t1", "0.1", "BTC"),
        fill("t2", "0.2", "BNB"),
        fill("t1", "9", "BTC"),
        fill("t3", "0.050000000000000008", "BTC"),
    ]

    def work(db: Any) -> tuple[fills.Totals, fills.Totals, list[tuple[Any, ...]]]:
        fills.record(db, row, "x1", [*mine, fill("t4", "7", "BTC", "x2")])
        fills.record(db, other, "x2", [fill("t1", "7", "BTC", "x2")])
        kept = db.execute("SELECT * FROM fills WHERE trade_id='t2'").fetchall()
        return fills.totals(db, row.id), fills.totals(db, other.id), [tuple(each) for each in kept]

    own, others, kept = room.store.transact(work)
    fees = {"BTC": Decimal("0.018750000000000001"), "BNB": Decimal("0.025")}
    notional = Decimal("20300.000000000000464000350000000000000008")
    assert own == fills.Totals(Decimal("0.350000000000000008"), notional, fees)
    assert others.quantity == Decimal(7)
    assert kept == [(row.id, "t2", "58000.000000000000000001", "0.2", "0.025", "BNB", 1, 5)]
