"""Orders and fills as CSV: what is in it, whose, of when, and that no cell is taken for a formula."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest

from bot import UserError
from bot.trading import reports
from bot.trading.export import COLUMNS, as_csv, period
from tests.trading.conftest import ANN, BOB, START_MS, Room
from tests.trading.test_journal import report

FOREVER = period("")


def rows(room: Room, user_id: int = ANN, span: tuple[int, int] = FOREVER) -> list[dict[str, str]]:
    text, _ = room.store.transact(lambda db: as_csv(db, user_id, *span))
    return list(csv.DictReader(io.StringIO(text)))


async def test_export_shows_an_order_and_its_fills_to_the_last_digit(room: Room) -> None:
    """One row an order, one a fill; times are ISO and UTC, amounts exact and without exponents."""
    row = await room.placed()
    told = report(row, "partially_filled", "0.1", fee=Decimal("-0.00000001"), fee_asset="USDT")
    room.store.transact(lambda db: reports.apply(db, row.id, told, START_MS + 5))
    room.sql(
        "INSERT INTO fills(order_id, trade_id, price, quantity, fee, fee_asset, is_maker, at_ms)"
        " VALUES (?, 't1', '57999.123456789012345678', '0.1', '-0.00000001', 'USDT', 1, ?)",
        row.id,
        START_MS + 1,
    )
    common = {"order": str(row.id), "exchange": "acme", "account": "main", "pair": "BTC/USDT", "side": "buy"}
    common |= {"type": "limit", "fee": "-0.00000001", "fee asset": "USDT", "client id": row.client_order_id}
    assert rows(room) == [
        {
            "kind": "order",
            "time": "2026-09-21T14:13:20.000Z",
            "quantity": "0.5",
            "price": "58000",
            "average": "58000",
            "filled": "0.1",
            "state": "partially_filled",
            "exchange id": "x1",
        }
        | common,
        {
            "kind": "fill",
            "time": "2026-09-21T14:13:20.001Z",
            "quantity": "0.1",
            "price": "57999.123456789012345678",
            "average": "",
            "filled": "",
            "state": "",
            "exchange id": "t1",
        }
        | common,
    ]


async def test_export_shows_nobody_elses_orders_and_no_proposals(room: Room) -> None:
    """Another person's file is empty, and what was never confirmed is no order."""
    await room.propose()
    assert rows(room) == []
    await room.placed()
    assert (len(rows(room)), rows(room, BOB)) == (1, [])


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("https://evil","x")'])
async def test_export_foreign_text_is_no_formula(room: Room, text: str) -> None:
    """What an exchange or a person named begins with an apostrophe where a spreadsheet would calculate."""
    row = await room.placed()
    room.sql("UPDATE orders SET exchange_order_id=?, fee_asset=? WHERE id=?", text, text, row.id)
    room.sql("UPDATE accounts SET label=?", text)
    (found,) = rows(room)
    assert [found[name] for name in ("exchange id", "fee asset", "account")] == [f"'{text}"] * 3
    assert not [each for each in found.values() if each.startswith(("=", "+", "@", "\t", "\r"))]


async def test_export_of_a_time_has_its_first_and_its_last_day(room: Room) -> None:
    """Both days named belong to it, in UTC."""
    await room.placed()
    days = ["2026-09-21", "2026-09-21 2026-09-21", "2026-09-20 2026-09-22", "2026-09-22", "2026-09-01 2026-09-20", ""]
    assert [len(rows(room, span=period(each))) for each in days] == [1, 1, 1, 0, 0, 1]


@pytest.mark.parametrize("words", ["yesterday", "2026-02-30", "2026-01-02 2026-01-01", "2026-01-01 " * 3])
def test_export_of_no_time_is_explained(words: str) -> None:
    """What cannot be read is answered with an example."""
    with pytest.raises(UserError, match="/export 2026-01-01 2026-03-31"):
        period(words)


def test_export_columns_have_no_twins() -> None:
    """Each column has a name of its own."""
    assert len(set(COLUMNS)) == len(COLUMNS)
