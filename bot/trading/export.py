"""A person's orders and fills as CSV, for spreadsheets and tax reports. Pure but for the reading of rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from bot.contract.errors import UserError
from bot.store.database import Connection
from bot.trading.amounts import format_typed
from bot.trading.orders import OrderRow, row_of

COLUMNS = (
    "kind",
    "time",
    "order",
    "exchange",
    "account",
    "pair",
    "side",
    "type",
    "quantity",
    "price",
    "average",
    "filled",
    "fee",
    "fee asset",
    "state",
    "client id",
    "exchange id",
)
"""A row is an order, or one of its fills: then price and quantity are the fill's, and its id is the trade id."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def period(words: str) -> tuple[int, int]:
    """Return what `[from] [to]` means, as UTC milliseconds: from the first day's begin to the last day's end.

    Raises:
        UserError: It is not two days at most, written like 2026-01-31, or the first is after the last.
    """
    try:
        days = [date.fromisoformat(word) for word in words.split()]
    except ValueError:
        raise UserError("A day is written like 2026-01-31, as in /export 2026-01-01 2026-03-31.") from None
    if len(days) > 2 or (len(days) == 2 and days[0] > days[1]):
        raise UserError("Name the first day and the last, such as /export 2026-01-01 2026-03-31.")
    first = days[0] if days else date(1970, 1, 1)
    last = days[1] if len(days) == 2 else date(9999, 12, 30)
    return _midnight_ms(first), _midnight_ms(last + timedelta(days=1))


def _midnight_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def as_csv(db: Connection, user_id: int, from_ms: int, to_ms: int) -> tuple[str, int]:
    """Return the CSV of one person's confirmed orders, oldest first, and how many orders it has.

    Args:
        db: A transaction.
        user_id: Whose; nobody else's are in it.
        from_ms: Orders made from here on, UTC milliseconds, and their fills whenever they happened.
        to_ms: And before this.
    """
    labels = {row["id"]: row["label"] for row in db.execute("SELECT id, label FROM accounts")}
    query = (
        "SELECT * FROM orders WHERE user_id=? AND client_order_id IS NOT NULL AND created_ms>=? AND created_ms<?"
        " ORDER BY id"
    )
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    count = 0
    for found in db.execute(query, (user_id, from_ms, to_ms)).fetchall():
        row, count = row_of(found), count + 1
        label = labels.get(row.account_id, "")
        writer.writerow(_order(row, label))
        writer.writerows(_fills(db, row, label))
    return file.getvalue(), count


def _order(row: OrderRow, label: str) -> list[str]:
    price = row.params.get("price")
    return [
        "order",
        _time(row.created_ms),
        str(row.id),
        *_foreign(row.exchange, label, row.symbol),
        row.side,
        row.params["type"],
        format_typed(row.quantity),
        format_typed(Decimal(price)) if price else "",
        _amount(row.average_price),
        format_typed(row.filled),
        _amount(row.fee),
        *_foreign(row.fee_asset),
        row.state,
        *_foreign(row.client_order_id, row.exchange_order_id),
    ]


def _fills(db: Connection, row: OrderRow, label: str) -> Iterator[list[str]]:
    for fill in db.execute("SELECT * FROM fills WHERE order_id=? ORDER BY at_ms, trade_id", (row.id,)):
        quantity, price, fee = (format_typed(Decimal(fill[name])) for name in ("quantity", "price", "fee"))
        yield [
            "fill",
            _time(fill["at_ms"]),
            str(row.id),
            *_foreign(row.exchange, label, row.symbol),
            row.side,
            row.params["type"],
            quantity,
            price,
            "",
            "",
            fee,
            *_foreign(fill["fee_asset"]),
            "",
            *_foreign(row.client_order_id, fill["trade_id"]),
        ]


def _foreign(*texts: str) -> list[str]:
    """Return texts that others chose, so that no spreadsheet takes one for a formula.

    Source: https://owasp.org/www-community/attacks/CSV_Injection
    """
    return [f"'{text}" if text.startswith(_FORMULA) else text for text in texts]


def _amount(value: Decimal | None) -> str:
    return "" if value is None else format_typed(value)


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
